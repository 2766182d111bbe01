//! Counts what a running shard allocates once its connections stand: nothing, or under TLS what rustls does.
//!
//! What it is: whole shards on both drivers against the built-in target, or one that answers journeys, over loopback,
//! each on a thread of its own.
//! A shard reads the CPU clock of its settings whenever it seals an interval, on its own thread; here that clock
//! shows the thread's allocations instead, so each interval carries the number made in it.
//! What it is not: a measurement of time.
//!
//! rustls 0.23 allocates once for each record, as the test of the same name in `tls` shows: an exchange of a small
//! request and a small response costs two.
//!
//! A test binary of its own, because it replaces the allocator. The counter is per thread, so that the target, the
//! control threads and the test harness do not disturb it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count() {
        // A thread that is being torn down has no counter any more, and nothing to prove.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call is handed on unchanged to the system allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the pointer came from the system allocator through this one; the rest is the caller's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system allocator through this one.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cfg(test)]
#[path = "allocation/journey.rs"]
mod journey;

#[cfg(test)]
#[path = "allocation/own.rs"]
mod own;

#[cfg(test)]
mod shards {
    use std::num::NonZeroUsize;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use clock::{Clock, NANOS_PER_SECOND, OsClock};
    use engine::io::Io;
    use engine::io::epoll::EpollIo;
    use engine::io::uring::Uring;
    use engine::shard::link::{Command, Report, pair};
    use engine::shard::pacing::{CatchUp, Pacing};
    use engine::shard::workload::{Task, Users, Workload};
    use engine::shard::{FailStatus, RequestSettings, Settings, Shard, TargetSettings, TlsSettings};
    use schedule::{Arrivals, Cells, Process, Profile, Rate};

    use crate::{ALLOCATIONS, journey, own};

    const SECONDS: u64 = 3;
    const RATE: u64 = 300;
    pub(crate) const CONNECTIONS: u32 = 8;

    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    enum Model {
        Open,
        Closed,
        /// Iterations of three requests, which think so many milliseconds between them.
        Journey {
            think_ms: u64,
        },
        /// A protocol of a user's own, at a rate.
        Own,
    }

    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    enum Driver {
        Uring,
        Epoll,
    }

    /// One shard and one target.
    #[derive(Copy, Clone, Debug)]
    struct Case {
        driver: Driver,
        model: Model,
        body_bytes: u64,
        tls: bool,
    }

    /// What one interval held.
    struct Interval {
        allocations: u64,
        ok: u64,
        /// Requests that left and responses that came; under TLS, a record for each.
        records: u64,
    }

    pub(crate) fn allocations() -> u64 {
        ALLOCATIONS.get()
    }

    fn settings(case: Case, target: &target::Handle) -> Settings {
        let tls = target.certificate_pem().map(|pem| {
            let client = tls::Client::new(tls::Options {
                trust: tls::Trust::Pem(pem.as_bytes().to_vec()),
                client: None,
                alpn: Vec::new(),
                resumption: true,
                min_version: tls::Version::Tls12,
                max_version: tls::Version::Tls13,
            });
            let client = Arc::new(client.expect("the target's certificate can be trusted"));
            TlsSettings { client, server_name: "localhost".into() }
        });
        assert_eq!(tls.is_some(), case.tls);
        let is_own = case.model == Model::Own;
        let message = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
        Settings {
            node: 0,
            shard: 0,
            shape: measure::Shape::requests(1),
            targets: vec![TargetSettings {
                routes: [target.address().into()].into(),
                first_route: 0,
                authority: String::new(),
                tls,
                connections: CONNECTIONS,
                warm_connections: CONNECTIONS,
                close_after: None,
                waiting_capacity: 10_000,
                connect_timeout_ns: 10 * NANOS_PER_SECOND,
            }],
            requests: vec![RequestSettings {
                name: 0,
                target: 0,
                message: (!is_own).then(|| message.into()),
                needs: scenario::Needs::default(),
                last_message: None,
                is_head: false,
                fail_status: FailStatus::new(|code| code >= 400),
                timeout_ns: 10 * NANOS_PER_SECOND,
            }],
            protocol: is_own.then(own::spoken),
            response_limits: http1::Limits::default(),
            discard_from: 64 << 10,
            scenarios: Vec::new(),
            kept_body_bytes: 1 << 20,
            unix_offset_ns: 0,
            grace_ns: 10 * NANOS_PER_SECOND,
            warmup_ns: 0,
            duration_ns: SECONDS * NANOS_PER_SECOND,
            ends_by_count: false,
            catch_up: CatchUp::Burst,
            pacing: Pacing::Sleep,
            tenure: None,
            live: None,
            cpu_clock: allocations,
            core_wait_clock: || None,
        }
    }

    fn workload(model: Model) -> Workload {
        match model {
            Model::Open | Model::Own => {
                let task = if model == Model::Own { Task::Own } else { Task::Request(0) };
                let profile = Profile::constant(Rate::per_second(RATE), SECONDS * NANOS_PER_SECOND);
                let profile = Arc::new(profile.expect("a valid profile"));
                Workload::open(Arrivals::new(profile, Process::Deterministic, &Cells::all()), task)
            }
            Model::Closed => Workload::closed(
                Users::new(vec![0; CONNECTIONS as usize], 20_000_000, None),
                Task::Request(0),
            ),
            Model::Journey { .. } => unreachable!("a journey has its workload from a plan file"),
        }
    }

    /// Runs one shard against a target of its own.
    fn run<I: Io>(case: Case, build: impl FnOnce(engine::io::Limits) -> I + Send + 'static) -> Vec<Interval> {
        if let Model::Journey { think_ms } = case.model {
            let target = journey::Target::start(case.tls);
            let (settings, workloads) = journey::prepared(&target, think_ms);
            return hear(case, settings, workloads, build);
        }
        let target = target::start(target::Config {
            threads: target::Threads::Floating(NonZeroUsize::MIN),
            tls: case.tls.then(target::TlsConfig::default),
            body_bytes: case.body_bytes,
            ..target::Config::default()
        })
        .expect("the target starts");
        let intervals = hear(case, settings(case, &target), vec![workload(case.model)], build);
        target.stop();
        intervals
    }

    /// Runs one shard to its end on a thread of its own, and hears it on this one.
    fn hear<I: Io>(
        case: Case,
        settings: Settings,
        workloads: Vec<Workload>,
        build: impl FnOnce(engine::io::Limits) -> I + Send + 'static,
    ) -> Vec<Interval> {
        let (link, mut control) = pair();
        let (over, until_over) = mpsc::channel::<()>();
        let shard = thread::spawn(move || {
            let io = build(settings.driver_limits());
            let ended = Shard::new(io, settings, &workloads, link).run().map(drop);
            drop(over);
            ended
        });
        let mut intervals = Vec::new();
        let mut is_running = true;
        while is_running {
            // Asked before the queue is emptied, so that nothing reported last is missed.
            let waited = until_over.recv_timeout(Duration::from_millis(5));
            is_running = waited == Err(mpsc::RecvTimeoutError::Timeout);
            while let Some(report) = control.report() {
                match report {
                    Report::Ready { connections } => {
                        assert_eq!(connections, CONNECTIONS, "{case:?}");
                        let at = OsClock.now().plus_nanos(50_000_000);
                        assert!(control.tell(Command::Start { at }));
                    }
                    Report::Sealed(mut snapshot) => {
                        intervals.push(Interval {
                            allocations: snapshot.cpu_ns,
                            ok: snapshot.counters.ok,
                            records: snapshot.counters.sent + snapshot.counters.ok,
                        });
                        snapshot.clear();
                        control.give_back(snapshot);
                    }
                    _ => {}
                }
            }
        }
        shard.join().expect("the shard does not panic").expect("the driver does not break");
        intervals
    }

    fn check(case: Case) {
        let intervals = match case.driver {
            Driver::Uring => run(case, |limits| Uring::new(limits).expect("this host has io_uring")),
            Driver::Epoll => run(case, |limits| EpollIo::new(limits).expect("this host has epoll")),
        };
        let (first, warm) = intervals.split_first().expect("there are intervals");
        assert!(first.allocations > 0, "{case:?}: the clock shows what building the shard allocated");
        assert!(warm.len() as u64 >= SECONDS - 1, "{case:?}: too few intervals");
        assert!(
            warm.iter().map(|interval| interval.ok).sum::<u64>() >= RATE,
            "{case:?}: too little was measured"
        );
        let sum = |of: fn(&Interval) -> u64| warm.iter().map(of).sum::<u64>();
        let (made, records) = (sum(|interval| interval.allocations), sum(|interval| interval.records));
        // A TLS connection makes room for a record at its first exchange, which may come late: idle ones are used
        // most recently used first.
        let allowed = if case.tls { records + 2 * u64::from(CONNECTIONS) } else { 0 };
        assert!(made <= allowed, "{case:?}: {made} allocations for {records} messages, {allowed} allowed");
    }

    #[test]
    fn a_warm_shard_allocates_nothing_of_its_own() {
        let before = allocations();
        drop(std::hint::black_box(vec![0_u8; 100]));
        assert_eq!(allocations() - before, 1, "the allocator counts");
        let mut cases = Vec::new();
        for driver in [Driver::Uring, Driver::Epoll] {
            for (model, body_bytes, tls) in [
                (Model::Open, 100, false),
                (Model::Closed, 100, false),
                // Thrown away unseen.
                (Model::Open, 300_000, false),
                (Model::Open, 100, true),
                (Model::Closed, 100, true),
                (Model::Journey { think_ms: 0 }, 0, false),
                (Model::Journey { think_ms: 5 }, 0, false),
                (Model::Journey { think_ms: 0 }, 0, true),
                (Model::Journey { think_ms: 5 }, 0, true),
                // The default response.
                (Model::Own, 17, false),
                (Model::Own, 17, true),
            ] {
                cases.push(Case { driver, model, body_bytes, tls });
            }
        }
        thread::scope(|scope| {
            let running: Vec<_> = cases.into_iter().map(|case| scope.spawn(move || check(case))).collect();
            for case in running {
                case.join().expect("a case failed; its words stand above");
            }
        });
    }
}
