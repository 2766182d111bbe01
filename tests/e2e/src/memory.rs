//! How much memory a program has used at most.

use std::fs;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Pid;

use crate::waiting::pause;

/// Watches a program's memory until it ends.
#[derive(Debug)]
pub struct PeakMemory {
    watcher: JoinHandle<u64>,
}

impl PeakMemory {
    /// Begins to watch the program `pid`.
    pub fn watch(pid: Pid) -> Self {
        let path = format!("/proc/{}/status", pid.as_raw_nonzero());
        let watcher = thread::spawn(move || {
            let mut peak = 0;
            // A program that has ended has no memory, and soon no file.
            while let Some(bytes) = fs::read_to_string(&path).ok().as_deref().and_then(peak_of) {
                peak = peak.max(bytes);
                pause(Duration::from_millis(5));
            }
            peak
        });
        Self { watcher }
    }

    /// The most that was resident at once, in bytes; call it when the program has ended.
    ///
    /// # Panics
    /// When the program was gone before it could be looked at.
    pub fn bytes(self) -> u64 {
        let peak = self.watcher.join().expect("the watcher does not panic");
        assert!(peak > 0, "the program was gone too soon");
        peak
    }
}

/// `VmHWM` of proc(5), in KiB, only ever grows.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
