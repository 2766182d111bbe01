//! Reading packed sums, which may come from a stranger.
//!
//! What it is: one walk over the bytes that checks them and, where there are sums to add them to, adds them. What it is
//! not: a builder; nothing is set aside for what the bytes claim to hold.

use measure::{
    CheckCounts, Counters, DropReason, ErrorClass, Exact, FailReason, GroupTotals, Histogram,
    IterationCounters, NameTotals, Shape, StatusCounts, Totals, WorkloadTotals, check_buckets,
};

use super::{ByShard, LIST_MAX, VERSION};
use crate::WireError;

/// Bits of a number that one byte carries.
const BITS: u32 = 7;

/// Packed sums from here on.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// Positions with their counts, which were checked: the iterator ends where the list does.
#[derive(Clone)]
struct List<'a> {
    reader: Reader<'a>,
    left: usize,
    next: u64,
}

/// Checks packed sums, and adds them to `into`; yields their shape.
pub(super) fn walk(
    reader: &mut Reader<'_>,
    mut into: Option<&mut Totals>,
    by_shard: ByShard,
) -> Result<Shape, WireError> {
    reader.version()?;
    reader.counters(into.as_deref_mut().map(|totals| &mut totals.counters))?;
    reader.counters(into.as_deref_mut().map(|totals| &mut totals.warmup))?;
    reader.histogram(into.as_deref_mut().map(|totals| &mut totals.lag))?;
    reader.histogram(into.as_deref_mut().map(|totals| &mut totals.queue))?;
    reader.histogram(into.as_deref_mut().map(|totals| &mut totals.connect))?;
    reader.histogram(into.as_deref_mut().map(|totals| &mut totals.tls))?;
    reader.histogram(into.as_deref_mut().map(|totals| &mut totals.first_byte))?;
    let names = reader.count()?;
    for place in 0..names {
        reader.name(into.as_deref_mut().and_then(|totals| totals.names.get_mut(place)))?;
    }
    let workloads = reader.count()?;
    for place in 0..workloads {
        reader.workload(into.as_deref_mut().and_then(|totals| totals.workloads.get_mut(place)))?;
    }
    let groups = reader.count()?;
    for place in 0..groups {
        reader.group(into.as_deref_mut().and_then(|totals| totals.groups.get_mut(place)))?;
    }
    let checks = reader.count()?;
    for place in 0..checks {
        let [passed, failed] = reader.numbers()?;
        if let Some(check) = into.as_deref_mut().and_then(|totals| totals.checks.get_mut(place)) {
            check.merge(&CheckCounts { passed, failed });
        }
    }
    for _ in 0..reader.count()? {
        reader.shard(into.as_deref_mut(), by_shard)?;
    }
    reader.end()?;
    Ok(Shape { names, workloads, groups, checks })
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn version(&mut self) -> Result<(), WireError> {
        match self.rest.split_first() {
            Some((&VERSION, rest)) => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(malformed("is not of the version that this program packs")),
        }
    }

    pub(super) fn end(&self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed("goes on behind its end")) }
    }

    pub(super) fn counters(&mut self, into: Option<&mut Counters>) -> Result<(), WireError> {
        let [scheduled, sent, ok, cut_off, unassigned] = self.numbers()?;
        let [bytes_sent, bytes_received, connects, connects_failed] = self.numbers()?;
        let [tls_resumed, closed_idle, unsolicited] = self.numbers()?;
        let dropped = self.counts::<{ DropReason::COUNT }>()?;
        let errors = self.counts::<{ ErrorClass::COUNT }>()?;
        let status = self.status()?;
        let Some(into) = into else { return Ok(()) };
        for (sum, more) in [
            (&mut into.scheduled, scheduled),
            (&mut into.sent, sent),
            (&mut into.ok, ok),
            (&mut into.cut_off, cut_off),
            (&mut into.unassigned, unassigned),
            (&mut into.bytes_sent, bytes_sent),
            (&mut into.bytes_received, bytes_received),
            (&mut into.connects, connects),
            (&mut into.connects_failed, connects_failed),
            (&mut into.tls_resumed, tls_resumed),
            (&mut into.closed_idle, closed_idle),
            (&mut into.unsolicited, unsolicited),
        ] {
            *sum = sum.saturating_add(more);
        }
        add_each(&mut into.dropped, &dropped);
        add_each(&mut into.errors, &errors);
        add_status(&mut into.status, status);
        Ok(())
    }

    fn name(&mut self, into: Option<&mut NameTotals>) -> Result<(), WireError> {
        let [sent, ok_count, cut_off] = self.numbers()?;
        let dropped = self.counts::<{ DropReason::COUNT }>()?;
        let errors = self.counts::<{ ErrorClass::COUNT }>()?;
        let status = self.status()?;
        let Some(into) = into else {
            return (0..3).try_for_each(|_| self.histogram(None));
        };
        into.sent = into.sent.saturating_add(sent);
        into.ok_count = into.ok_count.saturating_add(ok_count);
        into.cut_off = into.cut_off.saturating_add(cut_off);
        add_each(&mut into.dropped, &dropped);
        add_each(&mut into.errors, &errors);
        add_status(&mut into.status, status);
        [&mut into.ok, &mut into.failed, &mut into.service]
            .into_iter()
            .try_for_each(|kind| self.histogram(Some(kind)))
    }

    fn workload(&mut self, into: Option<&mut WorkloadTotals>) -> Result<(), WireError> {
        let (iterations, warmup) = (self.iterations()?, self.iterations()?);
        let Some(into) = into else {
            return (0..2).try_for_each(|_| self.histogram(None));
        };
        into.iterations.merge(&iterations);
        into.warmup.merge(&warmup);
        self.histogram(Some(&mut into.completed))?;
        self.histogram(Some(&mut into.failed))
    }

    fn group(&mut self, into: Option<&mut GroupTotals>) -> Result<(), WireError> {
        let [ok, failed] = self.numbers()?;
        let Some(into) = into else {
            return (0..2).try_for_each(|_| self.histogram(None));
        };
        into.ok = into.ok.saturating_add(ok);
        into.failed = into.failed.saturating_add(failed);
        self.histogram(Some(&mut into.duration))?;
        self.histogram(Some(&mut into.busy))
    }

    fn shard(&mut self, into: Option<&mut Totals>, by_shard: ByShard) -> Result<(), WireError> {
        let (node, shard) = (self.number_32()?, self.number_32()?);
        let [scheduled, sent, completed] = self.numbers()?;
        let [cpu_ns, core_wait_ns, covered_ns] = self.numbers()?;
        let node = match by_shard {
            ByShard::LeftOut => None,
            ByShard::OfNode(number) => Some(number),
            ByShard::AsTold => Some(node),
        };
        let Some((totals, node)) = into.zip(node) else { return self.histogram(None) };
        let sums = totals.shard_mut(node, shard);
        for (sum, more) in [
            (&mut sums.scheduled, scheduled),
            (&mut sums.sent, sent),
            (&mut sums.completed, completed),
            (&mut sums.cpu_ns, cpu_ns),
            (&mut sums.core_wait_ns, core_wait_ns),
            (&mut sums.covered_ns, covered_ns),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.histogram(Some(&mut sums.lag))
    }

    fn iterations(&mut self) -> Result<IterationCounters, WireError> {
        let [scheduled, begun, unassigned, completed, cut_off] = self.numbers()?;
        let dropped = self.counts::<{ DropReason::COUNT }>()?;
        let failed = self.counts::<{ FailReason::COUNT }>()?;
        Ok(IterationCounters { scheduled, begun, dropped, unassigned, completed, failed, cut_off })
    }

    fn histogram(&mut self, into: Option<&mut Histogram>) -> Result<(), WireError> {
        let list = self.list(measure::BUCKET_COUNT)?;
        if list.left == 0 {
            return Ok(());
        }
        let sum_ns = self.number_128()?;
        let [count, min_ns, max_ns] = self.numbers()?;
        let exact = Exact { count, sum_ns, min_ns, max_ns };
        match into {
            None => check_buckets(list, exact).map_err(|_| malformed("holds a histogram that cannot be")),
            Some(into) => {
                into.add_buckets(list, exact);
                Ok(())
            }
        }
    }

    /// Counts by position, in an array of them all.
    fn counts<const N: usize>(&mut self) -> Result<[u64; N], WireError> {
        let mut counts = [0; N];
        for (position, count) in self.list(N)? {
            let position = usize::try_from(position).unwrap_or(N);
            *counts.get_mut(position).ok_or(malformed("counts what there is not"))? = count;
        }
        Ok(counts)
    }

    /// Statuses with their counts; every one is a code.
    fn status(&mut self) -> Result<List<'a>, WireError> {
        let list = self.list(1_000)?;
        let known = |(code, _): (u64, u64)| code == 0 || (100..1_000).contains(&code);
        if list.clone().all(known) { Ok(list) } else { Err(malformed("counts a status that is no code")) }
    }

    /// A list of at most `most` positions, and goes on behind it.
    fn list(&mut self, most: usize) -> Result<List<'a>, WireError> {
        let left = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if left > most {
            return Err(malformed("has a list that is too long"));
        }
        let list = List { reader: self.clone(), left, next: 0 };
        let mut next: u64 = 0;
        for _ in 0..left {
            let [distance, count] = self.numbers()?;
            let position = next.checked_add(distance).and_then(|position| position.checked_add(1));
            next = position.ok_or(malformed("has a list that is too long"))?;
            if count == 0 {
                return Err(malformed("counts nothing"));
            }
        }
        Ok(list)
    }

    fn count(&mut self) -> Result<usize, WireError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > LIST_MAX { Err(malformed("has a list that is too long")) } else { Ok(count) }
    }

    fn numbers<const N: usize>(&mut self) -> Result<[u64; N], WireError> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Ok(numbers)
    }

    fn number_32(&mut self) -> Result<u32, WireError> {
        u32::try_from(self.number()?).map_err(|_| malformed("has a number that is too large"))
    }

    fn number(&mut self) -> Result<u64, WireError> {
        // Most numbers are below 128.
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        u64::try_from(self.number_128()?).map_err(|_| malformed("has a number that is too large"))
    }

    fn number_128(&mut self) -> Result<u128, WireError> {
        let mut number: u128 = 0;
        let mut shift = 0;
        loop {
            let (byte, rest) = self.rest.split_first().ok_or(malformed("ends too early"))?;
            self.rest = rest;
            let bits = u128::from(byte & 0x7f);
            let placed = bits.checked_shl(shift).filter(|placed| placed >> shift == bits);
            number |= placed.ok_or(malformed("has a number that is too large"))?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += BITS;
        }
    }
}

impl Iterator for List<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        self.left = self.left.checked_sub(1)?;
        // Whoever made the list has read it to its end before.
        let [distance, count] = self.reader.numbers().ok()?;
        let position = self.next + distance;
        self.next = position + 1;
        Some((position, count))
    }
}

fn add_each<const N: usize>(sums: &mut [u64; N], more: &[u64; N]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more);
    }
}

fn add_status(sums: &mut StatusCounts, more: List<'_>) {
    for (code, count) in more {
        sums.add(u16::try_from(code).unwrap_or(0), count);
    }
}

fn malformed(problem: &'static str) -> WireError {
    WireError::new("measured", problem)
}
