//! Every delta once, whatever comes twice, late or out of order.

use measure::Counters;
use proptest::prelude::*;

use super::*;

fn delta(sequence: u64, second: u64, sent: u64) -> Delta {
    let mut totals = Totals::new(Names::requests(["a".to_owned()]).shape());
    totals.counters = Counters { scheduled: sent, sent, ok: sent, ..Counters::default() };
    totals.names[0].sent = sent;
    totals.names[0].ok_count = sent;
    totals.names[0].ok.record_many(1_000 * (sequence + 1), sent);
    Delta {
        run: 1,
        incarnation: 1,
        sequence,
        epoch: 1,
        second,
        until_ns: (second + 1) * 1_000_000_000,
        measured: Measured::pack(&totals),
        gauges: Gauges::default(),
        recovered: false,
    }
}

fn ledger() -> Ledger {
    Ledger::new(Names::requests(["a".to_owned()]))
}

fn close_all(ledger: &mut Ledger) {
    while let Some((index, open)) = ledger.next_complete(u64::MAX) {
        ledger.settle(index, open);
    }
    // What came late enters the total when it is packed.
    ledger.commit(1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Deliveries in any order, each as often as it pleases, with seconds closed in between: the same sums as in order.
    #[test]
    fn any_order_and_any_repetition_give_the_same_sums(
        deliveries in proptest::collection::vec((0..3u32, 0..8u64, any::<bool>()), 0..80),
    ) {
        let nodes = ["x", "y", "z"];
        let make = |node: u32, sequence: u64| delta(sequence, sequence, u64::from(node) * 100 + sequence + 1);
        let (mut plain, mut wild) = (ledger(), ledger());
        let now = Timestamp::ZERO;
        for (node, sequence, close) in &deliveries {
            wild.take(now, nodes[*node as usize], *node, make(*node, *sequence));
            if *close && let Some((index, open)) = wild.next_complete(u64::MAX) {
                wild.settle(index, open);
            }
        }
        for node in 0..3 {
            for sequence in 0..8 {
                plain.take(now, nodes[node as usize], node, make(node, sequence));
                wild.take(now, nodes[node as usize], node, make(node, sequence));
            }
        }
        close_all(&mut plain);
        close_all(&mut wild);
        prop_assert_eq!(plain.total(), wild.total());
        for node in nodes {
            prop_assert_eq!(plain.share(node, 1), wild.share(node, 1));
        }
    }
}

#[test]
fn what_is_kept_and_what_is_acknowledged_belong_together() {
    let mut ledger = ledger();
    let now = Timestamp::ZERO;
    assert!(ledger.commit(1).is_none(), "nothing waits");
    ledger.take(now, "x", 0, delta(0, 0, 5));
    ledger.take(now, "x", 0, delta(2, 2, 7));
    ledger.take(now, "y", 1, delta(0, 0, 3));
    let (merged, through) = ledger.commit(1).expect("deltas wait");
    assert_eq!(through, [("x".to_owned(), 1, 0), ("y".to_owned(), 1, 0)], "a held delta is not acknowledged");
    assert_eq!(merged.seconds.len(), 1);
    assert_eq!(merged.seconds[0].1.counters().sent, 8);
    // A repetition is acknowledged again, and adds no row.
    assert_eq!(ledger.take(now, "x", 0, delta(0, 0, 5)), Taken::Again);
    let (merged, through) = ledger.commit(1).expect("an acknowledgement waits");
    assert!(merged.seconds.is_empty());
    assert_eq!(through, [("x".to_owned(), 1, 0)]);
    let Taken::Merged { .. } = ledger.take(now, "x", 0, delta(1, 1, 6)) else { panic!("the gap is closed") };
    let (_, through) = ledger.commit(1).expect("deltas wait");
    assert_eq!(through, [("x".to_owned(), 1, 2)]);
}

#[test]
fn a_ledger_that_is_taken_back_has_the_same_sums() {
    let (mut first, mut rows, mut marks) = (ledger(), Vec::new(), BTreeMap::new());
    for sequence in 0..5 {
        first.take(Timestamp::ZERO, "x", 0, delta(sequence, sequence, 10 + sequence));
        let (merged, _) = first.commit(1).expect("a delta waits");
        rows.retain(|(second, _, _)| merged.whole.iter().all(|(other, _, _)| other != second));
        rows.extend(merged.whole.into_iter().chain(merged.seconds));
        marks.extend(merged.marks.into_iter().map(|mark| (mark.node.clone(), mark)));
    }
    let mut second = ledger();
    second.restore(rows, marks.into_values().collect(), 2);
    assert!(
        second.revise() > first.revise(),
        "nothing that was told before has a number above what is told now"
    );
    assert_eq!(second.take(Timestamp::ZERO, "x", 0, delta(4, 4, 14)), Taken::Again);
    second.take(Timestamp::ZERO, "x", 0, delta(5, 5, 1));
    first.take(Timestamp::ZERO, "x", 0, delta(5, 5, 1));
    close_all(&mut first);
    close_all(&mut second);
    assert_eq!(first.total().counters, second.total().counters);
    assert_eq!(first.total().names, second.total().names);
    assert_eq!(first.share("x", 1), second.share("x", 1));
}

#[test]
fn a_complete_second_takes_the_place_of_its_rows() {
    let mut ledger = ledger();
    for (place, node) in [(0, "x"), (1, "y")] {
        ledger.take(Timestamp::ZERO, node, place, delta(0, 0, 5));
        let (merged, _) = ledger.commit(1).expect("a delta waits");
        assert_eq!((merged.whole.len(), merged.seconds.len()), (0, 1));
    }
    // A third part comes, and the second is complete before that is kept.
    ledger.take(Timestamp::ZERO, "z", 2, delta(0, 0, 7));
    let (index, open) = ledger.next_complete(u64::MAX).expect("a second");
    ledger.settle(index, open);
    // And one comes late.
    ledger.take(Timestamp::ZERO, "w", 3, delta(0, 0, 3));
    let (merged, _) = ledger.commit(1).expect("deltas wait");
    let sent = |rows: &[(u64, Measured, Gauges)]| {
        rows.iter().map(|(second, measured, _)| (*second, measured.counters().sent)).collect::<Vec<_>>()
    };
    assert_eq!((sent(&merged.whole), sent(&merged.seconds)), (vec![(0, 17)], vec![(0, 3)]));
    let mut again = super::Ledger::new(Names::requests(["a".to_owned()]));
    again.restore([merged.whole, merged.seconds].concat(), merged.marks, 2);
    close_all(&mut again);
    assert_eq!(again.total().counters, ledger.total().counters, "what was late is in the total at once");
}

#[test]
fn what_came_late_stands_in_the_second_and_its_view() {
    let mut ledger = ledger();
    ledger.take(Timestamp::ZERO, "x", 0, delta(0, 0, 5));
    let (index, open) = ledger.next_complete(u64::MAX).expect("a second");
    let second = seconds::of_timeline(index, &open.totals, open.gauges, 9, None);
    ledger.timeline.insert(index, second);
    ledger.settle(index, open);
    let late = delta(0, 0, 4);
    let taken = ledger.take(Timestamp::ZERO, "y", 1, late.clone());
    assert_eq!(taken, Taken::Merged { corrected: BTreeMap::from([(0, late.measured.counters())]) });
    let second = &ledger.timeline[&0];
    assert_eq!((second.sent, second.asked, second.response_ns.count), (9, 9, 9));
    let view = SecondView {
        counts: crate::handle::Counts { scheduled: 9, sent: 5, unassigned: 4, ..Default::default() },
        ..SecondView::default()
    };
    let view = seconds::amended(&view, second, 2, &late.measured.counters());
    assert_eq!((view.counts.scheduled, view.counts.sent, view.counts.unassigned), (9, 9, 0));
}

#[test]
fn what_cannot_be_is_found() {
    use super::bounds::{Limits, breach, contradiction};
    let shape = Names::requests(["a".to_owned()]).shape();
    let limits = Limits {
        shape,
        until_ns: 2_000_000_000,
        elapsed_ns: 2_000_000_000,
        arrivals: Some(100),
        iterations: Vec::new(),
    };
    assert_eq!(breach(&limits, None, &delta(0, 1, 100)), None);
    let changed = |change: fn(&mut Totals)| {
        let mut totals = delta(0, 0, 10).measured.unpack();
        change(&mut totals);
        Delta { measured: Measured::pack(&totals), ..delta(0, 0, 10) }
    };
    for (said, told) in [
        ("at most 100", delta(0, 0, 101)),
        ("yet to come", delta(0, 2, 1)),
        ("yet to come", Delta { second: 0, ..delta(0, 1, 1) }),
        ("nobody owned", changed(|totals| totals.counters.unassigned = 1)),
        ("sent and dropped", changed(|totals| totals.counters.scheduled = 9)),
        ("requests ended", changed(|totals| totals.counters.ok = 11)),
        ("does not have", changed(|totals| totals.checks.push(measure::CheckCounts::default()))),
    ] {
        let found = breach(&limits, None, &told).unwrap_or_default();
        assert!(found.contains(said), "{said}: {found:?}");
    }
    let measured = |share: Option<&Share>, change: fn(&mut Totals)| {
        contradiction(&limits, share, &changed(change)).unwrap_or_default()
    };
    assert_eq!(measured(None, |_| ()), "");
    assert!(measured(None, |totals| totals.names[0].service.record_many(1, 31)).contains("31 things"));
    assert!(measured(None, |totals| totals.queue.record_many(1, 31)).contains("31 things"));
    // The second piece of a second.
    let piece: fn(&mut Totals) = |totals| totals.counters = Counters::default();
    assert!(measured(None, piece).contains("10 things"), "nothing happened before");
    let mut known = Share::default();
    (known.sums.counters.sent, known.sums.counters.ok) = (12, 12);
    assert_eq!(measured(Some(&known), piece), "");
    known.sums.response.record_many(1, 3);
    assert!(measured(Some(&known), piece).contains("13 responses where 12 came"));
    let mut known = Share::default();
    known.sums.counters.scheduled = 95;
    assert!(breach(&limits, Some(&known), &delta(1, 1, 6)).is_some(), "sums count, not single deltas");
}
