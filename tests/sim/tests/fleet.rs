//! Simulated fleets over many seeds: what the director promises holds, and a director with a broken rule is caught.
//!
//! `SIM_SEEDS=20000` runs more of them, from `SIM_FROM` on if that is set; `SIM_SEED=7` one alone, with its course where it
//! fails.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::check::{quiet_violations, violations};
use sim::{Broken, Outcome, Scenario, World};

/// Seeds that every change has to pass.
const SEEDS: u64 = 500;

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let from = number("SIM_FROM").unwrap_or(0);
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => from..from + count,
        (None, None) => from..from + SEEDS,
    }
}

/// Runs worlds of many seeds on all cores; yields what was found, by seed.
fn judge(
    seeds: std::ops::Range<u64>,
    scenario: impl Fn(u64) -> Scenario + Sync,
    check: fn(&Outcome) -> Vec<String>,
) -> Vec<(u64, Vec<String>)> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Vec::new());
    let alone = seeds.end - seeds.start == 1;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = World::new(scenario(seed)).run();
                    let mut violations = check(&outcome);
                    if alone && !violations.is_empty() {
                        violations.push(outcome.course());
                    }
                    if !violations.is_empty() {
                        found.lock().expect("no worker panics").push((seed, violations));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no worker panics");
    found.sort();
    found
}

fn assert_none(found: &[(u64, Vec<String>)]) {
    let shown: Vec<String> = found
        .iter()
        .take(5)
        .map(|(seed, what)| {
            format!(
                "SIM_SEED={seed}: {}",
                what.iter().take(3).chain(what.last()).cloned().collect::<Vec<_>>().join("\n    ")
            )
        })
        .collect();
    assert!(found.is_empty(), "{} seeds fail:\n{}", found.len(), shown.join("\n"));
}

#[test]
fn what_is_promised_holds_whatever_goes_wrong() {
    assert_none(&judge(seeds(), Scenario::of, violations));
}

#[test]
fn a_quiet_fleet_sends_exactly_the_plan() {
    assert_none(&judge(0..30, |seed| Scenario::of(seed).quiet(), quiet_violations));
}

#[test]
fn the_same_seed_is_the_same_world() {
    let course = |seed| World::new(Scenario::of(seed)).run().course();
    for seed in [3, 14, 15] {
        assert_eq!(course(seed), course(seed));
    }
}

/// Each rule that the director keeps is broken in turn, and the checkers see it: they would see a defect as well.
#[test]
fn every_broken_rule_is_caught() {
    for (broken, kind) in [
        (Broken::GiveBeforeObeyed, "one owner"),
        (Broken::LossBeforeLease, "one owner"),
        (Broken::LowerAtOnce, "nothing early"),
        (Broken::CountTwice, "counted once"),
        (Broken::AcknowledgeUnkept, "counted once"),
    ] {
        let mut caught = None;
        let mut from = 0;
        while caught.is_none() && from < 400 {
            let found = judge(from..from + 8, |seed| Scenario::of(seed).breaking(broken), violations);
            caught = found.into_iter().find(|(_, what)| what.iter().any(|one| one.starts_with(kind)));
            from += 8;
        }
        assert!(caught.is_some(), "{broken:?} was not caught as {kind:?} in {from} seeds");
    }
}
