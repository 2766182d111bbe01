//! Hot path. The timer that ends waits: one operation of the ring for each deadline, not one timer for each wait.
//!
//! What it is: the record of what is armed. A wait that ends early, because something happened, leaves its timer armed
//! for the waits that follow, so that a response costs no timer; arming and disarming one is the dearest part of a
//! short sleep on a virtual machine.
//! What it is not: a wheel. Deadlines mostly rise; when one is earlier than what is armed, another operation is armed
//! for it, and the one for later wakes the thread for nothing.
//!
//! Invariant: while `armed` is not [`Timestamp::MAX`], an operation for that instant is queued or with the kernel.

use clock::{Clock, NANOS_PER_SECOND, OsClock, Timestamp};
use io_uring::types::{TimeoutFlags, Timespec};
use io_uring::{opcode, squeue};

use crate::operation::Token;

/// Timers under way at one time; beyond that waits time themselves.
const TIMERS: u32 = 16;

/// What is armed.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Read by the kernel when the operation is submitted; on the heap, because the driver may move before that.
    time: Box<Timespec>,
    /// The earliest instant at which a timer will wake the thread.
    armed: Timestamp,
    /// Timers whose completion has not been seen.
    pending: u32,
    /// The kernel's clock is ours: instants mean the same to both.
    is_absolute: bool,
}

impl Timer {
    /// `is_absolute`: the kernel takes instants of our clock; else it is told how far away they are.
    pub(crate) fn new(is_absolute: bool) -> Self {
        Self { time: Box::new(Timespec::new()), armed: Timestamp::MAX, pending: 0, is_absolute }
    }

    /// Whether a timer will fire at `deadline` or before.
    #[inline]
    pub(crate) fn covers(&self, deadline: Timestamp) -> bool {
        self.armed <= deadline
    }

    /// Whether there are enough timers under way.
    #[inline]
    pub(crate) fn is_exhausted(&self) -> bool {
        self.pending == TIMERS
    }

    /// The operation that wakes the thread at `deadline`. The caller submits it before the next one is made.
    pub(crate) fn arm(&mut self, deadline: Timestamp) -> squeue::Entry {
        let (nanos, flags) = if self.is_absolute {
            (deadline.as_nanos(), TimeoutFlags::ABS)
        } else {
            (deadline.nanos_since(OsClock.now()), TimeoutFlags::empty())
        };
        *self.time = Timespec::new().sec(nanos / NANOS_PER_SECOND).nsec((nanos % NANOS_PER_SECOND) as u32);
        self.armed = deadline;
        self.pending += 1;
        opcode::Timeout::new(&raw const *self.time).flags(flags).build().user_data(Token::TIMER.bits())
    }

    /// A timer fired, or failed. The earliest is the first to do so.
    pub(crate) fn on_fired(&mut self) {
        self.armed = Timestamp::MAX;
        self.pending -= 1;
    }
}
