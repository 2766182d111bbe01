//! What people read on a terminal.
//!
//! What it is: pure functions from values to text: the summary after a run, the live lines during it, and the plain
//! progress line where there is no terminal.
//! What it is not: a terminal; whoever prints decides about width, colour and cursor.
//!
//! Invariants: at most 40 lines of at most 100 columns for the summary; the same order every time; foreign text
//! carries no control characters; without UTF-8 only ASCII is written.

mod fleet;
mod journeys;
mod live;
mod numbers;
mod style;
mod summary;

pub use live::{Live, LiveName, live_lines, progress_line};
pub use style::{Style, sanitized};
pub use summary::terminal_summary;
