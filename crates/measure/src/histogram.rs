//! The histogram of totals: 64-bit counts, quantiles, merge.
//!
//! What it is: the one layout with exact count, sum, least and greatest value beside the buckets, and everything
//! that reads a distribution.
//! What it is not: the hot path; shards record into an [`IntervalHistogram`].
//!
//! Invariants: the occupied buckets lie between those of the exact least and greatest value; arithmetic saturates,
//! which keeps the merge total, associative and commutative, with the empty histogram as identity; quantiles never
//! decrease with the quantile and never leave [least, greatest].

mod occupied;

use crate::layout::{self, BUCKET_COUNT, highest_of, index_of, lowest_of};
use crate::{IntervalHistogram, MeasureError};

pub use occupied::BucketCheck;

/// Counts of any number of intervals.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    sum_ns: u128,
    /// `u64::MAX` while empty.
    min_ns: u64,
    max_ns: u64,
}

/// The figures that buckets know only roughly, kept exactly beside them.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Exact {
    /// Values counted.
    pub count: u64,
    /// Sum of the values.
    pub sum_ns: u128,
    /// Least value; 0 while empty.
    pub min_ns: u64,
    /// Greatest value; 0 while empty.
    pub max_ns: u64,
}

/// One occupied bucket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its index in the layout.
    pub index: usize,
    /// Lowest value that it counts.
    pub lowest_ns: u64,
    /// Highest value that it counts; the last bucket of the layout also counts everything above.
    pub highest_ns: u64,
    /// Values in it.
    pub count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram")
            .field("exact", &self.exact())
            .field("occupied", &self.iter_recorded().count())
            .finish_non_exhaustive()
    }
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self {
            buckets: vec![0; BUCKET_COUNT].into_boxed_slice(),
            count: 0,
            sum_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
        }
    }

    /// A histogram from its occupied buckets, as (index, count), and its exact figures. The figures must agree
    /// with the buckets as far as the buckets can tell.
    pub fn from_buckets(
        occupied: impl IntoIterator<Item = (u64, u64)>,
        exact: Exact,
    ) -> Result<Self, MeasureError> {
        let mut histogram = Self::new();
        let (mut first, mut last) = (None, None);
        for (index, count) in occupied {
            let slot = usize::try_from(index)
                .ok()
                .and_then(|position| histogram.buckets.get_mut(position))
                .ok_or(MeasureError::BucketOutOfRange { index })?;
            if count == 0 {
                continue;
            }
            *slot = slot.saturating_add(count);
            histogram.count = histogram.count.saturating_add(count);
            first = Some(first.map_or(index, |known: u64| known.min(index)));
            last = Some(last.map_or(index, |known: u64| known.max(index)));
        }
        let position = |value_ns| Some(index_of(value_ns) as u64);
        let empty = histogram.count == 0;
        let contradicts = [
            ("count", histogram.count != exact.count),
            ("min", if empty { exact.min_ns != 0 } else { position(exact.min_ns) != first }),
            ("max", if empty { exact.max_ns != 0 } else { position(exact.max_ns) != last }),
            ("sum", !sum_is_possible(exact)),
        ];
        if let Some((figure, _)) = contradicts.iter().find(|(_, wrong)| *wrong) {
            return Err(MeasureError::Contradiction { figure });
        }
        histogram.sum_ns = exact.sum_ns;
        if !empty {
            histogram.min_ns = exact.min_ns;
            histogram.max_ns = exact.max_ns;
        }
        Ok(histogram)
    }

    /// Takes the memory of all values up to `longest_ns` now, while it is empty; larger ones take theirs when they come.
    pub fn populate(&mut self, longest_ns: u64) {
        if self.is_empty() {
            layout::populate(&mut self.buckets, longest_ns);
        }
    }

    /// Counts one value.
    pub fn record(&mut self, value_ns: u64) {
        self.record_many(value_ns, 1);
    }

    /// Counts the same value `count` times.
    pub fn record_many(&mut self, value_ns: u64, count: u64) {
        if count == 0 {
            return;
        }
        let bucket = &mut self.buckets[index_of(value_ns)];
        *bucket = bucket.saturating_add(count);
        self.add_figures(count, u128::from(value_ns) * u128::from(count), value_ns, value_ns);
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let touched = index_of(other.min_ns)..=index_of(other.max_ns);
        for (mine, theirs) in self.buckets[touched.clone()].iter_mut().zip(&other.buckets[touched]) {
            *mine = mine.saturating_add(*theirs);
        }
        self.add_figures(other.count, other.sum_ns, other.min_ns, other.max_ns);
    }

    /// Adds everything that an interval counted.
    pub fn absorb(&mut self, interval: &IntervalHistogram) {
        if interval.is_empty() {
            return;
        }
        let (first, counts) = interval.touched();
        for (mine, theirs) in self.buckets[first..].iter_mut().zip(counts) {
            *mine = mine.saturating_add(u64::from(*theirs));
        }
        self.add_figures(interval.count(), interval.sum_ns(), interval.min_ns(), interval.max_ns());
    }

    /// Forgets everything; costs as much as the range of the recorded values is wide.
    pub fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        let touched = index_of(self.min_ns)..=index_of(self.max_ns);
        self.buckets[touched].fill(0);
        self.count = 0;
        self.sum_ns = 0;
        self.min_ns = u64::MAX;
        self.max_ns = 0;
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Exact sum of the values.
    pub fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// Exact least value; 0 while empty.
    pub fn min_ns(&self) -> u64 {
        if self.is_empty() { 0 } else { self.min_ns }
    }

    /// Exact greatest value; 0 while empty.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The exact figures beside the buckets.
    pub fn exact(&self) -> Exact {
        Exact { count: self.count, sum_ns: self.sum_ns, min_ns: self.min_ns(), max_ns: self.max_ns }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Mean, from the exact sum; 0 while empty.
    pub fn mean_ns(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum_ns as f64 / self.count as f64 }
    }

    /// Standard deviation of the whole population, each value taken at the middle of its bucket; 0 while empty.
    pub fn stddev_ns(&self) -> f64 {
        if self.count < 2 || self.min_ns == self.max_ns {
            return 0.0;
        }
        let mean = self.mean_ns();
        let squares: f64 = self
            .iter_recorded()
            .map(|bucket| {
                let low = bucket.lowest_ns.max(self.min_ns);
                let high = self.upper_end(bucket.index);
                let distance = (low as f64).midpoint(high as f64) - mean;
                distance * distance * bucket.count as f64
            })
            .sum();
        (squares / self.count as f64).sqrt()
    }

    /// The least value such that at least the share `quantile` of all values is at or below it, to 3 significant
    /// digits; exact at both ends, never outside [least, greatest]; 0 while empty.
    pub fn value_at_quantile(&self, quantile: f64) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let rank = rank_of(quantile, self.count);
        if rank <= 1 {
            return self.min_ns;
        }
        if rank >= self.count {
            return self.max_ns;
        }
        let mut below: u64 = 0;
        let first = index_of(self.min_ns);
        for (index, count) in self.buckets.iter().enumerate().take(index_of(self.max_ns) + 1).skip(first) {
            below = below.saturating_add(*count);
            if below >= rank {
                return self.upper_end(index);
            }
        }
        self.max_ns
    }

    /// Values at or below `value_ns`, to the resolution of the buckets: the bucket of `value_ns` counts whole.
    pub fn count_at_or_below(&self, value_ns: u64) -> u64 {
        if self.is_empty() || value_ns < self.min_ns {
            return 0;
        }
        if value_ns >= self.max_ns {
            return self.count;
        }
        let counted = &self.buckets[index_of(self.min_ns)..=index_of(value_ns)];
        counted.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// Values above `value_ns`, to the resolution of the buckets.
    pub fn count_above(&self, value_ns: u64) -> u64 {
        self.count.saturating_sub(self.count_at_or_below(value_ns))
    }

    /// The occupied buckets, by rising value.
    pub fn iter_recorded(&self) -> impl Iterator<Item = Bucket> + '_ {
        let (first, end) =
            if self.is_empty() { (0, 0) } else { (index_of(self.min_ns), index_of(self.max_ns) + 1) };
        self.buckets[first..end].iter().enumerate().filter(|(_, count)| **count > 0).map(
            move |(offset, count)| {
                let index = first + offset;
                Bucket { index, lowest_ns: lowest_of(index), highest_ns: highest_of(index), count: *count }
            },
        )
    }

    /// All counts from the bucket of zero to the last occupied one.
    pub(crate) fn counts_from_zero(&self) -> &[u64] {
        &self.buckets[..=index_of(self.max_ns)]
    }

    /// Highest value that may stand in the bucket `index`.
    fn upper_end(&self, index: usize) -> u64 {
        if index == BUCKET_COUNT - 1 { self.max_ns } else { highest_of(index).min(self.max_ns) }
    }

    fn add_figures(&mut self, count: u64, sum_ns: u128, min_ns: u64, max_ns: u64) {
        self.count = self.count.saturating_add(count);
        self.sum_ns = self.sum_ns.saturating_add(sum_ns);
        self.min_ns = self.min_ns.min(min_ns);
        self.max_ns = self.max_ns.max(max_ns);
    }
}

/// The rank, from 1 on, of the value at `quantile` among `count` values: the least whole number that is not below
/// the product, where a product within rounding error of a whole number is that number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product lies within 0..=count"
)]
fn rank_of(quantile: f64, count: u64) -> u64 {
    let product = quantile.clamp(0.0, 1.0) * count as f64;
    let nearest = product.round();
    let is_whole = (product - nearest).abs() <= product * 4.0 * f64::EPSILON;
    let rank = if is_whole { nearest } else { product.ceil() };
    (rank as u64).clamp(1, count)
}

/// Whether `count` values between the least and the greatest can have this sum.
fn sum_is_possible(exact: Exact) -> bool {
    let count = u128::from(exact.count);
    let lowest = count.saturating_mul(u128::from(exact.min_ns));
    let highest = count.saturating_mul(u128::from(exact.max_ns));
    (lowest..=highest).contains(&exact.sum_ns)
}

#[cfg(test)]
mod tests;
