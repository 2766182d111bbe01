//! Signals: sending stops at once, nothing that was measured is lost, and the exit code says what happened.

use std::process::Stdio;
use std::time::Duration;

use e2e::document::Schema;
use e2e::engine::Running;
use e2e::machine::{alone, among_others, settle};
use e2e::waiting::{SOON, monotonic_ns, now, wait_for};
use e2e::{Engine, Target, count, text};
use rustix::process::Signal;
use testkit::Hostile;

fn wait_for_load(target: &Target) {
    wait_for("load", SOON, || (count(&target.truth(), "/requests") >= 100).then_some(()));
}

/// How long after `signal` the target still saw requests, in nanoseconds; everything else is checked here.
fn stop_latency_ns(signal: Signal, code: i32, word: &str) -> u64 {
    let target = Target::start("--delay 20ms");
    let running = Engine::patient("--tps 500 -d 120s").arg(target.url()).start();
    wait_for_load(&target);
    let signalled = monotonic_ns();
    running.process.signal(signal);
    let outcome = running.finish().expect(code);
    let (summary, audit) = (outcome.summary(), outcome.audit());
    Schema::of("summary").admit(summary);
    assert_eq!(text(summary, "/verdict/result"), "aborted");
    assert!(outcome.stdout.starts_with(&format!("ABORTED (exit {code})")), "{}", outcome.told());
    assert!(text(summary, "/verdict/reasons/0").contains(word), "{}", outcome.told());
    for line in ["audit      scheduled ", "latency ", "generator "] {
        assert!(outcome.stdout.contains(line), "no line {line:?}: {}", outcome.told());
    }
    // What was in flight was waited for, and what had not been sent is not counted as sent.
    assert_eq!((audit.cut_off, audit.failed()), (0, 0), "{}", outcome.told());
    assert!(audit.sent >= 100 && audit.scheduled < 60_000, "{}", outcome.told());
    let truth = target.stop();
    assert_eq!(count(&truth, "/requests"), audit.sent, "{}", outcome.told());
    let last = count(&truth, "/started_monotonic_ns") + count(&truth, "/last_request_ns");
    last.saturating_sub(signalled)
}

#[test]
fn signals_stop_sending_within_a_tenth_of_a_second() {
    let _hold = alone();
    for (signal, code, word) in [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated")] {
        // 100 ms and what a request needs to be sent and read on a busy machine.
        let limit_ns = 150_000_000;
        let mut taken_ns = Vec::new();
        while taken_ns.len() < 4 && taken_ns.last().is_none_or(|taken| *taken > limit_ns) {
            settle(Duration::from_secs(5));
            taken_ns.push(stop_latency_ns(signal, code, word));
        }
        assert!(taken_ns.iter().any(|taken| *taken <= limit_ns), "{signal:?}: sent on for {taken_ns:?} ns");
        assert!(
            taken_ns.iter().all(|taken| *taken < 2_000_000_000),
            "{signal:?}: sent on for {taken_ns:?} ns"
        );
    }
}

#[test]
fn a_second_signal_leaves_at_once_with_the_report() {
    let _hold = among_others();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mute = Hostile::start("mute");
        let mut running =
            Engine::patient("--tps 200 -d 120s --timeout 100s --grace 100s").arg(mute.url()).start();
        wait_for("load", SOON, || (mute.seen().requests.len() >= 20).then_some(()));
        running.process.signal(signal);
        stopping(&mut running);
        // Everything hangs, so without another signal it would wait for 100 s.
        assert!(!running.process.has_ended());
        let begin = now();
        running.process.signal(signal);
        let outcome = running.finish().expect(code);
        assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?} to leave", begin.elapsed());
        let audit = outcome.audit();
        assert!(audit.cut_off >= 20, "{audit:?}");
        assert_eq!((audit.ok, audit.failed()), (0, 0), "{audit:?}");
        assert_eq!(mute.seen().requests.len() as u64, audit.sent);
        assert!(outcome.stdout.contains(&format!("cut off {}", audit.cut_off)), "{}", outcome.told());
    }
}

fn stopping(running: &mut Running) {
    running.process.wait_for_stderr("the note that it stops", SOON, |line| {
        line.contains("stopping: waiting for what is in flight").then_some(())
    });
}

#[test]
fn a_grace_bounds_the_wait_after_a_signal() {
    let _hold = among_others();
    let mute = Hostile::start("mute");
    let running = Engine::patient("--tps 200 -d 120s --timeout 100s --grace 500ms").arg(mute.url()).start();
    wait_for("load", SOON, || (mute.seen().requests.len() >= 20).then_some(()));
    let begin = now();
    running.process.signal(Signal::INT);
    let outcome = running.finish().expect(130);
    assert!(begin.elapsed() >= Duration::from_millis(500) && begin.elapsed() < Duration::from_secs(10));
    assert_eq!(outcome.audit().cut_off, outcome.audit().sent);
}

#[test]
fn a_terminal_that_goes_away_takes_nothing_with_it() {
    let _hold = among_others();
    let target = Target::start("");
    let running = Engine::patient("--tps 200 -d 2s").arg(target.url()).start();
    wait_for("load", SOON, || (count(&target.truth(), "/requests") >= 20).then_some(()));
    running.process.signal(Signal::HUP);
    let outcome = running.finish().expect(0);
    assert_eq!(outcome.audit().sent, 400);
}

#[test]
fn a_reader_that_goes_away_is_told_by_the_exit_code() {
    let _hold = among_others();
    let target = Target::start("");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let outcome =
        Engine::patient("--tps 100 -d 1s").arg(target.url()).stdout(Stdio::from(writer)).run().expect(14);
    assert!(
        outcome.stderr.contains("error: cannot write the summary to standard output"),
        "{}",
        outcome.told()
    );
    assert_eq!(outcome.audit().sent, 100);
}
