//! Documents and lines of JSON: summaries to merge, requests on the control socket.

use std::sync::LazyLock;

use engine::control::request::Request;
use report::{Style, Summary, merge, terminal_summary};
use serde_json::Value;

use crate::texts::assert_fit_for_a_terminal;

/// A summary as the engine writes it; patches of the fuzzer's make others of it.
static BASE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../crates/report/tests/golden/summary.json"))
        .expect("the golden summary is JSON")
});

/// The most documents that are merged: each costs as much as a real one.
const DOCUMENTS_MAX: usize = 3;

/// The input: up to three documents, each but the last ended by the byte 0xFF. An object without `schema` is a merge
/// patch (RFC 7396) to a whole summary; anything else is a document as it stands. What can be merged can be merged in
/// any order, written, read again and shown.
pub fn report_merge(input: &[u8]) {
    let documents = input.split(|byte| *byte == 0xff).take(DOCUMENTS_MAX);
    let mut summaries = Vec::new();
    for document in documents {
        let Ok(text) = std::str::from_utf8(document) else { continue };
        match Summary::parse(&patched(text)) {
            Ok(summary) => summaries.push(summary),
            Err(error) => assert_fit_for_a_terminal(&error.to_string()),
        }
    }
    for summary in &summaries {
        check_summary(summary);
    }
    let merged = merge(&summaries);
    summaries.reverse();
    match (merged, merge(&summaries)) {
        (Ok(whole), Ok(reversed)) => {
            check_summary(&whole);
            if summaries.len() > 1 {
                assert_same(
                    &whole.to_json(),
                    &reversed.to_json(),
                    "the order of the parts changed the whole",
                );
            }
        }
        (Err(error), Err(_)) => assert_fit_for_a_terminal(&error.to_string()),
        (one, other) => panic!("the order of the parts decides whether they merge: {one:?} {other:?}"),
    }
}

/// The document that `text` stands for.
fn patched(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(patch) if patch.is_object() && patch.get("schema").is_none() => {
            let mut document = BASE.clone();
            apply(&mut document, &patch);
            document.to_string()
        }
        _ => text.to_owned(),
    }
}

/// RFC 7396, section 2, as it is written there.
fn apply(document: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *document = patch.clone();
        return;
    };
    if !document.is_object() {
        *document = Value::Object(serde_json::Map::new());
    }
    let object = document.as_object_mut().expect("it was just made one");
    for (name, value) in fields {
        if value.is_null() {
            object.remove(name);
        } else {
            apply(object.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// It can be shown, and what is written of it can be read.
fn check_summary(summary: &Summary) {
    let text = terminal_summary(summary, &[], Style { colour: false, utf8: true });
    assert_fit_for_a_terminal(&text);
    let plain = terminal_summary(summary, &[], Style { colour: false, utf8: false });
    assert!(plain.is_ascii(), "{plain}");
    let json = summary.to_json();
    let again = Summary::parse(&json).expect("what is written can be read");
    assert_same(&json, &again.to_json(), "what is read is written differently");
}

/// Compares documents; of two long ones only the first line that differs is shown.
fn assert_same(left: &str, right: &str, what: &str) {
    if let Some((left, right)) = left.lines().zip(right.lines()).find(|(left, right)| left != right) {
        panic!("{what}: {left} and {right}");
    }
    assert_eq!(left.len(), right.len(), "{what}");
}

/// The input: one line on the control socket. A refusal says something, and an `id` is the one that stands in the line.
pub fn control_request(input: &[u8]) {
    let id = match Request::parse(input) {
        Ok(request) => request.id,
        Err((id, message)) => {
            assert!(!message.is_empty());
            id
        }
    };
    // What is skipped as unknown may be more than a value can hold, such as 1e999.
    if let (Some(id), Ok(line)) = (id, serde_json::from_slice::<Value>(input)) {
        assert_eq!(line.get("id"), Some(&id));
    }
}
