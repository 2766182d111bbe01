//! Collecting: what the shards measured, second by second and in all.
//!
//! What it is: the control thread's side of measuring. It adds sealed snapshots up, knows when a second is
//! complete over all shards, and watches the generator's own lateness.
//! What it is not: a document or a judge; it hands out numbers.
//!
//! Invariants: every snapshot is absorbed exactly once; memory does not grow with the run's length, except for
//! the seconds that nobody has taken yet.

use std::collections::{BTreeMap, VecDeque};

use clock::NANOS_PER_SECOND;
use measure::{Gauges, Shape, Snapshot, Totals};

/// The number of this engine among engines: it is alone.
const NODE: u32 = 0;

/// Seconds that are open at one time while every shard reports in time: one that a shard has reported and another has
/// not, and the next.
const OPEN_SECONDS: usize = 2;

/// One second of the run over all shards.
#[derive(Debug)]
pub struct Second {
    /// Which, from 0 on.
    pub index: u64,
    /// End of the last interval in it, in nanoseconds since the results' zero; the last second of a run may be
    /// short.
    pub until_ns: u64,
    /// What was measured in it.
    pub totals: Totals,
    /// How things stood at its end.
    pub gauges: Gauges,
}

/// Adds up the snapshots of all shards.
#[derive(Debug)]
pub struct Collector {
    shape: Shape,
    shards: u32,
    longest_ns: u64,
    totals: Totals,
    open: BTreeMap<u64, Second>,
    closed: VecDeque<Second>,
    idle: Vec<Totals>,
    /// How far each shard has reported, in nanoseconds.
    reported_ns: Vec<u64>,
    /// The worst 99th percentile of schedule lag in any one second.
    lag_p99_worst_ns: u64,
}

impl Collector {
    /// For `shards` shards of a plan of this shape and latencies up to `longest_ns`, whose memory is taken
    /// now.
    pub fn new(shards: usize, shape: Shape, longest_ns: u64) -> Self {
        let count = u32::try_from(shards).unwrap_or(u32::MAX);
        let totals = || Totals::populated(shape, NODE, count, longest_ns);
        Self {
            shape,
            shards: count,
            longest_ns,
            totals: totals(),
            open: BTreeMap::new(),
            closed: VecDeque::with_capacity(OPEN_SECONDS),
            idle: (0..OPEN_SECONDS).map(|_| totals()).collect(),
            reported_ns: vec![0; shards],
            lag_p99_worst_ns: 0,
        }
    }

    /// Adds a snapshot of shard number `shard`.
    pub fn absorb(&mut self, shard: usize, snapshot: &Snapshot) {
        self.totals.absorb(snapshot);
        if snapshot.warmup {
            return;
        }
        // An interval belongs to the second in which it ended; an exact boundary ends the second before it.
        let index = snapshot.until_ns.saturating_sub(1) / NANOS_PER_SECOND;
        let (shape, shards, longest_ns) = (self.shape, self.shards, self.longest_ns);
        let idle = &mut self.idle;
        let second = self.open.entry(index).or_insert_with(|| Second {
            index,
            until_ns: 0,
            totals: idle.pop().unwrap_or_else(|| Totals::populated(shape, NODE, shards, longest_ns)),
            gauges: Gauges::default(),
        });
        second.totals.absorb(snapshot);
        second.until_ns = second.until_ns.max(snapshot.until_ns);
        second.gauges.connections += snapshot.gauges.connections;
        second.gauges.in_flight += snapshot.gauges.in_flight;
        second.gauges.waiting += snapshot.gauges.waiting;
        self.reported_ns[shard] = self.reported_ns[shard].max(snapshot.until_ns);
        self.close_seconds();
    }

    /// Shard number `shard` will report nothing more.
    pub fn shard_over(&mut self, shard: usize) {
        self.reported_ns[shard] = u64::MAX;
        self.close_seconds();
    }

    fn close_seconds(&mut self) {
        let reported = self.reported_ns.iter().copied().min().unwrap_or(u64::MAX);
        while let Some(entry) = self.open.first_entry() {
            if (entry.key() + 1).saturating_mul(NANOS_PER_SECOND) > reported {
                break;
            }
            let second = entry.remove();
            self.lag_p99_worst_ns = self.lag_p99_worst_ns.max(second.totals.lag.value_at_quantile(0.99));
            self.closed.push_back(second);
        }
    }

    /// The next second that is complete over all shards.
    pub fn next_second(&mut self) -> Option<Second> {
        self.closed.pop_front()
    }

    /// Gives a second's memory back.
    pub fn recycle(&mut self, mut totals: Totals) {
        totals.clear();
        self.idle.push(totals);
    }

    /// What the plan counts.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Everything so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The worst 99th percentile of schedule lag in any one complete second, in nanoseconds.
    pub fn lag_p99_worst_ns(&self) -> u64 {
        self.lag_p99_worst_ns
    }
}

#[cfg(test)]
mod tests {
    use measure::Recorder;

    use super::*;

    fn snapshot(shard: u32, seconds: std::ops::Range<u64>, lag_ns: u64) -> Box<Snapshot> {
        let mut recorder = Recorder::new(0, shard, Shape::requests(1));
        recorder.scheduled(1);
        recorder.lag(lag_ns);
        recorder.sent(0);
        recorder.seal(
            Box::new(Snapshot::new(Shape::requests(1))),
            seconds.start * NANOS_PER_SECOND,
            seconds.end * NANOS_PER_SECOND,
        )
    }

    #[test]
    fn a_second_is_complete_when_every_shard_has_reported_it() {
        let mut collector = Collector::new(2, Shape::requests(1), NANOS_PER_SECOND);
        collector.absorb(0, &snapshot(0, 0..1, 5));
        assert!(collector.next_second().is_none());
        collector.absorb(1, &snapshot(1, 0..1, 9_000));
        let second = collector.next_second().expect("both shards reported");
        assert_eq!((second.index, second.totals.counters.sent), (0, 2));
        collector.recycle(second.totals);
        assert!(collector.lag_p99_worst_ns() >= 8_990);
    }

    #[test]
    fn a_long_interval_holds_no_second_back_and_loses_nothing() {
        let mut collector = Collector::new(2, Shape::requests(1), NANOS_PER_SECOND);
        collector.absorb(0, &snapshot(0, 0..3, 5));
        collector.absorb(1, &snapshot(1, 0..1, 5));
        assert_eq!(collector.next_second().map(|second| second.index), Some(0));
        collector.shard_over(1);
        assert_eq!(collector.next_second().map(|second| second.index), Some(2));
        collector.shard_over(0);
        assert!(collector.next_second().is_none());
        assert_eq!(collector.totals().counters.sent, 2);
    }
}
