//! The rate cap under error storms: a target that only breaks things sees no more than was asked for.

use std::thread;

use e2e::machine::{alone, among_others, connects_begun};
use e2e::{Engine, Outcome, count};
use testkit::{Hostile, Refusing};

/// Requests that each run asks for: 200 per second for 2 s.
const ASKED: u64 = 400;
/// Connections that each run may have open at once.
const POOL: u64 = 10;

fn load(url: &str, driver: &str) -> Outcome {
    let line = format!("--tps 200 -d 2s -c {POOL} --timeout 1s --grace 1s --io {driver}");
    Engine::patient(&line).arg(url).run()
}

/// Runs against one behaviour; what is wrong, in words.
fn check(behaviour: &str, driver: &str) -> Result<(), String> {
    let target = Hostile::start(behaviour);
    let outcome = load(&target.url(), driver);
    let seen = target.seen();
    let (requests, connects) = (seen.requests.len() as u64, seen.connects.len() as u64);
    let audit = outcome.audit();
    let told =
        || format!("{behaviour} by {driver}: {requests} requests, {connects} connects; {}", outcome.told());
    let demand = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {}", told())) };
    demand(audit.scheduled == ASKED, "another number of arrivals")?;
    demand(requests <= ASKED, "more requests than asked for")?;
    demand(connects <= ASKED + POOL, "more connects than asked for and the pool")?;
    demand(requests <= audit.sent, "the target saw requests that the engine does not know of")?;
    demand(
        connects <= count(outcome.summary(), "/connections/connects"),
        "connects that the engine does not know of",
    )?;
    demand(outcome.code == 11 || outcome.code == 15, "not every request failed")?;
    demand(audit.ok == 0, "some request succeeded")
}

#[test]
fn hostile_targets_see_no_more_than_was_asked_for() {
    // Those that end connections at once are the ones against which a cap is easily lost; `tests/hostile` has them all,
    // without a cap of connections.
    const STORMS: [&str; 9] = [
        "close_at_accept",
        "reset_at_accept",
        "close_after_request",
        "reset_after_request",
        "garbage_open",
        "garbage_close",
        "close_in_body",
        "interim_storm",
        "endless_header_lines",
    ];
    let _hold = among_others();
    let cases = STORMS.iter().flat_map(|behaviour| ["uring", "epoll"].map(|driver| (*behaviour, driver)));
    let cases: Vec<(&str, &str)> = cases.collect();
    let mut faults = Vec::new();
    // Nothing here hangs on time, so a few at once keep the test short.
    for some in cases.chunks(4) {
        thread::scope(|scope| {
            let threads: Vec<_> =
                some.iter().map(|(behaviour, driver)| scope.spawn(|| check(behaviour, driver))).collect();
            for thread in threads {
                match thread.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(fault)) => faults.push(fault),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn a_refusing_port_sees_no_more_connects_than_was_asked_for() {
    // Nobody can accept what is refused, so the kernel counts; it counts for the whole machine, and whatever others
    // connect to meanwhile comes on top. One run without much of that is enough.
    let _hold = alone();
    let nobody = Refusing::start();
    for driver in ["uring", "epoll"] {
        let mut begun = Vec::new();
        for _ in 0..5 {
            let before = connects_begun();
            let outcome = load(&format!("http://{}/", nobody.address), driver).expect(11);
            begun.push(connects_begun() - before);
            let audit = outcome.audit();
            assert_eq!((audit.scheduled, audit.ok), (ASKED, 0), "{}", outcome.told());
            assert_eq!(audit.error_classes(), ["connect_refused"]);
            if begun.last().is_some_and(|begun| *begun <= ASKED + POOL) {
                break;
            }
        }
        let least = begun.iter().min().expect("it ran");
        assert!(*least <= ASKED + POOL, "{driver}: connects for {ASKED} requests, run by run: {begun:?}");
        assert!(*least >= POOL, "{driver}: the kernel's counter does not count: {begun:?}");
    }
}
