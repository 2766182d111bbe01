//! `--capacity measure`: what this host can send, found out before the node joins.
//!
//! What it is: a short run of this very program against its own target over loopback, as fast as answers come, in a process of its
//! own; and the rate that its processor time for each request comes to on the node's cores. What it is not: what any other target, plan or
//! network allows; TLS, large bodies and journeys cost more.
//!
//! Invariant: it ends within [`PATIENCE`], whatever happens, and nothing of it is left behind.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plan::{IoChoice, Pacing, Rate, rate_text};
use serde_json::Value;

use super::node::Host;
use crate::progress::tell;

/// How long the measurement may take, its start and end included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Users that ask without a rest: enough that the shards always have something to do.
const USERS: &str = "64";

/// What a node says it can carry.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// So much.
    Given(Rate),
    /// What it measures at its start.
    Measured,
}

impl Capacity {
    /// Reads a rate, or `measure`.
    pub fn parse(text: &str) -> Result<Self, plan::PlanError> {
        if text == "measure" {
            return Ok(Self::Measured);
        }
        plan::parse_rate(text).map(Self::Given)
    }

    /// What it comes to on these cores; says so where it was measured. A measurement that failed says nothing.
    pub(super) fn settle(self, host: &Host, cores: &[usize]) -> Option<Rate> {
        let outcome = match self {
            Self::Given(rate) => return Some(rate),
            Self::Measured => measured(host, cores),
        };
        match outcome {
            Ok((rate, cpu_us)) => {
                let count = cores.len();
                tell(&format!(
                    "capacity: {}/s (measured over loopback: {cpu_us:.1} µs of processor time a request, {count} cores)\n",
                    rate_text(rate)
                ));
                Some(rate)
            }
            Err(why) => {
                tell(&format!("capacity: it could not be measured, and none is stated: {why}\n"));
                None
            }
        }
    }
}

/// Measures; yields the rate, and the processor time of a request in microseconds.
fn measured(host: &Host, cores: &[usize]) -> Result<(Rate, f64), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let list: Vec<String> = cores.iter().map(usize::to_string).collect();
    // A single number would be a count.
    let list = if list.len() == 1 { format!("{0}-{0}", list[0]) } else { list.join(",") };
    let io = match host.io {
        IoChoice::Auto => "auto",
        IoChoice::Uring => "uring",
        IoChoice::Epoll => "epoll",
    };
    let pacing = if host.pacing == Pacing::Spin { "spin" } else { "sleep" };
    let mut command = Command::new(program);
    command
        .args(["run", "--users", USERS, "--duration", "1s", "--warmup", "300ms", "--grace", "1s", "--quiet"])
        .args(["--max-lag", "1h", "--json", "-", "--cores", &list, "--io", io, "--pacing", pacing])
        // What says how this node joins is no word of that run, and a token no business of it.
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let text = told(&mut child);
    let _ = child.kill();
    let _ = child.wait();
    rate_of(&text?, cores.len())
}

/// What the run tells until its end.
fn told(child: &mut Child) -> Result<String, String> {
    let mut stdout = child.stdout.take().ok_or("it has no output")?;
    let (tell, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).map(|_| text);
        // Where nobody waits any more, it came too late.
        let _ = tell.send(read);
    });
    said.recv_timeout(PATIENCE)
        .map_err(|_| format!("it took more than {} s", PATIENCE.as_secs()))?
        .map_err(|error| error.to_string())
}

/// The rate at which the shards of a summary would have had no time left, on so many cores, to two digits.
fn rate_of(summary: &str, cores: usize) -> Result<(Rate, f64), String> {
    let summary: Value = serde_json::from_str(summary).map_err(|_| "it told no summary".to_owned())?;
    let cpu_us = summary["generator"]["cpu_us_per_request"].as_f64().unwrap_or(0.0);
    let ok = summary["audit"]["ok"].as_u64().unwrap_or(0);
    if ok < 100 || !cpu_us.is_finite() || cpu_us <= 0.0 {
        return Err(format!("{ok} requests were answered"));
    }
    let exact = cores as f64 * 1e6 / cpu_us;
    let unit = 10_f64.powf((exact.log10().floor() - 1.0).max(0.0));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate that a host can send"
    )]
    let per_second = ((exact / unit).floor() * unit).clamp(1.0, 1e9) as u64;
    Ok((Rate::per_second(per_second), cpu_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_the_cores_have_time_for_rounded_down() {
        let summary = |cpu_us: f64, ok: u64| {
            serde_json::json!({"generator": {"cpu_us_per_request": cpu_us}, "audit": {"ok": ok}}).to_string()
        };
        for (cpu_us, cores, rate) in
            [(10.0, 1, 100_000), (8.1, 1, 120_000), (8.1, 4, 490_000), (400_000.0, 1, 2)]
        {
            let (found, _) = rate_of(&summary(cpu_us, 5_000), cores).expect("a rate");
            assert_eq!(found, Rate::per_second(rate), "{cpu_us} {cores}");
        }
        for wrong in ["", "{}", &summary(0.0, 5_000), &summary(5.0, 3)] {
            assert!(rate_of(wrong, 2).is_err(), "{wrong}");
        }
        assert_eq!(Capacity::parse("measure"), Ok(Capacity::Measured));
        assert_eq!(Capacity::parse("50k"), Ok(Capacity::Given(Rate::per_second(50_000))));
        assert!(Capacity::parse("guess").is_err());
    }
}
