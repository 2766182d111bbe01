//! What all parsers of the plan share: exact decimal numbers and the safe quoting of what a user wrote.
//!
//! What it is not: a parser of any one thing. Invariants: no floating point anywhere; a quoted text is
//! printable, short, and withheld where it could be a secret.

use crate::PlanError;

/// Longest stretch of a user's text that a message repeats, in characters.
const QUOTED_CHARS: usize = 60;
/// Characters of a name that are shown: a path may be long.
const NAMED_CHARS: usize = 400;

/// Words that make a text look like a credential, in lower case.
const SECRET_WORDS: &[&str] = &[
    "authorization",
    "bearer",
    "basic ",
    "cookie",
    "password",
    "passwd",
    "secret",
    "token",
    "api-key",
    "apikey",
];

/// A user's text between quotation marks, fit for a message: control characters escaped, long texts cut, and
/// texts that could hold a secret withheld.
pub fn quoted(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    if text.contains('@') || SECRET_WORDS.iter().any(|word| lower.contains(word)) {
        return "the text (withheld: it may hold a secret)".into();
    }
    escaped(text, QUOTED_CHARS)
}

/// The name of a file, a key or a part of a plan in quotes: as [`quoted`], but a name is no secret even where it speaks of
/// one, such as `secrets.yaml`.
pub fn named(text: &str) -> String {
    if text.contains('@') { quoted(text) } else { escaped(text, NAMED_CHARS) }
}

/// In quotes, without what steers a terminal, cut after so many characters.
fn escaped(text: &str, most_chars: usize) -> String {
    let mut quoted = String::from("\"");
    for (count, character) in text.chars().enumerate() {
        if count == most_chars {
            quoted.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            quoted.extend(character.escape_default());
        } else {
            quoted.push(character);
        }
    }
    quoted.push('"');
    quoted
}

/// Characters that change how a line reads without showing: marks of direction and zero width.
const fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A decimal number, exactly: `mantissa` ÷ 10^`scale`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: u128,
    scale: u32,
}

/// Most digits that a number may have; what exceeds it is no load that anything can offer.
const MOST_DIGITS: usize = 17;

impl Decimal {
    /// Reads the longest number at the start of `text`; returns it and what follows it. `None` when there is
    /// none, or when it has more than [`MOST_DIGITS`] digits.
    pub(crate) fn prefix(text: &str) -> Option<(Self, &str)> {
        let whole = digits(text);
        let rest = &text[whole.len()..];
        let fraction = rest.strip_prefix('.').map_or("", digits);
        if whole.is_empty() || whole.len() + fraction.len() > MOST_DIGITS {
            return None;
        }
        let rest = if fraction.is_empty() { rest } else { &rest[1 + fraction.len()..] };
        let mantissa = format!("{whole}{fraction}").parse().ok()?;
        let scale = u32::try_from(fraction.len()).ok()?;
        Some((Self { mantissa, scale }, rest))
    }

    /// The number times `numerator` ÷ `denominator`, rounded to the nearest whole one, halves up; and whether
    /// that was exact. `None` when it does not fit.
    pub(crate) fn scaled(self, numerator: u128, denominator: u128) -> Option<(u64, bool)> {
        let product = self.mantissa.checked_mul(numerator)?;
        let divisor = 10_u128.checked_pow(self.scale)?.checked_mul(denominator)?;
        let rounded = product.checked_add(divisor / 2)? / divisor;
        Some((u64::try_from(rounded).ok()?, product % divisor == 0))
    }
}

/// The decimal digits at the start of `text`.
fn digits(text: &str) -> &str {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// Reads a plain number such as `99.9`, in millionths; `None` when it is none, or finer than that.
pub fn parse_millionths(text: &str) -> Option<u64> {
    let (number, rest) = Decimal::prefix(text)?;
    let (millionths, exact) = number.scaled(1_000_000, 1)?;
    (exact && rest.is_empty()).then_some(millionths)
}

/// Reads a whole number such as `64`, `10k` or `2M`; `noun` is what it counts, `example` one that is right.
pub fn parse_count(text: &str, noun: &str, example: &str) -> Result<u64, PlanError> {
    let wrong =
        || PlanError::new(format!("{} is not a number of {noun}", quoted(text)), format!("e.g. {example}"));
    let (number, suffix) = Decimal::prefix(text).ok_or_else(wrong)?;
    let multiple = match suffix {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        _ => return Err(wrong()),
    };
    match number.scaled(multiple, 1) {
        Some((count, true)) => Ok(count),
        Some((_, false)) => Err(PlanError::new(
            format!("{} is not a whole number of {noun}", quoted(text)),
            format!("e.g. {example}"),
        )),
        None => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_short_printable_and_discreet() {
        assert_eq!(quoted("50x"), "\"50x\"");
        assert_eq!(quoted("a\u{1b}[31m\r\n\u{202e}"), "\"a\\u{1b}[31m\\r\\n\\u{202e}\"");
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), 63);
        for secret in ["http://me:hunter2@host/", "Authorization: Basic aHVudGVyMg==", "my-TOKEN-hunter2"] {
            assert!(!quoted(secret).to_lowercase().contains("hunter2"), "{secret}");
            assert!(!quoted(secret).contains("aHVudGVyMg"), "{secret}");
        }
    }

    #[test]
    fn names_are_shown_whatever_they_speak_of() {
        assert_eq!(named("plans/secret\u{1b}.yaml"), "\"plans/secret\\u{1b}.yaml\"");
        assert_eq!(named(&"x".repeat(500)).chars().count(), 403);
        assert!(!named("http://me:hunter2@host/").contains("hunter2"));
    }

    #[test]
    fn decimals_are_exact() {
        let (number, rest) = Decimal::prefix("2.5k").expect("a number");
        assert_eq!((number.scaled(1_000, 1), rest), (Some((2_500, true)), "k"));
        let (third, _) = Decimal::prefix("1").expect("a number");
        assert_eq!(third.scaled(2, 3), Some((1, false)));
        let (number, rest) = Decimal::prefix("5.").expect("a number");
        assert_eq!((number.scaled(1, 1), rest), (Some((5, true)), "."));
        for text in ["", ".5", "-1", "x", "123456789012345678901"] {
            assert_eq!(Decimal::prefix(text), None, "{text}");
        }
    }

    #[test]
    fn millionths() {
        for (text, millionths) in [
            ("99.9", Some(99_900_000)),
            ("0", Some(0)),
            ("1.000001", Some(1_000_001)),
            ("1.0000001", None),
            ("1k", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(parse_millionths(text), millionths, "{text}");
        }
    }

    #[test]
    fn counts() {
        for (text, count) in [("0", 0), ("64", 64), ("10k", 10_000), ("1.5k", 1_500), ("2M", 2_000_000)] {
            assert_eq!(parse_count(text, "requests", "1000"), Ok(count));
        }
        for text in ["", "1.5", "-3", "10x", "1e3", "99999999999999999999", "5m", " 5", "1,000"] {
            let message = parse_count(text, "requests", "1000").expect_err(text).to_string();
            assert!(message.contains("requests") && message.contains("→ e.g. 1000"), "{message}");
        }
    }
}
