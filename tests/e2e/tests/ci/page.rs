//! The page in a real Chromium over a real fleet: `coordinator serve`, three nodes and a target, driven by `page.mjs`.

use std::time::Duration;

use e2e::machine::among_others;
use e2e::served::Served;
use e2e::waiting::{pause, wait_for};
use e2e::{Target, count};
use testkit::browser;

/// Takes a journey; yields what it printed, and the fleet and the target as it left them.
fn travel(journey: &str) -> (String, Served, Target) {
    let target = Target::start("");
    let served = Served::start("--lease 2s");
    let _nodes = served.attend(&["alpha", "beta", "gamma"]);
    let script = include_str!("page.mjs").replace("TARGET_URL", &target.url());
    let told = browser::drive(&script, journey, &format!("http://{}", served.people));
    (told, served, target)
}

/// The number that follows a word in what a journey printed.
fn told(text: &str, word: &str) -> u64 {
    let after =
        text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("{word}: {text}"));
    after.trim().parse().expect("a number")
}

#[test]
fn a_run_is_started_watched_reloaded_changed_and_stopped_and_its_numbers_are_the_targets() {
    let _hold = among_others();
    let (text, served, target) = travel("whole");
    let shown = told(&text, "sent");
    assert_eq!(count(&target.stop(), "/requests"), shown, "{}", served.told());
}

#[test]
fn what_is_wrong_in_the_form_is_said_and_what_was_typed_stays() {
    let _hold = among_others();
    let (_, served, target) = travel("mistakes");
    let runs = served.get("/runs");
    let runs = runs["runs"].as_array().expect("a page of runs");
    assert_eq!(runs.len(), 1, "what was refused is no run: {runs:#?}");
    assert_eq!(count(&target.stop(), "/requests"), count(&runs[0], "/counts/sent"));
}

#[test]
fn the_page_outlives_its_coordinator() {
    let _hold = among_others();
    let target = Target::start("");
    let mut served = Served::start("--lease 10s");
    let _nodes = served.attend(&["alpha", "beta", "gamma"]);
    let script = include_str!("page.mjs").replace("TARGET_URL", &target.url());
    let root = format!("http://{}", served.people);
    std::thread::scope(|scope| {
        let journey = scope.spawn(|| browser::drive(&script, "outage", &root));
        wait_for("load", Duration::from_mins(1), || {
            (count(&target.truth(), "/requests") > 900).then_some(())
        });
        served.kill();
        pause(Duration::from_secs(2));
        served.again();
        journey.join().expect("the journey comes to its end");
    });
    assert_eq!(count(&target.stop(), "/requests"), 4_000);
}

#[test]
fn a_node_that_dies_is_seen_and_the_run_is_left_by_hand() {
    let _hold = among_others();
    let (_, served, target) = travel("death");
    let run = &served.get("/runs")["runs"][0];
    assert_eq!((&run["verdict"], &run["exit_code"]), (&"aborted".into(), &130.into()), "{run:#}");
    // What was on the wire of the killed node is not in its report.
    assert!(count(&target.stop(), "/requests") >= count(run, "/counts/ok"));
}
