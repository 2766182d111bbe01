//! What a server can do wrong.
//!
//! Invariant: every error is a plain value of one byte, so that counting it costs nothing; words are added only
//! where people read it.

use thiserror::Error;

/// Why a connection cannot be used further. The response that was due, if any, has failed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Error)]
pub enum ProtocolError {
    /// The first bytes are not `HTTP/`.
    #[error("the server does not speak HTTP: its answer does not begin with \"HTTP/\"")]
    NotHttp,
    /// An HTTP version other than 1.x.
    #[error("the status line names an HTTP version other than 1.x")]
    Version,
    /// A status line without a status code of three digits, from 100 on, after one space.
    #[error("the status line has no valid status code")]
    StatusLine,
    /// A field line without a colon, or with a byte that no field name may have.
    #[error("a header line has no valid field name")]
    FieldName,
    /// A NUL or another control byte in the reason phrase or in a field value.
    #[error("a header line contains a control byte")]
    ControlByte,
    /// 101, though no upgrade was asked for.
    #[error("status 101 switches protocols, which was not asked for")]
    SwitchingProtocols,

    /// A CR that no LF follows.
    #[error("a carriage return stands alone in the head")]
    BareCr,
    /// White space between a field name and its colon.
    #[error("white space stands before the colon of a header line")]
    SpaceBeforeColon,
    /// A line that begins with white space, continuing the one before (`obs-fold`).
    #[error("a header line is folded")]
    FoldedLine,
    /// A `Content-Length` that is not a number.
    #[error("Content-Length is not a decimal number")]
    ContentLength,
    /// A `Content-Length` that 64 bits cannot hold.
    #[error("Content-Length exceeds 64 bits")]
    ContentLengthOverflow,
    /// Two `Content-Length`s that differ.
    #[error("two Content-Length values differ")]
    ContentLengthConflict,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("the response has both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// A `Transfer-Encoding` that is empty or not a plain list of names.
    #[error("Transfer-Encoding is malformed")]
    TransferEncoding,
    /// A transfer coding after `chunked`.
    #[error("Transfer-Encoding names a coding after \"chunked\"")]
    ChunkedNotLast,
    /// `chunked` applied more than once.
    #[error("Transfer-Encoding names \"chunked\" twice")]
    ChunkedTwice,
    /// `Transfer-Encoding` in an HTTP/1.0 response.
    #[error("an HTTP/1.0 response has Transfer-Encoding")]
    EncodingBeforeHttp11,
    /// An interim (1xx) response that claims to have a body.
    #[error("an interim response claims a body")]
    InterimBody,
    /// A chunk size that is missing or not hexadecimal.
    #[error("a chunk size is not a hexadecimal number")]
    ChunkSize,
    /// A chunk size of more than 16 digits.
    #[error("a chunk size has more than 16 digits")]
    ChunkSizeOverflow,
    /// A control byte in a chunk extension, or a chunk-size line that CR LF does not end.
    #[error("a chunk extension or the end of a chunk-size line is malformed")]
    ChunkExtension,
    /// Chunk data not followed by CR LF.
    #[error("a chunk is longer or shorter than its size")]
    ChunkEnd,
    /// Bytes though no response is due: after a complete response or before any request.
    #[error("the server sent bytes that no request asked for")]
    Unsolicited,

    /// A head longer than [`crate::Limits::head_bytes`].
    #[error("the response head exceeds the limit")]
    HeadTooLong,
    /// Chunk extensions and trailers together longer than [`crate::Limits::head_bytes`].
    #[error("chunk extensions and trailers exceed the limit")]
    TrailersTooLong,
    /// A body longer than [`crate::Limits::body_bytes`].
    #[error("the response body exceeds the limit")]
    BodyTooLong,
    /// More interim responses than [`crate::Limits::interim`].
    #[error("too many interim (1xx) responses")]
    TooManyInterim,
    /// The peer closed before the response that was due was complete.
    #[error("the server closed the connection before the response was complete")]
    ClosedEarly,
}

/// The classes into which [`ProtocolError`]s are counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Not HTTP/1.x, or not well formed.
    Protocol,
    /// The end of a message is in doubt, or a message came unasked: a response could be taken for another's.
    Desync,
    /// Head, chunk extensions or trailers over the limit.
    HeadLimit,
    /// Body over the limit.
    BodyLimit,
    /// Interim responses over the limit.
    InterimLimit,
    /// Closed before the response was complete.
    ClosedEarly,
}

impl ProtocolError {
    /// The class this error counts in.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::NotHttp
            | Self::Version
            | Self::StatusLine
            | Self::FieldName
            | Self::ControlByte
            | Self::SwitchingProtocols => ErrorKind::Protocol,
            Self::BareCr
            | Self::SpaceBeforeColon
            | Self::FoldedLine
            | Self::ContentLength
            | Self::ContentLengthOverflow
            | Self::ContentLengthConflict
            | Self::LengthAndEncoding
            | Self::TransferEncoding
            | Self::ChunkedNotLast
            | Self::ChunkedTwice
            | Self::EncodingBeforeHttp11
            | Self::InterimBody
            | Self::ChunkSize
            | Self::ChunkSizeOverflow
            | Self::ChunkExtension
            | Self::ChunkEnd
            | Self::Unsolicited => ErrorKind::Desync,
            Self::HeadTooLong | Self::TrailersTooLong => ErrorKind::HeadLimit,
            Self::BodyTooLong => ErrorKind::BodyLimit,
            Self::TooManyInterim => ErrorKind::InterimLimit,
            Self::ClosedEarly => ErrorKind::ClosedEarly,
        }
    }
}
