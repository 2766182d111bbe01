//! The generator's own stalls: they show as lag, and the target is not blamed for them.

use super::*;

#[test]
fn answers_that_came_during_an_own_stall_are_heard_before_deadlines_are_judged() {
    let mut lab = Lab::new(2_000, 3 * SECOND);
    lab.target().connections = 1_024;
    lab.timeout(SECOND);
    lab.server.delay = DelayLaw::Fixed(400 * MS);
    let base = Profile::constant(Rate::per_second(2_000), 3 * SECOND).expect("a valid profile");
    let ends_early = base.with_rate_from(SECOND, Rate::ZERO).expect("a valid profile");
    lab.acts = vec![
        (900 * MS, Act::Tell(Command::Profile { workload: 0, profile: Arc::new(ends_early) })),
        (SECOND, Act::Freeze(SECOND + SECOND / 4)),
    ];
    let outcome = lab.run();
    let counters = &outcome.check("frozen").totals.counters;
    assert_eq!((counters.ok, counters.errors_total()), (2_000, 0));
}

#[test]
fn an_arrival_reached_after_its_deadline_is_the_generators_and_never_sent() {
    let mut lab = Lab::new(1_000, 4 * SECOND);
    lab.target().connections = 1_024;
    lab.timeout(SECOND);
    lab.acts = vec![(SECOND, Act::Freeze(2 * SECOND))];
    let outcome = lab.run();
    let counters = &outcome.check("frozen").totals.counters;
    assert_eq!((counters.scheduled, counters.errors_total()), (4_000, 0));
    let late = outcome.dropped(DropReason::Late);
    assert!((998..=1_002).contains(&late), "{late}");
}

/// The stall lasts beyond the end of the grace: what had timed out by then has timed out, and is not cut off.
#[test]
fn what_timed_out_during_an_own_stall_has_timed_out() {
    let mut lab = Lab::new(40, SECOND).quirk(Quirk::Mute);
    lab.timeout(SECOND);
    lab.settings.grace_ns = SECOND;
    lab.acts = vec![(SECOND + SECOND / 2, Act::Freeze(SECOND))];
    let outcome = lab.run();
    let counters = &outcome.check("frozen").totals.counters;
    assert_eq!((outcome.errors(ErrorClass::TimeoutFirstByte), counters.cut_off), (40, 0));
}

/// Two hundred requests take 4 ms to leave: the later ones left later, and none was slower for it by more than a turn or
/// two of the shard's.
#[test]
fn a_long_turn_is_no_service_time() {
    const SEND_NS: u64 = 20_000;
    let mut lab = Lab::new(10_000, SECOND);
    lab.network.send_ns = SEND_NS;
    lab.target().connections = 256;
    lab.target().warm_connections = 256;
    lab.server.delay = DelayLaw::Fixed(MS);
    lab.acts = vec![(SECOND / 2, Act::Freeze(20 * MS))];
    let outcome = lab.run();
    assert_eq!(outcome.totals.counters.ok, 10_000);
    // The burst is 2 % of the requests, so the 99th percentile lies in its middle.
    let p99_ns = outcome.totals.latency(Latency::Service).value_at_quantile(0.99);
    assert!(p99_ns < MS + 2 * (32 + 32) * SEND_NS, "{p99_ns} ns of service");
}
