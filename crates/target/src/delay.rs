//! The laws that hold responses back.
//!
//! Units: nanoseconds. Invariant: no law gives more than [`DELAY_NS_LIMIT`].

use std::fmt;

use crate::error::StartError;
use crate::random::Random;
use crate::text::show_duration;

/// The longest delay: one hour.
pub const DELAY_NS_LIMIT: u64 = 3_600 * clock::NANOS_PER_SECOND;

/// How long a response is held back, counted from the instant its request was read whole.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum DelayLaw {
    /// Not at all.
    None,
    /// Always as long.
    Constant {
        /// The delay.
        delay_ns: u64,
    },
    /// Anything between two bounds, equally likely.
    Uniform {
        /// The least.
        min_ns: u64,
        /// The greatest.
        max_ns: u64,
    },
    /// Exponential.
    Exponential {
        /// The mean.
        mean_ns: u64,
    },
    /// One of two.
    Bimodal {
        /// The usual delay.
        fast_ns: u64,
        /// The other.
        slow_ns: u64,
        /// The share of the other, from 0 to 1.
        slow_share: f64,
    },
    /// Pareto: many short, few very long. P(delay > x) = (least / x)^shape.
    Pareto {
        /// The least.
        min_ns: u64,
        /// The tail index; at 1 and below the mean is infinite.
        shape: f64,
        /// Longer delays are cut to this.
        max_ns: u64,
    },
}

impl DelayLaw {
    /// The next delay.
    pub(crate) fn draw_ns(&self, random: &mut Random) -> u64 {
        let ns = match *self {
            Self::None => 0,
            Self::Constant { delay_ns } => delay_ns,
            Self::Uniform { min_ns, max_ns } => {
                min_ns + whole_ns((max_ns - min_ns) as f64 * random.next_unit())
            }
            // 1 - u lies in (0, 1], so the logarithm is finite.
            Self::Exponential { mean_ns } => whole_ns(-(1.0 - random.next_unit()).ln() * mean_ns as f64),
            Self::Bimodal { fast_ns, slow_ns, slow_share } => {
                if random.next_unit() < slow_share {
                    slow_ns
                } else {
                    fast_ns
                }
            }
            Self::Pareto { min_ns, shape, max_ns } => {
                whole_ns(min_ns as f64 * (1.0 - random.next_unit()).powf(-1.0 / shape)).min(max_ns)
            }
        };
        ns.min(DELAY_NS_LIMIT)
    }

    pub(crate) fn check(&self) -> Result<(), StartError> {
        let refuse = |problem: &str, fix| {
            Err(StartError::Setting { setting: "delay law", problem: format!("{self} {problem}"), fix })
        };
        let longest = match *self {
            Self::None => 0,
            Self::Constant { delay_ns } => delay_ns,
            Self::Uniform { min_ns, max_ns } | Self::Pareto { min_ns, max_ns, .. } if min_ns > max_ns => {
                return refuse("has its bounds in the wrong order", "give the smaller bound first");
            }
            Self::Uniform { max_ns, .. } | Self::Pareto { max_ns, .. } => max_ns,
            Self::Exponential { mean_ns } => mean_ns,
            Self::Bimodal { fast_ns, slow_ns, .. } => fast_ns.max(slow_ns),
        };
        if longest > DELAY_NS_LIMIT {
            return refuse("is longer than an hour", "give delays of at most 1h");
        }
        match *self {
            Self::Bimodal { slow_share, .. } if !(0.0..=1.0).contains(&slow_share) => {
                refuse("has no valid share", "give the slow share from 0 to 1")
            }
            Self::Pareto { min_ns, shape, .. } if min_ns == 0 || !(0.05..=100.0).contains(&shape) => {
                refuse("has no valid shape", "give a least delay above 0 and a shape from 0.05 to 100")
            }
            _ => Ok(()),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
fn whole_ns(ns: f64) -> u64 {
    ns.round() as u64
}

impl fmt::Display for DelayLaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |ns: &u64| show_duration(*ns);
        match self {
            Self::None => formatter.write_str("none"),
            Self::Constant { delay_ns } => write!(formatter, "{}", show(delay_ns)),
            Self::Uniform { min_ns, max_ns } => {
                write!(formatter, "uniform:{},{}", show(min_ns), show(max_ns))
            }
            Self::Exponential { mean_ns } => write!(formatter, "exp:{}", show(mean_ns)),
            Self::Bimodal { fast_ns, slow_ns, slow_share } => {
                write!(formatter, "bimodal:{},{},{slow_share}", show(fast_ns), show(slow_ns))
            }
            Self::Pareto { min_ns, shape, max_ns } if *max_ns == DELAY_NS_LIMIT => {
                write!(formatter, "pareto:{},{shape}", show(min_ns))
            }
            Self::Pareto { min_ns, shape, max_ns } => {
                write!(formatter, "pareto:{},{shape},{}", show(min_ns), show(max_ns))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn drawn(law: DelayLaw) -> Vec<u64> {
        let mut random = Random::new(11, 0);
        let mut values: Vec<u64> = (0..200_000).map(|_| law.draw_ns(&mut random)).collect();
        values.sort_unstable();
        values
    }

    #[test]
    fn laws_have_their_quantiles() {
        let exponential = |share: f64| -(1.0 - share).ln() * 5.0;
        let pareto = |share: f64| (1.0 - share).powf(-1.0 / 1.5);
        let rows: [(DelayLaw, &dyn Fn(f64) -> f64); 5] = [
            (DelayLaw::Constant { delay_ns: 3 * MS }, &|_| 3.0),
            (DelayLaw::Uniform { min_ns: MS, max_ns: 3 * MS }, &|share| 1.0 + 2.0 * share),
            (DelayLaw::Exponential { mean_ns: 5 * MS }, &exponential),
            (DelayLaw::Bimodal { fast_ns: MS, slow_ns: 50 * MS, slow_share: 0.1 }, &|share| {
                if share < 0.9 { 1.0 } else { 50.0 }
            }),
            (DelayLaw::Pareto { min_ns: MS, shape: 1.5, max_ns: 1_000 * MS }, &pareto),
        ];
        for (law, quantile_ms) in rows {
            let values = drawn(law);
            for share in [0.25, 0.5, 0.75, 0.95, 0.99] {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
                let value = values[(values.len() as f64 * share) as usize] as f64 / MS as f64;
                let exact = quantile_ms(share);
                assert!((value / exact - 1.0).abs() < 0.04, "{law} at {share}: {value} ms for {exact} ms");
            }
        }
        assert_eq!(
            *drawn(DelayLaw::Pareto { min_ns: MS, shape: 0.5, max_ns: 9 * MS }).last().unwrap(),
            9 * MS
        );
        assert!(drawn(DelayLaw::None).iter().all(|&ns| ns == 0));
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let law = DelayLaw::Exponential { mean_ns: MS };
        let draw = |seed| {
            let mut random = Random::new(seed, 3);
            (0..50).map(|_| law.draw_ns(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
