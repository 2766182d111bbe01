//! Whether the engine notices that it is starved, and keeps quiet when it is not.
//!
//! Starved: a busy loop of ordinary priority on the engine's core, at 20,000 requests per second. Healthy: nobody else, the
//! hypervisor stole nothing, and the kernel kept no shard from its core for more than 5 ms. The kernel tells sums, so they are
//! read every 10 ms, and a run counts as healthy if no such stretch has waits of more than 5 ms together: that is stricter.
//! Runs that were meant to be healthy and were not are named and not counted.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use e2e::engine::Running;
use e2e::machine::{Stillness, alone, settle};
use e2e::process::{Process, program};
use e2e::waiting::pause;
use e2e::{Engine, Outcome, Target, number};
use rustix::process::Pid;

use crate::lab::{Table, in_haste};

const STARVED_RUNS: usize = 100;
const STARVED_FLAGGED_MIN: usize = 99;
const HEALTHY_RUNS: usize = 200;
/// Runs to find the healthy ones among.
const HEALTHY_TRIES: usize = 500;
const WAIT_NS_MAX: u64 = 5_000_000;
/// For how long a machine may stand still, as no counter of its kernel tells.
const STILL_MAX: Duration = Duration::from_millis(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A run and what the kernel says about it.
struct Watched {
    outcome: Outcome,
    /// The longest waiting of a shard for its core in any 10 ms.
    wait_ns_max: u64,
    stolen_ticks: u64,
    /// The longest standing still of the machine; `None` where it cannot be watched.
    still: Option<Duration>,
}

impl Watched {
    fn is_healthy(&self) -> bool {
        self.stolen_ticks == 0
            && self.wait_ns_max <= WAIT_NS_MAX
            && self.still.is_none_or(|still| still <= STILL_MAX)
    }

    fn lag_p99_ms(&self) -> f64 {
        number(self.outcome.summary(), "/latency_ns/lag/p99") / 1e6
    }

    fn core_wait_percent(&self) -> f64 {
        number(self.outcome.summary(), "/generator/core_wait_share") * 100.0
    }
}

/// For how long each shard of the process has waited for its core, in nanoseconds.
fn core_waits(engine: Pid) -> BTreeMap<String, u64> {
    let folder = format!("/proc/{}/task", engine.as_raw_nonzero());
    let threads = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |thread: std::fs::DirEntry| {
        let file = |name: &str| std::fs::read_to_string(thread.path().join(name)).ok();
        let name = file("comm").filter(|name| name.starts_with("shard-"))?;
        Some((name, file("schedstat")?.split_whitespace().nth(1)?.parse().ok()?))
    };
    threads.filter_map(read).collect()
}

/// What the hypervisor has kept for others, in ticks.
fn stolen_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").expect("Linux tells its ticks");
    text.split_whitespace().nth(8).and_then(|ticks| ticks.parse().ok()).expect("proc_stat(5): steal")
}

fn watch(mut running: Running) -> Watched {
    let stillness = Stillness::watch();
    let (stolen, mut before, mut wait_ns_max) = (stolen_ticks(), BTreeMap::new(), 0);
    while !running.process.has_ended() {
        let waits = core_waits(running.process.pid());
        for (shard, wait_ns) in &waits {
            let more = before.get(shard).map_or(0, |before| wait_ns - before);
            wait_ns_max = wait_ns_max.max(more);
        }
        before = waits;
        pause(LOOK_EVERY);
    }
    let outcome = running.finish();
    Watched { outcome, wait_ns_max, stolen_ticks: stolen_ticks() - stolen, still: stillness.longest() }
}

/// One second of 20,000 requests per second from core 1 to a target on core 0.
fn run(target: &Target, index: usize) -> Watched {
    let driver = ["uring", "epoll"][index % 2];
    let line = format!("--tps 20000 --duration 1s --cores 1-1 --io {driver}");
    watch(Engine::new(&line).arg(target.url()).json().start())
}

/// Least, middle and greatest.
fn spread(values: impl Iterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    format!("{:.2} / {:.2} / {:.2}", at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

fn report(title: &str, runs: &[Watched]) {
    let mut table = Table::begin(title);
    table.line(
        "| runs | exit 12 | other exits | lag p99 (ms), least / middle / most | time without a core (%) |",
    );
    table.line("|---|---|---|---|---|");
    let flagged = runs.iter().filter(|run| run.outcome.code == 12).count();
    let others = runs.iter().filter(|run| !matches!(run.outcome.code, 0 | 12)).count();
    table.line(&format!(
        "| {} | {flagged} | {others} | {} | {} |",
        runs.len(),
        spread(runs.iter().map(Watched::lag_p99_ms)),
        spread(runs.iter().map(Watched::core_wait_percent)),
    ));
}

#[test]
fn a_starved_engine_says_so() {
    let _hold = alone();
    let target = Target::start("--cores 0-0");
    let mut burner = Command::new(program(&["taskset"]));
    burner.args(["-c", "1", "sh", "-c", "while :; do :; done"]);
    let _burner = Process::start(burner, None);
    let count = if in_haste() { 4 } else { STARVED_RUNS };
    let runs: Vec<Watched> = (0..count).map(|index| run(&target, index)).collect();
    report("Starved by a busy loop on the engine's core, 20,000/s for 1 s", &runs);
    let quiet: Vec<String> =
        runs.iter().filter(|run| run.outcome.code != 12).map(|run| run.outcome.told()).collect();
    assert!(quiet.len() <= STARVED_RUNS - STARVED_FLAGGED_MIN, "{} said nothing: {quiet:#?}", quiet.len());
}

#[test]
fn a_healthy_engine_raises_no_alarm() {
    let _hold = alone();
    let target = Target::start("--cores 0-0");
    let (wanted, tries) = if in_haste() { (4, 6) } else { (HEALTHY_RUNS, HEALTHY_TRIES) };
    settle(Duration::from_secs(30));
    let (mut healthy, mut disturbed) = (Vec::new(), Vec::new());
    for index in 0..tries {
        let run = run(&target, index);
        let kept = if run.is_healthy() { &mut healthy } else { &mut disturbed };
        kept.push(run);
        if healthy.len() == wanted {
            break;
        }
    }
    report(
        "Healthy: no steal, no wait of more than 5 ms, no standing still of more than 5 ms, 20,000/s for 1 s",
        &healthy,
    );
    report("Meant to be healthy, but disturbed; not counted", &disturbed);
    let mut table = Table::begin("What disturbed them");
    for run in &disturbed {
        table.line(&format!(
            "- exit {}: waited {:.1} ms for a core, {} ticks stolen, stood still for {:.1?}",
            run.outcome.code,
            run.wait_ns_max as f64 / 1e6,
            run.stolen_ticks,
            run.still.unwrap_or_default()
        ));
    }
    let alarms: Vec<String> =
        healthy.iter().filter(|run| run.outcome.code != 0).map(|run| run.outcome.told()).collect();
    assert!(alarms.is_empty(), "{} false alarms: {alarms:#?}", alarms.len());
    assert!(healthy.len() == wanted || in_haste(), "only {} of {tries} runs were healthy", healthy.len());
}
