//! How the fleet is to carry a run out, as it was asked for.

use std::collections::BTreeMap;

use plan::quoted;

use crate::director::{Terms, Weights};
use crate::handle::{self, Refused, RefusedKind, StartRequest};
use crate::wall::from_rfc3339;

/// All of the load, in the unit of zones' shares: millionths of a percent.
const WHOLE: u64 = 100_000_000;

/// Reads the terms of a request.
pub(super) fn of_request(request: &StartRequest) -> Result<Terms, Refused> {
    let nodes = &request.nodes;
    let weights = match nodes.weights {
        handle::Weights::Capacity => Weights::Capacity,
        handle::Weights::Equal => Weights::Equal,
        handle::Weights::Given => weights(&nodes.given)?,
    };
    let start_at = |text: &String| {
        let what =
            || invalid(format!("start_at: {} is no instant → e.g. 2027-01-31T23:59:00Z", quoted(text)));
        from_rfc3339(text).ok_or_else(what)
    };
    if nodes.expect.zip(nodes.at_most).is_some_and(|(least, most)| least > most) {
        return Err(invalid("at_most: it is less than expect → at least as many".to_owned()));
    }
    if nodes.at_most == Some(0) {
        return Err(invalid("at_most: no node at all sends nothing → at least 1".to_owned()));
    }
    if let Weights::InOrder(all) = &weights {
        fits(all.len(), nodes)?;
    }
    Ok(Terms {
        name: request.name.clone(),
        project: if request.project.is_empty() { "default".to_owned() } else { request.project.clone() },
        labels: nodes.labels.clone(),
        nodes_least: nodes.expect.unwrap_or(1).max(1),
        nodes_most: nodes.at_most,
        wait_ns: nodes.wait_s.map(|seconds| nanos("wait_s", seconds)).transpose()?,
        zones: zones(&nodes.zones)?,
        weights,
        on_loss: request.on_node_loss,
        start_at_unix_ns: request.start_at.as_ref().map(start_at).transpose()?,
        start_after_ns: request.start_after_s.map_or(Ok(0), |seconds| nanos("start_after_s", seconds))?,
        ..Terms::default()
    })
}

fn invalid(what: String) -> Refused {
    Refused::new(RefusedKind::Invalid, what)
}

fn zones(percents: &BTreeMap<String, f64>) -> Result<BTreeMap<String, u64>, Refused> {
    let share = |(zone, percent): (&String, &f64)| {
        if (0.0..=100.0).contains(percent) {
            return Ok((zone.clone(), millionths(*percent)));
        }
        Err(invalid(format!("zones: {percent} % of {} is no share → 0 to 100", quoted(zone))))
    };
    let zones: BTreeMap<String, u64> = percents.iter().map(share).collect::<Result<_, _>>()?;
    let sum: u64 = zones.values().sum();
    if !zones.is_empty() && sum != WHOLE {
        let sum = plan::rate_text(plan::Rate::from_micro(sum));
        return Err(invalid(format!("zones: the shares come to {sum} %, not 100 → e.g. eu=60,us=40")));
    }
    Ok(zones)
}

/// Weights by name. Where the names are the numbers from 1 on, they are those of the nodes in alphabetical order.
fn weights(given: &BTreeMap<String, u64>) -> Result<Weights, Refused> {
    if given.values().all(|weight| *weight == 0) {
        return Err(invalid("weights: no node has one → e.g. 5 for node-a, 3 for node-b".to_owned()));
    }
    let ordered: Option<Vec<u64>> =
        (1..=given.len()).map(|place| given.get(&place.to_string()).copied()).collect();
    Ok(ordered.map_or_else(|| Weights::ByName(given.clone()), Weights::InOrder))
}

/// Whoever counts nodes and gives weights in their order has to mean the same number.
fn fits(weights: usize, nodes: &handle::NodeChoice) -> Result<(), Refused> {
    let wrong = nodes.expect.filter(|count| *count as usize != weights);
    let wrong = wrong.or(nodes.at_most.filter(|count| (*count as usize) < weights));
    wrong.map_or(Ok(()), |count| {
        Err(invalid(format!(
            "weights: there are {weights} for {count} nodes → one for each, e.g. 5:3:1 for three"
        )))
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be from 0 to 1e9")]
fn nanos(name: &str, seconds: f64) -> Result<u64, Refused> {
    if (0.0..=1e9).contains(&seconds) {
        return Ok((seconds * 1e9).round() as u64);
    }
    Err(invalid(format!("{name}: {seconds} is no number of seconds → 0 or more")))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be from 0 to 100")]
fn millionths(percent: f64) -> u64 {
    (percent * 1e6).round() as u64
}
