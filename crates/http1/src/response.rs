//! Hot path. The response machine: from received bytes to complete responses.
//!
//! ```text
//!           expect                    head, body due
//!    Idle ──────────► Head ───────────────────────────► Length | Chunked | UntilClose
//!     ▲                │ ▲ interim (1xx)                   │
//!     │                └─┘                                 │ last byte; FIN for UntilClose
//!     └────────────────┴───────────────────────────────────┘
//!    any ── an error ──► Failed ── reset ──► Idle
//! ```
//!
//! Invariant: at most one response is due, and no byte belongs to two.

use crate::ProtocolError;
use crate::chunked::{ChunkedLimits, ChunkedMachine};
use crate::framing::{Body, Head};
use crate::head::HeadMachine;
use crate::whole;

/// How much a server may send for one response.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one head; as many again for the chunk extensions and trailers of one body together.
    pub head_bytes: u32,
    /// Bytes of one body.
    pub body_bytes: u64,
    /// Interim (1xx) responses before the final one.
    pub interim: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 64 << 10, body_bytes: 64 << 20, interim: 16 }
    }
}

/// One complete final response.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code, 200 to 999.
    pub status: u16,
    /// The connection may carry another request.
    pub keep_alive: bool,
    /// The size of the head, without interim responses and trailers.
    pub head_bytes: u32,
    /// The size of the body, without chunk sizes, extensions and trailers.
    pub body_bytes: u64,
}

/// How far [`ResponseMachine::receive`] came.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the slice were taken: all of them, unless a response is complete.
    pub consumed: usize,
    /// The response that the last of them completed.
    pub response: Option<Response>,
}

/// What the peer's FIN meant.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// No response was due.
    Idle,
    /// It completed the response that was due.
    Complete(Response),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    /// No response is due.
    Idle,
    Head,
    /// So many body bytes are still due.
    Length(u64),
    Chunked,
    UntilClose,
    Failed(ProtocolError),
}

/// The receiving side of one connection. It is made once and lives as long as the connection's place does.
#[derive(Clone, Debug)]
pub struct ResponseMachine {
    state: State,
    limits: Limits,
    /// The response at hand, as far as it is known.
    response: Response,
    head: HeadMachine,
    chunked: ChunkedMachine,
    interim: u32,
    head_request: bool,
    has_begun: bool,
}

impl ResponseMachine {
    /// A machine for a new connection: no response is due.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::Idle,
            limits,
            response: Response { status: 0, keep_alive: false, head_bytes: 0, body_bytes: 0 },
            head: HeadMachine::default(),
            chunked: ChunkedMachine::default(),
            interim: 0,
            head_request: false,
            has_begun: false,
        }
    }

    /// Forgets everything but the limits: the machine serves a new connection.
    pub fn reset(&mut self) {
        *self = Self::new(self.limits);
    }

    /// A request is being sent; its response is now due. `head_request`: its method is HEAD.
    ///
    /// To be called before the first byte of the request leaves, since a server may answer before the last one.
    /// After an error it changes nothing.
    ///
    /// # Panics
    /// If a response is due already: the machine does not pipeline.
    pub fn expect(&mut self, head_request: bool) {
        match self.state {
            State::Idle => {}
            State::Failed(_) => return,
            _ => panic!("a response is due already"),
        }
        self.state = State::Head;
        self.interim = 0;
        self.head_request = head_request;
        self.has_begun = false;
    }

    /// Takes received bytes up to the end of the response that is due.
    ///
    /// If not all are consumed, the rest is to be given to a second call: it fails, for a response is not due
    /// any more. Whoever forgets that finds the machine failed at its next call.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Step, ProtocolError> {
        if let Some(step) = self.whole(bytes) {
            return Ok(step);
        }
        match self.advance(bytes) {
            Ok(step) => {
                if step.consumed < bytes.len() {
                    // What follows would otherwise be taken for the answer to the next request.
                    self.state = State::Failed(ProtocolError::Unsolicited);
                }
                Ok(step)
            }
            Err(error) => {
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    /// The peer sent FIN: no byte will follow. Completes a body that only FIN ends.
    pub fn end(&mut self) -> Result<Ending, ProtocolError> {
        match self.state {
            State::Idle => Ok(Ending::Idle),
            // RFC 9112 §8: with neither length nor chunks, the close is the end.
            State::UntilClose => Ok(Ending::Complete(self.complete())),
            State::Failed(error) => Err(error),
            // RFC 9112 §8: before the length is reached, the zero chunk or the head's end, it is incomplete.
            State::Head | State::Length(_) | State::Chunked => {
                self.state = State::Failed(ProtocolError::ClosedEarly);
                Err(ProtocolError::ClosedEarly)
            }
        }
    }

    /// How many body bytes are certain to come next, and may as well be thrown away unseen. Changes with every
    /// call that takes bytes.
    pub fn discardable(&self) -> u64 {
        match self.state {
            State::Length(remaining) => remaining,
            State::Chunked => self.chunked.remaining(),
            State::Idle | State::Head | State::UntilClose | State::Failed(_) => 0,
        }
    }

    /// The driver received `count` bytes and threw them away unseen. The step says whether that completed the
    /// response; its `consumed` is 0, as there was no slice.
    ///
    /// # Panics
    /// If `count` exceeds [`ResponseMachine::discardable`].
    pub fn discarded(&mut self, count: u64) -> Result<Step, ProtocolError> {
        assert!(count <= self.discardable(), "more bytes discarded than the body has left");
        let response = match self.state {
            State::Length(remaining) => self.length(remaining, count),
            State::Chunked => {
                self.chunked.skip(count);
                None
            }
            State::Failed(error) => return Err(error),
            State::Idle | State::Head | State::UntilClose => None,
        };
        Ok(Step { consumed: 0, response })
    }

    /// A byte that answers the last expected request has come, be it of an interim response.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// A response is due and not complete.
    pub fn is_due(&self) -> bool {
        !matches!(self.state, State::Idle | State::Failed(_))
    }

    /// The shortcut for nearly every response there is: it lies whole in `bytes`, alone, its head is plain, and
    /// its body has a length. `None`, with nothing changed, for all others.
    #[inline]
    fn whole(&mut self, bytes: &[u8]) -> Option<Step> {
        if self.state != State::Head || self.head.has_begun() {
            return None;
        }
        let (size, head) = whole::parse(bytes)?;
        let head_bytes = u32::try_from(size).ok().filter(|size| *size <= self.limits.head_bytes)?;
        let (body, keep_alive) = head.framing(self.head_request).ok()?;
        let body_bytes = match body {
            Body::None if head.status >= 200 => 0,
            Body::Length(length) if length <= self.limits.body_bytes => length,
            _ => return None,
        };
        if (bytes.len() - size) as u64 != body_bytes {
            return None;
        }
        self.has_begun = true;
        self.state = State::Idle;
        let response = Response { status: head.status, keep_alive, head_bytes, body_bytes };
        Some(Step { consumed: bytes.len(), response: Some(response) })
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Step, ProtocolError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let response = match self.state {
                State::Idle => return Err(ProtocolError::Unsolicited),
                State::Failed(error) => return Err(error),
                State::Head => {
                    self.has_begun = true;
                    let Some((taken, head)) = self.head(rest)? else { break };
                    at += taken;
                    self.begin_body(&head)?
                }
                State::Length(remaining) => {
                    let count = remaining.min(rest.len() as u64);
                    // Invariant: count <= rest.len().
                    at += usize::try_from(count).unwrap_or(rest.len());
                    self.length(remaining, count)
                }
                State::Chunked => {
                    let limits = ChunkedLimits {
                        body_size: self.limits.body_bytes,
                        extra_size: self.limits.head_bytes,
                    };
                    let Some(taken) = self.chunked.receive(rest, limits)? else { break };
                    at += taken;
                    self.response.body_bytes = self.chunked.body_size();
                    Some(self.complete())
                }
                State::UntilClose => {
                    self.response.body_bytes = self.response.body_bytes.saturating_add(rest.len() as u64);
                    if self.response.body_bytes > self.limits.body_bytes {
                        return Err(ProtocolError::BodyTooLong);
                    }
                    break;
                }
            };
            if response.is_some() {
                return Ok(Step { consumed: at, response });
            }
        }
        Ok(Step { consumed: bytes.len(), response: None })
    }

    /// Takes bytes of a head; the size taken and what it says, once it is complete.
    #[inline]
    fn head(&mut self, bytes: &[u8]) -> Result<Option<(usize, Head)>, ProtocolError> {
        if !self.head.has_begun()
            && let Some((size, head)) = whole::parse(bytes)
            && let Ok(head_bytes) = u32::try_from(size)
            && head_bytes <= self.limits.head_bytes
        {
            self.response.head_bytes = head_bytes;
            return Ok(Some((size, head)));
        }
        let end = self.head.receive(bytes, self.limits.head_bytes)?;
        if end.is_some() {
            self.response.head_bytes = self.head.size();
            self.head = HeadMachine::default();
        }
        Ok(end)
    }

    /// The head is complete; the response is, too, if it has no body.
    #[inline]
    fn begin_body(&mut self, head: &Head) -> Result<Option<Response>, ProtocolError> {
        let (body, keep_alive) = head.framing(self.head_request)?;
        if head.status < 200 {
            self.interim(head.status)?;
            return Ok(None);
        }
        self.response.status = head.status;
        self.response.keep_alive = keep_alive;
        self.response.body_bytes = 0;
        match body {
            Body::None | Body::Length(0) => return Ok(Some(self.complete())),
            Body::Length(length) if length > self.limits.body_bytes => {
                return Err(ProtocolError::BodyTooLong);
            }
            Body::Length(length) => self.state = State::Length(length),
            Body::Chunked => {
                self.chunked = ChunkedMachine::default();
                self.state = State::Chunked;
            }
            Body::UntilClose => self.state = State::UntilClose,
        }
        Ok(None)
    }

    /// RFC 9110 §15.2: a client must be able to parse interim responses, and may ignore them. How many, is its
    /// own affair.
    fn interim(&mut self, status: u16) -> Result<(), ProtocolError> {
        // RFC 9110 §15.2.2: 101 answers an Upgrade, which is never sent on one's own account.
        if status == 101 {
            return Err(ProtocolError::SwitchingProtocols);
        }
        if self.interim == self.limits.interim {
            return Err(ProtocolError::TooManyInterim);
        }
        self.interim += 1;
        Ok(())
    }

    /// Takes `count` of `remaining` body bytes.
    fn length(&mut self, remaining: u64, count: u64) -> Option<Response> {
        self.response.body_bytes += count;
        if remaining == count {
            return Some(self.complete());
        }
        self.state = State::Length(remaining - count);
        None
    }

    fn complete(&mut self) -> Response {
        self.state = State::Idle;
        self.response
    }
}
