//! `openloop.summary/1`: what a run was, did and found.
//!
//! What it is: the document's types; serde and the JSON Schema derive from them.
//! What it is not: the computation of any figure; that is `build.rs` and `merge.rs`.
//!
//! Invariants: names and units are a contract; counts cover the time after the warm-up; unknown fields are ignored
//! when a document is read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Check, Group, Latencies, LatencyEntry, MergeError, Node, SecondLatency, Workload, Zone, sanitized,
};

/// The name and number of the summary document.
pub const SUMMARY_SCHEMA: &str = "openloop.summary/1";

/// The summary of a run, or of several merged ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// `openloop.summary/1`.
    pub schema: String,
    /// The judgement.
    pub verdict: Verdict,
    /// The run and what it ran on.
    pub run: Run,
    /// What was loaded.
    pub target: Target,
    /// What was asked for.
    #[serde(default)]
    pub plan: PlanEcho,
    /// The host and what it had to say before the run.
    #[serde(default)]
    pub environment: Environment,
    /// Where every arrival went.
    pub audit: Audit,
    /// What the warm-up did; it is in no other figure. Absent without a warm-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    /// Requests per second.
    pub rate: Rate,
    /// Distributions, in nanoseconds.
    pub latency_ns: Latencies,
    /// Responses by status code, or by what their protocol calls their statuses; `"0"` counts what is no three-digit code.
    pub status: BTreeMap<String, u64>,
    /// Bytes on the transport.
    pub bytes: Bytes,
    /// Bits per second on the transport, and the link that carried them.
    #[serde(default)]
    pub throughput: Throughput,
    /// What became of connections.
    #[serde(default)]
    pub connections: Connections,
    /// The generator's own health.
    pub generator: Generator,
    /// By request name.
    pub names: BTreeMap<String, Name>,
    /// By workload; absent in plans of plain requests, as are groups and checks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workloads: BTreeMap<String, Workload>,
    /// By group of steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
    /// By check.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Check>,
    /// By node, where a fleet carried the run out; absent for one engine, as are zones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, Node>,
    /// By zone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zones: BTreeMap<String, Zone>,
    /// By second, from the begin of the measured time.
    pub timeline: Vec<Second>,
    /// What had to hold.
    pub thresholds: Vec<Threshold>,
    /// The user's own labels.
    pub tags: BTreeMap<String, String>,
    /// The runs, or shares of one, that this summary covers: one, or after a merge several.
    #[serde(default)]
    pub parts: Vec<Part>,
}

/// The judgement in one word.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
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

/// The judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// In one word.
    pub result: Judgement,
    /// The exit code of the program.
    pub exit_code: u8,
    /// Why, the deciding reason first.
    pub reasons: Vec<String>,
    /// The exit code that each of `reasons` alone would give.
    #[serde(default)]
    pub codes: Vec<u8>,
}

/// The run and what it ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The run's id.
    pub id: String,
    /// When it started: RFC 3339, UTC.
    pub started_at: String,
    /// Seconds of the measured time during which arrivals were due.
    pub duration_s: f64,
    /// Seconds from the begin of the measured time to the end of the last exchange.
    #[serde(default)]
    pub elapsed_s: f64,
    /// Seconds of warm-up before the measured time.
    #[serde(default)]
    pub warmup_s: f64,
    /// Version of the program.
    pub tool_version: String,
    /// The I/O driver.
    pub io: Io,
    /// Cores that sent load.
    pub cores: u32,
    /// Release of the kernel.
    pub kernel: String,
    /// How the generator waits for the next arrival.
    #[serde(default)]
    pub pacing: String,
    /// The share of the plan that this run was; absent for the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Whether the run went on when this was written: then it tells of the complete seconds so far, judges them alone, and counts
    /// exchanges in flight as cut off. Absent once it is over.
    #[serde(default, skip_serializing_if = "is_false")]
    pub under_way: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The I/O driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Io {
    /// `io_uring` or `epoll`.
    pub driver: String,
    /// Why this one.
    #[serde(default)]
    pub why: String,
}

/// The i-th of n equal shares of a plan.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Which, from 1 on.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The URL, without credentials.
    pub url: String,
    /// Whether it was the built-in target.
    pub builtin: bool,
    /// Whether certificates were not checked (`--insecure`).
    #[serde(default)]
    pub insecure: bool,
    /// The addresses that were loaded: those of the host name, or a Unix socket as `unix:PATH`.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanEcho {
    /// The schedule in the words of the command line, such as `50000/s for 30s` or the stages.
    pub schedule: String,
    /// The law spacing the arrivals: `deterministic`, `poisson`, or `users` for the closed model.
    pub process: String,
    /// Seed of the Poisson arrivals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The other settings by name, those that have a default included.
    pub settings: BTreeMap<String, String>,
}

/// The host and what it had to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Name of the host.
    pub host: String,
    /// Findings worth knowing when figures look odd, one sentence each.
    pub notes: Vec<String>,
}

/// Where every arrival went: `scheduled = sent + dropped + unassigned` and `sent = ok + errors + cut_off`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Arrivals that the plan had due.
    pub scheduled: u64,
    /// Requests sent.
    pub sent: u64,
    /// Arrivals never sent, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Exchanges that succeeded.
    pub ok: u64,
    /// Exchanges that failed, by class.
    pub errors: BTreeMap<String, u64>,
    /// Exchanges unfinished when the run ended.
    pub cut_off: u64,
    /// Arrivals of shares that nobody owned.
    pub unassigned: u64,
    /// Whether both sums hold, the warm-up included.
    pub balanced: bool,
}

impl Audit {
    /// Arrivals never sent, for any reason.
    pub fn dropped_total(&self) -> u64 {
        total(&self.dropped)
    }

    /// Exchanges that failed, in any way.
    pub fn errors_total(&self) -> u64 {
        total(&self.errors)
    }
}

/// What the warm-up did.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warmup {
    /// Arrivals that the plan had due.
    pub scheduled: u64,
    /// Requests sent.
    pub sent: u64,
    /// Arrivals never sent.
    pub dropped: u64,
    /// Exchanges that succeeded.
    pub ok: u64,
    /// Exchanges that failed.
    pub errors: u64,
    /// Exchanges unfinished when the run ended.
    pub cut_off: u64,
    /// Arrivals of shares that nobody owned.
    pub unassigned: u64,
}

/// Requests per second of the measured time.
#[derive(Copy, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Arrivals due, per second of `duration_s`.
    pub asked_tps: f64,
    /// Requests sent, per second of `duration_s`.
    pub sent_tps: f64,
    /// Exchanges ended, well or not, per second of `elapsed_s`.
    pub completed_tps: f64,
}

/// Bytes on the transport, TLS included.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bytes {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

/// Bits per second on the transport: HTTP with its heads, and TLS, without the headers of TCP, IP and the link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throughput {
    /// Sent, per second of `elapsed_s`.
    pub sent_bits_per_s: f64,
    /// Received, per second of `elapsed_s`.
    pub received_bits_per_s: f64,
    /// The link that leads to the target; absent where there are several, or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Its name.
    pub interface: String,
    /// What the kernel says of its speed; absent where it has none, as loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_bits_per_s: Option<u64>,
}

/// What became of connections.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// How many may be open at once.
    pub limit: u64,
    /// Connects begun.
    pub connects: u64,
    /// Connects, TLS handshakes included, that failed.
    pub failed: u64,
    /// TLS handshakes that resumed an earlier session.
    pub tls_resumed: u64,
    /// Connections that the peer closed while no exchange was on them.
    pub closed_idle: u64,
    /// Times that bytes came while no response was due.
    #[serde(default)]
    pub unsolicited: u64,
}

/// The generator's own health.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// Processor time of all shards, in seconds.
    pub cpu_s: f64,
    /// Processor time per request sent, in microseconds, the warm-up's requests included.
    pub cpu_us_per_request: f64,
    /// The 99th percentile of schedule lag in the worst second, in nanoseconds.
    #[serde(default)]
    pub lag_p99_worst_second_ns: u64,
    /// From which schedule lag on the run is untrustworthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lag: Option<MaxLag>,
    /// The share of the time for which a shard could have run and had no core, of the shard that had the most.
    #[serde(default)]
    pub core_wait_share: f64,
    /// By shard.
    pub shards: Vec<Shard>,
}

/// From which schedule lag on a run is untrustworthy.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MaxLag {
    /// For any single arrival, in nanoseconds.
    pub any_ns: u64,
    /// For the 99th percentile of any second, in nanoseconds.
    pub second_p99_ns: u64,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shard {
    /// Its engine.
    #[serde(default)]
    pub node: u32,
    /// Its number in the engine.
    pub shard: u32,
    /// The core that it was pinned to; absent where pinning was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<u32>,
    /// Arrivals that were due in its share.
    pub scheduled: u64,
    /// Requests that it sent.
    pub sent: u64,
    /// Exchanges that ended on it.
    pub completed: u64,
    /// Processor time of its thread, in seconds.
    pub cpu_s: f64,
    /// The share of the time for which its thread could have run and had no core.
    #[serde(default)]
    pub core_wait_share: f64,
    /// 99th percentile of its schedule lag.
    pub lag_p99_ns: u64,
    /// Greatest schedule lag.
    pub lag_max_ns: u64,
}

/// One request name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Name {
    /// Requests sent.
    pub sent: u64,
    /// Exchanges that succeeded.
    pub ok: u64,
    /// Exchanges that failed, by class.
    pub errors: BTreeMap<String, u64>,
    /// Exchanges unfinished when the run ended.
    pub cut_off: u64,
    /// Arrivals never sent, by reason; those that occurred.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
    /// Responses by status code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub status: BTreeMap<String, u64>,
    /// Distributions, in nanoseconds.
    pub latency_ns: NameLatencies,
    /// The user's own labels of the name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// The latencies that are measured by request name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NameLatencies {
    /// Intended send time to the last response byte or to the failure.
    pub response: LatencyEntry,
    /// The response time of the exchanges that succeeded.
    pub response_ok: LatencyEntry,
    /// Actual send to the last response byte.
    pub service: LatencyEntry,
}

/// One second of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Second {
    /// Which, counted from 0 at the begin of the measured time.
    pub second: u64,
    /// Arrivals due in it.
    pub asked: u64,
    /// Arrivals that the plan asks for in its middle, in millionths per second, changes of the rate while it ran included;
    /// of a plan file, iterations. Absent where there are users alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_micro_tps: Option<u64>,
    /// Requests sent in it.
    pub sent: u64,
    /// Exchanges that succeeded in it.
    pub ok: u64,
    /// Exchanges that failed in it.
    pub errors: u64,
    /// Arrivals given up in it.
    pub dropped: u64,
    /// Exchanges in flight at its end.
    pub in_flight: u64,
    /// Connections open at its end.
    pub connections: u64,
    /// Bytes sent in it.
    pub bytes_sent: u64,
    /// Bytes received in it.
    pub bytes_received: u64,
    /// Response time of the exchanges that ended in it.
    pub response_ns: SecondLatency,
    /// Schedule lag of the arrivals that the shards got to in it.
    pub lag_ns: SecondLatency,
}

/// Something that had to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// As it was written, such as `p99<50ms`.
    pub threshold: String,
    /// Whether it holds.
    pub passed: bool,
    /// What was measured, for people.
    pub measured: String,
    /// What was measured, in nanoseconds, billionths, millionths per second or counts, as the metric has it; absent
    /// where arrivals without a response make it infinite, or nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// End of the window that was worst, in seconds from the begin of the measured time; absent where the whole run was
    /// judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_s: Option<u64>,
    /// Whether it ended the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aborted: bool,
}

/// A run, or a share of one, that a summary covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// The run's id.
    pub id: String,
    /// The share of the plan; absent for the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// When it started.
    pub started_at: String,
    /// The host that it ran on.
    pub host: String,
}

impl Summary {
    /// Reads a summary.
    pub fn parse(text: &str) -> Result<Self, MergeError> {
        #[derive(Deserialize)]
        struct Named {
            schema: String,
        }
        // The reason may quote the document.
        let unreadable =
            |error: serde_json::Error| MergeError::Unreadable { reason: sanitized(&error.to_string()) };
        let named: Named = serde_json::from_str(text).map_err(unreadable)?;
        if named.schema != SUMMARY_SCHEMA {
            return Err(MergeError::Schema { found: named.schema });
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    /// The document as indented JSON with a line end.
    #[expect(clippy::missing_panics_doc, reason = "string keys and numbers always serialise")]
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a summary has only string keys and numbers");
        text.push('\n');
        text
    }
}

/// Sum of a map of counts.
pub(crate) fn total(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}
