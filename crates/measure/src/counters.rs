//! Counts of what happened, and the audit over them.
//!
//! What it is: the numbers behind `scheduled = sent + dropped + unassigned` and `sent = ok + errors + cut_off`.
//! What it is not: a judgement; an audit that does not balance is judged elsewhere.
//!
//! Invariant: the merge saturates, which keeps it total, associative and commutative, with `default()` as identity.
//! Units: bytes where a name says so, else counts.

use crate::{DropReason, ErrorClass};

/// Responses by status code, in fixed memory.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusCounts {
    /// By code; position 0 counts what is no three-digit code (RFC 9110 section 15).
    by_code: [u64; Self::CODES],
}

impl Default for StatusCounts {
    fn default() -> Self {
        Self { by_code: [0; Self::CODES] }
    }
}

impl std::fmt::Debug for StatusCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl StatusCounts {
    /// Positions, of which not all are used.
    pub(crate) const CODES: usize = 1_000;

    /// Where a code is counted: its own place, or the first for what is no three-digit code.
    #[inline]
    pub(crate) const fn position(code: u16) -> usize {
        if 100 <= code && (code as usize) < Self::CODES { code as usize } else { 0 }
    }

    /// Counts one response whose position is known.
    #[inline]
    pub(crate) fn count_at(&mut self, position: usize) {
        self.by_code[position] = self.by_code[position].wrapping_add(1);
    }

    /// Takes every count from whoever has them by position.
    pub(crate) fn read(&mut self, mut count: impl FnMut(usize) -> u64) {
        for (position, mine) in self.by_code.iter_mut().enumerate() {
            *mine = count(position);
        }
    }

    /// Counts one response.
    #[inline]
    pub fn count(&mut self, code: u16) {
        self.add(code, 1);
    }

    /// Counts `count` responses with the same code.
    #[inline]
    pub fn add(&mut self, code: u16, count: u64) {
        let position = Self::position(code);
        self.by_code[position] = self.by_code[position].saturating_add(count);
    }

    /// Responses with `code`; code 0 stands for everything that is no three-digit code.
    pub fn get(&self, code: u16) -> u64 {
        self.by_code.get(usize::from(code)).copied().unwrap_or(0)
    }

    /// The codes that occurred, rising, each with its count.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..).zip(self.by_code.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        add_each(&mut self.by_code, &other.by_code);
    }
}

/// Counts of one shard, name, node or run over any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Arrivals that the plan had due.
    pub scheduled: u64,
    /// Requests sent.
    pub sent: u64,
    /// Exchanges that succeeded.
    pub ok: u64,
    /// Exchanges unfinished when the run ended.
    pub cut_off: u64,
    /// Arrivals of cells that nobody owned.
    pub unassigned: u64,
    /// Arrivals never sent, by [`DropReason`].
    pub dropped: [u64; DropReason::COUNT],
    /// Exchanges that failed, by [`ErrorClass`].
    pub errors: [u64; ErrorClass::COUNT],
    /// Responses by status code.
    pub status: StatusCounts,
    /// Bytes handed to the transport, TLS included.
    pub bytes_sent: u64,
    /// Bytes taken from the transport, TLS included.
    pub bytes_received: u64,
    /// Connects begun.
    pub connects: u64,
    /// Connects, TLS handshake included, that failed.
    pub connects_failed: u64,
    /// TLS handshakes that resumed an earlier session.
    pub tls_resumed: u64,
    /// Connections that the peer closed while no exchange was on them.
    pub closed_idle: u64,
    /// Bytes that came while no response was due; their connections were closed.
    pub unsolicited: u64,
}

impl Counters {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.scheduled, other.scheduled),
            (&mut self.sent, other.sent),
            (&mut self.ok, other.ok),
            (&mut self.cut_off, other.cut_off),
            (&mut self.unassigned, other.unassigned),
            (&mut self.bytes_sent, other.bytes_sent),
            (&mut self.bytes_received, other.bytes_received),
            (&mut self.connects, other.connects),
            (&mut self.connects_failed, other.connects_failed),
            (&mut self.tls_resumed, other.tls_resumed),
            (&mut self.closed_idle, other.closed_idle),
            (&mut self.unsolicited, other.unsolicited),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        add_each(&mut self.dropped, &other.dropped);
        add_each(&mut self.errors, &other.errors);
        self.status.merge(&other.status);
    }

    /// Arrivals never sent, for any reason.
    pub fn dropped_total(&self) -> u64 {
        total(&self.dropped)
    }

    /// Exchanges that failed, for any reason.
    pub fn errors_total(&self) -> u64 {
        total(&self.errors)
    }

    /// Arrivals dropped for `reason`.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped[reason.index()]
    }

    /// Exchanges failed with `class`.
    pub fn errors_of(&self, class: ErrorClass) -> u64 {
        self.errors[class.index()]
    }

    /// Exchanges that ended, well or not.
    pub fn completed(&self) -> u64 {
        self.ok.saturating_add(self.errors_total())
    }

    /// Requests sent whose end is not known yet. A single interval may end more exchanges than it sends: then 0.
    pub fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.completed()).saturating_sub(self.cut_off)
    }

    /// The sums of the audit.
    pub fn audit(&self) -> Audit {
        Audit {
            scheduled: self.scheduled,
            sent: self.sent,
            dropped: self.dropped_total(),
            ok: self.ok,
            errors: self.errors_total(),
            cut_off: self.cut_off,
            unassigned: self.unassigned,
        }
    }

    /// Whether the audit adds up; meaningful once the run has ended.
    pub fn balanced(&self) -> bool {
        self.audit().balanced()
    }
}

/// The two sums that every run has to satisfy.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Arrivals that the plan had due.
    pub scheduled: u64,
    /// Requests sent.
    pub sent: u64,
    /// Arrivals never sent, for any reason.
    pub dropped: u64,
    /// Exchanges that succeeded.
    pub ok: u64,
    /// Exchanges that failed.
    pub errors: u64,
    /// Exchanges unfinished when the run ended.
    pub cut_off: u64,
    /// Arrivals of cells that nobody owned.
    pub unassigned: u64,
}

impl Audit {
    /// Whether `scheduled = sent + dropped + unassigned` and `sent = ok + errors + cut_off`.
    pub fn balanced(&self) -> bool {
        let sum = |parts: [u64; 3]| parts.into_iter().map(u128::from).sum::<u128>();
        u128::from(self.scheduled) == sum([self.sent, self.dropped, self.unassigned])
            && u128::from(self.sent) == sum([self.ok, self.errors, self.cut_off])
    }
}

pub(crate) fn add_each<const N: usize>(mine: &mut [u64; N], theirs: &[u64; N]) {
    for (sum, more) in mine.iter_mut().zip(theirs) {
        *sum = sum.saturating_add(*more);
    }
}

pub(crate) fn total(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_are_counted_by_code() {
        let mut status = StatusCounts::default();
        for code in [200, 200, 404, 999, 100, 0, 99, 1_000, u16::MAX] {
            status.count(code);
        }
        let expected = [(0, 4), (100, 1), (200, 2), (404, 1), (999, 1)];
        assert_eq!(status.iter().collect::<Vec<_>>(), expected);
        assert_eq!(status.get(200), 2);
        assert_eq!(status.get(5_000), 0);
    }

    #[test]
    fn the_audit_balances_only_when_both_sums_hold() {
        let good = Audit { scheduled: 10, sent: 7, dropped: 2, ok: 4, errors: 2, cut_off: 1, unassigned: 1 };
        assert!(good.balanced());
        assert!(!Audit { scheduled: 11, ..good }.balanced());
        assert!(!Audit { sent: 8, scheduled: 11, ..good }.balanced());
        assert!(!Audit { ok: 5, ..good }.balanced());
        let huge = Audit { scheduled: 0, sent: u64::MAX, dropped: 1, ..Audit::default() };
        assert!(!huge.balanced(), "sums must not wrap");
    }

    #[test]
    fn in_flight_is_what_was_sent_and_did_not_end() {
        let mut counters = Counters { sent: 10, ok: 6, cut_off: 1, ..Counters::default() };
        counters.errors[ErrorClass::Reset.index()] = 2;
        assert_eq!((counters.in_flight(), counters.completed()), (1, 8));
        counters.ok = 60;
        assert_eq!(counters.in_flight(), 0);
    }
}
