//! A plain client on std sockets, for the tests of this crate.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clock::{Clock as _, OsClock};
use target::Truth;

/// The request that most tests send: 40 bytes.
pub(crate) const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: target.test:80\r\n\r\n";

/// A response as a client sees it.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Connects, with a time limit on every read.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads one response whose body has a Content-Length; None at the end of the stream.
pub(crate) fn read_response(stream: &mut impl Read, is_head: bool) -> Option<Response> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) if head.is_empty() => return None,
            Ok(0) => panic!("the stream ended inside a head: {:?}", String::from_utf8_lossy(&head)),
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset && head.is_empty() => return None,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; if is_head { 0 } else { length.map_or(0, |length| length.parse().unwrap()) }];
    stream.read_exact(&mut body).unwrap();
    Some(Response { status, head, body })
}

/// Sends bytes and reads one response.
pub(crate) fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> Response {
    stream.write_all(request).unwrap();
    read_response(stream, request.starts_with(b"HEAD ")).expect("a response")
}

/// The document over HTTP.
pub(crate) fn truth(address: SocketAddr) -> Truth {
    let response = exchange(&mut connect(address), b"GET /truth HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(response.status, 200);
    Truth::from_json(&response.body).unwrap()
}

/// Whether the stream has ended, waiting for it at most as long as its read timeout.
pub(crate) fn has_ended(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    matches!(stream.read(&mut byte), Ok(0)) || matches!(stream.take_error(), Ok(Some(_)))
}

/// Calls `holds` until it does, for at most five seconds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = OsClock.now().plus(Duration::from_secs(5));
    while !holds() {
        assert!(OsClock.now() < limit, "{what} did not come about in five seconds");
        pause(Duration::from_millis(2));
    }
}

/// Sleeps.
#[expect(clippy::disallowed_methods, reason = "a test waits for another process's clock")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    OsClock.now().as_nanos()
}
