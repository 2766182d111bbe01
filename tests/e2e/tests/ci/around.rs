//! Setup and teardown: once, before and after the load, in no count of it.

use e2e::count;
use e2e::machine::among_others;
use e2e::waiting::{SOON, wait_for};
use rustix::process::Signal;

use crate::debug::Rig;

/// Every request of the load carries the token that setup has extracted; the shop refuses any other.
const PLAN: &str = r#"
schema: openloop.plan/1
targets: {shop: "${SHOP}"}
setup:
  - post: /login
    json: {user: "${WHO:-ann}"}
    extract: {token: {json: $.user.token}}
    check: [{json: {$.user.token: t-ann}}]
workloads:
  load: {tps: 50, for: "${FOR:-2s}", scenario: order}
scenarios:
  order:
    - {get: /orders/ann, name: order, auth: {bearer: "{{setup.token}}"}, check: [{status: 200}]}
teardown:
  - {get: "/orders/ann?undo={{setup.token}}", auth: {bearer: "${TOKEN:-{{setup.token}}}"}, check: [{status: 200}]}
"#;

const UNDO: &str = "GET /orders/ann?undo=t-ann";

#[test]
fn setup_comes_before_and_teardown_behind_the_load_in_no_count_of_it() {
    let _hold = among_others();
    let rig = Rig::new(PLAN);
    let outcome = rig.engine("run").args("--cores 2 --max-lag 1h").json().run().expect(0);
    assert_eq!(count(outcome.summary(), "/names/order/ok"), 100);
    assert_eq!(outcome.audit().sent, 100);
    let notes = outcome.summary()["environment"]["notes"].to_string();
    assert!(notes.contains("setup sent 1 request before the run"), "{notes}");
    assert!(notes.contains("teardown sent 1 request after the run"), "{notes}");
    let seen = rig.seen();
    assert_eq!((seen[0].as_str(), seen[101].as_str(), seen.len()), ("POST /login", UNDO, 102));
}

#[test]
fn a_setup_that_fails_keeps_the_load_from_beginning() {
    let _hold = among_others();
    let rig = Rig::new(PLAN);
    let outcome = rig.engine("run").args("--cores 1").variable("WHO", "bob").run().expect(11);
    let told =
        "error: setup failed, no load was sent: POST /login: check json $.user.token is t-ann does not hold";
    assert!(outcome.stderr.contains(told), "{}", outcome.told());
    let outcome = rig.engine("debug").variable("WHO", "bob").run().expect(10);
    assert!(outcome.stdout.contains("setup failed: nothing else is run"), "{}", outcome.told());
    assert_eq!(rig.seen(), ["POST /login", "POST /login"]);
}

#[test]
fn teardown_is_run_after_a_signal_and_told_of_when_it_fails() {
    let _hold = among_others();
    let rig = Rig::new(PLAN);
    let engine = rig.engine("run").args("--cores 1 --max-lag 1h").variable("FOR", "10m");
    let running = engine.variable("TOKEN", "nobody's").json().start();
    wait_for("load", SOON, || (rig.lines().len() >= 20).then_some(()));
    running.process.signal(Signal::INT);
    let outcome = running.finish().expect(130);
    let notes = outcome.summary()["environment"]["notes"].to_string();
    assert!(notes.contains("teardown failed"), "{notes}");
    assert!(outcome.stderr.contains("warning: teardown failed"), "{}", outcome.told());
    let seen = rig.seen();
    assert_eq!(seen.last().map(String::as_str), Some(UNDO), "{seen:?}");
    assert_eq!(seen.iter().filter(|line| *line == UNDO).count(), 1);
}

#[test]
fn one_iteration_is_shown_between_setup_and_teardown() {
    let _hold = among_others();
    let rig = Rig::new(PLAN);
    let outcome = rig.engine("debug").run().expect(0);
    let places: Vec<_> = ["setup\n", "workload load: one", "teardown\n"]
        .iter()
        .map(|part| outcome.stdout.find(part))
        .collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", outcome.told());
    assert_eq!(rig.seen(), ["POST /login", "GET /orders/ann", UNDO]);
}
