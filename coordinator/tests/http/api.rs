//! The documents of the API, its description, metrics and signs of health.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::ask;
use crate::edge::{Edge, Setting};

#[test]
fn the_description_in_the_repository_is_the_one_that_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&coordinator::http::openapi()).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "write it anew: UPDATE_GOLDEN=1 cargo test -p coordinator --test http description");
    let edge = Edge::start(Setting::default());
    assert_eq!(edge.get("/api/v1/openapi.json").json(), serde_json::from_str::<Value>(&made).unwrap());
}

#[test]
fn every_described_operation_is_there_and_gives_what_it_says() {
    let edge = Edge::start(Setting { behind: 3, ..Setting::default() });
    let run = edge.start_run(1_000);
    let description = coordinator::http::openapi();
    let mut asked = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for reference in references(operation) {
                let name = reference.strip_prefix("#/components/schemas/").unwrap();
                assert!(
                    description["components"]["schemas"][name].is_object(),
                    "{path}: {reference} leads nowhere"
                );
            }
            if path.ends_with("/stream")
                || method == "delete"
                || path.contains("stop")
                || path.contains("abort")
            {
                continue;
            }
            let path =
                path.replace("{run}", &run).replace("{node}", "alpha").replace("{sha256}", &"0".repeat(64));
            let body = if method == "post" { "{}" } else { "" };
            let what = format!("{} /api/v1{path}", method.to_ascii_uppercase());
            let answer = ask(edge.address, &what, &[("Content-Type", "application/json")], body.as_bytes());
            assert!(
                answer.status != 405 && answer.status < 500,
                "{what}: {} {}",
                answer.status,
                answer.text()
            );
            asked += 1;
            if answer.status != 200 {
                assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
                continue;
            }
            check(&description, &operation["responses"]["200"]["content"], &answer.json(), &what);
        }
    }
    assert!(asked > 15, "{asked}");
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(references)).collect()
        }
        Value::Array(list) => list.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Holds an answer against its schema.
fn check(description: &Value, content: &Value, answer: &Value, what: &str) {
    let Some(schema) = content.get("application/json").map(|content| content["schema"].clone()) else {
        return;
    };
    let mut whole = json!({"components": description["components"]});
    if let (Some(whole), Some(schema)) = (whole.as_object_mut(), schema.as_object()) {
        whole.extend(schema.clone());
    }
    let validator = jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{what}: {error}"));
    let wrong: Vec<String> = validator.iter_errors(answer).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?}");
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let edge = Edge::start(Setting::default());
    let run = edge.start_run(1_000);
    let json = [("Content-Type", "application/json")];
    let table = [
        ("GET /api/v1/runs/0123".to_owned(), "", 404, "no such run"),
        (format!("GET /api/v1/runs/{}", "f".repeat(32)), "", 404, "no such run"),
        ("GET /api/v1/runs?limit=many".to_owned(), "", 400, "limit"),
        ("GET /api/v1/runs?colour=red".to_owned(), "", 400, "colour"),
        ("GET /api/v1/nodes/nobody".to_owned(), "", 404, "no such node"),
        ("POST /api/v1/runs".to_owned(), "{\"word\":[]}", 400, "word"),
        ("POST /api/v1/runs".to_owned(), "[", 400, "EOF"),
        ("POST /api/v1/runs".to_owned(), r#"{"words":["--url","http://forbidden/"]}"#, 403, "not allowed"),
        (format!("POST /api/v1/runs/{run}/rate"), r#"{"tps":"many"}"#, 400, "many"),
        ("PUT /api/v1/runs".to_owned(), "{}", 405, "method"),
        ("GET /api/v2/runs".to_owned(), "", 404, "openapi.json"),
    ];
    for (what, body, status, word) in table {
        let answer = ask(edge.address, &what, &json, body.as_bytes());
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let problem = answer.json();
        assert!(problem["detail"].as_str().unwrap().contains(word), "{what}: {problem}");
        assert_eq!(problem["status"], json!(status));
    }
    let stop = format!("/api/v1/runs/{run}/stop");
    assert_eq!(edge.post(&stop, &json!({})).status, 200);
    assert_eq!(edge.post(&stop, &json!({})).status, 409);
}

#[test]
fn metrics_are_what_prometheus_reads_whatever_names_hold() {
    let words = "\"} evil{\\\n# TYPE x counter\n";
    let edge = Edge::start(Setting {
        behind: 2,
        words: words.to_owned(),
        second: Duration::from_hours(1),
        ..Setting::default()
    });
    let run = edge.start_run(2);
    let text = edge.get("/metrics").text();
    for line in text.lines() {
        let is_comment = line.starts_with("# HELP openloop_") || line.starts_with("# TYPE openloop_");
        assert!(is_comment || is_sample(line), "{line}");
    }
    assert!(
        text.contains(&format!("openloop_requests_sent_total{{run=\"{run}\",project=\"default\"}} 1980\n")),
        "{text}"
    );
    assert!(text.contains("openloop_coordinator_term 3\n"), "{text}");
    assert!(
        text.contains(&format!("openloop_exchange_errors_total{{run=\"{run}\",class=\"reset\"}} 6\n")),
        "{text}"
    );
}

/// The form of a sample, by the grammar of the text format.
fn is_sample(line: &str) -> bool {
    let pattern = r#"^openloop_[a-z0-9_]+(\{([a-z_]+="([^"\\]|\\["\\n])*",?)+\})? [0-9.eE+-]+$"#;
    regex::Regex::new(pattern).unwrap().is_match(line)
}

#[test]
fn it_says_that_it_lives_before_it_is_ready() {
    let edge = Edge::start(Setting::default());
    assert_eq!(edge.get("/healthz").text(), "ok\n");
    let ready = edge.get("/readyz");
    assert!(ready.status == 200 || ready.status == 503, "{}", ready.status);
}
