//! What the simulated peers saw, for tests to hold against what the shard reports.
//!
//! Invariants: entries stand in the order of their beginning. Instants are those of the simulated clock.

use std::net::SocketAddr;

use clock::Timestamp;

/// One attempt to connect, and what became of it.
#[derive(Clone, Debug)]
pub struct ConnectionSeen {
    /// Where to.
    pub address: SocketAddr,
    /// When the shard began to connect.
    pub begun: Timestamp,
    /// When the listener took it.
    pub accepted: Option<Timestamp>,
    /// When the peer learned that the shard had closed it.
    pub closed: Option<Timestamp>,
    /// Bytes that the peer read.
    pub bytes_received: u64,
    /// Bytes that reached the shard's machine.
    pub bytes_sent: u64,
    /// The bytes that the peer read, if the network was told to keep them.
    pub kept: Vec<u8>,
}

/// One request that a peer has read whole.
#[derive(Copy, Clone, Debug)]
pub struct RequestSeen {
    /// Place of its connection in [`Truth::connections`].
    pub connection: usize,
    /// When the shard handed its last piece to the driver.
    pub sent: Timestamp,
    /// When the peer had read it whole.
    pub arrived: Timestamp,
    /// When the last byte of the answer reached the shard's machine.
    pub answered: Option<Timestamp>,
}

/// Everything that happened on the far side.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Attempts to connect.
    pub connections: Vec<ConnectionSeen>,
    /// Requests that were read whole.
    pub requests: Vec<RequestSeen>,
    /// Attempts to connect that the simulated machine itself refused.
    pub refused_locally: u64,
}

impl Truth {
    /// How many attempts a listener took.
    pub fn accepted_count(&self) -> usize {
        self.connections.iter().filter(|seen| seen.accepted.is_some()).count()
    }

    /// How many requests got their whole answer.
    pub fn answered_count(&self) -> usize {
        self.requests.iter().filter(|seen| seen.answered.is_some()).count()
    }
}
