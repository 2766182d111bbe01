//! The HTTP edge from outside, over the wire: what it answers, whom it answers, and what a hostile client costs.
//!
//! The fleet behind it is a pretended one (`fleet.rs`), so that what is tested is the edge alone.

#![expect(clippy::unwrap_used, reason = "what a test itself needs is there, or the test ends")]

mod api;
mod client;
mod edge;
mod events;
mod fleet;
mod gate;
mod locust;
mod page;
mod secure;
mod uploads;
