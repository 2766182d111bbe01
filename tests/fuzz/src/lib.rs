//! Fuzz entry points, one function a target, called by the fuzzer and by the corpus replay alike.
//!
//! What it is: for every parser of foreign bytes a function that hands it any bytes and asserts what must hold
//! whatever they are. A failure is a panic.
//! What it is not: a fuzzer. `fuzz/` wraps these functions for cargo-fuzz; `tests/replay.rs` runs the committed
//! corpora through them as an ordinary test.
//!
//! To fuzz a target for five minutes, from this directory, keeping what it finds apart from the committed corpus:
//!
//! ```text
//! mkdir -p found
//! RUSTC_BOOTSTRAP=1 cargo fuzz run http1_response found corpus/http1_response -- -max_total_time=300
//! ```
//!
//! A crash is written below `fuzz/artifacts`; its input belongs into the corpus, with the fix.

#![forbid(unsafe_code)]
#![expect(clippy::missing_panics_doc, reason = "a panic is how a target reports a fault")]

mod histograms;
mod requests;
mod responses;
mod rows;
mod scenarios;
mod texts;

pub use histograms::histogram;
pub use requests::http1_request;
pub use responses::http1_response;
pub use rows::{feeder_csv, feeder_jsonl};
pub use scenarios::{scenario_condition, scenario_cookies, scenario_json_path, scenario_template};
pub use texts::{plan_request, plan_texts, threshold};

/// A target: it panics if its input shows a fault.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("feeder_csv", feeder_csv),
    ("feeder_jsonl", feeder_jsonl),
    ("http1_request", http1_request),
    ("http1_response", http1_response),
    ("measure_histogram", histogram),
    ("plan_request", plan_request),
    ("plan_texts", plan_texts),
    ("scenario_condition", scenario_condition),
    ("scenario_cookies", scenario_cookies),
    ("scenario_json_path", scenario_json_path),
    ("scenario_template", scenario_template),
    ("verdict_threshold", threshold),
];
