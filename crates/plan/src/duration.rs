//! Durations as people write them: `30s`, `1h30m`, `500ms`, `100us`, `1.5s`, `7d`.
//!
//! Numbers with units, larger units first, each unit once. A bare number is refused, because tools disagree on what
//! it means (seconds in some, milliseconds in others). The result is in whole nanoseconds, exactly.

use std::fmt::Write as _;

use crate::PlanError;
use crate::text::{Decimal, quoted};

/// The longest duration that a text may ask for: 366 days.
pub const LONGEST_DURATION_NS: u64 = 366 * 86_400 * 1_000_000_000;

/// Units, largest first, with their length in nanoseconds.
const UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a duration, in nanoseconds; `0s` is one.
pub fn parse_duration(text: &str) -> Result<u64, PlanError> {
    if text.is_empty() {
        return Err(PlanError::new("the duration is empty: is a variable unset?", "e.g. 30s, 1h30m, 500ms"));
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut smallest_so_far = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = Decimal::prefix(rest).ok_or_else(|| not_a_duration(text))?;
        let end = after.bytes().position(|byte| byte.is_ascii_digit() || byte == b'.').unwrap_or(after.len());
        let unit = &after[..end];
        let unit_ns = unit_ns(unit).ok_or_else(|| not_a_duration(text))?;
        if unit_ns >= smallest_so_far {
            return Err(PlanError::new(
                format!("{} names its units out of order", quoted(text)),
                "larger units first, each once, e.g. 1h30m",
            ));
        }
        let part = match number.scaled(u128::from(unit_ns), 1) {
            Some((part, true)) => part,
            Some((_, false)) => {
                return Err(PlanError::new(
                    format!("{} is finer than a nanosecond", quoted(text)),
                    "whole nanoseconds, e.g. 100us",
                ));
            }
            None => return Err(too_long(text)),
        };
        total =
            total.checked_add(part).filter(|&ns| ns <= LONGEST_DURATION_NS).ok_or_else(|| too_long(text))?;
        smallest_so_far = unit_ns;
        rest = &after[end..];
    }
    Ok(total)
}

/// The length of a unit; both spellings of the micro sign are known.
fn unit_ns(unit: &str) -> Option<u64> {
    let unit = if matches!(unit, "µs" | "μs") { "us" } else { unit };
    UNITS.iter().find(|(name, _)| *name == unit).map(|&(_, ns)| ns)
}

/// Why a text is no duration, and what was probably meant.
fn not_a_duration(text: &str) -> PlanError {
    if let Some((_, "")) = Decimal::prefix(text) {
        return PlanError::new(format!("{} has no unit", quoted(text)), format!("{text}s (or ms, m, h)"));
    }
    let what = format!("{} is not a duration", quoted(text));
    let fix = match text.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.')
    {
        _ if text.starts_with('-') => "a duration is not negative, e.g. 30s".to_owned(),
        word @ ("sec" | "secs" | "second" | "seconds" | "S") => text.replace(word, "s"),
        word @ ("min" | "mins" | "minute" | "minutes") => text.replace(word, "m"),
        word @ ("hr" | "hrs" | "hour" | "hours" | "H") => text.replace(word, "h"),
        "M" => "m is minutes, e.g. 10m".to_owned(),
        _ => "a number with d, h, m, s, ms, us or ns, e.g. 30s, 1h30m, 500ms".to_owned(),
    };
    PlanError::new(what, fix)
}

fn too_long(text: &str) -> PlanError {
    PlanError::new(format!("{} is too long", quoted(text)), "at most 366d")
}

/// Writes a duration so that [`parse_duration`] reads the same one back: `1h30m`, `1.5s`, `250ms`, `0s`.
pub fn duration_text(ns: u64) -> String {
    let mut text = String::new();
    let mut rest = ns;
    for &(name, unit_ns) in UNITS {
        // Below a minute one unit with a fraction reads better than several units.
        if unit_ns <= 1_000_000_000 {
            if rest >= unit_ns {
                let (whole, fraction) = (rest / unit_ns, rest % unit_ns);
                let width = unit_ns.ilog10() as usize;
                let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:0width$}") };
                // Writing to a string cannot fail.
                let _ = write!(text, "{whole}{}{name}", fraction.trim_end_matches('0'));
                return text;
            }
        } else if rest >= unit_ns {
            let _ = write!(text, "{}{name}", rest / unit_ns);
            rest %= unit_ns;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn right_durations_are_exact() {
        for (text, ns) in [
            ("30s", 30_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("500ms", 500_000_000),
            ("10m", 600_000_000_000),
            ("100us", 100_000),
            ("100µs", 100_000),
            ("1.5s", 1_500_000_000),
            ("0.1s", 100_000_000),
            ("1d", 86_400_000_000_000),
            ("1m30s500ms", 90_500_000_000),
            ("1ns", 1),
            ("0s", 0),
            ("366d", LONGEST_DURATION_NS),
        ] {
            assert_eq!(parse_duration(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn wrong_durations_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "is empty: is a variable unset?"),
            ("30", "\"30\" has no unit → 30s"),
            ("0", "→ 0s"),
            ("1.5", "→ 1.5s"),
            ("-5s", "not negative"),
            ("5sec", "→ 5s"),
            ("10min", "→ 10m"),
            ("2hours", "→ 2h"),
            ("30S", "→ 30s"),
            ("5M", "m is minutes"),
            ("forever", "is not a duration"),
            ("30m1h", "out of order"),
            ("1s1s", "out of order"),
            ("1h30", "is not a duration"),
            ("0.5ns", "finer than a nanosecond"),
            ("367d", "too long"),
            ("99999999999999999d", "too long"),
            ("1h 30m", "is not a duration"),
            ("s", "is not a duration"),
            ("1..5s", "is not a duration"),
            ("00:30", "is not a duration"),
        ] {
            let message = parse_duration(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }

    #[test]
    fn durations_are_written_in_the_units_people_use() {
        for (ns, text) in [
            (5_400_000_000_000, "1h30m"),
            (1_500_000_000, "1.5s"),
            (61_250_000_000, "1m1.25s"),
            (250_000, "250us"),
            (86_400_000_000_001, "1d1ns"),
        ] {
            assert_eq!(duration_text(ns), text);
        }
    }

    proptest! {
        #[test]
        fn every_duration_is_read_back_as_it_was_written(ns in 0..=LONGEST_DURATION_NS) {
            prop_assert_eq!(parse_duration(&duration_text(ns)), Ok(ns));
        }

        #[test]
        fn small_durations_too(ns in 0..=10_000_000_u64) {
            prop_assert_eq!(parse_duration(&duration_text(ns)), Ok(ns));
        }

        #[test]
        fn no_text_makes_the_parser_fail_otherwise_than_by_an_error(text in "[0-9.dhmsnuµ -]{0,24}") {
            let _ = parse_duration(&text);
        }
    }
}
