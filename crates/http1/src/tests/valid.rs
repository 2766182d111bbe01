//! Responses that must be understood, and what they mean.

use super::Exchange;
use crate::{Ending, Limits, Response, ResponseMachine, Step};

/// Bytes; whether HEAD was asked; status, keep-alive, body size; whether FIN completes it.
type Row = (&'static [u8], bool, (u16, bool, u64), bool);

const ROWS: &[Row] = &[
    // Lengths.
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\ncontent-LENGTH:5\r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: \t 5 \t \r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 000000000000000000000005\r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5 ,05\r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nX-Content-Length: 9\r\nContent-Length: 5\r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nContent-Lengthy: 9\r\nContent-Length: 5\r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nContent_Length: 9\r\nContent-Length: 5\r\n\r\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", false, (404, true, 2), false),
    (b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", false, (205, true, 0), false),
    // Status lines and odd but valid lines.
    (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 sehr sch\xc3\xb6n\tso\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.9 200 OK\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", false, (999, true, 0), false),
    (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200\nContent-Length: 5\r\n\nhello", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09azAZ:\r\nA:\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nA: :\x80\xff\t \"(){}[]\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    // No body, whatever the fields say.
    (b"HTTP/1.1 204 No Content\r\n\r\n", false, (204, true, 0), false),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, (204, true, 0), false),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, (204, false, 0), false),
    (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", false, (204, false, 0), false),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99999999999\r\n\r\n", false, (304, true, 0), false),
    (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", false, (304, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", true, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\n\r\n", true, (200, true, 0), false),
    // Until close.
    (b"HTTP/1.1 200 OK\r\n\r\n", false, (200, false, 0), true),
    (b"HTTP/1.1 200 OK\r\n\r\nhello", false, (200, false, 5), true),
    (b"HTTP/1.0 200 OK\r\n\r\nhello", false, (200, false, 5), true),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello", false, (200, false, 5), true),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", false, (200, false, 5), true),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkedx\r\n\r\nhello", false, (200, false, 5), true),
    // Keep-alive.
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", false, (200, false, 1), false),
    (b"HTTP/1.1 200 OK\r\nConnection: ,foo ,\tCLOSE ,\r\nContent-Length: 1\r\n\r\na", false, (200, false, 1), false),
    (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false, (200, false, 0), false),
    (b"HTTP/1.1 200 OK\r\nConnection: close, keep-alive\r\nContent-Length: 0\r\n\r\n", false, (200, false, 0), false),
    (b"HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nConnection: close x\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nConnection: \"close\"\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nConnection:\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nConnection: transfer-encoding-and-more\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false, (200, false, 0), false),
    (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 0\r\n\r\n", false, (200, false, 0), false),
    // Chunks.
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: ,chunked ,\r\n\r\n5\r\nhello\r\n000\r\n\r\n", false, (200, true, 5), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\t, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", false, (200, true, 1), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", false, (200, false, 0), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000001\r\n\r\r\n0\r\n\r\n", false, (200, true, 1), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\n\n\r\n1 ;a=\"\tb;\"\r\nb\r\n0;z\r\n\r\n", false, (200, true, 2), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", false, (200, true, 10), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\nConnection: close\r\n\r\n", false, (200, true, 0), false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\nB: c\r\n\n", false, (200, true, 0), false),
    // Interim responses.
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", false, (200, true, 1), false),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 C\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 N\r\n\r\n", false, (204, true, 0), false),
    (b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\nHTTP/1.1 204 N\r\n\r\n", false, (204, true, 0), false),
    (b"HTTP/1.1 199 Odd\n\nHTTP/1.1 204 N\r\n\r\n", true, (204, true, 0), false),
];

/// The size of the last head in `bytes`, found the simple way.
fn head_size(bytes: &[u8]) -> usize {
    let mut from = 0;
    loop {
        let rest = &bytes[from..];
        let end = |mark: &[u8]| {
            rest.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len())
        };
        let size = [end(b"\r\n\r\n"), end(b"\n\n"), end(b"\n\r\n")].into_iter().flatten().min().unwrap();
        if rest[9] != b'1' {
            return size;
        }
        from += size;
    }
}

#[test]
fn rows() {
    for (bytes, head_request, (status, keep_alive, body_bytes), by_end) in ROWS {
        let exchange = Exchange { bytes, head_request: *head_request, fin: true };
        let trace = exchange.everyhow(Limits::default());
        let head_bytes = u32::try_from(head_size(bytes)).unwrap();
        let expected =
            Response { status: *status, keep_alive: *keep_alive, head_bytes, body_bytes: *body_bytes };
        assert_eq!((trace.response, trace.error), (Some(expected), None), "{}", bytes.escape_ascii());
        assert_eq!(trace.by_end, *by_end, "{}", bytes.escape_ascii());
    }
}

/// Every limit lets through exactly what it names.
#[test]
fn at_the_limits() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let limits = Limits { head_bytes: 47, body_bytes: 20, interim: 1 };
    assert_eq!(head.len(), 47);
    let bodies: &[&[u8]] = &[
        b"14\r\n01234567890123456789\r\n0\r\n\r\n",
        b"1;3456789012345678901234567890123456789012345\r\na\r\n0\r\n\r\n",
        b"0;1\r\nA: 45678901234567890123456789012345678901\r\n\r\n",
    ];
    for body in bodies {
        for interim in [&b""[..], b"HTTP/1.1 100 C\r\n\r\n"] {
            let bytes = [interim, head, body].concat();
            let trace = Exchange::get(&bytes).everyhow(limits);
            assert_eq!((trace.error, trace.response.map(|response| response.head_bytes)), (None, Some(47)));
        }
        let tighter = Limits { head_bytes: 46, ..limits };
        let bytes = [head, *body].concat();
        assert_eq!(Exchange::get(&bytes).everyhow(tighter).error, Some(crate::ProtocolError::HeadTooLong));
    }
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789"[..],
        b"HTTP/1.1 200 OK\r\n\r\n01234567890123456789",
    ] {
        let trace = Exchange::get(bytes).everyhow(limits);
        assert_eq!((trace.error, trace.response.map(|response| response.body_bytes)), (None, Some(20)));
    }
}

#[test]
fn one_connection_carries_many_responses() {
    let mut machine = ResponseMachine::new(Limits::default());
    for _ in 0..3 {
        for (bytes, head_request, (status, keep_alive, _), _) in ROWS {
            let exchange = Exchange { bytes, head_request: *head_request, fin: !keep_alive };
            let trace = exchange.run(&mut machine, &[3, 20, 21, 40]);
            assert_eq!(trace.response.map(|response| response.status), Some(*status));
            if !keep_alive {
                machine.reset();
            }
        }
    }
}

#[test]
fn what_it_says_between_calls() {
    let mut machine = ResponseMachine::new(Limits::default());
    assert_eq!((machine.has_begun(), machine.is_due(), machine.discardable()), (false, false, 0));
    assert_eq!(machine.end(), Ok(Ending::Idle));
    assert_eq!(machine.receive(b""), Ok(Step { consumed: 0, response: None }));
    machine.expect(false);
    assert_eq!((machine.has_begun(), machine.is_due(), machine.discardable()), (false, true, 0));
    assert_eq!(machine.receive(b""), Ok(Step { consumed: 0, response: None }));
    assert!(!machine.has_begun(), "no byte has come");
    machine.receive(b"H").unwrap();
    assert!(machine.has_begun());
    machine.receive(b"TTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc").unwrap();
    assert_eq!(machine.discardable(), 997);
    assert_eq!(machine.discarded(900), Ok(Step { consumed: 0, response: None }));
    assert_eq!(machine.receive(&[0; 96]).unwrap().response, None);
    assert_eq!(machine.discardable(), 1);
    let response = machine.discarded(1).unwrap().response.unwrap();
    assert_eq!((response.body_bytes, machine.is_due(), machine.discardable()), (1000, false, 0));
    assert_eq!(machine.discarded(0), Ok(Step { consumed: 0, response: None }));
    machine.expect(false);
    assert!(!machine.has_begun(), "the first byte of the next response has not come");
}

#[test]
fn chunk_data_is_discardable() {
    let mut machine = ResponseMachine::new(Limits::default());
    machine.expect(false);
    machine.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10").unwrap();
    assert_eq!(machine.discardable(), 0, "another digit may follow");
    machine.receive(b"\r\n").unwrap();
    assert_eq!(machine.discardable(), 16);
    assert_eq!(machine.discarded(16).unwrap().response, None);
    assert_eq!(machine.discardable(), 0, "the chunk's CR LF is not data");
    let step = machine.receive(b"\r\n0\r\n\r\n").unwrap();
    assert_eq!(step.response.map(|response| response.body_bytes), Some(16));
}

/// A machine per connection has to be small, and must not grow unnoticed.
#[test]
fn a_machine_is_small() {
    assert!(size_of::<ResponseMachine>() <= 256, "{} bytes", size_of::<ResponseMachine>());
}
