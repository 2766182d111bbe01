//! A coordinator that serves, and nodes that attend it: processes that can be killed, stopped and started again.
//!
//! What it is: their start, their folders, and the course of a run as the coordinator kept it. What it is not: a judge of what
//! was sent; that is the [witness](crate::witness)'s.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::document::{Audit, count, counts, parse};
use crate::engine::{Engine, Outcome, Running};
use crate::http::get;
use crate::machine::core_count;
use crate::waiting::{SOON, wait_for};

/// A port on which nobody listens, below those that the kernel gives to connections: it stays free while its coordinator is
/// away.
fn port_of_its_own() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 97).expect("less than 97") * 100;
    loop {
        let port = 20_000 + (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// `coordinator serve` on a folder and on ports that outlive its process.
#[derive(Debug)]
pub struct Coordinator {
    running: Option<Running>,
    folder: PathBuf,
    flags: String,
    nodes_at: SocketAddr,
    people_at: SocketAddr,
}

impl Coordinator {
    /// Starts one with more flags.
    pub fn serve(folder: &Path, flags: &str) -> Self {
        let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, port_of_its_own()));
        let mut coordinator = Self {
            running: None,
            folder: folder.join("coordinator"),
            flags: flags.to_owned(),
            nodes_at: address(),
            people_at: address(),
        };
        coordinator.start();
        coordinator
    }

    /// Starts it again where it was.
    pub fn start(&mut self) {
        let line =
            format!("serve --nodes-listen {} --http-listen {} {}", self.nodes_at, self.people_at, self.flags);
        let mut running = Engine::of("coordinator", &line).args("--state").arg(&self.folder).start();
        running
            .process
            .wait_for_stderr("the coordinator", SOON, |line| line.starts_with("people: ").then_some(()));
        self.running = Some(running);
    }

    /// Kills it; its folder stays.
    pub fn kill(&mut self) {
        // Dropping a process kills it and waits for its end.
        self.running = None;
    }

    /// What it said.
    pub fn said(&self) -> String {
        self.running.as_ref().map(|running| running.process.stderr()).unwrap_or_default()
    }

    /// A node of this fleet, not yet running.
    pub fn node(&self, folder: &Path, name: &str, flags: &str) -> Node {
        Node::attending(&self.nodes_at.to_string(), folder, name, flags)
    }

    /// A command of whoever asks it, with these words.
    pub fn ask(&self, words: &str) -> Engine {
        Engine::of("coordinator", words).args(&format!("--coordinator http://{}", self.people_at))
    }

    /// Has it carry a plan out; the run's id.
    pub fn submit(&self, plan: &Path, flags: &str) -> String {
        let submitted = self.ask("submit").arg(plan).args(flags).run().expect(0);
        submitted.stdout.trim().to_owned()
    }

    /// How a run stands.
    pub fn run(&self, id: &str) -> Value {
        parse("a run", &get(self.people_at, &format!("/api/v1/runs/{id}")))
    }

    /// Waits until a run has ended; its report.
    pub fn report(&self, id: &str, limit: Duration) -> Value {
        wait_for("the end of the run", limit, || {
            let run = self.run(id);
            let state = run["state"].as_str().expect("a run has a state");
            assert_ne!(state, "refused", "{run:#}");
            (state == "ended").then_some(())
        });
        parse("the report", &get(self.people_at, &format!("/api/v1/runs/{id}/report")))
    }

    /// What it kept of the course of its only run.
    pub fn course(&self) -> Course {
        Course::read(&self.folder)
    }

    /// What the database says of itself: `ok`, or what is damaged. Nobody may have it open.
    pub fn integrity(&self) -> String {
        let database = Connection::open(self.folder.join(DATABASE)).expect("the database opens");
        let told = database.query_row("PRAGMA integrity_check", [], |row| row.get(0));
        told.expect("it can be checked")
    }
}

/// A node: one name and one folder, and one process after another.
#[derive(Debug)]
pub struct Node {
    running: Option<Running>,
    /// Its name.
    pub name: String,
    line: String,
    state: PathBuf,
    /// The processes that it was, the last one last.
    pub pids: Vec<Pid>,
}

impl Node {
    /// A node that attends whoever listens at this address, not yet running; its state lies in `folder`.
    pub fn attending(coordinator: &str, folder: &Path, name: &str, flags: &str) -> Self {
        Self {
            running: None,
            name: name.to_owned(),
            line: format!("node --coordinator {coordinator} --name {name} {flags}"),
            state: folder.join(name),
            pids: Vec::new(),
        }
    }

    /// Starts it; `place` chooses its core.
    pub fn start(&mut self, place: usize) {
        let core = place % core_count();
        let line = format!("{} --cores {core}-{core}", self.line);
        let running = Engine::new(&line).args("--state").arg(&self.state).start();
        self.pids.push(running.process.pid());
        self.running = Some(running);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("it runs").process.signal(signal);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Waits for its end by itself.
    pub fn finish(&mut self) -> Outcome {
        self.running.take().expect("it runs").finish()
    }

    /// Its present process.
    pub fn pid(&self) -> Pid {
        *self.pids.last().expect("it was started")
    }

    /// Whether a process was ever this node.
    pub fn was(&self, pid: Option<u32>) -> bool {
        self.pids.iter().any(|own| u32::try_from(own.as_raw_nonzero().get()).ok() == pid)
    }
}

const DATABASE: &str = "coordinator.sqlite";

/// The facts of a run, in the order in which they were decided.
#[derive(Clone, Debug)]
pub struct Course {
    facts: Vec<Value>,
}

impl Course {
    /// Reads those of the only run in a state folder.
    pub fn read(folder: &Path) -> Self {
        let path = folder.join(DATABASE);
        let database =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database");
        database.busy_timeout(SOON).expect("it can wait");
        let mut statement = database.prepare("SELECT fact FROM facts ORDER BY run, number").expect("facts");
        let texts = statement.query_map([], |row| row.get::<_, String>(0)).expect("facts are read");
        let facts = texts.map(|text| parse("a fact", text.expect("a text").as_bytes())).collect();
        Self { facts }
    }

    /// The facts of a kind, with their places in the course.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl DoubleEndedIterator<Item = (usize, &'a Value)> {
        let facts = self.facts.iter().enumerate();
        facts.filter_map(move |(place, fact)| Some((place, fact.get(kind)?)))
    }

    /// The plan's zero on the machine's monotonic clock: the start that was agreed last.
    pub fn zero_ns(&self) -> u64 {
        let (_, arming) = self.of("arming").next_back().expect("its nodes were armed");
        arming["start_ns"].as_u64().expect("an instant")
    }

    /// Changes of rate: from when on, and how many millionths per second.
    pub fn rates(&self) -> Vec<(u64, u64)> {
        let number = |fact: &Value, key: &str| fact[key].as_u64().expect("a number");
        self.of("rate").map(|(_, fact)| (number(fact, "from_ns"), number(fact, "micro_tps"))).collect()
    }

    /// From when on a node was given cells, for each time behind a place in the course.
    pub fn given_behind(&self, node: &str, behind: usize) -> Vec<u64> {
        let given =
            self.of("given").filter(|(place, fact)| *place > behind && fact["cells"].get(node).is_some());
        given.map(|(_, fact)| fact["from_ns"].as_u64().expect("an instant")).collect()
    }

    /// By node: the summary that it made of its own part, for each life that came to its end.
    pub fn own_summaries(&self) -> BTreeMap<String, Vec<Value>> {
        let mut summaries: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (_, fact) in self.of("finished") {
            let node = fact["node"].as_str().expect("a name").to_owned();
            let text = fact["part"]["summary"].as_str().expect("a document");
            summaries.entry(node).or_default().push(parse("a node's summary", text.as_bytes()));
        }
        summaries
    }
}

/// Where the arrivals of a plan went: `scheduled = sent + dropped + unassigned`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// Due by the plan.
    pub scheduled: u64,
    /// Left.
    pub sent: u64,
    /// Were somebody's and did not leave.
    pub dropped: u64,
    /// Were nobody's.
    pub unassigned: u64,
}

impl Arrivals {
    /// Those of a report, whose sums are checked. In a plan file an arrival is an iteration; those of [`plan_of_slots`] have
    /// one request each.
    #[track_caller]
    pub fn of(report: &Value) -> Self {
        let audit = Audit::of(report);
        let Some(load) = report.pointer("/workloads/load/iterations") else {
            let Audit { scheduled, sent, unassigned, .. } = audit;
            return Self { scheduled, sent, dropped: audit.dropped(), unassigned };
        };
        let (scheduled, unassigned) = (count(load, "/scheduled"), count(load, "/unassigned"));
        let (begun, dropped): (u64, u64) = (count(load, "/begun"), counts(load, "/dropped").values().sum());
        assert_eq!(scheduled, begun + dropped + unassigned, "{load:#}");
        // An iteration that waits for a connection has begun, and its request has not left.
        let waited = begun.checked_sub(audit.sent).expect("each iteration sends one request at most");
        Self { scheduled, sent: audit.sent, dropped: dropped + waited, unassigned }
    }
}

/// A plan whose requests name their slots: `/s/4711` is that of slot 4,711.
pub fn plan_of_slots(url: &str) -> String {
    format!(
        "schema: openloop.plan/1\ntargets: {{witness: \"{url}\"}}\nworkloads:\n  load: {{tps: 1, for: 1s, request: \"/s/{{{{iteration()}}}}\"}}\n"
    )
}

/// By how much, at most, a node may have been wrong about the plan's zero, as the report says, in nanoseconds.
pub fn uncertainty_ns(report: &Value) -> u64 {
    let nodes = report["nodes"].as_object().expect("a report by nodes");
    let stated = nodes.values().filter_map(|node| node["start_uncertainty_ns"].as_u64());
    stated.max().unwrap_or_else(|| panic!("no node says how well its clock was known: {nodes:#?}"))
}
