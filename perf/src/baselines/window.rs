//! The stretch of a baseline's run that is measured: after its start-up, until its time is up.
//!
//! Invariant: the clocks are read once for [`LOOK_EVERY`] replies, so that measuring costs less than a nanosecond each.

use clock::{Clock, OsClock, Timestamp};
use serde_json::json;

use crate::child::own_cpu_ns;

/// Replies between two looks at the clock.
const LOOK_EVERY: u64 = 64;

/// Counts replies, and takes the process's CPU time over those in the window.
#[derive(Debug)]
pub struct Window {
    opens: Timestamp,
    closes: Timestamp,
    answered: u64,
    next_look: u64,
    opened: Option<Reading>,
    closed: Option<Reading>,
}

#[derive(Copy, Clone, Debug)]
struct Reading {
    answered: u64,
    cpu_ns: u64,
    at: Timestamp,
}

impl Window {
    /// A window that ends so long from now; its first tenth is start-up and does not count.
    pub fn of_seconds(seconds: u32) -> Self {
        let now = OsClock.now();
        let length_ns = u64::from(seconds) * clock::NANOS_PER_SECOND;
        Self {
            opens: now.plus_nanos(length_ns / 10),
            closes: now.plus_nanos(length_ns),
            answered: 0,
            next_look: LOOK_EVERY,
            opened: None,
            closed: None,
        }
    }

    /// Counts replies; says whether to go on.
    #[inline]
    pub fn answered(&mut self, count: u64) -> bool {
        self.answered += count;
        if self.answered < self.next_look {
            return self.closed.is_none();
        }
        self.look()
    }

    fn look(&mut self) -> bool {
        self.next_look = self.answered + LOOK_EVERY;
        let now = OsClock.now();
        let reading = || Reading { answered: self.answered, cpu_ns: own_cpu_ns(), at: now };
        if self.opened.is_none() && now >= self.opens {
            self.opened = Some(reading());
        } else if self.closed.is_none() && now >= self.closes {
            self.closed = Some(reading());
        }
        self.closed.is_none()
    }

    fn readings(&self) -> (Reading, Reading) {
        let opened = self.opened.expect("a window that closed had opened");
        (opened, self.closed.expect("a baseline runs until its window closes"))
    }

    /// Replies within the window.
    pub fn requests(&self) -> u64 {
        let (opened, closed) = self.readings();
        closed.answered - opened.answered
    }

    /// User and system time per reply within the window.
    pub fn cpu_ns_per_request(&self) -> f64 {
        let (opened, closed) = self.readings();
        (closed.cpu_ns - opened.cpu_ns) as f64 / self.requests() as f64
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        let (opened, closed) = self.readings();
        json!({
            "requests": self.requests(),
            "cpu_us_per_request": self.cpu_ns_per_request() / 1000.0,
            "wall_ns": closed.at.nanos_since(opened.at),
        })
    }
}
