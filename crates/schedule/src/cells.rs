//! Cells: the parts of a plan that owners hold.
//!
//! What it is: a set of residue classes. Slot k belongs to cell k mod [`CELL_COUNT`], so whoever holds a set of
//! cells knows its arrivals for the whole run without asking anyone.
//! What it is not: a record of who holds what over time; that is the owner's business.
//!
//! Invariant: the parts of one deal are disjoint and together are what was dealt.

use std::sync::Arc;

use crate::ScheduleError;
use crate::interleave;

/// How many cells a plan has. A constant of the format: every number up to 12 divides it, and 14, 15, 16, 18 and
/// 20 do, so that equal splits are exact.
pub const CELL_COUNT: u32 = 55_440;

/// Every cell of a plan, rising.
pub(crate) fn all_cells() -> impl Iterator<Item = u16> {
    0..u16::try_from(CELL_COUNT).expect("Invariant: a cell fits in 16 bits")
}

/// A set of cells.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cells {
    /// Invariant: strictly rising, all below [`CELL_COUNT`].
    sorted: Arc<[u16]>,
}

impl Cells {
    /// Every cell: the whole plan.
    pub fn all() -> Self {
        Self { sorted: all_cells().collect() }
    }

    /// No cell at all.
    pub fn none() -> Self {
        std::iter::empty().collect()
    }

    /// The `index`-th, from 1, of `of` equal parts of the plan; the same part that dealing the whole plan to `of`
    /// equal owners gives to that owner.
    pub fn share(index: u32, of: u32) -> Result<Self, ScheduleError> {
        if index == 0 || index > of || of > CELL_COUNT {
            return Err(ScheduleError::NoSuchShare { index, of });
        }
        let mut parts = Self::all().deal(&vec![1; of as usize])?;
        Ok(parts.swap_remove(index as usize - 1))
    }

    /// Splits the set among owners by weight, one part for each.
    ///
    /// The parts interleave: over any prefix of the set's cells each owner is within one of its share. Their
    /// sizes follow the weights to within one cell, the largest remainders rounded up.
    pub fn deal(&self, weights: &[u64]) -> Result<Vec<Self>, ScheduleError> {
        if weights.iter().all(|&weight| weight == 0) {
            return Err(ScheduleError::NoWeight { owner_count: weights.len() });
        }
        let quotas = interleave::quotas(self.count(), weights);
        let mut parts: Vec<_> = quotas.iter().map(|&quota| Vec::with_capacity(quota as usize)).collect();
        for (cell, owner) in self.iter().zip(interleave::owners(&quotas)) {
            parts[owner].push(cell);
        }
        Ok(parts.into_iter().map(|part| Self { sorted: part.into() }).collect())
    }

    /// Splits the set by weight among owners who hold cells already, and moves as few cells as that takes: whoever holds
    /// more than it shall gives the rest up, evenly spread, and whoever holds fewer gets the difference. What an owner
    /// holds beside the set, it loses.
    ///
    /// `held` are disjoint, one for each weight. The parts' sizes are those of [`deal`](Self::deal); over prefixes they
    /// are as even as what was kept is.
    ///
    /// # Panics
    /// When there are not as many weights as owners.
    pub fn deal_again(&self, held: &[Self], weights: &[u64]) -> Result<Vec<Self>, ScheduleError> {
        assert_eq!(held.len(), weights.len(), "each owner has a weight");
        if weights.iter().all(|&weight| weight == 0) {
            return Err(ScheduleError::NoWeight { owner_count: weights.len() });
        }
        let quotas = interleave::quotas(self.count(), weights);
        let keep = |(held, &quota): (&Self, &u32)| {
            let kept = held.intersection(self);
            let excess = kept.count().saturating_sub(quota);
            if excess == 0 {
                return Ok(kept);
            }
            Ok(kept.deal(&[u64::from(quota), u64::from(excess)])?.swap_remove(0))
        };
        let kept = held.iter().zip(&quotas).map(keep).collect::<Result<Vec<_>, ScheduleError>>()?;
        let missing: Vec<u64> =
            kept.iter().zip(&quotas).map(|(kept, quota)| u64::from(quota - kept.count())).collect();
        if missing.iter().all(|&missing| missing == 0) {
            return Ok(kept);
        }
        let free = kept.iter().fold(self.clone(), |free, kept| free.difference(kept));
        let more = free.deal(&missing)?;
        Ok(kept.iter().zip(&more).map(|(kept, more)| kept.union(more)).collect())
    }

    /// The cells that are in this set, in the other, or in both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// The cells that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let in_both = self.iter().filter(|&cell| other.contains(cell));
        Self { sorted: in_both.collect() }
    }

    /// The cells that are in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let in_one = self.iter().filter(|&cell| !other.contains(cell));
        Self { sorted: in_one.collect() }
    }

    /// How many cells the set holds.
    #[expect(clippy::cast_possible_truncation, reason = "at most CELL_COUNT cells")]
    pub fn count(&self) -> u32 {
        self.sorted.len() as u32
    }

    /// Whether the set holds `cell`.
    pub fn contains(&self, cell: u16) -> bool {
        self.sorted.binary_search(&cell).is_ok()
    }

    /// The cells, rising.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u16> + '_ {
        self.sorted.iter().copied()
    }

    /// The cells, rising, to keep.
    pub(crate) fn sorted(&self) -> Arc<[u16]> {
        Arc::clone(&self.sorted)
    }
}

/// Collects cells in any order, each counted once.
///
/// # Panics
/// When one is not below [`CELL_COUNT`].
impl FromIterator<u16> for Cells {
    fn from_iter<I: IntoIterator<Item = u16>>(cells: I) -> Self {
        let mut sorted: Vec<u16> = cells.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(
            sorted.last().is_none_or(|&last| u32::from(last) < CELL_COUNT),
            "Invariant: a cell is below {CELL_COUNT}"
        );
        Self { sorted: sorted.into() }
    }
}

/// Sets are long; their size and their ends tell them apart.
impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.sorted.first(), self.sorted.last()) {
            (Some(first), Some(last)) => write!(f, "Cells({} in {first}..={last})", self.count()),
            _ => write!(f, "Cells(none)"),
        }
    }
}

#[cfg(test)]
mod tests;
