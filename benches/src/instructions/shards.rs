//! Whole shards over [`Memory`]: every row sends so many requests and gets as many answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use benches::PLAIN;
use clock::{NANOS_PER_SECOND, Timestamp};
use engine::live::{Live, Site};
use engine::protocol::{Arrival, Protocol, Received, Session, Spoken, Status};
use engine::shard::hand_over::{Hand, Share, Tenure};
use engine::shard::lease::Lease;
use engine::shard::link::{Command, Report, pair};
use engine::shard::pacing::{CatchUp, Pacing};
use engine::shard::workload::{Task, Users, Workload};
use engine::shard::{FailStatus, RequestSettings, Settings, Shard, TargetSettings};
use schedule::{Arrivals, Cells, Process, Profile, Rate};

use crate::memory::Memory;

/// Connections of every row.
const CONNECTIONS: u32 = 64;

/// Requests per second of the open rows. So few that each finds the shard asleep: batches hide nothing.
const RATE: u64 = 20_000;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What a row differs in.
#[derive(Copy, Clone, Debug)]
struct Row {
    is_open: bool,
    close_after: Option<u64>,
    body_bytes: Option<usize>,
    is_own: bool,
    in_fleet: bool,
}

const CLOSED: Row =
    Row { is_open: false, close_after: None, body_bytes: None, is_own: false, in_fleet: false };

/// Small responses at saturation: every turn finds 64.
pub(crate) fn saturated(count: u64) {
    run(CLOSED, count);
}

/// The same by a protocol of a user's own, which does no more than count bytes.
pub(crate) fn own(count: u64) {
    run(Row { is_own: true, ..CLOSED }, count);
}

/// Small responses at a rate: every request has its own wake-up, and its answer another.
pub(crate) fn paced(count: u64) {
    run(Row { is_open: true, ..CLOSED }, count);
}

/// The same as a part of a fleet's run: under a lease, and counting in a file.
pub(crate) fn in_fleet(count: u64) {
    run(Row { is_open: true, in_fleet: true, ..CLOSED }, count);
}

/// A connection for every request.
pub(crate) fn churn(count: u64) {
    run(Row { close_after: Some(1), ..CLOSED }, count);
}

/// Bodies that come in five pieces.
pub(crate) fn body_64k(count: u64) {
    run(Row { body_bytes: Some(64 << 10), ..CLOSED }, count);
}

/// Bodies of which all but the first piece is thrown away unseen.
pub(crate) fn body_1m(count: u64) {
    run(Row { body_bytes: Some(1 << 20), ..CLOSED }, count);
}

/// See [`own`].
#[derive(Debug)]
struct Counting(usize);

impl Protocol for Counting {
    fn requests(&self) -> Vec<String> {
        vec!["get".into()]
    }

    fn statuses(&self) -> Vec<Status> {
        vec![Status::good("whole")]
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Self(0))
    }
}

impl Session for Counting {
    fn request(&mut self, _request: usize, _arrival: &Arrival, out: &mut Vec<u8>) {
        self.0 = PLAIN.len();
        out.extend_from_slice(REQUEST);
    }

    fn receive(&mut self, bytes: &[u8], _out: &mut Vec<u8>) -> Received {
        let consumed = self.0.min(bytes.len());
        self.0 -= consumed;
        if self.0 > 0 { Received::More } else { Received::Response { status: 0, consumed, closes: false } }
    }
}

fn run(row: Row, count: u64) {
    let mut settings = settings(row);
    let folder = tempfile::tempdir().expect("a folder");
    if row.in_fleet {
        let boot_id = "0b9e5c1a-43d2-4c6e-9a57-2f3b8d1c7e60".to_owned();
        let site = Site { folder: folder.path().to_owned(), run: 1, life: 1, boot_id };
        settings.live = Some(Live::create(&site, settings.shape, 1).expect("there is room").seat(0));
        // It ends, but not here.
        let lease = Arc::new(Lease::new(u64::MAX - 1));
        settings.tenure = Some(Tenure { lease, clock: Timestamp::as_nanos });
        settings.ends_by_count = false;
    }
    let task = if row.is_own { Task::Own } else { Task::Request(0) };
    let reply = row.body_bytes.map_or_else(
        || PLAIN.to_vec(),
        |bytes| {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
            [head.into_bytes(), vec![b'x'; bytes]].concat()
        },
    );
    let io = Memory::new(&settings.driver_limits(), &reply);
    let profile = Profile::constant(Rate::per_second(RATE), 3_600 * NANOS_PER_SECOND);
    let profile = Arc::new(profile.expect("a valid profile"));
    let arrivals = Arrivals::new(profile, Process::Deterministic, &Cells::all()).with_limit(count);
    let workload = if row.in_fleet {
        Workload::open(arrivals.of_owner(&Cells::none(), 0), task)
    } else if row.is_open {
        Workload::open(arrivals.clone(), task)
    } else {
        Workload::closed(Users::new(vec![0; CONNECTIONS as usize], 0, Some(count)), task)
    };
    let (link, mut control) = pair();
    let start = Timestamp::from_nanos(2 * NANOS_PER_SECOND);
    if row.in_fleet {
        let shares = vec![Share::Open(arrivals)];
        let end = start.plus_nanos(count * NANOS_PER_SECOND / RATE);
        assert!(control.tell(Command::Open));
        assert!(control.tell(Command::Hand(Box::new(Hand { epoch: 0, from_ns: 0, shares }))));
        assert!(control.tell(Command::Start { at: start }) && control.tell(Command::End { at: end }));
    } else {
        assert!(control.tell(Command::Start { at: start }));
    }
    Shard::new(io, settings, &[workload], link).run().expect("memory does not break");
    let mut ok = 0;
    while let Some(report) = control.report() {
        if let Report::Sealed(snapshot) = report {
            ok += snapshot.counters.ok;
        }
    }
    assert_eq!(ok, count, "{row:?}: every request is answered");
}

fn settings(row: Row) -> Settings {
    Settings {
        node: 0,
        shard: 0,
        shape: measure::Shape::requests(1),
        targets: vec![TargetSettings {
            routes: [SocketAddr::from((Ipv4Addr::LOCALHOST, 80)).into()].into(),
            first_route: 0,
            authority: String::new(),
            tls: None,
            connections: CONNECTIONS,
            warm_connections: if row.close_after.is_some() { 0 } else { CONNECTIONS },
            close_after: row.close_after,
            waiting_capacity: 10_000,
            connect_timeout_ns: 10 * NANOS_PER_SECOND,
        }],
        requests: vec![RequestSettings {
            name: 0,
            target: 0,
            message: (!row.is_own).then(|| REQUEST.to_vec().into()),
            needs: scenario::Needs::default(),
            last_message: None,
            is_head: false,
            fail_status: FailStatus::new(|code| code >= 400),
            timeout_ns: 10 * NANOS_PER_SECOND,
        }],
        protocol: row.is_own.then(|| Spoken::new("counting", Arc::new(Counting(0))).expect("sound names")),
        response_limits: http1::Limits::default(),
        discard_from: 64 << 10,
        scenarios: Vec::new(),
        kept_body_bytes: 1 << 20,
        unix_offset_ns: 0,
        grace_ns: 10 * NANOS_PER_SECOND,
        warmup_ns: 0,
        duration_ns: 3_600 * NANOS_PER_SECOND,
        ends_by_count: true,
        catch_up: CatchUp::Burst,
        pacing: Pacing::Sleep,
        tenure: None,
        live: None,
        cpu_clock: || 0,
        core_wait_clock: || None,
    }
}
