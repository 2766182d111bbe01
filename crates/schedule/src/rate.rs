//! The arrival rate: how many arrivals per second.

use std::fmt;

/// Arrivals per second, exact to a millionth.
///
/// A millionth of an arrival per second is one arrival in eleven and a half days; anything slower is zero.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    micro: u64,
}

impl Rate {
    /// No arrivals at all.
    pub const ZERO: Self = Self { micro: 0 };

    /// The rate of `micro` millionths of an arrival per second.
    pub const fn from_micro(micro: u64) -> Self {
        Self { micro }
    }

    /// The rate of `count` arrivals per second.
    ///
    /// # Panics
    /// Above 18 × 10¹² per second, which no plan means.
    pub const fn per_second(count: u64) -> Self {
        match count.checked_mul(1_000_000) {
            Some(micro) => Self { micro },
            None => panic!("Invariant: a rate stays below 18 * 10^12 per second"),
        }
    }

    /// Millionths of an arrival per second.
    pub const fn as_micro(self) -> u64 {
        self.micro
    }

    /// Arrivals per second, for people to read; never for computing when one is due.
    pub fn per_second_f64(self) -> f64 {
        self.micro as f64 / 1e6
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, micro) = (self.micro / 1_000_000, self.micro % 1_000_000);
        if micro == 0 {
            return write!(f, "{whole}/s");
        }
        let digits = format!("{micro:06}");
        write!(f, "{whole}.{}/s", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_exactly() {
        for (micro, text) in [
            (0, "0/s"),
            (1, "0.000001/s"),
            (500_000, "0.5/s"),
            (1_000_000, "1/s"),
            (50_000_000_000, "50000/s"),
            (1_230_000, "1.23/s"),
            (100_000_100, "100.0001/s"),
        ] {
            assert_eq!(Rate::from_micro(micro).to_string(), text);
        }
    }

    #[test]
    #[should_panic(expected = "a rate stays below")]
    fn refuses_a_rate_beyond_the_unit() {
        let _ = Rate::per_second(u64::MAX / 1_000_000 + 1);
    }
}
