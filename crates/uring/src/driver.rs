//! Hot path. The driver: opening, closing, waiting, and handing out completions.
//!
//! What it is: the crate's public face, and the order in which things happen.
//! What it is not: it knows no protocol, decides nothing and measures nothing.
//!
//! Invariants:
//! * Completions are taken out of the kernel's queue in [`Driver::wait`] and interpreted, oldest first, in
//!   [`Driver::completion`], so that those of one connection keep their order. Only what concerns connections
//!   that are being closed, and the news that a silent send did not go through, is noted at once.
//! * `batch` rises when the kernel has taken all submissions and everything it said about them has been noted: a
//!   silent send of an earlier batch is known to be over.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use clock::{Clock, OsClock, Timestamp};
use io_uring::cqueue;

use crate::buffers::{self, Buffers};
use crate::connection::{Address, Receiving, Sending, State, Table};
use crate::message::Message;
use crate::operation::{INDEX_LIMIT, Operation, Token};
use crate::probe;
use crate::refusal::{Refusal, is_clock_shifted};
use crate::ring::Ring;
use crate::socket;
use crate::timer::Timer;
use crate::waiting::Waiting;
use crate::{Completion, ConnId, Errno, Lent, Limits, PreparedId, Wait};

#[cfg(test)]
mod tests;

/// How long a connection attempt may wait for a place that is being closed, in turns of [`PATIENCE_NANOS`].
const PATIENCE_TURNS: u32 = 100;
const PATIENCE_NANOS: u64 = 1_000_000;

/// How long a dropped driver waits for the kernel to let go of its memory.
const DRAIN_NANOS: u64 = 10_000_000_000;

/// A network driver over one ring. Belongs to the thread that made it.
#[derive(Debug)]
pub struct Driver {
    // Dropped first: what follows is memory that the ring uses.
    pub(crate) ring: Ring,
    pub(crate) buffers: Buffers,
    pub(crate) table: Table,
    pub(crate) prepared: Vec<Message>,
    /// Bytes of sends that the kernel has taken. A silent send counts when it is queued, and what did not go
    /// through is taken off when the kernel says so.
    pub(crate) taken: u64,
    pub(crate) waiting: Waiting,
    /// Completions taken from the kernel; those before `inbox_next` are done with.
    inbox: Vec<cqueue::Entry>,
    inbox_next: usize,
    /// Connections without a receive buffer, in the order in which they ran out.
    pub(crate) starved: VecDeque<Token>,
    /// Connections whose next send waits for the current batch to be submitted.
    pub(crate) deferred: Vec<u32>,
    /// Closed connections whose descriptor may stand in a submission that is still queued.
    lingering: Vec<u32>,
    pub(crate) batch: u32,
    timer: Timer,
    /// A timer's operation is still queued: the call that should have submitted it was interrupted.
    is_timer_queued: bool,
    /// The ring failed at a place that cannot say so; [`Driver::wait`] will.
    broken: Option<i32>,
    /// Asked before something is submitted ahead of a wait.
    guard: Guard,
}

/// Says whether what was handed over may leave; without one it may.
struct Guard(Option<Box<dyn Fn() -> bool + Send>>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Guard").field(&self.0.is_some()).finish()
    }
}

impl Driver {
    /// Sets up a ring, its receive buffers and its connection table, after checking that everything needed works.
    ///
    /// At most 32,768 receive buffers are made; with fewer than twice the connections some wait for their turn to
    /// receive.
    ///
    /// # Panics
    /// When a limit is 0, or there are more than 2^24 connections.
    pub fn new(limits: Limits) -> Result<Self, Refusal> {
        let buffer_count = limits.buffer_count.min(buffers::COUNT_LIMIT);
        // A turn seldom submits more; when it does, the queue is flushed in between.
        let submissions = limits.connections.saturating_mul(2).clamp(64, 512);
        // Each received piece takes a buffer, and each connection may end a receive and a send besides. Beyond
        // that the kernel keeps completions itself until there is room.
        let completions =
            buffer_count.saturating_add(limits.connections.saturating_mul(2)).clamp(256, 32 * 1024);
        probe::check()?;
        Self::with_queues(limits, submissions, completions.next_power_of_two())
    }

    /// A driver that meets faults on purpose.
    ///
    /// # Panics
    /// As [`Driver::new`].
    #[cfg(feature = "faults")]
    pub fn with_faults(limits: Limits, faults: crate::Faults) -> Result<Self, Refusal> {
        let mut driver = match faults.queues {
            Some((submissions, completions)) => Self::with_queues(limits, submissions, completions)?,
            None => Self::new(limits)?,
        };
        driver.ring.shim = Some(crate::faults::Shim::new(faults));
        Ok(driver)
    }

    /// Faults met so far.
    #[cfg(feature = "faults")]
    pub fn faults_met(&self) -> u64 {
        self.ring.shim.as_ref().map_or(0, |shim| shim.injected)
    }

    /// Receive buffers that are lent.
    #[cfg(feature = "faults")]
    pub fn lent_count(&self) -> u32 {
        self.buffers.lent_count()
    }

    /// A driver whose queues hold so many entries.
    fn with_queues(limits: Limits, submissions: u32, completions: u32) -> Result<Self, Refusal> {
        assert!(limits.connections > 0 && limits.connections <= INDEX_LIMIT, "1 to 2^24 connections");
        let buffer_count = limits.buffer_count.min(buffers::COUNT_LIMIT);
        let ring = Ring::open(submissions, completions)?;
        let buffers = Buffers::new(limits.buffer_size, buffer_count);
        // SAFETY: the field order makes the driver drop the ring before the buffers.
        unsafe { ring.register_buffers(&buffers) }
            .map_err(|error| Refusal::from_error("IORING_REGISTER_PBUF_RING", error))?;
        let capacity = ring.completion_capacity() as usize;
        let connections = limits.connections as usize;
        Ok(Self {
            ring,
            buffers,
            table: Table::new(limits.connections),
            prepared: Vec::new(),
            taken: 0,
            waiting: Waiting::new(),
            inbox: Vec::with_capacity(capacity),
            inbox_next: 0,
            starved: VecDeque::with_capacity(connections),
            deferred: Vec::with_capacity(connections),
            lingering: Vec::with_capacity(connections),
            batch: 1,
            timer: Timer::new(!is_clock_shifted()),
            is_timer_queued: false,
            broken: None,
            guard: Guard(None),
        })
    }

    /// Takes bytes over for good, to be sent any number of times by [`Driver::send`].
    ///
    /// # Panics
    /// At the 2^32nd.
    pub fn prepare(&mut self, bytes: Box<[u8]>) -> PreparedId {
        self.prepare_message(bytes.into())
    }

    /// Takes a message over for good, as [`Driver::prepare`] does.
    ///
    /// # Panics
    /// At the 2^32nd.
    pub fn prepare_message(&mut self, message: Message) -> PreparedId {
        self.prepared.push(message);
        PreparedId(u32::try_from(self.prepared.len() - 1).expect("fewer than 2^32 prepared sends"))
    }

    /// Bytes of sends that the kernel has taken so far, over all connections.
    #[inline]
    pub fn bytes_taken(&self) -> u64 {
        self.taken
    }

    /// System calls made so far to move the queues.
    pub fn enter_count(&self) -> u64 {
        self.ring.enter_count()
    }

    /// Begins to open a TCP connection; completes with [`Completion::Connected`], after which receiving has
    /// begun, or [`Completion::ConnectFailed`], after which it is gone.
    ///
    /// When every place is taken but some are being closed, this waits until the kernel has let go of one, a
    /// matter of one system call as a rule.
    pub fn connect(&mut self, address: &SocketAddr) -> Result<ConnId, Errno> {
        self.connect_from(address, None)
    }

    /// [`Driver::connect`] from the local address `source`, if there is one. The kernel chooses the port when it knows
    /// the peer, so that each pair of addresses has all local ports for itself.
    pub fn connect_from(&mut self, address: &SocketAddr, source: Option<IpAddr>) -> Result<ConnId, Errno> {
        self.connect_socket(Address::new(address), || socket::open(address, source))
    }

    /// [`Driver::connect`] to a Unix socket: `name` holds the bytes of a path, or of an abstract name behind a NUL.
    /// While the peer's backlog is full, the connection waits for room in it.
    pub fn connect_unix(&mut self, name: &[u8]) -> Result<ConnId, Errno> {
        self.connect_socket(Address::unix(name), socket::open_unix)
    }

    fn connect_socket(
        &mut self,
        address: Address,
        open: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<ConnId, Errno> {
        if !self.table.has_room() {
            self.await_room();
        }
        let conn = self.table.occupy(open()?, address, self.batch).ok_or(Errno(libc::EXFULL))?;
        self.submit_connect(conn.index);
        Ok(conn)
    }

    /// Closes the connection and forgets what is queued on it. No completion names it afterwards. A stale name
    /// is ignored.
    ///
    /// Its descriptor is closed, and its place becomes free, when the kernel has let go of its last operation.
    pub fn close(&mut self, conn: ConnId) {
        let Some(place) = self.table.find(conn) else { return };
        let connecting = (place.state == State::Connecting).then_some(Operation::Connect);
        // Where a cancellation is under way already, it will do.
        let receiving =
            if place.receiving == Receiving::Cancelling { None } else { place.receiving_operation() };
        let sending = (place.sending == Sending::Busy).then_some(Operation::Send);
        self.waiting.clear(place);
        self.table.begin_closing(conn.index);
        for operation in [connecting, receiving, sending].into_iter().flatten() {
            let token = self.table.token(conn.index, operation);
            self.submit_cancellation(token);
        }
        self.finish_closing(conn.index);
    }

    /// Submits what is queued, then collects completions, blocking as `wait` allows. Returns early when
    /// completions are already there, and now and then without any. [`Wait::Poll`] makes no system call when
    /// nothing is queued and nothing has happened.
    ///
    /// # Errors
    /// The ring broke; nothing more can be expected from it.
    #[inline]
    pub fn wait(&mut self, wait: Wait) -> io::Result<()> {
        if let Some(errno) = self.broken {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.feed_starved();
        let mut is_deferring = self.start_deferred();
        if is_deferring {
            // What waits for this submission must not wait for the next completion as well.
            self.ring.enter_now()?;
            self.collect();
            is_deferring = self.start_deferred();
        }
        match wait {
            Wait::Until(deadline)
                if !is_deferring && self.inbox_next == self.inbox.len() && !self.ring.has_completion() =>
            {
                self.sleep_until(deadline)?;
            }
            _ => self.ring.enter_now()?,
        }
        self.collect();
        Ok(())
    }

    /// Waits for a completion, at the latest until `deadline`.
    #[inline]
    fn sleep_until(&mut self, deadline: Timestamp) -> io::Result<()> {
        if self.timer.covers(deadline) {
            return self.ring.enter_for_one();
        }
        // A timer that an interrupted call has left in the queue still needs the memory of its time.
        self.is_timer_queued = self.is_timer_queued && !self.ring.has_submitted();
        if self.timer.is_exhausted() || self.is_timer_queued || self.ring.is_full() {
            return self.ring.enter_until(deadline);
        }
        let entry = self.timer.arm(deadline);
        // SAFETY: the time lives on the heap as long as the driver, and is not written to before the kernel has read
        // it, which is when it takes the submission.
        unsafe { self.ring.push(&entry) };
        let entered = self.ring.enter_for_one();
        self.is_timer_queued = !self.ring.has_submitted();
        entered
    }

    /// The next completion collected by [`Driver::wait`], oldest first; `None` when all were handed out.
    #[inline]
    pub fn completion(&mut self) -> Option<Completion> {
        loop {
            let Some(entry) = self.inbox.get(self.inbox_next) else {
                self.inbox.clear();
                self.inbox_next = 0;
                return None;
            };
            let (token, result, flags) = (Token::from_bits(entry.user_data()), entry.result(), entry.flags());
            self.inbox_next += 1;
            let completion = self.interpret(token, result, flags);
            if completion.is_some() {
                return completion;
            }
        }
    }

    /// The bytes of a lent buffer; they may be changed in place.
    ///
    /// # Panics
    /// When the buffer is not lent.
    #[inline]
    pub fn bytes(&mut self, lent: &Lent) -> &mut [u8] {
        self.buffers.bytes(lent.buffer)
    }

    /// Gives a lent buffer back.
    ///
    /// # Panics
    /// When the buffer is not lent.
    #[expect(clippy::needless_pass_by_value, reason = "the loan ends here")]
    #[inline]
    pub fn release(&mut self, lent: Lent) {
        self.buffers.release(lent.buffer);
    }

    /// What a completion means to the caller, if anything.
    #[inline]
    fn interpret(&mut self, token: Token, result: i32, flags: u32) -> Option<Completion> {
        let operation = token.operation()?;
        if operation == Operation::Timer {
            self.timer.on_fired();
            return None;
        }
        let Some(place) = self.table.tenant(token) else {
            self.recycle(flags);
            return None;
        };
        if place.state == State::Closing {
            self.settle(token, result, flags);
            return None;
        }
        if token.is_cancellation() {
            self.retry_cancellation(token, result);
            return None;
        }
        match operation {
            Operation::Receive => self.on_received(token, result, flags),
            Operation::Send => self.on_sent(token, result),
            Operation::SilentSend => self.on_silent_send(token, result),
            Operation::Discard => self.on_discarded(token, result),
            Operation::Connect => Some(self.on_connected(token, result)),
            Operation::Timer => None,
        }
    }

    fn on_connected(&mut self, token: Token, result: i32) -> Completion {
        let index = token.index();
        let conn = self.table.name(index);
        let place = self.table.at(index);
        place.pending -= 1;
        if result < 0 {
            self.waiting.clear(place);
            self.table.vacate(index);
            return Completion::ConnectFailed { conn, errno: Errno(-result) };
        }
        place.state = State::Open;
        self.receive_again(index);
        self.start_waiting(index);
        Completion::Connected { conn }
    }

    /// The connection is of no further use; said once.
    pub(crate) fn fail(&mut self, index: u32, errno: i32) -> Option<Completion> {
        let conn = self.table.name(index);
        let place = self.table.at(index);
        self.waiting.clear(place);
        place.sending = if place.sending == Sending::Busy { Sending::Busy } else { Sending::Broken };
        let is_first = !std::mem::replace(&mut place.is_failed, true);
        is_first.then_some(Completion::Failed { conn, errno: Errno(errno) })
    }

    /// A cancellation failed. When the operation could not be cancelled just then, and it still must be, again.
    fn retry_cancellation(&mut self, cancellation: Token, result: i32) {
        let token = cancellation.cancelled();
        let Some(place) = self.table.tenant(token) else { return };
        let is_wanted = match place.state {
            State::Closing => place.pending > 0,
            _ => place.receiving == Receiving::Cancelling && token.operation() == Some(Operation::Receive),
        };
        if result == -libc::EALREADY && is_wanted {
            self.submit_cancellation(token);
        }
    }

    /// A completion of a connection that is being closed: nothing but book-keeping.
    fn settle(&mut self, token: Token, result: i32, flags: u32) {
        self.recycle(flags);
        if token.is_cancellation() {
            self.retry_cancellation(token, result);
            return;
        }
        if token.operation() == Some(Operation::SilentSend) || cqueue::more(flags) {
            return;
        }
        self.table.at(token.index()).pending -= 1;
        self.finish_closing(token.index());
    }

    /// Frees the place of a closed connection as soon as the kernel has let go of everything.
    fn finish_closing(&mut self, index: u32) {
        let batch = self.batch;
        let place = self.table.at(index);
        // A flush on the way here may have finished it already.
        if place.state != State::Closing || place.pending > 0 {
            return;
        }
        if place.silent_batch == batch {
            self.lingering.push(index);
        } else {
            self.table.vacate(index);
        }
    }

    /// Gives back the buffer that a completion brings, if it does, unseen.
    #[inline]
    pub(crate) fn recycle(&mut self, flags: u32) {
        if let Some(buffer) = cqueue::buffer_select(flags) {
            self.buffers.recycle(buffer);
        }
    }

    /// From now on `may_leave` is asked before queued sends are submitted ahead of the next [`Driver::wait`], for want of
    /// room; where it says no, they are withheld.
    pub fn guard(&mut self, may_leave: Box<dyn Fn() -> bool + Send>) {
        self.guard = Guard(Some(may_leave));
    }

    /// No send that begins a message and was handed over since the last submission leaves any more. Their connections can
    /// only be closed: what a submission has queued cannot be taken back, but it meets a socket that sends nothing.
    #[cold]
    pub fn withhold(&mut self) {
        let batch = self.batch;
        for index in 0..self.table.capacity() {
            let place = self.table.at(index);
            let is_first = place.sending == Sending::Busy && place.sent == 0 && place.send_batch == batch;
            if place.silent_batch == batch || is_first {
                place.end_sending();
            }
        }
    }

    fn withhold_if_it_must(&mut self) {
        if self.guard.0.as_ref().is_some_and(|may_leave| !may_leave()) {
            self.withhold();
        }
    }

    /// Submits what is queued, so that there is room again.
    #[cold]
    pub(crate) fn flush(&mut self) {
        self.withhold_if_it_must();
        let mut deadline = None;
        while self.ring.is_full() {
            if let Err(error) = self.ring.enter_now() {
                self.broken = error.raw_os_error().or(Some(libc::EIO));
            }
            self.collect();
            // A shortage of the kernel's memory; it passes, or the process is lost anyway.
            let now = OsClock.now();
            let deadline = *deadline.get_or_insert(now.plus_nanos(DRAIN_NANOS));
            assert!(now < deadline || !self.ring.is_full(), "the kernel took no submission for 10 s");
        }
    }

    /// Takes completions out of the kernel's queue, and notes what cannot wait for its turn.
    #[inline]
    fn collect(&mut self) {
        let first = self.inbox.len();
        self.ring.collect(&mut self.inbox);
        for position in first..self.inbox.len() {
            self.uncount(position);
            self.note(position);
        }
        if self.ring.is_settled() {
            self.batch = self.batch.wrapping_add(1);
            while let Some(index) = self.lingering.pop() {
                self.finish_closing(index);
            }
        }
    }

    /// A silent send speaks when it did not go through whole: takes off what was counted too early.
    #[inline]
    fn uncount(&mut self, position: usize) {
        let entry = &self.inbox[position];
        let token = Token::from_bits(entry.user_data());
        if token.operation() != Some(Operation::SilentSend) || token.is_cancellation() {
            return;
        }
        let went = u64::from(entry.result().max(0).cast_unsigned());
        // Its place cannot have a newer tenant yet: it is kept until the batch is over.
        let Some(place) = self.table.tenant(token) else { return };
        let size = self.prepared[place.silent_prepared as usize].size();
        self.taken = self.taken.saturating_sub(size.saturating_sub(went));
    }

    /// Looks at one collected completion ahead of its turn.
    #[inline]
    fn note(&mut self, position: usize) {
        let entry = &self.inbox[position];
        let token = Token::from_bits(entry.user_data());
        let (result, flags) = (entry.result(), entry.flags());
        if token == Token::TIMER {
            return;
        }
        let is_silent_send = token.operation() == Some(Operation::SilentSend);
        if !is_silent_send && self.table.closing_count() == 0 {
            return;
        }
        let Some(place) = self.table.tenant(token) else { return };
        if place.state == State::Closing {
            self.inbox[position].set_user_data(Token::VOID.bits());
            self.settle(token, result, flags);
        } else if is_silent_send && place.sending == Sending::Idle {
            // Nothing may overtake it.
            place.sending = Sending::Stalled;
        }
    }

    /// Waits until a place that is being closed is free.
    #[cold]
    fn await_room(&mut self) {
        self.withhold_if_it_must();
        for position in self.inbox_next..self.inbox.len() {
            self.note(position);
        }
        for _ in 0..PATIENCE_TURNS {
            if self.table.has_room() || self.table.closing_count() == 0 || self.broken.is_some() {
                return;
            }
            self.wait_for_kernel();
        }
    }

    /// One turn of letting the kernel finish what it was asked to give up.
    fn wait_for_kernel(&mut self) {
        if let Err(error) = self.ring.enter_until(OsClock.now().plus_nanos(PATIENCE_NANOS)) {
            self.broken = error.raw_os_error().or(Some(libc::EIO));
        }
        self.collect();
    }
}

impl Drop for Driver {
    /// Cancels everything and waits until the kernel has let go of all memory and descriptors.
    fn drop(&mut self) {
        for index in 0..self.table.capacity() {
            let conn = self.table.name(index);
            self.close(conn);
        }
        let deadline = OsClock.now().plus_nanos(DRAIN_NANOS);
        for position in self.inbox_next..self.inbox.len() {
            self.note(position);
        }
        while self.table.closing_count() > 0 && self.broken.is_none() && OsClock.now() < deadline {
            self.inbox.clear();
            self.wait_for_kernel();
        }
        if self.table.pending() > 0 {
            self.table.abandon();
        }
    }
}

/// The present instant of the clock that [`Driver::wait`] goes by.
pub fn now() -> Timestamp {
    OsClock.now()
}
