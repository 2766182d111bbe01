//! The driver on a real ring, against servers on the loopback. Where the machine offers no ring, all of this fails.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by where it panics")]

mod closing;
mod discarding;
mod echo;
mod failing;
mod harness;
mod receiving;
mod sending;
