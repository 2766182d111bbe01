//! Hot path. Pacing: how long a turn of the shard may sleep, and how fast a backlog may be worked off.
//!
//! What it is: arithmetic on instants. Sleeping pacing waits for absolute times and joins wake-ups that lie
//! closer together than [`COALESCE_NS`]; spinning pacing never sleeps while a plan runs.
//! What it is not: a clock or a timer.
//!
//! Invariants: an arrival is never released before it is due; no sleep is longer than [`LONGEST_SLEEP_NS`],
//! so that commands and signals are noticed in time.

use clock::Timestamp;

/// Arrivals whose wake-ups lie closer together than this share one: the stated bound of coalescing, 50 µs.
pub const COALESCE_NS: u64 = 50_000;

/// The longest sleep, 20 ms: how late a command from the control thread may be noticed.
pub const LONGEST_SLEEP_NS: u64 = 20_000_000;

/// An arrival this late is dropped under [`CatchUp::Skip`]: 10 ms, the lateness that also makes a run
/// untrustworthy when it is common.
pub const SKIP_AFTER_NS: u64 = 10_000_000;

/// The longest stretch that a backlog's virtual clock follows in one turn: 1 ms.
const SMOOTH_STRIDE_NS: u64 = 1_000_000;

/// How the shard spends the time until the next arrival.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// Sleeps in the kernel until the next absolute time; wake-ups are joined within [`COALESCE_NS`].
    Sleep,
    /// Asks the kernel again and again, for a core that nobody else needs.
    Spin,
}

/// What happens to arrivals that the generator itself reached late.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// Sent at once.
    Burst,
    /// Sent at no more than twice the plan's rate until caught up.
    Smooth,
    /// Dropped as `late` when more than [`SKIP_AFTER_NS`] late.
    Skip,
}

/// Works off a backlog at twice real time under [`CatchUp::Smooth`].
///
/// It keeps a virtual clock that arrivals are released by. On time, it is the real clock. When the shard
/// wakes later than it planned, the virtual clock stays behind and then runs at twice real time until it has
/// caught up, so at most twice the plan's rate is ever released.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Smoother {
    virtual_now: Timestamp,
    last: Timestamp,
}

impl Smoother {
    pub(crate) const fn new(start: Timestamp) -> Self {
        Self { virtual_now: start, last: start }
    }

    /// The instant up to which arrivals may be released now; `planned` is when the shard meant to wake.
    pub(crate) fn release_until(&mut self, now: Timestamp, planned: Timestamp) -> Timestamp {
        let elapsed = now.nanos_since(self.last).min(SMOOTH_STRIDE_NS);
        let late = now.nanos_since(planned) > SMOOTH_STRIDE_NS;
        if self.virtual_now >= self.last && !late {
            self.virtual_now = now;
        } else {
            let reached =
                if self.virtual_now >= self.last { planned.max(self.virtual_now) } else { self.virtual_now };
            self.virtual_now = reached.plus_nanos(2 * elapsed).min(now);
        }
        self.last = now;
        self.virtual_now
    }

    /// Whether a backlog is being worked off.
    pub(crate) fn is_behind(&self) -> bool {
        self.virtual_now < self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * MS)
    }

    #[test]
    fn on_time_the_virtual_clock_is_the_real_one() {
        let mut smoother = Smoother::new(at(0));
        assert_eq!(smoother.release_until(at(1), at(1)), at(1));
        // A long planned sleep is not lateness.
        assert_eq!(smoother.release_until(at(500), at(500)), at(500));
        assert!(!smoother.is_behind());
    }

    #[test]
    fn after_a_stall_it_runs_at_twice_real_time() {
        let mut smoother = Smoother::new(at(0));
        smoother.release_until(at(10), at(10));
        // Stopped for 500 ms: meant to wake at 11, woke at 511.
        let first = smoother.release_until(at(511), at(11));
        assert!(first <= at(13), "{first:?}");
        assert!(smoother.is_behind());
        let mut now = 511 * MS;
        let mut turns = 0u64;
        while smoother.is_behind() {
            now += MS / 2;
            let before = smoother.virtual_now;
            let wake = Timestamp::from_nanos(now);
            smoother.release_until(wake, wake);
            assert!(smoother.virtual_now.nanos_since(before) <= MS, "more than twice real time");
            turns += 1;
        }
        // 500 ms of backlog gain half a millisecond a turn.
        assert!((990..=1_010).contains(&turns), "{turns}");
    }
}
