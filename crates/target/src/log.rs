//! Hot path. What one thread writes down, and how the threads' logs become one document.
//!
//! Invariant: a log is locked only for single entries or for a copy, never while waiting for anything, so a thread
//! that builds the document never waits long for another.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clock::{NANOS_PER_SECOND, Timestamp};

use crate::distribution::Distribution;
use crate::reply::Fault;
use crate::request::{BadRequest, Request};
use crate::truth::{Bytes, SecondRecord, StallRecord};

/// Seconds of their own in the log: a week.
pub(crate) const SECONDS_LIMIT: u64 = 7 * 86_400;
/// Freezes in the log.
const STALLS_LIMIT: usize = 10_000;

/// One line of the list of requests.
#[derive(Copy, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the names carry their unit, and are the columns of the file")]
pub(crate) struct Entry {
    /// When the request was read whole, since the target's start.
    pub(crate) arrived_ns: u64,
    pub(crate) drawn_ns: u64,
    pub(crate) applied_ns: u64,
}

/// A response that was written whole.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) arrived: Timestamp,
    pub(crate) written: Timestamp,
    pub(crate) drawn_ns: u64,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// It answers a request, not a refusal, so it has a delay.
    pub(crate) is_timed: bool,
}

/// The log of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    start: Timestamp,
    pub(crate) connects: u64,
    pub(crate) connections_open: u64,
    pub(crate) accepts_postponed: u64,
    pub(crate) tls_handshakes: u64,
    pub(crate) tls_failures: u64,
    pub(crate) requests: u64,
    pub(crate) requests_incomplete: u64,
    pub(crate) truth_requests: u64,
    pub(crate) refused: [u64; BadRequest::COUNT],
    pub(crate) responses: u64,
    pub(crate) faults: [u64; Fault::COUNT],
    pub(crate) bytes: Bytes,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    pub(crate) drawn: Distribution,
    pub(crate) applied: Distribution,
    pub(crate) entries: Vec<Entry>,
    pub(crate) entries_left_out: u64,
    entries_limit: usize,
    status: Vec<(u16, u64)>,
    seconds: Vec<Second>,
    stalls: Vec<StallRecord>,
}

#[derive(Copy, Clone, Debug, Default)]
struct Second {
    connects: u64,
    requests: u64,
    responses: u64,
}

impl Log {
    pub(crate) fn new(start: Timestamp, entries_limit: usize) -> Self {
        Self {
            start,
            connects: 0,
            connections_open: 0,
            accepts_postponed: 0,
            tls_handshakes: 0,
            tls_failures: 0,
            requests: 0,
            requests_incomplete: 0,
            truth_requests: 0,
            refused: [0; BadRequest::COUNT],
            responses: 0,
            faults: [0; Fault::COUNT],
            bytes: Bytes::default(),
            first: None,
            last: None,
            drawn: Distribution::new(),
            applied: Distribution::new(),
            entries: Vec::new(),
            entries_left_out: 0,
            entries_limit,
            status: Vec::new(),
            seconds: Vec::new(),
            stalls: Vec::new(),
        }
    }

    fn second(&mut self, at: Timestamp) -> &mut Second {
        let second = (at.nanos_since(self.start) / NANOS_PER_SECOND).min(SECONDS_LIMIT);
        let index = usize::try_from(second).expect("Invariant: SECONDS_LIMIT fits in usize");
        if index >= self.seconds.len() {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }

    /// A connection accepted at `at` counts from now on.
    pub(crate) fn connected(&mut self, at: Timestamp) {
        self.connects += 1;
        self.second(at).connects += 1;
    }

    /// A connection counted by [`Log::connected`] asks only for the truth, and counts no more.
    pub(crate) fn not_connected(&mut self, at: Timestamp) {
        self.connects -= 1;
        self.second(at).connects -= 1;
    }

    pub(crate) fn requested(&mut self, at: Timestamp, request: &Request, drawn_ns: u64) {
        self.requests += 1;
        self.bytes.received += request.wire_bytes;
        self.bytes.request_bodies += request.body_bytes;
        self.first.get_or_insert(at);
        self.last = Some(at);
        self.drawn.record(drawn_ns);
        self.second(at).requests += 1;
    }

    pub(crate) fn answered(&mut self, answered: &Answered) {
        self.responses += 1;
        self.bytes.sent += answered.bytes;
        self.second(answered.written).responses += 1;
        match self.status.iter_mut().find(|(status, _)| *status == answered.status) {
            Some((_, count)) => *count += 1,
            None => self.status.push((answered.status, 1)),
        }
        if !answered.is_timed {
            return;
        }
        let applied_ns = answered.written.nanos_since(answered.arrived);
        self.applied.record(applied_ns);
        if self.entries.len() < self.entries_limit {
            let arrived_ns = answered.arrived.nanos_since(self.start);
            self.entries.push(Entry { arrived_ns, drawn_ns: answered.drawn_ns, applied_ns });
        } else {
            self.entries_left_out += u64::from(self.entries_limit > 0);
        }
    }

    pub(crate) fn froze(&mut self, ordinal: u64, from: Timestamp, until: Timestamp) {
        if self.stalls.len() < STALLS_LIMIT {
            let (from_ns, until_ns) = (from.nanos_since(self.start), until.nanos_since(self.start));
            self.stalls.push(StallRecord { ordinal, from_ns, until_ns, threads: 1 });
        }
    }

    /// Adds what another thread wrote down.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.connects += other.connects;
        self.connections_open += other.connections_open;
        self.accepts_postponed += other.accepts_postponed;
        self.tls_handshakes += other.tls_handshakes;
        self.tls_failures += other.tls_failures;
        self.requests += other.requests;
        self.requests_incomplete += other.requests_incomplete;
        self.truth_requests += other.truth_requests;
        self.responses += other.responses;
        self.entries_left_out += other.entries_left_out;
        self.bytes.received += other.bytes.received;
        self.bytes.request_bodies += other.bytes.request_bodies;
        self.bytes.sent += other.bytes.sent;
        add(&mut self.refused, &other.refused);
        add(&mut self.faults, &other.faults);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.drawn.merge(&other.drawn);
        self.applied.merge(&other.applied);
        self.status.extend_from_slice(&other.status);
        self.stalls.extend_from_slice(&other.stalls);
        self.seconds.resize(self.seconds.len().max(other.seconds.len()), Second::default());
        for (mine, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            mine.connects += theirs.connects;
            mine.requests += theirs.requests;
            mine.responses += theirs.responses;
        }
    }

    /// A copy for the document, without the list of requests, which only the end needs.
    pub(crate) fn without_entries(&mut self) -> Self {
        let entries = std::mem::take(&mut self.entries);
        let copy = self.clone();
        self.entries = entries;
        copy
    }

    pub(crate) fn status(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (status, count) in &self.status {
            *sums.entry(status.to_string()).or_default() += count;
        }
        sums
    }

    pub(crate) fn seconds(&self) -> Vec<SecondRecord> {
        let is_empty = |second: &Second| second.connects + second.requests + second.responses == 0;
        let rows = self.seconds.iter().enumerate().filter(|(_, second)| !is_empty(second));
        rows.map(|(index, second)| SecondRecord {
            second: index as u64,
            connects: second.connects,
            requests: second.requests,
            responses: second.responses,
        })
        .collect()
    }

    /// Freezes of one ordinal become one record.
    pub(crate) fn stalls(&self) -> Vec<StallRecord> {
        let mut merged: BTreeMap<u64, StallRecord> = BTreeMap::new();
        for stall in &self.stalls {
            let record = merged.entry(stall.ordinal).or_insert(StallRecord { threads: 0, ..*stall });
            record.from_ns = record.from_ns.min(stall.from_ns);
            record.until_ns = record.until_ns.max(stall.until_ns);
            record.threads += stall.threads;
        }
        merged.into_values().take(STALLS_LIMIT).collect()
    }
}

fn add(mine: &mut [u64], theirs: &[u64]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

/// The lock of a log. Poisoning is passed over: the entries are plain counts, right up to the panic.
pub(crate) fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The list of requests as CSV, by arrival.
pub(crate) fn csv(mut entries: Vec<Entry>) -> String {
    entries.sort_unstable_by_key(|entry| entry.arrived_ns);
    let mut text = String::with_capacity(32 * (entries.len() + 2));
    text.push_str("arrived_ns,drawn_ns,applied_ns\n");
    for Entry { arrived_ns, drawn_ns, applied_ns } in entries {
        writeln!(text, "{arrived_ns},{drawn_ns},{applied_ns}")
            .expect("Invariant: a String takes every write");
    }
    text
}
