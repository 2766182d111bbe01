//! A journey: a plan file of one scenario with all that an iteration reuses (a row, variables, cookies, checks, think time,
//! a group), and a target that answers it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use engine::io::Route;
use engine::prepare::{FileRun, prepare_file};
use engine::shard::Settings;
use engine::shard::workload::Workload;
use plan::document::{PlanFile, World};
use plan::{Draft, PlanError, Rate};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::shards::{CONNECTIONS, allocations};

/// Answers each request alike, on a thread for each connection, until the connection ends.
pub(crate) struct Target {
    address: SocketAddr,
    is_secure: bool,
}

const BODY: &str = r#"{"ok":true,"items":[{"id":1},{"id":2}],"token":"a \u0074oken"}"#;

impl Target {
    pub(crate) fn start(is_secure: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let tls = is_secure.then(secure);
        thread::spawn(move || {
            // The run opens so many and no more.
            for stream in listener.incoming().take(CONNECTIONS as usize).flatten() {
                let tls = tls.clone();
                thread::spawn(move || match tls {
                    None => serve(stream),
                    Some(tls) => {
                        serve(StreamOwned::new(ServerConnection::new(tls).expect("a session"), stream));
                    }
                });
            }
        });
        Self { address, is_secure }
    }
}

fn secure() -> Arc<ServerConfig> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key);
    Arc::new(config.expect("the key belongs to it"))
}

fn serve(mut stream: impl Read + Write) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: sid=0123456789; Path=/\r\n\
         Content-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let (mut seen, mut piece) = (Vec::new(), [0; 4_096]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        seen.extend_from_slice(&piece[..count]);
        // The only request with a body has it in the same piece, and it ends in a bracket.
        if (seen.ends_with(b"\r\n\r\n") && seen.starts_with(b"GET")) || seen.ends_with(b"}") {
            seen.clear();
            if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }
}

/// The folder that the plan lies in.
struct Folder(tempfile::TempDir);

impl World for Folder {
    fn variable(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(self.0.path().join(path)).map_err(|error| error.to_string())
    }

    fn look(&self, path: &str) -> Result<(), String> {
        self.read(path).map(drop)
    }

    fn check_threshold(&self, _: &str) -> Result<(), PlanError> {
        Ok(())
    }
}

/// What one shard is told of the journey. Its clock shows the thread's allocations.
pub(crate) fn prepared(target: &Target, think_ms: u64) -> (Settings, Vec<Workload>) {
    let folder = Folder(tempfile::tempdir().expect("a folder"));
    std::fs::write(folder.0.path().join("users.csv"), "name,word\nann,secret\nbob,\"quo\"\"ted\"\n")
        .expect("it is written");
    let scheme = if target.is_secure { "https" } else { "http" };
    let text = format!(
        r"
schema: openloop.plan/1
targets: {{shop: {{url: '{scheme}://{}', insecure: {}, warm-connections: {CONNECTIONS}}}}}
data: {{users: {{file: users.csv, order: shuffled, at-end: repeat}}}}
workloads: {{buy: {{spike: {{base: 50, peak: 300, at: 1500ms, for: 1s, ramp: 1ms}}, for: 3s, scenario: buy}}}}
scenarios:
  buy:
    data: users
    steps:
      - get: /login?u={{{{users.name}}}}
        extract: {{token: {{json: $.token}}, item: {{regex: '(id)..([0-9]+)', group: 2}}}}
        check: [{{status: 200}}, {{json: {{$.ok: true}}}}]
      - think: {think_ms}ms
      - group: pay
        steps:
          - post: /cart
            headers: {{X-Token: '{{{{token}}}}', X-Trace: '{{{{uuid}}}}'}}
            json: {{word: '{{{{users.word}}}}', n: '{{{{as_number(random(1, 9))}}}}', item: '{{{{item}}}}'}}
            check: [{{header: {{Content-Type: {{contains: json}}}}}}, {{size: {{above: 9}}}}]
          - think: {think_ms}ms
          - get: /pay/{{{{token}}}}
            check: [{{body: {{contains: items}}}}, {{time: {{below: 10s}}}}]
",
        target.address, target.is_secure
    );
    let file = PlanFile::parse("plan.yaml", text.as_bytes(), &folder).expect("a valid plan");
    let draft = Draft {
        url: Some(file.targets[0].url.clone()),
        rate: Some(Rate::per_second(1)),
        duration_ns: Some(file.duration_ns()),
        ..Draft::default()
    };
    let run = FileRun {
        file: &file,
        folder: &command::Paths::within(folder.0.path()),
        plan: &draft.into_plan().expect("a plan"),
        ways: &[vec![Route::from(target.address)]],
        caps: &[CONNECTIONS],
        unix_offset_ns: 0,
    };
    let mut prepared = prepare_file(&run, 1, None).expect("it can be run");
    let (settings, workloads) = prepared.shards.pop().expect("one shard");
    (Settings { cpu_clock: allocations, core_wait_clock: || None, ..settings }, workloads)
}
