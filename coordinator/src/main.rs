//! The coordinator: splits a plan's TPS exactly over engines, starts them at one instant, keeps the total
//! when one dies or joins, and merges their measurements exactly. This build holds none of that yet; the
//! program says so and refuses, so that no script takes silence for success.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

/// The house's exit code for a usage error (docs/architecture.md, "Exit codes").
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let message = "error: this version's coordinator cannot direct a fleet yet\n  \
         several machines can share one exact load today: run `engine --share 1/3 …`, `--share 2/3 …`, \
         `--share 3/3 …` with the same flags, then `engine merge a.json b.json c.json`\n";
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(message.as_bytes());
    ExitCode::from(USAGE)
}
