//! The documents: valid by the schemas that the engine prints, complete, and in agreement with each other.

use std::collections::BTreeMap;

use e2e::document::{Audit, Schema, items, parse};
use e2e::machine::among_others;
use e2e::{Engine, Target, count, counts, number, text};
use serde_json::Value;

/// What a summary must have, whatever the run.
const REQUIRED: &[&str] = &[
    "/schema",
    "/run/id",
    "/run/started_at",
    "/run/duration_s",
    "/run/tool_version",
    "/run/io",
    "/run/cores",
    "/run/kernel",
    "/target/url",
    "/target/builtin",
    "/verdict/result",
    "/verdict/exit_code",
    "/verdict/reasons",
    "/audit/scheduled",
    "/audit/sent",
    "/audit/dropped",
    "/audit/ok",
    "/audit/errors",
    "/audit/cut_off",
    "/audit/unassigned",
    "/audit/balanced",
    "/rate/asked_tps",
    "/rate/sent_tps",
    "/rate/completed_tps",
    "/status/200",
    "/bytes/sent",
    "/bytes/received",
    "/generator/cpu_s",
    "/generator/cpu_us_per_request",
    "/generator/shards/0",
    "/names",
    "/timeline/0",
    "/thresholds/0",
    "/tags",
];
const LATENCIES: &[&str] =
    &["response", "response_ok", "service", "queue", "lag", "connect", "tls", "first_byte"];
const FIGURES: &[&str] =
    &["count", "min", "mean", "stddev", "p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "max", "hdr"];

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| parse("a line", line.as_bytes())).collect()
}

#[test]
fn a_summary_on_standard_output_is_alone_there_and_complete() {
    let _hold = among_others();
    let target = Target::start("--body-size 100");
    let line = "--tps 200 -d 2s --max-lag 1h --json - --tag team=shop --run-id r-1 --threshold p99<1h";
    let outcome = Engine::new(line).variable("WORKER_ID", "w1").arg(target.url()).run().expect(0);
    let summary = parse("standard output", outcome.stdout.as_bytes());
    Schema::of("summary").admit(&summary);
    let mut missing: Vec<String> = REQUIRED
        .iter()
        .filter(|pointer| summary.pointer(pointer).is_none())
        .map(|pointer| (*pointer).to_owned())
        .collect();
    for latency in LATENCIES {
        let pointers = FIGURES.iter().map(|figure| format!("/latency_ns/{latency}/{figure}"));
        missing.extend(pointers.filter(|pointer| summary.pointer(pointer).is_none()));
    }
    assert!(missing.is_empty(), "missing: {missing:?}");
    assert_eq!(text(&summary, "/schema"), "openloop.summary/1");
    assert_eq!(text(&summary, "/run/id"), "r-1");
    assert_eq!((text(&summary, "/tags/team"), text(&summary, "/tags/worker_id")), ("shop", "w1"));
    assert_eq!(summary["target"]["builtin"], false);
    assert_eq!(text(&summary, "/target/url"), target.url());
    assert_eq!(Audit::of(&summary).ok, 400);
    assert!((number(&summary, "/rate/asked_tps") - 200.0).abs() < 1e-9);
    assert!((number(&summary, "/run/duration_s") - 2.0).abs() < 1e-9);
    let truth = target.stop();
    assert_eq!(count(&truth, "/bytes/sent"), count(&summary, "/bytes/received"));
    Schema::of("truth").admit(&truth);
    check_latencies(&summary);
    // What people read goes to standard error then.
    assert!(
        outcome.stderr.contains("PASS (exit 0)") && outcome.stderr.contains("audit "),
        "{}",
        outcome.told()
    );
}

/// Latencies have an order, and parts that add up.
fn check_latencies(summary: &Value) {
    for latency in LATENCIES {
        let at = |figure: &str| number(summary, &format!("/latency_ns/{latency}/{figure}"));
        let rising = ["min", "p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "max"].map(at);
        assert!(rising.is_sorted(), "{latency}: {rising:?}");
        assert!(at("min") <= at("mean") && at("mean") <= at("max"), "{latency}");
        if at("count") > 0.0 {
            assert!((at("mean") - at("sum") / at("count")).abs() <= 1.0, "{latency}");
        }
    }
    let sent = count(summary, "/audit/sent");
    for latency in ["response", "response_ok", "service", "queue", "lag", "first_byte"] {
        assert_eq!(count(summary, &format!("/latency_ns/{latency}/count")), sent, "{latency}");
    }
    // Every exchange succeeded, so the response times are exactly lag + queue wait + service time, in sum.
    let sum = |latency: &str| number(summary, &format!("/latency_ns/{latency}/sum"));
    let parts = sum("lag") + sum("queue") + sum("service");
    assert!((sum("response") - parts).abs() <= sent as f64 * 1_000.0, "{} and {parts}", sum("response"));
    let names = summary["names"].as_object().expect("by name");
    assert_eq!(names.values().map(|name| count(name, "/sent")).sum::<u64>(), sent);
    let seconds = items(summary, "/timeline");
    for (pointer, total) in [("/asked", "/audit/scheduled"), ("/sent", "/audit/sent"), ("/ok", "/audit/ok")] {
        assert_eq!(
            seconds.iter().map(|second| count(second, pointer)).sum::<u64>(),
            count(summary, total),
            "{pointer}"
        );
    }
}

#[test]
fn intervals_add_up_to_the_summary() {
    let _hold = among_others();
    let target = Target::start("--error-rate 0.2 --close-rate 0.1 --delay exp:5ms");
    let outcome = Engine::patient("--tps 300 -d 3s --ndjson -").arg(target.url()).run().expect(0);
    let (summary, intervals) = (outcome.summary(), lines(&outcome.stdout));
    let schema = Schema::of("interval");
    for interval in &intervals {
        schema.admit(interval);
        assert_eq!(text(interval, "/schema"), "openloop.interval/1");
        assert_eq!(text(interval, "/run_id"), text(summary, "/run/id"));
    }
    let numbers: Vec<u64> = intervals.iter().map(|interval| count(interval, "/second")).collect();
    assert!(numbers.is_sorted() && numbers.windows(2).all(|two| two[0] != two[1]), "{numbers:?}");
    assert!(intervals.len() >= 3 && numbers[0] == 0, "{numbers:?}");
    let sum = |pointer: &str| intervals.iter().map(|interval| count(interval, pointer)).sum::<u64>();
    for figure in ["scheduled", "sent", "ok", "cut_off", "unassigned"] {
        assert_eq!(sum(&format!("/{figure}")), count(summary, &format!("/audit/{figure}")), "{figure}");
    }
    for (of_interval, of_summary) in
        [("/errors", "/audit/errors"), ("/dropped", "/audit/dropped"), ("/status", "/status")]
    {
        let mut added = BTreeMap::new();
        for (name, count) in intervals.iter().flat_map(|interval| counts(interval, of_interval)) {
            *added.entry(name).or_insert(0) += count;
        }
        assert_eq!(added, counts(summary, of_summary), "{of_interval}");
    }
    for direction in ["/bytes/sent", "/bytes/received"] {
        assert_eq!(sum(direction), count(summary, direction), "{direction}");
    }
    for latency in LATENCIES {
        for figure in ["count", "sum"] {
            let pointer = format!("/latency_ns/{latency}/{figure}");
            assert_eq!(sum(&pointer), count(summary, &pointer), "{pointer}");
        }
        let max = format!("/latency_ns/{latency}/max");
        assert_eq!(intervals.iter().map(|interval| count(interval, &max)).max(), Some(count(summary, &max)));
    }
    let errors = outcome.audit();
    assert!(errors.errors.contains_key("status") && errors.errors.contains_key("closed_early"), "{errors:?}");
    assert_eq!(count(&target.stop(), "/requests"), errors.sent);
}

#[test]
fn schemas_are_printed_by_name_and_refuse_what_is_wrong() {
    let _hold = among_others();
    let listed = Engine::new("schema").run().expect(0);
    let names: Vec<&str> = listed.stdout.lines().collect();
    assert!(names.len() >= 4, "{}", listed.told());
    for name in names.iter().copied().chain(["summary", "interval", "plan", "truth", "control"]) {
        let schema = Schema::of(name);
        assert!(!schema.faults(&serde_json::json!({})).is_empty(), "{name} admits everything");
    }
    let outcome = Engine::patient("--tps 50 -d 1s").run().expect(0);
    let schema = Schema::of("summary");
    schema.admit(outcome.summary());
    let mut later = outcome.summary().clone();
    later["something_new"] = serde_json::json!(1);
    schema.admit(&later);
    for pointer in ["audit", "verdict", "latency_ns", "run", "generator", "timeline"] {
        let mut broken = outcome.summary().clone();
        broken.as_object_mut().expect("an object").remove(pointer);
        assert!(!schema.faults(&broken).is_empty(), "a summary without {pointer} is admitted");
    }
}

#[test]
fn thresholds_pass_and_fail_by_their_values() {
    let _hold = among_others();
    let target = Target::start("--error-rate 0.5");
    let engine = |thresholds: &[&str]| {
        let mut engine = Engine::patient("--tps 200 -d 1s").arg(target.url());
        for threshold in thresholds {
            engine = engine.arg("--threshold").arg(threshold);
        }
        engine.run()
    };
    let passed = engine(&["p99<1h", "error_rate<90%", "sent_tps>=199"]).expect(0);
    assert_eq!(passed.stdout.matches('✓').count(), 4, "three thresholds and the audit: {}", passed.told());
    let results = items(passed.summary(), "/thresholds");
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|result| result["passed"] == true), "{results:?}");
    let failed = engine(&["p99<1ns", "error_rate<1%", "p50<1h"]).expect(10);
    assert!(failed.stdout.starts_with("FAIL (exit 10)"), "{}", failed.told());
    for line in ["✗ p99<1ns", "✗ error_rate<1%", "✓ p50<1h"] {
        assert!(failed.stdout.contains(line), "no {line:?}: {}", failed.told());
    }
    assert_eq!(text(failed.summary(), "/verdict/result"), "fail");
    assert_eq!(count(failed.summary(), "/verdict/exit_code"), 10);
    let results: Vec<bool> =
        items(failed.summary(), "/thresholds").iter().map(|result| result["passed"] == true).collect();
    assert_eq!(results, [false, false, true]);
}

#[test]
fn the_environment_is_read_as_the_flags_are() {
    let _hold = among_others();
    let target = Target::start("");
    let seeds = Engine::patient("")
        .variable("ENGINE_URL", &target.url())
        .variable("TARGET_TPS", "100")
        .variable("DURATION", "1s")
        .variable("LOAD_PATTERN", "ramp")
        .variable("RUN_ID", "from-template")
        .variable("WORKER_ID", "worker-3");
    let outcome = seeds.run().expect(0);
    assert_eq!(outcome.audit().sent, 50);
    assert_eq!(text(outcome.summary(), "/run/id"), "from-template");
    assert_eq!(text(outcome.summary(), "/tags/worker_id"), "worker-3");
    let own = Engine::patient("--tps 30")
        .arg(target.url())
        .variable("ENGINE_TPS", "70")
        .variable("ENGINE_DURATION", "1s")
        .variable("ENGINE_HEADER", "X-A: 1\nX-B: 2")
        .variable("ENGINE_TAG", "a=1\nb=2");
    let outcome = own.run().expect(0);
    assert_eq!(outcome.audit().sent, 30, "a flag wins over its variable");
    assert_eq!(outcome.summary()["tags"], serde_json::json!({"a": "1", "b": "2"}));
    assert_eq!(count(&target.stop(), "/requests"), 80);
}
