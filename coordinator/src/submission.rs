//! From the words of a run to what the director is told, and what the nodes get.
//!
//! What it is: the reading of a [`StartRequest`], and the same again from the database after a restart. What it is not: a
//! decision about the fleet.
//!
//! Invariants: a plan is read here before any node hears of it, so that what is wrong is said at once. The same spec yields
//! the same submission. Files are found by digest; no path that a stranger wrote is opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use command::Run;
use plan::document::{PlanFile, WorkloadLoad};
use plan::{Load, Plan, quoted};
use schedule::{Phase, Profile};
use wire::{FileRef, RunKey, Spec};

use crate::director::{Rated, Submission, Terms};
use crate::files::{Repository, from_hex};
use crate::handle::{Refused, RefusedKind, StartRequest};

mod carried;
mod rails;
mod terms;
#[cfg(test)]
mod tests;
mod text;

use carried::Carried;
pub use rails::Rails;
pub(crate) use text::{spec_of, text_of};

/// A submission, and what only the edges need of it.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// What the director is told.
    pub submission: Submission,
    /// The spec as it is stored.
    pub spec_text: String,
    /// When it came, in nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
    /// What is shown of it to people.
    pub shown: Shown,
}

/// What is shown of a plan to people; no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What is loaded.
    pub target: String,
    /// The words of `engine run`.
    pub words: Vec<String>,
    /// The user's labels.
    pub tags: BTreeMap<String, String>,
}

/// Reads what somebody wants to run, as the run `run`.
///
/// # Errors
/// The plan is not valid, is forbidden by the rails, or names files that are not here.
pub fn of_request(
    request: &StartRequest,
    run: RunKey,
    at_unix_ns: u64,
    repository: &Repository,
    rails: &Rails,
) -> Result<Submitted, Refused> {
    let mut files = BTreeMap::new();
    for (path, text) in &request.texts {
        let kept = repository.keep(text.as_bytes()).map_err(|error| {
            let what = format!("the repository of files: {error} → is the disk full?");
            Refused::new(RefusedKind::Unavailable, what)
        })?;
        files.insert(path.clone(), kept);
    }
    for (path, sha256) in &request.files {
        let known =
            from_hex(sha256).and_then(|sha256| Some(FileRef { sha256, size: repository.find(&sha256)? }));
        let file = known.ok_or_else(|| {
            let what = format!("files: there is no file {} here", quoted(sha256));
            Refused::new(
                RefusedKind::Missing,
                format!("{what} → upload it first, then name it by its SHA-256"),
            )
        })?;
        files.insert(path.clone(), file);
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let spec = Spec { version, words: request.words.clone(), variables: request.variables.clone(), files };
    let mut submitted = of_spec(spec, terms::of_request(request)?, run, at_unix_ns, repository, rails)?;
    submitted.shown.tags.extend(request.tags.clone());
    Ok(submitted)
}

/// Whether the terms of a request can be kept, whatever its plan is.
///
/// # Errors
/// They contradict themselves or each other.
pub(crate) fn check_terms(request: &StartRequest) -> Result<(), Refused> {
    terms::of_request(request).map(|_| ())
}

/// Reads a spec.
///
/// # Errors
/// See [`of_request`].
pub fn of_spec(
    spec: Spec,
    terms: Terms,
    run: RunKey,
    at_unix_ns: u64,
    repository: &Repository,
    rails: &Rails,
) -> Result<Submitted, Refused> {
    let read = command::of_words(&spec.words, &Carried::of(&spec, repository)).map_err(|refusal| {
        let is_rail = refusal.exit_code == verdict::ExitCode::Refused;
        let kind = if is_rail { RefusedKind::Forbidden } else { RefusedKind::Invalid };
        Refused::new(kind, refusal.message)
    })?;
    check(&read, rails)?;
    let spec_text = text_of(&spec);
    let plan = &read.plan;
    let submission = Submission {
        run,
        digest: spec.digest(),
        load: load_of(&read)?,
        warmup_ns: plan.warmup_ns,
        duration_ns: Some(plan.run_ns()),
        grace_ns: plan.grace_ns,
        thresholds: read.thresholds.clone(),
        max_lag: plan.max_lag,
        rate_guard: [plan.rails.rate_guard, rails.rate_guard].into_iter().flatten().min(),
        terms: Terms { name: name_of(&terms, &read), ..terms },
        spec,
    };
    let shown = shown(&submission.spec, &read);
    Ok(Submitted { submission, spec_text, at_unix_ns, shown })
}

fn name_of(terms: &Terms, run: &Run) -> String {
    let own = || run.plan.run_id.as_ref().map(|id| id.as_str().to_owned());
    Some(terms.name.clone()).filter(|name| !name.is_empty()).or_else(own).unwrap_or_default()
}

/// What a fleet cannot carry out, or may not.
fn check(run: &Run, rails: &Rails) -> Result<(), Refused> {
    let invalid = |what: &str, fix: &str| Err(Refused::new(RefusedKind::Invalid, format!("{what} → {fix}")));
    let (plan, outputs) = (&run.plan, &run.outputs);
    if let Some((what, fix)) = of_an_engine(run) {
        return invalid(what, fix);
    }
    if outputs.json.is_some() {
        return invalid("--json: it is of whoever asks for the run", "ask for the run's report");
    }
    if run.file.is_none() && plan.url.is_none() {
        return invalid("nothing says whom to load", "a URL, e.g. http://10.0.0.7/");
    }
    rails.check(&ways(run), highest(run))
}

/// What only an engine by itself does: what is wrong with asking a fleet for it, and how to fix it.
pub(crate) fn of_an_engine(run: &Run) -> Option<(&'static str, &'static str)> {
    if run.plan.share.of() != 1 {
        return Some((
            "--share: the coordinator deals the shares",
            "leave it out; weights and zones deal otherwise",
        ));
    }
    if run.sizing.is_some() {
        return Some(("--gbit: what an exchange weighs, only an engine by itself finds out", "--tps RATE"));
    }
    if run.outputs.ndjson.is_some() || run.outputs.control.is_some() {
        return Some((
            "--ndjson and --control are of an engine by itself",
            "--json FILE for the report; the API tells every second",
        ));
    }
    None
}

fn highest(run: &Run) -> Option<plan::Rate> {
    run.file.as_ref().map(|from| from.file.highest_rate()).or(run.plan.highest_rate())
}

/// What a run loads, and by which way.
fn ways(run: &Run) -> Vec<(&plan::Url, &plan::Connections)> {
    match &run.file {
        Some(from) => from.file.targets.iter().map(|target| (&target.url, &target.connections)).collect(),
        None => run.plan.url.iter().map(|url| (url, &run.plan.connections)).collect(),
    }
}

/// The workloads of the open model, as the engine splits them.
fn load_of(run: &Run) -> Result<Vec<Rated>, Refused> {
    if let Some(from) = &run.file {
        return rated_of_file(&from.file, &run.plan);
    }
    Ok(match &run.plan.load {
        Load::Closed(_) => Vec::new(),
        Load::Open { profile, process, .. } => vec![Rated {
            name: None,
            counted: None,
            begins_ns: 0,
            profile: Arc::new(profile.clone()),
            process: *process,
            limit: run.plan.count,
        }],
    })
}

fn rated_of_file(file: &PlanFile, plan: &Plan) -> Result<Vec<Rated>, Refused> {
    let mut rated = Vec::new();
    for (index, workload) in file.workloads.iter().enumerate() {
        let WorkloadLoad::Open { profile, process, count } = &workload.load else { continue };
        // The warm-up lies in front of what begins at once, and moves what begins later.
        let (warmup_ns, begins_ns) = match workload.start_ns {
            0 => (plan.warmup_ns, 0),
            start_ns => (0, plan.warmup_ns.saturating_add(start_ns)),
        };
        rated.push(Rated {
            name: Some(workload.name.clone()),
            counted: Some(index),
            begins_ns,
            profile: Arc::new(with_warmup(profile, warmup_ns)?),
            process: *process,
            limit: *count,
        });
    }
    Ok(rated)
}

fn with_warmup(profile: &Profile, warmup_ns: u64) -> Result<Profile, Refused> {
    if warmup_ns == 0 {
        return Ok(profile.clone());
    }
    let rate = profile.rate_at(0);
    let mut phases = vec![Phase { duration_ns: warmup_ns, from: rate, to: rate }];
    phases.extend_from_slice(profile.phases());
    Profile::new(phases).map_err(|error| Refused::new(RefusedKind::Invalid, error.to_string()))
}

fn shown(spec: &Spec, run: &Run) -> Shown {
    let targets: Vec<String> = ways(run).iter().map(|(url, _)| url.authority()).collect();
    // In one form, whatever form they came in: what follows a flag is told from a flag.
    let words = command::plain_words(&spec.words).unwrap_or_default();
    Shown {
        target: targets.join(", "),
        words: words.iter().map(|word| text::without_secrets(word)).collect(),
        tags: run.plan.tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect(),
    }
}
