//! The start of a fleet, as its targets see it: over wires that delay, and with clocks that are far apart.
//!
//! Three nodes send 10 requests per second together, from an instant that is given. Each has a target of its own beside it,
//! which notes when requests arrive, on the clock of the machine. The slots are 100 ms apart, and no clock's offset is
//! estimated worse than by half of a round trip: so each arrival tells which slot it is, and how far from its due instant it
//! came. That is compared with what the report says of each node's start, and of how well it is known.
//!
//! `cargo xtask long fleet_network` runs it. Needs root.

#![expect(clippy::print_stdout, reason = "whoever runs these wants the figures")]

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::machine::{Neighbours, Stillness, alone, settle};
use e2e::spread::{HUB, Site, Spread, Start, Wire};
use e2e::waiting::wall_ahead_ns;
use e2e::{count, text};

const MS: i64 = 1_000_000;
/// Between two slots of the plan.
const SLOT: i64 = 100 * MS;
/// How late a first request may be beside what the clocks are off.
const LATE_MAX: i64 = 2 * MS;
/// From a node's send to its target's note of it, on loopback.
const DELIVERY_MAX: i64 = MS;
/// What reading the clocks costs, and what the wall clock may be turned meanwhile.
const READING: i64 = MS / 10;
/// How often a run that the machine disturbed is made again.
const ATTEMPTS: usize = 6;

const PARTS: &[&str] = &[HUB, "n1", "n2", "n3"];

const fn site(name: &'static str, ways_ms: Option<(u32, u32)>, clock_ahead_s: u32) -> Site {
    let wire = match ways_ms {
        Some((there_ms, back_ms)) => Wire::Delayed { there_ms, back_ms },
        None => Wire::Plain,
    };
    Site { name, wire, clock_ahead_s }
}

/// How one node began.
#[derive(Debug)]
struct Begun {
    site: Site,
    /// When its first request arrived, after it was due.
    true_ns: i64,
    skew_ns: i64,
    uncertainty_ns: i64,
}

impl Begun {
    /// By how much the clock's offset is misjudged when the ways differ: half of that, and the same sign as the start moves.
    fn expected_ns(&self) -> i64 {
        match self.site.wire {
            Wire::Plain => 0,
            Wire::Delayed { there_ms, back_ms } => (i64::from(there_ms) - i64::from(back_ms)) * MS / 2,
        }
    }

    fn half_round_trip_ns(&self) -> i64 {
        match self.site.wire {
            Wire::Plain => 0,
            Wire::Delayed { there_ms, back_ms } => (i64::from(there_ms) + i64::from(back_ms)) * MS / 2,
        }
    }

    /// What is wrong with it.
    fn faults(&self) -> Vec<String> {
        let (off, unsure) = (self.true_ns - self.skew_ns, self.uncertainty_ns);
        let rows = [
            (
                self.true_ns >= -unsure - READING,
                "it began before the agreed instant, beyond the stated uncertainty",
            ),
            (self.true_ns <= LATE_MAX + unsure, "it began late, beyond 2 ms and the stated uncertainty"),
            (
                (-unsure - READING..=unsure + DELIVERY_MAX).contains(&off),
                "the stated skew does not cover the true one",
            ),
            (unsure <= self.half_round_trip_ns() + 2 * MS, "more uncertain than half a round trip explains"),
            (
                (self.true_ns - self.expected_ns()).abs() <= LATE_MAX + DELIVERY_MAX,
                "not where the ways of its wire put it: the wire or the estimate is wrong",
            ),
        ];
        let wrong = rows.iter().filter(|(holds, _)| !holds);
        wrong.map(|(_, what)| format!("{}: {what}: {self:?}", self.site.name)).collect()
    }
}

/// One run: how each node began, or why nothing can be said.
fn begin(sites: &[Site]) -> Result<Vec<Begun>, String> {
    let mut spread = Spread::new("openloop-start", PARTS, sites);
    let ahead = wall_ahead_ns();
    let start = Start::in_seconds(14);
    let run = spread.coordinator(&start, "--tps 10 --duration 3s --quiet").start();
    let nodes = spread.start_nodes();
    let outcome = run.finish();
    if ahead.abs_diff(wall_ahead_ns()).cast_signed() > READING {
        return Err("the wall clock was set meanwhile".to_owned());
    }
    if outcome.code == 12 {
        return Err(format!("the nodes were late by their own word: {}", outcome.told()));
    }
    let outcome = outcome.expect(0);
    Spread::stop_nodes(nodes);
    let report = spread.read_report();
    assert_eq!(text(&report, "/run/started_at"), start.in_reports(), "it was moved: {}", outcome.told());
    assert_eq!(count(&report, "/audit/sent"), 30);
    let zero = start.at_ns.cast_signed();
    let mut slots = BTreeSet::new();
    let begun = spread.arrived_ns().into_iter().zip(sites).map(|(arrived, site)| {
        let off = |at: u64| {
            let after = at.cast_signed() - zero;
            let slot = (after + SLOT / 2).div_euclid(SLOT);
            (slot, after - slot * SLOT)
        };
        slots.extend(arrived.iter().map(|at| off(*at).0));
        let (slot, true_ns) = off(arrived[0]);
        assert!((0..3).contains(&slot), "{} began at slot {slot}", site.name);
        let told = |field: &str| report.pointer(&format!("/nodes/{}/{field}", site.name));
        let told = |field: &str| told(field).and_then(serde_json::Value::as_i64).expect("it is reported");
        let (skew_ns, uncertainty_ns) = (told("start_skew_ns"), told("start_uncertainty_ns"));
        Begun { site: *site, true_ns, skew_ns, uncertainty_ns }
    });
    let begun = begun.collect();
    assert!(slots.iter().copied().eq(0..30), "each slot arrives once: {slots:?}");
    Ok(begun)
}

fn begins_as_reported(name: &str, sites: &[Site]) {
    let _hold = alone();
    let mut told = Vec::new();
    for _ in 0..ATTEMPTS {
        settle(Duration::from_mins(2));
        let (neighbours, stillness) = (Neighbours::watch(), Stillness::watch());
        let begun = begin(sites);
        let (share, still) = (neighbours.share(), stillness.longest().unwrap_or_default());
        let faults = match begun {
            Ok(begun) => {
                println!(
                    "{name}: others used {:.0} % of the machine, which stood still for {still:.1?}",
                    share * 100.0
                );
                for Begun { site, true_ns, skew_ns, uncertainty_ns } in &begun {
                    let ms = |ns: i64| ns as f64 / MS as f64;
                    println!(
                        "  {} {:?}, clock {} s ahead: began {:+.3} ms after it was due; reported {:+.3} ± {:.3} ms",
                        site.name,
                        site.wire,
                        site.clock_ahead_s,
                        ms(*true_ns),
                        ms(*skew_ns),
                        ms(*uncertainty_ns)
                    );
                }
                begun.iter().flat_map(Begun::faults).collect()
            }
            Err(why) => vec![why],
        };
        if faults.is_empty() {
            return;
        }
        let disturbed = share > 0.08 || still > Duration::from_millis(2);
        told.push(format!("disturbed: {disturbed}: {faults:#?}"));
        assert!(disturbed, "{name}: {}", told.join("\n"));
    }
    panic!("{name}: the machine was never quiet enough: {}", told.join("\n"));
}

#[test]
fn over_twenty_milliseconds_each_way() {
    let slow = Some((20, 20));
    begins_as_reported("20 ms each way", &[site("n1", None, 0), site("n2", slow, 0), site("n3", slow, 0)]);
}

#[test]
fn over_ways_of_different_lengths() {
    let sites = [site("n1", Some((2, 38)), 0), site("n2", Some((38, 2)), 0), site("n3", None, 0)];
    begins_as_reported("2 ms one way, 38 ms the other", &sites);
}

#[test]
fn with_clocks_a_thousand_seconds_apart() {
    let sites = [site("n1", None, 1_000), site("n2", Some((20, 20)), 1_000), site("n3", None, 0)];
    begins_as_reported("clocks 1,000 s apart", &sites);
}
