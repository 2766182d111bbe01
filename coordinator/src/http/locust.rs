//! Locust's façade: `POST /swarm`, `/stop`, `GET /stats/requests`, for scripts that drive Locust's web interface.
//!
//! What it is: users against a host, as Locust has them, in the project `locust`, and the figures under Locust's names, in
//! Locust's units (milliseconds).
//! What it is not: Locust; there is no locustfile: every user sends GET requests for the host's URL, one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, Method, StatusCode};
use report::Summary;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Edge;
use super::access::Caller;
use super::body::{JSON_LIMIT, Json, media_type, whole};
use super::error::Problem;
use crate::handle::{FleetView, NodeState, Request, RunState, RunView, StartRequest};

/// The project of its runs.
const PROJECT: &str = "locust";
/// Without a time to run, Locust's tests run until they are stopped; ours end after a week.
const FOREVER: &str = "7d";
const MILLI: f64 = 1e6;

/// What `POST /swarm` carries; other fields of Locust's form are of its classes and shapes, and refused by name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Swarm {
    user_count: Option<Value>,
    spawn_rate: Option<Value>,
    host: Option<String>,
    run_time: Option<Value>,
}

/// What it answers.
#[derive(Debug, Serialize)]
pub(crate) struct Swarming {
    success: bool,
    message: String,
    host: String,
    run: Option<String>,
}

pub(crate) async fn swarm(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    request: HttpRequest,
) -> Result<Json<Swarming>, Problem> {
    if !caller.sees(PROJECT) {
        return Err(Problem::forbidden(format!("this token may not start runs of the project {PROJECT:?}")));
    }
    let swarm = read(request).await?;
    let host = swarm.host.clone().filter(|host| !host.is_empty()).ok_or_else(|| {
        Problem::invalid("host is missing: name the URL to load, such as host=http://target:8080/")
    })?;
    if latest(&edge.handle.view()).is_some_and(|run| is_under_way(run.state)) {
        let message =
            "a run is under way; stop it first: users of a run under way cannot be changed".to_owned();
        return Ok(Json(Swarming { success: false, message, host, run: None }));
    }
    let run = start_request(&swarm, &host)?;
    let run = edge.handle.ask(|reply| Request::Start(Box::new(run), reply)).await?;
    let message = "Swarming started".to_owned();
    Ok(Json(Swarming { success: true, message, host, run: Some(run.id.to_string()) }))
}

async fn read(request: HttpRequest) -> Result<Swarm, Problem> {
    let is_form = media_type(request.headers()) == Some("application/x-www-form-urlencoded");
    let is_json = media_type(request.headers()) == Some("application/json");
    if !is_form && !is_json {
        let detail = "the body must be a form or JSON, as Locust takes it";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", detail));
    }
    let bytes = whole(request, JSON_LIMIT).await?;
    let read = if is_json {
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    } else {
        let pairs: BTreeMap<String, Value> = form_urlencoded::parse(&bytes)
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect();
        serde_json::from_value(json!(pairs)).map_err(|error| error.to_string())
    };
    read.map_err(|error| Problem::invalid(format!("the form is not what is expected here: {error}")))
}

fn start_request(swarm: &Swarm, host: &str) -> Result<StartRequest, Problem> {
    let users =
        swarm.user_count.as_ref().map(text).ok_or_else(|| Problem::invalid("user_count is missing"))?;
    let mut words = vec!["--url".to_owned(), host.to_owned(), "--users".to_owned(), users];
    if let Some(rate) = swarm.spawn_rate.as_ref().map(text).filter(|rate| !rate.is_empty()) {
        words.extend(["--spawn-rate".to_owned(), rate]);
    }
    let run_time = swarm.run_time.as_ref().map(text).filter(|time| !time.is_empty());
    // Locust takes bare seconds; so does the engine, with a unit.
    let run_time =
        run_time.map(|time| if time.bytes().all(|byte| byte.is_ascii_digit()) { time + "s" } else { time });
    words.extend(["--duration".to_owned(), run_time.unwrap_or_else(|| FOREVER.to_owned())]);
    Ok(StartRequest {
        words,
        project: PROJECT.to_owned(),
        name: "swarm".to_owned(),
        ..StartRequest::default()
    })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Locust's scripts stop with GET. A browser, which always says what a request is for, may not: any page could make it.
pub(crate) async fn stop(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    method: Method,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    if method == Method::GET && headers.contains_key("sec-fetch-site") {
        let detail = "a browser stops with POST";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "invalid", detail));
    }
    if caller.role != crate::security::Role::Operator || !caller.sees(PROJECT) {
        return Err(Problem::forbidden("this token may not stop runs"));
    }
    edge.handle.ask(|reply| Request::StopAll(Some(PROJECT.to_owned()), reply)).await?;
    Ok(Json(json!({"success": true, "message": "Test stopped"})))
}

fn is_under_way(state: RunState) -> bool {
    !matches!(state, RunState::Ended | RunState::Refused)
}

/// The last run of the façade.
fn latest(view: &FleetView) -> Option<&RunView> {
    view.runs.iter().filter(|run| run.project == PROJECT).max_by_key(|run| run.id)
}

pub(crate) async fn stats(State(edge): State<Arc<Edge>>, caller: Caller) -> Result<Json<Value>, Problem> {
    if !caller.sees(PROJECT) {
        return Err(Problem::missing("run"));
    }
    let view = edge.handle.view();
    let run = match latest(&view) {
        Some(run) => Some(run.clone()),
        None => last_of_history(&edge).await?,
    };
    let Some(run) = run else {
        return Ok(Json(document(&view, None, None)));
    };
    let text = edge.handle.ask(|reply| Request::Report(run.id, reply)).await.ok();
    let summary = text.and_then(|text| Summary::parse(&text).ok());
    let seconds = run.revision.saturating_sub(10);
    let last =
        edge.handle.ask(|reply| Request::Seconds(run.id, seconds, 10, reply)).await.unwrap_or_default();
    let recent = recent(&last);
    Ok(Json(document(&view, Some((&run, recent)), summary.as_ref())))
}

async fn last_of_history(edge: &Edge) -> Result<Option<RunView>, Problem> {
    let query = crate::handle::RunsQuery {
        project: Some(PROJECT.to_owned()),
        limit: Some(1),
        ..crate::handle::RunsQuery::default()
    };
    Ok(edge.handle.ask(|reply| Request::Runs(query, reply)).await?.runs.pop())
}

/// Requests and failures per second over the last ones, as Locust's `current_rps`.
fn recent(seconds: &[Arc<crate::handle::SecondView>]) -> [f64; 2] {
    let length = seconds.len().max(1) as f64;
    let ok: u64 = seconds.iter().map(|second| second.counts.ok).sum();
    let failed: u64 = seconds.iter().flat_map(|second| second.counts.errors.values()).sum();
    [(ok + failed) as f64 / length, failed as f64 / length]
}

fn document(view: &FleetView, run: Option<(&RunView, [f64; 2])>, summary: Option<&Summary>) -> Value {
    let mut stats: Vec<Value> = Vec::new();
    let mut errors = Vec::new();
    let elapsed_s = summary.map_or(0.0, |summary| summary.run.elapsed_s);
    let [rps, failures_per_s] = run.map_or([0.0, 0.0], |(_, recent)| recent);
    let [mut total_rps, mut total_failures_per_s, mut fail_ratio] = [0.0; 3];
    if let Some(summary) = summary {
        for (name, entry) in &summary.names {
            let failed = entry.errors.values().sum();
            stats.push(row(name, "", [entry.ok + failed, failed], &entry.latency_ns.response, elapsed_s));
            errors.extend(entry.errors.iter().filter(|(_, count)| **count > 0).map(
                |(class, count)| json!({"name": name, "method": "", "error": class, "occurrences": count}),
            ));
        }
        let failed = summary.audit.errors_total();
        let ended = summary.audit.ok + failed;
        let mut all = row("Aggregated", "", [ended, failed], &summary.latency_ns.response, elapsed_s);
        all["current_rps"] = json!(rps);
        all["current_fail_per_sec"] = json!(failures_per_s);
        [total_rps, total_failures_per_s] = [rps, failures_per_s];
        fail_ratio = if ended == 0 { 0.0 } else { failed as f64 / ended as f64 };
        stats.push(all);
    }
    let response = summary.map(|summary| &summary.latency_ns.response);
    json!({
        "stats": stats,
        "errors": errors,
        "total_rps": total_rps,
        "total_fail_per_sec": total_failures_per_s,
        "fail_ratio": fail_ratio,
        "total_avg_response_time": response.map_or(0.0, |response| response.mean / MILLI),
        "current_response_time_percentiles": {
            "response_time_percentile_0.5": response.map(|response| response.p50 as f64 / MILLI),
            "response_time_percentile_0.95": response.map(|response| response.p95 as f64 / MILLI),
        },
        "state": run.map_or("ready", |(run, _)| state(run.state)),
        "user_count": run.map_or(0, |(run, _)| users(run)),
        "workers": view.nodes.iter().map(worker).collect::<Vec<_>>(),
    })
}

fn row(name: &str, method: &str, counts: [u64; 2], response: &report::LatencyEntry, elapsed_s: f64) -> Value {
    let [ended, failed] = counts;
    let per_second = |count: u64| if elapsed_s > 0.0 { count as f64 / elapsed_s } else { 0.0 };
    json!({
        "name": name,
        "safe_name": name,
        "method": method,
        "num_requests": ended,
        "num_failures": failed,
        "current_rps": per_second(ended),
        "current_fail_per_sec": per_second(failed),
        "total_rps": per_second(ended),
        "total_fail_per_sec": per_second(failed),
        "min_response_time": response.min as f64 / MILLI,
        "max_response_time": response.max as f64 / MILLI,
        "avg_response_time": response.mean / MILLI,
        "median_response_time": response.p50 as f64 / MILLI,
        "ninetieth_response_time": response.p90 as f64 / MILLI,
        "ninety_ninth_response_time": response.p99 as f64 / MILLI,
        "response_time_percentile_0.9": response.p90 as f64 / MILLI,
        "response_time_percentile_0.95": response.p95 as f64 / MILLI,
        "response_time_percentile_0.99": response.p99 as f64 / MILLI,
    })
}

fn state(state: RunState) -> &'static str {
    match state {
        RunState::Queued | RunState::Preparing | RunState::Armed => "spawning",
        RunState::Running => "running",
        RunState::Stopping | RunState::Sealing => "stopping",
        RunState::Ended | RunState::Refused => "stopped",
    }
}

/// The users that were asked for, while the run is under way.
fn users(run: &RunView) -> u64 {
    let asked = run.words.iter().skip_while(|word| *word != "--users").nth(1);
    if run.state == RunState::Running { asked.and_then(|users| users.parse().ok()).unwrap_or(0) } else { 0 }
}

fn worker(node: &crate::handle::NodeView) -> Value {
    let state = match node.state {
        NodeState::Running => "running",
        NodeState::Preparing | NodeState::Armed => "spawning",
        NodeState::Suspect | NodeState::Lost | NodeState::Gone | NodeState::Quarantined => "missing",
        NodeState::Ready | NodeState::Draining | NodeState::Drained => "ready",
    };
    json!({
        "id": node.name,
        "state": state,
        "user_count": 0,
        "cpu_usage": f64::from(node.cpu_milli) / 10.0,
        "memory_usage": 0,
    })
}
