//! Cells that change hands in the middle of a plan: together the owners have the plan, whoever had what and when.

use super::*;

/// Who owns which cells from an instant on; what no one has is nobody's.
#[derive(Clone, Debug)]
struct Epoch {
    from_ns: u64,
    owners: Vec<Cells>,
}

/// From a few numbers, owners of disjoint cells: the last part is nobody's.
fn owners(weights: &[u64], turn: usize) -> Vec<Cells> {
    let mut parts = Cells::all().deal(weights).unwrap();
    parts.rotate_left(turn % weights.len());
    parts.pop();
    parts
}

fn epochs() -> impl Strategy<Value = Vec<(u64, Vec<u64>, usize)>> {
    let weights = prop::collection::vec(0_u64..6, 4).prop_map(|mut weights| {
        weights[0] += 1;
        weights
    });
    prop::collection::vec((0_u64..=1_000, weights, 0_usize..4), 1..6)
}

/// The hand-overs at their instants, in order; the first is at the start.
fn placed(profile: &Profile, epochs: &[(u64, Vec<u64>, usize)]) -> Vec<Epoch> {
    let mut placed: Vec<_> = epochs
        .iter()
        .map(|(part, weights, turn)| Epoch {
            from_ns: profile.duration_ns() / 1_000 * part,
            owners: owners(weights, *turn),
        })
        .collect();
    placed.sort_by_key(|epoch| epoch.from_ns);
    placed[0].from_ns = 0;
    placed
}

/// What an owner yields until an instant.
fn until(arrivals: &mut Arrivals, ns: u64) -> Vec<Arrival> {
    let mut yielded = Vec::new();
    while arrivals.peek_due_ns().is_some_and(|due_ns| due_ns < ns) {
        yielded.extend(arrivals.next());
    }
    yielded
}

/// What of the plan is somebody's, and how often each of its arrivals was yielded otherwise.
fn owned(plan: &[Arrival], epochs: &[Epoch]) -> Vec<Arrival> {
    let is_owned = |arrival: &&Arrival| {
        let epoch = epochs.iter().rfind(|epoch| epoch.from_ns <= arrival.due_ns).unwrap();
        let cell = u16::try_from(arrival.slot % u64::from(CELL_COUNT)).unwrap();
        epoch.owners.iter().any(|cells| cells.contains(cell))
    };
    plan.iter().filter(is_owned).copied().collect()
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_sequence_of_hand_overs_yields_the_plan(
        profile in small_profiles(),
        process in processes(),
        epochs in epochs(),
        limit in prop_oneof![Just(u64::MAX), 0_u64..40_000],
    ) {
        let epochs = placed(&profile, &epochs);
        let limited = |arrivals: Arrivals| if limit == u64::MAX { arrivals } else { arrivals.with_limit(limit) };
        let plan: Vec<_> = limited(Arrivals::new(Arc::clone(&profile), process, &Cells::all())).collect();
        let whole = limited(Arrivals::new(Arc::clone(&profile), process, &Cells::none()));
        let mut all = Vec::new();
        for (place, epoch) in epochs.iter().enumerate() {
            let end_ns = epochs.get(place + 1).map_or(u64::MAX, |next| next.from_ns);
            for cells in &epoch.owners {
                let fresh = Arrivals::from_instant(Arc::clone(&profile), process, cells, epoch.from_ns);
                let yielded = until(&mut limited(fresh), end_ns);
                prop_assert_eq!(&until(&mut whole.of_owner(cells, epoch.from_ns), end_ns), &yielded);
                assert_in_order(&yielded, cells);
                all.extend(yielded);
            }
        }
        prop_assert_eq!(sorted(all), sorted(owned(&plan, &epochs)));
    }

    /// An owner who is told of a hand-over and of a changed rate, in whatever order, sends what the changed plan wants.
    #[test]
    fn a_rate_that_changes_between_hand_overs_loses_nothing(
        profile in small_profiles(),
        process in processes(),
        (change, over) in (0_u64..=1_000, 0_u64..=1_000),
        per_second in 0_u64..3_000,
    ) {
        let at = |part: u64| profile.duration_ns() / 1_000 * part;
        let (change_ns, over_ns) = (at(change), at(over));
        let changed = Arc::new(profile.with_rate_from(change_ns, Rate::per_second(per_second)).unwrap());
        let plan: Vec<_> = Arrivals::new(Arc::clone(&changed), process, &Cells::all()).collect();
        let parts = Cells::all().deal(&[2, 1]).unwrap();
        let mut before = Arrivals::new(Arc::clone(&profile), process, &parts[0]);
        let mut all = until(&mut before, change_ns.min(over_ns));
        before.set_profile(Arc::clone(&changed));
        all.extend(until(&mut before, over_ns));
        let mut template = Arrivals::new(Arc::clone(&profile), process, &Cells::none());
        template.set_profile(Arc::clone(&changed));
        all.extend(template.of_owner(&parts[0], over_ns));
        all.extend(Arrivals::new(Arc::clone(&changed), process, &parts[1]));
        prop_assert_eq!(sorted(all), sorted(plan));
    }
}

#[test]
fn an_owner_begins_far_into_a_long_plan_at_once() {
    let week_ns = 7 * 86_400 * SECOND_NS;
    let profile = Arc::new(Profile::constant(Rate::per_second(10_000_000), 4 * week_ns).unwrap());
    let cells = Cells::share(3, 7).unwrap();
    for process in [Process::Deterministic, Process::Poisson { seed: 3 }] {
        let mut arrivals = Arrivals::from_instant(Arc::clone(&profile), process, &cells, 3 * week_ns);
        let first = arrivals.next().unwrap();
        assert!((3 * week_ns..3 * week_ns + 100_000).contains(&first.due_ns), "{first:?}");
    }
}

#[test]
fn a_limit_says_from_when_on_nothing_is_due() {
    for process in [Process::Deterministic, Process::Poisson { seed: 8 }] {
        let whole = || Arrivals::new(constant(1_000, 4), process, &Cells::all());
        for (limit, is_found) in [(0, true), (1, true), (2_500, true), (1 << 40, false)] {
            let limited = whole().with_limit(limit);
            let last = limited.clone().last().map_or(0, |last| last.due_ns + 1);
            assert_eq!(limited.limit_ns(), is_found.then_some(last), "{process:?} {limit}");
        }
        assert_eq!(whole().limit_ns(), None);
    }
}
