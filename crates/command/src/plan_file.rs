//! From a plan file, and the flags and variables beside it, to a run.
//!
//! Invariant: a flag wins over its variable, and a variable over the file; what a file cannot be told from outside is
//! refused, never passed over.

use std::path::Path;

use clock::NANOS_PER_SECOND;
use plan::document::{Overrides, PlanFile, PlanThreshold};
use plan::{Draft, PlanError, Tag, named};
use verdict::{ExitCode, Scope, Terms, Threshold};

use crate::run::{Asked, HTTP, read};
use crate::{Flags, FromFile, Here, Paths, Refusal, Run, Surroundings, name_of};

/// Whether the argument of `engine run` names a plan file and no URL.
pub fn is_plan_file(text: &str) -> bool {
    let has = |end: &str| text.len() > end.len() && text.to_ascii_lowercase().ends_with(end);
    text == "-" || (!text.contains("://") && [".yaml", ".yml", ".json"].into_iter().any(has))
}

/// Reads a run from a plan file.
pub fn from_file(mut flags: Flags, path: &Path, surroundings: &dyn Surroundings) -> Result<Run, Refusal> {
    flags.positional_url = None;
    let Asked { overrides, outputs, mut thresholds } = read(&mut flags, surroundings, HTTP)?;
    let is_part = overrides.workload.is_some();
    refuse_beside_a_file(&overrides)?;
    let (file, mut replaced) = plan_of(path, &overrides, surroundings)?;
    for threshold in &file.thresholds {
        thresholds.push(of_file(threshold)?);
    }
    let Overrides { mut draft, given, .. } = overrides;
    forget_the_load(&mut draft);
    draft.thresholds = thresholds.iter().map(|threshold| threshold.text.clone()).collect();
    let is_given = |flag: &'static str| given.contains_key(flag);
    replaced.extend(options_replaced(&file, &is_given));
    fill_in(&mut draft, &file, &is_given);
    let mut plan = draft.into_plan()?;
    if let Some(first) = file.targets.first() {
        plan.connections = first.connections.clone();
        plan.tls = first.tls.clone();
    }
    let folder = Paths::of(path, surroundings.placed());
    let name = name_of(path).into_owned();
    let file = Some(Box::new(FromFile { file, name, folder, replaced, is_part }));
    Ok(Run { plan, sizing: None, file, thresholds, outputs })
}

/// Reads the plan at `file`, or from standard input (`-`), and puts what was given beside it in its place; with what was
/// replaced, in words.
fn plan_of(
    file: &Path,
    overrides: &Overrides,
    surroundings: &dyn Surroundings,
) -> Result<(PlanFile, Vec<String>), Refusal> {
    let wrong = |message: String, exit_code| Refusal { message, exit_code };
    let bytes = if file == Path::new("-") { surroundings.piped() } else { surroundings.contents(file) };
    let bytes = bytes.map_err(|reason| {
        let shown = named(&file.to_string_lossy());
        let shown = if file == Path::new("-") { "standard input".into() } else { shown };
        wrong(
            format!("cannot read {shown}: {reason} → the path of a plan (openloop.plan/1)"),
            ExitCode::Usage,
        )
    })?;
    let here = Here::around(file, surroundings);
    let lasting = |lasting_ns| {
        PlanFile::parse_lasting(&name_of(file), &bytes, &here, lasting_ns).map_err(|error| {
            let code = if error.is_refusal() { ExitCode::Refused } else { ExitCode::Usage };
            wrong(error.to_string(), code)
        })
    };
    let written = lasting(None)?;
    let mut plan = match overrides.draft.duration_ns.filter(|ns| *ns > 0) {
        None => written.clone(),
        Some(ns) => lasting(Some(ns))?,
    };
    let replaced = plan.override_with(&written, overrides)?;
    Ok((plan, replaced))
}

/// A threshold of the file, as `verdict` knows it.
fn of_file(threshold: &PlanThreshold) -> Result<Threshold, PlanError> {
    let scope = match (&threshold.name, threshold.tags.first()) {
        (Some(name), _) => Scope::Name(name.clone()),
        (None, Some(tag)) => Scope::Tag { key: tag.name.clone(), value: tag.value.clone() },
        (None, None) => Scope::Run,
    };
    let terms = Terms {
        scope,
        over_s: threshold.over_ns.map(|ns| ns.div_ceil(NANOS_PER_SECOND)),
        grace_s: threshold.grace_ns.div_ceil(NANOS_PER_SECOND),
        abort: threshold.abort,
    };
    let plain = terms == Terms::default();
    if plain { Threshold::parse(&threshold.that) } else { Threshold::new(&threshold.that, terms) }
}

/// What each request of a file says itself, flags do not say for all of them.
fn refuse_beside_a_file(overrides: &Overrides) -> Result<(), PlanError> {
    const OF_REQUESTS: [&str; 9] = [
        "--method",
        "--header",
        "--body",
        "--body-file",
        "--body-size",
        "--timeout",
        "--fail-status",
        "--max-body",
        "--think",
    ];
    if let Some(place) = overrides.place_given("--gbit") {
        let what = "how large an exchange of a plan file is only running it tells";
        return Err(PlanError::new(what, "--tps RATE").at(place));
    }
    match OF_REQUESTS.into_iter().find_map(|flag| overrides.place_given(flag)) {
        None => Ok(()),
        Some(place) => {
            let what = "a plan file says this itself, for each of its requests";
            let fix = "in the file, with ${NAME:-default} for what changes from run to run";
            Err(PlanError::new(what, fix).at(place))
        }
    }
}

/// The load and the targets are those of the file, which has taken in what flags and variables said of them.
fn forget_the_load(draft: &mut Draft) {
    let kept = std::mem::take(draft);
    *draft = Draft {
        run_id: kept.run_id,
        tags: kept.tags,
        catch_up: kept.catch_up,
        share: kept.share,
        warmup_ns: kept.warmup_ns,
        grace_ns: kept.grace_ns,
        io: kept.io,
        cores: kept.cores,
        pacing: kept.pacing,
        max_lag: kept.max_lag,
        rails: kept.rails,
        ..Draft::default()
    };
}

/// Which of the file's options flags or variables replace, in words.
fn options_replaced(file: &PlanFile, is_given: &dyn Fn(&'static str) -> bool) -> Vec<String> {
    let options = &file.options;
    let said = [
        ("--warmup", options.warmup_ns.is_some()),
        ("--grace", options.grace_ns.is_some()),
        ("--max-lag", options.max_lag.is_some()),
        ("--catch-up", options.catch_up.is_some()),
        ("--cores", options.cores.is_some()),
        ("--io", options.io.is_some()),
        ("--pacing", options.pacing.is_some()),
        ("--rate-guard", options.rate_guard.is_some()),
        ("--run-id", file.name.is_some()),
    ];
    let replaced = said.into_iter().filter(|(flag, said)| *said && is_given(flag));
    replaced.map(|(flag, _)| format!("{flag} in place of the file's")).collect()
}

/// What a file says of the run as a whole, where flags and variables say nothing.
fn fill_in(draft: &mut Draft, file: &PlanFile, is_given: &dyn Fn(&'static str) -> bool) {
    let options = &file.options;
    draft.url = file.targets.first().map(|target| target.url.clone());
    let highest = file.highest_rate();
    if highest > plan::Rate::ZERO {
        draft.rate = Some(highest);
    } else {
        draft.users = u32::try_from(file.most_users().max(1)).ok();
    }
    draft.duration_ns = Some(file.duration_ns());
    draft.run_id = draft.run_id.take().or_else(|| file.name.clone());
    let own = |tag: &&Tag| !draft.tags.iter().any(|given| given.name == tag.name);
    let more: Vec<Tag> = file.tags.iter().filter(own).cloned().collect();
    draft.tags.extend(more);
    draft.warmup_ns = draft.warmup_ns.or(options.warmup_ns);
    draft.grace_ns = draft.grace_ns.or(options.grace_ns);
    if highest > plan::Rate::ZERO {
        draft.catch_up = draft.catch_up.or(options.catch_up);
    }
    if !is_given("--cores") {
        draft.cores = options.cores.clone().unwrap_or_default();
    }
    if !is_given("--io") {
        draft.io = options.io.unwrap_or_default();
    }
    if !is_given("--pacing") {
        draft.pacing = options.pacing.unwrap_or_default();
    }
    if !is_given("--max-lag") {
        draft.max_lag = options.max_lag.unwrap_or_default();
    }
    draft.rails.own_hosts.extend(options.own_hosts.iter().cloned());
    draft.rails.rate_guard = draft.rails.rate_guard.or(options.rate_guard);
}
