//! Hot path. The one layout of all histograms: lowest value 1 ns, 3 significant digits, up to 2^43 - 1 ns.
//!
//! What it is: the arithmetic between a value and the index of its bucket, the same as HDR Histogram's.
//! What it is not: storage.
//!
//! Values below 2,048 have a bucket each; above, every power of two is cut into 1,024 equal buckets, so that a
//! bucket is never wider than 1/1,024 of the values in it. Values above [`HIGHEST_NS`] share the last bucket.
//! Invariant: the index never decreases with the value.

use std::hint::black_box;

/// Significant decimal digits that the layout keeps.
pub(crate) const SIGNIFICANT_DIGITS: u32 = 3;
/// Lowest value that the layout tells from zero.
pub(crate) const LOWEST_NS: u64 = 1;
/// Highest value that has a bucket of its own resolution: 2^43 - 1 ns, about 2 h 26 min.
pub const HIGHEST_NS: u64 = (1 << 43) - 1;
/// Buckets of a histogram.
pub const BUCKET_COUNT: usize = 34 << HALF_BITS;

/// Binary logarithm of the buckets in one power of two.
const HALF_BITS: u32 = 10;
/// The values that have a bucket each, as a mask.
const UNIT_MASK: u64 = (1 << (HALF_BITS + 1)) - 1;

/// Index of the bucket that counts `value_ns`.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "an index is below BUCKET_COUNT")]
pub(crate) const fn index_of(value_ns: u64) -> usize {
    let value = if value_ns > HIGHEST_NS { HIGHEST_NS } else { value_ns };
    let shift = u64::BITS - (HALF_BITS + 1) - (value | UNIT_MASK).leading_zeros();
    ((shift as usize) << HALF_BITS) + (value >> shift) as usize
}

/// Bytes of the smallest page of memory in use; where pages are larger, some are written twice.
const PAGE_BYTES: usize = 4_096;

/// Writes to every page of the buckets up to the one of `longest_ns`, which must be empty. Memory that was never written
/// is none yet: it would be taken when the first such value comes, on the hot path and in the midst of a run.
pub(crate) fn populate<Count: Default>(buckets: &mut [Count], longest_ns: u64) {
    let step = (PAGE_BYTES / size_of::<Count>()).max(1);
    let end = (index_of(longest_ns) + step).min(buckets.len());
    for bucket in buckets[..end].iter_mut().step_by(step) {
        // The compiler knows that the memory is zero, and must not leave the writing out.
        *black_box(bucket) = Count::default();
    }
}

/// Lowest value that the bucket `index` counts.
pub(crate) const fn lowest_of(index: usize) -> u64 {
    let (sub, shift) = parts_of(index);
    sub << shift
}

/// Highest value that the bucket `index` counts, the clamped ones of the last bucket aside.
pub(crate) const fn highest_of(index: usize) -> u64 {
    let (sub, shift) = parts_of(index);
    ((sub + 1) << shift) - 1
}

/// The value's leading bits and the number of bits that the bucket leaves open.
const fn parts_of(index: usize) -> (u64, u32) {
    assert!(index < BUCKET_COUNT, "an index comes from index_of or was checked");
    let index = index as u64;
    if index <= UNIT_MASK {
        return (index, 0);
    }
    let shift = (index >> HALF_BITS) - 1;
    #[expect(clippy::cast_possible_truncation, reason = "a shift is below 33")]
    (index - (shift << HALF_BITS), shift as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_begins_where_the_one_before_ended() {
        assert_eq!(lowest_of(0), 0);
        for index in 0..BUCKET_COUNT {
            assert_eq!(index_of(lowest_of(index)), index);
            assert_eq!(index_of(highest_of(index)), index);
            if index > 0 {
                assert_eq!(lowest_of(index), highest_of(index - 1) + 1);
            }
        }
        assert_eq!(highest_of(BUCKET_COUNT - 1), HIGHEST_NS);
    }

    #[test]
    fn a_bucket_is_at_most_a_thousandth_wide() {
        for index in 1..BUCKET_COUNT {
            let width = highest_of(index) - lowest_of(index);
            assert!(width * 1_000 <= lowest_of(index), "bucket {index} is too wide");
        }
    }

    #[test]
    fn values_beyond_the_layout_share_the_last_bucket() {
        for value in [HIGHEST_NS, HIGHEST_NS + 1, u64::MAX] {
            assert_eq!(index_of(value), BUCKET_COUNT - 1);
        }
    }
}
