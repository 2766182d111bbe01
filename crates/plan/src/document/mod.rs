//! The plan file, `openloop.plan/1`: from the text that a person wrote to a validated [`PlanFile`].
//!
//! What it is: YAML (or JSON, which is YAML) → a tree with positions → variables put in (`${NAME:-default}`) → typed
//! parts, held against each other. What it is not: I/O; variables and files come through a [`World`].
//!
//! Invariants: every fault points into the file and several are told at once; no value of a secret reaches a message
//! or a `Debug`; no text makes it panic; work and memory are bounded by the file's size and by fixed limits.

mod checks;
mod data;
mod fields;
mod figures;
mod file;
mod laws;
mod limits;
mod options;
mod origins;
mod overrides;
mod problem;
mod profile;
mod requests;
mod scale;
mod scenarios;
mod secret;
mod source;
mod substitute;
mod suggest;
mod targets;
mod thresholds;
mod tree;
mod workloads;

pub use data::{AtEnd, DataFormat, DataSource, RowOrder};
pub use file::PlanFile;
pub use limits::PlanLimits;
pub use options::Options;
pub use overrides::Overrides;
pub use problem::{Fault, FileError, MOST_FAULTS};
pub use profile::{Iterations, UserStage, WorkloadLoad};
pub use secret::Secret;
pub use source::Span;
pub use targets::Target;
pub use thresholds::PlanThreshold;
pub use workloads::Workload;

use crate::PlanError;

/// What the name of the schema is.
pub const PLAN_SCHEMA: &str = "openloop.plan/1";

/// The JSON Schema of a plan file (draft 2020-12), for editors.
pub const PLAN_JSON_SCHEMA: &str = include_str!("../../schema/plan-1.json");

/// The process around a plan file, as far as reading it needs. Paths are as the plan has them: relative ones start
/// from the plan's folder.
pub trait World {
    /// An environment variable; an error says why it cannot be used (`is not UTF-8`).
    fn variable(&self, name: &str) -> Result<Option<String>, String>;
    /// The contents of a file; an error says why it cannot be read (`there is no such file`).
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
    /// Whether a file can be read, without reading it.
    fn look(&self, path: &str) -> Result<(), String>;
    /// Whether a text is a threshold; `verdict` knows.
    fn check_threshold(&self, text: &str) -> Result<(), PlanError>;
}

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
