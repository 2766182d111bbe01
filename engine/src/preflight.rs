//! The pre-flight: whether this host can carry a plan out, asked before anything starts.
//!
//! What it is: the plan's needs held against the host's facts. What certainly cannot work is refused with the fix;
//! what may spoil the measurement becomes a note that stands in the report.
//! What it is not: the doctor, which judges the host without a plan; nor the rails, which protect others.
//!
//! Invariants: it changes nothing and looks at nothing but its arguments; a fact that is hidden refuses nothing.

use plan::{Cores, Load, Plan};
use verdict::ExitCode;

use crate::host::figures::{self, bytes, count, counted};
use crate::host::{Facts, builtin_target_descriptors};
use crate::io::Route;

mod ports;

/// Memory of the built-in target beside its connections.
const BUILTIN_MEMORY_BASE: u64 = 16 << 20;
/// Memory of a connection in the built-in target.
const BUILTIN_MEMORY_PER_CONNECTION: u64 = 32 << 10;
/// Clocks that are read without a system call.
const QUICK_CLOCKS: [&str; 5] =
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource"];

/// Why this host cannot carry the plan out. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// More file descriptors are needed than this process may have.
    #[error("need {} file descriptors ({}), the limit is {} → {fix}",
        count(*.needed), counted(u64::from(*.connections), "connection"), count(*.limit))]
    Descriptors {
        /// How many are needed.
        needed: u64,
        /// For how many connections.
        connections: u32,
        /// How many may be had.
        limit: u64,
        /// How to fix it.
        fix: String,
    },
    /// More local ports are needed than there are.
    #[error("{what}, and there are {} local ports → {fix}", count(*.ports))]
    Ports {
        /// What needs them.
        what: String,
        /// How many there are.
        ports: u64,
        /// How to fix it.
        fix: String,
    },
    /// More memory is needed than may be had.
    #[error("need about {} of memory, {} may be had → {fix}", bytes(*.needed), bytes(*.available))]
    Memory {
        /// How much is needed, in bytes.
        needed: u64,
        /// How much may be had, in bytes.
        available: u64,
        /// How to fix it.
        fix: String,
    },
    /// Cores were asked for that this process may not run on.
    #[error("--cores: {what}, this process may run on {allowed} → {fix}")]
    Cores {
        /// What was asked for.
        what: String,
        /// What is allowed.
        allowed: String,
        /// How to fix it.
        fix: String,
    },
}

impl PreflightError {
    /// How the program ends: the environment refuses.
    pub const fn exit_code(&self) -> ExitCode {
        ExitCode::Environment
    }
}

/// Holds `plan` against the host. `routes` lead to the target, `cap` is the connections over all
/// `shards`, `facts` gathered after the limit on descriptors was raised; `builtin` tells that the target lives in
/// this process. Yields notes for the report.
///
/// # Errors
/// The run could not be carried out here; see [`PreflightError`].
pub fn check(
    plan: &Plan,
    routes: &[Route],
    shards: u32,
    cap: u32,
    facts: &Facts,
    builtin: bool,
) -> Result<Vec<String>, PreflightError> {
    let flight = Flight { plan, routes, shards, cap, facts, builtin };
    flight.check_cores()?;
    flight.check_descriptors()?;
    flight.check_memory()?;
    let mut notes = Vec::new();
    flight.check_ports(&mut notes)?;
    flight.note_cores(&mut notes);
    flight.note_host(&mut notes);
    Ok(notes)
}

/// What is about to happen.
#[derive(Copy, Clone)]
struct Flight<'a> {
    plan: &'a Plan,
    routes: &'a [Route],
    shards: u32,
    cap: u32,
    facts: &'a Facts,
    builtin: bool,
}

impl Flight<'_> {
    fn needs(&self) -> plan::Needs {
        self.plan.needs(self.shards, self.cap)
    }

    fn check_cores(&self) -> Result<(), PreflightError> {
        let allowed = &self.facts.cores;
        let what = match &self.plan.cores {
            Cores::All => return Ok(()),
            Cores::Count(asked) if usize::from(*asked) <= allowed.len() => return Ok(()),
            Cores::Count(asked) => format!("{asked} cores were asked for"),
            Cores::List(asked) => {
                let wanted = asked.iter().map(|&core| usize::from(core));
                let foreign: Vec<usize> = wanted.filter(|core| !allowed.contains(core)).collect();
                if foreign.is_empty() {
                    return Ok(());
                }
                let noun = if foreign.len() == 1 { "core" } else { "cores" };
                let names: Vec<String> = foreign.iter().map(usize::to_string).collect();
                format!("{noun} {} cannot be had", names.join(","))
            }
        };
        let list = figures::cores(allowed);
        let fix = format!("--cores {list}, or --cores all; taskset and the container's cpuset decide which");
        Err(PreflightError::Cores { what, allowed: list, fix })
    }

    fn check_descriptors(&self) -> Result<(), PreflightError> {
        let needs = self.needs();
        let open = u64::from(needs.connections);
        // Both ends of a connection to the built-in target are descriptors of this process.
        let (ends, target) = if self.builtin { (2, builtin_target_descriptors(self.facts)) } else { (1, 0) };
        let beside = (needs.descriptors - open).saturating_add(target);
        let needed = beside.saturating_add(ends * open);
        let limit = self.facts.descriptors.soft;
        if needed <= limit {
            return Ok(());
        }
        let enough = needed.checked_next_power_of_two().unwrap_or(u64::MAX).max(4_096);
        let raise = format!(
            "raise it with \"ulimit -n {enough}\" (as root; LimitNOFILE={enough} in systemd, --ulimit \
             nofile={enough} in Docker)"
        );
        let fewer = limit.saturating_sub(beside) / ends;
        let fix = match (&self.plan.load, fewer) {
            (_, 0) => raise,
            (Load::Closed(_), _) => format!("{raise}, or use --connections {fewer}, which the users share"),
            (Load::Open { .. }, _) => format!("{raise}, or use --connections {fewer}"),
        };
        Err(PreflightError::Descriptors { needed, connections: needs.connections, limit, fix })
    }

    fn check_memory(&self) -> Result<(), PreflightError> {
        let needs = self.needs();
        let target = if self.builtin {
            BUILTIN_MEMORY_BASE + u64::from(needs.connections) * BUILTIN_MEMORY_PER_CONNECTION
        } else {
            0
        };
        let needed = needs.memory_bytes.saturating_add(target);
        let Some(available) = self.facts.memory_to_be_had_bytes().filter(|available| needed > *available)
        else {
            return Ok(());
        };
        let waiting = count(self.plan.queue_limit());
        let fix = format!(
            "fewer --connections (now {}), or a smaller --queue (now {waiting} waiting arrivals), or more memory",
            count(u64::from(needs.connections))
        );
        Err(PreflightError::Memory { needed, available, fix })
    }

    fn note_cores(&self, notes: &mut Vec<String>) {
        let allowed = self.facts.cores.len();
        if let Some(physical) = self.facts.physical_cores.filter(|&physical| physical < self.shards as usize)
        {
            notes.push(format!(
                "{} run on {}: they share them as hyperthreads",
                counted(u64::from(self.shards), "shard"),
                counted(physical as u64, "physical core")
            ));
        }
        let shards = u64::from(self.shards);
        let busy = if self.builtin { shards.max(allowed as u64) } else { shards };
        if let Some(quota) = self.facts.cpu_quota_millicores.filter(|&quota| quota < busy * 1_000) {
            notes.push(format!(
                "the control group's CPU quota is {} for {}: beyond it the kernel stops the generator for the rest \
                 of the period, which shows as schedule lag",
                if quota == 1_000 { "1 core".to_owned() } else { format!("{} cores", figures::thousandths(quota)) },
                counted(busy, "busy thread")
            ));
        }
        if self.facts.governor.as_deref() == Some("powersave") {
            notes.push(
                "the frequency governor is powersave: latencies include slow cores (choose performance)"
                    .to_owned(),
            );
        }
    }

    fn note_host(&self, notes: &mut Vec<String>) {
        let facts = self.facts;
        if let Some(control) = facts.congestion_control.as_deref().filter(|name| is_paced(name)) {
            notes.push(format!(
                "the congestion control is {control}, which spaces packets out: latencies of large requests include \
                 it, and each packet costs a timer (sysctl -w net.ipv4.tcp_congestion_control=cubic)"
            ));
        }
        if let Some(conntrack) = facts.conntrack.filter(|conntrack| conntrack.is_active()) {
            let open = u64::from(self.needs().connections);
            let left = conntrack.limit.saturating_sub(conntrack.count.unwrap_or(0));
            let closed = self.closes_after().map_or(0, |after| self.closes_at_most(after));
            let full = if open.saturating_add(closed) > left {
                format!("; it has room for {}, and drops packets beyond", counted(left, "more connection"))
            } else {
                String::new()
            };
            notes.push(format!("connection tracking (conntrack) is on: each packet costs more CPU{full}"));
        }
        if let Some(clock) = facts.clock_source.as_deref().filter(|name| !is_quick_clock(name)) {
            notes.push(format!("the clock source is {clock}: each reading of the time is a system call"));
        }
    }
}

/// Whether a congestion control spaces packets out by itself.
pub(crate) fn is_paced(congestion_control: &str) -> bool {
    congestion_control.starts_with("bbr")
}

/// Whether a clock source is read without a system call.
pub(crate) fn is_quick_clock(name: &str) -> bool {
    QUICK_CLOCKS.contains(&name)
}

#[cfg(test)]
mod tests;
