//! The parts of a whole response: its head, and its body without the framing of the transfer.
//!
//! What it is: a second look at bytes that [`crate::ResponseMachine`] has taken as one complete response, for those who
//! want to read them. What it is not: a judge; of bytes that no machine has taken it makes what it can, without a panic.

use std::ops::Range;

/// Where the parts of a response lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The final response's status line and fields, with the empty line behind them.
    pub head: Range<usize>,
    /// The body, without chunk sizes and trailers.
    pub body: Range<usize>,
}

/// Finds the parts of a response in all the bytes that came for one request, interim responses included. A chunked body
/// (RFC 9112 section 7.1) is moved together in place.
///
/// `body_bytes` is the size of the body that the machine has counted. Where fewer bytes are at hand, for example because
/// not all were kept, the body holds what there is.
pub fn parts(bytes: &mut [u8], body_bytes: u64) -> Parts {
    let mut from = 0;
    let head = loop {
        let to = from + head_size(&bytes[from..]);
        // RFC 9110 section 15.2: any number of interim responses may come before the final one.
        if to == bytes.len() || !is_interim(&bytes[from..to]) {
            break from..to;
        }
        from = to;
    };
    let rest = head.end..bytes.len();
    let is_plain = rest.len() as u64 <= body_bytes || !is_chunked(&bytes[head.clone()]);
    let size = if is_plain { rest.len() } else { unchunk(&mut bytes[rest.clone()]) };
    let size = usize::try_from(body_bytes).map_or(size, |most| size.min(most));
    Parts { body: rest.start..rest.start + size, head }
}

/// The size of the head at the beginning, up to and with its empty line.
fn head_size(bytes: &[u8]) -> usize {
    let mut line = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            if matches!(&bytes[line..index], b"" | b"\r") {
                return index + 1;
            }
            line = index + 1;
        }
    }
    bytes.len()
}

fn is_interim(head: &[u8]) -> bool {
    head.get(b"HTTP/1.1 ".len()) == Some(&b'1')
}

fn is_chunked(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| {
        line.split_first_chunk::<18>()
            .is_some_and(|(name, _)| name.eq_ignore_ascii_case(b"transfer-encoding:"))
    })
}

/// Moves the chunks' data to the beginning; yields how many bytes they are.
fn unchunk(bytes: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(line) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        let digits = bytes[from..from + line].iter().take_while(|byte| byte.is_ascii_hexdigit());
        let size = digits.fold(0_usize, |size, digit| {
            let value = char::from(*digit).to_digit(16).unwrap_or(0) as usize;
            size.saturating_mul(16).saturating_add(value)
        });
        from += line + 1;
        let data = from..from.saturating_add(size).min(bytes.len());
        if data.is_empty() {
            break;
        }
        bytes.copy_within(data.clone(), to);
        to += data.len();
        // The line end behind the data.
        from = data.end.saturating_add(2).min(bytes.len());
    }
    to
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(bytes: &[u8], body_bytes: u64) -> (String, String) {
        let mut bytes = bytes.to_vec();
        let parts = parts(&mut bytes, body_bytes);
        let text = |range: Range<usize>| String::from_utf8_lossy(&bytes[range]).into_owned();
        (text(parts.head), text(parts.body))
    }

    #[test]
    fn heads_and_bodies_are_found() {
        let rows: &[(&[u8], u64, &str, &str)] = &[
            (b"HTTP/1.1 204 No\r\nA: b\r\n\r\n", 0, "HTTP/1.1 204 No\r\nA: b\r\n\r\n", ""),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", 5, "HTTP/1.1 200 OK\r\n\r\n", "hello"),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nab",
                2,
                "HTTP/1.1 200 OK\r\n\r\n",
                "ab",
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n1\r\n!\r\n0\r\nT: 1\r\n\r\n",
                6,
                "HTTP/1.1 200 OK\r\ntransfer-Encoding: chunked\r\n\r\n",
                "hello!",
            ),
            // Cut off: what there is.
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 1, "", "h"),
            (b"", 0, "", ""),
        ];
        for (bytes, body_bytes, head, body) in rows {
            let found = texts(bytes, *body_bytes);
            if !head.is_empty() {
                assert_eq!(found.0, *head);
            }
            assert_eq!(found.1, *body, "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn chunks_in_whatever_sizes_are_the_body(body in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(1_usize..50, 0..20)) {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            let mut rest = &body[..];
            for cut in cuts {
                let (chunk, behind) = rest.split_at(cut.min(rest.len()));
                if !chunk.is_empty() {
                    bytes.extend(format!("{:X}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                rest = behind;
            }
            if !rest.is_empty() {
                bytes.extend(format!("{:x}\r\n", rest.len()).bytes());
                bytes.extend(rest);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            let parts = parts(&mut bytes, body.len() as u64);
            prop_assert_eq!(&bytes[parts.body], &body[..]);
        }

        #[test]
        fn nothing_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200), body_bytes in any::<u64>()) {
            let parts = parts(&mut bytes, body_bytes);
            prop_assert!(parts.head.end <= parts.body.start && parts.body.end <= bytes.len());
        }
    }
}
