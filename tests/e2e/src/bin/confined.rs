//! Starts a program to which the kernel refuses some system calls with EPERM, as container runtimes do:
//! `confined io-uring PROGRAM …` refuses the ring, `confined network PROGRAM …` the ring and every connect.
//!
//! What it is: a seccomp filter and an exec. What it is not: a sandbox; everything else is allowed.

#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The number of `io_uring_setup`, the same on every architecture.
const IO_URING_SETUP: i64 = 425;
/// The number of `connect`.
const CONNECT: i64 = if cfg!(target_arch = "x86_64") { 42 } else { 203 };
/// EPERM, what Docker's default profile answers.
const NOT_PERMITTED: u32 = 1;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let refused: &[i64] = match words.next().as_ref().and_then(|word| word.to_str()) {
        Some("io-uring") => &[IO_URING_SETUP],
        Some("network") => &[IO_URING_SETUP, CONNECT],
        _ => panic!("what shall be refused: io-uring or network?"),
    };
    let Some(program) = words.next() else { panic!("which program shall be started?") };
    let filter = SeccompFilter::new(
        refused.iter().map(|call| (*call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(NOT_PERMITTED),
        std::env::consts::ARCH.try_into().expect("seccompiler knows this architecture"),
    );
    let compiled: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter of system calls compiles");
    seccompiler::apply_filter(&compiled).expect("this kernel has seccomp");
    let error = Command::new(&program).args(words).exec();
    panic!("cannot start {}: {error}", program.display());
}
