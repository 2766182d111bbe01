//! What a summary says about a run beside its measurements.
//!
//! What it is: the plan, the host and the driver in the words of `openloop.summary/1`. What it is not: a measurement.
//!
//! Invariant: nothing secret enters: header values, bodies and queries stay out.

use std::collections::BTreeMap;

use clock::{NANOS_PER_SECOND, Timestamp};
use measure::Names;
use plan::document::{PlanFile, Workload, WorkloadLoad};
use plan::{Load, Plan, Trust, Url, duration_text, rate_text};
use report::{Environment, Io, PlanEcho, Run as RunEcho, RunFacts, Share, Target};
use schedule::{Phase, Process, Profile};

use crate::drive::Driven;
use crate::host;
use crate::launch::Decision;
use crate::run::Run;

/// Everything that is known of a run beside its measurements.
#[derive(Debug)]
pub struct Story<'a> {
    /// What was asked for.
    pub plan: &'a Plan,
    /// The file that it was read from.
    pub file: Option<&'a PlanFile>,
    /// What is spoken instead of HTTP.
    pub protocol: Option<&'a str>,
    /// How many arrivals each of its workloads has here, where that is known.
    pub expected: &'a [Option<u64>],
    /// What was loaded.
    pub url: &'a Url,
    /// It was the built-in target.
    pub builtin: bool,
    /// The addresses that were loaded.
    pub addresses: &'a [String],
    /// The link that leads there.
    pub link: Option<report::Link>,
    /// The driver and why.
    pub decision: &'a Decision,
    /// The machine.
    pub host: &'a host::Facts,
    /// What to know when figures look odd.
    pub notes: Vec<String>,
    /// What was counted, by name.
    pub names: &'a Names,
    /// The connection cap.
    pub connections: u32,
    /// The run's id.
    pub run_id: &'a str,
    /// When the measured time began, as people write it.
    pub started_at: String,
}

/// The facts of a run that has ended.
pub fn facts_of(story: &Story<'_>, run: &Run, driven: &Driven) -> RunFacts {
    let plan = story.plan;
    let origin = run.start().map(|start| start.plus_nanos(plan.warmup_ns));
    let elapsed_ns = match (run.ended(), origin) {
        (Some(ended), Some(origin)) => ended.nanos_since(origin),
        _ => 0,
    };
    let since_origin = |at: Timestamp| origin.map_or(0, |origin| at.nanos_since(origin));
    let sending_ns = run.sending_ended().or(driven.stopped_at).map(since_origin);
    let duration_ns = duration_ns(plan, run.profile().map(AsRef::as_ref), run.was_stopped(), sending_ns);
    RunFacts {
        run: RunEcho {
            id: story.run_id.to_owned(),
            started_at: story.started_at.clone(),
            duration_s: seconds(duration_ns),
            elapsed_s: seconds(elapsed_ns),
            warmup_s: seconds(plan.warmup_ns),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            io: Io { driver: story.decision.driver.to_string(), why: story.decision.why.clone() },
            cores: u32::try_from(run.cores().len()).unwrap_or(u32::MAX),
            kernel: story.host.kernel.clone().unwrap_or_default(),
            pacing: match plan.pacing {
                plan::Pacing::Sleep => "sleep".to_owned(),
                plan::Pacing::Spin => "spin".to_owned(),
            },
            share: (plan.share != plan::Share::WHOLE)
                .then(|| Share { index: plan.share.index(), of: plan.share.of() }),
            under_way: false,
        },
        target: Target {
            url: story.url.to_string(),
            builtin: story.builtin,
            insecure: matches!(plan.tls.trust, Trust::Insecure),
            addresses: story.addresses.to_vec(),
        },
        plan: match (story.file, story.protocol) {
            (Some(file), _) => file_echo(file, plan, story.connections),
            (None, Some(protocol)) => own_echo(protocol, plan, story.connections),
            (None, None) => echo(plan, story.connections),
        },
        environment: Environment {
            host: story.host.host.clone().unwrap_or_default(),
            notes: story.notes.clone(),
        },
        names: story.names.clone(),
        cores: run.cores().iter().map(|core| core.and_then(|core| u32::try_from(core).ok())).collect(),
        link: story.link.clone(),
        connections_limit: u64::from(story.connections),
        lag_p99_worst_second_ns: run.collector().lag_p99_worst_ns(),
        max_lag: Some(plan.max_lag),
        tags: plan.tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect(),
    }
}

/// How long arrivals were due in the results, which rates are counted over; `sending_ns` is when the shards said
/// that nothing more was.
fn duration_ns(plan: &Plan, profile: Option<&Profile>, stopped: bool, sending_ns: Option<u64>) -> u64 {
    let sent_ns = sending_ns.unwrap_or(0).min(plan.duration_ns);
    match (plan.count, &plan.load) {
        _ if stopped => sent_ns,
        (None, _) => plan.duration_ns,
        // Evenly spaced arrivals last until the first one beyond the count would be due: n arrivals, n gaps.
        (Some(count), Load::Open { process: Process::Deterministic, .. }) => profile
            .and_then(|profile| profile.due_ns(count))
            .map_or(plan.duration_ns, |due_ns| due_ns.min(plan.duration_ns)),
        (Some(_), _) => sent_ns,
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / NANOS_PER_SECOND as f64
}

fn echo(plan: &Plan, connections: u32) -> PlanEcho {
    let (schedule, process, seed) = match &plan.load {
        Load::Open { profile, process, .. } => {
            let (process, seed) = match process {
                Process::Deterministic => ("deterministic", None),
                Process::Poisson { seed } => ("poisson", Some(*seed)),
            };
            (phases(profile.phases()), process, seed)
        }
        Load::Closed(users) => {
            let spawn =
                users.spawn_rate.map_or_else(String::new, |rate| format!(", {}/s of them", rate_text(rate)));
            let think = duration_text(users.think_ns);
            (
                format!(
                    "{} users{spawn}, thinking {think}, for {}",
                    users.count,
                    duration_text(plan.duration_ns)
                ),
                "users",
                None,
            )
        }
    };
    PlanEcho { schedule, process: process.to_owned(), seed, settings: settings(plan, connections) }
}

/// A plan of a protocol that is not HTTP.
fn own_echo(protocol: &str, plan: &Plan, connections: u32) -> PlanEcho {
    let mut echo = echo(plan, connections);
    echo.settings.remove("method");
    echo.settings.remove("body_bytes");
    echo.settings.insert("protocol".to_owned(), protocol.to_owned());
    echo
}

/// A plan file in short: its workloads one by one.
fn file_echo(file: &PlanFile, plan: &Plan, connections: u32) -> PlanEcho {
    let told = |workload: &Workload| {
        let load = match &workload.load {
            WorkloadLoad::Open { profile, process, .. } => {
                let about = if *process == Process::Deterministic { "" } else { "random, " };
                format!("{about}{}", phases(profile.phases()))
            }
            WorkloadLoad::Closed { .. } => {
                let lasting = duration_text(workload.load.duration_ns());
                format!("{} users for {lasting}", workload.load.most_users())
            }
        };
        let begins = match workload.start_ns {
            0 => String::new(),
            ns => format!(" from {} on", duration_text(ns)),
        };
        format!("{}: {load}{begins}", workload.name)
    };
    let text = file.workloads.iter().map(told).collect::<Vec<_>>().join("; ");
    let mut settings = settings(plan, connections);
    for of_one_request in ["method", "body_bytes", "timeout", "queue"] {
        settings.remove(of_one_request);
    }
    PlanEcho { schedule: text, process: "plan".to_owned(), seed: file.seed, settings }
}

/// The phases in the words of `--stages`.
fn phases(phases: &[Phase]) -> String {
    let text = |phase: &Phase| {
        let duration = duration_text(phase.duration_ns);
        if phase.from == phase.to {
            format!("{}/s for {duration}", rate_text(phase.from))
        } else {
            format!("{}/s to {}/s over {duration}", rate_text(phase.from), rate_text(phase.to))
        }
    };
    phases.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn settings(plan: &Plan, connections: u32) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        settings.insert(name.to_owned(), value);
    };
    set("method", plan.request.method.as_str().to_owned());
    set("body_bytes", plan.request.body.size().to_string());
    set("connections", connections.to_string());
    set("timeout", duration_text(plan.timeout_ns));
    set("grace", duration_text(plan.grace_ns));
    set("warmup", duration_text(plan.warmup_ns));
    set("queue", plan.queue_limit().to_string());
    set("io", plan.io.name().to_owned());
    if let Load::Open { catch_up, .. } = &plan.load {
        let word = match catch_up {
            plan::CatchUp::Burst => "burst",
            plan::CatchUp::Smooth => "smooth",
            plan::CatchUp::Skip => "skip",
        };
        set("catch_up", word.to_owned());
    }
    if let Some(bandwidth) = plan.bandwidth {
        set("bandwidth", bandwidth.to_string());
    }
    if let Some(count) = plan.count {
        set("count", count.to_string());
    }
    if let Some(after) = plan.connections.close_after {
        set("close_after", after.to_string());
    }
    if plan.connections.dns != plan::Dns::default() {
        set("dns", plan.connections.dns.name().to_owned());
    }
    if let Some((first, last)) = plan.connections.sources.first().zip(plan.connections.sources.last()) {
        let count = plan.connections.sources.len();
        set("sources", if count == 1 { first.to_string() } else { format!("{count}: {first} to {last}") });
    }
    if let Some(socket) = &plan.connections.unix_socket {
        set("unix_socket", socket.to_string());
    }
    if plan.connections.warm > 0 {
        set("warm_connections", plan.connections.warm.to_string());
    }
    settings
}

#[cfg(test)]
mod tests {
    use plan::{Draft, ProcessKind};

    use super::*;

    const SECOND: u64 = NANOS_PER_SECOND;

    #[test]
    fn rates_are_counted_over_the_time_in_which_arrivals_were_due() {
        let draft = || Draft { rate: Some(plan::parse_rate("1000").expect("a rate")), ..Draft::default() };
        let lasting = || Draft { duration_ns: Some(10 * SECOND), ..draft() };
        let counted = || Draft { count: Some(2_000), ..lasting() };
        let poisson = Draft { process: Some(ProcessKind::Poisson), ..counted() };
        let users = Draft { users: Some(3), count: Some(9), ..Draft::default() };
        // The plan, whether it was stopped, when sending ended, and the time that rates are counted over.
        let rows = [
            ("whole", lasting(), false, 10 * SECOND, 10 * SECOND),
            ("stopped", lasting(), true, 4 * SECOND, 4 * SECOND),
            ("stopped behind its end", lasting(), true, 10 * SECOND, 10 * SECOND),
            ("stopped before its start", lasting(), true, 0, 0),
            ("counted", counted(), false, 2 * SECOND - 1_000_000, 2 * SECOND),
            ("counted without a duration", Draft { count: Some(2_000), ..draft() }, false, 1, 2 * SECOND),
            ("counted and stopped", counted(), true, SECOND, SECOND),
            ("counted, random", poisson, false, 2_100_000_000, 2_100_000_000),
            ("counted users", users, false, 7 * SECOND, 7 * SECOND),
        ];
        for (case, draft, stopped, sending_ns, expected_ns) in rows {
            let plan = draft.into_plan().expect("a plan");
            let profile = match &plan.load {
                Load::Open { profile, .. } => Some(profile),
                Load::Closed(_) => None,
            };
            assert_eq!(duration_ns(&plan, profile, stopped, Some(sending_ns)), expected_ns, "{case}");
        }
    }
}
