//! Where each row begins, in 4⅛ bytes a row.
//!
//! What it is: for each block of 64 rows the offset of the first in 64 bits, and for each row its distance from there in
//! 32 bits. An offset is two loads and an addition.
//! What it is not: an owner of the bytes.
//!
//! Invariant: offsets rise, and two that follow each other are at most [`STEP_BYTES_MAX`] apart, so that a distance within
//! a block fits in 32 bits.

/// Rows of a block.
const BLOCK_ROWS: usize = 64;
/// The farthest that a row may begin behind the row before it.
pub(crate) const STEP_BYTES_MAX: usize = (u32::MAX as usize) / BLOCK_ROWS;

/// The offsets of all rows.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    bases: Vec<usize>,
    distances: Vec<u32>,
}

impl Offsets {
    /// Appends a row.
    #[inline]
    pub(crate) fn push(&mut self, offset: usize) {
        if self.distances.len().is_multiple_of(BLOCK_ROWS) {
            self.bases.push(offset);
        }
        let base = self.bases[self.bases.len() - 1];
        let distance =
            u32::try_from(offset - base).expect("Invariant: a block of rows spans less than 4 GiB");
        self.distances.push(distance);
    }

    /// Gives back the memory that growing set aside.
    pub(crate) fn shrink(&mut self) {
        self.bases.shrink_to_fit();
        self.distances.shrink_to_fit();
    }

    /// How many rows there are.
    pub(crate) const fn count(&self) -> usize {
        self.distances.len()
    }

    /// Where the row begins, if there is one.
    #[inline]
    pub(crate) fn offset(&self, row: usize) -> Option<usize> {
        let distance = *self.distances.get(row)?;
        Some(self.bases[row / BLOCK_ROWS] + distance as usize)
    }

    /// Memory that is held, in bytes.
    pub(crate) const fn size(&self) -> usize {
        self.bases.capacity() * size_of::<usize>() + self.distances.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_kept_at_any_distance() {
        for step in [1, 7, 1_000, STEP_BYTES_MAX] {
            let mut offsets = Offsets::default();
            for row in 0..1_000 {
                offsets.push(3 + row * step);
            }
            assert_eq!(offsets.count(), 1_000);
            for row in 0..1_000 {
                assert_eq!(offsets.offset(row), Some(3 + row * step));
            }
            assert_eq!(offsets.offset(1_000), None);
        }
    }

    #[test]
    fn ten_million_rows_take_less_than_42_megabytes() {
        let mut offsets = Offsets::default();
        for row in 0..10_000_000 {
            offsets.push(row * 100);
        }
        offsets.shrink();
        assert_eq!(offsets.size(), 41_250_000);
    }
}
