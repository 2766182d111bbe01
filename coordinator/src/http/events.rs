//! Server-sent events: the fleet, and a run with its history.
//!
//! What it is: a task for each reader, which looks at the view when it changed and the reader has taken what came before.
//! What it is not: a queue. A reader that is slow gets fewer events, with everything in them; memory does not grow.
//!
//! Invariant: the events of a run carry each revision of each second at least once, in the order of revisions; their `id` is
//! the last revision in them, so whoever names it goes on behind it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Edge;
use super::access::Caller;
use super::body::{Asked, pieces, typed};
use super::error::Problem;
use super::points::{Point, points, stretch};
use super::runs::{SECONDS_LIMIT, run_id, seen};
use super::server::until_over;
use crate::handle::{Request, RunId, RunState, RunView, SecondView};

/// Between two events of one stream, at least.
const PAUSE: Duration = Duration::from_millis(200);
/// A comment after so long a silence keeps proxies from closing the stream, and shows the end of a reader.
const SILENCE: Duration = Duration::from_secs(10);
/// Streams at once.
const STREAMS_LIMIT: u64 = 256;

/// Where to go on.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StreamQuery {
    /// Behind this revision; as the header Last-Event-ID, which browsers send by themselves.
    after: Option<u64>,
}

/// What the first event of a run's stream carries.
#[derive(Debug, Serialize)]
struct History<'a> {
    run: &'a RunView,
    stretch_s: u64,
    points: Vec<Point>,
}

/// New or corrected seconds.
#[derive(Debug, Serialize)]
struct Seconds {
    stretch_s: u64,
    points: Vec<Point>,
}

/// The open end of a stream; counted while it is open.
struct Stream {
    edge: Arc<Edge>,
    pieces: mpsc::Sender<Bytes>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.edge.told.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The reader is gone, or the coordinator ends.
struct Over;

impl From<Problem> for Over {
    fn from(_: Problem) -> Self {
        Self
    }
}

impl Stream {
    async fn send(&self, event: &str, id: Option<u64>, data: &impl Serialize) -> Result<(), Over> {
        let data = serde_json::to_string(data).map_err(|_| Over)?;
        let mut text = String::with_capacity(data.len() + 64);
        // The data is JSON on one line, so it needs no splitting.
        let _ = writeln!(text, "event: {event}");
        if let Some(id) = id {
            let _ = writeln!(text, "id: {id}");
        }
        let _ = write!(text, "data: {data}\n\n");
        self.pieces.send(text.into()).await.map_err(|_| Over)
    }

    async fn comment(&self) -> Result<(), Over> {
        self.pieces.send(Bytes::from_static(b": still here\n\n")).await.map_err(|_| Over)
    }
}

fn begin(edge: &Arc<Edge>) -> Result<(Stream, Response), Problem> {
    if edge.told.streams.fetch_add(1, Ordering::Relaxed) >= STREAMS_LIMIT {
        edge.told.streams.fetch_sub(1, Ordering::Relaxed);
        return Err(Problem::unavailable(format!("{STREAMS_LIMIT} streams are open already")));
    }
    let (sender, body) = pieces();
    Ok((Stream { edge: Arc::clone(edge), pieces: sender }, typed("text/event-stream", body)))
}

/// The fleet at every change.
pub(crate) async fn fleet(State(edge): State<Arc<Edge>>, caller: Caller) -> Result<Response, Problem> {
    let (stream, response) = begin(&edge)?;
    tokio::spawn(until_over(edge.ended.clone(), async move {
        let _ = tell_fleet(&stream, &caller).await;
    }));
    Ok(response)
}

async fn tell_fleet(stream: &Stream, caller: &Caller) -> Result<Infallible, Over> {
    let mut watch = stream.edge.handle.watch();
    loop {
        let view = caller.view(&watch.borrow_and_update().clone());
        stream.send("fleet", None, &view).await?;
        wait(stream, &mut watch).await?;
    }
}

/// Until there is something new, with comments meanwhile.
async fn wait<T>(stream: &Stream, watch: &mut tokio::sync::watch::Receiver<T>) -> Result<(), Over> {
    tokio::time::sleep(PAUSE).await;
    loop {
        match tokio::time::timeout(SILENCE, watch.changed()).await {
            Ok(changed) => return changed.map_err(|_| Over),
            Err(_) => stream.comment().await?,
        }
    }
}

/// A run, from its begin or from where the reader was.
pub(crate) async fn run(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(run): Path<String>,
    headers: HeaderMap,
    Asked(query): Asked<StreamQuery>,
) -> Result<Response, Problem> {
    let run = seen(&edge, &caller, run_id(&run)?).await?.id;
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let (stream, response) = begin(&edge)?;
    tokio::spawn(until_over(edge.ended.clone(), async move {
        let _ = tell_run(&stream, run, last_id.or(query.after)).await;
    }));
    Ok(response)
}

async fn tell_run(stream: &Stream, id: RunId, resumed: Option<u64>) -> Result<(), Over> {
    let mut watch = stream.edge.handle.watch();
    watch.mark_unchanged();
    let mut run = look(stream, id).await?;
    // Who names a revision that was never given is told everything.
    let resumed = resumed.filter(|after| *after <= run.revision);
    let stretch_s = stretch(run.seconds);
    let mut told = resumed.unwrap_or(0);
    if resumed.is_none() {
        let (all, last) = collect(stream, id, 0).await?;
        told = last;
        let history = History { run: &run, stretch_s, points: points(&all, stretch_s) };
        stream.send("history", Some(told), &history).await?;
    }
    loop {
        let (new, last) = collect(stream, id, told).await?;
        if !new.is_empty() {
            told = last;
            // What comes one by one stands for itself: a reader with longer points adds it up.
            stream.send("seconds", Some(told), &Seconds { stretch_s: 1, points: points(&new, 1) }).await?;
        }
        let is_over = matches!(run.state, RunState::Ended | RunState::Refused);
        stream.send(if is_over { "end" } else { "run" }, None, &run).await?;
        if is_over {
            return Ok(());
        }
        wait(stream, &mut watch).await?;
        run = look(stream, id).await?;
    }
}

/// The run as it stands, without its shares.
async fn look(stream: &Stream, id: RunId) -> Result<RunView, Over> {
    let view = stream.edge.handle.view();
    let mut run = match view.runs.iter().find(|run| run.id == id) {
        Some(run) => run.clone(),
        None => stream.edge.handle.ask(|reply| Request::Run(id, reply)).await.map_err(Problem::from)?,
    };
    run.shares.clear();
    Ok(run)
}

/// Everything behind `after`: of a second that was corrected meanwhile, the last.
async fn collect(stream: &Stream, id: RunId, after: u64) -> Result<(Vec<Arc<SecondView>>, u64), Over> {
    let mut latest = BTreeMap::new();
    let mut last = after;
    loop {
        let ask = |reply| Request::Seconds(id, last, SECONDS_LIMIT, reply);
        let page = stream.edge.handle.ask(ask).await.map_err(Problem::from)?;
        let Some(newest) = page.last() else {
            break;
        };
        // Invariant: revisions rise, so this ends.
        last = last.max(newest.revision);
        let is_whole = page.len() < SECONDS_LIMIT;
        latest.extend(page.into_iter().map(|second| (second.second, second)));
        if is_whole {
            break;
        }
    }
    Ok((latest.into_values().collect(), last))
}

/// Streams that are open, for `/metrics`.
pub(crate) fn open_streams(edge: &Edge) -> u64 {
    edge.told.streams.load(Ordering::Relaxed)
}
