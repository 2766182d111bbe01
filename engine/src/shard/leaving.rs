//! Hot path. Leaving: connections whose last response said that the peer will close, until it has.
//!
//! What it is: a short wait for the peer's FIN. Whoever closes a TCP connection first keeps its port in `TIME_WAIT` for
//! a minute (RFC 9293 section 3.6.1); a target has one port for all connections, the engine needs one for each. So the
//! engine asks the target to close (RFC 9112 section 9.6) and lets it.
//! What it is not: a place in the pool. A leaving connection carries nothing more and holds up nobody.
//!
//! Invariant: at most [`LEAVING_MAX`] wait at one time, each at most [`PATIENCE_NS`].

use std::collections::VecDeque;

use clock::Timestamp;

use super::Shard;
use crate::conn::State;
use crate::io::{ConnId, Io};

/// Leaving connections of one shard, at most: as many answers as one turn may bring.
pub(super) const LEAVING_MAX: usize = 64;

/// How long a peer that said it would close is waited for: 100 ms.
const PATIENCE_NS: u64 = 100_000_000;

/// Connections that leave, oldest first; those that are gone are skipped when they come up.
#[derive(Debug)]
pub(super) struct Leaving(VecDeque<(ConnId, Timestamp)>);

impl Leaving {
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(LEAVING_MAX))
    }
}

impl<I: Io> Shard<I> {
    /// Waits for the peer to close a connection that has served its last exchange.
    pub(super) fn leave(&mut self, conn: ConnId) {
        if self.leaving.0.len() == LEAVING_MAX {
            self.close_oldest_leaving();
        }
        let connection = &mut self.connections[conn.index as usize];
        connection.state = State::Leaving;
        self.targets[connection.target].pool.closed(conn);
        self.leaving.0.push_back((conn, self.now));
    }

    /// The peer has closed, or broken, a connection that was leaving, or sent what nobody asked for.
    pub(super) fn left(&mut self, conn: ConnId) {
        self.io.close(conn);
        self.connections[conn.index as usize].vacate();
    }

    /// Closes those whose peer does not.
    pub(super) fn expire_leaving(&mut self) {
        while self.leaving.0.front().is_some_and(|&(conn, since)| {
            !self.is_leaving(conn) || self.now.nanos_since(since) >= PATIENCE_NS
        }) {
            self.close_oldest_leaving();
        }
    }

    /// Closes all of them, because this host has run out of something; whether there was any.
    pub(super) fn close_leaving(&mut self) -> bool {
        let mut any = false;
        while let Some(&(conn, _)) = self.leaving.0.front() {
            any |= self.is_leaving(conn);
            self.close_oldest_leaving();
        }
        any
    }

    fn close_oldest_leaving(&mut self) {
        if let Some((conn, _)) = self.leaving.0.pop_front()
            && self.is_leaving(conn)
        {
            self.left(conn);
        }
    }

    fn is_leaving(&self, conn: ConnId) -> bool {
        let connection = &self.connections[conn.index as usize];
        connection.id == conn && connection.state == State::Leaving
    }
}
