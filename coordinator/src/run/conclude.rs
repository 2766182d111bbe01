//! The report of a run that is over.
//!
//! What it is: from the ledger's sums and the course of the run to an `openloop.summary/1` document, its verdict and its exit
//! code. What it is not: the writing of it.
//!
//! What the plan had due is computed from its rates, not from what nodes said; what no node accounts for is unassigned. A node
//! that died with requests on the wire has them cut off; arrivals that it held unsent count as unassigned.

use std::collections::BTreeMap;
use std::time::Duration;

use clock::rfc3339;
use measure::{Counters, IterationCounters, Totals};
use report::{Node, Part, PartTotals, RunFacts, Summary, Zone};
use verdict::{Ending, ExitCode, Facts, Verdict, judge};

use super::{Member, Run};
use crate::director::{Conclusion, Out, Share, StopCause};

/// A run that never began.
pub(crate) fn early(exit: ExitCode, reason: String) -> Conclusion {
    Conclusion { summary: None, exit, reason: Some(reason) }
}

/// The report of what was measured.
pub(super) fn conclude(run: &Run, out: &Out<'_>) -> Conclusion {
    let Some(ledger) = &run.ledger else {
        return early(ExitCode::Internal, "the run ended before any node had understood it".to_owned());
    };
    let base = run.described.as_deref().and_then(|text| Summary::parse(text).ok());
    let mut totals = ledger.total().clone();
    let mut notes = run.notes.clone();
    cut_off_the_dead(run, &mut totals, &mut notes);
    let excess = account_for_the_rest(run, &mut totals, &mut notes);
    let facts = run_facts(run, base.as_ref(), &notes, out.version());
    let mut judged = judged(run, &facts, &totals);
    if let Some(excess) = excess {
        judged.add(ExitCode::AuditMismatch, excess);
    }
    for finding in digests(run) {
        judged.add(ExitCode::AuditMismatch, finding);
    }
    if let Some(halt) = run.halt.as_ref().filter(|halt| halt.cause == StopCause::Fleet) {
        judged.add(ExitCode::Untrustworthy, halt.reason.clone());
    }
    let timeline = ledger.timeline.values().cloned().collect();
    let mut summary = Summary::new(&facts, &totals, timeline, &judged);
    summary.nodes = nodes(run);
    summary.zones = zones(run);
    summary.parts = parts(run, &summary);
    Conclusion { exit: judged.exit_code, summary: Some(summary), reason: None }
}

/// All lives that owned cells, with what they told.
fn lives(run: &Run) -> impl Iterator<Item = (&str, &Member, Option<&Share>)> {
    let past = run.past.iter().map(|(name, member)| (name.as_str(), member));
    let all = past.chain(run.members.iter().map(|(name, member)| (name.as_str(), member)));
    all.filter(|(_, member)| member.epoch > 0).map(|(name, member)| {
        let share = run.ledger.as_ref().and_then(|ledger| ledger.share(name, member.who.incarnation));
        (name, member, share)
    })
}

/// What dead nodes had on the wire is cut off.
fn cut_off_the_dead(run: &Run, totals: &mut Totals, notes: &mut Vec<String>) {
    for (name, member, share) in lives(run).filter(|(_, member, _)| member.part.is_none()) {
        // Who dies in its first second has told nothing, and has sent all the same.
        let nothing = Share::default();
        let share = share.unwrap_or(&nothing);
        let mut on_the_wire = 0;
        for (sums, own) in
            [(&mut totals.counters, &share.sums.counters), (&mut totals.warmup, &share.sums.warmup)]
        {
            let left = own.in_flight();
            sums.cut_off = sums.cut_off.saturating_add(left);
            on_the_wire += left;
        }
        for (sums, left) in totals.names.iter_mut().zip(&share.sums.in_flight) {
            sums.cut_off = sums.cut_off.saturating_add(*left);
        }
        for (sums, own) in totals.workloads.iter_mut().zip(&share.sums.iterations) {
            sums.iterations.cut_off = sums.iterations.cut_off.saturating_add(own.under_way());
        }
        for (sums, own) in totals.workloads.iter_mut().zip(&share.sums.warmup_iterations) {
            sums.warmup.cut_off = sums.warmup.cut_off.saturating_add(own.under_way());
        }
        let told_s = run
            .ledger
            .as_ref()
            .map_or(0.0, |ledger| ledger.until_ns(name, member.who.incarnation) as f64 / 1e9);
        // What was recovered says of itself what was cut off.
        let cut_off = on_the_wire + share.sums.counters.cut_off + share.sums.warmup.cut_off;
        let saved = match (share.recovered, member.lost_by_ns) {
            (Some(requests), _) => format!(
                "{requests} requests that it had not told of were recovered after the kill, without their latencies"
            ),
            (None, Some(by_ns)) => {
                let untold_s = by_ns as f64 / 1e9 - run.submission.warmup_ns as f64 / 1e9 - told_s;
                format!(
                    "what it sent in the {:.3} s from there until its lease was over, if it lived as long, is not counted",
                    untold_s.max(0.0)
                )
            }
            (None, None) => "what it sent after that is not counted".to_owned(),
        };
        notes.push(format!(
            "node {name} was lost; it told of its first {told_s} s; {saved}; {cut_off} of its requests were on the wire \
             and count as cut off"
        ));
    }
}

/// Makes what was due, by the plan, the sum of what was sent, dropped and unassigned. An answer says that nodes did more than
/// was due.
fn account_for_the_rest(run: &Run, totals: &mut Totals, notes: &mut Vec<String>) -> Option<String> {
    let (warmup_ns, end_ns) = (run.submission.warmup_ns, run.end_ns());
    let mut excess = None;
    for (place, rated) in run.due.rated().iter().enumerate() {
        let Some((warm, all)) = run.due.exactly(place, warmup_ns.min(end_ns), end_ns) else {
            notes.push("the plan has too many random arrivals to count those that nobody owned".to_owned());
            settle_without_plan(rated.counted, totals);
            continue;
        };
        let (handled_warm, handled) = handled(rated.counted, totals);
        let told = handled_warm.saturating_add(handled);
        // Whoever did not hear of a stop in time went on for a while; that is no excess.
        if told > all && run.halt.is_none() {
            let name = rated.name.as_deref().map_or_else(String::new, |name| format!(" of workload {name}"));
            excess = Some(format!(
                "the nodes account for {told} arrivals{name} where the plan had {all} due; this is a defect, please report it"
            ));
        }
        let lacking = all.saturating_sub(told);
        let lacking_warm = lacking.min(warm.saturating_sub(handled_warm));
        unassign(rated.counted, totals, lacking_warm, lacking - lacking_warm);
    }
    if run.due.rated().is_empty() {
        settle_without_plan(None, totals);
    }
    excess
}

/// Arrivals that were sent or dropped, in the warm-up and after it.
fn handled(counted: Option<usize>, totals: &Totals) -> (u64, u64) {
    let requests = |one: &Counters| one.sent.saturating_add(one.dropped_total());
    let iterations = |one: &IterationCounters| one.begun.saturating_add(one.dropped_total());
    match counted.and_then(|place| totals.workloads.get(place)) {
        Some(workload) => (iterations(&workload.warmup), iterations(&workload.iterations)),
        None => (requests(&totals.warmup), requests(&totals.counters)),
    }
}

fn unassign(counted: Option<usize>, totals: &mut Totals, warm: u64, rest: u64) {
    let (handled_warm, handled) = handled(counted, totals);
    if let Some(workload) = counted.and_then(|place| totals.workloads.get_mut(place)) {
        (workload.warmup.scheduled, workload.warmup.unassigned) = (handled_warm + warm, warm);
        (workload.iterations.scheduled, workload.iterations.unassigned) = (handled + rest, rest);
    } else {
        (totals.warmup.scheduled, totals.warmup.unassigned) = (handled_warm + warm, warm);
        (totals.counters.scheduled, totals.counters.unassigned) = (handled + rest, rest);
    }
    if counted.is_some() {
        settle_without_plan(None, totals);
    }
}

/// Where the plan does not say how much is due, it is what the nodes had due, less what dead ones held unsent.
pub(super) fn settle_without_plan(counted: Option<usize>, totals: &mut Totals) {
    let (warm, rest) = handled(counted, totals);
    if let Some(workload) = counted.and_then(|place| totals.workloads.get_mut(place)) {
        (workload.warmup.scheduled, workload.iterations.scheduled) = (warm, rest);
    } else {
        (totals.warmup.scheduled, totals.counters.scheduled) = (warm, rest);
    }
}

pub(super) fn judged(run: &Run, facts: &RunFacts, totals: &Totals) -> Verdict {
    let micro = |count: u64, seconds: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, for thresholds")]
        let rate = if seconds > 0.0 { (count as f64 * 1e6 / seconds) as u64 } else { 0 };
        rate
    };
    let aborted = run.halt.as_ref().is_some_and(|halt| halt.cause == StopCause::Abort);
    let watched = run.watch.results();
    let facts = Facts {
        totals,
        names: &facts.names,
        watched: &watched,
        sent_micro_tps: micro(totals.counters.sent, facts.run.duration_s),
        completed_micro_tps: micro(totals.counters.completed(), facts.run.elapsed_s),
        lag_p99_of_worst_second_ns: facts.lag_p99_worst_second_ns,
        max_lag: run.submission.max_lag,
        ending: if aborted { Ending::Interrupted } else { Ending::Completed },
    };
    judge(&facts, &run.submission.thresholds)
}

/// What every node said at its end against the sum of what it had told.
fn digests(run: &Run) -> Vec<String> {
    let wrong = lives(run).filter_map(|(name, member, share)| {
        let part = member.part.as_ref()?;
        let told = run.ledger.as_ref().map_or(0, |ledger| ledger.merged(name, member.who.incarnation));
        let sent = share.map_or(0, |share| share.sums.counters.sent);
        let ok = share.map_or(0, |share| share.sums.counters.ok);
        let complete = told >= part.deltas;
        (!complete || sent != part.sent || ok != part.ok).then(|| {
            format!(
                "node {name} says that it sent {} requests in {} deltas; {told} deltas came, with {sent} requests",
                part.sent, part.deltas
            )
        })
    });
    wrong.collect()
}

pub(super) fn run_facts(run: &Run, base: Option<&Summary>, notes: &[String], version: &str) -> RunFacts {
    let warmup_ns = run.submission.warmup_ns;
    let elapsed_ns = lives(run)
        .filter_map(|(name, member, _)| Some(run.ledger.as_ref()?.until_ns(name, member.who.incarnation)))
        .max()
        .unwrap_or(0);
    let planned_ns = match run.submission.duration_ns {
        Some(_) => run.end_ns().saturating_sub(warmup_ns),
        None => elapsed_ns.min(run.end_ns()),
    };
    let started = Duration::from_nanos(run.start_unix_ns.unwrap_or(0).saturating_add(warmup_ns));
    let mut facts = RunFacts {
        names: run.ledger.as_ref().map(|one| one.names().clone()).unwrap_or_default(),
        ..RunFacts::default()
    };
    if let Some(base) = base {
        facts.run = base.run.clone();
        facts.target = base.target.clone();
        facts.plan = base.plan.clone();
        facts.environment = base.environment.clone();
        facts.connections_limit = base.connections.limit;
        facts.tags = base.tags.clone();
    }
    facts.run.id = format!("{:032x}", run.key());
    facts.run.started_at = rfc3339(started);
    version.clone_into(&mut facts.run.tool_version);
    facts.run.duration_s = planned_ns as f64 / 1e9;
    facts.run.elapsed_s = elapsed_ns as f64 / 1e9;
    facts.run.warmup_s = warmup_ns as f64 / 1e9;
    facts.run.cores = lives(run).map(|(_, member, _)| member.who.cores).sum();
    facts.run.share = None;
    let mut hosts: Vec<&str> = lives(run).map(|(_, member, _)| member.who.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    facts.environment.host = hosts.join(" + ");
    facts.environment.notes.extend(notes.iter().cloned());
    let count = lives(run).count() as u64;
    facts.connections_limit = facts.connections_limit.saturating_mul(count.max(1));
    facts.lag_p99_worst_second_ns = run.ledger.as_ref().map_or(0, |ledger| ledger.lag_p99_worst_ns);
    facts.max_lag = Some(run.submission.max_lag);
    facts
}

pub(super) fn nodes(run: &Run) -> BTreeMap<String, Node> {
    let mut by_name: BTreeMap<&str, Vec<(&Member, Option<&Share>)>> = BTreeMap::new();
    for (name, member, share) in lives(run) {
        by_name.entry(name).or_default().push((member, share));
    }
    let node = |lives: Vec<(&Member, Option<&Share>)>| {
        let (first, _) = lives.first()?;
        let (last, _) = lives.last()?;
        let sum = summed(lives.iter().filter_map(|(_, share)| *share));
        let skew = first.part.as_ref().and_then(|part| part.first_sent_ns).zip(first.first_due_ns);
        Some(Node {
            host: last.who.host.clone(),
            zone: last.who.zone.clone(),
            lives: u32::try_from(lives.len()).unwrap_or(u32::MAX),
            cells: first.cells_first,
            totals: PartTotals::new(&sum.sums.counters, &sum.sums.response, &sum.sums.lag),
            cpu_s: sum.sums.cpu_ns as f64 / 1e9,
            start_skew_ns: skew.map(|(sent, due)| sent.cast_signed().wrapping_sub(due.cast_signed())),
            start_uncertainty_ns: skew.and(first.clock_error_ns),
            lost_at_s: last.lost_by_ns.map(report::lost_at_s),
            recovered: sum.recovered,
        })
    };
    by_name.into_iter().filter_map(|(name, lives)| Some((name.to_owned(), node(lives)?))).collect()
}

pub(super) fn zones(run: &Run) -> BTreeMap<String, Zone> {
    let mut zones = BTreeMap::new();
    let mut names: Vec<&str> = lives(run).filter_map(|(_, member, _)| member.who.zone.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    for zone in names {
        let here = || lives(run).filter(|(_, member, _)| member.who.zone.as_deref() == Some(zone));
        let sum = summed(here().filter_map(|(_, _, share)| share));
        let mut nodes: Vec<&str> = here().map(|(name, _, _)| name).collect();
        nodes.dedup();
        let whole = Zone {
            nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
            cells: here().map(|(_, member, _)| member.cells_first).sum(),
            totals: PartTotals::new(&sum.sums.counters, &sum.sums.response, &sum.sums.lag),
        };
        zones.insert(zone.to_owned(), whole);
    }
    zones
}

/// The sums of several lives, as balanced as a report shows them: what is left of a dead one's counts is cut off, and what it
/// held unsent is not its own.
fn summed<'a>(shares: impl Iterator<Item = &'a Share>) -> Share {
    let mut sum = Share::default();
    for share in shares {
        let (sums, own) = (&mut sum.sums, &share.sums);
        let mut counters = own.counters.clone();
        counters.cut_off = counters.cut_off.saturating_add(counters.in_flight());
        counters.scheduled = counters.sent.saturating_add(counters.dropped_total());
        sums.counters.merge(&counters);
        sums.response.merge(&own.response);
        sums.lag.merge(&own.lag);
        sums.cpu_ns = sums.cpu_ns.saturating_add(own.cpu_ns);
        sum.recovered = added(sum.recovered, share.recovered);
    }
    sum
}

/// The sum of what there is.
fn added(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.map_or(other, |one| Some(one.saturating_add(other.unwrap_or(0))))
}

/// The run as one part: its nodes stand in a section of their own.
pub(super) fn parts(run: &Run, summary: &Summary) -> Vec<Part> {
    vec![Part {
        id: format!("{:032x}", run.key()),
        share: None,
        started_at: summary.run.started_at.clone(),
        host: summary.environment.host.clone(),
    }]
}
