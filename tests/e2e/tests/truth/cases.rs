//! Laws, stalls, pauses and changing rates, over loopback, against the target's log.

use std::time::Duration;

use e2e::engine::Engine;
use e2e::machine::{Stillness, alone};
use e2e::waiting::pause_until_ns;
use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Behaviour, Finding, Maker, Place, SETTINGS, Server, Setting, Table, judge, run_armed};
use crate::oracle::{Comparison, latest_response_times, response_times, service_times};
use crate::plan::{Stretch, due, flags, level};

/// A process that is stopped by the kernel and continued: from and until, in milliseconds after the plan's zero.
#[derive(Copy, Clone, Debug)]
enum Pause {
    Target(u64, u64),
    Engine(u64, u64),
}

/// How often the lab looks whether the machine stands still: as often as what a figure may be off.
const LOOK: Duration = Duration::from_micros(200);

/// What is run.
struct Case {
    name: &'static str,
    behaviour: Behaviour,
    plan: Vec<Stretch>,
    /// More flags of the engine.
    flags: &'static str,
    pause: Option<Pause>,
    /// The law alone holds answers back, so service time has a truth too: between the delays that were applied and the response times.
    has_service: bool,
}

impl Case {
    fn law(name: &'static str, law: &'static str) -> Self {
        let behaviour = Behaviour::law(law);
        Self { name, behaviour, plan: level(1_000, 15.0), flags: "", pause: None, has_service: true }
    }

    fn stall(name: &'static str, flags: &'static str) -> Self {
        // Three freezes in 26 s meet 11.5 % of the requests: no percentile of the table lies on the edge between those
        // that met one and those that did not, where a few requests decide between 0 and 10 ms.
        let (behaviour, plan) = (Behaviour::stall(1_000, 10_000, 4_500), level(1_000, 26.0));
        Self { name, behaviour, plan, flags, pause: None, has_service: false }
    }

    fn pause(name: &'static str, pause: Pause) -> Self {
        // A pause of 500 ms is more than a twentieth of it, so that no percentile of the table lies on the pause's edge.
        let (behaviour, plan) = (Behaviour::law("none"), level(1_000, 8.0));
        Self { name, behaviour, plan, flags: "", pause: Some(pause), has_service: false }
    }

    fn run(&self, setting: Setting) -> Finding {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(setting.maker, self.behaviour, &Place::loopback(), folder.path());
        let engine =
            Engine::new(&flags(&self.plan)).args(&setting.flags()).args(self.flags).arg(server.url());
        let target = server.pid();
        let act = |zero_ns, engine| match self.pause {
            None => {}
            Some(Pause::Target(from, until)) => freeze(target, zero_ns, from, until),
            Some(Pause::Engine(from, until)) => freeze(engine, zero_ns, from, until),
        };
        let stillness = Stillness::watch_each(LOOK);
        let (outcome, zero_ns) = run_armed(engine.within(Duration::from_mins(2)), folder.path(), act);
        let stood = stillness.all().unwrap_or_default();
        let seen = server.stop();
        let due = due(&self.plan, zero_ns);
        let audit = outcome.audit();
        assert_eq!((audit.sent, audit.ok), (due.len() as u64, due.len() as u64), "{}", outcome.told());
        let response = response_times(&due, &seen);
        let latest = latest_response_times(&due, &seen, &stood);
        let mut comparisons = vec![Comparison::between(outcome.summary(), "response", &response, &latest)];
        if self.has_service {
            // A request left after it was due, and before it was read.
            let held = service_times(&seen);
            comparisons.push(Comparison::between(outcome.summary(), "service", &held, &latest));
        }
        // A generator that stood still must say so, though its figures are right.
        let code = if matches!(self.pause, Some(Pause::Engine(..))) { 12 } else { 0 };
        Finding { outcome, comparisons, code }
    }
}

fn freeze(process: Pid, zero_ns: u64, from_ms: u64, until_ms: u64) {
    pause_until_ns(zero_ns + from_ms * 1_000_000);
    kill_process(process, Signal::STOP).expect("it lives");
    pause_until_ns(zero_ns + until_ms * 1_000_000);
    kill_process(process, Signal::CONT).expect("it lives");
}

fn run_all(title: &str, cases: &[Case], settings: &[Setting]) {
    let _hold = alone();
    let mut table = Table::comparisons(title);
    let runs = cases.iter().flat_map(|case| settings.iter().map(move |setting| (case, *setting)));
    let wrong: Vec<String> = runs
        .filter_map(|(case, setting)| judge(case.name, setting, &mut table, || case.run(setting)))
        .collect();
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn delay_laws_are_reported_as_the_target_applied_them() {
    let cases = [
        Case::law("constant 10 ms", "10ms"),
        Case::law("7 % 50 ms, else 2 ms", "bimodal:2ms,50ms,0.07"),
        Case::law("exponential, mean 5 ms", "exp:5ms"),
        Case::law("Pareto 1 ms, 1.5, at most 2 s", "pareto:1ms,1.5,2s"),
    ];
    run_all("Delay laws, 1,000/s for 15 s: reported / true", &cases, &SETTINGS);
}

#[test]
fn stalls_are_reported_in_full() {
    let cases =
        [Case::stall("frozen 1 s in every 10 s", ""), Case::stall("the same, 10 connections", "-c 10")];
    run_all("Stalls, 1,000/s for 26 s: reported / true", &cases, &SETTINGS);
}

#[test]
fn pauses_are_reported_in_full() {
    let cases = [Case::pause("target stopped for 3 s", Pause::Target(3_000, 6_000))];
    run_all("Pauses by SIGSTOP, 1,000/s for 8 s: reported / true", &cases, &SETTINGS);
    let cases = [Case::pause("engine stopped for 500 ms", Pause::Engine(3_000, 3_500))];
    let settings: Vec<Setting> =
        SETTINGS.into_iter().filter(|setting| setting.maker == Maker::BuiltIn).collect();
    run_all("The engine itself stopped: right figures, and flagged", &cases, &settings);
}

#[test]
fn changing_rates_are_reported_in_full() {
    let plan = vec![
        Stretch { from: 0, to: 2_000, seconds: 5.0 },
        Stretch { from: 500, to: 500, seconds: 5.0 },
        Stretch { from: 500, to: 1_500, seconds: 5.0 },
    ];
    let case = |name, behaviour| Case {
        name,
        behaviour,
        plan: plan.clone(),
        flags: "",
        pause: None,
        has_service: false,
    };
    let cases = [
        case("exponential, mean 5 ms", Behaviour::law("exp:5ms")),
        case("frozen 300 ms in every 4 s", Behaviour::stall(300, 4_000, 2_000)),
    ];
    let title = "Rates from 0 to 2,000/s, at 500/s, from 500 to 1,500/s, 5 s each: reported / true";
    run_all(title, &cases, &SETTINGS);
}
