//! Arrivals: any split is the plan, limits are exact, and a changed rate moves only what is left.

mod hand_over;

use proptest::prelude::*;

use super::*;
use crate::proptest_config::cases;
use crate::{CELL_COUNT, Phase, Rate};

const SECOND_NS: u64 = 1_000_000_000;

fn constant(per_second: u64, seconds: u64) -> Arc<Profile> {
    Arc::new(Profile::constant(Rate::per_second(per_second), seconds * SECOND_NS).unwrap())
}

/// Profiles of at most some 40,000 arrivals, so that whole plans can be listed.
fn small_profiles() -> impl Strategy<Value = Arc<Profile>> {
    let rate = || prop_oneof![Just(0), 1..2_000_000_000_u64].prop_map(Rate::from_micro);
    let phase =
        (1..5 * SECOND_NS, rate(), rate(), any::<bool>()).prop_map(|(duration_ns, from, to, ramp)| Phase {
            duration_ns,
            from,
            to: if ramp { to } else { from },
        });
    prop::collection::vec(phase, 1..4).prop_map(|phases| Arc::new(Profile::new(phases).unwrap()))
}

fn processes() -> impl Strategy<Value = Process> {
    prop_oneof![Just(Process::Deterministic), any::<u64>().prop_map(|seed| Process::Poisson { seed })]
}

fn whole_plan(profile: &Arc<Profile>, process: Process) -> Vec<Arrival> {
    Arrivals::new(Arc::clone(profile), process, &Cells::all()).collect()
}

/// All parts' arrivals in order of sending.
fn merged(profile: &Arc<Profile>, process: Process, parts: &[Cells]) -> Vec<Arrival> {
    let each = parts.iter().map(|cells| Arrivals::new(Arc::clone(profile), process, cells));
    let mut all: Vec<_> = each.flatten().collect();
    all.sort_unstable_by_key(|arrival| (arrival.due_ns, arrival.slot));
    all
}

/// The plan sorted as [`merged`] sorts.
fn sorted(mut arrivals: Vec<Arrival>) -> Vec<Arrival> {
    arrivals.sort_unstable_by_key(|arrival| (arrival.due_ns, arrival.slot));
    arrivals
}

fn assert_in_order(arrivals: &[Arrival], cells: &Cells) {
    assert!(arrivals.is_sorted_by_key(|arrival| arrival.due_ns));
    assert!(arrivals.iter().all(|arrival| {
        let cell = arrival.slot % u64::from(CELL_COUNT);
        cells.contains(u16::try_from(cell).unwrap())
    }));
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_split_is_the_plan(
        profile in small_profiles(),
        process in processes(),
        weights in prop::collection::vec(1_u64..100, 1..8),
        shards in 1_usize..8,
    ) {
        let plan = sorted(whole_plan(&profile, process));
        let nodes = Cells::all().deal(&weights).unwrap();
        prop_assert_eq!(&merged(&profile, process, &nodes), &plan);
        // Nodes deal their cells on to shards.
        let parts: Vec<_> = nodes.iter().flat_map(|node| node.deal(&vec![1; shards]).unwrap()).collect();
        prop_assert_eq!(&merged(&profile, process, &parts), &plan);
        for cells in &parts {
            let own: Vec<_> = Arrivals::new(Arc::clone(&profile), process, cells).collect();
            assert_in_order(&own, cells);
        }
    }

    #[test]
    fn deterministic_arrivals_are_the_profile(profile in small_profiles()) {
        let plan = whole_plan(&profile, Process::Deterministic);
        prop_assert_eq!(plan.len() as u64, profile.arrival_count());
        for (arrival, slot) in plan.iter().zip(0..) {
            prop_assert_eq!((arrival.slot, Some(arrival.due_ns)), (slot, profile.due_ns(slot)));
        }
    }

    #[test]
    fn limits_hold_over_all_owners(
        profile in small_profiles(),
        process in processes(),
        limit in prop_oneof![0_u64..5, 0..50_000_u64],
        of in 1_usize..5,
    ) {
        let mut plan = whole_plan(&profile, process);
        plan.truncate(usize::try_from(limit).unwrap());
        let parts = Cells::all().deal(&vec![1; of]).unwrap();
        let each = parts.iter().map(|cells| Arrivals::new(Arc::clone(&profile), process, cells).with_limit(limit));
        prop_assert_eq!(sorted(each.flatten().collect()), sorted(plan));
    }

    #[test]
    fn a_changed_rate_moves_only_what_is_left(
        profile in small_profiles(),
        process in processes(),
        part in 0_u64..100,
        per_second in 0_u64..3_000,
    ) {
        let at_ns = profile.duration_ns() / 100 * part;
        let changed = Arc::new(profile.with_rate_from(at_ns, Rate::per_second(per_second)).unwrap());
        let mut arrivals = Arrivals::new(Arc::clone(&profile), process, &Cells::share(1, 2).unwrap());
        let mut yielded = Vec::new();
        while arrivals.peek_due_ns().is_some_and(|due_ns| due_ns < at_ns) {
            yielded.extend(arrivals.next());
        }
        arrivals.set_profile(Arc::clone(&changed));
        yielded.extend(arrivals);
        let fresh: Vec<_> = Arrivals::new(changed, process, &Cells::share(1, 2).unwrap()).collect();
        prop_assert_eq!(yielded, fresh);
    }
}

#[test]
fn poisson_is_the_same_for_1_2_and_7_shards_and_for_4_shares() {
    let (profile, process) = (constant(60_000, 5), Process::Poisson { seed: 42 });
    let plan = sorted(whole_plan(&profile, process));
    assert!(plan.len() > 5 * 55_440 - 2_000, "several blocks");
    for shards in [1, 2, 7] {
        let parts = Cells::all().deal(&vec![1; shards]).unwrap();
        assert_eq!(merged(&profile, process, &parts), plan, "{shards} shards");
    }
    let shares: Vec<_> = (1..=4).map(|index| Cells::share(index, 4).unwrap()).collect();
    assert_eq!(merged(&profile, process, &shares), plan);
    let slots: std::collections::BTreeSet<_> = plan.iter().map(|arrival| arrival.slot).collect();
    assert_eq!(slots.len(), plan.len(), "slots are unique");
}

#[test]
fn far_into_a_long_run_splits_still_add_up() {
    // A change of rate deep into weeks at ten million per second, walked by three owners from there.
    let week_ns = 7 * 86_400 * SECOND_NS;
    let profile = Arc::new(Profile::constant(Rate::per_second(10_000_000), 4 * week_ns).unwrap());
    for slot in [24_192_000_000_000 - 5, 18_144_000_000_000 + 7] {
        let expected = (u128::from(slot) * 100).try_into().ok().filter(|&due_ns: &u64| due_ns < 4 * week_ns);
        assert_eq!(profile.due_ns(slot), expected);
    }
    assert_eq!(profile.arrivals_before(3 * week_ns), 18_144_000_000_000);
}

#[test]
fn peeking_changes_nothing() {
    for process in [Process::Deterministic, Process::Poisson { seed: 1 }] {
        let mut arrivals = Arrivals::new(constant(1_000, 2), process, &Cells::share(1, 3).unwrap());
        while let Some(peeked) = arrivals.peek() {
            assert_eq!(arrivals.peek_due_ns(), Some(peeked.due_ns));
            assert_eq!(arrivals.next(), Some(peeked));
        }
        assert_eq!((arrivals.next(), arrivals.next()), (None, None));
    }
}

#[test]
fn an_ended_plan_goes_on_when_the_rate_is_raised_before_its_end() {
    let profile = constant(1, 10);
    for process in [Process::Deterministic, Process::Poisson { seed: 5 }] {
        let mut arrivals = Arrivals::new(Arc::clone(&profile), process, &Cells::all());
        assert!(arrivals.by_ref().count() > 3);
        arrivals.set_profile(Arc::new(
            profile.with_rate_from(10 * SECOND_NS - 1_000_000, Rate::per_second(1_000_000)).unwrap(),
        ));
        assert!((900..=1_100).contains(&arrivals.count()));
    }
}

#[test]
fn a_limit_beyond_the_plan_holds_once_the_plan_grows() {
    let profile = constant(10_000, 2);
    let process = Process::Poisson { seed: 9 };
    let raised = Arc::new(profile.with_rate_from(SECOND_NS, Rate::per_second(200_000)).unwrap());
    let mut whole: Vec<_> = Arrivals::new(Arc::clone(&raised), process, &Cells::all()).collect();
    whole.truncate(150_000);
    let mut limited = Arrivals::new(profile, process, &Cells::all()).with_limit(150_000);
    limited.set_profile(raised);
    assert!(limited.eq(whole));
}

#[test]
fn no_cells_and_no_rate_have_no_arrivals() {
    for process in [Process::Deterministic, Process::Poisson { seed: 5 }] {
        assert_eq!(Arrivals::new(constant(1_000, 1), process, &Cells::none()).next(), None);
        assert_eq!(Arrivals::new(constant(0, 1), process, &Cells::all()).next(), None);
    }
}
