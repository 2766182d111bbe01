//! Hot path. The tally: the words in which a shard counts, which rise from its start to its end.
//!
//! What it is: one 64-bit word for every number that a [`Recorder`](crate::Recorder) counts, so that an event is one store
//! or two; and the figures that follow from them: of an interval what a word has risen by since the last seal, of a request
//! in all what its names have. Durations are not counted here, nor statuses by name.
//! What it is not: a place to keep the words. Whoever makes the recorder says where they lie: in memory that ends with the
//! process, or in a file that others read when it is dead.
//!
//! Whoever reads the words of a process that was killed in the middle of anything finds what was stored up to an
//! instruction and nothing behind it: each store is whole, and they are made in the order of the program (`Release`). And
//! in every such state `scheduled ≥ sent + dropped + unassigned` and, by name, `sent ≥ ok + errors + cut off`, because what
//! comes first is stored first; [`Tallied::close`] makes the differences what they are: arrivals that waited, requests that
//! were under way. Only a status may be missing for the last response.
//!
//! Invariant: only the shard stores, so that reading a word, adding to it and storing it needs no lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::snapshot::Snapshot;
use crate::{
    CheckCounts, Counters, DropReason, ErrorClass, FailReason, IterationCounters, Shape, StatusCounts, Totals,
};

pub(crate) const SCHEDULED: usize = 0;
pub(crate) const UNASSIGNED: usize = 1;
/// Arrivals of which it was not decided what they would have sent, by reason.
pub(crate) const DROPPED_UNNAMED: usize = 2;
pub(crate) const BYTES_SENT: usize = DROPPED_UNNAMED + DropReason::COUNT;
pub(crate) const BYTES_RECEIVED: usize = BYTES_SENT + 1;
pub(crate) const CONNECTS: usize = BYTES_SENT + 2;
pub(crate) const CONNECTS_FAILED: usize = BYTES_SENT + 3;
pub(crate) const TLS_RESUMED: usize = BYTES_SENT + 4;
pub(crate) const CLOSED_IDLE: usize = BYTES_SENT + 5;
pub(crate) const UNSOLICITED: usize = BYTES_SENT + 6;
/// By code; the first for what is no code.
pub(crate) const STATUS: usize = 16;

/// Where the names begin.
const NAMES: usize = 1_024;
/// From one name to the next: as many as make whole pairs of cache lines.
const NAME: usize = 48;
/// Within a name.
pub(crate) const SENT: usize = 0;
pub(crate) const OK: usize = 1;
pub(crate) const CUT_OFF: usize = 2;
pub(crate) const DROPPED: usize = 3;
pub(crate) const ERRORS: usize = DROPPED + DropReason::COUNT;

/// From one workload to the next.
const WORKLOAD: usize = 32;
/// Within a workload.
pub(crate) const ITERATIONS_SCHEDULED: usize = 0;
pub(crate) const BEGUN: usize = 1;
pub(crate) const ITERATIONS_UNASSIGNED: usize = 2;
pub(crate) const COMPLETED: usize = 3;
pub(crate) const ITERATIONS_CUT_OFF: usize = 4;
pub(crate) const ITERATIONS_DROPPED: usize = 5;
pub(crate) const FAILED: usize = ITERATIONS_DROPPED + DropReason::COUNT;

/// From one group, or check, to the next: what went well, and what did not.
const PAIR: usize = 2;

const _: () = assert!(UNSOLICITED < STATUS && STATUS + StatusCounts::CODES <= NAMES);
const _: () = assert!(ERRORS + ErrorClass::COUNT <= NAME && FAILED + FailReason::COUNT <= WORKLOAD);

/// How many words the numbers of a plan of this shape take.
pub const fn tally_words(shape: Shape) -> usize {
    Places::of(shape).end
}

/// Where each kind begins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    workloads: usize,
    groups: usize,
    checks: usize,
    end: usize,
}

impl Places {
    const fn of(shape: Shape) -> Self {
        let workloads = NAMES + shape.names * NAME;
        let groups = workloads + shape.workloads * WORKLOAD;
        let checks = groups + shape.groups * PAIR;
        Self { workloads, groups, checks, end: checks + shape.checks * PAIR }
    }

    #[inline]
    pub(crate) const fn name(name: u32) -> usize {
        NAMES + name as usize * NAME
    }

    #[inline]
    pub(crate) const fn workload(&self, workload: u32) -> usize {
        self.workloads + workload as usize * WORKLOAD
    }

    #[inline]
    pub(crate) const fn group(&self, group: u32) -> usize {
        self.groups + group as usize * PAIR
    }

    #[inline]
    pub(crate) const fn check(&self, check: u32) -> usize {
        self.checks + check as usize * PAIR
    }
}

/// A shard's words, and how much of them was sealed.
#[derive(Debug)]
pub(crate) struct Tally<W> {
    words: W,
    sealed: Box<[u64]>,
    pub(crate) places: Places,
}

impl<W: AsRef<[AtomicU64]>> Tally<W> {
    /// Counts in these words, which are as many as the shape takes, from 0 on. Storing that takes their memory.
    pub(crate) fn new(words: W, shape: Shape) -> Self {
        let places = Places::of(shape);
        assert_eq!(words.as_ref().len(), places.end, "a tally has a word for every number of the plan");
        words.as_ref().iter().for_each(|word| word.store(0, Ordering::Relaxed));
        Self { words, sealed: vec![0; places.end].into(), places }
    }

    /// Raises a word.
    #[inline]
    pub(crate) fn add(&self, at: usize, count: u64) {
        let word = &self.words.as_ref()[at];
        word.store(word.load(Ordering::Relaxed).wrapping_add(count), Ordering::Release);
    }

    /// Takes one back that was counted since the last seal.
    pub(crate) fn take_back(&self, at: usize) {
        let word = &self.words.as_ref()[at];
        let count = word.load(Ordering::Relaxed);
        assert!(count > self.sealed[at], "what was sealed is not taken back");
        word.store(count - 1, Ordering::Release);
    }

    /// Counts what the words have risen by into `snapshot`, which has no counts.
    pub(crate) fn seal(&mut self, snapshot: &mut Snapshot) {
        let Self { words, sealed, places } = self;
        let words = words.as_ref();
        let mut risen = |at: usize| {
            let word = words[at].load(Ordering::Relaxed);
            word.wrapping_sub(std::mem::replace(&mut sealed[at], word))
        };
        let counters = &mut snapshot.counters;
        read_counters(&mut risen, counters);
        for (name, place) in snapshot.names.iter_mut().zip(0..) {
            let counts = NameCounts::read(&mut risen, Places::name(place));
            counts.add_to(counters);
            (name.sent, name.ok_count, name.cut_off) = (counts.sent, counts.ok, counts.cut_off);
            (name.dropped, name.errors) = (counts.dropped, counts.errors);
        }
        for (workload, place) in snapshot.workloads.iter_mut().zip(0..) {
            workload.iterations = read_iterations(&mut risen, places.workload(place));
        }
        for (group, place) in snapshot.groups.iter_mut().zip(0..) {
            let at = places.group(place);
            (group.ok, group.failed) = (risen(at), risen(at + 1));
        }
        for (check, place) in snapshot.checks.iter_mut().zip(0..) {
            let at = places.check(place);
            *check = CheckCounts { passed: risen(at), failed: risen(at + 1) };
        }
    }

    /// Whether nothing was counted since the last seal.
    pub(crate) fn is_sealed(&self) -> bool {
        self.words
            .as_ref()
            .iter()
            .zip(&self.sealed)
            .all(|(word, sealed)| word.load(Ordering::Relaxed) == *sealed)
    }

    /// Where the words lie.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.words.as_ref()
    }
}

/// What a tally has of one name.
#[derive(Clone, Debug, Default)]
struct NameCounts {
    sent: u64,
    ok: u64,
    cut_off: u64,
    dropped: [u64; DropReason::COUNT],
    errors: [u64; ErrorClass::COUNT],
}

impl NameCounts {
    fn read(word: &mut impl FnMut(usize) -> u64, at: usize) -> Self {
        Self {
            sent: word(at + SENT),
            ok: word(at + OK),
            cut_off: word(at + CUT_OFF),
            dropped: std::array::from_fn(|reason| word(at + DROPPED + reason)),
            errors: std::array::from_fn(|class| word(at + ERRORS + class)),
        }
    }

    fn add_to(&self, counters: &mut Counters) {
        counters.sent += self.sent;
        counters.ok += self.ok;
        counters.cut_off += self.cut_off;
        for (sum, count) in counters.dropped.iter_mut().zip(self.dropped) {
            *sum += count;
        }
        for (sum, count) in counters.errors.iter_mut().zip(self.errors) {
            *sum += count;
        }
    }
}

/// What a tally has of no name.
fn read_counters(word: &mut impl FnMut(usize) -> u64, counters: &mut Counters) {
    counters.scheduled = word(SCHEDULED);
    counters.unassigned = word(UNASSIGNED);
    counters.dropped = std::array::from_fn(|reason| word(DROPPED_UNNAMED + reason));
    counters.bytes_sent = word(BYTES_SENT);
    counters.bytes_received = word(BYTES_RECEIVED);
    counters.connects = word(CONNECTS);
    counters.connects_failed = word(CONNECTS_FAILED);
    counters.tls_resumed = word(TLS_RESUMED);
    counters.closed_idle = word(CLOSED_IDLE);
    counters.unsolicited = word(UNSOLICITED);
    counters.status.read(|position| word(STATUS + position));
}

fn read_iterations(word: &mut impl FnMut(usize) -> u64, at: usize) -> IterationCounters {
    IterationCounters {
        scheduled: word(at + ITERATIONS_SCHEDULED),
        begun: word(at + BEGUN),
        dropped: std::array::from_fn(|reason| word(at + ITERATIONS_DROPPED + reason)),
        unassigned: word(at + ITERATIONS_UNASSIGNED),
        completed: word(at + COMPLETED),
        failed: std::array::from_fn(|reason| word(at + FAILED + reason)),
        cut_off: word(at + ITERATIONS_CUT_OFF),
    }
}

/// The numbers of a tally, or of several, as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tallied {
    shape: Shape,
    words: Vec<u64>,
}

impl Tallied {
    /// Nothing counted.
    pub fn none(shape: Shape) -> Self {
        Self { shape, words: vec![0; tally_words(shape)] }
    }

    /// What was found in the words of a tally; nothing where they are not as many as the shape takes.
    pub fn from_words(shape: Shape, words: Vec<u64>) -> Option<Self> {
        (words.len() == tally_words(shape)).then_some(Self { shape, words })
    }

    /// What sums hold of what a tally counts, the warm-up left out.
    pub fn of(totals: &Totals) -> Self {
        let mut tallied = Self::none(totals.shape());
        let (words, places) = (&mut tallied.words, Places::of(tallied.shape));
        let counters = &totals.counters;
        words[SCHEDULED] = counters.scheduled;
        words[UNASSIGNED] = counters.unassigned;
        words[BYTES_SENT] = counters.bytes_sent;
        words[BYTES_RECEIVED] = counters.bytes_received;
        words[CONNECTS] = counters.connects;
        words[CONNECTS_FAILED] = counters.connects_failed;
        words[TLS_RESUMED] = counters.tls_resumed;
        words[CLOSED_IDLE] = counters.closed_idle;
        words[UNSOLICITED] = counters.unsolicited;
        for (code, count) in counters.status.iter() {
            words[STATUS + usize::from(code)] = count;
        }
        let mut unnamed = counters.dropped;
        for (name, place) in totals.names.iter().zip(0..) {
            let at = Places::name(place);
            (words[at + SENT], words[at + OK], words[at + CUT_OFF]) =
                (name.sent, name.ok_count, name.cut_off);
            words[at + DROPPED..][..DropReason::COUNT].copy_from_slice(&name.dropped);
            words[at + ERRORS..][..ErrorClass::COUNT].copy_from_slice(&name.errors);
            for (left, named) in unnamed.iter_mut().zip(name.dropped) {
                *left = left.saturating_sub(named);
            }
        }
        words[DROPPED_UNNAMED..][..DropReason::COUNT].copy_from_slice(&unnamed);
        for (workload, place) in totals.workloads.iter().zip(0..) {
            let (at, one) = (places.workload(place), &workload.iterations);
            words[at + ITERATIONS_SCHEDULED] = one.scheduled;
            words[at + BEGUN] = one.begun;
            words[at + ITERATIONS_UNASSIGNED] = one.unassigned;
            words[at + COMPLETED] = one.completed;
            words[at + ITERATIONS_CUT_OFF] = one.cut_off;
            words[at + ITERATIONS_DROPPED..][..DropReason::COUNT].copy_from_slice(&one.dropped);
            words[at + FAILED..][..FailReason::COUNT].copy_from_slice(&one.failed);
        }
        for (group, place) in totals.groups.iter().zip(0..) {
            words[places.group(place)..][..PAIR].copy_from_slice(&[group.ok, group.failed]);
        }
        for (check, place) in totals.checks.iter().zip(0..) {
            words[places.check(place)..][..PAIR].copy_from_slice(&[check.passed, check.failed]);
        }
        tallied
    }

    /// The numbers, in the order of the words.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Adds what another has counted for the same plan.
    ///
    /// # Panics
    /// It counts for another plan.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.shape, other.shape, "only what counts for the same plan is added");
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// What is here beyond another; nothing where that has more of anything.
    pub fn beyond(&self, other: &Self) -> Option<Self> {
        let beyond = |(mine, theirs): (&u64, &u64)| mine.checked_sub(*theirs);
        let words: Option<Vec<u64>> = self.words.iter().zip(&other.words).map(beyond).collect();
        words.filter(|_| self.shape == other.shape).map(|words| Self { shape: self.shape, words })
    }

    /// Ends the counting of a shard that is dead: requests that were under way are cut off, arrivals that waited are
    /// dropped as interrupted, iterations likewise. Nothing where the numbers contradict each other.
    #[must_use]
    pub fn close(mut self) -> Option<Self> {
        let words = &mut self.words;
        let sum = |words: &[u64]| words.iter().try_fold(0_u64, |sum, word| sum.checked_add(*word));
        let unnamed = &words[DROPPED_UNNAMED..][..DropReason::COUNT];
        let mut accounted = words[UNASSIGNED].checked_add(sum(unnamed)?)?;
        for place in 0..u32::try_from(self.shape.names).ok()? {
            let at = Places::name(place);
            let ended = words[at + OK].checked_add(sum(&words[at + ERRORS..][..ErrorClass::COUNT])?)?;
            words[at + CUT_OFF] = words[at + SENT].checked_sub(ended)?;
            let dropped = sum(&words[at + DROPPED..][..DropReason::COUNT])?;
            accounted = accounted.checked_add(words[at + SENT])?.checked_add(dropped)?;
        }
        let interrupted = DropReason::Interrupted.index();
        words[DROPPED_UNNAMED + interrupted] += words[SCHEDULED].checked_sub(accounted)?;
        let places = Places::of(self.shape);
        for place in 0..u32::try_from(self.shape.workloads).ok()? {
            let at = places.workload(place);
            let failed = sum(&words[at + FAILED..][..FailReason::COUNT])?;
            words[at + ITERATIONS_CUT_OFF] =
                words[at + BEGUN].checked_sub(words[at + COMPLETED].checked_add(failed)?)?;
            let dropped = sum(&words[at + ITERATIONS_DROPPED..][..DropReason::COUNT])?;
            let accounted =
                words[at + BEGUN].checked_add(words[at + ITERATIONS_UNASSIGNED])?.checked_add(dropped)?;
            words[at + ITERATIONS_DROPPED + interrupted] +=
                words[at + ITERATIONS_SCHEDULED].checked_sub(accounted)?;
        }
        Some(self)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The counts, without names.
    pub fn counters(&self) -> Counters {
        let mut word = |at: usize| self.words[at];
        let mut counters = Counters::default();
        read_counters(&mut word, &mut counters);
        for place in (0..).take(self.shape.names) {
            NameCounts::read(&mut word, Places::name(place)).add_to(&mut counters);
        }
        counters
    }

    /// As the sums of a plan's measured time.
    pub fn totals(&self) -> Totals {
        let (mut word, places) = (|at: usize| self.words[at], Places::of(self.shape));
        let mut totals = Totals::new(self.shape);
        totals.counters = self.counters();
        for (name, place) in totals.names.iter_mut().zip(0..) {
            let counts = NameCounts::read(&mut word, Places::name(place));
            (name.sent, name.ok_count, name.cut_off) = (counts.sent, counts.ok, counts.cut_off);
            (name.dropped, name.errors) = (counts.dropped, counts.errors);
        }
        for (workload, place) in totals.workloads.iter_mut().zip(0..) {
            workload.iterations = read_iterations(&mut word, places.workload(place));
        }
        for (group, place) in totals.groups.iter_mut().zip(0..) {
            let at = places.group(place);
            (group.ok, group.failed) = (word(at), word(at + 1));
        }
        for (check, place) in totals.checks.iter_mut().zip(0..) {
            let at = places.check(place);
            *check = CheckCounts { passed: word(at), failed: word(at + 1) };
        }
        totals
    }

    /// As the sums of a plan's warm-up, added to others.
    pub fn add_as_warmup(&self, totals: &mut Totals) {
        let places = Places::of(self.shape);
        totals.warmup.merge(&self.counters());
        for (workload, place) in totals.workloads.iter_mut().zip(0..).take(self.shape.workloads) {
            let mut word = |at: usize| self.words[at];
            workload.warmup.merge(&read_iterations(&mut word, places.workload(place)));
        }
    }
}

#[cfg(test)]
mod tests;
