//! The body of a request: bytes that somebody gave, or a size to be filled.
//!
//! What it is: the choice between the two, and what a made body consists of. What it is not: a stream; whoever sends a
//! made body repeats its block.
//!
//! A made body looks random, so that nothing on the way compresses it, and is the same in every request, run and
//! version: the first bytes of a block of 1 MiB, repeated. The block is `SplitMix64` from seed 1, each number as 8 bytes,
//! the lowest first. Sizes are bytes.

use std::fmt;

use crate::PlanError;
use crate::size::parse_size;
use crate::text::quoted;

/// The block of made bodies: 1 MiB.
const BLOCK_BYTES: u64 = 1 << 20;
/// The largest made body: 1,024 GiB.
const LARGEST_BYTES: u64 = 1 << 40;
const SEED: u64 = 1;

/// The body of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// These bytes.
    Given(Vec<u8>),
    /// So many made bytes.
    Made {
        /// How many.
        size: u64,
    },
}

impl Body {
    /// Reads the size of a made body.
    pub fn parse_size(text: &str) -> Result<Self, PlanError> {
        let size = parse_size(text)?;
        if size > LARGEST_BYTES {
            return Err(PlanError::new(
                format!("{} is more than a body may have", quoted(text)),
                "at most 1024GiB",
            ));
        }
        Ok(Self::Made { size })
    }

    /// How many bytes it has.
    pub const fn size(&self) -> u64 {
        match self {
            Self::Given(bytes) => bytes.len() as u64,
            Self::Made { size } => *size,
        }
    }

    /// How many of them lie in memory.
    pub const fn memory_bytes(&self) -> u64 {
        let size = self.size();
        match self {
            Self::Made { .. } if size > BLOCK_BYTES => BLOCK_BYTES,
            _ => size,
        }
    }

    /// What the body begins with, and consists of when repeated: all of it, or the block.
    #[expect(clippy::missing_panics_doc, reason = "a block fits every address space")]
    pub fn block(&self) -> Vec<u8> {
        match self {
            Self::Given(bytes) => bytes.clone(),
            Self::Made { .. } => {
                let size = usize::try_from(self.memory_bytes()).expect("at most 1 MiB");
                made().take(size).collect()
            }
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Given(Vec::new())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A body may hold credentials as well as a header.
        write!(formatter, "{} bytes of body", self.size())
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014), byte by byte.
fn made() -> impl Iterator<Item = u8> {
    let mut state = SEED;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_body_has_its_size_and_little_memory() {
        for (text, size, memory) in [
            ("0", 0, 0),
            ("17", 17, 17),
            ("1MiB", 1 << 20, 1 << 20),
            ("10GiB", 10 << 30, 1 << 20),
            ("1024GiB", 1 << 40, 1 << 20),
        ] {
            let body = Body::parse_size(text).expect(text);
            assert_eq!((body.size(), body.memory_bytes()), (size, memory), "{text}");
            assert_eq!(body.block().len() as u64, memory, "{text}");
        }
        let message = Body::parse_size("1025GiB").expect_err("too large").to_string();
        assert!(message.contains("at most 1024GiB"), "{message}");
    }

    #[test]
    fn made_bodies_begin_alike_and_never_change() {
        let block = Body::Made { size: 4_096 }.block();
        assert_eq!(block[..8], 0x910a_2dec_8902_5cc1_u64.to_le_bytes(), "the first number from seed 1");
        assert!(Body::Made { size: 1 << 30 }.block().starts_with(&block));
        let mut counts = [0_u32; 256];
        for byte in &block {
            counts[usize::from(*byte)] += 1;
        }
        assert!(counts.iter().all(|count| (1..60).contains(count)), "not random enough: {counts:?}");
    }

    #[test]
    fn a_given_body_is_itself() {
        let body = Body::Given(b"{}".to_vec());
        assert_eq!((body.size(), body.memory_bytes(), body.block()), (2, 2, b"{}".to_vec()));
        assert_eq!(format!("{body:?}"), "2 bytes of body");
    }
}
