//! How well a rate is kept, and what that costs: the client has a core of its own, the target another one.
//!
//! Two answers stand side by side. *Lag* is what the engine says about itself. *Departure* is what the target saw, the
//! same for every client: how much later than an even schedule each request arrived, the schedule laid so that the
//! most punctual request is on time. The target spins, so that its clock readings are not late themselves; the way
//! through the kernel and the scheduling of a virtual machine are in this figure, and missing slots push it up for
//! good.

use serde_json::{Value, json};

use super::{Bench, Table, failures, header, line, median, row};
use crate::PerfError;
use crate::baselines::Kind;
use crate::clients::{Client, Load, Run, What};
use crate::responder::Responder;
use crate::rounds::Samples;
use crate::statistics::{Spread, quantile};

/// The row of the loop that sends nothing.
const STILL: &str = "the clock alone";

const CLIENTS: &[(&str, What)] = &[
    (STILL, What::Baseline(Kind::Still)),
    ("engine, sleep", What::Engine { io: "uring", pacing: "sleep" }),
    ("engine, spin", What::Engine { io: "uring", pacing: "spin" }),
    ("engine, epoll, sleep", What::Engine { io: "epoll", pacing: "sleep" }),
    ("engine, epoll, spin", What::Engine { io: "epoll", pacing: "spin" }),
    ("oha -q", What::Oha { corrected: false }),
    ("oha -q --latency-correction", What::Oha { corrected: true }),
    ("hey -q", What::Hey),
];

/// Who is measured a second time, with a target that sleeps between requests: with both of two cores at work without a
/// pause, a virtual machine may lose them to its host, and then the lag is the host's.
const WITH_IDLE_TARGET: &[(&str, What)] = &[
    (STILL, What::Baseline(Kind::Still)),
    ("engine, sleep", What::Engine { io: "uring", pacing: "sleep" }),
    ("engine, spin", What::Engine { io: "uring", pacing: "spin" }),
    ("engine, epoll, sleep", What::Engine { io: "epoll", pacing: "sleep" }),
    ("engine, epoll, spin", What::Engine { io: "epoll", pacing: "spin" }),
];

/// The rate at which the goals hold.
const GOALS_RATE: u32 = 20_000;

/// Client, quantile of its lag, and the most that it may be, in microseconds.
const GOALS: &[(&str, &str, f64)] =
    &[("engine, sleep", "p50", 30.0), ("engine, sleep", "p99", 250.0), ("engine, spin", "p99", 30.0)];

#[derive(Debug)]
struct Sample {
    requests: u64,
    run: Run,
    /// Sorted; empty for who sends nothing.
    departures_ns: Vec<u64>,
}

impl Sample {
    fn cpu_share(&self) -> f64 {
        self.run.ended.cpu_ns as f64 * 100.0 / self.run.ended.wall_ns as f64
    }

    fn cpu_us(&self) -> f64 {
        self.run.ended.cpu_ns as f64 / 1e3 / self.requests as f64
    }

    fn departure_us(&self, share: f64) -> Option<f64> {
        (!self.departures_ns.is_empty()).then(|| quantile(&self.departures_ns, share) as f64 / 1e3)
    }
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<Table, PerfError> {
    let mut markdown = String::from("## Schedule\n\n");
    let table = |markdown, samples| Table { name: "schedule", markdown, samples, standings: Vec::new() };
    let Some(target_core) = bench.options.target_core.or(bench.other_core) else {
        line(&mut markdown, "Not measured: it takes a core for the client and another for the target.\n");
        return Ok(table(markdown, Value::Null));
    };
    let mut all = serde_json::Map::new();
    for rate in bench.options.rate.iter().copied() {
        all.insert(rate.to_string(), at_rate(bench, target_core, rate, true, &mut markdown)?);
        if rate == GOALS_RATE {
            all.insert(format!("{rate}, idle"), at_rate(bench, target_core, rate, false, &mut markdown)?);
        }
    }
    Ok(table(markdown, Value::Object(all)))
}

fn at_rate(
    bench: &Bench<'_>,
    target_core: usize,
    rate: u32,
    is_spinning: bool,
    markdown: &mut String,
) -> Result<Value, PerfError> {
    let responder = Responder::start(target_core, is_spinning)?;
    let load = Load {
        address: responder.address(),
        is_tls: false,
        connections: bench.options.connections,
        seconds: bench.options.seconds(),
        rate: Some(rate),
        is_churn: false,
        request_bytes: 0,
        resumes: true,
        authority: None,
    };
    let clients = bench.clients(if is_spinning { CLIENTS } else { WITH_IDLE_TARGET });
    let names: Vec<String> = clients.iter().map(|client| client.name.clone()).collect();
    let expected = rate as usize * load.seconds as usize;
    let samples = Samples::take(&names, bench.options.rounds(), |place| {
        responder.note_arrivals(2 * expected);
        let run = clients[place].run(&load, &[bench.core], bench.scratch);
        let arrivals_ns = responder.arrivals_ns();
        let run = run?;
        if clients[place].what == What::Baseline(Kind::Still) {
            return Ok(Sample { requests: expected as u64, run, departures_ns: Vec::new() });
        }
        if arrivals_ns.len() < expected / 10 {
            return Err(format!("only {} of {expected} requests reached the target", arrivals_ns.len()));
        }
        let requests = arrivals_ns.len() as u64;
        Ok(Sample { requests, run, departures_ns: departures_ns(&arrivals_ns, rate) })
    });
    line(
        markdown,
        &format!(
            "{rate} requests per second; client on core {}, target {} core {target_core}; medians of the \
             rounds, µs. Lag is the client's own account; departure from the schedule is what the target saw. \
             \"{STILL}\" sends nothing and only reads the clock against the schedule: what it misses, the machine \
             missed. wrk2 is left out: no package of it exists.\n",
            bench.core,
            if is_spinning {
                "spinning on"
            } else {
                "sleeping between requests, so that its own wake-ups are in the departures, on"
            }
        ),
    );
    render(markdown, &clients, &samples);
    if rate == GOALS_RATE {
        render_goals(markdown, &clients, &samples);
    }
    verdicts(markdown, &clients, &samples);
    failures(markdown, &samples.failures);
    Ok(to_json(&clients, &samples))
}

/// How late each request arrived, sorted, against slots `1/rate` apart.
fn departures_ns(arrivals_ns: &[u64], rate: u32) -> Vec<u64> {
    let due_ns = |slot: usize| {
        let slot = u64::try_from(slot).expect("slots are few");
        i64::try_from(slot * clock::NANOS_PER_SECOND / u64::from(rate)).expect("runs are short")
    };
    let at_ns = |at: u64| i64::try_from(at - arrivals_ns[0]).expect("runs are short");
    let offsets = arrivals_ns.iter().enumerate().map(|(slot, at)| at_ns(*at) - due_ns(slot));
    let most_punctual = offsets.clone().min().unwrap_or(0);
    let mut departures: Vec<u64> = offsets.map(|offset| (offset - most_punctual).unsigned_abs()).collect();
    departures.sort_unstable();
    departures
}

fn render(text: &mut String, clients: &[Client], samples: &Samples<Sample>) {
    header(
        text,
        &[
            "client",
            "lag p50",
            "p99",
            "p99.9",
            "departure p50",
            "p99",
            "p99.9",
            "its response p50",
            "p99",
            "CPU % of a core",
            "CPU µs/request",
            "requests",
        ],
    );
    for (place, client) in clients.iter().enumerate() {
        let mut cells = vec![client.name.clone()];
        cells.extend(
            ["p50", "p99", "p99_9"]
                .map(|name| median(samples.of(place, |sample| sample.run.lag_us(name)), 1)),
        );
        cells.extend(
            [0.5, 0.99, 0.999].map(|share| median(samples.of(place, |sample| sample.departure_us(share)), 1)),
        );
        cells.extend(
            ["p50", "p99"].map(|name| median(samples.of(place, |sample| sample.run.response_us(name)), 0)),
        );
        cells.push(median(samples.of(place, |sample| Some(sample.cpu_share())), 1));
        cells.push(median(samples.of(place, |sample| Some(sample.cpu_us())), 2));
        cells.push(median(samples.of(place, |sample| Some(sample.requests as f64)), 0));
        row(text, &cells);
    }
    text.push('\n');
}

fn render_goals(text: &mut String, clients: &[Client], samples: &Samples<Sample>) {
    header(text, &["goal", "least – **median** – greatest, µs", "at most", "met", "the clock alone"]);
    let still = clients.iter().position(|client| client.name == STILL);
    for (name, quantile, at_most) in GOALS {
        let Some(place) = clients.iter().position(|client| client.name == *name) else { continue };
        let figures: Vec<f64> = samples.of(place, |sample| sample.run.lag_us(quantile)).collect();
        let Some(spread) = Spread::of(figures.iter().copied()) else { continue };
        let met = if spread.median <= *at_most { "yes" } else { "**no**" };
        let cells = [
            format!("{name}: lag {quantile}"),
            super::spread(figures, 1),
            format!("{at_most}"),
            met.to_owned(),
            still.map_or_else(String::new, |still| {
                super::spread(samples.of(still, |sample| sample.run.lag_us(quantile)), 1)
            }),
        ];
        row(text, &cells);
    }
    text.push('\n');
}

/// What the engine thought of its own runs, where it did not think well.
fn verdicts(text: &mut String, clients: &[Client], samples: &Samples<Sample>) {
    for (client, runs) in clients.iter().zip(&samples.runs) {
        let bad = runs
            .iter()
            .flatten()
            .filter_map(|sample| sample.run.verdict())
            .filter(|verdict| *verdict != "pass");
        let bad: Vec<&str> = bad.collect();
        if !bad.is_empty() {
            line(text, &format!("- {} judged {} of its runs: {}", client.name, bad.len(), bad.join(", ")));
        }
    }
}

fn to_json(clients: &[Client], samples: &Samples<Sample>) -> Value {
    let of = |sample: &Sample| {
        json!({
            "requests": sample.requests, "cpu_ns": sample.run.ended.cpu_ns, "wall_ns": sample.run.ended.wall_ns,
            "lag_us": (["p50", "p99", "p99_9"].map(|name| sample.run.lag_us(name))),
            "departure_us": ([0.5, 0.99, 0.999].map(|share| sample.departure_us(share))),
            "response_us": (["p50", "p99"].map(|name| sample.run.response_us(name))),
            "verdict": sample.run.verdict(),
        })
    };
    let runs: serde_json::Map<String, Value> = clients
        .iter()
        .zip(&samples.runs)
        .map(|(client, runs)| {
            let runs = runs.iter().map(|sample| sample.as_ref().map_or(Value::Null, of));
            (client.name.clone(), runs.collect())
        })
        .collect();
    json!({ "runs": runs, "failures": samples.failures })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn departures_are_measured_from_the_most_punctual() {
        // Every millisecond; the first is 50 late, the third 20.
        let arrivals = [1_000_050, 2_000_000, 3_000_020, 4_000_000];
        assert_eq!(departures_ns(&arrivals, 1_000), [0, 0, 20, 50]);
        // A missing slot makes every later request a slot late.
        let arrivals = [1_000_000, 2_000_000, 4_000_000, 5_000_000];
        assert_eq!(departures_ns(&arrivals, 1_000), [0, 0, 1_000_000, 1_000_000]);
        assert!(departures_ns(&[], 1_000).is_empty());
    }
}
