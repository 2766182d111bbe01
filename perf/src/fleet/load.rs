//! What simulated nodes measure: seconds that look like those of real engines.
//!
//! What it is: how many arrivals a node had due in its cells, exactly, and packed sums of so many exchanges. What it is not:
//! load; nothing is sent to anybody.
//!
//! A node's second is told as one of a few that were packed before, by how many arrivals it had: what they cost the
//! coordinator is the same, and a thousand nodes fit beside it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use clock::NANOS_PER_SECOND;
use measure::{Counters, Names, Totals};
use schedule::{CELL_COUNT, Cells, Profile, Rate};
use wire::Measured;

/// Different seconds with the same number of arrivals.
const VARIANTS: u64 = 4;
/// Bytes of a request and of its answer.
const EXCHANGE_BYTES: (u64, u64) = (180, 900);

/// The plan, and the seconds that were packed so far.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) names: Names,
    profile: Profile,
    packed: Mutex<BTreeMap<(u64, u64), Measured>>,
}

impl Load {
    pub(super) fn new(names: u32, tps: u64, seconds: u32) -> Self {
        let duration_ns = u64::from(seconds) * NANOS_PER_SECOND;
        let profile = Profile::constant(Rate::per_second(tps), duration_ns);
        Self {
            names: Names::requests((1..=names).map(|number| format!("request-{number:02}"))),
            profile: profile.expect("Invariant: the flags are within the bounds of a profile"),
            packed: Mutex::default(),
        }
    }

    /// How long the plan is.
    pub(super) fn duration_ns(&self) -> u64 {
        self.profile.duration_ns()
    }

    /// Arrivals that are due in these cells from one instant on and before another.
    pub(super) fn due(&self, cells: &Cells, from_ns: u64, until_ns: u64) -> u64 {
        let cycle = u64::from(CELL_COUNT);
        let (first, end) = (self.profile.arrivals_before(from_ns), self.profile.arrivals_before(until_ns));
        let before = |slot: u64, cell: u16| (slot + cycle - 1 - u64::from(cell)) / cycle;
        cells.iter().map(|cell| before(end, cell) - before(first, cell)).sum()
    }

    /// A second in which so many arrivals were due, all of which were answered.
    pub(super) fn measured(&self, count: u64, variant: u64) -> Measured {
        let variant = variant % VARIANTS;
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        packed.entry((count, variant)).or_insert_with(|| self.pack(count, variant)).clone()
    }

    fn pack(&self, count: u64, variant: u64) -> Measured {
        let mut random = Random(count.wrapping_mul(31).wrapping_add(variant));
        let mut totals = Totals::new(self.names.shape());
        let names = totals.names.len() as u64;
        for arrival in 0..count {
            let lag_ns = random.around(9.7, 0.3);
            let service_ns = random.around(14.5, 0.5);
            let at = usize::try_from(arrival % names).expect("Invariant: a name's place is small");
            let name = &mut totals.names[at];
            (name.sent, name.ok_count) = (name.sent + 1, name.ok_count + 1);
            name.status.add(200, 1);
            name.ok.record(lag_ns + service_ns);
            name.service.record(service_ns);
            totals.lag.record(lag_ns);
            totals.queue.record(0);
            totals.first_byte.record(service_ns - service_ns / 50);
        }
        totals.counters = counters(count);
        let lag = totals.lag.clone();
        let shard = totals.shard_mut(0, 0);
        (shard.scheduled, shard.sent, shard.completed) = (count, count, count);
        (shard.cpu_ns, shard.covered_ns, shard.lag) = (count * 15_000, NANOS_PER_SECOND, lag);
        Measured::pack(&totals)
    }
}

/// So many exchanges that were answered.
pub(super) fn counters(count: u64) -> Counters {
    let mut counters = Counters {
        scheduled: count,
        sent: count,
        ok: count,
        bytes_sent: count * EXCHANGE_BYTES.0,
        bytes_received: count * EXCHANGE_BYTES.1,
        ..Counters::default()
    };
    counters.status.add(200, count);
    counters
}

/// `SplitMix64`, and latencies from it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Nanoseconds whose logarithm is nearly normal.
    fn around(&mut self, logarithm: f64, spread: f64) -> u64 {
        // Twelve uniform numbers have a variance of one together.
        let sum: f64 = (0..12).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is above zero")]
        let nanos = (logarithm + spread * (sum - 6.0)).exp() as u64;
        nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_nodes_are_the_plan() {
        let load = Load::new(20, 10_000_000, 3);
        let dealt = Cells::all().deal(&[1; 1_000]).expect("a thousand owners");
        for second in 0..3 {
            let (from_ns, until_ns) = (second * NANOS_PER_SECOND, (second + 1) * NANOS_PER_SECOND);
            let parts = dealt.iter().map(|cells| load.due(cells, from_ns, until_ns));
            assert_eq!(parts.sum::<u64>(), 10_000_000);
        }
    }

    #[test]
    fn a_second_counts_what_it_says() {
        let load = Load::new(20, 1_000, 3);
        let totals = load.measured(10_000, 1).unpack();
        assert!(totals.balanced() && totals.counters == counters(10_000), "{:?}", totals.counters);
        assert_eq!(totals.names.iter().map(|name| name.ok.count()).sum::<u64>(), 10_000);
        let response = totals.latency(measure::Latency::Response);
        assert!((1_800_000..2_300_000).contains(&response.value_at_quantile(0.5)), "{response:?}");
    }
}
