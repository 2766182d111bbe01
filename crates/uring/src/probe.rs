//! What this machine's kernel offers.
//!
//! What it is: a trial of everything that the driver depends on, on a small ring of its own, and the facts around
//! it for people to read.
//! What it is not: a table of kernel versions; vendors backport, and sandboxes take away.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::squeue::Flags;
use io_uring::types::{CancelBuilder, Fd};
use io_uring::{cqueue, opcode};

use clock::{Clock, OsClock};

use crate::buffers::Buffers;
use crate::refusal::{self, Refusal};
use crate::ring::{BUFFER_GROUP, Ring};

/// How long the kernel may take for one trial.
const PATIENCE_NANOS: u64 = 1_000_000_000;

/// More than a socket pair holds.
const TOO_MUCH: usize = 16 << 20;

/// What this machine says about `io_uring`.
#[derive(Debug)]
pub struct Facts {
    /// The kernel's release, as `uname -r` says it.
    pub kernel_release: String,
    /// The sysctl `kernel.io_uring_disabled`; `None` where the kernel has none (before 6.6).
    pub disabled_sysctl: Option<u32>,
    /// `RLIMIT_MEMLOCK` in bytes; `None` means unlimited.
    pub locked_memory_limit_bytes: Option<u64>,
    /// What works, or why nothing does.
    pub ring: Result<Features, Refusal>,
}

/// What works beyond the necessary. The necessary is all there, or there would be a [`Refusal`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// Waits name an absolute instant (from 6.12); else pacing pays for reading the clock once more.
    pub is_timed_absolutely: bool,
    /// The ring's descriptor is registered, which spares each call a look-up (from 5.18).
    pub is_registered: bool,
}

/// Tries what the driver needs on this machine.
pub fn probe() -> Facts {
    Facts {
        kernel_release: refusal::kernel_release(),
        disabled_sysctl: refusal::disabled_sysctl(),
        locked_memory_limit_bytes: refusal::locked_memory_limit(),
        ring: check(),
    }
}

/// Tries everything that the driver depends on; refuses at the first thing lacking.
pub(crate) fn check() -> Result<Features, Refusal> {
    check_ring(Ring::open(8, 64)?)
}

fn check_ring(mut ring: Ring) -> Result<Features, Refusal> {
    check_operations(&ring)?;
    let buffers = Buffers::new(64, 2);
    let mut trial = Trial::new(ring, buffers)?;
    trial.check_multishot()?;
    trial.check_silent_send()?;
    ring = trial.ring;
    Ok(Features { is_timed_absolutely: ring.is_timed_absolutely(), is_registered: ring.is_registered() })
}

fn check_operations(ring: &Ring) -> Result<(), Refusal> {
    let mut supported = io_uring::Probe::new();
    ring.register_probe(&mut supported)
        .map_err(|error| Refusal::from_error("IORING_REGISTER_PROBE", error))?;
    let needed = [
        (opcode::Connect::CODE, "IORING_OP_CONNECT"),
        (opcode::Send::CODE, "IORING_OP_SEND"),
        (opcode::Recv::CODE, "IORING_OP_RECV"),
        (opcode::AsyncCancel2::CODE, "IORING_OP_ASYNC_CANCEL"),
    ];
    match needed.into_iter().find(|(code, _)| !supported.is_supported(*code)) {
        Some((_, lacking)) => Err(Refusal::lacking(lacking)),
        None => Ok(()),
    }
}

/// A small ring over a pair of connected sockets.
struct Trial {
    // Dropped before the buffers and sockets that it uses.
    ring: Ring,
    _buffers: Buffers,
    near: UnixStream,
    far: UnixStream,
}

impl Trial {
    fn new(ring: Ring, buffers: Buffers) -> Result<Self, Refusal> {
        // SAFETY: the field order makes the trial drop the ring before the buffers.
        unsafe { ring.register_buffers(&buffers) }
            .map_err(|error| Refusal::from_error("IORING_REGISTER_PBUF_RING", error))?;
        let (near, far) =
            UnixStream::pair().map_err(|source| Refusal::Failed { step: "socketpair", source })?;
        Ok(Self { ring, _buffers: buffers, near, far })
    }

    /// The next completion, waiting for it. Interruptions, of which a busy process has many, only cost time.
    fn completion(&mut self, step: &'static str) -> Result<cqueue::Entry, Refusal> {
        let mut inbox = Vec::new();
        let deadline = OsClock.now().plus_nanos(PATIENCE_NANOS);
        loop {
            self.ring.enter_until(deadline).map_err(|error| Refusal::from_error(step, error))?;
            self.ring.collect(&mut inbox);
            match inbox.first() {
                Some(entry) => return Ok(entry.clone()),
                None if OsClock.now() >= deadline => return Err(Refusal::lacking(step)),
                None => {}
            }
        }
    }

    /// Submits what is queued without waiting.
    fn submit(&mut self, step: &'static str) -> Result<(), Refusal> {
        let deadline = OsClock.now().plus_nanos(PATIENCE_NANOS);
        loop {
            self.ring.enter_now().map_err(|error| Refusal::from_error(step, error))?;
            if self.ring.is_settled() || OsClock.now() >= deadline {
                return Ok(());
            }
        }
    }

    /// A multishot receive must deliver into a provided buffer, go on, and end when cancelled.
    fn check_multishot(&mut self) -> Result<(), Refusal> {
        const STEP: &str = "multishot receive";
        let receive = opcode::RecvMulti::new(Fd(self.near.as_raw_fd()), BUFFER_GROUP).build().user_data(1);
        // SAFETY: socket and buffers are the trial's, which drops the ring first.
        unsafe { self.ring.push(&receive) };
        self.far.write_all(b"x").map_err(|source| Refusal::Failed { step: "write", source })?;
        let received = self.completion(STEP)?;
        if received.result() != 1
            || !cqueue::more(received.flags())
            || cqueue::buffer_select(received.flags()).is_none()
        {
            return Err(Refusal::lacking(STEP));
        }
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::user_data(1))
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(2);
        // SAFETY: it names neither memory nor a descriptor.
        unsafe { self.ring.push(&cancel) };
        let last = self.completion("cancellation of a multishot receive")?;
        if last.user_data() != 1 || last.result() != -libc::ECANCELED || cqueue::more(last.flags()) {
            return Err(Refusal::lacking("cancellation of a multishot receive"));
        }
        Ok(())
    }

    /// A silent send that does not fit must say how far it got, within its submission.
    fn check_silent_send(&mut self) -> Result<(), Refusal> {
        const STEP: &str = "IOSQE_CQE_SKIP_SUCCESS with partial sends";
        let bytes = vec![0; TOO_MUCH];
        let send = opcode::Send::new(Fd(self.near.as_raw_fd()), bytes.as_ptr(), 16 << 20)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(3);
        // SAFETY: with MSG_DONTWAIT the operation is over when it is submitted; `bytes` lives until then, and
        // is leaked below should the kernel not have kept to that.
        unsafe { self.ring.push(&send) };
        let entered = self.submit(STEP);
        let mut inbox = Vec::new();
        self.ring.collect(&mut inbox);
        let told = inbox.first().map(|entry| (entry.user_data(), entry.result().unsigned_abs() as usize));
        match (entered, told) {
            (Ok(()), Some((3, 1..TOO_MUCH))) if inbox[0].result() > 0 => Ok(()),
            (entered, told) => {
                if told.is_none() {
                    std::mem::forget(bytes);
                }
                entered.and(Err(Refusal::lacking(STEP)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_offers_a_ring() {
        let facts = probe();
        assert!(facts.ring.is_ok(), "{facts:?}");
        assert!(!facts.kernel_release.is_empty());
        assert_eq!(facts.disabled_sysctl.unwrap_or(0), 0);
    }

    #[cfg(feature = "faults")]
    #[test]
    fn interruptions_are_no_lack_of_features() {
        use crate::faults::{Fault, Faults, Shim, Site};

        for errno in [libc::EINTR, libc::EAGAIN, libc::EBUSY] {
            for every in 2..=5 {
                let mut ring = Ring::open(8, 64).unwrap();
                let faults = Faults { site: Site::Enter, fault: Fault::Fails(errno), every, queues: None };
                ring.shim = Some(Shim::new(faults));
                check_ring(ring).unwrap();
            }
        }
    }

    /// A thread may register 16 rings; one that stayed registered would be kept by the kernel until its thread
    /// ends.
    #[test]
    fn a_dropped_ring_is_no_longer_registered() {
        for turn in 0..40 {
            assert!(check().unwrap().is_registered, "turn {turn}");
        }
    }
}
