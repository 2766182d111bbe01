//! The far side of simulated connections: listeners, peers, and what a peer may do in a turn.
//!
//! A [`Peer`] is a machine: it is told what happened and when, and plans actions relative to that instant. What
//! it plans for its connection happens in the order in which it was planned, as on TCP: an action with a
//! shorter delay waits for the one planned before it. Delays are nanoseconds.

use std::sync::Arc;

use clock::Timestamp;

use super::super::Errno;
use super::random::Random;

/// What a listener says to an attempt to connect.
#[derive(Debug)]
pub enum Answer {
    /// Takes it.
    Accept(Box<dyn Peer>),
    /// Answers with a refusal, such as `ECONNREFUSED` or `EHOSTUNREACH`.
    Refuse(Errno),
    /// Says nothing; the attempt fails with `ETIMEDOUT` when the kernel has lost patience.
    Ignore,
}

/// Decides on attempts to connect to one address.
pub trait Listener: Send {
    /// What becomes of the `ordinal`-th attempt, counted from 0, that arrives at `now`.
    fn attempted(&mut self, now: Timestamp, ordinal: u64, random: &mut Random) -> Answer;
}

impl<F: FnMut(Timestamp, u64, &mut Random) -> Answer + Send> Listener for F {
    fn attempted(&mut self, now: Timestamp, ordinal: u64, random: &mut Random) -> Answer {
        self(now, ordinal, random)
    }
}

/// How fast a peer takes bytes off its socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes taken at once.
    pub bytes: usize,
    /// Nanoseconds from one time to the next.
    pub every_ns: u64,
}

/// The far side of one connection.
pub trait Peer: Send + std::fmt::Debug {
    /// The connection was accepted.
    fn connected(&mut self, _turn: &mut Turn<'_>) {}

    /// Bytes were read from it.
    fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>);

    /// The instant asked for with [`Turn::wake`] has come.
    fn wake(&mut self, _turn: &mut Turn<'_>) {}

    /// The shard has closed the connection; nothing can be done on it any more.
    fn closed(&mut self, _now: Timestamp) {}

    /// How fast bytes are read; at once, when `None`. A pace of 0 bytes never reads.
    fn pace(&self) -> Option<Pace> {
        None
    }
}

/// Something that a peer does to its connection.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Send {
        bytes: Arc<[u8]>,
        answers: bool,
    },
    /// FIN, and goes on reading.
    Finish,
    /// FIN, and answers with a reset to whatever still comes.
    Close,
    Reset,
    Wake,
}

/// What a peer may do when something happened.
#[derive(Debug)]
pub struct Turn<'world> {
    pub(super) now: Timestamp,
    pub(super) random: &'world mut Random,
    pub(super) planned: Vec<(u64, Action)>,
    pub(super) requests: u64,
}

impl Turn<'_> {
    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The simulation's generator.
    pub fn random(&mut self) -> &mut Random {
        self.random
    }

    /// Records that a whole request has been read.
    pub fn request(&mut self) {
        self.requests += 1;
    }

    /// Sends bytes.
    pub fn send(&mut self, delay_ns: u64, bytes: impl Into<Arc<[u8]>>) {
        self.plan(delay_ns, Action::Send { bytes: bytes.into(), answers: false });
    }

    /// Sends the last bytes of the answer to the oldest request that has none.
    pub fn answer(&mut self, delay_ns: u64, bytes: impl Into<Arc<[u8]>>) {
        self.plan(delay_ns, Action::Send { bytes: bytes.into(), answers: true });
    }

    /// Sends a FIN, and goes on reading.
    pub fn finish(&mut self, delay_ns: u64) {
        self.plan(delay_ns, Action::Finish);
    }

    /// Closes the connection: a FIN, and a reset to whatever still comes.
    pub fn close(&mut self, delay_ns: u64) {
        self.plan(delay_ns, Action::Close);
    }

    /// Resets the connection.
    pub fn reset(&mut self, delay_ns: u64) {
        self.plan(delay_ns, Action::Reset);
    }

    /// Asks for [`Peer::wake`]; it does not hold up what is planned behind it.
    pub fn wake(&mut self, delay_ns: u64) {
        self.plan(delay_ns, Action::Wake);
    }

    fn plan(&mut self, delay_ns: u64, action: Action) {
        self.planned.push((delay_ns, action));
    }
}
