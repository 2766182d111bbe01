//! CPU per request over plain HTTP at saturation, client and target on one core.

use super::comparison::{self, Goal, Reading};
use super::{Bench, Table, failures, line};
use crate::PerfError;
use crate::baselines::Kind;
use crate::clients::{Load, What};
use crate::responder::Responder;

/// Everybody, in the order of the table.
const CLIENTS: &[(&str, What)] = &[
    ("floor", What::Baseline(Kind::Floor)),
    ("ring", What::Baseline(Kind::Ring)),
    ("epoll", What::Baseline(Kind::Epoll)),
    ("monoio", What::Baseline(Kind::Monoio)),
    ("compio", What::Baseline(Kind::Compio)),
    ("glommio", What::Baseline(Kind::Glommio)),
    ("engine, ring", What::Engine { io: "uring", pacing: "sleep" }),
    ("engine, epoll", What::Engine { io: "epoll", pacing: "sleep" }),
    ("wrk", What::Wrk),
    ("h2load", What::H2load),
    ("oha", What::Oha { corrected: false }),
    ("hey", What::Hey),
];

const GOALS: &[Goal] = &[
    Goal { engine: "engine, ring", to: "floor", at_most: Some(1.10) },
    Goal { engine: "engine, ring", to: "wrk", at_most: Some(0.80) },
    Goal { engine: "engine, ring", to: "h2load", at_most: Some(0.75) },
    Goal { engine: "engine, ring", to: "oha", at_most: Some(0.62) },
    Goal { engine: "engine, ring", to: "ring", at_most: None },
    Goal { engine: "engine, ring", to: "monoio", at_most: None },
    Goal { engine: "engine, epoll", to: "floor", at_most: None },
    Goal { engine: "engine, epoll", to: "epoll", at_most: None },
    Goal { engine: "engine, epoll", to: "engine, ring", at_most: None },
];

pub(super) fn measure(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let target_core = bench.options.target_core.unwrap_or(bench.core);
    let responder = Responder::start(target_core, false)?;
    let load = Load {
        address: responder.address(),
        is_tls: false,
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
        Ok(Reading { requests: responder.requests(), cpu_ns: responder.cpu_ns() })
    });
    let mut markdown = String::from("## Closed loop\n\n");
    line(
        &mut markdown,
        &format!(
            "Small keep-alive GETs at saturation; client on core {}, target on core {target_core}; least – **median** \
             – greatest. The floor is one `send` and one `recv` per request and nothing else; the engine's further \
             goal is 1.06 × the floor.\n",
            bench.core
        ),
    );
    comparison::absolute(&mut markdown, &clients, &samples, "floor");
    comparison::relative(&mut markdown, &clients, &samples, GOALS);
    failures(&mut markdown, &samples.failures);
    Ok(Table {
        name: "closed_loop",
        markdown,
        samples: comparison::to_json(&clients, &samples),
        standings: Vec::new(),
    })
}
