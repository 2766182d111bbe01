//! Plans of journeys: what servers saw is what the report says, request for request and row for row.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::document::parse;
use e2e::engine::write;
use e2e::machine::among_others;
use e2e::process::{Process, program};
use e2e::waiting::{SOON, wait_for};
use e2e::{Engine, count, http};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// Rows of the data file: exactly as many as the journeys of the plan.
const ROWS: usize = 240;

/// A journey with data and extraction at a constant rate, a random mix of five requests by weight, and users who think.
const PLAN: &str = r#"
schema: openloop.plan/1
name: three-workloads
seed: 11
targets:
  shop: ${SHOP}
  static: ${STATIC}
data:
  people: {file: people.csv, order: shuffled, unique: true, at-end: stop}
workloads:
  journey: {tps: 80, for: 4s, scenario: buy}
  mix: {tps: 60, for: 3s, arrivals: poisson, scenario: mix}
  people: {users: 4, for: 3s, scenario: browse}
scenarios:
  buy:
    data: people
    steps:
      - post: /login
        target: shop
        json: {user: "{{people.name}}"}
        extract: {token: {json: $.user.token}}
        check: [{status: 200}]
      - get: /orders/{{people.name}}?note={{url(people.note)}}
        target: shop
        name: order
        auth: {bearer: "{{token}}"}
        check: [{json: {$.order.paid: true}}, {json: {$.order.of: "{{people.name}}"}}]
  mix:
    steps:
      - choose:
          - {weight: 5, steps: [{get: /a, target: static}]}
          - {weight: 4, steps: [{get: /b, target: static}]}
          - {weight: 3, steps: [{get: /c, target: static}]}
          - {weight: 2, steps: [{get: /d, target: static}]}
          - {weight: 1, steps: [{head: /e, target: static, name: HEAD /e}]}
  browse:
    steps:
      - {get: /home, target: static}
      - think: {uniform: [20ms, 60ms]}
      - {get: "/page/{{random(1, 3)}}", target: static, name: page}
thresholds: [checks>99%, iterations_failed<1]
"#;

/// The plan's files and the two servers.
struct Rig {
    folder: TempDir,
    shop: Process,
    shop_address: SocketAddr,
    nginx: Process,
    nginx_port: u16,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join("plan.yaml"), PLAN);
        let rows = (0..ROWS).map(|row| format!("p{row},\"a \"\"b\"\" & c, {row}\"\r\n"));
        write(
            &folder.path().join("people.csv"),
            ["name,note\r\n".to_owned()].into_iter().chain(rows).collect::<String>(),
        );
        let mut command = Command::new(program(&["python3"]));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ci/journeys/shop.py"));
        let shop = Process::start(command, None);
        let port = wait_for("the shop's port", SOON, || shop.stdout().trim().parse::<u16>().ok());
        let (nginx, nginx_port) = nginx(folder.path());
        let shop_address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { folder, shop, shop_address, nginx, nginx_port }
    }

    fn engine(&self, flags: &str) -> (Value, PathBuf) {
        let summary = self.folder.path().join(format!("{}.json", flags.replace(['/', ' '], "-")));
        let outcome = Engine::new("run")
            .arg(self.folder.path().join("plan.yaml"))
            .args(flags)
            .args("--max-lag 1h --json")
            .arg(&summary)
            .variable("SHOP", &format!("http://{}", self.shop_address))
            .variable("STATIC", &format!("http://127.0.0.1:{}/", self.nginx_port))
            .run()
            .expect(0);
        assert!(outcome.stdout.starts_with("PASS (exit 0)"), "{}", outcome.told());
        (parse("the summary", &fs::read(&summary).expect("it was written")), summary)
    }

    /// Request lines that the servers saw, and how often.
    fn seen(mut self) -> BTreeMap<String, u64> {
        let log = parse("the shop's log", &http::get(self.shop_address, "/log"));
        let mut seen = BTreeMap::new();
        for line in log.as_array().expect("a list") {
            *seen.entry(line.as_str().expect("a line").to_owned()).or_default() += 1;
        }
        self.shop.signal(Signal::KILL);
        self.nginx.signal(Signal::QUIT);
        self.nginx.wait(SOON);
        let log = fs::read_to_string(self.folder.path().join("access.log")).expect("nginx wrote its log");
        for line in log.lines() {
            *seen.entry(line.to_owned()).or_default() += 1;
        }
        seen
    }
}

/// nginx with a line for each request.
fn nginx(folder: &Path) -> (Process, u16) {
    let place = folder.display();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    drop(listener);
    let settings = format!(
        "daemon off;
         master_process off;
         pid {place}/pid;
         error_log {place}/error.log;
         worker_processes 1;
         events {{ worker_connections 1024; }}
         http {{
             log_format lines '$request_method $request_uri';
             access_log {place}/access.log lines;
             client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
             uwsgi_temp_path {place}; scgi_temp_path {place};
             keepalive_requests 1000000;
             server {{ listen 127.0.0.1:{port}; location / {{ return 200 'ok'; }} }}
         }}"
    );
    write(&folder.join("nginx.conf"), settings);
    let mut command = Command::new(program(&["nginx"]));
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    let server = Process::start(command, None);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_for("nginx", SOON, || TcpStream::connect(address).ok());
    (server, port)
}

/// The name under which a request line is counted.
fn name_of(line: &str) -> String {
    let (method, target) = line.split_once(' ').expect("a method and a target");
    match target.split(['/', '?']).nth(1) {
        Some("orders") => "order".to_owned(),
        Some("page") => "page".to_owned(),
        _ => format!("{method} {target}"),
    }
}

/// Holds what the servers saw against the summaries of all runs together.
fn hold(seen: &BTreeMap<String, u64>, summaries: &[Value]) {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for summary in summaries {
        for (name, figures) in summary["names"].as_object().expect("figures by name") {
            *told.entry(name.clone()).or_default() += count(figures, "/sent");
        }
    }
    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    for (line, times) in seen {
        *by_name.entry(name_of(line)).or_default() += times;
    }
    told.retain(|_, sent| *sent > 0);
    assert_eq!(by_name, told, "what the servers saw is not what the report says");
    // Every row once: the workload would have had 320 iterations, and ends with its data.
    let orders: Vec<_> = seen.iter().filter(|(line, _)| line.contains("/orders/")).collect();
    assert_eq!(orders.len(), ROWS, "every row is used");
    assert!(orders.iter().all(|(_, times)| **times == 1), "no row is used twice");
    assert!(orders.iter().all(|(line, _)| line.contains("?note=a%20%22b%22%20%26%20c%2C%20")), "{orders:?}");
}

fn iterations(summary: &Value, workload: &str) -> [u64; 3] {
    ["scheduled", "begun", "completed"]
        .map(|what| count(summary, &format!("/workloads/{workload}/iterations/{what}")))
}

#[test]
fn servers_see_what_the_report_says_whatever_the_shards() {
    let _hold = among_others();
    let mut mixes = Vec::new();
    for flags in ["--cores 1", "--cores 2 --io epoll"] {
        let rig = Rig::new();
        let (summary, _) = rig.engine(flags);
        let rows = ROWS as u64;
        assert_eq!(iterations(&summary, "journey"), [rows; 3], "{flags}");
        let [scheduled, _, completed] = iterations(&summary, "people");
        assert!(scheduled > 4 && scheduled == completed, "{flags}: {scheduled} begun, {completed} completed");
        let seen = rig.seen();
        hold(&seen, &[summary]);
        let mix: BTreeMap<String, u64> = seen
            .into_iter()
            .filter(|(line, _)| line.len() == "GET /a".len() || line.starts_with("HEAD"))
            .collect();
        assert_eq!(mix.len(), 5, "all five of the mix: {mix:?}");
        mixes.push(mix);
    }
    assert_eq!(mixes[0], mixes[1], "what is drawn hangs on the seed alone");
}

#[test]
fn three_shares_are_the_whole_plan() {
    let _hold = among_others();
    let rig = Rig::new();
    let shares: Vec<(Value, PathBuf)> = std::thread::scope(|scope| {
        let threads = [1, 2, 3].map(|share| {
            let rig = &rig;
            scope.spawn(move || rig.engine(&format!("--cores 1 --share {share}/3")))
        });
        threads.map(|thread| thread.join().expect("its run passed")).into()
    });
    let mut merge = Engine::new("merge").json();
    for (_, file) in &shares {
        merge = merge.arg(file);
    }
    let merged = merge.run().expect(0);
    assert_eq!(iterations(merged.summary(), "journey"), [ROWS as u64; 3]);
    let summaries: Vec<Value> = shares.into_iter().map(|(summary, _)| summary).collect();
    hold(&rig.seen(), &summaries);
}
