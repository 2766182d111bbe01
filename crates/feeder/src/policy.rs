//! Hot path. Which row a slot gets.
//!
//! What it is: a pure function of the slot, the policy and the number of rows.
//! What it is not: a counter. A shard that asks for its own slots alone needs nobody to tell it what is taken.

use std::fmt;

use crate::error::FeederError;
use crate::mix::{below, output};
use crate::permutation::Permutation;
use crate::rows::{RowIndex, Rows};

/// The order in which slots go through the rows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// As in the file.
    Sequential,
    /// In a random order, each row once before any comes again, and in another order each time.
    Shuffled {
        /// The same seed gives the same orders; see [`seed_for`](crate::seed_for).
        seed: u64,
    },
    /// Each slot a row drawn by itself, so that rows repeat and may never come.
    Random {
        /// The same seed gives the same rows; see [`seed_for`](crate::seed_for).
        seed: u64,
    },
}

/// What becomes of slots when every row was used.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// The workload ends.
    Stop,
    /// The rows are gone through again.
    Repeat,
    /// Each further iteration is an error.
    Fail,
}

/// How rows are handed to slots, free of contradictions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    order: Order,
    at_end: AtEnd,
}

impl Policy {
    /// With `unique`, a policy under which no row is used twice in the whole plan, or an error that says why it is not
    /// one. Rows drawn at random have no end, so their `at_end` is [`AtEnd::Repeat`].
    pub fn new(order: Order, at_end: AtEnd, unique: bool) -> Result<Self, FeederError> {
        match (order, at_end, unique) {
            (Order::Random { .. }, _, true) => Err(FeederError::UniqueRandom),
            (_, AtEnd::Repeat, true) => Err(FeederError::UniqueRepeat),
            (Order::Random { .. }, AtEnd::Stop | AtEnd::Fail, _) => Err(FeederError::RandomEnd),
            _ => Ok(Self { order, at_end }),
        }
    }

    /// The order.
    pub const fn order(&self) -> Order {
        self.order
    }

    /// What becomes of slots behind the last row; it says what [`Feeder::row_for`] means by `None`.
    pub const fn at_end(&self) -> AtEnd {
        self.at_end
    }
}

/// A table and the policy by which slots get its rows.
pub struct Feeder<B> {
    rows: Rows<B>,
    picks: Picks,
}

impl<B: AsRef<[u8]>> Feeder<B> {
    /// Hands `rows` out by `policy`.
    pub fn new(rows: Rows<B>, policy: Policy) -> Self {
        let picks = Picks::new(policy, rows.count());
        Self { rows, picks }
    }

    /// The row of a slot, whoever asks and however often. None if the rows have come to their end, and the policy's
    /// [`at_end`](Policy::at_end) is to be followed.
    #[inline]
    pub fn row_for(&self, slot: u64) -> Option<RowIndex> {
        self.picks.row_for(slot)
    }

    /// How many slots, from 0, get a row; None if all do.
    pub const fn slot_count(&self) -> Option<u64> {
        match self.picks.policy.at_end {
            AtEnd::Repeat => None,
            AtEnd::Stop | AtEnd::Fail => Some(self.picks.row_count),
        }
    }

    /// The table.
    pub const fn rows(&self) -> &Rows<B> {
        &self.rows
    }

    /// The policy.
    pub const fn policy(&self) -> Policy {
        self.picks.policy
    }
}

/// Without the data.
impl<B> fmt::Debug for Feeder<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Feeder").field("rows", &self.rows).field("picks", &self.picks).finish()
    }
}

/// The function from slots to rows.
#[derive(Copy, Clone, Debug)]
struct Picks {
    policy: Policy,
    /// At least 1.
    row_count: u64,
    permutation: Permutation,
}

impl Picks {
    fn new(policy: Policy, row_count: u64) -> Self {
        Self { policy, row_count, permutation: Permutation::new(row_count) }
    }

    #[inline]
    fn row_for(&self, slot: u64) -> Option<RowIndex> {
        if let Order::Random { seed } = self.policy.order {
            return Some(RowIndex(below(self.row_count, output(seed, slot))));
        }
        let (pass, place) = (slot / self.row_count, slot % self.row_count);
        if pass > 0 && self.policy.at_end != AtEnd::Repeat {
            return None;
        }
        Some(RowIndex(match self.policy.order {
            Order::Shuffled { seed } => self.permutation.shuffled(output(seed, pass), place),
            Order::Sequential | Order::Random { .. } => place,
        }))
    }
}

#[cfg(test)]
mod tests;
