//! Evaluates thresholds against what was measured.
//!
//! Invariant: what was found while the run lasted stands, whatever the whole run shows.

use measure::{Names, Totals};
use plan::MaxLag;

use crate::sample::Sample;
use crate::terms::Scope;
use crate::threshold::{Metric, Threshold, value_text};

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
    /// The plan's names.
    pub names: &'a Names,
    /// What [`Watch`](crate::Watch) found while the run lasted; it stands in place of a judgement on the whole run.
    pub watched: &'a [ThresholdResult],
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
    /// The end of the window, or of the time, that was worst, in seconds since the results began; `None` where the
    /// whole run was judged.
    pub at_s: Option<u64>,
    /// Whether it ended the run.
    pub aborted: bool,
}

impl ThresholdResult {
    /// What was measured, for people: `51.23ms`, `0.4%`, `no response`, `nothing measured`, `80ms at 12 s`.
    pub fn measured_text(&self) -> String {
        let mut text = match self.measured {
            Measured::Value(value) => value_text(self.threshold.metric, value),
            Measured::Infinite => "no response".into(),
            Measured::Nothing => "nothing measured".into(),
        };
        if let Some(at_s) = self.at_s {
            text = format!("{text} at {at_s} s");
        }
        if self.aborted {
            text.push_str(", which ended the run");
        }
        text
    }
}

/// Whether `threshold` holds on the whole run.
pub(crate) fn evaluate(threshold: &Threshold, facts: &Facts<'_>) -> ThresholdResult {
    if let Some(found) = facts.watched.iter().find(|found| found.threshold == *threshold) {
        return found.clone();
    }
    let sample = Sample::new(threshold, facts.names, facts.totals);
    let counters = &facts.totals.counters;
    let (micro_tps, all) = match threshold.metric {
        Metric::SentTps => (facts.sent_micro_tps, counters.sent),
        _ => (facts.completed_micro_tps, counters.completed()),
    };
    // A name's rate is its part of the whole rate.
    let part = (u128::from(micro_tps) * u128::from(sample.part)).checked_div(u128::from(all)).unwrap_or(0);
    let is_whole = threshold.terms.scope == Scope::Run;
    let rate = if is_whole { micro_tps } else { u64::try_from(part).unwrap_or(u64::MAX) };
    let (measured, passed) = sample.judge(threshold, rate);
    ThresholdResult { threshold: threshold.clone(), measured, passed, at_s: None, aborted: false }
}
