//! Hot path. Poisson arrivals: one stream per cell, block by block, merged in order for one owner.
//!
//! What it is: a Poisson process of rate one in *operational time*, the integral of the arrival rate; the profile
//! then maps it to the clock, exactly. A block is a stretch of operational time as long as there are cells, so
//! that a cell has one arrival in a block on average, whatever the rate is.
//! What it is not: aware of the profile. A changed rate moves arrivals in time, and changes none of them.
//!
//! While the arrivals of one block go out, the next block is drawn, eight cells at every eighth arrival: no step
//! does much, and nothing is allocated after `new` unless a block holds twelve standard deviations more than its
//! mean.
//!
//! Slots: arrival n of a cell in block b has slot (32 b + n) × W + cell. They are unique over the plan and follow
//! from cell and block alone, so an owner can start at any block; they are not consecutive.
//!
//! Invariant: an arrival depends on (seed, cell, block) and on integers only.

mod block;
mod draw;
mod limit;

use std::sync::Arc;

use crate::CELL_COUNT;
use crate::segment::QUANTA_PER_ARRIVAL;

use block::Block;
use draw::ARRIVALS_PER_BLOCK_MAX;
use limit::Limit;

/// How long a block is in operational time.
const QUANTA_PER_BLOCK: u128 = QUANTA_PER_ARRIVAL * CELL_COUNT as u128;

/// How many cells are drawn at once: their generators run side by side in the processor.
const CELLS_PER_DRAW: usize = 8;

/// How finely the drawing of a block is spread over the arrivals of the block before.
const CELL_FRACTION_BITS: u32 = 32;

/// Where an arrival stands in the whole plan; the order is the order of sending.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    block: u64,
    /// The distance from the start of the block, as a fraction of its length in units of 2⁻⁶⁴.
    fraction: u64,
    cell: u16,
    /// Which of its cell's arrivals in this block it is, in order.
    ordinal: u8,
}

impl Place {
    /// Operational time at this place, rounded down to a quantum.
    #[inline]
    fn quanta(self) -> u128 {
        // In slots with 48 binary places, so that the product with QUANTA_PER_ARRIVAL (51 bits) fits.
        let slots = (u128::from(CELL_COUNT) * u128::from(self.fraction)) >> 16;
        u128::from(self.block) * QUANTA_PER_BLOCK + ((slots * QUANTA_PER_ARRIVAL) >> 48)
    }

    #[inline]
    fn slot(self) -> u64 {
        let turn = self.block * ARRIVALS_PER_BLOCK_MAX as u64 + u64::from(self.ordinal);
        turn * u64::from(CELL_COUNT) + u64::from(self.cell)
    }
}

/// The Poisson arrivals of a set of cells, in order. On cache lines of its own: owners on several threads are made one
/// after another.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub(crate) struct Poisson {
    seed: u64,
    cells: Arc<[u16]>,
    /// The block whose arrivals go out.
    current: Block,
    /// The block after it, drawn meanwhile.
    coming: Block,
    /// How many cells of `coming` to draw for each arrival of `current`, so that it is whole in time; with
    /// [`CELL_FRACTION_BITS`] binary places.
    cells_per_arrival: u64,
    /// How many cells of `coming` are due to be drawn; likewise.
    owed_cells: u64,
    limit: Option<Limit>,
}

impl Poisson {
    pub(crate) fn new(seed: u64, cells: Arc<[u16]>) -> Self {
        Self::starting_in(0, seed, cells)
    }

    /// The block in which operational time reaches `quanta`, or an earlier one.
    pub(crate) fn block_of(quanta: u128) -> u64 {
        // What a rest holds back has the quanta of its beginning.
        u64::try_from(quanta.saturating_sub(1) / QUANTA_PER_BLOCK)
            .expect("Invariant: a profile holds at most ARRIVALS_MAX slots")
    }

    /// The arrivals from the beginning of a block on.
    pub(crate) fn starting_in(block: u64, seed: u64, cells: Arc<[u16]>) -> Self {
        let (current, coming) = (Block::new(block, cells.len()), Block::new(block + 1, cells.len()));
        let mut poisson =
            Self { seed, cells, current, coming, cells_per_arrival: 0, owed_cells: 0, limit: None };
        if !poisson.cells.is_empty() {
            poisson.current.draw(seed, &poisson.cells, poisson.cells.len());
            poisson.current.find_first();
            poisson.next_block();
        }
        poisson
    }

    /// Ends the process after the first `count` arrivals of the whole plan.
    ///
    /// Which those are depends on all cells, so this counts every cell's arrivals, block by block, until the
    /// limit or `total_quanta`: a few nanoseconds for each arrival of the limit, to be spent before the run.
    pub(crate) fn set_limit(&mut self, count: u64, total_quanta: u128) {
        let mut limit = Limit::new(count);
        limit.search(self.seed, total_quanta);
        self.limit = Some(limit);
    }

    /// Lets the search for the limit go on where a raised rate lengthened the plan.
    pub(crate) fn extend_limit(&mut self, total_quanta: u128) {
        if let Some(limit) = &mut self.limit {
            limit.search(self.seed, total_quanta);
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Has the limit of another owner of the same plan.
    pub(crate) fn take_limit_of(&mut self, other: &Self) {
        self.limit.clone_from(&other.limit);
    }

    /// Operational time at the last arrival within the limit, or nothing where the limit allows none; `None` without a
    /// limit that was reached.
    #[expect(clippy::option_option, reason = "a limit of nothing is no limit that was not found")]
    pub(crate) fn limit_quanta(&self) -> Option<Option<u128>> {
        self.limit.as_ref()?.last().map(|last| last.map(Place::quanta))
    }

    /// The next arrival's slot and operational time; `None` without cells or at the limit.
    #[inline]
    pub(crate) fn current(&self) -> Option<(u64, u128)> {
        let place = self.current.first()?;
        if self.limit.as_ref().is_some_and(|limit| limit.excludes(place)) {
            return None;
        }
        Some((place.slot(), place.quanta()))
    }

    #[inline]
    pub(crate) fn advance(&mut self) {
        self.owed_cells += self.cells_per_arrival;
        if self.owed_cells >= (CELLS_PER_DRAW as u64) << CELL_FRACTION_BITS {
            let whole = self.owed_cells >> CELL_FRACTION_BITS;
            self.owed_cells -= whole << CELL_FRACTION_BITS;
            self.coming.draw(self.seed, &self.cells, usize::try_from(whole).unwrap_or(usize::MAX));
        }
        self.current.remove_first();
        if self.current.first().is_none() {
            self.next_block();
        }
    }

    /// Moves on to the next block that has an arrival.
    ///
    /// Fewer than [`CELLS_PER_DRAW`] cells are left to draw here, unless `current` was empty, as the blocks of a
    /// few cells may be: those of n cells hold no arrival with probability e⁻ⁿ.
    fn next_block(&mut self) {
        while self.current.first().is_none() {
            self.coming.draw(self.seed, &self.cells, self.cells.len());
            std::mem::swap(&mut self.current, &mut self.coming);
            self.coming.restart(self.current.number() + 1);
            self.owed_cells = 0;
            self.current.find_first();
        }
        self.cells_per_arrival =
            ((self.cells.len() as u64) << CELL_FRACTION_BITS).div_ceil(self.current.arrival_count() as u64);
    }
}

#[cfg(test)]
mod tests;
