//! The end-to-end tests of the long home: minutes, and servers that share no code with the engine.
//!
//! `cargo xtask long` runs them, one after another. They measure time, so they want a machine with little else to do.

#![expect(clippy::print_stdout, reason = "whoever runs these for minutes wants the figures")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use e2e::control::Control;
use e2e::engine::write;
use e2e::machine::{Neighbours, Stillness, alone, settle};
use e2e::process::{Process, program};
use e2e::waiting::{SOON, monotonic_ns, pause, pause_until_ns, wait_for, wall_ns};
use e2e::{Engine, Outcome, Target, count, number, text};
use rustix::process::Signal;
use serde_json::json;

/// From which share of the machine on neighbours spoil a measurement.
const NEIGHBOURS_MAX: f64 = 0.08;
/// For how long a machine may stand still during a measurement.
const STILL_MAX: Duration = Duration::from_millis(10);
/// How often a measurement that neighbours or a machine that stood still spoil is made again.
const DISTURBED_MAX: usize = 8;
/// How often the engine may be late by its own word though nobody disturbed it.
const LATE_MAX: usize = 2;

/// Yields the first run that had the machine nearly to itself and was on time.
fn undisturbed(mut attempt: impl FnMut() -> Outcome) -> Outcome {
    let (mut disturbed, mut late) = (Vec::new(), Vec::new());
    while disturbed.len() <= DISTURBED_MAX && late.len() <= LATE_MAX {
        settle(Duration::from_mins(2));
        let (neighbours, stillness) = (Neighbours::watch(), Stillness::watch());
        let outcome = attempt();
        let (still, share) = (stillness.longest().unwrap_or_default(), neighbours.share());
        if share > NEIGHBOURS_MAX {
            disturbed.push(format!("others used {:.0} % of the machine", share * 100.0));
        } else if still > STILL_MAX {
            disturbed.push(format!("the machine stood still for {still:.1?}"));
        } else if outcome.code == 12 {
            late.push(outcome.told());
        } else {
            println!("others used {:.1} % of the machine, which stood still for {still:.1?}", share * 100.0);
            return outcome;
        }
    }
    panic!("no run had the machine to itself and was on time: {disturbed:?}\n{}", late.join("\n"));
}

/// A port on which nobody listens now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it listens").port()
}

fn wait_for_port(port: u16) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_for("the server's port", SOON, || TcpStream::connect(address).ok());
}

/// nginx with a log line for each request, held back in memory so that the log costs it little.
fn nginx(folder: &Path, port: u16) -> Process {
    let place = folder.display();
    let settings = format!(
        "daemon off;
         pid {place}/pid;
         error_log {place}/error.log;
         worker_processes 1;
         events {{ worker_connections 4096; }}
         http {{
             log_format instants '$msec';
             access_log {place}/access.log instants buffer=256k flush=1s;
             client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
             uwsgi_temp_path {place}; scgi_temp_path {place};
             keepalive_requests 1000000000;
             server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 'ok'; }} }}
         }}"
    );
    write(&folder.join("nginx.conf"), settings);
    let mut command = Command::new(program(&["nginx"]));
    command
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .arg("-e")
        .arg(folder.join("error.log"));
    let server = Process::start(command, None);
    wait_for_port(port);
    server
}

/// The instants of nginx's log, in milliseconds since the epoch, in order.
fn instants(log: &Path) -> Vec<u64> {
    let text = fs::read_to_string(log).expect("nginx wrote its log");
    let instant = |line: &str| {
        let (seconds, milliseconds) = line.split_once('.').expect("$msec has a point");
        seconds.parse::<u64>().expect("seconds") * 1_000 + milliseconds.parse::<u64>().expect("milliseconds")
    };
    let mut instants: Vec<u64> = text.lines().map(instant).collect();
    instants.sort_unstable();
    instants
}

const RATE: u64 = 20_000;
const SECONDS: u64 = 10;

/// One run against nginx, armed so that its zero is known; the run, its zero in milliseconds since the epoch, and the
/// log's instants.
fn run_against_nginx() -> (Outcome, u64, Vec<u64>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, socket) = (free_port(), folder.path().join("control"));
    let mut server = nginx(folder.path(), port);
    let line = format!("http://127.0.0.1:{port}/ --tps {RATE} --duration {SECONDS}s --cores 1 --control");
    let running = Engine::new(&line).arg(&socket).json().start();
    let mut control = Control::connect(&socket);
    wait_for("readiness", SOON, || {
        (control.order(json!({"op": "status"}))["status"]["state"] == "ready").then_some(())
    });
    let zero = monotonic_ns() + 500_000_000;
    control.order(json!({"op": "arm", "at_monotonic_ns": zero}));
    let zero_ms = (wall_ns() - monotonic_ns() + zero) / 1_000_000;
    let outcome = running.finish();
    server.signal(Signal::QUIT);
    server.wait(SOON);
    let seen = instants(&folder.path().join("access.log"));
    (outcome, zero_ms, seen)
}

#[test]
fn nginx_has_seen_exactly_what_was_sent_when_it_was_due() {
    let _hold = alone();
    let mut counts = Vec::new();
    for _ in 0..3 {
        let mut measured = (0, Vec::new());
        let outcome = undisturbed(|| {
            let (outcome, zero_ms, seen) = run_against_nginx();
            let audit = outcome.audit();
            assert_eq!(audit.sent + audit.dropped(), RATE * SECONDS, "{}", outcome.told());
            assert_eq!(
                seen.len() as u64,
                audit.sent,
                "nginx's log and the report differ: {}",
                outcome.told()
            );
            measured = (zero_ms, seen);
            outcome
        });
        let audit = outcome.audit();
        assert_eq!((outcome.code, audit.ok), (0, RATE * SECONDS), "{}", outcome.told());
        assert_eq!(text(outcome.summary(), "/verdict/result"), "pass");
        let (zero_ms, seen) = measured;
        // nginx looks at the clock once for each round of events and cuts it to milliseconds: what a long round reads late
        // is stamped early.
        let due_ms = |index: usize| zero_ms + index as u64 * 1_000 / RATE;
        let early = seen.iter().enumerate().find(|(index, instant)| **instant + 5 < due_ms(*index));
        assert_eq!(early, None, "seen before it was due; the plan's zero is {zero_ms}");
        let in_second = |second: u64| {
            let begin = zero_ms + second * 1_000;
            seen.partition_point(|instant| *instant < begin + 1_000)
                - seen.partition_point(|instant| *instant < begin)
        };
        let inner: Vec<u64> = (1..SECONDS - 1).map(|second| in_second(second) as u64).collect();
        println!("nginx: {} requests; by inner second {inner:?}", seen.len());
        let exact = inner.iter().filter(|count| count.abs_diff(RATE) * 200 <= RATE).count();
        if exact * 10 >= inner.len() * 9 {
            return;
        }
        // 5 ms of a neighbour's at a second's end are enough to spoil two of them.
        counts.push(inner);
    }
    panic!("requests by inner second, run by run: {counts:?}");
}

/// Demands the latencies of open arrivals at a target that is frozen for 1 s in every 10 s: the share of 0.1 that meets
/// the freeze waits for what is left of it, evenly between 0 and 1 s.
fn check_stall_truth(outcome: &Outcome) {
    let audit = outcome.audit();
    assert_eq!((audit.scheduled, audit.sent, audit.dropped()), (30_000, 30_000, 0), "{}", outcome.told());
    assert_eq!((outcome.code, audit.ok), (0, 30_000), "{}", outcome.told());
    for (figure, expected_ms, tolerance_ms) in
        [("mean", 50.0, 3.0), ("p95", 500.0, 15.0), ("p99", 900.0, 10.0), ("p99_9", 990.0, 8.0)]
    {
        let measured_ms = number(outcome.summary(), &format!("/latency_ns/response/{figure}")) / 1e6;
        println!("stall truth: {figure} {measured_ms:.1} ms (truth {expected_ms} ms)");
        let off = (measured_ms - expected_ms).abs();
        assert!(
            off <= tolerance_ms,
            "{figure} is {measured_ms} ms instead of {expected_ms}: {}",
            outcome.told()
        );
    }
}

#[test]
fn a_target_that_freezes_is_measured_truthfully() {
    let _hold = alone();
    for flags in ["", "-c 10"] {
        let outcome = undisturbed(|| {
            let target = Target::start("--stall 1s/10s --cores 1");
            let outcome = Engine::new("--tps 1000 -d 30s").args(flags).arg(target.url()).json().run();
            let truth = target.stop();
            assert_eq!(count(&truth, "/requests"), outcome.audit().sent);
            assert_eq!(truth["stalls"].as_array().map(Vec::len), Some(3), "{}", truth["stalls"]);
            outcome
        });
        check_stall_truth(&outcome);
    }
}

/// A server in another language that freezes itself, all of it, for 1 s in every 10 s after its first request: the one
/// thread that serves sleeps until an absolute instant, and nothing is accepted, read or answered.
const PYTHON: &str = r#"
import select, socket, sys, time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
listener.setblocking(False)
poll, peers, freeze = select.epoll(), {}, None
poll.register(listener.fileno(), select.EPOLLIN)
while True:
    now = time.monotonic()
    if freeze is not None and now >= freeze:
        time.sleep(max(0, freeze + 1 - time.monotonic()))
        freeze += 10
    for number, _ in poll.poll(0.5 if freeze is None else max(0, min(0.5, freeze - now)), 256):
        if number == listener.fileno():
            for _ in range(256):
                try:
                    peer, _ = listener.accept()
                except BlockingIOError:
                    break
                peers[peer.fileno()] = peer
                poll.register(peer.fileno(), select.EPOLLIN)
            continue
        peer = peers[number]
        try:
            data = peer.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            del peers[number]
            peer.close()
            continue
        if freeze is None:
            freeze = time.monotonic() + 4.5
        # One request at a time on a connection, small enough for one segment.
        peer.send(ANSWER)
"#;

#[test]
fn a_python_server_that_freezes_is_measured_truthfully() {
    let _hold = alone();
    for flags in ["", "-c 10"] {
        let outcome = undisturbed(|| {
            let port = free_port();
            let mut command = Command::new(program(&["python3"]));
            command.arg("-c").arg(PYTHON).arg(port.to_string());
            let _server = Process::start(command, None);
            wait_for_port(port);
            let line = format!("http://127.0.0.1:{port}/ --tps 1000 -d 30s --cores 1 {flags}");
            Engine::new(&line).json().run()
        });
        check_stall_truth(&outcome);
    }
}

/// Arrivals that fall due while the target is stopped.
const HELD_BACK: u64 = 6_000;

#[test]
fn a_target_that_is_stopped_for_six_seconds_is_measured_truthfully() {
    let _hold = alone();
    let (mut stopped_for, mut caught_up_after) = (Duration::ZERO, Duration::ZERO);
    let outcome = undisturbed(|| {
        let target = Target::start("--cores 1");
        let running = Engine::new("--tps 1000 -d 20s").arg(target.url()).json().start();
        wait_for("load", SOON, || (count(&target.truth(), "/requests") > 0).then_some(()));
        pause(Duration::from_secs(6));
        // From outside, by the kernel: nothing of the target knows about it.
        let answered = count(&target.truth(), "/requests");
        let begin = monotonic_ns();
        target.running.process.signal(Signal::STOP);
        pause_until_ns(begin + HELD_BACK * 1_000_000);
        target.running.process.signal(Signal::CONT);
        let end = monotonic_ns();
        // The target needs its time to answer all that it was held back from. Its own counter says how long.
        while count(&target.truth(), "/requests") < answered + HELD_BACK {}
        stopped_for = Duration::from_nanos(end - begin);
        caught_up_after = Duration::from_nanos(monotonic_ns() - end);
        let outcome = running.finish();
        assert_eq!(count(&target.stop(), "/requests"), outcome.audit().sent);
        outcome
    });
    let audit = outcome.audit();
    assert_eq!((outcome.code, audit.sent, audit.ok), (0, 20_000, 20_000), "{}", outcome.told());
    // Arrivals are spread evenly, so the share `stop / 20 s` waits evenly between 0 and the whole stop, and each for
    // those before it to be answered: the quantile q is the stop's length less (1 − q) × 20 s, and as much of the time
    // for catching up as arrivals wait longer.
    let (stop_ms, caught_up_ms) = (stopped_for.as_secs_f64() * 1e3, caught_up_after.as_secs_f64() * 1e3);
    println!("stopped for {stop_ms:.1} ms, the target had caught up {caught_up_ms:.1} ms later");
    for (figure, quantile) in [
        ("p75", 0.75),
        ("p90", 0.9),
        ("p95", 0.95),
        ("p99", 0.99),
        ("p99_9", 0.999),
        ("p99_99", 0.9999),
        ("max", 1.0),
    ] {
        let longer_ms = (1.0 - quantile) * 20_000.0;
        let expected_ms = stop_ms - longer_ms + caught_up_ms * longer_ms / stop_ms;
        let measured_ms = number(outcome.summary(), &format!("/latency_ns/response/{figure}")) / 1e6;
        println!("{figure} {measured_ms:.1} ms (truth {expected_ms:.1} ms)");
        let tolerance_ms = (expected_ms * 0.01).max(15.0);
        let off = (measured_ms - expected_ms).abs();
        assert!(
            off <= tolerance_ms,
            "{figure} is {measured_ms} ms instead of {expected_ms}: {}",
            outcome.told()
        );
    }
}

#[test]
fn fifty_thousand_per_second_pass_three_times_in_a_row() {
    let _hold = alone();
    for run in 1..=3 {
        let outcome = undisturbed(|| Engine::new("--tps 50000 --cores all -d 10s").json().run());
        let audit = outcome.audit();
        assert_eq!((outcome.code, audit.sent, audit.ok), (0, 500_000, 500_000), "{}", outcome.told());
        let lag = |figure: &str| number(outcome.summary(), &format!("/latency_ns/lag/{figure}")) / 1e3;
        println!(
            "quickstart {run}: lag p50 {:.0} µs, p99 {:.0} µs, max {:.0} µs",
            lag("p50"),
            lag("p99"),
            lag("max")
        );
    }
}

#[test]
fn a_changing_rate_is_followed_on_both_drivers() {
    let _hold = alone();
    for driver in ["uring", "epoll"] {
        let outcome = undisturbed(|| {
            let target = Target::start("--delay exp:5ms --cores 1");
            let line = format!("--stages 20s:2000,20s:=500,20s:2000 --io {driver} --close-after 1000");
            let outcome = Engine::new(&line).arg(target.url()).json().within(Duration::from_mins(3)).run();
            assert_eq!(count(&target.stop(), "/requests"), outcome.audit().sent);
            outcome
        });
        // Ramps: 20 s × 1,000 on average, 20 s × 500, 20 s × 1,250 on average.
        assert_eq!(outcome.expect(0).audit().ok, 55_000);
    }
}

#[test]
fn two_engines_at_one_nginx_add_up() {
    let _hold = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut server = nginx(folder.path(), port);
    let sent: u64 = thread::scope(|scope| {
        let run = |share: u32| {
            let line = format!("http://127.0.0.1:{port}/ --tps 4000 -d 10s --share {share}/2 --cores 1");
            Engine::patient(&line).run().expect(0).audit().sent
        };
        [1, 2]
            .map(|share| scope.spawn(move || run(share)))
            .map(|thread| thread.join().expect("it passed"))
            .iter()
            .sum()
    });
    server.signal(Signal::QUIT);
    server.wait(SOON);
    assert_eq!(sent, 40_000);
    assert_eq!(instants(&folder.path().join("access.log")).len(), 40_000);
}
