//! Hot path. One place of the epoll driver's connection table.
//!
//! What it is: a socket, what is still to be sent on it, and what the driver must remember between two waits.
//! What it is not: aware of epoll or of the other connections.
//!
//! ```text
//! Free ──connect──▶ Connecting ──▶ Open ──FIN──▶ Ended
//!   ▲                   │            │             │
//!   │                   ▼            └───error─────┴──▶ Failed
//!   └──handed out── Refused(errno)
//!   └──────────────── close, from every state ─────────────┘
//! ```

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::super::{ConnId, Message, PreparedId};

/// Sends that one connection can hold back without growing its queue.
const OUTGOING_RESERVED: usize = 2;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody lives here.
    Free,
    /// The handshake is under way.
    Connecting,
    /// The connection could not be made; the completion that says so frees the place.
    Refused(Errno),
    /// Both directions may work.
    Open,
    /// The peer's FIN was told; sending may still work.
    Ended,
    /// A failure was told or is about to be; nothing works any more.
    Failed,
}

/// One send that the kernel has not taken whole.
#[derive(Debug)]
pub(super) enum Outgoing {
    Prepared { prepared: PreparedId, from: u64 },
    Owned { bytes: Vec<u8>, from: usize },
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Option<OwnedFd>,
    pub(super) generation: u32,
    pub(super) state: State,
    /// A FIN or an error was announced: a short read is not the last word.
    pub(super) hangup: bool,
    /// There may be more to receive, without a further edge.
    pub(super) readable: bool,
    /// Bytes of completions that are collected but not handed out.
    pub(super) undelivered: u64,
    /// Bytes to throw away, counted from what comes after `undelivered`.
    pub(super) discard: u64,
    /// Sending failed; to be told once everything received before it has been.
    pub(super) failing: Option<Errno>,
    /// A send that was finished at once; to be told at the next wait.
    pub(super) sent: Option<Vec<u8>>,
    pub(super) outgoing: VecDeque<Outgoing>,
}

impl Connection {
    pub(super) fn free() -> Self {
        Self {
            socket: None,
            generation: 0,
            state: State::Free,
            hangup: false,
            readable: false,
            undelivered: 0,
            discard: 0,
            failing: None,
            sent: None,
            outgoing: VecDeque::new(),
        }
    }

    pub(super) fn id(&self, index: u32) -> ConnId {
        ConnId { index, generation: self.generation }
    }

    /// Gives the place to a new tenant. The queue's memory is reserved here, once per place, so that a send
    /// that the kernel takes in pieces allocates nothing.
    pub(super) fn open(&mut self, socket: Option<OwnedFd>, state: State) {
        debug_assert_eq!(self.state, State::Free);
        self.socket = socket;
        self.state = state;
        self.outgoing.reserve(OUTGOING_RESERVED);
    }

    /// Ends the tenancy: the descriptor closes, and the tenant's name becomes stale.
    pub(super) fn vacate(&mut self) {
        self.socket = None;
        self.generation = self.generation.wrapping_add(1);
        self.state = State::Free;
        self.hangup = false;
        self.readable = false;
        self.undelivered = 0;
        self.discard = 0;
        self.failing = None;
        self.sent = None;
        self.outgoing.clear();
    }

    /// Whether sends can go to the kernel now, rather than wait for the handshake.
    pub(super) fn is_sendable(&self) -> bool {
        matches!(self.state, State::Open | State::Ended) && self.failing.is_none()
    }

    /// Whether a send is pointless: a failure was told or is about to be.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.state, State::Failed | State::Refused(_)) || self.failing.is_some()
    }

    /// Sends what is held back as far as the kernel takes it, adding that to `taken`; the buffer of an owned send
    /// that it finished.
    pub(super) fn flush(&mut self, messages: &[Message], taken: &mut u64) -> Result<Option<Vec<u8>>, Errno> {
        let mut finished = None;
        let Some(socket) = &self.socket else { return Ok(None) };
        while let Some(next) = self.outgoing.front_mut() {
            let outcome = match next {
                Outgoing::Prepared { prepared, from } => {
                    let before = *from;
                    let outcome = transmit_message(socket, &messages[prepared.0 as usize], from);
                    *taken += *from - before;
                    outcome
                }
                Outgoing::Owned { bytes, from } => {
                    let before = *from;
                    let outcome = transmit(socket, bytes, from);
                    *taken += (*from - before) as u64;
                    outcome
                }
            };
            if !outcome? {
                break;
            }
            if let Some(Outgoing::Owned { bytes, .. }) = self.outgoing.pop_front() {
                debug_assert!(finished.is_none(), "at most one owned send is under way");
                finished = Some(bytes);
            }
        }
        Ok(finished)
    }
}

/// Sends `message` from `from` on, moving `from`; whether all of it is out.
pub(super) fn transmit_message(socket: impl AsFd, message: &Message, from: &mut u64) -> Result<bool, Errno> {
    while *from < message.size() {
        let mut sent = 0;
        let outcome = transmit(&socket, message.piece(*from), &mut sent);
        *from += sent as u64;
        if !outcome? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends `bytes[from..]`, moving `from`; whether all of it is out.
pub(super) fn transmit(socket: impl AsFd, bytes: &[u8], from: &mut usize) -> Result<bool, Errno> {
    while *from < bytes.len() {
        match send(&socket, &bytes[*from..], SendFlags::NOSIGNAL) {
            Ok(count) => *from += count,
            Err(Errno::INTR) => {}
            // Asked when full, the socket announces room by an edge.
            Err(Errno::AGAIN) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}
