//! Hot path. Releasing: arrivals that are due become exchanges, or wait, or are dropped with a reason.
//!
//! What it is: the part of a shard's turn that looks at the schedule.
//! What it is not: pacing; how long to sleep until the next arrival is decided in the turn.
//!
//! Invariant: an arrival is counted as scheduled exactly once, when the shard gets to it, and from then on it
//! is sent or dropped.

use clock::Timestamp;
use measure::DropReason;
use tls::TlsError;

use super::exchange::{Cause, Exchange, NONE};
use super::iterations::iteration_of;
use super::pacing::{CatchUp, SKIP_AFTER_NS};
use super::waiting::Waiting;
use super::workload::{Due, Task};
use super::{CONNECTION_STEPS, ENCRYPTION_STEPS, Phase, RELEASES_PER_TURN, Shard};
use crate::conn::{Machine, Stack, State};
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
        while let Some((due, workload)) = self.next_due() {
            if due > until || due >= self.end {
                break;
            }
            if released == RELEASES_PER_TURN {
                self.unfinished_turn = true;
                break;
            }
            released += 1;
            if let Some(due) = self.workloads[workload].take(self.start) {
                self.arrive(workload, due);
            }
        }
        if released > 0 {
            // Coalescing counts from the planned wake-up: a late one must not push the next ones back.
            self.last_arrival_wake = self.arrival_wake.min(self.now);
        }
    }

    fn arrive(&mut self, workload: usize, due: Due) {
        let now = self.present;
        let lag_ns = now.nanos_since(due.intended);
        let warmup = due.intended < self.origin;
        let request = match self.workloads[workload].task {
            Task::Request(request) => request,
            Task::Scenario(scenario) => return self.begin_iteration(index(workload), scenario, due),
            Task::Own => return self.begin_own(index(workload), due),
        };
        let target = self.settings.requests[usize::from(request)].target;
        let cause = Cause { request, target, workload: index(workload), user: due.user, iteration: NONE };
        let recorder = self.recorder(warmup);
        recorder.scheduled(1);
        recorder.lag(lag_ns);
        self.request_due(Waiting { cause, intended: due.intended, reached: now, warmup });
    }

    /// A request is due and counted as scheduled: a connection takes it, or it waits, or it is dropped.
    pub(super) fn request_due(&mut self, waiting: Waiting) {
        let cause = waiting.cause;
        let target_index = usize::from(cause.target);
        self.targets[target_index].pool.arrival();
        // Past its deadline nothing can come of it, and that is not the target's fault.
        if self.skips(waiting.intended) || self.has_expired(&waiting) {
            self.drop_request(cause, waiting.warmup, DropReason::Late);
            return;
        }
        let target = &mut self.targets[target_index];
        if target.waiting.is_empty()
            && let Some(conn) = target.pool.take_idle()
        {
            self.begin(conn, waiting);
        } else if target.waiting.push(waiting) {
            self.open_for_waiting(target_index);
        } else {
            self.drop_request(cause, waiting.warmup, DropReason::QueueFull);
        }
    }

    /// Whether the plan wants what was due then to be dropped by now.
    pub(super) fn skips(&self, intended: Timestamp) -> bool {
        self.settings.catch_up == CatchUp::Skip && self.present.nanos_since(intended) > SKIP_AFTER_NS
    }

    /// Counts a request that will never be sent.
    pub(super) fn drop_request(&mut self, cause: Cause, warmup: bool, reason: DropReason) {
        let name = self.settings.requests[usize::from(cause.request)].name;
        self.recorder(warmup).dropped(name, reason);
        self.own.release(cause);
        let pause_ns = match reason {
            DropReason::QueueFull | DropReason::LocalResource => FAILED_CONNECT_PAUSE_NS,
            DropReason::Expired | DropReason::Late | DropReason::Interrupted => 0,
        };
        self.request_ended(cause, pause_ns);
    }

    /// A request got no response: its iteration, or the closed model's user, goes on.
    pub(super) fn request_ended(&mut self, cause: Cause, pause_ns: u64) {
        match self.iteration_of(cause) {
            None => self.user_goes_on(cause.workload, cause.user, pause_ns),
            Some(id) => self.iteration_unanswered(id, cause, pause_ns),
        }
    }

    /// Lets the closed model's user go on; nothing in the open model.
    pub(super) fn user_goes_on(&mut self, workload: u16, user: u32, pause_ns: u64) {
        if user != NONE {
            self.workloads[usize::from(workload)].ended(user, self.now, pause_ns);
        }
    }

    /// Hands a request to a connection that is ready for it.
    pub(super) fn begin(&mut self, conn: ConnId, waiting: Waiting) {
        let cause = waiting.cause;
        if I::SENDS_AT_ONCE && self.settings.tenure.is_some() && self.is_lapsed() {
            return self.begin_nothing(conn, waiting);
        }
        let settings = &self.settings.requests[usize::from(cause.request)];
        let request = self.requests[usize::from(cause.request)];
        let connection = &mut self.connections[conn.index as usize];
        let is_last = self.targets[connection.target].settings.is_last(connection.served);
        let encrypts = !matches!(connection.stack, Stack::Plain);
        let message = settings.message(is_last);
        let (name, is_head, needs, is_rendered) =
            (settings.name, settings.is_head, settings.needs, message.is_none());
        let encrypted = match (&mut connection.stack, message) {
            (Stack::Plain, Some(_)) => Ok(()),
            (Stack::Tls(stack), Some(message)) => stack.begin(message),
            (_, None) => self.begin_rendered(conn, cause),
        };
        if encrypted.is_err_and(TlsError::is_retryable) {
            return self.begin_elsewhere(conn, waiting);
        }
        let now = self.step(if encrypts { ENCRYPTION_STEPS } else { 1 });
        let exchange = self.exchanges.begin(
            request.list,
            Exchange {
                cause,
                intended: waiting.intended,
                deadline: waiting.intended,
                sent: now,
                first_byte: None,
                conn,
                warmup: waiting.warmup,
            },
        );
        if !I::SENDS_AT_ONCE && self.settings.tenure.is_some() {
            self.note_begun(conn, exchange);
        }
        let connection = &mut self.connections[conn.index as usize];
        connection.state = State::Busy { exchange };
        connection.machine.expect(is_head);
        let reads = needs.head || needs.body;
        if reads || connection.capture.is_some() {
            connection.capture = reads.then(|| self.iterations.captures.pop().unwrap_or_default());
        }
        let recorder = &mut self.recorders[usize::from(waiting.warmup)];
        recorder.sent(name);
        recorder.queue(now.nanos_since(waiting.reached));
        if !encrypts && !is_rendered {
            self.io.send(conn, if is_last { request.last_message } else { request.message });
            return;
        }
        if self.settings.protocol.is_some() {
            return self.send_own(conn, cause, encrypted);
        }
        // Under TLS it has been copied in being encrypted.
        let bytes = is_rendered.then(|| self.take_rendered(cause));
        let connection = &mut self.connections[conn.index as usize];
        match (&connection.stack, encrypted, bytes) {
            (_, Err(error), _) => self.break_off(conn, crate::conn::of_tls(error)),
            (Stack::Tls(_), Ok(()), bytes) => {
                if let Some(bytes) = bytes {
                    self.iterations.keep_buffer(bytes);
                }
                self.flush(conn);
            }
            (Stack::Plain, Ok(()), Some(bytes)) => {
                connection.is_sending = true;
                self.io.send_owned(conn, bytes);
            }
            // It has been sent above.
            (Stack::Plain, Ok(()), None) => {}
        }
    }

    /// Encrypts a request that was written for one exchange alone, if it is to be. An error that is retryable has sent
    /// nothing.
    fn begin_rendered(&mut self, conn: ConnId, cause: Cause) -> Result<(), TlsError> {
        if self.settings.protocol.is_some() {
            return self.write_own(conn, cause);
        }
        let rendered = self.iterations.rendered(iteration_of(&self.workloads, cause));
        match &mut self.connections[conn.index as usize].stack {
            Stack::Plain => Ok(()),
            Stack::Tls(stack) => stack.begin_rendered(rendered),
        }
    }

    /// The connection's keys are used up before anything of the request has left: nobody is at fault, and another
    /// connection carries it.
    fn begin_elsewhere(&mut self, conn: ConnId, waiting: Waiting) {
        let target_index = self.connections[conn.index as usize].target;
        self.close(conn);
        let target = &mut self.targets[target_index];
        if let Some(other) = target.pool.take_idle() {
            return self.begin(other, waiting);
        }
        target.waiting.push_front(waiting);
        self.open_for_waiting(target_index);
    }

    /// Hands gathered ciphertext to the driver, if it is free to take it.
    pub(super) fn flush(&mut self, conn: ConnId) {
        let connection = &mut self.connections[conn.index as usize];
        let Stack::Tls(stack) = &mut connection.stack else {
            if matches!(connection.machine, Machine::Own(_)) {
                self.flush_own(conn);
            }
            return;
        };
        let gathered = match connection.state {
            State::Busy { exchange } if stack.unsent.is_some() => {
                let request = usize::from(self.exchanges.cause(exchange).request);
                let is_last = self.targets[connection.target].settings.is_last(connection.served);
                match self.settings.requests[request].message(is_last) {
                    Some(message) => stack.gather(message),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        };
        let gathered = match &mut connection.machine {
            // What it writes before the transport stands waits for it.
            Machine::Own(own) if stack.session.is_established() => gathered.and(stack.take_own(own)),
            _ => gathered,
        };
        if let Some(bytes) = stack.take_outgoing() {
            self.io.send_owned(conn, bytes);
        }
        if let Err(error) = gathered {
            self.break_off(conn, crate::conn::of_tls(error));
        }
    }

    /// A connection is ready: it takes the request that has waited longest, or becomes idle.
    pub(super) fn serve_next(&mut self, conn: ConnId) {
        let target_index = self.connections[conn.index as usize].target;
        while let Some(waiting) = self.targets[target_index].waiting.pop() {
            if self.has_expired(&waiting) {
                self.drop_request(waiting.cause, waiting.warmup, DropReason::Expired);
                continue;
            }
            self.begin(conn, waiting);
            return;
        }
        self.connections[conn.index as usize].state = State::Idle;
        self.targets[target_index].pool.put_idle(conn);
    }

    pub(super) fn has_expired(&self, waiting: &Waiting) -> bool {
        self.now.nanos_since(waiting.intended) >= self.timeout_ns(waiting.cause)
    }

    /// Opens connections for what waits for any target.
    pub(super) fn open_for_all(&mut self) {
        for target_index in 0..self.targets.len() {
            self.open_for_waiting(target_index);
        }
    }

    /// Opens connections while more requests wait for a target than connections to it are on their way, within the
    /// cap, the credit and the turn's bound. That bound is what keeps a start on time: a connect costs more than an
    /// arrival is apart from the next at high rates, and the first connections that stand make most others needless.
    pub(super) fn open_for_waiting(&mut self, target_index: usize) {
        loop {
            let target = &self.targets[target_index];
            // Those answered in this turn may lead elsewhere: then the next turn opens what was missed.
            let coming = target.pool.connecting() as usize + self.answered.len();
            if coming >= target.waiting.len() || !target.pool.may_open() {
                return;
            }
            if self.opens_left == 0 {
                self.unfinished_turn = true;
                return;
            }
            self.opens_left -= 1;
            match self.open(target_index) {
                Ok(()) => {}
                // The next turn tries again.
                Err(TABLE_FULL) => return,
                Err(_) => {
                    if self.close_leaving() {
                        // What they held is free when the driver has closed them: the next turn tries again.
                        self.unfinished_turn = true;
                        return;
                    }
                    // One attempt costs one request; the others may find a connection that becomes free, or room in
                    // the next turn.
                    self.opens_left = 0;
                    if let Some(waiting) = self.targets[target_index].waiting.pop() {
                        self.drop_request(waiting.cause, waiting.warmup, DropReason::LocalResource);
                    }
                    return;
                }
            }
        }
    }

    /// Opens the connections that the plan wants before the start.
    pub(super) fn open_warm(&mut self) {
        for target_index in 0..self.targets.len() {
            for _ in 0..self.targets[target_index].settings.warm_connections {
                if !self.targets[target_index].pool.may_open() || self.open(target_index).is_err() {
                    break;
                }
            }
        }
    }

    fn open(&mut self, target_index: usize) -> Result<(), Errno> {
        let target = &mut self.targets[target_index];
        let conn = self.io.connect(target.next_route())?;
        target.pool.opening();
        self.recorders[usize::from(self.now < self.origin)].connect_started();
        let own = self.settings.protocol.as_ref().map(|spoken| Box::new(spoken.session()));
        let limits = self.settings.response_limits;
        self.connections[conn.index as usize].open(conn, target_index, limits, own, self.now);
        if target.opening.len() == target.opening.capacity() {
            // An attempt that stays unanswered holds up the others' entries. Of these at most half are under way.
            self.forget_all_opened(target_index);
        }
        self.targets[target_index].opening.push_back((conn, self.now));
        self.step(CONNECTION_STEPS);
        Ok(())
    }
}

/// A place in one of the plan's lists.
///
/// # Panics
/// Never: a plan has at most 65,535 workloads and requests.
fn index(place: usize) -> u16 {
    u16::try_from(place).expect("a plan has at most 65,535 workloads")
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
