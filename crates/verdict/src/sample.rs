//! What a threshold sees of totals: a distribution or two numbers.
//!
//! What it is: the step from totals to what one threshold compares, for a whole run and for a second of it. Samples of
//! several seconds add up to the sample of all of them. What it is not: the comparison.
//!
//! Invariants: an arrival that got no response (dropped or cut off) counts as an infinite response time, so that a
//! target cannot pass by not answering; what was not measured passes nothing.

use measure::{Counters, Histogram, IterationCounters, Latency, NameTotals, Names, Totals, WorkloadTotals};

use crate::evaluate::Measured;
use crate::terms::Scope;
use crate::threshold::{IterationTally, Metric, Statistic, Tally, Threshold};

const BILLION: u128 = 1_000_000_000;

/// What one threshold sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// The values, where the metric is a figure of them.
    histogram: Option<Histogram>,
    /// Arrivals whose value is infinite.
    unanswered: u64,
    /// The count, or what a share is a part of.
    pub(crate) part: u64,
    /// What a share is a share of.
    whole: u64,
}

impl Sample {
    /// What `threshold` sees of `totals`.
    pub(crate) fn new(threshold: &Threshold, names: &Names, totals: &Totals) -> Self {
        let scope = &threshold.terms.scope;
        match threshold.metric {
            Metric::Checks => {
                let held = chosen(scope, &names.checks, &totals.checks);
                let sums = held.fold((0, 0), |(passed, all): (u64, u64), check| {
                    (passed.saturating_add(check.passed), all.saturating_add(check.total()))
                });
                Self::counts(sums.0, sums.1)
            }
            Metric::Group(_) => {
                let groups = chosen(scope, &names.groups, &totals.groups);
                Self::values(groups.map(|group| &group.duration), 0)
            }
            Metric::Iteration(_) | Metric::Iterations(_) | Metric::IterationErrorRate => {
                Self::of_iterations(threshold.metric, chosen(scope, &names.workloads, &totals.workloads))
            }
            metric if *scope == Scope::Run => Self::of_run(metric, totals),
            metric => {
                // Drops are counted for all names together; with one name they are its own.
                let dropped = if totals.names.len() == 1 { totals.counters.dropped_total() } else { 0 };
                Self::of_names(metric, chosen(scope, &names.requests, &totals.names), dropped)
            }
        }
    }

    /// Adds what `other` saw.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        self.part = self.part.saturating_add(other.part);
        self.whole = self.whole.saturating_add(other.whole);
        if let Some(theirs) = &other.histogram {
            self.histogram.get_or_insert_default().merge(theirs);
        }
    }

    /// The figure that `threshold` compares, and whether it holds. `micro_tps` is the rate, where it is one.
    pub(crate) fn judge(&self, threshold: &Threshold, micro_tps: u64) -> (Measured, bool) {
        let (comparison, limit) = (threshold.comparison, u128::from(threshold.limit));
        let plain = |value: u64| (Measured::Value(value), comparison.holds(&u128::from(value), &limit));
        match threshold.metric {
            Metric::Latency(_, statistic) | Metric::Iteration(statistic) | Metric::Group(statistic) => {
                let measured = self.figure(statistic);
                let passed = match measured {
                    Measured::Value(value) => comparison.holds(&u128::from(value), &limit),
                    Measured::Infinite => comparison.holds(&u128::MAX, &limit),
                    Measured::Nothing => false,
                };
                (measured, passed)
            }
            Metric::ErrorRate | Metric::DropRate | Metric::Checks | Metric::IterationErrorRate => {
                let (part, whole) = (u128::from(self.part) * BILLION, u128::from(self.whole));
                // Compared by cross-multiplication: the share itself would be rounded.
                let passed = whole > 0 && comparison.holds(&part, &(limit * whole));
                let share = part.checked_div(whole);
                (share.map_or(Measured::Nothing, |share| Measured::Value(saturated(share))), passed)
            }
            Metric::SentTps | Metric::CompletedTps => plain(micro_tps),
            Metric::Tally(_) | Metric::Iterations(_) => plain(self.part),
        }
    }

    fn counts(part: u64, whole: u64) -> Self {
        Self { part, whole, ..Self::default() }
    }

    fn values<'a>(histograms: impl Iterator<Item = &'a Histogram>, unanswered: u64) -> Self {
        let mut sum = Histogram::new();
        histograms.for_each(|histogram| sum.merge(histogram));
        Self { histogram: Some(sum), unanswered, ..Self::default() }
    }

    fn of_run(metric: Metric, totals: &Totals) -> Self {
        let counters = &totals.counters;
        match metric {
            Metric::Latency(latency, _) => {
                let unanswered = match latency {
                    Latency::Response | Latency::ResponseOk => {
                        counters.dropped_total().saturating_add(counters.cut_off)
                    }
                    _ => 0,
                };
                Self { histogram: Some(totals.latency(latency)), unanswered, ..Self::default() }
            }
            Metric::DropRate => Self::counts(counters.dropped_total(), counters.scheduled),
            Metric::SentTps => Self::counts(counters.sent, 0),
            Metric::CompletedTps => Self::counts(counters.completed(), 0),
            Metric::Tally(tally) => Self::counts(count(tally, counters), 0),
            _ => Self::counts(counters.errors_total().saturating_add(counters.cut_off), counters.sent),
        }
    }

    fn of_names<'a>(metric: Metric, names: impl Iterator<Item = &'a NameTotals>, dropped: u64) -> Self {
        let names: Vec<&NameTotals> = names.collect();
        let sum = |pick: fn(&NameTotals) -> u64| {
            names.iter().fold(0, |sum: u64, name| sum.saturating_add(pick(name)))
        };
        let errors = || sum(NameTotals::errors_total);
        match metric {
            Metric::Latency(Latency::Service, _) => Self::values(names.iter().map(|name| &name.service), 0),
            Metric::Latency(latency, _) => {
                let failed = names.iter().map(|name| &name.failed).filter(|_| latency == Latency::Response);
                let unanswered = sum(|name| name.cut_off).saturating_add(dropped);
                Self::values(names.iter().map(|name| &name.ok).chain(failed), unanswered)
            }
            Metric::SentTps | Metric::Tally(Tally::Sent) => Self::counts(sum(|name| name.sent), 0),
            Metric::CompletedTps => Self::counts(sum(|name| name.ok_count).saturating_add(errors()), 0),
            Metric::Tally(Tally::Ok) => Self::counts(sum(|name| name.ok_count), 0),
            Metric::Tally(Tally::Errors) => Self::counts(errors(), 0),
            Metric::Tally(_) => Self::counts(sum(|name| name.cut_off), 0),
            _ => Self::counts(errors().saturating_add(sum(|name| name.cut_off)), sum(|name| name.sent)),
        }
    }

    fn of_iterations<'a>(metric: Metric, workloads: impl Iterator<Item = &'a WorkloadTotals>) -> Self {
        let mut sums = IterationCounters::default();
        let mut durations = Histogram::new();
        for workload in workloads {
            sums.merge(&workload.iterations);
            durations.merge(&workload.completed);
        }
        match metric {
            Metric::Iteration(_) => Self {
                histogram: Some(durations),
                unanswered: sums.dropped_total().saturating_add(sums.cut_off),
                ..Self::default()
            },
            Metric::Iterations(tally) => Self::counts(iterations(tally, &sums), 0),
            _ => Self::counts(sums.failed_total().saturating_add(sums.cut_off), sums.begun),
        }
    }

    /// A figure of the values, with the arrivals that got no response at the infinite end.
    fn figure(&self, statistic: Statistic) -> Measured {
        let (Some(histogram), unanswered) = (&self.histogram, self.unanswered) else {
            return Measured::Nothing;
        };
        let answered = histogram.count();
        let value = match statistic {
            Statistic::Min if answered > 0 => histogram.min_ns(),
            Statistic::Max | Statistic::Mean if unanswered > 0 => return Measured::Infinite,
            Statistic::Max if answered > 0 => histogram.max_ns(),
            Statistic::Mean if answered > 0 => {
                saturated((histogram.sum_ns() + u128::from(answered) / 2) / u128::from(answered))
            }
            Statistic::Percentile(millionths) if answered > 0 || unanswered > 0 => {
                // The smallest rank that leaves at most the rest above it, counted from 1.
                let all = u128::from(answered) + u128::from(unanswered);
                let rank = saturated((all * u128::from(millionths)).div_ceil(1_000_000).max(1));
                if rank > answered {
                    return Measured::Infinite;
                }
                // Half a rank below, so that rounding in floating point cannot reach the next one.
                histogram.value_at_quantile((rank as f64 - 0.5) / answered as f64)
            }
            _ if unanswered > 0 => return Measured::Infinite,
            _ => return Measured::Nothing,
        };
        Measured::Value(value)
    }
}

/// The totals of the names that are looked at.
fn chosen<'a, T>(
    scope: &'a Scope,
    names: &'a [measure::Named],
    totals: &'a [T],
) -> impl Iterator<Item = &'a T> {
    names.iter().zip(totals).filter(|(named, _)| scope.includes(named)).map(|(_, totals)| totals)
}

fn saturated(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn count(tally: Tally, counters: &Counters) -> u64 {
    match tally {
        Tally::Scheduled => counters.scheduled,
        Tally::Sent => counters.sent,
        Tally::Ok => counters.ok,
        Tally::Errors => counters.errors_total(),
        Tally::Dropped => counters.dropped_total(),
        Tally::CutOff => counters.cut_off,
        Tally::Unassigned => counters.unassigned,
    }
}

fn iterations(tally: IterationTally, counts: &IterationCounters) -> u64 {
    match tally {
        IterationTally::Scheduled => counts.scheduled,
        IterationTally::Begun => counts.begun,
        IterationTally::Completed => counts.completed,
        IterationTally::Failed => counts.failed_total(),
        IterationTally::Dropped => counts.dropped_total(),
        IterationTally::CutOff => counts.cut_off,
    }
}
