//! Hot path. The connection table: who owns what until the kernel has let go of it.
//!
//! What it is: a dense array of places. Each owns its connection's descriptor, address and owned send buffer, and
//! counts the operations that the kernel still holds; only when the last has completed are they given up and the
//! place is free for the next tenant.
//! What it is not: it submits nothing and interprets no completion.
//!
//! ```text
//!            occupy                Connect ok              close
//!   Free ───────────► Connecting ────────────► Open ─────────────┐
//!    ▲                    │ │                                    ▼
//!    │   Connect failed   │ └──────────── close ────────────► Closing
//!    └────────────────────┘                                      │
//!    ▲                  last operation completed                 │
//!    └───────────────────────────────────────────────────────────┘
//! ```
//!
//! Invariants: `pending` counts the operations whose last completion has not been seen; a place in `Free` has
//! none, and no descriptor. The generation rises each time a place becomes free.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::ConnId;
use crate::operation::{Operation, Token};

/// What a place is doing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Connecting,
    Open,
    Closing,
}

/// The receiving half of a connection. At most one receiving operation is with the kernel.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// Nothing is asked for: not open yet, ended, or failed.
    Off,
    /// The multishot receive is with the kernel.
    Armed,
    /// So it is, but its cancellation is under way, so that a discard can begin.
    Cancelling,
    /// A receive that throws away is with the kernel.
    Discarding,
    /// Out of receive buffers; armed again when some are back.
    Starved,
}

/// The sending half. At most one sending operation outlives the submission that carries it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Nothing is with the kernel once the current batch is submitted.
    Idle,
    /// A silent send did not go through; its completion waits to be handled in its turn.
    Stalled,
    /// A send that completes is with the kernel.
    Busy,
    /// Sending failed.
    Broken,
}

/// Bytes to be sent: prepared ones, or the connection's owned buffer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Prepared(u32),
    Owned,
}

/// A socket address in the kernel's layout.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// `sockaddr_in` or `sockaddr_in6`, of which `len` bytes count.
    Internet { bytes: [u8; 28], len: u8 },
    /// `sockaddr_un`: longer than the others, and seldom.
    Unix(Box<[u8]>),
}

impl Address {
    const NONE: Self = Self::Internet { bytes: [0; 28], len: 0 };

    /// The address of a Unix socket: the bytes of a path, or of an abstract name behind a NUL.
    pub(crate) fn unix(name: &[u8]) -> Self {
        let family = libc::sa_family_t::try_from(libc::AF_UNIX).expect("address families are small numbers");
        let mut bytes = family.to_ne_bytes().to_vec();
        bytes.extend_from_slice(name);
        // unix(7): a path ends with a NUL, an abstract name with the address.
        if name.first() != Some(&0) {
            bytes.push(0);
        }
        Self::Unix(bytes.into_boxed_slice())
    }

    pub(crate) fn new(address: &SocketAddr) -> Self {
        let mut bytes = [0; 28];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        let (family, len) = match address {
            SocketAddr::V4(v4) => {
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                (libc::AF_INET, size_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(v6) => {
                // Flow label: network order already, as `std` keeps it.
                bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, size_of::<libc::sockaddr_in6>())
            }
        };
        let family = libc::sa_family_t::try_from(family).expect("address families are small numbers");
        bytes[..2].copy_from_slice(&family.to_ne_bytes());
        Self::Internet { bytes, len: u8::try_from(len).expect("16 or 28") }
    }

    /// The bytes that the kernel reads. They do not move as long as the address stays where it is.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Internet { bytes, len } => &bytes[..usize::from(*len)],
            Self::Unix(bytes) => bytes,
        }
    }

    pub(crate) fn pointer(&self) -> *const libc::sockaddr {
        self.bytes().as_ptr().cast()
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        libc::socklen_t::try_from(self.bytes().len()).expect("at most 110")
    }
}

/// One place of the table.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) generation: u32,
    pub(crate) state: State,
    pub(crate) receiving: Receiving,
    pub(crate) sending: Sending,
    /// `Failed` was handed out; only closing is left.
    pub(crate) is_failed: bool,
    /// Stands in the driver's list of connections with sends that wait for the next submission.
    pub(crate) is_deferred: bool,
    /// Operations whose last completion has not been seen.
    pub(crate) pending: u8,
    /// The submission batch that carries the last silent send.
    pub(crate) silent_batch: u32,
    /// The submission batch that carries the last send which is heard of.
    pub(crate) send_batch: u32,
    /// What the last silent send was sending.
    pub(crate) silent_prepared: u32,
    /// What the sending operation is sending, and how much of it is gone already.
    pub(crate) source: Source,
    pub(crate) sent: u64,
    /// First and last of the sends that wait ([`crate::waiting`]).
    pub(crate) first_waiting: u32,
    pub(crate) last_waiting: u32,
    /// An `errno` of sending, held back until everything received has been handed out.
    pub(crate) held_errno: Option<i32>,
    /// Bytes still to be thrown away.
    pub(crate) discard_left: u64,
    /// The buffer of an owned send, from its acceptance to its completion.
    pub(crate) owned: Option<Vec<u8>>,
    pub(crate) descriptor: Option<OwnedFd>,
    pub(crate) address: Address,
}

/// No next place, no waiting send.
pub(crate) const NONE: u32 = u32::MAX;

impl Connection {
    fn vacant() -> Self {
        Self {
            generation: 0,
            state: State::Free,
            receiving: Receiving::Off,
            sending: Sending::Idle,
            is_failed: false,
            is_deferred: false,
            pending: 0,
            silent_batch: 0,
            send_batch: 0,
            silent_prepared: 0,
            source: Source::Owned,
            sent: 0,
            first_waiting: NONE,
            last_waiting: NONE,
            held_errno: None,
            discard_left: 0,
            owned: None,
            descriptor: None,
            address: Address::NONE,
        }
    }

    /// The descriptor's number, for an entry.
    #[inline]
    pub(crate) fn raw_descriptor(&self) -> RawFd {
        self.descriptor.as_ref().expect("a place in use owns a descriptor").as_raw_fd()
    }

    /// Whatever is sent from now on fails.
    #[cold]
    pub(crate) fn end_sending(&self) {
        if let Some(descriptor) = &self.descriptor {
            // One that the peer has closed, or that was never connected, sends nothing anyway.
            let _ = rustix::net::shutdown(descriptor, rustix::net::Shutdown::Write);
        }
    }

    /// The operation that is with the kernel for the receiving half.
    pub(crate) fn receiving_operation(&self) -> Option<Operation> {
        match self.receiving {
            Receiving::Armed | Receiving::Cancelling => Some(Operation::Receive),
            Receiving::Discarding => Some(Operation::Discard),
            Receiving::Off | Receiving::Starved => None,
        }
    }
}

/// All connections of one driver.
#[derive(Debug)]
pub(crate) struct Table {
    places: Box<[Connection]>,
    free: Vec<u32>,
    /// Places in [`State::Closing`].
    closing_count: u32,
}

impl Table {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            places: (0..capacity).map(|_| Connection::vacant()).collect(),
            // The lowest places are handed out first.
            free: (0..capacity).rev().collect(),
            closing_count: 0,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    pub(crate) fn closing_count(&self) -> u32 {
        self.closing_count
    }

    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.places.len()).expect("made from a u32")
    }

    /// Lets a new tenant in. `None` when the table is full.
    pub(crate) fn occupy(&mut self, descriptor: OwnedFd, address: Address, batch: u32) -> Option<ConnId> {
        let index = self.free.pop()?;
        let place = &mut self.places[index as usize];
        debug_assert!(place.state == State::Free && place.pending == 0);
        place.state = State::Connecting;
        place.silent_batch = batch.wrapping_sub(1);
        place.descriptor = Some(descriptor);
        place.address = address;
        Some(ConnId { index, generation: place.generation })
    }

    /// The place of `conn`, unless the name is stale, or its connection is being closed.
    #[inline]
    pub(crate) fn find(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let place = self.places.get_mut(conn.index as usize)?;
        let is_current =
            place.generation == conn.generation && matches!(place.state, State::Open | State::Connecting);
        is_current.then_some(place)
    }

    #[inline]
    pub(crate) fn at(&mut self, index: u32) -> &mut Connection {
        &mut self.places[index as usize]
    }

    /// The place that `token` was made for, unless it has a newer tenant.
    #[inline]
    pub(crate) fn tenant(&mut self, token: Token) -> Option<&mut Connection> {
        let place = self.places.get_mut(token.index() as usize)?;
        (place.generation == token.generation() && place.state != State::Free).then_some(place)
    }

    /// The present name of the tenant of a place.
    #[inline]
    pub(crate) fn name(&self, index: u32) -> ConnId {
        ConnId { index, generation: self.places[index as usize].generation }
    }

    /// The token of an operation of the tenant of a place.
    #[inline]
    pub(crate) fn token(&self, index: u32, operation: Operation) -> Token {
        Token::new(operation, index, self.places[index as usize].generation)
    }

    /// Begins to close a place.
    pub(crate) fn begin_closing(&mut self, index: u32) {
        self.places[index as usize].state = State::Closing;
        self.closing_count += 1;
    }

    /// Frees a place that the kernel has let go of: its descriptor is closed, its memory freed.
    pub(crate) fn vacate(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        assert!(place.pending == 0, "place {index} is freed with operations in flight");
        self.closing_count -= u32::from(place.state == State::Closing);
        let generation = place.generation.wrapping_add(1);
        *place = Connection { generation, ..Connection::vacant() };
        self.free.push(index);
    }

    /// Gives up memory and descriptors that the kernel refused to let go of: leaking them is harmless, freeing
    /// them is not.
    pub(crate) fn abandon(&mut self) {
        for place in self.places.iter_mut().filter(|place| place.pending > 0) {
            std::mem::forget(place.owned.take());
            std::mem::forget(place.descriptor.take());
        }
    }

    /// Operations that the kernel still holds, of all places.
    pub(crate) fn pending(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.pending)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn descriptor() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_stale_name_finds_nothing() {
        let mut table = Table::new(1);
        let old = table.occupy(descriptor(), Address::NONE, 0).unwrap();
        assert!(table.occupy(descriptor(), Address::NONE, 0).is_none());
        assert!(table.find(old).is_some());
        table.begin_closing(old.index);
        assert!(table.find(old).is_none());
        assert!(table.tenant(Token::new(Operation::Receive, 0, 0)).is_some());
        table.vacate(old.index);
        assert_eq!(table.closing_count(), 0);
        let new = table.occupy(descriptor(), Address::NONE, 0).unwrap();
        assert_eq!(new.index, old.index);
        assert!(table.find(old).is_none() && table.find(new).is_some());
        assert!(table.tenant(Token::new(Operation::Receive, 0, 0)).is_none());
        assert!(table.find(ConnId { index: 1, generation: 0 }).is_none());
    }

    #[test]
    #[should_panic(expected = "operations in flight")]
    fn a_place_is_not_freed_under_the_kernel() {
        let mut table = Table::new(1);
        let conn = table.occupy(descriptor(), Address::NONE, 0).unwrap();
        table.at(conn.index).pending = 1;
        table.vacate(conn.index);
    }

    #[test]
    fn addresses_have_the_layout_of_the_kernel() {
        let v4 = Address::new(&"1.2.3.4:258".parse().unwrap());
        assert_eq!(v4.bytes()[..8], [2, 0, 1, 2, 1, 2, 3, 4]);
        assert_eq!(v4.len(), 16);
        let v6 = Address::new(&"[::1]:258".parse().unwrap());
        assert_eq!(v6.bytes()[..4], [10, 0, 1, 2]);
        assert_eq!(v6.bytes()[23], 1);
        assert_eq!(v6.len(), 28);
        assert_eq!(Address::unix(b"/a").bytes(), b"\x01\x00/a\x00");
        assert_eq!(Address::unix(b"\x00a").bytes(), b"\x01\x00\x00a", "an abstract name has no end mark");
    }
}
