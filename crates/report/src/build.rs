//! Documents from what was measured.
//!
//! What it is: the only place that turns totals into a summary's figures.
//! What it is not: a judge; the verdict is handed in.

use std::collections::BTreeMap;

use measure::{Counters, DropReason, ErrorClass, Gauges, NameTotals, Named, Names, ShardTotals, Totals};

use crate::{
    Audit, Bytes, Connections, Environment, Generator, Judgement, Latencies, LatencyEntry, Link, MaxLag,
    Name, NameLatencies, Part, PlanEcho, Rate, Run, SUMMARY_SCHEMA, Second, SecondLatency, Shard, Summary,
    Target, Threshold, Throughput, Verdict, Warmup, journeys,
};

/// What a summary needs beside totals, timeline and verdict; the engine fills it in.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    /// The run and what it ran on.
    pub run: Run,
    /// What was loaded.
    pub target: Target,
    /// What was asked for.
    pub plan: PlanEcho,
    /// The host and its notes.
    pub environment: Environment,
    /// The plan's names.
    pub names: Names,
    /// The core of each shard, by the shard's number; `None` where pinning was refused.
    pub cores: Vec<Option<u32>>,
    /// The link that leads to the target.
    pub link: Option<Link>,
    /// How many connections may be open at once.
    pub connections_limit: u64,
    /// The 99th percentile of schedule lag in the worst second.
    pub lag_p99_worst_second_ns: u64,
    /// From which schedule lag on the run is untrustworthy.
    pub max_lag: Option<plan::MaxLag>,
    /// The user's own labels.
    pub tags: BTreeMap<String, String>,
}

impl Summary {
    /// The summary of a run that has ended.
    pub fn new(facts: &RunFacts, totals: &Totals, timeline: Vec<Second>, judged: &verdict::Verdict) -> Self {
        let counters = &totals.counters;
        let run = facts.run.clone();
        let mut environment = facts.environment.clone();
        environment.notes.extend(journeys::note(&facts.names));
        let part = Part {
            id: run.id.clone(),
            share: run.share,
            started_at: run.started_at.clone(),
            host: facts.environment.host.clone(),
        };
        Self {
            schema: SUMMARY_SCHEMA.to_owned(),
            verdict: judged.into(),
            target: facts.target.clone(),
            plan: facts.plan.clone(),
            environment,
            audit: audit(totals),
            warmup: (totals.warmup.scheduled > 0).then(|| warmup(&totals.warmup)),
            rate: rate(&run, counters.scheduled, counters.sent, counters.completed()),
            latency_ns: Latencies::from(totals),
            status: status(&facts.names, counters),
            bytes: Bytes { sent: counters.bytes_sent, received: counters.bytes_received },
            throughput: throughput(
                &run,
                Bytes { sent: counters.bytes_sent, received: counters.bytes_received },
                facts.link.clone(),
            ),
            connections: Connections {
                limit: facts.connections_limit,
                connects: counters.connects,
                failed: counters.connects_failed,
                tls_resumed: counters.tls_resumed,
                closed_idle: counters.closed_idle,
                unsolicited: counters.unsolicited,
            },
            generator: generator(facts, totals),
            names: name_entries(&facts.names, totals),
            workloads: journeys::workloads(&facts.names, totals, run.duration_s, run.elapsed_s, true),
            groups: journeys::groups(&facts.names, totals),
            checks: journeys::checks(&facts.names, totals),
            nodes: BTreeMap::new(),
            zones: BTreeMap::new(),
            timeline,
            thresholds: judged.thresholds.iter().map(Threshold::from).collect(),
            tags: facts.tags.clone(),
            parts: vec![part],
            run,
        }
    }
}

/// One second of the timeline. Histograms make later merges exact and are nearly all of its size, some 10 KB at 20,000
/// requests; a run of many hours goes without.
pub fn second(index: u64, totals: &Totals, gauges: Gauges, keep_histograms: bool) -> Second {
    let counters = &totals.counters;
    Second {
        second: index,
        asked: counters.scheduled,
        asked_micro_tps: None,
        sent: counters.sent,
        ok: counters.ok,
        errors: counters.errors_total(),
        dropped: counters.dropped_total(),
        in_flight: u64::from(gauges.in_flight),
        connections: u64::from(gauges.connections),
        bytes_sent: counters.bytes_sent,
        bytes_received: counters.bytes_received,
        response_ns: SecondLatency::new(&totals.latency(measure::Latency::Response), keep_histograms),
        lag_ns: SecondLatency::new(&totals.lag, keep_histograms),
    }
}

impl From<&verdict::Verdict> for Verdict {
    fn from(judged: &verdict::Verdict) -> Self {
        Self {
            result: judged.result.into(),
            exit_code: judged.exit_code.code(),
            reasons: judged.reasons.clone(),
            codes: judged.codes.iter().map(|code| code.code()).collect(),
        }
    }
}

impl From<verdict::Outcome> for Judgement {
    fn from(outcome: verdict::Outcome) -> Self {
        match outcome {
            verdict::Outcome::Pass => Self::Pass,
            verdict::Outcome::Fail => Self::Fail,
            verdict::Outcome::Untrustworthy => Self::Untrustworthy,
            verdict::Outcome::Aborted => Self::Aborted,
            verdict::Outcome::Error => Self::Error,
        }
    }
}

impl From<&verdict::ThresholdResult> for Threshold {
    fn from(result: &verdict::ThresholdResult) -> Self {
        Self {
            threshold: result.threshold.to_string(),
            passed: result.passed,
            measured: result.measured_text(),
            value: match result.measured {
                verdict::Measured::Value(value) => Some(value),
                verdict::Measured::Infinite | verdict::Measured::Nothing => None,
            },
            at_s: result.at_s,
            aborted: result.aborted,
        }
    }
}

/// Requests per second from the run's times.
pub(crate) fn rate(run: &Run, scheduled: u64, sent: u64, completed: u64) -> Rate {
    let per_second = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    // A run may end before its plan does, but exchanges never end before they are sent.
    let elapsed_s = if run.elapsed_s > 0.0 { run.elapsed_s } else { run.duration_s };
    Rate {
        asked_tps: per_second(scheduled, run.duration_s),
        sent_tps: per_second(sent, run.duration_s),
        completed_tps: per_second(completed, elapsed_s),
    }
}

/// Bits per second from the run's times.
pub(crate) fn throughput(run: &Run, bytes: Bytes, link: Option<Link>) -> Throughput {
    let elapsed_s = if run.elapsed_s > 0.0 { run.elapsed_s } else { run.duration_s };
    let bits = |bytes: u64| if elapsed_s > 0.0 { bytes as f64 * 8.0 / elapsed_s } else { 0.0 };
    Throughput { sent_bits_per_s: bits(bytes.sent), received_bits_per_s: bits(bytes.received), link }
}

/// Processor time per request, in microseconds; 0 without requests.
pub(crate) fn cpu_us_per_request(cpu_s: f64, sent: u64) -> f64 {
    if sent == 0 { 0.0 } else { cpu_s * 1e6 / sent as f64 }
}

pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Every reason with its count, also where it is 0, so that readers find a fixed set of keys.
pub(crate) fn dropped(counters: &Counters) -> BTreeMap<String, u64> {
    DropReason::ALL.iter().map(|reason| (reason.name().to_owned(), counters.dropped_for(*reason))).collect()
}

/// The classes that occurred, with their counts.
pub(crate) fn errors(counts: &[u64; ErrorClass::COUNT]) -> BTreeMap<String, u64> {
    ErrorClass::ALL
        .iter()
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(class, count)| (class.name().to_owned(), *count))
        .collect()
}

pub(crate) fn status(names: &Names, counters: &Counters) -> BTreeMap<String, u64> {
    counters.status.iter().map(|(code, count)| (names.status(code), count)).collect()
}

pub(crate) fn name_entries(names: &Names, totals: &Totals) -> BTreeMap<String, Name> {
    let entry = |named: &Named, total: &NameTotals| Name {
        sent: total.sent,
        ok: total.ok_count,
        errors: errors(&total.errors),
        cut_off: total.cut_off,
        dropped: DropReason::ALL
            .iter()
            .filter(|reason| total.dropped[reason.index()] > 0)
            .map(|reason| (reason.name().to_owned(), total.dropped[reason.index()]))
            .collect(),
        status: total.status.iter().map(|(code, count)| (code.to_string(), count)).collect(),
        latency_ns: NameLatencies {
            response: LatencyEntry::from(&total.response()),
            response_ok: LatencyEntry::from(&total.ok),
            service: LatencyEntry::from(&total.service),
        },
        tags: named.tags.clone(),
    };
    let pairs = names.requests.iter().zip(&totals.names);
    pairs.map(|(named, total)| (named.name.clone(), entry(named, total))).collect()
}

fn audit(totals: &Totals) -> Audit {
    let counters = &totals.counters;
    Audit {
        scheduled: counters.scheduled,
        sent: counters.sent,
        dropped: dropped(counters),
        ok: counters.ok,
        errors: errors(&counters.errors),
        cut_off: counters.cut_off,
        unassigned: counters.unassigned,
        balanced: totals.balanced(),
    }
}

fn warmup(counters: &Counters) -> Warmup {
    let audit = counters.audit();
    Warmup {
        scheduled: audit.scheduled,
        sent: audit.sent,
        dropped: audit.dropped,
        ok: audit.ok,
        errors: audit.errors,
        cut_off: audit.cut_off,
        unassigned: audit.unassigned,
    }
}

fn generator(facts: &RunFacts, totals: &Totals) -> Generator {
    let cpu_s = seconds(totals.cpu_ns());
    let sent = totals.counters.sent.saturating_add(totals.warmup.sent);
    Generator {
        cpu_s,
        cpu_us_per_request: cpu_us_per_request(cpu_s, sent),
        lag_p99_worst_second_ns: facts.lag_p99_worst_second_ns,
        max_lag: facts.max_lag.map(|max| MaxLag { any_ns: max.any_ns, second_p99_ns: max.second_p99_ns }),
        core_wait_share: totals.shards.iter().map(ShardTotals::core_wait_share).fold(0.0, f64::max),
        shards: totals.shards.iter().map(|shard| shard_entry(facts, shard)).collect(),
    }
}

fn shard_entry(facts: &RunFacts, shard: &ShardTotals) -> Shard {
    Shard {
        node: shard.node,
        shard: shard.shard,
        core: facts.cores.get(shard.shard as usize).copied().flatten(),
        scheduled: shard.scheduled,
        sent: shard.sent,
        completed: shard.completed,
        cpu_s: seconds(shard.cpu_ns),
        core_wait_share: shard.core_wait_share(),
        lag_p99_ns: shard.lag.value_at_quantile(0.99),
        lag_max_ns: shard.lag.max_ns(),
    }
}
