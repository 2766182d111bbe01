//! The summary and interval documents, and how people read them.
//!
//! What it is: `openloop.summary/1` and `openloop.interval/1` as types, built from measured totals; the exact merge
//! of summaries; the terminal summary, the live lines and the progress line.
//! What it is not: a judge (that is `verdict`), a writer of files or a terminal; everything here is a pure function
//! from values to values or text.
//!
//! Invariants: documents are contracts: a field keeps its name, unit and meaning until the number behind the slash
//! changes, and unknown fields are ignored. Merging adds histograms and counts, never percentiles. Foreign text
//! reaches a terminal only without control characters.
//! Units: nanoseconds and bytes, except where a name ends in `_s` or `_us`.

#![forbid(unsafe_code)]

mod build;
mod fleet;
mod interval;
mod journeys;
mod latency;
mod merge;
mod schema;
mod summary;
mod text;
mod timeline;

pub use build::{RunFacts, second};
pub use fleet::{Node, PartTotals, Zone, lost_at_s};
pub use interval::{INTERVAL_SCHEMA, Interval, IntervalFacts};
pub use journeys::{
    Check, Group, GroupLatencies, IterationLatencies, IterationRate, Iterations, Stretch, Workload,
};
pub use latency::{Latencies, LatencyEntry, SecondLatency};
pub use merge::merge;
pub use schema::{SCHEMA_NAMES, schema};
pub use summary::{
    Audit, Bytes, Connections, Environment, Generator, Io, Judgement, Link, MaxLag, Name, NameLatencies,
    Part, PlanEcho, Rate, Run, SUMMARY_SCHEMA, Second, Shard, Share, Summary, Target, Threshold, Throughput,
    Verdict, Warmup,
};
pub use text::{Live, LiveName, Style, live_lines, progress_line, sanitized, terminal_summary};
pub use timeline::{Around, timeline_text};

/// Why documents could not be read or merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("there is nothing to merge; name at least one summary, such as a.json b.json")]
    Empty,
    /// The text is no such document.
    #[error("this is not an {SUMMARY_SCHEMA} document: {reason}; it is written by --json FILE")]
    Unreadable {
        /// What the reader stumbled over.
        reason: String,
    },
    /// The document has another schema or another version of it.
    #[error("the document's schema is {found:?}, only {SUMMARY_SCHEMA:?} can be merged")]
    Schema {
        /// The schema that it declares.
        found: String,
    },
    /// The same part of a run was given twice, which would count its requests twice.
    #[error("{part} was given twice; each part counts once")]
    SamePart {
        /// Which part.
        part: String,
    },
    /// A histogram of a document is damaged.
    #[error("{place} of run {run} is damaged: {source}")]
    Histogram {
        /// The run's id.
        run: String,
        /// The field.
        place: String,
        /// What is wrong with it.
        source: measure::MeasureError,
    },
    /// A threshold in a document cannot be read, so the whole cannot be judged by it.
    #[error("the threshold {text:?} of a document cannot be read: {reason}")]
    Threshold {
        /// The threshold as it stands in the document.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}
