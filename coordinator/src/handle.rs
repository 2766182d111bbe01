//! What the edges ask of the fleet, and what they see of it.
//!
//! What it is: requests with a reply each, and one view of the present that can be watched. The HTTP edge, the headless
//! command and tests hold a [`Handle`]; who carries the director out holds its [`Inbox`].
//! What it is not: a decision. Whether a request is granted says who answers it.
//!
//! Invariants: every request is answered exactly once, or its asker hears that the fleet is gone. A request that changes
//! something is answered once the change is durable. Views are whole: who misses some of them has the last.
//! Units: those of the names; instants of the wall clock are RFC 3339 in UTC.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::files::{Arrived, Repository};

mod submit;
mod views;

pub use submit::{
    DrainRequest, LogsQuery, NodeChoice, OnNodeLoss, RateRequest, RunsQuery, StartRequest, Weights,
};
pub use views::{
    Cause, Counts, Degraded, FileView, FleetView, LogEntry, NodeState, NodeView, Percentiles, RateChange,
    RunId, RunState, RunView, RunsPage, SecondView, ShareView, ThresholdView,
};

/// Requests that may wait to be taken; more are refused, so that no caller can fill memory.
const WAITING_LIMIT: usize = 1024;

/// Why a request was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Of which kind.
    pub kind: RefusedKind,
    /// Where, what, and how to fix it; no secrets.
    pub message: String,
}

/// The kinds of refusals; each edge has a status for each.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RefusedKind {
    /// The request, or the plan in it, is not valid (exit code 2).
    Invalid,
    /// A safety rail forbids it: target not allowed, rate above the guard (exit code 4).
    Forbidden,
    /// There is no such run, node or file.
    Missing,
    /// It does not fit how things stand, such as stopping a run that has ended.
    Conflict,
    /// Larger, or more, than is allowed.
    TooMuch,
    /// The coordinator cannot do it now: it starts, ends, or its disk fails (exit code 3).
    Unavailable,
}

impl Refused {
    /// A refusal.
    pub fn new(kind: RefusedKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Where the answer to a request goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// What can be asked of the fleet.
#[derive(Debug)]
pub enum Request {
    /// Queue a run; it starts when its nodes are there.
    Start(Box<StartRequest>, Reply<RunView>),
    /// Change the rate of a run under way, on every node at one instant.
    SetRate(RunId, RateRequest, Reply<RateChange>),
    /// End a run: nothing more is sent, what is in flight is waited for.
    Stop(RunId, Reply<RunView>),
    /// Leave a run now; what was measured is reported. The words say why.
    Abort(RunId, String, Reply<RunView>),
    /// End every run and empty the queue, of one project or of all; answers how many runs that was.
    StopAll(Option<String>, Reply<u32>),
    /// Forget a run that has ended, its results included.
    Delete(RunId, Reply<()>),
    /// Move a node's cells to others, without a gap, and give it no new ones.
    Drain(String, DrainRequest, Reply<NodeView>),
    /// Take a drained or quarantined node back.
    Readmit(String, Reply<NodeView>),
    /// A page of the history, the latest first.
    Runs(RunsQuery, Reply<RunsPage>),
    /// One run, with its shares.
    Run(RunId, Reply<RunView>),
    /// The seconds of a run with a revision above the given one, rising by revision, at most this many.
    Seconds(RunId, u64, usize, Reply<Vec<Arc<SecondView>>>),
    /// The `openloop.summary/1` document of a run: the final one, or of what is known so far.
    Report(RunId, Reply<Arc<str>>),
    /// Lines of nodes' logs.
    Logs(LogsQuery, Reply<Vec<LogEntry>>),
    /// The files of the repository.
    Files(Reply<Vec<FileView>>),
    /// Take what arrived in [`Handle::repository`] under its digest.
    PutFile(FileView, Arrived, Reply<FileView>),
    /// Remove a file that no run of the queue needs.
    RemoveFile(String, Reply<()>),
}

/// The asking end. Clones ask the same fleet.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<FleetView>>,
    repository: Repository,
}

/// The answering end.
#[derive(Debug)]
pub struct Inbox {
    /// What was asked.
    pub requests: mpsc::Receiver<Request>,
    /// Where to show how things stand: at every change, at most ten times a second.
    pub view: watch::Sender<Arc<FleetView>>,
}

/// Both ends. Files are read from `repository`, and written there before they are handed over.
pub fn channel(repository: Repository, first: FleetView) -> (Handle, Inbox) {
    let (requests, inbox) = mpsc::channel(WAITING_LIMIT);
    let (show, view) = watch::channel(Arc::new(first));
    (Handle { requests, view, repository }, Inbox { requests: inbox, view: show })
}

impl Handle {
    /// Asks, and waits for the answer: `handle.ask(|reply| Request::Stop(run, reply)).await`.
    pub async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(request(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::new(
                RefusedKind::Unavailable,
                "the coordinator has too much to do; ask again in a second",
            ),
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.map_err(|_| gone())?
    }

    /// How things stand.
    pub fn view(&self) -> Arc<FleetView> {
        Arc::clone(&self.view.borrow())
    }

    /// Watches how things stand.
    pub fn watch(&self) -> watch::Receiver<Arc<FleetView>> {
        self.view.clone()
    }

    /// Where files lie, and arrive.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }
}

fn gone() -> Refused {
    Refused::new(RefusedKind::Unavailable, "the coordinator is ending")
}

impl fmt::Display for RefusedKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Invalid => "invalid",
            Self::Forbidden => "forbidden",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
            Self::TooMuch => "too_much",
            Self::Unavailable => "unavailable",
        })
    }
}
