//! How far a node's monotonic clock is ahead of ours.
//!
//! What it is: Cristian's estimate over four timestamps (as NTP takes them), with a bound on its error that holds whatever
//! the network does. What it is not: a clock that anybody steers; nothing is adjusted, instants are only translated.
//!
//! Invariant: if both clocks run true to within [`DRIFT_PER_MILLION`] of each other, the true offset lies within the error.
//! Units: nanoseconds; `ahead` is the node's clock minus ours.

use std::collections::{BTreeMap, VecDeque};

use clock::Timestamp;

/// Exchanges that are kept; at two probes a second, the last half minute.
const KEPT: usize = 64;
/// Exchanges after which an offset is good enough to start by.
const ENOUGH: u64 = 16;
/// Probes that may be under way; an answer to an older one is ignored.
const UNDER_WAY: usize = 32;
/// How far two good clocks may drift apart: 100 µs each second.
const DRIFT_PER_MILLION: u64 = 100;

/// The offset of one node's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offset {
    sent: BTreeMap<u64, Timestamp>,
    samples: VecDeque<Sample>,
    next: u64,
    answered: u64,
}

#[derive(Copy, Clone, Debug)]
struct Sample {
    at: Timestamp,
    ahead_ns: i64,
    delay_ns: u64,
}

/// What is known of an offset.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// The node's clock minus ours.
    pub(crate) ahead_ns: i64,
    /// How far that may be off, either way.
    pub(crate) error_ns: u64,
}

impl Offset {
    /// The number of a probe that leaves now.
    pub(crate) fn probe(&mut self, now: Timestamp) -> u64 {
        let number = self.next;
        self.next += 1;
        self.sent.insert(number, now);
        while self.sent.len() > UNDER_WAY {
            self.sent.pop_first();
        }
        number
    }

    /// Hears an answer that came at `at`: the node had the probe at `received` and answered at `replied`, by its clock.
    /// Answers that cannot be true are ignored.
    pub(crate) fn answer(&mut self, number: u64, at: Timestamp, received: Timestamp, replied: Timestamp) {
        let Some(sent) = self.sent.remove(&number) else { return };
        let (there, here) = (replied.nanos_since(received), at.nanos_since(sent));
        if replied < received || at < sent || there > here {
            return;
        }
        let difference =
            |node: Timestamp, ours: Timestamp| i128::from(node.as_nanos()) - i128::from(ours.as_nanos());
        let ahead = i128::midpoint(difference(received, sent), difference(replied, at));
        let Ok(ahead_ns) = i64::try_from(ahead) else { return };
        self.samples.push_back(Sample { at, ahead_ns, delay_ns: here - there });
        if self.samples.len() > KEPT {
            self.samples.pop_front();
        }
        self.answered += 1;
    }

    /// Whether more probes should follow at once.
    pub(crate) fn wants_more(&self) -> bool {
        self.answered < ENOUGH
    }

    /// Forgets what was under way, on a connection that is no more.
    pub(crate) fn disconnected(&mut self) {
        self.sent.clear();
    }

    /// The exchange that bounds the offset best: the quicker it was and the younger it is, the better.
    pub(crate) fn estimate(&self, now: Timestamp) -> Option<Estimate> {
        let error = |sample: &Sample| sample.delay_ns / 2 + 1 + drift(now.nanos_since(sample.at));
        let best = self.samples.iter().min_by_key(|sample| error(sample))?;
        Some(Estimate { ahead_ns: best.ahead_ns, error_ns: error(best) })
    }

    /// How long a message and its answer take, at best; none before the first answer.
    pub(crate) fn round_trip_ns(&self) -> Option<u64> {
        self.samples.iter().map(|sample| sample.delay_ns).min()
    }
}

fn drift(age_ns: u64) -> u64 {
    age_ns / 1_000_000 * DRIFT_PER_MILLION + DRIFT_PER_MILLION
}

/// An instant of our clock on the node's.
pub(crate) fn on_node(ours: Timestamp, estimate: Estimate) -> Timestamp {
    let ahead = estimate.ahead_ns.unsigned_abs();
    if estimate.ahead_ns < 0 { ours.minus_nanos(ahead) } else { ours.plus_nanos(ahead) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A node whose clock is `ahead` of ours, over a way of `there` and back of `back`.
    fn exchange(offset: &mut Offset, at: u64, ahead: i64, there: u64, back: u64) {
        let number = offset.probe(Timestamp::from_nanos(at));
        let node = |ours: u64| Timestamp::from_nanos(ours.checked_add_signed(ahead).expect("in range"));
        let came = Timestamp::from_nanos(at + there + 7 + back);
        offset.answer(number, came, node(at + there), node(at + there + 7));
    }

    #[test]
    fn the_true_offset_lies_within_the_error() {
        for ahead in [0, 1_000 * 1_000 * MS.cast_signed(), -5 * MS.cast_signed()] {
            for (there, back) in [(MS, MS), (20 * MS, MS), (0, 40 * MS)] {
                let mut offset = Offset::default();
                exchange(&mut offset, 10_000 * MS, ahead, there, back);
                let now = Timestamp::from_nanos(10_000 * MS + there + back + 7);
                let found = offset.estimate(now).expect("one exchange");
                assert!(found.ahead_ns.abs_diff(ahead) <= found.error_ns, "{found:?} against {ahead}");
            }
        }
    }

    #[test]
    fn the_quickest_of_the_young_exchanges_counts() {
        let mut offset = Offset::default();
        exchange(&mut offset, 1_000 * MS, 5, 30 * MS, 0);
        exchange(&mut offset, 1_100 * MS, 5, 100, 100);
        exchange(&mut offset, 1_200 * MS, 5, 0, 30 * MS);
        let young = offset.estimate(Timestamp::from_nanos(1_300 * MS)).expect("three exchanges");
        assert_eq!(young.ahead_ns, 5);
        assert!(young.error_ns < 30_000, "{young:?}");
        // An hour later the drift outweighs everything.
        let old = offset.estimate(Timestamp::from_nanos(3_600_000 * MS)).expect("three exchanges");
        assert!(old.error_ns > 300 * MS, "{old:?}");
    }

    #[test]
    fn answers_that_cannot_be_true_are_ignored() {
        let mut offset = Offset::default();
        let number = offset.probe(Timestamp::from_nanos(100));
        let at = Timestamp::from_nanos;
        offset.answer(number + 1, at(200), at(5), at(6));
        offset.answer(number, at(200), at(9), at(6));
        assert!(offset.estimate(at(300)).is_none(), "it replied before it received");
        let number = offset.probe(at(100));
        offset.answer(number, at(200), at(0), at(5_000));
        assert!(offset.estimate(at(300)).is_none(), "it held the probe longer than the exchange took");
        offset.answer(number, at(200), at(0), at(5));
        assert!(offset.estimate(at(300)).is_none(), "each probe is answered once");
    }
}
