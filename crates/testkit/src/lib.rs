//! Hostile targets: servers with real sockets that do one named wrong thing each, and count what reaches them.
//!
//! And, for tests of pages, a [`browser`].
//!
//! What it is: a list of [`Behaviour`]s, and [`Hostile`], which serves one of them on a free port of loopback with a
//! thread for each connection. Its counters are what a test holds a load generator's own word against.
//! What it is not: a user of product code, a fast server, or a place for what the right reaction is; that stands in the
//! tests' table.
//!
//! Invariant: a behaviour does its one wrong thing on every connection, or on every tenth where it says so; what it
//! does otherwise is right.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![expect(clippy::missing_panics_doc, reason = "a test's server panics where the test fails")]

mod behaviour;
pub mod browser;
mod endings;
mod floods;
mod framing;
mod honest;
mod other_end;
mod papers;
mod peer;
mod secure;
mod server;
mod silence;
mod time;

pub use behaviour::{Behaviour, all, find};
pub use other_end::{OtherEnd, Papers};
pub use server::{Hostile, Refusing, Seen};
