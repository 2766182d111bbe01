//! More loads at saturation, client and target on one core: by connections, by size of the response, and with a
//! connection for every request. Each row of a table is measured in rounds of its own.

use serde_json::{Map, Value};

use super::comparison::{self, Reading, Sample};
use super::tally::{ENGINE, Standing};
use super::{Bench, Table, failures, header, line, median, row, spread};
use crate::PerfError;
use crate::clients::{Client, Load, What};
use crate::responder::{Manner, Responder};
use crate::rounds::Samples;
use crate::say;

const CLIENTS: &[(&str, What)] = &[
    (ENGINE, What::Engine { io: "uring", pacing: "sleep" }),
    ("engine, epoll", What::Engine { io: "epoll", pacing: "sleep" }),
    ("wrk", What::Wrk),
    ("h2load", What::H2load),
    ("oha", What::Oha { corrected: false }),
    ("hey", What::Hey),
];

/// Connections of the sweep.
const CONNECTIONS: [u32; 5] = [1, 16, 64, 256, 1_024];
/// Bodies of the sizes.
const SIZES: [(usize, &str); 2] = [(1 << 10, "1 KiB"), (64 << 10, "64 KiB")];

/// One load.
struct Row {
    label: String,
    connections: u32,
    manner: Manner,
}

pub(super) fn sweep(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let row = |connections: u32| Row {
        label: format!("small GET, {connections} connection{}", if connections == 1 { "" } else { "s" }),
        connections,
        manner: Manner::PLAIN,
    };
    measure(bench, "sweep", "Connections", "Small keep-alive GETs.", CONNECTIONS.map(row).into())
}

pub(super) fn sizes(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let row = |(bytes, name): (usize, &str)| Row {
        label: format!("response of {name}"),
        connections: bench.options.connections,
        manner: Manner { body_bytes: Some(bytes), ..Manner::PLAIN },
    };
    measure(bench, "sizes", "Sizes", "Keep-alive GETs whose responses have a body.", SIZES.map(row).into())
}

pub(super) fn churn(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let row = Row {
        label: "a connection for each request".to_owned(),
        connections: bench.options.connections,
        manner: Manner { obeys_close: true, ..Manner::PLAIN },
    };
    let text = "Small GETs, each on a connection of its own, which the target closes, because every client sends \
                `Connection: close`: the engine with `--close-after 1`, oha with `--disable-keepalive`, hey with \
                `-disable-keepalive`, wrk and h2load, which have no flag for it, as a header. h2load is told a \
                count, because with a duration it does not end.";
    measure(bench, "churn", "Churn", text, vec![row])
}

fn measure(
    bench: &Bench<'_>,
    name: &'static str,
    title: &str,
    text: &str,
    rows: Vec<Row>,
) -> Result<Table, PerfError> {
    let target_core = bench.options.target_core.unwrap_or(bench.core);
    let clients = bench.clients(CLIENTS);
    let mut markdown = String::new();
    line(&mut markdown, &format!("## {title}\n"));
    line(
        &mut markdown,
        &format!(
            "{text} Client on core {}, target on core {target_core}; CPU is that of the whole process, least – \
             **median** – greatest, the rest are medians.\n",
            bench.core
        ),
    );
    let engine = format!("× {ENGINE}");
    header(
        &mut markdown,
        &[
            "load",
            "client",
            "CPU µs/request",
            "without start-up",
            "requests per CPU second",
            "requests/s",
            &engine,
        ],
    );
    let (mut all, mut standings, mut failed) = (Map::new(), Vec::new(), Vec::new());
    for row in rows {
        say(&row.label);
        let responder = Responder::start_on(&[target_core], &row.manner)?;
        let load = Load {
            address: responder.address(),
            is_tls: false,
            connections: row.connections,
            seconds: bench.options.seconds(),
            rate: None,
            is_churn: row.manner.obeys_close,
            request_bytes: 0,
            resumes: true,
            authority: None,
        };
        let samples = comparison::take(bench, &clients, &load, &[bench.core], || {
            Ok(Reading { requests: responder.requests(), cpu_ns: responder.cpu_ns() })
        });
        render(&mut markdown, &row.label, &clients, &samples);
        standings.extend(Standing::of(&row.label, &clients, &samples));
        failed.extend(samples.failures.iter().map(|failure| format!("{}: {failure}", row.label)));
        all.insert(row.label, comparison::to_json(&clients, &samples));
    }
    markdown.push('\n');
    failures(&mut markdown, &failed);
    Ok(Table { name, markdown, samples: Value::Object(all), standings })
}

fn render(text: &mut String, label: &str, clients: &[Client], samples: &Samples<Sample>) {
    let engine = clients.iter().position(|client| client.name == ENGINE);
    for (place, client) in clients.iter().enumerate() {
        let ratios = engine.map(|engine| samples.ratios(place, engine, Sample::process_us));
        let of = |figure: fn(&Sample) -> Option<f64>| samples.of(place, figure);
        row(
            text,
            &[
                label.to_owned(),
                client.name.clone(),
                spread(of(Sample::process_us), 2),
                median(of(Sample::own_us), 2),
                median(of(|sample| Some(sample.per_cpu_second())), 0),
                median(of(|sample| Some(sample.per_second())), 0),
                median(ratios.unwrap_or_default(), 3),
            ],
        );
    }
}
