//! Whether the coordinator lives, and whether it is ready for requests.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::Edge;
use super::body::typed;
use super::error::Problem;

/// It answers, so it lives.
pub(crate) async fn alive() -> Response {
    typed("text/plain; charset=utf-8", "ok\n")
}

/// Whether its history is loaded and its disk takes records.
pub(crate) async fn ready(State(edge): State<Arc<Edge>>) -> Result<Response, Problem> {
    let view = edge.handle.view();
    if view.ready {
        return Ok(typed("text/plain; charset=utf-8", "ready\n"));
    }
    Err(Problem::unavailable(view.why_not_ready.clone()))
}
