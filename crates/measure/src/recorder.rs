//! Hot path. What a shard writes its measurements into.
//!
//! What it is: the open [`Snapshot`] of one shard, the words of its tally, and the few verbs that fill both: durations go
//! into the snapshot, counts into the words, from which the snapshot takes them when it is sealed.
//! What it is not: shared; each shard has its own and locks nothing.
//!
//! Invariants: no method allocates; an exchange costs one response record and one service record. An exchange is
//! recorded with the recorder that recorded its sending, so that the audit of each recorder balances by itself:
//! where a warm-up overlaps the measured time, each has its own recorder. The same holds for iterations.
//! Units: nanoseconds and bytes.

use std::sync::atomic::AtomicU64;

use crate::tally::{self, Places, Tally};
use crate::{DropReason, ErrorClass, IterationEnd, Shape, Snapshot, StatusCounts, tally_words};

/// The recorder of one shard, which counts in words of kind `W`.
#[derive(Debug)]
pub struct Recorder<W = Box<[AtomicU64]>> {
    open: Box<Snapshot>,
    tally: Tally<W>,
}

impl Recorder {
    /// A recorder for a plan of this shape, with words of its own.
    pub fn new(node: u32, shard: u32, shape: Shape) -> Self {
        Self::within(node, shard, shape, (0..tally_words(shape)).map(|_| AtomicU64::new(0)).collect())
    }
}

impl<W: AsRef<[AtomicU64]>> Recorder<W> {
    /// A recorder for a plan of this shape, which counts in these words.
    ///
    /// # Panics
    /// They are not as many as [`tally_words`] says.
    pub fn within(node: u32, shard: u32, shape: Shape, words: W) -> Self {
        let mut open = Box::new(Snapshot::new(shape));
        open.node = node;
        open.shard = shard;
        Self { open, tally: Tally::new(words, shape) }
    }

    /// Takes the memory of all values up to `longest_ns` now, so that recording them into the open snapshot needs no more.
    pub fn populate(&mut self, longest_ns: u64) {
        self.open.populate(longest_ns);
    }

    /// Stamps the open and all later snapshots with a run and the epoch of a lease.
    pub fn set_run(&mut self, run: u128, epoch: u32) {
        self.open.run = run;
        self.open.epoch = epoch;
    }

    /// Says whether the open and all later snapshots belong to the warm-up.
    pub fn set_warmup(&mut self, warmup: bool) {
        self.open.warmup = warmup;
    }

    /// The snapshot being filled, which has no counts yet.
    pub fn open(&self) -> &Snapshot {
        &self.open
    }

    /// The words that are counted in.
    pub fn words(&self) -> &[AtomicU64] {
        self.tally.words()
    }

    /// Whether nothing was recorded since the last seal.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.tally.is_sealed()
    }

    /// `count` arrivals became due.
    #[inline]
    pub fn scheduled(&mut self, count: u64) {
        self.tally.add(tally::SCHEDULED, count);
    }

    /// `count` arrivals became due that nobody owned.
    #[inline]
    pub fn unassigned(&mut self, count: u64) {
        self.tally.add(tally::UNASSIGNED, count);
    }

    /// A request left.
    #[inline]
    pub fn sent(&mut self, name: u32) {
        self.tally.add(Places::name(name) + tally::SENT, 1);
    }

    /// A request that was counted as sent since the last seal has not left, and never will.
    #[cold]
    pub fn withheld(&mut self, name: u32, reason: DropReason) {
        self.tally.take_back(Places::name(name) + tally::SENT);
        self.dropped(name, reason);
    }

    /// An arrival will never be sent, and what it would have sent was not decided.
    #[inline]
    pub fn dropped_unnamed(&mut self, reason: DropReason) {
        self.tally.add(tally::DROPPED_UNNAMED + reason.index(), 1);
    }

    /// An arrival will never be sent.
    #[inline]
    pub fn dropped(&mut self, name: u32, reason: DropReason) {
        self.tally.add(Places::name(name) + tally::DROPPED + reason.index(), 1);
    }

    /// The shard got to an arrival this long after its intended send time.
    #[inline]
    pub fn lag(&mut self, ns: u64) {
        self.open.lag.record(ns);
    }

    /// An arrival waited this long for a connection.
    #[inline]
    pub fn queue(&mut self, ns: u64) {
        self.open.queue.record(ns);
    }

    /// A connect was begun.
    #[inline]
    pub fn connect_started(&mut self) {
        self.tally.add(tally::CONNECTS, 1);
    }

    /// A TCP connection was established in this time.
    #[inline]
    pub fn connect(&mut self, ns: u64) {
        self.open.connect.record(ns);
    }

    /// A connect, TLS handshake included, failed.
    #[inline]
    pub fn connect_failed(&mut self) {
        self.tally.add(tally::CONNECTS_FAILED, 1);
    }

    /// A TLS handshake was finished in this time.
    #[inline]
    pub fn tls(&mut self, ns: u64, resumed: bool) {
        self.open.tls.record(ns);
        self.tally.add(tally::TLS_RESUMED, u64::from(resumed));
    }

    /// The peer closed a connection that no exchange was on.
    #[inline]
    pub fn closed_idle(&mut self) {
        self.tally.add(tally::CLOSED_IDLE, 1);
    }

    /// Bytes came on a connection that owed no response.
    #[inline]
    pub fn unsolicited(&mut self) {
        self.tally.add(tally::UNSOLICITED, 1);
    }

    /// The first response byte came this long after the actual send.
    #[inline]
    pub fn first_byte(&mut self, ns: u64) {
        self.open.first_byte.record(ns);
    }

    /// An exchange succeeded.
    #[inline]
    pub fn ok(&mut self, name: u32, response_ns: u64, service_ns: u64, status: u16) {
        let position = StatusCounts::position(status);
        self.tally.add(Places::name(name) + tally::OK, 1);
        self.tally.add(tally::STATUS + position, 1);
        let name = &mut self.open.names[name as usize];
        name.status.count_at(position);
        name.ok.record(response_ns);
        name.service.record(service_ns);
    }

    /// An exchange failed; `service_ns` where the request was in fact sent. A failure by status also counts its
    /// [`Recorder::status`].
    #[inline]
    pub fn failed(&mut self, name: u32, class: ErrorClass, response_ns: u64, service_ns: Option<u64>) {
        self.tally.add(Places::name(name) + tally::ERRORS + class.index(), 1);
        let name = &mut self.open.names[name as usize];
        name.failed.record(response_ns);
        if let Some(ns) = service_ns {
            name.service.record(ns);
        }
    }

    /// A response with this status came, whose exchange [`Recorder::ok`] does not count.
    #[inline]
    pub fn status(&mut self, name: u32, code: u16) {
        self.tally.add(tally::STATUS + StatusCounts::position(code), 1);
        self.open.names[name as usize].status.count(code);
    }

    /// An exchange was unfinished when the run ended.
    #[inline]
    pub fn cut_off(&mut self, name: u32) {
        self.tally.add(Places::name(name) + tally::CUT_OFF, 1);
    }

    /// Bytes were handed to the transport.
    #[inline]
    pub fn bytes_sent(&mut self, bytes: u64) {
        self.tally.add(tally::BYTES_SENT, bytes);
    }

    /// Bytes were taken from the transport.
    #[inline]
    pub fn bytes_received(&mut self, bytes: u64) {
        self.tally.add(tally::BYTES_RECEIVED, bytes);
    }

    /// An arrival of a workload became due.
    #[inline]
    pub fn iteration_scheduled(&mut self, workload: u32) {
        self.tally.add(self.tally.places.workload(workload) + tally::ITERATIONS_SCHEDULED, 1);
    }

    /// `count` arrivals of a workload became due that nobody owned.
    #[inline]
    pub fn iteration_unassigned(&mut self, workload: u32, count: u64) {
        self.tally.add(self.tally.places.workload(workload) + tally::ITERATIONS_UNASSIGNED, count);
    }

    /// An arrival of a workload will never be begun.
    #[inline]
    pub fn iteration_dropped(&mut self, workload: u32, reason: DropReason) {
        self.tally.add(self.tally.places.workload(workload) + tally::ITERATIONS_DROPPED + reason.index(), 1);
    }

    /// An iteration was begun.
    #[inline]
    pub fn iteration_begun(&mut self, workload: u32) {
        self.tally.add(self.tally.places.workload(workload) + tally::BEGUN, 1);
    }

    /// An iteration ended this long after the intended time of its arrival; the duration of one that was cut off
    /// says nothing and is not kept.
    #[inline]
    pub fn iteration_ended(&mut self, workload: u32, end: IterationEnd, duration_ns: u64) {
        let at = self.tally.places.workload(workload);
        let workload = &mut self.open.workloads[workload as usize];
        match end {
            IterationEnd::Completed => {
                self.tally.add(at + tally::COMPLETED, 1);
                workload.completed.record(duration_ns);
            }
            IterationEnd::Failed(reason) => {
                self.tally.add(at + tally::FAILED + reason.index(), 1);
                workload.failed.record(duration_ns);
            }
            IterationEnd::CutOff => self.tally.add(at + tally::ITERATIONS_CUT_OFF, 1),
        }
    }

    /// A group of steps was left after `total_ns`, of which `think_ns` were think times. One in which the iteration
    /// failed is counted, and its duration, which is that of a part, is not kept.
    #[inline]
    pub fn group_ended(&mut self, group: u32, ok: bool, total_ns: u64, think_ns: u64) {
        self.tally.add(self.tally.places.group(group) + usize::from(!ok), 1);
        let group = &mut self.open.groups[group as usize];
        if ok {
            group.duration.record(total_ns);
            group.busy.record(total_ns.saturating_sub(think_ns));
        }
    }

    /// A response was checked.
    #[inline]
    pub fn check(&mut self, check: u32, passed: bool) {
        self.tally.add(self.tally.places.check(check) + usize::from(!passed), 1);
    }

    /// Closes the open snapshot over `from_ns..until_ns` and goes on in `spare`, which must be empty and made for
    /// the same shape. The caller stamps `cpu_ns`.
    ///
    /// # Panics
    /// When `spare` still holds measurements or was made for another shape.
    pub fn seal(&mut self, mut spare: Box<Snapshot>, from_ns: u64, until_ns: u64) -> Box<Snapshot> {
        assert!(spare.is_empty(), "a spare snapshot is cleared before it is handed back");
        assert_eq!(spare.shape(), self.open.shape(), "a spare has room for every name of the plan");
        spare.run = self.open.run;
        spare.node = self.open.node;
        spare.shard = self.open.shard;
        spare.epoch = self.open.epoch;
        spare.warmup = self.open.warmup;
        spare.sequence = self.open.sequence + 1;
        let mut sealed = std::mem::replace(&mut self.open, spare);
        sealed.from_ns = from_ns;
        sealed.until_ns = until_ns;
        self.tally.seal(&mut sealed);
        sealed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailReason;

    #[test]
    fn each_verb_lands_in_its_own_place() {
        let mut recorder = Recorder::new(3, 1, Shape::requests(2));
        recorder.set_run(77, 5);
        recorder.scheduled(6);
        recorder.unassigned(1);
        recorder.dropped(0, DropReason::Expired);
        for name in [0, 1, 1, 1] {
            recorder.sent(name);
            recorder.lag(10);
        }
        recorder.queue(4);
        recorder.connect_started();
        recorder.connect(50);
        recorder.connect_started();
        recorder.connect_failed();
        recorder.tls(70, true);
        recorder.closed_idle();
        recorder.first_byte(30);
        recorder.ok(0, 100, 90, 200);
        recorder.failed(1, ErrorClass::Status, 200, Some(150));
        recorder.status(0, 503);
        recorder.failed(1, ErrorClass::ConnectRefused, 20, None);
        recorder.cut_off(1);
        recorder.bytes_sent(500);
        recorder.bytes_received(900);

        let snapshot = recorder.seal(Box::new(Snapshot::new(Shape::requests(2))), 1_000, 2_000);
        let counters = &snapshot.counters;
        assert!(counters.balanced(), "{counters:?}");
        assert_eq!((snapshot.run, snapshot.node, snapshot.shard, snapshot.epoch), (77, 3, 1, 5));
        assert_eq!((snapshot.sequence, snapshot.from_ns, snapshot.until_ns), (0, 1_000, 2_000));
        assert_eq!(counters.status.iter().collect::<Vec<_>>(), [(200, 1), (503, 1)]);
        assert_eq!((counters.connects, counters.connects_failed, counters.closed_idle), (2, 1, 1));
        assert_eq!((counters.tls_resumed, counters.bytes_sent, counters.bytes_received), (1, 500, 900));
        assert_eq!((snapshot.lag.count(), snapshot.queue.count(), snapshot.first_byte.count()), (4, 1, 1));
        assert_eq!((snapshot.connect.max_ns(), snapshot.tls.max_ns()), (50, 70));
        let (first, second) = (&snapshot.names[0], &snapshot.names[1]);
        assert_eq!((first.sent, first.ok_count, first.ok.max_ns(), first.service.max_ns()), (1, 1, 100, 90));
        assert_eq!(
            (second.sent, second.cut_off, second.failed.count(), second.service.count()),
            (3, 1, 2, 1)
        );
    }

    #[test]
    fn iterations_groups_and_checks_land_in_their_own_places() {
        let shape = Shape { names: 1, workloads: 2, groups: 2, checks: 2 };
        let mut recorder = Recorder::new(0, 0, shape);
        for _ in 0..5 {
            recorder.iteration_scheduled(1);
        }
        recorder.iteration_dropped(1, DropReason::Expired);
        recorder.iteration_unassigned(1, 1);
        let ends = [IterationEnd::Completed, IterationEnd::Failed(FailReason::Extract), IterationEnd::CutOff];
        for (end, ns) in ends.into_iter().zip([100, 70, 9_999]) {
            recorder.iteration_begun(1);
            recorder.iteration_ended(1, end, ns);
        }
        recorder.group_ended(0, true, 90, 60);
        recorder.group_ended(0, false, 10, 0);
        recorder.check(1, true);
        recorder.check(1, false);
        recorder.check(1, true);

        let mut snapshot = recorder.seal(Box::new(Snapshot::new(shape)), 0, 1);
        let workload = &snapshot.workloads[1];
        assert!(workload.iterations.balanced(), "{:?}", workload.iterations);
        assert_eq!(workload.iterations.failed[FailReason::Extract.index()], 1);
        assert_eq!((workload.completed.count(), workload.completed.max_ns()), (1, 100));
        assert_eq!((workload.failed.count(), workload.failed.max_ns()), (1, 70));
        let group = &snapshot.groups[0];
        assert_eq!((group.ok, group.failed, group.duration.count()), (1, 1, 1));
        assert_eq!((group.duration.max_ns(), group.busy.max_ns()), (90, 30));
        assert_eq!((snapshot.checks[1].passed, snapshot.checks[1].failed), (2, 1));
        assert_eq!((snapshot.workloads[0].is_empty(), snapshot.groups[1].is_empty()), (true, true));
        assert!(!snapshot.is_empty());
        snapshot.clear();
        assert!(snapshot.is_empty());
        assert_eq!(snapshot.shape(), shape);
    }

    #[test]
    fn sealing_goes_on_in_the_spare() {
        let mut recorder = Recorder::new(1, 2, Shape::requests(1));
        recorder.set_warmup(true);
        recorder.scheduled(1);
        let mut sealed = recorder.seal(Box::new(Snapshot::new(Shape::requests(1))), 0, 10);
        assert!(recorder.is_empty());
        assert!(sealed.warmup);
        recorder.set_warmup(false);
        sealed.clear();
        assert!(sealed.is_empty());
        recorder.scheduled(2);
        let second = recorder.seal(sealed, 10, 20);
        assert_eq!((second.sequence, second.node, second.shard, second.warmup), (1, 1, 2, false));
        assert_eq!(second.counters.scheduled, 2);
    }

    #[test]
    #[should_panic(expected = "a spare snapshot is cleared")]
    fn a_spare_that_still_holds_measurements_is_refused() {
        let mut recorder = Recorder::new(0, 0, Shape::requests(1));
        recorder.lag(5);
        let full = recorder.seal(Box::new(Snapshot::new(Shape::requests(1))), 0, 1);
        recorder.seal(full, 1, 2);
    }
}
