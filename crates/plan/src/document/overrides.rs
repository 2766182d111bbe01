//! What the command line and the environment say instead of a plan file.
//!
//! One rule for several workloads: what a number is about is kept in proportion, so that a flag makes a plan larger,
//! smaller, longer or shorter and leaves its shape. A number that could only be meant for one workload needs the plan to
//! have one, or `--workload`.
//!
//! What it is: from a [`PlanFile`] and a [`Draft`] of what was given to the plan that is carried out, and the words for
//! what was replaced. What it is not: a parser of texts.

use std::collections::BTreeMap;

use schedule::{Process, Profile, Rate};

use super::scale;
use super::targets::base_url;
use super::{Iterations, PlanFile, Target, Workload, WorkloadLoad};
use crate::plan::{Connections, Tls};
use crate::{
    DEFAULT_SEED, Draft, Pattern, Place, PlanError, ProcessKind, Trust, duration_text, quoted, rate_text,
};

/// The flags that replace the key of the same name in every target.
const OF_TARGETS: [&str; 15] = [
    "--connections",
    "--warm-connections",
    "--close-after",
    "--queue",
    "--connect-to",
    "--dns",
    "--source",
    "--unix-socket",
    "--insecure",
    "--cacert",
    "--cert",
    "--no-resumption",
    "--tls-min",
    "--tls-max",
    "--max-head",
];

/// What was given beside a plan file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The only workload to run.
    pub workload: Option<String>,
    /// Everything else, in the parts of a plan of flags.
    pub draft: Draft,
    /// Where each flag's value stood, and its text: the flag itself, or a variable.
    pub given: BTreeMap<&'static str, (Place, String)>,
}

impl Overrides {
    /// Nothing was given.
    pub fn none() -> Self {
        Self::default()
    }

    /// An error about what stands at `flag`.
    fn wrong(&self, flag: &'static str, what: impl Into<String>, fix: impl Into<String>) -> PlanError {
        PlanError::new(what, fix).at(self.place(flag))
    }

    /// Where the value of a flag stood, if it was given.
    pub fn place_given(&self, flag: &'static str) -> Option<Place> {
        self.given.get(flag).map(|(place, _)| *place)
    }

    fn place(&self, flag: &'static str) -> Place {
        self.place_given(flag).unwrap_or(Place::Flag(flag))
    }

    /// The flag or variable and its value, as the report names it.
    fn told(&self, flag: &'static str) -> String {
        match self.given.get(flag) {
            Some((Place::Variable(name), text)) => format!("{name}={text}"),
            Some((_, text)) if !text.is_empty() => format!("{flag} {text}"),
            _ => flag.to_owned(),
        }
    }

    /// What no plan can be read with.
    fn check(&self) -> Result<(), PlanError> {
        let draft = &self.draft;
        if draft.duration_ns == Some(0) {
            return Err(self.wrong("--duration", "a run of 0s sends nothing", "e.g. 30s"));
        }
        if draft.duration_ns.is_some() && draft.stages.is_some() {
            let what = "the stages already say how long the run is";
            return Err(self.wrong("--duration", what, "leave it out"));
        }
        if draft.rate.is_some() && draft.stages.is_some() {
            return Err(self.wrong("--stages", "--tps and --stages both say the rate", "leave one out"));
        }
        if draft.pattern == Some(Pattern::Ramp) {
            let what = "it draws the rate of a plan of flags; a plan file has shapes of its own";
            return Err(self.wrong("--pattern", what, "--stages 30s:1000, or stages: in the file"));
        }
        Ok(())
    }
}

impl PlanFile {
    /// Puts what was given in the place of what the file says, as far as that was not done while it was read; `written`
    /// is what the file says by itself. Yields what was replaced, in words.
    ///
    /// # Errors
    /// What was given fits no workload or target, or it is not said which.
    pub fn override_with(&mut self, written: &Self, overrides: &Overrides) -> Result<Vec<String>, PlanError> {
        overrides.check()?;
        let mut told = Vec::new();
        self.pick(overrides, &mut told)?;
        self.tell_duration(written, overrides, &mut told);
        self.replace_load(overrides, &mut told)?;
        self.replace_rate(overrides, &mut told)?;
        self.replace_users(overrides, &mut told)?;
        self.replace_seed(overrides, &mut told);
        self.replace_arrivals(overrides, &mut told)?;
        self.replace_targets(overrides, &mut told)?;
        Ok(told)
    }

    /// Leaves one workload, which then begins with the run.
    fn pick(&mut self, overrides: &Overrides, told: &mut Vec<String>) -> Result<(), PlanError> {
        let Some(wanted) = &overrides.workload else { return Ok(()) };
        let names = |all: &[Workload]| {
            all.iter().map(|workload| workload.name.clone()).collect::<Vec<_>>().join(", ")
        };
        let Some(place) = self.workloads.iter().position(|workload| workload.name == *wanted) else {
            let what = format!("there is no workload {}", quoted(wanted));
            return Err(overrides.wrong("--workload", what, format!("one of {}", names(&self.workloads))));
        };
        let mut picked = self.workloads.swap_remove(place);
        let begins = picked.start_ns;
        picked.start_ns = 0;
        let rest = std::mem::replace(&mut self.workloads, vec![picked]);
        // In the order of the file, from which one was swapped away.
        let mut rest = rest;
        rest.sort_by_key(|workload| workload.span.start);
        let from_the_start = if begins > 0 { ", from the start" } else { "" };
        let without = if rest.is_empty() { String::new() } else { format!(", without {}", names(&rest)) };
        told.push(format!("{}{from_the_start}{without}", overrides.told("--workload")));
        Ok(())
    }

    /// Durations were replaced while the file was read.
    fn tell_duration(&self, written: &Self, overrides: &Overrides, told: &mut Vec<String>) {
        if overrides.draft.duration_ns.is_none() {
            return;
        }
        let run = |workload: &&Workload| self.workloads.iter().any(|one| one.name == workload.name);
        let before = written.workloads.iter().filter(run);
        let changes: Vec<String> = before
            .map(|workload| format!("{} {}", workload.name, duration_text(workload.load.duration_ns())))
            .collect();
        told.push(format!("{} in place of {}", overrides.told("--duration"), changes.join(", ")));
    }

    /// Replaces what only one workload can be given: its stages, its number of iterations.
    fn replace_load(&mut self, overrides: &Overrides, told: &mut Vec<String>) -> Result<(), PlanError> {
        if let Some(stages) = &overrides.draft.stages {
            if stages.max_rate() == Rate::ZERO {
                let what = "every stage leads to rate 0: nothing would be sent";
                return Err(overrides.wrong("--stages", what, "e.g. 30s:1000"));
            }
            let open = |workload: &Workload| matches!(workload.load, WorkloadLoad::Open { .. });
            let one = self.only("--stages", overrides, "with arrivals", open)?;
            if let WorkloadLoad::Open { profile, .. } = &mut one.load {
                *profile = stages.clone();
                told.push(format!("{} in place of the rates of {}", overrides.told("--stages"), one.name));
            }
        }
        if let Some(count) = overrides.draft.count {
            if count == 0 {
                let what = "a run of 0 iterations sends nothing";
                return Err(overrides.wrong("--count", what, "at least 1"));
            }
            let one = self.only("--count", overrides, "to end", |_| true)?;
            let before = match &mut one.load {
                WorkloadLoad::Open { count: before, .. } => before.replace(count),
                WorkloadLoad::Closed { iterations: Iterations::Each(_), .. } => {
                    let what = format!("workload {} is once: one iteration for each user", one.name);
                    return Err(overrides.wrong("--count", what, "--users COUNT"));
                }
                WorkloadLoad::Closed { iterations, .. } => {
                    match std::mem::replace(iterations, Iterations::Total(count)) {
                        Iterations::Total(before) => Some(before),
                        Iterations::Unbounded | Iterations::Each(_) => None,
                    }
                }
            };
            let before = before.map_or_else(String::new, |before| format!(" in place of {before}"));
            told.push(format!("{} iterations of {}{before}", overrides.told("--count"), one.name));
        }
        Ok(())
    }

    /// The only workload that a flag can be about.
    fn only(
        &mut self,
        flag: &'static str,
        overrides: &Overrides,
        kind: &str,
        fits: impl Fn(&Workload) -> bool,
    ) -> Result<&mut Workload, PlanError> {
        let mut fitting: Vec<&mut Workload> =
            self.workloads.iter_mut().filter(|workload| fits(workload)).collect();
        match fitting.len() {
            0 => Err(none(flag, overrides, "arrivals", "--users")),
            1 => Ok(fitting.remove(0)),
            _ => {
                let names: Vec<&str> = fitting.iter().map(|workload| workload.name.as_str()).collect();
                let what = format!("the plan has several workloads {kind}: {}", names.join(", "));
                let fix = "--workload NAME for one of them, or say it in the file";
                Err(overrides.wrong(flag, what, fix))
            }
        }
    }

    /// Multiplies the rates, so that the highest that they reach together is the one that was given.
    fn replace_rate(&mut self, overrides: &Overrides, told: &mut Vec<String>) -> Result<(), PlanError> {
        let Some(rate) = overrides.draft.rate else { return Ok(()) };
        if rate == Rate::ZERO {
            let what = "at rate 0 nothing would be sent";
            return Err(overrides.wrong("--tps", what, "e.g. 1000, or 0.5 for one in 2 s"));
        }
        if self.highest_rate() == Rate::ZERO {
            return Err(none("--tps", overrides, "arrivals", "--users"));
        }
        let before = highest_rates(&self.workloads);
        scale::rates(self, rate).map_err(|what| overrides.wrong("--tps", what, "another rate"))?;
        let pairs = highest_rates(&self.workloads).into_iter().zip(before);
        let changes: Vec<String> = pairs
            .map(|((name, now), (_, before))| {
                format!("{name} {}/s for {}/s", rate_text(now), rate_text(before))
            })
            .collect();
        told.push(format!("{}: {}", overrides.told("--tps"), changes.join(", ")));
        Ok(())
    }

    /// Multiplies the users, so that the most there are together is what was given; and replaces how fast they start.
    fn replace_users(&mut self, overrides: &Overrides, told: &mut Vec<String>) -> Result<(), PlanError> {
        let closed = |workload: &&Workload| matches!(workload.load, WorkloadLoad::Closed { .. });
        let any = self.workloads.iter().any(|workload| closed(&workload));
        if let Some(users) = overrides.draft.users {
            if users == 0 {
                return Err(overrides.wrong("--users", "0 users send nothing", "at least 1"));
            }
            if !any {
                return Err(none("--users", overrides, "users", "--tps"));
            }
            let most = |all: &[Workload]| {
                let closed = all.iter().filter(closed);
                closed.map(|one| (one.name.clone(), one.load.most_users())).collect::<Vec<_>>()
            };
            let before = most(&self.workloads);
            scale::users(self, users).map_err(|what| overrides.wrong("--users", what, "more users"))?;
            let pairs = most(&self.workloads).into_iter().zip(before);
            let changes: Vec<String> =
                pairs.map(|((name, now), (_, before))| format!("{name} {now} for {before}")).collect();
            told.push(format!("{}: {}", overrides.told("--users"), changes.join(", ")));
        }
        if let Some(rate) = overrides.draft.spawn_rate {
            if !any {
                return Err(none("--spawn-rate", overrides, "users", "--tps"));
            }
            scale::spawn(self, rate).map_err(|what| {
                overrides.wrong("--spawn-rate", what, "--workload NAME for one of them, or leave it out")
            })?;
            told.push(overrides.told("--spawn-rate"));
        }
        Ok(())
    }

    /// Replaces the seed of everything random.
    fn replace_seed(&mut self, overrides: &Overrides, told: &mut Vec<String>) {
        let Some(given) = overrides.draft.seed else { return };
        let before = self.seed.replace(given).unwrap_or(DEFAULT_SEED);
        for workload in &mut self.workloads {
            if let WorkloadLoad::Open { process: Process::Poisson { seed }, .. } = &mut workload.load {
                *seed = given;
            }
        }
        told.push(format!("{} in place of {before}", overrides.told("--seed")));
    }

    /// Replaces the law that spaces arrivals.
    fn replace_arrivals(&mut self, overrides: &Overrides, told: &mut Vec<String>) -> Result<(), PlanError> {
        let Some(kind) = overrides.draft.process else { return Ok(()) };
        let seed = self.seed.unwrap_or(DEFAULT_SEED);
        let mut names = Vec::new();
        for workload in &mut self.workloads {
            if let WorkloadLoad::Open { process, .. } = &mut workload.load {
                *process = match kind {
                    ProcessKind::Constant => Process::Deterministic,
                    ProcessKind::Poisson => Process::Poisson { seed },
                };
                names.push(workload.name.as_str());
            }
        }
        if names.is_empty() {
            return Err(none("--process", overrides, "arrivals", "--users"));
        }
        told.push(format!("{}: {}", overrides.told("--process"), names.join(", ")));
        Ok(())
    }

    /// Replaces the keys of every target, and the URL of the only one.
    fn replace_targets(&mut self, overrides: &Overrides, told: &mut Vec<String>) -> Result<(), PlanError> {
        let draft = &overrides.draft;
        if draft.url.is_some() || draft.unix_socket.is_some() {
            let flag = if draft.url.is_some() { "--url" } else { "--unix-socket" };
            if let [_, _, ..] = self.targets.as_slice() {
                let names: Vec<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
                let what = format!("the plan has several targets: {}", names.join(", "));
                let fix = "in the file, with ${NAME:-default} for what changes from run to run";
                return Err(overrides.wrong(flag, what, fix));
            }
        }
        // What is wrong in itself is told in the flags' words.
        let of_one = Draft { url: self.targets.first().map(|target| target.url.clone()), ..draft.clone() };
        let connections = of_one.connections()?;
        let (tls, limits) = (of_one.tls()?, of_one.limits()?);
        for target in &mut self.targets {
            if let Some(url) = &draft.url {
                base_url(&url.to_string()).map_err(|error| error.at(overrides.place("--url")))?;
                told.push(format!("{} in place of {}", overrides.told("--url"), target.url));
                target.url = url.clone();
            }
            replace_connections(target, &connections, draft);
            if target.connections.warm > target.connections.cap.map_or(Connections::DEFAULT_CAP, u32::from) {
                let what =
                    format!("target {} opens {} before the start", target.name, target.connections.warm);
                return Err(overrides.wrong("--connections", what, "--warm-connections 0, or more of them"));
            }
            replace_tls(target, &tls, draft);
            if draft.max_head.is_some() {
                target.limits.head_bytes = limits.head_bytes;
            }
        }
        let given = OF_TARGETS.into_iter().filter(|flag| overrides.given.contains_key(flag));
        let whose = if self.targets.len() == 1 { "" } else { " for every target" };
        told.extend(given.map(|flag| format!("{}{whose}", overrides.told(flag))));
        Ok(())
    }
}

/// That no workload is of the kind which a flag is about.
fn none(flag: &'static str, overrides: &Overrides, of: &str, other: &str) -> PlanError {
    overrides.wrong(
        flag,
        format!("no workload of the plan has {of}"),
        format!("leave it out, or use {other}"),
    )
}

/// The highest rate of each workload with arrivals.
fn highest_rates(workloads: &[Workload]) -> Vec<(String, Rate)> {
    let highest = |workload: &Workload| match &workload.load {
        WorkloadLoad::Open { profile, .. } => Some((workload.name.clone(), Profile::max_rate(profile))),
        WorkloadLoad::Closed { .. } => None,
    };
    workloads.iter().filter_map(highest).collect()
}

fn replace_connections(target: &mut Target, given: &Connections, draft: &Draft) {
    let own = &mut target.connections;
    if draft.connections.is_some() {
        own.cap = given.cap;
    }
    if draft.warm_connections.is_some() {
        own.warm = given.warm;
    }
    if draft.close_after.is_some() {
        own.close_after = given.close_after;
    }
    if draft.queue.is_some() {
        own.queue = given.queue;
    }
    if !draft.connect_to.is_empty() {
        own.connect_to.clone_from(&given.connect_to);
    }
    if draft.dns.is_some() {
        own.dns = given.dns;
    }
    if draft.sources.is_some() {
        own.sources.clone_from(&given.sources);
    }
    if draft.unix_socket.is_some() {
        own.unix_socket.clone_from(&given.unix_socket);
    }
}

fn replace_tls(target: &mut Target, given: &Tls, draft: &Draft) {
    let own = &mut target.tls;
    if given.trust != Trust::System {
        own.trust = given.trust.clone();
    }
    if given.identity.is_some() {
        own.identity.clone_from(&given.identity);
    }
    own.resumption &= given.resumption;
    if draft.tls_min.is_some() {
        own.min_version = given.min_version;
    }
    if draft.tls_max.is_some() {
        own.max_version = given.max_version;
    }
}

#[cfg(test)]
mod tests;
