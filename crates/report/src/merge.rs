//! Merging summaries: of shares of one plan run on several machines, or of several runs.
//!
//! What it is: exact. Counts are added, histograms decoded and added, rates computed anew over the longest time,
//! thresholds evaluated anew on the sums. Every other finding of a part stays a finding of the whole.
//! What it is not: a comparison; nothing is averaged.
//!
//! Invariants: the order of the parts and the grouping of merges change nothing; a part counts once. What differs
//! between parts that should agree is joined by ` + ` and noted.

mod figures;
mod rejudge;

pub(crate) use figures::entry;

use std::collections::{BTreeMap, BTreeSet};

use crate::build::{cpu_us_per_request, rate, throughput};
use crate::{
    Environment, Generator, Io, Link, MaxLag, MergeError, Part, PlanEcho, Run, SUMMARY_SCHEMA, Shard, Share,
    Summary, Target, fleet, journeys, sanitized,
};

/// Joins values that differ between parts.
const JOINT: &str = " + ";
/// Begins the notes that a merge writes, which the next merge writes anew.
const NOTE: &str = "merged: ";

/// The summary of all `summaries` together.
pub fn merge(summaries: &[Summary]) -> Result<Summary, MergeError> {
    let parts = distinct_parts(summaries)?;
    let first = summaries.first().ok_or(MergeError::Empty)?;
    if summaries.len() == 1 {
        return Ok(first.clone());
    }
    let run = merged_run(summaries, &parts);
    let audit = figures::audit(summaries);
    let completed = audit.ok.saturating_add(audit.errors_total());
    let warmup = figures::warmup(summaries);
    let mut whole = Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        verdict: first.verdict.clone(),
        rate: rate(&run, audit.scheduled, audit.sent, completed),
        target: merged_target(summaries),
        plan: merged_plan(summaries),
        environment: Environment::default(),
        generator: merged_generator(
            summaries,
            &parts,
            audit.sent.saturating_add(warmup.map_or(0, |warmup| warmup.sent)),
        ),
        latency_ns: figures::latencies(summaries)?,
        status: figures::sum_maps(summaries.iter().map(|summary| &summary.status)),
        bytes: figures::bytes(summaries),
        throughput: throughput(&run, figures::bytes(summaries), shared_link(summaries)),
        connections: figures::connections(summaries),
        names: figures::names(summaries)?,
        workloads: journeys::merged_workloads(summaries, &run)?,
        groups: journeys::merged_groups(summaries)?,
        checks: journeys::merged_checks(summaries)?,
        nodes: fleet::merged_nodes(summaries)?,
        zones: fleet::merged_zones(summaries)?,
        timeline: figures::timeline(summaries)?,
        thresholds: Vec::new(),
        tags: joined_maps(summaries.iter().map(|summary| &summary.tags)),
        run,
        audit,
        warmup,
        parts,
    };
    whole.environment = merged_environment(summaries, &whole);
    rejudge::rejudge(summaries, &mut whole)?;
    Ok(whole)
}

/// The parts of all summaries, sorted; a part given twice is an error.
fn distinct_parts(summaries: &[Summary]) -> Result<Vec<Part>, MergeError> {
    for summary in summaries {
        if summary.schema != SUMMARY_SCHEMA {
            return Err(MergeError::Schema { found: summary.schema.clone() });
        }
    }
    let mut parts: Vec<Part> = summaries.iter().flat_map(parts_of).collect();
    parts.sort();
    for pair in parts.windows(2) {
        let (left, right) = (&pair[0], &pair[1]);
        let same_share = left.id == right.id && left.share == right.share && is_partial(left.share);
        if left == right || same_share {
            return Err(MergeError::SamePart { part: part_text(left) });
        }
    }
    Ok(parts)
}

/// The parts that a summary covers; a document that names none is one part itself.
fn parts_of(summary: &Summary) -> Vec<Part> {
    if !summary.parts.is_empty() {
        return summary.parts.clone();
    }
    vec![Part {
        id: summary.run.id.clone(),
        share: summary.run.share,
        started_at: summary.run.started_at.clone(),
        host: summary.environment.host.clone(),
    }]
}

fn is_partial(share: Option<Share>) -> bool {
    share.is_some_and(|share| share.of > 1)
}

fn part_text(part: &Part) -> String {
    match part.share {
        Some(share) => format!("share {}/{} of run {}", share.index, share.of, sanitized(&part.id)),
        None => format!("run {} of {}", sanitized(&part.id), sanitized(&part.started_at)),
    }
}

fn merged_run(summaries: &[Summary], parts: &[Part]) -> Run {
    let runs = || summaries.iter().map(|summary| &summary.run);
    let longest = |pick: fn(&Run) -> f64| runs().map(pick).fold(0.0, f64::max);
    Run {
        id: joined(parts.iter().map(|part| part.id.as_str())),
        started_at: parts.iter().map(|part| part.started_at.clone()).min().unwrap_or_default(),
        duration_s: longest(|run| run.duration_s),
        elapsed_s: longest(|run| run.elapsed_s),
        warmup_s: longest(|run| run.warmup_s),
        tool_version: joined(runs().map(|run| run.tool_version.as_str())),
        io: Io {
            driver: joined(runs().map(|run| run.io.driver.as_str())),
            why: joined(runs().map(|run| run.io.why.as_str())),
        },
        cores: runs().fold(0, |sum, run| sum.saturating_add(run.cores)),
        kernel: joined(runs().map(|run| run.kernel.as_str())),
        pacing: joined(runs().map(|run| run.pacing.as_str())),
        share: None,
        under_way: runs().any(|run| run.under_way),
    }
}

fn merged_target(summaries: &[Summary]) -> Target {
    let targets = || summaries.iter().map(|summary| &summary.target);
    let addresses: BTreeSet<&String> = targets().flat_map(|target| &target.addresses).collect();
    Target {
        url: joined(targets().map(|target| target.url.as_str())),
        builtin: targets().any(|target| target.builtin),
        insecure: targets().any(|target| target.insecure),
        addresses: addresses.into_iter().cloned().collect(),
    }
}

fn merged_plan(summaries: &[Summary]) -> PlanEcho {
    let plans = || summaries.iter().map(|summary| &summary.plan);
    let seeds: BTreeSet<Option<u64>> = plans().map(|plan| plan.seed).collect();
    PlanEcho {
        schedule: joined(plans().map(|plan| plan.schedule.as_str())),
        process: joined(plans().map(|plan| plan.process.as_str())),
        seed: if seeds.len() == 1 { seeds.into_iter().next().flatten() } else { None },
        settings: joined_maps(plans().map(|plan| &plan.settings)),
    }
}

/// The link of all parts, where they ran on one host and it was the same.
fn shared_link(summaries: &[Summary]) -> Option<Link> {
    let of = |summary: &Summary| (summary.environment.host.clone(), summary.throughput.link.clone());
    let first = of(summaries.first()?);
    summaries.iter().all(|summary| of(summary) == first).then_some(first.1)?
}

/// Hosts and notes, and what the reader of the whole must know about its parts.
fn merged_environment(summaries: &[Summary], whole: &Summary) -> Environment {
    let mut notes: BTreeSet<String> = summaries
        .iter()
        .flat_map(|summary| summary.environment.notes.iter())
        .filter(|note| !note.starts_with(NOTE))
        .cloned()
        .collect();
    let mut differs = |what: &str, value: &str| {
        if value.contains(JOINT) {
            notes.insert(format!("{NOTE}the parts differ in {what}: {value}"));
        }
    };
    differs("the target", &whole.target.url);
    differs("the schedule", &whole.plan.schedule);
    differs("the arrival process", &whole.plan.process);
    differs("the program's version", &whole.run.tool_version);
    for (name, value) in &whole.plan.settings {
        differs(&format!("the setting {name}"), value);
    }
    if whole.timeline.iter().any(|second| second.response_ns.p99.is_none()) {
        notes.insert(format!("{NOTE}a part has no histograms by second, so the timeline has no percentiles"));
    }
    notes.extend(missing_shares(&whole.parts));
    Environment {
        host: joined(whole.parts.iter().map(|part| part.host.as_str())),
        notes: notes.into_iter().collect(),
    }
}

/// A note when shares of a plan are missing, or shares of different cuts are mixed.
fn missing_shares(parts: &[Part]) -> Option<String> {
    let shares: BTreeSet<Share> = parts.iter().filter_map(|part| part.share).collect();
    let of = shares.first()?.of;
    if shares.iter().any(|share| share.of != of) || parts.iter().any(|part| part.share.is_none()) {
        return Some(format!("{NOTE}the parts are not equal shares of one plan"));
    }
    // A plan may be cut into very many shares; what is missing is counted, not listed.
    let missing = u64::from(of).saturating_sub(shares.len() as u64);
    (missing > 0).then(|| format!("{NOTE}{missing} of {of} shares of the plan are missing"))
}

fn merged_generator(summaries: &[Summary], parts: &[Part], sent: u64) -> Generator {
    let generators = || summaries.iter().map(|summary| &summary.generator);
    // Summed in the order of the shards, because adding fractions in another order may round differently.
    let mut shards: Vec<Shard> =
        summaries.iter().flat_map(|summary| numbered_shards(summary, parts)).collect();
    shards.sort_by_key(|shard| (shard.node, shard.shard));
    let cpu_s = shards.iter().map(|shard| shard.cpu_s).sum();
    Generator {
        cpu_s,
        cpu_us_per_request: cpu_us_per_request(cpu_s, sent),
        lag_p99_worst_second_ns: generators().map(|one| one.lag_p99_worst_second_ns).max().unwrap_or(0),
        max_lag: generators().filter_map(|one| one.max_lag).reduce(|left, right| MaxLag {
            any_ns: left.any_ns.min(right.any_ns),
            second_p99_ns: left.second_p99_ns.min(right.second_p99_ns),
        }),
        core_wait_share: shards.iter().map(|shard| shard.core_wait_share).fold(0.0, f64::max),
        shards,
    }
}

/// The shards of a summary, each with the place of its part among all parts as its node.
fn numbered_shards(summary: &Summary, parts: &[Part]) -> Vec<Shard> {
    let own = parts_of(summary);
    let place = |shard: &Shard| {
        let part = own.get(shard.node as usize).or(own.first())?;
        parts.iter().position(|known| known == part).and_then(|position| u32::try_from(position).ok())
    };
    let number = |shard: &Shard| Shard { node: place(shard).unwrap_or(shard.node), ..shard.clone() };
    summary.generator.shards.iter().map(number).collect()
}

/// The different values, sorted, joined.
fn joined<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let distinct: BTreeSet<&str> =
        values.flat_map(|value| value.split(JOINT)).filter(|value| !value.is_empty()).collect();
    distinct.into_iter().collect::<Vec<_>>().join(JOINT)
}

pub(crate) fn joined_maps<'a>(
    maps: impl Iterator<Item = &'a BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (key, value) in maps.flatten() {
        all.entry(key.clone()).or_default().push(value);
    }
    all.into_iter().map(|(key, values)| (key, joined(values.into_iter()))).collect()
}
