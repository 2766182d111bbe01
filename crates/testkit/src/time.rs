//! The only clock and the only sleep of hostile targets.

#![expect(clippy::disallowed_methods, reason = "a target that is slow on purpose lives in real time")]

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Now, in nanoseconds of the machine's monotonic clock, as other processes read it.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let whole = u64::try_from(now.tv_sec).expect("positive");
    whole * 1_000_000_000 + u64::try_from(now.tv_nsec).expect("positive")
}

/// Sleeps.
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
