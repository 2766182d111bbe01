//! The exact integral against products of 192 bits, and the inverse against the integral.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::proptest_config::cases;

/// `wide` × `narrow`, as the bits above the lowest 64 and those 64.
fn product(wide: u128, narrow: u64) -> (u128, u64) {
    let mask = u128::from(u64::MAX);
    let low = (wide & mask) * u128::from(narrow);
    let high = (wide >> 64) * u128::from(narrow) + (low >> 64);
    (high, u64::try_from(low & mask).unwrap())
}

/// How the true, unrounded integral at `elapsed_ns` compares with `quanta`, without dividing.
fn compare_exactly(segment: &Segment, elapsed_ns: u64, quanta: u128) -> Ordering {
    let level = 2 * u128::from(segment.from) * u128::from(elapsed_ns);
    let bend = u128::from(segment.from.abs_diff(segment.to)) * u128::from(elapsed_ns);
    let bend = product(bend, elapsed_ns);
    if segment.to >= segment.from {
        // level + bend / ramp ? quanta
        match quanta.checked_sub(level) {
            None => Ordering::Greater,
            Some(missing) => bend.cmp(&product(missing, segment.ramp_ns)),
        }
    } else {
        // level - bend / ramp ? quanta
        match level.checked_sub(quanta) {
            None => Ordering::Less,
            Some(surplus) => product(surplus, segment.ramp_ns).cmp(&bend),
        }
    }
}

/// Lines from a nanosecond to months, from nothing to 10 million per second.
fn segments() -> impl Strategy<Value = Segment> {
    let rate = || prop_oneof![Just(0_u64), 1..1_000_u64, 1..10_000_000_000_u64, 1..=10_000_000_000_000_u64];
    let duration = prop_oneof![1..1_000_u64, 1..60_000_000_000_u64, 1..10_000_000_000_000_000_u64];
    (rate(), rate(), duration, 0.0..=1.0).prop_map(|(from, to, ramp_ns, part)| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a duration")]
        let length_ns = ((ramp_ns as f64 * part) as u64).clamp(1, ramp_ns);
        Segment::new((0, 0), length_ns, (from, to, ramp_ns)).unwrap()
    })
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn integral_is_the_true_one_rounded_down(segment in segments(), part in 0_u64..=1_000) {
        let elapsed_ns = u64::try_from(u128::from(segment.length_ns) * u128::from(part) / 1_000).unwrap();
        let quanta = segment.quanta_at(elapsed_ns);
        prop_assert_ne!(compare_exactly(&segment, elapsed_ns, quanta), Ordering::Less);
        prop_assert_eq!(compare_exactly(&segment, elapsed_ns, quanta + 1), Ordering::Less);
    }

    #[test]
    fn inverse_is_the_first_nanosecond_that_reaches(segment in segments(), part in 0_u64..=1_000, near in 0_u128..3) {
        let total = segment.quanta_after;
        let quanta = (total / 1_000 * u128::from(part) + near).min(total);
        let elapsed_ns = segment.elapsed_at(quanta);
        prop_assert!(elapsed_ns <= segment.length_ns);
        prop_assert_ne!(compare_exactly(&segment, elapsed_ns, quanta), Ordering::Less);
        if let Some(earlier_ns) = elapsed_ns.checked_sub(1) {
            prop_assert_eq!(compare_exactly(&segment, earlier_ns, quanta), Ordering::Less);
        }
    }

    #[test]
    fn inverse_holds_at_either_end(segment in segments(), from_end in 0_u64..50) {
        for elapsed_ns in [from_end, segment.length_ns.saturating_sub(from_end)] {
            let elapsed_ns = elapsed_ns.min(segment.length_ns);
            let quanta = segment.quanta_at(elapsed_ns);
            let first_ns = segment.elapsed_at(quanta);
            prop_assert!(first_ns <= elapsed_ns);
            prop_assert_eq!(segment.quanta_at(first_ns), quanta);
            prop_assert!(first_ns == 0 || segment.quanta_at(first_ns - 1) < quanta);
        }
    }
}

#[test]
fn whole_ramps_have_whole_quanta() {
    for (from, to, ramp_ns) in [(0, 1, 1), (1, 0, 1), (3, 8, 7), (9, 2, 1_000_003)] {
        let segment = Segment::new((5, 100), ramp_ns, (from, to, ramp_ns)).unwrap();
        assert_eq!(segment.quanta_after - 100, u128::from(from + to) * u128::from(ramp_ns));
    }
}

#[test]
fn refuses_a_line_beyond_128_bits() {
    assert_eq!(Segment::new((0, 0), u64::MAX, (u64::MAX, u64::MAX, u64::MAX)), None);
    assert_eq!(Segment::new((0, 0), 1, (u64::MAX, 0, u64::MAX)), None);
}
