//! Throughput per core with more and more cores: does a shard cost another one anything?
//!
//! Two arrangements, as far as the cores reach. *Shared*: k shards and k target threads on the same k cores, from one
//! to all. *Apart*: k shards on k cores, k target threads on k others, as long as there are others. Each is held
//! against its own k = 1, so that like is compared with like. The target's threads listen side by side, and the kernel
//! hands each connection to the one of the core on which it was begun: the target scales as well as the kernel does.
//! What is left is what the kernel and the memory share among cores, and what shards share among themselves.

use serde_json::{Map, Value};

use super::comparison::{self, Reading, Sample};
use super::{Bench, Table, failures, header, line, median, row, spread};
use crate::clients::{Client, Load, What};
use crate::responder::{Manner, Responder};
use crate::rounds::Samples;
use crate::say;
use crate::statistics::Spread;

const CLIENTS: &[(&str, What)] =
    &[("engine, ring", What::Engine { io: "uring", pacing: "sleep" }), ("wrk", What::Wrk)];

/// The part of one core's throughput that each of several must reach.
const GOAL: f64 = 0.9;
/// More cores than this are not tried.
const CORES_MAX: usize = 16;

/// Which cores do what.
#[derive(Clone, Debug, PartialEq)]
struct Arrangement {
    name: String,
    client: Vec<usize>,
    target: Vec<usize>,
    /// Where in the list the arrangement stands to which this one is held.
    base: usize,
}

pub(super) fn measure(bench: &Bench<'_>) -> Table {
    let mut markdown = String::from("## Scaling\n\n");
    line(
        &mut markdown,
        &format!(
            "Small keep-alive GETs at saturation, {} connections for each client core; CPU of the whole process, \
             least – **median** – greatest. Scaling is requests per CPU second beside those of the same arrangement \
             with one core; goal for the engine: ≥ {GOAL:.2}.\n",
            bench.options.connections
        ),
    );
    let arrangements = arrangements(bench.cores);
    let clients = bench.clients(CLIENTS);
    let mut names = Vec::new();
    for arrangement in &arrangements {
        names.extend(clients.iter().map(|client| (arrangement, client)));
    }
    let labels: Vec<String> =
        names.iter().map(|(arrangement, client)| format!("{}: {}", arrangement.name, client.name)).collect();
    // Everything in the same rounds: the bases are met by the same drift of the machine.
    let samples = Samples::take(&labels, bench.options.rounds(), |place| {
        let (arrangement, client) = names[place];
        one(bench, arrangement, client)
    });
    header(
        &mut markdown,
        &["cores", "client", "CPU µs/request", "requests per CPU second", "requests/s", "scaling", "met"],
    );
    for (place, (arrangement, client)) in names.iter().enumerate() {
        let base = arrangement.base * clients.len() + place % clients.len();
        let scaling = samples.ratios(place, base, |sample| Some(sample.per_cpu_second()));
        let is_held = place != base && matches!(client.what, What::Engine { .. });
        let met = match Spread::of(scaling.iter().copied()) {
            Some(spread) if is_held && spread.median >= GOAL => "yes",
            Some(_) if is_held => "**no**",
            _ => "",
        };
        let of = |figure: fn(&Sample) -> Option<f64>| samples.of(place, figure);
        row(
            &mut markdown,
            &[
                arrangement.name.clone(),
                client.name.clone(),
                spread(of(Sample::process_us), 2),
                median(of(|sample| Some(sample.per_cpu_second())), 0),
                median(of(|sample| Some(sample.per_second())), 0),
                median(scaling, 3),
                met.to_owned(),
            ],
        );
    }
    markdown.push('\n');
    failures(&mut markdown, &samples.failures);
    let runs: Map<String, Value> = labels
        .iter()
        .zip(&samples.runs)
        .map(|(label, runs)| (label.clone(), comparison::runs(runs)))
        .collect();
    Table { name: "scaling", markdown, samples: Value::Object(runs), standings: Vec::new() }
}

fn one(bench: &Bench<'_>, arrangement: &Arrangement, client: &Client) -> Result<Sample, String> {
    say(&format!("{}: {}", arrangement.name, client.name));
    let responder =
        Responder::start_on(&arrangement.target, &Manner::PLAIN).map_err(|error| error.to_string())?;
    let cores = u32::try_from(arrangement.client.len()).expect("cores are few");
    let load = Load {
        address: responder.address(),
        is_tls: false,
        connections: bench.options.connections * cores,
        seconds: bench.options.seconds(),
        rate: None,
        is_churn: false,
        request_bytes: 0,
        resumes: true,
        authority: None,
    };
    comparison::one(client, &load, &arrangement.client, bench.scratch, || {
        Ok(Reading { requests: responder.requests(), cpu_ns: responder.cpu_ns() })
    })
}

/// All that these cores allow: doubling, and all of them.
fn arrangements(cores: &[usize]) -> Vec<Arrangement> {
    let cores = &cores[..cores.len().min(CORES_MAX)];
    let counts = |most: usize| {
        let doubling =
            std::iter::successors(Some(1), |count| Some(count * 2)).take_while(move |count| *count < most);
        doubling.chain((most > 0).then_some(most))
    };
    let plural = |count: usize| if count == 1 { "core" } else { "cores" };
    let mut all = Vec::new();
    for count in counts(cores.len()) {
        all.push(Arrangement {
            name: format!("{count} {}, shared with the target", plural(count)),
            client: cores[..count].to_vec(),
            target: cores[..count].to_vec(),
            base: 0,
        });
    }
    let base = all.len();
    for count in counts(cores.len() / 2) {
        all.push(Arrangement {
            name: format!("{count} {}, as many others for the target", plural(count)),
            client: cores[cores.len() - count..].to_vec(),
            target: cores[..count].to_vec(),
            base,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_dealt_to_both_sides() {
        let dealt = |cores: &[usize]| -> Vec<(Vec<usize>, Vec<usize>, usize)> {
            arrangements(cores).into_iter().map(|all| (all.client, all.target, all.base)).collect()
        };
        assert_eq!(dealt(&[3]), [(vec![3], vec![3], 0)]);
        assert_eq!(
            dealt(&[0, 1]),
            [(vec![0], vec![0], 0), (vec![0, 1], vec![0, 1], 0), (vec![1], vec![0], 2)]
        );
        let six: Vec<usize> = (0..6).collect();
        let sizes: Vec<(usize, usize)> =
            arrangements(&six).iter().map(|all| (all.client.len(), all.target.len())).collect();
        assert_eq!(sizes, [(1, 1), (2, 2), (4, 4), (6, 6), (1, 1), (2, 2), (3, 3)]);
        let many: Vec<usize> = (0..64).collect();
        let last = arrangements(&many).pop().unwrap();
        assert_eq!((last.client, last.target), ((8..16).collect(), (0..8).collect()));
    }
}
