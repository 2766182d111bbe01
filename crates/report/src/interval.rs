//! `openloop.interval/1`: one line of NDJSON for each second of a run, with histograms.
//!
//! What it is: everything that was measured in one interval; adding the lines up gives the summary's figures.
//! What it is not: judged; a verdict needs the whole run.
//!
//! Units: nanoseconds since the begin of the measured time, bytes, counts.

use std::collections::BTreeMap;

use measure::{Names, Totals};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::{dropped, errors, name_entries, status};
use crate::{Bytes, Check, Group, Latencies, Name, Workload, journeys};

/// The name and number of the interval document.
pub const INTERVAL_SCHEMA: &str = "openloop.interval/1";

/// What was measured in one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// `openloop.interval/1`.
    pub schema: String,
    /// The run's id.
    pub run_id: String,
    /// Which second, counted from 0 at the begin of the measured time.
    pub second: u64,
    /// Begin of the interval.
    pub from_ns: u64,
    /// End of the interval.
    pub until_ns: u64,
    /// Arrivals that the plan had due.
    pub scheduled: u64,
    /// Requests sent.
    pub sent: u64,
    /// Arrivals given up, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Exchanges that succeeded.
    pub ok: u64,
    /// Exchanges that failed, by class.
    pub errors: BTreeMap<String, u64>,
    /// Exchanges cut off by the end of the run.
    pub cut_off: u64,
    /// Arrivals of shares that nobody owned.
    pub unassigned: u64,
    /// Exchanges in flight at the end of the interval.
    pub in_flight: u64,
    /// Arrivals waiting for a connection at the end of the interval.
    pub waiting: u64,
    /// Connections open at the end of the interval.
    pub connections: u64,
    /// Distributions, in nanoseconds.
    pub latency_ns: Latencies,
    /// Responses by status code, or by what their protocol calls their statuses.
    pub status: BTreeMap<String, u64>,
    /// Bytes on the transport.
    pub bytes: Bytes,
    /// Processor time of all shards, in seconds.
    pub cpu_s: f64,
    /// By request name.
    pub names: BTreeMap<String, Name>,
    /// By workload; absent in plans of plain requests, as are groups and checks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workloads: BTreeMap<String, Workload>,
    /// By group of steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
    /// By check.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Check>,
}

/// What an interval needs beside its totals.
#[derive(Copy, Clone, Debug)]
pub struct IntervalFacts<'a> {
    /// The run's id.
    pub run_id: &'a str,
    /// The plan's names.
    pub names: &'a Names,
    /// Which second, counted from 0 at the begin of the measured time.
    pub second: u64,
    /// Begin of the interval, in nanoseconds since the begin of the measured time.
    pub from_ns: u64,
    /// End of the interval.
    pub until_ns: u64,
    /// Exchanges in flight at its end.
    pub in_flight: u64,
    /// Arrivals waiting for a connection at its end.
    pub waiting: u64,
    /// Connections open at its end.
    pub connections: u64,
}

impl Interval {
    /// The document of the interval over which `totals` were summed.
    pub fn new(facts: &IntervalFacts<'_>, totals: &Totals) -> Self {
        let counters = &totals.counters;
        let interval_s = crate::build::seconds(facts.until_ns.saturating_sub(facts.from_ns));
        Self {
            schema: INTERVAL_SCHEMA.to_owned(),
            run_id: facts.run_id.to_owned(),
            second: facts.second,
            from_ns: facts.from_ns,
            until_ns: facts.until_ns,
            scheduled: counters.scheduled,
            sent: counters.sent,
            dropped: dropped(counters),
            ok: counters.ok,
            errors: errors(&counters.errors),
            cut_off: counters.cut_off,
            unassigned: counters.unassigned,
            in_flight: facts.in_flight,
            waiting: facts.waiting,
            connections: facts.connections,
            latency_ns: Latencies::from(totals),
            status: status(facts.names, counters),
            bytes: Bytes { sent: counters.bytes_sent, received: counters.bytes_received },
            cpu_s: crate::build::seconds(totals.cpu_ns()),
            names: name_entries(facts.names, totals),
            workloads: journeys::workloads(facts.names, totals, interval_s, interval_s, false),
            groups: journeys::groups(facts.names, totals),
            checks: journeys::checks(facts.names, totals),
        }
    }

    /// The document as one line of JSON, with its line end.
    #[expect(clippy::missing_panics_doc, reason = "string keys and numbers always serialise")]
    pub fn to_line(&self) -> String {
        let mut text = serde_json::to_string(self).expect("an interval has only string keys and numbers");
        text.push('\n');
        text
    }
}
