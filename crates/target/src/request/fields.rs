//! Hot path. The header fields that decide where a request ends and whether its connection stays.

use super::{BadRequest, Persistence};

/// How the body is framed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Sized(u64),
    Chunked,
}

/// The header fields that decide framing and persistence.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one thing stands in the head")]
pub(super) struct Fields {
    is_http10: bool,
    content_length: Option<u64>,
    is_chunked: bool,
    has_coding: bool,
    says_close: bool,
    says_keep_alive: bool,
    pub(super) expects_continue: bool,
}

impl Fields {
    pub(super) fn read(head: &httparse::Request<'_, '_>) -> Result<Self, BadRequest> {
        let mut fields = Self { is_http10: head.version == Some(0), ..Self::default() };
        let mut hosts = 0_u32;
        for header in &*head.headers {
            // The length tells most fields apart before any text is compared.
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => hosts += 1,
                6 if header.name.eq_ignore_ascii_case("expect") => {
                    fields.expects_continue = header.value.eq_ignore_ascii_case(b"100-continue");
                }
                10 if header.name.eq_ignore_ascii_case("connection") => fields.read_connection(header.value),
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    fields.read_length(header.value)?;
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.read_coding(header.value)?;
                }
                _ => {}
            }
        }
        // RFC 9112 §3.2: a 1.1 request without Host, and any request with two, is answered 400.
        if hosts > 1 || (hosts == 0 && !fields.is_http10) {
            return Err(BadRequest::Malformed);
        }
        Ok(fields)
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.says_close |= option.eq_ignore_ascii_case(b"close");
            self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn read_length(&mut self, value: &[u8]) -> Result<(), BadRequest> {
        let value = value.trim_ascii();
        // RFC 9110 §8.6: digits only; a sign, an empty value or a list is invalid.
        if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
            return Err(BadRequest::Malformed);
        }
        let length = value.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        // RFC 9112 §6.3 rule 5: differing lengths are unrecoverable.
        match self.content_length.replace(length) {
            Some(before) if before != length => Err(BadRequest::Malformed),
            _ => Ok(()),
        }
    }

    fn read_coding(&mut self, value: &[u8]) -> Result<(), BadRequest> {
        if self.has_coding || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(BadRequest::UnknownCoding);
        }
        self.has_coding = true;
        self.is_chunked = true;
        Ok(())
    }

    pub(super) fn framing(&self) -> Result<Framing, BadRequest> {
        match (self.is_chunked, self.content_length) {
            // RFC 9112 §6.1: both fields together, or a coding in a 1.0 message, may be request smuggling.
            (true, Some(_)) => Err(BadRequest::Malformed),
            (true, None) if self.is_http10 => Err(BadRequest::Malformed),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Sized(length.unwrap_or(0))),
        }
    }

    /// RFC 9112 §9.3.
    pub(super) fn persistence(&self) -> Persistence {
        match (self.says_close, self.is_http10, self.says_keep_alive) {
            (true, _, _) | (false, true, false) => Persistence::Close,
            (false, false, _) => Persistence::Implied,
            (false, true, true) => Persistence::Stated,
        }
    }
}
