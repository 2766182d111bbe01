//! Faults on purpose: every n-th operation or call of a ring meets one. Only with the feature `faults`, for tests.
//!
//! What it is: a shim between the driver and the kernel. An operation that is to fail is replaced by one that does
//! nothing and that the kernel completes with the given result (`IORING_NOP_INJECT_RESULT`), so that failures take
//! the way of real ones, through both queues. A short send really sends less.
//! What it is not: part of any program; without the feature nothing of it is compiled.

use std::ptr::NonNull;

use io_uring::{opcode, squeue};

use crate::operation::{Operation, Token};

/// Where faults happen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// Opening a connection.
    Connect,
    /// Receiving into buffers.
    Receive,
    /// Receiving what is thrown away.
    Discard,
    /// Sending, whichever way.
    Send,
    /// Cancelling another operation.
    Cancellation,
    /// The system call that moves the queues.
    Enter,
}

/// What happens there.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this `errno`, having done nothing.
    Fails(i32),
    /// It does half of what it should: sends only.
    Short,
}

/// A plan of faults for one driver.
#[derive(Copy, Clone, Debug)]
pub struct Faults {
    /// Where.
    pub site: Site,
    /// What.
    pub fault: Fault,
    /// The first one happens at the n-th occasion, and every n-th from there; 0 for never.
    pub every: u32,
    /// Entries of the submission and the completion queue, where they are to be too small.
    pub queues: Option<(u32, u32)>,
}

/// Deals the faults out.
#[derive(Debug)]
pub(crate) struct Shim {
    faults: Faults,
    occasions: u32,
    pub(crate) injected: u64,
}

impl Shim {
    pub(crate) fn new(faults: Faults) -> Self {
        Self { faults, occasions: 0, injected: 0 }
    }

    /// Whether the next occasion at `site` meets its fault.
    fn strikes(&mut self, site: Site) -> bool {
        if site != self.faults.site || self.faults.every == 0 {
            return false;
        }
        self.occasions += 1;
        let strikes = self.occasions.is_multiple_of(self.faults.every);
        self.injected += u64::from(strikes);
        strikes
    }

    /// The `errno` with which this call of the kernel fails, if it does.
    pub(crate) fn call(&mut self) -> Option<i32> {
        match self.faults.fault {
            Fault::Fails(errno) => self.strikes(Site::Enter).then_some(errno),
            Fault::Short => None,
        }
    }

    /// The entry to be queued in the place of `entry`.
    pub(crate) fn entry(&mut self, entry: &squeue::Entry) -> squeue::Entry {
        let token = Token::from_bits(entry.get_user_data());
        let site = match token.operation() {
            _ if token.is_cancellation() => Site::Cancellation,
            Some(Operation::Connect) => Site::Connect,
            Some(Operation::Receive) => Site::Receive,
            Some(Operation::Discard) => Site::Discard,
            Some(Operation::SilentSend | Operation::Send) => Site::Send,
            Some(Operation::Timer) | None => return entry.clone(),
        };
        if !self.strikes(site) {
            return entry.clone();
        }
        match self.faults.fault {
            Fault::Fails(errno) => fails(token, errno),
            Fault::Short => shortened(entry),
        }
    }
}

/// Offsets in `struct io_uring_sqe` of `linux/io_uring.h`.
const FLAGS: usize = 1;
const LEN: usize = 24;
const OPERATION_FLAGS: usize = 28;

/// `IORING_NOP_INJECT_RESULT`, and `IOSQE_CQE_SKIP_SUCCESS`.
const INJECT_RESULT: u32 = 1;
const SKIP_SUCCESS: u8 = 1 << 6;

/// An operation that does nothing and completes with -`errno`.
fn fails(token: Token, errno: i32) -> squeue::Entry {
    let mut entry = opcode::Nop::new().build().user_data(token.bits());
    put(&mut entry, LEN, (-errno).cast_unsigned());
    put(&mut entry, OPERATION_FLAGS, INJECT_RESULT);
    entry
}

/// The same send of half as many bytes, which always completes.
fn shortened(entry: &squeue::Entry) -> squeue::Entry {
    let mut short = entry.clone();
    let len: u32 = take(&short, LEN);
    put(&mut short, LEN, (len / 2).max(1));
    let flags: u8 = take(&short, FLAGS);
    put(&mut short, FLAGS, if len > 1 { flags & !SKIP_SUCCESS } else { flags });
    short
}

fn take<T: Copy>(entry: &squeue::Entry, offset: usize) -> T {
    let field = NonNull::from(entry).cast::<u8>();
    // SAFETY: an entry has 64 bytes, and all offsets above lie below 32.
    let field = unsafe { field.add(offset) };
    // SAFETY: the field lies within the entry, aligned as in the kernel's structure; any bits are a valid number.
    unsafe { field.cast::<T>().read_unaligned() }
}

fn put<T>(entry: &mut squeue::Entry, offset: usize, value: T) {
    let field = NonNull::from(entry).cast::<u8>();
    // SAFETY: as in `take`.
    let field = unsafe { field.add(offset) };
    // SAFETY: as in `take`; the entry is exclusively borrowed.
    unsafe { field.cast::<T>().write_unaligned(value) }
}
