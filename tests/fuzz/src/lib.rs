//! Fuzz entry points, one function a target, called by the fuzzer and by the corpus replay alike.
//!
//! What it is: for every parser of foreign bytes a function that hands it any bytes and asserts what must hold
//! whatever they are. A failure is a panic.
//! What it is not: a fuzzer. `fuzz/` wraps these functions for cargo-fuzz; `tests/replay.rs` runs the committed
//! corpora through them as an ordinary test.
//!
//! `cargo xtask long fuzz` fuzzes all targets for ten minutes each, `cargo xtask long fuzz http1_response 1h` one for an
//! hour; what reaches new code joins the corpus. `cargo xtask long coverage` prints how much of each parser its corpus
//! runs through. By hand, from this directory:
//!
//! ```text
//! mkdir -p found/http1_response
//! RUSTC_BOOTSTRAP=1 cargo fuzz run http1_response found/http1_response corpus/http1_response -- -max_total_time=300
//! ```
//!
//! A crash is written below `fuzz/artifacts`; its input belongs into the corpus, with the fix.

#![forbid(unsafe_code)]
#![expect(clippy::missing_panics_doc, reason = "a panic is how a target reports a fault")]

mod documents;
mod histograms;
mod messages;
mod plans;
mod replies;
mod requests;
mod responses;
mod rows;
mod scenarios;
mod sessions;
mod targets;
mod texts;

pub use documents::{control_request, report_merge};
pub use histograms::histogram;
pub use messages::wire_message;
pub use plans::plan_document;
pub use replies::redis_reply;
pub use requests::http1_request;
pub use responses::http1_response;
pub use rows::{feeder_csv, feeder_jsonl};
pub use scenarios::{
    scenario_challenge, scenario_condition, scenario_cookies, scenario_json_path, scenario_template,
};
pub use sessions::{tls_pem, tls_session};
pub use targets::{target_request, target_texts};
pub use texts::{plan_request, plan_texts, threshold};

/// A target: it panics if its input shows a fault.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("control_request", control_request),
    ("feeder_csv", feeder_csv),
    ("feeder_jsonl", feeder_jsonl),
    ("http1_request", http1_request),
    ("http1_response", http1_response),
    ("measure_histogram", histogram),
    ("plan_document", plan_document),
    ("plan_request", plan_request),
    ("plan_texts", plan_texts),
    ("redis_reply", redis_reply),
    ("report_merge", report_merge),
    ("scenario_challenge", scenario_challenge),
    ("scenario_condition", scenario_condition),
    ("scenario_cookies", scenario_cookies),
    ("scenario_json_path", scenario_json_path),
    ("scenario_template", scenario_template),
    ("target_request", target_request),
    ("target_texts", target_texts),
    ("tls_pem", tls_pem),
    ("tls_session", tls_session),
    ("verdict_threshold", threshold),
    ("wire_message", wire_message),
];
