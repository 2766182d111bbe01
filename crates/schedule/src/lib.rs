//! When each request of a run is due, and who sends it.
//!
//! What it is: pure arithmetic. A [`Profile`] says how many arrivals per second the plan asks for over time;
//! a [`Process`] says how they are spaced; [`Cells`] say which of them belong to whom; [`Arrivals`] walks the
//! ones that a single shard owns, in the order in which they are due.
//! What it is not: a clock, a timer or a sender. It reads no time, holds no descriptor and draws no ambient
//! randomness: the same inputs give the same arrivals on every machine.
//!
//! Units: instants are nanoseconds after the start of the run (`…_ns`); rates are millionths of an arrival per
//! second ([`Rate`]); the integral of the rate is counted in [quanta](segment), of which an arrival has
//! 2 × 10¹⁵, so that every sum in this crate is an exact integer.
//!
//! Invariants:
//! - Nothing is early: at the instant an arrival is due, the integral of the rate has reached its place.
//! - However the cells are split, the parts together yield exactly the arrivals of the whole.
//! - Positions follow from the index, never from a running sum of intervals, so nothing drifts.

#![forbid(unsafe_code)]

mod arrivals;
mod cells;
mod error;
mod interleave;
mod philox;
mod poisson;
mod profile;
mod rate;
mod segment;
mod slots;

pub use arrivals::{Arrival, Arrivals, Process};
pub use cells::{CELL_COUNT, Cells};
pub use error::ScheduleError;
pub use profile::{ARRIVALS_MAX, Phase, Profile};
pub use rate::Rate;

#[cfg(test)]
mod proptest_config;
