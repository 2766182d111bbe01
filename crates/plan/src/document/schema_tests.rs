//! The committed JSON Schema against the reader: the same keys, the same judgement as far as a schema can judge.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::problem::Problems;
use super::requests::{Core, core};
use super::tree::{Node, Value, read};
use super::{
    PLAN_JSON_SCHEMA, checks, data, file, laws, limits, options, profile, requests, scenarios, targets,
    tests, thresholds,
};

fn schema() -> Json {
    serde_json::from_str(PLAN_JSON_SCHEMA).expect("the schema is JSON")
}

/// The plan as an editor's YAML reader hands it to the schema.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => Json::Null,
        Value::Scalar(scalar) if scalar.plain => match core(&scalar.text) {
            Core::Plain(text) => serde_json::from_str(&text).expect("a JSON value"),
            Core::NotJson | Core::Text => Json::String(scalar.text.clone()),
        },
        Value::Scalar(scalar) => Json::String(scalar.text.clone()),
        Value::List(nodes) => nodes.iter().map(json).collect(),
        Value::Mapping(entries) => entries.iter().map(|(key, node)| (key.text.clone(), json(node))).collect(),
    }
}

fn document(text: &str) -> Option<Json> {
    let mut problems = Problems::default();
    let node = read(text, &mut problems)?;
    problems.is_empty().then(|| json(&node))
}

fn faults(validator: &jsonschema::Validator, text: &str) -> Option<Vec<String>> {
    let document = document(text)?;
    Some(
        validator
            .iter_errors(&document)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect(),
    )
}

#[test]
fn the_schema_accepts_a_plan_that_uses_everything() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is a schema");
    assert_eq!(faults(&validator, tests::WHOLE), Some(Vec::new()));
}

/// Workloads that the reader takes; each has a request beside it.
const LOADS: &[&str] = &[
    "tps: 5",
    "tps: 5, stages: [{for: 1s, tps: 9}]",
    "tps: 6k/m, arrivals: poisson, for: 1m, start: 3s, iterations: 7",
    "tps: \"${TPS}\"",
    "stages: \"1s:5,2s:=9\"",
    "stages: [{for: 1s, users: 5}, {for: 0s, users: 0}]",
    "users: 3, stages: [{for: 1s, users: 5}]",
    "users: 3, spawn-rate: 2, iterations: 10, for: 1m",
    "steps: {from: 5, to: 1, by: 2, each: 1s}, arrivals: poisson",
    "spike: {base: 5, peak: 9, at: 1s, for: 2s, ramp: 1s}, for: 1m",
    "sine: {mean: 5, amplitude: 5, period: 1s}, for: 10s",
    "sine: {mean: 5, amplitude: 5, period: 10ms}, for: 10s",
    "ramp: {arrivals: 5, over: 1s}, arrivals: constant",
    "once: {users: 5}, for: 1m, start: 1s",
];

/// Parts of a plan that the reader takes.
const PARTS: &[&str] = &[
    "targets: {a: {url: http://h, insecure: false, cacert: ca.pem}}",
    "targets: {a: {url: http://h, insecure: true}}",
    "data: {d: {file: users.csv, unique: true, at-end: fail}}",
    "data: {d: {file: users.csv, unique: false, order: random, at-end: repeat}}",
    "scenarios: {s: [{get: \"{{path}}\"}, {get: \"${EMPTY:-/}x\"}, {request: {method: PURGE, url: /x}}]}\nvariables: {path: /}",
];

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is a schema");
    let target = "targets: {a: http://127.0.0.1}";
    let load = |load: &&str| format!("{target}\nworkloads:\n  w: {{{load}, request: /}}\n");
    let part = |part: &&str| {
        let targets = if part.starts_with("targets") { "" } else { target };
        format!("{part}\n{targets}\nworkloads: {{w: {{tps: 1, request: /}}}}\n")
    };
    for plan in LOADS.iter().map(load).chain(PARTS.iter().map(part)) {
        let plan = format!("schema: openloop.plan/1\n{plan}");
        tests::parse(&plan);
        assert_eq!(faults(&validator, &plan), Some(Vec::new()), "{plan}");
    }
}

#[test]
fn the_schema_rejects_every_wrong_plan_that_a_schema_can() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is a schema");
    let mut otherwise = String::new();
    let mut rejected = 0;
    for (text, _, words) in tests::wrong::rows() {
        match faults(&validator, &text) {
            // Not YAML, or keys that stand there twice: refused before any schema.
            None => {}
            Some(faults) if faults.is_empty() => {
                let _ = write!(otherwise, "accepted, {words}:\n{text}\n---\n");
            }
            Some(_) => rejected += 1,
        }
    }
    for (text, _, words) in tests::wrong::beyond_a_schema() {
        match faults(&validator, &text) {
            Some(faults) if faults.is_empty() => {}
            faults => {
                let _ = write!(otherwise, "rejected, {words}: {faults:?}\n{text}\n---\n");
            }
        }
    }
    assert!(otherwise.is_empty(), "{otherwise}");
    assert!(rejected >= 70, "only {rejected} wrong plans are rejected");
}

#[test]
fn the_schema_has_the_readers_keys() {
    let schema = schema();
    let defs = &schema["$defs"];
    let keys = |place: &Json| -> Vec<String> {
        let mut keys: Vec<String> =
            place["properties"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
        keys.sort();
        keys
    };
    let object = |name: &str| {
        let place = &defs[name];
        let branches = place["anyOf"].as_array().cloned().unwrap_or_default();
        branches.into_iter().find(|branch| branch["properties"].is_object()).unwrap_or_else(|| place.clone())
    };
    let workload = object("workload");
    let step = |index: usize| defs["step"]["anyOf"][index].clone();
    let (workload_keys, request_keys) = (super::workloads::workload_keys(), requests::request_keys());
    let rows: Vec<(&str, Json, &[&str])> = vec![
        ("plan", schema.clone(), &file::PLAN_KEYS),
        ("target", object("target"), &targets::TARGET_KEYS),
        ("data", object("data"), &data::DATA_KEYS),
        ("secret", object("secret"), &data::SECRET_KEYS),
        ("defaults", object("defaults"), &requests::DEFAULTS_KEYS),
        ("limits", object("limits"), &limits::LIMITS_KEYS),
        ("options", object("options"), &options::OPTIONS_KEYS),
        ("workload", workload.clone(), &workload_keys),
        ("stage", object("stage"), &profile::STAGE_KEYS),
        ("steps", workload["properties"]["steps"].clone(), &profile::STEPS_KEYS),
        ("spike", workload["properties"]["spike"].clone(), &profile::SPIKE_KEYS),
        ("sine", workload["properties"]["sine"].clone(), &profile::SINE_KEYS),
        ("ramp", workload["properties"]["ramp"].clone(), &profile::RAMP_KEYS),
        ("once", workload["properties"]["once"].clone(), &profile::ONCE_KEYS),
        ("scenario", object("scenario"), &scenarios::SCENARIO_KEYS),
        ("request", object("request"), &request_keys),
        ("part", object("part"), &requests::PART_KEYS),
        ("auth", object("auth"), &requests::AUTH_KEYS),
        ("login", object("login"), &requests::LOGIN_KEYS),
        ("oauth2", defs["auth"]["properties"]["oauth2"].clone(), &requests::OAUTH2_KEYS),
        ("aws", defs["auth"]["properties"]["aws"].clone(), &requests::AWS_KEYS),
        ("extraction", object("extraction"), &checks::EXTRACT_KEYS),
        ("check", object("check"), &checks::CHECK_KEYS),
        ("test", object("test"), &checks::TEST_KEYS),
        ("threshold", object("threshold"), &thresholds::THRESHOLD_KEYS),
        ("think", object("think"), &laws::LAW_KEYS),
        ("bytes", object("bytes"), &laws::LAW_KEYS),
        ("choice", object("choice"), &scenarios::CHOICE_KEYS),
        ("barrier", object("barrier"), &scenarios::BARRIER_OWN_KEYS),
        ("repeat", step(2), &scenarios::REPEAT_KEYS),
        ("while", step(3), &scenarios::WHILE_KEYS),
        ("if", step(4), &scenarios::IF_KEYS),
        ("group", step(6), &scenarios::GROUP_KEYS),
    ];
    for (name, place, known) in rows {
        let mut known: Vec<String> = known.iter().map(|key| (*key).to_owned()).collect();
        known.sort();
        assert_eq!(keys(&place), known, "{name}");
    }
}
