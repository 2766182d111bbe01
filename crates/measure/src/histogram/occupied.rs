//! Occupied buckets, as they travel: what nobody counted takes no room.
//!
//! What it is: the check of buckets that came from outside, and their addition to a histogram without one of their own.
//! What it is not: an encoding; whoever carries them decides about bytes.

use super::{Exact, Histogram, sum_is_possible};
use crate::MeasureError;
use crate::layout::{BUCKET_COUNT, index_of};

/// The check of occupied buckets, which come one by one by strictly rising index.
#[derive(Copy, Clone, Debug, Default)]
pub struct BucketCheck {
    count: u64,
    first: Option<u64>,
    last: Option<u64>,
}

impl BucketCheck {
    /// Looks at the next bucket.
    pub fn bucket(&mut self, index: u64, count: u64) -> Result<(), MeasureError> {
        if index >= BUCKET_COUNT as u64 {
            return Err(MeasureError::BucketOutOfRange { index });
        }
        if count == 0 || self.last.is_some_and(|last| last >= index) {
            return Err(MeasureError::Contradiction { figure: "order" });
        }
        self.first = self.first.or(Some(index));
        self.last = Some(index);
        self.count = self.count.saturating_add(count);
        Ok(())
    }

    /// Whether these figures can stand beside the buckets that came.
    pub fn end(&self, exact: Exact) -> Result<(), MeasureError> {
        let end = |value_ns, occupied: Option<u64>| match occupied {
            Some(index) => index_of(value_ns) as u64 == index,
            None => value_ns == 0,
        };
        let contradicts = [
            ("count", self.count != exact.count),
            ("min", !end(exact.min_ns, self.first)),
            ("max", !end(exact.max_ns, self.last) || exact.max_ns < exact.min_ns),
            // A count that saturated says nothing about the sum.
            ("sum", self.count != u64::MAX && !sum_is_possible(exact)),
        ];
        match contradicts.iter().find(|(_, wrong)| *wrong) {
            Some((figure, _)) => Err(MeasureError::Contradiction { figure }),
            None => Ok(()),
        }
    }
}

impl Histogram {
    /// Adds occupied buckets that passed a [`BucketCheck`], as (index, count), and their exact figures.
    ///
    /// # Panics
    /// When an index lies beyond the layout, which the check finds.
    pub fn add_buckets(&mut self, occupied: impl IntoIterator<Item = (u64, u64)>, exact: Exact) {
        if exact.count == 0 {
            return;
        }
        for (index, count) in occupied {
            self.add_bucket(index, count);
        }
        self.add_figures(exact.count, exact.sum_ns, exact.min_ns, exact.max_ns);
    }

    /// The same to two histograms, for whom going through the buckets costs more than adding them.
    ///
    /// # Panics
    /// As [`Histogram::add_buckets`].
    pub fn add_buckets_twice(
        &mut self,
        other: &mut Self,
        occupied: impl IntoIterator<Item = (u64, u64)>,
        exact: Exact,
    ) {
        if exact.count == 0 {
            return;
        }
        for (index, count) in occupied {
            self.add_bucket(index, count);
            other.add_bucket(index, count);
        }
        for sums in [self, other] {
            sums.add_figures(exact.count, exact.sum_ns, exact.min_ns, exact.max_ns);
        }
    }

    fn add_bucket(&mut self, index: u64, count: u64) {
        let position = usize::try_from(index).expect("Invariant: an index was checked");
        let bucket = &mut self.buckets[position];
        *bucket = bucket.saturating_add(count);
    }
}
