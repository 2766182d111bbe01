//! The director: decides what the fleet does.
//!
//! What it is: one pure machine. It hears [`Event`]s with the instant at which they came and answers [`Action`]s; whom it
//! takes for a run, who owns which cells from when on, what is durable before what is said. What it is not: a socket, a
//! clock, a database or a source of randomness; those are the edges', and tests hand it simulated ones.
//!
//! Invariants: a cell has at most one owner for every nanosecond of a run; every delta is counted once; whatever a node is
//! told follows from what was durable before.

mod event;
mod record;
mod text;

pub use event::{Action, Answer, Event, NodeOrder, Order, Rated, Submission, Terms, Weights};
pub use record::{
    CellsText, Chosen, Conclusion, Fact, Mark, Merged, NamesText, Origin, PartText, Record, Restored,
    Settings, Share, StopCause,
};
