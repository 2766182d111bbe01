//! Who may use which cell, from when on.
//!
//! What it is: for each cell the one life of a node that may use it, or since when nobody may. What it is not: what the nodes
//! have heard; a cell stands here as somebody's from before it is told until after it is surely given up.
//!
//! Invariants: a cell has at most one owner; it is given only from an instant on at which its last owner had given it up.
//! Units: nanoseconds of the run.

use std::collections::BTreeMap;

use schedule::{CELL_COUNT, Cells};

/// Nobody may use it, and it can be given.
const FREE: u32 = u32::MAX;
/// Nobody may use it, and nobody shall: its owner was lost, and the run goes on without.
const ABANDONED: u32 = u32::MAX - 1;

/// The owners of all cells; an owner is the place of a life among those of the run.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    owner: Vec<u32>,
    free_from_ns: Vec<u64>,
    /// How many cells each owner has; a fleet is looked at far more often than a cell moves.
    counts: BTreeMap<u32, u32>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            owner: vec![FREE; CELL_COUNT as usize],
            free_from_ns: vec![0; CELL_COUNT as usize],
            counts: BTreeMap::from([(FREE, CELL_COUNT)]),
        }
    }
}

impl Table {
    /// The cells that `place` may use.
    pub(crate) fn of(&self, place: u32) -> Cells {
        self.having(place)
    }

    /// How many cells `place` may use.
    pub(crate) fn count(&self, place: u32) -> u32 {
        self.counts.get(&place).copied().unwrap_or(0)
    }

    /// The cells that can be given.
    pub(crate) fn free(&self) -> Cells {
        self.having(FREE)
    }

    /// How many cells nobody may use.
    pub(crate) fn unassigned(&self) -> u32 {
        self.count(FREE) + self.count(ABANDONED)
    }

    /// From when on all of these can be given.
    pub(crate) fn free_from_ns(&self, cells: &Cells) -> u64 {
        cells.iter().map(|cell| self.free_from_ns[usize::from(cell)]).max().unwrap_or(0)
    }

    /// `place` may use these, which were free.
    ///
    /// # Panics
    /// When one of them was not: two owners of a cell would send the same arrivals.
    pub(crate) fn give(&mut self, cells: &Cells, place: u32) {
        for cell in cells.iter() {
            let owner = &mut self.owner[usize::from(cell)];
            assert_eq!(*owner, FREE, "Invariant: cell {cell} is given while nobody may use it");
            *owner = place;
        }
        self.moved(FREE, place, cells.count());
    }

    /// What was given was not taken: it is free again, since when it was.
    pub(crate) fn take_back(&mut self, cells: &Cells, place: u32) {
        self.change(cells, place, FREE, None);
    }

    /// `place` uses these no more for what is due from an instant on.
    pub(crate) fn release(&mut self, cells: &Cells, place: u32, from_ns: u64) {
        self.change(cells, place, FREE, Some(from_ns));
    }

    /// The same, and nobody shall have them.
    pub(crate) fn abandon(&mut self, place: u32) {
        self.change(&self.of(place), place, ABANDONED, None);
    }

    fn change(&mut self, cells: &Cells, place: u32, to: u32, from_ns: Option<u64>) {
        let mut count = 0;
        for cell in cells.iter().map(usize::from) {
            if self.owner[cell] != place {
                continue;
            }
            count += 1;
            self.owner[cell] = to;
            if let Some(from_ns) = from_ns {
                self.free_from_ns[cell] = self.free_from_ns[cell].max(from_ns);
            }
        }
        self.moved(place, to, count);
    }

    fn moved(&mut self, from: u32, to: u32, count: u32) {
        *self.counts.entry(from).or_default() -= count;
        *self.counts.entry(to).or_default() += count;
    }

    fn having(&self, owner: u32) -> Cells {
        let all = 0..u16::try_from(CELL_COUNT).expect("Invariant: a cell fits in 16 bits");
        all.filter(|cell| self.owner[usize::from(*cell)] == owner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(range: std::ops::Range<u16>) -> Cells {
        range.collect()
    }

    #[test]
    fn a_cell_is_free_from_when_its_last_owner_gave_it_up() {
        let mut table = Table::default();
        table.give(&cells(0..100), 1);
        table.release(&cells(50..100), 1, 700);
        assert_eq!((table.of(1).count(), table.unassigned()), (50, CELL_COUNT - 50));
        assert_eq!(table.free_from_ns(&cells(49..51)), 700);
        table.give(&cells(50..60), 2);
        // What 2 did not take was free since 700, not since now.
        table.take_back(&cells(50..60), 2);
        table.release(&cells(50..60), 1, 9_000);
        assert_eq!(table.free_from_ns(&cells(50..60)), 700, "only its owner gives a cell up");
        table.abandon(1);
        assert_eq!((table.of(1).count(), table.free().count()), (0, CELL_COUNT - 50));
        assert_eq!((table.count(1), table.count(2), table.unassigned()), (0, 0, CELL_COUNT));
    }

    #[test]
    #[should_panic(expected = "while nobody may use it")]
    fn a_cell_is_never_given_twice() {
        let mut table = Table::default();
        table.give(&cells(0..2), 1);
        table.give(&cells(1..3), 2);
    }
}
