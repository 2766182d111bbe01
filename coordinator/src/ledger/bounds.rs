//! What a node may say at most.
//!
//! What it is: bounds that no honest node reaches, on what the node's own life told in all. What it is not: proof that a
//! report is true; a node that lies within its bounds is believed.

use measure::{Counters, Shape};
use wire::Delta;

use crate::director::Share;

/// What a life of a node may have told by now.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Limits {
    /// How much of each kind the plan counts.
    pub(crate) shape: Shape,
    /// How far the run is, in nanoseconds of the results, the clocks' error and one late second included.
    pub(crate) until_ns: u64,
    /// Arrivals that can have been due in its cells, warm-up included; `None` where users, not a rate, decide.
    pub(crate) arrivals: Option<u64>,
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
        counters.merge(&share.counters);
        warmup.merge(&share.warmup);
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
    let most = limits.arrivals?;
    (scheduled > most)
        .then(|| format!("it had {scheduled} arrivals due, of at most {most} in its cells by now"))
}
