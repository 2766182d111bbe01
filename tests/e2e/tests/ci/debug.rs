//! One iteration of each workload, shown: what was sent and answered, and no secret.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use e2e::document::parse;
use e2e::engine::write;
use e2e::machine::among_others;
use e2e::process::{Process, program};
use e2e::waiting::{SOON, wait_for};
use e2e::{Engine, http};
use rustix::process::Signal;
use tempfile::TempDir;

const PLAN: &str = r#"
schema: openloop.plan/1
secrets: {password: {env: SHOP_PASSWORD}}
targets: {shop: "${SHOP}"}
workloads:
  buyers: {tps: 100, for: 4s, scenario: buy}
  lookers: {users: 4, for: 3s, request: /home}
scenarios:
  buy:
    - post: /login
      json: {user: ann, password: "{{secret.password}}"}
      extract: {token: {json: $.user.token}, session: {cookie: session}}
      check: [{status: 200}, {json: {$.user.token: t-ann}}]
    - think: 300ms
    - get: /orders/ann?p={{url(secret.password)}}
      name: order
      auth: {bearer: "{{token}}"}
      check: [{json: {$.order.of: "${WANTED:-ann}"}}]
"#;

/// The shop and a plan.
pub(crate) struct Rig {
    folder: TempDir,
    shop: Process,
    address: SocketAddr,
}

impl Rig {
    pub(crate) fn new(plan: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join("plan.yaml"), plan);
        let mut command = Command::new(program(&["python3"]));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ci/journeys/shop.py"));
        let shop = Process::start(command, None);
        let port = wait_for("the shop's port", SOON, || shop.stdout().trim().parse::<u16>().ok());
        Self { folder, shop, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    fn debug(&self) -> Engine {
        self.engine("debug")
    }

    pub(crate) fn engine(&self, command: &str) -> Engine {
        Engine::new(command)
            .arg(self.folder.path().join("plan.yaml"))
            .variable("SHOP", &format!("http://{}", self.address))
            .variable("SHOP_PASSWORD", "hunter 2&more")
    }

    /// Request lines that the shop saw in all.
    pub(crate) fn seen(self) -> Vec<String> {
        let lines = self.lines();
        self.shop.signal(Signal::KILL);
        lines
    }

    /// Request lines that the shop has seen so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let log = parse("the shop's log", &http::get(self.address, "/log"));
        let lines = log.as_array().expect("a list").iter();
        lines.map(|line| line.as_str().expect("a line").to_owned()).collect()
    }
}

#[test]
fn one_iteration_of_each_workload_is_shown_without_its_secrets() {
    let _hold = among_others();
    let rig = Rig::new(PLAN);
    let outcome = rig.debug().run().expect(0);
    for words in [
        "workload buyers: one iteration of buy",
        "> POST /login HTTP/1.1",
        r#"> {"user":"ann","password":"***"}"#,
        "< HTTP/1.1 200 OK",
        "< Set-Cookie: ***",
        r#"< {"user": {"token": "t-ann"}}"#,
        "token = t-ann",
        "session = ***",
        "thinks 300.000 ms",
        "> GET /orders/ann?p=*** HTTP/1.1",
        "first byte ",
        "workload lookers: one iteration",
        "> GET /home HTTP/1.1",
    ] {
        assert!(outcome.stdout.contains(words), "{words} is missing:\n{}", outcome.told());
    }
    let lower = outcome.stdout.to_lowercase();
    assert!(lower.contains("authorization: ***") && lower.contains("> cookie: ***"), "{}", outcome.told());
    for secret in ["hunter", "c-ann", "Bearer"] {
        assert!(
            !outcome.stdout.contains(secret) && !outcome.stderr.contains(secret),
            "{secret} is shown:\n{}",
            outcome.told()
        );
    }
    assert_eq!(rig.seen(), ["POST /login", "GET /orders/ann?p=hunter%202%26more", "GET /home"]);
}

#[test]
fn what_does_not_hold_and_who_does_not_answer_is_told() {
    let _hold = among_others();
    let rig = Rig::new(PLAN);
    let outcome = rig.debug().args("--workload buyers").variable("WANTED", "bob").run().expect(10);
    assert!(outcome.stdout.contains("checks that did not hold: 1 (2 requests sent)"), "{}", outcome.told());
    rig.debug().args("--workload lookers").variable("WANTED", "bob").run().expect(0);
    let outcome = rig.debug().args("--scenario sell").run().expect(2);
    assert!(outcome.stderr.contains("--scenario: there is none of the name"), "{}", outcome.told());
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = nobody.local_addr().expect("it has a port");
    drop(nobody);
    let outcome =
        rig.debug().args("--scenario buy").variable("SHOP", &format!("http://{address}")).run().expect(11);
    assert!(outcome.stdout.contains("not sent: connect_refused"), "{}", outcome.told());
    // Public hosts are behind the same rail as for a run.
    let outcome = rig.debug().variable("SHOP", "http://192.0.2.1").run().expect(4);
    assert!(outcome.stderr.contains("--i-own"), "{}", outcome.told());
    assert_eq!(rig.seen().len(), 3, "nothing but the iterations that were asked for");
}
