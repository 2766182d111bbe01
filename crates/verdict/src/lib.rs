//! Thresholds, judgement and exit codes.
//!
//! What it is: the one place that decides whether a run passed, and how a program ends. What it is not: a
//! measurement or a report; it reads sums and returns plain data.
//!
//! Invariants: the generator's faults and the target's faults are told apart by construction; limits and values are
//! compared as exact integers; when several codes apply, the precedence of [`ExitCode`] decides.

#![forbid(unsafe_code)]

mod evaluate;
mod exit;
mod judge;
mod sample;
mod terms;
mod threshold;
mod watch;

pub use evaluate::{Ending, Facts, Measured, ThresholdResult};
pub use exit::ExitCode;
pub use judge::{Outcome, Verdict, judge};
pub use terms::{Scope, Terms};
pub use threshold::{Comparison, IterationTally, Metric, Statistic, Tally, Threshold};
pub use watch::Watch;
