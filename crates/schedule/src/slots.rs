//! Hot path. Deterministic arrivals: the slots of some cells, in order.
//!
//! What it is: a walk over k = cycle × [`CELL_COUNT`] + cell. A slot's index is all there is to know of it; the
//! profile says when it is due.

use std::sync::Arc;

use crate::CELL_COUNT;

/// The slots of a set of cells, rising.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    cells: Arc<[u16]>,
    /// Which of `cells` is next.
    index: usize,
    /// The first slot of the current cycle.
    cycle_start: u64,
    /// Slots from here on are not of this run.
    limit: u64,
}

impl Slots {
    pub(crate) fn new(cells: Arc<[u16]>) -> Self {
        Self { cells, index: 0, cycle_start: 0, limit: u64::MAX }
    }

    pub(crate) fn set_limit(&mut self, count: u64) {
        self.limit = count;
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Goes to the first slot that is not below `slot`.
    pub(crate) fn pass_over(&mut self, slot: u64) {
        let width = u64::from(CELL_COUNT);
        (self.cycle_start, self.index) =
            (slot / width * width, self.cells.partition_point(|&cell| u64::from(cell) < slot % width));
        if self.index == self.cells.len() {
            (self.cycle_start, self.index) = (self.cycle_start + width, 0);
        }
    }

    /// The next slot; `None` without cells or at the limit.
    #[inline]
    pub(crate) fn current(&self) -> Option<u64> {
        let slot = self.cycle_start + u64::from(*self.cells.get(self.index)?);
        (slot < self.limit).then_some(slot)
    }

    #[inline]
    pub(crate) fn advance(&mut self) {
        self.index += 1;
        if self.index == self.cells.len() {
            self.index = 0;
            self.cycle_start += u64::from(CELL_COUNT);
        }
    }
}
