//! Network namespaces: machines of their own, as far as the network goes.
//!
//! What it is: made, entered and removed with `ip`, which needs root. What it is not: a topology; the wires between them
//! are each test's own.

use std::process::Command;

use crate::process::program;

/// Namespaces of one test. Dropping them removes them, and the ends of wires that lie in them.
#[derive(Debug)]
pub struct Namespaces {
    name: String,
    parts: &'static [&'static str],
}

impl Namespaces {
    /// One for each of `parts`, with loopback up.
    pub fn new(prefix: &str, parts: &'static [&'static str]) -> Self {
        // Made first: what is left of a failed set-up goes with it.
        let namespaces = Self { name: format!("{prefix}-{}", std::process::id()), parts };
        for part in parts {
            let name = namespaces.of(part);
            run(&format!("ip netns add {name}"));
            run(&format!("ip -n {name} link set lo up"));
            // Delays of a test's own making only: BBR would space packets out.
            run(&format!("ip netns exec {name} sysctl -qw net.ipv4.tcp_congestion_control=cubic"));
        }
        namespaces
    }

    /// The whole name of a part.
    pub fn of(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    /// Words that start a program in a part.
    pub fn within(&self, part: &str) -> Vec<String> {
        ["ip", "netns", "exec", &self.of(part)].map(str::to_owned).to_vec()
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for part in self.parts {
            let _ = Command::new("ip").args(["netns", "del", &self.of(part)]).status();
        }
    }
}

/// Runs a line of words; it must succeed.
pub fn run(line: &str) {
    let mut words = line.split_whitespace();
    let program = program(&[words.next().expect("a program")]);
    let output = Command::new(program).args(words).output().expect("it can be started");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}
