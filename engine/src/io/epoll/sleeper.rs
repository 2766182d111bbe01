//! Hot path. Waiting for events until an exact instant.
//!
//! What it is: the epoll descriptor together with a timer descriptor registered on it. `epoll_wait` alone knows
//! whole milliseconds, its successor `epoll_pwait2` needs Linux 5.11, is refused by older container sandboxes
//! and still wakes late by the thread's timer slack (50 µs) and a thousandth of the time left; a timer
//! descriptor is exact and is there wherever epoll is.
//! What it is not: aware of what an event means.
//!
//! To keep the timer's system call away from busy loops, the timer is armed only when the instant is near,
//! nothing is ready, and it would not fire before that instant anyway; farther instants are approached with the
//! plain millisecond timeout, stopped short of them.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use clock::{Clock, NANOS_PER_SECOND, OsClock, Timestamp};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// The event data of the timer; connections use (generation, index), whose index never reaches 2^32 - 1.
const TIMER: u64 = u64::MAX;

/// Instants at least this far away are approached with a millisecond timeout.
const FAR_NS: u64 = 4_000_000;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// See the module's documentation.
pub(super) struct Sleeper {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// What the timer is set to; it may have fired since.
    armed: Timestamp,
    events: Vec<Event>,
}

impl Sleeper {
    /// Collects at most `event_count` events at a time.
    pub(super) fn new(event_count: usize) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // Edge-triggered, and arming it anew withdraws an old expiry: it never has to be read.
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, timer, armed: Timestamp::ZERO, events: Vec::with_capacity(event_count) })
    }

    /// Registers `socket` for every edge; its events carry `data`.
    pub(super) fn add(&self, socket: impl AsFd, data: u64) -> Result<(), Errno> {
        debug_assert_ne!(data, TIMER, "the timer's event data is taken");
        let every = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(data), every)
    }

    /// Collects the events that are there.
    pub(super) fn poll(&mut self) -> io::Result<()> {
        self.collect(Some(0))
    }

    /// Blocks until there are events, at the latest until `until`; a signal or an older timer ends it early.
    pub(super) fn sleep(&mut self, until: Timestamp) -> io::Result<()> {
        let now = OsClock.now();
        let left = until.nanos_since(now);
        if left == 0 {
            return self.poll();
        }
        if left >= FAR_NS {
            // The kernel may be late by a thousandth of the timeout and the timer slack: stop short of that.
            let short = left - left / 256 - NANOS_PER_MILLI;
            return self.collect(Some(short / NANOS_PER_MILLI));
        }
        // A timer that fires too early costs one wake-up more; arming it anew each time would cost more.
        if self.armed <= now || self.armed > until {
            self.poll()?;
            if !self.events.is_empty() {
                return Ok(());
            }
            self.arm(until)?;
        }
        self.collect(None)
    }

    /// How many events were collected.
    pub(super) fn count(&self) -> usize {
        self.events.len()
    }

    /// The data and flags of the event at `place`; `None` for the timer's own.
    pub(super) fn event(&self, place: usize) -> Option<(u64, EventFlags)> {
        let event = self.events[place];
        let data = event.data.u64();
        (data != TIMER).then_some((data, event.flags))
    }

    fn arm(&mut self, at: Timestamp) -> io::Result<()> {
        let once = Itimerspec { it_interval: timespec(0), it_value: timespec(at.as_nanos()) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        self.armed = at;
        Ok(())
    }

    /// `millis` of `None` blocks without limit: then the timer must be armed.
    fn collect(&mut self, millis: Option<u64>) -> io::Result<()> {
        let timeout = millis.map(|millis| timespec(millis.min(MILLIS_MAX) * NANOS_PER_MILLI));
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// A day: well below what the plain system call takes, and the caller sleeps on.
const MILLIS_MAX: u64 = 86_400_000;

fn timespec(nanos: u64) -> Timespec {
    Timespec {
        tv_sec: (nanos / NANOS_PER_SECOND).cast_signed(),
        tv_nsec: (nanos % NANOS_PER_SECOND).cast_signed(),
    }
}

impl fmt::Debug for Sleeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sleeper")
            .field("epoll", &self.epoll)
            .field("armed", &self.armed)
            .finish_non_exhaustive()
    }
}
