//! What a node may say at most.
//!
//! What it is: bounds that no honest node reaches, on what the node's own life told in all. What it is not: proof that a
//! report is true; a node that lies within its bounds is believed.

use measure::{Counters, IterationCounters, Shape};
use wire::Delta;

use crate::director::Share;

/// What a life of a node may have told by now.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How much of each kind the plan counts.
    pub(crate) shape: Shape,
    /// How far the run is, in nanoseconds of the results, the clocks' error and one late second included.
    pub(crate) until_ns: u64,
    /// How far the run is with its warm-up, in nanoseconds.
    pub(crate) elapsed_ns: u64,
    /// Arrivals that can have been due in its cells, warm-up included; `None` where users, not a rate, decide.
    pub(crate) arrivals: Option<u64>,
    /// The same for each workload of a plan file, by its place; `None` as above.
    pub(crate) iterations: Vec<Option<u64>>,
}

/// Requests in a second that no machine sends.
const REQUESTS_PER_SECOND: u64 = 100_000_000;
/// Bytes in a second that no machine sends or receives: a terabit.
const BYTES_PER_SECOND: u64 = 125_000_000_000;

impl Limits {
    /// What no machine does in the time that has passed.
    fn at_most(&self, per_second: u64) -> u64 {
        (self.elapsed_ns / clock::NANOS_PER_SECOND + 1).saturating_mul(per_second)
    }
}

/// Why a delta cannot be true; `None`: it can.
pub(crate) fn breach(limits: &Limits, share: Option<&Share>, delta: &Delta) -> Option<String> {
    let (room, told) = (limits.shape, delta.measured.shape());
    if told.names > room.names
        || told.workloads > room.workloads
        || told.groups > room.groups
        || told.checks > room.checks
    {
        return Some("it counts names that the plan does not have".to_owned());
    }
    let second = delta.until_ns.saturating_sub(1) / clock::NANOS_PER_SECOND;
    if delta.until_ns > limits.until_ns || delta.second != second {
        return Some(format!(
            "it measured until {} ns of the results, in second {}, which is yet to come",
            delta.until_ns, delta.second
        ));
    }
    let mut counters = delta.measured.counters();
    let mut warmup = delta.measured.warmup();
    if let Some(share) = share {
        counters.merge(&share.sums.counters);
        warmup.merge(&share.sums.warmup);
    }
    let both = |pick: fn(&Counters) -> u64| pick(&counters).saturating_add(pick(&warmup));
    let (scheduled, sent) = (both(|one| one.scheduled), both(|one| one.sent));
    if both(|one| one.unassigned) > 0 {
        return Some("it counts arrivals that nobody owned".to_owned());
    }
    let accounted = sent.saturating_add(both(Counters::dropped_total));
    if accounted > scheduled {
        return Some(format!("it sent and dropped {accounted} of {scheduled} arrivals"));
    }
    let ended = both(Counters::completed).saturating_add(both(|one| one.cut_off));
    if ended > sent {
        return Some(format!("{ended} of {sent} requests ended"));
    }
    let bytes = both(|one| one.bytes_sent.max(one.bytes_received));
    let count = scheduled.max(both(|one| one.connects)).max(both(|one| one.connects_failed));
    if count > limits.at_most(REQUESTS_PER_SECOND) || bytes > limits.at_most(BYTES_PER_SECOND) {
        return Some(format!("it did {count} things and moved {bytes} bytes, which no machine can by now"));
    }
    let most = limits.arrivals?;
    (scheduled > most)
        .then(|| format!("it had {scheduled} arrivals due, of at most {most} in its cells by now"))
}

/// What in the sums of one delta cannot be, beside what [`breach`] looks at: more was measured than happened, or more
/// iterations began than were due. What was measured is compared with all that happened in that second, so that no honest node
/// comes near. Where a second comes in pieces all of that stands in the first, so others are compared with what the life told
/// before.
pub(crate) fn contradiction(limits: &Limits, share: Option<&Share>, delta: &Delta) -> Option<String> {
    let (counters, told) = (delta.measured.counters(), delta.measured.outline());
    let is_piece = counters == Counters::default();
    let earlier = share.filter(|_| is_piece).map(|share| &share.sums);
    let happened = things(earlier.map_or(&counters, |sums| &sums.counters));
    if told.most > happened {
        let stretch = if earlier.is_some() { "a life" } else { "a second" };
        return Some(format!("it measured {} things in {stretch} in which {happened} happened", told.most));
    }
    if let Some(sums) = earlier {
        let responses = sums.response.count().saturating_add(told.responses);
        let completed = sums.counters.completed();
        if responses > completed {
            return Some(format!("it measured {responses} responses where {completed} came"));
        }
    }
    told.iterations.iter().enumerate().find_map(|(place, due)| {
        let most = limits.iterations.get(place).copied().flatten()?;
        let before = |list: &Vec<IterationCounters>| list.get(place).map_or(0, |told| told.scheduled);
        let earlier = share.map_or(0, |share| {
            before(&share.sums.iterations).saturating_add(before(&share.sums.warmup_iterations))
        });
        let begun = due.saturating_add(earlier);
        (begun > most)
            .then(|| format!("it had {begun} iterations due, of at most {most} in its cells by now"))
    })
}

/// Everything that happened, of whatever kind.
fn things(counters: &Counters) -> u64 {
    [counters.scheduled, counters.sent, counters.completed(), counters.cut_off]
        .into_iter()
        .chain([counters.dropped_total(), counters.connects, counters.connects_failed])
        .fold(0_u64, u64::saturating_add)
}
