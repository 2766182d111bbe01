//! The document `openloop.truth/1`: what the target really received and did.
//!
//! What it is: the figures of every thread added up, as data. What it is not: an opinion; the target measures
//! nothing that only a client can know.
//!
//! Invariants: `requests + sum(refused) = responses + unanswered`, where `faults` without a full answer and
//! responses still held back are unanswered. Requests for `/truth`, and connections that carried nothing else,
//! are counted nowhere but in `truth_requests`.
//! Units: names ending in `_ns` are nanoseconds, instants count from the target's start on the monotonic clock.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The name and version of the document.
pub const SCHEMA_NAME: &str = "openloop.truth/1";
/// The JSON Schema of the document.
pub const SCHEMA: &str = include_str!("../schema/openloop.truth.v1.json");

/// The whole document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Always [`SCHEMA_NAME`].
    pub schema: String,
    /// The version of this program.
    pub tool_version: String,
    /// Wall time of the start, RFC 3339 in UTC.
    pub started_at: String,
    /// Wall time of the start, since the Unix epoch.
    pub started_unix_ns: u64,
    /// The start on this machine's `CLOCK_MONOTONIC`.
    pub started_monotonic_ns: u64,
    /// From the start to this document.
    pub elapsed_ns: u64,
    /// What the target was asked to be.
    pub config: Settings,
    /// Accepted connections.
    pub connects: u64,
    /// Connections that are open now.
    pub connections_open: u64,
    /// Times that accepting had to wait because the process had no descriptors left.
    pub accepts_postponed: u64,
    /// TLS handshakes completed.
    pub tls_handshakes: u64,
    /// Connections ended by a TLS error.
    pub tls_failures: u64,
    /// Requests received whole.
    pub requests: u64,
    /// Requests that ended in the middle, with their connection.
    pub requests_incomplete: u64,
    /// Requests for `/truth`.
    pub truth_requests: u64,
    /// What was refused as no acceptable request, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Responses written whole.
    pub responses: u64,
    /// Requests without a whole response: held back, lost with their connection, or by a fault.
    pub unanswered: u64,
    /// Responses written whole, by status.
    pub status: BTreeMap<String, u64>,
    /// Requests met with a fault, by its name.
    pub faults: BTreeMap<String, u64>,
    /// Bytes, before TLS.
    pub bytes: Bytes,
    /// The instant at which the first request was read whole.
    pub first_request_ns: Option<u64>,
    /// The instant at which the last request was read whole.
    pub last_request_ns: Option<u64>,
    /// The delays.
    pub delay: Delay,
    /// Freezes that really happened; at most the first 10,000.
    pub stalls: Vec<StallRecord>,
    /// Counts for each second in which anything happened.
    pub per_second: Vec<SecondRecord>,
    /// Seconds beyond this one are counted in it.
    pub per_second_limit: u64,
}

/// What the target was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The address that it listens on.
    pub listen: String,
    /// Threads.
    pub threads: u64,
    /// The cores that the threads are pinned to; empty if they float.
    pub cores: Vec<u64>,
    /// It speaks TLS.
    pub tls: bool,
    /// Bytes of an ordinary body.
    pub body_bytes: u64,
    /// Bytes of a whole ordinary response.
    pub response_bytes: u64,
    /// The stall schedule.
    pub stall: Option<StallSettings>,
    /// The seed of delays and faults.
    pub seed: u64,
}

/// The stall schedule asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StallSettings {
    /// How long each freeze lasts.
    pub length_ns: u64,
    /// From one beginning to the next.
    pub period_ns: u64,
    /// From the origin to the first.
    pub offset_ns: u64,
    /// `first_request` or `start`.
    pub origin: String,
}

/// Bytes, before TLS.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Of whole requests, heads and framing included.
    pub received: u64,
    /// Of their bodies alone.
    pub request_bodies: u64,
    /// Of whole responses, heads included.
    pub sent: u64,
}

/// The delays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// The law, as text.
    pub law: String,
    /// What the law asked, for every request.
    pub drawn_ns: Option<Durations>,
    /// What happened: from the request read whole to the last byte of its response handed to the kernel, for
    /// every whole response.
    pub applied_ns: Option<Durations>,
    /// The list of single requests.
    pub list: Option<ListRecord>,
}

/// Figures of a distribution of durations; quantiles are at most 0.1 % too high.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the quantiles")]
pub struct Durations {
    pub count: u64,
    pub sum: u64,
    pub mean: f64,
    pub min: u64,
    pub p50: u64,
    pub p75: u64,
    pub p90: u64,
    pub p95: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub p99_99: u64,
    pub max: u64,
}

/// What became of the list of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecord {
    /// The file.
    pub file: String,
    /// Requests in the list.
    pub kept: u64,
    /// Requests beyond the limit.
    pub left_out: u64,
    /// The file stands.
    pub written: bool,
    /// Why it could not be written.
    pub problem: Option<String>,
}

/// One freeze.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StallRecord {
    /// Its number in the schedule, from 0.
    pub ordinal: u64,
    /// The earliest instant at which a thread froze.
    pub from_ns: u64,
    /// The latest instant at which a thread went on.
    pub until_ns: u64,
    /// How many threads froze.
    pub threads: u64,
}

/// Counts of one second.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondRecord {
    /// Whole seconds since the start.
    pub second: u64,
    /// Connections accepted.
    pub connects: u64,
    /// Requests read whole.
    pub requests: u64,
    /// Responses written whole.
    pub responses: u64,
}

impl Truth {
    /// The document as JSON text, indented, with a line feed at the end.
    pub fn to_json(&self) -> String {
        // Invariant: strings, numbers and maps with string keys always serialise.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a document; unknown fields are ignored.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Writes the document to a file.
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.to_json())
    }
}
