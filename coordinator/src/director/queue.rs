//! Which nodes a run gets, and when its turn has come.
//!
//! What it is: runs in the order in which they were taken; each has the first choice among the nodes that those before it do
//! not wait for, so that runs on different nodes go side by side and none is overtaken for ever. What it is not: a priority;
//! nobody's nodes are taken away.

use std::collections::BTreeSet;

use clock::{NANOS_PER_SECOND, Timestamp};
use verdict::ExitCode;
use wire::RunKey;

use super::{Conclusion, Director, Out, Record, Terms};
use crate::fleet::{Fleet, Node};
use crate::run::{Stage, early};

/// What a queued run finds.
enum Found {
    /// These nodes carry it.
    Enough(Vec<String>),
    /// It waits, and these are kept for it.
    TooFew(Vec<String>),
}

impl Director {
    /// Gives free nodes to runs that wait for them, then to runs under way.
    pub(super) fn gather(&mut self, now: Timestamp, out: &mut Out<'_>) {
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for key in self.order.clone() {
            let Some(run) = self.runs.get_mut(&key).filter(|run| run.stage == Stage::Queued) else {
                continue;
            };
            let terms = run.submission.terms.clone();
            // Whoever waits for its turn does not wait for nodes.
            let waits_for_turn = is_enough(&self.fleet, &terms, |_, node| suits(node, &terms))
                && !is_enough(&self.fleet, &terms, |name, node| fits(node, &terms) && !kept.contains(name));
            let since = self.first_since.entry(key).or_insert(now);
            if waits_for_turn {
                *since = now;
            }
            let since = *since;
            let over = terms.wait_ns.is_some_and(|wait_ns| now.nanos_since(since) >= wait_ns);
            match find(&self.fleet, &terms, &kept, over && terms.fewer) {
                Found::Enough(names) => run.choose(now, &names, &mut self.fleet, out),
                Found::TooFew(names) if over => {
                    let seconds = terms.wait_ns.unwrap_or(0) / NANOS_PER_SECOND;
                    let reason = format!(
                        "{} of {} nodes that fit were free within {seconds} s",
                        names.len(),
                        terms.nodes_least.max(1)
                    );
                    self.give_up(key, reason, out);
                }
                Found::TooFew(names) => {
                    run.waits(names.len(), terms.nodes_least);
                    kept.extend(names);
                }
            }
        }
        self.join(now, &kept, out);
    }

    fn give_up(&mut self, key: RunKey, reason: String, out: &mut Out<'_>) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        out.note(Some(key), reason.clone());
        let conclusion: Conclusion = early(ExitCode::Environment, reason);
        out.keep(Record::Concluded { run: key, conclusion: Box::new(conclusion.clone()) });
        run.conclusion = Some(Box::new(conclusion));
        run.stage = Stage::Concluded;
    }

    /// Nodes that nobody waits for join runs under way.
    fn join(&mut self, now: Timestamp, kept: &BTreeSet<String>, out: &mut Out<'_>) {
        for key in self.order.clone() {
            let Some(run) = self.runs.get_mut(&key) else { continue };
            let terms = run.submission.terms.clone();
            let names: Vec<String> = self
                .fleet
                .nodes
                .iter()
                .filter(|(name, node)| {
                    fits(node, &terms)
                        && node.granted
                        && !kept.contains(*name)
                        && !run.has(name, node.hello.incarnation)
                        && !run.expects_end_of(name)
                })
                .map(|(name, _)| name.clone())
                .collect();
            for name in names {
                if run.has_room(now) {
                    run.admit(now, &name, &mut self.fleet, out);
                }
            }
        }
    }
}

/// Whether a node could carry a run if it had no other.
fn suits(node: &Node, terms: &Terms) -> bool {
    let zone = node.hello.zone.as_deref();
    let in_zone = terms.zones.is_empty() || zone.is_some_and(|zone| terms.zones.contains_key(zone));
    node.is_steady() && node.has(&terms.labels) && in_zone
}

fn fits(node: &Node, terms: &Terms) -> bool {
    node.is_free() && suits(node, terms)
}

/// Whether there are enough nodes of some kind for a run, and one in each zone that it needs.
fn is_enough(fleet: &Fleet, terms: &Terms, kind: impl Fn(&str, &Node) -> bool) -> bool {
    let nodes = || fleet.nodes.iter().filter(|(name, node)| kind(name, node));
    let has_zone = |zone: &str| nodes().any(|(_, node)| node.hello.zone.as_deref() == Some(zone));
    let every_zone = terms.zones.iter().all(|(zone, part)| *part == 0 || has_zone(zone));
    nodes().count() >= terms.nodes_least.max(1) as usize && every_zone
}

fn find(fleet: &Fleet, terms: &Terms, kept: &BTreeSet<String>, fewer: bool) -> Found {
    let free = fleet.nodes.iter().filter(|(name, node)| fits(node, terms) && !kept.contains(*name));
    let mut names: Vec<String> = free.map(|(name, _)| name.clone()).collect();
    let zone_of = |name: &String| fleet.nodes.get(name).and_then(|node| node.hello.zone.clone());
    let zones: BTreeSet<String> = names.iter().filter_map(zone_of).collect();
    let every_zone = terms.zones.iter().all(|(zone, part)| *part == 0 || zones.contains(zone));
    let least = terms.nodes_least.max(1) as usize;
    let enough = names.len() >= least && every_zone;
    if enough || (fewer && !names.is_empty()) {
        if let Some(most) = terms.nodes_most {
            names.truncate((most as usize).max(least));
        }
        return Found::Enough(names);
    }
    Found::TooFew(names)
}
