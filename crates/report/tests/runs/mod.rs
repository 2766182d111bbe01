//! Runs for tests: measured by real recorders from a list of exchanges, so that a run can be cut into shares and the
//! shares compared with the whole. Also the golden files.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::path::Path;

use measure::{DropReason, ErrorClass, Gauges, Names, Recorder, Shape, Snapshot, Totals};
use report::{Environment, Io, PlanEcho, Run, RunFacts, Share, Summary, Target};
use verdict::{Ending, Facts, Threshold, Verdict, judge};

pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// What became of one arrival.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) second: u64,
    pub(crate) name: u32,
    pub(crate) response_ns: u64,
    pub(crate) fate: Fate,
}

#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Ok(u16),
    Failed(ErrorClass),
    Dropped(DropReason),
    CutOff,
}

/// Arrivals of `seconds` seconds with skewed response times, some failures, drops and cut-offs at the end.
pub(crate) fn outcomes(seconds: u64, per_second: u64) -> Vec<Outcome> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % below
    };
    let mut all = Vec::new();
    for second in 0..seconds {
        for position in 0..per_second {
            let response_ns = 200_000 + random(1_000) * random(1_000) * 7;
            let is_last = second + 1 == seconds && position + 2 >= per_second;
            let fate = match random(200) {
                _ if is_last => Fate::CutOff,
                0 => Fate::Failed(ErrorClass::Reset),
                1 => Fate::Failed(ErrorClass::TimeoutFirstByte),
                2 => Fate::Dropped(DropReason::Expired),
                3..=9 => Fate::Ok(404),
                _ => Fate::Ok(200),
            };
            all.push(Outcome { second, name: u32::try_from(random(2)).expect("below 2"), response_ns, fate });
        }
    }
    all
}

/// Only arrivals that succeeded.
pub(crate) fn good_outcomes(seconds: u64, per_second: u64) -> Vec<Outcome> {
    let good = |outcome: Outcome| Outcome { fate: Fate::Ok(200), ..outcome };
    outcomes(seconds, per_second).into_iter().map(good).collect()
}

pub(crate) fn play(recorder: &mut Recorder, outcome: &Outcome) {
    recorder.scheduled(1);
    if let Fate::Dropped(reason) = outcome.fate {
        recorder.dropped(outcome.name, reason);
        return;
    }
    recorder.sent(outcome.name);
    recorder.lag(outcome.response_ns / 500);
    recorder.queue(outcome.response_ns / 900);
    recorder.bytes_sent(120);
    match outcome.fate {
        Fate::Ok(status) => {
            recorder.first_byte(outcome.response_ns / 2);
            recorder.bytes_received(300);
            recorder.ok(outcome.name, outcome.response_ns, outcome.response_ns - 1_000, status);
        }
        Fate::Failed(class) => {
            recorder.failed(outcome.name, class, outcome.response_ns, Some(outcome.response_ns - 1_000));
        }
        Fate::CutOff => recorder.cut_off(outcome.name),
        Fate::Dropped(_) => unreachable!("it was never sent"),
    }
}

/// Totals and timeline of outcomes that one shard measured.
pub(crate) fn measured(outcomes: &[Outcome]) -> (Totals, Vec<report::Second>) {
    let mut recorder = Recorder::new(0, 0, Shape::requests(2));
    recorder.connect_started();
    recorder.connect(90_000);
    let mut totals = Totals::new(Shape::requests(2));
    let mut timeline = Vec::new();
    let seconds = outcomes.iter().map(|outcome| outcome.second + 1).max().unwrap_or(0);
    for second in 0..seconds {
        for outcome in outcomes.iter().filter(|outcome| outcome.second == second) {
            play(&mut recorder, outcome);
        }
        let spare = Box::new(Snapshot::new(Shape::requests(2)));
        let mut sealed = recorder.seal(spare, second * SECOND_NS, (second + 1) * SECOND_NS);
        sealed.cpu_ns = 4_000_000;
        totals.absorb(&sealed);
        let mut of_second = Totals::new(Shape::requests(2));
        of_second.absorb(&sealed);
        let gauges = Gauges { connections: 1, in_flight: 0, waiting: 0 };
        timeline.push(report::second(second, &of_second, gauges, true));
    }
    (totals, timeline)
}

pub(crate) fn facts(id: &str, share: Option<Share>, seconds: u32) -> RunFacts {
    RunFacts {
        run: Run {
            id: id.to_owned(),
            started_at: "2026-11-20T19:05:00.000Z".to_owned(),
            duration_s: f64::from(seconds),
            elapsed_s: f64::from(seconds),
            tool_version: "0.1.0".to_owned(),
            io: Io {
                driver: "io_uring".to_owned(),
                why: "this host allows every ring feature needed".to_owned(),
            },
            cores: 1,
            kernel: "6.12.0".to_owned(),
            pacing: "sleep".to_owned(),
            share,
            ..Run::default()
        },
        target: Target { url: "http://127.0.0.1:8080/".to_owned(), builtin: true, ..Target::default() },
        plan: PlanEcho {
            schedule: format!("1000/s for {seconds}s"),
            process: "deterministic".to_owned(),
            seed: None,
            settings: BTreeMap::from([("timeout".to_owned(), "10s".to_owned())]),
        },
        environment: Environment { host: "loader".to_owned(), notes: Vec::new() },
        names: Names::requests(["home".to_owned(), "search".to_owned()]),
        cores: vec![Some(1)],
        link: Some(report::Link { interface: "eth0".to_owned(), speed_bits_per_s: Some(10_000_000_000) }),
        connections_limit: 1_024,
        lag_p99_worst_second_ns: 13_000,
        max_lag: Some(plan::MaxLag::DEFAULT),
        tags: BTreeMap::from([("team".to_owned(), "search".to_owned())]),
    }
}

pub(crate) fn judged(seconds: u32, totals: &Totals, thresholds: &[&str]) -> Verdict {
    let thresholds: Vec<Threshold> =
        thresholds.iter().map(|text| Threshold::parse(text).expect("a good threshold")).collect();
    let per_second = |count: u64| count * 1_000_000 / u64::from(seconds.max(1));
    let names = Names::requests(["home".to_owned(), "search".to_owned()]);
    let judged = Facts {
        totals,
        names: &names,
        watched: &[],
        sent_micro_tps: per_second(totals.counters.sent),
        completed_micro_tps: per_second(totals.counters.completed()),
        lag_p99_of_worst_second_ns: 13_000,
        max_lag: plan::MaxLag::DEFAULT,
        ending: Ending::Completed,
    };
    judge(&judged, &thresholds)
}

/// The summary of outcomes.
pub(crate) fn summary(id: &str, share: Option<Share>, outcomes: &[Outcome], thresholds: &[&str]) -> Summary {
    let (totals, timeline) = measured(outcomes);
    let seconds = u32::try_from(timeline.len()).expect("a short run");
    let facts = facts(id, share, seconds);
    let verdict = judged(seconds, &totals, thresholds);
    Summary::new(&facts, &totals, timeline, &verdict)
}

/// Compares with a committed file; with `UPDATE_GOLDEN=1` in the environment it writes the file instead.
pub(crate) fn assert_golden(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{} differs; UPDATE_GOLDEN=1 writes it anew. Now it is:\n{text}", path.display());
}
