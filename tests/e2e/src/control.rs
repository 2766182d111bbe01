//! A parent program's side of the control socket: lines of JSON in both directions.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::document::parse;
use crate::waiting::{SOON, wait_for};

/// A connection to an engine.
#[derive(Debug)]
pub struct Control {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    /// Events that came while a reply was waited for.
    events: Vec<Value>,
    asked: u64,
}

impl Control {
    /// Connects as soon as the engine listens.
    pub fn connect(path: &Path) -> Self {
        let writer = wait_for("the control socket", SOON, || UnixStream::connect(path).ok());
        writer.set_read_timeout(Some(SOON)).expect("a timeout can be set");
        let reader = BufReader::new(writer.try_clone().expect("a socket can be shared"));
        Self { reader, writer, events: Vec::new(), asked: 0 }
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).expect("the engine reads");
    }

    /// The next line; nothing when the engine has closed.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(parse("a line of the control socket", line.as_bytes())),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line on the control socket: {error}"),
        }
    }

    /// Sends a request and waits for its reply, which must carry the request's id.
    ///
    /// # Panics
    /// When the engine closes instead.
    pub fn ask(&mut self, mut request: Value) -> Value {
        self.asked += 1;
        request["id"] = json!(self.asked);
        self.write(format!("{request}\n").as_bytes());
        loop {
            let line =
                self.line().unwrap_or_else(|| panic!("the engine closed instead of answering {request}"));
            if line.get("event").is_some() {
                self.events.push(line);
                continue;
            }
            assert_eq!(line["id"], json!(self.asked), "{line}");
            return line;
        }
    }

    /// Sends a request that must be carried out; the standing in its reply.
    #[track_caller]
    pub fn order(&mut self, request: Value) -> Value {
        let reply = self.ask(request);
        assert_eq!(reply["ok"], true, "{reply}");
        reply
    }

    /// Sends a request that must be refused; why.
    #[track_caller]
    pub fn refused(&mut self, request: Value) -> String {
        let reply = self.ask(request);
        assert_eq!(reply["ok"], false, "{reply}");
        reply["error"].as_str().expect("a refusal says why").to_owned()
    }

    /// Everything else that the engine says until it closes, events that came before included.
    pub fn rest(mut self) -> Vec<Value> {
        let mut events = std::mem::take(&mut self.events);
        while let Some(line) = self.line() {
            events.push(line);
        }
        events
    }
}
