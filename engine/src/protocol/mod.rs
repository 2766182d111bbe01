//! Protocols of a user's own, on the engine's shards, schedule and measurement.
//!
//! What it is: two traits. A [`Protocol`] says what there is to be sent and what may be answered, and which of it each
//! arrival sends; its [`Session`]s, one for each connection, write requests and read responses. And [`run`], with which a
//! program of twenty lines has the whole command line of the engine.
//! What it is not: I/O. A session is handed bytes and hands out bytes. Connecting, TLS, timeouts, the pool, the schedule,
//! the latencies, the audit and the report are the engine's, the same as for HTTP.
//!
//! ```text
//!   arrival ──choose──► request ──► waits for a connection, if none is free
//!                                      │
//!   connection ──session──► open ─────►│ request ──► bytes sent ──► receive, receive ──► response
//! ```
//!
//! A connection carries one request at a time: `request` is called when the response before it is complete. Bytes that come
//! while none is due close the connection.
//!
//! The smallest protocol, in which a line is sent and a line comes back:
//!
//! ```
//! use engine::protocol::{Arrival, Protocol, Received, Session, Status};
//!
//! #[derive(Debug)]
//! struct Echo;
//!
//! impl Protocol for Echo {
//!     fn requests(&self) -> Vec<String> {
//!         vec!["echo".into()]
//!     }
//!
//!     fn statuses(&self) -> Vec<Status> {
//!         vec![Status::good("same"), Status::bad("other")]
//!     }
//!
//!     fn session(&self) -> Box<dyn Session> {
//!         Box::new(Line::default())
//!     }
//! }
//!
//! #[derive(Debug, Default)]
//! struct Line {
//!     sent: Vec<u8>,
//!     received: usize,
//!     is_same: bool,
//! }
//!
//! impl Session for Line {
//!     fn request(&mut self, _request: usize, arrival: &Arrival, out: &mut Vec<u8>) {
//!         self.sent.clear();
//!         self.sent.extend_from_slice(format!("hello {}\n", arrival.slot).as_bytes());
//!         (self.received, self.is_same) = (0, true);
//!         out.extend_from_slice(&self.sent);
//!     }
//!
//!     // A response may come in any number of pieces.
//!     fn receive(&mut self, bytes: &[u8], _out: &mut Vec<u8>) -> Received {
//!         for (place, byte) in bytes.iter().enumerate() {
//!             self.is_same &= self.sent.get(self.received) == Some(byte);
//!             self.received += 1;
//!             if *byte == b'\n' {
//!                 let status = usize::from(!self.is_same);
//!                 return Received::Response { status, consumed: place + 1, closes: false };
//!             }
//!         }
//!         Received::More
//!     }
//! }
//!
//! let mut session = Echo.session();
//! let mut out = Vec::new();
//! session.request(0, &Arrival { slot: 7 }, &mut out);
//! assert_eq!(out, b"hello 7\n");
//! assert_eq!(session.receive(b"hel", &mut out), Received::More);
//! let done = Received::Response { status: 0, consumed: 5, closes: false };
//! assert_eq!(session.receive(b"lo 7\n", &mut out), done);
//! ```
//!
//! `docs/own-protocols.md` tells it step by step; `examples/redis/` is a whole program.

mod declared;
mod program;

use std::fmt;

pub use program::{About, Flag, Given, Scheme, run};

pub use declared::Spoken;

/// A protocol: what there is to be sent, what may be answered, and who speaks it.
///
/// It is shared by all shards and changed by none. What differs from connection to connection belongs into the [`Session`].
pub trait Protocol: fmt::Debug + Send + Sync + 'static {
    /// The requests that there are, by the names under which the report counts them: 1 to 100, each name once. Asked once,
    /// before the run; afterwards a request is its place in this list.
    fn requests(&self) -> Vec<String>;

    /// The ways in which a response may turn out: 1 to 100, each name once. Asked once, before the run; afterwards a status
    /// is its place in this list.
    fn statuses(&self) -> Vec<Status>;

    /// Which request an arrival sends: a place in [`Protocol::requests`]. The first, unless you say otherwise.
    ///
    /// It should follow from the arrival alone: then whatever the number of shards and shares, together they send the same
    /// requests. [`Arrival::random`] is made for that.
    fn choose(&self, arrival: &Arrival) -> usize {
        let _ = arrival;
        0
    }

    /// What speaks on a new connection. Called on the shard's thread, once for each connection; it may allocate.
    fn session(&self) -> Box<dyn Session>;
}

/// One end of one connection, from its beginning to its end.
///
/// Called on the shard's thread, between the arrivals of others: it must not block, sleep or do I/O, and every microsecond
/// in it is a microsecond of lag for others. What it writes goes into buffers that are used again: a session that allocates
/// nothing makes an exchange that allocates nothing.
pub trait Session: fmt::Debug {
    /// The connection is being made: what is written here goes ahead of everything else. A protocol that begins with a
    /// conversation (a banner, a log-in) answers [`Opening::Awaits`]. Then no request is sent before [`Session::receive`]
    /// has yielded a response with a good status; a bad one fails the connection, and with it the arrival that has waited
    /// longest, which is counted with that status.
    ///
    /// That conversation counts as part of connecting: it is no exchange, and arrivals that wait for it have queue wait.
    fn open(&mut self, out: &mut Vec<u8>) -> Opening {
        let _ = out;
        Opening::Done
    }

    /// Writes a request behind what stands in `out`. `request` is its place in [`Protocol::requests`].
    ///
    /// Whatever became of the request before it (an answer, an error status), this is a new one; after a timeout or a
    /// failure there is no next request, because the connection is closed.
    fn request(&mut self, request: usize, arrival: &Arrival, out: &mut Vec<u8>);

    /// Takes bytes of the response that is due; a response may come in any number of pieces, cut anywhere. What is written
    /// to `out` is sent, for conversations that go to and fro.
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Received;

    /// The peer has closed the connection while a response is due. Yields the response if that is how one ends; anything
    /// else is an error, `closed_early`.
    fn end(&mut self) -> Received {
        Received::Broken
    }
}

/// Whether a connection is ready for requests.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// As soon as it stands.
    Done,
    /// When the peer has answered.
    Awaits,
}

/// What received bytes came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The response is not complete; all bytes were taken.
    More,
    /// The response is complete.
    Response {
        /// How it turned out: a place in [`Protocol::statuses`].
        status: usize,
        /// How many of the bytes belong to it. Bytes beyond it answer nothing that was asked: the exchange then fails as
        /// `desync`, and its connection is closed.
        consumed: usize,
        /// The peer will close the connection: no other request is sent on it.
        closes: bool,
    },
    /// This is not what the protocol allows. The exchange fails as `protocol`, and its connection is closed.
    Broken,
}

/// One way in which a response may turn out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What the report calls it.
    pub name: String,
    /// Whether the exchange has failed; its error class is then `status`.
    pub is_failure: bool,
}

impl Status {
    /// A response as it should be.
    pub fn good(name: impl Into<String>) -> Self {
        Self { name: name.into(), is_failure: false }
    }

    /// A response with which the exchange has failed.
    pub fn bad(name: impl Into<String>) -> Self {
        Self { name: name.into(), is_failure: true }
    }
}

/// One arrival of the plan.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number in the whole plan. No other arrival has it, on whichever shard, or in whichever share of the plan. In the
    /// closed model the n-th request of user k among p users has n × p + k.
    pub slot: u64,
}

impl Arrival {
    /// A random number below `bound` (0 if that is 0), which follows from the slot and `draw` alone. Draws with different
    /// numbers are independent of each other.
    pub const fn random(&self, draw: u64, bound: u64) -> u64 {
        // Two rounds of the finalizer of SplitMix64 (Steele, Lea, Flood 2014), so that neighbours do not look alike.
        let mixed = mix(mix(self.slot).wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        ((mixed as u128 * bound as u128) >> 64) as u64
    }
}

const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_independent() {
        let mut counts = [[0_u32; 10]; 10];
        for slot in 0..100_000 {
            let arrival = Arrival { slot };
            let (first, second) = (arrival.random(0, 10), arrival.random(1, 10));
            assert_eq!(first, arrival.random(0, 10), "a draw is a function");
            counts[usize::try_from(first).expect("below 10")][usize::try_from(second).expect("below 10")] +=
                1;
        }
        // 1,000 expected in each; six standard deviations are 190.
        assert!(counts.iter().flatten().all(|count| (810..1_190).contains(count)), "{counts:?}");
        assert_eq!(Arrival { slot: 3 }.random(0, 0), 0);
    }
}
