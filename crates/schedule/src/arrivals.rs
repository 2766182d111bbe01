//! Hot path. The arrivals that one owner of cells sends, in the order in which they are due.
//!
//! What it is: a position in a plan. It belongs to one shard, asks nothing of any other, and survives a change of
//! the rate.
//! What it is not: a timer. It says when an arrival is due; waiting is the shard's business.
//!
//! Invariants: due times never decrease, unless a new profile moves what is yet to come; each step does a bounded
//! amount of work; nothing is allocated after `new` (see `poisson` for the one bound).

use std::sync::Arc;

use crate::poisson::Poisson;
use crate::segment::{QUANTA_PER_ARRIVAL, Segment};
use crate::slots::Slots;
use crate::{Cells, Profile};

/// The law that spaces arrivals.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// Slot k is due when the integral of the rate reaches k.
    Deterministic,
    /// Arrivals are independent of one another: a Poisson process that the profile's rate drives.
    Poisson {
        /// Same seed, same arrivals, on any machine and for any split.
        seed: u64,
    },
}

/// One arrival of the plan.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival {
    /// Its place in the plan, unique over all owners; what data rows and user ids follow. Deterministic slots
    /// are consecutive over the whole plan, Poisson slots are not. It is of the cell `slot % CELL_COUNT`.
    pub slot: u64,
    /// When it is due.
    pub due_ns: u64,
}

/// The arrivals of a set of cells; an iterator.
///
/// After `None` it may yield again, once a raised rate brings more slots before the end of the profile.
#[derive(Clone, Debug)]
pub struct Arrivals {
    cursor: Cursor,
    source: Source,
    /// The next arrival, once somebody asked for it.
    head: Option<Arrival>,
}

#[derive(Clone, Debug)]
enum Source {
    Slots(Slots),
    Poisson(Box<Poisson>),
}

impl Arrivals {
    /// The arrivals of `cells` from the start of the run.
    ///
    /// With Poisson arrivals this allocates about 40 bytes and draws two arrivals for each cell.
    pub fn new(profile: Arc<Profile>, process: Process, cells: &Cells) -> Self {
        let source = match process {
            Process::Deterministic => Source::Slots(Slots::new(cells.sorted())),
            Process::Poisson { seed } => Source::Poisson(Box::new(Poisson::new(seed, cells.sorted()))),
        };
        Self { cursor: Cursor::new(profile), source, head: None }
    }

    /// The arrivals of `cells` that are due at `from_ns` or later, for an owner who gets them at that instant: those due
    /// before are somebody else's. Costs no more than `new`, wherever the instant lies, and with Poisson arrivals as
    /// many steps as the cells have arrivals in one block.
    pub fn from_instant(profile: Arc<Profile>, process: Process, cells: &Cells, from_ns: u64) -> Self {
        let source = match process {
            Process::Deterministic => Source::Slots(Slots::new(cells.sorted())),
            Process::Poisson { seed } => {
                let block = Poisson::block_of(profile.quanta_before(from_ns));
                Source::Poisson(Box::new(Poisson::starting_in(block, seed, cells.sorted())))
            }
        };
        let mut arrivals = Self { cursor: Cursor::new(profile), source, head: None };
        arrivals.pass_over(from_ns);
        arrivals
    }

    /// The same plan's arrivals for another owner, as [`from_instant`](Self::from_instant) does it, within the same limit,
    /// which is not searched for again.
    #[must_use]
    pub fn of_owner(&self, cells: &Cells, from_ns: u64) -> Self {
        let profile = Arc::clone(&self.cursor.profile);
        match &self.source {
            Source::Slots(slots) => {
                let mut other = Self::from_instant(profile, Process::Deterministic, cells, from_ns);
                if let Source::Slots(others) = &mut other.source {
                    others.set_limit(slots.limit());
                }
                other
            }
            Source::Poisson(poisson) => {
                let process = Process::Poisson { seed: poisson.seed() };
                let mut other = Self::from_instant(profile, process, cells, from_ns);
                if let Source::Poisson(others) = &mut other.source {
                    others.take_limit_of(poisson);
                }
                other.head = None;
                other
            }
        }
    }

    /// From when on nothing of the whole plan is due because of its limit; `None` where the profile ends it.
    pub fn limit_ns(&self) -> Option<u64> {
        let last = match &self.source {
            Source::Slots(slots) => match slots.limit() {
                0 => return Some(0),
                limit => self.cursor.profile.due_ns(limit - 1),
            },
            Source::Poisson(poisson) => match poisson.limit_quanta()? {
                None => return Some(0),
                Some(quanta) => self.cursor.profile.due_of(quanta),
            },
        };
        last.map(|due_ns| due_ns.saturating_add(1))
    }

    /// Leaves out what is due before `from_ns`.
    fn pass_over(&mut self, from_ns: u64) {
        if let Source::Slots(slots) = &mut self.source {
            return slots.pass_over(self.cursor.profile.arrivals_before(from_ns));
        }
        while self.peek_due_ns().is_some_and(|due_ns| due_ns < from_ns) {
            self.next();
        }
    }

    /// Ends the plan after its first `count` arrivals, over all owners together.
    ///
    /// Exact for both processes. For Poisson arrivals it has to count those of all cells: a few nanoseconds for
    /// each, up to `count` or the end of the profile, before the run.
    #[must_use]
    pub fn with_limit(mut self, count: u64) -> Self {
        match &mut self.source {
            Source::Slots(slots) => slots.set_limit(count),
            Source::Poisson(poisson) => poisson.set_limit(count, self.cursor.profile.total_quanta()),
        }
        self.head = None;
        self
    }

    /// When the next arrival is due; `None` when none is left before the end.
    #[inline]
    pub fn peek_due_ns(&mut self) -> Option<u64> {
        if let Some(head) = &self.head {
            return Some(head.due_ns);
        }
        self.peek().map(|arrival| arrival.due_ns)
    }

    /// The next arrival, left in place.
    #[inline]
    pub fn peek(&mut self) -> Option<Arrival> {
        if self.head.is_none() {
            self.head = self.find();
        }
        self.head
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call costs a tenth of an even arrival")]
    fn find(&mut self) -> Option<Arrival> {
        let (slot, quanta) = match &self.source {
            Source::Slots(slots) => {
                let slot = slots.current()?;
                (slot, u128::from(slot) * QUANTA_PER_ARRIVAL)
            }
            Source::Poisson(poisson) => poisson.current()?,
        };
        Some(Arrival { slot, due_ns: self.cursor.due_ns(quanta)? })
    }

    /// Whether a limit, or the want of cells, ends the plan here whatever the rate will be. Where only the
    /// profile ends it, a raised rate may bring more.
    pub fn is_spent(&self) -> bool {
        match &self.source {
            Source::Slots(slots) => slots.current().is_none(),
            Source::Poisson(poisson) => poisson.current().is_none(),
        }
    }

    /// Follows `profile` from the current position on: what was yielded stays, what is left moves.
    ///
    /// The new profile must equal the old one up to now, as [`Profile::with_rate_from`] makes it. Should a
    /// Poisson plan have a limit that the old profile never reached, the search for it goes on here.
    pub fn set_profile(&mut self, profile: Arc<Profile>) {
        if let Source::Poisson(poisson) = &mut self.source {
            poisson.extend_limit(profile.total_quanta());
        }
        self.cursor = Cursor::new(profile);
        self.head = None;
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    #[inline]
    fn next(&mut self) -> Option<Arrival> {
        let arrival = match self.head.take() {
            Some(head) => head,
            None => self.find()?,
        };
        match &mut self.source {
            Source::Slots(slots) => slots.advance(),
            Source::Poisson(poisson) => poisson.advance(),
        }
        Some(arrival)
    }
}

/// A profile, and the segment in which it was last asked for a time: the next answer is nearly always there too.
#[derive(Clone, Debug)]
struct Cursor {
    profile: Arc<Profile>,
    duration_ns: u64,
    segment: Option<Segment>,
}

impl Cursor {
    fn new(profile: Arc<Profile>) -> Self {
        Self { duration_ns: profile.duration_ns(), profile, segment: None }
    }

    #[inline]
    fn due_ns(&mut self, quanta: u128) -> Option<u64> {
        if let Some(segment) = &self.segment
            && segment.quanta_before < quanta
            && quanta < segment.quanta_after
        {
            let due_ns = segment.start_ns + segment.elapsed_at(quanta - segment.quanta_before);
            return (due_ns < self.duration_ns).then_some(due_ns);
        }
        self.search(quanta)
    }

    #[cold]
    fn search(&mut self, quanta: u128) -> Option<u64> {
        self.segment = self.profile.segment_passing(quanta).copied();
        self.profile.due_of(quanta)
    }
}

#[cfg(test)]
mod tests;
