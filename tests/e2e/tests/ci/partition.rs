//! Nodes that are cut off from their coordinator, in network namespaces: in either direction alone, and in both.

use e2e::document::{Audit, Schema};
use e2e::machine::among_others;
use e2e::spread::{HUB, Lost, Site, Spread, Start};
use e2e::text;
use e2e::waiting::pause_until_ns;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const RATE: u64 = 200;
const LEASE: u64 = 2 * SECOND;
/// What clocks that are compared over a veth, and a busy machine, may be off.
const UNSURE: u64 = 10 * MS;
/// When the wires are cut, how, and when all are mended, from the plan's zero.
const CUTS: [(&str, Lost, u64); 3] =
    [("n1", Lost::ToNode, 2 * SECOND), ("n2", Lost::OfNode, 2_500 * MS), ("n3", Lost::Both, 3 * SECOND)];
const MENDED: u64 = 9 * SECOND;
const END: u64 = 20 * SECOND;

/// Arrivals in a stretch of the plan.
fn within(arrived: &[u64], from: u64, until: u64) -> u64 {
    arrived.iter().filter(|at| (from..until).contains(*at)).count() as u64
}

#[test]
fn a_node_that_is_cut_off_stops_in_time_and_sends_again_only_when_it_is_back() {
    let _hold = among_others();
    let sites = ["n1", "n2", "n3", "n4"].map(Site::plain);
    let mut spread = Spread::new("openloop-cut", &[HUB, "n1", "n2", "n3", "n4"], &sites);
    let start = Start::in_seconds(7);
    let flags = format!("--tps {RATE} --duration 20s --max-lag 1h --lease 2s --quiet");
    let run = spread.coordinator(&start, &flags).start();
    let nodes = spread.start_nodes();
    let zero = start.at_ns;
    for (node, lost, at) in CUTS {
        pause_until_ns(zero + at);
        spread.cut(node, lost);
    }
    pause_until_ns(zero + MENDED);
    for (node, ..) in CUTS {
        spread.mend(node);
    }
    // Part of the load was nobody's for a while, which is no result to trust.
    let outcome = run.finish().expect(12);
    Spread::stop_nodes(nodes);
    let report = spread.read_report();
    Schema::of("summary").admit(&report);
    assert_eq!(text(&report, "/run/started_at"), start.in_reports(), "it was moved: {}", outcome.told());
    let arrived = spread.arrived_ns();
    let after_zero = |at: &u64| at.saturating_sub(zero);
    let arrived: Vec<Vec<u64>> = arrived.iter().map(|one| one.iter().map(after_zero).collect()).collect();
    for ((node, lost, cut), own) in CUTS.iter().zip(&arrived) {
        let story = format!("{node}, which lost {lost:?}: {}", by_half_seconds(own));
        assert!(within(own, 0, *cut) > cut / SECOND * RATE / 8, "it did not send before: {story}");
        assert_eq!(within(own, cut + LEASE + SECOND, MENDED), 0, "it did not stop: {story}");
        assert!(within(own, MENDED, END) > 0, "it never came back: {story}");
    }
    // The fourth carries everything while the others are away.
    let alone = within(&arrived[3], 7 * SECOND, MENDED);
    assert!(alone.abs_diff(2 * RATE) <= 4, "{alone}: {}", by_half_seconds(&arrived[3]));
    let mut all: Vec<u64> = arrived.concat();
    all.sort_unstable();
    for (slot, at) in (0..).zip(&all) {
        let due = slot * SECOND / RATE;
        assert!(
            at + UNSURE >= due,
            "request {slot} arrived at {at} ns, which was due at {due} ns at the earliest"
        );
    }
    let audit = Audit::of(&report);
    assert_eq!(audit.scheduled, 20 * RATE, "{audit:?}");
    assert_eq!(audit.sent, all.len() as u64, "what the cut off sent was told once they were back: {audit:?}");
    assert!(audit.unassigned > 0 && audit.unassigned < 3 * RATE * (LEASE + SECOND) / SECOND / 4, "{audit:?}");
}

/// For messages: how many arrived in each half second.
fn by_half_seconds(arrived: &[u64]) -> String {
    let counts = (0..END).step_by(500_000_000).map(|from| within(arrived, from, from + 500 * MS).to_string());
    counts.collect::<Vec<_>>().join(" ")
}
