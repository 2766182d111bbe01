//! Thresholds that are judged while the run lasts: sliding windows, and those that end it.
//!
//! What it is: a machine that hears each second of a run once, in order. What it is not: a timer; a second that nobody
//! tells it of is not judged.
//!
//! Invariants: a window is made of whole seconds of the timeline and is judged when it is full; a breach in any window
//! stays, whatever comes after it; memory is one distribution for each second of a window.

use std::collections::VecDeque;

use measure::{Names, Totals};

use crate::evaluate::{Measured, ThresholdResult};
use crate::sample::Sample;
use crate::threshold::{Comparison, Threshold};

/// Judges thresholds second by second.
#[derive(Debug, Default)]
pub struct Watch {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    threshold: Threshold,
    /// The seconds of the window; without a window, one sample of all seconds.
    seconds: VecDeque<Sample>,
    /// Seconds that were told and not within the grace.
    heard: u64,
    /// The worst figure so far, and the second at whose end it stood.
    worst: Option<(Measured, u64)>,
    /// The end of the first second that breached it.
    breached_s: Option<u64>,
}

impl Watch {
    /// For those of `thresholds` that are judged while the run lasts.
    pub fn new(thresholds: &[Threshold]) -> Self {
        let watched =
            thresholds.iter().filter(|threshold| threshold.terms.is_watched()).map(|threshold| Watched {
                threshold: threshold.clone(),
                seconds: VecDeque::new(),
                heard: 0,
                worst: None,
                breached_s: None,
            });
        Self { watched: watched.collect() }
    }

    /// Hears second number `index` of the results. `sending` says whether arrivals were due in all of it: where not,
    /// rates and counts are not held against a lower limit. Answers the first threshold that ends the run.
    pub fn second(
        &mut self,
        index: u64,
        sending: bool,
        names: &Names,
        totals: &Totals,
    ) -> Option<ThresholdResult> {
        let mut ends = None;
        for watched in &mut self.watched {
            let breached = watched.second(index, sending, names, totals);
            if breached && watched.threshold.terms.abort && ends.is_none() {
                ends = Some(watched.result(true));
            }
        }
        ends
    }

    /// What was found, for each threshold that has windows or was breached before the end; the others are judged on the
    /// whole run.
    pub fn results(&self) -> Vec<ThresholdResult> {
        let settled =
            |watched: &&Watched| watched.threshold.terms.over_s.is_some() || watched.breached_s.is_some();
        let first = self
            .watched
            .iter()
            .filter(|one| one.threshold.terms.abort)
            .filter_map(|one| one.breached_s)
            .min();
        let ended = |watched: &Watched| {
            watched.threshold.terms.abort && watched.breached_s == first && first.is_some()
        };
        self.watched.iter().filter(settled).map(|watched| watched.result(ended(watched))).collect()
    }
}

impl Watched {
    /// Whether this second is the first that breaches it.
    fn second(&mut self, index: u64, sending: bool, names: &Names, totals: &Totals) -> bool {
        let terms = &self.threshold.terms;
        let sample = Sample::new(&self.threshold, names, totals);
        match terms.over_s {
            Some(_) if index < terms.grace_s => return false,
            Some(over_s) => {
                self.seconds.push_back(sample);
                if self.seconds.len() as u64 > over_s {
                    self.seconds.pop_front();
                }
            }
            None => match self.seconds.front_mut() {
                Some(sum) => sum.merge(&sample),
                None => self.seconds.push_back(sample),
            },
        }
        self.heard += 1;
        let grows = self.threshold.metric.is_count() || self.threshold.metric.is_rate();
        let unfair = !sending && grows && self.threshold.comparison.is_lower_limit();
        if self.heard < terms.over_s.unwrap_or(0) || index < terms.grace_s || unfair {
            return false;
        }
        let (measured, passed) = self.figure();
        if measured == Measured::Nothing {
            return false;
        }
        if self.worst.is_none_or(|(worst, _)| is_worse(self.threshold.comparison, measured, worst)) {
            self.worst = Some((measured, index + 1));
        }
        let first = !passed && self.breached_s.is_none();
        if first {
            self.breached_s = Some(index + 1);
        }
        first
    }

    fn figure(&self) -> (Measured, bool) {
        let mut sum = Sample::default();
        self.seconds.iter().for_each(|second| sum.merge(second));
        let seconds = self.threshold.terms.over_s.map_or(self.heard, |_| self.seconds.len() as u64);
        let micro_tps = (u128::from(sum.part) * 1_000_000).checked_div(u128::from(seconds)).unwrap_or(0);
        sum.judge(&self.threshold, u64::try_from(micro_tps).unwrap_or(u64::MAX))
    }

    /// What was found; of a run that was shorter than the window, what there is.
    fn result(&self, aborted: bool) -> ThresholdResult {
        let threshold = self.threshold.clone();
        let Some((measured, at_s)) = self.worst else {
            let (measured, passed) = if self.heard == 0 { (Measured::Nothing, false) } else { self.figure() };
            return ThresholdResult { threshold, measured, passed, at_s: None, aborted };
        };
        let passed = self.breached_s.is_none();
        ThresholdResult { threshold, measured, passed, at_s: Some(at_s), aborted }
    }
}

/// Whether `measured` is farther from what `comparison` asks for than `worst`.
fn is_worse(comparison: Comparison, measured: Measured, worst: Measured) -> bool {
    let size = |measured| match measured {
        Measured::Value(value) => u128::from(value),
        Measured::Infinite | Measured::Nothing => u128::MAX,
    };
    if comparison.is_lower_limit() { size(measured) < size(worst) } else { size(measured) > size(worst) }
}

#[cfg(test)]
mod tests;
