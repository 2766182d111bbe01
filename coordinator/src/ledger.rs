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
use measure::{Counters, Gauges, Names, Shape, Totals};
use wire::{ByShard, Delta, Measured, RunKey};

use crate::director::{Mark, Merged, Share};
use crate::handle::SecondView;

/// Deltas of one life that may wait for an earlier one.
const HELD_MOST: usize = 256;
/// Nodes whose shards are told apart; a larger fleet has too many of them for a report.
const SHARDS_OF: u32 = 64;
/// Sums that are set aside for the next second.
const SPARE: usize = 4;

/// The sums of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    names: Names,
    /// Everything in complete seconds, and what came late for them.
    total: Totals,
    open: BTreeMap<u64, Open>,
    /// The first second that is not complete.
    next_second: u64,
    /// By node and life.
    lives: BTreeMap<String, BTreeMap<u64, Life>>,
    pub(crate) timeline: BTreeMap<u64, report::Second>,
    pub(crate) views: BTreeMap<u64, Arc<SecondView>>,
    /// Arrivals of complete seconds that nobody owned.
    unassigned: u64,
    revision: u64,
    /// By second: what came since it was last packed to be kept.
    fresh: BTreeMap<u64, Fresh>,
    /// What is packed and waits to be kept.
    rows: Vec<(u64, Measured, Gauges)>,
    /// Complete seconds that wait to take the place of their rows.
    whole: Vec<(u64, Measured, Gauges)>,
    dirty: BTreeSet<(String, u64)>,
    dirty_since: Option<Timestamp>,
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
    /// Rows of it that are kept, or wait to be.
    rows: u32,
}

/// What came for a second and is not packed yet.
#[derive(Debug)]
struct Fresh {
    totals: Totals,
    gauges: Gauges,
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
    /// It is in the sums.
    Merged {
        /// Complete seconds that it corrected, with what came late for each.
        corrected: BTreeMap<u64, Counters>,
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
            fresh: BTreeMap::new(),
            rows: Vec::new(),
            whole: Vec::new(),
            dirty: BTreeSet::new(),
            dirty_since: None,
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
        self.life(node, incarnation).map(|life| &life.share)
    }

    /// How many deltas of a life are merged.
    pub(crate) fn merged(&self, node: &str, incarnation: u64) -> u64 {
        self.life(node, incarnation).map_or(0, |life| life.mark_next)
    }

    /// Up to where a life has told, in nanoseconds of the results.
    pub(crate) fn until_ns(&self, node: &str, incarnation: u64) -> u64 {
        self.life(node, incarnation).map_or(0, |life| life.until_ns)
    }

    fn life(&self, node: &str, incarnation: u64) -> Option<&Life> {
        self.lives.get(node)?.get(&incarnation)
    }

    fn life_mut(&mut self, node: &str, incarnation: u64) -> &mut Life {
        if !self.lives.contains_key(node) {
            self.lives.insert(node.to_owned(), BTreeMap::new());
        }
        let lives = self.lives.get_mut(node).expect("Invariant: it was just put there");
        lives.entry(incarnation).or_default()
    }

    /// Takes a delta that a node told, whose shards are numbered as those of `place`.
    pub(crate) fn take(&mut self, now: Timestamp, node: &str, place: u32, delta: Delta) -> Taken {
        let incarnation = delta.incarnation;
        let life = self.life_mut(node, incarnation);
        if delta.sequence < life.mark_next {
            // It may be asked for again: the acknowledgement was lost.
            life.acknowledged = life.acknowledged.min(delta.sequence);
            self.touch(now, node, incarnation);
            return Taken::Again;
        }
        if delta.sequence > life.mark_next {
            if life.held.len() >= HELD_MOST {
                return Taken::Dropped;
            }
            life.held.insert(delta.sequence, delta);
            return Taken::Held;
        }
        let mut corrected: BTreeMap<u64, Counters> = BTreeMap::new();
        let mut next = Some(delta);
        while let Some(delta) = next {
            if self.merge(node, place, &delta) {
                corrected.entry(delta.second).or_default().merge(&delta.measured.counters());
            }
            let life = self.life_mut(node, incarnation);
            next = life.held.remove(&life.mark_next);
        }
        self.touch(now, node, incarnation);
        Taken::Merged { corrected }
    }

    fn touch(&mut self, now: Timestamp, node: &str, incarnation: u64) {
        self.dirty.insert((node.to_owned(), incarnation));
        self.dirty_since.get_or_insert(now);
    }

    /// Adds a delta that was checked; yields whether it corrects a complete second.
    fn merge(&mut self, node: &str, place: u32, delta: &Delta) -> bool {
        let shape = self.names.shape();
        let mut fresh = self
            .fresh
            .remove(&delta.second)
            .unwrap_or_else(|| Fresh { totals: room(&mut self.spare, shape), gauges: Gauges::default() });
        let life = self.life_mut(node, delta.incarnation);
        life.mark_next = delta.sequence + 1;
        life.until_ns = life.until_ns.max(delta.until_ns);
        if delta.recovered {
            let requests = delta.measured.counters().sent.saturating_add(delta.measured.warmup().sent);
            life.share.recovered = Some(life.share.recovered.unwrap_or(0).saturating_add(requests));
        }
        let by_shard = if place < SHARDS_OF { ByShard::OfNode(place) } else { ByShard::LeftOut };
        // Once through the bytes for all sums: a thousand nodes tell 50 MB a second.
        let fits = delta.measured.add_to_both(&mut fresh.totals, by_shard, &mut life.share.sums);
        fits.expect("Invariant: the shape of a delta was checked against the names");
        add_gauges(&mut fresh.gauges, delta.gauges);
        self.fresh.insert(delta.second, fresh);
        if delta.second >= self.next_second {
            let open = self.open_second(delta.second);
            if !open.told_by.contains(node) {
                open.told_by.insert(node.to_owned());
            }
            return false;
        }
        let mut late = room(&mut self.spare, shape);
        let fits = delta.measured.add_to(&mut late, ByShard::LeftOut);
        fits.expect("Invariant: the shape of a delta was checked against the names");
        seconds::amend(self.timeline.entry(delta.second).or_default(), delta.second, &late);
        self.put_aside(late);
        true
    }

    /// Packs what came for a second since it was last packed, and adds it to the second, or to the total where that is
    /// complete.
    fn fold(&mut self, index: u64) {
        let Some(Fresh { totals, gauges }) = self.fresh.remove(&index) else { return };
        self.rows.push((index, Measured::pack(&totals), gauges));
        if index < self.next_second {
            self.total.merge(&totals);
        } else {
            let open = self.open_second(index);
            open.totals.merge(&totals);
            add_gauges(&mut open.gauges, gauges);
            open.rows += 1;
        }
        self.put_aside(totals);
    }

    fn put_aside(&mut self, mut totals: Totals) {
        if self.spare.len() < SPARE {
            totals.clear();
            totals.shards.clear();
            self.spare.push(totals);
        }
    }

    fn open_second(&mut self, index: u64) -> &mut Open {
        let (spare, shape) = (&mut self.spare, self.names.shape());
        self.open.entry(index).or_insert_with(|| Open {
            totals: room(spare, shape),
            gauges: Gauges::default(),
            told_by: BTreeSet::new(),
            rows: 0,
        })
    }

    /// The next second that ends by `through_ns`, in order; give it back by [`Ledger::settle`].
    pub(crate) fn next_complete(&mut self, through_ns: u64) -> Option<(u64, Open)> {
        let index = *self.open.first_key_value()?.0;
        let end_ns = (index + 1).saturating_mul(clock::NANOS_PER_SECOND);
        if end_ns > through_ns {
            return None;
        }
        self.fold(index);
        self.open.remove_entry(&index)
    }

    /// A second is complete: it enters the total, and its memory is used again.
    pub(crate) fn settle(&mut self, index: u64, open: Open) {
        self.next_second = index + 1;
        self.lag_p99_worst_ns = self.lag_p99_worst_ns.max(open.totals.lag.value_at_quantile(0.99));
        self.total.merge(&open.totals);
        if open.rows > 1 {
            // One row takes less room than several; a run of days is many seconds.
            self.rows.retain(|(second, _, _)| *second != index);
            self.whole.push((index, Measured::pack(&open.totals), open.gauges));
        }
        self.put_aside(open.totals);
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
            let life = self.lives.get_mut(&node).and_then(|lives| lives.get_mut(&incarnation));
            let Some(life) = life else { continue };
            if let Some(last) = life.mark_next.checked_sub(1) {
                through.push((node.clone(), incarnation, last));
                life.acknowledged = life.mark_next;
            }
            let Share { sums, recovered } = &life.share;
            let (sums, recovered) = (sums.pack(), *recovered);
            let (next, until_ns) = (life.mark_next, life.until_ns);
            marks.push(Mark { node, incarnation, next, until_ns, sums, recovered });
        }
        let waiting: Vec<u64> = self.fresh.keys().copied().collect();
        for index in waiting {
            self.fold(index);
        }
        let (whole, seconds) = (std::mem::take(&mut self.whole), std::mem::take(&mut self.rows));
        Some((Merged { run, whole, seconds, marks }, through))
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
                open.rows += 1;
            }
        }
        for mark in marks {
            let share = mark.share().expect("Invariant: whoever gives marks back has checked them");
            let life = self.life_mut(&mark.node, mark.incarnation);
            (life.mark_next, life.acknowledged) = (mark.next, mark.next);
            (life.until_ns, life.share) = (mark.until_ns, share);
        }
    }
}

/// Empty sums, with memory that was used before where there is some.
fn room(spare: &mut Vec<Totals>, shape: Shape) -> Totals {
    spare.pop().unwrap_or_else(|| Totals::new(shape))
}

fn add_gauges(sum: &mut Gauges, more: Gauges) {
    sum.connections = sum.connections.saturating_add(more.connections);
    sum.in_flight = sum.in_flight.saturating_add(more.in_flight);
    sum.waiting = sum.waiting.saturating_add(more.waiting);
}

#[cfg(test)]
mod tests;
