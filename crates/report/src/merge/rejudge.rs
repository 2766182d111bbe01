//! The verdict of a merge.
//!
//! What it is: every finding of a part is a finding of the whole, the worst decides; thresholds are about the whole
//! and are evaluated anew on the merged figures; those with windows, which only a running part can see, hold when they
//! hold for every part.
//! What it is not: forgiving; a part whose generator was late spoils the whole.

use std::collections::BTreeSet;

use measure::{Counters, DropReason, ErrorClass, Exact, Histogram, MeasureError, NameTotals, Names, Totals};
use verdict::{Ending, ExitCode, Facts, Measured, Scope, ThresholdResult, judge};

use super::figures::damaged;
use crate::{Latencies, LatencyEntry, MergeError, Summary, Threshold, Verdict, journeys};

/// Judges `whole`, whose figures are complete.
pub(super) fn rejudge(summaries: &[Summary], whole: &mut Summary) -> Result<(), MergeError> {
    let mut judged = verdict::Verdict::passed();
    for (rank, reason) in findings(summaries) {
        judged.add(ExitCode::ALL[rank], reason);
    }
    let has_mismatch = judged.codes.contains(&ExitCode::AuditMismatch);
    if !whole.audit.balanced && !has_mismatch {
        judged.add(ExitCode::AuditMismatch, "the audit of the merged parts does not add up");
    }
    let thresholds = thresholds(summaries)?;
    let totals = totals(whole).map_err(|source| damaged(whole, "latency_ns", source))?;
    let names = Names::requests(whole.names.keys().cloned());
    let names = journeys::merged_names(whole, names);
    let facts = Facts {
        totals: &totals,
        names: &names,
        watched: &watched(summaries, &thresholds),
        sent_micro_tps: micro(whole.rate.sent_tps),
        completed_micro_tps: micro(whole.rate.completed_tps),
        lag_p99_of_worst_second_ns: whole.generator.lag_p99_worst_second_ns,
        max_lag: plan::MaxLag::DEFAULT,
        ending: Ending::Completed,
    };
    let by_name = Totals { names: name_totals(whole)?, ..totals.clone() };
    let scoped = Facts { totals: &by_name, ..facts.clone() };
    for threshold in thresholds {
        // Only the thresholds are taken: everything else was judged where it happened.
        let whole_run = threshold.terms.scope == Scope::Run;
        let judged_now = judge(if whole_run { &facts } else { &scoped }, std::slice::from_ref(&threshold));
        let Some(result) = judged_now.thresholds.into_iter().next() else { continue };
        if !result.passed {
            let reason = format!("threshold {} failed: {}", result.threshold, result.measured_text());
            judged.add(ExitCode::ThresholdFailed, reason);
        }
        judged.thresholds.push(result);
    }
    whole.verdict = Verdict::from(&judged);
    whole.thresholds = judged.thresholds.iter().map(Threshold::from).collect();
    Ok(())
}

/// What was found in any part, thresholds aside, each once: its code's place in the precedence, and why.
fn findings(summaries: &[Summary]) -> BTreeSet<(usize, String)> {
    let mut findings = BTreeSet::new();
    for verdict in summaries.iter().map(|summary| &summary.verdict) {
        let own = ExitCode::from_code(verdict.exit_code).unwrap_or(ExitCode::Internal);
        let codes = verdict.codes.iter().map(|code| ExitCode::from_code(*code).unwrap_or(ExitCode::Internal));
        // A document without codes has one for all its reasons; one without reasons still has a code.
        let reasons = verdict.reasons.iter().cloned();
        let mut pairs: Vec<(ExitCode, String)> =
            reasons.zip(codes.chain(std::iter::repeat(own))).map(flip).collect();
        if pairs.is_empty() {
            pairs.push((own, own.meaning().to_owned()));
        }
        for (code, reason) in pairs {
            let place = ExitCode::ALL.iter().position(|known| *known == code);
            if let Some(place) =
                place.filter(|_| !matches!(code, ExitCode::Passed | ExitCode::ThresholdFailed))
            {
                findings.insert((place, reason));
            }
        }
    }
    findings
}

fn flip<A, B>((left, right): (A, B)) -> (B, A) {
    (right, left)
}

/// The thresholds of all parts, each once, by their text.
fn thresholds(summaries: &[Summary]) -> Result<Vec<verdict::Threshold>, MergeError> {
    let texts: BTreeSet<&String> =
        summaries.iter().flat_map(|summary| &summary.thresholds).map(|one| &one.threshold).collect();
    texts
        .into_iter()
        .map(|text| {
            verdict::Threshold::parse(text)
                .map_err(|error| MergeError::Threshold { text: text.clone(), reason: error.to_string() })
        })
        .collect()
}

/// What the parts' own windows found: for each such threshold the part that was worst.
fn watched(summaries: &[Summary], thresholds: &[verdict::Threshold]) -> Vec<ThresholdResult> {
    let watched = thresholds.iter().filter(|threshold| threshold.terms.is_watched());
    let worst = watched.filter_map(|threshold| {
        let found = summaries.iter().flat_map(|summary| &summary.thresholds);
        let own = found.filter(|one| one.threshold == threshold.text && (one.at_s.is_some() || one.aborted));
        let severity = |one: &&Threshold| (!one.passed, one.aborted, one.value.unwrap_or(u64::MAX), one.at_s);
        let worst = own.max_by_key(severity)?;
        Some(ThresholdResult {
            threshold: threshold.clone(),
            measured: worst.value.map_or(Measured::Infinite, Measured::Value),
            passed: worst.passed,
            at_s: worst.at_s,
            aborted: worst.aborted,
        })
    });
    worst.collect()
}

/// The totals of each name, in the order of the document.
fn name_totals(whole: &Summary) -> Result<Vec<NameTotals>, MergeError> {
    let entry = |(key, name): (&String, &crate::Name)| {
        let latency = &name.latency_ns;
        let damage = |source| damaged(whole, &format!("names.{key}.latency_ns"), source);
        let mut totals = NameTotals {
            sent: name.sent,
            ok_count: name.ok,
            cut_off: name.cut_off,
            ok: latency.response_ok.histogram().map_err(damage)?,
            failed: difference(&latency.response, &latency.response_ok).map_err(damage)?,
            service: latency.service.histogram().map_err(damage)?,
            ..NameTotals::default()
        };
        for (class, count) in &name.errors {
            let known = ErrorClass::ALL.iter().find(|known| known.name() == class);
            add(&mut totals.errors[known.unwrap_or(&ErrorClass::Other).index()], *count);
        }
        Ok(totals)
    };
    whole.names.iter().map(entry).collect()
}

/// The totals that a judge needs, from a document. The failures' response times are what `response` has beyond
/// `response_ok`.
fn totals(whole: &Summary) -> Result<Totals, MeasureError> {
    let Latencies { response, response_ok, service, queue, lag, connect, tls, first_byte } =
        &whole.latency_ns;
    let name = NameTotals {
        ok: response_ok.histogram()?,
        failed: difference(response, response_ok)?,
        service: service.histogram()?,
        ..NameTotals::default()
    };
    Ok(Totals {
        counters: counters(whole),
        lag: lag.histogram()?,
        queue: queue.histogram()?,
        connect: connect.histogram()?,
        tls: tls.histogram()?,
        first_byte: first_byte.histogram()?,
        names: vec![name],
        workloads: journeys::workload_totals(whole)?,
        groups: journeys::group_totals(whole)?,
        checks: journeys::check_counts(whole),
        ..Totals::default()
    })
}

fn counters(whole: &Summary) -> Counters {
    let audit = &whole.audit;
    let mut counters = Counters {
        scheduled: audit.scheduled,
        sent: audit.sent,
        ok: audit.ok,
        cut_off: audit.cut_off,
        unassigned: audit.unassigned,
        ..Counters::default()
    };
    // Names that only a later version knows still count in the sums.
    for (name, count) in &audit.dropped {
        let known = DropReason::ALL.iter().find(|reason| reason.name() == name);
        add(&mut counters.dropped[known.unwrap_or(&DropReason::Interrupted).index()], *count);
    }
    for (name, count) in &audit.errors {
        let known = ErrorClass::ALL.iter().find(|class| class.name() == name);
        add(&mut counters.errors[known.unwrap_or(&ErrorClass::Other).index()], *count);
    }
    counters
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

/// What `all` counts beyond `part`. Least and greatest value are those of the buckets, within those of `all`, so
/// that adding `part` again gives `all` exactly.
fn difference(all: &LatencyEntry, part: &LatencyEntry) -> Result<Histogram, MeasureError> {
    let (whole, taken) = (all.histogram()?, part.histogram()?);
    let mut taken_buckets = taken.iter_recorded().peekable();
    let mut rest = Vec::new();
    for bucket in whole.iter_recorded() {
        let same = taken_buckets.next_if(|other| other.index == bucket.index);
        let count = bucket.count.saturating_sub(same.map_or(0, |other| other.count));
        if count > 0 {
            rest.push((count, bucket));
        }
    }
    let (Some((_, first)), Some((_, last))) = (rest.first(), rest.last()) else {
        return Ok(Histogram::new());
    };
    let is_last_of_layout = last.index == measure::BUCKET_COUNT - 1;
    let exact = Exact {
        count: rest.iter().fold(0, |sum: u64, (count, _)| sum.saturating_add(*count)),
        sum_ns: whole.sum_ns().saturating_sub(taken.sum_ns()),
        min_ns: first.lowest_ns.max(whole.min_ns()),
        max_ns: if is_last_of_layout { whole.max_ns() } else { last.highest_ns.min(whole.max_ns()) },
    };
    Histogram::from_buckets(rest.iter().map(|(count, bucket)| (bucket.index as u64, *count)), exact)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are finite, never negative"
)]
fn micro(per_second: f64) -> u64 {
    (per_second * 1e6).round() as u64
}
