//! `/metrics`: what Prometheus reads (text format 0.0.4).
//!
//! Invariant: names and labels are a contract. Text of others stands in label values only, escaped.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;

use super::Edge;
use super::access::Caller;
use super::body::typed;
use super::events::open_streams;
use crate::handle::{FleetView, NodeView, RunView};

pub(crate) async fn metrics(State(edge): State<Arc<Edge>>, caller: Caller) -> Response {
    let view = caller.view(&edge.handle.view());
    let mut page = Page::default();
    about_edge(&mut page, &edge, &view);
    about_nodes(&mut page, &view.nodes);
    about_runs(&mut page, &view.runs);
    typed("text/plain; version=0.0.4; charset=utf-8", page.text)
}

#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            let _ =
                write!(self.text, "{}{label}=\"{}\"", if position == 0 { '{' } else { ',' }, escaped(text));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn about_edge(page: &mut Page, edge: &Edge, view: &FleetView) {
    page.family("openloop_coordinator_info", "gauge", "The coordinator's program.");
    page.sample("openloop_coordinator_info", &[("version", &view.version)], 1.0);
    page.single("openloop_coordinator_term", "counter", "Starts of the coordinator.", view.term as f64);
    page.single(
        "openloop_coordinator_ready",
        "gauge",
        "Whether it takes requests.",
        f64::from(u8::from(view.ready)),
    );
    let told = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let name = "openloop_http_requests_total";
    page.family(name, "counter", "Requests at the gate, by what became of them.");
    page.sample(name, &[("outcome", "passed")], told(&edge.told.passed));
    page.sample(name, &[("outcome", "turned_away")], told(&edge.told.turned_away));
    let help = "Connections closed at once because there were too many.";
    page.single(
        "openloop_http_connections_refused_total",
        "counter",
        help,
        told(&edge.told.connections_refused),
    );
    page.single("openloop_http_streams", "gauge", "Open streams of events.", open_streams(edge) as f64);
}

fn about_nodes(page: &mut Page, nodes: &[NodeView]) {
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&NodeView) -> Option<f64>| {
        page.family(name, "gauge", help);
        for node in nodes {
            if let Some(value) = value(node) {
                page.sample(
                    name,
                    &[("node", &node.name), ("zone", node.zone.as_deref().unwrap_or_default())],
                    value,
                );
            }
        }
    };
    gauge("openloop_node_connected", "Whether a connection to the node stands.", &|node| {
        Some(f64::from(u8::from(node.connected)))
    });
    gauge("openloop_node_silent_seconds", "Since its last sign of life.", &|node| {
        Some(node.silent_ms as f64 / 1e3)
    });
    gauge("openloop_node_schedule_lag_p99_seconds", "Its schedule lag in the last second.", &|node| {
        Some(node.lag_p99_ns as f64 / 1e9)
    });
    gauge("openloop_node_cpu_cores", "Cores that its process uses.", &|node| {
        Some(f64::from(node.cpu_milli) / 1e3)
    });
    gauge("openloop_node_unacknowledged", "Measured seconds that are not stored here yet.", &|node| {
        Some(f64::from(node.unacknowledged))
    });
    gauge("openloop_node_clock_uncertainty_seconds", "How far its clock's offset may be off.", &|node| {
        node.clock_uncertainty_ns.map(|nanos| nanos as f64 / 1e9)
    });
    let name = "openloop_node_state";
    page.family(name, "gauge", "1 for the state that the node is in.");
    for node in nodes {
        page.sample(name, &[("node", &node.name), ("state", &word(&node.state))], 1.0);
    }
}

fn about_runs(page: &mut Page, runs: &[RunView]) {
    let mut counter = |name: &str, help: &str, value: &dyn Fn(&RunView) -> u64| {
        page.family(name, "counter", help);
        for run in runs {
            page.sample(name, &[("run", &run.id.to_string()), ("project", &run.project)], value(run) as f64);
        }
    };
    counter("openloop_arrivals_scheduled_total", "Arrivals that the plan had due.", &|run| {
        run.counts.scheduled
    });
    counter("openloop_requests_sent_total", "Requests sent.", &|run| run.counts.sent);
    counter("openloop_exchanges_ok_total", "Exchanges that succeeded.", &|run| run.counts.ok);
    counter("openloop_exchanges_cut_off_total", "Exchanges unfinished at the end.", &|run| {
        run.counts.cut_off
    });
    counter("openloop_arrivals_unassigned_total", "Arrivals that nobody owned.", &|run| {
        run.counts.unassigned
    });
    counter("openloop_bytes_sent_total", "Bytes sent.", &|run| run.counts.bytes_sent);
    counter("openloop_bytes_received_total", "Bytes received.", &|run| run.counts.bytes_received);
    let name = "openloop_exchange_errors_total";
    page.family(name, "counter", "Exchanges that failed, by class.");
    for run in runs {
        for (class, count) in &run.counts.errors {
            page.sample(name, &[("run", &run.id.to_string()), ("class", class)], *count as f64);
        }
    }
    let name = "openloop_arrivals_dropped_total";
    page.family(name, "counter", "Arrivals never sent, by reason.");
    for run in runs {
        for (reason, count) in &run.counts.dropped {
            page.sample(name, &[("run", &run.id.to_string()), ("reason", reason)], *count as f64);
        }
    }
    let name = "openloop_response_seconds";
    page.family(name, "gauge", "Response time over the whole run so far.");
    for run in runs {
        let response = &run.response_ns;
        let quantiles =
            [("0.5", response.p50), ("0.9", response.p90), ("0.99", response.p99), ("0.999", response.p99_9)];
        for (quantile, nanos) in quantiles {
            page.sample(name, &[("run", &run.id.to_string()), ("quantile", quantile)], nanos as f64 / 1e9);
        }
    }
    let name = "openloop_run_state";
    page.family(name, "gauge", "1 for the state that the run is in.");
    for run in runs {
        page.sample(name, &[("run", &run.id.to_string()), ("state", &word(&run.state))], 1.0);
    }
}

/// A state as it stands in documents.
fn word(state: &impl serde::Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
