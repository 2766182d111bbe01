//! Poisson arrivals: the law, by fixed seeds, and the bits, by pinned values.

use std::sync::Arc;

use super::*;
use crate::{Arrival, Arrivals, Cells, Phase, Process, Profile, Rate};

const SECOND_NS: u64 = 1_000_000_000;

fn plan(profile: &Arc<Profile>, seed: u64, cells: &Cells) -> Vec<Arrival> {
    Arrivals::new(Arc::clone(profile), Process::Poisson { seed }, cells).collect()
}

/// The Kolmogorov–Smirnov distance between `samples` and the uniform law on [0, 1), times √n. It exceeds 1.63 in
/// one of a hundred true samples.
fn uniform_distance(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let count = samples.len() as f64;
    let off = samples.iter().zip(0_u32..).map(|(&sample, rank)| {
        let (below, above) = (f64::from(rank) / count, (f64::from(rank) + 1.0) / count);
        (sample - below).abs().max((above - sample).abs())
    });
    off.fold(0.0, f64::max) * count.sqrt()
}

/// The distance of the times between arrivals from the exponential law of this rate.
fn exponential_distance(arrivals: &[Arrival], per_second: f64) -> f64 {
    let gaps = arrivals.windows(2).map(|pair| (pair[1].due_ns - pair[0].due_ns) as f64 / 1e9);
    uniform_distance(gaps.map(|gap| 1.0 - (-gap * per_second).exp()).collect())
}

/// How counts per window spread around the mean of a Poisson law, as a chi-square statistic brought to mean 0 and
/// deviation 1: Σ (n − m)² / m has one degree of freedom for each window.
fn count_deviation(arrivals: &[Arrival], window_ns: u64, windows: usize, mean: f64) -> f64 {
    let mut counts = vec![0_u32; windows];
    for arrival in arrivals {
        counts[usize::try_from(arrival.due_ns / window_ns).unwrap()] += 1;
    }
    let chi_square: f64 = counts.iter().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum();
    (chi_square - windows as f64) / (2.0 * windows as f64).sqrt()
}

#[test]
fn gaps_are_exponential() {
    for (seed, share, of) in [(1, 1, 1), (2, 1, 1), (3, 2, 2), (4, 7, 7), (5, 500, 997)] {
        let rate = 300_000 / of;
        let profile =
            Arc::new(Profile::constant(Rate::per_second(300_000), SECOND_NS / 4 * u64::from(of)).unwrap());
        let cells = Cells::share(share, of).unwrap();
        // Long enough for many blocks, and cut to a size at which the test discriminates.
        let arrivals: Vec<_> =
            Arrivals::new(profile, Process::Poisson { seed }, &cells).take(50_000).collect();
        let per_second = 300_000.0 * f64::from(cells.count()) / f64::from(CELL_COUNT);
        assert!((per_second / f64::from(rate) - 1.0).abs() < 0.02);
        let distance = exponential_distance(&arrivals, per_second);
        assert!(distance < 1.63, "seed {seed}, share {share}/{of}: {distance}");
    }
}

#[test]
fn counts_spread_as_poisson() {
    let profile = Arc::new(Profile::constant(Rate::per_second(200_000), SECOND_NS).unwrap());
    for seed in [11, 12, 13] {
        let arrivals = plan(&profile, seed, &Cells::all());
        let total_off = (arrivals.len() as f64 - 200_000.0) / 200_000_f64.sqrt();
        assert!(total_off.abs() < 3.0, "seed {seed}: {total_off} deviations off in total");
        for (window_ns, windows, mean) in [(1_000_000, 1_000, 200.0), (10_000, 100_000, 2.0)] {
            let off = count_deviation(&arrivals, window_ns, windows, mean);
            assert!(off.abs() < 3.0, "seed {seed}, windows of {window_ns} ns: {off} deviations");
        }
    }
}

/// Σ (n − W)² / W over blocks is chi-square with a degree of freedom for each.
#[test]
fn blocks_hold_as_many_arrivals_as_poisson() {
    let mean = f64::from(CELL_COUNT);
    let blocks = (0..10).flat_map(|seed| (0..10).map(move |block| (seed, block * 1_000_003)));
    let totals = blocks.map(|(seed, block)| {
        let total = crate::cells::all_cells().map(|cell| draw::count(seed, cell, block)).sum::<usize>();
        total as f64 - mean
    });
    let totals: Vec<f64> = totals.collect();
    let chi_square = totals.iter().map(|off| off * off / mean).sum::<f64>();
    let spread = (chi_square - 100.0) / 200_f64.sqrt();
    assert!(spread.abs() < 3.0, "spread: {spread} deviations");
    let bias = totals.iter().sum::<f64>() / (100.0 * mean).sqrt();
    assert!(bias.abs() < 3.0, "bias: {bias} deviations");
}

#[test]
fn the_tests_of_fit_can_fail() {
    let profile = Arc::new(Profile::constant(Rate::per_second(200_000), SECOND_NS).unwrap());
    let even: Vec<_> = Arrivals::new(Arc::clone(&profile), Process::Deterministic, &Cells::all()).collect();
    assert!(exponential_distance(&even, 200_000.0) > 10.0);
    assert!(count_deviation(&even, 1_000_000, 1_000, 200.0) < -3.0);
    let poisson = plan(&profile, 11, &Cells::all());
    assert!(exponential_distance(&poisson, 206_000.0) > 1.63, "a rate 3 % off is noticed");
}

#[test]
fn a_ramp_drives_the_rate() {
    let (from, to) = (Rate::per_second(0), Rate::per_second(200_000));
    let profile = Arc::new(Profile::new(vec![Phase { duration_ns: SECOND_NS, from, to }]).unwrap());
    let arrivals = plan(&profile, 21, &Cells::all());
    // Brought back to operational time, the arrivals are uniform.
    let places = arrivals.iter().map(|arrival| (arrival.due_ns as f64 / 1e9).powi(2)).collect();
    let distance = uniform_distance(places);
    assert!(distance < 1.63, "{distance}");
    let total_off = (arrivals.len() as f64 - 100_000.0) / 100_000_f64.sqrt();
    assert!(total_off.abs() < 3.0, "{total_off}");
}

#[test]
fn seeds_and_shares_are_independent() {
    let profile = Arc::new(Profile::constant(Rate::per_second(100_000), SECOND_NS).unwrap());
    let of_seed = |seed| plan(&profile, seed, &Cells::all());
    let (one, other) = (of_seed(1), of_seed(2));
    let counts = |arrivals: &[Arrival]| {
        let mut counts = vec![0.0; 1_000];
        for arrival in arrivals {
            counts[usize::try_from(arrival.due_ns / 1_000_000).unwrap()] += 1.0;
        }
        counts
    };
    let correlation = |left: &[f64], right: &[f64], mean: f64| {
        let products = left.iter().zip(right).map(|(left, right)| (left - mean) * (right - mean));
        products.sum::<f64>() / (left.len() as f64 * mean)
    };
    // Deviation 1 / √1000.
    let seeds = correlation(&counts(&one), &counts(&other), 100.0);
    assert!(seeds.abs() < 0.1, "{seeds}");
    let halves = [1, 2].map(|index| counts(&plan(&profile, 1, &Cells::share(index, 2).unwrap())));
    let halves = correlation(&halves[0], &halves[1], 50.0);
    assert!(halves.abs() < 0.1, "{halves}");
}

#[test]
fn places_map_to_their_operational_time() {
    let place = |block, fraction| Place { block, fraction, cell: 3, ordinal: 2 };
    assert_eq!(place(0, 0).quanta(), 0);
    assert_eq!(place(5, 0).quanta(), 5 * QUANTA_PER_BLOCK);
    assert_eq!(place(0, 1 << 63).quanta(), QUANTA_PER_BLOCK / 2);
    assert!(place(5, u64::MAX).quanta() < 6 * QUANTA_PER_BLOCK);
    assert_eq!(place(5, 0).slot(), (5 * 32 + 2) * 55_440 + 3);
    // The last block that a profile can reach still has its slots.
    let last = u64::try_from(u128::from(crate::ARRIVALS_MAX) / u128::from(CELL_COUNT)).unwrap() + 2;
    assert_eq!(place(last, 0).slot() % u64::from(CELL_COUNT), 3);
}

/// A few cells at a time, where blocks are often empty, against the blocks written out cell by cell.
#[test]
fn few_cells_yield_every_arrival_of_every_block() {
    for cells in [vec![0], vec![55_439], vec![1, 2, 3], (0..40).collect()] {
        let cells: Cells = cells.into_iter().collect();
        let mut expected = Vec::new();
        let mut buffer = [0; ARRIVALS_PER_BLOCK_MAX];
        for block in 0..200 {
            for cell in cells.iter() {
                let count = draw::fractions(77, cell, block, &mut buffer);
                let drawn = buffer[..count].iter().zip(0..);
                expected.extend(drawn.map(|(&fraction, ordinal)| Place { block, fraction, cell, ordinal }));
            }
        }
        expected.sort_unstable();
        let mut poisson = Poisson::new(77, cells.sorted());
        for place in expected {
            assert_eq!(poisson.current(), Some((place.slot(), place.quanta())));
            poisson.advance();
        }
    }
}

/// The bits themselves: a change here changes every seeded run that anyone has kept.
#[test]
fn arrivals_are_pinned() {
    let profile = Arc::new(Profile::constant(Rate::per_second(50_000), 3 * SECOND_NS).unwrap());
    let arrivals = plan(&profile, 42, &Cells::all());
    let digest = arrivals.iter().fold(0_u64, |digest, arrival| {
        let [mixed, _] = crate::philox::philox([digest ^ arrival.due_ns, arrival.slot], 0);
        mixed
    });
    let first: Vec<_> = arrivals.iter().take(3).map(|arrival| (arrival.slot, arrival.due_ns)).collect();
    assert_eq!(
        (arrivals.len(), first, digest),
        (150_947, vec![(51_969, 108_932), (33_172, 174_753), (14_083, 207_434)], 189_346_105_065_086_909)
    );
}
