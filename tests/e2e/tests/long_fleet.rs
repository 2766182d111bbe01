//! Fleets whose nodes, or whose coordinator, are killed at random moments, by the word of a witness.
//!
//! `cargo xtask long fleet` runs them behind the simulation; a word more picks one: `cargo xtask long fleet nodes`. The moments
//! follow from seeds, which are printed: `FLEET_FIRST=17 FLEET_TRIALS=1` runs the trial of seed 17 again. Several fleets run side
//! by side (`FLEET_SIDE_BY_SIDE`), each small.

#![expect(clippy::print_stdout, reason = "whoever runs these for minutes wants the figures")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use e2e::count;
use e2e::engine::write;
use e2e::fleet::{Arrivals, Coordinator, Course, Node, plan_of_slots, uncertainty_ns};
use e2e::machine::{alone, core_count};
use e2e::random::Random;
use e2e::timetable::{Timetable, missing, nothing_early};
use e2e::waiting::{monotonic_ns, pause, pause_until_ns, wait_for};
use e2e::witness::{Log, Seen, Witness};
use serde_json::Value;

const SECOND_NS: u64 = 1_000_000_000;
/// The lease of a fleet that is told nothing else.
const LEASE_NS: u64 = 3 * SECOND_NS;
/// How well a node's clock is known when it comes back, which no report says: on one host it is never worse than this.
const CLOCK_NS: u64 = 1_000_000;
/// How long the target takes to answer, so that something is on the wire at any moment.
const ANSWERS_AFTER: Duration = Duration::from_millis(20);
const NAMES: [&str; 3] = ["a", "b", "c"];

/// A number from the environment.
fn set(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Carries out a trial for each of so many seeds, several side by side, and prints what each says.
fn every_seed_passes(trials: u64, trial: impl Fn(u64) -> String + Sync) {
    let (first, trials) = (set("FLEET_FIRST", 1), set("FLEET_TRIALS", trials));
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + trials {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| trial(seed))) {
                Ok(line) => println!("seed {seed}: {line}"),
                Err(_) => failed.lock().expect("no thread falls with it").push(seed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..set("FLEET_SIDE_BY_SIDE", 2 * core_count() as u64) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("no thread falls with it");
    assert!(failed.is_empty(), "of {trials} trials these failed, by their seeds: {failed:?}");
}

/// A fleet of three that has been given a plan.
struct Fleet {
    folder: tempfile::TempDir,
    coordinator: Coordinator,
    witness: Witness,
    nodes: Vec<Node>,
    run: String,
}

impl Fleet {
    /// Starts it, and submits a plan of so many arrivals per second.
    fn begin(seed: u64, tps: u64, seconds: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let coordinator = Coordinator::serve(folder.path(), "");
        let witness = Witness::start(ANSWERS_AFTER);
        let node = |(place, name): (usize, &&str)| {
            let mut node = coordinator.node(folder.path(), name, "");
            node.start(place + usize::try_from(seed % 2).expect("small"));
            witness.watch(node.pid());
            node
        };
        let nodes = NAMES.iter().enumerate().map(node).collect();
        let plan = folder.path().join("plan.yaml");
        write(&plan, plan_of_slots(&witness.url()));
        let flags = format!("--tps {tps} --duration {seconds}s --max-lag 1h --connections 64 --nodes 3");
        let run = coordinator.submit(&plan, &flags);
        Self { folder, coordinator, witness, nodes, run }
    }

    /// Waits for the end; what is left when all processes have ended.
    fn end(mut self, limit: Duration) -> Ended {
        let report = self.coordinator.report(&self.run, limit);
        let course = self.coordinator.course();
        self.nodes.iter_mut().for_each(Node::kill);
        self.coordinator.kill();
        assert_eq!(self.coordinator.integrity(), "ok");
        let ended = Ended {
            arrivals: Arrivals::of(&report),
            report,
            course,
            log: self.witness.stop(),
            nodes: self.nodes,
        };
        drop(self.folder);
        ended
    }
}

struct Ended {
    arrivals: Arrivals,
    report: Value,
    course: Course,
    log: Log,
    nodes: Vec<Node>,
}

impl Ended {
    /// Nothing was early, no slot came twice, all of the plan was due; the slots that never came, and when they were due.
    fn lacking(&self, timetable: &Timetable) -> Vec<u64> {
        let instants = timetable.instants();
        let uncertainty_ns = uncertainty_ns(&self.report).max(CLOCK_NS);
        nothing_early(&instants, self.course.zero_ns(), uncertainty_ns, &self.log.seen);
        assert_eq!(self.arrivals.scheduled, instants.len() as u64, "{:?}", self.arrivals);
        missing(&instants, &self.log.seen).into_iter().map(|slot| instants[slot]).collect()
    }

    fn sent_by(&self, name: &str) -> u64 {
        count(&self.report, &format!("/nodes/{name}/totals/sent"))
    }

    fn seen_of(&self, node: &Node) -> u64 {
        self.log.seen.iter().filter(|seen| node.was(self.log.owner(seen))).count() as u64
    }

    /// What the report notes about the loss of a node.
    fn noted_of(&self, name: &str) -> &str {
        let notes = self.report["environment"]["notes"].as_array().expect("notes");
        let begin = format!("node {name} was lost; ");
        notes.iter().filter_map(Value::as_str).find(|note| note.starts_with(&begin)).unwrap_or_default()
    }

    fn told(&self) -> String {
        format!("{:?}; {:#}", self.arrivals, self.report["environment"]["notes"])
    }
}

/// Of a node that comes back, the report counts every request that its target has seen, those of the second in which it was
/// killed too; it may count as sent what was on the wire, and no more. Of one that does not, the last second may be missing,
/// and the report says so.
#[test]
fn nodes_that_are_killed_at_random_moments_cost_a_gap_and_nothing_else() {
    let _hold = alone();
    every_seed_passes(50, kill_a_node);
}

/// One of three nodes is killed; every second time it comes back.
fn kill_a_node(seed: u64) -> String {
    let (tps, seconds) = (600, 12);
    let mut random = Random::new(seed);
    let mut fleet = Fleet::begin(seed, tps, seconds);
    wait_for("load", Duration::from_mins(1), || (fleet.witness.count() > 0).then_some(()));
    let zero_ns = fleet.coordinator.course().zero_ns();
    let place = usize::try_from(random.below(3)).expect("small");
    let moment_ns = random.below((seconds - 1) * SECOND_NS);
    let comes_back = seed % 2 == 1;
    let away = Duration::from_millis(random.below(3_000));
    pause_until_ns(zero_ns + moment_ns);
    fleet.nodes[place].kill();
    let killed_ns = monotonic_ns();
    if comes_back {
        pause(away);
        fleet.nodes[place].start(place);
        fleet.witness.watch(fleet.nodes[place].pid());
    }
    let ended = fleet.end(Duration::from_mins(2));
    let lacking = ended.lacking(&Timetable::constant(tps, seconds));

    // Full rate again, a lease and a second later.
    let again_ns = killed_ns - zero_ns + LEASE_NS + SECOND_NS;
    let late: Vec<&u64> = lacking.iter().filter(|due_ns| **due_ns >= again_ns).collect();
    assert!(
        late.len() as u64 <= ended.arrivals.dropped,
        "no full rate at {:?} ns: {}",
        late[0],
        ended.told()
    );
    // Whatever is lacking was the dead node's.
    let most = (tps * (LEASE_NS + SECOND_NS)).div_ceil(3 * SECOND_NS) + ended.arrivals.dropped + 3;
    assert!(
        lacking.len() as u64 <= most,
        "{} of at most {most} are lacking: {}",
        lacking.len(),
        ended.told()
    );
    let gap_ms =
        lacking.last().map_or(0, |last_ns| (zero_ns + last_ns).saturating_sub(killed_ns) / 1_000_000);
    let Counted { uncounted, recovered, wire } = counted_of(&ended, &ended.nodes[place]);
    let back = if comes_back {
        assert_eq!(uncounted, 0, "it came back, and its requests are not all counted: {}", ended.told());
        format!("back after {away:.1?} with {recovered} requests that were recovered")
    } else {
        let most = last_second_of(&ended, &ended.nodes[place], killed_ns);
        assert!(uncounted <= most, "{uncounted} requests are not counted, {most} may be: {}", ended.told());
        assert!(ended.noted_of(NAMES[place]).contains(" is not counted; "), "{}", ended.told());
        format!("gone for good, {uncounted} requests of its last second with it")
    };
    format!(
        "{} killed at {:.3} s, {back}; {} slots lacking, the last {gap_ms} ms behind it; sent {}, dropped {}, unassigned {}; \
         {wire} cut off",
        NAMES[place],
        (killed_ns - zero_ns) as f64 / 1e9,
        lacking.len(),
        ended.arrivals.sent,
        ended.arrivals.dropped,
        ended.arrivals.unassigned,
    )
}

/// What became of the requests of a node that was killed.
struct Counted {
    /// Its target has seen them, and the report does not count them.
    uncounted: u64,
    /// A later life has told of them.
    recovered: u64,
    /// They were on the wire, or about to be.
    wire: u64,
}

/// Demands that the target has seen what the other nodes say they have sent, and of the dead one no less than it counted but
/// for what was on the wire.
fn counted_of(ended: &Ended, dead: &Node) -> Counted {
    let (mut of_dead, mut others) = (ended.log.seen.len() as u64, 0);
    for node in ended.nodes.iter().filter(|node| node.name != dead.name) {
        let (sent, seen) = (ended.sent_by(&node.name), ended.seen_of(node));
        assert!(seen <= sent, "{seen} seen of {}, which sent {sent}: {}", node.name, ended.told());
        of_dead -= sent;
        others += sent - seen;
    }
    let known = ended.seen_of(dead);
    assert_eq!(known + ended.log.nobodys().count() as u64, of_dead + others, "{}", ended.told());
    let pointer = |what: &str| format!("/nodes/{}/{what}", dead.name);
    let (sent, wire) = (ended.sent_by(&dead.name), count(&ended.report, &pointer("totals/cut_off")));
    let recovered = ended.report.pointer(&pointer("recovered")).and_then(Value::as_u64).unwrap_or(0);
    assert!(of_dead + wire >= sent, "{of_dead} seen, {sent} sent, {wire} cut off: {}", ended.told());
    Counted { uncounted: of_dead.saturating_sub(sent), recovered, wire }
}

/// How many requests of a killed node its target saw in the last second before the kill, and in what sealing and telling take.
fn last_second_of(ended: &Ended, dead: &Node, killed_ns: u64) -> u64 {
    let is_its = |seen: &&Seen| {
        let owner = ended.log.owner(seen);
        let own = owner.is_none() || dead.was(owner);
        own && seen.at_ns < killed_ns + SECOND_NS / 10 && seen.at_ns + SECOND_NS * 3 / 2 > killed_ns
    };
    ended.log.seen.iter().filter(is_its).count() as u64
}

#[test]
fn a_coordinator_that_is_killed_at_random_moments_goes_on_with_the_run() {
    let _hold = alone();
    every_seed_passes(50, kill_the_coordinator);
}

/// The coordinator is killed at some moment between the submission and behind the end, and started again after a second or ten.
fn kill_the_coordinator(seed: u64) -> String {
    let away = if seed % 2 == 1 { 1 } else { 10 };
    let (tps, seconds) = (450, 6 + away);
    let mut random = Random::new(seed);
    let mut fleet = Fleet::begin(seed, tps, seconds);
    let submitted_ns = monotonic_ns();
    let moment_ns = random.below((seconds + 3) * SECOND_NS);
    pause_until_ns(submitted_ns + moment_ns);
    fleet.coordinator.kill();
    let killed_ns = monotonic_ns();
    pause(Duration::from_secs(away));
    fleet.coordinator.start();
    let ended = fleet.end(Duration::from_mins(2));
    let lacking = ended.lacking(&Timetable::constant(tps, seconds));
    // Every process that sent anything is alive and has told everything: the report is the target's truth.
    assert_eq!(ended.arrivals.sent, ended.log.seen.len() as u64, "{}", ended.told());
    assert_eq!(lacking.len() as u64, ended.arrivals.dropped + ended.arrivals.unassigned, "{}", ended.told());
    let lacking_owners = ended.log.nobodys().count() as u64;
    for node in &ended.nodes {
        let (said, came) = (ended.sent_by(&node.name), ended.seen_of(node));
        assert!(came <= said && said <= came + lacking_owners, "{}: {came}; {}", node.name, ended.told());
    }
    let zero_ns = ended.course.zero_ns();
    let at_s = (killed_ns.cast_signed() - zero_ns.cast_signed()) as f64 / 1e9;
    // Nothing is owned by nobody before the leases end, unless nodes had not heard of their cells yet; nor long behind the
    // restart.
    let patience_ns = if killed_ns < zero_ns + SECOND_NS { 0 } else { LEASE_NS / 2 };
    let (from_ns, until_ns) = (killed_ns + patience_ns, killed_ns + (away + 8) * SECOND_NS);
    let outside: Vec<&u64> =
        lacking.iter().filter(|due_ns| !(from_ns..until_ns).contains(&(zero_ns + **due_ns))).collect();
    assert!(
        outside.len() as u64 <= ended.arrivals.dropped,
        "lacking at {:?} ns, killed at {at_s} s: {}",
        outside.first(),
        ended.told()
    );
    let verdict = ended.report.pointer("/verdict/result").and_then(Value::as_str).unwrap_or("none");
    format!(
        "killed at {at_s:.3} s for {away} s; sent {}, dropped {}, unassigned {}; {verdict}, database whole",
        ended.arrivals.sent, ended.arrivals.dropped, ended.arrivals.unassigned
    )
}
