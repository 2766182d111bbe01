//! What is asked for is what arrives: open and closed model, counts, stages, addresses.

use std::net::TcpListener;

use e2e::document::items;
use e2e::machine::among_others;
use e2e::{Engine, Target, count, number, text};
use testkit::Hostile;

#[test]
fn an_open_plan_sends_every_arrival_of_its_profile() {
    let _hold = among_others();
    let target = Target::start("");
    let mut seen = 0;
    for (line, arrivals) in [
        ("--tps 500 -d 1s", 500),
        ("--rate 6k/m -d 1s", 100),
        ("--tps 0.5 -d 3s", 2),
        ("--tps 333.3 -d 1500ms", 500),
        // A step of 1 s at 100/s, then one at 300/s.
        ("--stages 1s:=100,1s:=300", 400),
        // The area under a ramp from 0 to 400/s in 2 s; the arrival at its last instant is not in it.
        ("--stages 2s:400", 400),
        ("--tps 400 -d 2s --pattern ramp", 400),
        ("--tps 1000 -n 250", 250),
        ("--tps 100 -d 1s -n 250", 100),
    ] {
        let outcome = Engine::patient(line).arg(target.url()).run().expect(0);
        let audit = outcome.audit();
        assert_eq!(
            (audit.scheduled, audit.sent, audit.ok),
            (arrivals, arrivals, arrivals),
            "{}",
            outcome.told()
        );
        seen += arrivals;
        assert_eq!(count(&target.truth(), "/requests"), seen, "{line}");
    }
}

#[test]
fn steps_are_where_the_stages_put_them() {
    let _hold = among_others();
    let outcome = Engine::patient("--stages 1s:=100,1s:=300,1s:=200").run().expect(0);
    let due: Vec<u64> =
        items(outcome.summary(), "/timeline").iter().map(|second| count(second, "/asked")).collect();
    assert_eq!(due.iter().sum::<u64>(), 600);
    // On a busy machine an arrival may be reached in the second after its own; the schedule itself is exact.
    for (second, (due, planned)) in due.iter().zip([100, 300, 200]).enumerate() {
        assert!(due.abs_diff(planned) <= 60, "second {second}: {due} arrivals instead of {planned}");
    }
}

#[test]
fn users_wait_for_answers() {
    let _hold = among_others();
    let target = Target::start("--delay 50ms");
    let outcome = Engine::patient("--users 4 -d 1s --think 50ms").arg(target.url()).run().expect(0);
    let (audit, truth) = (outcome.audit(), target.stop());
    // Each user needs at least 100 ms for a round.
    assert!(audit.sent >= 4 && audit.sent <= 4 * 11, "{audit:?}");
    assert_eq!((audit.sent, audit.ok), (count(&truth, "/requests"), audit.scheduled), "{}", outcome.told());
    assert!(count(&truth, "/connects") <= 4);
    assert_eq!(text(outcome.summary(), "/plan/process"), "users");
}

#[test]
fn users_enter_at_their_rate() {
    let _hold = among_others();
    let target = Target::start("");
    // Each user sends once and then rests for longer than the run.
    let line = "--users 10 --spawn-rate 10 --think 60s -d 2s";
    let outcome = Engine::patient(line).arg(target.url()).run().expect(0);
    assert_eq!(outcome.audit().sent, 10, "{}", outcome.told());
    let truth = target.stop();
    let spread = count(&truth, "/last_request_ns") - count(&truth, "/first_request_ns");
    // The first enters at once, the tenth after 900 ms; the first may have been late.
    assert!(spread >= 600_000_000, "users entered within {spread} ns");
}

#[test]
fn connections_can_be_opened_beforehand() {
    let _hold = among_others();
    let target = Target::start("");
    let outcome = Engine::patient("--tps 10 -d 1s --warm-connections 8").arg(target.url()).run().expect(0);
    assert_eq!(count(&target.stop(), "/connects"), 8, "{}", outcome.told());
    assert_eq!(outcome.audit().sent, 10);
}

#[test]
fn names_are_connected_to_where_the_user_says() {
    let _hold = among_others();
    let target = Target::start("");
    let port = target.address.port();
    let connect_to = format!("shop.example:80:127.0.0.1:{port}");
    let outcome = Engine::patient("http://shop.example/a?b=c --tps 50 -d 1s --connect-to")
        .arg(connect_to)
        .run()
        .expect(0);
    assert_eq!(text(outcome.summary(), "/target/url"), "http://shop.example/a?b=c");
    assert_eq!(items(outcome.summary(), "/target/addresses")[0], format!("127.0.0.1:{port}"));
    assert_eq!(count(&target.stop(), "/requests"), 50);
}

#[test]
fn targets_may_have_addresses_of_version_6() {
    let _hold = among_others();
    if TcpListener::bind("[::1]:0").is_err() {
        // A host without IPv6: then the run must fail by it, and say so.
        let outcome = Engine::patient("http://[::1]:9/ --tps 10 -d 1s").run().expect(11);
        assert!(outcome.audit().error_classes().iter().all(|class| class.starts_with("connect_")));
        return;
    }
    let target = Target::start_on("[::1]:0", Engine::new("target"));
    for driver in ["uring", "epoll"] {
        let outcome = Engine::patient("--tps 50 -d 1s --io").arg(driver).arg(target.url()).run().expect(0);
        assert_eq!(outcome.audit().ok, 50);
    }
    assert_eq!(count(&target.stop(), "/requests"), 100);
}

#[test]
fn statuses_are_errors_or_not_as_the_user_says() {
    let _hold = among_others();
    let target = Target::start("--error-rate 1 --error-status 503");
    let outcome = Engine::patient("--tps 50 -d 1s").arg(target.url()).run().expect(11);
    assert_eq!(outcome.audit().errors["status"], 50);
    assert_eq!(count(outcome.summary(), "/status/503"), 50);
    for accepted in ["none", "400-499"] {
        let line = format!("--tps 50 -d 1s --fail-status {accepted}");
        let outcome = Engine::patient(&line).arg(target.url()).run().expect(0);
        assert_eq!(outcome.audit().ok, 50);
    }
}

#[test]
fn faults_of_the_target_are_told_apart() {
    let _hold = among_others();
    for (flag, classes) in [
        ("--close-rate", &["closed_early"][..]),
        ("--reset-rate", &["reset"]),
        ("--cut-rate", &["closed_early"]),
        ("--garbage-rate", &["protocol"]),
        ("--hang-rate", &["timeout_first_byte"]),
    ] {
        let target = Target::start(&format!("{flag} 1"));
        let outcome = Engine::patient("--tps 50 -d 1s --timeout 1s").arg(target.url()).run().expect(11);
        assert_eq!(outcome.audit().error_classes(), classes, "{flag}: {}", outcome.told());
        assert_eq!(count(&target.stop(), "/requests"), 50, "{flag}");
    }
}

#[test]
fn the_timeout_counts_from_the_intended_time() {
    let _hold = among_others();
    let mute = Hostile::start("mute");
    // One connection: the first request hangs on it, the others wait for it until nearly their own deadline.
    let outcome = Engine::patient("--tps 50 -d 1s -c 1 --timeout 600ms").arg(mute.url()).run().expect(11);
    let audit = outcome.audit();
    assert!(mute.seen().requests.len() as u64 <= audit.sent);
    let times =
        |latency: &str, figure: &str| number(outcome.summary(), &format!("/latency_ns/{latency}/{figure}"));
    assert!(times("response", "min") >= 600e6, "{}", outcome.told());
    assert!(times("queue", "max") >= 100e6, "{}", outcome.told());
    assert!(times("service", "min") < 600e6, "{}", outcome.told());
    // Nobody may wait for much longer than the timeout, however late a busy machine is.
    assert!(times("response", "p50") < 1_200e6, "{}", outcome.told());
}
