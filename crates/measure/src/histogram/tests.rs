//! Tests of the histogram: merge laws, quantiles against sorted samples and against the reference crate.

use proptest::prelude::*;

use super::*;
use crate::HIGHEST_NS;

/// Quantiles in millionths, so that the expected rank is computed in whole numbers.
const MILLIONTHS: &[u64] = &[
    0, 1, 1_000, 250_000, 500_000, 750_000, 900_000, 950_000, 990_000, 999_000, 999_900, 999_999, 1_000_000,
];

fn histogram_of(samples: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    for sample in samples {
        histogram.record(*sample);
    }
    histogram
}

fn merged(left: &Histogram, right: &Histogram) -> Histogram {
    let mut sum = left.clone();
    sum.merge(right);
    sum
}

/// Values of every magnitude, those beyond the layout included.
fn any_value() -> impl Strategy<Value = u64> {
    (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
}

/// Samples that cluster, so that buckets hold more than one.
fn any_samples() -> impl Strategy<Value = Vec<u64>> {
    let near = (0_u64..3, 0_u64..2_000).prop_map(|(center, offset)| center * 1_000_000 + offset);
    proptest::collection::vec(prop_oneof![any_value(), near], 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn merge_is_commutative_associative_and_has_an_identity(
        a in any_samples(), b in any_samples(), c in any_samples(),
    ) {
        let (ha, hb, hc) = (histogram_of(&a), histogram_of(&b), histogram_of(&c));
        prop_assert_eq!(merged(&ha, &hb), merged(&hb, &ha));
        prop_assert_eq!(merged(&merged(&ha, &hb), &hc), merged(&ha, &merged(&hb, &hc)));
        prop_assert_eq!(&merged(&ha, &Histogram::new()), &ha);
        prop_assert_eq!(&merged(&Histogram::new(), &ha), &ha);
    }

    #[test]
    fn merging_equals_recording_the_pooled_samples(a in any_samples(), b in any_samples()) {
        let pooled: Vec<u64> = a.iter().chain(&b).copied().collect();
        let expected = histogram_of(&pooled);
        let sum = merged(&histogram_of(&a), &histogram_of(&b));
        for q in MILLIONTHS {
            let quantile = *q as f64 / 1e6;
            prop_assert_eq!(sum.value_at_quantile(quantile), expected.value_at_quantile(quantile));
        }
        prop_assert_eq!(sum, expected);
    }

    #[test]
    fn intervals_absorbed_equal_samples_recorded(a in any_samples(), b in any_samples()) {
        let mut interval = IntervalHistogram::new();
        let mut total = Histogram::new();
        for part in [&a, &b] {
            for sample in part {
                interval.record(*sample);
            }
            total.absorb(&interval);
            interval.clear();
            prop_assert_eq!(&interval, &IntervalHistogram::new());
        }
        let pooled: Vec<u64> = a.iter().chain(&b).copied().collect();
        prop_assert_eq!(&total, &histogram_of(&pooled));
        total.clear();
        prop_assert_eq!(total, Histogram::new());
    }

    #[test]
    fn quantiles_are_the_ranked_samples_to_three_digits(samples in any_samples()) {
        prop_assume!(!samples.is_empty());
        let histogram = histogram_of(&samples);
        let mut sorted = samples;
        sorted.sort_unstable();
        let mut last = 0;
        for q in MILLIONTHS {
            let rank = (sorted.len() as u64 * q).div_ceil(1_000_000).max(1);
            let exact = sorted[usize::try_from(rank).unwrap() - 1];
            let value = histogram.value_at_quantile(*q as f64 / 1e6);
            prop_assert!(value >= exact || exact > HIGHEST_NS, "{value} is below the sample {exact}");
            prop_assert!(value - exact.min(value) <= exact / 1_000 || exact > HIGHEST_NS);
            prop_assert!(value >= last, "quantiles decrease");
            prop_assert!((sorted[0]..=sorted[sorted.len() - 1]).contains(&value));
            last = value;
        }
        prop_assert_eq!(last, sorted[sorted.len() - 1]);
        prop_assert_eq!(histogram.value_at_quantile(0.0), sorted[0]);
    }

    #[test]
    fn quantiles_agree_with_the_reference_crate(samples in proptest::collection::vec(1_u64..HIGHEST_NS, 2..100)) {
        let mut reference = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HIGHEST_NS, 3).unwrap();
        for sample in &samples {
            reference.record(*sample).unwrap();
        }
        let ours = histogram_of(&samples);
        for quantile in [0.25, 0.5, 0.75, 0.9, 0.99] {
            let theirs = reference.value_at_quantile(quantile);
            let least = samples.iter().copied().min().unwrap();
            let greatest = samples.iter().copied().max().unwrap();
            let rank_is_first = quantile * samples.len() as f64 <= 1.0;
            let expected = if rank_is_first { least } else { theirs.clamp(least, greatest) };
            prop_assert_eq!(ours.value_at_quantile(quantile), expected);
        }
    }

    #[test]
    fn counts_on_both_sides_of_a_value_add_up(samples in any_samples(), limit in any_value()) {
        let histogram = histogram_of(&samples);
        let below = histogram.count_at_or_below(limit);
        prop_assert_eq!(below + histogram.count_above(limit), samples.len() as u64);
        let exactly = samples.iter().filter(|sample| **sample <= limit).count() as u64;
        let widened = samples.iter().filter(|sample| index_of(**sample) <= index_of(limit)).count() as u64;
        prop_assert!((exactly..=widened).contains(&below));
    }

    #[test]
    fn buckets_and_figures_rebuild_the_histogram(samples in any_samples()) {
        let histogram = histogram_of(&samples);
        let buckets = histogram.iter_recorded().map(|bucket| (bucket.index as u64, bucket.count));
        prop_assert_eq!(&Histogram::from_buckets(buckets, histogram.exact()).unwrap(), &histogram);
    }
}

#[test]
fn an_empty_histogram_is_all_zero() {
    let empty = Histogram::new();
    assert_eq!(empty.exact(), Exact::default());
    assert_eq!(empty.value_at_quantile(0.5), 0);
    assert_eq!((empty.count_at_or_below(9), empty.count_above(0)), (0, 0));
    assert!(empty.mean_ns().abs() < f64::EPSILON && empty.stddev_ns().abs() < f64::EPSILON);
    assert_eq!(empty.iter_recorded().count(), 0);
}

#[test]
fn figures_are_exact_where_buckets_are_not() {
    let samples = [1_000_003, 2_000_007, 5_000_000_000_000_000, 17];
    let histogram = histogram_of(&samples);
    assert_eq!(histogram.sum_ns(), samples.iter().map(|s| u128::from(*s)).sum());
    assert_eq!((histogram.min_ns(), histogram.max_ns()), (17, 5_000_000_000_000_000));
    assert_eq!(histogram.value_at_quantile(1.0), 5_000_000_000_000_000);
    assert_eq!(histogram.value_at_quantile(0.25), 17);
}

#[test]
fn ranks_are_not_pushed_up_by_rounding() {
    // 0.999 × 1,000 and the like are not whole in binary; the rank must be 999 all the same.
    for (quantile, count, rank) in [
        (0.999, 1_000, 999),
        (0.99, 100, 99),
        (0.9999, 10_000, 9_999),
        (0.95, 20, 19),
        (0.07, 100, 7),
        (0.5, 3, 2),
        (0.0, 5, 1),
        (1.0, 5, 5),
        (7.0, 5, 5),
        (-1.0, 5, 1),
        (f64::NAN, 5, 1),
    ] {
        assert_eq!(rank_of(quantile, count), rank, "{quantile} of {count}");
    }
}

#[test]
fn mean_and_deviation_follow_the_textbook() {
    let histogram = histogram_of(&[2, 4, 4, 4, 5, 5, 7, 9]);
    assert!((histogram.mean_ns() - 5.0).abs() < 1e-12);
    assert!((histogram.stddev_ns() - 2.0).abs() < 1e-12);
}

#[test]
fn counts_saturate_instead_of_wrapping() {
    let mut histogram = Histogram::new();
    histogram.record_many(5, u64::MAX);
    histogram.record_many(5, 0);
    histogram.record(5);
    assert_eq!(histogram.count(), u64::MAX);
    assert_eq!(histogram.value_at_quantile(0.5), 5);
}

#[test]
fn figures_that_contradict_the_buckets_are_refused() {
    let exact = Exact { count: 2, sum_ns: 30, min_ns: 10, max_ns: 20 };
    let buckets = [(10, 1), (20, 1)];
    assert!(Histogram::from_buckets(buckets, exact).is_ok());
    for (wrong, figure) in [
        (Exact { count: 3, ..exact }, "count"),
        (Exact { min_ns: 11, ..exact }, "min"),
        (Exact { max_ns: 21, ..exact }, "max"),
        (Exact { sum_ns: 19, ..exact }, "sum"),
        (Exact { sum_ns: 41, ..exact }, "sum"),
    ] {
        assert_eq!(Histogram::from_buckets(buckets, wrong), Err(MeasureError::Contradiction { figure }));
    }
    let none = Histogram::from_buckets([], Exact { max_ns: 1, ..Exact::default() });
    assert_eq!(none, Err(MeasureError::Contradiction { figure: "max" }));
    let beyond = Histogram::from_buckets([(BUCKET_COUNT as u64, 1)], exact);
    assert_eq!(beyond, Err(MeasureError::BucketOutOfRange { index: BUCKET_COUNT as u64 }));
}
