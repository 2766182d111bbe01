//! Hot path. Philox 2×64-10, a counter-based generator: a keyed bijection of 128-bit counters whose outputs pass
//! as uniform.
//!
//! From J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3"
//! (SC 2011). There is no state to carry: any output is computed from its counter, in integers alone, and is
//! therefore the same on every machine. It is no cipher; nothing secret may rest on it.

/// The multiplier of the 2×64 form.
const MULTIPLIER: u64 = 0xD2B7_4407_B1CE_6E93;
/// What the key grows by from round to round: the golden ratio.
const KEY_STEP: u64 = 0x9E37_79B9_7F4A_7C15;
/// Rounds; six already pass the authors' tests, ten are their recommendation.
const ROUND_COUNT: u32 = 10;

/// The output for `counter` under `key`.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low half of the product is meant")]
pub(crate) fn philox(counter: [u64; 2], mut key: u64) -> [u64; 2] {
    let [mut left, mut right] = counter;
    for _ in 0..ROUND_COUNT {
        let product = u128::from(MULTIPLIER) * u128::from(left);
        left = (product >> 64) as u64 ^ key ^ right;
        right = product as u64;
        key = key.wrapping_add(KEY_STEP);
    }
    [left, right]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with their reference implementation.
    #[test]
    fn gives_the_known_answers() {
        for (counter, key, answer) in [
            ([0, 0], 0, [0xca00_a045_9843_d731, 0x66c2_4222_c9a8_45b5]),
            ([u64::MAX, u64::MAX], u64::MAX, [0x65b0_21d6_0cd8_310f, 0x4d02_f322_2f86_df20]),
            (
                [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344],
                0xa409_3822_299f_31d0,
                [0x0a5e_742c_2997_341c, 0xb0f8_83d3_8000_de5d],
            ),
        ] {
            assert_eq!(philox(counter, key), answer);
        }
    }
}
