//! Timestamps, clocks and wall time.
//!
//! What it is: the one place where the workspace reads a clock. Machines take a [`Timestamp`] as an argument;
//! drivers take theirs from a [`Clock`].
//! What it is not: a timer; waiting belongs to the drivers.
//!
//! Invariant: a [`Timestamp`] counts nanoseconds of `CLOCK_MONOTONIC` since an origin that only this boot of
//! this machine knows. It never goes backwards, and it is comparable between processes of one machine.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// An instant of the monotonic clock, in nanoseconds since an arbitrary origin.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);
    /// Later than every real instant.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the clock's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is in fact later.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant `nanos` nanoseconds later, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The instant `nanos` nanoseconds earlier, at least [`Timestamp::ZERO`].
    #[must_use]
    pub const fn minus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub(nanos))
    }

    /// The instant `duration` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        self.plus_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A source of the present instant.
pub trait Clock {
    /// The present instant; never earlier than any instant it returned before.
    fn now(&self) -> Timestamp;
}

/// The operating system's `CLOCK_MONOTONIC`.
#[derive(Copy, Clone, Debug, Default)]
pub struct OsClock;

impl Clock for OsClock {
    fn now(&self) -> Timestamp {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // Invariant: CLOCK_MONOTONIC is never negative and its nanoseconds are below 10^9.
        Timestamp(time.tv_sec.cast_unsigned() * NANOS_PER_SECOND + time.tv_nsec.cast_unsigned())
    }
}

/// Nanoseconds of `CLOCK_BOOTTIME`, which counts on while the machine sleeps; what leases are measured by.
pub fn boot_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.cast_unsigned() * NANOS_PER_SECOND + time.tv_nsec.cast_unsigned()
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    now: Cell<u64>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: Cell::new(start.as_nanos()) }
    }

    /// Moves the clock to `instant`; a step back is ignored.
    pub fn advance_to(&self, instant: Timestamp) {
        self.now.set(self.now.get().max(instant.as_nanos()));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.get())
    }
}

/// Wall time since the Unix epoch, for people to read; never for measuring durations.
pub fn wall_time() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `since_epoch` as RFC 3339 in UTC with milliseconds, such as `2026-11-20T19:05:00.000Z`.
pub fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
        since_epoch.subsec_millis()
    )
}

/// Year, month and day of the day `days` after 1970-01-01, by the era arithmetic of Howard Hinnant's paper
/// "chrono-Compatible Low-Level Date Algorithms".
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_clock_never_goes_back() {
        let clock = OsClock;
        let mut last = clock.now();
        assert!(last > Timestamp::ZERO);
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn the_boot_clock_never_goes_back_and_is_not_behind_the_monotonic_one() {
        let (monotonic, boot) = (OsClock.now(), boot_nanos());
        assert!(boot >= monotonic.as_nanos() && boot_nanos() >= boot);
    }

    #[test]
    fn differences_saturate_at_zero() {
        let early = Timestamp::from_nanos(5);
        let late = Timestamp::from_nanos(9);
        assert_eq!(late.nanos_since(early), 4);
        assert_eq!(early.nanos_since(late), 0);
        assert_eq!(Timestamp::MAX.plus_nanos(1), Timestamp::MAX);
    }

    #[test]
    fn rfc3339_knows_leap_years_and_centuries() {
        let rows = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_795_200_000, "2026-11-20T18:40:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ];
        for (seconds, text) in rows {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn manual_clock_moves_only_forward() {
        let clock = ManualClock::new(Timestamp::from_nanos(10));
        clock.advance_to(Timestamp::from_nanos(30));
        clock.advance_to(Timestamp::from_nanos(20));
        assert_eq!(clock.now(), Timestamp::from_nanos(30));
    }
}
