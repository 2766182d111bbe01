//! Instants of the wall clock as texts.
//!
//! What it is: the inverse of [`clock::rfc3339`], for what people and programs write. What it is not: a clock.

use std::time::Duration;

/// Nanoseconds since the Unix epoch as RFC 3339 in UTC.
pub fn rfc3339(unix_ns: u64) -> String {
    clock::rfc3339(Duration::from_nanos(unix_ns))
}

/// Now, in nanoseconds since the Unix epoch.
pub fn now_unix_ns() -> u64 {
    u64::try_from(clock::wall_time().as_nanos()).unwrap_or(u64::MAX)
}

/// The instant that a text of RFC 3339 names, with `Z` or an offset, in nanoseconds since the Unix epoch.
pub fn from_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', &[4, 2, 2])?;
    let offset_at = time.find(['Z', 'z', '+', '-'])?;
    let (time, offset) = time.split_at(offset_at);
    let (whole, fraction) =
        time.split_once('.').map_or((time, None), |(whole, fraction)| (whole, Some(fraction)));
    let [hour, minute, second] = numbers(whole, ':', &[2, 2, 2])?;
    let is_date = (1970..=2500).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let ahead_minutes = match offset.split_at(1) {
        ("Z" | "z", "") => 0,
        (sign, offset) => {
            let [hours, minutes] = numbers(offset, ':', &[2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if sign == "+" { hours * 60 + minutes } else { -(hours * 60 + minutes) }
        }
    };
    let nanos = fraction.map_or(Some(0), nanos_of)?;
    let seconds = u64::try_from(seconds - ahead_minutes * 60).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Numbers of so many digits, with something between them.
fn numbers<const COUNT: usize>(text: &str, between: char, digits: &[usize; COUNT]) -> Option<[i64; COUNT]> {
    let mut found = [0; COUNT];
    let mut parts = text.split(between);
    for (place, digits) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == *digits)?;
        *place = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

fn nanos_of(fraction: &str) -> Option<u64> {
    let is_number = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let scale = 10u64.pow(9 - u32::try_from(fraction.len()).ok().filter(|_| is_number)?);
    Some(fraction.parse::<u64>().ok()? * scale)
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day, by the era arithmetic of Howard Hinnant's paper "chrono-Compatible Low-Level Date
/// Algorithms", for years after 0.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for days in (0..190_000).step_by(7) {
            let unix_ns = days * 86_400_000_000_000 + 12_345_678_000_000;
            assert_eq!(from_rfc3339(&rfc3339(unix_ns)), Some(unix_ns), "{}", rfc3339(unix_ns));
        }
        assert_eq!(from_rfc3339("2027-01-31T23:59:00Z"), Some(1_801_439_940_000_000_000));
        assert_eq!(from_rfc3339("2027-02-01T01:59:00.5+02:00"), Some(1_801_439_940_500_000_000));
        assert_eq!(from_rfc3339("2027-01-31 18:59:00-05:00"), Some(1_801_439_940_000_000_000));
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "2027-01-31",
            "2027-01-31T23:59:00",
            "2027-02-29T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "2027-00-01T00:00:00Z",
            "2027-01-31T24:00:00Z",
            "2027-01-31T23:60:00Z",
            "2027-1-31T23:59:00Z",
            "2027-01-31T23:59Z",
            "2027-01-31T23:59:00.Z",
            "2027-01-31T23:59:00.0123456789Z",
            "2027-01-31T23:59:00+2",
            "2027-01-31T23:59:00Zulu",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "+027-01-31T23:59:00Z",
            "2027-01-31T-1:59:00Z",
            "é027-01-31T23:59:00Z",
        ] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
    }
}
