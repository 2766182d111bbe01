//! Hot path. The driver on `io_uring`: the crate `uring` behind the door of this module's trait.
//!
//! What it is: a translation of words, nothing more; the compiler makes most of it vanish.
//! What it is not: the ring itself, with its descriptors, buffers and unsafe code.

use std::io;

use clock::Timestamp;
use uring::{Driver, Refusal};

use super::{Completion, ConnId, Errno, Guard, Io, Lent, Limits, Message, PreparedId, Route, Wait};

/// The network driver of one shard on `io_uring`. It belongs to the thread that made it.
#[derive(Debug)]
pub struct Uring {
    driver: Driver,
}

impl Uring {
    /// Sets up the ring and everything it needs.
    ///
    /// # Errors
    /// This machine has no ring for us; the refusal names the probable cause and the way out.
    pub fn new(limits: Limits) -> Result<Self, Refusal> {
        let Limits { connections, buffer_size, buffer_count } = limits;
        let limits = uring::Limits { connections, buffer_size, buffer_count };
        Ok(Self { driver: Driver::new(limits)? })
    }

    /// System calls made so far to move the ring's queues.
    pub fn enter_count(&self) -> u64 {
        self.driver.enter_count()
    }
}

impl From<Driver> for Uring {
    fn from(driver: Driver) -> Self {
        Self { driver }
    }
}

impl From<Uring> for Driver {
    fn from(io: Uring) -> Self {
        io.driver
    }
}

impl Io for Uring {
    const SENDS_AT_ONCE: bool = false;

    #[inline]
    fn now(&mut self) -> Timestamp {
        uring::now()
    }

    fn prepare_message(&mut self, message: Message) -> PreparedId {
        PreparedId(self.driver.prepare_message(message).0)
    }

    #[inline]
    fn bytes_taken(&self) -> u64 {
        self.driver.bytes_taken()
    }

    fn connect(&mut self, route: &Route) -> Result<ConnId, Errno> {
        let conn = match route {
            Route::Tcp { peer, source } => self.driver.connect_from(peer, *source),
            Route::Unix(unix) => self.driver.connect_unix(unix),
        };
        conn.map(name).map_err(|errno| Errno(errno.0))
    }

    #[inline]
    fn send(&mut self, conn: ConnId, prepared: PreparedId) {
        self.driver.send(ring_name(conn), uring::PreparedId(prepared.0));
    }

    #[inline]
    fn send_owned(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.driver.send_owned(ring_name(conn), bytes);
    }

    fn discard(&mut self, conn: ConnId, count: u64) {
        self.driver.discard(ring_name(conn), count);
    }

    fn close(&mut self, conn: ConnId) {
        self.driver.close(ring_name(conn));
    }

    fn withhold(&mut self) {
        self.driver.withhold();
    }

    fn guard(&mut self, may_leave: Guard) {
        self.driver.guard(may_leave);
    }

    #[inline]
    fn wait(&mut self, wait: Wait) -> io::Result<()> {
        self.driver.wait(match wait {
            Wait::Poll => uring::Wait::Poll,
            Wait::Until(instant) => uring::Wait::Until(instant),
        })
    }

    #[inline]
    fn completion(&mut self) -> Option<Completion> {
        use uring::Completion as Ring;
        Some(match self.driver.completion()? {
            Ring::Received { conn, lent } => {
                Completion::Received { conn: name(conn), lent: Lent { buffer: lent.buffer, len: lent.len } }
            }
            Ring::Sent { conn, buffer } => Completion::Sent { conn: name(conn), buffer },
            Ring::Discarded { conn, count } => Completion::Discarded { conn: name(conn), count },
            Ring::Connected { conn } => Completion::Connected { conn: name(conn) },
            Ring::ConnectFailed { conn, errno } => {
                Completion::ConnectFailed { conn: name(conn), errno: Errno(errno.0) }
            }
            Ring::Ended { conn } => Completion::Ended { conn: name(conn) },
            Ring::Failed { conn, errno } => Completion::Failed { conn: name(conn), errno: Errno(errno.0) },
        })
    }

    #[inline]
    fn bytes(&mut self, lent: &Lent) -> &mut [u8] {
        self.driver.bytes(&uring::Lent { buffer: lent.buffer, len: lent.len })
    }

    #[inline]
    fn release(&mut self, lent: Lent) {
        self.driver.release(uring::Lent { buffer: lent.buffer, len: lent.len });
    }
}

const fn name(conn: uring::ConnId) -> ConnId {
    ConnId { index: conn.index, generation: conn.generation }
}

const fn ring_name(conn: ConnId) -> uring::ConnId {
    uring::ConnId { index: conn.index, generation: conn.generation }
}
