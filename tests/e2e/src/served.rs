//! A coordinator that serves, and nodes that attend it, on loopback.
//!
//! What it is: `coordinator serve` and `engine node` as users start them, with what is asked over HTTP. What it is not: a run.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::document::parse;
use crate::engine::{Engine, Running};
use crate::http;
use crate::waiting::{SOON, wait_for};

/// A coordinator with its state; nodes are their own.
#[derive(Debug)]
pub struct Served {
    running: Running,
    /// Where nodes come.
    pub nodes: SocketAddr,
    /// Where people and programs come.
    pub people: SocketAddr,
    flags: String,
    folder: tempfile::TempDir,
}

impl Served {
    /// Starts `coordinator serve` with more flags, on free ports.
    pub fn start(flags: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (running, nodes, people) = serve(folder.path().join("coordinator"), flags, any, any);
        Self { running, nodes, people, flags: flags.to_owned(), folder }
    }

    /// Starts nodes of these names, on one core each, and waits until they are there.
    pub fn attend(&self, names: &[&str]) -> Vec<Running> {
        let nodes: Vec<Running> = names.iter().map(|name| self.node(name).start()).collect();
        wait_for("the nodes", SOON, || {
            let fleet = self.get("/fleet");
            let there = |name: &&str| {
                fleet["nodes"]
                    .as_array()?
                    .iter()
                    .find(|node| node["name"] == **name && node["connected"] == true)
            };
            names.iter().all(|name| there(name).is_some()).then_some(())
        });
        nodes
    }

    /// A node that attends it, not started yet.
    pub fn node(&self, name: &str) -> Engine {
        Engine::new(&format!("node --coordinator {} --name {name} --cores 1 --state", self.nodes))
            .arg(self.folder.path().join(name))
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.running.process.signal(Signal::KILL);
        self.running.process.wait(SOON);
    }

    /// Starts it again, on the same state and the same ports.
    pub fn again(&mut self) {
        let state = self.folder.path().join("coordinator");
        (self.running, ..) = serve(state, &self.flags, self.nodes, self.people);
    }

    /// What the API answers.
    pub fn get(&self, path: &str) -> Value {
        parse(path, &http::get(self.people, &format!("/api/v1{path}")))
    }

    /// A command of the coordinator's that asks this one.
    pub fn asked(&self, line: &str) -> Engine {
        Engine::of("coordinator", line).args("--coordinator").arg(format!("http://{}", self.people))
    }

    /// What it has said.
    pub fn told(&self) -> String {
        self.running.process.stderr()
    }
}

fn serve(
    state: PathBuf,
    flags: &str,
    nodes: SocketAddr,
    people: SocketAddr,
) -> (Running, SocketAddr, SocketAddr) {
    let line = format!("serve --nodes-listen {nodes} --http-listen {people} {flags} --state");
    let mut running = Engine::of("coordinator", &line).arg(state).start();
    let mut address = |start: &str| {
        running.process.wait_for_stderr("the coordinator's addresses", SOON, |line| {
            line.strip_prefix(start)?.trim_end_matches('/').parse::<SocketAddr>().ok()
        })
    };
    let nodes = address("nodes: engine node --coordinator ");
    let people = address("people: http://");
    (running, nodes, people)
}
