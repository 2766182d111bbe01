//! Runs: queued, watched, changed, ended, read.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Edge;
use super::access::Caller;
use super::body::{Asked, Json, typed};
use super::error::Problem;
use crate::handle::{
    RateChange, RateRequest, Request, RunId, RunView, RunsPage, RunsQuery, SecondView, StartRequest,
};

/// The project of whoever names none.
pub(crate) const DEFAULT_PROJECT: &str = "default";
const PAGE_LIMIT: u32 = 500;
/// Seconds in one answer, at most.
pub(crate) const SECONDS_LIMIT: usize = 3_600;

/// Why a run is left.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Why {
    /// In words; it stands in the report.
    reason: String,
}

/// How many runs were stopped.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Stopped {
    /// Running and queued ones.
    pub(crate) stopped: u32,
}

/// Which seconds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecondsQuery {
    /// Only those with a revision above this one.
    after: u64,
    /// How many at most; 3,600 if left out, which is the most.
    limit: Option<usize>,
}

/// The run, if the caller may see it.
pub(crate) async fn seen(edge: &Edge, caller: &Caller, run: RunId) -> Result<RunView, Problem> {
    caller.checked(edge.handle.ask(|reply| Request::Run(run, reply)).await?)
}

/// What stands in a path where the name of a run belongs.
pub(crate) fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| Problem::missing("run"))
}

pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Asked(mut query): Asked<RunsQuery>,
) -> Result<Json<RunsPage>, Problem> {
    if let Some(own) = &caller.project {
        if query.project.as_ref().is_some_and(|asked| asked != own) {
            return Err(Problem::missing("project"));
        }
        query.project = Some(own.clone());
    }
    query.limit = Some(query.limit.unwrap_or(50).clamp(1, PAGE_LIMIT));
    Ok(Json(edge.handle.ask(|reply| Request::Runs(query, reply)).await?))
}

pub(crate) async fn start(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Json(mut run): Json<StartRequest>,
) -> Result<Json<RunView>, Problem> {
    if run.project.is_empty() {
        run.project = caller.project.clone().unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    }
    if !caller.sees(&run.project) {
        return Err(Problem::forbidden(format!(
            "this token may not start runs of the project {:?}",
            run.project
        )));
    }
    Ok(Json(edge.handle.ask(|reply| Request::Start(Box::new(run), reply)).await?))
}

pub(crate) async fn stop_all(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
) -> Result<Json<Stopped>, Problem> {
    let stopped = edge.handle.ask(|reply| Request::StopAll(caller.project, reply)).await?;
    Ok(Json(Stopped { stopped }))
}

pub(crate) async fn one(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<Json<RunView>, Problem> {
    seen(&edge, &caller, run_id(&run)?).await.map(Json)
}

pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<Json<()>, Problem> {
    let run = seen(&edge, &caller, run_id(&run)?).await?.id;
    Ok(Json(edge.handle.ask(|reply| Request::Delete(run, reply)).await?))
}

pub(crate) async fn stop(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<Json<RunView>, Problem> {
    let run = seen(&edge, &caller, run_id(&run)?).await?.id;
    Ok(Json(edge.handle.ask(|reply| Request::Stop(run, reply)).await?))
}

pub(crate) async fn abort(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(run): Path<String>,
    Json(why): Json<Why>,
) -> Result<Json<RunView>, Problem> {
    let run = seen(&edge, &caller, run_id(&run)?).await?.id;
    Ok(Json(edge.handle.ask(|reply| Request::Abort(run, why.reason, reply)).await?))
}

pub(crate) async fn set_rate(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(run): Path<String>,
    Json(rate): Json<RateRequest>,
) -> Result<Json<RateChange>, Problem> {
    let run = seen(&edge, &caller, run_id(&run)?).await?.id;
    Ok(Json(edge.handle.ask(|reply| Request::SetRate(run, rate, reply)).await?))
}

pub(crate) async fn seconds(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(run): Path<String>,
    Asked(query): Asked<SecondsQuery>,
) -> Result<Json<Vec<Arc<SecondView>>>, Problem> {
    let run = seen(&edge, &caller, run_id(&run)?).await?.id;
    let limit = query.limit.unwrap_or(SECONDS_LIMIT).clamp(1, SECONDS_LIMIT);
    Ok(Json(edge.handle.ask(|reply| Request::Seconds(run, query.after, limit, reply)).await?))
}

pub(crate) async fn report(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<Response, Problem> {
    let run = seen(&edge, &caller, run_id(&run)?).await?.id;
    let text = edge.handle.ask(|reply| Request::Report(run, reply)).await?;
    Ok(typed("application/json", axum::body::Bytes::copy_from_slice(text.as_bytes())))
}
