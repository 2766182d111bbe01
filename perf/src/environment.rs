//! What the figures depend on: kernel, processor, network settings, versions, and what else the machine is doing.

use std::fmt::Write;
use std::path::Path;

use clock::{rfc3339, wall_time};

use crate::programs::{Programs, version};

/// The tree's lock file: the versions of the libraries that the baselines stand on.
const LOCK: &str = include_str!("../../Cargo.lock");
/// Those libraries.
const LIBRARIES: &[&str] = &["io-uring", "monoio", "glommio", "compio"];

/// Names and values, in the order in which they are printed.
pub(crate) fn describe(programs: &Programs) -> Vec<(String, String)> {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
    let or_unknown = |path: &str| read(path).unwrap_or_else(|_| "unknown".to_owned());
    let mut facts = vec![
        ("date", rfc3339(wall_time())),
        ("kernel", or_unknown("/proc/sys/kernel/osrelease")),
        ("processor", processor(&or_unknown("/proc/cpuinfo"))),
        ("congestion control", or_unknown("/proc/sys/net/ipv4/tcp_congestion_control")),
        (
            "connection tracking",
            read("/proc/sys/net/netfilter/nf_conntrack_count")
                .map_or_else(|_| "not loaded".to_owned(), |count| format!("loaded, {count} tracked")),
        ),
        ("load average before", loads(&or_unknown("/proc/loadavg"))),
        ("libraries", libraries()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<Vec<_>>();
    for (name, program, flag) in [
        ("engine", &programs.engine, "--version"),
        ("wrk", &programs.wrk, "-v"),
        ("h2load", &programs.h2load, "--version"),
        ("oha", &programs.oha, "--version"),
        ("nginx", &programs.nginx, "-v"),
    ] {
        let value = program.as_deref().map_or_else(|| "missing".to_owned(), |path| version(path, &[flag]));
        facts.push((name.to_owned(), value));
    }
    // hey has no flag for its version; the package has.
    let hey = programs.hey.as_deref().map_or_else(
        || "missing".to_owned(),
        |_| format!("hey {}", version(Path::new("dpkg-query"), &["-W", "-f", "${Version}", "hey"])),
    );
    facts.push(("hey".to_owned(), hey));
    facts
}

/// The machine in one line.
pub(crate) fn host_line() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{}, {} ({cores} cores for both), kernel {}, load average before {}",
        rfc3339(wall_time()),
        processor(&read("/proc/cpuinfo")),
        read("/proc/sys/kernel/osrelease").trim(),
        loads(&read("/proc/loadavg"))
    )
}

/// The averages over 1, 5 and 15 minutes, without what else stands there.
fn loads(text: &str) -> String {
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn processor(cpuinfo: &str) -> String {
    let value = |name: &str| {
        cpuinfo
            .lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim())
    };
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    // Not every architecture has a model name there.
    let model = value("model name").or_else(|| value("CPU part")).unwrap_or(std::env::consts::ARCH);
    let family = match (value("cpu family"), value("model")) {
        (Some(family), Some(number)) => format!(" (family {family}, model {number})"),
        _ => String::new(),
    };
    format!("{cores} × {model}{family}")
}

fn libraries() -> String {
    let mut text = String::new();
    for name in LIBRARIES {
        for version in locked_versions(LOCK, name) {
            let separator = if text.is_empty() { "" } else { ", " };
            write!(text, "{separator}{name} {version}").expect("strings take everything");
        }
    }
    text
}

fn locked_versions<'a>(lock: &'a str, name: &str) -> Vec<&'a str> {
    let wanted = format!("name = \"{name}\"");
    let mut lines = lock.lines();
    let mut versions = Vec::new();
    while lines.any(|line| line == wanted) {
        let version = lines.next().and_then(|line| line.strip_prefix("version = \""));
        versions.extend(version.and_then(|rest| rest.strip_suffix('"')));
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_is_read() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\n";
        assert_eq!(locked_versions(lock, "a"), ["1.2.3", "2.0.0"]);
        assert!(locked_versions(lock, "b").is_empty());
        for library in LIBRARIES {
            assert!(!locked_versions(LOCK, library).is_empty(), "{library}");
        }
    }

    #[test]
    fn processors_of_both_kinds_are_named() {
        let intel =
            "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 167\nmodel name\t: Intel(R) X\n\nprocessor\t: 1\n";
        assert_eq!(processor(intel), "2 × Intel(R) X (family 6, model 167)");
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(processor(arm), "1 × 0xd0c");
    }
}
