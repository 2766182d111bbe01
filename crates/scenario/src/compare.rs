//! Hot path. How two texts are compared, in conditions and in checks.

use std::cmp::Ordering;

use crate::condition::Operator;
use crate::program::Condition;
use crate::value::{Failure, Filler};

/// A text as a number.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Number {
    /// Whole, and therefore exact.
    Whole(i128),
    Broken(f64),
}

impl Number {
    fn parse(text: &[u8]) -> Option<Self> {
        let is_numeric =
            |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
        if text.is_empty() || !text.iter().all(is_numeric) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        text.parse().map(Self::Whole).or_else(|_| text.parse().map(Self::Broken)).ok()
    }

    fn value(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Broken(number) => number,
        }
    }
}

/// The number that a text is.
pub(crate) fn number(text: &[u8]) -> Option<f64> {
    Number::parse(text.trim_ascii()).map(Number::value)
}

/// As numbers when both are numbers, else byte by byte.
pub(crate) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    match (Number::parse(left), Number::parse(right)) {
        (Some(Number::Whole(left)), Some(Number::Whole(right))) => left.cmp(&right),
        (Some(left), Some(right)) => left.value().total_cmp(&right.value()),
        _ => left.cmp(right),
    }
}

/// Whether `needle` stands somewhere in `hay`.
pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(hay, needle).is_some()
}

impl Condition {
    /// Whether it holds. The end of `scratch` is used for the values.
    pub(crate) fn holds(&self, filler: &mut Filler<'_>, scratch: &mut Vec<u8>) -> Result<bool, Failure> {
        let start = scratch.len();
        let result = match self {
            Self::Compare(left, operator, right) => {
                filler.push(left, scratch)?;
                let middle = scratch.len();
                filler.push(right, scratch)?;
                let (left, right) = (&scratch[start..middle], &scratch[middle..]);
                match operator {
                    Operator::Equal => compare(left, right).is_eq(),
                    Operator::Unequal => compare(left, right).is_ne(),
                    Operator::Below => compare(left, right).is_lt(),
                    Operator::AtMost => compare(left, right).is_le(),
                    Operator::Above => compare(left, right).is_gt(),
                    Operator::AtLeast => compare(left, right).is_ge(),
                    Operator::Contains => contains(left, right),
                }
            }
            Self::Matches(left, pattern) => {
                filler.push(left, scratch)?;
                pattern.is_match(&scratch[start..])
            }
            Self::And(left, right) => left.holds(filler, scratch)? && right.holds(filler, scratch)?,
            Self::Or(left, right) => left.holds(filler, scratch)? || right.holds(filler, scratch)?,
            Self::Not(inner) => !inner.holds(filler, scratch)?,
        };
        scratch.truncate(start);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers_and_texts_as_texts() {
        for (left, right, expected) in [
            ("10", "9", Ordering::Greater),
            ("1.0", "1", Ordering::Equal),
            ("-1e3", "-999.5", Ordering::Less),
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("10a", "9", Ordering::Less),
            ("", "0", Ordering::Less),
            ("a", "a", Ordering::Equal),
            ("-", "-", Ordering::Equal),
            ("inf", "1", Ordering::Greater),
        ] {
            assert_eq!(compare(left.as_bytes(), right.as_bytes()), expected, "{left} {right}");
        }
        assert_eq!((number(b" 1.5 "), number(b"nan")), (Some(1.5), None));
    }
}
