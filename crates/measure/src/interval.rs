//! Hot path. The histogram that a shard records into during one interval.
//!
//! What it is: 32-bit counts in the one layout, with the exact count, sum, least and greatest value beside them.
//! What it is not: a place for totals; it is drained into a [`Histogram`](crate::Histogram) every interval.
//!
//! Invariants: no bucket outside the one of the least to the one of the greatest value is occupied, so that
//! draining and clearing touch only what recording touched; nothing allocates after `new`.

use crate::layout::{self, BUCKET_COUNT, index_of};

/// Counts of one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntervalHistogram {
    buckets: Box<[u32]>,
    count: u64,
    sum_ns: u128,
    /// `u64::MAX` while empty.
    min_ns: u64,
    max_ns: u64,
}

impl Default for IntervalHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl IntervalHistogram {
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

    /// Takes the memory of all values up to `longest_ns` now, while it is empty; larger ones take theirs when they come.
    pub fn populate(&mut self, longest_ns: u64) {
        if self.is_empty() {
            layout::populate(&mut self.buckets, longest_ns);
        }
    }

    /// Counts one value. A bucket that holds 2^32 - 1 stays there: one interval of seconds cannot fill it.
    #[inline]
    pub fn record(&mut self, value_ns: u64) {
        let bucket = &mut self.buckets[index_of(value_ns)];
        *bucket = bucket.saturating_add(1);
        self.count = self.count.wrapping_add(1);
        self.sum_ns = self.sum_ns.wrapping_add(u128::from(value_ns));
        self.min_ns = self.min_ns.min(value_ns);
        self.max_ns = self.max_ns.max(value_ns);
    }

    /// The counts, in the order of the layout.
    pub fn buckets(&self) -> &[u32] {
        &self.buckets
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

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.count == 0
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

    /// The index of the first occupied bucket, and the buckets from there to the last occupied one.
    pub(crate) fn touched(&self) -> (usize, &[u32]) {
        if self.is_empty() {
            return (0, &[]);
        }
        let first = index_of(self.min_ns);
        (first, &self.buckets[first..=index_of(self.max_ns)])
    }
}
