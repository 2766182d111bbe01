//! Hot path. A distribution of durations in nanoseconds, for the truth document.
//!
//! What it is: exact count, sum, minimum and maximum, and buckets for the quantiles. It is the target's own, not
//! the engine's histogram, so that an error in one cannot agree with itself.
//! Invariant: a bucket is at most 1/1024 of its value wide, so a quantile is at most 0.1 % too high and never too
//! low; values of 2^44 ns (almost five hours) and more share the last bucket.

use crate::truth::Durations;

/// Bits of a value that a bucket keeps after the leading one.
const KEPT_BITS: u32 = 10;
const PER_OCTAVE: usize = 1 << KEPT_BITS;
/// Values below 2^11 have buckets of their own; every octave above up to 2^44 has 1,024.
const BUCKETS: usize = (44 - KEPT_BITS as usize + 1) * PER_OCTAVE;

/// Counted durations.
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    buckets: Vec<u64>,
    count: u64,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

impl Distribution {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }

    pub(crate) fn record(&mut self, ns: u64) {
        self.buckets[bucket_of(ns)] += 1;
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The smallest recorded value that `share` of the values do not exceed, read from the buckets.
    fn quantile(&self, share: f64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ share ≤ 1")]
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest_of(bucket).clamp(self.min_ns, self.max_ns);
            }
        }
        self.max_ns
    }

    /// The figures of the truth document; None without any value.
    pub(crate) fn figures(&self) -> Option<Durations> {
        if self.count == 0 {
            return None;
        }
        Some(Durations {
            count: self.count,
            sum: u64::try_from(self.sum_ns).unwrap_or(u64::MAX),
            mean: self.sum_ns as f64 / self.count as f64,
            min: self.min_ns,
            p50: self.quantile(0.5),
            p75: self.quantile(0.75),
            p90: self.quantile(0.9),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
            p99_9: self.quantile(0.999),
            p99_99: self.quantile(0.9999),
            max: self.max_ns,
        })
    }
}

fn bucket_of(ns: u64) -> usize {
    let shift = (u64::BITS - (ns | 1).leading_zeros()).saturating_sub(KEPT_BITS + 1);
    let index = shift as usize * PER_OCTAVE + usize::try_from(ns >> shift).unwrap_or(usize::MAX);
    index.min(BUCKETS - 1)
}

/// The highest value that falls into `bucket`.
fn highest_of(bucket: usize) -> u64 {
    if bucket == BUCKETS - 1 {
        return u64::MAX;
    }
    let shift = (bucket / PER_OCTAVE).saturating_sub(1);
    let mantissa = bucket - shift * PER_OCTAVE;
    ((mantissa as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_holds_its_highest_value_and_is_narrow() {
        for bucket in 0..BUCKETS - 1 {
            let highest = highest_of(bucket);
            assert_eq!(bucket_of(highest), bucket);
            assert_eq!(bucket_of(highest + 1), bucket + 1);
            let lowest = if bucket == 0 { 0 } else { highest_of(bucket - 1) + 1 };
            assert!((highest - lowest) * 1024 <= lowest, "bucket {bucket}: {lowest}..={highest}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_and_merge_agree_with_sorted_values() {
        let (mut all, mut even, mut odd) = (Distribution::new(), Distribution::new(), Distribution::new());
        let mut values: Vec<u64> = (0..10_000_u64).map(|k| k * k * 37 % 50_000_017).collect();
        for (index, value) in values.iter().enumerate() {
            all.record(*value);
            if index % 2 == 0 { &mut even } else { &mut odd }.record(*value);
        }
        even.merge(&odd);
        assert_eq!(even.figures(), all.figures());
        values.sort_unstable();
        for (share, rank) in [(0.5, 5_000), (0.99, 9_900), (0.999, 9_990)] {
            let exact = values[rank - 1];
            let shown = all.quantile(share);
            assert!(shown >= exact && shown <= exact + exact / 1000, "{share}: {shown} for {exact}");
        }
        let figures = all.figures().unwrap();
        assert_eq!((figures.min, figures.max), (values[0], values[9_999]));
        assert_eq!(figures.sum, values.iter().sum::<u64>());
    }

    #[test]
    fn nothing_recorded_has_no_figures() {
        assert_eq!(Distribution::new().figures(), None);
    }
}
