//! Server-sent events, read as they come.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::document::parse;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it is.
    pub name: String,
    /// By which a reader goes on behind it.
    pub id: Option<u64>,
    /// What it carries.
    pub data: Value,
}

/// An open stream.
#[derive(Debug)]
pub struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    /// Opens the stream at `path`, from behind an event where one is named.
    ///
    /// # Panics
    /// When it is not there.
    pub fn open(address: SocketAddr, path: &str, last: Option<u64>) -> Self {
        let mut stream = TcpStream::connect(address).expect("the coordinator accepts");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
        let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        // HTTP/1.0: the body ends with the connection, and comes in no pieces of its own.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{last}\r\n").expect("it takes the request");
        let mut lines = BufReader::new(stream);
        let mut status = String::new();
        lines.read_line(&mut status).expect("it answers");
        assert!(status.contains(" 200 "), "{path}: {status}");
        let mut line = String::from(" ");
        while !line.trim_end().is_empty() {
            line.clear();
            lines.read_line(&mut line).expect("a head ends");
        }
        Self { lines }
    }
}

impl Iterator for Events {
    type Item = Event;

    /// The next event; none when the stream has ended or was cut off.
    fn next(&mut self) -> Option<Event> {
        let (mut name, mut id, mut data) = (String::new(), None, String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            let line = line.trim_end_matches('\n');
            match line.split_once(": ") {
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("id", text)) => id = text.parse().ok(),
                Some(("data", text)) => data.push_str(text),
                _ if line.is_empty() && !data.is_empty() => {
                    return Some(Event { data: parse("an event", data.as_bytes()), name, id });
                }
                _ => {}
            }
        }
    }
}
