//! Numbers that follow from a seed alone: `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
//!
//! What it is: the choices of tests whose seeds are printed, and the bytes of which made-up bodies consist. What it is not: the
//! product's own.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of that seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next one.
    pub const fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the numbers below `end`, which is above 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }
}
