//! Nodes, and the fleet as a whole.

use std::sync::Arc;

use axum::extract::{Path, State};

use super::Edge;
use super::access::Caller;
use super::body::{Asked, Json};
use super::error::Problem;
use crate::handle::{DrainRequest, FleetView, LogEntry, LogsQuery, NodeView, Request};

/// Lines of logs in one answer, at most.
const LINES_LIMIT: u32 = 5_000;

pub(crate) async fn view(State(edge): State<Arc<Edge>>, caller: Caller) -> Json<FleetView> {
    Json(caller.view(&edge.handle.view()))
}

pub(crate) async fn nodes(State(edge): State<Arc<Edge>>, caller: Caller) -> Json<Vec<NodeView>> {
    Json(caller.view(&edge.handle.view()).nodes)
}

pub(crate) async fn node(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<NodeView>, Problem> {
    let node = caller.view(&edge.handle.view()).nodes.into_iter().find(|node| node.name == name);
    node.map(Json).ok_or_else(|| Problem::missing("node"))
}

pub(crate) async fn drain(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(name): Path<String>,
    Json(how): Json<DrainRequest>,
) -> Result<Json<NodeView>, Problem> {
    caller.unbound("draining a node")?;
    Ok(Json(edge.handle.ask(|reply| Request::Drain(name, how, reply)).await?))
}

pub(crate) async fn readmit(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<NodeView>, Problem> {
    caller.unbound("taking a node back")?;
    Ok(Json(edge.handle.ask(|reply| Request::Readmit(name, reply)).await?))
}

pub(crate) async fn logs(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Asked(mut query): Asked<LogsQuery>,
) -> Result<Json<Vec<LogEntry>>, Problem> {
    match query.run {
        // Whoever is bound to a project reads what is about its runs alone.
        Some(run) => drop(super::runs::seen(&edge, &caller, run).await?),
        None => caller.unbound("reading logs without naming a run")?,
    }
    query.limit = Some(query.limit.unwrap_or(500).min(LINES_LIMIT));
    Ok(Json(edge.handle.ask(|reply| Request::Logs(query, reply)).await?))
}
