//! Hot path. The two queues shared with the kernel, and the system call that moves them.
//!
//! What it is: set-up with the right flags, pushing entries, entering the kernel with or without waiting.
//! What it is not: it knows neither connections nor buffers, and owns no memory that the kernel writes to but
//! the queues themselves.
//!
//! Invariant: a ring is used by the thread that made it and no other (`SINGLE_ISSUER`); it is not `Send`.

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;

use clock::{Clock, NANOS_PER_SECOND, OsClock, Timestamp};
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, squeue};

use crate::buffers::Buffers;
use crate::refusal::{Refusal, is_clock_shifted};

/// `IORING_REGISTER_RING_FDS` and its counterpart of `linux/io_uring.h`.
const REGISTER_RING_FDS: libc::c_uint = 20;
const UNREGISTER_RING_FDS: libc::c_uint = 21;

/// The one group of provided buffers.
pub(crate) const BUFFER_GROUP: u16 = 0;

/// A ring.
pub(crate) struct Ring {
    queues: IoUring,
    /// What names the ring to `io_uring_enter`: its registered index, or its descriptor.
    handle: libc::c_int,
    /// Flags of every `io_uring_enter`: whether `handle` is a registered index.
    flags: u32,
    absolute_timer: bool,
    enter_count: u64,
    /// What every n-th operation meets.
    #[cfg(feature = "faults")]
    pub(crate) shim: Option<crate::faults::Shim>,
    /// The ring belongs to one thread.
    thread_bound: PhantomData<*mut ()>,
}

/// `struct io_uring_rsrc_update` of `linux/io_uring.h`.
#[repr(C)]
struct RingRegistration {
    offset: u32,
    reserved: u32,
    data: u64,
}

impl Ring {
    /// Sets up a ring whose queues hold about the given numbers of entries, and checks what the kernel offers.
    pub(crate) fn open(submissions: u32, completions: u32) -> Result<Self, Refusal> {
        let queues = match build(submissions, completions, true) {
            // Before 6.6 there is no ring without the indirection array.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                build(submissions, completions, false)
            }
            result => result,
        }
        .map_err(|error| Refusal::from_error("IORING_SETUP_DEFER_TASKRUN", error))?;
        let offered = queues.params();
        let features = [
            (offered.is_feature_nodrop(), "IORING_FEAT_NODROP"),
            (offered.is_feature_ext_arg(), "IORING_FEAT_EXT_ARG"),
            (offered.is_feature_fast_poll(), "IORING_FEAT_FAST_POLL"),
            (offered.is_feature_submit_stable(), "IORING_FEAT_SUBMIT_STABLE"),
            (offered.is_feature_skip_cqe_on_success(), "IORING_FEAT_CQE_SKIP"),
        ];
        if let Some((_, lacking)) = features.into_iter().find(|(offered, _)| !offered) {
            return Err(Refusal::lacking(lacking));
        }
        let handle = queues.as_raw_fd();
        let mut ring = Self {
            queues,
            handle,
            flags: 0,
            absolute_timer: true,
            enter_count: 0,
            #[cfg(feature = "faults")]
            shim: None,
            thread_bound: PhantomData,
        };
        ring.register_handle();
        ring.absolute_timer = ring.has_absolute_timer()?;
        Ok(ring)
    }

    /// Registers the ring's own descriptor, which spares each call its look-up. Where it is refused, the
    /// descriptor serves.
    fn register_handle(&mut self) {
        let descriptor = self.queues.as_raw_fd();
        let mut registration =
            RingRegistration { offset: u32::MAX, reserved: 0, data: u64::from(descriptor.cast_unsigned()) };
        // SAFETY: the kernel reads and writes one structure of this layout at the address, which lives and is
        // exclusively borrowed during the call.
        let registered = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                descriptor,
                REGISTER_RING_FDS,
                &raw mut registration,
                1,
            )
        };
        if registered == 1
            && let Ok(index) = libc::c_int::try_from(registration.offset)
        {
            self.handle = index;
            self.flags = EnterFlags::REGISTERED_RING.bits();
        }
    }

    /// Whether waits may name an absolute instant (from 6.12): a wait for one long past must time out. They may not where the
    /// kernel would take it for one of another clock.
    fn has_absolute_timer(&mut self) -> Result<bool, Refusal> {
        if is_clock_shifted() {
            return Ok(false);
        }
        match self.enter_until(Timestamp::from_nanos(1)) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
            Err(error) => Err(Refusal::from_error("io_uring_enter", error)),
        }
    }

    /// Whether waits name absolute instants.
    pub(crate) fn is_timed_absolutely(&self) -> bool {
        self.absolute_timer
    }

    /// Whether the ring's descriptor is registered with the kernel.
    pub(crate) fn is_registered(&self) -> bool {
        self.flags != 0
    }

    /// System calls made to move the queues so far.
    pub(crate) fn enter_count(&self) -> u64 {
        self.enter_count
    }

    /// Entries that the completion queue holds.
    pub(crate) fn completion_capacity(&self) -> u32 {
        self.queues.params().cq_entries()
    }

    /// Registers the ring of free receive buffers.
    ///
    /// # Safety
    /// The memory of `buffers` must outlive this ring.
    pub(crate) unsafe fn register_buffers(&self, buffers: &Buffers) -> io::Result<()> {
        let (address, entries) = buffers.registration();
        // SAFETY: the address is that of a page-aligned array of so many entries; it outlives the ring, as the
        // caller vouches.
        unsafe { self.queues.submitter().register_buf_ring_with_flags(address, entries, BUFFER_GROUP, 0) }
    }

    /// Fills in what operations the kernel supports.
    pub(crate) fn register_probe(&self, probe: &mut io_uring::Probe) -> io::Result<()> {
        self.queues.submitter().register_probe(probe)
    }

    /// Whether the submission queue has no room.
    #[inline]
    pub(crate) fn is_full(&mut self) -> bool {
        self.queues.submission().is_full()
    }

    /// Whether the kernel has taken every submission.
    #[inline]
    pub(crate) fn has_submitted(&mut self) -> bool {
        self.queues.submission().is_empty()
    }

    /// Whether the kernel has taken every submission, and reported in the completion queue proper whatever it
    /// had to say about them.
    #[inline]
    pub(crate) fn is_settled(&mut self) -> bool {
        let submission = self.queues.submission();
        submission.is_empty() && !submission.cq_overflow()
    }

    /// Queues an operation.
    ///
    /// # Panics
    /// When the queue is full; ask [`Ring::is_full`] first.
    ///
    /// # Safety
    /// Memory and descriptor that `entry` names must stay valid until its last completion.
    #[inline]
    pub(crate) unsafe fn push(&mut self, entry: &squeue::Entry) {
        #[cfg(feature = "faults")]
        let entry = &self.shim.as_mut().map_or_else(|| entry.clone(), |shim| shim.entry(entry));
        // SAFETY: the caller vouches for what the entry names.
        let pushed = unsafe { self.queues.submission().push(entry) };
        assert!(pushed.is_ok(), "the caller made room in the submission queue");
    }

    /// Moves all completions that are there to `inbox`; says whether there were any.
    #[inline]
    pub(crate) fn collect(&mut self, inbox: &mut Vec<cqueue::Entry>) {
        inbox.extend(self.queues.completion());
    }

    /// Whether a completion is there already.
    #[inline]
    pub(crate) fn has_completion(&mut self) -> bool {
        !self.queues.completion().is_empty()
    }

    /// Submits what is queued and lets the kernel finish what it has deferred, without waiting. Makes no system
    /// call when there is neither.
    #[inline]
    pub(crate) fn enter_now(&mut self) -> io::Result<()> {
        let submission = self.queues.submission();
        if submission.is_empty() && !submission.taskrun() && !submission.cq_overflow() {
            return Ok(());
        }
        drop(submission);
        self.enter(0, 0, None)
    }

    /// Submits what is queued and waits for a completion, for as long as it takes.
    pub(crate) fn enter_for_one(&mut self) -> io::Result<()> {
        self.enter(1, 0, None)
    }

    /// Submits what is queued and waits for a completion, at the latest until `deadline`.
    pub(crate) fn enter_until(&mut self, deadline: Timestamp) -> io::Result<()> {
        let (nanos, flags) = if self.absolute_timer {
            (deadline.as_nanos(), EnterFlags::ABS_TIMER.bits())
        } else {
            (deadline.nanos_since(OsClock.now()), 0)
        };
        let time = Timespec::new().sec(nanos / NANOS_PER_SECOND).nsec((nanos % NANOS_PER_SECOND) as u32);
        self.enter(1, flags | EnterFlags::EXT_ARG.bits(), Some(&SubmitArgs::new().timespec(&time)))
    }

    /// `io_uring_enter`. Interruption, expiry and temporary shortage are no errors: the caller comes again.
    fn enter(
        &mut self,
        completions: u32,
        flags: u32,
        arguments: Option<&SubmitArgs<'_, '_>>,
    ) -> io::Result<()> {
        let submissions = self.queues.submission().len();
        let (pointer, size) = match arguments {
            Some(arguments) => (std::ptr::from_ref(arguments), size_of::<SubmitArgs<'_, '_>>()),
            None => (std::ptr::null(), 0),
        };
        self.enter_count += 1;
        #[cfg(feature = "faults")]
        if let Some(errno) = self.shim.as_mut().and_then(crate::faults::Shim::call) {
            return outcome(errno);
        }
        // SAFETY: with EXT_ARG the pointer leads to arguments of the given size, and those to a time; both live
        // during the call. Without it the pointer is null. What the queued entries name is vouched for by `push`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.handle,
                submissions,
                completions,
                self.flags | flags | EnterFlags::GETEVENTS.bits(),
                pointer,
                size,
            )
        };
        if result >= 0 {
            return Ok(());
        }
        outcome(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }
}

impl Drop for Ring {
    /// Gives up the registration, which would keep the ring alive as long as its thread.
    fn drop(&mut self) {
        if !self.is_registered() {
            return;
        }
        let mut registration = RingRegistration { offset: self.handle.cast_unsigned(), reserved: 0, data: 0 };
        // SAFETY: the kernel reads one structure of this layout at the address, which lives during the call.
        unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.queues.as_raw_fd(),
                UNREGISTER_RING_FDS,
                &raw mut registration,
                1,
            )
        };
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ring").field("parameters", self.queues.params()).finish_non_exhaustive()
    }
}

/// What a failure of `io_uring_enter` means: interruption, expiry and temporary shortage are none.
fn outcome(errno: i32) -> io::Result<()> {
    match errno {
        libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY => Ok(()),
        _ => Err(io::Error::from_raw_os_error(errno)),
    }
}

fn build(submissions: u32, completions: u32, without_array: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    // DEFER_TASKRUN makes the kernel finish operations only inside our own calls; TASKRUN_FLAG shows when it has
    // something to finish, so that polling costs no call. COOP_TASKRUN is contained in DEFER_TASKRUN.
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(completions)
        .dontfork();
    if without_array {
        builder.setup_no_sqarray();
    }
    builder.build(submissions)
}
