//! Whole-system measurement: the engine beside its peers, bare baselines and the kernel's floor.
//!
//! What it is: one command that installs and builds what it needs, starts its own targets, runs every client in turn
//! on the same core, and prints tables of CPU time per request, of ratios, and of how well a schedule was kept.
//! Beside that, what directing a large fleet costs a coordinator (`fleet`).
//! What it is not: a test. It passes no judgement that fails a build; figures depend on the machine, and are only
//! worth something beside the others of the same rounds.
//!
//! Invariants:
//! * Every client is a process of its own, pinned before it starts; its CPU time is the kernel's own account of the
//!   whole process (`wait4`), start-up included.
//! * Requests are counted by the target, never by the client.
//! * Clients run interleaved, one run each per round, in an order that rotates with the round.
//! * Only processes started here are ended, each through its own descriptor.
//!
//! Units: times in nanoseconds (`_ns`) until they are printed; CPU per request in microseconds.

mod arguments;
mod child;
mod clients;
mod environment;
mod error;
mod fleet;
mod nginx;
mod programs;
mod responder;
mod rounds;
mod statistics;
mod tables;

pub mod baselines;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
pub use error::PerfError;

/// Reads the command line, measures, prints.
pub fn run() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Baseline(exercise) => baselines::run(&exercise),
        Command::ClosedLoop(options) => tables::print(&options, &[tables::Name::ClosedLoop]),
        Command::Sweep(options) => tables::print(&options, &[tables::Name::Sweep]),
        Command::Sizes(options) => tables::print(&options, &[tables::Name::Sizes]),
        Command::Churn(options) => tables::print(&options, &[tables::Name::Churn]),
        Command::Bulk(options) => tables::print(&options, &[tables::Name::Bulk]),
        Command::Tls(options) => tables::print(&options, &[tables::Name::Tls]),
        Command::Handshakes(options) => tables::print(&options, &[tables::Name::Handshakes]),
        Command::Schedule(options) => tables::print(&options, &[tables::Name::Schedule]),
        Command::Scaling(options) => tables::print(&options, &[tables::Name::Scaling]),
        Command::Journey(options) => tables::print(&options, &[tables::Name::Journey]),
        Command::Fleet(options) => fleet::print(&options),
        Command::All(options) => tables::print(&options, tables::ALL),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(3)
        }
    }
}

/// Tells the person waiting what happens; results go to standard output, this does not.
pub(crate) fn say(text: &str) {
    // Nobody may be listening; measuring goes on.
    let _ = writeln!(std::io::stderr(), "perf: {text}");
}

/// Prints results.
pub(crate) fn emit(text: &str) -> Result<(), PerfError> {
    let mut output = std::io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|source| PerfError::Output { source })
}
