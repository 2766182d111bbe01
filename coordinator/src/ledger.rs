//! The ledger of a run: what every node measured, each delta once.
//!
//! What it is: sums over the run, over each second that is not complete yet, and over each life of each node; what is to be
//! kept and what may be acknowledged. What it is not: a judge of the run, nor aware of who owns what.
//!
//! Invariants: a delta enters the sums exactly once, by (node, life, sequence), whatever comes twice or out of order; what is
//! acknowledged was kept before; the sums of the seconds are the sum of the run.

pub(crate) mod bounds;
pub(crate) mod seconds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clock::Timestamp;
use measure::{Gauges, Latency, Names, Totals};
use wire::{ByShard, Delta, Measured, RunKey};

use crate::director::{Mark, Merged, Share};
use crate::handle::SecondView;

/// Deltas of one life that may wait for an earlier one.
const HELD_MOST: usize = 256;
/// Nodes whose shards are told apart; a larger fleet has too many of them for a report.
const SHARDS_OF: u32 = 64;
/// Sums that are set aside for the next second.
const SPARE: usize = 2;

/// The sums of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    names: Names,
    /// Everything in complete seconds, and what came late for them.
    total: Totals,
    open: BTreeMap<u64, Open>,
    /// The first second that is not complete.
    next_second: u64,
    lives: BTreeMap<(String, u64), Life>,
    pub(crate) timeline: BTreeMap<u64, report::Second>,
    pub(crate) views: BTreeMap<u64, Arc<SecondView>>,
    /// Arrivals of complete seconds that nobody owned.
    unassigned: u64,
    revision: u64,
    pending: BTreeMap<u64, (Vec<(ByShard, Measured)>, Gauges)>,
    dirty: BTreeSet<(String, u64)>,
    dirty_since: Option<Timestamp>,
    /// Sums into which one delta is unpacked to be looked at, and whose it is.
    scratch: Totals,
    unpacked: Option<(String, u64, u64)>,
    spare: Vec<Totals>,
    pub(crate) lag_p99_worst_ns: u64,
}

/// Revisions that one coordinator may give after a restart, in bits; its term stands above them. Together they stay below 2⁵³,
/// which every reader of JSON can tell apart.
const REVISION_BITS: u32 = 32;
const TERM_MOST: u64 = (1 << 21) - 1;

/// A second that is not complete.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) totals: Totals,
    pub(crate) gauges: Gauges,
    /// Nodes that told of it.
    pub(crate) told_by: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Life {
    mark_next: u64,
    until_ns: u64,
    share: Share,
    held: BTreeMap<u64, Delta>,
    /// Further than this nothing was told when it was last acknowledged.
    acknowledged: u64,
}

/// What may be acknowledged: node, life, last sequence number.
pub(crate) type Kept = (String, u64, u64);

/// What became of a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the sums, and seconds up to here may have changed that were complete: those that were.
    Merged {
        /// Complete seconds that it corrected.
        corrected: BTreeSet<u64>,
    },
    /// It was in the sums already.
    Again,
    /// It waits for an earlier one.
    Held,
    /// It waits no more: too many do. It has to come again.
    Dropped,
}

impl Ledger {
    /// An empty ledger of a plan that counts these names.
    pub(crate) fn new(names: Names) -> Self {
        let shape = names.shape();
        Self {
            names,
            total: Totals::new(shape),
            open: BTreeMap::new(),
            next_second: 0,
            lives: BTreeMap::new(),
            timeline: BTreeMap::new(),
            views: BTreeMap::new(),
            unassigned: 0,
            revision: 0,
            pending: BTreeMap::new(),
            dirty: BTreeSet::new(),
            dirty_since: None,
            scratch: Totals::new(shape),
            unpacked: None,
            spare: Vec::new(),
            lag_p99_worst_ns: 0,
        }
    }

    /// What is counted.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Everything in complete seconds.
    pub(crate) fn total(&self) -> &Totals {
        &self.total
    }

    /// The sums of one life.
    pub(crate) fn share(&self, node: &str, incarnation: u64) -> Option<&Share> {
        self.lives.get(&(node.to_owned(), incarnation)).map(|life| &life.share)
    }

    /// How many deltas of a life are merged.
    pub(crate) fn merged(&self, node: &str, incarnation: u64) -> u64 {
        self.lives.get(&(node.to_owned(), incarnation)).map_or(0, |life| life.mark_next)
    }

    /// Up to where a life has told, in nanoseconds of the results.
    pub(crate) fn until_ns(&self, node: &str, incarnation: u64) -> u64 {
        self.lives.get(&(node.to_owned(), incarnation)).map_or(0, |life| life.until_ns)
    }

    /// Takes a delta that a node told, whose shards are numbered as those of `place`.
    pub(crate) fn take(&mut self, now: Timestamp, node: &str, place: u32, delta: Delta) -> Taken {
        let key = (node.to_owned(), delta.incarnation);
        let life = self.lives.entry(key.clone()).or_default();
        if delta.sequence < life.mark_next {
            // It may be asked for again: the acknowledgement was lost.
            life.acknowledged = life.acknowledged.min(delta.sequence);
            self.touch(now, key);
            return Taken::Again;
        }
        if delta.sequence > life.mark_next {
            if life.held.len() >= HELD_MOST {
                return Taken::Dropped;
            }
            life.held.insert(delta.sequence, delta);
            return Taken::Held;
        }
        let mut corrected = BTreeSet::new();
        let mut next = Some(delta);
        while let Some(delta) = next {
            corrected.extend(self.merge(node, place, &delta));
            let life = self.lives.entry(key.clone()).or_default();
            next = life.held.remove(&life.mark_next);
        }
        self.touch(now, key);
        Taken::Merged { corrected }
    }

    fn touch(&mut self, now: Timestamp, key: (String, u64)) {
        self.dirty.insert(key);
        self.dirty_since.get_or_insert(now);
    }

    /// Adds a delta that was checked; the complete second that it corrects, if it does.
    fn merge(&mut self, node: &str, place: u32, delta: &Delta) -> Option<u64> {
        self.unpack(node, delta);
        self.unpacked = None;
        let life = self.lives.entry((node.to_owned(), delta.incarnation)).or_default();
        life.mark_next = delta.sequence + 1;
        life.until_ns = life.until_ns.max(delta.until_ns);
        add_to_share(&mut life.share, &self.scratch, delta.recovered);
        let pending = self.pending.entry(delta.second).or_default();
        add_gauges(&mut pending.1, delta.gauges);
        let by_shard = if place < SHARDS_OF { ByShard::OfNode(place) } else { ByShard::LeftOut };
        pending.0.push((by_shard, delta.measured.clone()));
        if delta.second < self.next_second {
            let fits = delta.measured.add_to(&mut self.total, by_shard);
            fits.expect("Invariant: the total has the shape of the names");
            seconds::amend(self.timeline.entry(delta.second).or_default(), delta.second, &self.scratch);
            return Some(delta.second);
        }
        let open = self.open_second(delta.second);
        let fits = delta.measured.add_to(&mut open.totals, by_shard);
        fits.expect("Invariant: a second has the shape of the names");
        add_gauges(&mut open.gauges, delta.gauges);
        open.told_by.insert(node.to_owned());
        None
    }

    /// Unpacks a delta whose shape fits the names, and says what in it contradicts itself or the plan.
    pub(crate) fn contradiction(
        &mut self,
        limits: &bounds::Limits,
        node: &str,
        delta: &Delta,
    ) -> Option<String> {
        self.unpack(node, delta);
        let share = self.lives.get(&(node.to_owned(), delta.incarnation)).map(|life| &life.share);
        bounds::contradiction(limits, share, &self.scratch)
    }

    fn unpack(&mut self, node: &str, delta: &Delta) {
        let whose = (node.to_owned(), delta.incarnation, delta.sequence);
        if self.unpacked.as_ref() != Some(&whose) {
            self.scratch.clear();
            let fits = delta.measured.add_to(&mut self.scratch, ByShard::LeftOut);
            fits.expect("Invariant: the shape of a delta was checked against the names");
            self.unpacked = Some(whose);
        }
    }

    fn open_second(&mut self, index: u64) -> &mut Open {
        let (spare, shape) = (&mut self.spare, self.names.shape());
        self.open.entry(index).or_insert_with(|| Open {
            totals: spare.pop().unwrap_or_else(|| Totals::new(shape)),
            gauges: Gauges::default(),
            told_by: BTreeSet::new(),
        })
    }

    /// The next second that ends by `through_ns`, in order; give it back by [`Ledger::settle`].
    pub(crate) fn next_complete(&mut self, through_ns: u64) -> Option<(u64, Open)> {
        let first = self.open.first_entry()?;
        let end_ns = (first.key() + 1).saturating_mul(clock::NANOS_PER_SECOND);
        (end_ns <= through_ns).then(|| first.remove_entry())
    }

    /// A second is complete: it enters the total, and its memory is used again.
    pub(crate) fn settle(&mut self, index: u64, mut open: Open) {
        self.next_second = index + 1;
        self.lag_p99_worst_ns = self.lag_p99_worst_ns.max(open.totals.lag.value_at_quantile(0.99));
        self.total.merge(&open.totals);
        if self.spare.len() < SPARE {
            open.totals.clear();
            self.spare.push(open.totals);
        }
    }

    /// Puts the view of a complete second in the place of an earlier one.
    pub(crate) fn show(&mut self, view: Arc<SecondView>) {
        let now = view.counts.unassigned;
        let before = self.views.insert(view.second, view).map_or(0, |view| view.counts.unassigned);
        self.unassigned = self.unassigned.saturating_add(now).saturating_sub(before);
    }

    /// Arrivals of complete seconds that nobody owned. Nodes do not know of these.
    pub(crate) fn unassigned(&self) -> u64 {
        self.unassigned
    }

    /// How many seconds are complete, from the first on.
    pub(crate) fn complete_seconds(&self) -> u64 {
        self.next_second
    }

    /// The number of the next change of a second's view.
    pub(crate) fn revise(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// The greatest number of a change so far.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Since when something waits to be kept.
    pub(crate) fn dirty_since(&self) -> Option<Timestamp> {
        self.dirty_since
    }

    /// What is to be kept now, and what may be acknowledged once it is.
    pub(crate) fn commit(&mut self, run: RunKey) -> Option<(Merged, Vec<Kept>)> {
        self.dirty_since.take()?;
        let (mut marks, mut through) = (Vec::new(), Vec::new());
        for (node, incarnation) in std::mem::take(&mut self.dirty) {
            let Some(life) = self.lives.get_mut(&(node.clone(), incarnation)) else { continue };
            if let Some(last) = life.mark_next.checked_sub(1) {
                through.push((node.clone(), incarnation, last));
                life.acknowledged = life.mark_next;
            }
            let share = life.share.clone();
            marks.push(Mark { node, incarnation, next: life.mark_next, until_ns: life.until_ns, share });
        }
        let mut seconds = Vec::new();
        self.unpacked = None;
        for (second, (parts, gauges)) in std::mem::take(&mut self.pending) {
            self.scratch.clear();
            for (by_shard, part) in parts {
                let fits = part.add_to(&mut self.scratch, by_shard);
                fits.expect("Invariant: what waits was checked");
            }
            seconds.push((second, Measured::pack(&self.scratch), gauges));
            self.scratch.shards.clear();
        }
        Some((Merged { run, seconds, marks }, through))
    }

    /// Takes back what an earlier coordinator kept: rows of seconds in any order, and marks.
    ///
    /// Seconds are completed, and so revised, anew. Their revisions begin above all that coordinators of earlier terms can
    /// have told, kept or not, so that whoever had heard of one of those misses nothing.
    pub(crate) fn restore(&mut self, rows: Vec<(u64, Measured, Gauges)>, marks: Vec<Mark>, term: u64) {
        self.revision = term.min(TERM_MOST) << REVISION_BITS;
        for (second, measured, gauges) in rows {
            let open = self.open_second(second);
            // Rows of another shape are not of this plan; whoever kept them checked them.
            if measured.add_to(&mut open.totals, ByShard::AsTold).is_ok() {
                add_gauges(&mut open.gauges, gauges);
            }
        }
        for mark in marks {
            let life = Life {
                mark_next: mark.next,
                until_ns: mark.until_ns,
                share: mark.share,
                held: BTreeMap::new(),
                acknowledged: mark.next,
            };
            self.lives.insert((mark.node, mark.incarnation), life);
        }
    }
}

fn add_gauges(sum: &mut Gauges, more: Gauges) {
    sum.connections = sum.connections.saturating_add(more.connections);
    sum.in_flight = sum.in_flight.saturating_add(more.in_flight);
    sum.waiting = sum.waiting.saturating_add(more.waiting);
}

fn add_to_share(share: &mut Share, delta: &Totals, recovered: bool) {
    share.counters.merge(&delta.counters);
    share.warmup.merge(&delta.warmup);
    let room = delta.workloads.len();
    if share.iterations.len() < room {
        share.iterations.resize_with(room, Default::default);
        share.warmup_iterations.resize_with(room, Default::default);
    }
    for (place, workload) in delta.workloads.iter().enumerate() {
        share.iterations[place].merge(&workload.iterations);
        share.warmup_iterations[place].merge(&workload.warmup);
    }
    share.response.merge(&delta.latency(Latency::Response));
    share.lag.merge(&delta.lag);
    share.cpu_ns = share.cpu_ns.saturating_add(delta.cpu_ns());
    if share.in_flight.len() < delta.names.len() {
        share.in_flight.resize(delta.names.len(), 0);
    }
    for (left, name) in share.in_flight.iter_mut().zip(&delta.names) {
        let ended = name.ok_count.saturating_add(name.errors_total()).saturating_add(name.cut_off);
        *left = left.saturating_add(name.sent).saturating_sub(ended);
    }
    if recovered {
        let requests = delta.counters.sent.saturating_add(delta.warmup.sent);
        share.recovered = Some(share.recovered.unwrap_or(0).saturating_add(requests));
    }
}

#[cfg(test)]
mod tests;
