//! Sums in the form in which they travel and are kept: packed, and checked once.
//!
//! What it is: [`Totals`] as bytes in which empty buckets, codes and reasons take no room, and their addition to other
//! sums without unpacking them first. What it is not: a document for others; both ends are the same version of the program.
//!
//! Form: a version, then numbers as LEB128 in the order of the fields. A list of counts is the number of those that are not
//! zero, then for each the distance from the one before and the count; a histogram is such a list, then its exact sum, least
//! and greatest value unless it is empty.
//! Invariant: a value of [`Measured`] was checked whole, so that adding it cannot fail half-way; checking takes no memory.

mod outline;
mod overall;
mod read;
mod write;

use bytes::Bytes;
use measure::{Counters, Shape, Totals};

use crate::WireError;
pub use outline::Outline;
pub use overall::Overall;
use read::{Reader, Sums, walk};

/// The version of the form.
const VERSION: u8 = 1;
/// Names, workloads, groups and checks, each, and shards at most.
const LIST_MAX: usize = 16_384;

/// What was measured, packed.
#[derive(Clone, PartialEq, Eq)]
pub struct Measured {
    bytes: Bytes,
    shape: Shape,
}

/// What becomes of the sums by shard when they are added to others.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ByShard {
    /// They are left out: a fleet has too many.
    LeftOut,
    /// They are those of the engine with this number.
    OfNode(u32),
    /// They name their engines themselves.
    AsTold,
}

impl Measured {
    /// Packs sums.
    pub fn pack(totals: &Totals) -> Self {
        Self { bytes: write::totals(totals).into(), shape: totals.shape() }
    }

    /// Packs sums into as few pieces of at most so many bytes as there must be, which add up to them. What is counted once for
    /// all names stands in the first piece, and no piece is smaller than one name.
    pub fn pack_within(totals: &Totals, bytes_most: usize) -> Vec<Self> {
        let whole = Self::pack(totals);
        if whole.bytes.len() <= bytes_most {
            return vec![whole];
        }
        write::pieces(totals, bytes_most).iter().map(Self::pack).collect()
    }

    /// Takes what [`Measured::bytes`] gave.
    ///
    /// # Errors
    /// The bytes are not the form, or contradict themselves.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, WireError> {
        let bytes = bytes.into();
        let shape = walk(&mut Reader::new(&bytes), Sums::default())?;
        Ok(Self { bytes, shape })
    }

    /// The packed form.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The packed form, to keep.
    pub(crate) fn shared(&self) -> Bytes {
        self.bytes.clone()
    }

    /// How many of each kind were counted.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What happened, without what was measured of it.
    pub fn counters(&self) -> Counters {
        self.leading_counters().0
    }

    /// What happened during the warm-up.
    pub fn warmup(&self) -> Counters {
        self.leading_counters().1
    }

    /// Adds everything to `totals`, which must have room for as much of each kind.
    ///
    /// # Errors
    /// There are more names, workloads, groups or checks than `totals` has; nothing was added then.
    pub fn add_to(&self, totals: &mut Totals, by_shard: ByShard) -> Result<(), WireError> {
        self.add(totals, by_shard, None)
    }

    /// The same, and adds what is kept of whoever told it to `overall`; once through the bytes does for both.
    ///
    /// # Errors
    /// As [`Measured::add_to`].
    pub fn add_to_both(
        &self,
        totals: &mut Totals,
        by_shard: ByShard,
        overall: &mut Overall,
    ) -> Result<(), WireError> {
        self.add(totals, by_shard, Some(overall))
    }

    fn add(
        &self,
        totals: &mut Totals,
        by_shard: ByShard,
        overall: Option<&mut Overall>,
    ) -> Result<(), WireError> {
        let (mine, room) = (self.shape, totals.shape());
        let fits = mine.names <= room.names
            && mine.workloads <= room.workloads
            && mine.groups <= room.groups
            && mine.checks <= room.checks;
        if !fits {
            return Err(WireError::new("measured", "counts more names than the plan has"));
        }
        let into = Sums { totals: Some((totals, by_shard)), overall, outline: None };
        walk(&mut Reader::of_checked(&self.bytes), into)?;
        Ok(())
    }

    /// What it claims, in counts; much cheaper than adding it to anything.
    ///
    /// # Panics
    /// Never: it was checked.
    pub fn outline(&self) -> Outline {
        let mut outline = Outline::default();
        let into = Sums { outline: Some(&mut outline), ..Sums::default() };
        walk(&mut Reader::of_checked(&self.bytes), into).expect("Invariant: packed sums were checked");
        outline
    }

    /// Unpacks. Takes the memory that such sums take, which is much more: check [`Measured::shape`] before, where it is a
    /// stranger's.
    ///
    /// # Panics
    /// Never: it was checked.
    pub fn unpack(&self) -> Totals {
        let mut totals = Totals::new(self.shape);
        self.add_to(&mut totals, ByShard::AsTold).expect("Invariant: packed sums were checked");
        totals
    }

    fn leading_counters(&self) -> (Counters, Counters) {
        let (mut counters, mut warmup) = (Counters::default(), Counters::default());
        let mut reader = Reader::of_checked(&self.bytes);
        let read = reader
            .version()
            .and_then(|()| reader.counters(Some(&mut counters), None))
            .and_then(|()| reader.counters(Some(&mut warmup), None));
        read.expect("Invariant: packed sums were checked");
        (counters, warmup)
    }
}

/// They are long; their size and their counts tell them apart.
impl std::fmt::Debug for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measured")
            .field("bytes", &self.bytes.len())
            .field("audit", &self.counters().audit())
            .finish_non_exhaustive()
    }
}

/// Packs counters alone.
pub fn pack_counters(counters: &Counters) -> Vec<u8> {
    write::counters_alone(counters)
}

/// Reads what [`pack_counters`] wrote.
///
/// # Errors
/// The bytes are not the form.
pub fn unpack_counters(bytes: &[u8]) -> Result<Counters, WireError> {
    let mut reader = Reader::new(bytes);
    let mut counters = Counters::default();
    reader.version()?;
    reader.counters(Some(&mut counters), None)?;
    reader.end()?;
    Ok(counters)
}

#[cfg(test)]
mod tests;
