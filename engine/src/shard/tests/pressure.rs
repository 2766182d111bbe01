//! More work than connections: who waits, who is dropped, and what becomes of attempts to connect.

use super::*;

/// An arrival that waited for a busy pool must not take a young attempt to connect with it: where handshakes
/// last longer than the gap between arrivals, no attempt would ever come through.
#[test]
fn an_expiring_arrival_leaves_younger_attempts_alone() {
    let mut lab = Lab::new(1_000, 3 * SECOND);
    lab.network.latency_ns = 20 * MS;
    lab.settings.connections = 4;
    lab.settings.close_after = Some(1);
    lab.settings.timeout_ns = 500 * MS;
    lab.settings.grace_ns = 500 * MS;
    lab.server.delay = DelayLaw::Fixed(100 * MS);
    let outcome = lab.run();
    let counters = &outcome.check("overload").totals.counters;
    assert_eq!(outcome.errors(ErrorClass::ConnectTimeout), 0);
    assert!(counters.sent >= 100, "{} of four connections' requests left", counters.sent);
    assert_eq!(outcome.truth.requests.len() as u64, counters.sent, "all attempts came through");
    assert!(outcome.dropped(DropReason::Expired) > 2_000);
}

#[test]
fn a_user_whose_request_is_dropped_pauses() {
    let mut lab = Lab::new(0, SECOND).quirk(Quirk::Mute);
    lab.settings.connections = 1;
    lab.settings.waiting_capacity = 1;
    lab.settings.grace_ns = 100 * MS;
    lab.users = Some(Users2 { count: 4, think_ns: 0, requests: None });
    let outcome = lab.run();
    let counters = &outcome.check("full").totals.counters;
    assert!(counters.scheduled <= 2 + 2 * 11, "{} requests by two users in a second", counters.scheduled);
}

/// Every place of the driver's table is still being closed: the arrival waits for one, not for the next arrival.
#[test]
fn a_full_table_is_tried_again() {
    let mut lab = Lab::new(1, 2 * SECOND);
    lab.network.refusals = vec![LocalRefusal {
        from: Timestamp::ZERO,
        until: Timestamp::from_nanos(BOOT + LEAD + 50 * MS),
        errno: crate::io::TABLE_FULL,
    }];
    let outcome = lab.run();
    assert_eq!(outcome.check("table").totals.counters.ok, 2);
    within("table", outcome.totals.latency(Latency::Response).max_ns(), 60.0, 15.0);
}
