//! What became of iterations, groups and checks: the counts of plans with scenarios.
//!
//! What it is: per workload the numbers behind `scheduled = begun + dropped + unassigned` and
//! `begun = completed + failed + cut_off`; per group how often it was gone through; per check how often it held.
//! What it is not: the audit of requests, which [`Counters`](crate::Counters) keeps: an iteration may fail although
//! every request of it succeeded.
//!
//! Invariant: every merge saturates, which keeps it total, associative and commutative, with `default()` as identity.

use crate::counters::{add_each, total};
use crate::{DropReason, Histogram, IntervalHistogram};

/// Why an iteration ended before its last step.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FailReason {
    /// A request of it failed.
    Request,
    /// A response lacked what the plan takes from it; the request itself succeeded.
    Extract,
    /// A check that ends the iteration did not hold.
    Check,
    /// A request could not be written: a value that no header line or target may hold, or more than its limits.
    Render,
    /// A barrier waited too long for the others.
    Barrier,
    /// A data file had no row left.
    Data,
    /// A step of the user's own protocol failed for a reason of its own.
    Step,
}

impl FailReason {
    /// All of them, by index.
    pub const ALL: &[Self] =
        &[Self::Request, Self::Extract, Self::Check, Self::Render, Self::Barrier, Self::Data, Self::Step];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`FailReason::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Extract => "extract",
            Self::Check => "check",
            Self::Render => "render",
            Self::Barrier => "barrier",
            Self::Data => "data",
            Self::Step => "step",
        }
    }
}

/// How an iteration that was begun ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IterationEnd {
    /// It came to its end; checks that do not end it may have failed.
    Completed,
    /// It ended before its last step.
    Failed(FailReason),
    /// It was unfinished when the run ended.
    CutOff,
}

/// Counts of one workload's iterations over any time.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct IterationCounters {
    /// Arrivals that the plan had due.
    pub scheduled: u64,
    /// Iterations begun.
    pub begun: u64,
    /// Arrivals never begun, by [`DropReason`].
    pub dropped: [u64; DropReason::COUNT],
    /// Arrivals of cells that nobody owned.
    pub unassigned: u64,
    /// Iterations that came to their end.
    pub completed: u64,
    /// Iterations that ended before their last step, by [`FailReason`].
    pub failed: [u64; FailReason::COUNT],
    /// Iterations unfinished when the run ended.
    pub cut_off: u64,
}

impl IterationCounters {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.scheduled, other.scheduled),
            (&mut self.begun, other.begun),
            (&mut self.unassigned, other.unassigned),
            (&mut self.completed, other.completed),
            (&mut self.cut_off, other.cut_off),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        add_each(&mut self.dropped, &other.dropped);
        add_each(&mut self.failed, &other.failed);
    }

    /// Arrivals never begun, for any reason.
    pub fn dropped_total(&self) -> u64 {
        total(&self.dropped)
    }

    /// Iterations that ended before their last step, for any reason.
    pub fn failed_total(&self) -> u64 {
        total(&self.failed)
    }

    /// Iterations under way. A single interval may end more than it begins: then 0.
    pub fn under_way(&self) -> u64 {
        let ended = self.completed.saturating_add(self.failed_total()).saturating_add(self.cut_off);
        self.begun.saturating_sub(ended)
    }

    /// Whether both sums hold; meaningful once the run has ended.
    pub fn balanced(&self) -> bool {
        let sum = |parts: [u64; 3]| parts.into_iter().map(u128::from).sum::<u128>();
        u128::from(self.scheduled) == sum([self.begun, self.dropped_total(), self.unassigned])
            && u128::from(self.begun) == sum([self.completed, self.failed_total(), self.cut_off])
    }
}

/// How often a check held.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckCounts {
    /// Responses for which it held.
    pub passed: u64,
    /// Responses for which it did not.
    pub failed: u64,
}

impl CheckCounts {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
    }

    /// Responses that were checked.
    pub fn total(&self) -> u64 {
        self.passed.saturating_add(self.failed)
    }
}

/// Measurements of one workload over one interval. On cache lines of its own, as a [`Snapshot`](crate::Snapshot) is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(align(128))]
pub struct WorkloadSnapshot {
    /// What became of its iterations.
    pub iterations: IterationCounters,
    /// From the intended time of an arrival to the end of its iteration, of those that came to their end.
    pub completed: IntervalHistogram,
    /// The same of those that ended before their last step.
    pub failed: IntervalHistogram,
}

impl WorkloadSnapshot {
    pub(crate) fn clear(&mut self) {
        self.iterations = IterationCounters::default();
        self.completed.clear();
        self.failed.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.iterations == IterationCounters::default() && self.completed.is_empty() && self.failed.is_empty()
    }
}

/// Measurements of one group of steps over one interval. On cache lines of its own, as a [`Snapshot`](crate::Snapshot) is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(align(128))]
pub struct GroupSnapshot {
    /// How often it was gone through to its end.
    pub ok: u64,
    /// How often its iteration failed inside it.
    pub failed: u64,
    /// From its begin to its end, think times included, of those that came to their end.
    pub duration: IntervalHistogram,
    /// The same without think times.
    pub busy: IntervalHistogram,
}

impl GroupSnapshot {
    pub(crate) fn clear(&mut self) {
        (self.ok, self.failed) = (0, 0);
        self.duration.clear();
        self.busy.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ok == 0 && self.failed == 0 && self.duration.is_empty() && self.busy.is_empty()
    }
}

/// Sums of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadTotals {
    /// What became of its iterations.
    pub iterations: IterationCounters,
    /// What became of them during the warm-up, which no result contains.
    pub warmup: IterationCounters,
    /// From the intended time of an arrival to the end of its iteration, of those that came to their end.
    pub completed: Histogram,
    /// The same of those that ended before their last step.
    pub failed: Histogram,
}

impl WorkloadTotals {
    pub(crate) fn absorb(&mut self, snapshot: &WorkloadSnapshot) {
        self.iterations.merge(&snapshot.iterations);
        self.completed.absorb(&snapshot.completed);
        self.failed.absorb(&snapshot.failed);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.iterations.merge(&other.iterations);
        self.warmup.merge(&other.warmup);
        self.completed.merge(&other.completed);
        self.failed.merge(&other.failed);
    }

    pub(crate) fn clear(&mut self) {
        self.iterations = IterationCounters::default();
        self.warmup = IterationCounters::default();
        self.completed.clear();
        self.failed.clear();
    }

    /// Whether the iterations add up, those of the warm-up included; meaningful once the run has ended.
    pub fn balanced(&self) -> bool {
        self.iterations.balanced() && self.warmup.balanced()
    }
}

/// Sums of one group of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupTotals {
    /// How often it was gone through to its end.
    pub ok: u64,
    /// How often its iteration failed inside it.
    pub failed: u64,
    /// From its begin to its end, think times included, of those that came to their end.
    pub duration: Histogram,
    /// The same without think times.
    pub busy: Histogram,
}

impl GroupTotals {
    pub(crate) fn absorb(&mut self, snapshot: &GroupSnapshot) {
        self.add_counts(snapshot.ok, snapshot.failed);
        self.duration.absorb(&snapshot.duration);
        self.busy.absorb(&snapshot.busy);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.add_counts(other.ok, other.failed);
        self.duration.merge(&other.duration);
        self.busy.merge(&other.busy);
    }

    pub(crate) fn clear(&mut self) {
        (self.ok, self.failed) = (0, 0);
        self.duration.clear();
        self.busy.clear();
    }

    fn add_counts(&mut self, ok: u64, failed: u64) {
        self.ok = self.ok.saturating_add(ok);
        self.failed = self.failed.saturating_add(failed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn indices_are_positions_and_names_are_distinct() {
        let mut names = BTreeSet::new();
        for (position, reason) in FailReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), position);
            assert!(names.insert(reason.name()));
        }
    }

    #[test]
    fn iterations_balance_only_when_both_sums_hold() {
        let mut good = IterationCounters {
            scheduled: 12,
            begun: 9,
            unassigned: 1,
            completed: 5,
            cut_off: 1,
            ..IterationCounters::default()
        };
        good.dropped[DropReason::QueueFull.index()] = 2;
        good.failed[FailReason::Extract.index()] = 3;
        assert!(good.balanced());
        assert_eq!((good.dropped_total(), good.failed_total(), good.under_way()), (2, 3, 0));
        assert!(!IterationCounters { scheduled: 13, ..good }.balanced());
        assert!(!IterationCounters { begun: 10, scheduled: 13, ..good }.balanced());
        assert_eq!(IterationCounters { begun: 11, ..good }.under_way(), 2);
        let huge = IterationCounters { begun: u64::MAX, unassigned: 1, ..IterationCounters::default() };
        assert!(!huge.balanced(), "sums must not wrap");
    }
}
