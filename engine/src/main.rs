//! The engine program: reads its arguments and leaves the rest to the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(engine::program::main(std::env::args_os()).code())
}
