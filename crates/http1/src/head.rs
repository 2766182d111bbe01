//! A response head that arrives in pieces: the status line (RFC 9112 §4), then the field lines.
//!
//! Invariant: this machine alone decides what a valid head is; the whole-head path must agree with it where it
//! answers at all.

use crate::ProtocolError;
use crate::fields::Fields;
use crate::framing::Head;
use crate::syntax::control_free;

const PREFIX: &[u8] = b"HTTP/1.";

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// `HTTP/1.1 200`: byte `at` of the twelve is next.
    #[default]
    Status,
    /// After the status code.
    AfterStatus,
    Reason,
    /// After the CR of the status line.
    Cr,
    Fields,
}

/// The machine. Default is the beginning of a head.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct HeadMachine {
    fields: Fields,
    /// How many bytes the head has so far.
    size: u32,
    status: u16,
    state: State,
    /// How many bytes of the status line's fixed part have come.
    at: u8,
    minor: u8,
}

impl HeadMachine {
    /// Whether the head has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.size > 0
    }

    /// The size of the head so far.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Takes `bytes` up to the end of the head, and says how many they were and what it says; `None` if the end
    /// is still to come, and all of `bytes` were taken.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        limit: u32,
    ) -> Result<Option<(usize, Head)>, ProtocolError> {
        // Only as many bytes are looked at as the limit leaves, so that it strikes at the same byte however the
        // head was cut.
        let room = usize::try_from(limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let window = &bytes[..bytes.len().min(room)];
        let end = self.advance(window)?;
        let taken = end.unwrap_or(window.len());
        // Invariant: taken <= room <= u32::MAX.
        self.size += u32::try_from(taken).unwrap_or(u32::MAX);
        match end {
            Some(taken) => Ok(Some((
                taken,
                Head { status: self.status, is_http11: self.minor > 0, facts: self.fields.facts() },
            ))),
            None if bytes.len() > room => Err(ProtocolError::HeadTooLong),
            None => Ok(None),
        }
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let mut at = 0;
        while self.state != State::Fields {
            let Some(&byte) = bytes.get(at) else { return Ok(None) };
            match self.state {
                State::Status => self.status_byte(byte)?,
                State::AfterStatus => match byte {
                    b' ' => self.state = State::Reason,
                    // RFC 9112 §4 asks for the space even without a reason; servers leave it out.
                    b'\r' => self.state = State::Cr,
                    b'\n' => self.state = State::Fields,
                    _ => return Err(ProtocolError::StatusLine),
                },
                State::Reason => match byte {
                    b'\r' => self.state = State::Cr,
                    b'\n' => self.state = State::Fields,
                    b'\t' => {}
                    _ if byte.is_ascii_control() => return Err(ProtocolError::ControlByte),
                    // RFC 9112 §4: a client ignores the reason phrase.
                    _ => at += control_free(&bytes[at + 1..]),
                },
                State::Cr if byte == b'\n' => self.state = State::Fields,
                State::Cr => return Err(ProtocolError::BareCr),
                State::Fields => {}
            }
            at += 1;
        }
        Ok(self.fields.receive(&bytes[at..])?.map(|taken| at + taken))
    }

    /// Takes one byte of `HTTP-version SP status-code` (RFC 9112 §2.3 and §4).
    fn status_byte(&mut self, byte: u8) -> Result<(), ProtocolError> {
        match self.at {
            0..5 if byte != PREFIX[usize::from(self.at)] => return Err(ProtocolError::NotHttp),
            5..7 if byte != PREFIX[usize::from(self.at)] => return Err(ProtocolError::Version),
            0..7 => {}
            // RFC 9110 §2.5: a higher minor version is to be read as the highest known one.
            7 if byte.is_ascii_digit() => self.minor = byte - b'0',
            7 => return Err(ProtocolError::Version),
            8 if byte == b' ' => {}
            // RFC 9110 §15: a code has three digits and begins at 100.
            9 if byte == b'0' => return Err(ProtocolError::StatusLine),
            9..=11 if byte.is_ascii_digit() => self.status = self.status * 10 + u16::from(byte - b'0'),
            _ => return Err(ProtocolError::StatusLine),
        }
        self.at += 1;
        if self.at == 12 {
            self.state = State::AfterStatus;
        }
        Ok(())
    }
}
