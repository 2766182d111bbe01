//! From a command line to what a coordinator is asked to run.
//!
//! What it is: the flags of a run as words, the variables and files that they were found to read, and how the fleet shall
//! carry it out. What it is not: a copier of files; whoever asks puts them into the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;
use command::{Flags, OF_A_NODE, OUTPUTS, Process, Recording, Refusal, words_of};
use plan::{Place, PlanError};
use verdict::ExitCode;

use crate::args::{OverFleet, nodes_weighed, pairs, seconds, zones};
use crate::handle::{NodeChoice, StartRequest};
use crate::submission::{check_terms, of_an_engine};

/// A plan as a command line says it.
#[derive(Debug)]
pub(crate) struct Asking {
    /// What a coordinator is asked; its files are not named yet.
    pub(crate) request: StartRequest,
    /// The files that it needs, by the path that stands in the words or in the plan.
    pub(crate) files: BTreeMap<String, Content>,
    /// The plan, as it was understood here.
    pub(crate) run: command::Run,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// What lies there.
    File(PathBuf),
    /// What came through standard input.
    Piped(Vec<u8>),
}

/// Reads the flags of a run, which `matches` hold too, and those of the fleet. Nodes that come with the command are used as its
/// flags say, and may load the built-in target.
pub(crate) fn of_flags(
    flags: Flags,
    matches: &ArgMatches,
    over: &OverFleet,
    with_nodes: bool,
) -> Result<Asking, Refusal> {
    let recording = Recording::of(&Process);
    let run = command::run(flags, &recording)?;
    if let Some((what, fix)) = of_an_engine(&run) {
        return Err(Refusal::usage(what, fix));
    }
    if !with_nodes {
        check_without_nodes(&run, matches)?;
    }
    let stays_here = [OUTPUTS, OF_A_NODE].concat();
    let noted = recording.without(&stays_here);
    let mut files = BTreeMap::new();
    for path in noted.files {
        let text = path.to_str().map(str::to_owned);
        let text = text
            .ok_or_else(|| Refusal::usage("the path of a file is not UTF-8 (not shown)", "another name"))?;
        files.insert(text, Content::File(path));
    }
    files.extend(noted.piped.map(|bytes| ("-".to_owned(), Content::Piped(bytes))));
    let request = StartRequest {
        words: words_of(matches, &stays_here),
        variables: noted.variables,
        name: over.name.clone().unwrap_or_default(),
        project: over.project.clone().unwrap_or_default(),
        nodes: choice(over)?,
        on_node_loss: over.on_node_loss,
        start_at: over.start_at.clone(),
        start_after_s: value("--start-after", over.start_after.as_deref(), seconds)?,
        ..StartRequest::default()
    };
    check_terms(&request)
        .map_err(|refused| Refusal { exit_code: exit_code(refused.kind), message: refused.message })?;
    Ok(Asking { request, files, run })
}

/// What a command that brings no nodes along has to say, and cannot say.
fn check_without_nodes(run: &command::Run, matches: &ArgMatches) -> Result<(), Refusal> {
    if run.file.is_none() && run.plan.url.is_none() {
        let fix = "a URL, e.g. http://10.0.0.7/; the built-in target comes with coordinator run --local";
        return Err(Refusal::usage("nothing says whom to load", fix));
    }
    let is_typed =
        |flag: &&&str| matches.value_source(flag.trim_start_matches('-')) == Some(ValueSource::CommandLine);
    if let Some(flag) = OF_A_NODE.iter().find(is_typed) {
        let what = format!("{flag}: each node says by itself how it uses its host");
        return Err(Refusal::usage(&what, &format!("engine node {flag} …, where the node is started")));
    }
    Ok(())
}

fn choice(over: &OverFleet) -> Result<NodeChoice, Refusal> {
    let labels = pairs(&over.label).map_err(|error| error.at(Place::Flag("--label")))?;
    let (weights, given) = value("--weights", over.weights.as_deref(), nodes_weighed)?.unwrap_or_default();
    Ok(NodeChoice {
        expect: over.nodes,
        at_most: over.nodes_most,
        wait_s: value("--wait", over.wait.as_deref(), seconds)?,
        labels,
        zones: value("--zones", over.zones.as_deref(), zones)?.unwrap_or_default(),
        weights,
        given,
    })
}

/// Reads the value of a flag.
pub(crate) fn value<T>(
    flag: &'static str,
    text: Option<&str>,
    read: impl Fn(&str) -> Result<T, PlanError>,
) -> Result<Option<T>, Refusal> {
    text.map(read).transpose().map_err(|error| Refusal::from(error.at(Place::Flag(flag))))
}

/// What a refused request is for whoever typed it.
pub(crate) fn exit_code(kind: crate::handle::RefusedKind) -> ExitCode {
    use crate::handle::RefusedKind::{Conflict, Forbidden, Invalid, Missing, TooMuch, Unavailable};
    match kind {
        Invalid | Missing | Conflict | TooMuch => ExitCode::Usage,
        Forbidden => ExitCode::Refused,
        Unavailable => ExitCode::Environment,
    }
}
