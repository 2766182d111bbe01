//! Hot path. Releasing: arrivals that are due become exchanges, or wait, or are dropped with a reason.
//!
//! What it is: the part of a shard's turn that looks at the schedule.
//! What it is not: pacing; how long to sleep until the next arrival is decided in the turn.
//!
//! Invariant: an arrival is counted as scheduled exactly once, when the shard gets to it, and from then on it
//! is sent or dropped.

use clock::Timestamp;
use measure::DropReason;

use super::exchange::{Exchange, NONE};
use super::pacing::{CatchUp, SKIP_AFTER_NS};
use super::waiting::Waiting;
use super::workload::Due;
use super::{CONNECTION_STEPS, ENCRYPTION_STEPS, NAME, Phase, RELEASES_PER_TURN, Shard};
use crate::conn::{Stack, State};
use crate::io::{ConnId, Errno, Io, TABLE_FULL};

/// After a connect that failed, a user of the closed model pauses at least this long, so that a dead target
/// is not stormed with connects: 100 ms. Likewise after a request that found no room, which takes no time.
pub(super) const FAILED_CONNECT_PAUSE_NS: u64 = 100_000_000;

impl<I: Io> Shard<I> {
    /// Releases what is due, as far as the catch-up policy and the turn's bound allow.
    pub(super) fn release(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        let until = match self.settings.catch_up {
            CatchUp::Smooth => self.smoother.release_until(self.now, self.planned),
            CatchUp::Burst | CatchUp::Skip => self.now,
        };
        let mut released = 0;
        while let Some(due) = self.workload.next_due(self.start) {
            if due > until || due >= self.end {
                break;
            }
            if released == RELEASES_PER_TURN {
                self.unfinished_turn = true;
                break;
            }
            released += 1;
            if let Some(due) = self.workload.take(self.start) {
                self.arrive(due);
            }
        }
        if released > 0 {
            // Coalescing counts from the planned wake-up: a late one must not push the next ones back.
            self.last_arrival_wake = self.arrival_wake.min(self.now);
        }
    }

    fn arrive(&mut self, due: Due) {
        let now = self.present;
        let lag_ns = now.nanos_since(due.intended);
        let warmup = due.intended < self.origin;
        self.pool.arrival();
        let recorder = self.recorder(warmup);
        recorder.scheduled(1);
        recorder.lag(lag_ns);
        // Past its deadline nothing can come of it, and that is not the target's fault.
        let skips = self.settings.catch_up == CatchUp::Skip && lag_ns > SKIP_AFTER_NS;
        if skips || self.has_expired(due.intended) {
            self.drop_arrival(due.user, warmup, DropReason::Late);
            return;
        }
        let arrival = Waiting { intended: due.intended, reached: now, user: due.user, warmup };
        if self.waiting.is_empty()
            && let Some(conn) = self.pool.take_idle()
        {
            self.begin(conn, arrival);
        } else if self.waiting.push(arrival) {
            self.open_for_waiting();
        } else {
            self.drop_arrival(due.user, warmup, DropReason::QueueFull);
        }
    }

    /// Counts an arrival that will never be sent.
    pub(super) fn drop_arrival(&mut self, user: u32, warmup: bool, reason: DropReason) {
        self.recorder(warmup).dropped(reason);
        let pause_ns = match reason {
            DropReason::QueueFull | DropReason::LocalResource => FAILED_CONNECT_PAUSE_NS,
            DropReason::Expired | DropReason::Late | DropReason::Interrupted => 0,
        };
        self.user_ended(user, pause_ns);
    }

    /// Lets the closed model's user go on; nothing in the open model.
    pub(super) fn user_ended(&mut self, user: u32, pause_ns: u64) {
        if user != NONE {
            self.workload.ended(user, self.now, pause_ns);
        }
    }

    /// Hands an arrival to a connection that is ready for it.
    pub(super) fn begin(&mut self, conn: ConnId, arrival: Waiting) {
        let connection = &mut self.connections[conn.index as usize];
        let is_last = self.settings.is_last(connection.served);
        let message = self.settings.message(connection.served);
        let encrypts = !matches!(connection.stack, Stack::Plain);
        let encrypted = match &mut connection.stack {
            Stack::Plain => Ok(()),
            Stack::Tls(stack) => stack.begin(message),
        };
        if encrypted.is_err_and(tls::TlsError::is_retryable) {
            return self.begin_elsewhere(conn, arrival);
        }
        let now = self.step(if encrypts { ENCRYPTION_STEPS } else { 1 });
        let exchange = self.exchanges.begin(Exchange {
            intended: arrival.intended,
            sent: now,
            first_byte: None,
            conn,
            user: arrival.user,
            warmup: arrival.warmup,
        });
        let connection = &mut self.connections[conn.index as usize];
        connection.state = State::Busy { exchange };
        connection.machine.expect(self.settings.head_request);
        let recorder = &mut self.recorders[usize::from(arrival.warmup)];
        recorder.sent(NAME);
        recorder.queue(now.nanos_since(arrival.reached));
        match (&connection.stack, encrypted) {
            (_, Err(error)) => self.break_off(conn, crate::conn::of_tls(error)),
            (Stack::Tls(_), Ok(())) => self.flush(conn),
            (Stack::Plain, Ok(())) => {
                self.io.send(conn, if is_last { self.last_request } else { self.request });
            }
        }
    }

    /// The connection's keys are used up before anything of the request has left: nobody is at fault, and another
    /// connection carries it.
    fn begin_elsewhere(&mut self, conn: ConnId, arrival: Waiting) {
        self.close(conn);
        if let Some(other) = self.pool.take_idle() {
            return self.begin(other, arrival);
        }
        self.waiting.push_front(arrival);
        self.open_for_waiting();
    }

    /// Hands gathered ciphertext to the driver, if it is free to take it.
    pub(super) fn flush(&mut self, conn: ConnId) {
        let connection = &mut self.connections[conn.index as usize];
        let Stack::Tls(stack) = &mut connection.stack else { return };
        let gathered = stack.gather(self.settings.message(connection.served));
        if let Some(bytes) = stack.take_outgoing() {
            self.io.send_owned(conn, bytes);
        }
        if let Err(error) = gathered {
            self.break_off(conn, crate::conn::of_tls(error));
        }
    }

    /// A connection is ready: it takes the arrival that has waited longest, or becomes idle.
    pub(super) fn serve_next(&mut self, conn: ConnId) {
        while let Some(arrival) = self.waiting.pop() {
            if self.has_expired(arrival.intended) {
                self.drop_arrival(arrival.user, arrival.warmup, DropReason::Expired);
                continue;
            }
            self.begin(conn, arrival);
            return;
        }
        self.connections[conn.index as usize].state = State::Idle;
        self.pool.put_idle(conn);
    }

    pub(super) fn has_expired(&self, intended: Timestamp) -> bool {
        self.now.nanos_since(intended) >= self.settings.timeout_ns
    }

    /// Opens connections while more arrivals wait than connections are on their way, within the cap, the credit
    /// and the turn's bound. That bound is what keeps a start on time: a connect costs more than an arrival is
    /// apart from the next at high rates, and the first connections that stand make most others needless.
    pub(super) fn open_for_waiting(&mut self) {
        while self.pool.connecting() as usize + self.answered.len() < self.waiting.len()
            && self.pool.may_open()
        {
            if self.opens_left == 0 {
                self.unfinished_turn = true;
                return;
            }
            self.opens_left -= 1;
            match self.open() {
                Ok(()) => {}
                // The next turn tries again.
                Err(TABLE_FULL) => return,
                Err(_) => {
                    if self.close_leaving() {
                        // What they held is free when the driver has closed them: the next turn tries again.
                        self.unfinished_turn = true;
                        return;
                    }
                    // One attempt costs one arrival; the others may find a connection that becomes free, or room in
                    // the next turn.
                    self.opens_left = 0;
                    if let Some(arrival) = self.waiting.pop() {
                        self.drop_arrival(arrival.user, arrival.warmup, DropReason::LocalResource);
                    }
                    return;
                }
            }
        }
    }

    /// Opens the connections that the plan wants before the start.
    pub(super) fn open_warm(&mut self) {
        for _ in 0..self.settings.warm_connections {
            if !self.pool.may_open() || self.open().is_err() {
                break;
            }
        }
    }

    fn open(&mut self) -> Result<(), Errno> {
        let route = self.route;
        // Whatever becomes of it: a route that has run out of ports must not hold up the others.
        self.route = (route + 1) % self.settings.routes.len();
        let conn = self.io.connect(&self.settings.routes[route])?;
        self.pool.opening();
        self.recorders[usize::from(self.now < self.origin)].connect_started();
        self.connections[conn.index as usize].open(conn, self.settings.response_limits, self.now);
        if self.opening.len() == self.opening.capacity() {
            // An attempt that stays unanswered holds up the others' entries. Of these at most half are under way.
            self.forget_all_opened();
        }
        self.opening.push_back((conn, self.now));
        self.step(CONNECTION_STEPS);
        Ok(())
    }
}

/// Whether this machine itself refused: no descriptor, no port, no memory. Never the target's fault.
pub(super) fn is_local(errno: Errno) -> bool {
    use rustix::io::Errno as Code;
    [
        Code::MFILE,
        Code::NFILE,
        Code::ADDRNOTAVAIL,
        Code::NOMEM,
        Code::ADDRINUSE,
        Code::PERM,
        Code::AGAIN,
        Code::NOSPC,
        Code::NOBUFS,
        Code::AFNOSUPPORT,
    ]
    .iter()
    .any(|code| code.raw_os_error() == errno.0)
}
