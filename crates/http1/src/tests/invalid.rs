//! Responses that must be refused, and why.

use super::{Exchange, Trace};
use crate::ErrorKind::{self, BodyLimit, Desync, HeadLimit, InterimLimit, Protocol};
use crate::{Limits, ProtocolError as Error, ResponseMachine};

const SMALL: Limits = Limits { head_bytes: 64, body_bytes: 20, interim: 2 };

/// Whole responses.
const RESPONSES: &[(&[u8], Error, ErrorKind)] = &[
    // Not HTTP/1.x.
    (b"SSH-2.0-OpenSSH_9.9\r\n", Error::NotHttp, Protocol),
    (b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", Error::NotHttp, Protocol),
    (b"http/1.1 200 OK\r\n\r\n", Error::NotHttp, Protocol),
    (b" HTTP/1.1 200 OK\r\n\r\n", Error::NotHttp, Protocol),
    (b"\r\nHTTP/1.1 200 OK\r\n\r\n", Error::NotHttp, Protocol),
    (b"HTTPS/1.1 200 OK\r\n\r\n", Error::NotHttp, Protocol),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaa", Error::NotHttp, Protocol),
    (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x00", Error::NotHttp, Protocol),
    (b"HTTP/2 200\r\n\r\n", Error::Version, Protocol),
    (b"HTTP/0.9 200 OK\r\n\r\n", Error::Version, Protocol),
    (b"HTTP/1,1 200 OK\r\n\r\n", Error::Version, Protocol),
    (b"HTTP/1.x 200 OK\r\n\r\n", Error::Version, Protocol),
    (b"HTTP/11.1 200 OK\r\n\r\n", Error::Version, Protocol),
    // Status lines.
    (b"HTTP/1.11 200 OK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1  200 OK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1\t200 OK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 \r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 20 OK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 2000 OK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 099 Low\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 2x0 OK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 -20 OK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 200OK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 200\tOK\r\n\r\n", Error::StatusLine, Protocol),
    (b"HTTP/1.1 200 O\0K\r\n\r\n", Error::ControlByte, Protocol),
    (b"HTTP/1.1 200 \x1b[31mOK\r\n\r\n", Error::ControlByte, Protocol),
    (b"HTTP/1.1 200 OK\x7f\r\n\r\n", Error::ControlByte, Protocol),
    (b"HTTP/1.1 200 O\rK\r\n\r\n", Error::BareCr, Desync),
    (b"HTTP/1.1 200\r \r\n\r\n", Error::BareCr, Desync),
    (b"HTTP/1.1 200 OK\r\r\n\r\n", Error::BareCr, Desync),
    // Interim responses.
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", Error::SwitchingProtocols, Protocol),
    (b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", Error::InterimBody, Desync),
    (b"HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n", Error::InterimBody, Desync),
    // HTTP/1.0 has no transfer codings.
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Error::EncodingBeforeHttp11, Desync),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Error::EncodingBeforeHttp11, Desync),
    // More than one response.
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!", Error::Unsolicited, Desync),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\r\n", Error::Unsolicited, Desync),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Error::Unsolicited, Desync),
    (b"HTTP/1.1 204 No Content\r\n\r\nbody", Error::Unsolicited, Desync),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody", Error::Unsolicited, Desync),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody", Error::Unsolicited, Desync),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n0\r\n\r\n", Error::Unsolicited, Desync),
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        Error::Unsolicited,
        Desync,
    ),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n\0", Error::Unsolicited, Desync),
    // Closed early.
    (b"", Error::ClosedEarly, ErrorKind::ClosedEarly),
    (b"HTTP", Error::ClosedEarly, ErrorKind::ClosedEarly),
    (b"HTTP/1.1 200 OK\r\n", Error::ClosedEarly, ErrorKind::ClosedEarly),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r", Error::ClosedEarly, ErrorKind::ClosedEarly),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", Error::ClosedEarly, ErrorKind::ClosedEarly),
    (b"HTTP/1.1 100 Continue\r\n\r\n", Error::ClosedEarly, ErrorKind::ClosedEarly),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Error::ClosedEarly, ErrorKind::ClosedEarly),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        Error::ClosedEarly,
        ErrorKind::ClosedEarly,
    ),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        Error::ClosedEarly,
        ErrorKind::ClosedEarly,
    ),
];

/// Field lines of a 200 response; an empty line and a body of `hello` follow.
const FIELDS: &[(&[u8], Error, ErrorKind)] = &[
    (b"NoColon\r\n", Error::FieldName, Protocol),
    (b": value\r\n", Error::FieldName, Protocol),
    (b"A(b): c\r\n", Error::FieldName, Protocol),
    (b"A\0: c\r\n", Error::FieldName, Protocol),
    (b"A\x80: c\r\n", Error::FieldName, Protocol),
    (b"A\r\n: c\r\n", Error::FieldName, Protocol),
    (b"\"A\": c\r\n", Error::FieldName, Protocol),
    (b"A: \0\r\n", Error::ControlByte, Protocol),
    (b"A: b\x01c\r\n", Error::ControlByte, Protocol),
    (b"A: \x7f\r\n", Error::ControlByte, Protocol),
    (b"Connection: clo\0se\r\n", Error::ControlByte, Protocol),
    (b"Content-Length: 5\x0b\r\n", Error::ControlByte, Protocol),
    (b"A : c\r\n", Error::SpaceBeforeColon, Desync),
    (b"Content-Length\t: 5\r\n", Error::SpaceBeforeColon, Desync),
    (b"HTTP/1.1 200 OK\r\n", Error::FieldName, Protocol),
    (b"A: b\r\n c\r\n", Error::FoldedLine, Desync),
    (b"A: b\r\n\tc\r\n", Error::FoldedLine, Desync),
    (b" A: b\r\n", Error::FoldedLine, Desync),
    (b"Content-Length:\r\n 5\r\n", Error::ContentLength, Desync),
    (b"Transfer-Encoding: chunked\r\n , x\r\n", Error::FoldedLine, Desync),
    (b"A: b\rc\r\n", Error::BareCr, Desync),
    (b"A: b\r\r\n", Error::BareCr, Desync),
    (b"A: b\r\n\rB: c\r\n", Error::BareCr, Desync),
    (b"Content-Length: 5\r6\r\n", Error::BareCr, Desync),
    // Content-Length.
    (b"Content-Length: \r\n", Error::ContentLength, Desync),
    (b"Content-Length: -5\r\n", Error::ContentLength, Desync),
    (b"Content-Length: +5\r\n", Error::ContentLength, Desync),
    (b"Content-Length: 0x5\r\n", Error::ContentLength, Desync),
    (b"Content-Length: 5.0\r\n", Error::ContentLength, Desync),
    (b"Content-Length: 5 5\r\n", Error::ContentLength, Desync),
    (b"Content-Length: 5,\r\n", Error::ContentLength, Desync),
    (b"Content-Length: ,5\r\n", Error::ContentLength, Desync),
    (b"Content-Length: 5;q=1\r\n", Error::ContentLength, Desync),
    (b"Content-Length: five\r\n", Error::ContentLength, Desync),
    (b"Content-Length: \xb2\r\n", Error::ContentLength, Desync),
    (b"Content-Length: 18446744073709551616\r\n", Error::ContentLengthOverflow, Desync),
    (b"Content-Length: 99999999999999999999999\r\n", Error::ContentLengthOverflow, Desync),
    (b"Content-Length: 5\r\nContent-Length: 6\r\n", Error::ContentLengthConflict, Desync),
    (b"Content-Length: 5\r\ncontent-length: 0\r\n", Error::ContentLengthConflict, Desync),
    (b"Content-Length: 5, 6\r\n", Error::ContentLengthConflict, Desync),
    // Transfer-Encoding.
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Error::LengthAndEncoding, Desync),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Error::LengthAndEncoding, Desync),
    (b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", Error::LengthAndEncoding, Desync),
    (b"Transfer-Encoding: chunked, x\r\n", Error::ChunkedNotLast, Desync),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", Error::ChunkedNotLast, Desync),
    (b"Transfer-Encoding: chunked, identity\r\n", Error::ChunkedNotLast, Desync),
    (b"Transfer-Encoding: chunked, chunked\r\n", Error::ChunkedTwice, Desync),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n", Error::ChunkedTwice, Desync),
    (b"Transfer-Encoding: \r\n", Error::TransferEncoding, Desync),
    (b"Transfer-Encoding: ,\r\n", Error::TransferEncoding, Desync),
    (b"Transfer-Encoding: chunked;a=b\r\n", Error::TransferEncoding, Desync),
    (b"Transfer-Encoding: \"chunked\"\r\n", Error::TransferEncoding, Desync),
    (b"Transfer-Encoding: chunked x\r\n", Error::TransferEncoding, Desync),
    (b"Transfer-Encoding: x chunked\r\n", Error::TransferEncoding, Desync),
];

/// Bodies of a chunked response.
const CHUNKS: &[(&[u8], Error, ErrorKind)] = &[
    (b"\r\n", Error::ChunkSize, Desync),
    (b"x\r\n", Error::ChunkSize, Desync),
    (b"0x5\r\nhello\r\n", Error::ChunkSize, Desync),
    (b"-1\r\n", Error::ChunkSize, Desync),
    (b"+5\r\nhello\r\n", Error::ChunkSize, Desync),
    (b" 5\r\nhello\r\n", Error::ChunkSize, Desync),
    (b"5 \r\nhello\r\n", Error::ChunkSize, Desync),
    (b"5 5\r\nhello\r\n", Error::ChunkSize, Desync),
    (b"5  ;a\r\n", Error::ChunkSize, Desync),
    (b"5,\r\nhello\r\n", Error::ChunkSize, Desync),
    (b"5\nhello\r\n", Error::ChunkSize, Desync),
    (b";a=b\r\n", Error::ChunkSize, Desync),
    (b"\0\r\n", Error::ChunkSize, Desync),
    (b"5\rhello", Error::ChunkExtension, Desync),
    (b"5\r\r\n", Error::ChunkExtension, Desync),
    (b"5;a=b\nhello\r\n", Error::ChunkExtension, Desync),
    (b"5;a=\0\r\nhello\r\n", Error::ChunkExtension, Desync),
    (b"5;a\rb\r\nhello\r\n", Error::ChunkExtension, Desync),
    (b"10000000000000000\r\n", Error::ChunkSizeOverflow, Desync),
    (b"00000000000000005\r\nhello\r\n", Error::ChunkSizeOverflow, Desync),
    (b"fffffffffffffffff\r\n", Error::ChunkSizeOverflow, Desync),
    (b"ffffffffffffffff\r\n", Error::BodyTooLong, BodyLimit),
    (b"15\r\n", Error::BodyTooLong, BodyLimit),
    (b"14\r\n01234567890123456789\r\n1\r\n", Error::BodyTooLong, BodyLimit),
    (b"5\r\nhello!\r\n", Error::ChunkEnd, Desync),
    (b"5\r\nhello\n0\r\n\r\n", Error::ChunkEnd, Desync),
    (b"5\r\nhello\r0\r\n\r\n", Error::ChunkEnd, Desync),
    (b"5\r\nhell\r\n0\r\n\r\n", Error::ChunkEnd, Desync),
    (b"5\r\nhello5\r\nhello", Error::ChunkEnd, Desync),
    (b"0\r\nA\r\n\r\n", Error::FieldName, Protocol),
    (b"0\r\nA: \0\r\n\r\n", Error::ControlByte, Protocol),
    (b"0\r\nA: b\r\n c\r\n\r\n", Error::FoldedLine, Desync),
    (b"0\r\nContent-Length: x\r\n\r\n", Error::ContentLength, Desync),
    (b"0\r\n\rx", Error::BareCr, Desync),
    (
        b"0;12345678901234567890123456789012345678901234567890123456789012345\r\n",
        Error::TrailersTooLong,
        HeadLimit,
    ),
    (
        b"1;123456789012345678901234567890123456789\r\na\r\n1;12345678901234567890123456\r\n",
        Error::TrailersTooLong,
        HeadLimit,
    ),
    (
        b"0\r\nA: 3456789012345678901234567890123456789012345678901234567890123456",
        Error::TrailersTooLong,
        HeadLimit,
    ),
    (
        b"0\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n",
        Error::TrailersTooLong,
        HeadLimit,
    ),
];

/// Responses over the limits of `SMALL`.
const LIMITED: &[(&[u8], Error, ErrorKind)] = &[
    (
        b"HTTP/1.1 200 OK\r\nA: 234567890123456789012345678901234567890123456789",
        Error::HeadTooLong,
        HeadLimit,
    ),
    (
        b"HTTP/1.1 200 OK\r\nA: 34567890123456789012345678901234567890123\r\n\r\n",
        Error::HeadTooLong,
        HeadLimit,
    ),
    (
        b"HTTP/1.1 200 OK\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n",
        Error::HeadTooLong,
        HeadLimit,
    ),
    (
        b"HTTP/1.1 200 0123456789012345678901234567890123456789012345678901234567890",
        Error::HeadTooLong,
        HeadLimit,
    ),
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0000000000000000000000000000000000005\r\n",
        Error::HeadTooLong,
        HeadLimit,
    ),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n", Error::BodyTooLong, BodyLimit),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n", Error::BodyTooLong, BodyLimit),
    (b"HTTP/1.1 200 OK\r\n\r\n012345678901234567890", Error::BodyTooLong, BodyLimit),
    (
        b"HTTP/1.1 103 a\r\n\r\nHTTP/1.1 100 b\r\n\r\nHTTP/1.1 102 c\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        Error::TooManyInterim,
        InterimLimit,
    ),
];

fn check(bytes: &[u8], limits: Limits, error: Error, kind: ErrorKind) {
    let trace: Trace = Exchange::get(bytes).everyhow(limits);
    assert_eq!(trace.error, Some(error), "{}", bytes.escape_ascii());
    assert_eq!(error.kind(), kind, "{error:?}");
    assert_eq!(trace.response.is_some(), error == Error::Unsolicited, "{}", bytes.escape_ascii());
    assert!(!error.to_string().is_empty());
}

#[test]
fn responses() {
    for (bytes, error, kind) in RESPONSES {
        check(bytes, Limits::default(), *error, *kind);
    }
}

#[test]
fn fields() {
    for (fields, error, kind) in FIELDS {
        let bytes = [b"HTTP/1.1 200 OK\r\n", *fields, b"\r\nhello"].concat();
        check(&bytes, Limits::default(), *error, *kind);
        // The same in the second place, behind a field that is fine.
        let bytes = [b"HTTP/1.1 200 OK\r\nServer: x\r\n", *fields, b"\r\nhello"].concat();
        check(&bytes, Limits::default(), *error, *kind);
    }
}

#[test]
fn chunks() {
    for (chunks, error, kind) in CHUNKS {
        let bytes = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunks].concat();
        check(&bytes, SMALL, *error, *kind);
    }
}

#[test]
fn limits() {
    for (bytes, error, kind) in LIMITED {
        check(bytes, SMALL, *error, *kind);
    }
}

#[test]
fn there_are_many_rows() {
    let rows = RESPONSES.len() + FIELDS.len() + CHUNKS.len() + LIMITED.len();
    assert!(rows >= 150, "only {rows} rows");
}

#[test]
fn head_request_with_a_body() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
    let exchange = Exchange { bytes, head_request: true, fin: false };
    assert_eq!(exchange.everyhow(Limits::default()).error, Some(Error::Unsolicited));
}

#[test]
fn bytes_before_any_request() {
    let mut machine = ResponseMachine::new(Limits::default());
    assert_eq!(machine.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n"), Err(Error::Unsolicited));
    machine.expect(false);
    assert_eq!(machine.receive(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Error::Unsolicited));
    assert_eq!(machine.end(), Err(Error::Unsolicited));
    machine.reset();
    machine.expect(false);
    assert!(machine.receive(b"HTTP/1.1 204 Fine\r\n\r\n").unwrap().response.is_some());
}

/// A driver that forgets the bytes behind a response must not get them as the answer to its next request.
#[test]
fn forgotten_surplus() {
    let mut machine = ResponseMachine::new(Limits::default());
    machine.expect(false);
    let bytes = b"HTTP/1.1 204 A\r\n\r\nHTTP/1.1 200 B\r\nContent-Length: 0\r\n\r\n";
    let step = machine.receive(bytes).unwrap();
    assert_eq!((step.consumed, step.response.unwrap().status), (18, 204));
    machine.expect(false);
    assert!(!machine.is_due(), "the failed machine expects a response");
    assert_eq!(machine.receive(b"HTTP/1.1 200 C\r\nContent-Length: 0\r\n\r\n"), Err(Error::Unsolicited));
}

#[test]
#[should_panic(expected = "a response is due already")]
fn two_requests_at_once() {
    let mut machine = ResponseMachine::new(Limits::default());
    machine.expect(false);
    machine.expect(false);
}

#[test]
#[should_panic(expected = "more bytes discarded")]
fn discarding_too_much() {
    let mut machine = ResponseMachine::new(Limits::default());
    machine.expect(false);
    machine.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh").unwrap();
    let _ = machine.discarded(5);
}
