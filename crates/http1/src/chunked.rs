//! A chunked body (RFC 9112 §7.1).
//!
//! What it is not: a keeper of chunk data, extensions or trailers. It counts the first and checks the others.
//!
//! ```text
//!                 ';'                CR
//!   Size ──────────────► Extension ──────┐
//!    ▲ │        CR                       ▼         size 0
//!    │ └──────────────────────────────► SizeLf ───────────► Trailers ──► end
//!    │  LF            CR                 │ size > 0
//!    └────── DataLf ◄────── DataCr ◄── Data
//! ```
//!
//! Lines end in CR LF here; a lone LF, which RFC 9112 §2.2 permits in heads, is permitted nowhere in chunks.

use crate::ProtocolError;
use crate::fields::Fields;
use crate::syntax::{control_free, is_white};

/// More digits than any 64-bit size needs.
const DIGITS_MAX: u8 = 16;

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// White space after the size, before the semicolon.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
}

/// The machine. Default is the beginning of the body.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct ChunkedMachine {
    trailers: Fields,
    /// What is left of the chunk at hand; its size while that is being read.
    remaining: u64,
    /// The chunk data of the body so far.
    body_size: u64,
    /// The chunk extensions and trailers so far.
    extra_size: u32,
    state: State,
    digits: u8,
}

/// The limits of one body.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ChunkedLimits {
    pub(crate) body_size: u64,
    pub(crate) extra_size: u32,
}

impl ChunkedMachine {
    /// The chunk data so far, in bytes.
    pub(crate) fn body_size(&self) -> u64 {
        self.body_size
    }

    /// What is left of the data of the chunk at hand.
    pub(crate) fn remaining(&self) -> u64 {
        if self.state == State::Data { self.remaining } else { 0 }
    }

    /// Takes `count` bytes of the data of the chunk at hand unseen.
    ///
    /// # Panics
    /// If `count` exceeds [`ChunkedMachine::remaining`].
    pub(crate) fn skip(&mut self, count: u64) {
        assert!(count <= self.remaining(), "more bytes discarded than the chunk has left");
        if count > 0 {
            self.remaining -= count;
            self.body_size += count;
            if self.remaining == 0 {
                self.state = State::DataCr;
            }
        }
    }

    /// Takes `bytes` up to the end of the body, and says how many they were; `None` if the end is still to
    /// come, and all of `bytes` were taken.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        limits: ChunkedLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Size => self.size_byte(byte)?,
                State::Space => self.after_size(byte)?,
                State::Extension => {
                    at += self.extension(&bytes[at..], limits)?;
                    continue;
                }
                State::SizeLf => self.size_line_end(byte, limits)?,
                State::Data => {
                    let count = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(bytes.len() - at);
                    self.skip(count as u64);
                    at += count;
                    continue;
                }
                // RFC 9112 §7.1: chunk-data is followed by CRLF.
                State::DataCr if byte == b'\r' => self.state = State::DataLf,
                State::DataLf if byte == b'\n' => {
                    self.state = State::Size;
                    self.digits = 0;
                }
                State::DataCr | State::DataLf => return Err(ProtocolError::ChunkEnd),
                State::Trailers => return Ok(self.trailers(&bytes[at..], limits)?.map(|taken| at + taken)),
            }
            at += 1;
        }
        Ok(None)
    }

    /// Takes one byte of `chunk-size = 1*HEXDIG`, or the first after it.
    fn size_byte(&mut self, byte: u8) -> Result<(), ProtocolError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if self.digits == 0 => return Err(ProtocolError::ChunkSize),
            _ => return self.after_size(byte),
        };
        // RFC 9112 §7.1: a recipient must anticipate large numbers and prevent errors by overflow.
        if self.digits == DIGITS_MAX {
            return Err(ProtocolError::ChunkSizeOverflow);
        }
        let before = if self.digits == 0 { 0 } else { self.remaining };
        self.remaining = before << 4 | u64::from(digit);
        self.digits += 1;
        Ok(())
    }

    fn after_size(&mut self, byte: u8) -> Result<(), ProtocolError> {
        self.state = match byte {
            b'\r' if self.state == State::Size => State::SizeLf,
            b';' => State::Extension,
            // RFC 9112 §7.1.1 has (bad) white space before the semicolon only.
            _ if is_white(byte) && self.state == State::Size => State::Space,
            _ => return Err(ProtocolError::ChunkSize),
        };
        Ok(())
    }

    /// RFC 9112 §7.1.1: extensions that are not recognised are ignored, and their total size is limited.
    fn extension(&mut self, bytes: &[u8], limits: ChunkedLimits) -> Result<usize, ProtocolError> {
        let room = usize::try_from(limits.extra_size - self.extra_size).unwrap_or(usize::MAX);
        let length = control_free(bytes);
        let taken = length.min(room);
        self.extra_size += u32::try_from(taken).unwrap_or(u32::MAX);
        if length > room {
            return Err(ProtocolError::TrailersTooLong);
        }
        match bytes.get(length) {
            None => Ok(length),
            Some(b'\r') => {
                self.state = State::SizeLf;
                Ok(length + 1)
            }
            Some(b'\t') if room > length => {
                self.extra_size += 1;
                Ok(length + 1)
            }
            Some(b'\t') => Err(ProtocolError::TrailersTooLong),
            Some(_) => Err(ProtocolError::ChunkExtension),
        }
    }

    fn size_line_end(&mut self, byte: u8, limits: ChunkedLimits) -> Result<(), ProtocolError> {
        if byte != b'\n' {
            return Err(ProtocolError::ChunkExtension);
        }
        if self.remaining > limits.body_size.saturating_sub(self.body_size) {
            return Err(ProtocolError::BodyTooLong);
        }
        self.state = if self.remaining == 0 { State::Trailers } else { State::Data };
        Ok(())
    }

    /// RFC 9112 §7.1.2: the trailer section. What it says is ignored: RFC 9110 §6.5.1 lets no trailer frame a
    /// message or steer a connection.
    fn trailers(&mut self, bytes: &[u8], limits: ChunkedLimits) -> Result<Option<usize>, ProtocolError> {
        let room = usize::try_from(limits.extra_size - self.extra_size).unwrap_or(usize::MAX);
        let window = &bytes[..bytes.len().min(room)];
        let end = self.trailers.receive(window)?;
        let taken = end.unwrap_or(window.len());
        self.extra_size += u32::try_from(taken).unwrap_or(u32::MAX);
        if end.is_none() && bytes.len() > room {
            return Err(ProtocolError::TrailersTooLong);
        }
        Ok(end)
    }
}
