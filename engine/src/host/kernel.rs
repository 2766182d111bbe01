//! The kernel's small texts under `/proc` and `/sys`, read into numbers.
//!
//! What it is: pure functions from a text to a value, `None` where the text is not what the kernel writes.
//! What it is not: it opens no file.

use std::ops::RangeInclusive;

/// Whether a port that waits in `TIME_WAIT` may be taken for a new connection (`net.ipv4.tcp_tw_reuse`).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TimeWaitReuse {
    /// Not before its minute is over.
    Never,
    /// A second after it was closed.
    Always,
    /// A second after it was closed, on loopback only; the kernel's default since 4.19.
    Loopback,
}

/// Reads one number on a line of its own.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Reads one word on a line of its own.
pub(super) fn word(text: &str) -> Option<String> {
    let word = text.trim();
    (!word.is_empty()).then(|| word.to_owned())
}

/// Reads `net.ipv4.ip_local_port_range`.
pub(super) fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut bounds = text.split_whitespace().map(str::parse::<u16>);
    let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    (first <= last && bounds.next().is_none()).then_some(first..=last)
}

/// Reads `net.ipv4.tcp_tw_reuse`.
pub(super) fn time_wait_reuse(text: &str) -> Option<TimeWaitReuse> {
    match number(text)? {
        0 => Some(TimeWaitReuse::Never),
        1 => Some(TimeWaitReuse::Always),
        2 => Some(TimeWaitReuse::Loopback),
        _ => None,
    }
}

/// Reads a line of `/proc/meminfo`, in bytes.
pub(super) fn meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// Reads a list of cores such as `0-3,8`, rising.
pub(super) fn core_list(text: &str) -> Option<Vec<usize>> {
    /// Beyond it no Linux has cores; a longer list is no list of cores.
    const MOST: usize = 8_192;
    let mut cores = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Some(cores)
}

/// Reads `Cpus_allowed_list` out of `/proc/self/status`.
pub(super) fn allowed_cores(text: &str) -> Option<Vec<usize>> {
    core_list(text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ports() {
        assert_eq!(port_range("32768\t60999\n"), Some(32_768..=60_999));
        for text in ["", "32768", "60999 32768", "1 2 3", "0 70000", "a b"] {
            assert_eq!(port_range(text), None, "{text:?}");
        }
    }

    #[test]
    fn reuse_of_ports() {
        assert_eq!(time_wait_reuse("0\n"), Some(TimeWaitReuse::Never));
        assert_eq!(time_wait_reuse("1\n"), Some(TimeWaitReuse::Always));
        assert_eq!(time_wait_reuse("2\n"), Some(TimeWaitReuse::Loopback));
        assert_eq!(time_wait_reuse("3\n"), None);
        assert_eq!(time_wait_reuse(""), None);
    }

    #[test]
    fn lines_of_meminfo() {
        let text = "MemTotal:       24684084 kB\nMemFree:        18902332 kB\nMemAvailable:   22476084 kB\n\
                    HugePages_Total:       0\n";
        assert_eq!(meminfo(text, "MemAvailable"), Some(22_476_084 * 1_024));
        assert_eq!(meminfo(text, "Mem"), None);
        assert_eq!(meminfo(text, "HugePages_Total"), None, "it has no unit");
        assert_eq!(meminfo("", "MemAvailable"), None);
    }

    #[test]
    fn lists_of_cores() {
        assert_eq!(core_list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(core_list("5"), Some(vec![5]));
        assert_eq!(core_list("8,0-1,1"), Some(vec![0, 1, 8]));
        for text in ["", "3-0", "a", "0-", "0-99999999", "1,,2"] {
            assert_eq!(core_list(text), None, "{text:?}");
        }
        let status = "Name:\tengine\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t0\n";
        assert_eq!(allowed_cores(status), Some(vec![0, 1]));
        assert_eq!(allowed_cores("Name:\tengine\n"), None);
    }

    #[test]
    fn words_and_numbers() {
        assert_eq!(word(" bbr\n").as_deref(), Some("bbr"));
        assert_eq!(word("\n"), None);
        assert_eq!(number("4096\n"), Some(4_096));
        assert_eq!(number("-1\n"), None);
    }
}
