//! Merging: shares merged equal the whole, in any order and grouping; what must be refused is.

mod runs;

use proptest::prelude::*;
use report::{Judgement, MergeError, Share, Summary, merge};
use runs::{Outcome, good_outcomes, outcomes, summary};

const THRESHOLDS: &[&str] = &["p99<100ms", "sent_tps>=99", "dropped<1000"];

fn share(index: u32, of: u32) -> Share {
    Share { index, of }
}

/// `count` shares of the same run, the arrivals dealt in turn.
fn shares_of(all: &[Outcome], count: u32) -> Vec<Summary> {
    (0..count)
        .map(|index| {
            let own: Vec<Outcome> = all
                .iter()
                .enumerate()
                .filter(|(position, _)| position % count as usize == index as usize)
                .map(|(_, outcome)| outcome.clone())
                .collect();
            summary("run", Some(share(index + 1, count)), &own, THRESHOLDS)
        })
        .collect()
}

#[test]
fn four_shares_merged_equal_the_whole() {
    let all = outcomes(4, 120);
    let whole = summary("run", None, &all, THRESHOLDS);
    let parts = shares_of(&all, 4);
    let merged = merge(&parts).expect("four shares");

    assert_eq!(merged.audit, whole.audit);
    assert_eq!(merged.rate, whole.rate);
    assert_eq!(merged.status, whole.status);
    assert_eq!(merged.bytes, whole.bytes);
    assert_eq!(merged.names, whole.names);
    for latency in measure::Latency::ALL {
        // Every share opened a connection of its own.
        if *latency != measure::Latency::Connect {
            assert_eq!(merged.latency_ns.get(*latency), whole.latency_ns.get(*latency), "{}", latency.name());
        }
    }
    assert_eq!(merged.timeline.len(), whole.timeline.len());
    for (sum, one) in merged.timeline.iter().zip(&whole.timeline) {
        assert_eq!((sum.asked, sum.sent, sum.ok, sum.errors), (one.asked, one.sent, one.ok, one.errors));
        assert_eq!((&sum.response_ns, &sum.lag_ns), (&one.response_ns, &one.lag_ns));
    }
    // Each share alone sends too little for sent_tps>=99; the whole sends enough.
    assert!(parts.iter().all(|part| !part.thresholds[1].passed));
    let found: Vec<_> =
        merged.thresholds.iter().map(|one| (one.threshold.as_str(), one.passed, one.value)).collect();
    let mut expected: Vec<_> =
        whole.thresholds.iter().map(|one| (one.threshold.as_str(), one.passed, one.value)).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(merged.environment.notes.is_empty(), "{:?}", merged.environment.notes);
    assert_eq!((merged.run.cores, merged.parts.len(), merged.generator.shards.len()), (4, 4, 4));
    assert_eq!(merged.generator.shards.iter().map(|shard| shard.node).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn order_and_grouping_change_nothing(order in Just(vec![0_usize, 1, 2]).prop_shuffle(), per_second in 3_u64..40) {
        let parts = shares_of(&outcomes(2, per_second), 3);
        let expected = merge(&parts).expect("three shares");
        let shuffled: Vec<Summary> = order.iter().map(|position| parts[*position].clone()).collect();
        prop_assert_eq!(&merge(&shuffled).expect("three shares"), &expected);
        let pair = merge(&shuffled[..2]).expect("two shares");
        prop_assert_eq!(pair.environment.notes.len(), 1, "a share is missing: {:?}", pair.environment.notes);
        prop_assert_eq!(&merge(&[pair, shuffled[2].clone()]).expect("the rest"), &expected);
        let json = parts.iter().map(|part| Summary::parse(&part.to_json()).expect("a summary"));
        prop_assert_eq!(&merge(&json.collect::<Vec<_>>()).expect("three shares"), &expected);
    }
}

#[test]
fn one_summary_merged_is_itself() {
    let one = summary("a", None, &outcomes(1, 20), &[]);
    assert_eq!(merge(std::slice::from_ref(&one)), Ok(one));
}

#[test]
fn the_same_part_twice_is_refused() {
    let parts = shares_of(&outcomes(1, 40), 4);
    let twice = merge(&[parts[0].clone(), parts[1].clone(), parts[0].clone()]).expect_err("counted twice");
    assert_eq!(twice, MergeError::SamePart { part: "share 1/4 of run run".to_owned() });

    let mut again = parts[0].clone();
    again.parts[0].started_at = "2026-11-20T20:00:00.000Z".to_owned();
    assert!(merge(&[parts[0].clone(), again]).is_err(), "the same share, run a second time");

    let pair = merge(&parts[..2]).expect("two shares");
    assert!(merge(&[pair, parts[1].clone()]).is_err(), "hidden in a merged summary");

    let whole = summary("a", None, &outcomes(1, 20), &[]);
    assert!(matches!(merge(&[whole.clone(), whole]), Err(MergeError::SamePart { .. })));
    assert_eq!(merge(&[]), Err(MergeError::Empty));
}

#[test]
fn other_schemas_and_damaged_histograms_are_refused() {
    let good = summary("a", None, &outcomes(1, 20), &[]);
    let mut other = summary("b", None, &outcomes(1, 20), &[]);
    other.schema = "openloop.summary/2".to_owned();
    let refused = merge(&[good.clone(), other.clone()]).expect_err("another version");
    assert_eq!(refused, MergeError::Schema { found: "openloop.summary/2".to_owned() });

    other.schema = good.schema.clone();
    other.latency_ns.service.count += 1;
    let refused = merge(&[good.clone(), other.clone()]).expect_err("count and buckets disagree").to_string();
    assert_eq!(
        refused,
        "latency_ns.service of run b is damaged: the histogram's count contradicts its buckets"
    );
    other.latency_ns.service.count -= 1;
    other.timeline[0].lag_ns.hdr = Some("AAAA".to_owned());
    assert!(matches!(merge(&[good, other]), Err(MergeError::Histogram { .. })));
}

#[test]
fn names_from_a_later_version_and_absurd_counts_are_summed_without_a_crash() {
    let mut parts = shares_of(&good_outcomes(1, 40), 2);
    for part in &mut parts {
        for class in ["invented_later", "invented_even_later", "reset"] {
            part.audit.errors.insert(class.to_owned(), u64::MAX);
        }
        part.audit.dropped.insert("invented_later".to_owned(), u64::MAX);
    }
    let merged = merge(&parts).expect("two shares");
    assert_eq!(merged.audit.errors["invented_later"], u64::MAX);
    assert_eq!((merged.audit.balanced, merged.verdict.exit_code), (false, 13));
}

#[test]
fn parts_that_differ_are_merged_and_noted() {
    let first = summary("a", None, &good_outcomes(1, 20), &[]);
    let mut second = summary("b", None, &good_outcomes(2, 20), &[]);
    second.target.url = "http://127.0.0.2/".to_owned();
    second.tags.insert("team".to_owned(), "cart".to_owned());
    let merged = merge(&[second, first]).expect("two runs");
    assert_eq!(merged.run.id, "a + b");
    assert_eq!(merged.tags["team"], "cart + search");
    assert_eq!(merged.target.url, "http://127.0.0.1:8080/ + http://127.0.0.2/");
    let notes = merged.environment.notes.join("\n");
    assert!(notes.contains("merged: the parts differ in the target: "), "{notes}");
    assert!(
        notes.contains("merged: the parts differ in the schedule: 1000/s for 1s + 1000/s for 2s"),
        "{notes}"
    );
    assert!((merged.run.duration_s - 2.0).abs() < f64::EPSILON);
    assert!((merged.rate.sent_tps - 30.0).abs() < 1e-9, "60 requests in 2 s");
    assert_eq!(merged.verdict.result, Judgement::Pass);
}

#[test]
fn missing_and_mixed_shares_are_noted() {
    let parts = shares_of(&good_outcomes(1, 40), 4);
    let merged = merge(&parts[1..3]).expect("two shares");
    assert_eq!(merged.environment.notes, ["merged: 2 of 4 shares of the plan are missing"]);
    let mut mixed = parts[0].clone();
    mixed.parts[0].share = Some(share(1, 3));
    let merged = merge(&[mixed, parts[1].clone()]).expect("two parts");
    assert_eq!(merged.environment.notes, ["merged: the parts are not equal shares of one plan"]);
}

#[test]
fn the_worst_finding_of_a_part_decides() {
    let mut parts = shares_of(&good_outcomes(1, 40), 2);
    parts[1].verdict = report::Verdict {
        result: Judgement::Fail,
        exit_code: 12,
        reasons: vec!["the generator was late".to_owned(), "threshold p50<1ns failed: 2ms".to_owned()],
        codes: vec![12, 10],
    };
    let merged = merge(&parts).expect("two shares");
    assert_eq!((merged.verdict.result, merged.verdict.exit_code), (Judgement::Untrustworthy, 12));
    assert_eq!(merged.verdict.reasons[0], "the generator was late");
    assert!(
        !merged.verdict.reasons.iter().any(|reason| reason.contains("p50")),
        "thresholds are judged anew"
    );

    // A document that names no codes still has one for all its reasons.
    parts[0].verdict.codes.clear();
    parts[0].verdict.exit_code = 143;
    parts[0].verdict.reasons = vec!["terminated".to_owned()];
    let merged = merge(&parts).expect("two shares");
    assert_eq!((merged.verdict.exit_code, merged.verdict.reasons[0].as_str()), (143, "terminated"));
    assert_eq!(merged.verdict.codes[..2], [143, 12]);

    parts[0].audit.balanced = false;
    let merged = merge(&parts).expect("two shares");
    assert_eq!((merged.audit.balanced, merged.verdict.exit_code), (false, 13));
}

#[test]
fn seconds_without_histograms_lose_their_percentiles_only() {
    let mut parts = shares_of(&good_outcomes(1, 40), 2);
    parts[0].timeline[0].response_ns.hdr = None;
    let merged = merge(&parts).expect("two shares");
    let second = &merged.timeline[0].response_ns;
    assert_eq!((second.count, second.p99, second.hdr.as_ref()), (40, None, None));
    assert_eq!(second.max, merged.latency_ns.response.max);
    assert!(merged.environment.notes[0].contains("no percentiles"));
    assert!(merged.timeline[0].lag_ns.p99.is_some());
}

#[test]
fn nodes_and_zones_of_a_fleet_are_summed_by_name() {
    let fleet_of = |id: &str, sent: u64, skew: i64| {
        let mut summary = summary(id, None, &good_outcomes(2, 50), &[]);
        let counters = measure::Counters { scheduled: sent, sent, ok: sent, ..measure::Counters::default() };
        let mut response = measure::Histogram::new();
        response.record_many(1_000_000, sent);
        let did = report::PartTotals::new(&counters, &response, &measure::Histogram::new());
        let node = report::Node {
            host: "h".to_owned(),
            zone: Some("east".to_owned()),
            lives: 1,
            cells: 27_720,
            totals: did.clone(),
            cpu_s: 0.5,
            start_skew_ns: Some(skew),
            start_uncertainty_ns: Some(30),
            lost_at_s: None,
            recovered: None,
        };
        summary.nodes.insert("a".to_owned(), node.clone());
        summary.nodes.insert(id.to_owned(), node);
        summary.zones.insert("east".to_owned(), report::Zone { nodes: 2, cells: 55_440, totals: did });
        summary
    };
    let (first, second) = (fleet_of("r1", 10, -700), fleet_of("r2", 5, 200));
    let merged = merge(&[first.clone(), second.clone()]).expect("two runs");
    let names: Vec<&str> = merged.nodes.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "r1", "r2"]);
    let both = &merged.nodes["a"];
    assert_eq!((both.totals.sent, both.lives, both.totals.response_ns.count), (15, 2, 15));
    assert_eq!(both.start_skew_ns, Some(-700), "the worst start is shown");
    assert_eq!((merged.zones["east"].totals.ok, merged.zones["east"].nodes), (15, 2));
    assert_eq!(merge(&[second, first]).expect("two runs").nodes, merged.nodes);
    // A document without them reads and writes as ever.
    let plain = summary("r3", None, &good_outcomes(2, 50), &[]);
    assert!(!plain.to_json().contains("\"nodes\""));
    let read = Summary::parse(&merged.to_json()).expect("a summary");
    assert_eq!(read, merged);
}
