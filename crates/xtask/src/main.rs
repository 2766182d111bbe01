//! Automation of this workspace: `cargo xtask COMMAND`.
//!
//! What it is: the one place that knows how the project is checked. `.ci/run` calls it, and so do people.
//! What it is not: a part of the product.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod arrows;
mod commands;
mod coverage;
mod fuzz;
mod metadata;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  ci      format, lints, tidy, then the tests: what .ci/run does
  tidy    arrows between crates, sizes, headers, lint inheritance, dependency rules
  proto   write the code of crates/wire/proto/fleet.proto anew
  test    set the machine up (servers and tools that tests start) and run every test of the ci home
  long    soak, truth lab, server logs: run before a release; takes many minutes; `long truth` runs the truth lab
          alone, `long fleet` the fleet's simulation with many seeds and then fleets of processes that are killed, `long long`
          the rest, more words pick tests; `long fleet 5000 2500` runs 2,500 seeds of the simulation from 5,000 on
          `long fuzz [TARGET] [TIME]` fuzzes every parser of foreign bytes (10m each, one after another) and keeps what
          it finds in the committed corpora; `long coverage [TARGET]` prints how much of each parser they reach
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("ci") => commands::ci(),
        Some("tidy") => tidy::run(),
        Some("proto") => commands::proto(),
        Some("test") => commands::test(&arguments[1..]),
        Some("long") => commands::long(&arguments[1..]),
        _ => {
            print!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
