//! Which arrivals are the first so many of the whole plan.
//!
//! What it is: a search over all cells, whoever owns them, for the last arrival within a limit. Every owner runs
//! it and finds the same one, so that together they send exactly the limit.
//! What it is not: cheap. It counts whole blocks and sorts the one in which the limit falls; see
//! [`Poisson::set_limit`](super::Poisson::set_limit).

use super::draw::{ARRIVALS_PER_BLOCK_MAX, count, fractions};
use super::{Place, QUANTA_PER_BLOCK};
use crate::cells::all_cells;

#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// How many arrivals the whole plan may have.
    count: u64,
    /// How many blocks were counted.
    block_count: u64,
    /// How many arrivals those hold.
    arrival_count: u64,
    /// The last arrival within the limit, once found.
    last: Option<Place>,
}

impl Limit {
    pub(super) fn new(count: u64) -> Self {
        Self { count, block_count: 0, arrival_count: 0, last: None }
    }

    /// Counts on until the limit is found or the blocks reach `total_quanta`.
    pub(super) fn search(&mut self, seed: u64, total_quanta: u128) {
        if self.count == 0 {
            return;
        }
        while self.last.is_none() && u128::from(self.block_count) * QUANTA_PER_BLOCK < total_quanta {
            let block = self.block_count;
            let in_block = all_cells().map(|cell| count(seed, cell, block)).sum::<usize>() as u64;
            if self.arrival_count + in_block >= self.count {
                let last = self.count - self.arrival_count - 1;
                self.last = places(seed, block)
                    .into_iter()
                    .zip(0..)
                    .find_map(|(place, n)| (n == last).then_some(place));
                return;
            }
            self.arrival_count += in_block;
            self.block_count += 1;
        }
    }

    /// The last arrival within the limit, or nothing where it allows none; `None` while it is not found.
    #[expect(clippy::option_option, reason = "a limit of nothing is no limit that was not found")]
    pub(super) fn last(&self) -> Option<Option<Place>> {
        if self.count == 0 { Some(None) } else { self.last.map(Some) }
    }

    #[inline]
    pub(super) fn excludes(&self, place: Place) -> bool {
        self.count == 0 || self.last.is_some_and(|last| place > last)
    }
}

/// Every arrival of the plan in `block`, in order.
fn places(seed: u64, block: u64) -> Vec<Place> {
    let mut places = Vec::new();
    let mut buffer = [0; ARRIVALS_PER_BLOCK_MAX];
    for cell in all_cells() {
        let count = fractions(seed, cell, block, &mut buffer);
        let drawn = buffer[..count].iter().zip(0..);
        places.extend(drawn.map(|(&fraction, ordinal)| Place { block, fraction, cell, ordinal }));
    }
    places.sort_unstable();
    places
}
