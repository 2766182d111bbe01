//! The command line and the environment, read into a validated command.
//!
//! What it is: [`parse`], a function of arguments and [`Surroundings`] that yields what to do, or one line that says
//! where, what and how to fix it. What it is not: anything that starts, prints or exits.
//!
//! Invariants: a flag wins over its environment variable, and what the command line says about the load silences what
//! the environment says about it; flags and variables are read by the same parsers and refused in the same words; no
//! message repeats a secret.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _};
use plan::document::PlanFile;
use plan::{Plan, Sizing};
use verdict::Threshold;

mod flags;
mod others;
mod own;
mod plan_file;
mod refusal;
mod run;
mod sources;

pub use others::{Merge, TargetAlone};
pub(crate) use own::parse_own;
pub use refusal::Refusal;

use crate::protocol::Spoken;
use flags::{CommandLine, SubCommand};

/// The process around the command line, as far as reading it needs.
pub trait Surroundings {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The contents of a file; `-` is standard input.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether there is a directory at `path`.
    fn is_directory(&self, path: &Path) -> bool;
}

/// This process.
#[derive(Copy, Clone, Debug, Default)]
pub struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes)?;
            return Ok(bytes);
        }
        std::fs::read(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }
}

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Run a plan.
    Run(Box<Run>),
    /// Run the built-in target alone.
    Target(Box<TargetAlone>),
    /// Merge summaries.
    Merge(Merge),
    /// Explain a plan file with what flags and variables say instead of it.
    Check(Box<Run>),
    /// Run one iteration and show it.
    Debug(Box<Debug>),
    /// Print the schema with this name, or list the names.
    Schema(Option<String>),
    /// Examine this host, with so many connections in mind.
    Doctor {
        /// Connections that are meant to be opened.
        connections: Option<u32>,
    },
    /// Print a text that was asked for (help, version) on standard output, and exit with 0.
    Print(String),
    /// Print the help on standard error and exit with 2: nothing was asked for, perhaps because a variable in a script
    /// is unset.
    Nothing(String),
}

/// A run.
#[derive(Debug)]
pub struct Run {
    /// What to execute.
    pub plan: Plan,
    /// What the plan is made of anew when the size of an exchange is known, if its load is a bandwidth.
    pub sizing: Option<Sizing>,
    /// What the plan is read from, if it is a file: the plan then holds what is the same for all of it.
    pub file: Option<Box<FromFile>>,
    /// What is spoken instead of HTTP.
    pub spoken: Option<Spoken>,
    /// What must hold; the texts stand in the plan.
    pub thresholds: Vec<Threshold>,
    /// Where results go.
    pub outputs: Outputs,
}

/// One iteration of what a plan file says, to be shown.
#[derive(Debug)]
pub struct Debug {
    /// The plan.
    pub run: Run,
    /// Which iterations.
    pub which: Which,
}

/// Which iterations of a plan file.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Of every workload.
    All,
    /// Of one workload: its place in the file.
    Workload(usize),
    /// Of one scenario: its place in the file.
    Scenario(usize),
}

/// A plan that was read from a file.
#[derive(Debug)]
pub struct FromFile {
    /// What it says, with what flags and variables say instead.
    pub file: PlanFile,
    /// How messages call it.
    pub name: String,
    /// The folder from which its paths start.
    pub folder: PathBuf,
    /// What flags and variables replaced, in words.
    pub replaced: Vec<String>,
    /// One of its workloads is run alone.
    pub is_part: bool,
}

/// Where the results of a run go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// The summary document.
    pub json: Option<Sink>,
    /// The document of every second.
    pub ndjson: Option<Sink>,
    /// No progress on standard error.
    pub quiet: bool,
    /// Time between progress lines where standard error is no terminal, in nanoseconds.
    pub progress_every_ns: u64,
    /// Whether to colour.
    pub color: Color,
    /// The control socket.
    pub control: Option<PathBuf>,
}

impl Outputs {
    /// Whether a document takes standard output, so that nothing else may be printed there.
    pub fn document_on_stdout(&self) -> bool {
        [&self.json, &self.ndjson].into_iter().flatten().any(|sink| *sink == Sink::Stdout)
    }
}

/// Where a document goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// Whether to colour what people read.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// When it goes to a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Reads arguments, the program's name first, and the environment.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: &dyn Surroundings,
) -> Result<Command, Refusal> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = CommandLine::command();
    check_single_dashes(&arguments, &command)?;
    let matches = match command.try_get_matches_from_mut(&arguments) {
        Ok(matches) => matches,
        Err(error) => {
            return match error.kind() {
                clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => {
                    Ok(Command::Print(error.render().to_string()))
                }
                _ => Err(refusal::from_clap(&error)),
            };
        }
    };
    let line = CommandLine::from_arg_matches(&matches).map_err(|error| refusal::from_clap(&error))?;
    match line.command {
        Some(SubCommand::Target(flags)) => others::target(&flags, surroundings),
        Some(SubCommand::Merge(flags)) => others::merge(flags, surroundings),
        Some(SubCommand::Check(flags)) => {
            let Some(file) = flags.positional_url.as_deref().map(PathBuf::from) else {
                return Err(Refusal::usage("check: there is no plan file", "engine check plan.yaml"));
            };
            let run = plan_file::from_file(*flags, &file, surroundings)?;
            Ok(Command::Check(Box::new(run)))
        }
        Some(SubCommand::Debug(flags)) => others::debug(flags, surroundings),
        Some(SubCommand::Schema(flags)) => Ok(Command::Schema(flags.name)),
        Some(SubCommand::Doctor(flags)) => others::doctor(&flags),
        Some(SubCommand::Run(flags)) => {
            let file = flags.positional_url.as_deref().filter(|text| plan_file::is_plan_file(text));
            let run = match file.map(PathBuf::from) {
                Some(file) => Some(plan_file::from_file(*flags, &file, surroundings)?),
                None => run::build(*flags, surroundings)?,
            };
            run.map(|run| Command::Run(Box::new(run))).ok_or_else(run::nothing_to_run)
        }
        None => {
            let bare = arguments.len() <= 1;
            let run = run::build(line.flags, surroundings)?;
            match run {
                Some(run) => Ok(Command::Run(Box::new(run))),
                None if bare => Ok(Command::Nothing(command.render_help().to_string())),
                None => Err(run::no_load()),
            }
        }
    }
}

/// Refuses long flags with one dash, as some tools have them: clap would read `-rate=5` as `-r ate=5`.
fn check_single_dashes(arguments: &[OsString], command: &clap::Command) -> Result<(), Refusal> {
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if argument == "--" {
            break;
        }
        let Some(name) = argument.strip_prefix('-').filter(|name| name.len() > 1 && !name.starts_with('-'))
        else {
            continue;
        };
        let name = name.split('=').next().unwrap_or(name);
        let long = format!("--{name}");
        let known = command
            .get_arguments()
            .any(|flag| flag.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name)));
        if known {
            return Err(Refusal::usage(&format!("-{name}: long flags have two dashes"), &long));
        }
        if let Some(ours) = refusal::other_tools_word(&long) {
            return Err(Refusal::usage(&format!("-{name}: no such flag here"), ours));
        }
    }
    Ok(())
}

/// Where a document goes; the directory must exist, which is cheaper to say before a run than after it.
fn sink(text: &str, surroundings: &dyn Surroundings) -> Result<Sink, plan::PlanError> {
    if text.is_empty() {
        return Err(plan::PlanError::new(
            "the file name is empty: is a variable unset?",
            "e.g. run.json, or -",
        ));
    }
    if text == "-" {
        return Ok(Sink::Stdout);
    }
    let path = PathBuf::from(text);
    if surroundings.is_directory(&path) || text.ends_with('/') {
        return Err(plan::PlanError::new(format!("{} is a directory", plan::quoted(text)), "a file in it"));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !surroundings.is_directory(parent)) {
        let what = format!("there is no directory {}", plan::quoted(&parent.to_string_lossy()));
        return Err(plan::PlanError::new(what, "make it first (mkdir -p), or name another file"));
    }
    Ok(Sink::File(path))
}

/// Reads a file that a flag names.
fn file(text: &str, surroundings: &dyn Surroundings) -> Result<Vec<u8>, plan::PlanError> {
    if text.is_empty() {
        return Err(plan::PlanError::new(
            "the file name is empty: is a variable unset?",
            "the path of a file",
        ));
    }
    surroundings.read(Path::new(text)).map_err(|error| {
        let what = format!("cannot read {}: {}", plan::quoted(text), reason(&error));
        plan::PlanError::new(what, "the path of a file that this user may read")
    })
}

/// What the system said, without Rust's number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        _ => error.to_string(),
    }
}

/// Reads `auto`, `always` or `never`.
fn color(text: &str) -> Result<Color, plan::PlanError> {
    match text {
        "auto" => Ok(Color::Auto),
        "always" => Ok(Color::Always),
        "never" => Ok(Color::Never),
        _ => Err(plan::PlanError::new(
            format!("{} is not a choice of colour", plan::quoted(text)),
            "one of auto, always, never",
        )),
    }
}

/// What the environment says about colour (no-color.org, bixense.com/clicolors).
fn environment_color(surroundings: &dyn Surroundings) -> Color {
    let set = |name: &str| {
        surroundings.variable(name).is_some_and(|value| !value.is_empty() && value != OsStr::new("0"))
    };
    if surroundings.variable("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        Color::Never
    } else if set("CLICOLOR_FORCE") {
        Color::Always
    } else {
        Color::Auto
    }
}

#[cfg(test)]
mod tests;
