//! The driver on a real ring, against servers on the loopback. Where the machine offers no ring, all of this fails.

#![forbid(unsafe_code)]

mod closing;
mod discarding;
mod echo;
mod failing;
mod harness;
mod receiving;
mod sending;
