//! The least HTTP that asks a target for a document.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The body of `GET path`.
///
/// # Panics
/// When there is no answer with status 200.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    let limit = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, limit).expect("the target accepts");
    stream.set_read_timeout(Some(limit)).expect("a timeout can be set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("it takes the request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers and closes");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head ends with an empty line");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    answer.split_off(end + 4)
}
