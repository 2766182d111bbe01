//! Who is to blame: the generator's own lateness makes a run untrustworthy, the target's slowness never does.

use std::time::Duration;

use e2e::machine::among_others;
use e2e::waiting::{SOON, now, pause, wait_for};
use e2e::{Engine, Outcome, Target, count, text};
use rustix::process::Signal;
use testkit::{Hostile, Refusing};

#[test]
fn an_engine_that_was_stopped_says_so() {
    let _hold = among_others();
    let target = Target::start("");
    let running = Engine::new("--tps 1000 -d 3s --io epoll").arg(target.url()).json().start();
    wait_for("load", SOON, || (count(&target.truth(), "/requests") > 0).then_some(()));
    let begin = now();
    running.process.signal(Signal::STOP);
    // The first arrival that is due meanwhile is due within a millisecond, and reached when the engine goes on.
    pause(Duration::from_millis(510));
    running.process.signal(Signal::CONT);
    let stopped = begin.elapsed();
    let outcome = running.finish().expect(12);
    let (summary, audit) = (outcome.summary(), outcome.audit());
    assert_eq!(text(summary, "/verdict/result"), "untrustworthy");
    assert!(outcome.stdout.starts_with("UNTRUSTWORTHY (exit 12)"), "{}", outcome.told());
    let lag = Duration::from_nanos(count(summary, "/latency_ns/lag/max"));
    assert!(lag >= Duration::from_millis(500), "{lag:?} of lag after a stop of {stopped:?}");
    // The arrivals of that time are late, not lost, and late from a user's view.
    assert_eq!((audit.scheduled, audit.sent), (3_000, 3_000));
    assert!(count(summary, "/latency_ns/response/max") >= count(summary, "/latency_ns/lag/max"));
    assert_eq!(count(&target.stop(), "/requests"), 3_000);
}

/// Limits that a busy machine keeps, and that every wait of a second for the target would break if it were counted as
/// the generator's.
const MAX_LAG: &str = "--max-lag 8s";
const LIMITS_NS: (u64, u64) = (8_000_000_000, 800_000_000);

/// Runs against a target that makes every request wait for at least a second.
fn blameless(url: &str, load: &str, code: i32) -> Outcome {
    let outcome = Engine::new(load).args(MAX_LAG).arg(url).json().run().expect(code);
    let summary = outcome.summary();
    let lag_ns =
        (count(summary, "/latency_ns/lag/max"), count(summary, "/generator/lag_p99_worst_second_ns"));
    assert!(lag_ns.0 < LIMITS_NS.0 && lag_ns.1 <= LIMITS_NS.1, "{}", outcome.told());
    assert!(!outcome.stdout.contains("the generator was late"), "{}", outcome.told());
    outcome.audit();
    outcome
}

#[test]
fn a_slow_target_is_not_the_generator() {
    let _hold = among_others();
    let target = Target::start("--delay 1200ms");
    let outcome = blameless(&target.url(), "--tps 100 -d 2s", 0);
    assert!(count(outcome.summary(), "/latency_ns/response/min") >= 1_200_000_000, "{}", outcome.told());
}

#[test]
fn waiting_for_a_connection_is_not_lag() {
    let _hold = among_others();
    let target = Target::start("--delay 1200ms");
    let outcome = blameless(&target.url(), "--tps 100 -d 2s -c 2 --timeout 4s --queue 20", 15);
    let audit = outcome.audit();
    assert!(audit.dropped["queue_full"] > 0, "{audit:?}");
    assert!(count(outcome.summary(), "/latency_ns/queue/max") >= 1_000_000_000, "{}", outcome.told());
    // What timed out a moment after it had been sent may have gone with its connection before the target read it.
    let seen = count(&target.stop(), "/requests");
    assert!(seen >= audit.ok && seen <= audit.sent, "{seen} requests seen: {}", outcome.told());
}

#[test]
fn a_frozen_target_is_not_the_generator() {
    let _hold = among_others();
    let target = Target::start("--stall 1500ms/10s@500ms");
    let outcome = blameless(&target.url(), "--tps 100 -d 3s", 0);
    assert!(count(outcome.summary(), "/latency_ns/response/max") >= 1_400_000_000, "{}", outcome.told());
}

#[test]
fn a_stopped_target_is_not_the_generator() {
    let _hold = among_others();
    let target = Target::start("");
    target.running.process.signal(Signal::STOP);
    let outcome = blameless(&target.url(), "--tps 100 -d 2s --timeout 1500ms", 11);
    target.running.process.signal(Signal::CONT);
    let audit = outcome.audit();
    assert_eq!(audit.ok, 0);
    assert!(audit.error_classes().iter().all(|class| class.contains("timeout")), "{audit:?}");
}

#[test]
fn a_dead_target_is_not_the_generator() {
    let _hold = among_others();
    let nobody = Refusing::start();
    let outcome = blameless(&format!("http://{}/", nobody.address), "--tps 100 -d 1s", 11);
    assert_eq!(outcome.audit().error_classes(), ["connect_refused"]);
    let mute = Hostile::start("mute");
    let outcome = blameless(&mute.url(), "--tps 100 -d 1s --timeout 1500ms", 11);
    assert_eq!(outcome.audit().error_classes(), ["timeout_first_byte"]);
}
