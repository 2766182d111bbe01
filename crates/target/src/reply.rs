//! Hot path. The answers: prepared once, shared by every thread, sent from the same memory.
//!
//! What it is not: a copy per request; a connection holds for each pending answer only which one it is and how far
//! it got.
//!
//! The target sends no Date field (RFC 9110 §6.6.1 asks for one of servers with a clock), so that an answer has
//! the same bytes every time.

use std::fmt::Write as _;
use std::sync::Arc;

use clock::Timestamp;

use crate::config::{Config, Faults};
use crate::random::Random;
use crate::request::{BadRequest, Persistence};

/// What may go wrong on purpose.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Error,
    Close,
    Reset,
    Cut,
    Garbage,
    Hang,
}

impl Fault {
    pub(crate) const COUNT: usize = 6;
    /// In the order of [`Faults::rates`].
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Error, Self::Close, Self::Reset, Self::Cut, Self::Garbage, Self::Hang];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Close => "close",
            Self::Reset => "reset",
            Self::Cut => "cut",
            Self::Garbage => "garbage",
            Self::Hang => "hang",
        }
    }
}

/// Draws the fault of each request.
#[derive(Clone, Debug)]
pub(crate) struct FaultLaw {
    /// Running sums of the rates; None when nothing ever goes wrong, so that nothing is drawn.
    sums: Option<[f64; Fault::COUNT]>,
}

impl FaultLaw {
    pub(crate) fn new(faults: &Faults) -> Self {
        let mut sum = 0.0;
        let sums = faults.rates().map(|rate| {
            sum += rate;
            sum
        });
        Self { sums: (sum > 0.0).then_some(sums) }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> Option<Fault> {
        let sums = self.sums.as_ref()?;
        let drawn = random.next_unit();
        Fault::ALL.into_iter().zip(sums).find(|(_, sum)| drawn < **sum).map(|(fault, _)| fault)
    }
}

/// What an answer consists of.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The ordinary response.
    Ordinary(Persistence),
    /// The error of the faults.
    Error(Persistence),
    /// The answer to what is no acceptable request.
    Refusal(BadRequest),
    /// `100 Continue`.
    Continue,
    /// The first half of the ordinary response.
    Cut,
    /// Bytes that are not HTTP.
    Garbage,
    /// No bytes: the connection ends.
    Nothing,
    /// The truth document with its head.
    Truth(Arc<[u8]>),
}

/// What follows an answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next one.
    Next,
    /// The end of the connection.
    Close,
    /// The end of the connection by a reset.
    Reset,
}

/// One answer that a connection owes.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) content: Content,
    pub(crate) after: After,
    /// The answer to HEAD: no body.
    pub(crate) is_head: bool,
    /// Not before this; [`Timestamp::MAX`] is never.
    pub(crate) due: Timestamp,
    pub(crate) arrived: Timestamp,
    pub(crate) drawn_ns: u64,
}

impl Reply {
    /// The status to count when the whole answer is written; None for what is no whole response.
    pub(crate) fn status(&self, replies: &Replies) -> Option<u16> {
        match &self.content {
            Content::Ordinary(_) => Some(200),
            Content::Error(_) => Some(replies.error_status),
            Content::Refusal(reason) => Some(reason.status()),
            Content::Continue | Content::Cut | Content::Garbage | Content::Nothing | Content::Truth(_) => {
                None
            }
        }
    }
}

/// Heads for the three kinds of persistence, and the body that they share.
#[derive(Debug)]
struct Prepared {
    heads: [Vec<u8>; 3],
    body: Vec<u8>,
}

impl Prepared {
    fn new(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Self {
        let head = |connection: &str| {
            let mut head = format!("HTTP/1.1 {status} {}\r\nServer: openloop\r\n", reason_of(status));
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                head.push_str("Content-Type: text/plain\r\n");
            }
            for (name, value) in headers {
                write!(head, "{name}: {value}\r\n").expect("Invariant: a String takes every write");
            }
            write!(head, "Content-Length: {}\r\n{connection}\r\n", body.len())
                .expect("Invariant: a String takes every write");
            head.into_bytes()
        };
        let heads = [head(""), head("Connection: keep-alive\r\n"), head("Connection: close\r\n")];
        Self { heads, body }
    }

    fn head(&self, persistence: Persistence) -> &[u8] {
        match persistence {
            Persistence::Implied => &self.heads[0],
            Persistence::Stated => &self.heads[1],
            Persistence::Close => &self.heads[2],
        }
    }
}

/// Every prepared answer.
#[derive(Debug)]
pub(crate) struct Replies {
    ordinary: Prepared,
    error: Prepared,
    error_status: u16,
    refusals: [Prepared; BadRequest::COUNT],
}

impl Replies {
    pub(crate) fn new(config: &Config) -> Self {
        const PATTERN: &[u8] = b"open loop target\n";
        let size = usize::try_from(config.body_bytes).expect("Invariant: checked against BODY_BYTES_LIMIT");
        let body = PATTERN.iter().copied().cycle().take(size).collect();
        let status = config.faults.error_status;
        Self {
            ordinary: Prepared::new(200, &config.headers, body),
            error: Prepared::new(status, &[], b"error on purpose\n".to_vec()),
            error_status: status,
            refusals: BadRequest::ALL.map(|reason| {
                Prepared::new(reason.status(), &[], format!("{}\n", reason.name()).into_bytes())
            }),
        }
    }

    /// Bytes of the ordinary response to an HTTP/1.1 request.
    pub(crate) fn ordinary_bytes(&self) -> u64 {
        (self.ordinary.heads[0].len() + self.ordinary.body.len()) as u64
    }

    /// The bytes of an answer, head and body.
    pub(crate) fn parts<'a>(&'a self, reply: &'a Reply) -> (&'a [u8], &'a [u8]) {
        let whole = |prepared: &'a Prepared, persistence| {
            let body: &[u8] = if reply.is_head { &[] } else { &prepared.body };
            (prepared.head(persistence), body)
        };
        match &reply.content {
            Content::Ordinary(persistence) => whole(&self.ordinary, *persistence),
            Content::Error(persistence) => whole(&self.error, *persistence),
            Content::Refusal(reason) => whole(&self.refusals[reason.index()], Persistence::Close),
            // RFC 9110 §15.2: an interim response has no body.
            Content::Continue => (b"HTTP/1.1 100 Continue\r\n\r\n", &[]),
            Content::Cut => {
                let (head, body) = whole(&self.ordinary, Persistence::Implied);
                match usize::midpoint(head.len(), body.len()) {
                    half if half <= head.len() => (&head[..half], &[]),
                    half => (head, &body[..half - head.len()]),
                }
            }
            Content::Garbage => (b"\x00\xffthis is not HTTP\r\n\r\n\x1b[2J", &[]),
            Content::Nothing => (&[], &[]),
            Content::Truth(bytes) => (bytes, &[]),
        }
    }
}

/// The whole response that carries the truth document.
pub(crate) fn truth_response(document: &str, is_head: bool, persistence: Persistence) -> Arc<[u8]> {
    let connection = match persistence {
        Persistence::Implied => "",
        Persistence::Stated => "Connection: keep-alive\r\n",
        Persistence::Close => "Connection: close\r\n",
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: openloop\r\nContent-Type: application/json\r\n\
         Cache-Control: no-store\r\nContent-Length: {}\r\n{connection}\r\n",
        document.len()
    );
    let body = if is_head { "" } else { document };
    [head.as_bytes(), body.as_bytes()].concat().into()
}

/// Reason phrases of the statuses in use; RFC 9112 §4 allows none for the others.
fn reason_of(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
