//! The truth lab: what the engine reports, beside what witnesses that share no code with it have seen.
//!
//! What it is: known delay laws, stalls, pauses, changing rates, lossy and narrow networks, starved and healthy engines.
//! The whole table is printed by `cargo xtask long truth`; a word after it picks tests. What it is not: fast, or of use on
//! a busy machine; cases that neighbours disturb are run again, and the table says how often.

#![expect(clippy::print_stdout, reason = "the table is what whoever runs this wants")]

mod capture;
mod cases;
mod lab;
mod network;
mod oracle;
mod peers;
mod plan;
mod starvation;
