//! The messages, both ways.
//!
//! Invariant: whoever sends a higher term or epoch is right; lower ones are refused by whoever hears them. A message may come
//! twice, late or after its successor: each carries what its hearer needs to notice that.

use std::collections::BTreeMap;

use clock::Timestamp;
use measure::{Counters, Gauges, Names};
use schedule::{Cells, Rate};

use crate::Measured;

/// A digest by SHA-256 (FIPS 180-4).
pub type Sha256 = [u8; 32];

/// One run of one coordinator's history; never used twice.
pub type RunKey = u128;

/// What a coordinator's message is fenced by.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fencing {
    /// Raised at every start of the coordinator, and durable before its first message.
    pub term: u64,
    /// Raised at every change of who owns what, within a run; 0 outside of one.
    pub epoch: u32,
}

/// What a node tells the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum FromNode {
    /// The first message on every connection.
    Hello(Hello),
    /// The answer to [`ToNode::TimeProbe`].
    TimeReply {
        /// Which probe.
        probe: u64,
        /// When the probe came, on the node's monotonic clock.
        received: Timestamp,
        /// When this answer left, on the node's monotonic clock.
        replied: Timestamp,
    },
    /// The answer to [`ToNode::Prepare`].
    Prepared(Box<Prepared>),
    /// Everything stands ready for the start that [`ToNode::Arm`] named: connections are open, shards know the instant.
    Armed {
        /// The run.
        run: RunKey,
        /// The epoch that was armed.
        epoch: u32,
    },
    /// The start, or the change of who owns what, that was named came too late for the shards to obey in time, or cannot
    /// be obeyed. Nothing of it was done.
    Declined {
        /// The run.
        run: RunKey,
        /// The epoch that was declined.
        epoch: u32,
        /// Why, in words.
        reason: String,
    },
    /// Every shard will obey the change that [`ToNode::Assign`] or [`ToNode::SetRate`] named.
    Obeyed {
        /// The run.
        run: RunKey,
        /// The epoch that is obeyed.
        epoch: u32,
    },
    /// The node is there; asks for its lease to be renewed.
    Beat(Beat),
    /// One second of measurements.
    Delta(Box<Delta>),
    /// The node's part of a run is over, and every delta of it was sent.
    Finished(Box<Finished>),
    /// What the node's log said.
    Log(Vec<LogLine>),
    /// The node leaves; its process does nothing more for any run.
    Bye {
        /// Why, in words.
        reason: String,
    },
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// Its name, which it keeps over restarts.
    pub node: String,
    /// Which of its lives this is: rises with every start of its process.
    pub incarnation: u64,
    /// The boot of its host, as the kernel names it.
    pub boot_id: String,
    /// Its host's name.
    pub host: String,
    /// Its process, for people.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// Cores that it loads from.
    pub cores: u32,
    /// Arrivals per second that it says it can carry; `None` where nobody measured or said.
    pub capacity: Option<Rate>,
    /// Where it stands, such as a region.
    pub zone: Option<String>,
    /// Its other labels, by which runs choose their nodes.
    pub labels: BTreeMap<String, String>,
    /// What it is doing for a run, where it was cut off from its coordinator in the middle of one.
    pub resume: Option<Resume>,
    /// Runs of which an earlier life of this node left deltas behind that nobody acknowledged: they follow.
    pub left_behind: Vec<RunKey>,
}

/// What a node goes on with after it was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The run.
    pub run: RunKey,
    /// What it was last told under.
    pub fencing: Fencing,
    /// The plan's zero on the node's monotonic clock, once it was armed.
    pub start: Option<Timestamp>,
    /// The number that its next delta carries.
    pub next_sequence: u64,
    /// Whether it gave its cells up because its lease had ended, and at which nanosecond of the run.
    pub fenced_at_ns: Option<u64>,
}

/// Whether a node can carry a plan out.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The run.
    pub run: RunKey,
    /// The digest of the spec that this answers.
    pub spec: Sha256,
    /// What it will measure, or why it cannot.
    pub outcome: Result<Description, Refusal>,
}

/// What a node will run, as it understood the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// What is counted, by name. The same on every node, or the run does not begin.
    pub names: Names,
    /// The facts of its report: an `openloop.summary/1` document in which nothing was measured yet.
    pub summary: String,
}

/// Why a node cannot carry a plan out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The exit code that the engine alone would have ended with.
    pub exit_code: u8,
    /// Where, what, and how to fix it.
    pub message: String,
}

/// A sign of life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beat {
    /// Rises by one with every beat of this life.
    pub number: u64,
    /// When it left, on the node's monotonic clock.
    pub sent_at: Timestamp,
    /// The run that it works for, if any.
    pub run: Option<RunKey>,
    /// The epoch that its shards obey.
    pub epoch: u32,
    /// How far it is, in nanoseconds of the run; 0 before the start.
    pub run_ns: u64,
    /// Its lease had ended, and it gave its cells up at that nanosecond of the run; it says so until it obeys a later epoch.
    pub fenced_at_ns: Option<u64>,
    /// Arrivals due in its cells so far.
    pub scheduled: u64,
    /// Requests sent so far.
    pub sent: u64,
    /// The 99th percentile of schedule lag over the last second, in nanoseconds.
    pub lag_p99_ns: u64,
    /// Deltas that wait to be acknowledged.
    pub unacknowledged: u32,
    /// Thousandths of a core that its process used since the last beat.
    pub cpu_milli: u32,
    /// Its process is to end: its cells should go to others, from an instant on that suits them.
    pub leaving: bool,
}

/// What a node measured in one second of a run, over all its shards.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// The run.
    pub run: RunKey,
    /// The life of the node that measured it, which may be an earlier one than the one that tells.
    pub incarnation: u64,
    /// Position among the deltas of that life for that run, from 0 on without gaps.
    pub sequence: u64,
    /// The epoch at its end.
    pub epoch: u32,
    /// Which second of the results, from 0 on. What the warm-up measured comes at the end, with the last second.
    pub second: u64,
    /// Up to where it was measured, in nanoseconds of the results.
    pub until_ns: u64,
    /// What was measured.
    pub measured: Measured,
    /// How things stood at its end.
    pub gauges: Gauges,
    /// Counts were saved from a life that ended in the middle of this interval: latencies are missing from it.
    pub recovered: bool,
}

/// The end of a node's part in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The run.
    pub run: RunKey,
    /// The life that it was.
    pub incarnation: u64,
    /// How many deltas there were.
    pub deltas: u64,
    /// The sums over all of them, by which the coordinator checks that it has everything.
    pub counters: Counters,
    /// When the first request left, in nanoseconds after the plan's zero; `None` when none did.
    pub first_sent_ns: Option<u64>,
    /// Its own `openloop.summary/1` document.
    pub summary: String,
}

/// One line of a node's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLine {
    /// Its place in the log of this life.
    pub number: u64,
    /// When, on the node's wall clock, in nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// The run that it is about, if any.
    pub run: Option<RunKey>,
    /// What it says; no secrets.
    pub text: String,
}

/// What the coordinator tells a node.
#[derive(Clone, Debug, PartialEq)]
pub enum ToNode {
    /// The node is one of the fleet.
    Welcome(Welcome),
    /// The node is not taken, and shall not try again with the same Hello.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// Asks for the node's clock.
    TimeProbe {
        /// Which probe.
        probe: u64,
    },
    /// Read this plan, get its files, connect to nothing yet but what preparing takes.
    Prepare {
        /// The run.
        run: RunKey,
        /// Under which term and epoch.
        fencing: Fencing,
        /// What to run.
        spec: Box<Spec>,
    },
    /// Open connections; the plan's zero is `start`, and these cells are the node's.
    Arm {
        /// The run.
        run: RunKey,
        /// Under which term and epoch.
        fencing: Fencing,
        /// The plan's zero, on the node's own monotonic clock.
        start: Timestamp,
        /// From which nanosecond of the run on the cells are the node's: 0, or later for one that joins a run under way.
        from_ns: u64,
        /// Its cells.
        cells: Cells,
        /// Changes of the rate that were made before it joined, in order: workload, from when on, rate.
        rates: Vec<(Option<String>, u64, Rate)>,
    },
    /// For arrivals that are due from `from_ns` on, the node's cells are these and no others.
    Assign {
        /// The run.
        run: RunKey,
        /// Under which term and epoch.
        fencing: Fencing,
        /// From when on, in nanoseconds of the run.
        from_ns: u64,
        /// Its cells from then on.
        cells: Cells,
    },
    /// From `from_ns` on, a workload has this rate until its end.
    SetRate {
        /// The run.
        run: RunKey,
        /// Under which term and epoch.
        fencing: Fencing,
        /// The workload; `None` where only one has a rate.
        workload: Option<String>,
        /// From when on, in nanoseconds of the run.
        from_ns: u64,
        /// The whole plan's rate.
        rate: Rate,
    },
    /// The lease is renewed, from when that beat was sent.
    Grant {
        /// The beat.
        beat: u64,
        /// For how long from the instant at which the beat left, in nanoseconds of the node's boot-time clock.
        lease_ns: u64,
    },
    /// Every delta of that life up to and with this one is kept for good.
    Acknowledged {
        /// The run.
        run: RunKey,
        /// The life that measured them.
        incarnation: u64,
        /// The last sequence number that is kept.
        through: u64,
    },
    /// Send nothing more; finish what is in flight within the plan's grace, report, and tell [`FromNode::Finished`].
    Stop {
        /// The run.
        run: RunKey,
        /// Under which term and epoch.
        fencing: Fencing,
    },
    /// Leave the run now; report what was measured.
    Abort {
        /// The run.
        run: RunKey,
        /// Under which term and epoch.
        fencing: Fencing,
        /// Why, in words.
        reason: String,
    },
    /// The run's results stand; the node may forget it, and its spool.
    Release {
        /// The run.
        run: RunKey,
    },
    /// The node is given nothing more for now; if `exit` says so, it prepares nothing and ends its process once it is idle.
    Retire {
        /// Whether its process shall end.
        exit: bool,
    },
}

/// The first answer to a Hello that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The coordinator's term.
    pub term: u64,
    /// This connection's number, for logs.
    pub session: u64,
    /// The version of the coordinator's program.
    pub version: String,
    /// Length of a lease, in nanoseconds.
    pub lease_ns: u64,
    /// Time between beats, in nanoseconds.
    pub beat_ns: u64,
    /// What becomes of a resumed run: `true` goes on as it was told, `false` leaves it (its deltas are still taken).
    pub resume: bool,
}

/// A plan as it travels: everything that makes it the same plan on every node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// The version of the program that made it.
    pub version: String,
    /// The words of `engine run`, without the program's name and without what is a node's own affair.
    pub words: Vec<String>,
    /// Environment variables that the words or the plan file were found to read.
    pub variables: BTreeMap<String, String>,
    /// Files that the words or the plan file name, by the path that stands there.
    pub files: BTreeMap<String, FileRef>,
}

/// A file of the repository.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// Its content.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
}
