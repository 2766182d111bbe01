//! The judgement: from what was measured to a verdict and an exit code.
//!
//! Invariants: every finding is kept, the one that decides comes first; a slow or dead target alone never makes a
//! run untrustworthy, because nothing that waits for the target enters the rules about the generator.

use measure::DropReason;
use plan::duration_text;

use crate::evaluate::{Ending, Facts, ThresholdResult, evaluate};
use crate::exit::ExitCode;
use crate::threshold::Threshold;

/// The 99th percentile of a starved shard's lag is spoilt from this part of `--max-lag` on: 1 ms of 100 ms.
const STARVED_LAG_DIVISOR: u64 = 100;

/// The judgement in one word.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was asked for holds.
    Pass,
    /// The target, or what was asked of it, failed.
    Fail,
    /// The generator was at fault; the figures say little about the target.
    Untrustworthy,
    /// Somebody ended the run before its time.
    Aborted,
    /// The program could not do its work.
    Error,
}

impl Outcome {
    /// The word as it stands in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Untrustworthy => "untrustworthy",
            Self::Aborted => "aborted",
            Self::Error => "error",
        }
    }
}

impl From<ExitCode> for Outcome {
    fn from(exit: ExitCode) -> Self {
        match exit {
            ExitCode::Passed => Self::Pass,
            ExitCode::ThresholdFailed
            | ExitCode::EveryRequestFailed
            | ExitCode::TargetOverloaded
            | ExitCode::Regression => Self::Fail,
            ExitCode::Untrustworthy => Self::Untrustworthy,
            ExitCode::Interrupted | ExitCode::Terminated => Self::Aborted,
            ExitCode::Internal
            | ExitCode::Usage
            | ExitCode::Environment
            | ExitCode::Refused
            | ExitCode::AuditMismatch
            | ExitCode::ReportNotWritten
            | ExitCode::ServiceLost => Self::Error,
        }
    }
}

/// A verdict. `codes` and `reasons` belong together, place by place, and the first decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The judgement in one word.
    pub result: Outcome,
    /// How the program ends.
    pub exit_code: ExitCode,
    /// Every code that applies, the deciding one first; empty when the run passed.
    pub codes: Vec<ExitCode>,
    /// Why, one sentence for each of `codes`.
    pub reasons: Vec<String>,
    /// The thresholds, in the order in which they were given.
    pub thresholds: Vec<ThresholdResult>,
}

impl Verdict {
    /// A verdict without any finding: passed.
    pub const fn passed() -> Self {
        Self {
            result: Outcome::Pass,
            exit_code: ExitCode::Passed,
            codes: Vec::new(),
            reasons: Vec::new(),
            thresholds: Vec::new(),
        }
    }

    /// Adds a finding, at its place in the precedence, and judges anew. What is found after the judgement, such as a
    /// report that cannot be written, is added here.
    ///
    /// # Panics
    /// When `code` is [`ExitCode::Passed`], which finds nothing.
    pub fn add(&mut self, code: ExitCode, reason: impl Into<String>) {
        assert_ne!(code, ExitCode::Passed, "a finding is something that is wrong");
        let place = self.codes.partition_point(|other| other.rank() <= code.rank());
        self.codes.insert(place, code);
        self.reasons.insert(place, reason.into());
        self.exit_code = ExitCode::first_of(self.codes.iter().copied());
        self.result = self.exit_code.into();
    }
}

/// Judges a run that has ended.
pub fn judge(facts: &Facts<'_>, thresholds: &[Threshold]) -> Verdict {
    let mut verdict = Verdict::passed();
    judge_audit(facts, &mut verdict);
    judge_iterations(facts, &mut verdict);
    match facts.ending {
        Ending::Completed => {}
        Ending::Interrupted => verdict.add(ExitCode::Interrupted, "interrupted before the plan was finished"),
        Ending::Terminated => verdict.add(ExitCode::Terminated, "terminated before the plan was finished"),
    }
    judge_generator(facts, &mut verdict);
    judge_target(facts, &mut verdict);
    for threshold in thresholds {
        let result = evaluate(threshold, facts);
        if !result.passed {
            let reason = format!("threshold {} failed: {}", result.threshold, result.measured_text());
            verdict.add(ExitCode::ThresholdFailed, reason);
        }
        verdict.thresholds.push(result);
    }
    verdict
}

/// Whether the counts of the whole run, warm-up included, add up.
fn judge_audit(facts: &Facts<'_>, verdict: &mut Verdict) {
    let mut whole = facts.totals.counters.clone();
    whole.merge(&facts.totals.warmup);
    if !whole.balanced() {
        let audit = whole.audit();
        verdict.add(
            ExitCode::AuditMismatch,
            format!(
                "the audit does not add up: scheduled {} against sent {} + dropped {} + unassigned {}; sent {} against \
                 ok {} + errors {} + cut off {}; this is a defect of the generator, please report it",
                audit.scheduled,
                audit.sent,
                audit.dropped,
                audit.unassigned,
                audit.sent,
                audit.ok,
                audit.errors,
                audit.cut_off
            ),
        );
    }
}

/// Whether the iterations of every workload add up.
fn judge_iterations(facts: &Facts<'_>, verdict: &mut Verdict) {
    let wrong = facts.totals.workloads.iter().position(|workload| !workload.balanced());
    if let Some(position) = wrong {
        let name = facts.names.workloads.get(position).map_or("unnamed", |named| named.name.as_str());
        verdict.add(
            ExitCode::AuditMismatch,
            format!(
                "the iterations of workload {name} do not add up; this is a defect of the generator, please report it"
            ),
        );
    }
}

/// What only the generator, its host or its fleet can be blamed for.
fn judge_generator(facts: &Facts<'_>, verdict: &mut Verdict) {
    let counters = &facts.totals.counters;
    let lag_max_ns = facts.totals.lag.max_ns();
    if lag_max_ns >= facts.max_lag.any_ns {
        verdict.add(
            ExitCode::Untrustworthy,
            format!(
                "the generator was late: a request left {} after its time (limit {}); it needs more or quieter cores, \
                 or a lower rate",
                rounded(lag_max_ns),
                duration_text(facts.max_lag.any_ns)
            ),
        );
    }
    if facts.lag_p99_of_worst_second_ns > facts.max_lag.second_p99_ns {
        verdict.add(
            ExitCode::Untrustworthy,
            format!(
                "the generator was late: in its worst second, 1 % of the requests left more than {} after their time \
                 (limit {}); it needs more or quieter cores, or a lower rate",
                rounded(facts.lag_p99_of_worst_second_ns),
                duration_text(facts.max_lag.second_p99_ns)
            ),
        );
    }
    judge_starvation(facts, verdict);
    let late = counters.dropped_for(DropReason::Late);
    if late > 0 {
        let reason = format!("the generator skipped {late} arrivals because it was late for them");
        verdict.add(ExitCode::Untrustworthy, reason);
    }
    let local = counters.dropped_for(DropReason::LocalResource);
    if local > 0 {
        let reason =
            format!("this host lacked descriptors, ports or memory for {local} arrivals; see engine doctor");
        verdict.add(ExitCode::Untrustworthy, reason);
    }
    if counters.unassigned > 0 {
        let reason = format!("{} arrivals were assigned to no engine and never sent", counters.unassigned);
        verdict.add(ExitCode::Untrustworthy, reason);
    }
    let iterations = facts.totals.iterations_total().unassigned;
    if iterations > 0 {
        let reason = format!("{iterations} iterations were assigned to no engine and never begun");
        verdict.add(ExitCode::Untrustworthy, reason);
    }
}

/// Whether the kernel kept a shard from its core and 1 % of the shard's requests were late meanwhile. Neither alone is a
/// finding: short waits do no harm, and a burst of answers can make a shard late without anybody else's doing. What waits
/// for the target waits for no core.
fn judge_starvation(facts: &Facts<'_>, verdict: &mut Verdict) {
    let limit_ns = facts.max_lag.any_ns / STARVED_LAG_DIVISOR;
    let starved = facts.totals.shards.iter().filter(|shard| {
        let waits = u128::from(shard.core_wait_ns) * 100 > u128::from(shard.covered_ns);
        waits && shard.lag.value_at_quantile(0.99) > limit_ns
    });
    if let Some(shard) = starved.max_by_key(|shard| shard.core_wait_ns) {
        verdict.add(
            ExitCode::Untrustworthy,
            format!(
                "the generator was starved: shard {} waited {:.1} % of the time for its core, and 1 % of its requests \
                 left more than {} after their time (limit {}); it needs more or quieter cores",
                shard.shard,
                shard.core_wait_share() * 100.0,
                rounded(shard.lag.value_at_quantile(0.99)),
                duration_text(limit_ns)
            ),
        );
    }
}

/// What the target, or the way to it, is to blame for.
fn judge_target(facts: &Facts<'_>, verdict: &mut Verdict) {
    let counters = &facts.totals.counters;
    if counters.sent > 0 && counters.ok == 0 {
        let reason =
            format!("none of the {} requests got a good response; is the target right?", counters.sent);
        verdict.add(ExitCode::EveryRequestFailed, reason);
    }
    let (full, expired) =
        (counters.dropped_for(DropReason::QueueFull), counters.dropped_for(DropReason::Expired));
    if full > 0 || expired > 0 {
        verdict.add(
            ExitCode::TargetOverloaded,
            format!(
                "the target could not take the load: {} arrivals were dropped waiting for a connection \
                 (queue_full {full}, expired {expired})",
                full.saturating_add(expired)
            ),
        );
    }
}

/// A measured duration in at most four digits.
fn rounded(ns: u64) -> String {
    duration_text(crate::threshold::cut_to_four_digits(ns))
}

#[cfg(test)]
mod tests;
