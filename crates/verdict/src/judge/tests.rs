//! Verdicts over runs made up of counts and a few latencies.

use measure::{ErrorClass, Names, Shape, ShardTotals, Totals};
use plan::MaxLag;

use super::*;
use crate::evaluate::Measured;

const MS: u64 = 1_000_000;

static NO_NAMES: Names = Names {
    requests: Vec::new(),
    workloads: Vec::new(),
    groups: Vec::new(),
    checks: Vec::new(),
    beyond: 0,
    statuses: Vec::new(),
};

/// A run of 1,000 arrivals, all answered well after 1 to 1,000 ms, with 1 ms of lag at most.
fn good() -> Totals {
    let mut totals = Totals::new(Shape::requests(1));
    totals.counters.scheduled = 1_000;
    totals.counters.sent = 1_000;
    totals.counters.ok = 1_000;
    totals.names[0].ok_count = 1_000;
    for index in 1..=1_000 {
        totals.names[0].ok.record(index * MS);
    }
    totals.lag.record(MS);
    totals
}

/// Takes `count` good responses, the slowest first, and makes arrivals dropped for `reason` of them.
fn drop_some(totals: &mut Totals, reason: DropReason, count: u64) {
    totals.counters.sent -= count;
    totals.counters.ok -= count;
    totals.counters.dropped[reason.index()] += count;
    totals.names[0].ok.clear();
    for index in 1..=totals.counters.ok {
        totals.names[0].ok.record(index * MS);
    }
}

fn facts(totals: &Totals) -> Facts<'_> {
    Facts {
        totals,
        names: &NO_NAMES,
        watched: &[],
        sent_micro_tps: 100_000_000,
        completed_micro_tps: 99_500_000,
        lag_p99_of_worst_second_ns: MS,
        max_lag: MaxLag::DEFAULT,
        ending: Ending::Completed,
    }
}

fn thresholds(texts: &[&str]) -> Vec<Threshold> {
    texts.iter().map(|text| Threshold::parse(text).expect("a threshold")).collect()
}

fn codes(facts: &Facts<'_>, texts: &[&str]) -> Vec<u8> {
    let verdict = judge(facts, &thresholds(texts));
    assert_eq!(verdict.codes.len(), verdict.reasons.len());
    assert_eq!(verdict.exit_code, ExitCode::first_of(verdict.codes.iter().copied()));
    verdict.codes.iter().map(|exit| exit.code()).collect()
}

#[test]
fn a_good_run_passes() {
    let totals = good();
    let verdict = judge(&facts(&totals), &thresholds(&["p99<=1s", "error_rate<1%"]));
    assert_eq!((verdict.result, verdict.exit_code), (Outcome::Pass, ExitCode::Passed));
    assert!(verdict.reasons.is_empty());
    assert_eq!(verdict.thresholds.iter().map(|result| result.passed).collect::<Vec<_>>(), [true, true]);
}

#[test]
fn lateness_begins_exactly_at_its_limits() {
    for (lag_max, second_p99, max_lag, late) in [
        (100 * MS - 1, 10 * MS, MaxLag::DEFAULT, false),
        (100 * MS, 0, MaxLag::DEFAULT, true),
        (0, 10 * MS + 1, MaxLag::DEFAULT, true),
        (500 * MS, 50 * MS, MaxLag::parse("1s").expect("a duration"), false),
        (5 * MS, 0, MaxLag::parse("5ms").expect("a duration"), true),
        (MS, MS, MaxLag::parse("5ms").expect("a duration"), true),
    ] {
        let mut totals = good();
        totals.lag.record(lag_max);
        let facts = Facts { lag_p99_of_worst_second_ns: second_p99, max_lag, ..facts(&totals) };
        let expected: &[u8] = if late { &[12] } else { &[] };
        assert_eq!(codes(&facts, &[]), expected, "{lag_max} {second_p99}");
    }
}

#[test]
fn starvation_is_late_requests_and_waiting_for_a_core_together() {
    for (lag, waited, max_lag, starved) in [
        (MS + MS / 10, 11 * MS, MaxLag::DEFAULT, true),
        (MS + MS / 10, 10 * MS, MaxLag::DEFAULT, false),
        (MS, 900 * MS, MaxLag::DEFAULT, false),
        (9 * MS, 0, MaxLag::DEFAULT, false),
        (9 * MS, 900 * MS, MaxLag::parse("1s").expect("a duration"), false),
        (11 * MS, 900 * MS, MaxLag::parse("1s").expect("a duration"), true),
    ] {
        let mut totals = good();
        let mut shard =
            ShardTotals { core_wait_ns: waited, covered_ns: 1_000 * MS, ..ShardTotals::default() };
        for _ in 0..98 {
            shard.lag.record(1);
        }
        shard.lag.record(lag);
        shard.lag.record(lag);
        // Another shard that is well changes nothing.
        totals.shards =
            vec![ShardTotals { shard: 1, covered_ns: 1_000 * MS, ..ShardTotals::default() }, shard];
        let facts = Facts { max_lag, ..facts(&totals) };
        let expected: &[u8] = if starved { &[12] } else { &[] };
        assert_eq!(codes(&facts, &[]), expected, "{lag} {waited}");
    }
}

#[test]
fn each_reason_for_dropping_has_its_judge() {
    for (reason, expected) in [
        (DropReason::QueueFull, vec![15]),
        (DropReason::Expired, vec![15]),
        (DropReason::Late, vec![12]),
        (DropReason::LocalResource, vec![12]),
        (DropReason::Interrupted, vec![]),
    ] {
        let mut totals = good();
        drop_some(&mut totals, reason, 3);
        assert_eq!(codes(&facts(&totals), &[]), expected, "{}", reason.name());
    }
}

#[test]
fn a_dead_or_slow_target_alone_is_never_the_generators_fault() {
    let mut totals = good();
    drop_some(&mut totals, DropReason::Expired, 600);
    totals.counters.errors[ErrorClass::ConnectTimeout.index()] = totals.counters.ok;
    totals.counters.ok = 0;
    totals.queue.record(20_000 * MS);
    totals.connect.record(10_000 * MS);
    let verdict = judge(&facts(&totals), &[]);
    assert_eq!(verdict.codes, [ExitCode::EveryRequestFailed, ExitCode::TargetOverloaded]);
    assert_eq!(verdict.result, Outcome::Fail);
}

#[test]
fn unassigned_load_is_untrustworthy_and_a_wrong_audit_comes_first() {
    let mut totals = good();
    totals.counters.unassigned = 7;
    assert_eq!(codes(&facts(&totals), &[]), [13, 12], "7 arrivals too many");
    totals.counters.scheduled += 7;
    assert_eq!(codes(&facts(&totals), &[]), [12]);
}

#[test]
fn unassigned_iterations_are_untrustworthy_too() {
    let mut totals = good();
    let mut workload = measure::WorkloadTotals::default();
    (workload.iterations.scheduled, workload.iterations.unassigned) = (7, 7);
    totals.workloads.push(workload);
    let verdict = judge(&facts(&totals), &[]);
    assert_eq!(verdict.codes, [ExitCode::Untrustworthy]);
    assert!(verdict.reasons[0].starts_with("7 iterations"), "{:?}", verdict.reasons);
}

#[test]
fn the_audit_spans_the_warm_up() {
    let mut totals = good();
    totals.warmup.scheduled = 10;
    totals.warmup.sent = 10;
    totals.warmup.ok = 9;
    assert_eq!(codes(&facts(&totals), &[]), [13]);
    totals.counters.ok += 1;
    assert_eq!(codes(&facts(&totals), &[]), Vec::<u8>::new(), "sent in the warm-up, answered after it");
}

#[test]
fn everything_at_once_is_told_in_the_order_of_precedence() {
    let mut totals = good();
    drop_some(&mut totals, DropReason::QueueFull, 1);
    drop_some(&mut totals, DropReason::Late, 1);
    totals.counters.errors[ErrorClass::Reset.index()] = totals.counters.ok;
    totals.counters.ok = 0;
    let mut facts = facts(&totals);
    facts.ending = Ending::Terminated;
    assert_eq!(codes(&facts, &["dropped<1"]), [143, 12, 11, 15, 10]);
    facts.ending = Ending::Interrupted;
    let mut verdict = judge(&facts, &[]);
    assert_eq!((verdict.result, verdict.exit_code.code()), (Outcome::Aborted, 130));
    verdict.add(ExitCode::ReportNotWritten, "no space");
    assert_eq!(verdict.reasons.last().map(String::as_str), Some("no space"));
    verdict.add(ExitCode::Internal, "a shard died");
    assert_eq!((verdict.result, verdict.exit_code), (Outcome::Error, ExitCode::Internal));
    assert_eq!(verdict.reasons[0], "a shard died");
}

#[test]
fn a_report_that_cannot_be_written_spoils_a_pass() {
    let mut verdict = Verdict::passed();
    verdict.add(ExitCode::ReportNotWritten, "no space left on the device");
    assert_eq!((verdict.result, verdict.exit_code.code()), (Outcome::Error, 14));
}

#[test]
fn thresholds_are_compared_exactly() {
    let mut totals = good();
    totals.counters.ok = 990;
    totals.counters.errors[ErrorClass::Status.index()] = 9;
    totals.counters.cut_off = 1;
    for (text, passed) in [
        ("error_rate<1%", false),
        ("error_rate<=1%", true),
        ("error_rate<1.000001%", true),
        ("sent_tps>=100", true),
        ("sent_tps>=100.000001", false),
        ("completed_tps>99.4", true),
        ("errors<=9", true),
        ("cut_off<1", false),
        ("sent>=1k", true),
        ("ok>990", false),
        ("drop_rate<0.1%", true),
        ("lag_max<1.1ms", true),
        ("lag_p99<1us", false),
        ("min<=1ms", true),
        ("p50<=501.5ms", true),
        ("p50<499ms", false),
        ("tls_p99<1s", false),
        ("service_mean<1s", false),
    ] {
        let verdict = judge(&facts(&totals), &thresholds(&[text]));
        assert_eq!(verdict.thresholds[0].passed, passed, "{text}: {}", verdict.thresholds[0].measured_text());
        assert_eq!(verdict.codes.contains(&ExitCode::ThresholdFailed), !passed, "{text}");
    }
}

#[test]
fn arrivals_without_a_response_are_infinitely_slow() {
    let mut totals = good();
    drop_some(&mut totals, DropReason::QueueFull, 50);
    let measured = |text: &str| judge(&facts(&totals), &thresholds(&[text])).thresholds[0].measured;
    assert_eq!(measured("p95.1<10s"), Measured::Infinite);
    assert_eq!(measured("max<10s"), Measured::Infinite);
    assert_eq!(measured("mean<10s"), Measured::Infinite);
    assert_eq!(measured("response_ok_p99<10s"), Measured::Infinite);
    // Rank 950 of 1,000 is the slowest of the 950 responses.
    assert_eq!(measured("p95<10s"), Measured::Value(950 * MS));
    assert_eq!(measured("min<10s"), Measured::Value(MS));
    assert!(
        judge(&facts(&totals), &thresholds(&["max>1s"])).thresholds[0].passed,
        "infinity is above any limit"
    );
    assert_eq!(judge(&facts(&totals), &thresholds(&["max<1s"])).thresholds[0].measured_text(), "no response");
}

#[test]
fn what_was_not_measured_passes_nothing() {
    let totals = Totals::new(Shape::requests(1));
    for text in ["p99<1s", "p99>0s", "error_rate<1%", "drop_rate<1%", "mean<1s", "min<1s", "max<1s"] {
        let verdict = judge(&facts(&totals), &thresholds(&[text]));
        assert!(!verdict.thresholds[0].passed, "{text}");
        assert_eq!(verdict.thresholds[0].measured, Measured::Nothing, "{text}");
        assert_eq!(verdict.reasons[0], format!("threshold {text} failed: nothing measured"));
    }
}
