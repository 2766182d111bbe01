//! An edge over a pretended fleet, on a port of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use coordinator::files::Repository;
use coordinator::handle::{FleetView, channel};
use coordinator::http::{Options, serve};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::client::{Answer, ask};
use crate::fleet::{Pretence, pretend};

pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    pub(crate) incoming: PathBuf,
    pub(crate) folder: TempDir,
    over: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) struct Setting {
    pub(crate) options: Options,
    pub(crate) second: Duration,
    pub(crate) behind: u64,
    pub(crate) words: String,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            options: Options::default(),
            second: Duration::from_millis(50),
            behind: 0,
            words: String::new(),
        }
    }
}

impl Edge {
    pub(crate) fn start(setting: Setting) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let incoming = folder.path().join("incoming");
        let repository = Repository::open(folder.path()).unwrap();
        let (over, ended) = watch::channel(false);
        let (tell, told) = std::sync::mpsc::channel();
        let (handle, inbox) = channel(repository.clone(), FleetView::default());
        let Setting { options, second, behind, words } = setting;
        let pretence = Pretence { second, behind, words, repository };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::spawn(pretend(pretence, inbox));
                serve(listener, handle, options, ended).await.unwrap();
            });
        });
        let address = told.recv().unwrap();
        Self { address, incoming, folder, over, thread: Some(thread) }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        ask(self.address, &format!("GET {path}"), &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("Content-Type", "application/json")];
        ask(self.address, &format!("POST {path}"), &headers, body.to_string().as_bytes())
    }

    /// Starts a run of so many seconds; yields its name.
    pub(crate) fn start_run(&self, seconds: u64) -> String {
        let words = ["--url", "http://target:8080/", "--tps", "1000", "--duration", &format!("{seconds}s")];
        let answer = self.post("/api/v1/runs", &json!({"words": words, "name": "checkout"}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.over.send(true);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.expect("the edge runs on a thread").expect("the edge ends without a panic");
        }
    }
}
