//! Hot path. The mixing function under every order, and seeds that differ by name.
//!
//! What it is: the generator `SplitMix64` with its output function (Stafford's thirteenth variant), from G. L. Steele,
//! D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014). Its n-th output is a function
//! of the seed and n, which is all that is used here.
//! What it is not: a cipher. Nothing secret may rest on it.

/// What the generator's state grows by: the golden ratio.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A bijection of 64-bit numbers whose outputs look unrelated.
#[inline]
pub(crate) const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Output `number`, from 0, of the generator that begins with `seed`.
#[inline]
pub(crate) const fn output(seed: u64, number: u64) -> u64 {
    mix(seed.wrapping_add(number.wrapping_add(1).wrapping_mul(STEP)))
}

/// A number below `bound` from an evenly spread one. The spread is off by at most `bound` in 2⁶⁴.
#[inline]
pub(crate) const fn below(bound: u64, random: u64) -> u64 {
    ((random as u128 * bound as u128) >> 64) as u64
}

/// The seed of what is called `name` in a run with the seed `run_seed`, so that two data files of the same length are not
/// shuffled alike.
pub fn seed_for(run_seed: u64, name: &str) -> u64 {
    name.bytes().fold(output(run_seed, 0), |seed, byte| output(seed, u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the authors' generator for the seed 1234567.
    #[test]
    fn gives_the_known_answers() {
        let answers = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(output(1_234_567, number as u64), answer);
        }
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        for bound in [1, 2, 3, 1 << 40] {
            assert_eq!(below(bound, 0), 0);
            assert_eq!(below(bound, u64::MAX), bound - 1);
        }
    }

    #[test]
    fn seeds_differ_by_name_and_by_run() {
        let seeds = [seed_for(1, ""), seed_for(1, "users"), seed_for(1, "sresu"), seed_for(2, "users")];
        for (index, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..index].contains(seed));
        }
        assert_eq!(seed_for(1, "users"), seeds[1]);
    }
}
