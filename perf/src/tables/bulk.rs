//! Large bodies at saturation: bytes per CPU second of downloads and uploads, beside wrk and bare loops.
//!
//! The client's CPU alone is held against the bytes: on loopback the sender does most of the receiver's work, so that
//! downloads and uploads are worth comparing only with others of their own way.
//!
//! Units: bodies in bytes, without heads.

use serde_json::{Map, Value};

use super::comparison::{self, Reading, Sample};
use super::{Bench, Table, failures, header, line, median, row, spread};
use crate::PerfError;
use crate::baselines::{BULK_BYTES, Kind};
use crate::clients::{Client, Load, What};
use crate::responder::{Manner, Responder};
use crate::rounds::Samples;
use crate::say;
use crate::statistics::Spread;

const RING: &str = "engine, ring";
const EPOLL: &str = "engine, epoll";
const WRK: &str = "wrk";

/// Connections: enough that one is always ready, few enough that what is under way at the end weighs little.
const CONNECTIONS: u32 = 16;

/// One way of the bytes.
struct Way {
    label: &'static str,
    manner: Manner,
    plain_loop: (&'static str, What),
    /// Whom the engine is held against, and the least of their bytes per CPU second that it must reach.
    goal: (&'static str, f64),
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let target_core = bench.options.target_core.unwrap_or(bench.core);
    let mut markdown = String::from("## Large bodies\n\n");
    line(
        &mut markdown,
        &format!(
            "Bodies of 1 MiB at saturation, {CONNECTIONS} connections; client on core {}, target on core {target_core}. \
             GB (10⁹ bytes) of bodies per second of the client's CPU, the whole process's, least – **median** – greatest. \
             The loops send from one buffer, or receive into one, and do nothing else. wrk uploads by a script.\n",
            bench.core
        ),
    );
    let columns = [
        "load",
        "client",
        "GB per CPU second",
        "CPU µs/body",
        "switches/body",
        "GB/s",
        "× wrk",
        "× loop",
        "goal",
        "met",
    ];
    header(&mut markdown, &columns);
    let (mut all, mut failed) = (Map::new(), Vec::new());
    for way in ways() {
        say(way.label);
        let responder = Responder::start_on(&[target_core], &way.manner)?;
        let load = Load {
            address: responder.address(),
            is_tls: false,
            connections: CONNECTIONS,
            seconds: bench.options.seconds(),
            rate: None,
            is_churn: false,
            resumes: true,
            authority: None,
            request_bytes: way.manner.request_bytes,
        };
        let clients = bench.clients(&[
            way.plain_loop,
            (RING, What::Engine { io: "uring", pacing: "sleep" }),
            (EPOLL, What::Engine { io: "epoll", pacing: "sleep" }),
            (WRK, What::Wrk),
        ]);
        let samples = comparison::take(bench, &clients, &load, &[bench.core], || {
            Ok(Reading { requests: responder.requests(), cpu_ns: responder.cpu_ns() })
        });
        render(&mut markdown, &way, &clients, &samples);
        failed.extend(samples.failures.iter().map(|failure| format!("{}: {failure}", way.label)));
        all.insert(way.label.to_owned(), comparison::to_json(&clients, &samples));
    }
    markdown.push('\n');
    failures(&mut markdown, &failed);
    Ok(Table { name: "bulk", markdown, samples: Value::Object(all), standings: Vec::new() })
}

fn ways() -> [Way; 2] {
    let send_loop = ("send loop", What::Baseline(Kind::SendLoop));
    [
        Way {
            label: "download",
            manner: Manner { body_bytes: Some(BULK_BYTES), ..Manner::PLAIN },
            plain_loop: ("recv loop", What::Baseline(Kind::RecvLoop)),
            goal: (WRK, 1.5),
        },
        Way {
            label: "upload",
            manner: Manner { request_bytes: BULK_BYTES, ..Manner::PLAIN },
            plain_loop: send_loop,
            goal: (send_loop.0, 0.97),
        },
    ]
}

fn render(text: &mut String, way: &Way, clients: &[Client], samples: &Samples<Sample>) {
    let place = |name: &str| clients.iter().position(|client| client.name == name);
    let gigabytes = |per_second: f64| per_second * BULK_BYTES as f64 / 1e9;
    for (own, client) in clients.iter().enumerate() {
        let of = |figure: fn(&Sample) -> Option<f64>| samples.of(own, figure);
        let ratios = |name: &str| {
            let other = place(name).filter(|other| *other != own);
            other.map_or_else(Vec::new, |other| {
                samples.ratios(own, other, |sample| Some(sample.per_cpu_second()))
            })
        };
        let (goal, met) = match Spread::of(ratios(way.goal.0)) {
            Some(spread) if matches!(client.what, What::Engine { .. }) => {
                let met = if spread.median >= way.goal.1 { "yes" } else { "**no**" };
                (format!("≥ {:.2} × {}", way.goal.1, way.goal.0), met)
            }
            _ => (String::new(), ""),
        };
        row(
            text,
            &[
                way.label.to_owned(),
                client.name.clone(),
                spread(of(|sample| Some(sample.per_cpu_second())).map(gigabytes), 2),
                median(of(Sample::process_us), 1),
                median(of(|sample| Some(sample.switches())), 2),
                median(of(|sample| Some(sample.per_second())).map(gigabytes), 2),
                median(ratios(WRK), 3),
                median(ratios(way.plain_loop.0), 3),
                goal,
                met.to_owned(),
            ],
        );
    }
}
