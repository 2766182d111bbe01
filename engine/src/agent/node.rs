//! The command `engine node`: from its flags to the driver.
//!
//! What it is: the order in which a node comes to be: its folder, its life, what earlier lives left, who it is, whom it
//! attends. What it is not: the flags, which `args` reads.

use std::collections::BTreeMap;
use std::fs;
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::time::Duration;

use plan::{Cores, Fence, IoChoice, Pacing, Plan};
use rustix::process::{Signal, set_parent_process_death_signal};
use verdict::ExitCode;

use super::capacity::Capacity;
use super::drive::{Setting, drive};
use super::event::Identity;
use super::link::{Coordinator, default_state};
use super::machine::Agent;
use super::spool::Spool;
use super::state::{State, StateError};
use crate::args::Run as RunArguments;
use crate::cores::divide;
use crate::host;
use crate::live::found;
use crate::part::Door;
use crate::progress::tell;

/// How many nodes with no name of their own one host may have.
const NAMELESS_MAX: u32 = 256;

/// What `engine node` was asked to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whom to attend.
    pub coordinator: Coordinator,
    /// The node's name; the host's if none.
    pub name: Option<String>,
    /// Where it stands.
    pub zone: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Arrivals per second that it can carry.
    pub capacity: Option<Capacity>,
    /// The folder of what survives the process.
    pub state: Option<PathBuf>,
    /// How this host is used, whatever a plan says.
    pub host: Host,
    /// The process ends when its parent does.
    pub die_with_parent: bool,
    /// It ends with 3 unless it was taken in by then.
    pub connect_within: Option<Duration>,
}

/// What is a node's own affair in every run.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Cores of the shards.
    pub cores: Cores,
    /// The I/O driver.
    pub io: IoChoice,
    /// How shards wait.
    pub pacing: Pacing,
    /// What plans may load from here; none where it is the same person's machine.
    pub fence: Option<Fence>,
}

impl Host {
    /// Puts what is the node's own affair into a plan.
    pub(super) fn settle_on(&self, plan: &mut Plan) {
        plan.cores = self.cores.clone();
        plan.io = self.io;
        plan.pacing = self.pacing;
        plan.rails.fence.clone_from(&self.fence);
    }
}

/// What carries a part of a run out, on the thread on which it is called, until the part is over.
pub type CarryOut = fn(RunArguments, Door);

/// Takes part in a fleet until the process is to end; yields how it ends. Runs are carried out by `carry_out`.
pub fn run(config: Config, carry_out: CarryOut) -> ExitCode {
    match prepare(config, carry_out).map(drive) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            tell(&format!("error: the node cannot work: {error}\n"));
            ExitCode::Environment
        }
        Err(message) => {
            tell(&format!("error: {message}\n"));
            ExitCode::Environment
        }
    }
}

fn prepare(config: Config, carry_out: CarryOut) -> Result<Setting, String> {
    if config.die_with_parent {
        let ends = set_parent_process_death_signal(Some(Signal::TERM));
        ends.map_err(|error| format!("--die-with-parent: {error}"))?;
    }
    host::raise_descriptor_limit();
    let facts = host::Facts::gather();
    let cores = divide(&config.host.cores, &facts.cores, false).engine;
    if let Some(missing) = cores.iter().find(|core| !facts.cores.contains(core)) {
        return Err(format!("--cores: core {missing} is not to be had here → one of {:?}", facts.cores));
    }
    let host_name = facts.host.clone().unwrap_or_else(|| "node".to_owned());
    let (name, state) = take_state(&config, &host_name)?;
    let broken = |error: std::io::Error| format!("cannot use {}: {error}", state.folder().display());
    let incarnation = state.next_incarnation().map_err(broken)?;
    fs::create_dir_all(state.live()).map_err(broken)?;
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot_id = boot_id.trim().to_owned();
    let mut spool = Spool::open(&state.deltas()).map_err(broken)?;
    let found = found::recover(&state.live(), &boot_id, &mut spool).map_err(broken)?;
    let left = spool.left();
    let capacity = config.capacity.and_then(|capacity| capacity.settle(&config.host, &cores));
    let identity = Identity {
        node: name.clone(),
        incarnation,
        boot_id: boot_id.clone(),
        host: host_name,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cores: u32::try_from(cores.len()).unwrap_or(u32::MAX),
        capacity,
        zone: config.zone,
        labels: config.labels,
    };
    let endpoint = config.coordinator.endpoint().map_err(|error| error.to_string())?;
    let mut host = config.host;
    if let Some(fence) = &mut host.fence {
        // A name that does not resolve now is no way to load it either.
        fence.own.extend(config.coordinator.address.to_socket_addrs().into_iter().flatten());
    }
    tell(&format!(
        "node {name}: attends {}, keeps its state in {}\n",
        config.coordinator.address,
        state.folder().display()
    ));
    Ok(Setting {
        agent: Agent::new(identity, left),
        state,
        spool,
        coordinator: config.coordinator,
        endpoint,
        host,
        carry_out,
        connect_within: config.connect_within,
        incarnation,
        boot_id,
        found,
    })
}

/// The node's name and its folder. Where neither was given, several nodes of one host find names of their own.
fn take_state(config: &Config, host_name: &str) -> Result<(String, State), String> {
    let named = |name: &str| -> Result<PathBuf, String> {
        let given =
            config.state.clone().or_else(|| default_state(name, |variable| std::env::var_os(variable)));
        given.ok_or_else(|| "there is no folder for the node's state → --state DIR".to_owned())
    };
    if config.name.is_some() || config.state.is_some() {
        let name = config.name.clone().unwrap_or_else(|| host_name.to_owned());
        let state = State::take(&named(&name)?).map_err(|error| error.to_string())?;
        return Ok((name, state));
    }
    for number in 1..=NAMELESS_MAX {
        let name = if number == 1 { host_name.to_owned() } else { format!("{host_name}-{number}") };
        match State::take(&named(&name)?) {
            Ok(state) => return Ok((name, state)),
            Err(StateError::Locked { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(format!("{NAMELESS_MAX} nodes of this host have no name of their own → --name NAME"))
}
