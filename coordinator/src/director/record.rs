//! What has to survive the coordinator.
//!
//! What it is: the durable side of every decision, and what a new coordinator is given back. What it is not: a database;
//! `store` writes these and reads them back.
//!
//! Invariant: replaying the facts of a run in their order, then adding up its merged parts, gives the run as it was known
//! when the last of them was kept.

use std::collections::BTreeMap;

use measure::{Gauges, Names};
use schedule::Cells;
use serde::{Deserialize, Serialize};
use wire::{Measured, RunKey};

use super::event::Submission;

/// Something to keep.
#[derive(Clone, Debug)]
pub enum Record {
    /// A run was taken: it is in the queue.
    Taken(Box<Submission>),
    /// A decision, or something that a node told once.
    Fact {
        /// The run.
        run: RunKey,
        /// Position among the run's facts, from 0 on.
        number: u64,
        /// What.
        fact: Fact,
    },
    /// Measurements were merged.
    Merged(Box<Merged>),
    /// The run is over and its report stands.
    Concluded {
        /// The run.
        run: RunKey,
        /// How.
        conclusion: Box<Conclusion>,
    },
    /// A node is shut out, or let in again.
    Quarantine {
        /// The node.
        node: String,
        /// Why; `None`: it is let in again.
        reason: Option<String>,
    },
    /// A node is given no more load, or is taken back.
    Drain {
        /// The node.
        node: String,
        /// Whether its process ends once it is idle; `None`: it is taken back.
        exit: Option<bool>,
    },
}

/// What was decided about nodes, whatever they work for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who is shut out, and why.
    pub quarantined: BTreeMap<String, String>,
    /// Who is given no more load, and whether its process ends once it is idle.
    pub draining: BTreeMap<String, bool>,
}

/// A fact of a run's course, written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// These nodes were chosen; they are told to prepare.
    Chosen {
        /// By name.
        nodes: BTreeMap<String, Chosen>,
    },
    /// Every node understood the plan in the same way.
    Described {
        /// What is counted.
        names: NamesText,
        /// An `openloop.summary/1` document in which nothing was measured yet.
        summary: String,
    },
    /// The nodes are told to stand ready for a start at this instant.
    Arming {
        /// Under which epoch.
        epoch: u32,
        /// The plan's zero on the coordinator's monotonic clock.
        start_ns: u64,
        /// The boot to which that clock belongs.
        boot_id: String,
        /// The same instant on the wall clock, in nanoseconds since the Unix epoch.
        start_unix_ns: u64,
        /// By node: how wrong its clock may have been translated, either way.
        #[serde(default)]
        clock_errors_ns: BTreeMap<String, u64>,
    },
    /// A node may be told that it has these cells from an instant on. Durable before it is told.
    Given {
        /// Under which epoch.
        epoch: u32,
        /// From when on, in nanoseconds of the run.
        from_ns: u64,
        /// By node: all its cells from then on.
        cells: BTreeMap<String, CellsText>,
    },
    /// A node said that it will obey.
    Settled {
        /// The node.
        node: String,
        /// The epoch that it obeys.
        epoch: u32,
    },
    /// A node did nothing of what it was told under an epoch.
    Declined {
        /// The node.
        node: String,
        /// The epoch.
        epoch: u32,
    },
    /// A node gave its cells up by itself: its lease had ended by its own clock. It is alive.
    Fenced {
        /// The node.
        node: String,
        /// From when on nothing was its own any more, in nanoseconds of the run.
        at_ns: u64,
    },
    /// A workload has another rate from an instant on. Durable before any node is told.
    Rate {
        /// Under which epoch.
        epoch: u32,
        /// The workload.
        workload: Option<String>,
        /// From when on, in nanoseconds of the run.
        from_ns: u64,
        /// The whole plan's rate, in millionths per second.
        micro_tps: u64,
    },
    /// A node can use its cells no more: its lease ended.
    Lost {
        /// The node.
        node: String,
        /// Which of its lives.
        incarnation: u64,
        /// By when it had stopped, in nanoseconds of the run.
        by_ns: u64,
        /// Why, in words.
        reason: String,
    },
    /// The same life of a node that was lost is back, and owns nothing.
    Returned {
        /// The node.
        node: String,
    },
    /// A node joins the run under way.
    Joined {
        /// The node.
        node: String,
        /// Who it is.
        who: Chosen,
    },
    /// A node's part is over.
    Finished {
        /// The node.
        node: String,
        /// When it was heard, in nanoseconds of the run.
        at_ns: u64,
        /// What it told.
        part: PartText,
    },
    /// The run is to end: nothing is due from this instant on.
    Stopping {
        /// In nanoseconds of the run.
        at_ns: u64,
        /// Why, in words.
        reason: String,
        /// What that means for the verdict.
        cause: StopCause,
    },
    /// Something that belongs into the report.
    Noted {
        /// When, in nanoseconds of the run.
        at_ns: u64,
        /// A sentence.
        text: String,
    },
}

/// Why a run ends before its plan does.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// Somebody wanted it.
    Order,
    /// Somebody wanted everybody to leave at once.
    Abort,
    /// A threshold ended it, which its own result shows.
    Threshold,
    /// A node was lost, or none is left.
    Fleet,
}

/// Who a node of a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chosen {
    /// Which of its lives.
    pub incarnation: u64,
    /// Its place among the nodes of the run, by which its shards are numbered.
    pub place: u32,
    /// Its host.
    pub host: String,
    /// Where it stands.
    pub zone: Option<String>,
    /// Cores that it loads from.
    pub cores: u32,
    /// What it can carry, in millionths of an arrival per second.
    pub capacity_micro_tps: Option<u64>,
}

/// What a node told at the end of its part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartText {
    /// Which of its lives.
    pub incarnation: u64,
    /// How many deltas there were.
    pub deltas: u64,
    /// Its sums: scheduled, sent, ok.
    pub scheduled: u64,
    /// Requests sent.
    pub sent: u64,
    /// Exchanges that succeeded.
    pub ok: u64,
    /// When its first request left, in nanoseconds after the plan's zero.
    pub first_sent_ns: Option<u64>,
    /// Its own `openloop.summary/1` document.
    pub summary: String,
}

/// Cells as text: gaps between them, in runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellsText(pub Cells);

/// Names as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamesText(pub Names);

/// What was merged since the last such record of the same run.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The run.
    pub run: RunKey,
    /// Seconds as a whole: each takes the place of all rows of it that were kept before.
    pub whole: Vec<(u64, Measured, Gauges)>,
    /// Sums to be added to those seconds; kept as rows of their own, the second is the sum of its rows.
    pub seconds: Vec<(u64, Measured, Gauges)>,
    /// By node and life: how it stands now; replaces what was kept.
    pub marks: Vec<Mark>,
}

/// How far the deltas of one life of a node are merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The node.
    pub node: String,
    /// The life.
    pub incarnation: u64,
    /// The sequence number that is expected next.
    pub next: u64,
    /// Up to where it has told, in nanoseconds of the results.
    pub until_ns: u64,
    /// Its own sums, packed: see [`Mark::share`].
    pub sums: Vec<u8>,
    /// As in [`Share::recovered`].
    pub recovered: Option<u64>,
}

impl Mark {
    /// The sums that it holds.
    ///
    /// # Errors
    /// They are not what [`wire::Overall`] packs.
    pub fn share(&self) -> Result<Share, wire::WireError> {
        Ok(Share { sums: wire::Overall::unpack(&self.sums)?, recovered: self.recovered })
    }
}

/// The sums of one node's life, without what only the whole run needs: a thousand nodes have to fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// What it told.
    pub sums: wire::Overall,
    /// Where the life was killed and what it had counted until then is among these: how many requests of it were in no
    /// delta.
    pub recovered: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// The report; `None` where the run never began.
    pub summary: Option<report::Summary>,
    /// How a program that waited for it ends.
    pub exit: verdict::ExitCode,
    /// Why, in words, where it never began.
    pub reason: Option<String>,
}

/// Where a coordinator begins.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its term: one more than any before, and durable.
    pub term: u64,
    /// The version of the program; nodes of another are refused.
    pub version: String,
    /// The boot of its host.
    pub boot_id: String,
    /// Nanoseconds since the Unix epoch at the monotonic clock's zero.
    pub unix_offset_ns: u64,
    /// Where the plan's lease, beats and waits are set.
    pub settings: Settings,
}

/// Times of the protocol.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Length of a lease.
    pub lease_ns: u64,
    /// Time between beats.
    pub beat_ns: u64,
    /// From the order to prepare to the answer.
    pub prepare_ns: u64,
    /// Measurements wait at most so long to be kept together.
    pub commit_ns: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease_ns: 3_000_000_000,
            beat_ns: 500_000_000,
            prepare_ns: 120_000_000_000,
            commit_ns: 100_000_000,
        }
    }
}

/// A run that an earlier coordinator took and did not conclude.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What to run.
    pub submission: Submission,
    /// Its facts, in order.
    pub facts: Vec<Fact>,
    /// Its seconds: every row that was kept, in any order.
    pub seconds: Vec<(u64, Measured, Gauges)>,
    /// How far deltas were merged.
    pub marks: Vec<Mark>,
}
