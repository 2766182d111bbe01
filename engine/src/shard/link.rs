//! The two bounded queues between the control thread and a shard.
//!
//! What it is: commands to the shard, sealed snapshots from it, and emptied snapshots back to it. A shard
//! never waits for the control thread; it looks at the queue once a turn.
//! What it is not: a lock.
//!
//! Invariant: no more snapshots exist than the report queue holds, so a report always fits.

use std::sync::Arc;

use clock::Timestamp;
use measure::{Shape, Snapshot};
use rtrb::{Consumer, Producer, RingBuffer};
use schedule::Profile;

use super::hand_over::Hand;
use super::scenarios::TokenValue;

/// Snapshots that go round between a shard and the control thread, beside the shard's own.
const SPARES: usize = 3;

/// More than all snapshots and messages that can ever be under way: seven snapshots, and one message of each other kind.
const CAPACITY: usize = 16;

/// What the control thread tells a shard.
#[derive(Clone, Debug)]
pub enum Command {
    /// The plan's zero is `at`.
    Start {
        /// Instant of this machine's monotonic clock.
        at: Timestamp,
    },
    /// From its last segment's beginning on, this profile holds. The past of both is the same.
    Profile {
        /// Whose: a place among the shard's workloads.
        workload: usize,
        /// The whole profile.
        profile: Arc<Profile>,
    },
    /// From now on requests carry this token.
    Token {
        /// Its place among those of the run.
        place: u16,
        /// The token.
        value: TokenValue,
    },
    /// Open the connections that the plan wants before the start. Heard by shards with a tenure, which wait for it.
    Open,
    /// Of these workloads the shard owns this, from an instant on.
    Hand(Box<Hand>),
    /// Nothing is due from `at` on.
    End {
        /// Instant of this machine's monotonic clock.
        at: Timestamp,
    },
    /// Send nothing more; wait for responses until the grace is over.
    Stop,
    /// Leave now; what is unfinished is cut off.
    Abort,
}

/// What a shard tells the control thread.
#[derive(Debug)]
pub enum Report {
    /// The connections that the plan wants before the start are open, or could not be opened.
    Ready {
        /// How many stand.
        connections: u32,
    },
    /// Nothing more becomes due from `at` on: the plan or its count is at its end, or a stop or an abort came.
    SendingEnded {
        /// Instant of this machine's monotonic clock.
        at: Timestamp,
    },
    /// A [`Hand`] was heard.
    Handed {
        /// Whether it was in time, and is obeyed; if not, nothing of it is.
        in_time: bool,
        /// With what it took the place of.
        hand: Box<Hand>,
    },
    /// The lease ran out, and everything that is due from then on was given up.
    GaveUp {
        /// From when on, counted from the plan's zero.
        at_ns: u64,
    },
    /// The first request left.
    FirstSent {
        /// Instant of this machine's monotonic clock.
        at: Timestamp,
    },
    /// A stretch of the run, measured.
    Sealed(Box<Snapshot>),
    /// What the warm-up measured; beside the results.
    Warmup(Box<Snapshot>),
}

/// The shard's end.
#[derive(Debug)]
pub struct Link {
    commands: Consumer<Command>,
    reports: Producer<Report>,
    spares: Consumer<Box<Snapshot>>,
    /// Spares that were never used, made by the shard.
    fresh: Vec<Box<Snapshot>>,
}

/// The control thread's end.
#[derive(Debug)]
pub struct Control {
    commands: Producer<Command>,
    reports: Consumer<Report>,
    spares: Producer<Box<Snapshot>>,
}

/// Makes a pair of ends.
pub fn pair() -> (Link, Control) {
    let (command_in, command_out) = RingBuffer::new(CAPACITY);
    let (report_in, report_out) = RingBuffer::new(CAPACITY);
    let (spare_in, spare_out) = RingBuffer::new(CAPACITY);
    let control = Control { commands: command_in, reports: report_out, spares: spare_in };
    (Link { commands: command_out, reports: report_in, spares: spare_out, fresh: Vec::new() }, control)
}

impl Link {
    /// Whether the control thread has said something. It seldom has, and this is asked once a turn.
    #[inline]
    pub(super) fn has_command(&self) -> bool {
        !self.commands.is_empty()
    }

    pub(super) fn command(&mut self) -> Option<Command> {
        self.commands.pop().ok()
    }

    /// Makes the spares for a plan of this shape, with the memory of all values up to `longest_ns`. The shard calls it on
    /// its own thread: what a thread allocates lies apart from what others do, and near to its core.
    pub(super) fn make_spares(&mut self, shape: Shape, longest_ns: u64) {
        self.fresh = (0..SPARES)
            .map(|_| {
                let mut spare = Box::new(Snapshot::new(shape));
                spare.populate(longest_ns);
                spare
            })
            .collect();
    }

    /// The spares that were never used, for the test that shards lie apart.
    #[cfg(test)]
    pub(super) fn fresh(&self) -> impl Iterator<Item = &Snapshot> {
        self.fresh.iter().map(AsRef::as_ref)
    }

    /// An empty snapshot: one that came back, which is still in the processor's cache, before one never used.
    pub(super) fn spare(&mut self) -> Option<Box<Snapshot>> {
        self.spares.pop().ok().or_else(|| self.fresh.pop())
    }

    pub(super) fn report(&mut self, report: Report) {
        // Invariant: the queue holds more than there are snapshots. A control thread that is gone needs none.
        let pushed = self.reports.push(report);
        assert!(
            pushed.is_ok() || self.reports.is_abandoned(),
            "the report queue holds every snapshot there is"
        );
    }
}

impl Control {
    /// Tells the shard something; `false` when it is too far behind to hear it.
    #[must_use]
    pub fn tell(&mut self, command: Command) -> bool {
        self.commands.push(command).is_ok()
    }

    /// How many commands the shard could still be told before it hears the first of them.
    pub fn room(&self) -> usize {
        self.commands.slots()
    }

    /// The shard's next report.
    pub fn report(&mut self) -> Option<Report> {
        self.reports.pop().ok()
    }

    /// Gives an emptied snapshot back to the shard.
    pub fn give_back(&mut self, empty: Box<Snapshot>) {
        // A shard that is gone needs none.
        let _ = self.spares.push(empty);
    }
}
