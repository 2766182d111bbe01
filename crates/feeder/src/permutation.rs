//! Hot path. A shuffle without a table: where each number below n goes.
//!
//! What it is: a Feistel network over pairs (left, right) with left < a, right < b and a × b just above n, and cycle
//! walking back into the numbers below n: the "generalized Feistel cipher" of J. Black and P. Rogaway, "Ciphers with
//! arbitrary finite domains" (CT-RSA 2002), with ten rounds as NIST SP 800-38G takes for its first mode. Its inputs above
//! n are fewer than a, about √n, so that a walk has hardly ever a second step.
//! What it is not: encryption; the round function is quick, not secret.
//!
//! Invariant: for every seed the numbers below n are mapped one to one onto themselves.

use crate::mix::{STEP, below, mix};

/// Must be even: the halves then end on the sides on which they began.
const ROUND_COUNT: u64 = 10;

/// The shuffles of the numbers below `count`, one for each seed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permutation {
    count: u64,
    /// How many left halves there are: ⌈√count⌉.
    left_count: u64,
    /// How many right halves there are: ⌈count / `left_count`⌉.
    right_count: u64,
}

impl Permutation {
    /// For `count` numbers; at least 1 and at most 2⁶³, as there are bytes in memory.
    pub(crate) fn new(count: u64) -> Self {
        assert!((1..=1 << 63).contains(&count), "Invariant: there is a row, and a row has a byte");
        let root = count.isqrt();
        let left_count = if root * root == count { root } else { root + 1 };
        Self { count, left_count, right_count: count.div_ceil(left_count) }
    }

    /// Where `number`, which is below the count, goes in the shuffle of this seed.
    pub(crate) fn shuffled(&self, seed: u64, number: u64) -> u64 {
        debug_assert!(number < self.count);
        let key = mix(seed ^ STEP);
        let mut number = number;
        // Cycle walking: the network permutes a × b numbers, so the walk from a number below the count comes back there.
        loop {
            number = self.network(key, number);
            if number < self.count {
                return number;
            }
        }
    }

    #[inline]
    fn network(&self, key: u64, number: u64) -> u64 {
        let (mut left, mut right) = (number % self.left_count, number / self.left_count);
        let mut round_key = key;
        for _ in 0..ROUND_COUNT / 2 {
            round_key = round_key.wrapping_add(STEP);
            left = shifted(left, right.wrapping_add(round_key), self.left_count);
            round_key = round_key.wrapping_add(STEP);
            right = shifted(right, left.wrapping_add(round_key), self.right_count);
        }
        right * self.left_count + left
    }
}

/// `half` moved around the circle of `count` numbers, as far as `input` says.
#[inline]
fn shifted(half: u64, input: u64, count: u64) -> u64 {
    let sum = half + below(count, mix(input));
    if sum < count { sum } else { sum - count }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::proptest_config::cases;

    fn assert_bijection(count: u64, seed: u64) {
        let permutation = Permutation::new(count);
        let mut is_taken = vec![false; usize::try_from(count).unwrap()];
        for number in 0..count {
            let place = usize::try_from(permutation.shuffled(seed, number)).unwrap();
            assert!(!std::mem::replace(&mut is_taken[place], true), "{count} {seed}: {place} twice");
        }
    }

    #[test]
    fn every_small_count_is_permuted() {
        for count in 1..=3_000 {
            assert_bijection(count, count);
        }
        assert_bijection(1_000_003, 7);
    }

    const PINNED_10: [u64; 10] = [7, 5, 3, 2, 0, 9, 1, 8, 6, 4];
    const PINNED_10_MILLION: [u64; 10] = [
        6_941_475, 7_388_899, 3_150_421, 278_682, 8_101_632, 2_255_183, 9_783_215, 3_869_600, 9_704_999,
        8_494_431,
    ];

    /// Shuffles must not depend on the machine or the version of the program: shares may run on several.
    #[test]
    fn shuffles_are_pinned() {
        let shuffled = |count, seed| {
            let permutation = Permutation::new(count);
            (0..count.min(10)).map(|number| permutation.shuffled(seed, number)).collect::<Vec<_>>()
        };
        assert_eq!(shuffled(10, 0), PINNED_10);
        assert_eq!(shuffled(10_000_000, 42), PINNED_10_MILLION);
    }

    /// Every order of four rows comes up about equally often: a test of fit with 23 degrees of freedom, where 49.7 is
    /// exceeded once in a thousand times. For seeds that follow each other, as users choose them.
    #[test]
    fn every_order_is_as_likely_as_any_other() {
        const SEEDS: u64 = 240_000;
        let permutation = Permutation::new(4);
        let mut orders = std::collections::BTreeMap::new();
        for seed in 0..SEEDS {
            let order: Vec<u64> = (0..4).map(|number| permutation.shuffled(seed, number)).collect();
            *orders.entry(order).or_insert(0_u64) += 1;
        }
        assert_eq!(orders.len(), 24);
        let expected = SEEDS as f64 / 24.0;
        let deviation: f64 = orders.values().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
        assert!(deviation < 49.7, "{deviation}: {orders:?}");
    }

    /// In a shuffle of many rows, neighbours land anywhere: distances spread over ten equal classes, where a test of fit
    /// with 9 degrees of freedom exceeds 27.9 once in a thousand times.
    #[test]
    fn neighbours_land_anywhere() {
        const COUNT: u64 = 1_000_000;
        let permutation = Permutation::new(COUNT);
        for seed in 0..8 {
            let mut classes = [0_u64; 10];
            for number in 0..COUNT - 1 {
                let (here, there) =
                    (permutation.shuffled(seed, number), permutation.shuffled(seed, number + 1));
                let distance = (there + COUNT - here) % COUNT;
                classes[usize::try_from(distance * 10 / COUNT).unwrap()] += 1;
            }
            let expected = (COUNT - 1) as f64 / 10.0;
            let deviation: f64 =
                classes.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
            assert!(deviation < 27.9, "seed {seed}: {deviation}: {classes:?}");
        }
    }

    proptest! {
        #![proptest_config(cases(200))]

        #[test]
        fn counts_in_the_thousands_are_permuted(count in 1_u64..20_000, seed: u64) {
            assert_bijection(count, seed);
        }

        /// Numbers that differ go to places that differ, also where the whole cannot be walked.
        #[test]
        fn great_counts_are_permuted(exponent in 20_u32..=63, extra: u64, start: u64, seed: u64) {
            let count = ((1_u64 << (exponent - 1)) + extra % (1 << (exponent - 1))).min(1 << 63);
            let permutation = Permutation::new(count);
            let numbers: HashSet<u64> = (0..500).flat_map(|step: u64| {
                [start.wrapping_add(step) % count, mix(start.wrapping_add(step)) % count]
            }).collect();
            let places: HashSet<u64> = numbers.iter().map(|number| permutation.shuffled(seed, *number)).collect();
            prop_assert_eq!(places.len(), numbers.len());
            prop_assert!(places.iter().all(|place| *place < count));
        }
    }
}
