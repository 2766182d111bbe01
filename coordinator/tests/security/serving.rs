//! A coordinator that serves: the built program, with a state folder and ports of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Answer, ask, pause};

const PROGRAM: &str = env!("CARGO_BIN_EXE_coordinator");
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often something is looked at.
const LOOKED_AT: Duration = Duration::from_millis(20);

pub(crate) struct Serving {
    child: Child,
    state: Arc<TempDir>,
    pub(crate) nodes: SocketAddr,
    pub(crate) people: SocketAddr,
    said: Arc<Mutex<String>>,
    /// Shown with every request of [`Serving::get`] and [`Serving::post`].
    token: Option<String>,
}

/// How a coordinator ended that could not serve.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

/// A command of the program, run to its end: exit code, standard output, standard error.
pub(crate) fn command(words: &[&str], state: &Path) -> (Option<i32>, String, String) {
    let output = of(words, state).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn of(words: &[&str], state: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COORDINATOR_") {
            command.env_remove(name);
        }
    }
    command.args(words).env("COORDINATOR_STATE", state).stdin(Stdio::null());
    command
}

impl Serving {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_in(&Arc::new(tempfile::tempdir().unwrap()), flags)
    }

    pub(crate) fn start_in(state: &Arc<TempDir>, flags: &[&str]) -> Self {
        Self::try_start(state, flags).unwrap_or_else(|ended| panic!("it does not serve: {ended:?}"))
    }

    /// Starts it, or says how it ended.
    pub(crate) fn try_start(state: &Arc<TempDir>, flags: &[&str]) -> Result<Self, Ended> {
        let listen = ["serve", "--nodes-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
        Self::run(of(&[&listen, flags].concat(), state.path()), state)
    }

    /// Starts it by a command of the test's own.
    pub(crate) fn run(mut command: Command, state: &Arc<TempDir>) -> Result<Self, Ended> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = heard.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        let address = |said: &str, before: &str| {
            let rest = said.split_once(before)?.1;
            let rest = rest
                .split_once("//")
                .map_or(rest, |(scheme, after)| if scheme.starts_with("http") { after } else { rest });
            rest.split(['\n', '/', ' ']).next()?.parse().ok()
        };
        for _ in 0..PATIENCE.as_millis() / LOOKED_AT.as_millis() {
            let text = said.lock().unwrap().clone();
            if let (Some(nodes), Some(people)) =
                (address(&text, "nodes: engine node --coordinator "), address(&text, "people: "))
            {
                let serving = Self { child, state: Arc::clone(state), nodes, people, said, token: None };
                return Ok(serving);
            }
            if let Some(status) = child.try_wait().unwrap() {
                reader.join().unwrap();
                return Err(Ended { code: status.code(), said: said.lock().unwrap().clone() });
            }
            pause(LOOKED_AT);
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(Ended { code: None, said: said.lock().unwrap().clone() })
    }

    /// One that asks for tokens; requests show an operator's.
    pub(crate) fn with_tokens(flags: &[&str]) -> Self {
        let mut serving = Self::start(&[&["--tokens"], flags].concat());
        serving.token = Some(serving.mint(&["--role", "operator"]));
        serving
    }

    /// A token of its register.
    pub(crate) fn mint(&self, flags: &[&str]) -> String {
        let (code, token, said) = command(&[&["tokens"], flags].concat(), self.folder());
        assert_eq!(code, Some(0), "{said}");
        token.trim().to_owned()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn state(&self) -> Arc<TempDir> {
        Arc::clone(&self.state)
    }

    /// What it said on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn headers(&self) -> Vec<(String, String)> {
        let token = self.token.as_ref().map(|token| ("Authorization".to_owned(), format!("Bearer {token}")));
        token.into_iter().collect()
    }

    pub(crate) fn ask(&self, what: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let own = self.headers();
        let own = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = own.chain(headers.iter().copied()).collect();
        ask(self.people, what, &all, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("Content-Type", "application/json")];
        self.ask(&format!("POST {path}"), &json, body.to_string().as_bytes())
    }

    /// Queues a run; its id.
    pub(crate) fn submit(&self, body: &Value) -> String {
        let answer = self.post("/api/v1/runs", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A node as it is shown; null where it is not known.
    pub(crate) fn node(&self, name: &str) -> Value {
        let answer = self.get(&format!("/api/v1/nodes/{name}"));
        if answer.status == 200 { answer.json() } else { Value::Null }
    }

    /// Waits until `found` finds something in what is answered at `path`.
    pub(crate) fn until<T>(&self, path: &str, found: impl Fn(&Value) -> Option<T>) -> T {
        for _ in 0..PATIENCE.as_millis() / (5 * LOOKED_AT.as_millis()) {
            let answer = self.get(path);
            if let Some(found) = (answer.status == 200).then(|| answer.json()).as_ref().and_then(&found) {
                return found;
            }
            pause(5 * LOOKED_AT);
        }
        let answer = self.get(path);
        panic!("{path} does not come to that: {} {}\n{}", answer.status, answer.text(), self.said())
    }

    /// Its memory now, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Whether it is still at work.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        for _ in 0..PATIENCE.as_millis() / LOOKED_AT.as_millis() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            pause(LOOKED_AT);
        }
        panic!("it does not end: {}", self.said())
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn end(mut self) -> Option<i32> {
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.wait()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
