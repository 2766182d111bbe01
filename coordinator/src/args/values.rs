//! The values of flags about the fleet.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use plan::{PlanError, parse_duration, quoted};

use crate::handle::Weights;

/// Where to listen: an address with its port, or a port of loopback.
pub(super) fn listening(text: &str) -> Result<SocketAddr, PlanError> {
    let port = text.parse::<u16>().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|_| text.parse()).map_err(|_| {
        let what = format!("{} is no address to listen on", quoted(text));
        PlanError::new(what, "a port such as 8089, or ADDRESS:PORT such as 127.0.0.1:8089 or [::1]:8089")
    })
}

/// How many.
pub(super) fn count(text: &str) -> Result<u32, PlanError> {
    text.parse()
        .map_err(|_| PlanError::new(format!("{} is no count", quoted(text)), "a whole number, e.g. 3"))
}

/// A length of time in seconds: with a unit as everywhere, or a number of seconds as Locust writes it.
pub(crate) fn seconds(text: &str) -> Result<f64, PlanError> {
    if let Ok(number) = text.parse::<u32>() {
        return Ok(f64::from(number));
    }
    parse_duration(text).map(|ns| std::time::Duration::from_nanos(ns).as_secs_f64())
}

/// `name=value`, each name once.
pub(crate) fn pairs(texts: &[String]) -> Result<BTreeMap<String, String>, PlanError> {
    let mut pairs = BTreeMap::new();
    for text in texts {
        let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
        let (name, value) = pair.ok_or_else(|| {
            PlanError::new(format!("{} is no label", quoted(text)), "name=value, e.g. disk=fast")
        })?;
        if pairs.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(PlanError::new(format!("label {} is given twice", quoted(name)), "once"));
        }
    }
    Ok(pairs)
}

/// `eu=60,us=40`, with or without percent signs.
pub(crate) fn zones(text: &str) -> Result<BTreeMap<String, f64>, PlanError> {
    let fix = "percent by zone, e.g. eu=60,us=40";
    let mut zones = BTreeMap::new();
    for part in text.split(',') {
        let zone = part.trim().split_once('=').and_then(|(zone, percent)| {
            let percent = percent.trim().trim_end_matches('%').parse::<f64>().ok()?;
            Some((zone.trim().to_owned(), percent)).filter(|(zone, _)| !zone.is_empty())
        });
        let (zone, percent) =
            zone.ok_or_else(|| PlanError::new(format!("{} is no zone's share", quoted(part)), fix))?;
        if zones.insert(zone, percent).is_some() {
            return Err(PlanError::new(format!("{} stands for a zone twice", quoted(part)), fix));
        }
    }
    Ok(zones)
}

/// `capacity`, `equal`, `5:3:1` or `a=5,b=3`.
pub(crate) fn nodes_weighed(text: &str) -> Result<(Weights, BTreeMap<String, u64>), PlanError> {
    let wrong = || {
        let fix = "capacity, equal, 5:3:1 (in the order of the nodes' names), or a=5,b=3";
        PlanError::new(format!("{} are no weights", quoted(text)), fix)
    };
    match text {
        "capacity" => return Ok((Weights::Capacity, BTreeMap::new())),
        "equal" => return Ok((Weights::Equal, BTreeMap::new())),
        _ => {}
    }
    let mut given = BTreeMap::new();
    let by_name = text.contains('=');
    for (place, part) in text.split(if by_name { ',' } else { ':' }).enumerate() {
        let (name, weight) = match part.split_once('=') {
            Some((name, weight)) if by_name && !name.is_empty() => (name.trim().to_owned(), weight),
            None if !by_name => ((place + 1).to_string(), part),
            _ => return Err(wrong()),
        };
        let weight = weight.trim().parse::<u64>().map_err(|_| wrong())?;
        if given.insert(name, weight).is_some() {
            return Err(wrong());
        }
    }
    Ok((Weights::Given, given))
}
