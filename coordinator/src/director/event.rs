//! What the director hears and what it wants done.
//!
//! What it is: the whole seam between decisions and the world, as plain data. What it is not: a protocol; the edges turn
//! gRPC, HTTP and the database into these types and back.
//!
//! Invariant: an [`Action::Send`] or [`Action::Close`] must not happen before every [`Action::Keep`] up to its `after` is
//! durable; apart from that, actions of one session keep their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Timestamp;
use schedule::{Process, Profile, Rate};
use wire::{FromNode, LogLine, RunKey, Sha256, Spec, ToNode};

use super::record::Record;
use crate::handle::{OnNodeLoss, RateChange, Refused, SecondView};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A node said something. The first message of a session is its Hello.
    Message {
        /// The connection; the edge never uses a number twice within a term.
        session: u64,
        /// When it came, on the clock of the `now` that the director is handed; answers to clock probes are timed by it.
        at: Timestamp,
        /// What it said.
        message: Box<FromNode>,
    },
    /// A connection is no more.
    Closed {
        /// Which.
        session: u64,
    },
    /// Somebody wants a plan run.
    Submit {
        /// By which the answer is found again.
        ticket: u64,
        /// What to run.
        submission: Box<Submission>,
    },
    /// Somebody wants something of a run.
    Order {
        /// By which the answer is found again.
        ticket: u64,
        /// The run.
        run: RunKey,
        /// What.
        order: Order,
    },
    /// Somebody wants something of a node.
    NodeOrder {
        /// By which the answer is found again.
        ticket: u64,
        /// The node's name.
        node: String,
        /// What.
        order: NodeOrder,
    },
    /// The wall clock stands so far ahead of the monotonic one; told at the start and whenever it was set.
    WallClock {
        /// Nanoseconds since the Unix epoch at the monotonic clock's zero.
        unix_offset_ns: u64,
    },
    /// Time has passed; `Director::deadline` asked for it.
    Wake,
}

impl Event {
    /// Whether a node, or its connection, did it.
    pub(crate) fn is_of_node(&self) -> bool {
        matches!(self, Self::Message { .. } | Self::Closed { .. })
    }

    /// Whether it comes from every node all the time, and nothing hangs on it alone.
    pub(crate) fn is_routine(&self) -> bool {
        let Self::Message { message, .. } = self else { return false };
        matches!(
            **message,
            FromNode::Beat(_) | FromNode::TimeReply { .. } | FromNode::Delta(_) | FromNode::Log(_)
        )
    }
}

/// What may be asked of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// End it: nothing more is due from an instant soon to come on; what is in flight ends within the plan's grace.
    Stop,
    /// End it now.
    Abort {
        /// Why, in words.
        reason: String,
    },
    /// Another rate for a workload until its end.
    SetRate {
        /// The workload; `None` where only one has a rate.
        workload: Option<String>,
        /// The whole plan's rate.
        rate: Rate,
    },
}

/// What may be asked of a node.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NodeOrder {
    /// Move its cells to the others without a gap; it takes part in no further run.
    Drain {
        /// Whether its process shall end then.
        exit: bool,
    },
    /// Let it take part again, after a drain or a quarantine.
    Admit,
}

/// A plan to run, as the edge understood it.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its key, fresh.
    pub run: RunKey,
    /// What travels to the nodes.
    pub spec: Spec,
    /// The digest of the spec, which every node has to answer.
    pub digest: Sha256,
    /// What the plan asks for over time; empty for plans of users alone.
    pub load: Vec<Rated>,
    /// Warm-up before the results begin.
    pub warmup_ns: u64,
    /// From the plan's zero to the end of what is due, warm-up included; `None` where only a count ends it.
    pub duration_ns: Option<u64>,
    /// How long what is in flight may take to end after that.
    pub grace_ns: u64,
    /// What has to hold.
    pub thresholds: Vec<verdict::Threshold>,
    /// From which schedule lag on the run is untrustworthy.
    pub max_lag: plan::MaxLag,
    /// The most that a change of rate may ask for; `None` without a guard.
    pub rate_guard: Option<Rate>,
    /// How the fleet carries it out.
    pub terms: Terms,
}

/// A workload of the open model.
#[derive(Clone, Debug)]
pub struct Rated {
    /// Its name in the plan file; `None` where the plan is one workload without a name.
    pub name: Option<String>,
    /// Its place among the workloads whose iterations are counted; `None` where an arrival is a request.
    pub counted: Option<usize>,
    /// Its own zero, counted from the plan's.
    pub begins_ns: u64,
    /// Its rate over time.
    pub profile: Arc<Profile>,
    /// The law that spaces its arrivals.
    pub process: Process,
    /// It ends after so many arrivals.
    pub limit: Option<u64>,
}

/// How a fleet carries a plan out. Durable beside the spec.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// What people call the run.
    pub name: String,
    /// The project that it belongs to.
    pub project: String,
    /// Only nodes with all of these labels; `zone` is one of them.
    pub labels: BTreeMap<String, String>,
    /// At least so many nodes must be there before the run begins.
    pub nodes_least: u32,
    /// At most so many are taken, those that come later included; `None`: all that are free.
    pub nodes_most: Option<u32>,
    /// How long to wait for the least number, counted from when the run is first in its queue; `None`: without end.
    pub wait_ns: Option<u64>,
    /// Begin with fewer nodes once the wait is over, if there is one at all.
    pub fewer: bool,
    /// The share of each zone, in any unit; nodes of other zones get nothing. Empty: zones do not matter.
    pub zones: BTreeMap<String, u64>,
    /// How nodes are weighed against each other, within their zone where zones matter.
    pub weights: Weights,
    /// What happens to the share of a node that is lost.
    pub on_loss: OnNodeLoss,
    /// Not before this instant, in nanoseconds since the Unix epoch.
    pub start_at_unix_ns: Option<u64>,
    /// Not before so long after everything is ready.
    pub start_after_ns: u64,
    /// How long a lost node may take to come back with what it measured, after everything else is over.
    pub linger_ns: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            name: String::new(),
            project: "default".to_owned(),
            labels: BTreeMap::new(),
            nodes_least: 1,
            nodes_most: None,
            wait_ns: None,
            fewer: false,
            zones: BTreeMap::new(),
            weights: Weights::Equal,
            on_loss: OnNodeLoss::Redistribute,
            start_at_unix_ns: None,
            start_after_ns: 0,
            linger_ns: 5_000_000_000,
        }
    }
}

/// How nodes are weighed against each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// All alike.
    #[default]
    Equal,
    /// By the capacity that each gave or measured; one without counts as the smallest that is known.
    Capacity,
    /// In the order in which the nodes are named alphabetically; whoever is beyond the list counts as the last of it.
    InOrder(Vec<u64>),
    /// By name; whoever is not named gets nothing.
    ByName(BTreeMap<String, u64>),
}

/// The director wants something done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Make this durable.
    Keep {
        /// Rises by one with every record of this term, from 1 on.
        number: u64,
        /// What.
        record: Box<Record>,
    },
    /// Tell a node something.
    Send {
        /// On which connection.
        session: u64,
        /// What.
        message: Box<ToNode>,
        /// Not before the record of this number is durable; 0: at once.
        after: u64,
    },
    /// End a connection, once everything that was sent on it has left.
    Close {
        /// Which.
        session: u64,
        /// Not before the record of this number is durable.
        after: u64,
    },
    /// Answer whoever asked.
    Answer {
        /// By the ticket of the question.
        ticket: u64,
        /// What came of it.
        answer: Result<Answer, Refused>,
        /// Not before the record of this number is durable.
        after: u64,
    },
    /// A second of a run is complete, or was corrected by what a node delivered late.
    Second {
        /// The run.
        run: RunKey,
        /// How it looks.
        second: Arc<SecondView>,
    },
    /// Something that people should know: of a run's course, or of the fleet.
    Note {
        /// The run that it is about, if any.
        run: Option<RunKey>,
        /// A sentence.
        text: String,
    },
    /// A node's log said something.
    Log {
        /// The node.
        node: String,
        /// What.
        lines: Vec<LogLine>,
    },
}

/// What a question that is granted is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is done, or under way.
    Done,
    /// The rate changes.
    Rate(RateChange),
}
