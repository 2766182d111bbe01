//! What people read: the summary, the progress, colours.

use e2e::document::items;
use e2e::engine::{Outcome, write};
use e2e::machine::among_others;
use e2e::waiting::SOON;
use e2e::{Engine, Target, Terminal, count};
use rustix::process::Signal;

#[test]
fn the_summary_begins_with_the_verdict_and_fits_a_screen() {
    let _hold = among_others();
    let target =
        Target::start("--error-rate 0.1 --close-rate 0.1 --cut-rate 0.1 --garbage-rate 0.1 --delay exp:2ms");
    let line = "--tps 300 -d 2s --max-lag 1h --threshold p99<1h --threshold p50<1h";
    let outcome = Engine::new(line).arg(target.url()).run().expect(0);
    assert!(outcome.stdout.starts_with("PASS (exit 0)  "), "{}", outcome.told());
    assert!(outcome.stdout.lines().count() <= 40, "{}", outcome.told());
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 110), "{}", outcome.told());
    assert!(outcome.stdout.contains("audit      scheduled 600 = sent 600 "), "{}", outcome.told());
    assert!(!outcome.stdout.contains('\x1b') && !outcome.stderr.contains('\x1b'), "{}", outcome.told());
}

#[test]
fn colours_are_the_users_choice() {
    let _hold = among_others();
    let target = Target::start("");
    let engine = || Engine::new("--tps 20 -d 1s --max-lag 1h").arg(target.url());
    for (engine, coloured) in [
        (engine().args("--color always"), true),
        (engine().args("--color never").variable("CLICOLOR_FORCE", "1"), false),
        (engine().variable("CLICOLOR_FORCE", "1"), true),
        (engine().variable("CLICOLOR_FORCE", "1").variable("NO_COLOR", "1"), false),
    ] {
        let outcome = engine.run().expect(0);
        assert_eq!(outcome.stdout.contains("\x1b["), coloured, "{}", outcome.told());
    }
    // A terminal that knows no UTF-8 gets none.
    let outcome = engine().variable("LC_ALL", "C").run().expect(0);
    assert!(outcome.stdout.is_ascii(), "{}", outcome.told());
}

#[test]
fn progress_is_a_plain_line_where_there_is_no_terminal() {
    let _hold = among_others();
    let target = Target::start("");
    let outcome = Engine::patient("--tps 100 -d 3s --progress-every 1s").arg(target.url()).run().expect(0);
    let lines: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains("100")).collect();
    assert!(lines.len() >= 2, "{}", outcome.told());
    let seldom = Engine::patient("--tps 100 -d 1s").arg(target.url()).run().expect(0);
    let often = outcome.stderr.lines().count();
    assert!(seldom.stderr.lines().count() < often, "{}", seldom.told());
    let quiet = Engine::patient("--tps 100 -d 1s --quiet").arg(target.url()).run().expect(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn help_and_version_are_asked_for() {
    let _hold = among_others();
    for line in
        ["--help", "-h", "target --help", "merge --help", "schema --help", "doctor --help", "--version"]
    {
        let outcome = Engine::new(line).run().expect(0);
        assert!(outcome.stderr.is_empty() && outcome.stdout.len() > 10, "{}", outcome.told());
    }
    let outcome = Engine::new("").run().expect(2);
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("--tps"), "{}", outcome.told());
}

/// Notes of a report.
fn notes(outcome: &Outcome) -> Vec<String> {
    let notes = items(outcome.summary(), "/environment/notes").iter();
    notes.map(|note| note.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn keys_change_the_rate_and_end_the_run() {
    let _hold = among_others();
    let target = Target::start("");
    let mut terminal = Terminal::open();
    let engine = Engine::patient("--tps 100 -d 60s").arg(target.url()).at(&terminal).start();
    terminal.wait_for("keys: + a tenth more", SOON);
    assert!(!terminal.is_as_new());
    terminal.press("+");
    terminal.wait_for("rate 110/s", SOON);
    terminal.wait_for("asked 110/s", SOON);
    terminal.press("--");
    terminal.wait_for("90.909091/s", SOON);
    terminal.press("+");
    terminal.wait_for("rate 100/s", SOON);
    terminal.press("q");
    let outcome = engine.finish().expect(0);
    assert!(terminal.is_as_new(), "{}", terminal.shown());
    let (audit, notes) = (outcome.audit(), notes(&outcome));
    // What was due as the key came may have been waiting.
    assert!(audit.dropped.keys().all(|reason| reason == "interrupted"), "{}", outcome.told());
    for words in ["the rate was set to 110/s from", "the rate was set to 90.909091/s", "stopped by the key q"]
    {
        assert!(notes.iter().any(|note| note.contains(words)), "{words}: {}", outcome.told());
    }
    // The asked rate of each second is that of its middle: that of the plan, and then the changed one.
    let asked: Vec<u64> = items(outcome.summary(), "/timeline")
        .iter()
        .map(|second| count(second, "/asked_micro_tps"))
        .collect();
    assert!(asked[0] == 100_000_000 && asked.contains(&110_000_000), "{asked:?}");
    assert_eq!(target.stop()["requests"], audit.sent);
}

#[test]
fn keys_move_all_rates_of_a_plan_together_within_its_guard() {
    let _hold = among_others();
    let target = Target::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    write(
        &plan,
        format!(
            "schema: openloop.plan/1\ntargets: {{a: \"{}\"}}\noptions: {{rate-guard: 120}}\nworkloads:\n  \
             browse: {{tps: 80, for: 60s, request: /browse}}\n  buy: {{tps: 20, for: 60s, request: /buy}}\n  \
             people: {{users: 2, for: 60s, scenario: [{{get: /people}}, {{think: 100ms}}]}}\n",
            target.url()
        ),
    );
    let mut terminal = Terminal::open();
    let engine = Engine::patient("run").arg(&plan).at(&terminal).start();
    terminal.wait_for("asked 100/s iterations + 2 users", SOON);
    terminal.wait_for("GET /browse", SOON);
    terminal.press("+");
    terminal.wait_for("browse 88/s, buy 22/s", SOON);
    terminal.wait_for("asked 110/s iterations", SOON);
    terminal.press("+");
    terminal.wait_for("above the guard of 120/s", SOON);
    // Ctrl-C is a signal still.
    terminal.press("\u{3}");
    let outcome = engine.finish().expect(130);
    assert!(terminal.is_as_new(), "{}", terminal.shown());
    let _ = outcome.audit();
    let asked: Vec<u64> = items(outcome.summary(), "/timeline")
        .iter()
        .map(|second| count(second, "/asked_micro_tps"))
        .collect();
    assert!(asked[0] == 100_000_000 && asked.contains(&110_000_000), "{asked:?}");
}

#[test]
fn the_terminal_is_put_back_after_signals() {
    let _hold = among_others();
    let target = Target::start("");
    for (signal, code) in [(Signal::TERM, 143), (Signal::QUIT, 130), (Signal::INT, 130)] {
        let mut terminal = Terminal::open();
        let engine = Engine::patient("--tps 50 -d 60s").arg(target.url()).at(&terminal).start();
        terminal.wait_for("keys: + a tenth more", SOON);
        engine.process.signal(signal);
        engine.finish().expect(code);
        assert!(terminal.is_as_new(), "{signal:?}: {}", terminal.shown());
    }
    // Nothing is told to a terminal where there is no progress, or where it goes elsewhere.
    let terminal = Terminal::open();
    Engine::patient("--tps 50 -d 1s --quiet").arg(target.url()).at(&terminal).run().expect(0);
    let outcome =
        Engine::patient("--tps 50 -d 1s").arg(target.url()).stdin(terminal.stream()).run().expect(0);
    assert!(terminal.is_as_new() && notes(&outcome).iter().all(|note| !note.contains("rate was set")));
}
