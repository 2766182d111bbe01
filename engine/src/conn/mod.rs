//! Connections: what a shard keeps for each place in its driver's table.
//!
//! What it is: the protocol stack of a connection (HTTP/1.1 or a user's own protocol, plain or inside TLS) and its state.
//! What it is not: a socket; the driver owns that. It decides nothing about load.
//!
//! ```text
//!             connect                 Connected, plain
//!   Vacant ───────────► Connecting ───────────────────────► Idle ◄──────────┐
//!     ▲                     │ Connected, TLS                ▲ │ request      │ response
//!     │                     ▼                   established │ ▼              │ (keep-alive)
//!     │                 Handshaking ────────────────────────┤ Busy ──────────┘
//!     │                     │ an own protocol's opening     │ │
//!     │                     ▼                      answered │ │
//!     │                 Greeting ───────────────────────────┘ │
//!     │                                                        │ last response, the peer will close
//!     │                                                        ▼
//!     └───────────── close, from every state ◄──────────── Leaving
//! ```

mod capture;
mod failure;
mod machine;
mod own;
mod pool;
mod stack;

pub(crate) use capture::Capture;
pub(crate) use failure::{of_connect_errno, of_errno, of_tls};
pub(crate) use machine::Machine;
pub(crate) use own::Own;
pub(crate) use pool::Pool;
pub(crate) use stack::{Delivery, Stack, TlsStack};

use clock::Timestamp;
use http1::ResponseMachine;
use measure::ErrorClass;

use crate::io::ConnId;
use crate::shard::exchange::ExchangeId;

/// Where a connection is in its life.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The place is free.
    Vacant,
    /// The TCP handshake is under way since then.
    Connecting {
        /// When it began.
        since: Timestamp,
    },
    /// TCP stands; the TLS handshake is under way.
    Handshaking {
        /// When the TCP handshake began.
        since: Timestamp,
        /// When the TLS handshake began.
        tls_since: Timestamp,
    },
    /// The transport stands; the conversation with which an own protocol begins is under way.
    Greeting,
    /// Ready for a request.
    Idle,
    /// Carrying an exchange.
    Busy {
        /// Which.
        exchange: ExchangeId,
    },
    /// Its last response said that the peer will close; the peer has not yet.
    Leaving,
}

/// One place in the connection table.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Who lives here; stale completions name an earlier generation.
    pub(crate) id: ConnId,
    /// Where it is in its life.
    pub(crate) state: State,
    /// Reads responses.
    pub(crate) machine: Machine,
    /// Plain, or inside TLS.
    pub(crate) stack: Stack,
    /// Whom it leads to: a place among the shard's targets.
    pub(crate) target: usize,
    /// Exchanges finished on it.
    pub(crate) served: u64,
    /// What is kept of the response that is due.
    pub(crate) capture: Option<Capture>,
    /// The driver holds a request that was written for this exchange alone.
    pub(crate) is_sending: bool,
    /// Body bytes that the driver still throws away unseen.
    pub(crate) discarding: u64,
}

impl Connection {
    /// A free place.
    pub(crate) fn vacant(index: u32, limits: http1::Limits) -> Self {
        Self {
            id: ConnId { index, generation: 0 },
            state: State::Vacant,
            machine: Machine::Http(ResponseMachine::new(limits)),
            stack: Stack::Plain,
            target: 0,
            served: 0,
            capture: None,
            is_sending: false,
            discarding: 0,
        }
    }

    /// Moves a new tenant in, who speaks HTTP, or what `own` speaks.
    pub(crate) fn open(
        &mut self,
        id: ConnId,
        target: usize,
        limits: http1::Limits,
        own: Option<Box<Own>>,
        now: Timestamp,
    ) {
        self.id = id;
        self.target = target;
        self.state = State::Connecting { since: now };
        match (&mut self.machine, own) {
            // In its place: a machine of HTTP is large.
            (Machine::Http(machine), None) => *machine = ResponseMachine::new(limits),
            (machine, None) => *machine = Machine::Http(ResponseMachine::new(limits)),
            (machine, Some(own)) => *machine = Machine::Own(own),
        }
        self.stack = Stack::Plain;
        self.served = 0;
        self.capture = None;
        self.is_sending = false;
        self.discarding = 0;
    }

    /// Whether part of a request has not left.
    pub(crate) fn has_unsent(&self) -> bool {
        self.is_sending || self.stack.is_sending()
    }

    /// Moves the tenant out.
    pub(crate) fn vacate(&mut self) {
        self.state = State::Vacant;
        self.stack = Stack::Plain;
    }

    /// The peer has sent its last byte: whether that completes the response.
    pub(crate) fn finish_stream(&mut self) -> Delivery {
        match self.machine.end() {
            // RFC 8446 section 6.1: without close_notify an attacker may have cut the body short.
            Delivery::Response(_) if self.stack.is_truncated() => Delivery::Failed(ErrorClass::TlsClosed),
            delivery => delivery,
        }
    }
}
