//! What all threads of a target share, and the document made of their logs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::{Clock as _, OsClock, Timestamp};
use rustls::ServerConfig;

use crate::config::{Config, Stall, StallOrigin, Threads};
use crate::delay::DelayLaw;
use crate::log::{Log, SECONDS_LIMIT, lock};
use crate::reply::{Fault, FaultLaw, Replies};
use crate::request::BadRequest;
use crate::truth::{Delay, ListRecord, SCHEMA_NAME, Settings, StallSettings, Truth};

/// Everything that does not belong to one thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) replies: Replies,
    pub(crate) delay: DelayLaw,
    pub(crate) faults: FaultLaw,
    pub(crate) seed: u64,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) logs: Vec<Mutex<Log>>,
    /// Set before the stop event is signalled.
    pub(crate) is_stopping: AtomicBool,
    stall: Option<Stall>,
    start: Timestamp,
    start_wall: Duration,
    /// The instant of the first counted request in nanoseconds; 0 before it.
    first_request: AtomicU64,
    settings: Settings,
    /// Where the list of requests will be written.
    list_file: Option<PathBuf>,
}

impl Shared {
    pub(crate) fn new(
        config: &Config,
        address: std::net::SocketAddr,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let replies = Replies::new(config);
        let start = OsClock.now();
        let threads = config.threads.count();
        let entries = config.list.as_ref().map_or(0, |list| list.limit.div_ceil(threads));
        let cores = match &config.threads {
            Threads::Floating(_) => Vec::new(),
            Threads::Pinned(cores) => cores.iter().map(|core| *core as u64).collect(),
        };
        Self {
            settings: Settings {
                listen: address.to_string(),
                threads: threads as u64,
                cores,
                tls: tls.is_some(),
                body_bytes: config.body_bytes,
                response_bytes: replies.ordinary_bytes(),
                stall: config.stall.map(settings_of),
                seed: config.seed,
            },
            replies,
            delay: config.delay,
            faults: FaultLaw::new(&config.faults),
            seed: config.seed,
            tls,
            logs: (0..threads).map(|_| Mutex::new(Log::new(start, entries))).collect(),
            is_stopping: AtomicBool::new(false),
            stall: config.stall,
            start,
            start_wall: clock::wall_time(),
            first_request: AtomicU64::new(0),
            list_file: config.list.as_ref().map(|list| list.path.clone()),
        }
    }

    /// The first caller's `now` becomes the origin of a stall schedule.
    pub(crate) fn note_first_request(&self, now: Timestamp) {
        if self.first_request.load(Ordering::Relaxed) == 0 {
            // Losing the race means that another thread was first.
            let _ =
                self.first_request.compare_exchange(0, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The freeze that holds at `now`, or else the next: ordinal, from, until. None without a schedule, or before
    /// its origin.
    pub(crate) fn current_or_next_freeze(&self, now: Timestamp) -> Option<(u64, Timestamp, Timestamp)> {
        let stall = self.stall?;
        let origin = match stall.origin {
            StallOrigin::Start => self.start,
            StallOrigin::FirstRequest => match self.first_request.load(Ordering::Relaxed) {
                0 => return None,
                nanos => Timestamp::from_nanos(nanos),
            },
        };
        let freeze = stall.current_or_next(now.nanos_since(origin));
        Some((freeze.ordinal, origin.plus_nanos(freeze.from_ns), origin.plus_nanos(freeze.until_ns)))
    }

    /// The document as of `now`. The list of requests is written at the end only.
    pub(crate) fn truth(&self, now: Timestamp) -> Truth {
        let mut sum = Log::new(self.start, 0);
        let mut kept = 0;
        for log in &self.logs {
            let copy = {
                let mut log = lock(log);
                kept += log.entries.len() as u64;
                log.without_entries()
            };
            sum.merge(&copy);
        }
        let since_start = |at: Timestamp| at.nanos_since(self.start);
        let refused: BTreeMap<_, _> = named(BadRequest::ALL.map(BadRequest::name), sum.refused);
        let asked = sum.requests + refused.values().sum::<u64>();
        Truth {
            schema: SCHEMA_NAME.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: clock::rfc3339(self.start_wall),
            started_unix_ns: u64::try_from(self.start_wall.as_nanos()).unwrap_or(u64::MAX),
            started_monotonic_ns: self.start.as_nanos(),
            elapsed_ns: since_start(now),
            config: self.settings.clone(),
            connects: sum.connects,
            connections_open: sum.connections_open,
            accepts_postponed: sum.accepts_postponed,
            tls_handshakes: sum.tls_handshakes,
            tls_failures: sum.tls_failures,
            requests: sum.requests,
            requests_incomplete: sum.requests_incomplete,
            truth_requests: sum.truth_requests,
            refused,
            responses: sum.responses,
            unanswered: asked.saturating_sub(sum.responses),
            status: sum.status(),
            faults: named(Fault::ALL.map(Fault::name), sum.faults),
            bytes: sum.bytes,
            first_request_ns: sum.first.map(since_start),
            last_request_ns: sum.last.map(since_start),
            delay: Delay {
                law: self.delay.to_string(),
                drawn_ns: sum.drawn.figures(),
                applied_ns: sum.applied.figures(),
                list: self.list_file.as_ref().map(|path| ListRecord {
                    file: path.display().to_string(),
                    kept,
                    left_out: sum.entries_left_out,
                    written: false,
                    problem: None,
                }),
            },
            stalls: sum.stalls(),
            per_second: sum.seconds(),
            per_second_limit: SECONDS_LIMIT,
        }
    }
}

fn settings_of(stall: Stall) -> StallSettings {
    StallSettings {
        length_ns: stall.length_ns,
        period_ns: stall.period_ns,
        offset_ns: stall.offset_ns,
        origin: match stall.origin {
            StallOrigin::FirstRequest => "first_request",
            StallOrigin::Start => "start",
        }
        .to_owned(),
    }
}

/// The counts that are not 0, by name.
fn named<const N: usize>(names: [&str; N], counts: [u64; N]) -> BTreeMap<String, u64> {
    names
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}
