//! What a journey costs beside plain requests: the same engine, the same target, the same number of requests, saturated
//! and at a rate; client and target on one core.

use serde_json::{Map, Value};

use super::comparison::{self, Goal, Reading};
use super::{Bench, Table, failures, line};
use crate::PerfError;
use crate::clients::{Load, What};
use crate::responder::Responder;
use crate::say;

const PLAIN: &str = "plain requests";
const JOURNEY: &str = "journey";
const THREE: &str = "plan file, three plain steps";

const CLIENTS: &[(&str, What)] = &[
    (PLAIN, What::Engine { io: "uring", pacing: "sleep" }),
    (THREE, What::Plan { is_journey: false }),
    (JOURNEY, What::Plan { is_journey: true }),
];

const GOALS: &[Goal] = &[
    Goal { engine: JOURNEY, to: PLAIN, at_most: Some(1.25) },
    Goal { engine: THREE, to: PLAIN, at_most: None },
    Goal { engine: JOURNEY, to: THREE, at_most: None },
];

/// Loads by name; the rate is that of requests, three for each iteration.
const LOADS: [(&str, Option<u32>); 2] =
    [("at saturation", None), ("15,000 requests per second", Some(15_000))];

pub(super) fn measure(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let target_core = bench.options.target_core.unwrap_or(bench.core);
    let clients = bench.clients(CLIENTS);
    let mut markdown = String::from("## Journey\n\n");
    line(
        &mut markdown,
        &format!(
            "CPU per request of iterations of three GETs with a row of data and one extraction from JSON, cookies kept, \
             beside plain GETs of the same engine; client on core {}, target on core {target_core}; least – **median** \
             – greatest. At a rate a plain request mostly wakes the engine by a timer of its own, and of an iteration only \
             the first does: the ratio at saturation is the one without that help.\n",
            bench.core
        ),
    );
    let (mut all, mut failed) = (Map::new(), Vec::new());
    for (label, rate) in LOADS {
        say(label);
        let responder = Responder::start(target_core, false)?;
        let load = Load {
            address: responder.address(),
            is_tls: false,
            connections: bench.options.connections,
            seconds: bench.options.seconds(),
            rate,
            is_churn: false,
            request_bytes: 0,
            resumes: true,
            authority: None,
        };
        let samples = comparison::take(bench, &clients, &load, &[bench.core], || {
            Ok(Reading { requests: responder.requests(), cpu_ns: responder.cpu_ns() })
        });
        line(&mut markdown, &format!("### Journey, {label}\n"));
        comparison::absolute(&mut markdown, &clients, &samples, PLAIN);
        comparison::relative(&mut markdown, &clients, &samples, GOALS);
        failed.extend(samples.failures.iter().map(|failure| format!("{label}: {failure}")));
        all.insert(label.to_owned(), comparison::to_json(&clients, &samples));
    }
    failures(&mut markdown, &failed);
    Ok(Table { name: "journey", markdown, samples: Value::Object(all), standings: Vec::new() })
}
