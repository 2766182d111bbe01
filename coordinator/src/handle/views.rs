//! How the fleet looks from outside: the documents of the HTTP API.
//!
//! What it is: plain data with JSON Schemas.
//! What it is not: the state that decisions are made of; these are copies for people and programs.
//!
//! Invariants: a field keeps its name, unit and meaning within `/api/v1`. Counts cover the measured time, as in
//! `openloop.summary/1`. Nothing here holds a secret.
//! Units: those of the names; `cells` are of 55,440.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a run: 128 bits in 32 hexadecimal digits. Later runs of one coordinator have greater ones.
#[derive(Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub wire::RunKey);

/// The fleet as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetView {
    /// Version of the coordinator's program.
    pub version: String,
    /// Rises with every start of the coordinator.
    pub term: u64,
    /// When this life of it began: RFC 3339, UTC.
    pub started_at: String,
    /// Whether it takes requests: its history is loaded and its disk takes records.
    pub ready: bool,
    /// Why not; empty when it is ready.
    pub why_not_ready: String,
    /// Every node that is known, rising by name; lost ones too.
    pub nodes: Vec<NodeView>,
    /// Runs that have not ended, in the order of the queue, and those that ended in the last minute.
    pub runs: Vec<RunView>,
}

/// What a node is doing.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Connected and free.
    #[default]
    Ready,
    /// Reads a plan and gets its files.
    Preparing,
    /// Waits for the start.
    Armed,
    /// Sends load.
    Running,
    /// Gives its cells up.
    Draining,
    /// Takes no more runs until it is taken back.
    Drained,
    /// Its beats are missing; its lease has not ended yet.
    Suspect,
    /// Its lease has ended.
    Lost,
    /// It reported what cannot be; nothing of it is believed.
    Quarantined,
    /// It said good-bye.
    Gone,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: NodeState,
    /// Why it is in this state, where that is not plain.
    pub why: String,
    /// Which of its lives.
    pub incarnation: u64,
    /// Whether a connection to it stands.
    pub connected: bool,
    /// Where it stands.
    pub zone: Option<String>,
    /// Its other labels.
    pub labels: BTreeMap<String, String>,
    /// Its host.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Version of its program.
    pub version: String,
    /// Cores that it loads from.
    pub cores: u32,
    /// Arrivals per second that it says it can carry.
    pub capacity_tps: Option<f64>,
    /// Milliseconds since its last sign of life.
    pub silent_ms: u64,
    /// By how much its monotonic clock is ahead of the coordinator's, in nanoseconds.
    pub clock_ahead_ns: Option<i64>,
    /// How far that may be off, either way.
    pub clock_uncertainty_ns: Option<u64>,
    /// The run that it works for.
    pub run: Option<RunId>,
    /// 99th percentile of its schedule lag in the last second.
    pub lag_p99_ns: u64,
    /// Thousandths of a core that its process uses.
    pub cpu_milli: u32,
    /// Measured seconds that it holds and that are not stored here yet.
    pub unacknowledged: u32,
}

/// How far a run is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waits for nodes, or for its turn.
    #[default]
    Queued,
    /// Its nodes read the plan.
    Preparing,
    /// Its nodes stand ready for the agreed start.
    Armed,
    /// Load is sent.
    Running,
    /// Nothing more is sent; what is in flight is waited for.
    Stopping,
    /// Load is over; what was measured is being collected.
    Sealing,
    /// The report stands.
    Ended,
    /// It was given up before load was sent.
    Refused,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// Its name for programs.
    pub id: RunId,
    /// Its name for people.
    pub name: String,
    /// Its project.
    pub project: String,
    /// The user's own labels.
    pub tags: BTreeMap<String, String>,
    /// How far it is.
    pub state: RunState,
    /// Why it waits, or was given up.
    pub why: String,
    /// What is loaded, without credentials.
    pub target: String,
    /// What was asked for, in the words of the summary document.
    pub schedule: String,
    /// The words of `engine run`, without secrets.
    pub words: Vec<String>,
    /// When it was asked for: RFC 3339, UTC.
    pub submitted_at: String,
    /// The agreed start.
    pub started_at: Option<String>,
    /// When its report stood.
    pub ended_at: Option<String>,
    /// How far it is, in nanoseconds of the run: 0 is the plan's zero.
    pub run_ns: u64,
    /// Length of the warm-up, in nanoseconds.
    pub warmup_ns: u64,
    /// How long load is sent, warm-up included, in nanoseconds; `None` without an end.
    pub length_ns: Option<u64>,
    /// Arrivals per second that the plan asks for now; `None` where there are users alone.
    pub asked_tps: Option<f64>,
    /// Rises at every change of who owns what.
    pub epoch: u32,
    /// Sums of all complete seconds.
    pub counts: Counts,
    /// Response time over all complete seconds, in nanoseconds.
    pub response_ns: Percentiles,
    /// How many seconds are complete.
    pub seconds: u64,
    /// The greatest revision among its seconds: when it rises, there is something new to read.
    pub revision: u64,
    /// Nodes that own cells now.
    pub nodes: u32,
    /// Who owns what; left out where many runs are shown together.
    pub shares: Vec<ShareView>,
    /// Cells that nobody owns now.
    pub unassigned_cells: u32,
    /// Where it was not as it should be.
    pub degraded: Vec<Degraded>,
    /// What has to hold, and whether it does so far.
    pub thresholds: Vec<ThresholdView>,
    /// The judgement, once it has ended: `pass`, `fail`, `untrustworthy`, `aborted` or `error`.
    pub verdict: Option<String>,
    /// The exit code that goes with it.
    pub exit_code: Option<u8>,
    /// Why, the deciding reason first.
    pub reasons: Vec<String>,
}

/// Where arrivals went: `scheduled = sent + dropped + unassigned`, and once the run has ended
/// `sent = ok + errors + cut_off`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
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
    /// Arrivals in cells that nobody owned.
    pub unassigned: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

/// A distribution, in nanoseconds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// Values measured.
    pub count: u64,
    /// Exact mean.
    pub mean: f64,
    /// Median; this and the other percentiles to 3 significant digits.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p99_9: u64,
    /// Exact greatest value.
    pub max: u64,
}

/// What one node has of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShareView {
    /// The node.
    pub node: String,
    /// Its zone.
    pub zone: Option<String>,
    /// Cells that it owns now.
    pub cells: u32,
    /// What it has measured so far.
    pub counts: Counts,
    /// Its response time so far, in nanoseconds.
    pub response_ns: Percentiles,
    /// When its first request left, in nanoseconds after that arrival was due; `None` before.
    pub start_skew_ns: Option<i64>,
    /// How far that may be off, either way.
    pub start_uncertainty_ns: Option<u64>,
}

/// A stretch of a run that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Degraded {
    /// What happened.
    pub cause: Cause,
    /// In words, with the node.
    pub what: String,
    /// From when on, in nanoseconds of the run.
    pub from_ns: u64,
    /// Until when; `None` while it lasts.
    pub until_ns: Option<u64>,
}

/// Why a run is not as it should be.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A node was lost.
    NodeLost,
    /// A node reported what cannot be.
    Quarantined,
    /// The nodes together cannot carry the load.
    Capacity,
    /// A node is late through its own fault.
    Overload,
    /// The coordinator was away.
    CoordinatorAway,
    /// A node that is expected has not come.
    Missing,
}

/// Something that has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdView {
    /// As it was written, such as `p99<50ms`.
    pub threshold: String,
    /// Whether it holds so far.
    pub passed: bool,
    /// What was measured, for people.
    pub measured: String,
}

/// One second of a run, over all nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecondView {
    /// Rises within a run with every second that is completed, or corrected by what a node delivered late.
    pub revision: u64,
    /// Which, counted from 0 at the begin of the measured time.
    pub second: u64,
    /// Arrivals per second that the plan asks for in its middle; `None` where there are users alone.
    pub asked_tps: Option<f64>,
    /// Where its arrivals went.
    pub counts: Counts,
    /// Response time of the exchanges that ended in it, in nanoseconds.
    pub response_ns: Percentiles,
    /// Schedule lag of the arrivals that shards got to in it, in nanoseconds.
    pub lag_ns: Percentiles,
    /// Exchanges in flight at its end.
    pub in_flight: u64,
    /// Connections open at its end.
    pub connections: u64,
    /// Nodes that have delivered it.
    pub nodes: u32,
    /// Nodes that owe it still, or will never deliver it.
    pub nodes_missing: u32,
}

/// A change of the rate that every node will obey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RateChange {
    /// The new rate.
    pub tps: f64,
    /// From when on, in nanoseconds of the run.
    pub from_ns: u64,
    /// The epoch under which it was told.
    pub epoch: u32,
}

/// A page of the history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunsPage {
    /// The runs, the latest first, without their shares.
    pub runs: Vec<RunView>,
    /// What to ask for as `before` next; `None` at the end.
    pub before: Option<RunId>,
}

/// A line of a node's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    /// Its place among all lines here.
    pub position: u64,
    /// When, on the node's clock: RFC 3339, UTC.
    pub at: String,
    /// The node.
    pub node: String,
    /// The run that it is about.
    pub run: Option<RunId>,
    /// What it says.
    pub text: String,
}

/// A file of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileView {
    /// Digest of its content by SHA-256, in hexadecimal digits: its name for programs.
    pub sha256: String,
    /// Its name for people.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it came: RFC 3339, UTC.
    pub uploaded_at: String,
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not the name of a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run is named by 32 hexadecimal digits")]
pub struct NoRunId;

impl FromStr for RunId {
    type Err = NoRunId;

    fn from_str(text: &str) -> Result<Self, NoRunId> {
        if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NoRunId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| NoRunId)
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for RunId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RunId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9a-f]{32}$",
            "description": "The name of a run: 128 bits in hexadecimal digits.",
        })
    }
}
