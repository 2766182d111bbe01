//! The S3 example against a store that verifies every signature (moto's server): what lies on it is what the report says.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::document::{counts, parse};
use e2e::engine::write;
use e2e::machine::{among_others, repository};
use e2e::process::{Process, shell_code};
use e2e::waiting::wait_for;
use e2e::{Engine, Outcome, count, python};
use serde_json::Value;

const PACKAGES: &[&str] = &["moto[server]==5.2.5", "boto3==1.44.5"];
const BUCKET: &str = "load-test";
/// Objects that setup puts.
const READ: u64 = 7;
/// Parts of an upload, and the bytes of each.
const PARTS: u64 = 2;
const PART: u64 = 5 << 20;

/// A store with a bucket, and the key that opens it.
struct Store {
    python: PathBuf,
    _server: Process,
    endpoint: String,
    access: String,
    secret: String,
}

impl Store {
    fn start() -> Self {
        let python = python::with_packages("s3", PACKAGES);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("it listens");
        drop(listener);
        let mut command = Command::new(&python);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()]);
        // The user, the policy and the key are made without one; whatever comes then must be signed with it.
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "3");
        let server = Process::start(command, None);
        wait_for("the store", Duration::from_mins(1), || TcpStream::connect(address).ok());
        let (access, secret) = (String::new(), String::new());
        let mut store =
            Self { python, _server: server, endpoint: format!("http://{address}"), access, secret };
        let key = store.ask("user");
        let text = |index: usize| key[index].as_str().expect("a part of the key").to_owned();
        (store.access, store.secret) = (text(0), text(1));
        store
    }

    /// What a client of another make finds.
    fn ask(&self, what: &str) -> Value {
        let mut command = Command::new(&self.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ci/s3/store.py"));
        command.args([what, &self.endpoint, BUCKET]);
        command.env("AWS_ACCESS_KEY_ID", &self.access).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        let mut process = Process::start(command, None);
        let code = shell_code(process.wait(Duration::from_mins(1)));
        assert_eq!(code, 0, "{}{}", process.stdout(), process.stderr());
        parse("the client's answer", process.stdout().as_bytes())
    }

    /// The sizes of the objects below each folder.
    fn sizes(&self) -> BTreeMap<String, Vec<u64>> {
        let mut folders: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (key, size) in self.ask("list").as_object().expect("keys and sizes") {
            let (folder, _) = key.split_once('/').expect("a folder and a number");
            folders.entry(folder.to_owned()).or_default().push(size.as_u64().expect("a size"));
        }
        folders
    }

    fn engine(&self, command: &str, plan: &Path, secret: &str) -> Engine {
        let engine = if command == "run" { Engine::patient(command) } else { Engine::new(command) };
        engine
            .arg(plan)
            .within(Duration::from_mins(3))
            .variable("S3_ENDPOINT", &self.endpoint)
            .variable("S3_BUCKET", BUCKET)
            .variable("AWS_ACCESS_KEY_ID", &self.access)
            .variable("AWS_SECRET_ACCESS_KEY", secret)
            .variable("STAY", "3s")
            .variable("OBJECTS", &READ.to_string())
            .variable("PAGE", "3")
            .variable("PARTS", &PARTS.to_string())
            .variable("PART", &PART.to_string())
            .variable("PUTS", "8")
            .variable("GETS", "10")
            .variable("UPLOADERS", "1")
    }
}

/// The secret stands nowhere, as it is or encoded.
fn hold_no_secret(outcome: &Outcome, secret: &str) {
    let summary = if outcome.has_summary() { outcome.summary().to_string() } else { String::new() };
    let encoded: String = secret
        .chars()
        .map(|letter| match letter {
            '/' => "%2F".to_owned(),
            '+' => "%2B".to_owned(),
            letter => letter.to_string(),
        })
        .collect();
    for text in [&outcome.stdout, &outcome.stderr, &summary] {
        assert!(!text.contains(secret) && !text.contains(&encoded), "the secret is in {text}");
    }
}

fn example() -> PathBuf {
    repository().join("examples/s3.yaml")
}

#[test]
fn objects_on_the_store_are_those_of_the_report() {
    let _hold = among_others();
    let store = Store::start();
    let outcome = store.engine("run", &example(), &store.secret).args("--cores 2").run().expect(0);
    hold_no_secret(&outcome, &store.secret);
    let summary = outcome.summary();
    let ok = |name: &str| count(summary, &format!("/names/{name}/ok"));
    let begun = |workload: &str| count(summary, &format!("/workloads/{workload}/iterations/begun"));
    assert_eq!(outcome.audit().failed(), 0, "{}", outcome.told());
    let notes = summary["environment"]["notes"].to_string();
    for told in [format!("setup sent {READ} requests"), format!("teardown sent {READ} requests")] {
        assert!(notes.contains(&told), "{notes}");
    }

    // Setup's objects are gone, those of the load are there, each once, and what was deleted is not.
    let sizes = store.sizes();
    assert_eq!(sizes.keys().collect::<Vec<_>>(), ["put", "uploaded"]);
    assert_eq!(sizes["put"].len() as u64, ok("PUT object"));
    assert_eq!(ok("PUT object"), begun("put"));
    assert_eq!(sizes["uploaded"], vec![PARTS * PART; sizes["uploaded"].len()]);
    assert_eq!(sizes["uploaded"].len() as u64, ok("POST complete"));
    assert_eq!(ok("PUT part"), PARTS * ok("POST upload"));
    assert_eq!((ok("DELETE object"), ok("PUT object to delete")), (begun("delete"), begun("delete")));
    assert_eq!(ok("GET object"), begun("get"));
    // Seven objects are three pages of three.
    assert_eq!(ok("LIST objects"), 3 * begun("list"));
    assert!(ok("PUT object") >= 8 && ok("POST complete") >= 1 && begun("list") == 6, "{}", outcome.told());

    // The sizes follow their law: 128 KiB ± 32 KiB, none like another.
    let put = &sizes["put"];
    let mean = put.iter().sum::<u64>() / put.len() as u64;
    assert!((98_304..=163_840).contains(&mean), "{put:?}");
    assert!(put.iter().min() != put.iter().max(), "{put:?}");
    let sent = put.iter().sum::<u64>() + PART * ok("PUT part");
    assert!(count(summary, "/bytes/sent") > sent, "{}", outcome.told());
}

#[test]
fn a_wrong_secret_is_refused_and_told_as_that() {
    const WRONG: &str = "wrong/secret+of20characters";
    const PLAN: &str = r#"
schema: openloop.plan/1
secrets: {key: {env: AWS_SECRET_ACCESS_KEY}}
targets: {store: "${S3_ENDPOINT}"}
workloads:
  put:
    {tps: 20, for: 1s, request: {put: "/${S3_BUCKET}/put/{{iteration}}", name: PUT, bytes: {exponential: 1KiB}, auth:
      {aws: {access-key: "${AWS_ACCESS_KEY_ID}", secret-key: "{{secret.key}}", region: us-east-1, service: s3}}}}
"#;
    let _hold = among_others();
    let store = Store::start();
    let outcome = store.engine("run", &example(), WRONG).args("--cores 1").run().expect(11);
    hold_no_secret(&outcome, WRONG);
    let told = "setup failed, no load was sent: PUT /{{bucket}}/read/{{add(number, 1)}}: status 403";
    assert!(outcome.stderr.contains(told), "{}", outcome.told());

    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    write(&plan, PLAN);
    let outcome = store.engine("run", &plan, WRONG).args("--cores 1").run().expect(11);
    hold_no_secret(&outcome, WRONG);
    assert_eq!(counts(outcome.summary(), "/status"), BTreeMap::from([("403".to_owned(), 20)]));
    assert_eq!(count(outcome.summary(), "/names/PUT/ok"), 0);
    let outcome = store.engine("debug", &plan, WRONG).run().expect(10);
    assert!(outcome.stdout.contains("status 403"), "{}", outcome.told());
    hold_no_secret(&outcome, WRONG);
    hold_no_secret(&store.engine("check", &plan, WRONG).run().expect(0), WRONG);

    // With the right one each of them would have been taken.
    let outcome = store.engine("run", &plan, &store.secret).args("--cores 1").run().expect(0);
    assert_eq!(counts(outcome.summary(), "/status"), BTreeMap::from([("200".to_owned(), 20)]));
    assert_eq!(store.sizes()["put"].len(), 20);
}
