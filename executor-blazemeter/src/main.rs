//! executor-blazemeter: registers engines as custom executors with a BlazeMeter-style service, waits for its
//! start, and reports live and final metrics. This build holds none of that yet; the program says so and
//! refuses, so that no script takes silence for success.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

/// The house's exit code for a usage error (docs/architecture.md, "Exit codes").
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let message = "error: this version's executor-blazemeter cannot register with a service yet\n  \
         run the load by itself: `engine URL --tps N --duration D --json result.json`\n";
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(message.as_bytes());
    ExitCode::from(USAGE)
}
