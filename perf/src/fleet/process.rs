//! What a process uses, as the kernel counts it.
//!
//! Units: nanoseconds and bytes.

use std::fs;
use std::path::Path;

use rustix::param::{clock_ticks_per_second, page_size};

use crate::child::now_ns;

/// What a process had used at an instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) at_ns: u64,
    /// User and system time of all its threads.
    pub(super) cpu_ns: u64,
    /// Memory that is in use.
    pub(super) resident_bytes: u64,
    /// What it had written to files, whenever that reaches the disk.
    pub(super) written_bytes: u64,
    /// Its database.
    pub(super) database_bytes: u64,
    /// Everything over the loopback interface: both ways, headers included.
    pub(super) loopback_bytes: u64,
    /// Nanoseconds by the name of a thread.
    pub(super) threads: Vec<(String, u64)>,
}

/// How it stands now; what cannot be read is 0.
pub(super) fn sample(pid: i32, state: &Path) -> Sample {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let size = |name: &str| fs::metadata(state.join(name)).map_or(0, |found| found.len());
    let resident: u64 = number(&read("statm"), 1);
    let io = read("io");
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap_or("0");
    Sample {
        at_ns: now_ns(),
        cpu_ns: cpu_ns(&read("stat")),
        resident_bytes: resident * page_size() as u64,
        written_bytes: written.trim().parse().unwrap_or(0),
        database_bytes: size("coordinator.sqlite") + size("coordinator.sqlite-wal"),
        loopback_bytes: loopback_bytes(),
        threads: threads(pid),
    }
}

fn number(text: &str, place: usize) -> u64 {
    text.split_whitespace().nth(place).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// The name stands in parentheses and may hold anything; user and system time are the 12th and 13th field behind it.
fn cpu_ns(stat: &str) -> u64 {
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks = number(behind, 11) + number(behind, 12);
    ticks * clock::NANOS_PER_SECOND / clock_ticks_per_second().max(1)
}

fn threads(pid: i32) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut threads: Vec<(String, u64)> = tasks
        .filter_map(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).ok()?;
            let name = stat.split_once('(')?.1.rsplit_once(')')?.0.to_owned();
            Some((name, cpu_ns(&stat)))
        })
        .collect();
    threads.sort();
    threads
}

fn loopback_bytes() -> u64 {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap_or("");
    number(line, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_uses_something() {
        let begin = sample(std::process::id().cast_signed(), Path::new("/nowhere"));
        let mut sum = 0_u64;
        while now_ns() < begin.at_ns + 100_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        let end = sample(std::process::id().cast_signed(), Path::new("/nowhere"));
        assert!(end.cpu_ns > begin.cpu_ns && end.resident_bytes > 1_000_000, "{begin:?} {end:?}");
        assert_eq!(end.database_bytes, 0);
        assert!(end.threads.iter().any(|(_, cpu_ns)| *cpu_ns > 0));
    }
}
