//! The texts of the command line: durations, sizes, fractions, delay laws, stalls, addresses, headers.
//!
//! What it is: pure functions from text to a valid value, or to a [`ParseError`] that says what is wrong and how
//! to fix it. What it is not: flag parsing, which belongs to the program.

use std::net::{Ipv4Addr, SocketAddr};

use crate::config::{BODY_BYTES_LIMIT, Stall, StallOrigin};
use crate::delay::{DELAY_NS_LIMIT, DelayLaw};
use crate::error::ParseError;

const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
const DURATION_FIX: &str = "write a number with a unit: 100us, 5ms, 1.5s, 2m (units ns, us, ms, s, m, h)";

/// A problem inside a text, before the whole text is known.
struct Problem {
    problem: String,
    fix: String,
}

fn problem<T>(problem: String, fix: &str) -> Result<T, Problem> {
    Err(Problem { problem, fix: fix.to_owned() })
}

fn parse<T>(
    setting: &'static str,
    text: &str,
    read: impl FnOnce(&str) -> Result<T, Problem>,
) -> Result<T, ParseError> {
    read(text.trim()).map_err(|Problem { problem, fix }| ParseError {
        setting,
        text: text.to_owned(),
        problem,
        fix,
    })
}

/// A duration such as `100us` or `1.5s`, in nanoseconds.
pub fn parse_duration(text: &str) -> Result<u64, ParseError> {
    parse("duration", text, duration)
}

fn duration(text: &str) -> Result<u64, Problem> {
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim_start());
    if number.is_empty() {
        return problem(format!("{text:?} does not begin with a number"), DURATION_FIX);
    }
    if unit.is_empty() {
        let fix = format!("did you mean {number}ms or {number}s? (units ns, us, ms, s, m, h)");
        return problem(format!("{number:?} has no unit"), &fix);
    }
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return problem(format!("{unit:?} is no unit of time"), DURATION_FIX);
    };
    match decimal(number, *scale) {
        Some(ns) => Ok(ns),
        None => problem(format!("{number:?} is no number, or too large"), DURATION_FIX),
    }
}

/// `digits[.digits]` times `scale`, exactly, cut to whole units; None if it is no such number or too large.
fn decimal(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let power = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let parts = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale) / power;
    let sum = u128::from(whole.parse::<u64>().ok()?).checked_mul(u128::from(scale))?.checked_add(parts)?;
    u64::try_from(sum).ok()
}

/// `ns` in its largest unit that needs no fraction, as [`parse_duration`] reads it.
pub(crate) fn show_duration(ns: u64) -> String {
    let (name, scale) = UNITS
        .iter()
        .rev()
        .find(|(name, scale)| ns.is_multiple_of(*scale) && *name != "µs")
        .unwrap_or(&UNITS[0]);
    if ns == 0 { "0s".to_owned() } else { format!("{}{name}", ns / scale) }
}

/// A fraction such as `0.01` or `1%`, from 0 to 1.
pub fn parse_fraction(text: &str) -> Result<f64, ParseError> {
    parse("fraction", text, fraction)
}

fn fraction(text: &str) -> Result<f64, Problem> {
    const FIX: &str = "write a fraction from 0 to 1 such as 0.01, or a percentage such as 1%";
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number.trim_end(), 100.0));
    match number.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&(value / scale)) => Ok(value / scale),
        Ok(_) => problem(format!("{text:?} is not between 0 and 1"), FIX),
        Err(_) => problem(format!("{text:?} is no number"), FIX),
    }
}

/// A size such as `100`, `4k`, `1MiB`, in bytes, at most 1 GiB. `k` and `m` count in powers of 1,024.
pub fn parse_size(text: &str) -> Result<u64, ParseError> {
    parse("size", text, |text| {
        const FIX: &str = "write a number of bytes such as 100, 4k, 1MiB (at most 1 GiB)";
        let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let scale = match text[split..].trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            unit => return problem(format!("{unit:?} is no unit of size"), FIX),
        };
        match decimal(&text[..split], scale) {
            Some(bytes) if bytes <= BODY_BYTES_LIMIT => Ok(bytes),
            Some(_) => problem(format!("{text:?} is too large"), FIX),
            None => problem(format!("{:?} is no number", &text[..split]), FIX),
        }
    })
}

/// A delay law: `none`, `5ms`, `constant:5ms`, `uniform:1ms,5ms`, `exp:5ms`, `bimodal:1ms,50ms,0.1`,
/// `pareto:1ms,1.5` or `pareto:1ms,1.5,2s`.
pub fn parse_delay(text: &str) -> Result<DelayLaw, ParseError> {
    let law = parse("delay law", text, delay)?;
    law.check().map_err(|error| ParseError {
        setting: "delay law",
        text: text.to_owned(),
        problem: error.to_string(),
        fix: "for example bimodal:1ms,50ms,0.1".to_owned(),
    })?;
    Ok(law)
}

fn delay(text: &str) -> Result<DelayLaw, Problem> {
    const FORMS: &str =
        "write none, 5ms, uniform:1ms,5ms, exp:5ms, bimodal:1ms,50ms,0.1 or pareto:1ms,1.5[,2s]";
    if text == "none" {
        return Ok(DelayLaw::None);
    }
    let Some((law, arguments)) = text.split_once(':') else {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return Ok(DelayLaw::Constant { delay_ns: duration(text)? });
        }
        return problem(format!("{text:?} is no law"), FORMS);
    };
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    let law = match (law, arguments.as_slice()) {
        ("constant", [delay]) => DelayLaw::Constant { delay_ns: duration(delay)? },
        ("uniform", [min, max]) => DelayLaw::Uniform { min_ns: duration(min)?, max_ns: duration(max)? },
        ("exp" | "exponential", [mean]) => DelayLaw::Exponential { mean_ns: duration(mean)? },
        ("bimodal", [fast, slow, share]) => DelayLaw::Bimodal {
            fast_ns: duration(fast)?,
            slow_ns: duration(slow)?,
            slow_share: fraction(share)?,
        },
        ("pareto", [min, shape]) => {
            DelayLaw::Pareto { min_ns: duration(min)?, shape: number(shape)?, max_ns: DELAY_NS_LIMIT }
        }
        ("pareto", [min, shape, max]) => {
            DelayLaw::Pareto { min_ns: duration(min)?, shape: number(shape)?, max_ns: duration(max)? }
        }
        ("constant" | "uniform" | "exp" | "exponential" | "bimodal" | "pareto", given) => {
            return problem(format!("{law} does not take {} values", given.len()), FORMS);
        }
        _ => return problem(format!("{law:?} is no law"), FORMS),
    };
    Ok(law)
}

fn number(text: &str) -> Result<f64, Problem> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => problem(format!("{text:?} is no number"), "write a plain number such as 1.5"),
    }
}

/// A stall schedule: `1s/10s` freezes 1 s in every 10 s, first in the middle of the first 10 s, counted from the
/// first request; `1s/10s@2s` first after 2 s; `1s/10s@start+2s` counts from the start of the target.
pub fn parse_stall(text: &str) -> Result<Stall, ParseError> {
    parse("stall", text, |text| {
        const FIX: &str = "write LENGTH/PERIOD[@OFFSET] such as 1s/10s, 1s/10s@2s or 1s/10s@start+2s";
        let (schedule, offset) =
            text.split_once('@').map_or((text, None), |(left, right)| (left, Some(right)));
        let Some((length, period)) = schedule.split_once('/') else {
            return problem(format!("{schedule:?} has no period"), FIX);
        };
        let (length_ns, period_ns) = (duration(length.trim())?, duration(period.trim())?);
        if length_ns == 0 || length_ns >= period_ns {
            let what = format!("a stall of {length:?} in every {period:?} never ends, or never begins");
            return problem(what, "make the stall longer than 0 and shorter than its period");
        }
        let (origin, offset) = match offset.map(str::trim) {
            Some("start") => (StallOrigin::Start, Some("0s")),
            Some(offset) => match offset.strip_prefix("start+") {
                Some(offset) => (StallOrigin::Start, Some(offset)),
                None => (StallOrigin::FirstRequest, Some(offset)),
            },
            None => (StallOrigin::FirstRequest, None),
        };
        let offset_ns = offset.map(duration).transpose()?.unwrap_or((period_ns - length_ns) / 2);
        Ok(Stall { length_ns, period_ns, offset_ns, origin })
    })
}

/// An address to listen on: `8080`, `:8080`, `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`. A port alone
/// listens on 127.0.0.1.
pub fn parse_listen(text: &str) -> Result<SocketAddr, ParseError> {
    parse("address", text, |text| {
        const FIX: &str = "write a port such as 8080, or ADDRESS:PORT such as 127.0.0.1:8080 or [::1]:8080";
        let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
        if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
            return match port.parse::<u16>() {
                Ok(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
                Err(_) => problem(format!("{port:?} is no port"), "choose a port from 0 (any) to 65535"),
            };
        }
        text.parse().or_else(|_| problem(format!("{text:?} is no address with a port"), FIX))
    })
}

/// A header field `Name: value`.
pub fn parse_header(text: &str) -> Result<(String, String), ParseError> {
    parse("header", text, |text| match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => problem("it has no name before a colon".to_owned(), "write Name: value"),
    })
}

#[cfg(test)]
mod tests;
