//! A node's part in a run: what its agent asks of it, and what it tells.
//!
//! ```text
//!   begin ──► preparing ──Prepared──► waiting ──Arm──► armed ──start──► running ──last shard over──► Finished
//!                 │                      │                │                │
//!                 └─► Refused            └──── Stop, Abort ┴────────────────┴──► Finished, with what was measured
//! ```
//!
//! What it is: the door through which a run in this process is driven, by channels. The run itself is the one of the command
//! line, on a thread of its own. What it is not: a protocol between machines, which is the agent's.
//!
//! Invariants: every order but a stop is answered by one event that carries its epoch; the last event is
//! [`Event::Finished`] or [`Event::Refused`], and nothing follows it; what [`Event::Second`] told adds up to what
//! [`Ended`] says.
//! Units: `…_ns` count from the plan's zero, the warm-up included, unless a field says otherwise.

mod carry_out;
mod drive;

pub use carry_out::take_part;

use std::sync::Arc;

use clock::Timestamp;
use measure::{Counters, Totals};
use schedule::{Cells, Rate};
use tokio::sync::{mpsc, watch};
use verdict::ExitCode;

use crate::collect::Second;
use crate::live::{Site, Told};
use crate::shard::lease::Lease;

/// What the agent asks of a run.
#[derive(Clone, Debug)]
pub enum Order {
    /// Open the connections that the plan wants, and begin at an instant. Answered by [`Event::Armed`] once they stand, or by
    /// [`Event::Declined`]. It may come again, with a higher epoch, until 100 ms before the start that it named.
    Arm {
        /// Raised with every change of who owns what.
        epoch: u32,
        /// The plan's zero on this machine's monotonic clock; it may have passed, for one that joins a run under way.
        start: Timestamp,
        /// From when on the cells are this node's.
        from_ns: u64,
        /// Its cells; there may be none.
        cells: Cells,
        /// Changes of rate that were made before, in order: workload, from when on, rate.
        rates: Vec<(Option<String>, u64, Rate)>,
    },
    /// For arrivals that are due from `from_ns` on, the cells are these and no others. Answered by [`Event::Obeyed`] or
    /// [`Event::Declined`]. `from_ns` is never before that of an earlier one.
    Assign {
        /// The epoch.
        epoch: u32,
        /// From when on.
        from_ns: u64,
        /// The cells from then on.
        cells: Cells,
    },
    /// From `from_ns` on the rate of a workload is this one, until its end. Answered by [`Event::Obeyed`] or
    /// [`Event::Declined`].
    SetRate {
        /// The epoch.
        epoch: u32,
        /// The workload's name; none where only one has a rate.
        workload: Option<String>,
        /// From when on.
        from_ns: u64,
        /// The whole plan's rate.
        rate: Rate,
    },
    /// Send nothing more; finish what is in flight within the plan's grace.
    Stop,
    /// Leave now.
    Abort {
        /// Why, in words, for the report.
        reason: String,
    },
}

/// What a run tells the agent.
#[derive(Debug)]
pub enum Event {
    /// Where it is to be noted which seconds were kept. It comes before the plan is prepared.
    Counting(Box<Told>),
    /// The plan can be carried out here.
    Prepared(Box<wire::Description>),
    /// The plan cannot be carried out here, or could not be begun. Nothing of the load was sent, and nothing follows.
    Refused(wire::Refusal),
    /// Connections stand, and every shard will begin at the instant that was named.
    Armed {
        /// Of which order.
        epoch: u32,
    },
    /// Every shard will obey.
    Obeyed {
        /// Which order.
        epoch: u32,
    },
    /// Nothing of the order was done.
    Declined {
        /// Which order.
        epoch: u32,
        /// Why, in words.
        reason: String,
    },
    /// The first request left.
    FirstSent {
        /// When, after the plan's zero.
        at_ns: u64,
    },
    /// A second is complete over all shards. Its memory goes back by [`Part::recycle`].
    Second(Box<Second>),
    /// The lease ran out: every shard has given up what it owned, and nothing is sent before new cells come, for which the
    /// lease begins anew.
    Lapsed {
        /// From when on nothing was this node's any more.
        at_ns: u64,
    },
    /// Something for the log.
    Note(String),
    /// The part is over. Nothing follows.
    Finished(Box<Ended>),
}

/// How a part ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The sums over all seconds that were told.
    pub counters: Counters,
    /// When the first request left, after the plan's zero; none when none did.
    pub first_sent_ns: Option<u64>,
    /// The `openloop.summary/1` document of this node alone.
    pub summary: String,
    /// How the engine alone would have ended.
    pub exit_code: ExitCode,
}

/// How a part stands, for beats. As of the last 20 ms, what was measured as of the last second.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The epoch that the shards obey.
    pub epoch: u32,
    /// How far the run is; 0 before its start.
    pub run_ns: u64,
    /// How many cells it owns.
    pub owned: u32,
    /// Arrivals due in its cells so far.
    pub scheduled: u64,
    /// Requests sent so far.
    pub sent: u64,
    /// The 99th percentile of schedule lag over the last second.
    pub lag_p99_ns: u64,
}

/// What a part is begun with, beside its plan.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The run's id, for the report.
    pub run_id: String,
    /// Under which lease it sends.
    pub lease: Arc<Lease>,
    /// Where counts outlive the end of this process; none where they need not.
    pub live: Option<Site>,
}

/// A part under way, as its agent holds it.
#[derive(Debug)]
pub struct Part {
    /// Orders go in here.
    pub orders: mpsc::UnboundedSender<Order>,
    /// Events come out here.
    pub events: mpsc::UnboundedReceiver<Event>,
    /// How it stands.
    pub standing: watch::Receiver<Standing>,
    spent: mpsc::UnboundedSender<Totals>,
}

impl Part {
    /// Gives the memory of a second back.
    pub fn recycle(&self, second: Second) {
        // A part that is over needs none.
        let _ = self.spent.send(second.totals);
    }
}

/// The run's side of a [`Part`].
#[derive(Debug)]
pub struct Door {
    /// Orders come out here.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// Events go in here.
    pub events: mpsc::UnboundedSender<Event>,
    /// How it stands.
    pub standing: watch::Sender<Standing>,
    /// Memory that comes back.
    pub spent: mpsc::UnboundedReceiver<Totals>,
    /// What it is begun with.
    pub circumstances: Circumstances,
}

/// Both sides.
pub fn pair(circumstances: Circumstances) -> (Part, Door) {
    let (orders, ordered) = mpsc::unbounded_channel();
    let (events, happened) = mpsc::unbounded_channel();
    let (standing, stands) = watch::channel(Standing::default());
    let (spent, came_back) = mpsc::unbounded_channel();
    let part = Part { orders, events: happened, standing: stands, spent };
    let door = Door { orders: ordered, events, standing, spent: came_back, circumstances };
    (part, door)
}
