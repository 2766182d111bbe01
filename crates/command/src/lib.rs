//! The words of a run: flags, environment variables and plan files, read into a valid plan.
//!
//! What it is: what `engine run` understands, for every program that must understand it: the engine, and the coordinator
//! that hands the same words on to its nodes. [`run`] reads flags, [`of_words`] reads words, [`Recording`] notes what a
//! reading took from the process around it, [`Carried`] gives it back on another machine; [`outputs`] writes what a run leaves
//! where its words say.
//! What it is not: anything that starts or exits.
//!
//! Invariants: a flag wins over its environment variable, and what the command line says about the load silences what
//! the environment says about it; flags and variables are read by the same parsers and refused in the same words; no
//! message repeats a secret. The words of a [`Recording`], read with what it noted, yield the same plan.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use plan::document::PlanFile;
use plan::{Plan, Sizing};
use verdict::Threshold;

mod carried;
mod files;
mod flags;
pub mod outputs;
mod plan_file;
mod refusal;
mod run;
mod sources;
mod words;

pub use carried::{Carried, Noted, Recording};
pub use files::{FILE_BYTES_MAX, Here, Paths, Process, Surroundings, name_of, reason};
pub use flags::Flags;
pub use plan_file::{from_file, is_plan_file};
pub use refusal::{Refusal, check_single_dashes, from_clap};
pub use run::{Asked, COMMANDS, HTTP, no_load, nothing_to_run, read, unless_nothing};
pub use words::{OF_A_NODE, OUTPUTS, of_words, plain_words, words_of};

/// A run.
#[derive(Debug)]
pub struct Run {
    /// What to execute.
    pub plan: Plan,
    /// What the plan is made of anew when the size of an exchange is known, if its load is a bandwidth.
    pub sizing: Option<Sizing>,
    /// What the plan is read from, if it is a file: the plan then holds what is the same for all of it.
    pub file: Option<Box<FromFile>>,
    /// What must hold; the texts stand in the plan.
    pub thresholds: Vec<Threshold>,
    /// Where results go.
    pub outputs: Outputs,
}

/// A plan that was read from a file.
#[derive(Debug)]
pub struct FromFile {
    /// What it says, with what flags and variables say instead.
    pub file: PlanFile,
    /// How messages call it.
    pub name: String,
    /// Where its paths lead.
    pub folder: Paths,
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

/// Reads a run as `engine run` does: from the plan file that stands in place of the URL, or from the flags alone.
pub fn run(flags: Flags, surroundings: &dyn Surroundings) -> Result<Run, Refusal> {
    let file = flags.positional_url.as_deref().filter(|text| is_plan_file(text)).map(PathBuf::from);
    match file {
        Some(file) => from_file(flags, &file, surroundings),
        None => unless_nothing(flags, surroundings)?.ok_or_else(nothing_to_run),
    }
}

/// Where a document goes; the directory must exist, which is cheaper to say before a run than after it.
pub fn sink(text: &str, surroundings: &dyn Surroundings) -> Result<Sink, plan::PlanError> {
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
pub fn file(text: &str, surroundings: &dyn Surroundings) -> Result<Vec<u8>, plan::PlanError> {
    if text.is_empty() {
        return Err(plan::PlanError::new(
            "the file name is empty: is a variable unset?",
            "the path of a file",
        ));
    }
    surroundings.read(Path::new(text)).map_err(|error: io::Error| {
        let what = format!("cannot read {}: {}", plan::quoted(text), reason(&error));
        plan::PlanError::new(what, "the path of a file that this user may read")
    })
}

/// Reads `auto`, `always` or `never`.
pub fn color(text: &str) -> Result<Color, plan::PlanError> {
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
pub fn environment_color(surroundings: &dyn Surroundings) -> Color {
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
