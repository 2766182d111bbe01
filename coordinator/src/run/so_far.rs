//! The report of a run under way: what its complete seconds say.
//!
//! What it is: an `openloop.summary/1` document that says of itself that the run goes on. What it is not: a judgement that
//! stands; it is that of a run which ended with the last complete second.
//!
//! Exchanges that had not ended then count as cut off, so that the sums hold; the sections of nodes tell what each has told,
//! which may be a second more.

use measure::Totals;
use report::Summary;

use super::Run;
use super::conclude::{judged, nodes, parts, run_facts, settle_without_plan, zones};

/// What is known so far; nothing before the first second is complete.
pub(super) fn so_far(run: &Run, version: &str) -> Option<Summary> {
    let ledger = run.ledger.as_ref()?;
    let complete_s = ledger.complete_seconds();
    if complete_s == 0 {
        return None;
    }
    let mut totals = ledger.total().clone();
    for rated in run.due.rated().iter().filter(|rated| rated.counted.is_some()) {
        settle_without_plan(rated.counted, &mut totals);
    }
    settle_without_plan(None, &mut totals);
    let counters = &mut totals.counters;
    counters.unassigned = ledger.unassigned();
    counters.scheduled = counters.scheduled.saturating_add(ledger.unassigned());
    cut_off_the_unfinished(&mut totals);
    let base = run.described.as_deref().and_then(|text| Summary::parse(text).ok());
    let mut notes = run.notes.clone();
    notes.push(format!(
        "the run is under way: this is what its first {complete_s} s were; requests in flight count as cut off"
    ));
    let mut facts = run_facts(run, base.as_ref(), &notes, version);
    facts.run.under_way = true;
    facts.run.duration_s = facts.run.duration_s.min(complete_s as f64);
    facts.run.elapsed_s = complete_s as f64;
    let timeline = ledger.timeline.values().cloned().collect();
    let mut summary = Summary::new(&facts, &totals, timeline, &judged(run, &facts, &totals));
    summary.nodes = nodes(run);
    summary.zones = zones(run);
    summary.parts = parts(run, &summary);
    Some(summary)
}

fn cut_off_the_unfinished(totals: &mut Totals) {
    for sums in [&mut totals.counters, &mut totals.warmup] {
        sums.cut_off = sums.cut_off.saturating_add(sums.in_flight());
    }
    for name in &mut totals.names {
        let ended = name.ok_count.saturating_add(name.errors_total()).saturating_add(name.cut_off);
        name.cut_off = name.cut_off.saturating_add(name.sent.saturating_sub(ended));
    }
    for workload in &mut totals.workloads {
        for sums in [&mut workload.iterations, &mut workload.warmup] {
            sums.cut_off = sums.cut_off.saturating_add(sums.under_way());
        }
    }
}
