//! The load of a workload over time: `tps`, `stages`, `steps`, `spike`, `sine`, `ramp`, `once` and `users`.
//!
//! What it is: from the words of the plan to a [`Profile`] or to numbers of users. What it is not: a schedule; the
//! crate `schedule` says when each arrival is due.
//!
//! Exactness: nothing passes through floating point. `ramp` asks for exactly its arrivals. A sine is drawn by 64
//! straight lines a period between exact points of it, in which rises and falls mirror each other: over whole periods
//! it holds its mean exactly, and between two points it stays below the curve by at most 0.13 % of its amplitude.

use schedule::{Phase, Process, Profile, Rate};

use super::fields::{Fields, list, parsed, whole};
use super::problem::Problems;
use super::scale;
use super::source::Span;
use super::tree::{Node, Value};
use crate::{DEFAULT_SEED, LONGEST_DURATION_NS, ProcessKind, parse_duration, parse_rate, parse_stages};

/// The keys that say how much load there is.
pub(crate) const LOAD_KEYS: [&str; 8] = ["tps", "stages", "steps", "spike", "sine", "ramp", "once", "users"];
pub(crate) const STAGE_KEYS: [&str; 3] = ["for", "tps", "users"];
pub(crate) const STEPS_KEYS: [&str; 4] = ["from", "to", "by", "each"];
pub(crate) const SPIKE_KEYS: [&str; 5] = ["base", "peak", "at", "for", "ramp"];
pub(crate) const SINE_KEYS: [&str; 3] = ["mean", "amplitude", "period"];
pub(crate) const RAMP_KEYS: [&str; 2] = ["arrivals", "over"];
pub(crate) const ONCE_KEYS: [&str; 1] = ["users"];

/// Most stages or steps of a workload.
const MOST_STAGES: usize = 1_000;
/// Most periods of a sine.
const MOST_PERIODS: u64 = 1_000;
/// Lines that a period of a sine is drawn with.
const LINES: u64 = 64;
/// The sine of k × 90° / 16, in billionths.
const QUARTER: [u64; 17] = [
    0,
    98_017_140,
    195_090_322,
    290_284_677,
    382_683_432,
    471_396_737,
    555_570_233,
    634_393_284,
    707_106_781,
    773_010_453,
    831_469_612,
    881_921_264,
    923_879_533,
    956_940_336,
    980_785_280,
    995_184_727,
    1_000_000_000,
];

/// The load of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadLoad {
    /// Arrivals ignore responses.
    Open {
        /// Arrivals per second over time.
        profile: Profile,
        /// The law that spaces them.
        process: Process,
        /// After how many arrivals the workload ends, if not before.
        count: Option<u64>,
    },
    /// Each user begins an iteration when the one before is over.
    Closed {
        /// How many users there are over time: stretches, each with how long it takes and how many users there are at
        /// its end; they come and go evenly. The first stretch begins with `first`.
        stages: Vec<UserStage>,
        /// Users at the start.
        first: u32,
        /// Users that start per second; `None` for all at once.
        spawn_rate: Option<Rate>,
        /// When the workload ends before its time.
        iterations: Iterations,
    },
}

/// A stretch of a closed workload.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct UserStage {
    /// How long it takes.
    pub duration_ns: u64,
    /// Users at its end.
    pub users: u32,
}

/// How many iterations a closed workload has.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Iterations {
    /// As many as its time allows.
    Unbounded,
    /// So many in all.
    Total(u64),
    /// So many for each user.
    Each(u64),
}

impl WorkloadLoad {
    /// How long it is planned to last.
    pub fn duration_ns(&self) -> u64 {
        match self {
            Self::Open { profile, .. } => profile.duration_ns(),
            Self::Closed { stages, .. } => stages.iter().map(|stage| stage.duration_ns).sum(),
        }
    }

    /// How many iterations it begins: exactly where arrivals are evenly spaced, on average where they are random;
    /// `None` where the target's speed decides.
    pub fn iterations(&self) -> Option<u64> {
        match self {
            Self::Open { profile, count, .. } => Some(profile.arrival_count().min(count.unwrap_or(u64::MAX))),
            Self::Closed { iterations: Iterations::Total(count), .. } => Some(*count),
            Self::Closed { iterations: Iterations::Each(each), .. } => {
                Some(each.saturating_mul(u64::from(self.most_users())))
            }
            Self::Closed { iterations: Iterations::Unbounded, .. } => None,
        }
    }

    /// The most users at one time; 0 in the open model.
    pub fn most_users(&self) -> u32 {
        match self {
            Self::Open { .. } => 0,
            Self::Closed { stages, first, .. } => {
                stages.iter().map(|stage| stage.users).max().unwrap_or(0).max(*first)
            }
        }
    }
}

/// How long workloads last.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Lasting {
    /// Where they do not say so themselves.
    pub(crate) default_ns: u64,
    /// Whatever they say.
    pub(crate) instead_ns: Option<u64>,
}

/// Reads the load of a workload.
pub(crate) fn load(
    fields: &Fields<'_>,
    lasting: Lasting,
    seed: Option<u64>,
    problems: &mut Problems,
) -> Option<WorkloadLoad> {
    let staged = fields.get("stages").is_some();
    let (tps, users) = (fields.get("tps").is_some(), fields.get("users").is_some());
    // `tps` or `users` in front of stages say where these begin.
    let names: &[&'static str] = if staged && !(tps && users) {
        &["stages", "steps", "spike", "sine", "ramp", "once"]
    } else {
        &LOAD_KEYS
    };
    let before = problems.count();
    let Some((name, node)) =
        fields.one_of(names, "a workload has one kind of load; make two of it", problems)
    else {
        let fix = format!("tps: 100, or one of {}", LOAD_KEYS.join(", "));
        fields.missing(fields.span, "nothing says how much load this workload is", fix, problems);
        return None;
    };
    let closed = match name {
        "users" | "once" => true,
        "stages" => users || stages_of_users(node),
        _ => false,
    };
    check_companions(fields, name, closed, problems);
    if problems.count() > before {
        return None;
    }
    let for_ns = fields.parse("for", problems, self::lasting).unwrap_or(lasting.default_ns);
    let for_ns = lasting.instead_ns.unwrap_or(for_ns);
    if closed {
        let mut load = closed_load(fields, name, node, for_ns, problems)?;
        if let (WorkloadLoad::Closed { stages, .. }, Some(instead_ns)) = (&mut load, lasting.instead_ns) {
            scale::user_stages(stages, instead_ns);
        }
        return Some(load);
    }
    let mut phases = match name {
        "tps" => {
            let rate = parsed(node, problems, positive_rate)?;
            vec![Phase { duration_ns: for_ns, from: rate, to: rate }]
        }
        "stages" => stages(fields, node, problems)?,
        "steps" => steps(node, problems)?,
        "spike" => spike(node, for_ns, problems)?,
        "sine" => sine(node, for_ns, problems)?,
        _ => ramp(node, lasting.instead_ns, problems)?,
    };
    if let Some(instead_ns) = lasting.instead_ns {
        scale::phases(&mut phases, instead_ns);
    }
    let profile = Profile::new(phases)
        .map_err(|error| {
            problems.add(node.span, format!("this load is not possible: {error}"), "lower rates, or shorter");
        })
        .ok()?;
    if profile.max_rate() == Rate::ZERO {
        problems.add(node.span, "at rate 0 throughout nothing would be sent", "e.g. tps: 100");
        return None;
    }
    let kind = fields.parse("arrivals", problems, ProcessKind::parse).unwrap_or_default();
    let process = match kind {
        ProcessKind::Constant => Process::Deterministic,
        ProcessKind::Poisson => Process::Poisson { seed: seed.unwrap_or(DEFAULT_SEED) },
    };
    let count = fields.parse("iterations", problems, whole(1));
    Some(WorkloadLoad::Open { profile, process, count })
}

/// What does not go together with the kind of load.
fn check_companions(fields: &Fields<'_>, name: &str, closed: bool, problems: &mut Problems) {
    if matches!(name, "stages" | "steps" | "ramp") && fields.get("for").is_some() {
        problems.add(fields.at("for"), format!("{name} already say how long it takes"), "leave it out");
    }
    let strangers: &[(&str, &str)] = if closed {
        &[("arrivals", "it says when arrivals are due; users have none")]
    } else {
        &[("spawn-rate", "it is about users, and there are none")]
    };
    for (key, what) in strangers {
        if fields.get(key).is_some() {
            problems.add(fields.at(key), *what, "leave it out");
        }
    }
    if name == "once" && fields.get("iterations").is_some() {
        problems.add(fields.at("iterations"), "once means one iteration for each user", "leave it out");
    }
    if name == "ramp" && fields.get("iterations").is_some() {
        problems.add(
            fields.at("iterations"),
            "ramp already says how many arrivals there are",
            "leave it out",
        );
    }
}

/// Whether stages are about users rather than rates.
fn stages_of_users(node: &Node) -> bool {
    let Value::List(stages) = &node.value else { return false };
    stages.iter().any(|stage| match &stage.value {
        Value::Mapping(entries) => entries.iter().any(|(key, _)| key.text == "users"),
        Value::List(_) | Value::Scalar(_) => false,
    })
}

fn closed_load(
    fields: &Fields<'_>,
    name: &str,
    node: &Node,
    for_ns: u64,
    problems: &mut Problems,
) -> Option<WorkloadLoad> {
    let spawn_rate = fields.parse("spawn-rate", problems, positive_rate);
    let total = fields.parse("iterations", problems, whole(1));
    let iterations = total.map_or(Iterations::Unbounded, Iterations::Total);
    let (first, stages, iterations) = match name {
        "once" => {
            let fields = Fields::of(node, "once", &ONCE_KEYS, problems)?;
            let users =
                parsed(fields.need("users", "e.g. once: {users: 10}", problems)?, problems, user_count(1))?;
            (users, vec![UserStage { duration_ns: for_ns, users }], Iterations::Each(1))
        }
        "stages" => {
            let first = fields.parse("users", problems, user_count(0)).unwrap_or(0);
            if let (Some(_), Some(key)) = (spawn_rate, fields.key("spawn-rate")) {
                problems.add(key.span, "stages already say how users come and go", "leave it out");
            }
            let stages = user_stages(node, problems)?;
            if first == 0 && stages.iter().all(|stage| stage.users == 0) {
                problems.add(node.span, "0 users throughout send nothing", "at least 1");
                return None;
            }
            (first, stages, iterations)
        }
        _ => {
            let users = parsed(node, problems, user_count(1))?;
            (users, vec![UserStage { duration_ns: for_ns, users }], iterations)
        }
    };
    Some(WorkloadLoad::Closed { stages, first, spawn_rate, iterations })
}

/// A number of users.
fn user_count(least: u64) -> impl FnOnce(&str) -> Result<u32, crate::PlanError> {
    move |text| {
        let count = whole(least)(text)?;
        u32::try_from(count).ok().filter(|count| *count <= 10_000_000).ok_or_else(|| {
            crate::PlanError::new(
                format!("{count} users are more than an engine has room for"),
                "at most 10M",
            )
        })
    }
}

fn positive_rate(text: &str) -> Result<Rate, crate::PlanError> {
    match parse_rate(text)? {
        Rate::ZERO => {
            Err(crate::PlanError::new("at rate 0 nothing happens", "e.g. 100, or 0.5 for one in 2 s"))
        }
        rate => Ok(rate),
    }
}

/// A duration above zero.
pub(crate) fn lasting(text: &str) -> Result<u64, crate::PlanError> {
    match parse_duration(text)? {
        0 => Err(crate::PlanError::new("it lasts no time", "e.g. 30s")),
        ns => Ok(ns),
    }
}

/// The items of `stages`, each with how long it takes.
fn stage_list<'a>(node: &'a Node, problems: &mut Problems) -> Option<Vec<(Fields<'a>, u64)>> {
    let nodes = list(node, "stages", problems)?;
    if nodes.is_empty() || nodes.len() > MOST_STAGES {
        problems.add(node.span, format!("there are {} stages", nodes.len()), "1 to 1000");
        return None;
    }
    let mut stages = Vec::new();
    let mut total_ns = 0_u64;
    let before = problems.count();
    for node in nodes {
        let Some(fields) = Fields::of(node, "a stage", &STAGE_KEYS, problems) else { continue };
        let Some(length) = fields.need("for", "e.g. {for: 30s, tps: 100}", problems) else { continue };
        let Some(ns) = parsed(length, problems, parse_duration) else { continue };
        total_ns = total_ns.saturating_add(ns);
        stages.push((fields, ns));
    }
    if problems.count() == before {
        check_length(node.span, total_ns, problems);
    }
    (problems.count() == before).then_some(stages)
}

fn check_length(span: Span, total_ns: u64, problems: &mut Problems) {
    if total_ns > LONGEST_DURATION_NS {
        problems.add(span, "together this is too long", "at most 366d");
    } else if total_ns == 0 {
        problems.add(span, "together this lasts no time", "e.g. for: 30s");
    }
}

fn stages(fields: &Fields<'_>, node: &Node, problems: &mut Problems) -> Option<Vec<Phase>> {
    if let Value::Scalar(_) = node.value {
        if let Some(key) = fields.key("tps") {
            problems.add(
                key.span,
                "stages in one text begin with a stage of their own",
                "0s:RATE as the first stage",
            );
        }
        return parsed(node, problems, parse_stages).map(|profile| profile.phases().to_vec());
    }
    let mut from = fields.parse("tps", problems, parse_rate).unwrap_or(Rate::ZERO);
    let mut phases = Vec::new();
    for (stage, duration_ns) in stage_list(node, problems)? {
        let to =
            parsed(stage.need("tps", "the rate at its end, e.g. tps: 100", problems)?, problems, parse_rate)?;
        phases.push(Phase { duration_ns, from, to });
        from = to;
    }
    Some(phases)
}

fn user_stages(node: &Node, problems: &mut Problems) -> Option<Vec<UserStage>> {
    let mut stages = Vec::new();
    for (stage, duration_ns) in stage_list(node, problems)? {
        if let Some(key) = stage.key("tps") {
            problems.add(key.span, "a stage has users or a rate, not both", "leave one out");
        }
        let users = stage.need("users", "the users at its end, e.g. users: 50", problems)?;
        stages.push(UserStage { duration_ns, users: parsed(users, problems, user_count(0))? });
    }
    Some(stages)
}

/// Levels from one rate to another, each for the same time; the last one is `to`, however far it is from the one before.
fn steps(node: &Node, problems: &mut Problems) -> Option<Vec<Phase>> {
    const EXAMPLE: &str = "e.g. steps: {from: 100, to: 500, by: 100, each: 30s}";
    let fields = Fields::of(node, "steps", &STEPS_KEYS, problems)?;
    let mut rate =
        |name: &str| fields.need(name, EXAMPLE, problems).and_then(|node| parsed(node, problems, parse_rate));
    let (from, to, by) = (rate("from"), rate("to"), rate("by"));
    let each = fields.need("each", EXAMPLE, problems).and_then(|node| parsed(node, problems, lasting));
    let (from, to, by, each_ns) = (from?.as_micro(), to?.as_micro(), by?.as_micro(), each?);
    if by == 0 {
        problems.add(
            fields.at("by"),
            "steps of 0 lead nowhere",
            "above 0; it is how far apart two levels are",
        );
        return None;
    }
    let count = from.abs_diff(to).div_ceil(by) + 1;
    let Some(count) = usize::try_from(count).ok().filter(|count| *count <= MOST_STAGES) else {
        problems.add(fields.at("by"), format!("that makes {count} steps"), "at most 1000: a larger by");
        return None;
    };
    check_length(fields.at("each"), each_ns.saturating_mul(count as u64), problems);
    let level = |index: u64| {
        if from <= to {
            from.saturating_add(index * by).min(to)
        } else {
            from.saturating_sub(index * by).max(to)
        }
    };
    let levels = (0..count as u64).map(|index| Rate::from_micro(level(index)));
    Some(levels.map(|rate| Phase { duration_ns: each_ns, from: rate, to: rate }).collect())
}

fn spike(node: &Node, for_ns: u64, problems: &mut Problems) -> Option<Vec<Phase>> {
    const EXAMPLE: &str = "e.g. spike: {base: 100, peak: 1000, at: 30s, for: 10s}";
    let fields = Fields::of(node, "a spike", &SPIKE_KEYS, problems)?;
    let mut rate =
        |name: &str| fields.need(name, EXAMPLE, problems).and_then(|node| parsed(node, problems, parse_rate));
    let (base, peak) = (rate("base"), rate("peak"));
    let at_ns = fields.need("at", EXAMPLE, problems).and_then(|node| parsed(node, problems, parse_duration));
    let held_ns = fields.need("for", EXAMPLE, problems).and_then(|node| parsed(node, problems, lasting));
    let ramp_ns = fields.parse("ramp", problems, parse_duration).unwrap_or(0);
    let (base, peak, at_ns, held_ns) = (base?, peak?, at_ns?, held_ns?);
    if peak <= base {
        problems.add(fields.at("peak"), "the peak is not above the base", "a peak above the base");
        return None;
    }
    let end_ns = [ramp_ns, held_ns, ramp_ns].into_iter().fold(at_ns, u64::saturating_add);
    if end_ns > for_ns {
        let what = format!(
            "the spike is over after {}, the workload already after {}",
            crate::duration_text(end_ns),
            crate::duration_text(for_ns)
        );
        problems.add(fields.at("at"), what, "an earlier or shorter spike, or a longer for: of the workload");
        return None;
    }
    Some(vec![
        Phase { duration_ns: at_ns, from: base, to: base },
        Phase { duration_ns: ramp_ns, from: base, to: peak },
        Phase { duration_ns: held_ns, from: peak, to: peak },
        Phase { duration_ns: ramp_ns, from: peak, to: base },
        Phase { duration_ns: for_ns - end_ns, from: base, to: base },
    ])
}

fn sine(node: &Node, for_ns: u64, problems: &mut Problems) -> Option<Vec<Phase>> {
    const EXAMPLE: &str = "e.g. sine: {mean: 100, amplitude: 50, period: 1m}";
    let fields = Fields::of(node, "a sine", &SINE_KEYS, problems)?;
    let mut rate =
        |name: &str| fields.need(name, EXAMPLE, problems).and_then(|node| parsed(node, problems, parse_rate));
    let (mean, amplitude) = (rate("mean"), rate("amplitude"));
    let period = fields.need("period", EXAMPLE, problems).and_then(|node| parsed(node, problems, lasting));
    let (mean, amplitude, period_ns) = (mean?, amplitude?, period?);
    if amplitude > mean {
        problems.add(
            fields.at("amplitude"),
            "the amplitude is above the mean: the rate would fall below 0",
            "at most the mean",
        );
        return None;
    }
    if period_ns < LINES {
        problems.add(fields.at("period"), "the period is too short", "at least 64ns");
        return None;
    }
    if for_ns.div_ceil(period_ns) > MOST_PERIODS {
        let fix = format!("a period of at least {}", crate::duration_text(for_ns.div_ceil(MOST_PERIODS)));
        problems.add(fields.at("period"), "the workload holds more than 1000 periods", fix);
        return None;
    }
    Some(sine_phases(mean, amplitude, period_ns, for_ns))
}

/// The lines of a sine; a line that the end cuts is cut where it is.
fn sine_phases(mean: Rate, amplitude: Rate, period_ns: u64, for_ns: u64) -> Vec<Phase> {
    let point = |index: u64| sine_at(mean, amplitude, index % LINES);
    // Where point `index` lies; whole periods are exact, and the halves of one are equally long where it is even.
    let time_ns = |index: u64| {
        let within = u128::from(index % LINES) * u128::from(period_ns) / u128::from(LINES);
        u128::from(index / LINES) * u128::from(period_ns) + within
    };
    let mut phases = Vec::new();
    for index in 0.. {
        let (start_ns, end_ns) = (time_ns(index), time_ns(index + 1));
        let length_ns = end_ns - start_ns;
        if start_ns >= u128::from(for_ns) {
            break;
        }
        let lasting_ns = length_ns.min(u128::from(for_ns) - start_ns);
        let (from, whole) = (point(index).as_micro(), point(index + 1).as_micro());
        let change = u128::from(from.abs_diff(whole)) * lasting_ns / length_ns;
        let change = u64::try_from(change).unwrap_or(u64::MAX);
        let to = if whole >= from { from + change } else { from - change };
        phases.push(Phase {
            duration_ns: u64::try_from(lasting_ns).unwrap_or(u64::MAX),
            from: Rate::from_micro(from),
            to: Rate::from_micro(to),
        });
    }
    phases
}

/// The rate at point `index` of the 64 of a period.
fn sine_at(mean: Rate, amplitude: Rate, index: u64) -> Rate {
    let quarter = LINES / 4;
    let within = usize::try_from(index % quarter).unwrap_or(0);
    let share = match index / quarter {
        0 | 2 => QUARTER[within],
        _ => QUARTER[16 - within],
    };
    let off = (u128::from(amplitude.as_micro()) * u128::from(share) + 500_000_000) / 1_000_000_000;
    let off = u64::try_from(off).unwrap_or(u64::MAX);
    let micro = if index < LINES / 2 { mean.as_micro() + off } else { mean.as_micro().saturating_sub(off) };
    Rate::from_micro(micro)
}

/// So many arrivals, evenly over a time.
fn ramp(node: &Node, instead_ns: Option<u64>, problems: &mut Problems) -> Option<Vec<Phase>> {
    const EXAMPLE: &str = "e.g. ramp: {arrivals: 1000, over: 10s}";
    let fields = Fields::of(node, "a ramp", &RAMP_KEYS, problems)?;
    let arrivals =
        fields.need("arrivals", EXAMPLE, problems).and_then(|node| parsed(node, problems, whole(1)));
    let over = fields.need("over", EXAMPLE, problems).and_then(|node| parsed(node, problems, lasting));
    let (arrivals, over_ns) = (arrivals?, over?);
    let over_ns = instead_ns.unwrap_or(over_ns);
    // Rounded down, so that the arrival after the last one is due at the end at the earliest.
    let micro = u128::from(arrivals) * 1_000_000_000_000_000 / u128::from(over_ns);
    let rate = u64::try_from(micro)
        .ok()
        .filter(|micro| (1..=1_000_000_000_000_000).contains(micro))
        .map(Rate::from_micro);
    let phase = rate.map(|rate| Phase { duration_ns: over_ns, from: rate, to: rate });
    let exact = phase
        .and_then(|phase| Profile::new(vec![phase]).ok())
        .is_some_and(|profile| profile.arrival_count() == arrivals);
    if !exact {
        problems.add(
            node.span,
            format!("{arrivals} arrivals cannot be spread over {}", crate::duration_text(over_ns)),
            "fewer arrivals, or another time",
        );
        return None;
    }
    phase.map(|phase| vec![phase])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_sine_over_whole_periods_holds_its_mean_exactly() {
        for (mean, amplitude, period_ns, periods) in [
            (100, 50, 60 * S, 3),
            (1_000, 1_000, S, 7),
            (7, 3, 11 * S, 20),
            (50_000, 49_999, 64 * 1_000, 900),
        ] {
            let rates = (Rate::per_second(mean), Rate::per_second(amplitude));
            let phases = sine_phases(rates.0, rates.1, period_ns, periods * period_ns);
            let profile = Profile::new(phases).expect("a profile");
            assert_eq!(profile.duration_ns(), periods * period_ns);
            let expected = u128::from(mean) * u128::from(periods * period_ns) / u128::from(S);
            let count = u128::from(profile.arrival_count());
            assert!(count == expected || count == expected + 1, "{count} {expected}");
            assert_eq!(profile.max_rate(), Rate::per_second(mean + amplitude));
        }
    }

    #[test]
    fn a_sine_is_a_sine() {
        let profile =
            Profile::new(sine_phases(Rate::per_second(1_000), Rate::per_second(500), 64 * S, 64 * S));
        let profile = profile.expect("a profile");
        for second in 0..640_u64 {
            let at = f64::from(u32::try_from(second).expect("small")) / 10.0;
            let curve = 1_000.0 + 500.0 * (at / 64.0 * std::f64::consts::TAU).sin();
            let drawn = profile.rate_at(second * S / 10).per_second_f64();
            assert!((curve - drawn).abs() <= 500.0 * 0.0013, "{at} {curve} {drawn}");
        }
    }

    proptest! {
        #[test]
        fn a_sine_lasts_as_long_as_asked(mean in 1..100_000_u64, part in 0..=100_u64, period_ns in 64..1_000_000_000_u64, for_ns in 1..9_000_000_000_u64) {
            prop_assume!(for_ns / period_ns < MOST_PERIODS);
            let amplitude = Rate::from_micro(mean * part * 10_000);
            let phases = sine_phases(Rate::per_second(mean), amplitude, period_ns, for_ns);
            let profile = Profile::new(phases).expect("a profile");
            prop_assert_eq!(profile.duration_ns(), for_ns);
            // The total strays from the mean by at most half a period's bulge.
            let whole = u128::from(for_ns / period_ns * period_ns) * u128::from(mean) / u128::from(S);
            prop_assert!(u128::from(profile.arrival_count()) + 1 >= whole);
        }
    }
}
