//! `engine check`: a plan file, read and explained.
//!
//! What it is: a page for people: each workload with its schedule drawn, totals, how long it takes, what it needs. What it
//! is not: a run; nothing is connected to.
//!
//! Invariant: no value of a secret stands on the page.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use plan::document::{Iterations, PlanFile, Workload, WorkloadLoad};
use plan::{Connections, Rate, duration_text, rate_text};
use report::{Style, sanitized};
use scenario::Step;
use schedule::Process;

use crate::args;
use crate::cores::divide;
use crate::host::Facts;
use crate::host::figures::{bytes, count, counted};

/// Columns of a drawn schedule.
const COLUMNS: u64 = 60;
/// Explains a plan file with what was given in place of parts of it.
pub fn explain(run: &args::Run, from: &args::FromFile, style: Style) -> String {
    let facts = Facts::gather();
    let cores = divide(&run.plan.cores, &facts.cores, false).engine.len();
    page(run, from, u32::try_from(cores).unwrap_or(1).max(1), style)
}

/// The page for people.
fn page(run: &args::Run, from: &args::FromFile, shards: u32, style: Style) -> String {
    let (plan, file) = (&from.file, from.name.as_str());
    let mut page = String::new();
    let name = run.plan.run_id.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let _ = writeln!(page, "{}{name}: the plan is valid.\n", sanitized(file));
    for replaced in &from.replaced {
        let _ = writeln!(page, "given     {}", sanitized(replaced));
    }
    if !from.replaced.is_empty() {
        page.push('\n');
    }
    for target in &plan.targets {
        let _ = writeln!(page, "target    {:<16} {}", target.name, target.url);
    }
    for data in &plan.data {
        let unique = if data.unique { ", each row once" } else { "" };
        let _ = writeln!(page, "data      {:<16} {}{unique}", data.name, sanitized(&data.file));
    }
    let total_ns = plan.duration_ns();
    for workload in &plan.workloads {
        let scenario = plan.scenarios.get(workload.scenario).map_or("", |scenario| scenario.name.as_str());
        let does = if scenario == workload.name { String::new() } else { format!(" of {scenario}") };
        let _ = writeln!(page, "\nworkload  {:<16} {}{does}", workload.name, told(workload));
        let edge = if style.utf8 { "│" } else { "|" };
        let _ = writeln!(
            page,
            "          {edge}{}{edge} {}",
            drawn(workload, total_ns, style),
            highest(workload)
        );
    }
    let end = duration_text(total_ns);
    let _ = writeln!(page, "\n          0s{end:>width$}\n", width = 60);
    for (scenario, when) in [(&plan.setup, "once before the load"), (&plan.teardown, "once behind it")] {
        if let Some(scenario) = scenario {
            let requests = counted(requests_of(&scenario.steps), "request");
            let _ = writeln!(page, "{:<12} {when}, {requests} written, in no figure", scenario.name);
        }
    }
    totals(run, plan, shards, &mut page);
    page
}

/// What the workloads come to together.
fn totals(run: &args::Run, plan: &PlanFile, shards: u32, page: &mut String) {
    let mut lasts = duration_text(plan.duration_ns());
    if run.plan.warmup_ns > 0 {
        let _ = write!(lasts, ", and {} of warm-up in front", duration_text(run.plan.warmup_ns));
    }
    let _ = writeln!(page, "lasts        {lasts}");
    let rate = plan.highest_rate();
    if rate > Rate::ZERO {
        let arrivals = count(plan.arrivals());
        let _ = writeln!(page, "arrivals     {arrivals} iterations, at most {}/s together", rate_text(rate));
    }
    if plan.most_users() > 0 {
        let _ = writeln!(page, "users        at most {} at one time", count(plan.most_users()));
    }
    for target in &plan.targets {
        let cap = target.connections.cap.map_or(Connections::DEFAULT_CAP, NonZeroU32::get);
        if plan.most_users() > u64::from(cap) {
            let (users, cap) = (plan.most_users(), count(u64::from(cap)));
            let _ = writeln!(
                page,
                "             they share {cap} connections to {} (connections: {users} gives each its own)",
                target.name
            );
        }
    }
    let needs = plan.needs(shards);
    let _ = writeln!(page, "connections  at most {}", count(u64::from(needs.connections)));
    let _ = writeln!(page, "ports        at most {} local ones", count(needs.ports));
    let _ = writeln!(page, "descriptors  at most {}", count(needs.descriptors));
    let over = counted(u64::from(shards), "core");
    let _ = writeln!(page, "memory       about {} on {over}, data files apart", bytes(needs.memory_bytes));
    if !run.thresholds.is_empty() {
        let texts: Vec<String> = run.thresholds.iter().map(|one| sanitized(&one.text)).collect();
        let _ = writeln!(page, "thresholds   {}", texts.join(", "));
    }
}

/// How many request steps are written among steps, whatever is repeated or left out when they run.
fn requests_of(steps: &[Step]) -> u64 {
    let count = |step: &Step| match step {
        Step::Request(_) => 1,
        Step::Repeat(inner) => requests_of(&inner.steps),
        Step::While(inner) => requests_of(&inner.steps),
        Step::If(inner) => requests_of(&inner.then) + requests_of(&inner.otherwise),
        Step::Choose(inner) => inner.choices.iter().map(|choice| requests_of(&choice.steps)).sum(),
        Step::Group(inner) => requests_of(&inner.steps),
        Step::Think(_) | Step::Barrier(_) | Step::Set(_) | Step::Stop => 0,
    };
    steps.iter().map(count).sum()
}

/// A workload in words.
fn told(workload: &Workload) -> String {
    let when = format!("{} to {}", duration_text(workload.start_ns), duration_text(workload.end_ns()));
    match &workload.load {
        WorkloadLoad::Open { process, .. } => {
            let about = if *process == Process::Deterministic { "" } else { "about " };
            let iterations = workload.load.iterations().map_or_else(String::new, count);
            format!("{when}, {about}{iterations} iterations")
        }
        WorkloadLoad::Closed { iterations, .. } => {
            let users = counted(u64::from(workload.load.most_users()), "user");
            match iterations {
                Iterations::Unbounded => format!("{when}, {users}"),
                Iterations::Total(total) => format!("{when}, {users}, {} iterations", count(*total)),
                Iterations::Each(each) => format!("{when}, {users}, {} each", counted(*each, "iteration")),
            }
        }
    }
}

/// The top of a drawn schedule.
fn highest(workload: &Workload) -> String {
    match &workload.load {
        WorkloadLoad::Open { profile, .. } => format!("{}/s", rate_text(profile.max_rate())),
        WorkloadLoad::Closed { .. } => counted(u64::from(workload.load.most_users()), "user"),
    }
}

/// The schedule of a workload over the time of the whole plan: in each column the highest that it reaches there, so that
/// no peak is too short to be seen.
fn drawn(workload: &Workload, total_ns: u64, style: Style) -> String {
    let bars: &[char] = if style.utf8 {
        &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    } else {
        &['_', '.', '-', '=', '#']
    };
    let highest = match &workload.load {
        WorkloadLoad::Open { profile, .. } => profile.max_rate().as_micro(),
        WorkloadLoad::Closed { .. } => u64::from(workload.load.most_users()),
    };
    let turns = turns(&workload.load);
    let edge = |index: u64| {
        let at_ns = u128::from(total_ns) * u128::from(index) / u128::from(COLUMNS);
        u64::try_from(at_ns).unwrap_or(u64::MAX)
    };
    let column = |index: u64| {
        // The part of the workload that lies in the column.
        let from_ns = edge(index).saturating_sub(workload.start_ns);
        let to_ns = edge(index + 1).saturating_sub(workload.start_ns).min(workload.load.duration_ns());
        if from_ns >= to_ns {
            return ' ';
        }
        let first = turns.partition_point(|turn_ns| *turn_ns < from_ns);
        let inside = turns[first..].iter().copied().take_while(|turn_ns| *turn_ns < to_ns);
        // Lines are straight between turns, and where one ends in a jump its end counts too.
        let instants = inside.flat_map(|turn_ns| [turn_ns, turn_ns.saturating_sub(1).max(from_ns)]);
        let instants = instants.chain([from_ns, to_ns - 1]);
        let height = instants.map(|at_ns| height(&workload.load, at_ns)).max().unwrap_or(0);
        let steps = (bars.len() - 1) as u128;
        let bar = (u128::from(height) * steps).div_ceil(u128::from(highest.max(1)));
        bars[usize::try_from(bar).unwrap_or(0).min(bars.len() - 1)]
    };
    (0..COLUMNS).map(column).collect()
}

/// The rate, or how many users there are, at an instant of a workload.
fn height(load: &WorkloadLoad, within_ns: u64) -> u64 {
    match load {
        WorkloadLoad::Open { profile, .. } => profile.rate_at(within_ns).as_micro(),
        WorkloadLoad::Closed { .. } => load.users_at(within_ns),
    }
}

/// The instants of a workload at which a line ends and another begins.
fn turns(load: &WorkloadLoad) -> Vec<u64> {
    let lengths: Vec<u64> = match load {
        WorkloadLoad::Open { profile, .. } => {
            profile.phases().iter().map(|phase| phase.duration_ns).collect()
        }
        WorkloadLoad::Closed { stages, .. } => stages.iter().map(|stage| stage.duration_ns).collect(),
    };
    let ends = lengths.into_iter().scan(0_u64, |at_ns, length_ns| {
        *at_ns = at_ns.saturating_add(length_ns);
        Some(*at_ns)
    });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use command::Here;

    use super::*;

    /// What is drawn of the workloads of a plan.
    fn lines(workloads: &str) -> Vec<String> {
        let text = format!("schema: openloop.plan/1\ntargets: {{a: http://h}}\nworkloads:\n{workloads}");
        let plan =
            PlanFile::parse("plan.yaml", text.as_bytes(), &Here::of(Path::new("plan.yaml"))).expect("a plan");
        let style = Style { colour: false, utf8: false };
        plan.workloads.iter().map(|workload| drawn(workload, plan.duration_ns(), style)).collect()
    }

    #[test]
    fn schedules_are_drawn_over_the_time_of_the_plan() {
        let drawn = lines(
            "  a: {tps: 5, for: 30s, request: /}\n  b: {users: 10, spawn-rate: 1, for: 20s, start: 10s, request: /}\n  c: {stages: [{for: 15s, tps: 8}, {for: 0s, tps: 4}, {for: 15s, tps: 4}], request: /}\n",
        );
        assert_eq!(drawn[0], "#".repeat(60));
        assert_eq!(drawn[1].trim_start().len(), 40, "{:?}", drawn[1]);
        assert!(
            drawn[1].trim_start().starts_with('.') && drawn[1].ends_with(&"#".repeat(20)),
            "{:?}",
            drawn[1]
        );
        assert_eq!(drawn[2][30..], "-".repeat(30), "{:?}", drawn[2]);
        assert!(drawn[2].starts_with('.') && drawn[2][..30].ends_with("###"), "{:?}", drawn[2]);
    }

    #[test]
    fn what_is_short_beside_the_plan_is_seen() {
        let drawn = lines(
            "  a: {tps: 1, for: 300h, request: /}\n  b: {tps: 1, for: 1s, start: 1h, request: /}\n  c: {spike: {base: 1, peak: 100, at: 1h, for: 1s}, for: 300h, request: /}\n",
        );
        assert_eq!(drawn[1].trim(), "#");
        assert_eq!(drawn[2].replace('#', ""), ".".repeat(59), "{:?}", drawn[2]);
    }
}
