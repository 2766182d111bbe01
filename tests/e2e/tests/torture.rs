//! Torture from outside: every n-th system call of the running engine fails, as strace makes it fail.
//!
//! What it is: the built engine against its built target, for both drivers, many calls, errors and n. An interruption
//! costs nothing. Any other failure costs requests or the run, but every run ends in time, without a panic; a refusal
//! to start says why with exit code 3; otherwise both sums hold, and the target has seen no more than was sent.
//! What it is not: failures of single ring operations, which `engine/tests/torture.rs` makes.
//!
//! They take minutes, so that they are built only with the feature `long`, by `cargo xtask long`.

use std::time::Duration;

use e2e::document::{count, text};
use e2e::engine::{Engine, Outcome};
use e2e::machine::among_others;
use e2e::target::Target;

const RATE: u64 = 100;

/// What a failing call may cost.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Cost {
    /// Time.
    Nothing,
    /// Requests, or the run before it begins.
    Requests,
}

/// A call of one driver, an error, and what it may cost.
type Row = (&'static str, &'static str, &'static str, Cost);

const ROWS: &[Row] = &[
    ("epoll", "recvfrom", "EINTR", Cost::Nothing),
    ("epoll", "sendto", "EINTR", Cost::Nothing),
    ("epoll", "epoll_pwait2", "EINTR", Cost::Nothing),
    ("epoll", "recvfrom", "ECONNRESET", Cost::Requests),
    ("epoll", "recvfrom", "ENOMEM", Cost::Requests),
    ("epoll", "sendto", "ECONNRESET", Cost::Requests),
    ("epoll", "sendto", "EPIPE", Cost::Requests),
    ("epoll", "sendto", "ENOBUFS", Cost::Requests),
    ("epoll", "socket", "EMFILE", Cost::Requests),
    ("epoll", "socket", "ENFILE", Cost::Requests),
    ("epoll", "connect", "ECONNREFUSED", Cost::Requests),
    ("epoll", "connect", "EADDRNOTAVAIL", Cost::Requests),
    ("epoll", "connect", "EAGAIN", Cost::Requests),
    ("epoll", "connect", "ENETUNREACH", Cost::Requests),
    ("epoll", "epoll_ctl", "ENOMEM", Cost::Requests),
    ("epoll", "epoll_ctl", "ENOSPC", Cost::Requests),
    ("epoll", "setsockopt", "ENOBUFS", Cost::Requests),
    ("uring", "io_uring_enter", "EINTR", Cost::Nothing),
    ("uring", "io_uring_enter", "EAGAIN", Cost::Nothing),
    ("uring", "io_uring_enter", "EBUSY", Cost::Nothing),
    ("uring", "socket", "EMFILE", Cost::Requests),
    ("uring", "setsockopt", "ENOBUFS", Cost::Requests),
    ("auto", "io_uring_setup", "ENOMEM", Cost::Requests),
    ("auto", "io_uring_setup", "EPERM", Cost::Requests),
    ("auto", "io_uring_register", "ENOMEM", Cost::Requests),
    ("auto", "io_uring_register", "EINVAL", Cost::Requests),
];

#[test]
fn whatever_call_fails_the_sums_hold() {
    let _hold = among_others();
    let target = Target::start("--cores 1");
    let mut faults = Vec::new();
    for (driver, call, error, cost) in ROWS {
        for nth in [1, 2, 3, 7, 29] {
            // What always passes and always comes again never ends.
            if nth == 1 && *cost == Cost::Nothing {
                continue;
            }
            let before = count(&target.truth(), "/requests");
            let trace = format!("trace={call}");
            let inject = format!("inject={call}:error={error}:when={nth}+{nth}");
            // A traced process is slow, more so on a busy machine: what costs nothing must not run out of time for that.
            let timeout = if *cost == Cost::Nothing { "20s" } else { "5s" };
            let outcome = Engine::patient("-d 1s --close-after 3")
                .args(&format!("--timeout {timeout} --grace {timeout} --tps {RATE} --io {driver}"))
                .arg(target.url())
                .under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
                .within(Duration::from_mins(1))
                .run();
            let received = count(&target.truth(), "/requests") - before;
            let case = format!("{driver}, every {nth}. {call} fails with {error}");
            println!("{case}: {}", result(&outcome));
            if let Some(fault) = fault(&outcome, *cost, received) {
                faults.push(format!("{case}: {fault}; the target received {received}: {}", outcome.told()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// What is wrong with the outcome, if anything.
fn fault(outcome: &Outcome, cost: Cost, received: u64) -> Option<&'static str> {
    if outcome.stderr.contains("panicked") {
        return Some("it panicked");
    }
    if outcome.code == 3 {
        return (cost == Cost::Nothing || received > 0).then_some("no reason to refuse");
    }
    if ![0, 11, 12, 15].contains(&outcome.code) {
        return Some("another exit code than expected");
    }
    // Reading it checks both sums.
    let audit = outcome.audit();
    if audit.scheduled != RATE {
        return Some("not all that was asked for was scheduled");
    }
    if outcome.code == 15 {
        return Some("the target is blamed");
    }
    if received < audit.ok || audit.sent < received {
        return Some("the target saw something else");
    }
    (cost == Cost::Nothing && (audit.ok, outcome.code) != (RATE, 0)).then_some("it should have cost nothing")
}

/// One line on what came of it.
fn result(outcome: &Outcome) -> String {
    if outcome.has_summary() {
        let driver = text(outcome.summary(), "/run/io/driver");
        format!("{} of {RATE} ok on {driver}, exit code {}", outcome.audit().ok, outcome.code)
    } else {
        outcome.stderr.lines().last().unwrap_or_default().to_owned()
    }
}
