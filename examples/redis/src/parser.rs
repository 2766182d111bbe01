//! The reader of replies: RESP, version 2 (redis.io/docs/latest/develop/reference/protocol-spec).
//!
//! What it is: a machine that takes bytes cut anywhere and says when a reply is whole, and what it is. It keeps a few
//! numbers and the first word of an error, whatever the size of a reply.
//! What it is not: a keeper of values.
//!
//! ```text
//!   Type ──'+', '-', ':', '$', '*'──► Line ──CR──► LineEnd ──LF──► whole, or its elements, or Bulk
//!     ▲                                                                                     │ all bytes
//!     └────────────────────── next element ◄──LF── BulkEnd ◄────────────────────────────────┘
//! ```

/// A string has at most so many bytes (`proto-max-bulk-len`), and an array so many elements.
const LARGEST: u64 = 512 << 20;
/// Bytes of a line: of an error's text, or of a simple string.
const LONGEST_LINE: u32 = 64 << 10;
/// Bytes of the longest number: a sign and 19 digits.
const LONGEST_NUMBER: u32 = 20;
/// Bytes of an error's first word that are looked at.
const WORD: usize = 12;

/// What a reply is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple string, such as `OK`.
    Simple,
    /// A string.
    Bulk,
    /// No value.
    Nil,
    /// A number.
    Integer,
    /// An array, of whatever.
    Array,
    /// An error.
    Error(ErrorKind),
}

/// What an error is, by its first word.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are Redis's words")]
pub enum ErrorKind {
    Err,
    WrongType,
    NoAuth,
    WrongPass,
    NoPerm,
    Loading,
    ReadOnly,
    OutOfMemory,
    Busy,
    Moved,
    Ask,
    ClusterDown,
    Other,
}

impl ErrorKind {
    /// All of them, by index.
    pub const ALL: &[Self] = &[
        Self::Err,
        Self::WrongType,
        Self::NoAuth,
        Self::WrongPass,
        Self::NoPerm,
        Self::Loading,
        Self::ReadOnly,
        Self::OutOfMemory,
        Self::Busy,
        Self::Moved,
        Self::Ask,
        Self::ClusterDown,
        Self::Other,
    ];

    /// The word with which it begins.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Err => "ERR",
            Self::WrongType => "WRONGTYPE",
            Self::NoAuth => "NOAUTH",
            Self::WrongPass => "WRONGPASS",
            Self::NoPerm => "NOPERM",
            Self::Loading => "LOADING",
            Self::ReadOnly => "READONLY",
            Self::OutOfMemory => "OOM",
            Self::Busy => "BUSY",
            Self::Moved => "MOVED",
            Self::Ask => "ASK",
            Self::ClusterDown => "CLUSTERDOWN",
            Self::Other => "another error",
        }
    }

    fn of(word: &[u8]) -> Self {
        let known = Self::ALL.iter().find(|kind| kind.name().as_bytes() == word);
        known.copied().unwrap_or(Self::Other)
    }
}

/// How far [`Parser::receive`] came.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes were taken: all, unless a reply is whole.
    pub consumed: usize,
    /// The reply that the last of them completed.
    pub reply: Option<Reply>,
}

/// What came is no reply.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Malformed;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Type,
    Line,
    LineEnd,
    Bulk { left: u64 },
    BulkEnd { cr: bool },
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Parser {
    state: State,
    /// Of the element at hand.
    kind: u8,
    /// Bytes of its line so far.
    line: u32,
    negative: bool,
    digits: u32,
    number: u64,
    word: [u8; WORD],
    /// Elements that are not whole, the one at hand among them.
    outstanding: u64,
    /// What the reply is, once its first line is there.
    reply: Option<Reply>,
}

impl Default for Parser {
    /// One that waits for a reply.
    fn default() -> Self {
        Self {
            state: State::Type,
            kind: 0,
            line: 0,
            negative: false,
            digits: 0,
            number: 0,
            word: [0; WORD],
            outstanding: 1,
            reply: None,
        }
    }
}

impl Parser {
    /// Takes bytes. Behind a whole reply the next one begins.
    ///
    /// # Errors
    /// They are no reply. Nothing may be asked of this parser afterwards.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Bulk { left } = self.state {
                let here = left.min((bytes.len() - at) as u64);
                at += usize::try_from(here).map_err(|_| Malformed)?;
                self.state = if here == left {
                    State::BulkEnd { cr: false }
                } else {
                    State::Bulk { left: left - here }
                };
                continue;
            }
            self.take(bytes[at])?;
            at += 1;
            if self.outstanding == 0 {
                let reply = std::mem::take(self).reply;
                return Ok(Step { consumed: at, reply });
            }
        }
        Ok(Step { consumed: at, reply: None })
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        match (self.state, byte) {
            (State::Type, b'+' | b'-' | b':' | b'$' | b'*') => {
                (self.kind, self.line, self.digits, self.number, self.negative) = (byte, 0, 0, 0, false);
                self.state = State::Line;
            }
            (State::Line, b'\r') => self.state = State::LineEnd,
            (State::Line, b'\n') => return Err(Malformed),
            (State::Line, byte) => self.in_line(byte)?,
            (State::LineEnd, b'\n') => self.end_line()?,
            (State::BulkEnd { cr: false }, b'\r') => self.state = State::BulkEnd { cr: true },
            (State::BulkEnd { cr: true }, b'\n') => self.end_element(Reply::Bulk),
            (State::Type | State::LineEnd | State::BulkEnd { .. } | State::Bulk { .. }, _) => {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    fn in_line(&mut self, byte: u8) -> Result<(), Malformed> {
        let place = self.line;
        self.line += 1;
        if matches!(self.kind, b'+' | b'-') {
            if let Some(kept) = self.word.get_mut(place as usize) {
                *kept = byte;
            }
            return if self.line <= LONGEST_LINE { Ok(()) } else { Err(Malformed) };
        }
        if self.line > LONGEST_NUMBER {
            return Err(Malformed);
        }
        match byte {
            b'-' if place == 0 => self.negative = true,
            b'+' if place == 0 && self.kind == b':' => {}
            b'0'..=b'9' => {
                self.digits += 1;
                let raised =
                    self.number.checked_mul(10).and_then(|number| number.checked_add(u64::from(byte - b'0')));
                self.number = raised.ok_or(Malformed)?;
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    /// The line of an element is whole.
    fn end_line(&mut self) -> Result<(), Malformed> {
        if !matches!(self.kind, b'+' | b'-') && self.digits == 0 {
            return Err(Malformed);
        }
        match (self.kind, self.negative) {
            (b'+', _) => self.end_element(Reply::Simple),
            (b'-', _) => {
                let line = &self.word[..WORD.min(self.line as usize)];
                let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
                self.end_element(Reply::Error(ErrorKind::of(word)));
            }
            (b':', negative) => {
                let most = i64::MAX.unsigned_abs() + u64::from(negative);
                if self.number > most {
                    return Err(Malformed);
                }
                self.end_element(Reply::Integer);
            }
            // -1 stands for no value; there is no other length below 0.
            (_, true) if self.number == 1 => self.end_element(Reply::Nil),
            (_, true) => return Err(Malformed),
            _ if self.number > LARGEST => return Err(Malformed),
            (b'$', _) => {
                self.state = State::Bulk { left: self.number };
                self.reply.get_or_insert(Reply::Bulk);
            }
            _ => {
                self.outstanding = self.outstanding.checked_add(self.number).ok_or(Malformed)?;
                self.end_element(Reply::Array);
            }
        }
        Ok(())
    }

    /// An element is whole; the first one says what the reply is.
    fn end_element(&mut self, reply: Reply) {
        self.reply.get_or_insert(reply);
        self.outstanding -= 1;
        self.state = State::Type;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_what_they_are() {
        for (bytes, reply) in [
            ("+OK\r\n", Reply::Simple),
            ("+\r\n", Reply::Simple),
            (":0\r\n", Reply::Integer),
            (":+7\r\n", Reply::Integer),
            (":9223372036854775807\r\n", Reply::Integer),
            (":-9223372036854775808\r\n", Reply::Integer),
            ("$0\r\n\r\n", Reply::Bulk),
            ("$8\r\n\r\n-ERR \r\r\n", Reply::Bulk),
            ("$-1\r\n", Reply::Nil),
            ("*-1\r\n", Reply::Nil),
            ("*0\r\n", Reply::Array),
            ("*3\r\n:1\r\n*2\r\n+a\r\n$-1\r\n$3\r\nfoo\r\n", Reply::Array),
            ("-ERR unknown command\r\n", Reply::Error(ErrorKind::Err)),
            ("-ERR\r\n", Reply::Error(ErrorKind::Err)),
            ("-WRONGTYPE Operation against a key\r\n", Reply::Error(ErrorKind::WrongType)),
            ("-NOAUTH Authentication required.\r\n", Reply::Error(ErrorKind::NoAuth)),
            ("-CLUSTERDOWN Hash slot not served\r\n", Reply::Error(ErrorKind::ClusterDown)),
            ("-ERRATIC\r\n", Reply::Error(ErrorKind::Other)),
            ("-\r\n", Reply::Error(ErrorKind::Other)),
            ("-MISCONFIGURED-AND-LONG word\r\n", Reply::Error(ErrorKind::Other)),
        ] {
            let step = Parser::default().receive(bytes.as_bytes());
            assert_eq!(step, Ok(Step { consumed: bytes.len(), reply: Some(reply) }), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            "HTTP/1.1 200 OK\r\n",
            "\r\n",
            "OK\r\n",
            "+OK\n",
            "+OK\r\r\n",
            ":\r\n",
            ":-\r\n",
            ":1a\r\n",
            ":9223372036854775808\r\n",
            ":-9223372036854775809\r\n",
            ":99999999999999999999\r\n",
            "$\r\n",
            "$-2\r\n",
            "$+1\r\n",
            "$536870913\r\n",
            "$3\r\nfooo\r\n",
            "$3\r\nfoo\n",
            "*-2\r\n",
            "*1\r\n!\r\n",
            "*18446744073709551615\r\n",
        ] {
            assert_eq!(Parser::default().receive(bytes.as_bytes()), Err(Malformed), "{bytes:?}");
        }
        let long = format!("-{}", "x".repeat(LONGEST_LINE as usize + 1));
        assert_eq!(Parser::default().receive(long.as_bytes()), Err(Malformed));
    }
}
