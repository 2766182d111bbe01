//! What a summary says about a run beside its measurements.
//!
//! What it is: the plan, the host and the driver in the words of `openloop.summary/1`. What it is not: a measurement.
//!
//! Invariant: nothing secret enters: header values, bodies and queries stay out.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use clock::NANOS_PER_SECOND;
use plan::{Load, Plan, Trust, Url, duration_text, rate_text};
use report::{Environment, Io, PlanEcho, Run as RunEcho, RunFacts, Share, Target};
use schedule::{Phase, Process};

use crate::drive::Driven;
use crate::host;
use crate::launch::Decision;
use crate::run::Run;

/// Everything that is known of a run beside its measurements.
#[derive(Debug)]
pub struct Story<'a> {
    /// What was asked for.
    pub plan: &'a Plan,
    /// What was loaded.
    pub url: &'a Url,
    /// It was the built-in target.
    pub builtin: bool,
    /// What its name resolved to.
    pub addresses: &'a [SocketAddr],
    /// The driver and why.
    pub decision: &'a Decision,
    /// The machine.
    pub host: &'a host::Facts,
    /// What to know when figures look odd.
    pub notes: Vec<String>,
    /// The request names.
    pub names: &'a [String],
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
    let stopped_ns = driven.stopped_at.zip(origin).map(|(at, origin)| at.nanos_since(origin));
    // A count ends a plan before its duration; then arrivals were due until its end.
    let planned_ns = if plan.count.is_some() { plan.duration_ns.min(elapsed_ns) } else { plan.duration_ns };
    let duration_ns = stopped_ns.unwrap_or(u64::MAX).min(planned_ns);
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
        },
        target: Target {
            url: story.url.to_string(),
            builtin: story.builtin,
            insecure: matches!(plan.tls.trust, Trust::Insecure),
            addresses: story.addresses.iter().map(ToString::to_string).collect(),
        },
        plan: echo(plan, story.connections),
        environment: Environment {
            host: story.host.host.clone().unwrap_or_default(),
            notes: story.notes.clone(),
        },
        names: story.names.to_vec(),
        cores: run.cores().iter().map(|core| core.and_then(|core| u32::try_from(core).ok())).collect(),
        connections_limit: u64::from(story.connections),
        lag_p99_worst_second_ns: run.collector().lag_p99_worst_ns(),
        max_lag: Some(plan.max_lag),
        tags: plan.tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect(),
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
    set("body_bytes", plan.request.body.len().to_string());
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
    if let Some(count) = plan.count {
        set("count", count.to_string());
    }
    if let Some(after) = plan.connections.close_after {
        set("close_after", after.to_string());
    }
    if plan.connections.warm > 0 {
        set("warm_connections", plan.connections.warm.to_string());
    }
    settings
}
