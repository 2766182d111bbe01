//! The page in a real Chromium, driven by `page.mjs`: a run from its form to its report, hostile text, narrow windows,
//! both themes, the keyboard, and what an accessibility checker says.
//!
//! The same over a real fleet stands in `tests/e2e/tests/ci/page.rs`.

use std::time::Duration;

use serde_json::json;

use crate::edge::{Edge, Setting};

/// What must stay text wherever it comes in.
const PAYLOADS: &str = include_str!("payloads.txt");

fn drive(journey: &str, edge: &Edge) {
    testkit::browser::drive(include_str!("page.mjs"), journey, &format!("http://{}", edge.address));
}

#[test]
fn a_run_from_its_form_to_its_report() {
    let edge = Edge::start(Setting { second: Duration::from_millis(200), ..Setting::default() });
    drive("journey", &edge);
}

#[test]
fn hostile_text_stays_text() {
    let payloads: Vec<&str> = PAYLOADS.lines().filter(|line| !line.is_empty()).collect();
    assert!(payloads.len() >= 40, "{}", payloads.len());
    let edge = Edge::start(Setting { words: payloads.join(" "), behind: 2, ..Setting::default() });
    for payload in &payloads {
        let words = ["--url", payload, "--tps", payload, "--duration", "2s"];
        let answer =
            edge.post("/api/v1/runs", &json!({"words": words, "name": payload, "tags": {*payload: payload}}));
        assert!(answer.status == 200 || answer.status == 403, "{payload}: {}", answer.text());
    }
    drive("hostile", &edge);
}

#[test]
fn everybody_can_use_it() {
    let edge = Edge::start(Setting { second: Duration::from_millis(100), behind: 30, ..Setting::default() });
    edge.start_run(60);
    drive("access", &edge);
}
