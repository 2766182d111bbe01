//! Evaluates thresholds against what was measured.
//!
//! Invariants: an arrival that got no response (dropped or cut off) counts as an infinite response time, so that a
//! target cannot pass by not answering; what was not measured passes nothing.

use measure::{Counters, Latency, Totals};
use plan::MaxLag;

use crate::threshold::{Comparison, Metric, Statistic, Tally, Threshold, value_text};

/// What ended the run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The plan was carried out, or stopped politely as it was asked to.
    Completed,
    /// SIGINT, or an abort over the control socket.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

/// What a run is judged by.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The sums of the whole run. What was measured after the warm-up is judged; the audit spans both.
    pub totals: &'a Totals,
    /// Requests sent per second of the measured time, in millionths.
    pub sent_micro_tps: u64,
    /// Exchanges finished per second of the measured time, in millionths.
    pub completed_micro_tps: u64,
    /// The largest 99th percentile of schedule lag that any one second had, in nanoseconds.
    pub lag_p99_of_worst_second_ns: u64,
    /// From which lag on the run is untrustworthy.
    pub max_lag: MaxLag,
    /// What ended the run.
    pub ending: Ending,
}

/// What a threshold found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Measured {
    /// A value in the metric's unit: nanoseconds, billionths, millionths per second, or a count.
    Value(u64),
    /// The figure falls among arrivals that got no response.
    Infinite,
    /// Nothing of the kind was measured.
    Nothing,
}

/// A threshold and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdResult {
    /// The threshold.
    pub threshold: Threshold,
    /// What was measured.
    pub measured: Measured,
    /// Whether the threshold holds.
    pub passed: bool,
}

impl ThresholdResult {
    /// What was measured, for people: `51.23ms`, `0.4%`, `no response`, `nothing measured`.
    pub fn measured_text(&self) -> String {
        match self.measured {
            Measured::Value(value) => value_text(self.threshold.metric, value),
            Measured::Infinite => "no response".into(),
            Measured::Nothing => "nothing measured".into(),
        }
    }
}

/// Whether `threshold` holds.
pub(crate) fn evaluate(threshold: &Threshold, facts: &Facts<'_>) -> ThresholdResult {
    let (comparison, limit) = (threshold.comparison, u128::from(threshold.limit));
    let (measured, passed) = match threshold.metric {
        Metric::Latency(latency, statistic) => {
            let measured = distribution_figure(facts.totals, latency, statistic);
            let passed = match measured {
                Measured::Value(value) => comparison.holds(&u128::from(value), &limit),
                Measured::Infinite => comparison.holds(&u128::MAX, &limit),
                Measured::Nothing => false,
            };
            (measured, passed)
        }
        Metric::ErrorRate | Metric::DropRate => {
            let (part, whole) = fraction(threshold.metric, &facts.totals.counters);
            // Compared by cross-multiplication: the share itself would be rounded.
            let passed =
                whole > 0 && comparison.holds(&(u128::from(part) * BILLION), &(limit * u128::from(whole)));
            let share = (u128::from(part) * BILLION).checked_div(u128::from(whole));
            (share.map_or(Measured::Nothing, |share| Measured::Value(saturated(share))), passed)
        }
        Metric::SentTps => plain(facts.sent_micro_tps, comparison, limit),
        Metric::CompletedTps => plain(facts.completed_micro_tps, comparison, limit),
        Metric::Tally(tally) => plain(count(tally, &facts.totals.counters), comparison, limit),
    };
    ThresholdResult { threshold: threshold.clone(), measured, passed }
}

const BILLION: u128 = 1_000_000_000;

fn plain(value: u64, comparison: Comparison, limit: u128) -> (Measured, bool) {
    (Measured::Value(value), comparison.holds(&u128::from(value), &limit))
}

fn saturated(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// The two numbers whose quotient a share is.
fn fraction(metric: Metric, counters: &Counters) -> (u64, u64) {
    match metric {
        Metric::DropRate => (counters.dropped_total(), counters.scheduled),
        _ => (counters.errors_total().saturating_add(counters.cut_off), counters.sent),
    }
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

/// A figure of a latency, with the arrivals that got no response at the infinite end of response times.
fn distribution_figure(totals: &Totals, latency: Latency, statistic: Statistic) -> Measured {
    let histogram = totals.latency(latency);
    let unanswered = match latency {
        Latency::Response | Latency::ResponseOk => {
            totals.counters.dropped_total().saturating_add(totals.counters.cut_off)
        }
        _ => 0,
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
