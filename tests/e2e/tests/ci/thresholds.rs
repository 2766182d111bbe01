//! Thresholds that are judged while a run lasts: windows, the grace at the start, and the end at a breach.

use e2e::document::items;
use e2e::engine::write;
use e2e::machine::among_others;
use e2e::{Engine, Outcome, Target, count, number, text};

/// Runs 50 requests per second for 12 s against a target that answers with an error every time, under one threshold.
fn run(target: &Target, threshold: &str, code: i32) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    write(
        &plan,
        format!(
            "schema: openloop.plan/1\ntargets: {{a: \"{}\"}}\nworkloads:\n  w: {{tps: 50, for: 12s, request: {{get: \"/?status=500\", \
             name: pay, fail-status: none, check: {{status: 200}}}}}}\nthresholds:\n  - {threshold}\n",
            target.url()
        ),
    );
    Engine::patient("run").arg(&plan).run().expect(code)
}

/// The only threshold of a summary.
fn judged(outcome: &Outcome) -> &serde_json::Value {
    let [judged] = items(outcome.summary(), "/thresholds") else { panic!("one: {}", outcome.told()) };
    judged
}

#[test]
fn a_breach_with_abort_ends_the_run_and_the_report_says_which_and_when() {
    let _hold = among_others();
    let target = Target::start("--error-rate 1");
    let outcome = run(&target, "{name: pay, that: \"p99<1us\", over: 2s, abort: true, grace: 3s}", 10);
    let judged = judged(&outcome);
    let (at_s, sent) = (count(judged, "/at_s"), outcome.audit().sent);
    assert!(judged["aborted"] == true && judged["passed"] == false, "{judged}");
    // Not within the grace, and not long behind it.
    assert!((3..=6).contains(&at_s), "{judged}");
    assert!(number(outcome.summary(), "/run/duration_s") < 9.0, "{}", outcome.told());
    assert!((150..450).contains(&sent), "{sent} of 600 that the plan has");
    assert_eq!(count(&target.stop(), "/requests"), sent);
    assert!(outcome.stderr.contains("p99<1us"), "{}", outcome.told());
    assert!(
        outcome.stdout.contains("p99<1us") && outcome.stdout.starts_with("FAIL (exit 10)"),
        "{}",
        outcome.told()
    );
    assert_eq!(text(outcome.summary(), "/verdict/result"), "fail");
}

#[test]
fn a_breach_without_abort_fails_the_run_at_its_end() {
    let _hold = among_others();
    let target = Target::start("--error-rate 1");
    let outcome = run(&target, "{that: \"checks>99%\", over: 2s}", 10);
    let judged = judged(&outcome);
    assert!(judged["passed"] == false && judged.get("aborted").is_none(), "{judged}");
    assert!(count(judged, "/at_s") <= 12, "{judged}");
    assert_eq!(outcome.audit().sent, 600, "the run went on to its end");
    assert_eq!(count(outcome.summary(), "/names/pay/status/500"), 600);
}

#[test]
fn what_holds_in_every_window_passes() {
    let _hold = among_others();
    let target = Target::start("--error-rate 1");
    let outcome = run(&target, "{that: \"checks<1%\", over: 2s, abort: true}", 0);
    assert_eq!(judged(&outcome)["passed"], true);
}
