//! `engine target` in a process of its own: another clock, another counter.

use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::Value;

use crate::document::parse;
use crate::engine::{Engine, Running};
use crate::http::get;
use crate::waiting::SOON;

/// A running target.
#[derive(Debug)]
pub struct Target {
    /// The process.
    pub running: Running,
    /// Where it listens.
    pub address: SocketAddr,
    scheme: String,
}

impl Target {
    /// Starts `engine target` with more flags, on a free port of 127.0.0.1.
    pub fn start(flags: &str) -> Self {
        Self::start_on("127.0.0.1:0", Engine::new("target").args(flags))
    }

    /// Starts a target on a free port of an address.
    ///
    /// # Panics
    /// When it does not say where it listens.
    pub fn start_on(listen: &str, engine: Engine) -> Self {
        let mut running = engine.args("--listen").arg(listen).start();
        let url = running.process.wait_for_stderr("the target's address", SOON, |line| {
            line.strip_prefix("target: ").and_then(|rest| rest.split(' ').next()).map(str::to_owned)
        });
        let (scheme, rest) = url.split_once("://").expect("the target prints a URL");
        let address = rest.trim_end_matches('/').parse().expect("the target prints its address");
        Self { running, address, scheme: scheme.to_owned() }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.address)
    }

    /// What it has seen so far; it must not speak TLS.
    pub fn truth(&self) -> Value {
        parse("/truth", &get(self.address, "/truth"))
    }

    /// Ends it; what it has seen.
    pub fn stop(self) -> Value {
        self.running.process.signal(Signal::TERM);
        let outcome = self.running.finish().expect(0);
        parse("the truth", outcome.stdout.as_bytes())
    }
}
