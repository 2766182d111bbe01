//! The built-in target's side: requests from a hostile client, and the texts of its flags.

use target::request::{BadRequest, Event, RequestMachine};
use target::text;

use crate::texts::assert_fit_for_a_terminal;

/// The input: how many pieces there are, the size of each piece but the last, and the bytes that a client sends, here
/// ended by an empty line. The request machine must find the same in them in one piece, in these pieces and in single
/// bytes. The empty line is for heads that are wrong: in how many pieces they come decides when that is seen, at the
/// latest at their end.
pub fn target_request(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else { return };
    let (sizes, bytes) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let bytes = &[bytes, b"\n\n"].concat()[..];
    let whole = events(std::iter::once(bytes));
    assert_eq!(events(bytes.chunks(1)), whole);
    let mut pieces = Vec::new();
    let mut left = bytes;
    for size in sizes {
        let (piece, later) = left.split_at(usize::from(*size).min(left.len()));
        pieces.push(piece);
        left = later;
    }
    pieces.push(left);
    assert_eq!(events(pieces.into_iter()), whole);
    check(&whole.0, bytes.len());
}

fn check(found: &[Event], size: usize) {
    let mut wire_bytes = 0;
    for event in found {
        if let Event::Request(request) = event {
            assert!(request.body_bytes < request.wire_bytes, "{request:?}");
            wire_bytes += request.wire_bytes;
        }
    }
    assert!(wire_bytes <= size as u64, "more was counted than came");
}

/// Everything that a machine finds in `pieces`, and the error at the end if there is one.
fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Option<BadRequest>) {
    let mut machine = RequestMachine::new();
    let mut found = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        while !rest.is_empty() {
            match machine.receive(rest) {
                Ok((taken, event)) => {
                    assert!(taken > 0, "no progress");
                    assert!(event.is_some() || taken == rest.len(), "bytes left without an event");
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

/// The input: one text, given to every parser of the built-in target's flags.
pub fn target_texts(input: &[u8]) {
    let Ok(given) = std::str::from_utf8(input) else { return };
    accepted(text::parse_duration(given));
    accepted(text::parse_delay(given));
    accepted(text::parse_listen(given));
    if let Some(value) = accepted(text::parse_fraction(given)) {
        assert!((0.0..=1.0).contains(&value));
    }
    if let Some(bytes) = accepted(text::parse_size(given)) {
        assert!(bytes <= target::BODY_BYTES_LIMIT);
    }
    if let Some(stall) = accepted(text::parse_stall(given)) {
        assert!(0 < stall.length_ns && stall.length_ns < stall.period_ns);
    }
    if let Some((name, _)) = accepted(text::parse_header(given)) {
        assert!(!name.is_empty());
    }
}

/// The value, if the parser accepted its text. An error has to be fit for a terminal.
fn accepted<T>(result: Result<T, target::ParseError>) -> Option<T> {
    result.map_err(|error| assert_fit_for_a_terminal(&error.to_string())).ok()
}
