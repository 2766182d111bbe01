//! Hot path. The driver that stands on edge-triggered epoll.
//!
//! What it is: [`Io`] for kernels and sandboxes without the ring, at about the cost of the bare system calls.
//! What it is not: lazy. Everything that [`Io::wait`] reports was received before it returned, so a clock read
//! after it is never earlier than the bytes it is attached to.
//!
//! How it works:
//! * A socket is registered once, for every edge. An edge obliges the driver to go on until the kernel says
//!   *would block*, or gives less than was asked for while no FIN or error was announced.
//! * A connection that has had its share of a turn stands in `deferred` and is resumed by the next wait, which
//!   then does not block. One for which no buffer was free stands in `starved` and is resumed after a release.
//!   So no edge is lost, and one connection cannot hold up the others.
//! * Sending happens inside [`Io::send`]; what the kernel does not take waits for the edge that announces room.
//! * What is finished outside of a wait (a whole owned send, a failed send) is told by the next one.
//!
//! Invariants: at most `BATCH` events, as many deferred and as many starved connections make up one turn, so
//! the queue of completions never grows. A completion whose connection was closed meanwhile is swallowed when it is taken.

mod connection;
mod place_queue;
mod sleeper;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use clock::{Clock, OsClock, Timestamp};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno as OsErrno;
use rustix::net::sockopt::socket_error;
use rustix::net::{RecvFlags, recv};

use self::connection::{Connection, Outgoing, State, transmit, transmit_message};
use self::place_queue::PlaceQueue;
use self::sleeper::Sleeper;
use super::buffers::Buffers;
use super::{Completion, ConnId, Errno, Guard, Io, Lent, Limits, Message, PreparedId, Route, Wait};

/// Events taken from the kernel at once, and connections resumed at once.
const BATCH: usize = 128;

/// Receive calls that one connection gets in one turn.
const RECEIVES_PER_TURN: usize = 4;

/// Completions that one connection can cause in one turn: connected, sent, received, ended or failed.
const COMPLETIONS_PER_TURN: usize = RECEIVES_PER_TURN + 3;

/// Most bytes thrown away by one system call. The kernel writes nothing there, so the memory is never touched.
const DISCARD_SIZE: usize = 1 << 20;

/// An [`Io`] on epoll. See the module's documentation.
#[derive(Debug)]
pub struct EpollIo {
    sleeper: Sleeper,
    connections: Box<[Connection]>,
    free: Vec<u32>,
    buffers: Buffers,
    prepared: Vec<Message>,
    /// Bytes that the kernel has taken.
    taken: u64,
    completions: VecDeque<Completion>,
    deferred: PlaceQueue,
    starved: PlaceQueue,
    discarded: Box<[u8]>,
}

impl EpollIo {
    /// A driver that can hold what `limits` says; all of it is allocated here.
    ///
    /// # Errors
    /// The kernel gives no epoll or timer descriptor.
    ///
    /// # Panics
    /// There is no receive buffer, or 2^32 - 1 connections are asked for.
    pub fn new(limits: Limits) -> io::Result<Self> {
        let count = usize::try_from(limits.connections).expect("a 32-bit count fits");
        assert!(limits.connections < u32::MAX, "the last index is reserved for the timer");
        Ok(Self {
            sleeper: Sleeper::new(BATCH)?,
            connections: (0..count).map(|_| Connection::free()).collect(),
            free: (0..limits.connections).rev().collect(),
            buffers: Buffers::new(&limits),
            prepared: Vec::new(),
            taken: 0,
            completions: VecDeque::with_capacity(3 * BATCH * COMPLETIONS_PER_TURN),
            deferred: PlaceQueue::new(count),
            starved: PlaceQueue::new(count),
            discarded: vec![0; DISCARD_SIZE].into_boxed_slice(),
        })
    }

    /// The living connection of that name.
    fn tenant(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let connection = &mut self.connections[conn.index as usize];
        (connection.generation == conn.generation && connection.state != State::Free).then_some(connection)
    }

    fn vacate(&mut self, index: u32) {
        self.connections[index as usize].vacate();
        self.free.push(index);
    }

    /// A send failed outside of a wait. What the peer said before is told first, then the failure.
    fn send_failed(&mut self, index: u32, errno: OsErrno) {
        let connection = &mut self.connections[index as usize];
        connection.failing = Some(errno);
        connection.readable = true;
        connection.outgoing.clear();
        self.deferred.push(index);
    }

    /// Whether blocking would withhold something.
    fn has_work(&self) -> bool {
        let can_feed = !self.starved.is_empty() && self.buffers.has_free();
        !self.completions.is_empty() || !self.deferred.is_empty() || can_feed
    }

    /// Resumes what earlier turns left over: at most [`BATCH`] connections.
    fn resume(&mut self) {
        for _ in 0..BATCH.min(self.deferred.len()) {
            let Some(index) = self.deferred.pop() else { break };
            self.resume_one(index);
        }
        for _ in 0..BATCH.min(self.starved.len()) {
            if !self.buffers.has_free() {
                break;
            }
            let Some(index) = self.starved.pop() else { break };
            if self.connections[index as usize].readable {
                self.receive(index);
            }
        }
    }

    fn resume_one(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        let conn = connection.id(index);
        if let State::Refused(errno) = connection.state {
            self.completions.push_back(Completion::ConnectFailed { conn, errno: errno.into() });
            return;
        }
        if let Some(buffer) = connection.sent.take() {
            self.completions.push_back(Completion::Sent { conn, buffer });
        }
        if connection.readable && (!self.starved.contains(index) || connection.discard > 0) {
            self.receive(index);
        }
    }

    /// Acts on the events that the sleeper collected.
    fn handle_events(&mut self) {
        for place in 0..self.sleeper.count() {
            let Some((data, flags)) = self.sleeper.event(place) else { continue };
            let conn = from_event_data(data);
            if self.tenant(conn).is_some() {
                self.handle_event(conn.index, flags);
            }
        }
    }

    fn handle_event(&mut self, index: u32, flags: EventFlags) {
        let ending = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let connection = &mut self.connections[index as usize];
        if connection.state == State::Connecting && !self.finish_connect(index, flags) {
            return;
        }
        let connection = &mut self.connections[index as usize];
        connection.hangup |= flags.intersects(ending);
        if let Some(buffer) = connection.sent.take() {
            let conn = connection.id(index);
            self.completions.push_back(Completion::Sent { conn, buffer });
        }
        let connection = &mut self.connections[index as usize];
        if !connection.outgoing.is_empty() && connection.is_sendable() {
            self.flush(index);
        }
        if flags.intersects(EventFlags::IN | ending) {
            self.receive(index);
        }
    }

    /// Whether the connection stands now.
    fn finish_connect(&mut self, index: u32, flags: EventFlags) -> bool {
        let connection = &mut self.connections[index as usize];
        let conn = connection.id(index);
        let mut failing = None;
        if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            let socket = connection.socket.as_ref().expect("a connecting place has a socket");
            match socket_error(socket).unwrap_or_else(Err) {
                Ok(()) => {}
                // RFC 9293 §3.10.7: a reset that meets an established connection; before that the kernel says
                // that the connection was refused. So it stood, and what it brought can still be read.
                Err(errno @ (OsErrno::CONNRESET | OsErrno::PIPE)) => failing = Some(errno),
                Err(errno) => {
                    connection.state = State::Refused(errno);
                    self.completions.push_back(Completion::ConnectFailed { conn, errno: errno.into() });
                    return false;
                }
            }
        } else if !flags.contains(EventFlags::OUT) {
            return false;
        }
        connection.state = State::Open;
        connection.failing = failing;
        self.completions.push_back(Completion::Connected { conn });
        true
    }

    /// Continues the sends that the kernel did not take at once.
    fn flush(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        let conn = connection.id(index);
        match connection.flush(&self.prepared, &mut self.taken) {
            Ok(Some(buffer)) => self.completions.push_back(Completion::Sent { conn, buffer }),
            Ok(None) => {}
            Err(errno) => self.send_failed(index, errno),
        }
    }

    /// Receives until the kernel has no more, or the connection's share of this turn is used up.
    fn receive(&mut self, index: u32) {
        for _ in 0..RECEIVES_PER_TURN {
            let connection = &self.connections[index as usize];
            if connection.state != State::Open {
                if connection.state == State::Ended {
                    self.end_if_failing(index);
                }
                return;
            }
            let goes_on =
                if connection.discard > 0 { self.discard_once(index) } else { self.receive_once(index) };
            if !goes_on {
                return;
            }
        }
        self.connections[index as usize].readable = true;
        self.deferred.push(index);
    }

    /// One receive into a buffer; whether there may be more.
    fn receive_once(&mut self, index: u32) -> bool {
        let connection = &mut self.connections[index as usize];
        let Some(buffer) = self.buffers.take() else {
            connection.readable = true;
            self.starved.push(index);
            return false;
        };
        let conn = connection.id(index);
        let socket = connection.socket.as_ref().expect("an open place has a socket");
        let memory = self.buffers.whole(buffer);
        match recv(socket, memory, RecvFlags::empty()) {
            Ok((count, _)) if count > 0 => {
                connection.undelivered += count as u64;
                connection.readable = count == self.buffers.size() || connection.hangup;
                let len = u32::try_from(count).expect("a buffer's size is 32-bit");
                self.completions.push_back(Completion::Received { conn, lent: Lent { buffer, len } });
                connection.readable
            }
            other => {
                self.buffers.put_back(buffer);
                self.receive_none(index, other.map(|_| ()))
            }
        }
    }

    /// One receive that throws away; whether there may be more.
    fn discard_once(&mut self, index: u32) -> bool {
        let connection = &mut self.connections[index as usize];
        let conn = connection.id(index);
        let socket = connection.socket.as_ref().expect("an open place has a socket");
        let wanted = usize::try_from(connection.discard).unwrap_or(DISCARD_SIZE).min(DISCARD_SIZE);
        // tcp(7): with MSG_TRUNC the bytes are dropped instead of copied.
        match recv(socket, &mut self.discarded[..wanted], RecvFlags::TRUNC) {
            Ok((_, count)) if count > 0 => {
                connection.discard -= count as u64;
                connection.undelivered += count as u64;
                connection.readable = count == wanted || connection.hangup;
                self.completions.push_back(Completion::Discarded { conn, count: count as u64 });
                connection.readable
            }
            other => self.receive_none(index, other.map(|_| ())),
        }
    }

    /// A receive gave no bytes; whether to try again.
    fn receive_none(&mut self, index: u32, outcome: Result<(), OsErrno>) -> bool {
        let connection = &mut self.connections[index as usize];
        let conn = connection.id(index);
        connection.readable = false;
        match (outcome, connection.failing) {
            (Err(OsErrno::INTR), _) => {
                connection.readable = true;
                return true;
            }
            (Err(OsErrno::AGAIN), None) => {}
            (_, Some(errno)) | (Err(errno), None) => self.fail(index, errno),
            (Ok(()), None) => {
                connection.state = State::Ended;
                self.completions.push_back(Completion::Ended { conn });
            }
        }
        false
    }

    fn end_if_failing(&mut self, index: u32) {
        if let Some(errno) = self.connections[index as usize].failing {
            self.fail(index, errno);
        }
    }

    fn fail(&mut self, index: u32, errno: OsErrno) {
        let connection = &mut self.connections[index as usize];
        let conn = connection.id(index);
        connection.state = State::Failed;
        connection.readable = false;
        connection.outgoing.clear();
        self.completions.push_back(Completion::Failed { conn, errno: errno.into() });
    }
}

impl Io for EpollIo {
    const SENDS_AT_ONCE: bool = true;

    fn now(&mut self) -> Timestamp {
        OsClock.now()
    }

    fn prepare_message(&mut self, message: Message) -> PreparedId {
        let id = u32::try_from(self.prepared.len()).expect("fewer than 2^32 prepared sends");
        self.prepared.push(message);
        PreparedId(id)
    }

    fn bytes_taken(&self) -> u64 {
        self.taken
    }

    fn connect(&mut self, route: &Route) -> Result<ConnId, Errno> {
        let Some(&index) = self.free.last() else { return Err(super::TABLE_FULL) };
        let conn = self.connections[index as usize].id(index);
        match socket::begin_connect(route) {
            Ok(socket) => {
                self.sleeper.add(&socket, to_event_data(conn))?;
                self.connections[index as usize].open(Some(socket), State::Connecting);
            }
            Err(errno) if is_local(errno) => return Err(errno.into()),
            // The network said no at once: a completion like any other refusal.
            Err(errno) => {
                self.connections[index as usize].open(None, State::Refused(errno));
                self.deferred.push(index);
            }
        }
        self.free.pop();
        Ok(conn)
    }

    fn send(&mut self, conn: ConnId, prepared: PreparedId) {
        let connection = &mut self.connections[conn.index as usize];
        if connection.generation != conn.generation || connection.is_broken() {
            return;
        }
        let mut from = 0;
        if connection.outgoing.is_empty() && connection.is_sendable() {
            let Some(socket) = &connection.socket else { return };
            let outcome = transmit_message(socket, &self.prepared[prepared.0 as usize], &mut from);
            self.taken += from;
            match outcome {
                Ok(true) => return,
                Ok(false) => {}
                Err(errno) => return self.send_failed(conn.index, errno),
            }
        }
        connection.outgoing.push_back(Outgoing::Prepared { prepared, from });
    }

    fn send_owned(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let connection = &mut self.connections[conn.index as usize];
        if connection.generation != conn.generation
            || connection.state == State::Free
            || connection.is_broken()
        {
            return;
        }
        let mut from = 0;
        if connection.outgoing.is_empty() && connection.is_sendable() {
            let Some(socket) = &connection.socket else { return };
            let outcome = transmit(socket, &bytes, &mut from);
            self.taken += from as u64;
            match outcome {
                Ok(true) => {
                    connection.sent = Some(bytes);
                    return self.deferred.push(conn.index);
                }
                Ok(false) => {}
                Err(errno) => return self.send_failed(conn.index, errno),
            }
        }
        connection.outgoing.push_back(Outgoing::Owned { bytes, from });
    }

    fn discard(&mut self, conn: ConnId, count: u64) {
        if let Some(connection) = self.tenant(conn) {
            // What is collected already is the first part of the next `count` bytes.
            connection.discard = connection.discard.max(count.saturating_sub(connection.undelivered));
            if connection.readable {
                // It may stand waiting for a buffer that it no longer needs.
                self.deferred.push(conn.index);
            }
        }
    }

    fn close(&mut self, conn: ConnId) {
        if self.tenant(conn).is_some() {
            self.vacate(conn.index);
        }
    }

    /// Every request has left, or the first part of it.
    fn withhold(&mut self) {}

    /// Nothing leaves but in the call that sends it.
    fn guard(&mut self, _may_leave: Guard) {}

    fn wait(&mut self, wait: Wait) -> io::Result<()> {
        if !self.completions.is_empty() {
            return Ok(());
        }
        self.resume();
        let must_not_block = self.has_work();
        let until = match wait {
            Wait::Until(until) if !must_not_block => until,
            // Without a connection there is nothing to ask for.
            _ if self.free.len() == self.connections.len() => return Ok(()),
            _ => {
                self.sleeper.poll()?;
                self.handle_events();
                return Ok(());
            }
        };
        loop {
            self.sleeper.sleep(until)?;
            self.handle_events();
            if self.has_work() || OsClock.now() >= until {
                return Ok(());
            }
        }
    }

    fn completion(&mut self) -> Option<Completion> {
        loop {
            let completion = self.completions.pop_front()?;
            let conn = completion.conn();
            let connection = &mut self.connections[conn.index as usize];
            let is_stale = connection.generation != conn.generation;
            match &completion {
                Completion::Received { lent, .. } if is_stale => self.buffers.put_back(lent.buffer),
                _ if is_stale => {}
                Completion::Received { lent, .. } => connection.undelivered -= u64::from(lent.len),
                Completion::Discarded { count, .. } => connection.undelivered -= count,
                Completion::ConnectFailed { .. } => self.vacate(conn.index),
                _ => {}
            }
            if !is_stale {
                return Some(completion);
            }
        }
    }

    fn bytes(&mut self, lent: &Lent) -> &mut [u8] {
        self.buffers.bytes(lent)
    }

    fn release(&mut self, lent: Lent) {
        self.buffers.put_back(lent.buffer);
    }
}

impl From<OsErrno> for Errno {
    fn from(errno: OsErrno) -> Self {
        Self(errno.raw_os_error())
    }
}

/// Whether a connect failed for want of something of this machine, so that nothing left it.
fn is_local(errno: OsErrno) -> bool {
    matches!(
        errno,
        OsErrno::MFILE
            | OsErrno::NFILE
            | OsErrno::NOBUFS
            | OsErrno::NOMEM
            | OsErrno::NOSPC
            | OsErrno::AGAIN
            | OsErrno::ADDRNOTAVAIL
            | OsErrno::ADDRINUSE
            | OsErrno::AFNOSUPPORT
    )
}

fn to_event_data(conn: ConnId) -> u64 {
    u64::from(conn.generation) << 32 | u64::from(conn.index)
}

fn from_event_data(data: u64) -> ConnId {
    let index = u32::try_from(data & u64::from(u32::MAX)).expect("masked to 32 bits");
    let generation = u32::try_from(data >> 32).expect("shifted to 32 bits");
    ConnId { index, generation }
}
