//! Digest authentication against Apache: what its log says is what the report says, challenges by their own name.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use e2e::document::counts;
use e2e::engine::write;
use e2e::machine::among_others;
use e2e::process::{Process, program};
use e2e::waiting::{SOON, wait_for};
use e2e::{Engine, Outcome, count};
use rustix::process::Signal;
use tempfile::TempDir;

const PASSWORD: &str = "open sesame";
/// `ann` in the realm `shop`, with the MD5 digest of `ann:shop:open sesame`.
const USERS: &str = "ann:shop:ff14696838746e42744cbdc486f3094b\n";

const PLAN: &str = r#"
schema: openloop.plan/1
secrets: {password: {env: SHOP_PASSWORD}}
targets: {shop: "${SHOP}"}
workloads:
  visits: {tps: 20, for: 2s, scenario: visit}
scenarios:
  visit:
    - {get: /a, name: a, auth: &login {digest: {user: ann, password: "{{secret.password}}"}}, check: {status: 200}}
    - {get: "/b?x={{iteration}}", name: b, auth: *login, check: {status: 200}}
    - think: ${REST:-0s}
    - {get: /c, name: c, auth: *login, check: {status: 200}}
"#;

/// Apache with three files, of which each wants a login.
struct Rig {
    folder: TempDir,
    apache: Process,
    address: SocketAddr,
}

impl Rig {
    /// Its nonces are good for so many seconds; 0: for one request each.
    fn new(seconds: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().display();
        // As root Apache serves as somebody who must be able to read.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        for name in ["a", "b", "c"] {
            write(&folder.path().join(name), name);
        }
        write(&folder.path().join("users"), USERS);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        drop(listener);
        let modules = ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_digest"];
        let load = |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let modules: String = modules.into_iter().map(load).collect();
        let settings = format!(
            "{modules}ServerName localhost
             ServerRoot {place}
             PidFile {place}/pid
             DefaultRuntimeDir {place}
             ErrorLog {place}/error.log
             CustomLog {place}/access.log \"%m %U %>s\"
             User www-data
             Group www-data
             Listen {address}
             MaxKeepAliveRequests 0
             DocumentRoot {place}
             <Location \"/\">
                 AuthType Digest
                 AuthName shop
                 AuthDigestProvider file
                 AuthUserFile {place}/users
                 AuthDigestNonceLifetime {seconds}
                 Require valid-user
             </Location>"
        );
        write(&folder.path().join("apache.conf"), settings);
        write(&folder.path().join("plan.yaml"), PLAN);
        let mut command = Command::new(program(&["apache2", "httpd"]));
        // One process, so that a failing test leaves nothing behind.
        command.arg("-X").arg("-f").arg(folder.path().join("apache.conf"));
        let apache = Process::start(command, None);
        wait_for("Apache", SOON, || TcpStream::connect(address).ok());
        Self { folder, apache, address }
    }

    fn run(&self, password: &str, rest: &str) -> Outcome {
        Engine::patient("run --cores 1")
            .arg(self.folder.path().join("plan.yaml"))
            .variable("SHOP", &format!("http://{}", self.address))
            .variable("SHOP_PASSWORD", password)
            .variable("REST", rest)
            .run()
    }

    /// What was asked for and how it was answered, and how often.
    fn seen(mut self) -> BTreeMap<String, u64> {
        self.apache.signal(Signal::TERM);
        self.apache.wait(SOON);
        let log = fs::read_to_string(self.folder.path().join("access.log")).expect("Apache wrote its log");
        let mut seen = BTreeMap::new();
        for line in log.lines().filter(|line| line.starts_with("GET")) {
            *seen.entry(line.to_owned()).or_default() += 1;
        }
        seen
    }
}

fn map<const N: usize>(entries: [(&str, u64); N]) -> BTreeMap<String, u64> {
    entries.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Requests sent by name.
fn sent(outcome: &Outcome) -> BTreeMap<String, u64> {
    let names = outcome.summary()["names"].as_object().expect("figures by name");
    let sent = names.iter().map(|(name, figures)| (name.clone(), count(figures, "/sent")));
    sent.filter(|(_, sent)| *sent > 0).collect()
}

#[test]
fn each_visitor_is_challenged_once() {
    let _hold = among_others();
    let rig = Rig::new(300);
    let outcome = rig.run(PASSWORD, "0s").expect(0);
    assert_eq!(sent(&outcome), map([("a", 40), ("a (challenge)", 40), ("b", 40), ("c", 40)]));
    assert_eq!(counts(outcome.summary(), "/status"), map([("200", 120), ("401", 40)]));
    assert_eq!(outcome.audit().failed(), 0, "a challenge is no failure: {}", outcome.told());
    assert_eq!(count(outcome.summary(), "/workloads/visits/iterations/completed"), 40);
    assert!(!outcome.stdout.contains(PASSWORD) && !outcome.stderr.contains(PASSWORD), "{}", outcome.told());
    assert_eq!(
        rig.seen(),
        map([("GET /a 200", 40), ("GET /a 401", 40), ("GET /b 200", 40), ("GET /c 200", 40)])
    );
}

#[test]
fn a_nonce_that_became_too_old_is_replaced() {
    let _hold = among_others();
    let rig = Rig::new(1);
    let outcome = rig.run(PASSWORD, "2500ms").expect(0);
    assert_eq!(sent(&outcome), map([("a", 40), ("a (challenge)", 40), ("b", 40), ("c", 80)]));
    assert_eq!(outcome.audit().failed(), 0, "{}", outcome.told());
    assert_eq!(
        rig.seen(),
        map([
            ("GET /a 200", 40),
            ("GET /a 401", 40),
            ("GET /b 200", 40),
            ("GET /c 200", 40),
            ("GET /c 401", 40)
        ])
    );
}

#[test]
fn a_nonce_for_each_request_is_taken_from_the_answer_before() {
    let _hold = among_others();
    let rig = Rig::new(0);
    let outcome = rig.run(PASSWORD, "0s").expect(0);
    assert_eq!(sent(&outcome), map([("a", 40), ("a (challenge)", 40), ("b", 40), ("c", 40)]));
    assert_eq!(
        rig.seen(),
        map([("GET /a 200", 40), ("GET /a 401", 40), ("GET /b 200", 40), ("GET /c 200", 40)])
    );
}

#[test]
fn a_wrong_password_is_a_failure_of_each_request() {
    let _hold = among_others();
    let rig = Rig::new(300);
    let outcome = rig.run("close sesame", "0s").expect(0);
    let all = [
        ("a", 40),
        ("a (challenge)", 40),
        ("b", 40),
        ("b (challenge)", 40),
        ("c", 40),
        ("c (challenge)", 40),
    ];
    assert_eq!(sent(&outcome), map(all));
    assert_eq!(outcome.audit().errors, map([("status", 120)]));
    assert_eq!(rig.seen(), map([("GET /a 401", 80), ("GET /b 401", 80), ("GET /c 401", 80)]));
}
