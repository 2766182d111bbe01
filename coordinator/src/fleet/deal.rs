//! How many cells each node gets.
//!
//! What it is: weights, parts of zones and capacities to whole numbers of cells. What it is not: which cells; those follow
//! from what everybody holds already.
//!
//! Invariants: the quotas sum to all cells, less what no capacity carries; without a capacity that binds, each is within one
//! cell of its exact part.

use std::collections::BTreeMap;

use schedule::{CELL_COUNT, Cells};

/// One who may own cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Where it stands.
    pub(crate) zone: Option<String>,
    /// Against the others of its zone.
    pub(crate) weight: u64,
    /// At most so many cells.
    pub(crate) most: Option<u32>,
}

/// Cells for each seat. With `zones`, each zone has its part of the plan and seats elsewhere have nothing; a zone without
/// seats leaves its part unassigned.
pub(crate) fn quotas(seats: &[Seat], zones: &BTreeMap<String, u64>) -> Vec<u32> {
    if zones.is_empty() {
        let all: Vec<usize> = (0..seats.len()).collect();
        return within(seats, &all, CELL_COUNT).into_iter().map(|(_, quota)| quota).collect();
    }
    let mut quotas = vec![0; seats.len()];
    let parts: Vec<u64> = zones.values().copied().collect();
    for (zone, part) in zones.keys().zip(split(CELL_COUNT, &parts)) {
        let here: Vec<usize> =
            (0..seats.len()).filter(|seat| seats[*seat].zone.as_deref() == Some(zone.as_str())).collect();
        for (seat, quota) in within(seats, &here, part) {
            quotas[seat] = quota;
        }
    }
    quotas
}

/// Deals `count` cells to some of the seats. What one cannot carry goes to the others, as long as one of them can.
fn within(seats: &[Seat], here: &[usize], count: u32) -> Vec<(usize, u32)> {
    let most = |seat: usize| seats[seat].most.unwrap_or(u32::MAX);
    let mut full: Vec<(usize, u32)> = Vec::new();
    let mut open: Vec<usize> = here.to_vec();
    let mut left = count;
    loop {
        let weights: Vec<u64> = open.iter().map(|seat| seats[*seat].weight).collect();
        let dealt = split(left, &weights);
        let (over, fits): (Vec<_>, Vec<_>) =
            open.iter().copied().zip(dealt).partition(|(seat, quota)| *quota > most(*seat));
        if over.is_empty() {
            full.extend(fits);
            full.sort_unstable();
            return full;
        }
        for (seat, _) in over {
            left -= most(seat);
            full.push((seat, most(seat)));
        }
        open = fits.into_iter().map(|(seat, _)| seat).collect();
    }
}

/// Splits by weight, the largest remainders rounded up; nothing where all weights are 0.
fn split(count: u32, weights: &[u64]) -> Vec<u32> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if total == 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: &u64| u128::from(*weight) * u128::from(count);
    let floor =
        |weight| u32::try_from(exact(weight) / total).expect("Invariant: a part is no larger than the whole");
    let mut parts: Vec<u32> = weights.iter().map(floor).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|seat| std::cmp::Reverse(exact(&weights[*seat]) % total));
    let left = count - parts.iter().sum::<u32>();
    by_remainder.iter().take(left as usize).for_each(|seat| parts[*seat] += 1);
    parts
}

/// Splits `cells` into a part of `keep` cells and the rest, both spread evenly.
pub(crate) fn halve(cells: &Cells, keep: u32) -> (Cells, Cells) {
    let give = cells.count().saturating_sub(keep);
    match (keep, give) {
        (_, 0) => (cells.clone(), Cells::none()),
        (0, _) => (Cells::none(), cells.clone()),
        _ => {
            let mut parts =
                cells.deal(&[keep.into(), give.into()]).expect("Invariant: both weights are above zero");
            let given = parts.pop().unwrap_or_else(Cells::none);
            (parts.pop().unwrap_or_else(Cells::none), given)
        }
    }
}

/// Deals `cells` to takers who want so many each; what nobody wants is left over.
pub(crate) fn share_out(cells: &Cells, wanted: &[u32]) -> Vec<Cells> {
    let sum: u64 = wanted.iter().map(|count| u64::from(*count)).sum();
    if sum == 0 || cells.count() == 0 {
        return vec![Cells::none(); wanted.len()];
    }
    let mut weights: Vec<u64> = wanted.iter().map(|count| u64::from(*count)).collect();
    weights.push(u64::from(cells.count()).saturating_sub(sum));
    let mut parts = cells.deal(&weights).expect("Invariant: somebody wants one");
    parts.pop();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(zone: &str, weight: u64, most: Option<u32>) -> Seat {
        Seat { zone: (!zone.is_empty()).then(|| zone.to_owned()), weight, most }
    }

    #[test]
    fn quotas_sum_to_the_plan_and_follow_weights() {
        let none = BTreeMap::new();
        for (weights, expected) in [
            (vec![1, 1, 1], vec![18_480, 18_480, 18_480]),
            (vec![5, 3, 1], vec![30_800, 18_480, 6_160]),
            (vec![1; 7], vec![7_920; 7]),
            (vec![1, 0], vec![55_440, 0]),
            (
                vec![1; 13],
                vec![
                    4_265, 4_265, 4_265, 4_265, 4_265, 4_265, 4_265, 4_265, 4_264, 4_264, 4_264, 4_264, 4_264,
                ],
            ),
            (vec![0, 0], vec![0, 0]),
            (vec![], vec![]),
        ] {
            let seats: Vec<Seat> = weights.iter().map(|weight| seat("", *weight, None)).collect();
            assert_eq!(quotas(&seats, &none), expected, "{weights:?}");
        }
    }

    #[test]
    fn capacities_bind_and_the_others_take_what_they_can() {
        let none = BTreeMap::new();
        let seats = [seat("", 1, Some(1_000)), seat("", 1, None), seat("", 1, Some(20_000))];
        assert_eq!(quotas(&seats, &none), [1_000, 34_440, 20_000]);
        let small = [seat("", 1, Some(1_000)), seat("", 5, Some(2_000))];
        assert_eq!(quotas(&small, &none), [1_000, 2_000], "the rest is unassigned");
    }

    #[test]
    fn zones_have_their_parts_and_empty_ones_leave_it() {
        let zones: BTreeMap<String, u64> =
            [("a", 34), ("b", 33), ("c", 33)].map(|(zone, part)| (zone.to_owned(), part)).into();
        let seats = [seat("a", 1, None), seat("b", 2, None), seat("b", 1, None), seat("d", 9, None)];
        let dealt = quotas(&seats, &zones);
        assert_eq!(dealt, [18_850, 12_197, 6_098, 0]);
        assert_eq!(dealt.iter().sum::<u32>() + 18_295, CELL_COUNT);
    }

    #[test]
    fn parts_are_disjoint_and_whole() {
        let (kept, given) = halve(&Cells::all(), 20_000);
        assert_eq!((kept.count(), given.count()), (20_000, 35_440));
        assert!(kept.iter().all(|cell| !given.contains(cell)));
        let parts = share_out(&given, &[10_000, 20_000]);
        assert_eq!((parts[0].count(), parts[1].count()), (10_000, 20_000));
        let scarce = share_out(&given, &[30_000, 30_000]);
        assert_eq!(scarce[0].count() + scarce[1].count(), 35_440);
        assert!(share_out(&given, &[0, 0]).iter().all(|part| part.count() == 0));
    }
}
