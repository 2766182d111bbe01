//! What has to hold, whatever went wrong.
//!
//! What it is: judges of an [`Outcome`] that take nothing from the director but what it made durable and reported; what was
//! due they compute themselves, from the plan and the durable changes of its rate. What it is not: a second implementation.

use std::collections::BTreeMap;

use coordinator::handle::OnNodeLoss;
use schedule::Profile;
use verdict::ExitCode;

use crate::scenario::Happening;
use crate::world::{Outcome, SUBMITTED};
use crate::{MS, S};

/// After the last fault, everything that is due is sent again within this: a lease, joining, and two moves.
const RESUMED_NS: u64 = 10 * S;

/// Everything that does not hold.
pub fn violations(outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    one_owner(outcome, &mut found);
    nothing_early(outcome, &mut found);
    counted_once(outcome, &mut found);
    adds_up(outcome, &mut found);
    resumes(outcome, &mut found);
    found
}

/// The plan with every change that was made to it.
fn plan(outcome: &Outcome) -> Profile {
    let mut profile = (*outcome.scenario.profile).clone();
    for (from_ns, rate) in &outcome.store.rates {
        profile = profile.with_rate_from(*from_ns, *rate).expect("a rate that was granted");
    }
    profile
}

/// How wrong a start can be translated into a node's clock: half an exchange, and what clocks drift.
fn uncertainty(outcome: &Outcome) -> u64 {
    3 * outcome.scenario.delay_ns + 2 * MS
}

/// Each slot is sent at most once, by whomever.
fn one_owner(outcome: &Outcome, found: &mut Vec<String>) {
    for (slot, sends) in outcome.sent.iter().filter(|(_, sends)| sends.len() > 1) {
        found.push(format!("one owner: slot {slot} was sent {} times: {sends:?}", sends.len()));
    }
}

/// Nothing is sent before it is due, or without ever being due.
fn nothing_early(outcome: &Outcome, found: &mut Vec<String>) {
    let Some(start) = outcome.store.start else {
        if !outcome.sent.is_empty() {
            found.push("nothing early: requests were sent without a start".to_owned());
        }
        return;
    };
    let (plan, uncertainty) = (plan(outcome), uncertainty(outcome));
    for (slot, sends) in &outcome.sent {
        let due = plan.due_ns(*slot).map(|due_ns| start + due_ns);
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
fn counted_once(outcome: &Outcome, found: &mut Vec<String>) {
    let mut expected = 0;
    for node in &outcome.nodes {
        for ((_, life), spool) in &node.spool {
            let mark = outcome.store.marks.get(&(node.name.clone(), *life));
            let merged = mark.map_or(0, |mark| mark.next);
            if merged < spool.acknowledged {
                found.push(format!(
                    "counted once: {} life {life} was told that {} deltas are kept; {merged} are",
                    node.name, spool.acknowledged
                ));
            }
            let sum = usize::try_from(merged).ok().and_then(|merged| merged.checked_sub(1));
            let sent = sum.and_then(|last| spool.sums.get(last)).copied().unwrap_or(0);
            let share = mark.map_or(0, |mark| mark.share.counters.sent);
            if share != sent {
                found.push(format!(
                    "counted once: {} life {life} sealed {sent} requests in {merged} deltas; {share} are counted",
                    node.name
                ));
            }
            expected += sent;
        }
    }
    if outcome.store.sent() != expected {
        found.push(format!(
            "counted once: seconds hold {} requests, nodes sealed {expected}",
            outcome.store.sent()
        ));
    }
    let Some(summary) = &outcome.store.summary else { return };
    if summary.audit.sent != expected {
        found.push(format!("counted once: the report has {} requests, not {expected}", summary.audit.sent));
    }
    let by_node: u64 = summary.nodes.values().map(|node| node.totals.sent).sum();
    if by_node != expected {
        found.push(format!("counted once: the report's nodes sent {by_node} requests, not {expected}"));
    }
}

/// The run ends, and its report says where every arrival went.
fn adds_up(outcome: &Outcome, found: &mut Vec<String>) {
    let Some(exit) = outcome.store.concluded else {
        found.push("ends: the run was never concluded".to_owned());
        return;
    };
    let Some(summary) = &outcome.store.summary else {
        let faulty = !outcome.scenario.happenings.is_empty();
        let expected = matches!(exit, ExitCode::Environment | ExitCode::Interrupted);
        if !faulty || !expected || !outcome.sent.is_empty() {
            found.push(format!("ends: it never began: {exit:?}, {:?}", outcome.store.reason));
        }
        return;
    };
    let audit = &summary.audit;
    if !audit.balanced
        || !matches!(exit, ExitCode::Passed | ExitCode::Untrustworthy | ExitCode::EveryRequestFailed)
    {
        found.push(format!("adds up: exit {exit:?}, {:?}, {audit:?}", summary.verdict.reasons));
    }
    let due = match outcome.store.stopped_ns {
        Some(at_ns) => plan(outcome).arrivals_before(at_ns),
        None => plan(outcome).arrival_count(),
    };
    // Whoever did not hear of a stop goes on until its lease ends.
    let fits =
        if outcome.store.stopped_ns.is_some() { audit.scheduled >= due } else { audit.scheduled == due };
    if !fits {
        found.push(format!("adds up: {} arrivals are accounted for, {due} were due", audit.scheduled));
    }
    let truth: u64 = outcome.nodes.iter().flat_map(|node| node.sent.values()).sum();
    let killed = outcome.scenario.happenings.iter().any(|(_, one)| matches!(one, Happening::Kill(..)));
    if audit.sent > truth || (!killed && audit.sent != truth) {
        found.push(format!("adds up: the report has {} requests, {truth} were sent", audit.sent));
    }
}

/// When nothing goes wrong any more, everything that is due is sent again.
fn resumes(outcome: &Outcome, found: &mut Vec<String>) {
    let (scenario, store) = (&outcome.scenario, &outcome.store);
    let terms = &scenario.submission.terms;
    let Some(start) = store.start.filter(|_| store.summary.is_some()) else { return };
    // Whoever misses a change of the rate has to leave, a zone may be empty, and who was asked not to give a lost share to
    // others does not.
    let judged = store.rates.is_empty()
        && store.stopped_ns.is_none()
        && terms.zones.is_empty()
        && terms.on_loss == OnNodeLoss::Redistribute
        && outcome.steady > 0;
    if !judged {
        return;
    }
    let from = SUBMITTED + scenario.quiet_from + RESUMED_NS;
    let quiet = scenario.happenings.is_empty();
    let plan = plan(outcome);
    let missing: Vec<u64> = (0..plan.arrival_count())
        .filter(|slot| {
            let due = start + plan.due_ns(*slot).unwrap_or(0);
            (quiet || due >= from) && !outcome.sent.contains_key(slot)
        })
        .collect();
    if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
        found.push(format!("resumes: {} slots were never sent, {first} to {last}", missing.len()));
    }
}

/// Of a fleet in which nothing goes wrong: everything is sent, and everybody keeps to its share at every prefix.
pub fn quiet_violations(outcome: &Outcome) -> Vec<String> {
    let mut found = violations(outcome);
    if outcome.store.concluded != Some(ExitCode::Passed) {
        found.push(format!("quiet: exit {:?}, {:?}", outcome.store.concluded, outcome.store.summary));
    }
    let Some(summary) = &outcome.store.summary else { return found };
    let all: u64 = summary.nodes.values().map(|node| u64::from(node.cells)).sum();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (slot, sends) in &outcome.sent {
        for (node, _, _) in sends {
            *counts.entry(node).or_default() += 1;
        }
        for (name, node) in &summary.nodes {
            let count = counts.get(name.as_str()).copied().unwrap_or(0) as f64;
            let ideal = (slot + 1) as f64 * f64::from(node.cells) / all as f64;
            if (count - ideal).abs() > 1.0 {
                found.push(format!("quiet: after slot {slot}, {name} has sent {count} and not {ideal}"));
                return found;
            }
        }
    }
    for (name, node) in &summary.nodes {
        let skew = node.start_skew_ns.unwrap_or(i64::MAX).unsigned_abs();
        let bound = uncertainty(outcome) + 20 * MS;
        if skew > bound || node.start_uncertainty_ns.is_none_or(|error| error > bound) {
            found.push(format!("quiet: {name} began {skew} ns beside its time"));
        }
    }
    found
}
