//! The machine that all tests share: who may use it when, and how busy it is.
//!
//! What it is: an advisory lock in the temporary folder, which holds between threads and between test binaries.
//! What it is not: a fence against anybody else's programs; for these there is [`settle`].

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::waiting::{monotonic_ns, now, pause};

/// Holds the machine until it is dropped.
#[derive(Debug)]
pub struct Hold {
    // The lock goes with the descriptor.
    _file: File,
}

/// No other test runs meanwhile: for tests whose outcome hangs on time.
pub fn alone() -> Hold {
    hold(FlockOperation::LockExclusive)
}

/// Other tests may run meanwhile, except those that want to be alone.
pub fn among_others() -> Hold {
    hold(FlockOperation::LockShared)
}

fn hold(operation: FlockOperation) -> Hold {
    let path = std::env::temp_dir().join("openloop-e2e.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    loop {
        match flock(&file, operation) {
            Ok(()) => return Hold { _file: file },
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("cannot lock {}: {error}", path.display()),
        }
    }
}

/// Waits up to `limit` for a machine that has little else to do; yields the busy share of its cores at the end.
///
/// A neighbour's load is no fault of the product, but nothing that a test could forbid either.
pub fn settle(limit: Duration) -> f64 {
    let begin = now();
    loop {
        let busy = busy_share(Duration::from_millis(400));
        if busy < 0.25 || begin.elapsed() > limit {
            return busy;
        }
    }
}

/// Watches what others do with the machine while a test measures. The fields are ticks at its begin.
#[derive(Debug)]
pub struct Neighbours {
    busy: u64,
    all: u64,
    own: u64,
}

impl Neighbours {
    /// Begins to watch.
    pub fn watch() -> Self {
        let (busy, all) = cpu_ticks();
        Self { busy, all, own: own_ticks() }
    }

    /// The share of the cores' time that others have used since: not this process, nor those that it has started and
    /// waited for.
    pub fn share(&self) -> f64 {
        let (busy, all) = cpu_ticks();
        let others = (busy - self.busy).saturating_sub(own_ticks() - self.own);
        others as f64 / (all - self.all).max(1) as f64
    }
}

/// How often [`Stillness`] looks at the clock, unless told otherwise.
const BEAT: Duration = Duration::from_millis(2);
/// A thread that wakes up later than this did not just take its time.
const OVERSLEPT: Duration = Duration::from_micros(100);

/// Watches for how long the whole machine stood still, as a virtual one does when its host has no core for it: no program
/// on it runs then, and no counter of its kernel tells. A thread on each core sleeps and sees how late it wakes up; its
/// real-time priority takes care that no program of this machine can be what it waited for.
#[derive(Debug)]
pub struct Stillness {
    beat: Duration,
    ended: Arc<AtomicBool>,
    watchers: Vec<JoinHandle<Option<Vec<Stood>>>>,
}

/// A stretch within which a core may have stood still, in nanoseconds of `CLOCK_MONOTONIC`: from the last look at the clock until
/// the look that came late.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stood {
    /// The last look.
    pub from_ns: u64,
    /// The late one.
    pub until_ns: u64,
}

impl Stillness {
    /// Begins to watch.
    pub fn watch() -> Self {
        Self::watch_each(BEAT)
    }

    /// Begins to watch, with a look each `beat`: what is shorter than that may be missed.
    pub fn watch_each(beat: Duration) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let watch = |core| {
            let ended = Arc::clone(&ended);
            std::thread::spawn(move || oversleeps(core, beat, &ended))
        };
        Self { beat, watchers: (0..core_count()).map(watch).collect(), ended }
    }

    /// Ends the watch; yields the longest stillness of any core. `None` where this process may have no real-time threads:
    /// then nobody can tell.
    pub fn longest(self) -> Option<Duration> {
        let beat = self.beat;
        let lengths =
            self.all()?.into_iter().map(|stood| Duration::from_nanos(stood.until_ns - stood.from_ns));
        Some(lengths.max().unwrap_or_default().saturating_sub(beat))
    }

    /// Ends the watch; yields the stretches of all cores by when they began. `None` as [`Self::longest`].
    pub fn all(self) -> Option<Vec<Stood>> {
        self.ended.store(true, Ordering::Relaxed);
        let stood = self.watchers.into_iter().map(|watcher| watcher.join().expect("a watcher ends"));
        let mut all = stood.collect::<Option<Vec<_>>>()?.concat();
        all.sort_unstable();
        Some(all)
    }
}

/// When a real-time thread on `core` overslept until `ended`; `None` if it could not become one.
fn oversleeps(core: usize, beat: Duration, ended: &AtomicBool) -> Option<Vec<Stood>> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores).ok()?;
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let promoted =
        Command::new("chrt").args(["--fifo", "--pid", "50", &thread]).stderr(Stdio::null()).status();
    if !promoted.is_ok_and(|status| status.success()) {
        return None;
    }
    let (mut stood, most_ns) = (Vec::new(), (beat + OVERSLEPT).as_nanos());
    while !ended.load(Ordering::Relaxed) {
        let from_ns = monotonic_ns();
        pause(beat);
        let until_ns = monotonic_ns();
        if u128::from(until_ns - from_ns) > most_ns {
            stood.push(Stood { from_ns, until_ns });
        }
    }
    Some(stood)
}

/// Ticks that this process and its ended children have used.
fn own_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux tells a process's ticks");
    // proc_pid_stat(5): the name, field 2, is in brackets and may hold anything; utime, stime, cutime, cstime are 14 to 17.
    let fields = text.rsplit(')').next().expect("there is a last part").split_whitespace().skip(11).take(4);
    fields.map(|ticks| ticks.parse::<u64>().expect("a count")).sum()
}

/// Which part of the cores' time was used, by anybody, during `span`.
fn busy_share(span: Duration) -> f64 {
    let (busy_before, all_before) = cpu_ticks();
    pause(span);
    let (busy_after, all_after) = cpu_ticks();
    (busy_after - busy_before) as f64 / (all_after - all_before).max(1) as f64
}

/// Ticks that were busy, and all ticks, since the machine's start.
fn cpu_ticks() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/stat").expect("Linux tells its ticks");
    let line = text.lines().next().expect("the first line sums up");
    // proc_stat(5): user nice system idle iowait irq softirq steal; the guests' time is within the first two.
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).map(|tick| tick.parse().expect("a count")).collect();
    let all: u64 = ticks.iter().sum();
    (all - ticks[3] - ticks[4], all)
}

/// How many cores this process may use.
pub fn core_count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// TCP connects that programs in this network namespace have begun since its start.
pub fn connects_begun() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").expect("Linux tells its TCP counters");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let place = names.split(' ').position(|name| name == "ActiveOpens").expect("RFC 4022 tcpActiveOpens");
    values.split(' ').nth(place).expect("a value for each name").parse().expect("a count")
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
