//! Tests of packed sums: nothing is lost, addition equals the merge, and no bytes do harm.

use measure::{
    BUCKET_COUNT, CheckCounts, GroupTotals, Histogram, NameTotals, ShardTotals, StatusCounts, WorkloadTotals,
};
use proptest::prelude::*;

use super::*;

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let value = (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift);
    let many = prop_oneof![Just(1_u64), 1_u64..300, any::<u32>().prop_map(u64::from)];
    proptest::collection::vec((value, many), 0..40).prop_map(|samples| {
        let mut histogram = Histogram::new();
        for (value, count) in samples {
            histogram.record_many(value, count);
        }
        histogram
    })
}

/// Counts among which many are zero, and some large.
fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0_u64..300, any::<u64>()]
}

fn any_status() -> impl Strategy<Value = StatusCounts> {
    proptest::collection::vec((any::<u16>(), any_count()), 0..9).prop_map(|codes| {
        let mut status = StatusCounts::default();
        for (code, count) in codes {
            status.add(code % 1_200, count);
        }
        status
    })
}

fn any_array<const N: usize>() -> impl Strategy<Value = [u64; N]> {
    proptest::collection::vec(any_count(), N)
        .prop_map(|counts| counts.try_into().expect("as many as were asked for"))
}

fn any_counters() -> impl Strategy<Value = Counters> {
    (any_array::<12>(), any_array(), any_array(), any_status()).prop_map(
        |(plain, dropped, errors, status)| {
            let [scheduled, sent, ok, cut_off, unassigned, rest @ ..] = plain;
            let [bytes_sent, bytes_received, connects, connects_failed, rest @ ..] = rest;
            let [tls_resumed, closed_idle, unsolicited] = rest;
            let (dropped, errors) = (dropped, errors);
            Counters {
                scheduled,
                sent,
                ok,
                cut_off,
                unassigned,
                dropped,
                errors,
                status,
                bytes_sent,
                bytes_received,
                connects,
                connects_failed,
                tls_resumed,
                closed_idle,
                unsolicited,
            }
        },
    )
}

fn any_name() -> impl Strategy<Value = NameTotals> {
    let histograms = (any_histogram(), any_histogram(), any_histogram());
    (any_array::<3>(), any_array(), any_array(), any_status(), histograms).prop_map(
        |([sent, ok_count, cut_off], dropped, errors, status, (ok, failed, service))| NameTotals {
            sent,
            ok_count,
            cut_off,
            dropped,
            errors,
            status,
            ok,
            failed,
            service,
        },
    )
}

fn any_iterations() -> impl Strategy<Value = measure::IterationCounters> {
    (any_array::<5>(), any_array(), any_array()).prop_map(
        |([scheduled, begun, unassigned, completed, cut_off], dropped, failed)| measure::IterationCounters {
            scheduled,
            begun,
            dropped,
            unassigned,
            completed,
            failed,
            cut_off,
        },
    )
}

fn any_totals() -> impl Strategy<Value = Totals> {
    let workload = (any_iterations(), any_iterations(), any_histogram(), any_histogram()).prop_map(
        |(iterations, warmup, completed, failed)| WorkloadTotals { iterations, warmup, completed, failed },
    );
    let group = (any_array(), any_histogram(), any_histogram())
        .prop_map(|([ok, failed], duration, busy)| GroupTotals { ok, failed, duration, busy });
    let check = any_array().prop_map(|[passed, failed]| CheckCounts { passed, failed });
    let shard = (any_array(), any_histogram()).prop_map(|(counts, lag)| {
        let [scheduled, sent, completed, cpu_ns, core_wait_ns, covered_ns] = counts;
        ShardTotals {
            scheduled,
            sent,
            completed,
            cpu_ns,
            core_wait_ns,
            covered_ns,
            lag,
            ..Default::default()
        }
    });
    let lists = (
        proptest::collection::vec(any_name(), 2),
        proptest::collection::vec(workload, 1),
        proptest::collection::vec(group, 1),
        proptest::collection::vec(check, 2),
        proptest::collection::vec(shard, 0..3),
    );
    let kinds = proptest::collection::vec(any_histogram(), 5);
    (any_counters(), any_counters(), kinds, lists).prop_map(|(counters, warmup, kinds, lists)| {
        let [lag, queue, connect, tls, first_byte] = kinds.try_into().expect("five kinds");
        let (names, workloads, groups, checks, mut shards) = lists;
        for (number, shard) in (0..).zip(&mut shards) {
            (shard.node, shard.shard) = (number / 2, number % 2);
        }
        let sums = Totals { counters, warmup, lag, queue, connect, tls, first_byte, ..Totals::default() };
        Totals { names, workloads, groups, checks, shards, ..sums }
    })
}

/// The outline, from sums that are not packed.
fn outline_of(totals: &Totals) -> Outline {
    let of_names = |pick: fn(&NameTotals) -> u64| {
        totals.names.iter().fold(0_u64, |sum, name| sum.saturating_add(pick(name)))
    };
    let shared = [&totals.lag, &totals.queue, &totals.connect, &totals.tls, &totals.first_byte];
    let most = shared.map(Histogram::count).into_iter().chain([
        of_names(|name| name.sent),
        of_names(|name| name.ok_count),
        of_names(NameTotals::errors_total),
        of_names(|name| name.ok.count()),
        of_names(|name| name.failed.count()),
        of_names(|name| name.service.count()),
    ]);
    let due = |one: &WorkloadTotals| one.iterations.scheduled.saturating_add(one.warmup.scheduled);
    Outline {
        most: most.fold(0, u64::max),
        responses: of_names(|name| name.ok.count()).saturating_add(of_names(|name| name.failed.count())),
        iterations: totals.workloads.iter().map(due).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn packing_loses_nothing(totals in any_totals()) {
        let packed = Measured::pack(&totals);
        let read = Measured::from_bytes(packed.bytes().to_vec()).expect("what was packed is well formed");
        prop_assert_eq!(&read, &packed);
        prop_assert_eq!(read.unpack(), totals.clone());
        prop_assert_eq!(read.counters(), totals.counters.clone());
        prop_assert_eq!(read.warmup(), totals.warmup.clone());
        prop_assert_eq!(unpack_counters(&pack_counters(&totals.counters)), Ok(totals.counters));
    }

    #[test]
    fn adding_packed_sums_equals_merging_them(a in any_totals(), b in any_totals()) {
        let mut merged = a.clone();
        merged.merge(&b);
        let mut added = a;
        Measured::pack(&b).add_to(&mut added, ByShard::AsTold).expect("the same shape");
        prop_assert_eq!(added, merged);
    }

    #[test]
    fn pieces_are_small_and_add_up(totals in any_totals(), most in 0_usize..6_000) {
        let pieces = Measured::pack_within(&totals, most);
        let mut sums = Totals::new(totals.shape());
        for piece in &pieces {
            prop_assert_eq!(piece.shape(), totals.shape());
            piece.add_to(&mut sums, ByShard::AsTold).expect("the same shape");
        }
        prop_assert_eq!(&sums, &totals);
        prop_assert!(pieces.len() <= 1 + totals.names.len());
        // Only what cannot be divided is larger than it may be.
        let large = pieces.iter().skip(1).filter(|piece| piece.bytes().len() > most);
        for piece in large {
            let named = piece.unpack().names.iter().filter(|name| **name != NameTotals::default()).count();
            prop_assert!(named <= 1, "{} bytes with {named} names", piece.bytes().len());
        }
    }

    /// What is kept of a teller follows from what it told, delta by delta, and survives packing.
    #[test]
    fn what_is_kept_of_a_teller_is_the_sum_over_names(told in proptest::collection::vec(any_totals(), 1..4)) {
        let (mut totals, mut plain, mut overall) = (Totals::default(), Totals::default(), Overall::default());
        let mut in_flight = vec![0_u64; 2];
        for one in &told {
            let packed = Measured::pack(one);
            prop_assert_eq!(packed.outline(), outline_of(one));
            totals.merge(&Totals::new(packed.shape()));
            packed.add_to_both(&mut totals, ByShard::LeftOut, &mut overall).expect("there is room");
            plain.merge(one);
            for (left, name) in in_flight.iter_mut().zip(&one.names) {
                let ended = name.ok_count.saturating_add(name.errors_total()).saturating_add(name.cut_off);
                *left = left.saturating_add(name.sent).saturating_sub(ended);
            }
        }
        prop_assert_eq!(&totals.names, &plain.names);
        prop_assert_eq!(&overall.response, &plain.latency(measure::Latency::Response));
        prop_assert_eq!((&overall.counters, &overall.warmup), (&plain.counters, &plain.warmup));
        prop_assert_eq!((&overall.lag, &overall.in_flight), (&plain.lag, &in_flight));
        prop_assert_eq!(overall.cpu_ns, plain.cpu_ns());
        let iterations = plain.workloads.iter().map(|one| (&one.iterations, &one.warmup));
        prop_assert!(iterations.eq(overall.iterations.iter().zip(&overall.warmup_iterations)));
        let packed = overall.pack();
        prop_assert_eq!(Overall::unpack(&packed), Ok(overall));
        prop_assert!(Overall::unpack(&packed[..packed.len() - 1]).is_err());
    }

    #[test]
    fn changed_bytes_are_refused_or_mean_something(
        totals in any_totals(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = Measured::pack(&totals).bytes().to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(read) = Measured::from_bytes(bytes.clone()) {
            let shape = read.shape();
            // What passes can be added and merged like anything else.
            if shape.names + shape.workloads + shape.groups < 20 {
                let mut sums = totals.clone();
                sums.merge(&read.unpack());
                prop_assert!(sums.counters.scheduled >= totals.counters.scheduled);
            }
        }
        prop_assert!(!cut || Measured::from_bytes(bytes.clone()).is_err());
    }
}

#[test]
fn shards_are_left_out_or_become_those_of_a_node() {
    let mut totals = Totals::default();
    totals.shard_mut(0, 1).sent = 7;
    let packed = Measured::pack(&totals);
    let mut into = Totals::default();
    packed.add_to(&mut into, ByShard::LeftOut).expect("the same shape");
    assert!(into.shards.is_empty());
    packed.add_to(&mut into, ByShard::OfNode(5)).expect("the same shape");
    packed.add_to(&mut into, ByShard::OfNode(5)).expect("the same shape");
    let shard = &into.shards[0];
    assert_eq!((into.shards.len(), shard.node, shard.shard, shard.sent), (1, 5, 1, 14));
}

#[test]
fn more_names_than_there_is_room_for_are_refused_whole() {
    let mut totals = Totals::new(Shape::requests(2));
    totals.counters.sent = 1;
    let mut into = Totals::new(Shape::requests(1));
    let refused = Measured::pack(&totals).add_to(&mut into, ByShard::LeftOut);
    assert_eq!(refused.expect_err("one name too many").field, "measured");
    assert_eq!(into, Totals::new(Shape::requests(1)));
}

#[test]
fn what_cannot_be_is_refused() {
    let valid = Measured::pack(&Totals::default()).bytes().to_vec();
    assert!(Measured::from_bytes(valid.clone()).is_ok());
    let mut longer = valid.clone();
    longer.push(0);
    let mut other_version = valid.clone();
    other_version[0] = 2;
    // Two numbers of 128 bits and more, and a list that claims more than there is.
    let too_large = [vec![VERSION], vec![0xff; 19]].concat();
    let endless = [vec![VERSION], vec![0; 12], vec![0xff, 0xff, 0xff, 0x7f]].concat();
    for (bytes, problem) in [
        (Vec::new(), "is not of the version"),
        (vec![VERSION], "ends too early"),
        (valid[..valid.len() - 1].to_vec(), "ends too early"),
        (longer, "goes on behind its end"),
        (other_version, "is not of the version"),
        (too_large, "too large"),
        (endless, "too long"),
    ] {
        let refused = Measured::from_bytes(bytes.clone()).expect_err(problem);
        assert!(refused.problem.contains(problem), "{refused}");
    }
    assert!(BUCKET_COUNT < u16::MAX.into());
}

/// What docs/promises.md says of a second on the wire.
#[test]
fn a_second_of_twenty_names_is_small() {
    let mut totals = Totals::new(Shape::requests(20));
    let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
    for request in 0..10_000_u64 {
        // Latencies spread evenly over the magnitudes from 1 ms to 64 ms, which is wider than most services are.
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let octave = (bits >> 40) % 6;
        let value = (1_000_000_u64 << octave) + (bits >> 20) % (1_000_000 << octave);
        let name = &mut totals.names[usize::try_from(request % 20).expect("below 20")];
        name.sent += 1;
        name.ok_count += 1;
        name.status.count(200);
        name.ok.record(value);
        name.service.record(value - value / 50);
        totals.first_byte.record(value / 2);
        totals.lag.record(20_000 + bits % 30_000);
        totals.counters.sent += 1;
    }
    let bytes = Measured::pack(&totals).bytes().len();
    println!("{bytes} bytes");
    assert!(bytes <= 64 << 10, "{bytes}");
}
