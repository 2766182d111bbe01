//! Rates as people write them: `5000`, `50k`, `2.5k`, `1M`, `0.5`, `100/s`, `6k/m`, `360/h`, `50/10s`.
//!
//! A rate is a number, perhaps with `k` (thousand) or `M` (million), perhaps with `/` and a unit of time; without
//! one it is per second. The result is exact in millionths of an arrival per second, rounded to the nearest one
//! where a division leaves more (`100/m` is 1.666667 per second).

use schedule::Rate;

use crate::PlanError;
use crate::duration::parse_duration;
use crate::text::{Decimal, quoted};

/// The highest rate that a text may ask for: a thousand million arrivals per second.
const HIGHEST_PER_SECOND: u64 = 1_000_000_000;
const MICRO: u128 = 1_000_000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Reads a rate.
pub fn parse_rate(text: &str) -> Result<Rate, PlanError> {
    if text.is_empty() {
        return Err(PlanError::new("the rate is empty: is a variable unset?", "e.g. 5000, 50k, 100/s, 6k/m"));
    }
    let (amount, unit) = text.split_once('/').map_or((text, None), |(amount, unit)| (amount, Some(unit)));
    let wrong = || not_a_rate(text);
    let (number, suffix) = Decimal::prefix(amount).ok_or_else(wrong)?;
    let multiple = match suffix {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        _ => return Err(wrong()),
    };
    let per_ns = unit.map_or(Ok(NANOS_PER_SECOND), |unit| parse_unit(text, unit))?;
    let (micro, exact) =
        number.scaled(multiple * MICRO * NANOS_PER_SECOND, per_ns).ok_or_else(|| too_high(text))?;
    if micro > HIGHEST_PER_SECOND * 1_000_000 {
        return Err(too_high(text));
    }
    if micro == 0 && !exact {
        return Err(PlanError::new(
            format!("{} is below the smallest rate", quoted(text)),
            "at least 0.000001 per second (1 arrival in 11 days)",
        ));
    }
    Ok(Rate::from_micro(micro))
}

/// Reads what follows the stroke, as nanoseconds: `s`, `min`, `hour`, or a duration such as `10s`.
fn parse_unit(text: &str, unit: &str) -> Result<u128, PlanError> {
    let seconds = match unit {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3_600,
        _ => {
            return match parse_duration(unit) {
                Ok(per_ns) if per_ns > 0 => Ok(u128::from(per_ns)),
                _ => Err(PlanError::new(
                    format!("{} is not a rate: after \"/\" comes a unit of time", quoted(text)),
                    "one of /s, /m, /h or a length such as /10s, e.g. 100/s",
                )),
            };
        }
    };
    Ok(seconds * NANOS_PER_SECOND)
}

/// Why a text is no rate, and what was probably meant.
fn not_a_rate(text: &str) -> PlanError {
    let what = format!("{} is not a rate", quoted(text));
    let Some((number, rest)) = Decimal::prefix(text) else {
        let fix = if text.starts_with('-') {
            "a rate is 0 or more, e.g. 5000"
        } else {
            "e.g. 5000, 50k, 0.5, 100/s, 6k/m"
        };
        return PlanError::new(what, fix);
    };
    let amount = &text[..text.len() - rest.len()];
    let fix = match rest.to_ascii_lowercase().as_str() {
        "m" => format!("{amount}/m is per minute, {amount}M is millions per second"),
        "s" | "h" => format!("{amount}/{rest}"),
        "rps" | "tps" | "qps" | " rps" | " tps" | "req/s" | " req/s" | "hz" | "ps" => {
            format!("{amount} (a plain number is per second)")
        }
        other if other.starts_with(',') && number.scaled(1, 1).is_some() => {
            format!("{} (no thousands separators; fractions take a point)", text.replace(',', ""))
        }
        _ => "e.g. 5000, 50k, 0.5, 100/s, 6k/m".into(),
    };
    PlanError::new(what, fix)
}

fn too_high(text: &str) -> PlanError {
    PlanError::new(format!("{} is above the highest rate", quoted(text)), "at most 1000M per second")
}

/// Writes a rate so that [`parse_rate`] reads the same one back: `5000`, `0.5`, `1.666667`.
pub fn rate_text(rate: Rate) -> String {
    let (whole, micro) = (rate.as_micro() / 1_000_000, rate.as_micro() % 1_000_000);
    if micro == 0 {
        return whole.to_string();
    }
    format!("{whole}.{micro:06}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn right_rates_are_exact() {
        for (text, micro) in [
            ("5000", 5_000_000_000),
            ("50k", 50_000_000_000),
            ("50K", 50_000_000_000),
            ("2.5k", 2_500_000_000),
            ("1M", 1_000_000_000_000),
            ("0.5", 500_000),
            ("100/s", 100_000_000),
            ("6k/m", 100_000_000),
            ("360/h", 100_000),
            ("100/m", 1_666_667),
            ("50/1s", 50_000_000),
            ("10/10s", 1_000_000),
            ("1/1ms", 1_000_000_000),
            ("90/1m30s", 1_000_000),
            ("7/min", 116_667),
            ("0", 0),
            ("0.000001", 1),
            ("1000M", 1_000_000_000_000_000),
            ("0.1", 100_000),
        ] {
            assert_eq!(parse_rate(text).map(Rate::as_micro), Ok(micro), "{text}");
        }
    }

    #[test]
    fn wrong_rates_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "is empty: is a variable unset?"),
            ("abc", "\"abc\" is not a rate → e.g. 5000"),
            ("-5", "a rate is 0 or more"),
            ("5m", "5/m is per minute, 5M is millions"),
            ("100s", "→ 100/s"),
            ("5000rps", "→ 5000 (a plain number"),
            ("5000 req/s", "is not a rate"),
            ("50,000", "→ 50000"),
            ("1e3", "is not a rate"),
            ("100/", "comes a unit of time"),
            ("100/x", "comes a unit of time"),
            ("100/0s", "comes a unit of time"),
            ("/s", "is not a rate"),
            ("1001M", "above the highest rate"),
            ("99999999999999999", "above the highest rate"),
            ("0.0000001", "below the smallest rate"),
            ("NaN", "is not a rate"),
            (" 5", "is not a rate"),
            ("5 ", "is not a rate"),
            ("0x10", "is not a rate"),
            ("٥", "is not a rate"),
        ] {
            let message = parse_rate(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn every_rate_is_read_back_as_it_was_written(micro in 0..=1_000_000_000_000_000_u64) {
            let rate = Rate::from_micro(micro);
            prop_assert_eq!(parse_rate(&rate_text(rate)), Ok(rate));
        }

        #[test]
        fn no_text_makes_the_parser_fail_otherwise_than_by_an_error(text in "\\PC{0,24}") {
            let _ = parse_rate(&text);
        }
    }
}
