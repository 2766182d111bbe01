//! The documents: schemas equal what the types generate, golden documents validate and survive reading and writing.

mod runs;

use measure::{Names, Shape, Totals};
use report::{Interval, IntervalFacts, MergeError, SCHEMA_NAMES, Summary, schema, timeline_text};
use runs::{assert_golden, measured, outcomes, summary};
use serde_json::Value;

const THRESHOLDS: &[&str] = &["p99<50ms", "error_rate<0.1%", "sent_tps>=99"];

fn golden_summary() -> Summary {
    summary("golden", None, &outcomes(3, 100), THRESHOLDS)
}

fn golden_interval() -> Interval {
    let mut totals = Totals::new(Shape::requests(2));
    totals.merge(&measured(&outcomes(1, 100)).0);
    let names = Names::requests(["home".to_owned(), "search".to_owned()]);
    let facts = IntervalFacts {
        run_id: "golden",
        names: &names,
        second: 0,
        from_ns: 0,
        until_ns: 1_000_000_000,
        in_flight: 3,
        waiting: 1,
        connections: 7,
    };
    Interval::new(&facts, &totals)
}

fn schema_value(name: &str) -> Value {
    serde_json::from_str(schema(name).expect("a known document")).expect("a schema is JSON")
}

fn assert_valid(name: &str, document: &Value) {
    let validator = jsonschema::validator_for(&schema_value(name)).expect("the schema is a schema");
    let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

/// The schema as text with sorted keys, whatever order the JSON library keeps.
fn sorted_text(schema: &schemars::Schema) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&map[key]))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    format!("{:#}\n", sorted(schema.as_value()))
}

#[test]
fn committed_schemas_equal_the_generated_ones() {
    assert_golden("schema/summary-1.json", &sorted_text(&schemars::schema_for!(Summary)));
    assert_golden("schema/interval-1.json", &sorted_text(&schemars::schema_for!(Interval)));
    for name in SCHEMA_NAMES {
        let short = name.trim_start_matches("openloop.").trim_end_matches("/1");
        assert_eq!(schema(name), schema(short));
        assert!(schema(name).is_some());
    }
    assert_eq!(schema("openloop.summary/2"), None);
}

#[test]
fn golden_documents_validate_and_read_back() {
    let summary = golden_summary();
    assert_golden("tests/golden/summary.json", &summary.to_json());
    let value: Value = serde_json::from_str(&summary.to_json()).expect("JSON");
    assert_valid("summary", &value);
    let read = Summary::parse(&summary.to_json()).expect("a summary");
    assert_eq!(read.to_json(), summary.to_json());
    assert_eq!(read.latency_ns.response.histogram(), summary.latency_ns.response.histogram());

    let interval = golden_interval();
    let line = interval.to_line();
    assert_golden("tests/golden/interval.ndjson", &line);
    assert_eq!(line.matches('\n').count(), 1, "one line each");
    let value: Value = serde_json::from_str(&line).expect("JSON");
    assert_valid("interval", &value);
    assert_eq!(serde_json::from_str::<Interval>(&line).expect("an interval").to_line(), line);
}

#[test]
fn a_summary_in_pieces_is_the_summary() {
    let mut summary = golden_summary();
    // Texts that look like the timeline's place are none of it.
    summary.tags.insert("timeline".to_owned(), "\n  \"timeline\": []".to_owned());
    let whole = summary.to_json();
    let seconds = std::mem::take(&mut summary.timeline);
    assert!(seconds.len() > 1);
    let around = summary.around_timeline(seconds.len() as u64);
    let mut pieces = around.before;
    for (place, second) in seconds.iter().enumerate() {
        pieces.push_str(&timeline_text(second, place == 0));
    }
    pieces.push_str(&around.behind);
    assert_eq!(pieces, whole);
    let empty = summary.around_timeline(0);
    assert_eq!(empty.before + &empty.behind, summary.to_json());
}

#[test]
fn the_fields_that_people_build_on_stand() {
    let value: Value = serde_json::from_str(&golden_summary().to_json()).expect("JSON");
    for path in [
        "/schema",
        "/run/id",
        "/run/started_at",
        "/run/duration_s",
        "/run/tool_version",
        "/run/io/driver",
        "/run/cores",
        "/run/kernel",
        "/target/url",
        "/target/builtin",
        "/verdict/result",
        "/verdict/exit_code",
        "/verdict/reasons",
        "/audit/scheduled",
        "/audit/sent",
        "/audit/dropped/queue_full",
        "/audit/ok",
        "/audit/errors/timeout_first_byte",
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
        "/names/home",
        "/timeline/0/asked",
        "/thresholds/0/passed",
        "/tags/team",
        "/timeline/2/lag_ns/p99",
    ] {
        assert!(value.pointer(path).is_some(), "{path} is missing");
    }
    for latency in ["response", "response_ok", "service", "queue", "lag", "connect", "tls", "first_byte"] {
        for figure in [
            "count", "sum", "min", "mean", "stddev", "p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99",
            "max", "hdr",
        ] {
            let path = format!("/latency_ns/{latency}/{figure}");
            assert!(value.pointer(&path).is_some(), "{path} is missing");
        }
    }
    assert_eq!(value["run"]["io"]["driver"], "io_uring");
    assert_eq!(value["verdict"]["result"], "fail");
    assert_eq!(value["audit"]["balanced"], true);
}

#[test]
fn a_schema_refuses_what_is_no_summary() {
    let good: Value = serde_json::from_str(&golden_summary().to_json()).expect("JSON");
    let validator = jsonschema::validator_for(&schema_value("summary")).expect("a schema");
    for (path, wrong) in [
        ("/verdict/result", Value::from("great")),
        ("/verdict/exit_code", Value::from(300)),
        ("/audit/sent", Value::from(-1)),
        ("/audit/balanced", Value::from("yes")),
        ("/latency_ns/response/p99", Value::Null),
        ("/run", Value::Null),
    ] {
        let mut document = good.clone();
        *document.pointer_mut(path).expect("the field exists") = wrong;
        assert!(!validator.is_valid(&document), "{path}");
    }
}

#[test]
fn unknown_fields_are_ignored_and_other_documents_refused() {
    let mut value: Value = serde_json::from_str(&golden_summary().to_json()).expect("JSON");
    value["invented_later"] = Value::from(1);
    value["run"]["invented_later"] = Value::from("x");
    assert_eq!(Summary::parse(&value.to_string()).expect("a summary"), golden_summary());

    value["schema"] = Value::from("openloop.summary/2");
    let refused = Summary::parse(&value.to_string()).expect_err("another version");
    assert_eq!(refused, MergeError::Schema { found: "openloop.summary/2".to_owned() });
    for text in ["", "{}", "[1]", "not json", r#"{"schema":"openloop.summary/1"}"#, r#"{"schema":7}"#] {
        let refused = Summary::parse(text).expect_err(text);
        assert!(matches!(refused, MergeError::Unreadable { .. }), "{text}: {refused}");
        assert!(refused.to_string().contains("--json FILE"), "{refused}");
    }
}

#[test]
fn sums_beyond_64_bits_survive() {
    let mut histogram = measure::Histogram::new();
    histogram.record_many(u64::MAX, 1_000_000);
    let entry = report::LatencyEntry::from(&histogram);
    assert!(entry.sum > u128::from(u64::MAX));
    let text = serde_json::to_string(&entry).expect("JSON");
    let read: report::LatencyEntry = serde_json::from_str(&text).expect("an entry");
    assert_eq!(read.histogram(), Ok(histogram));
}
