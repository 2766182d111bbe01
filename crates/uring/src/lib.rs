//! The `io_uring` network driver.
//!
//! What it is: TCP (and Unix socket) connections over one ring for each thread, completion-shaped, behind a safe interface; and
//! [`probe()`], which says what this machine's kernel offers. It is the only home of unsafe ring code.
//! What it is not: it knows no protocol, decides nothing and measures nothing.
//!
//! Invariants:
//! * The connection table owns descriptors and buffers until the kernel has completed the last operation on them,
//!   cancelled and multishot ones included. Dropping a [`Driver`] cancels and drains.
//! * Received bytes are lent until [`Driver::release`].
//! * Tokens carry a generation; a stale completion is dropped by it.
//! * Nothing is allocated after construction except when a connection is opened, and when more sends wait for
//!   their turn, or more completions for their reader, than ever before.
//!
//! Each unsafe block states its obligations; the address of everything the kernel touches is taken in
//! `submission.rs` and `buffers.rs` alone.

mod buffers;
mod connection;
mod driver;
#[cfg(feature = "faults")]
mod faults;
mod message;
mod operation;
mod probe;
mod receive;
mod refusal;
mod ring;
mod send;
mod socket;
mod submission;
mod timer;
mod waiting;

pub use driver::{Driver, now};
#[cfg(feature = "faults")]
pub use faults::{Fault, Faults, Site};
pub use message::Message;
pub use probe::{Facts, Features, probe};
pub use refusal::Refusal;
pub use socket::choose_port_late;

use clock::Timestamp;

/// Names one connection: a place in the table, and which tenant of that place is meant.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Place in the connection table, below [`Limits::connections`].
    pub index: u32,
    /// Raised each time the place gets a new tenant.
    pub generation: u32,
}

/// Names a message handed to [`Driver::prepare`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PreparedId(pub u32);

/// A receive buffer that is lent; give it back with [`Driver::release`].
#[derive(Debug)]
#[must_use = "a lent buffer must be released"]
pub struct Lent {
    /// The buffer's number.
    pub buffer: u32,
    /// How many bytes were received into it, at least 1.
    pub len: u32,
}

/// What the kernel said when it refused or ended something.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// Something that happened on a connection.
#[derive(Debug)]
pub enum Completion {
    /// The connection stands; receiving has begun by itself.
    Connected {
        /// The connection.
        conn: ConnId,
    },
    /// The connection could not be made and is gone.
    ConnectFailed {
        /// The connection that never was.
        conn: ConnId,
        /// Why.
        errno: Errno,
    },
    /// Bytes arrived; release them.
    Received {
        /// The connection.
        conn: ConnId,
        /// Where they lie.
        lent: Lent,
    },
    /// Bytes asked for by [`Driver::discard`] arrived and were thrown away unseen.
    Discarded {
        /// The connection.
        conn: ConnId,
        /// How many, at least 1.
        count: u64,
    },
    /// The peer has sent its last byte (FIN). Sending may still work.
    Ended {
        /// The connection.
        conn: ConnId,
    },
    /// All bytes of one [`Driver::send_owned`] were taken by the kernel; here is the buffer again.
    Sent {
        /// The connection.
        conn: ConnId,
        /// The buffer that was handed over, unchanged.
        buffer: Vec<u8>,
    },
    /// Sending or receiving failed; the connection is of no further use. Said once, and nothing after it.
    Failed {
        /// The connection.
        conn: ConnId,
        /// Why.
        errno: Errno,
    },
}

/// How long [`Driver::wait`] may block.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Poll,
    /// Until something happens, at the latest until this instant of the monotonic clock.
    Until(Timestamp),
}

/// What a driver must be able to hold.
#[derive(Copy, Clone, Debug)]
pub struct Limits {
    /// Connections open at one time.
    pub connections: u32,
    /// Bytes in one receive buffer.
    pub buffer_size: u32,
    /// Receive buffers.
    pub buffer_count: u32,
}
