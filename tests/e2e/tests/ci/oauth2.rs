//! OAuth 2 client credentials against a server of another make (authlib): tokens are fetched, renewed, and in no output.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use e2e::document::parse;
use e2e::engine::write;
use e2e::machine::among_others;
use e2e::process::Process;
use e2e::waiting::{SOON, wait_for};
use e2e::{Engine, Outcome, count, http, python};
use tempfile::TempDir;

const PACKAGES: &[&str] = &["authlib==1.9.9", "flask==3.1.3"];
/// With what a form and a header must encode.
const SECRET: &str = "hunter2+/&% ü";

const PLAN: &str = r#"
schema: openloop.plan/1
secrets: {client: {env: CLIENT_SECRET}}
targets: {shop: "${SHOP}"}
setup:
  - {get: /orders, auth: &token {oauth2: {token-url: "${SHOP}/token", client-id: load, client-secret: "{{secret.client}}", scope: read, credentials: "${WHERE:-header}"}}}
workloads:
  orders: {tps: 40, for: "${FOR:-7s}", scenario: order}
scenarios:
  order:
    - {get: /orders, name: order, auth: *token, check: [{json: {$.paid: true}}]}
teardown:
  - {get: /orders, auth: *token}
"#;

/// The server, and a plan that loads what it protects.
struct Rig {
    folder: TempDir,
    _server: Process,
    address: SocketAddr,
}

impl Rig {
    /// Its tokens are good for so many seconds.
    fn new(seconds: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join("plan.yaml"), PLAN);
        let mut command = Command::new(python::with_packages("oauth2", PACKAGES));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ci/oauth2/server.py"));
        command.args([&seconds.to_string(), SECRET]).env("AUTHLIB_INSECURE_TRANSPORT", "1");
        let server = Process::start(command, None);
        let port = wait_for("the server's port", SOON, || server.stdout().trim().parse::<u16>().ok());
        Self { folder, _server: server, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    fn engine(&self, command: &str) -> Engine {
        let engine = if command == "run" { Engine::patient(command) } else { Engine::new(command) };
        engine
            .arg(self.folder.path().join("plan.yaml"))
            .variable("SHOP", &format!("http://{}", self.address))
            .variable("CLIENT_SECRET", SECRET)
    }

    /// What the server has seen: `token WAY STATUS`, and `order TOKEN` for each that it let pass.
    fn seen(&self) -> Vec<String> {
        let log = parse("the server's log", &http::get(self.address, "/log"));
        let lines = log.as_array().expect("a list").iter();
        lines.map(|line| line.as_str().expect("a line").to_owned()).collect()
    }

    /// Tokens given out, orders let pass, and the tokens that they carried.
    fn counts(&self) -> (u64, u64, BTreeSet<String>) {
        let seen = self.seen();
        let given = seen.iter().filter(|line| line.starts_with("token ") && line.ends_with(" 200")).count();
        let orders: Vec<&str> = seen.iter().filter_map(|line| line.strip_prefix("order ")).collect();
        (given as u64, orders.len() as u64, orders.into_iter().map(str::to_owned).collect())
    }

    /// Neither the secret nor a token stands in what the engine said.
    fn hold_silence(&self, outcome: &Outcome) {
        let summary = if outcome.has_summary() { outcome.summary().to_string() } else { String::new() };
        let (_, _, tokens) = self.counts();
        let hidden = tokens.iter().map(String::as_str).chain([SECRET, "hunter2"]);
        for hidden in hidden {
            for text in [&outcome.stdout, &outcome.stderr, &summary] {
                assert!(!text.contains(hidden), "{hidden} is in {text}");
            }
        }
    }
}

fn notes(outcome: &Outcome) -> String {
    outcome.summary()["environment"]["notes"].to_string()
}

#[test]
fn tokens_are_fetched_once_and_renewed_before_they_end() {
    let _hold = among_others();
    let rig = Rig::new(4);
    let outcome = rig.engine("run").args("--cores 2").run().expect(0);
    // The second is fetched after three seconds, the third after six.
    let (given, orders, tokens) = rig.counts();
    assert_eq!(outcome.audit().ok, 280, "{}", outcome.told());
    assert_eq!(orders, 280 + 2, "those of setup and teardown as well");
    assert!(given >= 3 && tokens.len() as u64 == given, "{given} given, {tokens:?} used");
    let told = format!("1 OAuth 2 token asked of http://{}, {given} fetched", rig.address);
    assert!(notes(&outcome).contains(&told), "{}", notes(&outcome));
    rig.hold_silence(&outcome);
}

#[test]
fn a_token_that_ends_is_told_of_when_it_cannot_be_renewed() {
    let _hold = among_others();
    let rig = Rig::new(2);
    let running = rig.engine("run").args("--cores 1").variable("FOR", "6s").start();
    wait_for("load", SOON, || (rig.counts().1 >= 20).then_some(()));
    http::get(rig.address, "/deaf");
    let outcome = running.finish().expect(0);
    let (_, orders, _) = rig.counts();
    let audit = outcome.audit();
    assert_eq!(orders, audit.ok + 1, "setup's was let pass as well, teardown's was not: {}", outcome.told());
    assert_eq!(audit.error_classes(), ["status"]);
    assert_eq!(count(outcome.summary(), "/status/401"), audit.failed());
    let refused = "a token could not be renewed";
    assert!(notes(&outcome).contains(refused), "{}", notes(&outcome));
    assert!(notes(&outcome).contains("status 401 (invalid_client)"), "{}", notes(&outcome));
    rig.hold_silence(&outcome);
}

#[test]
fn without_a_token_nothing_is_sent() {
    let _hold = among_others();
    let rig = Rig::new(60);
    let outcome = rig.engine("run").variable("CLIENT_SECRET", "hunter2 too").run().expect(11);
    let told = format!("error: oauth2: no token from http://{}: status 401 (invalid_client) → ", rig.address);
    assert!(outcome.stderr.contains(&told), "{}", outcome.told());
    assert!(!outcome.has_summary());
    rig.hold_silence(&outcome);
    let outcome = rig.engine("run").variable("SHOP", "http://127.0.0.1:9").run().expect(11);
    assert!(
        outcome.stderr.contains("no token from http://127.0.0.1:9: connect_refused"),
        "{}",
        outcome.told()
    );
    assert_eq!(rig.seen(), ["token basic 401"]);
}

#[test]
fn an_iteration_that_is_shown_hides_its_token() {
    let _hold = among_others();
    let rig = Rig::new(60);
    let outcome = rig.engine("debug").variable("WHERE", "body").run().expect(0);
    assert!(outcome.stdout.contains("Authorization: ***"), "{}", outcome.told());
    rig.hold_silence(&outcome);
    let seen = rig.seen();
    assert_eq!((seen.len(), seen[0].as_str()), (4, "token form 200"), "{seen:?}");
}
