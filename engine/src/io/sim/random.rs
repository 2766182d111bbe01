//! A small counter-based generator: the n-th draw depends on the seed and n only.
//!
//! What it is not: fit for secrets, or for the schedule, which has its own.

/// Draws that a seed determines.
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    /// The generator of that seed.
    pub fn new(seed: u64) -> Self {
        Self { seed: mix(seed ^ 0x6A09_E667_F3BC_C909), drawn: 0 }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.drawn += 1;
        mix(self.seed.wrapping_add(self.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// A number from 0 to `bound`, both included.
    pub fn up_to(&mut self, bound: u64) -> u64 {
        // The high half of a 64 × 64 bit product; its bias, below 2^-40 for the bounds in use, does not matter.
        // The high half always fits.
        let product = u128::from(self.next_u64()) * (u128::from(bound) + 1);
        u64::try_from(product >> 64).unwrap_or(bound)
    }

    /// True `per_million` times in a million.
    pub fn chance(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.up_to(999_999) < u64::from(per_million)
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014).
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_the_seed_and_fill_the_range() {
        let mut one = Random::new(1);
        let mut again = Random::new(1);
        let mut other = Random::new(2);
        let drawn: Vec<u64> = (0..10_000).map(|_| one.up_to(9)).collect();
        assert!((0..10_000).map(|_| again.up_to(9)).eq(drawn.iter().copied()));
        assert!(!(0..10_000).map(|_| other.up_to(9)).eq(drawn.iter().copied()));
        for number in 0..10 {
            let count = drawn.iter().filter(|drawn| **drawn == number).count();
            // Five standard deviations of a fair draw are 150.
            assert!((850..=1_150).contains(&count), "{number} was drawn {count} times of 1000");
        }
    }

    #[test]
    fn chances_are_kept_at_the_edges() {
        let mut random = Random::new(3);
        assert!((0..1_000).all(|_| !random.chance(0)));
        assert!((0..1_000).all(|_| random.chance(1_000_000)));
        let hits = (0..100_000).filter(|_| random.chance(250_000)).count();
        assert!((24_000..=26_000).contains(&hits));
    }
}
