//! What has to hold, whatever went wrong.
//!
//! What it is: judges of an [`Outcome`] that take nothing from the director but what it made durable and reported; what was
//! due they compute themselves, from the plan and the durable changes of its rate. What it is not: a second implementation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use coordinator::director::Order;
use coordinator::handle::OnNodeLoss;
use verdict::ExitCode;

use crate::course::Due;
use crate::scenario::{Company, Happening, Plan, Scenario};
use crate::store::Kept;
use crate::world::{Outcome, SUBMITTED, Sent};
use crate::{MS, S};

/// After the last fault, everything that is due is sent again within this: a lease, joining, and two moves.
const RESUMED_NS: u64 = 10 * S;

/// Everything that does not hold.
pub fn violations(outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    for of in judged(outcome) {
        one_owner(&of, &mut found);
        nothing_early(&of, &mut found);
        counted_once(&of, &mut found);
        adds_up(&of, &mut found);
        resumes(&of, &mut found);
    }
    drained_for_good(outcome, &mut found);
    found
}

/// A run of an outcome, with what there is to judge it by.
struct Judged<'a> {
    outcome: &'a Outcome,
    plan: &'a Plan,
    kept: &'a Kept,
    sent: &'a Sent,
    /// What was due, with every change of the rate that was made.
    due: Arc<Due>,
}

fn judged<'a>(outcome: &'a Outcome) -> Vec<Judged<'a>> {
    static NOTHING_KEPT: LazyLock<Kept> = LazyLock::new(Kept::default);
    static NOTHING_SENT: Sent = Sent::new();
    let of = |plan: &'a Plan| {
        let Plan { submission, course, .. } = plan;
        let kept = outcome.store.runs.get(&submission.run).unwrap_or(&*NOTHING_KEPT);
        let sent = outcome.sent.get(&submission.run).unwrap_or(&NOTHING_SENT);
        Judged { outcome, plan, kept, sent, due: course.due(&kept.rates) }
    };
    outcome.scenario.plans.iter().map(of).collect()
}

/// How wrong a start can be translated into a node's clock: half an exchange, and what clocks drift.
fn uncertainty(outcome: &Outcome) -> u64 {
    3 * outcome.scenario.delay_ns + 2 * MS
}

/// Each slot is sent at most once, by whomever.
fn one_owner(of: &Judged<'_>, found: &mut Vec<String>) {
    for (slot, sends) in of.sent.iter().filter(|(_, sends)| sends.len() > 1) {
        found.push(format!("one owner: slot {slot} was sent {} times: {sends:?}", sends.len()));
    }
}

/// Nothing is sent before it is due, or without ever being due.
fn nothing_early(of: &Judged<'_>, found: &mut Vec<String>) {
    let Some(start) = of.kept.start else {
        if !of.sent.is_empty() {
            found.push("nothing early: requests were sent without a start".to_owned());
        }
        return;
    };
    let uncertainty = uncertainty(of.outcome);
    for (slot, sends) in of.sent {
        let due = of.due.due_ns(*slot).map(|due_ns| start + due_ns);
        for (node, _, at) in sends {
            match due {
                None => found.push(format!("nothing early: slot {slot} was never due, {node} sent it")),
                Some(due) if at + uncertainty < due => {
                    found
                        .push(format!("nothing early: {node} sent slot {slot} {} ms early", (due - at) / MS));
                }
                Some(_) => {}
            }
        }
    }
}

/// Every delta that the report counts was sealed by a node, each once; none that was acknowledged is missing.
fn counted_once(of: &Judged<'_>, found: &mut Vec<String>) {
    let run = of.plan.submission.run;
    let mut expected = 0;
    for node in &of.outcome.nodes {
        for ((_, life), spool) in node.spool.iter().filter(|((of, _), _)| *of == run) {
            let mark = of.kept.marks.get(&(node.name.clone(), *life));
            let merged = mark.map_or(0, |mark| mark.next);
            if merged < spool.acknowledged {
                found.push(format!(
                    "counted once: {} life {life} was told that {} deltas are kept; {merged} are",
                    node.name, spool.acknowledged
                ));
            }
            let sum = usize::try_from(merged).ok().and_then(|merged| merged.checked_sub(1));
            let sent = sum.and_then(|last| spool.sums.get(last)).copied().unwrap_or(0);
            let share = mark.map_or(0, |mark| mark.share().expect("a mark is read again").sums.counters.sent);
            if share != sent {
                found.push(format!(
                    "counted once: {} life {life} sealed {sent} requests in {merged} deltas; {share} are counted",
                    node.name
                ));
            }
            expected += sent;
        }
    }
    if of.kept.sent() != expected {
        found
            .push(format!("counted once: seconds hold {} requests, nodes sealed {expected}", of.kept.sent()));
    }
    let Some(summary) = &of.kept.summary else { return };
    if summary.audit.sent != expected {
        found.push(format!("counted once: the report has {} requests, not {expected}", summary.audit.sent));
    }
    let by_node: u64 = summary.nodes.values().map(|node| node.totals.sent).sum();
    if by_node != expected {
        found.push(format!("counted once: the report's nodes sent {by_node} requests, not {expected}"));
    }
}

/// The run ends, and its report says where every arrival went.
fn adds_up(of: &Judged<'_>, found: &mut Vec<String>) {
    let (scenario, kept) = (&of.outcome.scenario, of.kept);
    let Some(exit) = kept.concluded else {
        found.push(format!("ends: run {} was never concluded", of.plan.submission.run));
        return;
    };
    let Some(summary) = &kept.summary else {
        let faulty = !scenario.happenings.is_empty();
        let expected = matches!(exit, ExitCode::Environment | ExitCode::Interrupted);
        if !faulty || !expected || !of.sent.is_empty() {
            found.push(format!("ends: it never began: {exit:?}, {:?}", kept.reason));
        }
        return;
    };
    let audit = &summary.audit;
    if !audit.balanced
        || !matches!(exit, ExitCode::Passed | ExitCode::Untrustworthy | ExitCode::EveryRequestFailed)
    {
        found.push(format!("adds up: exit {exit:?}, {:?}, {audit:?}", summary.verdict.reasons));
    }
    let due = kept.stopped_ns.map_or(of.due.count(), |at_ns| of.due.before(at_ns));
    // Whoever did not hear of a stop goes on until its lease ends. What users would have done, nobody knows.
    let fits = match kept.stopped_ns {
        _ if of.plan.of_users => audit.scheduled == audit.sent + audit.dropped.values().sum::<u64>(),
        Some(_) => audit.scheduled >= due,
        None => audit.scheduled == due,
    };
    if !fits {
        found.push(format!("adds up: {} arrivals are accounted for, {due} were due", audit.scheduled));
    }
    let run = of.plan.submission.run;
    let own = of.outcome.nodes.iter().flat_map(|node| &node.sent).filter(|((of, _), _)| *of == run);
    let truth: u64 = own.map(|(_, sent)| sent).sum();
    if audit.sent > truth || (!may_lose(scenario) && audit.sent != truth) {
        found.push(format!("adds up: the report has {} requests, {truth} were sent", audit.sent));
    }
}

/// Whether a node may end, and the run after it, with seconds that it told nobody.
fn may_lose(scenario: &Scenario) -> bool {
    let any = |what: fn(&Happening) -> bool| scenario.happenings.iter().any(|(_, one)| what(one));
    let leaves = any(|one| matches!(one, Happening::Leave(..)));
    let disturbs = |one: &Happening| {
        matches!(
            one,
            Happening::Freeze(..)
                | Happening::Cut { .. }
                | Happening::Reset(_)
                | Happening::KillCoordinator(_)
        )
    };
    any(|one| matches!(one, Happening::Kill(..))) || (leaves && any(disturbs))
}

/// Whether nodes only come, go and change their rate as they are asked to, and not all of them go: then nothing is ever missing.
fn is_orderly(scenario: &Scenario) -> bool {
    let mut gone = BTreeSet::new();
    let orderly = scenario.happenings.iter().all(|(_, one)| match one {
        Happening::Leave(node, _) | Happening::Drain(node) => {
            gone.insert(*node);
            true
        }
        Happening::Admit(_) | Happening::Arrive(_) | Happening::Order(_, Order::SetRate { .. }) => true,
        _ => false,
    });
    orderly && gone.len() < scenario.nodes && scenario.company == Company::Alone
}

/// When nothing goes wrong any more, everything that is due is sent again.
fn resumes(of: &Judged<'_>, found: &mut Vec<String>) {
    let (scenario, kept) = (&of.outcome.scenario, of.kept);
    let terms = &of.plan.submission.terms;
    let Some(start) = kept.start.filter(|_| kept.summary.is_some()) else { return };
    // Whoever misses a change of the rate has to leave, a zone may be empty, and who was asked not to give a lost share to
    // others does not. Of two runs, one may be left with nobody where nodes left for good.
    let leaves = |one: &Happening| {
        matches!(one, Happening::Kill(_, None) | Happening::Leave(_, None) | Happening::Drain(_))
    };
    let all_stay = !scenario.happenings.iter().any(|(_, one)| leaves(one));
    let orderly = is_orderly(scenario);
    let judged = (kept.rates.is_empty() || orderly)
        && kept.stopped_ns.is_none()
        && terms.zones.is_empty()
        && terms.on_loss == OnNodeLoss::Redistribute
        && of.outcome.steady > 0
        && (scenario.company == Company::Alone || all_stay);
    if !judged {
        return;
    }
    let from = SUBMITTED + scenario.quiet_from + RESUMED_NS;
    let quiet = scenario.happenings.is_empty() || orderly;
    let due_from = if quiet { 0 } else { from.saturating_sub(start) };
    let missing: Vec<u64> = of
        .due
        .within(due_from, u64::MAX)
        .iter()
        .map(|(_, slot)| *slot)
        .filter(|slot| !of.sent.contains_key(slot))
        .collect();
    if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
        found.push(format!("resumes: {} slots were never sent, {first} to {last}", missing.len()));
    }
}

/// A node that was drained does nothing any more until somebody takes it back, whoever has died meanwhile.
fn drained_for_good(outcome: &Outcome, found: &mut Vec<String>) {
    for (name, answered) in &outcome.drained {
        let from = answered.max(&(SUBMITTED + outcome.scenario.quiet_from)) + RESUMED_NS;
        let sends = outcome.sent.values().flat_map(BTreeMap::values).flatten();
        let last = sends.filter(|(node, _, _)| node == name).map(|(_, _, at)| *at).max();
        if let Some(last) = last.filter(|last| *last > from) {
            let after = (last - answered) / MS;
            found.push(format!("drained: {name} sent something {after} ms after it was drained"));
        }
    }
}

/// Of a fleet in which nothing goes wrong: everything is sent, and everybody keeps to its share at every prefix.
pub fn quiet_violations(outcome: &Outcome) -> Vec<String> {
    let mut found = violations(outcome);
    for of in judged(outcome) {
        quiet(&of, &mut found);
    }
    found
}

fn quiet(of: &Judged<'_>, found: &mut Vec<String>) {
    let kept = of.kept;
    if kept.concluded != Some(ExitCode::Passed) {
        found.push(format!("quiet: exit {:?}, {:?}", kept.concluded, kept.summary));
    }
    let Some(summary) = &kept.summary else { return };
    let all: u64 = summary.nodes.values().map(|node| u64::from(node.cells)).sum();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    // Chance deals random arrivals to cells.
    for (slot, sends) in of.sent.iter().filter(|_| of.plan.course.is_even()) {
        for (node, _, _) in sends {
            *counts.entry(node).or_default() += 1;
        }
        for (name, node) in &summary.nodes {
            let count = counts.get(name.as_str()).copied().unwrap_or(0) as f64;
            let ideal = (slot + 1) as f64 * f64::from(node.cells) / all as f64;
            if (count - ideal).abs() > 1.0 {
                found.push(format!("quiet: after slot {slot}, {name} has sent {count} and not {ideal}"));
                return;
            }
        }
    }
    // Of users nobody knows when the first is due.
    for (name, node) in summary.nodes.iter().filter(|_| !of.plan.of_users) {
        let skew = node.start_skew_ns.unwrap_or(i64::MAX).unsigned_abs();
        let bound = uncertainty(of.outcome) + 20 * MS;
        if skew > bound || node.start_uncertainty_ns.is_none_or(|error| error > bound) {
            found.push(format!("quiet: {name} began {skew} ns beside its time"));
        }
    }
}
