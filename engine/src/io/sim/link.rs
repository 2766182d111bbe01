//! One simulated TCP connection: what is under way on it in both directions.

use std::collections::VecDeque;
use std::sync::Arc;

use clock::Timestamp;

use super::super::{ConnId, Errno};
use super::peer::Peer;

/// A stretch of bytes under way.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) bytes: Arc<[u8]>,
    pub(super) from: usize,
    pub(super) until: usize,
}

impl Segment {
    pub(super) fn whole(bytes: Arc<[u8]>) -> Self {
        let until = bytes.len();
        Self { bytes, from: 0, until }
    }

    pub(super) fn len(&self) -> usize {
        self.until - self.from
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.from..self.until]
    }

    /// Cuts the first `count` bytes off.
    pub(super) fn split_front(&mut self, count: usize) -> Self {
        assert!(count <= self.len(), "a segment of {} bytes has no first {count}", self.len());
        let front = Self { bytes: Arc::clone(&self.bytes), from: self.from, until: self.from + count };
        self.from += count;
        front
    }
}

/// Something that reached the shard's machine, or happened there, and was not yet collected by it.
#[derive(Debug)]
pub(super) enum Arrival {
    Connected,
    Refused(Errno),
    Bytes(Segment),
    Ended,
    Sent(Vec<u8>),
    Failed(Errno),
}

/// One send that the simulated kernel has not taken whole.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) segment: Segment,
    /// The buffer to give back once all of it is taken.
    pub(super) owned: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Connecting,
    Open,
    /// A reset came or a send failed: no byte passes any more.
    Broken,
    /// The shard has closed its side; the peer may not know yet.
    Closed,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum FarEnd {
    /// Reads as soon as something comes.
    Open,
    /// Reads again at a planned instant.
    Paused,
    /// Neither reads nor sends any more.
    Closed,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) conn: ConnId,
    /// Place in the truth's list of connections.
    pub(super) seen: usize,
    pub(super) standing: Standing,
    /// A failure was told or lies in `arrived`.
    pub(super) failed: bool,
    /// The peer's FIN has reached the shard's machine.
    pub(super) ended: bool,

    // Shard to peer.
    pub(super) outgoing: VecDeque<Outgoing>,
    /// Bytes that were taken from the sender and not yet read by the peer, as the sender knows.
    pub(super) window_used: usize,
    pub(super) last_up: Timestamp,
    /// Where in the stream each send ends, and when it was handed over.
    pub(super) handed: VecDeque<(u64, Timestamp)>,
    pub(super) handed_bytes: u64,

    // The peer.
    pub(super) peer: Option<Box<dyn Peer>>,
    pub(super) unread: VecDeque<Segment>,
    pub(super) far: FarEnd,
    pub(super) last_plan: Timestamp,
    /// Requests without their whole answer, by place in the truth's list.
    pub(super) unanswered: VecDeque<usize>,

    // Peer to shard.
    pub(super) last_down: Timestamp,
    pub(super) arrived: VecDeque<Arrival>,
}

impl Link {
    pub(super) fn new(conn: ConnId, seen: usize) -> Self {
        Self {
            conn,
            seen,
            standing: Standing::Connecting,
            failed: false,
            ended: false,
            outgoing: VecDeque::new(),
            window_used: 0,
            last_up: Timestamp::ZERO,
            handed: VecDeque::new(),
            handed_bytes: 0,
            peer: None,
            unread: VecDeque::new(),
            far: FarEnd::Open,
            last_plan: Timestamp::ZERO,
            unanswered: VecDeque::new(),
            last_down: Timestamp::ZERO,
            arrived: VecDeque::new(),
        }
    }

    /// Bytes that lie at the shard's machine.
    pub(super) fn arrived_bytes(&self) -> u64 {
        self.arrived
            .iter()
            .map(|arrival| if let Arrival::Bytes(segment) = arrival { segment.len() as u64 } else { 0 })
            .sum()
    }

    /// No byte passes any more: what was to be sent is forgotten.
    pub(super) fn break_off(&mut self) {
        self.standing = Standing::Broken;
        self.outgoing.clear();
    }

    /// Leaves word of a failure, once; whether this was it.
    pub(super) fn fail(&mut self, errno: Errno) -> bool {
        self.break_off();
        let is_first = !self.failed;
        if is_first {
            self.failed = true;
            self.arrived.push_back(Arrival::Failed(errno));
        }
        is_first
    }
}
