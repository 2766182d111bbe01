//! The parts of a run that several engines carried out together: by node and by zone.
//!
//! What it is: the sections `nodes` and `zones` of the summary, and their merge. What it is not: in a summary of one engine.
//!
//! Invariant: the counts of all nodes sum to those of the audit, but for what nobody owned.

use std::collections::{BTreeMap, BTreeSet};

use measure::{Counters, Histogram};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::{dropped, errors, seconds};
use crate::merge::entry;
use crate::{LatencyEntry, MergeError, Summary};

/// One node of a fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its host.
    pub host: String,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How many lives it had in the run: one more for every time that its process began anew.
    pub lives: u32,
    /// Cells, of 55,440, that it was given first.
    pub cells: u32,
    /// What it did.
    pub totals: PartTotals,
    /// Processor time of its shards, in seconds.
    pub cpu_s: f64,
    /// Its first request left so long after it was due; below zero, within the uncertainty, before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_skew_ns: Option<i64>,
    /// How far that may be off, either way: how well its clock was known at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_uncertainty_ns: Option<u64>,
    /// By when it had been lost, in seconds from the plan's zero; absent where it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_at_s: Option<f64>,
    /// Recovered after a kill: so many of its requests were counted by a life that was killed before it could tell of them.
    /// Their latencies are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<u64>,
}

/// One zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Zone {
    /// Its nodes.
    pub nodes: u32,
    /// Cells, of 55,440, that they were given first.
    pub cells: u32,
    /// What they did.
    pub totals: PartTotals,
}

/// What some of a fleet did: `scheduled = sent + dropped` and `sent = ok + errors + cut_off`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartTotals {
    /// Arrivals that were due in their cells.
    pub scheduled: u64,
    /// Requests sent.
    pub sent: u64,
    /// Exchanges that succeeded.
    pub ok: u64,
    /// Exchanges that failed, by class.
    pub errors: BTreeMap<String, u64>,
    /// Arrivals never sent, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Exchanges unfinished at the end.
    pub cut_off: u64,
    /// Response time, in nanoseconds.
    pub response_ns: LatencyEntry,
    /// Schedule lag, in nanoseconds.
    pub lag_ns: LatencyEntry,
}

impl PartTotals {
    /// From sums.
    pub fn new(counters: &Counters, response: &Histogram, lag: &Histogram) -> Self {
        Self {
            scheduled: counters.scheduled,
            sent: counters.sent,
            ok: counters.ok,
            errors: errors(&counters.errors),
            dropped: dropped(counters),
            cut_off: counters.cut_off,
            response_ns: response.into(),
            lag_ns: lag.into(),
        }
    }
}

/// Nanoseconds of the run as the sections have them.
pub fn lost_at_s(by_ns: u64) -> f64 {
    seconds(by_ns)
}

/// The nodes of all summaries; one that is in several did what it did in all of them.
pub(crate) fn merged_nodes(summaries: &[Summary]) -> Result<BTreeMap<String, Node>, MergeError> {
    let mut merged = BTreeMap::new();
    for key in keys(summaries.iter().map(|summary| &summary.nodes)) {
        let all: Vec<(&Summary, &Node)> =
            summaries.iter().filter_map(|summary| Some((summary, summary.nodes.get(key)?))).collect();
        let Some(((_, first), rest)) = all.split_first() else { continue };
        let mut whole = (*first).clone();
        for (_, node) in rest {
            whole.lives = whole.lives.saturating_add(node.lives);
            whole.cells = whole.cells.max(node.cells);
            whole.cpu_s += node.cpu_s;
            if let Some(more) = node.recovered {
                whole.recovered = Some(whole.recovered.unwrap_or(0).saturating_add(more));
            }
            whole.lost_at_s = whole.lost_at_s.or(node.lost_at_s);
            // The worst start is worth knowing.
            let late = |node: &Node| node.start_skew_ns.map(i64::unsigned_abs);
            if late(node) > late(&whole) {
                whole.start_skew_ns = node.start_skew_ns;
                whole.start_uncertainty_ns = node.start_uncertainty_ns;
            }
        }
        let pairs: Vec<(&Summary, &PartTotals)> =
            all.iter().map(|(summary, node)| (*summary, &node.totals)).collect();
        whole.totals = merged_did("nodes", key, &pairs)?;
        merged.insert(key.clone(), whole);
    }
    Ok(merged)
}

/// The zones of all summaries.
pub(crate) fn merged_zones(summaries: &[Summary]) -> Result<BTreeMap<String, Zone>, MergeError> {
    let mut merged = BTreeMap::new();
    for key in keys(summaries.iter().map(|summary| &summary.zones)) {
        let all: Vec<(&Summary, &Zone)> =
            summaries.iter().filter_map(|summary| Some((summary, summary.zones.get(key)?))).collect();
        let pairs: Vec<(&Summary, &PartTotals)> =
            all.iter().map(|(summary, zone)| (*summary, &zone.totals)).collect();
        let whole = Zone {
            nodes: all.iter().map(|(_, zone)| zone.nodes).max().unwrap_or(0),
            cells: all.iter().map(|(_, zone)| zone.cells).max().unwrap_or(0),
            totals: merged_did("zones", key, &pairs)?,
        };
        merged.insert(key.clone(), whole);
    }
    Ok(merged)
}

fn keys<'a, T: 'a>(maps: impl Iterator<Item = &'a BTreeMap<String, T>>) -> BTreeSet<&'a String> {
    maps.flat_map(BTreeMap::keys).collect()
}

fn merged_did(section: &str, key: &str, all: &[(&Summary, &PartTotals)]) -> Result<PartTotals, MergeError> {
    let sum =
        |pick: fn(&PartTotals) -> u64| all.iter().fold(0_u64, |sum, (_, did)| sum.saturating_add(pick(did)));
    let maps = |pick: fn(&PartTotals) -> &BTreeMap<String, u64>| {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (name, count) in all.iter().flat_map(|(_, did)| pick(did)) {
            let sum = sums.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        sums
    };
    let latency = |kind: &str, pick: fn(&PartTotals) -> &LatencyEntry| {
        entry(&format!("{section}.{key}.{kind}"), all.iter().map(|(summary, did)| (*summary, pick(did))))
    };
    Ok(PartTotals {
        scheduled: sum(|did| did.scheduled),
        sent: sum(|did| did.sent),
        ok: sum(|did| did.ok),
        errors: maps(|did| &did.errors),
        dropped: maps(|did| &did.dropped),
        cut_off: sum(|did| did.cut_off),
        response_ns: latency("response_ns", |did| &did.response_ns)?,
        lag_ns: latency("lag_ns", |did| &did.lag_ns)?,
    })
}
