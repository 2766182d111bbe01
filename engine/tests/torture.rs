//! Torture: every n-th operation of the ring fails, for every operation, many errors and many n.
//!
//! What it is: whole shards on real rings against the built-in target over loopback. What a fault stands for decides
//! what must come of it: after a passing shortage, or a send that took half, every request must still succeed; a
//! failure costs its request or its connection, and nothing else. Always: both sums of the audit hold, the shard ends
//! in time, no buffer stays lent and no descriptor stays open.
//! What it is not: faults of system calls from outside, which whole programs meet in the long tests.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use clock::{Clock, NANOS_PER_SECOND, OsClock};
use engine::io::uring::Uring;
use engine::shard::link::{Command, Report, pair};
use engine::shard::pacing::{CatchUp, Pacing};
use engine::shard::workload::{Task, Users, Workload};
use engine::shard::{FailStatus, RequestSettings, Settings, Shard, TargetSettings};
use measure::{Counters, ErrorClass, Totals};
use rustix::io::Errno;
use schedule::{Arrivals, Cells, Process, Profile, Rate};
use uring::{Driver, Fault, Faults, Site};

const RATE: u64 = 1_000;
const CONNECTIONS: u32 = 8;
const DURATION_NS: u64 = NANOS_PER_SECOND / 2;
/// Long for a machine that is busy with other tests.
const TIMEOUT_NS: u64 = 5 * NANOS_PER_SECOND;

/// What a fault may cost.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Cost {
    /// Time.
    Nothing,
    /// The request or the connection that met it.
    Requests,
    /// The connection until its timeout, and whatever waits for one meanwhile: a peer that breaks off is heard of once
    /// its last words have come, and here none come.
    Waiting,
}

/// One shard under one plan of faults.
#[derive(Copy, Clone, Debug)]
struct Case {
    faults: Faults,
    cost: Cost,
    /// Users, or an open schedule.
    closed: bool,
    body_bytes: u64,
    buffer_size: u32,
    buffer_count: u32,
    close_after: Option<u64>,
}

impl Case {
    fn new(site: Site, fault: Fault, every: u32, cost: Cost) -> Self {
        Self {
            faults: Faults { site, fault, every, queues: None },
            cost,
            closed: false,
            body_bytes: 100,
            buffer_size: 4_096,
            buffer_count: 64,
            close_after: None,
        }
    }
}

fn settings(case: Case, address: SocketAddr) -> Settings {
    Settings {
        node: 0,
        shard: 0,
        shape: measure::Shape::requests(1),
        targets: vec![TargetSettings {
            routes: [address.into()].into(),
            first_route: 0,
            authority: String::new(),
            tls: None,
            connections: CONNECTIONS,
            warm_connections: 0,
            close_after: case.close_after,
            waiting_capacity: 10_000,
            connect_timeout_ns: TIMEOUT_NS,
        }],
        requests: vec![RequestSettings {
            name: 0,
            target: 0,
            message: Some(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec().into()),
            needs: scenario::Needs::default(),
            last_message: None,
            is_head: false,
            fail_status: FailStatus::new(|code| code >= 400),
            timeout_ns: TIMEOUT_NS,
        }],
        protocol: None,
        response_limits: http1::Limits::default(),
        discard_from: 64 << 10,
        scenarios: Vec::new(),
        kept_body_bytes: 1 << 20,
        unix_offset_ns: 0,
        grace_ns: TIMEOUT_NS,
        warmup_ns: 0,
        duration_ns: DURATION_NS,
        ends_by_count: false,
        catch_up: CatchUp::Burst,
        pacing: Pacing::Sleep,
        tenure: None,
        live: None,
        cpu_clock: || 0,
        core_wait_clock: || None,
    }
}

fn workload(case: Case) -> Workload {
    if case.closed {
        return Workload::closed(
            Users::new(vec![0; CONNECTIONS as usize], 5_000_000, None),
            Task::Request(0),
        );
    }
    let profile = Profile::constant(Rate::per_second(RATE), DURATION_NS).expect("a valid profile");
    Workload::open(Arrivals::new(Arc::new(profile), Process::Deterministic, &Cells::all()), Task::Request(0))
}

/// What a shard counted, and the faults that it met.
struct Outcome {
    counters: Counters,
    met: u64,
    lent: u32,
}

/// Runs a shard to its end on a thread of its own.
fn run(case: Case, address: SocketAddr) -> Outcome {
    let settings = settings(case, address);
    let (link, mut control) = pair();
    let (over, until_over) = mpsc::channel::<()>();
    let shard = thread::spawn(move || {
        let limits = settings.driver_limits();
        let limits = uring::Limits {
            connections: limits.connections,
            buffer_size: case.buffer_size,
            buffer_count: case.buffer_count,
        };
        let driver = Driver::with_faults(limits, case.faults).expect("this host has io_uring");
        let ended = Shard::new(Uring::from(driver), settings, &[workload(case)], link).run();
        drop(over);
        ended.map(|io| {
            let driver = Driver::from(io);
            (driver.faults_met(), driver.lent_count())
        })
    });
    let deadline = OsClock.now().plus_nanos(60 * NANOS_PER_SECOND);
    let mut sum = Totals::default();
    loop {
        // Asked before the queue is emptied, so that nothing reported last is missed.
        let is_over =
            until_over.recv_timeout(Duration::from_millis(5)) != Err(mpsc::RecvTimeoutError::Timeout);
        while let Some(report) = control.report() {
            match report {
                Report::Ready { .. } => {
                    assert!(control.tell(Command::Start { at: OsClock.now().plus_nanos(5_000_000) }));
                }
                Report::Sealed(mut snapshot) => {
                    sum.absorb(&snapshot);
                    snapshot.clear();
                    control.give_back(snapshot);
                }
                _ => {}
            }
        }
        if is_over {
            break;
        }
        assert!(OsClock.now() < deadline, "{case:?} does not end");
    }
    let (met, lent) = shard.join().expect("the shard does not panic").expect("the driver does not break");
    Outcome { counters: sum.counters, met, lent }
}

/// Runs the case, and checks what holds whatever the fault.
fn check(case: Case, address: SocketAddr) {
    let Outcome { counters, met, lent } = run(case, address);
    let dropped: u64 = counters.dropped.iter().sum();
    let errors: u64 = counters.errors.iter().sum();
    let told = || {
        let classes: Vec<_> = ErrorClass::ALL
            .iter()
            .map(|class| (class.name(), counters.errors[*class as usize]))
            .filter(|(_, count)| *count > 0)
            .collect();
        format!(
            "{case:?}\n{met} faults met; scheduled {} sent {} ok {} cut off {} dropped {:?} errors {classes:?}",
            counters.scheduled, counters.sent, counters.ok, counters.cut_off, counters.dropped
        )
    };
    assert_eq!(counters.scheduled, counters.sent + dropped, "{}", told());
    assert_eq!(counters.sent, counters.ok + errors + counters.cut_off, "{}", told());
    assert_eq!(lent, 0, "{}", told());
    assert!(counters.scheduled > 0, "{}", told());
    if !case.closed {
        assert_eq!(counters.scheduled, RATE * DURATION_NS / NANOS_PER_SECOND, "{}", told());
    }
    let lost = counters.scheduled - counters.ok;
    match case.cost {
        Cost::Nothing => assert_eq!(lost, 0, "{}", told()),
        // Nothing that met no fault may suffer.
        Cost::Requests => assert!(lost <= met, "{}", told()),
        Cost::Waiting => {}
    }
    // The rarer faults of the whole sweep may find no occasion.
    let is_common = (1..=13).contains(&case.faults.every);
    assert!(!is_common || met > 0, "it proves nothing: {}", told());
    if case.faults.every == 1 && case.cost != Cost::Nothing && case.faults.fault != Fault::Short {
        assert_eq!(counters.ok, 0, "{}", told());
    }
}

/// Every fault at every `every`, in all the shapes of connections that let it happen often.
fn cases(nths: &[u32]) -> Vec<Case> {
    let passing = [
        (Site::Receive, &[Errno::INTR, Errno::AGAIN, Errno::NOBUFS][..]),
        (Site::Send, &[Errno::INTR, Errno::AGAIN]),
        (Site::Discard, &[Errno::INTR, Errno::AGAIN, Errno::FAULT, Errno::INVAL, Errno::OPNOTSUPP]),
        (Site::Cancellation, &[Errno::ALREADY]),
        (Site::Enter, &[Errno::INTR, Errno::AGAIN, Errno::BUSY, Errno::TIME]),
    ];
    let lasting = [
        (
            Site::Connect,
            &[
                Errno::CONNREFUSED,
                Errno::CONNRESET,
                Errno::MFILE,
                Errno::ADDRNOTAVAIL,
                Errno::TIMEDOUT,
                Errno::NETUNREACH,
            ][..],
        ),
        (Site::Receive, &[Errno::CONNRESET, Errno::NOMEM, Errno::IO]),
        (Site::Send, &[Errno::NOMEM, Errno::NOBUFS, Errno::IO]),
        (Site::Discard, &[Errno::CONNRESET, Errno::NOMEM]),
    ];
    let mut cases = Vec::new();
    for &every in nths {
        let mut add = |site, fault, cost| {
            // What always passes and always comes again never ends.
            if every == 1 && cost == Cost::Nothing && fault != Fault::Short {
                return;
            }
            let case = Case::new(site, fault, every, cost);
            let body_bytes = if site == Site::Discard { 300_000 } else { 100 };
            cases.push(Case { body_bytes, close_after: (site != Site::Discard).then_some(3), ..case });
            cases.push(Case { body_bytes, closed: true, close_after: Some(1), ..case });
        };
        for (site, errnos) in passing {
            for errno in errnos {
                add(site, Fault::Fails(errno.raw_os_error()), Cost::Nothing);
            }
        }
        add(Site::Send, Fault::Short, Cost::Nothing);
        for (site, errnos) in lasting {
            for errno in errnos {
                add(site, Fault::Fails(errno.raw_os_error()), Cost::Requests);
            }
        }
        for errno in [Errno::CONNRESET, Errno::PIPE] {
            add(Site::Send, Fault::Fails(errno.raw_os_error()), Cost::Waiting);
        }
    }
    cases
}

/// Queues and buffers that are too small for what goes on, and pieces that are too small for anything.
fn tight() -> Vec<Case> {
    let none = Case::new(Site::Enter, Fault::Fails(0), 0, Cost::Nothing);
    let mut cases = Vec::new();
    for closed in [false, true] {
        let case = Case { closed, body_bytes: 6_000, ..none };
        let overflowing = Faults { queues: Some((4, 8)), ..none.faults };
        cases.push(Case { faults: overflowing, buffer_size: 64, buffer_count: 2_048, ..case });
        for (buffer_size, buffer_count) in [(64, 1), (64, 2), (4_096, 1)] {
            cases.push(Case { buffer_size, buffer_count, ..case });
        }
        // As many completions as bytes.
        for (buffer_size, buffer_count) in [(1, 64), (1, 1), (3, 2)] {
            cases.push(Case { buffer_size, buffer_count, body_bytes: 100, ..case });
        }
        // Both at once, with a call that fails.
        let faults = Faults {
            site: Site::Enter,
            fault: Fault::Fails(Errno::INTR.raw_os_error()),
            every: 3,
            queues: Some((4, 8)),
        };
        cases.push(Case { faults, buffer_size: 64, buffer_count: 2, ..case });
    }
    cases
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// Runs all cases, a few at a time, each against a target of its own size of body.
fn torture(cases: &[Case]) {
    let targets: Vec<_> = [100, 6_000, 300_000]
        .into_iter()
        .map(|body_bytes| {
            let threads = target::Threads::Floating(NonZeroUsize::MIN);
            let config = target::Config { threads, body_bytes, ..target::Config::default() };
            (body_bytes, target::start(config).expect("the target starts"))
        })
        .collect();
    let before = descriptors();
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                while let Some(&case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let (_, target) =
                        targets.iter().find(|(bytes, _)| *bytes == case.body_bytes).expect("of this size");
                    check(case, target.address());
                }
            });
        }
    });
    // The target closes its ends when it hears of them.
    let deadline = OsClock.now().plus_nanos(5 * NANOS_PER_SECOND);
    while descriptors() > before && OsClock.now() < deadline {
        thread::park_timeout(Duration::from_millis(10));
    }
    assert!(descriptors() <= before, "{} descriptors before, {} after", before, descriptors());
    for (_, target) in targets {
        target.stop();
    }
}

/// One test, because it counts the process's descriptors. `cargo xtask long` sweeps every n.
#[test]
fn whatever_fails_nothing_is_lost() {
    let nths: Vec<u32> = if cfg!(feature = "long") { (1..=64).collect() } else { vec![1, 2, 3, 5, 13] };
    torture(&cases(&nths));
    torture(&tight());
}
