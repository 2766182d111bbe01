//! Hot path. The arrivals of some cells in one block, sorted into as many bins as there are cells.
//!
//! A bin is a short stretch of the block with one arrival on average; the few that share one are chained in
//! order. Filling is cell by cell, emptying bin by bin, and a bin is left clean for the next use, so that neither
//! ever has to touch everything at once.

use super::draw::{ARRIVALS_PER_BLOCK_MAX, fractions_of, output_of};
use super::{CELLS_PER_DRAW, Place};

/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Copy, Clone, Debug)]
struct Entry {
    fraction: u64,
    /// The entry after this one in its bin, or [`NONE`].
    next: u32,
    cell: u16,
    ordinal: u8,
}

#[derive(Debug)]
pub(super) struct Block {
    number: u64,
    entries: Vec<Entry>,
    /// The first entry of each bin, or [`NONE`].
    bins: Vec<u32>,
    /// How many cells have been drawn.
    drawn_count: usize,
    /// Invariant: every bin below is empty.
    bin: usize,
}

impl Clone for Block {
    /// With the same room: nothing is allocated after a block is made.
    fn clone(&self) -> Self {
        let mut entries = Vec::with_capacity(self.entries.capacity());
        entries.extend_from_slice(&self.entries);
        Self { entries, bins: self.bins.clone(), ..*self }
    }
}

impl Block {
    /// An empty block with room for the arrivals of `cell_count` cells: twelve standard deviations above the
    /// mean, and a few.
    pub(super) fn new(number: u64, cell_count: usize) -> Self {
        // Written once and cleared, so that the pages are there before the run.
        let unused = Entry { fraction: 0, next: NONE, cell: 0, ordinal: 0 };
        let mut entries = vec![unused; cell_count + 12 * cell_count.isqrt() + 64];
        entries.clear();
        Self { number, entries, bins: vec![NONE; cell_count], drawn_count: 0, bin: 0 }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How many arrivals were drawn.
    pub(super) fn arrival_count(&self) -> usize {
        self.entries.len()
    }

    /// Makes an emptied block ready to be drawn again as another.
    pub(super) fn restart(&mut self, number: u64) {
        self.entries.clear();
        (self.number, self.drawn_count, self.bin) = (number, 0, 0);
    }

    /// Draws the next `cell_count` of `cells`, or as many as remain.
    #[inline]
    pub(super) fn draw(&mut self, seed: u64, cells: &[u16], cell_count: usize) {
        let end = (self.drawn_count + cell_count).min(cells.len());
        let mut buffer = [0; ARRIVALS_PER_BLOCK_MAX];
        for cells in cells[self.drawn_count..end].chunks(CELLS_PER_DRAW) {
            let mut outputs = [[0; 2]; CELLS_PER_DRAW];
            for (output, &cell) in outputs.iter_mut().zip(cells) {
                *output = output_of(seed, cell, self.number);
            }
            for (&cell, output) in cells.iter().zip(outputs) {
                let count = fractions_of(output, seed, cell, self.number, &mut buffer);
                for (&fraction, ordinal) in buffer[..count].iter().zip(0..) {
                    self.insert(fraction, cell, ordinal);
                }
            }
        }
        self.drawn_count = end;
    }

    /// The first arrival left; `None` before [`find_first`](Self::find_first) and when none is left.
    #[inline]
    pub(super) fn first(&self) -> Option<Place> {
        let entry = self.entries.get(*self.bins.get(self.bin)? as usize)?;
        Some(Place { block: self.number, fraction: entry.fraction, cell: entry.cell, ordinal: entry.ordinal })
    }

    #[inline]
    pub(super) fn remove_first(&mut self) {
        if let Some(head) = self.bins.get_mut(self.bin)
            && let Some(entry) = self.entries.get(*head as usize)
        {
            *head = entry.next;
            self.find_first();
        }
    }

    /// Passes over empty bins.
    #[inline]
    pub(super) fn find_first(&mut self) {
        while self.bins.get(self.bin) == Some(&NONE) {
            self.bin += 1;
        }
    }

    #[inline]
    fn insert(&mut self, fraction: u64, cell: u16, ordinal: u8) {
        let index =
            u32::try_from(self.entries.len()).expect("Invariant: a block holds far fewer than 2^32 entries");
        let bin = (u128::from(fraction) * self.bins.len() as u128) >> 64;
        let bin = usize::try_from(bin).expect("Invariant: a fraction is below one");
        let precedes =
            |other: &Entry| (other.fraction, other.cell, other.ordinal) < (fraction, cell, ordinal);
        let (mut before, mut after) = (None, self.bins[bin]);
        while let Some(entry) = self.entries.get(after as usize).filter(|entry| precedes(entry)) {
            (before, after) = (Some(after as usize), entry.next);
        }
        match before {
            Some(before) => self.entries[before].next = index,
            None => self.bins[bin] = index,
        }
        self.entries.push(Entry { fraction, next: after, cell, ordinal });
    }
}
