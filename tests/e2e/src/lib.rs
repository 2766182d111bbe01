//! Harness of the end-to-end tests: starts built binaries, watches them from outside, reads what they print.
//!
//! What it is: processes with guards, targets with counters of their own, deadlines, documents.
//! What it is not: a user of any product code; what the engine says of itself is compared with what others saw.
//!
//! Invariants: every wait has a deadline; every process that a test starts ends with the test; tests that measure
//! time hold the machine alone among all tests ([`machine::alone`]).

#![forbid(unsafe_code)]
#![expect(clippy::missing_panics_doc, reason = "a harness panics where a test fails: all of it does")]

pub mod control;
pub mod document;
pub mod engine;
pub mod events;
pub mod fleet;
pub mod histogram;
pub mod http;
pub mod machine;
pub mod memory;
pub mod namespaces;
pub mod process;
pub mod python;
pub mod random;
pub mod served;
pub mod spread;
pub mod target;
pub mod terminal;
pub mod timetable;
pub mod waiting;
pub mod witness;

pub use document::{count, counts, number, text};
pub use engine::{Engine, Outcome};
pub use target::Target;
pub use terminal::Terminal;
