//! A machine that refuses the ring says why. The refusals are real ones, made by a seccomp filter on a thread.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by where it panics")]

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use uring::{Driver, Limits, Refusal};

/// `io_uring_setup`, on every architecture.
const IO_URING_SETUP: i64 = 425;

/// What a driver says when the kernel answers `io_uring_setup` with `errno`.
fn refusal_after(errno: i32) -> Refusal {
    let refused = std::thread::spawn(move || {
        let architecture = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let filter = SeccompFilter::new(
            [(IO_URING_SETUP, Vec::new())].into(),
            SeccompAction::Allow,
            SeccompAction::Errno(errno.unsigned_abs()),
            architecture,
        );
        let program: BpfProgram = filter.unwrap().try_into().unwrap();
        apply_filter(&program).unwrap();
        let told = uring::probe();
        assert!(told.ring.is_err(), "{told:?}");
        Driver::new(Limits { connections: 1, buffer_size: 4096, buffer_count: 2 }).unwrap_err()
    });
    refused.join().unwrap()
}

#[test]
fn each_refusal_is_told_apart() {
    const EPERM: i32 = 1;
    const ENOMEM: i32 = 12;
    const EINVAL: i32 = 22;
    const EMFILE: i32 = 24;
    const ENOSYS: i32 = 38;
    assert!(matches!(refusal_after(EPERM), Refusal::Forbidden | Refusal::Disabled { .. }));
    assert!(matches!(refusal_after(ENOMEM), Refusal::Memory { .. }));
    assert!(matches!(refusal_after(EINVAL), Refusal::TooOld { .. }));
    assert!(matches!(refusal_after(EMFILE), Refusal::Descriptors));
    assert!(matches!(refusal_after(ENOSYS), Refusal::Missing));
}
