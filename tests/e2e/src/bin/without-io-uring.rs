//! Starts a program to which the kernel answers every `io_uring_setup` with EPERM, as container runtimes do.
//!
//! What it is: a seccomp filter and an exec. What it is not: a sandbox; everything else is allowed.

#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The number of `io_uring_setup`, the same on every architecture.
const IO_URING_SETUP: i64 = 425;

/// EPERM, what Docker's default profile answers.
const NOT_PERMITTED: u32 = 1;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else { return ExitCode::from(126) };
    let filter = SeccompFilter::new(
        [(IO_URING_SETUP, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(NOT_PERMITTED),
        std::env::consts::ARCH.try_into().expect("seccompiler knows this architecture"),
    );
    let program_of_kernel: BpfProgram =
        filter.and_then(TryInto::try_into).expect("a filter of one system call compiles");
    seccompiler::apply_filter(&program_of_kernel).expect("this kernel has seccomp");
    let error = Command::new(&program).args(words).exec();
    panic!("cannot start {}: {error}", program.display());
}
