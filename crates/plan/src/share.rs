//! A share of the plan: `i/n`, the i-th of n equal parts, so that n machines add up to the whole.

use crate::PlanError;
use crate::text::quoted;

/// The i-th of n equal parts; the whole is `1/1`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Share {
    index: u32,
    of: u32,
}

impl Share {
    /// Everything.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// Part `index` of `of`, both counted from 1; `None` when there is no such part or fewer cells than parts.
    pub const fn new(index: u32, of: u32) -> Option<Self> {
        if index >= 1 && index <= of && of <= schedule::CELL_COUNT { Some(Self { index, of }) } else { None }
    }

    /// Reads `i/n`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let wrong = |what: &str| {
            PlanError::new(format!("{} {what}", quoted(text)), "i/n with 1 ≤ i ≤ n, e.g. 1/4 … 4/4")
        };
        let Some((index, of)) = text.split_once('/') else { return Err(wrong("is not a share")) };
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|_| plain)
        };
        let (Some(index), Some(of)) = (number(index), number(of)) else {
            return Err(wrong("is not a share"));
        };
        if index == 0 {
            return Err(wrong("counts from 0; shares count from 1"));
        }
        if of > schedule::CELL_COUNT {
            return Err(wrong("has more parts than a plan can be divided into (55440)"));
        }
        Self::new(index, of).ok_or_else(|| wrong("is more than all parts"))
    }

    /// Which part, counted from 1.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Of how many parts.
    pub const fn of(self) -> u32 {
        self.of
    }

    /// How much of `total` indivisible things the part gets; the parts sum to the total.
    ///
    /// # Panics
    /// Never: a part is at most the whole.
    pub fn part_of(self, total: u64) -> u64 {
        let before = |index: u32| u128::from(total) * u128::from(index) / u128::from(self.of);
        u64::try_from(before(self.index) - before(self.index - 1)).expect("a part is at most the whole")
    }

    /// Whether it is everything.
    pub const fn is_whole(self) -> bool {
        self.of == 1
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_shares() {
        for text in ["1/1", "1/4", "4/4", "55440/55440"] {
            assert_eq!(Share::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn parts_sum_to_the_whole() {
        for (total, of) in [(0, 3), (1, 3), (10, 3), (1_000_003, 7), (u64::MAX, 55_440)] {
            let parts: Vec<u64> =
                (1..=of).map(|index| Share::new(index, of).expect("a share").part_of(total)).collect();
            assert_eq!(parts.iter().map(|&part| u128::from(part)).sum::<u128>(), u128::from(total));
            assert!(parts.iter().max().expect("parts") - parts.iter().min().expect("parts") <= 1);
        }
    }

    #[test]
    fn wrong_shares_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "is not a share"),
            ("1", "is not a share"),
            ("0/4", "count from 1"),
            ("5/4", "is more than all parts"),
            ("1/0", "is more than all parts"),
            ("1/55441", "more parts than"),
            ("+1/4", "is not a share"),
            ("1/4/2", "is not a share"),
            ("a/b", "is not a share"),
            ("-1/4", "is not a share"),
            ("1/99999999999", "is not a share"),
        ] {
            let message = Share::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment) && message.contains("→ i/n"), "{text}: {message}");
        }
    }
}
