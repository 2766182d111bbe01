//! Hot path. The arrivals of one cell in one block: how many, and where.
//!
//! The count has the Poisson law of mean one, by inverting its distribution function over a uniform 64-bit
//! number; the places are that many uniform fractions of the block, sorted. All of it is integer arithmetic.

use crate::philox::philox;

/// More arrivals than a cell ever has in a block: 21 and more have, together, less than 2⁻⁶⁴ of the probability.
pub(super) const ARRIVALS_PER_BLOCK_MAX: usize = 32;

/// How many counts are possible short of the largest.
const THRESHOLD_COUNT: usize = 21;

/// Entry n is the probability of at most n arrivals, in units of 2⁻⁶⁴, rounded down.
const THRESHOLDS: [u64; THRESHOLD_COUNT] = thresholds();

/// The Poisson distribution function of mean one, from integers alone.
#[expect(
    clippy::cast_possible_truncation,
    reason = "every probability short of certainty is below 2^64 units"
)]
const fn thresholds() -> [u64; THRESHOLD_COUNT] {
    // 1 / e = Σ (-1)ⁿ / n!, in units of 2⁻¹²⁰; each of some thirty terms is rounded by less than one unit.
    const SCALE: u32 = 120;
    let (mut inverse_e, mut term, mut n) = (0_u128, 1_u128 << SCALE, 0);
    while term > 0 {
        if n % 2 == 0 {
            inverse_e += term;
        } else {
            inverse_e -= term;
        }
        n += 1;
        term /= n;
    }
    let mut thresholds = [0; THRESHOLD_COUNT];
    let (mut sum, mut probability, mut count) = (0, inverse_e, 0);
    while count < THRESHOLD_COUNT {
        sum += probability;
        thresholds[count] = (sum >> (SCALE - 64)) as u64;
        count += 1;
        probability /= count as u128;
    }
    thresholds
}

/// The count that a uniform number stands for.
#[inline]
fn count_of(uniform: u64) -> usize {
    // Four comparisons without a branch settle 98 % of all cells.
    let at_least = |count: usize| usize::from(uniform >= THRESHOLDS[count]);
    let few = at_least(0) + at_least(1) + at_least(2) + at_least(3);
    if few < 4 {
        return few;
    }
    4 + THRESHOLDS[4..].iter().take_while(|&&threshold| uniform >= threshold).count()
}

/// The first output for a cell in a block: the number that its count follows from, and its first fraction.
#[inline]
pub(super) fn output_of(seed: u64, cell: u16, block: u64) -> [u64; 2] {
    philox([block, lane(cell)], seed)
}

/// How many arrivals `cell` has in `block`.
#[inline]
pub(super) fn count(seed: u64, cell: u16, block: u64) -> usize {
    count_of(output_of(seed, cell, block)[0])
}

/// Where the arrivals of `cell` fall in `block`, rising, in units of 2⁻⁶⁴ of its length; returns how many of
/// `fractions` were filled.
pub(super) fn fractions(
    seed: u64,
    cell: u16,
    block: u64,
    fractions: &mut [u64; ARRIVALS_PER_BLOCK_MAX],
) -> usize {
    fractions_of(output_of(seed, cell, block), seed, cell, block, fractions)
}

/// As [`fractions`], from the cell's first output.
#[inline]
pub(super) fn fractions_of(
    [uniform, first]: [u64; 2],
    seed: u64,
    cell: u16,
    block: u64,
    fractions: &mut [u64; ARRIVALS_PER_BLOCK_MAX],
) -> usize {
    let count = count_of(uniform);
    fractions[0] = first;
    if count > 1 {
        for (pair, index) in fractions[1..count].chunks_mut(2).zip(1..) {
            let drawn = philox([block, lane(cell) | index], seed);
            pair.copy_from_slice(&drawn[..pair.len()]);
        }
        fractions[..count].sort_unstable();
    }
    count
}

/// The second half of a cell's counters, the first half being the block; the low byte numbers its outputs there.
#[inline]
fn lane(cell: u16) -> u64 {
    u64::from(cell) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ⌊2⁶⁴ × Σ e⁻¹ / j!⌋, computed to 60 digits elsewhere.
    #[test]
    fn thresholds_are_the_distribution_function() {
        assert_eq!(THRESHOLDS[0], 6_786_177_901_268_885_274);
        assert_eq!(THRESHOLDS[1], 13_572_355_802_537_770_549);
        assert_eq!(THRESHOLDS[2], 16_965_444_753_172_213_186);
        assert!(THRESHOLDS.is_sorted_by(|a, b| a < b));
        assert_eq!(THRESHOLDS[20], u64::MAX, "what is left above the last threshold is at most a unit");
    }

    #[test]
    fn counts_change_at_the_thresholds() {
        assert_eq!(count_of(0), 0);
        for (count, &threshold) in THRESHOLDS.iter().enumerate() {
            assert_eq!(count_of(threshold - 1), count);
            assert_eq!(count_of(threshold), count + 1);
        }
        assert!(count_of(u64::MAX) < ARRIVALS_PER_BLOCK_MAX);
    }

    #[test]
    fn count_and_fractions_agree() {
        let mut buffer = [0; ARRIVALS_PER_BLOCK_MAX];
        let mut total = 0;
        for cell in 0..10_000 {
            let filled = fractions(7, cell, 3, &mut buffer);
            assert_eq!(filled, count(7, cell, 3));
            assert!(buffer[..filled].is_sorted());
            total += filled;
        }
        // Mean 10,000, standard deviation 100.
        assert!((9_600..=10_400).contains(&total), "{total}");
    }
}
