//! Requests whole, cut and wrong.

use proptest::prelude::*;

use super::*;

/// Everything that a machine finds in `pieces`, and the error at the end if there is one.
fn events(pieces: &[&[u8]]) -> (Vec<Event>, Option<BadRequest>) {
    let mut machine = RequestMachine::new();
    let mut found = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match machine.receive(rest) {
                Ok((taken, event)) => {
                    assert!(taken > 0);
                    rest = &rest[taken..];
                    found.extend(event);
                }
                Err(reason) => {
                    assert_eq!(machine.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Err(reason));
                    return (found, Some(reason));
                }
            }
        }
    }
    (found, None)
}

fn one(text: &str) -> Result<Request, BadRequest> {
    match events(&[text.as_bytes()]) {
        (_, Some(reason)) => Err(reason),
        (found, None) => match found.as_slice() {
            [Event::Request(request)] => Ok(*request),
            other => panic!("{text:?} gave {other:?}"),
        },
    }
}

#[test]
fn requests_are_understood() {
    let plain = Request { wire_bytes: 28, ..BLANK };
    let rows = [
        ("GET / HTTP/1.1\r\nHost: abc\r\n\r\n", Request { wire_bytes: 29, ..plain }),
        ("GET / HTTP/1.1\nHost: abc\n\n", Request { wire_bytes: 26, ..plain }),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Request { wire_bytes: 31, ..plain }),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Request { is_head: true, ..plain }),
        ("GET /truth HTTP/1.1\r\nhost: a\r\n\r\n", Request { is_truth: true, wire_bytes: 32, ..plain }),
        ("GET /truth?x HTTP/1.1\r\nhost: a\r\n\r\n", Request { is_truth: true, wire_bytes: 34, ..plain }),
        (
            "GET http://a/truth HTTP/1.1\r\nhost: a\r\n\r\n",
            Request { is_truth: true, wire_bytes: 40, ..plain },
        ),
        ("GET /truths HTTP/1.1\r\nhost: a\r\n\r\n", Request { wire_bytes: 33, ..plain }),
        ("GET /?a=://b/truth HTTP/1.1\r\nhost: a\r\n\r\n", Request { wire_bytes: 40, ..plain }),
        ("GET / HTTP/1.0\r\n\r\n", Request { persistence: Persistence::Close, wire_bytes: 18, ..plain }),
        (
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            Request { persistence: Persistence::Stated, wire_bytes: 42, ..plain },
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: a, close\r\n\r\n",
            Request { persistence: Persistence::Close, wire_bytes: 50, ..plain },
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc",
            Request { body_bytes: 3, wire_bytes: 68, ..plain },
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2 ;x=\"y\"\r\nab\r\n00\r\nA: b\r\n\r\n",
            Request { body_bytes: 2, wire_bytes: 77 + 5, ..plain },
        ),
    ];
    for (text, mut request) in rows {
        request.wire_bytes = text.len() as u64;
        assert_eq!(one(text), Ok(request), "{text:?}");
    }
}

#[test]
fn what_is_no_request_is_refused() {
    use BadRequest::{Malformed, TooLarge, UnknownCoding};
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n") + body;
    let rows = [
        ("nonsense\r\n\r\n".to_owned(), Malformed),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}".to_owned(), Malformed),
        ("PRI * HTTP/2.0\r\n\r\n".to_owned(), Malformed),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), Malformed),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), Malformed),
        (post("Content-Length: -1\r\n"), Malformed),
        (post("Content-Length: +1\r\n"), Malformed),
        (post("Content-Length:\r\n"), Malformed),
        (post("Content-Length: 1, 1\r\n"), Malformed),
        (post("Content-Length: 99999999999999999999\r\n"), Malformed),
        (post("Content-Length: 1\r\nContent-Length: 2\r\n"), Malformed),
        (post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), Malformed),
        (post("Transfer-Encoding: gzip\r\n"), UnknownCoding),
        (post("Transfer-Encoding: gzip, chunked\r\n"), UnknownCoding),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), UnknownCoding),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), Malformed),
        (chunked("\r\n"), Malformed),
        (chunked("x\r\n"), Malformed),
        (chunked("3\n"), Malformed),
        (chunked("1\r\nab"), Malformed),
        (chunked("1\r\na\rb"), Malformed),
        (chunked("1\rx"), Malformed),
        (chunked("ffffffffffffffff\r\n"), TooLarge),
        (chunked(&format!("1;{}\r\n", "x".repeat(5_000))), TooLarge),
        (chunked(&format!("0\r\n{}", "a: b\r\n".repeat(20_000))), TooLarge),
        (post(&"a: b\r\n".repeat(101)), TooLarge),
        (post(&format!("a: {}\r\n", "b".repeat(70_000))), TooLarge),
    ];
    for (text, reason) in rows {
        let text = text.as_bytes();
        assert_eq!(
            events(&[text]).1,
            Some(reason),
            "{:?}",
            String::from_utf8_lossy(&text[..text.len().min(99)])
        );
    }
}

#[test]
fn a_head_may_come_byte_by_byte_up_to_its_limit() {
    let mut machine = RequestMachine::new();
    let mut sent = 0;
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
        match machine.receive(std::slice::from_ref(byte)) {
            Ok((1, None)) => sent += 1,
            Err(BadRequest::TooLarge) => break,
            other => panic!("{other:?} after {sent} bytes"),
        }
        assert!(machine.held.len() <= HEAD_LIMIT);
    }
    assert_eq!(sent, HEAD_LIMIT);
    assert!(machine.is_within_request());
}

#[test]
fn nothing_is_held_between_requests() {
    let mut machine = RequestMachine::new();
    assert!(!machine.is_within_request());
    for piece in ["GET / HTT", "P/1.1\r\nHost: a\r\n", "\r\n"] {
        machine.receive(piece.as_bytes()).unwrap();
    }
    assert!(!machine.is_within_request());
    assert_eq!(machine.held.capacity(), 0);
}

const STREAM: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n0123456789\
    \r\nPOST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    5;ext=1\r\nhello\r\n00a\r\n0123456789\r\n0\r\nT: x\r\nU: y\r\n\r\n\
    HEAD /truth HTTP/1.1\nHost: a\nConnection: close\n\n";

proptest! {
    #[test]
    fn cuts_change_nothing(cuts in proptest::collection::vec(0..STREAM.len(), 0..40)) {
        let whole = events(&[STREAM.as_bytes()]);
        prop_assert_eq!((whole.0.len(), whole.1), (5, None));
        let mut cuts = cuts;
        cuts.extend([0, STREAM.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &STREAM.as_bytes()[pair[0]..pair[1]]).collect();
        prop_assert_eq!(events(&pieces), whole);
    }

    #[test]
    fn no_bytes_break_it(pieces in proptest::collection::vec(
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            (0..STREAM.len(), 0..80_usize).prop_map(|(from, size)| {
                STREAM.as_bytes()[from..(from + size).min(STREAM.len())].to_vec()
            }),
        ],
        0..12,
    )) {
        let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let (found, _) = events(&slices);
        let sent: usize = pieces.iter().map(Vec::len).sum();
        let read: u64 = found.iter().map(|event| match event {
            Event::Request(request) => request.wire_bytes,
            Event::Continue => 0,
        }).sum();
        prop_assert!(read <= sent as u64);
    }
}
