//! One exact load from many nodes, by the word of a witness that knows whose every request is.
//!
//! On a machine with too much to do arrivals may be dropped; then the sums hold with them, and nobody's share grows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use e2e::control::Control;
use e2e::document::{Schema, parse};
use e2e::engine::write;
use e2e::fleet::{Arrivals, Course, Node, plan_of_slots, uncertainty_ns};
use e2e::histogram::{buckets, pooled};
use e2e::machine::among_others;
use e2e::timetable::{Timetable, missing, nothing_early};
use e2e::waiting::{SOON, monotonic_ns, wait_for};
use e2e::witness::{Log, Witness};
use e2e::{Engine, Outcome, count};
use rustix::process::Pid;
use serde_json::{Value, json};

/// Cells of a plan.
const CELLS: f64 = 55_440.0;

/// A run that a fleet has carried out.
struct Done {
    report: Value,
    course: Course,
    log: Log,
    /// The nodes' processes, by name.
    pids: BTreeMap<String, Pid>,
}

/// Has nodes of these names, in zones, carry out a plan whose requests name their slots.
fn carried_out(nodes: &[(&str, &str)], over: &str, load: &str) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, file) = (folder.path().join("state"), folder.path().join("report.json"));
    let witness = Witness::start(Duration::ZERO);
    let plan = folder.path().join("plan.yaml");
    write(&plan, plan_of_slots(&witness.url()));
    let line = format!(
        "run --nodes {} --nodes-listen 127.0.0.1:0 --max-lag 1h --lease 10s --connections 48 {over} {load} --json",
        nodes.len()
    );
    let run = Engine::of("coordinator", &line).arg(&file).args("--state").arg(&state).arg(&plan);
    let mut running = run.within(Duration::from_mins(2)).start();
    let address = running.process.wait_for_stderr("the nodes' edge", SOON, |line| {
        line.strip_prefix("nodes: engine node --coordinator ").map(str::to_owned)
    });
    let mut fleet: Vec<Node> = Vec::new();
    for (place, (name, zone)) in nodes.iter().enumerate() {
        let mut node = Node::attending(&address, folder.path(), name, &format!("--zone {zone}"));
        node.start(place);
        witness.watch(node.pid());
        fleet.push(node);
    }
    let outcome = running.finish();
    let pids = fleet.iter().map(|node| (node.name.clone(), node.pid())).collect();
    done(&outcome, &state, &file, witness, pids)
}

/// What a run came to, when its sums hold and the witness has seen what was sent.
fn done(outcome: &Outcome, state: &Path, file: &Path, witness: Witness, pids: BTreeMap<String, Pid>) -> Done {
    let bytes = std::fs::read(file).unwrap_or_else(|_| panic!("no report: {}", outcome.told()));
    let report = parse("the report", &bytes);
    let log = witness.stop();
    Schema::of("summary").admit(&report);
    let arrivals = Arrivals::of(&report);
    assert_eq!(arrivals.unassigned, 0, "{arrivals:?}");
    assert_eq!(log.seen.len() as u64, arrivals.sent, "the witness has seen something else than was sent");
    assert!(outcome.code == 0 || arrivals.dropped > 0, "{}", outcome.told());
    // The last connections of a run may be closed before anyone looks whose they were.
    let mut nobodys = log.nobodys().count() as u64;
    assert!(nobodys <= 5 + arrivals.sent / 50, "{nobodys} requests of {} are nobody's", arrivals.sent);
    for (name, pid) in &pids {
        let sent = count(&report, &format!("/nodes/{name}/totals/sent"));
        let seen = log.of(*pid).count() as u64;
        assert!(seen <= sent && sent <= seen + nobodys, "node {name} sent {seen} requests, and says {sent}");
        nobodys -= sent - seen;
    }
    assert_eq!(nobodys, 0, "requests of processes that are no nodes");
    Done { report, course: Course::read(state), log, pids }
}

impl Done {
    fn share(&self, name: &str) -> f64 {
        count(&self.report, &format!("/nodes/{name}/cells")) as f64 / CELLS
    }

    /// All of the plan was due, nothing came early, and what did not come was dropped.
    fn follows(&self, timetable: &Timetable) {
        let instants = timetable.instants();
        assert_eq!(Arrivals::of(&self.report).scheduled, instants.len() as u64);
        nothing_early(&instants, self.course.zero_ns(), uncertainty_ns(&self.report), &self.log.seen);
        self.never_more_than_its_share(&instants);
    }

    /// At every instant each node has sent no more than its share of what was due by then, and one slot.
    fn never_more_than_its_share(&self, instants: &[u64]) {
        let zero_ns = self.course.zero_ns();
        let uncertainty_ns = uncertainty_ns(&self.report);
        for (name, pid) in &self.pids {
            let share = self.share(name);
            for (place, seen) in self.log.of(*pid).enumerate() {
                let passed_ns = (seen.at_ns + uncertainty_ns).saturating_sub(zero_ns);
                let due = instants.partition_point(|due_ns| *due_ns <= passed_ns);
                let most = share * due as f64 + 1.0;
                assert!(
                    (place + 1) as f64 <= most,
                    "{name} had sent {} of {most} at {passed_ns} ns",
                    place + 1
                );
            }
        }
    }

    /// At every prefix of the plan each node has sent its share of the slots, to within one; and those that nobody sent.
    fn shares_hold_at_every_prefix(&self, slots: usize) {
        let mut owners: Vec<Option<&str>> = vec![None; slots];
        for (name, pid) in &self.pids {
            for seen in self.log.of(*pid) {
                let slot = usize::try_from(seen.slot.expect("requests name their slots")).expect("a place");
                owners[slot] = Some(name);
            }
        }
        for name in self.pids.keys() {
            let (share, mut sent, mut lacking) = (self.share(name), 0.0, 0.0);
            for (place, owner) in owners.iter().enumerate() {
                sent += f64::from(u8::from(*owner == Some(name)));
                lacking += f64::from(u8::from(owner.is_none()));
                let off = (sent - share * (place + 1) as f64).abs();
                assert!(off <= 1.0 + lacking, "{name} is {off} slots off its share behind slot {place}");
            }
        }
    }
}

/// The latencies of the report are those of the nodes' own summaries, pooled bucket for bucket.
fn percentiles_are_pooled(report: &Value, course: &Course) {
    let own: Vec<Value> = course.own_summaries().into_values().flatten().collect();
    assert_eq!(own.len(), report["nodes"].as_object().expect("nodes").len());
    for latency in ["response", "response_ok", "service", "queue", "lag", "connect", "first_byte"] {
        let pointer = format!("/latency_ns/{latency}");
        let pool = pooled(own.iter().map(|summary| buckets(summary, &pointer)));
        assert!(!pool.is_empty() || latency == "queue", "nothing in {latency}");
        assert_eq!(buckets(report, &pointer), pool, "{latency}");
        let sum: u64 = own.iter().map(|summary| count(summary, &format!("{pointer}/sum"))).sum();
        assert_eq!(count(report, &format!("{pointer}/sum")), sum, "{latency}");
    }
}

#[test]
fn the_first_command_of_a_fleet_is_exact() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let (state, file) = (folder.path().join("state"), folder.path().join("report.json"));
    let witness = Witness::start(Duration::ZERO);
    let line = "run --local 3 --tps 10000 --duration 30s --max-lag 1h --lease 10s --json";
    let run = Engine::of("coordinator", line).arg(&file).args("--state").arg(&state).arg(witness.url());
    let running = run.within(Duration::from_mins(2)).start();
    let children =
        wait_for("three nodes", SOON, || Some(running.process.children()).filter(|pids| pids.len() == 3));
    let named = |pid: &Pid| {
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        line.split('\0').skip_while(|word| *word != "--name").nth(1).map(str::to_owned)
    };
    let mut pids = BTreeMap::new();
    for pid in children {
        witness.watch(pid);
        pids.insert(wait_for("a node's name", SOON, || named(&pid)), pid);
    }
    let outcome = running.finish();
    let done = done(&outcome, &state, &file, witness, pids);
    done.follows(&Timetable::constant(10_000, 30));
    assert_eq!(count(&done.report, "/audit/scheduled"), 300_000);
    percentiles_are_pooled(&done.report, &done.course);
    for name in done.pids.keys() {
        let totals = &done.report["nodes"][name]["totals"];
        assert_eq!(count(totals, "/scheduled"), 100_000, "{name}");
    }
    assert!(!outcome.stderr.contains("SIGTERM"), "the end of its own nodes is no news: {}", outcome.told());
}

#[test]
fn every_slot_is_sent_once_by_the_node_that_owns_it() {
    let _hold = among_others();
    let plain = [("a", "x"), ("b", "x"), ("c", "x"), ("d", "x"), ("e", "x")];
    let zoned = [("a", "eu"), ("b", "us"), ("c", "eu"), ("d", "asia")];
    for (nodes, over, load, timetable) in [
        (&plain[..3], "", "--tps 2000 --duration 3s", Timetable::constant(2_000, 3)),
        (&plain[..], "", "--tps 7 --duration 5s", Timetable::constant(7, 5)),
        (&plain[..4], "", "--tps 1 --duration 4s", Timetable::constant(1, 4)),
        (&plain[..3], "--weights 5:3:1", "--tps 900 --duration 3s", Timetable::constant(900, 3)),
        (&zoned[..], "--zones eu=34,us=33,asia=33", "--tps 700 --duration 3s", Timetable::constant(700, 3)),
        (&plain[..3], "", "--stages 4s:20000", Timetable::ramp(0, 20_000, 4)),
    ] {
        let done = carried_out(nodes, over, load);
        done.follows(&timetable);
        let instants = timetable.instants();
        let dropped = Arrivals::of(&done.report).dropped;
        assert_eq!(missing(&instants, &done.log.seen).len() as u64, dropped, "{over} {load}");
        done.shares_hold_at_every_prefix(instants.len());
        if over.starts_with("--zones") {
            let cells = |zone: &str| count(&done.report, &format!("/zones/{zone}/cells"));
            // 34, 33 and 33 % of 55,440, rounded by the largest remainder.
            assert_eq!((cells("eu"), cells("us"), cells("asia")), (18_850, 18_295, 18_295));
        }
    }
}

#[test]
fn random_arrivals_are_those_of_one_engine_alone() {
    let _hold = among_others();
    let load = "--tps 800 --duration 4s --process poisson --seed 7";
    let fleet = carried_out(&[("a", "x"), ("b", "x"), ("c", "x")], "", load);
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, socket) = (folder.path().join("plan.yaml"), folder.path().join("control"));
    let witness = Witness::start(Duration::ZERO);
    write(&plan, plan_of_slots(&witness.url()));
    let running = Engine::patient("run").arg(&plan).args(load).args("--control").arg(&socket).start();
    let mut control = Control::connect(&socket);
    wait_for("readiness", SOON, || {
        (control.order(json!({"op": "status"}))["status"]["state"] == "ready").then_some(())
    });
    let zero_ns = monotonic_ns() + 500_000_000;
    control.order(json!({"op": "arm", "at_monotonic_ns": zero_ns}));
    let audit = running.finish().expect(0).audit();
    let alone = witness.stop();
    // By slot: how long after the plan's zero it came.
    let times = |log: &Log, zero_ns: u64| -> BTreeMap<u64, i64> {
        let after = |at_ns: u64| at_ns.cast_signed() - zero_ns.cast_signed();
        log.seen
            .iter()
            .map(|seen| (seen.slot.expect("requests name their slots"), after(seen.at_ns)))
            .collect()
    };
    let (of_one, of_all) = (times(&alone, zero_ns), times(&fleet.log, fleet.course.zero_ns()));
    assert_eq!(of_one.len() as u64, audit.sent, "a slot came twice");
    assert_eq!(of_all.len(), fleet.log.seen.len(), "a slot came twice");
    assert_eq!(count(&fleet.report, "/audit/scheduled"), audit.scheduled);
    let others = of_all.keys().filter(|slot| !of_one.contains_key(slot)).count();
    assert_eq!(
        (others, of_one.len() - (of_all.len() - others)),
        (0, 0),
        "other arrivals than one engine has"
    );
    // Both came when they were due, give or take how late either was.
    let mut apart: Vec<u64> = of_all.iter().map(|(slot, at_ns)| at_ns.abs_diff(of_one[slot])).collect();
    apart.sort_unstable();
    let median = apart[apart.len() / 2];
    assert!(median < 20_000_000, "half of the arrivals are {median} ns and more apart");
}
