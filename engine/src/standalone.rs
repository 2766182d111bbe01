//! The engine's main job: carry out one plan on this machine and report it.
//!
//! What it is: the order of things, from the built-in target to the exit code. Every step is a module of its own.
//! What it is not: a place for decisions; those are the plan's, the pre-flight's and the verdict's.

use std::io;
use std::time::Duration;

use clock::{Clock, OsClock, rfc3339, wall_time};
use command::outputs::{self, Lines, OutputError};
use plan::{Load, Plan, Sizing, Url};
use report::{Summary, terminal_summary};
use schedule::Process;
use verdict::{Ending, ExitCode, Facts, Verdict, judge};

use crate::args::{FromFile, Outputs, Run as RunArguments, Sink};
use crate::around::Around;
use crate::control;
use crate::cores::{Division, divide};
use crate::describe::{Story, facts_of};
use crate::dial::{self, DialError};
use crate::drive::{Driven, Words, drive};
use crate::host;
use crate::io::Route;
use crate::keys::Keys;
use crate::launch::{Choice, Decision, LaunchError, decide, launch};
use crate::once::Alone;
use crate::preflight::{self, PreflightError};
use crate::prepare::{
    FileRun, PrepareError, Prepared, prepare, prepare_alone, prepare_file, shard_count, slots_here,
};
use crate::progress::{Progress, style, tell};
use crate::protocol::Spoken;
use crate::run::Run;
use crate::shard::hand_over::Tenure;
use crate::sizing::{SizingError, size};
use crate::timeline::Timeline;
use crate::tokens::TokenError;

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The built-in target cannot start.
    #[error("the built-in target cannot start: {0}")]
    Target(#[from] target::StartError),
    /// The target cannot be dialled, or must not be.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// This host cannot carry the plan.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The plan cannot be carried out.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The shards cannot be launched.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A document's place cannot be opened.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The size of an exchange cannot be learnt.
    #[error(transparent)]
    Sizing(#[from] SizingError),
    /// The plan is faster than the guard allows.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// This host refuses what one iteration by itself needs.
    #[error("one iteration cannot be run by itself: {0}")]
    Once(io::Error),
    /// A token that requests carry is not to be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Setup failed, so that nothing of the load was sent.
    #[error("setup failed, no load was sent: {trouble} → engine debug shows each exchange of it")]
    Setup {
        /// What went wrong.
        trouble: String,
    },
    /// The control socket cannot be opened.
    #[error("--control: {0}")]
    Control(io::Error),
    /// The operating system refuses what the control thread needs.
    #[error("the control thread cannot work: {0}")]
    System(io::Error),
}

impl RunError {
    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Dial(error) => error.exit_code(),
            Self::Sizing(error) => error.exit_code(),
            Self::Token(error) => error.exit_code(),
            Self::Plan(error) if error.is_refusal() => ExitCode::Refused,
            Self::Setup { .. } => ExitCode::EveryRequestFailed,
            Self::Prepare(_) | Self::Plan(_) => ExitCode::Usage,
            Self::Target(_)
            | Self::Preflight(_)
            | Self::Launch(_)
            | Self::Control(_)
            | Self::System(_)
            | Self::Once(_) => ExitCode::Environment,
            Self::Output(_) => ExitCode::ReportNotWritten,
        }
    }
}

/// Everything that stands before the first request.
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    pub(crate) url: Url,
    pub(crate) routes: Vec<Route>,
    /// For each target of a plan file, the ways to it, and the cap on its connections.
    pub(crate) ways: Vec<Vec<Route>>,
    pub(crate) caps: Vec<u32>,
    pub(crate) addresses: Vec<String>,
    pub(crate) builtin: Option<target::Handle>,
    pub(crate) division: Division,
    pub(crate) decision: Decision,
    pub(crate) facts: host::Facts,
    pub(crate) notes: Vec<String>,
    /// The rate that a bandwidth came to, in words.
    pub(crate) derived: Option<String>,
    pub(crate) cap: u32,
    pub(crate) run_id: String,
}

impl Stage {
    /// What a report tells of a run beside what was measured, but for notes and the instant of its start; `counted` is what is
    /// counted by name, how many arrivals each workload has, and the cap on connections.
    pub(crate) fn story<'a>(
        &'a self,
        from: Option<&'a FromFile>,
        spoken: Option<&Spoken>,
        counted: (&'a measure::Names, &'a [Option<u64>], u32),
    ) -> Story<'a> {
        let (names, expected, connections) = counted;
        Story {
            file: from.map(|from| &from.file),
            protocol: spoken.map(|spoken| spoken.name),
            expected,
            plan: &self.plan,
            url: &self.url,
            builtin: self.builtin.is_some(),
            addresses: &self.addresses,
            link: host::link::to(self.routes.iter().filter_map(Route::peer).map(|peer| peer.ip())),
            decision: &self.decision,
            host: &self.facts,
            notes: Vec::new(),
            names,
            connections,
            run_id: &self.run_id,
            started_at: String::new(),
        }
    }
}

/// Carries out one plan; yields how the program ends.
pub fn run(arguments: RunArguments) -> ExitCode {
    let RunArguments { plan, sizing, file, spoken, thresholds, outputs } = arguments;
    match carry_out(plan, sizing, file.as_deref(), spoken.as_ref(), &thresholds, &outputs) {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("error: {error}\n"));
            error.exit_code()
        }
    }
}

fn carry_out(
    plan: Plan,
    sizing: Option<Sizing>,
    from: Option<&FromFile>,
    spoken: Option<&Spoken>,
    thresholds: &[verdict::Threshold],
    outputs: &Outputs,
) -> Result<ExitCode, RunError> {
    let mut ndjson = outputs.ndjson.as_ref().map(Lines::open).transpose()?;
    let mut progress = Progress::new(outputs);
    let mut stage = set_up(plan, sizing, from)?;
    let count = shard_count(&stage.plan, stage.division.engine.len(), stage.cap);
    let (mut prepared, mut around) = match from {
        None => {
            let prepared = prepare(&stage.plan, &stage.url, &stage.routes, count, stage.cap, spoken, None)?;
            (prepared, Around::default())
        }
        Some(from) => prepare_from(&stage, from, count, None)?,
    };
    let judged = judged_here(from, thresholds, &prepared.names, &mut stage.notes)?;
    let thresholds = judged.as_slice();
    // Whoever is refused hears that alone.
    announce(&stage, &mut progress);
    keep_off_the_shards(&stage);
    around.set_up(&mut prepared, &mut stage.notes)?;
    let Prepared { shards, rated, names, connections, expected, .. } = prepared;
    let launched = launch(stage.decision.driver, &stage.division.engine, shards);
    let workers = launched.inspect_err(|_| drop(around.tear_down()))?;
    let mut run = Run::new(workers, names.shape(), rated, stage.plan.timeout_ns)
        .with_refresher(around.lend_refresher());
    let target = shown_target(&stage, from, spoken);
    let driver = stage.decision.driver.to_string();
    let words = Words {
        run_id: &stage.run_id,
        target: &target,
        driver: &driver,
        cores: u32::try_from(count).unwrap_or(u32::MAX),
        names: &names,
        thresholds,
        rails: &stage.plan.rails,
        file: from.map(|from| &from.file),
        share_count: stage.plan.share.of(),
        warmup_ns: stage.plan.warmup_ns,
        duration_ns: stage.plan.count.is_none().then_some(stage.plan.duration_ns),
        max_lag_p99_ns: stage.plan.max_lag.second_p99_ns,
    };
    let over = drive_to_end(&mut run, &words, &mut progress, ndjson.as_mut(), outputs);
    progress.clear();
    around.take_back(run.give_back_refresher());
    let after = around.tear_down();
    let (course, started_at) = over?;
    let truth = stage.builtin.take().map(target::Handle::stop);
    let mut story = stage.story(from, spoken, (&names, &expected, connections));
    story.builtin = truth.is_some();
    story.started_at = started_at;
    story.notes.extend(stage.notes.iter().cloned().chain(after).chain(around.token_notes()));
    story.notes.extend(truth.map(|truth| {
        let (requests, connects) = (truth.requests, truth.connects);
        format!("the built-in target counted {requests} requests on {connects} connections")
    }));
    Ok(conclude(&run, course, &story, thresholds, outputs, ndjson))
}

/// The thresholds that hold for what is run: all of them, but for those of a file whose names stand in workloads that are
/// left out.
fn judged_here(
    from: Option<&FromFile>,
    thresholds: &[verdict::Threshold],
    names: &measure::Names,
    notes: &mut Vec<String>,
) -> Result<Vec<verdict::Threshold>, plan::PlanError> {
    let of_the_file = from.filter(|from| from.is_part).map_or(0, |from| from.file.thresholds.len());
    let (given, of_the_file) = thresholds.split_at(thresholds.len().saturating_sub(of_the_file));
    given.iter().try_for_each(|threshold| threshold.check_names(names))?;
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        of_the_file.iter().partition(|threshold| threshold.check_names(names).is_ok());
    notes.extend(elsewhere.iter().map(|threshold| {
        format!("threshold {} was not judged: what it names belongs to other workloads", threshold.text)
    }));
    Ok(given.iter().chain(here).cloned().collect())
}

/// What is loaded, for people.
fn shown_target(stage: &Stage, from: Option<&FromFile>, spoken: Option<&Spoken>) -> String {
    match (from, spoken) {
        (Some(from), _) => {
            let targets = from.file.targets.iter().map(|target| target.url.to_string());
            targets.collect::<Vec<_>>().join(", ")
        }
        (None, Some(_)) => stage.url.to_string(),
        (None, None) => format!("{} {}", stage.plan.request.method.as_str(), stage.url),
    }
}

/// The ways to all targets of a plan file, without the load.
#[derive(Debug)]
pub struct Ways {
    ways: Vec<Vec<Route>>,
    caps: Vec<u32>,
}

impl Ways {
    /// Finds them; every address has then passed the rails.
    ///
    /// # Errors
    /// A name does not resolve, or a rail refuses an address.
    pub fn find(plan: &Plan, from: &FromFile) -> Result<Self, RunError> {
        let first = plan.url.as_ref().map(|url| dial::dial(plan, url)).transpose()?;
        let mut ways: Vec<Vec<Route>> = first.into_iter().map(|dialled| dialled.routes).collect();
        ways.extend(dial_others(plan, from, &mut Vec::new(), &mut Vec::new())?);
        let caps = vec![1; ways.len()];
        Ok(Self { ways, caps })
    }

    /// Prepares what is done around the load.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub fn around(&self, plan: &Plan, from: &FromFile) -> Result<Around, RunError> {
        Ok(Around::prepare(&file_run(plan, from, &self.ways, &self.caps))?)
    }

    /// Finds whom to ask for the tokens that setup, teardown and `parts` carry.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn find_tokens<'a>(
        &self,
        plan: &Plan,
        from: &FromFile,
        around: &mut Around,
        parts: impl Iterator<Item = &'a mut Alone>,
    ) -> Result<(), RunError> {
        let run = file_run(plan, from, &self.ways, &self.caps);
        Ok(around.find_tokens(&run, parts.map(|alone| &mut alone.scenario))?)
    }

    /// Prepares a scenario to be run once, as the first iteration of the workload at `index`.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub fn alone(
        &self,
        plan: &Plan,
        from: &FromFile,
        scenario: &scenario::Scenario,
        index: usize,
    ) -> Result<Alone, RunError> {
        Ok(prepare_alone(&file_run(plan, from, &self.ways, &self.caps), scenario, index)?)
    }
}

/// A plan file and what was found out about its targets.
fn file_run<'a>(plan: &'a Plan, from: &'a FromFile, ways: &'a [Vec<Route>], caps: &'a [u32]) -> FileRun<'a> {
    let now_ns = u64::try_from(wall_time().as_nanos()).unwrap_or(u64::MAX);
    FileRun {
        file: &from.file,
        folder: &from.folder,
        plan,
        ways,
        caps,
        unix_offset_ns: now_ns.wrapping_sub(OsClock.now().as_nanos()),
    }
}

/// What the shards are told of a plan file, and what is done around their load.
pub(crate) fn prepare_from(
    stage: &Stage,
    from: &FromFile,
    shards: usize,
    tenure: Option<&Tenure>,
) -> Result<(Prepared, Around), RunError> {
    let run = file_run(&stage.plan, from, &stage.ways, &stage.caps);
    let (mut prepared, mut around) = (prepare_file(&run, shards, tenure)?, Around::prepare(&run)?);
    around.find_tokens(&run, prepared.shards.iter_mut().flat_map(|(settings, _)| &mut settings.scenarios))?;
    Ok((prepared, around))
}

/// Finds the ways to every target of a plan file but the first, which is dialled like that of any plan.
fn dial_others(
    plan: &Plan,
    from: &FromFile,
    stage_notes: &mut Vec<String>,
    addresses: &mut Vec<String>,
) -> Result<Vec<Vec<Route>>, RunError> {
    let mut ways = Vec::new();
    for target in from.file.targets.iter().skip(1) {
        let plan = Plan { connections: target.connections.clone(), ..plan.clone() };
        let dialled = dial::dial(&plan, &target.url)?;
        stage_notes.extend(dialled.notes.iter().cloned());
        addresses.extend(dialled.addresses);
        ways.push(dialled.routes);
    }
    Ok(ways)
}

/// The caps on connections, target by target: their own, or an even part of what this host allows.
fn caps_of(from: &FromFile, default_cap: u32) -> Vec<u32> {
    let targets = &from.file.targets;
    let even = (default_cap / u32::try_from(targets.len()).unwrap_or(u32::MAX).max(1)).max(1);
    let users = u32::try_from(from.file.most_users()).unwrap_or(u32::MAX);
    let most =
        if from.file.highest_rate() > plan::Rate::ZERO { even } else { users.clamp(1, even.max(users)) };
    targets
        .iter()
        .map(|target| target.connections.cap.map_or(most.max(users), std::num::NonZero::get))
        .collect()
}

pub(crate) fn set_up(
    mut plan: Plan,
    sizing: Option<Sizing>,
    from: Option<&FromFile>,
) -> Result<Stage, RunError> {
    host::raise_descriptor_limit();
    let facts = host::Facts::gather();
    if let Some(highest) = plan.highest_rate().filter(|_| sizing.is_none()) {
        plan.rails.check_rate(highest)?;
    }
    let division = divide(&plan.cores, &facts.cores, plan.url.is_none());
    let mut notes = Vec::new();
    let builtin = match plan.url {
        Some(_) => None,
        None => Some(start_builtin(&division, &mut notes)?),
    };
    let url = match (&plan.url, &builtin) {
        (Some(url), _) => url.clone(),
        (None, Some(handle)) => Url::parse(&format!("http://{}/", handle.address()))?,
        (None, None) => Url::parse("")?,
    };
    let dialled = dial::dial(&plan, &url)?;
    notes.extend(dialled.notes.iter().cloned());
    let mut addresses = dialled.addresses;
    let mut ways = vec![dialled.routes.clone()];
    if let Some(from) = from {
        notes.extend(from.replaced.iter().map(|replaced| format!("given beside the plan file: {replaced}")));
        ways.extend(dial_others(&plan, from, &mut notes, &mut addresses)?);
    }
    let mut derived = None;
    if let Some(sizing) = sizing {
        let (sized, told) = size(&plan, sizing, &url, &dialled.routes)?;
        plan = sized;
        notes.push(told.clone());
        derived = Some(told);
    }
    let cores = division.engine.len();
    let shards_at_most = u32::try_from(cores).unwrap_or(u32::MAX);
    let default_cap = match builtin {
        // The target's end of every connection needs a descriptor of this process as well.
        Some(_) => host::default_builtin_connection_cap(&facts, shards_at_most),
        None => host::default_connection_cap(&facts, shards_at_most),
    };
    let asked_cap = plan.connections.cap.map_or(default_cap, std::num::NonZero::get);
    let caps = from.map(|from| caps_of(from, default_cap)).unwrap_or_default();
    let cap = match plan.load {
        _ if from.is_some() => caps.iter().fold(0_u32, |sum, cap| sum.saturating_add(*cap)),
        Load::Open { .. } => asked_cap,
        Load::Closed(_) => plan.connections.cap.map_or(plan.users_here().max(1), std::num::NonZero::get),
    };
    let shards = u32::try_from(shard_count(&plan, cores, cap)).unwrap_or(u32::MAX);
    notes.extend(preflight::check(&plan, &dialled.routes, shards, cap, &facts, builtin.is_some())?);
    let decision = decide(match plan.io {
        plan::IoChoice::Auto => Choice::Auto,
        plan::IoChoice::Uring => Choice::Uring,
        plan::IoChoice::Epoll => Choice::Epoll,
    })?;
    let run_id = plan.run_id.as_ref().map_or_else(new_run_id, |id| id.as_str().to_owned());
    Ok(Stage {
        url,
        routes: dialled.routes,
        ways,
        caps,
        addresses,
        builtin,
        division,
        decision,
        facts,
        notes,
        derived,
        cap,
        run_id,
        plan,
    })
}

fn start_builtin(division: &Division, notes: &mut Vec<String>) -> Result<target::Handle, RunError> {
    let config = target::Config {
        threads: target::Threads::Pinned(division.target.clone()),
        ..target::Config::default()
    };
    let handle = target::start(config)?;
    if division.shared {
        notes.push("the built-in target shares its cores with the engine: both are slower for it".to_owned());
    }
    Ok(handle)
}

fn announce(stage: &Stage, progress: &mut Progress) {
    if stage.builtin.is_some() {
        let list = |cores: &[usize]| cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        progress.note(&format!(
            "no URL given: loading the built-in target on {} (its cores: {}; the engine's: {})",
            stage.routes[0],
            list(&stage.division.target),
            list(&stage.division.engine),
        ));
    }
    if let Some(derived) = &stage.derived {
        progress.note(derived);
    }
    if stage.decision.driver == crate::launch::Driver::Epoll {
        progress.note(&format!("I/O by epoll: {}", stage.decision.why));
    }
    if stage.division.shared {
        progress.note("the built-in target and the engine share their cores: both are slower for it");
    }
}

/// Moves the control thread off the shards' cores, where there are others.
pub(crate) fn keep_off_the_shards(stage: &Stage) {
    let others: Vec<usize> =
        stage.facts.cores.iter().copied().filter(|core| !stage.division.engine.contains(core)).collect();
    if others.is_empty() {
        return;
    }
    let mut set = rustix::thread::CpuSet::new();
    for core in others {
        set.set(core);
    }
    // Refused only where affinity is; then the scheduler decides.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

fn drive_to_end(
    run: &mut Run,
    words: &Words<'_>,
    progress: &mut Progress,
    ndjson: Option<&mut Lines>,
    outputs: &Outputs,
) -> Result<(Driven, String), RunError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::System)?;
    let driven = runtime.block_on(async {
        let door = match &outputs.control {
            Some(path) => Some(control::open(path).map_err(RunError::Control)?),
            None => None,
        };
        let (guard, door) = door.map_or((None, None), |(guard, door)| (Some(guard), Some(door)));
        let timeline = Timeline::new(outputs.json.as_ref());
        let keys = if progress.is_redrawn() { Keys::open(io::stdin()) } else { None };
        let driven =
            drive(run, words, progress, ndjson, timeline, door, keys).await.map_err(RunError::System);
        if let Some(guard) = guard {
            guard.close().await;
        }
        driven
    })?;
    // The wall clock is read once; the start is as long ago as the monotonic clock says.
    let ago = run.start().map_or(0, |start| OsClock.now().nanos_since(start.plus_nanos(words.warmup_ns)));
    let started_at = rfc3339(wall_time().saturating_sub(Duration::from_nanos(ago)));
    Ok((driven, started_at))
}

fn conclude(
    run: &Run,
    mut driven: Driven,
    story: &Story<'_>,
    thresholds: &[verdict::Threshold],
    outputs: &Outputs,
    ndjson: Option<Lines>,
) -> ExitCode {
    let mut facts = facts_of(story, run, &driven);
    facts.environment.notes.extend(driven.timeline.note());
    facts.environment.notes.extend(driven.rate_changes.notes(story.plan.warmup_ns));
    facts.environment.notes.extend(driven.stopped_by_key.then(|| "stopped by the key q".to_owned()));
    let totals = run.collector().totals();
    let mut judged = judge(
        &Facts {
            totals,
            names: story.names,
            watched: &driven.watched,
            sent_micro_tps: micro_tps(totals.counters.sent, facts.run.duration_s),
            completed_micro_tps: micro_tps(totals.counters.completed(), facts.run.elapsed_s),
            lag_p99_of_worst_second_ns: run.collector().lag_p99_worst_ns(),
            max_lag: story.plan.max_lag,
            ending: driven.ending,
        },
        thresholds,
    );
    add_findings(run, &driven, story, &mut judged);
    let mut files = Vec::new();
    if let Some(lines) = ndjson {
        settle(lines.close(), outputs.ndjson.as_ref(), &mut files, &mut judged);
    }
    let summary = Summary::new(&facts, totals, Vec::new(), &judged);
    if let Some(sink) = &outputs.json {
        let written = write_summary(sink, &summary, &mut driven.timeline);
        settle(written, Some(sink), &mut files, &mut judged);
    }
    // What could not be written is part of the verdict that people read.
    let summary = Summary { verdict: (&judged).into(), ..summary };
    print_summary(&summary, &files, outputs, &mut judged);
    judged.exit_code
}

/// The whole document, of which only one second at a time is in memory.
fn write_summary(sink: &Sink, summary: &Summary, timeline: &mut Timeline) -> Result<(), OutputError> {
    let around = summary.around_timeline(timeline.seconds());
    outputs::write_by(sink, |out| {
        out.write_all(around.before.as_bytes())?;
        timeline.write_to(out)?;
        out.write_all(around.behind.as_bytes())
    })
}

/// `count` in `seconds`, as millionths per second.
pub(crate) fn micro_tps(count: u64, seconds: f64) -> u64 {
    let ns = Duration::from_secs_f64(seconds).as_nanos();
    let micro = (u128::from(count) * 1_000_000_000_000_000).checked_div(ns).unwrap_or(0);
    u64::try_from(micro).unwrap_or(u64::MAX)
}

/// Findings that only the engine can make.
fn add_findings(run: &Run, driven: &Driven, story: &Story<'_>, judged: &mut Verdict) {
    if let Some(error) = run.failure() {
        judged.add(ExitCode::Internal, format!("a shard broke off, its results are incomplete: {error}"));
        return;
    }
    let totals = run.collector().totals();
    let counted = totals.counters.scheduled + totals.warmup.scheduled;
    if driven.ending != Ending::Completed || driven.stopped_at.is_some() {
        return;
    }
    let mut hold = |whose: &str, asked: Option<u64>, counted: u64| {
        if let Some(asked) = asked.filter(|asked| *asked != counted) {
            let what = format!("{whose} has {asked} arrivals, {counted} were scheduled");
            judged.add(ExitCode::AuditMismatch, what);
        }
    };
    // What a changed rate comes to depends on when the shards heard of it; the others' arrivals are still the plan's.
    let Some(file) = story.file else {
        if driven.rate_changes.has(0) {
            return;
        }
        return hold("the plan", expected_arrivals(story.plan), counted);
    };
    let totals = file.workloads.iter().zip(&totals.workloads);
    for (place, ((workload, totals), asked)) in totals.zip(story.expected).enumerate() {
        let asked = if driven.rate_changes.has(place) { &None } else { asked };
        let counted = totals.iterations.scheduled + totals.warmup.scheduled;
        hold(&format!("workload {}", workload.name), *asked, counted);
    }
}

/// How many arrivals the plan's share has; `None` where only the run can tell (Poisson arrivals, users).
fn expected_arrivals(plan: &Plan) -> Option<u64> {
    let Load::Open { profile, process: Process::Deterministic, .. } = &plan.load else { return None };
    Some(slots_here(plan, profile.arrival_count().min(plan.count.unwrap_or(u64::MAX))))
}

fn settle(
    written: Result<(), OutputError>,
    sink: Option<&Sink>,
    files: &mut Vec<String>,
    judged: &mut Verdict,
) {
    match (written, sink) {
        (Ok(()), Some(Sink::File(path))) => files.push(path.display().to_string()),
        (Ok(()), _) => {}
        (Err(error), _) => {
            tell(&format!("error: {error}\n"));
            judged.add(ExitCode::ReportNotWritten, error.to_string());
        }
    }
}

fn print_summary(summary: &Summary, files: &[String], outputs: &Outputs, judged: &mut Verdict) {
    use std::io::{IsTerminal, Write};
    if outputs.document_on_stdout() {
        // A document has standard output for itself.
        if !outputs.quiet {
            tell(&terminal_summary(summary, files, style(outputs.color, io::stderr().is_terminal())));
        }
        return;
    }
    let text = terminal_summary(summary, files, style(outputs.color, io::stdout().is_terminal()));
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        tell(&format!("error: cannot write the summary to standard output: {error}\n"));
        judged.add(ExitCode::ReportNotWritten, format!("standard output: {error}"));
    }
}

/// A run id for people: 8 hexadecimal digits, different for each start of a program on a machine.
fn new_run_id() -> String {
    let mut mixed = (wall_time().as_secs() << 30 | u64::from(wall_time().subsec_nanos()))
        ^ (u64::from(std::process::id()) << 32);
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014), so that near starts do not look alike.
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    format!("{:08x}", (mixed ^ (mixed >> 31)) >> 32)
}
