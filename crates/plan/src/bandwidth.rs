//! Load in bits per second: `--gbit 10`, `--gbit 0.5`.
//!
//! What it is: the bandwidth, the rate that it comes to once the size of an exchange is known, and the draft that waits
//! for that size. What it is not: a way to learn the size; who sends requests does that.
//!
//! Units: a Gbit is 10⁹ bits; sizes are bytes on the transport, as in the report.

use std::fmt;

use schedule::Rate;

use crate::text::{Decimal, quoted};
use crate::{Draft, Place, Plan, PlanError};

/// A thousand million bits, and the most of them that a second may have: no machine has a link of 10 Tbit/s.
const GBIT: u64 = 1_000_000_000;
const MOST_GBIT: u64 = 10_000;
/// The highest rate that a plan may have, in millionths per second.
const HIGHEST_MICRO: u128 = 1_000_000_000 * 1_000_000;

/// Bits per second, in the direction that carries more of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bandwidth {
    bits_per_second: u64,
}

impl Bandwidth {
    /// Reads a number of Gbit/s.
    pub fn parse_gbit(text: &str) -> Result<Self, PlanError> {
        let what = || format!("{} is not a number of Gbit/s", quoted(text));
        if text.is_empty() {
            return Err(PlanError::new("the bandwidth is empty: is a variable unset?", "e.g. 10, or 0.5"));
        }
        let Some((number, rest)) = Decimal::prefix(text) else {
            return Err(PlanError::new(what(), "e.g. 10, or 0.5"));
        };
        if !rest.is_empty() {
            let amount = &text[..text.len() - rest.len()];
            return Err(PlanError::new(what(), format!("a number alone, e.g. {amount} for {amount} Gbit/s")));
        }
        match number.scaled(u128::from(GBIT), 1) {
            Some((0, _)) => Err(PlanError::new("at 0 Gbit/s nothing would be sent", "e.g. 10, or 0.5")),
            Some((bits_per_second, _)) if bits_per_second <= MOST_GBIT * GBIT => Ok(Self { bits_per_second }),
            _ => Err(PlanError::new(
                format!("{} Gbit/s are more than any link has", quoted(text)),
                format!("at most {MOST_GBIT}"),
            )),
        }
    }

    /// The rate at which exchanges of so many bytes, in the heavier direction, fill the bandwidth: to the nearest
    /// millionth of a request per second.
    pub fn rate_of(self, exchange_bytes: u64) -> Result<Rate, PlanError> {
        let divisor = u128::from(exchange_bytes.max(1)) * 8;
        let micro = (u128::from(self.bits_per_second) * 1_000_000 + divisor / 2) / divisor;
        let refused = |what: &str, fix: &str| {
            let what = format!("{self} of exchanges of {exchange_bytes} bytes are {what}");
            Err(PlanError::new(what, fix).at(Place::Flag("--gbit")))
        };
        match micro {
            0 => refused("fewer than one in 11 days", "more bandwidth, or smaller bodies"),
            HIGHEST_MICRO.. => refused("1000M requests per second or more", "less, or larger bodies"),
            micro => Ok(Rate::from_micro(u64::try_from(micro).unwrap_or(u64::MAX))),
        }
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.bits_per_second / GBIT, self.bits_per_second % GBIT);
        if rest == 0 {
            return write!(f, "{whole} Gbit/s");
        }
        let digits = format!("{rest:09}");
        write!(f, "{whole}.{} Gbit/s", digits.trim_end_matches('0'))
    }
}

/// A draft whose load is a bandwidth: it becomes a plan when the size of an exchange is known.
#[derive(Clone)]
pub struct Sizing {
    draft: Box<Draft>,
}

impl Sizing {
    /// Keeps what the plan was made of, if its load is a bandwidth.
    pub fn of(draft: &Draft) -> Option<Self> {
        draft.bandwidth.map(|_| Self { draft: Box::new(draft.clone()) })
    }

    /// The plan for exchanges of so many bytes in the heavier direction.
    pub fn plan(self, exchange_bytes: u64) -> Result<Plan, PlanError> {
        Draft { exchange_bytes: Some(exchange_bytes), ..*self.draft }.into_plan()
    }
}

impl fmt::Debug for Sizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A draft may hold keys.
        f.debug_struct("Sizing").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Load, parse_rate};

    fn gbit(text: &str) -> Bandwidth {
        Bandwidth::parse_gbit(text).expect(text)
    }

    #[test]
    fn bandwidths_are_exact_and_shown_as_they_were_written() {
        for (text, bits) in
            [("10", 10 * GBIT), ("0.5", GBIT / 2), ("1.000000001", GBIT + 1), ("0.000000001", 1)]
        {
            assert_eq!(gbit(text).bits_per_second, bits, "{text}");
            assert_eq!(gbit(text).to_string(), format!("{text} Gbit/s"));
        }
    }

    #[test]
    fn wrong_bandwidths_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "is empty: is a variable unset?"),
            ("ten", "is not a number of Gbit/s → e.g. 10"),
            ("10g", "→ a number alone, e.g. 10 for 10 Gbit/s"),
            ("1Gbit", "→ a number alone, e.g. 1 for"),
            ("-1", "is not a number"),
            ("0", "nothing would be sent"),
            ("10001", "more than any link has → at most 10000"),
        ] {
            let message = Bandwidth::parse_gbit(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }

    #[test]
    fn rates_are_the_nearest_to_the_quotient() {
        for (text, bytes, micro) in [
            ("8", 1_000_000, 1_000_000_000),
            ("10", 1_048_576, 1_192_092_896),
            ("0.001", 125_000, 1_000_000),
            ("1", 125_000_000_000_000, 1),
        ] {
            assert_eq!(gbit(text).rate_of(bytes).map(Rate::as_micro), Ok(micro), "{text} of {bytes}");
        }
        for (text, bytes) in [("10000", 1), ("0.000000001", u64::MAX)] {
            let message = gbit(text).rate_of(bytes).expect_err(text).to_string();
            assert!(message.starts_with("--gbit: "), "{message}");
        }
    }

    #[test]
    fn the_rate_of_a_plan_is_that_of_its_bandwidth_once_the_size_is_known() {
        let draft = Draft { bandwidth: Some(gbit("8")), ..Draft::default() };
        let sizing = Sizing::of(&draft).expect("it is sized in bandwidth");
        let plan = sizing.clone().plan(1_000_000).expect("a plan");
        assert_eq!(plan.highest_rate(), Some(Rate::per_second(1_000)));
        assert_eq!(plan.bandwidth, draft.bandwidth);
        let Load::Open { profile, .. } = &plan.load else { panic!("{plan:?}") };
        assert_eq!(profile.arrival_count(), 10_000);
        assert!(Sizing::of(&Draft { bandwidth: None, ..Draft::default() }).is_none());
        assert!(!format!("{sizing:?}").contains("draft"), "a draft may hold keys");
    }

    #[test]
    fn the_guard_holds_for_what_the_bandwidth_comes_to_and_for_nothing_made_up() {
        let mut draft = Draft { bandwidth: Some(gbit("8")), ..Draft::default() };
        draft.rails.rate_guard = Some(parse_rate("999").expect("a rate"));
        assert!(draft.clone().into_plan().is_ok(), "nothing is known yet");
        let sizing = Sizing::of(&draft).expect("it is sized in bandwidth");
        assert!(sizing.clone().plan(1_000_000).expect_err("1,000 per second").is_refusal());
        assert!(sizing.plan(1_002_000).is_ok());
    }

    #[test]
    fn a_bandwidth_is_the_whole_load() {
        let draft = || Draft { bandwidth: Some(gbit("1")), ..Draft::default() };
        let rate = parse_rate("5").ok();
        let stages = crate::parse_stages("1s:5").ok();
        for other in
            [Draft { rate, ..draft() }, Draft { stages, ..draft() }, Draft { users: Some(5), ..draft() }]
        {
            let message = other.into_plan().expect_err("two loads").to_string();
            assert!(message.starts_with("--gbit: "), "{message}");
        }
    }
}
