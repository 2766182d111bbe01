//! Preparing a plan file: from its workloads, scenarios, targets and data to what each shard is told.
//!
//! What it is: the same exact split over shards as for a plan of flags, for every workload of the file.
//! What it is not: a reader of the file; it is valid when it comes here.
//!
//! Invariant: whatever the number of shards, the arrivals of each workload are exactly the share's arrivals.

mod alone;
mod tokens;
mod users;

pub use alone::prepare_alone;
pub use tokens::token_sources;

use std::collections::BTreeMap;
use std::sync::Arc;

use command::Paths;
use feeder::{Feeder, Format, Policy, Rows, seed_for};
use mapping::Mapping;
use measure::{Named, Names, OTHER};
use plan::document::{
    AtEnd, DataFormat, DataSource, PlanFile, RowOrder, Target as FileTarget, Workload as FileWorkload,
    WorkloadLoad,
};
use plan::{DEFAULT_SEED, DEFAULT_TIMEOUT_NS, Plan};
use scenario::{FeederNames, Key, Program, Scenario, Scope, Target};
use schedule::{Arrivals, Cells, Process, Profile};

use self::users::{of_stays, stays};
use super::{
    DISCARD_FROM, PrepareError, Prepared, WAITING_MAX, WholeWorkload, catch_up, part, slots_here,
    thread_core_wait_ns, thread_cpu_ns, tls_settings,
};
use crate::io::Route;
use crate::run::Rated;
use crate::shard::hand_over::Tenure;
use crate::shard::scenarios::{Barrier, ScenarioSettings, Token, World};
use crate::shard::workload::Task;
use crate::shard::{FailStatus, RequestSettings, Settings, TargetSettings, TlsSettings};

/// Iterations at one time over all shards, at most.
const MOST_ITERATIONS: u32 = 1_000_000;

/// A plan file and what was found out about its targets.
#[derive(Debug)]
pub struct FileRun<'a> {
    /// The file.
    pub file: &'a PlanFile,
    /// Where its paths lead.
    pub folder: &'a Paths,
    /// What holds for the run as a whole.
    pub plan: &'a Plan,
    /// For each target, the ways to it.
    pub ways: &'a [Vec<Route>],
    /// For each target, the cap on its connections.
    pub caps: &'a [u32],
    /// Unix time minus the monotonic clock, in nanoseconds.
    pub unix_offset_ns: u64,
}

/// Splits a plan file over `shards` shards. With a `tenure` they begin with nothing, and are told later what they own.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare_file(
    run: &FileRun<'_>,
    shards: usize,
    tenure: Option<&Tenure>,
) -> Result<Prepared, PrepareError> {
    let FileRun { file, plan, .. } = run;
    let feeders = feeders(run, &|_| true)?;
    let mut list = List::new(file.limits.names as usize);
    let compiled = compile(run, &feeders, &mut list)?;
    let names = list.names(file);
    let targets = targets(run, shards)?;
    let (mut asked, mut rated, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for (index, workload) in file.workloads.iter().enumerate() {
        let rows = slots_with_rows(&compiled[index].feeders);
        asked.push(expected(workload, plan, rows));
        rated.extend(rated_of(workload, index, plan)?);
        let task = Task::Scenario(u16::try_from(index).unwrap_or(u16::MAX));
        whole.push(whole_of(workload, plan, rows, task)?);
    }
    let per_shard = super::split(&whole, plan, shards, tenure)?;
    let connections = run.caps.iter().fold(0_u32, |sum, cap| sum.saturating_add(*cap));
    let shards = per_shard.into_iter().enumerate().map(|(index, workloads)| {
        let settings = Settings {
            node: 0,
            shard: u32::try_from(index).unwrap_or(u32::MAX),
            shape: names.shape(),
            targets: targets.iter().map(|target| target.of_shard(index, shards, plan)).collect(),
            requests: list.requests.clone(),
            scenarios: compiled
                .iter()
                .map(|scenario| ScenarioSettings {
                    most: (MOST_ITERATIONS / u32::try_from(shards).unwrap_or(u32::MAX)).max(1),
                    ..scenario.clone()
                })
                .collect(),
            protocol: None,
            response_limits: limits(file),
            discard_from: DISCARD_FROM,
            kept_body_bytes: u32::try_from(file.limits.body_bytes).unwrap_or(u32::MAX),
            unix_offset_ns: run.unix_offset_ns,
            grace_ns: plan.grace_ns,
            warmup_ns: plan.warmup_ns,
            duration_ns: plan.run_ns(),
            ends_by_count: false,
            tenure: tenure.cloned(),
            live: None,
            catch_up: catch_up(plan),
            pacing: super::pacing(plan),
            cpu_clock: thread_cpu_ns,
            core_wait_clock: thread_core_wait_ns,
        };
        (settings, workloads)
    });
    Ok(Prepared { shards: shards.collect(), whole, rated, names, connections, expected: asked })
}

/// How many arrivals of a workload are this engine's, where its schedule and data say so; a workload of users waits for
/// its target.
fn expected(workload: &FileWorkload, plan: &Plan, rows: Option<u64>) -> Option<u64> {
    let WorkloadLoad::Open { profile, process: Process::Deterministic, count } = &workload.load else {
        return None;
    };
    let warmup_ns = if workload.start_ns == 0 { plan.warmup_ns } else { 0 };
    let total = with_warmup(profile, warmup_ns).ok()?.arrival_count();
    let limit = [*count, rows].into_iter().flatten().min().unwrap_or(u64::MAX);
    Some(slots_here(plan, total.min(limit)))
}

type Source = Arc<Feeder<Mapping>>;

/// Reads the data of those names that are wanted.
fn feeders(
    run: &FileRun<'_>,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Source>, PrepareError> {
    let seed = run.file.seed.unwrap_or(DEFAULT_SEED);
    let feeder = |data: &DataSource| {
        let path = run.folder.join(&data.file);
        let wrong = |what: String| PrepareError::Data { name: data.name.clone(), what };
        let mapping = Mapping::open(&path).map_err(|error| wrong(error.to_string()))?;
        let format = match data.format {
            DataFormat::Csv => Format::Csv { delimiter: b',' },
            DataFormat::JsonLines => Format::Jsonl,
        };
        let rows = Rows::read(mapping, format, data.columns.clone())
            .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        let order = match data.order {
            RowOrder::Sequential => feeder::Order::Sequential,
            RowOrder::Shuffled => feeder::Order::Shuffled { seed: seed_for(seed, &data.name) },
            RowOrder::Random => feeder::Order::Random { seed: seed_for(seed, &data.name) },
        };
        let at_end = match data.at_end {
            AtEnd::Repeat => feeder::AtEnd::Repeat,
            AtEnd::Stop => feeder::AtEnd::Stop,
            AtEnd::Fail => feeder::AtEnd::Fail,
        };
        let policy = Policy::new(order, at_end, data.unique).map_err(|error| wrong(error.to_string()))?;
        Ok((data.name.clone(), Arc::new(Feeder::new(rows, policy))))
    };
    run.file.data.iter().filter(|data| is_wanted(&data.name)).map(feeder).collect()
}

/// The slots that there are rows for, where the plan wants its workload to end behind them.
fn slots_with_rows(feeders: &[Source]) -> Option<u64> {
    let stops = feeders.iter().filter(|feeder| feeder.policy().at_end() == feeder::AtEnd::Stop);
    stops.filter_map(|feeder| feeder.slot_count()).min()
}

/// What the scenarios of a file have in common: requests and names, growing as they are compiled.
struct List {
    requests: Vec<RequestSettings>,
    names: Vec<Named>,
    most_names: usize,
    beyond: Vec<String>,
    groups: Vec<Named>,
    checks: Vec<Named>,
}

impl List {
    fn new(most_names: usize) -> Self {
        let (requests, names, beyond) = (Vec::new(), Vec::new(), Vec::new());
        Self { requests, names, most_names, beyond, groups: Vec::new(), checks: Vec::new() }
    }

    /// The place of a request's name; beyond the limit, that of all others together.
    fn name(&mut self, name: &str, tags: &[(String, String)]) -> u32 {
        let known = self.names.iter().position(|known| known.name == name);
        let place = known.unwrap_or_else(|| {
            if self.names.len() < self.most_names {
                let tags = tags.iter().cloned().collect();
                self.names.push(Named { name: name.to_owned(), tags, stretch_ns: None });
                return self.names.len() - 1;
            }
            if !self.beyond.iter().any(|beyond| beyond == name) {
                self.beyond.push(name.to_owned());
            }
            if self.beyond.len() == 1 && self.names.last().is_none_or(|last| last.name != OTHER) {
                self.names.push(Named::from(OTHER.to_owned()));
            }
            self.names.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Takes what a program has; yields the place of the first check of each of its requests, and of what is counted when it goes
    /// without credentials.
    fn add(&mut self, program: &Program) -> (Vec<u32>, Vec<u16>) {
        let first_request = self.requests.len();
        let mut first_checks = Vec::new();
        for request in program.requests() {
            first_checks.push(u32::try_from(self.checks.len()).unwrap_or(u32::MAX));
            for check in request.check_names() {
                let name = unlike(&self.checks, format!("{}: {check}", request.name));
                self.checks.push(name);
            }
            let name = self.name(&request.name, &request.tags);
            self.requests.push(request_settings(request, name));
        }
        for group in program.groups() {
            let name = unlike(&self.groups, group.clone());
            self.groups.push(name);
        }
        let mut bare_requests = Vec::new();
        for (step, request) in program.requests().iter().enumerate() {
            let mut place = first_request + step;
            if request.is_challenged() {
                let name = self.name(&format!("{} (challenge)", request.name), &request.tags);
                place = self.requests.len();
                self.requests.push(request_settings(request, name));
            }
            bare_requests.push(u16::try_from(place).unwrap_or(u16::MAX));
        }
        (first_checks, bare_requests)
    }

    fn names(&self, file: &PlanFile) -> Names {
        Names {
            requests: self.names.clone(),
            workloads: file.workloads.iter().map(|workload| named(workload, file.duration_ns())).collect(),
            groups: self.groups.clone(),
            checks: self.checks.clone(),
            beyond: self.beyond.len(),
            statuses: Vec::new(),
        }
    }
}

/// A workload as it is counted, in a plan that lasts so long.
fn named(workload: &FileWorkload, whole_ns: u64) -> Named {
    let stretch_ns = (workload.start_ns, workload.end_ns());
    Named {
        stretch_ns: (stretch_ns != (0, whole_ns)).then_some(stretch_ns),
        ..Named::from(workload.name.clone())
    }
}

/// The scenario of each workload, compiled.
fn compile(
    run: &FileRun<'_>,
    feeders: &BTreeMap<String, Source>,
    list: &mut List,
) -> Result<Vec<ScenarioSettings>, PrepareError> {
    let mut compiler = Compiler::new(run, feeders);
    let one = |(index, workload): (usize, &FileWorkload)| {
        compiler.compile(&run.file.scenarios[workload.scenario], index, list)
    };
    run.file.workloads.iter().enumerate().map(one).collect()
}

/// What the scenarios of a file are compiled with.
struct Compiler<'a> {
    run: &'a FileRun<'a>,
    feeders: &'a BTreeMap<String, Source>,
    scope: Scope,
    targets: Vec<Target>,
    secrets: Vec<Box<[u8]>>,
    barriers: BTreeMap<String, Arc<Barrier>>,
}

impl<'a> Compiler<'a> {
    fn new(run: &'a FileRun<'a>, feeders: &'a BTreeMap<String, Source>) -> Self {
        let file = run.file;
        let secret = |secret: &plan::document::Secret| secret.reveal().as_bytes().into();
        Self {
            run,
            feeders,
            scope: scope(file, feeders),
            targets: file.targets.iter().map(shown).collect(),
            secrets: file.secrets.iter().map(|(_, value)| secret(value)).collect(),
            barriers: BTreeMap::new(),
        }
    }

    /// Compiles a scenario for the workload at `index`.
    fn compile(
        &mut self,
        scenario: &Scenario,
        index: usize,
        list: &mut List,
    ) -> Result<ScenarioSettings, PrepareError> {
        let file = self.run.file;
        let program = Program::compile(scenario, &self.scope, &self.targets).map_err(|errors| {
            let what =
                errors.first().map_or_else(String::new, |error| format!("{} → {}", error.what, error.fix));
            PrepareError::Scenario { name: scenario.name.clone(), what }
        })?;
        let first_request = u16::try_from(list.requests.len()).unwrap_or(u16::MAX);
        let first_group = u32::try_from(list.groups.len()).unwrap_or(u32::MAX);
        let (first_checks, bare_requests) = list.add(&program);
        let barrier = |barrier: &scenario::Barrier| {
            let known = self.barriers.entry(barrier.name.clone());
            Arc::clone(known.or_insert_with(|| Arc::new(Barrier::new(barrier.users))))
        };
        let used = sources(scenario, self.feeders);
        Ok(ScenarioSettings {
            workload: u32::try_from(index).unwrap_or(u32::MAX),
            first_request,
            bare_requests,
            first_group,
            first_checks,
            barriers: program.barriers().iter().map(barrier).collect(),
            columns: columns(&program, &used)?,
            feeders: used.into_iter().map(|(_, feeder)| feeder).collect(),
            key: Key::new(file.seed.unwrap_or(DEFAULT_SEED), u32::try_from(index).unwrap_or(u32::MAX)),
            most: MOST_ITERATIONS,
            variables_bytes: usize::try_from(file.limits.variables_bytes).unwrap_or(usize::MAX),
            world: Arc::new(World {
                secrets: self.secrets.clone(),
                setup: Vec::new(),
                files: files(self.run, &program)?,
            }),
            tokens: vec![Token::default(); program.tokens().len()],
            program,
        })
    }
}

/// A name that none of the others has: the second `pay` is `pay (2)`.
fn unlike(others: &[Named], name: String) -> Named {
    let taken = |name: &str| others.iter().any(|other| other.name == name);
    if !taken(&name) {
        return Named::from(name);
    }
    let numbered = (2..u32::MAX).map(|number| format!("{name} ({number})")).find(|name| !taken(name));
    Named::from(numbered.unwrap_or(name))
}

fn scope(file: &PlanFile, feeders: &BTreeMap<String, Source>) -> Scope {
    let columns = |name: &String| {
        let feeder = feeders.get(name)?;
        Some(feeder.rows().columns().map(|(_, column)| column.to_owned()).collect())
    };
    let names = |data: &DataSource| FeederNames { name: data.name.clone(), columns: columns(&data.name) };
    Scope {
        constants: file.variables.clone(),
        secrets: file.secrets.iter().map(|(name, _)| name.clone()).collect(),
        setup: file.setup.as_ref().map(scenario::variables).unwrap_or_default(),
        feeders: file.data.iter().map(names).collect(),
        targets: file.targets.iter().map(|target| target.name.clone()).collect(),
    }
}

/// A target as requests show it.
fn shown(target: &FileTarget) -> Target {
    let path = target.url.target().split('?').next().unwrap_or("/");
    Target {
        is_secure: target.url.scheme().is_secure(),
        authority: target.url.authority(),
        base_path: path.trim_end_matches('/').to_owned(),
    }
}

fn sources(scenario: &Scenario, feeders: &BTreeMap<String, Source>) -> Vec<(String, Source)> {
    let named = |(name, _): &(String, _)| Some((name.clone(), Arc::clone(feeders.get(name)?)));
    scenario.data.iter().filter_map(named).collect()
}

fn columns(
    program: &Program,
    used: &[(String, Source)],
) -> Result<Vec<(usize, feeder::ColumnIndex)>, PrepareError> {
    let find = |column: &scenario::Column| {
        let place = used.iter().position(|(name, _)| *name == column.feeder)?;
        Some((place, used[place].1.rows().column(&column.name)?))
    };
    let missing = |column: &scenario::Column| PrepareError::Data {
        name: column.feeder.clone(),
        what: format!("there is no column {}", plan::quoted(&column.name)),
    };
    program.columns().iter().map(|column| find(column).ok_or_else(|| missing(column))).collect()
}

fn files(run: &FileRun<'_>, program: &Program) -> Result<Vec<Arc<Mapping>>, PrepareError> {
    let open = |file: &String| {
        Mapping::open(run.folder.join(file))
            .map(Arc::new)
            .map_err(|error| PrepareError::Data { name: file.clone(), what: error.to_string() })
    };
    program.files().iter().map(open).collect()
}

fn request_settings(request: &scenario::Request, name: u32) -> RequestSettings {
    let fail_status = match &request.fail_status {
        Some(set) => FailStatus::new(|code| set.contains(code)),
        None => FailStatus::new(|code| code >= 400),
    };
    RequestSettings {
        name,
        target: request.target,
        message: None,
        needs: request.needs,
        last_message: None,
        is_head: request.is_head,
        fail_status,
        timeout_ns: request.timeout_ns.unwrap_or(DEFAULT_TIMEOUT_NS),
    }
}

fn limits(file: &PlanFile) -> http1::Limits {
    let widest = |of: fn(&plan::Limits) -> u64| file.targets.iter().map(|target| of(&target.limits)).max();
    let standard = plan::Limits::default();
    http1::Limits {
        head_bytes: u32::try_from(widest(|limits| limits.head_bytes.into()).unwrap_or(0))
            .unwrap_or(standard.head_bytes),
        body_bytes: widest(|limits| limits.body_bytes).unwrap_or(standard.body_bytes),
        interim: standard.interim,
    }
}

/// A target before it is split over shards.
struct WholeTarget {
    settings: TargetSettings,
    cap: u32,
    warm: u32,
}

impl WholeTarget {
    fn of_shard(&self, index: usize, shards: usize, plan: &Plan) -> TargetSettings {
        let tls = self.settings.tls.clone();
        TargetSettings {
            // Neighbours in the same run begin one behind another.
            first_route: (plan.share.index() as usize - 1) * shards + index,
            connections: part(u64::from(self.cap), index, shards),
            warm_connections: part(u64::from(self.warm), index, shards),
            tls: tls.map(|tls| TlsSettings { client: Arc::new(tls.client.separate()), ..tls }),
            ..self.settings.clone()
        }
    }
}

fn targets(run: &FileRun<'_>, shards: usize) -> Result<Vec<WholeTarget>, PrepareError> {
    let waiting = run.file.highest_rate().as_micro() / 1_000_000 * (DEFAULT_TIMEOUT_NS / 1_000_000_000);
    let waiting = waiting.max(run.file.most_users()).max(1_000);
    let one = |((target, ways), cap): ((&FileTarget, &Vec<Route>), &u32)| {
        let waiting = target.connections.queue.unwrap_or(waiting).div_ceil(shards as u64).min(WAITING_MAX);
        Ok(WholeTarget {
            settings: TargetSettings {
                routes: ways.as_slice().into(),
                first_route: 0,
                tls: tls_settings(&target.tls, &target.url)?,
                authority: target.url.authority().to_ascii_lowercase(),
                connections: 0,
                warm_connections: 0,
                close_after: target.connections.close_after.map(std::num::NonZero::get),
                waiting_capacity: usize::try_from(waiting).unwrap_or(usize::MAX),
                connect_timeout_ns: run.plan.timeout_ns,
            },
            cap: *cap,
            warm: target.connections.warm,
        })
    };
    run.file.targets.iter().zip(run.ways).zip(run.caps).map(one).collect()
}

/// A whole workload. What begins with the run also warms it up, at the rate or with the users with which it begins;
/// everything else is that much later.
fn whole_of(
    workload: &FileWorkload,
    plan: &Plan,
    rows: Option<u64>,
    task: Task,
) -> Result<WholeWorkload, PrepareError> {
    let (warmup_ns, begins_ns) = beginning(workload, plan);
    let ends_ns = workload.end_ns().saturating_add(plan.warmup_ns);
    let whole = match &workload.load {
        WorkloadLoad::Open { profile, process, count } => {
            let profile = Arc::new(with_warmup(profile, warmup_ns)?);
            let arrivals = Arrivals::new(profile, *process, &Cells::none());
            let arrivals = match [*count, rows].into_iter().flatten().min() {
                Some(limit) => arrivals.with_limit(limit),
                None => arrivals,
            };
            WholeWorkload::open(arrivals, task)
        }
        WorkloadLoad::Closed { stages, first, spawn_rate, iterations } => {
            let stays = stays(*first, stages, *spawn_rate, warmup_ns)?;
            let users = of_stays(stays, workload.load.most_users(), *iterations, rows);
            WholeWorkload::closed(users, task)
        }
    };
    Ok(whole.between(begins_ns, ends_ns))
}

/// How long a workload warms up, and where its own zero lies.
fn beginning(workload: &FileWorkload, plan: &Plan) -> (u64, u64) {
    let warmup_ns = if workload.start_ns == 0 { plan.warmup_ns } else { 0 };
    let begins_ns = if warmup_ns > 0 { 0 } else { workload.start_ns.saturating_add(plan.warmup_ns) };
    (warmup_ns, begins_ns)
}

/// A workload as whoever changes its rate sees it; none where it has users.
fn rated_of(workload: &FileWorkload, index: usize, plan: &Plan) -> Result<Option<Rated>, PrepareError> {
    let WorkloadLoad::Open { profile, .. } = &workload.load else { return Ok(None) };
    let (warmup_ns, begins_ns) = beginning(workload, plan);
    let profile = Arc::new(with_warmup(profile, warmup_ns)?);
    Ok(Some(Rated { name: Some(workload.name.clone()), workload: index, begins_ns, profile }))
}

fn with_warmup(profile: &Profile, warmup_ns: u64) -> Result<Profile, PrepareError> {
    if warmup_ns == 0 {
        return Ok(profile.clone());
    }
    let rate = profile.rate_at(0);
    let mut phases = vec![schedule::Phase { duration_ns: warmup_ns, from: rate, to: rate }];
    phases.extend_from_slice(profile.phases());
    Ok(Profile::new(phases)?)
}

#[cfg(test)]
mod tests;
