//! The coordinator program: reads its arguments and leaves the rest to the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(coordinator::program::main(std::env::args_os()).code())
}
