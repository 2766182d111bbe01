//! Dealing places to owners, evenly and interleaved.
//!
//! What it is: how many places each weight earns, and an order in which they come. The order is earliest
//! deadline first: with q of n places, an owner's i-th place may come from ⌊i × n / q⌋ on and must come before
//! ⌈(i + 1) × n / q⌉. The windows of all owners can always be met together (the shares sum to one place per
//! place), and earliest deadline first meets them when anything can; meeting them keeps every owner within one
//! place of its share at every prefix.
//! What it is not: aware of cells or time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Splits `place_count` by weight: each part rounded down, and what remains given one by one to the largest
/// remainders, the earlier owner first among equals. At least one weight must be above zero.
pub(crate) fn quotas(place_count: u32, weights: &[u64]) -> Vec<u32> {
    let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    let exact: Vec<u128> =
        weights.iter().map(|&weight| u128::from(weight) * u128::from(place_count)).collect();
    let floor =
        |value: u128| u32::try_from(value / total).expect("Invariant: a part is no larger than the whole");
    let mut quotas: Vec<u32> = exact.iter().map(|&value| floor(value)).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|&owner| Reverse(exact[owner] % total));
    let left = place_count - quotas.iter().sum::<u32>();
    for &owner in by_remainder.iter().take(left as usize) {
        quotas[owner] += 1;
    }
    quotas
}

/// The owner of each place in turn, for as many places as the quotas sum to.
pub(crate) fn owners(quotas: &[u32]) -> impl Iterator<Item = usize> + '_ {
    let place_count: u64 = quotas.iter().map(|&quota| u64::from(quota)).sum();
    let release = move |owner: usize, turn: u64| turn * place_count / u64::from(quotas[owner]);
    let deadline =
        move |owner: usize, turn: u64| ((turn + 1) * place_count).div_ceil(u64::from(quotas[owner]));

    // Each owner's next turn stands in exactly one of the two heaps until its quota is used up.
    let mut waiting: BinaryHeap<_> = (0..quotas.len())
        .filter(|&owner| quotas[owner] > 0)
        .map(|owner| Reverse((release(owner, 0), owner, 0)))
        .collect();
    let mut ready = BinaryHeap::new();
    (0..place_count).map(move |place| {
        while let Some(&Reverse((from, owner, turn))) = waiting.peek() {
            if from > place {
                break;
            }
            waiting.pop();
            ready.push(Reverse((deadline(owner, turn), owner, turn)));
        }
        let Reverse((before, owner, turn)) = ready
            .pop()
            .expect("Invariant: by any place, at least as many turns were released as there were places");
        assert!(before > place, "Invariant: earliest deadline first meets every deadline");
        if turn + 1 < u64::from(quotas[owner]) {
            waiting.push(Reverse((release(owner, turn + 1), owner, turn + 1)));
        }
        owner
    })
}
