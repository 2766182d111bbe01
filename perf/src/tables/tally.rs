//! What all saturated rows come to: is the engine ahead of every peer everywhere, and by how much of the best?
//!
//! A row is one load at saturation. The figure is CPU per request of the whole process; its inverse is the throughput
//! of a core. Ratios are taken round by round, then their median: a peer's CPU over the engine's.

use serde_json::{Value, json};

use super::comparison::{PEERS, Sample};
use super::{header, line, row};
use crate::clients::Client;
use crate::rounds::Samples;
use crate::statistics::Spread;

/// Whom the peers are held against.
pub(super) const ENGINE: &str = "engine, ring";
/// So far ahead of the best peer the engine shall be ...
const AHEAD: f64 = 1.25;
/// ... in so great a part of the rows.
const PART: f64 = 0.5;

/// How the engine stands in one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Standing {
    pub(super) row: String,
    /// Each peer's CPU over the engine's, the best peer first.
    pub(super) peers: Vec<(String, f64)>,
}

impl Standing {
    /// `None` where the engine or all peers are missing.
    pub(super) fn of(row: &str, clients: &[Client], samples: &Samples<Sample>) -> Option<Self> {
        let place = |name: &str| clients.iter().position(|client| client.name == name);
        let engine = place(ENGINE)?;
        let mut peers: Vec<(String, f64)> = PEERS
            .iter()
            .filter_map(|name| {
                let ratios = samples.ratios(place(name)?, engine, Sample::process_us);
                Some(((*name).to_owned(), Spread::of(ratios)?.median))
            })
            .collect();
        peers.sort_by(|one, other| one.1.total_cmp(&other.1));
        (!peers.is_empty()).then(|| Self { row: row.to_owned(), peers })
    }

    fn best(&self) -> f64 {
        self.peers[0].1
    }
}

/// The table and the two goals; nothing without rows.
pub(super) fn render(standings: &[Standing]) -> String {
    let mut text = String::new();
    if standings.is_empty() {
        return text;
    }
    line(&mut text, "## Tally\n");
    line(
        &mut text,
        &format!(
            "CPU per request of each peer over that of \"{ENGINE}\", whole processes; above 1 the engine is ahead. \
             The throughput of a core stands in the same ratio.\n"
        ),
    );
    let cells: Vec<&str> = ["row", "best peer"].into_iter().chain(PEERS.iter().copied()).collect();
    header(&mut text, &cells);
    for standing in standings {
        let ratio = |name: &&str| standing.peers.iter().find(|(peer, _)| peer == name);
        let shown = |name| ratio(name).map_or_else(|| "–".to_owned(), |(_, ratio)| format!("{ratio:.3}"));
        let mut cells =
            vec![standing.row.clone(), format!("{} **{:.3}**", standing.peers[0].0, standing.best())];
        cells.extend(PEERS.iter().map(shown));
        row(&mut text, &cells);
    }
    text.push('\n');
    let count = standings.len();
    let ahead = standings.iter().filter(|standing| standing.best() > 1.0).count();
    let far = standings.iter().filter(|standing| standing.best() >= AHEAD).count();
    let met = |is_met: bool| if is_met { "met" } else { "**not met**" };
    line(
        &mut text,
        &format!("- ahead of every peer in {ahead} of {count} rows (goal: all): {}", met(ahead == count)),
    );
    line(
        &mut text,
        &format!(
            "- at least {AHEAD} × ahead of the best peer in {far} of {count} rows (goal: half): {}\n",
            met(far as f64 >= PART * count as f64)
        ),
    );
    text
}

pub(super) fn to_json(standings: &[Standing]) -> Value {
    let of = |standing: &Standing| {
        let peers: serde_json::Map<String, Value> =
            standing.peers.iter().map(|(name, ratio)| (name.clone(), json!(ratio))).collect();
        json!({ "row": standing.row, "peer_over_engine": peers })
    };
    standings.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(best: f64) -> Standing {
        Standing { row: "a".to_owned(), peers: vec![("wrk".to_owned(), best), ("oha".to_owned(), 3.0)] }
    }

    #[test]
    fn the_goals_are_counted() {
        for (bests, ahead, far) in [
            (&[1.3, 1.2][..], "2 of 2 rows (goal: all): met", "1 of 2 rows (goal: half): met"),
            (&[1.3, 1.2, 1.1], "3 of 3 rows (goal: all): met", "1 of 3 rows (goal: half): **not met**"),
            (&[1.25, 1.0], "1 of 2 rows (goal: all): **not met**", "1 of 2 rows (goal: half): met"),
        ] {
            let standings: Vec<Standing> = bests.iter().map(|best| standing(*best)).collect();
            let text = render(&standings);
            assert!(text.contains(ahead) && text.contains(far), "{text}");
        }
        assert_eq!(render(&[]), "");
    }
}
