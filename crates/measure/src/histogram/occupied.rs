//! Occupied buckets, as they travel: what nobody counted takes no room.
//!
//! What it is: the check of buckets that came from outside, and their addition to a histogram without one of their own.
//! What it is not: an encoding; whoever carries them decides about bytes.

use super::{Exact, Histogram, sum_is_possible};
use crate::MeasureError;
use crate::layout::{BUCKET_COUNT, index_of};

/// Whether occupied buckets, as (index, count) by strictly rising index, and the exact figures beside them can be those of
/// one histogram.
pub fn check_buckets(
    occupied: impl IntoIterator<Item = (u64, u64)>,
    exact: Exact,
) -> Result<(), MeasureError> {
    let mut count: u64 = 0;
    let (mut first, mut last) = (None, None);
    for (index, more) in occupied {
        if index >= BUCKET_COUNT as u64 {
            return Err(MeasureError::BucketOutOfRange { index });
        }
        if more == 0 || last.is_some_and(|last| last >= index) {
            return Err(MeasureError::Contradiction { figure: "order" });
        }
        first = first.or(Some(index));
        last = Some(index);
        count = count.saturating_add(more);
    }
    let end = |value_ns, occupied: Option<u64>| match occupied {
        Some(index) => index_of(value_ns) as u64 == index,
        None => value_ns == 0,
    };
    let contradicts = [
        ("count", count != exact.count),
        ("min", !end(exact.min_ns, first)),
        ("max", !end(exact.max_ns, last) || exact.max_ns < exact.min_ns),
        // A count that saturated says nothing about the sum.
        ("sum", count != u64::MAX && !sum_is_possible(exact)),
    ];
    match contradicts.iter().find(|(_, wrong)| *wrong) {
        Some((figure, _)) => Err(MeasureError::Contradiction { figure }),
        None => Ok(()),
    }
}

impl Histogram {
    /// Adds occupied buckets that passed [`check_buckets`], as (index, count), and their exact figures.
    ///
    /// # Panics
    /// When an index lies beyond the layout, which the check finds.
    pub fn add_buckets(&mut self, occupied: impl IntoIterator<Item = (u64, u64)>, exact: Exact) {
        if exact.count == 0 {
            return;
        }
        for (index, count) in occupied {
            let position = usize::try_from(index).expect("Invariant: an index was checked");
            let bucket = &mut self.buckets[position];
            *bucket = bucket.saturating_add(count);
        }
        self.add_figures(exact.count, exact.sum_ns, exact.min_ns, exact.max_ns);
    }
}
