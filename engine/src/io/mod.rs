//! The completion-shaped door between a shard and the network.
//!
//! What it is: the trait [`Io`] and the words it speaks. The shard is generic over it, so that the same shard
//! runs on the ring ([`uring`]), on epoll ([`epoll`]) and on simulated sockets with simulated time ([`sim`]).
//! What it is not: it knows no protocol, decides nothing, and measures nothing.
//!
//! Invariants every driver keeps:
//! * Received bytes are *lent*: they stay where the driver put them until [`Io::release`].
//! * Sent bytes belong to the driver until it no longer needs them; the caller never touches them meanwhile.
//! * After [`Io::close`] no further completion names that connection, whatever the kernel still delivers.
//!   The same holds after [`Completion::ConnectFailed`], which closes by itself.
//! * Completions of one connection come in the order in which they happened on it.
//! * Nothing is allocated after construction except when a connection is opened.

mod buffers;
#[cfg(test)]
mod conformance;
pub mod epoll;
mod route;
pub mod sim;
pub mod uring;

use std::io;

use clock::Timestamp;

pub use ::uring::Message;
pub use route::Route;

/// Names one connection of one driver: a place in its table, and which tenant of that place is meant.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId {
    /// Place in the driver's connection table, below [`Limits::connections`]; a shard may index by it.
    pub index: u32,
    /// Raised each time the place gets a new tenant, so that a stale name never reaches a newer connection.
    pub generation: u32,
}

/// Names a message that was handed to the driver once, to be sent any number of times from the same memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PreparedId(pub u32);

/// A receive buffer that the driver has lent; give it back with [`Io::release`].
#[derive(Debug)]
#[must_use = "a lent buffer must be released"]
pub struct Lent {
    /// The driver's name for the buffer.
    pub buffer: u32,
    /// How many bytes were received into it, at least 1.
    pub len: u32,
}

/// What the operating system said when it refused or ended something: an `errno` value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// Every place of the driver's connection table is taken; that of one being closed will be free soon. `EXFULL`, which no
/// call on a socket yields.
pub const TABLE_FULL: Errno = Errno(54);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// Something that happened on a connection.
#[derive(Debug)]
pub enum Completion {
    /// The connection stands; receiving has begun by itself.
    Connected {
        /// The connection.
        conn: ConnId,
    },
    /// The connection could not be made and is gone; do not close it.
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
    /// Bytes asked for by [`Io::discard`] arrived and were thrown away unseen.
    Discarded {
        /// The connection.
        conn: ConnId,
        /// How many, at least 1.
        count: u64,
    },
    /// The peer has sent its last byte (FIN). Sending may still work; close it when done.
    Ended {
        /// The connection.
        conn: ConnId,
    },
    /// All bytes of one [`Io::send_owned`] were taken by the kernel; here is the buffer again.
    Sent {
        /// The connection.
        conn: ConnId,
        /// The buffer that was handed over, contents unspecified, capacity kept.
        buffer: Vec<u8>,
    },
    /// Sending or receiving failed; the connection is of no further use. Close it.
    Failed {
        /// The connection.
        conn: ConnId,
        /// Why.
        errno: Errno,
    },
}

impl Completion {
    /// The connection that it happened on.
    pub fn conn(&self) -> ConnId {
        match *self {
            Self::Connected { conn }
            | Self::ConnectFailed { conn, .. }
            | Self::Received { conn, .. }
            | Self::Discarded { conn, .. }
            | Self::Ended { conn }
            | Self::Sent { conn, .. }
            | Self::Failed { conn, .. } => conn,
        }
    }
}

/// Says whether requests may leave now.
pub type Guard = Box<dyn Fn() -> bool + Send>;

/// How long [`Io::wait`] may block.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: submit what is queued and collect what is there.
    Poll,
    /// Until something happens, at the latest until this instant.
    Until(Timestamp),
}

/// What a driver must be able to hold; it allocates for it at construction.
#[derive(Copy, Clone, Debug)]
pub struct Limits {
    /// Connections open at one time.
    pub connections: u32,
    /// Bytes in one receive buffer.
    pub buffer_size: u32,
    /// Receive buffers; at least twice the connections.
    pub buffer_count: u32,
}

/// A completion-shaped network driver. See the module's documentation for what every driver guarantees.
pub trait Io {
    /// Whether what is sent leaves with the call; else it leaves with the next [`Io::wait`], or before when many things are
    /// queued.
    const SENDS_AT_ONCE: bool;

    /// The present instant of the driver's clock.
    fn now(&mut self) -> Timestamp;

    /// Takes a message over for good, to be sent any number of times by [`Io::send`].
    fn prepare_message(&mut self, message: Message) -> PreparedId;

    /// The same with bytes that are the whole message.
    fn prepare(&mut self, bytes: Box<[u8]>) -> PreparedId {
        self.prepare_message(bytes.into())
    }

    /// Bytes of sends that the system has taken so far, over all connections. What failed does not count.
    fn bytes_taken(&self) -> u64;

    /// Begins to open a connection (TCP with `TCP_NODELAY` set).
    ///
    /// Completes with [`Completion::Connected`] or [`Completion::ConnectFailed`].
    ///
    /// # Errors
    /// The machine itself refuses (no descriptor, no local port, no memory, table full: [`TABLE_FULL`]): nothing
    /// left this machine.
    fn connect(&mut self, route: &Route) -> Result<ConnId, Errno>;

    /// Sends a prepared message whole, from where it lies. Completes silently; on failure with
    /// [`Completion::Failed`]. A stale name is ignored.
    fn send(&mut self, conn: ConnId, prepared: PreparedId);

    /// Sends `bytes` whole; completes with [`Completion::Sent`] or [`Completion::Failed`]. At most one at a
    /// time for a connection. With a stale name the buffer is dropped.
    fn send_owned(&mut self, conn: ConnId, bytes: Vec<u8>);

    /// The next `count` bytes of this connection need nobody: throw them away without copying them to user
    /// space where the kernel can. Bytes already under way still come as [`Completion::Received`], and count.
    /// Receiving goes on normally behind them.
    fn discard(&mut self, conn: ConnId, count: u64);

    /// Closes the connection and forgets what is queued on it.
    fn close(&mut self, conn: ConnId);

    /// No request that was handed over since the last [`Io::wait`] leaves any more, unless it has left already. Its
    /// connection is of no further use: it fails, or is closed.
    fn withhold(&mut self);

    /// From now on `may_leave` is asked when something leaves before the next [`Io::wait`]; where it says no, the driver
    /// withholds by itself.
    fn guard(&mut self, may_leave: Guard);

    /// Submits what is queued, then collects completions, blocking as `wait` allows. Returns early when
    /// completions are already there. The only place where a driver blocks.
    ///
    /// # Errors
    /// The driver itself broke (not a connection of it): the run cannot go on.
    fn wait(&mut self, wait: Wait) -> io::Result<()>;

    /// The next completion collected by [`Io::wait`], oldest first; `None` when all were handed out.
    fn completion(&mut self) -> Option<Completion>;

    /// The bytes of a lent buffer. They may be changed in place (decryption does).
    fn bytes(&mut self, lent: &Lent) -> &mut [u8];

    /// Gives a lent buffer back.
    fn release(&mut self, lent: Lent);
}
