//! Deadlines: the only clock and the only sleep of the tests.

#![expect(
    clippy::disallowed_methods,
    reason = "tests of real processes live in real time; every wait of theirs is here"
)]

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long anything that should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Now, on the machine's monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Now, in nanoseconds of the machine's monotonic clock, as other processes read it.
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Now, in nanoseconds since the epoch.
pub fn wall_ns() -> u64 {
    nanoseconds(ClockId::Realtime)
}

/// By how much the wall clock is ahead of the machine's monotonic clock, in nanoseconds: of several looks at both, the
/// quickest.
pub fn wall_ahead_ns() -> u64 {
    let look = |_| {
        let (before, wall, after) = (monotonic_ns(), wall_ns(), monotonic_ns());
        (after - before, wall - u64::midpoint(before, after))
    };
    (0..32).map(look).min().expect("there are some").1
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    u64::try_from(now.tv_sec).expect("positive") * 1_000_000_000
        + u64::try_from(now.tv_nsec).expect("positive")
}

/// Sleeps.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Sleeps until `at` on the machine's monotonic clock.
pub fn pause_until_ns(at: u64) {
    while let Some(left) = at.checked_sub(monotonic_ns()).filter(|left| *left > 0) {
        pause(Duration::from_nanos(left));
    }
}

/// Asks `probe` again and again until it yields something.
///
/// # Panics
/// When it yields nothing within `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begin.elapsed() < limit, "waited {limit:?} in vain for {what}");
        pause(Duration::from_millis(2));
    }
}
