//! Reading documents: JSON by pointer, the audit, and the schemas that the engine prints.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::Engine;

/// Parses JSON.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn parse(what: &str, bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{what} is no JSON: {error}\n{}", String::from_utf8_lossy(bytes)))
}

#[track_caller]
fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer} in {document:#}"))
}

/// The count at a JSON pointer.
#[track_caller]
pub fn count(document: &Value, pointer: &str) -> u64 {
    at(document, pointer)
        .as_u64()
        .unwrap_or_else(|| panic!("{pointer} is no count: {}", at(document, pointer)))
}

/// The number at a JSON pointer.
#[track_caller]
pub fn number(document: &Value, pointer: &str) -> f64 {
    at(document, pointer)
        .as_f64()
        .unwrap_or_else(|| panic!("{pointer} is no number: {}", at(document, pointer)))
}

/// The text at a JSON pointer.
#[track_caller]
pub fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    at(document, pointer)
        .as_str()
        .unwrap_or_else(|| panic!("{pointer} is no text: {}", at(document, pointer)))
}

/// The counts by name at a JSON pointer, without those that are 0.
#[track_caller]
pub fn counts(document: &Value, pointer: &str) -> BTreeMap<String, u64> {
    let object = at(document, pointer).as_object().unwrap_or_else(|| panic!("{pointer} is no object"));
    let counts = object.iter().map(|(name, count)| (name.clone(), count.as_u64().expect("a count")));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// The items at a JSON pointer.
#[track_caller]
pub fn items<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    at(document, pointer).as_array().unwrap_or_else(|| panic!("{pointer} is no list"))
}

/// Where every arrival went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the document's")]
pub struct Audit {
    pub scheduled: u64,
    pub sent: u64,
    pub dropped: BTreeMap<String, u64>,
    pub ok: u64,
    pub errors: BTreeMap<String, u64>,
    pub cut_off: u64,
    pub unassigned: u64,
}

impl Audit {
    /// The audit of a summary.
    ///
    /// # Panics
    /// When it does not add up, whatever it says of itself.
    #[track_caller]
    pub fn of(summary: &Value) -> Self {
        let audit = Self {
            scheduled: count(summary, "/audit/scheduled"),
            sent: count(summary, "/audit/sent"),
            dropped: counts(summary, "/audit/dropped"),
            ok: count(summary, "/audit/ok"),
            errors: counts(summary, "/audit/errors"),
            cut_off: count(summary, "/audit/cut_off"),
            unassigned: count(summary, "/audit/unassigned"),
        };
        assert_eq!(at(summary, "/audit/balanced"), true, "{audit:?}");
        assert_eq!(audit.scheduled, audit.sent + audit.dropped() + audit.unassigned, "{audit:?}");
        assert_eq!(audit.sent, audit.ok + audit.failed() + audit.cut_off, "{audit:?}");
        audit
    }

    /// Arrivals never sent.
    pub fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Exchanges that failed.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The errors' names.
    pub fn error_classes(&self) -> Vec<&str> {
        self.errors.keys().map(String::as_str).collect()
    }
}

/// A JSON Schema as the engine prints it.
#[derive(Debug)]
pub struct Schema {
    name: String,
    validator: jsonschema::Validator,
}

impl Schema {
    /// `engine schema NAME`.
    ///
    /// # Panics
    /// When the engine prints no schema.
    #[track_caller]
    pub fn of(name: &str) -> Self {
        let printed = Engine::new("schema").arg(name).run().expect(0);
        assert_eq!(printed.stderr, "");
        let schema = parse("the schema", printed.stdout.as_bytes());
        let validator = jsonschema::validator_for(&schema).expect("it is a JSON Schema");
        Self { name: name.to_owned(), validator }
    }

    /// What is wrong with a document.
    pub fn faults(&self, document: &Value) -> Vec<String> {
        let faults = self.validator.iter_errors(document);
        faults.map(|fault| format!("{} at {}", fault, fault.instance_path())).collect()
    }

    /// Demands that a document is valid.
    #[track_caller]
    pub fn admit(&self, document: &Value) {
        let faults = self.faults(document);
        assert!(faults.is_empty(), "not what the schema {} says: {faults:#?}", self.name);
    }
}
