//! Figures about the host as people read them: counts, bytes, lists of cores.
//!
//! What it is not: the figures of a report; `report` writes those.

/// A count with thousands separated: `28,232`.
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

/// A count of things: `1 core`, `2 cores`.
pub(crate) fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// Bytes in the largest binary unit that tells them exactly, or to two digits or more, rounded up: `37 MiB`.
pub(crate) fn bytes(value: u64) -> String {
    for (unit, name) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if value >= 10 * unit || (value >= unit && value.is_multiple_of(unit)) {
            return format!("{} {name}", count(value.div_ceil(unit)));
        }
    }
    counted(value, "byte")
}

/// Cores as `--cores` takes them: `0-3,8`. A single core is written `8-8`, because `--cores 8` would mean eight.
pub(crate) fn cores(cores: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => ranges.push((core, core)),
        }
    }
    let alone = ranges.len() == 1;
    let texts = ranges.iter().map(|(first, last)| {
        if first == last && !alone { first.to_string() } else { format!("{first}-{last}") }
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Thousandths as a decimal with no more digits than it needs: `1.5`.
pub(crate) fn thousandths(value: u64) -> String {
    let text = format!("{}.{:03}", value / 1_000, value % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), text);
        }
        assert_eq!(counted(1, "core"), "1 core");
        assert_eq!(counted(1_000, "connection"), "1,000 connections");
        for (value, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (9_999, "9,999 bytes"),
            (8 << 20, "8 MiB"),
            (65_536, "64 KiB"),
            (37 << 20, "37 MiB"),
            ((37 << 20) + 1, "38 MiB"),
            (24_u64 << 30, "24 GiB"),
        ] {
            assert_eq!(bytes(value), text);
        }
        for (value, text) in [(0, "0"), (500, "0.5"), (1_500, "1.5"), (2_000, "2"), (10_000, "10")] {
            assert_eq!(thousandths(value), text);
        }
    }

    #[test]
    fn lists_of_cores_read_back_as_they_were_meant() {
        for (list, text) in [(vec![0, 1, 2, 3, 8], "0-3,8"), (vec![5], "5-5"), (vec![1, 3], "1,3")] {
            assert_eq!(cores(&list), text);
            let expected = list.iter().map(|&core| u16::try_from(core).unwrap()).collect();
            assert_eq!(plan::Cores::parse(text), Ok(plan::Cores::List(expected)));
        }
        assert_eq!(cores(&[]), "");
    }
}
