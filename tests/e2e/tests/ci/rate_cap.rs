//! The rate cap under error storms: a target that only breaks things sees no more than was asked for.

use std::thread;

use e2e::hostile::{Hostile, Manner, Refusing};
use e2e::machine::{alone, among_others, connects_begun};
use e2e::{Engine, Outcome, count};

/// Requests that each run asks for: 200 per second for 2 s.
const ASKED: u64 = 400;
/// Connections that each run may have open at once.
const POOL: u64 = 10;

fn load(url: &str, driver: &str) -> Outcome {
    let line = format!("--tps 200 -d 2s -c {POOL} --timeout 1s --grace 1s --io {driver}");
    Engine::patient(&line).arg(url).run()
}

/// What a manner may do to a request, by the classes of its errors; none of them means that some requests succeed.
fn classes(manner: Manner) -> &'static [&'static str] {
    match manner {
        Manner::Good => &[],
        Manner::TwoForOne => &["desync", "reset", "closed_early", "broken_pipe"],
        Manner::CloseAtOnce | Manner::ResetAtOnce | Manner::CloseAfterRequest | Manner::ResetAfterRequest => {
            &["closed_early", "reset", "broken_pipe", "connect_reset"]
        }
        // What has been sent before the reset arrives may be lost with it.
        Manner::Garbage | Manner::GarbageAndClose => &["protocol", "reset"],
        Manner::HalfResponse => &["closed_early", "reset"],
        Manner::InterimStorm => &["interim_limit"],
        Manner::EndlessHead => &["head_limit"],
        Manner::Mute => &["timeout_first_byte"],
    }
}

/// Runs against one manner; what is wrong, in words.
fn check(manner: Manner, driver: &str) -> Result<(), String> {
    let target = Hostile::start(manner);
    let outcome = load(&target.url(), driver);
    let seen = target.seen();
    let (requests, connects) = (seen.requests.len() as u64, seen.connects.len() as u64);
    let audit = outcome.audit();
    let told =
        || format!("{manner:?} by {driver}: {requests} requests, {connects} connects; {}", outcome.told());
    let demand = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {}", told())) };
    demand(audit.scheduled == ASKED, "another number of arrivals")?;
    demand(requests <= ASKED, "more requests than asked for")?;
    demand(connects <= ASKED + POOL, "more connects than asked for and the pool")?;
    demand(requests <= audit.sent, "the target saw requests that the engine does not know of")?;
    demand(
        connects <= count(outcome.summary(), "/connections/connects"),
        "connects that the engine does not know of",
    )?;
    demand(
        audit.error_classes().iter().all(|class| classes(manner).contains(class)),
        "another class of errors",
    )?;
    match manner {
        Manner::Good => {
            demand(outcome.code == 0 && requests == ASKED && audit.ok == ASKED, "a good run is good")
        }
        // Whose answer the first one is cannot be told any more: it counts as an error, or, when it came alone, as an
        // answer; the one that nobody asked for must never become the next request's.
        Manner::TwoForOne => {
            let noticed = audit.failed() + count(outcome.summary(), "/connections/unsolicited");
            demand(noticed >= requests, "answers that nobody asked for were not noticed")
        }
        _ => demand(outcome.code == 11 || outcome.code == 15, "not every request failed")
            .and_then(|()| demand(audit.ok == 0, "some request succeeded")),
    }
}

#[test]
fn hostile_targets_see_no_more_than_was_asked_for() {
    const MANNERS: [Manner; 11] = [
        Manner::Good,
        Manner::TwoForOne,
        Manner::CloseAtOnce,
        Manner::ResetAtOnce,
        Manner::CloseAfterRequest,
        Manner::ResetAfterRequest,
        Manner::Garbage,
        Manner::GarbageAndClose,
        Manner::HalfResponse,
        Manner::InterimStorm,
        Manner::EndlessHead,
    ];
    let _hold = among_others();
    let cases = MANNERS.iter().flat_map(|manner| ["uring", "epoll"].map(|driver| (*manner, driver)));
    let cases: Vec<(Manner, &str)> = cases.collect();
    let mut faults = Vec::new();
    // Nothing here hangs on time, so a few at once keep the test short.
    for some in cases.chunks(4) {
        thread::scope(|scope| {
            let threads: Vec<_> =
                some.iter().map(|(manner, driver)| scope.spawn(|| check(*manner, driver))).collect();
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
