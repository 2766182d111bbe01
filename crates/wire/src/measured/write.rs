//! Packing: sums to bytes.
//!
//! What it is: one function for each kind of sum, in the order in which `read` expects them. What it is not: a check;
//! what was counted here is right.

use measure::{Counters, Histogram, IterationCounters, NameTotals, StatusCounts, Totals};

use super::VERSION;

/// The packed form of sums.
pub(super) fn totals(totals: &Totals) -> Vec<u8> {
    let mut out = vec![VERSION];
    counters(&mut out, &totals.counters);
    counters(&mut out, &totals.warmup);
    for kind in [&totals.lag, &totals.queue, &totals.connect, &totals.tls, &totals.first_byte] {
        histogram(&mut out, kind);
    }
    number(&mut out, totals.names.len() as u64);
    totals.names.iter().for_each(|one| name(&mut out, one));
    number(&mut out, totals.workloads.len() as u64);
    for workload in &totals.workloads {
        iterations(&mut out, &workload.iterations);
        iterations(&mut out, &workload.warmup);
        histogram(&mut out, &workload.completed);
        histogram(&mut out, &workload.failed);
    }
    number(&mut out, totals.groups.len() as u64);
    for group in &totals.groups {
        numbers(&mut out, [group.ok, group.failed]);
        histogram(&mut out, &group.duration);
        histogram(&mut out, &group.busy);
    }
    number(&mut out, totals.checks.len() as u64);
    for check in &totals.checks {
        numbers(&mut out, [check.passed, check.failed]);
    }
    number(&mut out, totals.shards.len() as u64);
    for shard in &totals.shards {
        numbers(&mut out, [u64::from(shard.node), u64::from(shard.shard)]);
        numbers(&mut out, [shard.scheduled, shard.sent, shard.completed]);
        numbers(&mut out, [shard.cpu_ns, shard.core_wait_ns, shard.covered_ns]);
        histogram(&mut out, &shard.lag);
    }
    out
}

/// Sums in pieces whose packed forms have at most so many bytes, where that is possible.
pub(super) fn pieces(totals: &Totals, bytes_most: usize) -> Vec<Totals> {
    let shape = totals.shape();
    let mut rest = totals.clone();
    let size = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        out.len()
    };
    // Empty sums take room as well, and the first piece has what is not by name.
    let empty = self::totals(&Totals::new(shape)).len();
    let mut names = std::mem::take(&mut rest.names);
    rest.names = Totals::new(shape).names;
    let mut left = bytes_most.saturating_sub(self::totals(&rest).len());
    let mut pieces = vec![rest];
    for (place, own) in names.iter_mut().enumerate() {
        let bytes = size(&|out| name(out, own));
        if bytes > left {
            pieces.push(Totals::new(shape));
            left = bytes_most.saturating_sub(empty);
        }
        left = left.saturating_sub(bytes);
        if let Some(piece) = pieces.last_mut() {
            piece.names[place] = std::mem::take(own);
        }
    }
    pieces
}

/// The packed form of counters alone.
pub(super) fn counters_alone(those: &Counters) -> Vec<u8> {
    let mut out = vec![VERSION];
    counters(&mut out, those);
    out
}

pub(super) fn counters(out: &mut Vec<u8>, those: &Counters) {
    numbers(out, [those.scheduled, those.sent, those.ok, those.cut_off, those.unassigned]);
    numbers(out, [those.bytes_sent, those.bytes_received, those.connects, those.connects_failed]);
    numbers(out, [those.tls_resumed, those.closed_idle, those.unsolicited]);
    counts(out, &those.dropped);
    counts(out, &those.errors);
    status(out, &those.status);
}

fn name(out: &mut Vec<u8>, those: &NameTotals) {
    numbers(out, [those.sent, those.ok_count, those.cut_off]);
    counts(out, &those.dropped);
    counts(out, &those.errors);
    status(out, &those.status);
    for kind in [&those.ok, &those.failed, &those.service] {
        histogram(out, kind);
    }
}

pub(super) fn iterations(out: &mut Vec<u8>, those: &IterationCounters) {
    numbers(out, [those.scheduled, those.begun, those.unassigned, those.completed, those.cut_off]);
    counts(out, &those.dropped);
    counts(out, &those.failed);
}

fn status(out: &mut Vec<u8>, those: &StatusCounts) {
    list(out, || those.iter().map(|(code, count)| (u64::from(code), count)));
}

fn counts(out: &mut Vec<u8>, those: &[u64]) {
    list(out, || (0..).zip(those.iter().copied()).filter(|(_, count)| *count > 0));
}

pub(super) fn histogram(out: &mut Vec<u8>, those: &Histogram) {
    list(out, || those.iter_recorded().map(|bucket| (bucket.index as u64, bucket.count)));
    if !those.is_empty() {
        let exact = those.exact();
        number_128(out, exact.sum_ns);
        numbers(out, [exact.count, exact.min_ns, exact.max_ns]);
    }
}

/// Positions by rising number, each with its count; `items` gives them anew each time.
fn list<Items: Iterator<Item = (u64, u64)>>(out: &mut Vec<u8>, items: impl Fn() -> Items) {
    number(out, items().count() as u64);
    let mut next = 0;
    for (position, count) in items() {
        numbers(out, [position - next, count]);
        next = position + 1;
    }
}

fn numbers<const N: usize>(out: &mut Vec<u8>, those: [u64; N]) {
    for one in those {
        number(out, one);
    }
}

/// LEB128, least bits first.
pub(super) fn number(out: &mut Vec<u8>, one: u64) {
    number_128(out, u128::from(one));
}

fn number_128(out: &mut Vec<u8>, one: u128) {
    let mut rest = one;
    while rest > 0x7f {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}
