//! One run against one behaviour, and everything that must hold of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use e2e::engine::write;
use e2e::memory::PeakMemory;
use e2e::waiting::{now, pause};
use e2e::{Engine, Outcome, count};
use testkit::{Hostile, Seen};

use crate::table::{Answers, Case, Sees};

/// How long and how fast the runs are.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Size {
    pub(crate) tps: u64,
    pub(crate) seconds: u64,
    /// For cases that wait for it, and the grace with it; the default otherwise.
    pub(crate) timeout_s: Option<u64>,
    /// What the end may take beyond the duration and the grace.
    pub(crate) slack: Duration,
}

/// The timeout, and so the grace, where none is given.
const DEFAULT_TIMEOUT_S: u64 = 10;
/// Connections open at one time where no cap is given.
const POOL: u64 = 1_024;

/// What came of a case.
struct Run<'a> {
    case: &'a Case,
    driver: &'static str,
    size: Size,
    outcome: Outcome,
    seen: Seen,
    took: Duration,
    memory: u64,
}

/// Runs one case on one driver; what is wrong, line by line.
fn run(case: &Case, driver: &'static str, size: Size) -> Result<String, String> {
    let target = Hostile::start(case.behaviour);
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("authority.pem");
    write(&authority, target.authority_pem());
    let flags = case.flags.replace("AUTHORITY", authority.to_str().expect("a plain name"));
    let line = format!("--tps {} -d {}s --io {driver} {flags}", size.tps, size.seconds);
    let timeout = size.timeout_s.filter(|_| case.waits);
    let engine = Engine::patient(&line).arg(target.url());
    let engine = match timeout {
        Some(seconds) => engine.args(&format!("--timeout {seconds}s")),
        None => engine,
    };
    let begin = now();
    let running = engine.start();
    let memory = PeakMemory::watch(running.process.pid());
    let outcome = running.finish();
    let took = begin.elapsed();
    let memory = memory.bytes();
    let seen = settled(&target, &outcome);
    Run { case, driver, size, outcome, seen, took, memory }.judge()
}

/// What the target has seen once it has read what the kernel still held for it.
fn settled(target: &Hostile, outcome: &Outcome) -> Seen {
    let sent = outcome.audit().sent;
    for _ in 0..50 {
        if target.seen().requests.len() as u64 >= sent {
            break;
        }
        pause(Duration::from_millis(5));
    }
    target.seen()
}

impl Run<'_> {
    fn judge(&self) -> Result<String, String> {
        let mut faults = String::new();
        for (holds, what) in self.demands() {
            if !holds {
                let _ = writeln!(faults, "  {what}");
            }
        }
        if faults.is_empty() { Ok(self.figures()) } else { Err(self.told(&faults)) }
    }

    fn told(&self, faults: &str) -> String {
        format!("{}\n{faults}{}", self.figures(), self.outcome.told())
    }

    fn figures(&self) -> String {
        let audit = self.outcome.audit();
        format!(
            "{:22} {:5}  exit {:2}  sent {:4} ok {:4} {:?}; seen: {} connects, {} requests; {} MB in {:.1} s",
            self.case.behaviour,
            self.driver,
            self.outcome.code,
            audit.sent,
            audit.ok,
            audit.errors,
            self.seen.connects.len(),
            self.seen.requests.len(),
            self.memory >> 20,
            self.took.as_secs_f64(),
        )
    }

    fn demands(&self) -> Vec<(bool, &'static str)> {
        let (case, summary) = (self.case, self.outcome.summary());
        let audit = self.outcome.audit();
        let asked = self.size.tps * self.size.seconds;
        let (requests, connects) = (self.seen.requests.len() as u64, self.seen.connects.len() as u64);
        let begun = count(summary, "/connections/connects");
        let allowed: BTreeSet<&str> = case.classes.iter().copied().collect();
        let grace_s = self.size.timeout_s.filter(|_| case.waits).unwrap_or(DEFAULT_TIMEOUT_S);
        let limit = Duration::from_secs(self.size.seconds + grace_s) + self.size.slack;
        let noticed = count(summary, "/connections/unsolicited") + count(summary, "/connections/closed_idle");
        vec![
            (self.outcome.code == case.exit, "another exit code"),
            (audit.error_classes().iter().all(|class| allowed.contains(class)), "another class of errors"),
            (
                match case.answers {
                    Answers::All => audit.ok == audit.sent,
                    Answers::Some => audit.ok > 0,
                    Answers::None => audit.ok == 0 && audit.failed() > 0,
                },
                "another number of answers",
            ),
            (audit.scheduled == asked, "another number of arrivals"),
            (audit.cut_off == 0, "exchanges were cut off"),
            (
                audit.dropped() == 0 || case.drops && audit.dropped.keys().eq(["expired"]),
                "arrivals were dropped",
            ),
            (
                match case.sees {
                    Sees::Every => requests == audit.sent,
                    Sees::AtMost => requests <= audit.sent,
                    Sees::Nothing => requests == 0,
                },
                "the target has seen another number of requests",
            ),
            (requests <= asked, "more requests than asked for"),
            (connects <= asked + POOL, "more connects than asked for and the pool"),
            (connects <= begun, "connects that the engine does not know of"),
            (!case.idle_ends || noticed > 0, "nothing was noticed on idle connections"),
            (self.memory <= (64 << 20) + (64 << 10) * begun.min(POOL), "more memory than allowed"),
            (self.took <= limit, "the end came too late"),
            (!self.outcome.stderr.contains("panicked"), "it panicked"),
        ]
    }
}

/// Runs cases over both drivers, some at a time.
///
/// # Panics
/// When anything is wrong with any of them.
pub(crate) fn all(cases: &[Case], size: Size, at_once: usize) -> Vec<String> {
    let work: Vec<(&Case, &'static str)> =
        cases.iter().flat_map(|case| ["uring", "epoll"].map(|driver| (case, driver))).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || {
        let mut results = Vec::new();
        while let Some((case, driver)) =
            work.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).copied()
        {
            results.push(run(case, driver, size));
        }
        results
    };
    let results: Vec<Result<String, String>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("the run was judged")).collect()
    });
    let (figures, faults): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let faults: Vec<String> = faults.into_iter().filter_map(Result::err).collect();
    assert!(faults.is_empty(), "{} of {} runs:\n{}", faults.len(), work.len(), faults.join("\n\n"));
    figures.into_iter().filter_map(Result::ok).collect()
}
