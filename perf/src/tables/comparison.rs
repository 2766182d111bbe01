//! CPU per request at saturation: what the closed-loop table and the TLS table have in common.
//!
//! The figure that is compared is that of the whole process, from `wait4`, over requests as the target counted them:
//! nobody's start-up is left out, ours no more than a peer's. Where a client measures itself without its start-up,
//! that stands beside it.

use std::path::Path;

use serde_json::{Value, json};

use super::{Bench, header, line, median, row, spread};
use crate::PerfError;
use crate::clients::{Client, Load, Run};
use crate::rounds::Samples;
use crate::statistics::Spread;

/// Fewer requests than this are no saturation, but something that went wrong.
const REQUESTS_MIN: u64 = 100;

/// Other people's load generators, as the tables call them.
pub(super) const PEERS: &[&str] = &["wrk", "h2load", "oha", "hey"];

/// What a target says about itself at one instant.
#[derive(Copy, Clone, Debug)]
pub(super) struct Reading {
    /// Requests received until now.
    pub(super) requests: u64,
    /// CPU time used until now.
    pub(super) cpu_ns: u64,
}

/// One run of one client.
#[derive(Debug)]
pub(super) struct Sample {
    requests: u64,
    target_cpu_ns: u64,
    run: Run,
}

impl Sample {
    #[expect(clippy::unnecessary_wraps, reason = "figures are optional; this one always stands")]
    pub(super) fn process_us(&self) -> Option<f64> {
        Some(self.run.ended.cpu_ns as f64 / 1e3 / self.requests as f64)
    }

    pub(super) fn own_us(&self) -> Option<f64> {
        self.run.own_cpu_us()
    }

    /// How much CPU time client and target had together, in percent of one core. On a core of their own, at
    /// saturation, it is nearly all.
    fn both_share(&self) -> f64 {
        (self.run.ended.cpu_ns + self.target_cpu_ns) as f64 * 100.0 / self.run.ended.wall_ns as f64
    }

    pub(super) fn switches(&self) -> f64 {
        self.run.ended.switches as f64 / self.requests as f64
    }

    /// What a core that did nothing else would carry.
    pub(super) fn per_cpu_second(&self) -> f64 {
        self.requests as f64 * 1e9 / self.run.ended.cpu_ns as f64
    }

    pub(super) fn per_second(&self) -> f64 {
        self.requests as f64 * 1e9 / self.run.ended.wall_ns as f64
    }
}

/// A ratio that the engine is held to.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) engine: &'static str,
    pub(super) to: &'static str,
    /// Not above this; `None` where the ratio is only worth knowing.
    pub(super) at_most: Option<f64>,
}

/// Runs all clients in rounds against a target that counts.
pub(super) fn take(
    bench: &Bench<'_>,
    clients: &[Client],
    load: &Load,
    cores: &[usize],
    target: impl Fn() -> Result<Reading, PerfError>,
) -> Samples<Sample> {
    let names: Vec<String> = clients.iter().map(|client| client.name.clone()).collect();
    Samples::take(&names, bench.options.rounds(), |place| {
        one(&clients[place], load, cores, bench.scratch, &target)
    })
}

/// One run of one client against a target that counts.
pub(super) fn one(
    client: &Client,
    load: &Load,
    cores: &[usize],
    scratch: &Path,
    target: impl Fn() -> Result<Reading, PerfError>,
) -> Result<Sample, String> {
    let read = || target().map_err(|error| error.to_string());
    let before = read()?;
    let run = client.run(load, cores, scratch)?;
    let after = read()?;
    let requests = after.requests - before.requests;
    if requests < REQUESTS_MIN {
        return Err(format!("only {requests} requests reached the target"));
    }
    Ok(Sample { requests, target_cpu_ns: after.cpu_ns - before.cpu_ns, run })
}

/// The table of all clients. `base` is the client that the last column is relative to.
pub(super) fn absolute(text: &mut String, clients: &[Client], samples: &Samples<Sample>, base: &str) {
    let base_place = clients.iter().position(|client| client.name == base);
    let relative = format!("× {base}");
    header(
        text,
        &[
            "client",
            "CPU µs/request, whole process",
            "without start-up",
            "switches/request",
            "core % of both",
            "requests/s",
            &relative,
        ],
    );
    for (place, client) in clients.iter().enumerate() {
        let ratios =
            base_place.map(|base| samples.ratios(place, base, Sample::process_us)).unwrap_or_default();
        row(
            text,
            &[
                client.name.clone(),
                spread(samples.of(place, Sample::process_us), 2),
                median(samples.of(place, Sample::own_us), 2),
                median(samples.of(place, |sample| Some(sample.switches())), 3),
                median(samples.of(place, |sample| Some(sample.both_share())), 0),
                median(samples.of(place, |sample| Some(sample.per_second())), 0),
                median(ratios, 3),
            ],
        );
    }
    text.push('\n');
}

/// The table of the engine's ratios and goals. Ratios are taken round by round, then their median.
pub(super) fn relative(text: &mut String, clients: &[Client], samples: &Samples<Sample>, goals: &[Goal]) {
    header(text, &["ratio", "whole process", "without start-up", "goal", "met"]);
    for goal in goals {
        let place = |name: &str| clients.iter().position(|client| client.name == name);
        let (Some(engine), Some(to)) = (place(goal.engine), place(goal.to)) else { continue };
        let ratios = samples.ratios(engine, to, Sample::process_us);
        let own = samples.ratios(engine, to, Sample::own_us);
        let bound = goal.at_most.map_or_else(String::new, |bound| format!("≤ {bound:.2}"));
        let met = match (Spread::of(ratios.iter().copied()), goal.at_most) {
            (Some(spread), Some(bound)) => {
                if spread.median <= bound {
                    "yes"
                } else {
                    "**no**"
                }
            }
            _ => "",
        };
        let name = format!("{} / {}", goal.engine, goal.to);
        row(text, &[name, spread(ratios, 3), median(own, 3), bound, met.to_owned()]);
    }
    text.push('\n');
}

/// The engine beside the best of its peers, the best chosen by its median.
pub(super) fn beside_best(
    text: &mut String,
    clients: &[Client],
    samples: &Samples<Sample>,
    engine: &str,
    at_most: f64,
) {
    let place = |name: &str| clients.iter().position(|client| client.name == name);
    let cost = |place: usize| Spread::of(samples.of(place, Sample::process_us)).map(|spread| spread.median);
    let best = PEERS
        .iter()
        .filter_map(|peer| place(peer))
        .filter_map(|peer| Some((peer, cost(peer)?)))
        .min_by(|one, other| one.1.total_cmp(&other.1));
    let (Some(engine), Some((best, _))) = (place(engine), best) else { return };
    let Some(ratio) = Spread::of(samples.ratios(engine, best, Sample::process_us)) else { return };
    let met = if ratio.median <= at_most { "met" } else { "**not met**" };
    let name = &clients[best].name;
    line(
        text,
        &format!("Best of the peers: {name}. Goal ≤ {at_most:.2} × it: {:.3}, {met}.\n", ratio.median),
    );
}

/// Every sample, for other programs.
pub(super) fn to_json(clients: &[Client], samples: &Samples<Sample>) -> Value {
    let all: serde_json::Map<String, Value> =
        clients.iter().zip(&samples.runs).map(|(client, of)| (client.name.clone(), runs(of))).collect();
    json!({ "runs": all, "failures": samples.failures })
}

/// The rounds of one client.
pub(super) fn runs(rounds: &[Option<Sample>]) -> Value {
    let of = |sample: &Sample| {
        json!({
            "requests": sample.requests, "cpu_ns": sample.run.ended.cpu_ns, "wall_ns": sample.run.ended.wall_ns,
            "switches": sample.run.ended.switches, "target_cpu_ns": sample.target_cpu_ns,
            "own_cpu_us_per_request": sample.own_us(), "verdict": sample.run.verdict(),
        })
    };
    rounds.iter().map(|sample| sample.as_ref().map_or(Value::Null, of)).collect()
}
