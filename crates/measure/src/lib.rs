//! Histograms, the recorder of a shard, snapshots and their merge.
//!
//! What it is: the one place that counts. A shard writes into its [`Recorder`]; once per interval the recorder
//! seals a [`Snapshot`], plain data that travels to the control side, where [`Totals`] adds snapshots up. Its counts can be
//! made to outlive the process: then [`Tallied`] says what one that was killed had counted.
//! What it is not: a clock, a judge or a document; it is handed durations and hands out numbers.
//!
//! Invariants: every histogram has the one layout of [`layout`](Histogram), so that every merge is total,
//! associative, commutative and has an identity; recording, sealing and absorbing allocate nothing; memory is
//! bounded by the plan's [`Shape`] and the shards, never by the number of requests.
//! Units: durations and instants are nanoseconds (names end in `_ns`), sizes are bytes, the rest are counts.

#![forbid(unsafe_code)]

mod codec;
mod counters;
mod histogram;
mod interval;
mod iterations;
mod kinds;
mod layout;
mod names;
mod recorder;
mod shape;
mod snapshot;
mod tally;
mod totals;

pub use counters::{Audit, Counters, StatusCounts};
pub use histogram::{Bucket, BucketCheck, Exact, Histogram};
pub use interval::IntervalHistogram;
pub use iterations::{
    CheckCounts, FailReason, GroupSnapshot, GroupTotals, IterationCounters, IterationEnd, WorkloadSnapshot,
    WorkloadTotals,
};
pub use kinds::{DropReason, ErrorClass, Latency};
pub use layout::{BUCKET_COUNT, HIGHEST_NS};
pub use names::{FIRST_STATUS, Named, Names, OTHER};
pub use recorder::Recorder;
pub use shape::Shape;
pub use snapshot::{Gauges, NameSnapshot, Snapshot};
pub use tally::{Tallied, tally_words};
pub use totals::{NameTotals, ShardTotals, Totals};

/// Why measurements that came from outside were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError {
    /// The text is not base64 of a deflated HDR V2 histogram.
    #[error("not a histogram in the base64 HDR V2 deflate form: {reason}")]
    Encoding {
        /// What the reader stumbled over.
        reason: &'static str,
    },
    /// The histogram is well formed but not in the layout of this workspace.
    #[error(
        "the histogram has {digits} significant digits from {lowest_ns} ns on; only 3 digits from 1 ns on can be \
         merged without loss"
    )]
    Layout {
        /// Significant decimal digits that it declares.
        digits: u32,
        /// Lowest value that it tells apart.
        lowest_ns: u64,
    },
    /// A bucket lies beyond the last one of the layout.
    #[error("the histogram has a bucket {index}, the last one of the layout is {}", BUCKET_COUNT - 1)]
    BucketOutOfRange {
        /// Index of the bucket.
        index: u64,
    },
    /// The exact figures beside the buckets contradict the buckets.
    #[error("the histogram's {figure} contradicts its buckets")]
    Contradiction {
        /// The figure: `count`, `sum`, `min`, `max` or the `order` of the buckets.
        figure: &'static str,
    },
}
