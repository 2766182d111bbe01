//! A coordinator and its nodes, started by one command.

use std::path::Path;
use std::time::Duration;

use e2e::document::{Schema, parse};
use e2e::waiting::{SOON, wait_for};
use e2e::{Engine, Outcome, Target, count};
use rustix::process::{Pid, Signal};
use serde_json::Value;

/// `coordinator run --local` with a target and flags; its report goes to `file`.
fn local(nodes: u32, flags: &str, target: &Target, file: &Path) -> Engine {
    let line = format!("run --local {nodes} --max-lag 1h --lease 10s {flags} --json");
    Engine::of("coordinator", &line).arg(file).arg(target.url()).within(Duration::from_mins(2))
}

fn read(file: &Path) -> Value {
    parse("the report", &std::fs::read(file).expect("it was written"))
}

/// Runs it to a good end; its report, and how many requests the target counted.
fn passed(nodes: u32, flags: &str) -> (Value, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let target = Target::start("");
    let outcome = local(nodes, flags, &target, &file).run().expect(0);
    assert!(outcome.stdout.starts_with("PASS (exit 0)"), "{}", outcome.told());
    let report = read(&file);
    Schema::of("summary").admit(&report);
    (report, count(&target.stop(), "/requests"))
}

/// All of the plan was sent, and the target counted the same.
fn is_whole(report: &Value, counted: u64, planned: u64) {
    assert_eq!(count(report, "/audit/scheduled"), planned);
    assert_eq!(count(report, "/audit/sent"), planned, "{}", report["audit"]);
    assert_eq!(count(report, "/audit/unassigned"), 0, "{}", report["audit"]);
    assert_eq!(counted, planned, "the target counted something else than the nodes sent");
    assert_eq!(count(report, "/latency_ns/response/count"), planned);
}

/// What each node sent, in the order of their names.
fn sent_by(report: &Value) -> Vec<u64> {
    let nodes = report["nodes"].as_object().expect("a report by nodes");
    nodes.values().map(|node| count(node, "/totals/sent")).collect()
}

#[test]
fn three_nodes_send_one_exact_load() {
    let (report, counted) = passed(3, "--tps 2000 --duration 5s");
    is_whole(&report, counted, 10_000);
    let sent = sent_by(&report);
    assert_eq!(sent.iter().sum::<u64>(), 10_000, "{sent:?}");
    // 10,000 by three, each within a slot of its share.
    assert!(sent.len() == 3 && sent.iter().all(|sent| sent.abs_diff(3_333) <= 1), "{sent:?}");
}

#[test]
fn few_arrivals_over_many_nodes_are_exact_too() {
    let (report, counted) = passed(4, "--tps 1 --duration 4s");
    is_whole(&report, counted, 4);
    let (report, counted) = passed(3, "--tps 90 --duration 3s --weights 5:3:1");
    is_whole(&report, counted, 270);
    for (sent, share) in sent_by(&report).into_iter().zip([150, 90, 30]) {
        assert!(sent.abs_diff(share) <= 1, "{sent} of {share}");
    }
}

#[test]
fn local_nodes_die_with_the_command_however_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::start("");
    let running = local(2, "--tps 50 --duration 60s", &target, &folder.path().join("report.json")).start();
    let pids =
        wait_for("two nodes", SOON, || Some(running.process.children()).filter(|pids| pids.len() == 2));
    wait_for("load", Duration::from_secs(30), || (count(&target.truth(), "/requests") > 10).then_some(()));
    running.process.signal(Signal::KILL);
    wait_for("their end", Duration::from_secs(10), || {
        let is_gone = |pid: &Pid| {
            let state =
                std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            // What is dead and not collected yet sends nothing either.
            state.is_empty() || state.contains(") Z ")
        };
        pids.iter().all(is_gone).then_some(())
    });
}

#[test]
fn an_interrupted_run_is_reported_and_exits_with_130() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let target = Target::start("");
    let running = local(2, "--tps 100 --duration 60s", &target, &file).start();
    wait_for("load", Duration::from_secs(30), || (count(&target.truth(), "/requests") > 50).then_some(()));
    running.process.signal(Signal::INT);
    running.finish().expect(130);
    let sent = count(&read(&file), "/audit/sent");
    assert_eq!(count(&target.stop(), "/requests"), sent);
    assert!((50..3_000).contains(&sent), "{sent}");
}

fn refused(line: &str) -> Outcome {
    Engine::of("coordinator", line).run()
}

#[test]
fn what_cannot_be_done_is_said_with_the_houses_exit_codes() {
    for (line, code, fragment) in [
        ("run --tps 5 --nodes-listen 127.0.0.1:0 --nodes 1", 2, "nothing says whom to load → a URL"),
        (
            "run http://127.0.0.1:1/ --tps 5 --share 1/2 --nodes-listen 127.0.0.1:0",
            2,
            "--share: the coordinator deals the shares",
        ),
        ("run http://127.0.0.1:1/ --tps 5 --rate-guard 1", 4, "above the guard of 1/s"),
        ("run http://127.0.0.1:1/ --tsp 5", 2, "--tsp: no such flag"),
        (
            "run http://127.0.0.1:1/ --tps 5 --local 1 --engine /nowhere/engine",
            3,
            "--engine FILE names the engine",
        ),
        (
            "run http://127.0.0.1:1/ --tps 5 --nodes-listen 127.0.0.1:0 --nodes 1 --wait 1s",
            3,
            "the run did not begin",
        ),
        ("serve --nodes-listen 0.0.0.0:0 --state /tmp", 4, "without TLS and tokens"),
        ("status --coordinator http://127.0.0.1:1", 3, "no coordinator at 127.0.0.1:1"),
        ("submit --tps 5", 2, "nothing says whom to load → a URL"),
        (
            "submit http://127.0.0.1:1/ --tps 5 --json r.json",
            2,
            "--json: there is no report before the run has ended",
        ),
        ("submit http://127.0.0.1:1/ --tps 5 --cores 1", 2, "--cores: each node says by itself"),
        ("run http://127.0.0.1:1/ --tps 5 --tokens", 2, "--tokens: nobody has a token"),
        ("run --local 2 --tps 5 --gbit 1", 2, "--gbit"),
        ("run --local 2 --tps 5 --zones eu=60", 2, "zones: the shares come to 60 %, not 100"),
        ("run --local 2 --tps 5 --weights 5:3:1", 2, "weights: there are 3 for 2 nodes"),
        ("certs --server a/b", 2, "--server: \"a/b\" is no name of a host"),
        ("tokens --role node --state /nowhere --lifetime 1000d", 2, "--lifetime: \"1000d\" is too long"),
    ] {
        let outcome = refused(line).expect(code);
        assert!(outcome.stderr.contains(fragment), "{fragment}: {}", outcome.told());
        assert!(!outcome.stderr.contains("loading the built-in target"), "{line}: {}", outcome.told());
    }
}
