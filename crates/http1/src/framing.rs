//! From the facts that a head states to the end of its message (RFC 9112 §6.3) and of its connection (§9.3).
//!
//! Invariant: one function decides, for heads that arrived whole and for heads that arrived in pieces.

use crate::ProtocolError;

/// What a head's fields say about the message and the connection.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) content_length: Option<u64>,
    pub(crate) coding: Coding,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
}

/// The last transfer coding named.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Coding {
    /// No `Transfer-Encoding` at all.
    #[default]
    Absent,
    /// Something other than `chunked`.
    Other,
    /// `chunked`.
    Chunked,
}

/// How a body ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// With the head.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk's trailers.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What a whole head says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// The minor version is at least 1: `HTTP/1.1`.
    pub(crate) is_http11: bool,
    pub(crate) facts: Facts,
}

impl Head {
    /// How the body ends, and whether the connection survives it.
    #[inline]
    pub(crate) fn framing(&self, head_request: bool) -> Result<(Body, bool), ProtocolError> {
        let Facts { content_length, coding, close, keep_alive } = self.facts;
        if coding != Coding::Absent {
            // RFC 9112 §6.1: Transfer-Encoding in an HTTP/1.0 message means that the framing is faulty.
            if !self.is_http11 {
                return Err(ProtocolError::EncodingBeforeHttp11);
            }
            // RFC 9112 §6.3, 3: both fields "might indicate an attempt to perform response splitting and ought
            // to be handled as an error".
            if content_length.is_some() {
                return Err(ProtocolError::LengthAndEncoding);
            }
        }
        let claims_body = coding != Coding::Absent || content_length.is_some_and(|length| length > 0);
        if self.status < 200 {
            // RFC 9112 §6.1 and RFC 9110 §8.6: neither field may stand in a 1xx response. An interim response
            // leaves the connection in use, so a body smuggled behind it would be read as the next response.
            return if claims_body { Err(ProtocolError::InterimBody) } else { Ok((Body::None, true)) };
        }
        // RFC 9112 §9.3: close wins; HTTP/1.1 persists; HTTP/1.0 persists if it says keep-alive.
        let persists = !close && (self.is_http11 || keep_alive);
        Ok(match (content_length, coding) {
            // RFC 9112 §6.3, 1: HEAD, 204 and 304 end with the head, whatever the fields say.
            _ if head_request || self.status == 304 => (Body::None, persists),
            // The fields are forbidden in 204 (RFC 9110 §8.6, RFC 9112 §6.1), but servers send them. Whether
            // body bytes follow cannot be known, so no other request may.
            _ if self.status == 204 => (Body::None, persists && !claims_body),
            // RFC 9112 §6.3, 4.
            (_, Coding::Chunked) => (Body::Chunked, persists),
            // RFC 9112 §6.3, 6.
            (Some(length), Coding::Absent) => (Body::Length(length), persists),
            // RFC 9112 §6.3, 4 (a coding other than chunked is last) and 8 (nothing said): until close.
            (_, Coding::Other) | (None, Coding::Absent) => (Body::UntilClose, false),
        })
    }
}
