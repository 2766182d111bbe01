//! Hot path. Randomness that is computed from where it is drawn, and the laws that think times and sizes follow.
//!
//! A draw follows from (seed, workload, slot, number of the draw) alone, through Philox 2×64-10 (Salmon, Moraes, Dror and Shaw,
//! "Parallel random numbers: as easy as 1, 2, 3", SC 2011), so that an iteration draws the same on whichever shard it runs.
//! It is no cipher; nothing secret may rest on it.

use crate::syntax::Think;

/// What all draws of one workload have in common.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// The key of a workload, by its number in the plan, under the plan's seed.
    pub fn new(seed: u64, workload: u32) -> Self {
        Self(philox([u64::from(workload), 0x5ce4_a710], seed)[0])
    }
}

/// The draws of one iteration.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Draws {
    key: Key,
    slot: u64,
    number: u64,
}

impl Draws {
    pub(crate) const fn new(key: Key, slot: u64) -> Self {
        Self { key, slot, number: 0 }
    }

    /// The next two uniform numbers.
    pub(crate) fn pair(&mut self) -> [u64; 2] {
        self.number += 1;
        philox([self.slot, self.number], self.key.0)
    }

    /// Two uniform numbers that no other draw of the iteration gives, and that change none of them.
    pub(crate) fn aside(&self) -> [u64; 2] {
        philox([self.slot, u64::MAX - self.number], self.key.0)
    }

    /// A uniform number below `bound`; 0 when there is none.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // Uneven by less than bound ÷ 2^64: beyond what any number of draws can show.
        ((u128::from(self.pair()[0]) * u128::from(bound)) >> 64) as u64
    }

    /// A whole number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = (i128::from(high) - i128::from(low) + 1).max(1);
        let offset = (u128::from(self.pair()[0]) * span.unsigned_abs()) >> 64;
        low.wrapping_add_unsigned(u64::try_from(offset).unwrap_or_default())
    }

    /// How long to rest.
    pub(crate) fn think(&mut self, law: Think) -> u64 {
        match law {
            Think::Constant { ns } => ns,
            Think::Uniform { low_ns, high_ns } => self.uniform(low_ns, high_ns),
            Think::Exponential { mean_ns } => self.exponential(mean_ns),
            Think::Normal { mean_ns, deviation_ns } => self.normal(mean_ns, deviation_ns),
        }
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn uniform(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low);
        low + self.below(span.saturating_add(1))
    }

    /// A number of the exponential law, at most ten times its mean.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        let [uniform, _] = self.pair();
        bounded(-open_unit(uniform).ln() * mean as f64, mean)
    }

    /// A number of the normal law, between nothing and ten times its mean.
    pub(crate) fn normal(&mut self, mean: u64, deviation: u64) -> u64 {
        // Box and Muller: two uniform numbers give a normal one.
        let [first, second] = self.pair();
        let radius = (-2.0 * open_unit(first).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * open_unit(second)).cos();
        bounded(normal.mul_add(deviation as f64, mean as f64), mean)
    }

    /// Fills memory with uniform bytes. They follow from one draw, whatever the length.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        let [mut state, _] = self.pair();
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64 (Steele, Lea, Flood 2014): a few operations for eight bytes, and no law that a compressor finds.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let word = (mixed ^ (mixed >> 31)).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// A number above 0 and at most 1, from 53 bits.
fn open_unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// Between nothing and ten times the mean.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of the mean"
)]
fn bounded(number: f64, mean: u64) -> u64 {
    (number.max(0.0) as u64).min(mean.saturating_mul(10))
}

/// The output of the generator for `counter` under `key`: ten rounds of one multiplication.
#[expect(clippy::cast_possible_truncation, reason = "the low half of the product is meant")]
fn philox([mut left, mut right]: [u64; 2], mut key: u64) -> [u64; 2] {
    for _ in 0..10 {
        let product = u128::from(0xD2B7_4407_B1CE_6E93_u64) * u128::from(left);
        left = (product >> 64) as u64 ^ key ^ right;
        right = product as u64;
        key = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    }
    [left, right]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_known_answers() {
        assert_eq!(philox([0, 0], 0), [0xca00_a045_9843_d731, 0x66c2_4222_c9a8_45b5]);
        assert_eq!(philox([u64::MAX, u64::MAX], u64::MAX), [0x65b0_21d6_0cd8_310f, 0x4d02_f322_2f86_df20]);
    }

    #[test]
    fn draws_stay_within_their_bounds_and_reach_them() {
        let mut draws = Draws::new(Key::new(1, 2), 3);
        let dice: Vec<i64> = (0..1_000).map(|_| draws.between(-2, 3)).collect();
        assert_eq!((dice.iter().min(), dice.iter().max()), (Some(&-2), Some(&3)));
        assert_eq!(draws.between(7, 7), 7);
        assert_eq!(draws.below(1), 0);
        let whole: Vec<i64> = (0..100).map(|_| draws.between(i64::MIN, i64::MAX)).collect();
        assert!(whole.iter().any(|&value| value < 0) && whole.iter().any(|&value| value > 0));
        let again = |slot| Draws::new(Key::new(1, 2), slot).pair();
        assert_eq!(again(9), again(9));
        assert_ne!(again(9), again(10));
        assert_ne!(Key::new(1, 2), Key::new(1, 3));
    }

    #[test]
    fn made_up_bytes_are_uniform_and_the_same_for_the_same_draw() {
        let made = |slot, length| {
            let mut bytes = vec![0; length];
            Draws::new(Key::new(1, 2), slot).fill(&mut bytes);
            bytes
        };
        let bytes = made(3, 100_003);
        assert_eq!(made(3, 4_001), bytes[..4_001]);
        assert_ne!(made(4, 8), bytes[..8]);
        let mut counts = [0_u32; 256];
        for byte in bytes {
            counts[usize::from(byte)] += 1;
        }
        // Each is expected 390.6 times, ± 19.7: six standard deviations.
        assert!(counts.iter().all(|count| (272..=509).contains(count)), "{counts:?}");
    }

    #[test]
    fn think_times_follow_their_laws() {
        const MEAN: u64 = 1_000_000;
        let mean_and_deviation = |law| {
            let mut draws = Draws::new(Key::new(42, 0), 0);
            let times: Vec<f64> = (0..40_000).map(|_| draws.think(law) as f64).collect();
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / times.len() as f64;
            assert!(times.iter().all(|&time| time <= 10.0 * MEAN as f64));
            (mean / MEAN as f64, variance.sqrt() / MEAN as f64)
        };
        for (law, mean, deviation) in [
            (Think::Constant { ns: MEAN }, 1.0, 0.0),
            (Think::Uniform { low_ns: 0, high_ns: 2 * MEAN }, 1.0, 0.577),
            (Think::Exponential { mean_ns: MEAN }, 1.0, 1.0),
            (Think::Normal { mean_ns: MEAN, deviation_ns: MEAN / 5 }, 1.0, 0.2),
        ] {
            let found = mean_and_deviation(law);
            assert!(
                (found.0 - mean).abs() < 0.02 && (found.1 - deviation).abs() < 0.02,
                "{law:?}: {found:?}"
            );
        }
    }
}
