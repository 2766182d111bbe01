//! More work than connections: who waits, who is dropped, and what becomes of attempts to connect.

use super::*;
use crate::io::sim::{Answer, Random};

/// An arrival that waited for a busy pool must not take a young attempt to connect with it: where handshakes
/// last longer than the gap between arrivals, no attempt would ever come through.
#[test]
fn an_expiring_arrival_leaves_younger_attempts_alone() {
    let mut lab = Lab::new(1_000, 3 * SECOND);
    lab.network.latency_ns = 20 * MS;
    lab.target().connections = 4;
    lab.target().close_after = Some(1);
    lab.timeout(500 * MS);
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
    lab.target().connections = 1;
    lab.target().waiting_capacity = 1;
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

/// A server closes right behind each answer, in the same instant. What waited for the connection is sent on another one,
/// and nothing is charged for a connection that was known to be over.
#[test]
fn nothing_is_sent_on_a_connection_that_ended_with_its_answer() {
    // Faster than one connection can serve, so that arrivals always wait.
    let mut lab = Lab::new(5_000, SECOND / 5).quirk(Quirk::CloseAfter { answers: 1 });
    lab.target().connections = 1;
    let outcome = lab.run();
    let counters = &outcome.check("closing").totals.counters;
    assert_eq!((counters.ok, counters.errors_total()), (1_000, 0));
    assert_eq!(counters.connects, 1_000);
}

/// Many arrivals wait when this machine has no port for a moment: that costs those for which it tried.
#[test]
fn one_refusal_of_this_machine_costs_one_arrival() {
    let mut lab = Lab::new(2_000, SECOND);
    lab.network.latency_ns = 10 * MS;
    lab.target().close_after = Some(1);
    let at = BOOT + LEAD + SECOND / 2;
    lab.network.refusals = vec![LocalRefusal {
        from: Timestamp::from_nanos(at),
        until: Timestamp::from_nanos(at + MS),
        errno: Errno(rustix::io::Errno::ADDRNOTAVAIL.raw_os_error()),
    }];
    let outcome = lab.run();
    let counters = &outcome.check("no port").totals.counters;
    let dropped = outcome.dropped(DropReason::LocalResource);
    assert!((1..=8).contains(&dropped), "{dropped} arrivals lost by a millisecond without ports");
    assert_eq!(counters.ok + dropped, 2_000);
}

/// The first connect stays unanswered; behind it connections come and go.
#[test]
fn the_list_of_attempts_stays_small_behind_one_that_hangs() {
    let mut lab = Lab::new(2_000, 5 * SECOND);
    lab.target().connections = 8;
    lab.target().close_after = Some(1);
    let mut server = lab.server.clone();
    let outcome =
        lab.run_against(
            move |now: Timestamp, ordinal: u64, random: &mut Random| {
                if ordinal == 0 { Answer::Ignore } else { server.attempted(now, ordinal, random) }
            },
        );
    let counters = &outcome.check("hanging").totals.counters;
    assert_eq!(counters.ok, 9_999);
    assert_eq!(outcome.errors(ErrorClass::ConnectTimeout), 1);
    assert!(outcome.opening_most <= 2 * 64, "{} attempts listed", outcome.opening_most);
}
