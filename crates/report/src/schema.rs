//! The JSON Schemas of the documents.
//!
//! What it is: the committed schema files, embedded. What it is not: their generation at run time; a test holds the
//! files equal to what the types generate.

/// The documents that have a schema here.
pub const SCHEMA_NAMES: &[&str] = &[crate::SUMMARY_SCHEMA, crate::INTERVAL_SCHEMA];

const SUMMARY: &str = include_str!("../schema/summary-1.json");
const INTERVAL: &str = include_str!("../schema/interval-1.json");

/// The JSON Schema of a document, by its name: in full, such as `openloop.summary/1`, or short, such as `summary`.
pub fn schema(name: &str) -> Option<&'static str> {
    match name.strip_prefix("openloop.").unwrap_or(name) {
        "summary/1" | "summary" => Some(SUMMARY),
        "interval/1" | "interval" => Some(INTERVAL),
        _ => None,
    }
}
