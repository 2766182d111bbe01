//! Security of a fleet with real nodes (S7, S8 over the wire): what a node lets be loaded from its machine, and where secrets of a plan
//! show. Everything else stands in `coordinator/tests/security`.

use std::path::Path;
use std::time::Duration;

use e2e::engine::Running;
use e2e::http::get;
use e2e::waiting::{SOON, wait_for};
use e2e::{Engine, Target, count};
use rustix::process::Signal;
use tempfile::TempDir;

/// A coordinator that serves, and where.
struct Serving {
    running: Running,
    nodes: String,
    people: String,
    state: TempDir,
}

impl Serving {
    fn start(flags: &str) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let line = "serve --nodes-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --state";
        let mut running = Engine::of("coordinator", line).arg(state.path()).args(flags).start();
        let word = |line: &str, before: &str| line.strip_prefix(before).map(str::to_owned);
        let nodes = running.process.wait_for_stderr("its address for nodes", SOON, |line| {
            word(line, "nodes: engine node --coordinator ")
        });
        let people = running
            .process
            .wait_for_stderr("its address for people", SOON, |line| word(line, "people: http://"));
        Self { running, nodes, people: people.trim_end_matches('/').to_owned(), state }
    }

    /// A node, with a folder of its own.
    fn node(&self, flags: &str) -> (Running, TempDir) {
        let state = tempfile::tempdir().expect("a folder");
        let engine = Engine::new("node --name alpha --die-with-parent --coordinator").arg(&self.nodes);
        (engine.arg("--state").arg(state.path()).args(flags).start(), state)
    }

    fn ask(&self, line: &str) -> Engine {
        Engine::of("coordinator", line).arg("--coordinator").arg(format!("http://{}", self.people))
    }
}

#[test]
fn s7_a_node_loads_only_what_its_owner_allows_whatever_the_coordinator_does() {
    let target = Target::start("");
    let socket = tempfile::tempdir().expect("a folder");
    let path = socket.path().join("own.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    listener.set_nonblocking(true).expect("a socket");
    let unix = format!("unix:{}", path.display());
    let serving =
        Serving::start(&format!("--allow-target 127.0.0.1 --allow-target localhost --allow-target {unix}"));
    let port = target.address.port();
    for (allowed, flags, fragment) in [
        (
            "--allow-target 10.0.0.0/8",
            format!("http://127.0.0.1:{port}/"),
            "127.0.0.1 is not among the hosts",
        ),
        ("--allow-target 10.0.0.0/8", format!("http://localhost:{port}/"), "is not among the hosts"),
        ("", format!("http://{}/", serving.nodes), "is where this fleet talks to itself"),
        (
            "",
            format!("http://127.0.0.1:9/ --unix-socket {}", path.display()),
            "is a service of that machine's own",
        ),
    ] {
        let (node, _state) = serving.node(allowed);
        let line = format!("submit --watch --tps 50 --duration 1s {flags}");
        let outcome = serving.ask(&line).run().expect(4);
        assert!(outcome.stderr.contains(fragment), "{fragment}: {}", outcome.told());
        node.process.signal(Signal::TERM);
        node.finish();
    }
    assert_eq!(count(&target.truth(), "/requests"), 0, "not one request got through");
    assert!(listener.accept().is_err(), "nor one connection to the socket");
    // What its owner allows is loaded.
    let (_node, _state) = serving.node("--allow-target 127.0.0.0/8");
    let line = format!("submit --watch --max-lag 1h --tps 50 --duration 1s http://127.0.0.1:{port}/");
    serving.ask(&line).run().expect(0);
    assert_eq!(count(&target.stop(), "/requests"), 50);
    serving.running.process.signal(Signal::TERM);
    serving.running.finish().expect(0);
}

/// What is hidden: in a header, a body, a query, a variable and a file.
const CANARIES: [&str; 5] = [
    "canary-header-1f3a",
    "canary-body-2b4c",
    "canary-query-3d5e",
    "canary-variable-4f6a",
    "canary-data-5b7c",
];

const PLAN: &str = "schema: openloop.plan/1
name: shop
targets:
  shop: {url: '${BASE_URL}'}
data: {users: users.csv}
workloads:
  w: {tps: 40, for: 3s, scenario: s}
scenarios:
  s:
    data: users
    steps:
      - post: /login?token=canary-query-3d5e
        headers: {Authorization: 'Bearer canary-header-1f3a', X-Key: '${SECRET}'}
        body: 'user={{users.user}}&password={{users.password}}&more=canary-body-2b4c'
";

/// Which of the canaries stand in some bytes.
fn found(what: &str, bytes: &[u8]) -> Vec<String> {
    let holds = |canary: &&&str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
    CANARIES.iter().filter(holds).map(|canary| format!("{what}: {canary}")).collect()
}

fn found_below(folder: &Path) -> Vec<String> {
    let (mut leaks, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap_or_default();
                leaks.extend(found(&path.display().to_string(), &bytes));
            }
        }
    }
    leaks
}

#[test]
fn s8_secrets_of_a_plan_reach_the_target_and_nothing_else() {
    let target = Target::start("");
    let serving = Serving::start("");
    let (node, node_state) = serving.node("");
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    std::fs::write(&plan, PLAN).expect("a file");
    std::fs::write(folder.path().join("users.csv"), "user,password\nann,canary-data-5b7c\n").expect("a file");
    let report = folder.path().join("report.json");
    let submit = serving
        .ask("submit --watch --max-lag 1h")
        .arg("--json")
        .arg(&report)
        .arg(&plan)
        .variable("BASE_URL", target.url().trim_end_matches('/'))
        .variable("SECRET", "canary-variable-4f6a")
        .start();
    let mut leaks = Vec::new();
    wait_for("load", Duration::from_secs(30), || (count(&target.truth(), "/requests") > 20).then_some(()));
    for (what, process) in [("coordinator", &serving.running.process), ("node", &node.process)] {
        let pid = process.pid().as_raw_nonzero();
        leaks.extend(found(
            &format!("{what}'s command line"),
            &std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
        ));
        leaks.extend(found(
            &format!("{what}'s variables"),
            &std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default(),
        ));
    }
    leaks.extend(found_below(serving.state.path()));
    let outcome = submit.finish().expect(0);
    leaks.extend(found("what people read", format!("{}{}", outcome.stdout, outcome.stderr).as_bytes()));
    leaks.extend(found("the report", &std::fs::read(&report).expect("it was written")));
    let address = serving.people.parse().expect("an address");
    for path in ["/api/v1/fleet", "/api/v1/runs", "/api/v1/logs?limit=5000", "/api/v1/files", "/metrics"] {
        leaks.extend(found(path, &get(address, path)));
    }
    assert_eq!(count(&target.stop(), "/requests"), 120);
    leaks.extend(found("the node's standard error", node.process.stderr().as_bytes()));
    node.process.signal(Signal::TERM);
    node.finish().expect(143);
    leaks.extend(found_below(node_state.path()));
    serving.running.process.signal(Signal::TERM);
    leaks.extend(found("the coordinator's standard error", serving.running.process.stderr().as_bytes()));
    serving.running.finish().expect(0);
    leaks.extend(found_below(serving.state.path()));
    assert_eq!(leaks, [""; 0], "secrets show");
}
