//! Interleaving: every client once per round, in an order that rotates, so that no client always follows the same
//! one and a drift of the machine meets all alike.

use crate::say;

/// All samples of some clients: `runs[client][round]`, with gaps where a run failed.
#[derive(Debug)]
pub(crate) struct Samples<S> {
    pub(crate) runs: Vec<Vec<Option<S>>>,
    /// Which runs failed, and how.
    pub(crate) failures: Vec<String>,
}

impl<S> Samples<S> {
    /// Runs everything.
    pub(crate) fn take(
        names: &[String],
        rounds: u32,
        mut run: impl FnMut(usize) -> Result<S, String>,
    ) -> Self {
        let count = names.len();
        let mut samples = Self { runs: (0..count).map(|_| Vec::new()).collect(), failures: Vec::new() };
        for round in 0..rounds as usize {
            say(&format!("round {} of {rounds}", round + 1));
            for place in 0..count {
                let client = (place + round) % count;
                let sample = run(client).map_err(|why| {
                    samples.failures.push(format!("{}, round {}: {why}", names[client], round + 1));
                });
                samples.runs[client].push(sample.ok());
            }
        }
        samples
    }

    /// A figure of one client, from the rounds in which it succeeded.
    pub(crate) fn of(&self, client: usize, figure: impl Fn(&S) -> Option<f64>) -> impl Iterator<Item = f64> {
        self.runs[client].iter().flatten().filter_map(figure)
    }

    /// A figure of one client over that of another, from the rounds in which both succeeded.
    pub(crate) fn ratios(&self, client: usize, to: usize, figure: impl Fn(&S) -> Option<f64>) -> Vec<f64> {
        self.runs[client]
            .iter()
            .zip(&self.runs[to])
            .filter_map(|(one, other)| Some(figure(one.as_ref()?)? / figure(other.as_ref()?)?))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_rotates_and_gaps_stay_in_their_round() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let mut order = Vec::new();
        let samples = Samples::take(&names, 2, |client| {
            order.push(client);
            if order.len() == 4 {
                Err("no".to_owned())
            } else {
                Ok(f64::from(u32::try_from(order.len()).unwrap()))
            }
        });
        assert_eq!(order, [0, 1, 2, 1, 2, 0]);
        assert_eq!(samples.runs, [[Some(1.0), Some(6.0)], [Some(2.0), None], [Some(3.0), Some(5.0)]]);
        assert_eq!(samples.failures, ["b, round 2: no"]);
        assert_eq!(samples.of(1, |value| Some(*value)).collect::<Vec<_>>(), [2.0]);
        assert_eq!(samples.ratios(1, 0, |value| Some(*value)), [2.0]);
        assert_eq!(samples.ratios(2, 0, |value| Some(*value)), [3.0, 5.0 / 6.0]);
    }
}
