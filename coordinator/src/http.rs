//! The HTTP edge: the API under `/api/v1`, metrics, signs of health, Locust's façade and the page.
//!
//! What it is: requests to [`crate::handle::Request`]s, views to documents, each behind one gate.
//! What it is not: a judge of plans or a keeper of state; it could be stopped and started under a running fleet.
//!
//! Invariants: nothing passes the gate without a known host, a fitting origin and, where tokens are asked for, a grant that
//! allows it. What one client costs is bounded: connections, heads, bodies, time to send them, and what waits to be read.

mod access;
mod api;
mod body;
mod error;
mod events;
mod files;
mod fleet;
mod gate;
mod headers;
mod health;
mod locust;
mod metrics;
mod openapi;
mod page;
mod points;
mod runs;
mod server;
mod session;
mod watched;

pub use openapi::openapi;
pub use server::{Ended, serve};

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::{Clock as _, OsClock};
use tokio_rustls::rustls::ServerConfig;

use crate::handle::Handle;
use crate::security::{Audit, FailureLimiter, TokenError, TokenKey, Tried};

/// How the edge is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// TLS; without it, only this host may be listened to ([`crate::security::check_bind`]).
    pub tls: Option<Arc<ServerConfig>>,
    /// Whose tokens are asked for; `None` lets everybody who can connect do everything.
    pub tokens: Option<Arc<TokenKey>>,
    /// Names by which the coordinator is reached, beside this host's own: `--http-name`.
    pub names: Vec<String>,
    /// The largest file that is taken, in bytes.
    pub upload_limit: u64,
    /// Connections at once.
    pub connection_limit: usize,
    /// How long the whole head of a request may take, the wait for it on a kept connection included.
    pub head_patience: Duration,
    /// Where refusals are noted.
    pub audit: Audit,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: None,
            tokens: None,
            names: Vec::new(),
            upload_limit: 1 << 30,
            connection_limit: 512,
            head_patience: Duration::from_secs(30),
            audit: Audit::default(),
        }
    }
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) handle: Handle,
    pub(crate) options: Options,
    pub(crate) bound: SocketAddr,
    pub(crate) told: Told,
    pub(crate) ended: Ended,
    failures: Mutex<FailureLimiter>,
}

/// What happened at the gate, for `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Requests that passed.
    pub(crate) passed: AtomicU64,
    /// Requests turned away: no token, a wrong one, one that does not allow it, a foreign host or origin.
    pub(crate) turned_away: AtomicU64,
    /// Connections closed at once, because there were too many.
    pub(crate) connections_refused: AtomicU64,
    /// Streams of events that are open.
    pub(crate) streams: AtomicU64,
}

impl Edge {
    pub(crate) fn new(handle: Handle, options: Options, bound: SocketAddr, ended: Ended) -> Self {
        Self { handle, options, bound, told: Told::default(), ended, failures: Mutex::default() }
    }

    /// Counts a wrong token from `peer`.
    pub(crate) fn failed(&self, peer: SocketAddr, why: TokenError) -> Tried {
        self.options.audit.refused(OsClock.now(), "the HTTP edge", peer.ip(), &why.to_string());
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.failed(OsClock.now(), peer.ip())
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
