//! The control socket: a parent program holds, starts, steers and ends a run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use e2e::control::Control;
use e2e::document::Schema;
use e2e::engine::Running;
use e2e::machine::among_others;
use e2e::waiting::{SOON, monotonic_ns, now, pause, pause_until_ns, wait_for};
use e2e::{Engine, Outcome, Target, count, text};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::Hostile;

/// An engine that waits for orders.
struct Held {
    running: Running,
    control: Control,
    socket: PathBuf,
    _folder: TempDir,
}

impl Held {
    fn start(line: &str, url: &str) -> Self {
        Self::with(Engine::patient(line).arg(url))
    }

    fn with(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("control");
        let running = engine.arg("--control").arg(&socket).start();
        let mut control = Control::connect(&socket);
        wait_for("readiness", SOON, || {
            (control.order(json!({"op": "status"}))["status"]["state"] == "ready").then_some(())
        });
        Self { running, control, socket, _folder: folder }
    }

    /// Waits for the end; the outcome, and what was said on the socket until then.
    fn finish(self) -> (Outcome, Vec<Value>) {
        let said = self.control.rest();
        let outcome = self.running.finish();
        assert!(!self.socket.exists(), "the socket's file is left behind");
        (outcome, said)
    }
}

#[test]
fn a_run_is_held_until_it_is_started() {
    let _hold = among_others();
    let target = Target::start("");
    let mut held = Held::start("--tps 200 -d 1s", &target.url());
    let mode = fs::metadata(&held.socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others may drive this run");
    pause(Duration::from_millis(300));
    let standing = held.control.order(json!({"op": "status"}));
    Schema::of("control").admit(&standing);
    assert_eq!(standing["status"]["start_monotonic_ns"], Value::Null);
    assert_eq!(count(&target.truth(), "/requests"), 0);
    let before = monotonic_ns();
    let started = held.control.order(json!({"op": "start"}));
    assert!(count(&started, "/status/start_monotonic_ns") > before, "{started}");
    assert!(held.control.refused(json!({"op": "start"})).contains("started already"));
    let (outcome, _) = held.finish();
    assert_eq!(outcome.expect(0).audit().sent, 200);
    assert_eq!(count(&target.stop(), "/requests"), 200);
}

#[test]
fn an_armed_run_sends_nothing_before_its_time() {
    let _hold = among_others();
    let target = Hostile::start("good");
    let mut held = Held::start("--tps 500 -d 1s", &target.url());
    assert!(held.control.refused(json!({"op": "arm", "at_monotonic_ns": 1})).contains("later"));
    let at = monotonic_ns() + 800_000_000;
    let armed = held.control.order(json!({"op": "arm", "at_monotonic_ns": at}));
    assert_eq!(count(&armed, "/status/start_monotonic_ns"), at);
    let (outcome, _) = held.finish();
    let summary = outcome.expect(0);
    assert_eq!(summary.audit().sent, 500);
    let mut requests = target.seen().requests;
    requests.sort_unstable();
    assert_eq!(requests.len(), 500);
    // Arrival k is due 2 ms × k after the start: at no instant has the target seen more than were due.
    for (index, seen) in requests.iter().enumerate() {
        let due = at + 2_000_000 * index as u64;
        assert!(*seen >= due, "request {index} was seen {} ns before it was due", due - seen);
    }
}

#[test]
fn the_rate_can_be_changed_while_it_runs() {
    let _hold = among_others();
    let target = Target::start("");
    let mut held = Held::start("--tps 100 -d 3s", &target.url());
    let started = held.control.order(json!({"op": "start"}));
    let start = count(&started, "/status/start_monotonic_ns");
    pause_until_ns(start + 1_000_000_000);
    let asked_at = monotonic_ns();
    held.control.order(json!({"op": "set_rate", "rate": "1k"}));
    let answered_at = monotonic_ns();
    let (outcome, _) = held.finish();
    let outcome = outcome.expect(0);
    let scheduled = outcome.audit().scheduled;
    // The change takes hold shortly after the order; until then 100 per second are due, from then on 1,000.
    let planned = |changed: u64| {
        let before = changed.saturating_sub(start).min(3_000_000_000);
        (before / 10_000_000) + (3_000_000_000 - before) / 1_000_000
    };
    let (most, least) = (planned(asked_at), planned(answered_at + 1_000_000_000));
    assert!(
        least <= scheduled && scheduled <= most + 2,
        "{least} to {most} arrivals expected: {}",
        outcome.told()
    );
    assert!(scheduled > 300, "the order changed nothing: {}", outcome.told());
    assert_eq!(count(&target.stop(), "/requests"), outcome.audit().sent);
}

#[test]
fn the_rate_of_one_workload_of_a_plan_can_be_changed() {
    let _hold = among_others();
    let target = Target::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    let text = format!(
        "schema: openloop.plan/1\ntargets: {{here: '{}'}}\nworkloads:\n  \
         browse: {{tps: 100, for: 3s, start: 200ms, scenario: look}}\n  \
         buy: {{tps: 50, for: 3s, scenario: look}}\n  people: {{users: 2, for: 1s, scenario: rest}}\n\
         scenarios:\n  look: [{{get: /}}, {{get: /again}}]\n  rest: [{{get: /rest}}, {{think: 100ms}}]\n",
        target.url()
    );
    fs::write(&plan, text).expect("it is written");
    let mut held = Held::with(Engine::patient("run").arg(&plan));
    let schema = Schema::of("control");
    let set = json!({"op": "set_rate", "workload": "browse", "rate": "1k"});
    schema.admit(&set);
    let refused = held.control.refused(set.clone());
    assert!(refused.contains("not running"), "{refused}");
    let started = held.control.order(json!({"op": "start"}));
    let start = count(&started, "/status/start_monotonic_ns");
    pause_until_ns(start + 1_000_000_000);
    for (order, said) in [
        (json!({"op": "set_rate", "rate": 1}), "say which with workload: one of \"browse\", \"buy\""),
        (json!({"op": "set_rate", "workload": "people", "rate": 1}), "\"people\" is no workload with a rate"),
    ] {
        let refused = held.control.refused(order);
        assert!(refused.contains(said), "{refused}");
    }
    let asked_at = monotonic_ns();
    held.control.order(set);
    let answered_at = monotonic_ns();
    let (outcome, _) = held.finish();
    let outcome = outcome.expect(0);
    let scheduled =
        |workload: &str| count(outcome.summary(), &format!("/workloads/{workload}/iterations/scheduled"));
    assert_eq!(scheduled("buy"), 150, "nobody changed the rate of this one");
    let zero = start + 200_000_000;
    let planned = |changed: u64| {
        let before = changed.saturating_sub(zero).min(3_000_000_000);
        (before / 10_000_000) + (3_000_000_000 - before) / 1_000_000
    };
    let (most, least) = (planned(asked_at), planned(answered_at + 1_000_000_000));
    let browse = scheduled("browse");
    assert!(least <= browse && browse <= most + 2, "{least} to {most} expected: {}", outcome.told());
    assert!(browse > 300, "the order changed nothing: {}", outcome.told());
    let notes = outcome.summary()["environment"]["notes"].to_string();
    assert!(notes.contains("workload browse was set to 1"), "{notes}");
    assert_eq!(count(&target.stop(), "/requests"), outcome.audit().sent);
}

#[test]
fn subscribers_hear_every_interval() {
    let _hold = among_others();
    let target = Target::start("");
    let mut held = Held::start("--tps 200 -d 3s", &target.url());
    let mut another = Control::connect(&held.socket);
    held.control.order(json!({"op": "subscribe"}));
    another.order(json!({"op": "subscribe"}));
    held.control.order(json!({"op": "start"}));
    let said = [another.rest(), {
        let (outcome, said) = held.finish();
        assert_eq!(outcome.expect(0).audit().sent, 600);
        said
    }];
    let (control, interval) = (Schema::of("control"), Schema::of("interval"));
    for said in said {
        for event in &said {
            control.admit(event);
        }
        let intervals: Vec<&Value> = said
            .iter()
            .filter(|event| event["event"] == "interval")
            .map(|event| &event["interval"])
            .collect();
        for document in &intervals {
            interval.admit(document);
        }
        assert_eq!(intervals.iter().map(|document| count(document, "/sent")).sum::<u64>(), 600);
        let ended: Vec<usize> = (0..said.len()).filter(|index| said[*index]["event"] == "ended").collect();
        assert_eq!(ended, [said.len() - 1], "one end, and nothing after it");
    }
}

#[test]
fn a_stop_finishes_what_is_in_flight() {
    let _hold = among_others();
    let target = Target::start("--delay 300ms");
    let mut held = Held::start("--tps 200 -d 100s", &target.url());
    held.control.order(json!({"op": "start"}));
    wait_for("load", SOON, || (count(&target.truth(), "/requests") >= 50).then_some(()));
    let begin = now();
    held.control.order(json!({"op": "stop"}));
    let (outcome, _) = held.finish();
    assert!(begin.elapsed() < Duration::from_secs(15), "it took {:?} to stop", begin.elapsed());
    let audit = outcome.audit();
    assert_eq!((audit.cut_off, audit.failed()), (0, 0), "{}", outcome.told());
    assert!(audit.sent >= 50 && audit.sent < 10_000, "{audit:?}");
    assert_eq!(count(&target.stop(), "/requests"), audit.sent);
}

#[test]
fn an_abort_leaves_now() {
    let _hold = among_others();
    let mute = Hostile::start("mute");
    let mut held = Held::start("--tps 200 -d 100s --timeout 90s", &mute.url());
    held.control.order(json!({"op": "start"}));
    wait_for("load", SOON, || (mute.seen().requests.len() >= 20).then_some(()));
    let begin = now();
    held.control.order(json!({"op": "abort"}));
    let (outcome, _) = held.finish();
    assert!(begin.elapsed() < Duration::from_secs(15), "it took {:?} to abort", begin.elapsed());
    let outcome = outcome.expect(130);
    assert_eq!(text(outcome.summary(), "/verdict/result"), "aborted");
    assert_eq!(outcome.audit().cut_off, outcome.audit().sent);
}

#[test]
fn a_held_run_can_be_given_up() {
    let _hold = among_others();
    let target = Target::start("");
    let held = Held::start("--tps 200 -d 1s", &target.url());
    held.running.process.signal(rustix::process::Signal::TERM);
    let (outcome, _) = held.finish();
    let outcome = outcome.expect(143);
    assert_eq!(outcome.audit().sent, 0);
    assert_eq!(count(&target.stop(), "/requests"), 0);
}

#[test]
fn wrong_requests_are_answered_and_disturb_nothing() {
    let _hold = among_others();
    let target = Target::start("");
    let mut held = Held::start("--tps 200 -d 1s", &target.url());
    let schema = Schema::of("control");
    for (request, words) in [
        (json!({"op": "go"}), "no operation"),
        (json!({"op": "arm"}), "at_monotonic_ns"),
        (json!({"op": "arm", "at_monotonic_ns": "soon"}), "not a request"),
        (json!({"op": "set_rate"}), "needs rate"),
        (json!({"op": "set_rate", "rate": "fast"}), "fast"),
        (json!({"op": "set_rate", "rate": -5}), "rate"),
        (json!({"op": "set_rate", "rate": true}), "rate"),
    ] {
        // A request that is not understood at all has no id that could be repeated.
        held.control.write(format!("{request}\n").as_bytes());
        let reply = held.control.line().expect("a reply");
        schema.admit(&reply);
        assert_eq!(reply["ok"], false, "{reply}");
        assert!(text(&reply, "/error").contains(words), "{request}: {reply}");
    }
    for nonsense in [&b"\n"[..], b"hello\n", b"[1,2]\n", b"{\"op\":\n", b"\xff\xfe\n", b"{}\n"] {
        held.control.write(nonsense);
        assert_eq!(held.control.line().expect("a reply")["ok"], false);
    }
    let mut flood = Control::connect(&held.socket);
    flood.write(&vec![b'x'; 64 << 10]);
    let farewell = flood.rest();
    assert!(farewell.len() <= 1 && farewell.iter().all(|line| line["ok"] == false), "{farewell:?}");
    held.control.order(json!({"op": "start"}));
    let (outcome, _) = held.finish();
    assert_eq!(outcome.expect(0).audit().sent, 200);
}

#[test]
fn many_clients_do_not_hold_a_run_up() {
    let _hold = among_others();
    let target = Target::start("");
    let mut held = Held::start("--tps 200 -d 2s", &target.url());
    // More than are served at one time, none of which ever reads.
    let silent: Vec<Control> = (0..40).map(|_| Control::connect(&held.socket)).collect();
    held.control.order(json!({"op": "start"}));
    let (outcome, _) = held.finish();
    assert_eq!(outcome.expect(0).audit().sent, 400);
    drop(silent);
}

#[test]
fn sockets_that_are_left_behind_are_replaced_and_others_are_not() {
    let _hold = among_others();
    let target = Target::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let stale = folder.path().join("stale");
    drop(UnixListener::bind(&stale).expect("a socket"));
    assert!(stale.exists());
    let running = Engine::patient("--tps 100 -d 1s").arg("--control").arg(&stale).arg(target.url()).start();
    let mut control = wait_for("the control socket", SOON, || {
        let standing = std::os::unix::net::UnixStream::connect(&stale).ok().map(|_| Control::connect(&stale));
        standing.map(|mut control| (control.order(json!({"op": "status"})), control).1)
    });
    // In use by a living engine.
    let second = Engine::patient("--tps 100 -d 1s --quiet")
        .arg("--control")
        .arg(&stale)
        .arg(target.url())
        .run()
        .expect(3);
    assert!(
        second.stderr.starts_with("error: --control: ") && second.stderr.contains("in use"),
        "{}",
        second.told()
    );
    wait_for("readiness", SOON, || {
        (control.order(json!({"op": "status"}))["status"]["state"] == "ready").then_some(())
    });
    control.order(json!({"op": "start"}));
    assert_eq!(running.finish().expect(0).audit().sent, 100);
    let file = folder.path().join("file");
    fs::write(&file, "precious").expect("a file");
    let outcome = Engine::patient("--tps 100 -d 1s --quiet")
        .arg("--control")
        .arg(&file)
        .arg(target.url())
        .run()
        .expect(3);
    assert!(outcome.stderr.contains("is no socket"), "{}", outcome.told());
    assert_eq!(fs::read_to_string(&file).expect("it is still there"), "precious");
}
