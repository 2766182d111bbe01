//! Field lines that arrive in pieces: of a head, or the trailers of a chunked body.
//!
//! What it is: a byte-driven machine for `*( field-line CRLF ) CRLF` (RFC 9112 §5), which recognises the three
//! fields that decide where a message and its connection end, and checks all others.
//! What it is not: a store. Of a line it keeps at most the first [`WORD_SIZE`] bytes of the word at hand.
//!
//! ```text
//!            token            ':'             CR
//!   LineStart ────► Name ───────────► Value ─────► ValueCr
//!     │  ▲                              │  LF         │ LF
//!     │  └──────────────────────────────┴─────────────┘
//!     │ CR            LF
//!     ├────► EndCr ───────► end
//!     └─ LF ──────────────► end
//! ```
//!
//! A lone LF ends a line, as RFC 9112 §2.2 permits; a lone CR is an error, as it demands.

use crate::ProtocolError;
use crate::framing::{Coding, Facts};
use crate::syntax::{control_free, is_token, is_white, token_length};

/// As long as the longest word to be recognised: `transfer-encoding`.
const WORD_SIZE: usize = 17;

/// The first bytes of a word, in lower case, and the word's length.
#[derive(Copy, Clone, Debug, Default)]
struct Word {
    bytes: [u8; WORD_SIZE],
    /// At most `WORD_SIZE + 1`, which stands for every longer word.
    length: u8,
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
            *place = byte.to_ascii_lowercase();
            self.length += 1;
        } else {
            self.spoil();
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        // One byte past the end tells a word that is too long from one that just fits.
        for byte in bytes.iter().take(WORD_SIZE + 1) {
            self.push(*byte);
        }
    }

    /// Makes the word equal to none.
    #[expect(clippy::cast_possible_truncation, reason = "WORD_SIZE is 17")]
    fn spoil(&mut self) {
        self.length = WORD_SIZE as u8 + 1;
    }

    fn is(&self, lower_case: &[u8]) -> bool {
        self.bytes.get(..usize::from(self.length)) == Some(lower_case)
    }
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    LineStart,
    Name,
    Value,
    ValueCr,
    EndCr,
}

/// The fields that are understood.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Other,
    ContentLength,
    TransferEncoding,
    Connection,
}

/// Where in a list element the value stands.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Element {
    #[default]
    Before,
    Inside,
    After,
}

/// The machine. Default is the beginning of the first line.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Fields {
    facts: Facts,
    /// The value of the `Content-Length` element at hand.
    number: u64,
    word: Word,
    state: State,
    field: Field,
    element: Element,
}

impl Fields {
    /// What the lines so far say.
    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }

    /// Takes `bytes` up to the end of the empty line, and says how many they were; `None` if the empty line is
    /// still to come, and all of `bytes` were taken.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::LineStart => {
                    if self.line_start(byte)? {
                        return Ok(Some(at + 1));
                    }
                    at += 1;
                }
                State::Name => at += self.name(&bytes[at..])?,
                State::Value => at += self.value(&bytes[at..])?,
                State::ValueCr => {
                    self.after_cr(byte)?;
                    self.end_value()?;
                    at += 1;
                }
                State::EndCr => {
                    self.after_cr(byte)?;
                    return Ok(Some(at + 1));
                }
            }
        }
        Ok(None)
    }

    /// RFC 9112 §2.2: a bare CR makes the message invalid.
    fn after_cr(&mut self, byte: u8) -> Result<(), ProtocolError> {
        self.state = State::LineStart;
        if byte == b'\n' { Ok(()) } else { Err(ProtocolError::BareCr) }
    }

    /// Takes the first byte of a line; true when it ends the lines.
    fn line_start(&mut self, byte: u8) -> Result<bool, ProtocolError> {
        match byte {
            b'\n' => return Ok(true),
            b'\r' => self.state = State::EndCr,
            // RFC 9112 §5.2 lets a user agent join folded lines; none may be sent. It is where parsers
            // disagree about the fields that follow, so the machine refuses it. §2.2 asks the same for white
            // space right after the status line.
            b' ' | b'\t' => return Err(ProtocolError::FoldedLine),
            _ if is_token(byte) => {
                self.word = Word::default();
                self.word.push(byte);
                self.state = State::Name;
            }
            _ => return Err(ProtocolError::FieldName),
        }
        Ok(false)
    }

    /// Takes bytes of a field name and the colon after it; says how many.
    fn name(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError> {
        let length = token_length(bytes);
        self.word.extend(&bytes[..length]);
        match bytes.get(length) {
            None => Ok(length),
            Some(b':') => {
                self.begin_value();
                Ok(length + 1)
            }
            // RFC 9112 §5.1: no white space is allowed between the name and the colon.
            Some(byte) if is_white(*byte) => Err(ProtocolError::SpaceBeforeColon),
            Some(_) => Err(ProtocolError::FieldName),
        }
    }

    fn begin_value(&mut self) {
        self.field = if self.word.is(b"content-length") {
            Field::ContentLength
        } else if self.word.is(b"transfer-encoding") {
            Field::TransferEncoding
        } else if self.word.is(b"connection") {
            Field::Connection
        } else {
            Field::Other
        };
        self.state = State::Value;
        self.element = Element::Before;
    }

    /// Takes bytes of a value and the CR or LF after it; says how many.
    fn value(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError> {
        let mut at = if self.field == Field::Other { control_free(bytes) } else { 0 };
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'\r' => {
                    self.state = State::ValueCr;
                    return Ok(at);
                }
                b'\n' => {
                    self.state = State::LineStart;
                    self.end_value()?;
                    return Ok(at);
                }
                // RFC 9110 §5.5: CR, LF and NUL are dangerous, other control characters invalid.
                _ if byte.is_ascii_control() && byte != b'\t' => return Err(ProtocolError::ControlByte),
                _ => match self.field {
                    Field::Other => at += control_free(&bytes[at..]),
                    Field::ContentLength => self.content_length(byte)?,
                    Field::TransferEncoding => self.transfer_encoding(byte)?,
                    Field::Connection => self.connection(byte),
                },
            }
        }
        Ok(at)
    }

    /// Takes one byte of `Content-Length = 1*DIGIT` (RFC 9110 §8.6), or of a list of equal ones.
    fn content_length(&mut self, byte: u8) -> Result<(), ProtocolError> {
        match (self.element, byte) {
            (Element::Before, b'0'..=b'9') => {
                self.number = u64::from(byte - b'0');
                self.element = Element::Inside;
            }
            (Element::Inside, b'0'..=b'9') => {
                // RFC 9110 §8.6: a recipient must expect large numbers, and prevent errors by overflow.
                self.number = self
                    .number
                    .checked_mul(10)
                    .and_then(|number| number.checked_add(u64::from(byte - b'0')))
                    .ok_or(ProtocolError::ContentLengthOverflow)?;
            }
            (Element::Inside | Element::After, b',') => self.commit_content_length()?,
            (Element::Inside, b' ' | b'\t') => self.element = Element::After,
            (Element::Before | Element::After, b' ' | b'\t') => {}
            _ => return Err(ProtocolError::ContentLength),
        }
        Ok(())
    }

    /// RFC 9112 §6.3, 5: several values are an unrecoverable error unless all are equal.
    fn commit_content_length(&mut self) -> Result<(), ProtocolError> {
        self.element = Element::Before;
        if self.facts.content_length.is_some_and(|length| length != self.number) {
            return Err(ProtocolError::ContentLengthConflict);
        }
        self.facts.content_length = Some(self.number);
        Ok(())
    }

    /// Takes one byte of `Transfer-Encoding = #transfer-coding` (RFC 9112 §6.1). Parameters are refused: §7.1
    /// has none for chunked, and no other coding was offered.
    fn transfer_encoding(&mut self, byte: u8) -> Result<(), ProtocolError> {
        match (self.element, byte) {
            (Element::Before | Element::After, b' ' | b'\t') | (Element::Before, b',') => {}
            (Element::Inside, b' ' | b'\t') => self.element = Element::After,
            (Element::Inside | Element::After, b',') => self.commit_coding()?,
            (Element::Before | Element::Inside, _) if is_token(byte) => self.push(byte),
            _ => return Err(ProtocolError::TransferEncoding),
        }
        Ok(())
    }

    fn commit_coding(&mut self) -> Result<(), ProtocolError> {
        self.element = Element::Before;
        let is_chunked = self.word.is(b"chunked");
        self.facts.coding = match (self.facts.coding, is_chunked) {
            // RFC 9112 §6.1: chunked must not be applied twice, and must be the final coding.
            (Coding::Chunked, true) => return Err(ProtocolError::ChunkedTwice),
            (Coding::Chunked, false) => return Err(ProtocolError::ChunkedNotLast),
            (_, true) => Coding::Chunked,
            (_, false) => Coding::Other,
        };
        Ok(())
    }

    /// Takes one byte of `Connection = #connection-option` (RFC 9110 §7.6.1). What is no token is no option
    /// that is known.
    fn connection(&mut self, byte: u8) {
        match (self.element, byte) {
            (Element::Before | Element::After, b' ' | b'\t') | (Element::Before, b',') => {}
            (Element::Inside, b' ' | b'\t') => self.element = Element::After,
            (Element::Inside | Element::After, b',') => self.commit_option(),
            (Element::Before | Element::Inside, _) => self.push(byte),
            (Element::After, _) => self.word.spoil(),
        }
    }

    fn commit_option(&mut self) {
        self.element = Element::Before;
        self.facts.close |= self.word.is(b"close");
        self.facts.keep_alive |= self.word.is(b"keep-alive");
    }

    fn push(&mut self, byte: u8) {
        if self.element == Element::Before {
            self.word = Word::default();
            self.element = Element::Inside;
        }
        self.word.push(byte);
    }

    /// The line is complete.
    fn end_value(&mut self) -> Result<(), ProtocolError> {
        let is_open = self.element != Element::Before;
        match self.field {
            Field::ContentLength if is_open => self.commit_content_length()?,
            // An empty value, or nothing after a comma.
            Field::ContentLength => return Err(ProtocolError::ContentLength),
            Field::TransferEncoding => {
                if is_open {
                    self.commit_coding()?;
                }
                if self.facts.coding == Coding::Absent {
                    return Err(ProtocolError::TransferEncoding);
                }
            }
            Field::Connection if is_open => self.commit_option(),
            Field::Other | Field::Connection => {}
        }
        Ok(())
    }
}
