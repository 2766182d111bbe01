//! A simulated HTTP/1.1 server, well-behaved or not.
//!
//! What it is: a listener whose connections read request heads (and bodies of a stated length) and answer each
//! with the same bytes after a delay that a law draws. A [`Quirk`] says in which way it misbehaves.
//! What it is not: a parser to hold anything against; requests come from our own encoder.

use std::ops::Range;
use std::sync::Arc;

use clock::Timestamp;

use super::peer::{Answer, Listener, Pace, Peer, Turn};
use super::random::Random;

/// How long an answer takes.
#[derive(Copy, Clone, Debug)]
pub enum DelayLaw {
    /// Always so many nanoseconds.
    Fixed(u64),
    /// Evenly drawn between two bounds, both included.
    Uniform(u64, u64),
    /// So many nanoseconds, but `slow_ns` in `per_million` of a million cases.
    Tail {
        /// The usual case.
        fast_ns: u64,
        /// The other case.
        slow_ns: u64,
        /// How often it is the other case.
        per_million: u32,
    },
}

impl DelayLaw {
    fn draw(self, random: &mut Random) -> u64 {
        match self {
            Self::Fixed(delay_ns) => delay_ns,
            Self::Uniform(least, most) => least + random.up_to(most - least),
            Self::Tail { fast_ns, slow_ns, per_million } => {
                if random.chance(per_million) {
                    slow_ns
                } else {
                    fast_ns
                }
            }
        }
    }
}

/// A time in which the server does nothing: an answer that would fall into it comes at its end.
pub type Stall = Range<Timestamp>;

/// In which way a server misbehaves.
#[derive(Clone, Debug, Default)]
pub enum Quirk {
    /// In none.
    #[default]
    None,
    /// It never answers.
    Mute,
    /// It sends its answer so many bytes at a time.
    Drip {
        /// Bytes at a time.
        bytes: usize,
        /// Nanoseconds from one time to the next.
        every_ns: u64,
    },
    /// It resets the connection after so many bytes of the answer.
    Reset {
        /// Bytes of the answer before it.
        after_bytes: usize,
    },
    /// It closes the connection after so many bytes of the answer.
    CloseEarly {
        /// Bytes of the answer before it.
        after_bytes: usize,
    },
    /// It sends a FIN after the request and the answer only behind it. No answer can follow a FIN, so it is
    /// never sent; the server goes on reading.
    HalfClose,
    /// It closes the connection behind its so many-th answer, without having said so.
    CloseAfter {
        /// Answers on one connection.
        answers: u64,
    },
    /// It closes a connection on which nothing came for so long, as keep-alive timeouts do.
    CloseIdle {
        /// Nanoseconds without a request.
        after_ns: u64,
    },
    /// It resets each connection as soon as it stands.
    ResetAtConnect,
    /// It answers with these bytes instead.
    Garbage(Arc<[u8]>),
    /// It sends these bytes behind each answer, though nobody asked.
    Extra(Arc<[u8]>),
    /// It sends these bytes as soon as the connection stands.
    Banner(Arc<[u8]>),
    /// It reads slowly.
    SlowReader(Pace),
    /// It refuses each attempt to connect in these times.
    RefuseDuring(Vec<Stall>),
    /// It does not answer attempts to connect.
    NoHandshake,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct HttpServer {
    /// How long an answer takes.
    pub delay: DelayLaw,
    /// Times in which it does nothing, in order.
    pub stalls: Vec<Stall>,
    /// What it answers.
    pub response: Arc<[u8]>,
    /// In which way it misbehaves.
    pub quirk: Quirk,
}

impl HttpServer {
    /// A well-behaved server that answers each request with a short response.
    pub fn new(delay: DelayLaw) -> Self {
        let response = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
        Self { delay, stalls: Vec::new(), response: Arc::from(&response[..]), quirk: Quirk::None }
    }
}

impl Listener for HttpServer {
    fn attempted(&mut self, now: Timestamp, _ordinal: u64, _random: &mut Random) -> Answer {
        match &self.quirk {
            Quirk::NoHandshake => Answer::Ignore,
            Quirk::RefuseDuring(times) if times.iter().any(|time| time.contains(&now)) => {
                Answer::Refuse(rustix::io::Errno::CONNREFUSED.into())
            }
            _ => Answer::Accept(Box::new(Serving {
                server: self.clone(),
                requests: Requests::default(),
                answers: 0,
                last: now,
            })),
        }
    }
}

/// The server's side of one connection.
#[derive(Debug)]
struct Serving {
    server: HttpServer,
    requests: Requests,
    answers: u64,
    /// When something last came.
    last: Timestamp,
}

impl Serving {
    /// From now until the answer. What comes in a stall is begun at its end; what would end in one ends with it.
    fn delay(&self, turn: &mut Turn<'_>) -> u64 {
        let now = turn.now();
        let draw = self.server.delay.draw(turn.random());
        let stall_at = |at: Timestamp| self.server.stalls.iter().find(|stall| stall.contains(&at));
        let begun = stall_at(now).map_or(now, |stall| stall.end);
        let done = begun.plus_nanos(draw);
        stall_at(done).map_or(done, |stall| stall.end).nanos_since(now)
    }

    fn answer(&mut self, turn: &mut Turn<'_>) {
        let delay = self.delay(turn);
        let response = &self.server.response;
        self.answers += 1;
        match &self.server.quirk {
            Quirk::Mute => {}
            Quirk::HalfClose => turn.finish(delay),
            Quirk::Garbage(bytes) => turn.answer(delay, Arc::clone(bytes)),
            Quirk::Drip { bytes, every_ns } => {
                let count = response.chunks(*bytes).count() as u64;
                for (chunk, ordinal) in response.chunks(*bytes).zip(0..) {
                    let at = delay + ordinal * every_ns;
                    if ordinal + 1 == count { turn.answer(at, chunk) } else { turn.send(at, chunk) }
                }
            }
            Quirk::Reset { after_bytes } => {
                turn.send(delay, &response[..*after_bytes]);
                turn.reset(delay);
            }
            Quirk::CloseEarly { after_bytes } => {
                turn.send(delay, &response[..*after_bytes]);
                turn.close(delay);
            }
            Quirk::CloseAfter { answers } => {
                if self.answers <= *answers {
                    turn.answer(delay, Arc::clone(response));
                }
                if self.answers == *answers {
                    turn.close(delay);
                }
            }
            Quirk::Extra(bytes) => {
                turn.answer(delay, Arc::clone(response));
                turn.send(delay, Arc::clone(bytes));
            }
            _ => turn.answer(delay, Arc::clone(response)),
        }
    }
}

impl Peer for Serving {
    fn connected(&mut self, turn: &mut Turn<'_>) {
        match &self.server.quirk {
            Quirk::Banner(bytes) => turn.send(0, Arc::clone(bytes)),
            Quirk::ResetAtConnect => turn.reset(0),
            Quirk::CloseIdle { after_ns } => turn.wake(*after_ns),
            _ => {}
        }
    }

    fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        self.last = turn.now();
        for _ in 0..self.requests.receive(bytes) {
            turn.request();
            self.answer(turn);
        }
    }

    fn wake(&mut self, turn: &mut Turn<'_>) {
        if let Quirk::CloseIdle { after_ns } = self.server.quirk {
            let idle_ns = turn.now().nanos_since(self.last);
            if idle_ns >= after_ns { turn.close(0) } else { turn.wake(after_ns - idle_ns) }
        }
    }

    fn pace(&self) -> Option<Pace> {
        if let Quirk::SlowReader(pace) = self.server.quirk { Some(pace) } else { None }
    }
}

/// Counts whole requests in a stream of bytes.
#[derive(Debug, Default)]
struct Requests {
    head: Vec<u8>,
    body_left: usize,
}

impl Requests {
    /// How many requests `bytes` complete.
    fn receive(&mut self, mut bytes: &[u8]) -> usize {
        let mut count = 0;
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let here = self.body_left.min(bytes.len());
                bytes = &bytes[here..];
                self.body_left -= here;
                count += usize::from(self.body_left == 0);
                continue;
            }
            let (byte, rest) = (bytes[0], &bytes[1..]);
            bytes = rest;
            self.head.push(byte);
            if byte == b'\n' && self.head.ends_with(b"\r\n\r\n") {
                self.body_left = content_length(&self.head);
                count += usize::from(self.body_left == 0);
                self.head.clear();
            }
        }
        count
    }
}

/// The body's length that a request head states.
fn content_length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let field = text.lines().find_map(|line| line.strip_prefix("content-length:").map(str::trim));
    field.map_or(0, |digits| digits.parse().expect("our own encoder writes digits"))
}
