//! Hot path. The server's side of HTTP/1.1 framing: bytes in, complete requests out.
//!
//! What it is: a sans-IO machine for one connection. It finds where each request ends, counts its bytes and keeps
//! of it only what the answer depends on. Bodies are read, counted and thrown away.
//! What it is not: a router, or a client; it shares no code with the engine's parser on purpose, so that a wrong
//! reading of the RFC cannot hide on both sides of the wire.
//!
//! ```text
//!            head, no body                    Content-Length
//!   Head ────────────────► request   Head ──────────────────► Sized ──► request
//!   Head ──chunked──► Size ─► Data ─► DataEnd ─► Size … ─► Trailers ──► request
//! ```
//!
//! Invariant: the events do not depend on how the bytes were cut into slices; a wrong head is refused at its end at the
//! latest, earlier where the fault came in its first slice. Memory held for a connection is at
//! most [`HEAD_LIMIT`] bytes, and none between requests.

mod fields;

use std::mem::MaybeUninit;

use fields::{Fields, Framing};

/// The largest request head that is read, in bytes.
pub const HEAD_LIMIT: usize = 64 * 1024;
/// The most header fields that a request may have.
pub const HEADER_LIMIT: usize = 100;
/// The longest chunk-size line with its extensions, in bytes.
const CHUNK_LINE_LIMIT: u32 = 4 * 1024;
/// The largest trailer section, in bytes.
const TRAILER_LIMIT: u32 = 64 * 1024;

/// Why a request cannot be read; the connection ends after the answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// Not HTTP/1.0 or HTTP/1.1, or framing that RFC 9112 forbids.
    Malformed,
    /// The head or the trailers exceed their limit.
    TooLarge,
    /// A transfer coding other than chunked.
    UnknownCoding,
}

impl BadRequest {
    /// How many kinds there are.
    pub const COUNT: usize = 3;
    /// Every kind, in the order of [`BadRequest::index`].
    pub const ALL: [Self; Self::COUNT] = [Self::Malformed, Self::TooLarge, Self::UnknownCoding];

    /// The kind's place in [`BadRequest::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Malformed => 0,
            Self::TooLarge => 1,
            Self::UnknownCoding => 2,
        }
    }

    /// The name in the truth document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnknownCoding => "unknown_coding",
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::TooLarge => 431,
            // RFC 9112 §6.1: a transfer coding that the server does not understand is answered 501.
            Self::UnknownCoding => 501,
        }
    }
}

/// What happens to the connection after the answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// HTTP/1.1 without `Connection: close`: it stays, and nothing needs to be said.
    Implied,
    /// HTTP/1.0 with `Connection: keep-alive`: it stays, and the answer says so.
    Stated,
    /// It ends.
    Close,
}

/// A complete request: all that the answer and the log need to know of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method is HEAD: the answer has no body.
    pub is_head: bool,
    /// The path is `/truth`.
    pub is_truth: bool,
    /// What happens to the connection after the answer.
    pub persistence: Persistence,
    /// Bytes of the whole request as framed on the wire (before TLS).
    pub wire_bytes: u64,
    /// Bytes of the body, without its framing.
    pub body_bytes: u64,
}

/// What [`RequestMachine::receive`] found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    Continue,
    /// A request is complete.
    Request(Request),
}

/// Where in a request the next byte stands.
#[derive(Copy, Clone, Debug)]
enum State {
    Head,
    Sized { left: u64 },
    ChunkSize { size: u64, digits: u32, line_bytes: u32 },
    ChunkExtension { size: u64, line_bytes: u32 },
    ChunkLineFeed { size: u64 },
    ChunkData { left: u64 },
    ChunkDataReturn,
    ChunkDataFeed,
    TrailerLine { line_is_empty: bool, total_bytes: u32 },
    Failed(BadRequest),
}

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct RequestMachine {
    state: State,
    /// The part of a head that came so far; empty unless a head is cut.
    held: Vec<u8>,
    request: Request,
}

const BLANK: Request = Request {
    is_head: false,
    is_truth: false,
    persistence: Persistence::Implied,
    wire_bytes: 0,
    body_bytes: 0,
};

impl Default for RequestMachine {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestMachine {
    /// A machine at the start of a connection.
    pub fn new() -> Self {
        Self { state: State::Head, held: Vec::new(), request: BLANK }
    }

    /// A request has begun and is not complete.
    pub fn is_within_request(&self) -> bool {
        !self.held.is_empty() || !matches!(self.state, State::Head)
    }

    /// Reads `bytes` up to the next event. Returns how many bytes it took and what it found; without an event it
    /// took them all. After an error every call fails the same way.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(usize, Option<Event>), BadRequest> {
        let mut consumed = 0;
        while consumed < bytes.len() {
            let rest = &bytes[consumed..];
            let (taken, event) = match self.state {
                State::Head => self.receive_head(rest),
                State::Failed(reason) => Err(reason),
                _ => self.receive_body(rest),
            }
            .inspect_err(|reason| self.state = State::Failed(*reason))?;
            consumed += taken;
            if event.is_some() {
                return Ok((consumed, event));
            }
        }
        Ok((consumed, None))
    }

    fn receive_head(&mut self, bytes: &[u8]) -> Result<(usize, Option<Event>), BadRequest> {
        if self.held.is_empty() {
            if let Some((head_bytes, event)) = self.parse_head(bytes)? {
                return Ok((head_bytes, event));
            }
            if bytes.len() > HEAD_LIMIT {
                return Err(BadRequest::TooLarge);
            }
            self.held.extend_from_slice(bytes);
            return Ok((bytes.len(), None));
        }
        // Only the new bytes are searched for the end, so that a head sent byte by byte costs linear work.
        let Some(taken) = end_of_head(&self.held, bytes) else {
            if self.held.len() + bytes.len() > HEAD_LIMIT {
                return Err(BadRequest::TooLarge);
            }
            self.held.extend_from_slice(bytes);
            return Ok((bytes.len(), None));
        };
        let mut head = std::mem::take(&mut self.held);
        head.extend_from_slice(&bytes[..taken]);
        let event = if let Some((_, event)) = self.parse_head(&head)? {
            event
        } else {
            // Only empty lines so far: RFC 9112 §2.2 lets a server ignore them before the request line.
            self.held = head;
            None
        };
        Ok((taken, event))
    }

    /// Parses the head at the start of `bytes`; None if it is cut.
    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<(usize, Option<Event>)>, BadRequest> {
        let mut storage = [const { MaybeUninit::uninit() }; HEADER_LIMIT];
        let mut head = httparse::Request::new(&mut []);
        let head_bytes = match head.parse_with_uninit_headers(bytes, &mut storage) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(BadRequest::TooLarge),
            Err(_) => return Err(BadRequest::Malformed),
        };
        if head_bytes > HEAD_LIMIT {
            return Err(BadRequest::TooLarge);
        }
        let fields = Fields::read(&head)?;
        self.request = Request {
            is_head: head.method == Some("HEAD"),
            is_truth: path_of(head.path.unwrap_or_default()) == "/truth",
            persistence: fields.persistence(),
            wire_bytes: head_bytes as u64,
            body_bytes: 0,
        };
        self.state = match fields.framing()? {
            Framing::Sized(0) => return Ok(Some((head_bytes, Some(self.complete())))),
            Framing::Sized(left) => State::Sized { left },
            Framing::Chunked => State::ChunkSize { size: 0, digits: 0, line_bytes: 0 },
        };
        Ok(Some((head_bytes, fields.expects_continue.then_some(Event::Continue))))
    }

    /// Takes body bytes; `bytes` is not empty.
    fn receive_body(&mut self, bytes: &[u8]) -> Result<(usize, Option<Event>), BadRequest> {
        if let State::Sized { left } | State::ChunkData { left } = self.state {
            let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let left = left - taken as u64;
            self.request.body_bytes += taken as u64;
            self.request.wire_bytes += taken as u64;
            let is_sized = matches!(self.state, State::Sized { .. });
            self.state = match (is_sized, left) {
                (true, 0) => return Ok((taken, Some(self.complete()))),
                (true, _) => State::Sized { left },
                (false, 0) => State::ChunkDataReturn,
                (false, _) => State::ChunkData { left },
            };
            return Ok((taken, None));
        }
        self.request.wire_bytes += 1;
        match self.after_framing_byte(bytes[0])? {
            Some(state) => {
                self.state = state;
                Ok((1, None))
            }
            None => Ok((1, Some(self.complete()))),
        }
    }

    /// The state after one byte of chunk framing (RFC 9112 §7.1); None when the body is complete.
    fn after_framing_byte(&self, byte: u8) -> Result<Option<State>, BadRequest> {
        let after_size = |size, line_bytes| match byte {
            b'\r' => Ok(State::ChunkLineFeed { size }),
            b'\n' => Err(BadRequest::Malformed),
            _ if line_bytes >= CHUNK_LINE_LIMIT => Err(BadRequest::TooLarge),
            _ => Ok(State::ChunkExtension { size, line_bytes: line_bytes + 1 }),
        };
        let next = match self.state {
            State::ChunkSize { size, digits, line_bytes } => match (byte as char).to_digit(16) {
                // 15 digits stay far from overflow and far beyond any body that anybody sends.
                Some(digit) if digits < 15 => {
                    let size = size * 16 + u64::from(digit);
                    State::ChunkSize { size, digits: digits + 1, line_bytes: line_bytes + 1 }
                }
                Some(_) => return Err(BadRequest::TooLarge),
                None if digits == 0 || !matches!(byte, b'\r' | b';' | b' ' | b'\t') => {
                    return Err(BadRequest::Malformed);
                }
                None => after_size(size, line_bytes)?,
            },
            State::ChunkExtension { size, line_bytes } => after_size(size, line_bytes)?,
            State::ChunkLineFeed { size } => match (byte, size) {
                (b'\n', 0) => State::TrailerLine { line_is_empty: true, total_bytes: 0 },
                (b'\n', left) => State::ChunkData { left },
                _ => return Err(BadRequest::Malformed),
            },
            State::ChunkDataReturn if byte == b'\r' => State::ChunkDataFeed,
            State::ChunkDataFeed if byte == b'\n' => State::ChunkSize { size: 0, digits: 0, line_bytes: 0 },
            State::TrailerLine { line_is_empty, total_bytes } => match byte {
                b'\n' if line_is_empty => return Ok(None),
                _ if total_bytes >= TRAILER_LIMIT => return Err(BadRequest::TooLarge),
                b'\n' => State::TrailerLine { line_is_empty: true, total_bytes: total_bytes + 1 },
                b'\r' => State::TrailerLine { line_is_empty, total_bytes: total_bytes + 1 },
                _ => State::TrailerLine { line_is_empty: false, total_bytes: total_bytes + 1 },
            },
            _ => return Err(BadRequest::Malformed),
        };
        Ok(Some(next))
    }

    fn complete(&mut self) -> Event {
        self.state = State::Head;
        Event::Request(std::mem::replace(&mut self.request, BLANK))
    }
}

/// The path of a request target in origin or absolute form (RFC 9112 §3.2), without its query.
fn path_of(target: &str) -> &str {
    let path = match target.find("://") {
        Some(at) if !target.starts_with('/') => {
            let after = &target[at + 3..];
            after.find('/').map_or("/", |slash| &after[slash..])
        }
        _ => target,
    };
    path.split('?').next().unwrap_or(path)
}

/// How many bytes of `bytes` end the head that `held` began: up to the line feed of the first empty line.
fn end_of_head(held: &[u8], bytes: &[u8]) -> Option<usize> {
    let before = |at: usize, back: usize| {
        at.checked_sub(back).map_or_else(
            || held.len().checked_sub(back - at).map(|index| held[index]),
            |index| Some(bytes[index]),
        )
    };
    bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at).find_map(|at| {
        let ends = match before(at, 1) {
            Some(b'\n') => true,
            Some(b'\r') => before(at, 2) == Some(b'\n'),
            _ => false,
        };
        ends.then_some(at + 1)
    })
}

#[cfg(test)]
mod tests;
