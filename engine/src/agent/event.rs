//! What the agent hears and what it wants done.
//!
//! What it is: the seam between its decisions and the world, as plain data. What it is not: a protocol; a driver, or a
//! simulation, turns connections, clocks, files and a run into these types and back.

use std::collections::BTreeMap;

use clock::Timestamp;
use measure::{Counters, Gauges};
use schedule::Rate;
use verdict::ExitCode;
use wire::{Delta, Description, FromNode, Refusal, RunKey, Spec, ToNode};

use crate::part::{Order, Standing};

/// The present, on the three clocks that matter.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, by which runs go.
    pub monotonic: Timestamp,
    /// The boot-time clock, by which leases go: it runs on while the machine sleeps. Nanoseconds.
    pub boot_ns: u64,
    /// The wall clock, for logs. Nanoseconds since the Unix epoch.
    pub unix_ns: u64,
}

/// Who this node is, as its Hello tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
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
    /// Arrivals per second that it says it can carry.
    pub capacity: Option<Rate>,
    /// Where it stands, such as a region.
    pub zone: Option<String>,
    /// Its other labels.
    pub labels: BTreeMap<String, String>,
}

/// Deltas of an earlier life that were found at the start and that nobody acknowledged.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// The run.
    pub run: RunKey,
    /// The life that measured them.
    pub incarnation: u64,
    /// The first that is still there.
    pub first: u64,
    /// One behind the last.
    pub end: u64,
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection to the coordinator stands, and nothing was said on it.
    Connected,
    /// There is no connection any more.
    Disconnected,
    /// The coordinator said something on the connection that stands.
    Told {
        /// When it came.
        received: Timestamp,
        /// What.
        message: Box<ToNode>,
    },
    /// The run did.
    Part {
        /// Which run.
        run: RunKey,
        /// What.
        happened: Happened,
    },
    /// How the run and this process stand; told just before [`Event::Wake`].
    Standing {
        /// The run.
        standing: Standing,
        /// Thousandths of a core that the process used since it was last told.
        cpu_milli: u32,
    },
    /// Deltas were put together, as [`Action::Coalesce`] wanted.
    Coalesced {
        /// Their run.
        run: RunKey,
        /// The life that measured them.
        incarnation: u64,
        /// One behind the last that there is now.
        end: u64,
    },
    /// Something that the log should hold.
    Note(String),
    /// Somebody wants this process to end. The second time, at once.
    Leave {
        /// Why, in words.
        reason: String,
        /// With which code it ends.
        code: ExitCode,
    },
    /// Time has passed; [`Agent::deadline`](super::Agent::deadline) asked for it.
    Wake,
}

/// What a run did.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Its plan was read, its files are there, its connections can be opened; or not.
    Prepared(Result<Box<Description>, Refusal>),
    /// It stands ready for the start.
    Armed {
        /// Of which order.
        epoch: u32,
    },
    /// Every shard will obey.
    Obeyed {
        /// Which order.
        epoch: u32,
    },
    /// Nothing of an order was done.
    Declined {
        /// Which.
        epoch: u32,
        /// Why, in words.
        reason: String,
    },
    /// A second is complete.
    Second {
        /// Which second of the results.
        second: u64,
        /// Up to where it was measured.
        until_ns: u64,
        /// What was measured.
        measured: wire::Measured,
        /// How things stood at its end.
        gauges: Gauges,
    },
    /// The lease ran out, and every shard gave up what it owned.
    Lapsed {
        /// From which nanosecond of the run on nothing was this node's any more.
        at_ns: u64,
    },
    /// It is over.
    Finished {
        /// The sums over all its seconds.
        counters: Box<Counters>,
        /// When its first request left, after the plan's zero.
        first_sent_ns: Option<u64>,
        /// Its own summary document.
        summary: String,
    },
}

/// Something is to be done, in the order in which it stands.
#[derive(Clone, Debug)]
pub enum Action {
    /// Say this on the connection that stands.
    Send(Box<FromNode>),
    /// Say a delta that was kept.
    Deliver {
        /// Its run.
        run: RunKey,
        /// The life that measured it.
        incarnation: u64,
        /// Its number.
        sequence: u64,
    },
    /// Close the connection, and open another after a while.
    Close,
    /// Get the files of a plan, read it, and begin a part with it under a lease that has ended. It answers with
    /// [`Happened::Prepared`].
    Begin {
        /// The run.
        run: RunKey,
        /// What to run.
        spec: Box<Spec>,
    },
    /// Ask this of the part under way.
    Order(Order),
    /// The lease lasts until this instant of the boot-time clock, unless it has run out.
    RenewLease {
        /// Until when.
        until_ns: u64,
    },
    /// A lease begins: nothing was owned under the one before.
    BeginLease {
        /// Until when, on the boot-time clock.
        until_ns: u64,
    },
    /// Keep a delta until it is forgotten, over the end of this process.
    Keep(Box<Delta>),
    /// Forget the deltas of that life up to and with this one.
    Forget {
        /// Their run.
        run: RunKey,
        /// The life that measured them.
        incarnation: u64,
        /// The last of them.
        through: u64,
    },
    /// Put the deltas of that life from this one on together, two and two, and number them anew from there; nobody was ever
    /// told of them. Answered by [`Event::Coalesced`] before anything else happens, unless it cannot be done.
    Coalesce {
        /// Their run.
        run: RunKey,
        /// The life that measured them.
        incarnation: u64,
        /// The first of them.
        from: u64,
    },
    /// Forget everything about a run.
    Discard {
        /// Which.
        run: RunKey,
    },
    /// Show this to whoever watches the process; the log holds it already.
    Note(String),
    /// End the process.
    Exit {
        /// With this code.
        code: ExitCode,
        /// Why, in words; nothing where it was asked to.
        reason: Option<String>,
    },
}
