//! Hot path. One thread of the target: a listener, its connections and its timers on one edge-triggered epoll.
//!
//! Timers are one `timerfd` on absolute monotonic instants: it needs no recent kernel, knows no timer slack and
//! does not drift, and the worker looks at the clock between any two connections, so that a long batch of events
//! does not hold back an answer that is due.
//!
//! Invariants: work per turn is bounded for every connection and for accepting. While a freeze holds, the thread
//! waits for nothing but the stop event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clock::{NANOS_PER_SECOND, Timestamp};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use rustls::ServerConnection;
use socket2::Socket;

use crate::connection::{Connection, Context, Gone};
use crate::error::StartError;
use crate::shared::Shared;
use crate::slab::Slab;

/// Events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 256;
/// Connections accepted before those that exist get their turn.
const ACCEPTS_PER_TURN: usize = 1_024;
/// How long accepting rests when there are no descriptors left.
const ACCEPT_REST_NS: u64 = 20_000_000;

/// Tokens of what is no connection; a connection's index never reaches them.
const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const STOP: u64 = u64::MAX - 2;

/// One thread.
#[derive(Debug)]
pub(crate) struct Worker {
    context: Context,
    epoll: OwnedFd,
    listener: Socket,
    timer: OwnedFd,
    stop: Arc<OwnedFd>,
    connections: Slab,
    /// When which connection wants to be called; entries that its `wake` no longer names are stale.
    deadlines: BinaryHeap<Reverse<(Timestamp, u64)>>,
    /// The instant for which the timer is set.
    armed: Timestamp,
    /// Who wants a turn without any event.
    again: VecDeque<u64>,
    /// Accepting rests until then.
    accept_at: Timestamp,
}

impl Worker {
    /// A thread's everything; `stop` becomes readable when it should end.
    pub(crate) fn new(
        shared: Arc<Shared>,
        index: usize,
        listener: Socket,
        stop: Arc<OwnedFd>,
    ) -> Result<Self, StartError> {
        let failed = |what| move |error: Errno| StartError::Resource { what, source: error.into() };
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(failed("event queue"))?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK.union(TimerfdFlags::CLOEXEC))
                .map_err(failed("timer"))?;
        let edge = EventFlags::IN.union(EventFlags::ET);
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), edge).map_err(failed("event queue"))?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), edge).map_err(failed("event queue"))?;
        epoll::add(&epoll, &*stop, EventData::new_u64(STOP), EventFlags::IN)
            .map_err(failed("event queue"))?;
        Ok(Self {
            context: Context::new(shared, index),
            epoll,
            listener,
            timer,
            stop,
            connections: Slab::default(),
            deadlines: BinaryHeap::new(),
            armed: Timestamp::MAX,
            again: VecDeque::new(),
            accept_at: Timestamp::MAX,
        })
    }

    /// Serves until the stop event.
    pub(crate) fn run(mut self) {
        let mut storage = [const { MaybeUninit::uninit() }; EVENTS_PER_TURN];
        while !self.is_stopping() {
            self.arm();
            let timeout = (!self.again.is_empty()).then_some(Timespec { tv_sec: 0, tv_nsec: 0 });
            let (events, _) = match epoll::wait(&self.epoll, &mut storage, timeout.as_ref()) {
                Ok(events) => events,
                Err(Errno::INTR) => continue,
                Err(error) => unreachable!("Invariant: epoll waits on a descriptor that we own: {error}"),
            };
            self.context.tick();
            for event in &*events {
                self.take_turn(event.data.u64(), event.flags);
            }
            for _ in 0..self.again.len() {
                if let Some(token) = self.again.pop_front() {
                    self.take_turn(token, EventFlags::IN);
                }
            }
            self.call_due();
        }
        for connection in self.connections.drain() {
            self.context.log(|log| {
                log.connections_open -= 1;
                log.requests_incomplete += u64::from(connection.is_within_request());
            });
        }
    }

    fn is_stopping(&self) -> bool {
        self.context.shared.is_stopping.load(Ordering::Relaxed)
    }

    fn take_turn(&mut self, token: u64, flags: EventFlags) {
        if self.freeze_if_scheduled().is_none() {
            return;
        }
        match token {
            // While accepting rests, its end will find the newcomers too.
            LISTENER if self.accept_at < Timestamp::MAX => {}
            LISTENER => self.accept(),
            TIMER => self.armed = Timestamp::MAX,
            STOP => {}
            _ => self.serve(token, flags),
        }
        self.call_due();
    }

    fn serve(&mut self, token: u64, flags: EventFlags) {
        const GONE: EventFlags = EventFlags::HUP.union(EventFlags::ERR);
        const ENDS: EventFlags = EventFlags::RDHUP.union(GONE);
        let Some(connection) = self.connections.by_token(token) else { return };
        connection.is_listed = false;
        let mut result = Ok(());
        if flags.intersects(EventFlags::IN.union(ENDS)) {
            connection.may_have_ended |= flags.intersects(ENDS);
            connection.is_cut |= flags.intersects(GONE);
            result = connection.read(&mut self.context);
        }
        self.settle(token, result);
    }

    /// Writes what is due and decides what happens to the connection next.
    fn settle(&mut self, token: u64, result: Result<(), Gone>) {
        let Some(connection) = self.connections.by_token(token) else { return };
        if result.and_then(|()| connection.write(&mut self.context)).is_err() {
            return self.remove(token);
        }
        if connection.wants_turn && !connection.is_listed {
            connection.is_listed = true;
            self.again.push_back(token);
        }
        let deadline = connection.deadline(self.context.now);
        if deadline < connection.wake {
            connection.wake = deadline;
            self.deadlines.push(Reverse((deadline, token)));
        }
    }

    fn remove(&mut self, token: u64) {
        let Some(connection) = self.connections.remove(token) else { return };
        let is_incomplete = connection.is_within_request();
        // Closing removes it from the epoll too: no other descriptor names its socket.
        drop(connection);
        self.context.log(|log| {
            log.connections_open -= 1;
            log.requests_incomplete += u64::from(is_incomplete);
        });
        if self.accept_at < Timestamp::MAX {
            self.accept_at = self.context.now;
        }
    }

    /// Calls whoever's deadline has come.
    fn call_due(&mut self) {
        while let Some(Reverse((due, token))) = self.deadlines.peek().copied() {
            if due > self.context.now {
                break;
            }
            if self.freeze_if_scheduled().is_none() {
                return;
            }
            self.deadlines.pop();
            let Some(connection) = self.connections.by_token(token) else { continue };
            if connection.wake == due {
                connection.wake = Timestamp::MAX;
                self.settle(token, Ok(()));
            }
        }
        if self.accept_at <= self.context.now {
            self.accept_at = Timestamp::MAX;
            self.accept();
        }
    }

    /// Sets the timer to the earliest deadline, if it is earlier than what it is set to.
    fn arm(&mut self) {
        let call = self.deadlines.peek().map_or(Timestamp::MAX, |Reverse((due, _))| *due);
        let freeze = self.context.shared.current_or_next_freeze(self.context.now);
        let earliest = call.min(self.accept_at).min(freeze.map_or(Timestamp::MAX, |(_, from, _)| from));
        if earliest >= self.armed {
            return;
        }
        self.armed = earliest;
        // A value of zero would disarm it; an instant in the past fires at once.
        let value = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: timespec(earliest.as_nanos().max(1)),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &value)
            .expect("Invariant: the timer is ours and the instant is valid");
    }

    /// While a freeze holds, does nothing at all. None if the stop event ended it: then nothing may be done after
    /// it either.
    fn freeze_if_scheduled(&mut self) -> Option<()> {
        let from = self.context.now;
        let Some((ordinal, begins, until)) = self.context.shared.current_or_next_freeze(from) else {
            return Some(());
        };
        if from < begins {
            return Some(());
        }
        while self.context.now < until && !self.is_stopping() {
            let timeout = timespec(until.nanos_since(self.context.now));
            // Whether it was the stop event, the time or a signal, the loop's condition finds out.
            let _ = poll(&mut [PollFd::new(&self.stop.as_fd(), PollFlags::IN)], Some(&timeout));
            self.context.tick();
        }
        let now = self.context.now;
        self.context.log(|log| log.froze(ordinal, from, now));
        (now >= until).then_some(())
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            match accept_with(&self.listener, SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC)) {
                Ok(socket) => self.add(socket),
                Err(Errno::AGAIN) => return,
                // The peer gave up while it waited, or a signal came; the next one may be well.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO | Errno::PERM) => {}
                // No descriptors or no memory: those who wait stay in the kernel's queue, and no edge will tell
                // of them again, so the clock does, or the end of a connection.
                Err(_) => {
                    self.context.log(|log| log.accepts_postponed += 1);
                    self.accept_at = self.context.now.plus_nanos(ACCEPT_REST_NS);
                    return;
                }
            }
        }
        self.again.push_back(LISTENER);
    }

    fn add(&mut self, socket: OwnedFd) {
        self.context.tick();
        let now = self.context.now;
        self.context.log(|log| log.connected(now));
        let Ok(tls) = self.context.shared.tls.clone().map(ServerConnection::new).transpose() else {
            return self.context.log(|log| log.tls_failures += 1);
        };
        let token = self.connections.insert(Connection::new(socket, tls, now));
        let Some(connection) = self.connections.by_token(token) else { return };
        self.context.log(|log| log.connections_open += 1);
        let flags = EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);
        if epoll::add(&self.epoll, &*connection, EventData::new_u64(token), flags).is_err() {
            self.remove(token);
        }
    }
}

fn timespec(nanos: u64) -> Timespec {
    // Invariant: a u64 of nanoseconds has fewer seconds than i64 holds, and a remainder below 10^9.
    Timespec {
        tv_sec: (nanos / NANOS_PER_SECOND).cast_signed(),
        tv_nsec: (nanos % NANOS_PER_SECOND).cast_signed(),
    }
}
