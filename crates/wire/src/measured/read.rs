//! Reading packed sums, which may come from a stranger.
//!
//! What it is: one walk over the bytes that checks them, or adds what was checked to sums. What it is not: a builder;
//! nothing is set aside for what the bytes claim to hold.

use measure::{
    BucketCheck, CheckCounts, Counters, DropReason, ErrorClass, Exact, FailReason, GroupTotals, Histogram,
    IterationCounters, NameTotals, Shape, StatusCounts, Totals, WorkloadTotals,
};

use super::{ByShard, LIST_MAX, Outline, Overall, VERSION};
use crate::WireError;

/// Bits of a number that one byte carries.
const BITS: u32 = 7;

/// Packed sums from here on.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// They were checked before: buckets need no second look.
    is_checked: bool,
}

/// Positions with their counts, which were checked: the iterator ends where the list does.
#[derive(Clone)]
struct List<'a> {
    reader: Reader<'a>,
    left: usize,
    next: u64,
}

/// Where packed sums go.
#[derive(Default)]
pub(super) struct Sums<'a> {
    /// Everything of them.
    pub(super) totals: Option<(&'a mut Totals, ByShard)>,
    /// What is kept of whoever told them.
    pub(super) overall: Option<&'a mut Overall>,
    /// What they claim.
    pub(super) outline: Option<&'a mut Outline>,
}

impl Sums<'_> {
    fn totals(&mut self) -> Option<&mut Totals> {
        self.totals.as_mut().map(|(totals, _)| &mut **totals)
    }
}

/// Goes through packed sums, checking them or, where they were, adding them; yields their shape.
pub(super) fn walk(reader: &mut Reader<'_>, mut into: Sums<'_>) -> Result<Shape, WireError> {
    reader.version()?;
    let (mut overall, mut outline) = (into.overall.take(), into.outline.take());
    reader.counters(
        into.totals().map(|totals| &mut totals.counters),
        overall.as_mut().map(|own| &mut own.counters),
    )?;
    reader.counters(
        into.totals().map(|totals| &mut totals.warmup),
        overall.as_mut().map(|own| &mut own.warmup),
    )?;
    let most = reader.of_all_names(&mut into, overall.as_mut().map(|own| &mut own.lag))?;
    let names = reader.count()?;
    let mut of_names = NameCounts::default();
    for place in 0..names {
        let told = reader.name(
            into.totals().and_then(|totals| totals.names.get_mut(place)),
            overall.as_mut().map(|own| &mut own.response),
        )?;
        if let Some(own) = &mut overall {
            own.leave_in_flight(place, &told);
        }
        of_names.add(&told);
    }
    if let Some(outline) = &mut outline {
        outline.most = most.max(of_names.most());
        outline.responses = of_names.measured[0].saturating_add(of_names.measured[1]);
    }
    let workloads = reader.count()?;
    for place in 0..workloads {
        let told = reader.workload(into.totals().and_then(|totals| totals.workloads.get_mut(place)))?;
        if let Some(own) = &mut overall {
            own.add_iterations(place, &told);
        }
        if let Some(outline) = &mut outline {
            outline.iterations.push(told[0].scheduled.saturating_add(told[1].scheduled));
        }
    }
    let groups = reader.count()?;
    for place in 0..groups {
        reader.group(into.totals().and_then(|totals| totals.groups.get_mut(place)))?;
    }
    let checks = reader.count()?;
    for place in 0..checks {
        let [passed, failed] = reader.numbers()?;
        if let Some(check) = into.totals().and_then(|totals| totals.checks.get_mut(place)) {
            check.merge(&CheckCounts { passed, failed });
        }
    }
    for _ in 0..reader.count()? {
        let cpu_ns =
            reader.shard(into.totals.as_mut().map(|(totals, by_shard)| (&mut **totals, *by_shard)))?;
        if let Some(own) = &mut overall {
            own.cpu_ns = own.cpu_ns.saturating_add(cpu_ns);
        }
    }
    reader.end()?;
    Ok(Shape { names, workloads, groups, checks })
}

impl<'a> Reader<'a> {
    /// Bytes that nobody has checked.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, is_checked: false }
    }

    /// Bytes that were walked through before.
    pub(super) const fn of_checked(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, is_checked: true }
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

    pub(super) fn counters(
        &mut self,
        into: Option<&mut Counters>,
        and: Option<&mut Counters>,
    ) -> Result<(), WireError> {
        let [scheduled, sent, ok, cut_off, unassigned] = self.numbers()?;
        let [bytes_sent, bytes_received, connects, connects_failed] = self.numbers()?;
        let [tls_resumed, closed_idle, unsolicited] = self.numbers()?;
        let dropped = self.counts::<{ DropReason::COUNT }>()?;
        let errors = self.counts::<{ ErrorClass::COUNT }>()?;
        let status = self.status()?;
        for into in [into, and].into_iter().flatten() {
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
            add_status(&mut into.status, status.clone());
        }
        Ok(())
    }

    /// Reads what is measured once for all names; yields the most values of one kind.
    fn of_all_names(&mut self, into: &mut Sums<'_>, lag: Option<&mut Histogram>) -> Result<u64, WireError> {
        let mut most = self.histogram(into.totals().map(|totals| &mut totals.lag), lag)?;
        let others: [fn(&mut Totals) -> &mut Histogram; 4] = [
            |totals| &mut totals.queue,
            |totals| &mut totals.connect,
            |totals| &mut totals.tls,
            |totals| &mut totals.first_byte,
        ];
        for other in others {
            most = most.max(self.histogram(into.totals().map(other), None)?);
        }
        Ok(most)
    }

    fn name(
        &mut self,
        into: Option<&mut NameTotals>,
        mut response: Option<&mut Histogram>,
    ) -> Result<NameCounts, WireError> {
        let [sent, ok_count, cut_off] = self.numbers()?;
        let dropped = self.counts::<{ DropReason::COUNT }>()?;
        let errors = self.counts::<{ ErrorClass::COUNT }>()?;
        let status = self.status()?;
        let failed = errors.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let (mut ok_times, mut failed_times, mut service) = (None, None, None);
        if let Some(into) = into {
            into.sent = into.sent.saturating_add(sent);
            into.ok_count = into.ok_count.saturating_add(ok_count);
            into.cut_off = into.cut_off.saturating_add(cut_off);
            add_each(&mut into.dropped, &dropped);
            add_each(&mut into.errors, &errors);
            add_status(&mut into.status, status);
            ok_times = Some(&mut into.ok);
            (failed_times, service) = (Some(&mut into.failed), Some(&mut into.service));
        }
        let measured = [
            self.histogram(ok_times, response.as_deref_mut())?,
            self.histogram(failed_times, response)?,
            self.histogram(service, None)?,
        ];
        Ok(NameCounts { sent, ok: ok_count, failed, cut_off, measured })
    }

    /// Yields what became of its iterations, and of those of the warm-up.
    fn workload(&mut self, into: Option<&mut WorkloadTotals>) -> Result<[IterationCounters; 2], WireError> {
        let told = [self.iterations()?, self.iterations()?];
        let (mut completed, mut failed) = (None, None);
        if let Some(into) = into {
            into.iterations.merge(&told[0]);
            into.warmup.merge(&told[1]);
            (completed, failed) = (Some(&mut into.completed), Some(&mut into.failed));
        }
        self.histogram(completed, None)?;
        self.histogram(failed, None)?;
        Ok(told)
    }

    fn group(&mut self, into: Option<&mut GroupTotals>) -> Result<(), WireError> {
        let [ok, failed] = self.numbers()?;
        let Some(into) = into else {
            return (0..2).try_for_each(|_| self.histogram(None, None).map(drop));
        };
        into.ok = into.ok.saturating_add(ok);
        into.failed = into.failed.saturating_add(failed);
        self.histogram(Some(&mut into.duration), None)?;
        self.histogram(Some(&mut into.busy), None)?;
        Ok(())
    }

    /// Yields its processor time.
    fn shard(&mut self, into: Option<(&mut Totals, ByShard)>) -> Result<u64, WireError> {
        let (node, shard) = (self.number_32()?, self.number_32()?);
        let [scheduled, sent, completed] = self.numbers()?;
        let [cpu_ns, core_wait_ns, covered_ns] = self.numbers()?;
        let kept = into.and_then(|(totals, by_shard)| match by_shard {
            ByShard::LeftOut => None,
            ByShard::OfNode(number) => Some((totals, number)),
            ByShard::AsTold => Some((totals, node)),
        });
        let Some((totals, node)) = kept else {
            self.histogram(None, None)?;
            return Ok(cpu_ns);
        };
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
        self.histogram(Some(&mut sums.lag), None)?;
        Ok(cpu_ns)
    }

    pub(super) fn iterations(&mut self) -> Result<IterationCounters, WireError> {
        let [scheduled, begun, unassigned, completed, cut_off] = self.numbers()?;
        let dropped = self.counts::<{ DropReason::COUNT }>()?;
        let failed = self.counts::<{ FailReason::COUNT }>()?;
        Ok(IterationCounters { scheduled, begun, dropped, unassigned, completed, failed, cut_off })
    }

    /// Yields how many values it has.
    pub(super) fn histogram(
        &mut self,
        into: Option<&mut Histogram>,
        and: Option<&mut Histogram>,
    ) -> Result<u64, WireError> {
        let left = self.length(measure::BUCKET_COUNT)?;
        if left == 0 {
            return Ok(0);
        }
        if !self.is_checked {
            return self.check_histogram(left);
        }
        let list = List { reader: self.clone(), left, next: 0 };
        self.skip(2 * left)?;
        let exact = self.exact()?;
        match (into, and) {
            (Some(into), Some(and)) => into.add_buckets_twice(and, list, exact),
            (Some(into), None) | (None, Some(into)) => into.add_buckets(list, exact),
            (None, None) => {}
        }
        Ok(exact.count)
    }

    fn check_histogram(&mut self, left: usize) -> Result<u64, WireError> {
        let wrong = |_| malformed("holds a histogram that cannot be");
        let (mut check, mut next) = (BucketCheck::default(), 0_u64);
        for _ in 0..left {
            let [distance, count] = self.numbers()?;
            let position = next.checked_add(distance).ok_or(malformed("has a list that is too long"))?;
            check.bucket(position, count).map_err(wrong)?;
            next = position + 1;
        }
        let exact = self.exact()?;
        check.end(exact).map_err(wrong)?;
        Ok(exact.count)
    }

    fn exact(&mut self) -> Result<Exact, WireError> {
        let sum_ns = self.number_128()?;
        let [count, min_ns, max_ns] = self.numbers()?;
        Ok(Exact { count, sum_ns, min_ns, max_ns })
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
        let left = self.length(most)?;
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

    pub(super) fn count(&mut self) -> Result<usize, WireError> {
        self.length(LIST_MAX)
    }

    /// How many things follow, of which there are at most so many.
    fn length(&mut self, most: usize) -> Result<usize, WireError> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > most { Err(malformed("has a list that is too long")) } else { Ok(length) }
    }

    /// Goes on behind so many numbers: each ends with the first byte whose highest bit is not set.
    fn skip(&mut self, numbers: usize) -> Result<(), WireError> {
        let (mut left, mut rest) = (numbers, self.rest);
        while left >= 8
            && let Some((word, behind)) = rest.split_first_chunk()
        {
            left -= (!u64::from_le_bytes(*word) & 0x8080_8080_8080_8080).count_ones() as usize;
            rest = behind;
        }
        while left > 0 {
            let (byte, behind) = rest.split_first().ok_or(malformed("ends too early"))?;
            left -= usize::from(*byte < 0x80);
            rest = behind;
        }
        self.rest = rest;
        Ok(())
    }

    pub(super) fn numbers<const N: usize>(&mut self) -> Result<[u64; N], WireError> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Ok(numbers)
    }

    fn number_32(&mut self) -> Result<u32, WireError> {
        u32::try_from(self.number()?).map_err(|_| malformed("has a number that is too large"))
    }

    pub(super) fn number(&mut self) -> Result<u64, WireError> {
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

/// Requests of a name, or of all, and how many values were measured of them.
#[derive(Copy, Clone, Default)]
pub(super) struct NameCounts {
    sent: u64,
    ok: u64,
    failed: u64,
    cut_off: u64,
    /// Responses that succeeded and that failed, and service times.
    measured: [u64; 3],
}

impl NameCounts {
    /// What is left of `before` requests under way, once these were sent and have ended.
    pub(super) fn in_flight_after(&self, before: u64) -> u64 {
        let ended = self.ok.saturating_add(self.failed).saturating_add(self.cut_off);
        before.saturating_add(self.sent).saturating_sub(ended)
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.sent, other.sent),
            (&mut self.ok, other.ok),
            (&mut self.failed, other.failed),
            (&mut self.cut_off, other.cut_off),
        ] {
            *sum = sum.saturating_add(more);
        }
        add_each(&mut self.measured, &other.measured);
    }

    fn most(&self) -> u64 {
        let [ok, failed, service] = self.measured;
        [self.sent, self.ok, self.failed, ok, failed, service].into_iter().fold(0, u64::max)
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
