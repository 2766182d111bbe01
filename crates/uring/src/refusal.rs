//! Why this machine has no ring for us.
//!
//! What it is: the crate's error: one variant for each probable cause, each saying how to fix it.
//! What it is not: failures of single connections; those are completions.

use std::io;

/// Why no ring could be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The kernel lacks `io_uring`, or something answers in its stead.
    #[error(
        "io_uring is not available (ENOSYS): the kernel was built without it, or a sandbox hides it; use a Linux \
         kernel from 6.1 with CONFIG_IO_URING=y, or `--io epoll`"
    )]
    Missing,
    /// The sysctl forbids it.
    #[error(
        "io_uring is disabled by the sysctl kernel.io_uring_disabled={value}; set it to 0 (`sysctl -w \
         kernel.io_uring_disabled=0`){group}, or use `--io epoll`",
        group = if *value == 1 { ", or join the group named by kernel.io_uring_group" } else { "" }
    )]
    Disabled {
        /// The value of the sysctl: 1 refuses the unprivileged, 2 everyone.
        value: u32,
    },
    /// A seccomp filter or security module forbids it.
    #[error(
        "io_uring is not permitted (EPERM): probably a container's seccomp profile forbids it; allow \
         io_uring_setup, io_uring_enter and io_uring_register in the profile (Docker: `--security-opt \
         seccomp=...`), or use `--io epoll`"
    )]
    Forbidden,
    /// The limit on locked memory is too small for the queues.
    #[error(
        "io_uring got no memory (ENOMEM): the limit on locked memory is {limit}; raise it (`ulimit -l`, or \
         LimitMEMLOCK= in the systemd unit), free memory, or use `--io epoll`",
        limit = limit_bytes.map_or_else(|| "unlimited".to_owned(), |bytes| format!("{bytes} bytes"))
    )]
    Memory {
        /// `RLIMIT_MEMLOCK`; `None` means unlimited.
        limit_bytes: Option<u64>,
    },
    /// No descriptor is left.
    #[error(
        "no file descriptor is left for the ring; raise the limit (`ulimit -n`, or LimitNOFILE= in systemd)"
    )]
    Descriptors,
    /// The kernel is older than what the ring needs.
    #[error(
        "the kernel {release} is too old for the ring: it lacks {lacking}; use Linux 6.1 or later, or `--io epoll`"
    )]
    TooOld {
        /// The kernel's release.
        release: String,
        /// The first feature found lacking.
        lacking: &'static str,
    },
    /// Anything else.
    #[error("the ring could not be set up: {step} failed: {source}; use `--io epoll`")]
    Failed {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Refusal {
    /// The probable cause of `error`, which the kernel returned at `step`.
    pub(crate) fn from_error(step: &'static str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::Missing,
            Some(libc::EPERM | libc::EACCES) => match disabled_sysctl() {
                Some(value @ 1..) => Self::Disabled { value },
                _ => Self::Forbidden,
            },
            Some(libc::ENOMEM) => Self::Memory { limit_bytes: locked_memory_limit() },
            Some(libc::EMFILE | libc::ENFILE) => Self::Descriptors,
            Some(libc::EINVAL) => Self::TooOld { release: kernel_release(), lacking: step },
            _ => Self::Failed { step, source: error },
        }
    }

    /// The kernel works, but lacks something.
    pub(crate) fn lacking(feature: &'static str) -> Self {
        Self::TooOld { release: kernel_release(), lacking: feature }
    }
}

/// The value of `kernel.io_uring_disabled`; `None` where the kernel has no such sysctl (before 6.6).
pub(crate) fn disabled_sysctl() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

/// Whether this process is in a time namespace whose monotonic clock differs from the machine's (`time_namespaces(7)`). There
/// `io_uring` takes absolute instants for the machine's, as no other system call does.
pub(crate) fn is_clock_shifted() -> bool {
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let own = offsets.lines().find_map(|line| line.strip_prefix("monotonic"));
    own.is_some_and(|offset| offset.split_whitespace().any(|part| part != "0"))
}

/// `RLIMIT_MEMLOCK` in bytes; `None` means unlimited.
pub(crate) fn locked_memory_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

/// The kernel's release, as `uname -r` says it.
pub(crate) fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_names_its_probable_cause_and_a_way_out() {
        let rows = [
            (libc::ENOSYS, "CONFIG_IO_URING"),
            (libc::EPERM, "seccomp"),
            (libc::ENOMEM, "ulimit -l"),
            (libc::EMFILE, "ulimit -n"),
            (libc::EINVAL, "too old"),
            (libc::EIO, "--io epoll"),
        ];
        for (errno, expected) in rows {
            // With the sysctl set, EPERM has another cause.
            if errno == libc::EPERM && disabled_sysctl().is_some_and(|value| value > 0) {
                continue;
            }
            let text = Refusal::from_error("setup", io::Error::from_raw_os_error(errno)).to_string();
            assert!(text.contains(expected), "{text}");
        }
        let text = Refusal::Disabled { value: 1 }.to_string();
        assert!(text.contains("kernel.io_uring_group"), "{text}");
    }
}
