//! Hot path. Handing over: what a shard of a fleet owns from an instant on, and what it gives up when its lease runs out.
//!
//! ```text
//!   shares      ──── A ────┬──── B ────┬─ … ──       each from an instant of the run on, named before it comes
//!   lease     ─────────────────────────┤             it runs out: nothing is ours from there on, until a share comes
//! ```
//!
//! What it is: the part of a turn in which a shard hears of a new share, and the look at its lease. A shard on its own has
//! one share for the whole run, no lease, and pays nothing for either.
//! What it is not: a decision who owns what, which is made for all shards at once and elsewhere.
//!
//! The lease is looked at twice: at the begin of a turn, and when what the turn has begun is about to leave, by a reading of
//! the clock as fresh as can be: a process that was stopped in the middle of a turn and woken later finds its lease over then.
//! Where sends leave one by one, it is looked at before each. What is left is the time from that reading to the system call
//! that follows it, less than a microsecond of instructions: a stop within them is not seen.
//!
//! Invariants: an arrival is released under the share that holds at the instant at which it is due, whenever the shard gets
//! to it; a share that comes too late for that is refused whole; nothing begins in a turn that finds the lease run out, and
//! nothing that was begun leaves when the lease was over before.

use std::sync::Arc;

use clock::{Clock as _, OsClock, Timestamp};
use measure::DropReason;
use schedule::{Arrivals, Cells};

use super::exchange::ExchangeId;
use super::lease::Lease;
use super::link::Report;
use super::users::Newcomers;
use super::waiting::Waiting;
use super::workload::Retired;
use super::{Phase, Shard};
use crate::conn::State;
use crate::io::{ConnId, Guard, Io};

/// What a shard of a fleet sends under.
#[derive(Clone, Debug)]
pub struct Tenure {
    /// Until when what it owns is its own.
    pub lease: Arc<Lease>,
    /// The clock of the lease, in nanoseconds, at an instant that has just been the present: `CLOCK_BOOTTIME`.
    pub clock: fn(Timestamp) -> u64,
}

impl Tenure {
    /// Says whether the lease lasts, by the clock of this machine.
    pub(super) fn guard(&self) -> Guard {
        let (lease, clock) = (Arc::clone(&self.lease), self.clock);
        Box::new(move || clock(OsClock.now()) < lease.until_ns())
    }
}

/// What a shard owns from an instant on.
#[derive(Clone, Debug)]
pub struct Hand {
    /// The change of ownership that it is a part of.
    pub epoch: u32,
    /// From when on, counted from the plan's zero.
    pub from_ns: u64,
    /// For each of the shard's workloads. What it takes the place of comes back here.
    pub shares: Vec<Share>,
}

/// What a shard has of one workload.
#[derive(Clone, Debug)]
pub enum Share {
    /// These arrivals, from the instant on.
    Open(Arrivals),
    /// The users of these cells.
    Closed {
        /// The cells.
        cells: Cells,
        /// Users of theirs who were not here before.
        newcomers: Newcomers,
    },
    /// What was replaced, for somebody else to free: a shard gives no memory back.
    Replaced([Option<Retired>; 2]),
}

/// How a shard stands with what it owns.
#[derive(Debug, Default)]
pub(super) struct Handed {
    /// From when on the latest share holds, counted from the plan's zero.
    pub(super) latest_ns: u64,
    /// The lease ran out, and nothing was handed over since.
    pub(super) has_given_up: bool,
}

impl<I: Io> Shard<I> {
    /// Takes a share over, unless it begins before the turn `before`: what was due then has been released.
    #[cold]
    pub(super) fn hand_over(&mut self, mut hand: Box<Hand>, before: Timestamp) {
        let is_over = matches!(self.phase, Phase::Draining { .. } | Phase::Done);
        let in_time = !is_over
            && (self.phase != Phase::Running || before < self.start.plus_nanos(hand.from_ns))
            && hand.from_ns >= self.handed.latest_ns;
        if in_time {
            for (workload, share) in self.workloads.iter_mut().zip(&mut hand.shares) {
                workload.hand_over(hand.from_ns, self.start, share);
            }
            self.handed.latest_ns = hand.from_ns;
            self.handed.has_given_up = false;
        }
        self.link.report(Report::Handed { in_time, hand });
    }

    /// Whether the lease has run out by now, read anew.
    #[inline(never)]
    pub(super) fn is_lapsed(&self) -> bool {
        let Some(Tenure { lease, clock }) = &self.settings.tenure else { return false };
        let until_ns = lease.until_ns();
        until_ns != u64::MAX && clock(self.present) >= until_ns
    }

    /// An exchange leaves with the next wait.
    #[inline(never)]
    pub(super) fn note_begun(&mut self, conn: ConnId, exchange: ExchangeId) {
        self.begun.push((conn, exchange));
    }

    /// What was about to be sent on a connection is not: the lease has run out since the turn began. The next turn gives
    /// everything up.
    #[cold]
    pub(super) fn begin_nothing(&mut self, conn: ConnId, waiting: Waiting) {
        let connection = &mut self.connections[conn.index as usize];
        connection.state = State::Idle;
        self.targets[connection.target].pool.put_idle(conn);
        self.drop_request(waiting.cause, waiting.warmup, DropReason::Late);
    }

    /// Whether what this turn has begun stays, because the lease has run out meanwhile. It is dropped as late then: nobody
    /// looked between the end of the lease and now, which is our own fault.
    pub(super) fn is_withheld(&mut self) -> bool {
        let is_lapsed = self.is_lapsed();
        if is_lapsed {
            self.withhold();
        }
        self.begun.clear();
        is_lapsed
    }

    #[cold]
    fn withhold(&mut self) {
        self.io.withhold();
        for place in 0..self.begun.len() {
            let (conn, id) = self.begun[place];
            let connection = &mut self.connections[conn.index as usize];
            // It may have failed within the turn, and its place have another tenant.
            if connection.id != conn || connection.state != (State::Busy { exchange: id }) {
                continue;
            }
            let capture = connection.capture.take();
            self.keep_capture(capture);
            let exchange = self.exchanges.finish(id);
            let name = self.settings.requests[usize::from(exchange.cause.request)].name;
            self.recorder(exchange.warmup).withheld(name, DropReason::Late);
            self.close(conn);
            self.request_ended(exchange.cause, 0);
        }
    }

    /// Looks whether the lease has run out since the turn `before`, and then gives everything up.
    pub(super) fn look_at_lease(&mut self, before: Timestamp) {
        if let Some(seat) = &self.settings.live {
            seat.turns(self.now);
        }
        let Some(Tenure { lease, clock }) = &self.settings.tenure else { return };
        let until_ns = lease.until_ns();
        if until_ns == u64::MAX {
            return;
        }
        let over_ns = clock(self.now).checked_sub(until_ns);
        if let Some(over_ns) = over_ns.filter(|_| !self.handed.has_given_up && self.phase != Phase::Done) {
            // What was released before the end of the lease was ours, whatever the clocks say of a machine that slept.
            self.give_up(self.now.minus_nanos(over_ns).max(before));
        }
    }

    /// Nothing that is due from `at` on is ours. What was due before it and has not left is dropped as late: between the end
    /// of the lease and now nobody looked, which is our own fault.
    #[cold]
    fn give_up(&mut self, at: Timestamp) {
        if self.phase == Phase::Running {
            self.drop_due(at, DropReason::Late);
        }
        let at_ns = if self.start == Timestamp::MAX { 0 } else { at.nanos_since(self.start) };
        for workload in &mut self.workloads {
            workload.give_up(at_ns, self.start);
        }
        self.handed.has_given_up = true;
        self.handed.latest_ns = self.handed.latest_ns.min(at_ns);
        self.drop_waiting(DropReason::Late);
        self.cut_off_iterations(false);
        self.link.report(Report::GaveUp { at_ns });
    }
}
