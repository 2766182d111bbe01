//! What sends: the shards of a simulated node, which obey exactly what they are told, on their own clock.
//!
//! Units: nanoseconds of the run as this node counts it.

use std::sync::Arc;

use schedule::{CELL_COUNT, Cells, Rate};

use crate::S;
use crate::course::{Course, Due};

/// A part of a run under way.
#[derive(Debug)]
pub(crate) struct Shards {
    course: Arc<Course>,
    rates: Vec<(u64, Rate)>,
    due: Arc<Due>,
    /// The plan's zero on the node's clock.
    pub(crate) start: u64,
    /// From when on which cells are owned, rising.
    owned: Vec<(u64, Cells)>,
    /// Everything due before this was dealt with.
    done_ns: u64,
    /// Counts since the last second was sealed: due, sent, dropped.
    pub(crate) counts: [u64; 3],
    /// Results are sealed up to here.
    pub(crate) sealed_ns: u64,
    pub(crate) first_sent_ns: Option<u64>,
}

impl Shards {
    pub(crate) fn new(course: Arc<Course>, start: u64, now: u64) -> Self {
        let done_ns = now.saturating_sub(start);
        Self {
            due: course.due(&[]),
            course,
            rates: Vec::new(),
            start,
            owned: Vec::new(),
            done_ns,
            counts: [0; 3],
            sealed_ns: done_ns / S * S,
            first_sent_ns: None,
        }
    }

    pub(crate) fn run_ns(&self, now: u64) -> u64 {
        now.saturating_sub(self.start)
    }

    pub(crate) fn duration_ns(&self) -> u64 {
        self.course.duration_ns()
    }

    /// Takes cells from an instant on; too late is refused.
    pub(crate) fn assign(&mut self, from_ns: u64, cells: Cells) -> bool {
        if from_ns < self.done_ns {
            return false;
        }
        self.owned.retain(|(from, _)| *from < from_ns);
        self.owned.push((from_ns, cells));
        true
    }

    /// Has another rate from an instant on; too late is refused.
    pub(crate) fn set_rate(&mut self, from_ns: u64, rate: Rate) -> bool {
        if from_ns < self.done_ns {
            return false;
        }
        self.set_rate_before(from_ns, rate);
        true
    }

    /// A change that was made before this node came.
    pub(crate) fn set_rate_before(&mut self, from_ns: u64, rate: Rate) {
        self.rates.push((from_ns, rate));
        self.due = self.course.due(&self.rates);
    }

    /// How many cells are its own, or are going to be.
    pub(crate) fn owns(&self) -> u32 {
        self.owned.last().map_or(0, |(_, cells)| cells.count())
    }

    pub(crate) fn owns_any(&self) -> bool {
        self.owned.iter().any(|(_, cells)| cells.count() > 0)
    }

    /// Sends what is due up to `by` and is its own; yields the slots. Should the lease have ended by `now`, what is due at or
    /// after its end is not its own, and what was due before is too late; then it yields since when nothing is its own.
    pub(crate) fn release(&mut self, by: u64, now: u64, lease_end: u64) -> (Vec<u64>, Option<u64>) {
        if now < self.start {
            return (Vec::new(), None);
        }
        let lapses = now >= lease_end && self.owns_any();
        let run_ns = self.run_ns(by);
        let until_ns = if lapses { self.run_ns(lease_end).max(self.done_ns) } else { run_ns + 1 };
        let mut sent = Vec::new();
        for (due_ns, slot) in self.due.within(self.done_ns, until_ns).iter().copied() {
            let holding = self.owned.iter().rev().find(|(from_ns, _)| *from_ns <= due_ns);
            let cell = u16::try_from(slot % u64::from(CELL_COUNT)).expect("a cell");
            if holding.is_none_or(|(_, cells)| !cells.contains(cell)) {
                continue;
            }
            self.counts[0] += 1;
            if lapses {
                // It was its own, and is too late by now.
                self.counts[2] += 1;
                continue;
            }
            self.counts[1] += 1;
            self.first_sent_ns.get_or_insert(run_ns);
            sent.push(slot);
        }
        self.done_ns = self.done_ns.max(until_ns);
        if lapses {
            self.owned.clear();
        }
        (sent, lapses.then_some(until_ns))
    }
}
