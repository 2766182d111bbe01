use std::collections::HashSet;

use proptest::prelude::*;
use schedule::{CELL_COUNT, Cells};

use super::*;
use crate::proptest_config::cases;
use crate::rows::Format;

fn table(row_count: u64) -> Rows<Vec<u8>> {
    let lines: Vec<String> = (0..row_count).map(|row| format!("{row}\n")).collect();
    Rows::read(lines.concat().into_bytes(), Format::Csv { delimiter: b',' }, Some(vec!["n".to_owned()]))
        .unwrap()
}

fn order(is_shuffled: bool, seed: u64) -> Order {
    if is_shuffled { Order::Shuffled { seed } } else { Order::Sequential }
}

#[test]
fn contradictions_are_errors() {
    let (sequential, shuffled, random) =
        (Order::Sequential, Order::Shuffled { seed: 1 }, Order::Random { seed: 1 });
    for (order, at_end, unique, error) in [
        (sequential, AtEnd::Stop, true, None),
        (sequential, AtEnd::Fail, true, None),
        (sequential, AtEnd::Repeat, false, None),
        (shuffled, AtEnd::Stop, true, None),
        (shuffled, AtEnd::Fail, true, None),
        (shuffled, AtEnd::Stop, false, None),
        (shuffled, AtEnd::Repeat, false, None),
        (random, AtEnd::Repeat, false, None),
        (sequential, AtEnd::Repeat, true, Some(FeederError::UniqueRepeat)),
        (shuffled, AtEnd::Repeat, true, Some(FeederError::UniqueRepeat)),
        (random, AtEnd::Repeat, true, Some(FeederError::UniqueRandom)),
        (random, AtEnd::Stop, true, Some(FeederError::UniqueRandom)),
        (random, AtEnd::Stop, false, Some(FeederError::RandomEnd)),
        (random, AtEnd::Fail, false, Some(FeederError::RandomEnd)),
    ] {
        let policy = Policy::new(order, at_end, unique);
        assert_eq!(policy.clone().err(), error, "{order:?} {at_end:?} {unique}");
        assert_eq!(
            policy.ok().map(|policy| (policy.order(), policy.at_end())),
            error.is_none().then_some((order, at_end))
        );
    }
}

#[test]
fn the_end_is_as_the_policy_says() {
    for (at_end, slot_count) in [(AtEnd::Stop, Some(5)), (AtEnd::Fail, Some(5)), (AtEnd::Repeat, None)] {
        for is_shuffled in [false, true] {
            let feeder = Feeder::new(table(5), Policy::new(order(is_shuffled, 3), at_end, false).unwrap());
            assert_eq!(feeder.slot_count(), slot_count);
            for slot in [5, 6, u64::MAX] {
                assert_eq!(feeder.row_for(slot).is_none(), slot_count.is_some(), "{at_end:?} {slot}");
            }
        }
    }
}

#[test]
fn each_pass_is_shuffled_anew() {
    let feeder =
        Feeder::new(table(1_000), Policy::new(Order::Shuffled { seed: 9 }, AtEnd::Repeat, false).unwrap());
    let pass = |number: u64| -> Vec<RowIndex> {
        (0..1_000).map(|place| feeder.row_for(number * 1_000 + place).unwrap()).collect()
    };
    let (first, second) = (pass(0), pass(1));
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 1_000);
    assert_eq!(second.iter().collect::<HashSet<_>>().len(), 1_000);
    let same = first.iter().zip(&second).filter(|(one, other)| one == other).count();
    assert!(same < 10, "{same} rows in the same place; one is to be expected");
}

/// 1,000,000 draws of 100 rows: a test of fit with 99 degrees of freedom, where 148.2 is exceeded once in a thousand times.
#[test]
fn random_rows_are_spread_evenly() {
    for seed in 0..5 {
        let picks = Picks::new(Policy::new(Order::Random { seed }, AtEnd::Repeat, false).unwrap(), 100);
        let mut counts = [0_u64; 100];
        for slot in 0..1_000_000 {
            counts[usize::try_from(picks.row_for(slot).unwrap().0).unwrap()] += 1;
        }
        let deviation: f64 = counts.iter().map(|count| (*count as f64 - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(deviation < 148.2, "seed {seed}: {deviation}");
        assert!(deviation > 55.0, "seed {seed}: too even for chance: {deviation}");
    }
}

#[test]
fn random_rows_are_pinned() {
    let policy = Policy::new(Order::Random { seed: 42 }, AtEnd::Repeat, false).unwrap();
    let picks = Picks::new(policy, 10_000_000);
    let rows: Vec<u64> = (0..4).map(|slot| picks.row_for(slot).unwrap().0).collect();
    assert_eq!(rows, [7_415_648, 1_599_103, 2_786_011, 3_441_907]);
}

proptest! {
    #![proptest_config(cases(100))]

    /// As engines with `--share` and their shards do it: the plan's slots by cells, and a share's cells dealt to shards.
    #[test]
    fn any_split_of_the_slots_uses_every_unique_row_once(
        row_count in 1_u64..70_000,
        seed: u64,
        is_shuffled: bool,
        share_count in 1_u32..8,
        shard_count in 1_usize..8,
    ) {
        let policy = Policy::new(order(is_shuffled, seed), AtEnd::Stop, true).unwrap();
        let mut used = vec![0_u32; usize::try_from(row_count).unwrap()];
        for share in 1..=share_count {
            for cells in Cells::share(share, share_count).unwrap().deal(&vec![1; shard_count]).unwrap() {
                // Each shard asks a function of its own, as another process would.
                let picks = Picks::new(policy, row_count);
                for cell in cells.iter().map(u64::from) {
                    let slots = (cell..row_count + u64::from(CELL_COUNT)).step_by(CELL_COUNT as usize);
                    for row in slots.filter_map(|slot| picks.row_for(slot)) {
                        used[usize::try_from(row.0).unwrap()] += 1;
                    }
                }
            }
        }
        prop_assert!(used.iter().all(|count| *count == 1));
    }

    #[test]
    fn every_pass_of_repeated_rows_uses_each_once(
        row_count in 1_u64..2_000,
        seed: u64,
        is_shuffled: bool,
        pass in 0_u64..1 << 40,
    ) {
        let policy = Policy::new(order(is_shuffled, seed), AtEnd::Repeat, false).unwrap();
        let picks = Picks::new(policy, row_count);
        let slots = pass * row_count..(pass + 1) * row_count;
        let rows: HashSet<u64> = slots.map(|slot| picks.row_for(slot).unwrap().0).collect();
        prop_assert_eq!(rows.len() as u64, row_count);
        prop_assert!(rows.iter().all(|row| *row < row_count));
    }

    #[test]
    fn random_rows_exist(row_count in 1_u64..=1 << 62, seed: u64, slot: u64) {
        let picks = Picks::new(Policy::new(Order::Random { seed }, AtEnd::Repeat, false).unwrap(), row_count);
        let row = picks.row_for(slot).unwrap();
        prop_assert!(row.0 < row_count);
        prop_assert_eq!(picks.row_for(slot), Some(row));
    }
}
