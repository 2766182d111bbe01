//! From which schedule lag on a run is untrustworthy.
//!
//! One duration decides two limits, because one late request and a late second are different faults: any request may
//! be late by less than the duration, and 99 of 100 requests of every second by at most a tenth of it.

use crate::{PlanError, duration_text, parse_duration, quoted};

/// Limits of schedule lag, in nanoseconds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MaxLag {
    /// A single lag that reaches this makes the run untrustworthy.
    pub any_ns: u64,
    /// A second whose 99th percentile of lag exceeds this does.
    pub second_p99_ns: u64,
}

impl MaxLag {
    /// 100 ms for any request, 10 ms for the 99th percentile of a second.
    pub const DEFAULT: Self = Self { any_ns: 100_000_000, second_p99_ns: 10_000_000 };

    /// Reads the limit for any request; the limit for a second is a tenth of it.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let any_ns = parse_duration(text)?;
        if any_ns < 1_000 {
            return Err(PlanError::new(
                format!("{} is less than any machine can keep", quoted(text)),
                format!("at least 1us; the default is {}", duration_text(Self::DEFAULT.any_ns)),
            ));
        }
        Ok(Self { any_ns, second_p99_ns: any_ns / 10 })
    }
}

impl Default for MaxLag {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_duration_sets_both_limits() {
        assert_eq!(MaxLag::parse("100ms"), Ok(MaxLag::DEFAULT));
        assert_eq!(MaxLag::parse("1s"), Ok(MaxLag { any_ns: 1_000_000_000, second_p99_ns: 100_000_000 }));
        assert!(MaxLag::parse("0s").expect_err("zero").to_string().contains("at least 1us"));
        assert!(MaxLag::parse("5").expect_err("bare").to_string().contains("→ 5s"));
    }
}
