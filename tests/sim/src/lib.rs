//! The fleet in simulated time: the real director, nodes, a network, a disk, and faults in all of them.
//!
//! What it is: a [`World`] that is wholly decided by a seed, and [checkers](check) that know nothing of how the director
//! decides: they look at what nodes sent, at what was due, at what was made durable and at the report.
//! What it is not: a test of sockets or threads; those are the end-to-end tests'.
//!
//! Invariant: the same seed gives the same world, event for event. A failure names its seed; `SIM_SEED=7` runs that one alone.
//! Units: nanoseconds of true time, unless a name says otherwise.

#![forbid(unsafe_code)]

pub mod check;
mod course;
mod node;
mod random;
mod scenario;
mod shards;
mod store;
mod world;

pub use coordinator::director::Broken;
pub use scenario::Scenario;
pub use world::{Outcome, World};

/// A millisecond.
pub(crate) const MS: u64 = 1_000_000;
/// A second.
pub(crate) const S: u64 = 1_000 * MS;
