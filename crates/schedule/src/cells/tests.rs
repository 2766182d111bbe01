//! Deals: disjoint, complete, fair in size and at every prefix.

use proptest::prelude::*;

use super::*;
use crate::proptest_config::cases;

/// Every cell of `whole` in exactly one part.
fn assert_partition(whole: &Cells, parts: &[Cells]) {
    let mut dealt: Vec<u16> = parts.iter().flat_map(Cells::iter).collect();
    dealt.sort_unstable();
    assert!(dealt.iter().copied().eq(whole.iter()));
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn deals_are_fair_at_every_prefix(
        weights in prop::collection::vec(prop_oneof![Just(0_u64), 1..10_u64, 1..1_000_000_u64, Just(u64::MAX)], 1..20),
        (index, of) in (1_u32..=40).prop_flat_map(|of| (1..=of, Just(of))),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let whole = Cells::share(index, of).unwrap();
        let parts = whole.deal(&weights).unwrap();
        prop_assert_eq!(parts.len(), weights.len());
        assert_partition(&whole, &parts);
        let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
        for (part, &weight) in parts.iter().zip(&weights) {
            let exact = u128::from(whole.count()) * u128::from(weight);
            let floor = u32::try_from(exact / total).unwrap();
            prop_assert!(part.count() == floor || (part.count() == floor + 1 && exact % total > 0));
            // After n of the whole's m cells, an owner of q has within one of n × q / m.
            let (quota, of) = (i64::from(part.count()), i64::from(whole.count()));
            let mut held = 0;
            for (prefix, cell) in (1..).zip(whole.iter()) {
                held += i64::from(part.contains(cell));
                let off = held * of - prefix * quota;
                prop_assert!(off.abs() < of, "{} of {} cells after {}", held, quota, prefix);
            }
        }
    }

    #[test]
    fn shares_add_up_to_the_plan(of in prop_oneof![1_u32..=24, Just(997), Just(5_000)]) {
        // Dealing once gives all shares; asking for one gives the same.
        let parts = Cells::all().deal(&vec![1; of as usize]).unwrap();
        assert_partition(&Cells::all(), &parts);
        for index in [1, of.div_ceil(2), of] {
            prop_assert_eq!(&Cells::share(index, of).unwrap(), &parts[index as usize - 1]);
        }
        let (least, most) = (CELL_COUNT / of, CELL_COUNT.div_ceil(of));
        prop_assert!(parts.iter().all(|part| (least..=most).contains(&part.count())));
    }
}

#[test]
fn equal_shares_alternate() {
    let second: Vec<_> = Cells::share(2, 4).unwrap().iter().take(3).collect();
    assert_eq!(second, [1, 5, 9]);
}

#[test]
fn the_largest_remainder_rounds_up() {
    let three: Cells = [3, 1, 2, 2].into_iter().collect();
    let sizes = |weights: &[u64]| three.deal(weights).unwrap().iter().map(Cells::count).collect::<Vec<_>>();
    assert_eq!(sizes(&[1, 1]), [2, 1]);
    assert_eq!(sizes(&[49, 51]), [1, 2]);
    assert_eq!(sizes(&[1, 0, 2]), [1, 0, 2]);
    assert_eq!(sizes(&[1; 5]), [1, 1, 1, 0, 0]);
}

#[test]
fn sets_know_their_cells() {
    assert_eq!(Cells::all().count(), CELL_COUNT);
    assert_eq!(Cells::none().count(), 0);
    assert!(Cells::none().deal(&[1, 2]).unwrap().iter().all(|part| part.count() == 0));
    let even = Cells::share(1, 2).unwrap();
    assert!(even.contains(0) && !even.contains(1) && !even.contains(u16::MAX));
    assert_eq!(format!("{even:?} {:?}", Cells::none()), "Cells(27720 in 0..=55438) Cells(none)");
}

#[test]
fn refuses_what_is_no_split() {
    for (index, of) in [(0, 4), (5, 4), (1, 0), (0, 0), (1, CELL_COUNT + 1)] {
        assert_eq!(Cells::share(index, of), Err(ScheduleError::NoSuchShare { index, of }));
    }
    assert_eq!(Cells::all().deal(&[]), Err(ScheduleError::NoWeight { owner_count: 0 }));
    assert_eq!(Cells::all().deal(&[0, 0]), Err(ScheduleError::NoWeight { owner_count: 2 }));
}

#[test]
#[should_panic(expected = "a cell is below")]
fn refuses_what_is_no_cell() {
    let _: Cells = [u16::MAX].into_iter().collect();
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn dealing_again_moves_no_more_than_it_must(
        before in prop::collection::vec(0_u64..9, 1..7),
        after in prop::collection::vec(0_u64..9, 1..7),
        (index, of) in (1_u32..=4).prop_flat_map(|of| (1..=of, Just(of))),
    ) {
        prop_assume!(before.iter().any(|&weight| weight > 0) && after.iter().any(|&weight| weight > 0));
        let mut held = Cells::all().deal(&before).unwrap();
        held.resize(after.len().max(held.len()), Cells::none());
        let mut weights = after;
        weights.resize(held.len(), 0);
        let whole = Cells::share(index, of).unwrap();
        let parts = whole.deal_again(&held, &weights).unwrap();
        assert_partition(&whole, &parts);
        let sizes = |parts: &[Cells]| parts.iter().map(Cells::count).collect::<Vec<_>>();
        prop_assert_eq!(sizes(&parts), sizes(&whole.deal(&weights).unwrap()));
        for (part, held) in parts.iter().zip(&held) {
            let (had, kept) = (held.intersection(&whole).count(), held.intersection(part).count());
            prop_assert_eq!(kept, had.min(part.count()), "whoever has enough gets nothing else");
        }
    }
}

#[test]
fn sets_are_sets() {
    let of = |cells: &[u16]| cells.iter().copied().collect::<Cells>();
    let (one, other) = (of(&[1, 4, 9]), of(&[4, 5]));
    assert_eq!(one.union(&other), of(&[1, 4, 5, 9]));
    assert_eq!(one.intersection(&other), of(&[4]));
    assert_eq!(one.difference(&other), of(&[1, 9]));
}
