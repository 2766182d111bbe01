//! TLS 1.3 at saturation, nginx as the target, on the client's core: CPU per request of kept connections, and CPU per
//! handshake when each request has a connection of its own.

use super::comparison::{self, Goal, Reading};
use super::tally::Standing;
use super::{Bench, Table, failures, line};
use crate::PerfError;
use crate::clients::{Load, What};
use crate::nginx::Nginx;

const CLIENTS: &[(&str, What)] = &[
    ("engine, ring", What::Engine { io: "uring", pacing: "sleep" }),
    ("engine, epoll", What::Engine { io: "epoll", pacing: "sleep" }),
    ("wrk", What::Wrk),
    ("h2load", What::H2load),
    ("oha", What::Oha { corrected: false }),
    ("hey", What::Hey),
];

const GOALS: &[Goal] = &[
    Goal { engine: "engine, ring", to: "wrk", at_most: None },
    Goal { engine: "engine, ring", to: "h2load", at_most: None },
    Goal { engine: "engine, ring", to: "oha", at_most: None },
    Goal { engine: "engine, epoll", to: "engine, ring", at_most: None },
];

/// A third of wrk's CPU: three times as many handshakes for each second of it.
const HANDSHAKE_GOALS: &[Goal] = &[
    Goal { engine: "engine, ring", to: "wrk", at_most: Some(1.0 / 3.0) },
    Goal { engine: "engine, ring", to: "h2load", at_most: None },
    Goal { engine: "engine, ring", to: "oha", at_most: None },
];

/// Of the cheapest peer's CPU.
const BEST_AT_MOST: f64 = 0.85;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let mut markdown = String::from("## TLS 1.3\n\n");
    let Some(program) = &bench.programs.nginx else {
        line(&mut markdown, "Not measured: there is no nginx.\n");
        return Ok(Table { name: "tls", markdown, samples: serde_json::Value::Null, standings: Vec::new() });
    };
    let target_core = bench.options.target_core.unwrap_or(bench.core);
    let nginx = Nginx::start(program, target_core, bench.scratch, true)?;
    let load = Load {
        address: nginx.address(),
        is_tls: true,
        connections: bench.options.connections,
        seconds: bench.options.seconds(),
        rate: None,
        is_churn: false,
        request_bytes: 0,
        resumes: true,
        authority: None,
    };
    let clients = bench.clients(CLIENTS);
    let samples = comparison::take(bench, &clients, &load, &[bench.core], || {
        Ok(Reading { requests: nginx.requests()?, cpu_ns: nginx.cpu_ns()? })
    });
    line(
        &mut markdown,
        &format!(
            "Small keep-alive GETs at saturation over nginx, ECDSA P-256, nobody verifies the certificate; client on \
             core {}, target on core {target_core}; handshakes are part of the start-up.\n",
            bench.core
        ),
    );
    comparison::absolute(&mut markdown, &clients, &samples, "wrk");
    comparison::relative(&mut markdown, &clients, &samples, GOALS);
    comparison::beside_best(&mut markdown, &clients, &samples, "engine, ring", BEST_AT_MOST);
    failures(&mut markdown, &samples.failures);
    let standings = Standing::of("TLS 1.3 keep-alive", &clients, &samples).into_iter().collect();
    Ok(Table { name: "tls", markdown, samples: comparison::to_json(&clients, &samples), standings })
}

/// The rows of the table of handshakes: whether sessions may be resumed, and whether certificates are verified, which wrk,
/// h2load and hey never do.
const HANDSHAKES: &[(&str, bool, bool)] = &[
    ("full TLS handshakes", false, false),
    ("TLS handshakes with tickets offered", true, false),
    ("full TLS handshakes, certificates verified", false, true),
];

/// Full handshakes, handshakes that may resume a session, and what verifying costs.
pub(super) fn handshakes(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let mut markdown = String::from("## TLS handshakes\n\n");
    let Some(program) = &bench.programs.nginx else {
        line(&mut markdown, "Not measured: there is no nginx.\n");
        return Ok(Table {
            name: "handshakes",
            markdown,
            samples: serde_json::Value::Null,
            standings: Vec::new(),
        });
    };
    let target_core = bench.options.target_core.unwrap_or(bench.core);
    line(
        &mut markdown,
        &format!(
            "Small GETs over TLS 1.3, each on a connection of its own, nginx with ECDSA P-256; client on core \
             {}, target on core {target_core}. A request is a handshake. Nobody verifies the certificate but the \
             engine in the last table; all of them verify the signature of the handshake, save oha. With tickets \
             nginx offers to resume sessions, which each client may do or not; without, the engine is told \
             `--no-resumption`.\n",
            bench.core
        ),
    );
    let (mut all, mut standings) = (serde_json::Map::new(), Vec::new());
    for &(label, resumes, verifies) in HANDSHAKES {
        let nginx = Nginx::start(program, target_core, bench.scratch, resumes)?;
        let mut clients = bench.clients(CLIENTS);
        if verifies {
            clients.retain(|client| client.name.starts_with("engine"));
        }
        let load = Load {
            address: nginx.address(),
            is_tls: true,
            connections: bench.options.connections,
            seconds: bench.options.seconds(),
            rate: None,
            is_churn: true,
            request_bytes: 0,
            resumes,
            authority: verifies.then(|| nginx.certificate().to_owned()),
        };
        let samples = comparison::take(bench, &clients, &load, &[bench.core], || {
            Ok(Reading { requests: nginx.requests()?, cpu_ns: nginx.cpu_ns()? })
        });
        line(&mut markdown, &format!("### {label}\n"));
        comparison::absolute(&mut markdown, &clients, &samples, "wrk");
        comparison::relative(&mut markdown, &clients, &samples, HANDSHAKE_GOALS);
        failures(&mut markdown, &samples.failures);
        standings.extend(Standing::of(label, &clients, &samples));
        all.insert(label.to_owned(), comparison::to_json(&clients, &samples));
    }
    Ok(Table { name: "handshakes", markdown, samples: serde_json::Value::Object(all), standings })
}
