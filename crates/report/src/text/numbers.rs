//! Numbers for people: thousands, three digits of a duration, percentages, bytes.

use super::style::Style;

/// A count with thousands separated: `1,499,990`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of cores: `1 core`, `4 cores`.
pub(crate) fn cores(value: u32) -> String {
    format!("{value} core{}", if value == 1 { "" } else { "s" })
}

/// A duration to three digits: `640 ns`, `31.2 µs`, `1.23 ms`, `12.3 s`, `4,012 s`.
pub(crate) fn duration(style: Style, ns: f64) -> String {
    let micro = style.pick("µs", "us");
    if ns <= 0.0 {
        return "0 ns".to_owned();
    }
    // The limits are where rounding to three digits would reach the next unit.
    for (limit, unit_ns, unit) in [(999.5, 1.0, "ns"), (999.5e3, 1e3, micro), (999.5e6, 1e6, "ms")] {
        if ns < limit {
            return format!("{} {unit}", three_digits(ns / unit_ns));
        }
    }
    format!("{} s", three_digits(ns / 1e9))
}

/// [`duration`] of whole nanoseconds.
pub(crate) fn nanoseconds(style: Style, ns: u64) -> String {
    if ns < 1_000 {
        return format!("{ns} ns");
    }
    duration(style, ns as f64)
}

/// A rate: whole from 1,000 on, else with a decimal: `49,999/s`, `12.5/s`.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", if per_second >= 999.95 { count(rounded(per_second)) } else { tenths(per_second) })
}

/// A share of a whole as a percentage to a sensible precision: `0.003 %`, `1.25 %`, `100 %`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    let value = part as f64 * 100.0 / whole as f64;
    if part == whole {
        "100 %".to_owned()
    } else if value < 0.001 {
        "<0.001 %".to_owned()
    } else if value < 1.0 {
        format!("{value:.3} %")
    } else {
        // Never 100.00 while something is missing.
        format!("{:.2} %", value.min(99.99))
    }
}

/// Bytes in decimal units: `999 B`, `1.50 MB`.
pub(crate) fn bytes(value: u64) -> String {
    for (limit, unit, name) in
        [(999.5e3, 1e3, "kB"), (999.5e6, 1e6, "MB"), (999.5e9, 1e9, "GB"), (f64::INFINITY, 1e12, "TB")]
    {
        if value < 1_000 {
            break;
        }
        if (value as f64) < limit {
            return format!("{} {name}", three_digits(value as f64 / unit));
        }
    }
    format!("{value} B")
}

/// Bits per second to three digits: `960 Mbit/s`, `9.51 Gbit/s`.
pub(crate) fn bits_per_second(value: f64) -> String {
    for (limit, unit, name) in [(999.5, 1.0, "bit/s"), (999.5e3, 1e3, "kbit/s"), (999.5e6, 1e6, "Mbit/s")] {
        if value < limit {
            return format!("{} {name}", three_digits(value / unit));
        }
    }
    format!("{} Gbit/s", three_digits(value / 1e9))
}

/// Seconds as a clock shows them: `01:12`, `1:02:03`.
pub(crate) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

fn three_digits(value: f64) -> String {
    if value >= 999.5 {
        count(rounded(value))
    } else if value >= 99.95 {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn tenths(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates; values are not negative"
)]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTF8: Style = Style { utf8: true, colour: false };

    #[test]
    fn bits_per_second_change_units_where_three_digits_would() {
        for (value, text) in [
            (0.0, "0.00 bit/s"),
            (27.6e6, "27.6 Mbit/s"),
            (999.4e6, "999 Mbit/s"),
            (999.6e6, "1.00 Gbit/s"),
            (16.71e9, "16.7 Gbit/s"),
        ] {
            assert_eq!(bits_per_second(value), text);
        }
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), text);
        }
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (31_249, "31.2 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (999_999, "1.00 ms"),
            (9_994_000, "9.99 ms"),
            (9_996_000, "10.0 ms"),
            (12_345_678, "12.3 ms"),
            (999_600_000, "1.00 s"),
            (75_300_000_000, "75.3 s"),
            (4_012_000_000_000, "4,012 s"),
        ] {
            assert_eq!(nanoseconds(UTF8, ns), text, "{ns}");
        }
        assert_eq!(nanoseconds(Style::default(), 1_500), "1.50 us");
        assert_eq!((duration(UTF8, 0.5).as_str(), duration(UTF8, 0.0).as_str()), ("0.50 ns", "0 ns"));
        assert_eq!((cores(1).as_str(), cores(2).as_str()), ("1 core", "2 cores"));
    }

    #[test]
    fn shares_never_claim_more_than_is_true() {
        for (part, whole, text) in [
            (0, 0, "0 %"),
            (0, 9, "0 %"),
            (9, 9, "100 %"),
            (1, 1_000_000_000, "<0.001 %"),
            (1, 30_000, "0.003 %"),
            (1, 80, "1.25 %"),
            (999_999_999, 1_000_000_000, "99.99 %"),
        ] {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn rates_bytes_and_clocks() {
        for (value, text) in
            [(0.0, "0/s"), (12.5, "12.5/s"), (999.94, "999.9/s"), (999.96, "1,000/s"), (49_999.4, "49,999/s")]
        {
            assert_eq!(rate(value), text);
        }
        for (value, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (999_600, "1.00 MB"),
            (1_500_000_000, "1.50 GB"),
            (1_234_000_000_000_000, "1,234 TB"),
        ] {
            assert_eq!(bytes(value), text);
        }
        for (seconds, text) in [(0, "00:00"), (72, "01:12"), (3_723, "1:02:03")] {
            assert_eq!(clock(seconds), text);
        }
    }
}
