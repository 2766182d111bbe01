//! What a person at the coordinator would do: start a run, follow it live, read its report.
//!
//! What it is: requests over plain HTTP/1.0, in which an answer ends with its connection. What it is not: a client for
//! anything else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::PerfError;
use crate::child::now_ns;

/// The longest silence of a stream, which comments every ten seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// What the live stream showed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By second: when it first stood in the stream.
    pub(super) first_ns: BTreeMap<u64, u64>,
    /// By second: requests sent, as it was shown last.
    pub(super) sent: BTreeMap<u64, u64>,
}

fn failed(detail: impl std::fmt::Display) -> PerfError {
    PerfError::Failed { program: "the coordinator's API".to_owned(), detail: detail.to_string() }
}

fn request(address: &str, head: &str, body: &str) -> Result<BufReader<TcpStream>, PerfError> {
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(SILENCE)).map_err(failed)?;
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).map_err(failed)?;
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).map_err(failed)?;
    let mut line = String::new();
    while reader.read_line(&mut line).map_err(failed)? > 2 {
        line.clear();
    }
    if status.contains(" 200 ") {
        return Ok(reader);
    }
    let mut said = String::new();
    let _ = reader.read_to_string(&mut said);
    Err(failed(format!("{head}: {} {said}", status.trim())))
}

/// Asks for a document.
pub(super) fn ask(address: &str, head: &str, body: &str) -> Result<Value, PerfError> {
    serde_json::from_reader(request(address, head, body)?).map_err(failed)
}

/// Follows a run to its end.
pub(super) fn follow(address: &str, run: &str) -> Result<Seen, PerfError> {
    let stream = request(address, &format!("GET /api/v1/runs/{run}/stream"), "")?;
    let (mut seen, mut event) = (Seen::default(), String::new());
    for line in stream.lines() {
        let line = line.map_err(failed)?;
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut event);
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let came_ns = now_ns();
        let data: Value = serde_json::from_str(data).map_err(failed)?;
        for point in data["points"].as_array().into_iter().flatten() {
            let (Some(second), Some(sent)) = (point["second"].as_u64(), point["sent"].as_u64()) else {
                continue;
            };
            seen.first_ns.entry(second).or_insert(came_ns);
            seen.sent.insert(second, sent);
        }
        if event == "end" {
            return Ok(seen);
        }
    }
    Err(failed("the stream of the run ended before the run"))
}
