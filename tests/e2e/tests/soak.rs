//! The soak: ten minutes at 20,000 per second, with errors and connections that come and go, and half an hour of a plan with
//! fifty names, in flat memory.
//!
//! What it is: the built engine against its built target. Resident memory and open descriptors are read from the
//! kernel every second; from the second minute on neither may grow.
//! What it is not: a measurement of time. `OPENLOOP_SOAK=2m` makes both shorter or longer.
//!
//! Built only with the feature `long`, by `cargo xtask long soak`.

#![expect(clippy::print_stdout, reason = "whoever runs these for minutes wants the figures")]

use std::fs;
use std::time::Duration;

use e2e::Outcome;
use e2e::document::count;
use e2e::engine::{Engine, Running};
use e2e::machine::alone;
use e2e::target::Target;
use e2e::waiting::{now, pause};

/// How much resident memory may rise after the first minute, in KiB: 1 MB.
const GROWTH_KIB: u64 = 1_000;

/// Memory and descriptors at one instant.
#[derive(Copy, Clone, Debug)]
struct Reading {
    resident_kib: u64,
    descriptors: usize,
}

impl Reading {
    /// Of a process, while it runs.
    fn of(pid: i32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let resident_kib = line.split_whitespace().nth(1)?.parse().ok()?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        Some(Self { resident_kib, descriptors })
    }
}

/// Its length in seconds, `usual_s` unless the environment says otherwise.
fn seconds(usual_s: u64) -> u64 {
    let Ok(text) = std::env::var("OPENLOOP_SOAK") else { return usual_s };
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().expect("OPENLOOP_SOAK is a number and s or m");
    if unit == "m" { 60 * number } else { number }
}

#[test]
fn memory_and_descriptors_stay_flat() {
    let _hold = alone();
    let seconds = seconds(600);
    for driver in ["uring", "epoll"] {
        let target = Target::start("--cores 1 --error-rate 1%");
        // A connection serves a hundred requests, so that two hundred come and go each second.
        let running = Engine::patient("--tps 20000 -c 256 --close-after 100")
            .args(&format!("-d {seconds}s --io {driver}"))
            .arg(target.url())
            .within(Duration::from_secs(seconds + 60))
            .start();
        let outcome = watch(driver, running, seconds);
        let audit = outcome.audit();
        assert_eq!(audit.scheduled, 20_000 * seconds, "{}", outcome.told());
        assert!(audit.failed() > audit.sent / 200, "the target made too few errors: {}", outcome.told());
    }
}

#[test]
fn a_plan_of_fifty_names_stays_flat() {
    let _hold = alone();
    let seconds = seconds(1_800);
    let target = Target::start("--cores 1");
    let folder = tempfile::tempdir().expect("a folder");
    let rows: Vec<String> = (0..100_000).map(|row: u32| row.to_string()).collect();
    fs::write(folder.path().join("users.csv"), format!("id\n{}\n", rows.join("\n"))).expect("a full disk?");
    let choice = |name: u32| {
        let weight = 1 + name % 5;
        format!(
            "      - {{weight: {weight}, steps: [{{get: '/n{name}?user={{{{users.id}}}}', name: request {name}}}]}}"
        )
    };
    let choices: Vec<String> = (0..50).map(choice).collect();
    let (url, head) =
        (target.url(), "schema: openloop.plan/1\ndata: {users: {file: users.csv, at-end: repeat}}");
    let plan = format!(
        "{head}\ntargets: {{shop: '{url}'}}\nworkloads: {{mix: {{tps: 5000, for: {seconds}s, scenario: mix}}}}\n\
         scenarios:\n  mix:\n    data: users\n    steps:\n    - choose:\n{}\n",
        choices.join("\n")
    );
    let file = folder.path().join("plan.yaml");
    fs::write(&file, plan).expect("the plan can be written");
    let running = Engine::patient("run").arg(&file).within(Duration::from_secs(seconds + 60)).start();
    let outcome = watch("50 names", running, seconds);
    assert_eq!(outcome.audit().ok, 5_000 * seconds, "{}", outcome.told());
    let names = outcome.summary()["names"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(names, 50, "{}", outcome.told());
}

/// Follows a run to its end: memory and descriptors may not grow once it has settled.
fn watch(case: &str, running: Running, seconds: u64) -> Outcome {
    let settled = (seconds / 10).min(60);
    let pid = running.process.pid().as_raw_nonzero().get();
    let begin = now();
    let mut readings = Vec::new();
    while begin.elapsed() < Duration::from_secs(seconds) {
        pause(Duration::from_secs(1));
        let Some(reading) = Reading::of(pid) else { break };
        if begin.elapsed() >= Duration::from_secs(settled) {
            readings.push(reading);
        }
    }
    let outcome = running.finish().expect(0);
    let (first, last) = (readings[0], readings[readings.len() - 1]);
    let most = readings.iter().map(|reading| reading.resident_kib).max().expect("there are readings");
    println!(
        "{case}, {seconds} s: resident {} KiB after {settled} s, at most {most}, {} at the end; descriptors {} and {}; {} connects",
        first.resident_kib,
        last.resident_kib,
        first.descriptors,
        last.descriptors,
        count(outcome.summary(), "/connections/connects"),
    );
    assert!(most <= first.resident_kib + GROWTH_KIB, "memory grows: {readings:?}");
    let descriptors = readings.iter().map(|reading| reading.descriptors);
    let (fewest, greatest) = (descriptors.clone().min(), descriptors.max());
    // The pool grows with the worst stall, up to its cap; closing connections are counted in it.
    assert!(greatest <= fewest.map(|count| count + 512), "descriptors grow from {fewest:?} to {greatest:?}");
    assert!(readings.len() as u64 + settled + 5 >= seconds, "it was watched to its end");
    outcome
}
