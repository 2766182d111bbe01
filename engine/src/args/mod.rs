//! The command line and the environment, read into a validated command.
//!
//! What it is: [`parse`], a function of arguments and [`Surroundings`] that yields what to do, or one line that says
//! where, what and how to fix it; the flags of a run are read by `command`. What it is not: anything that starts, prints
//! or exits.
//!
//! Invariants: a flag wins over its environment variable, and what the command line says about the load silences what
//! the environment says about it; flags and variables are read by the same parsers and refused in the same words; no
//! message repeats a secret.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _};
use plan::{Plan, Sizing};
use verdict::Threshold;

mod flags;
mod node;
mod others;
mod own;

pub use command::{Color, FromFile, Outputs, Process, Refusal, Sink, Surroundings};
pub use others::{Merge, TargetAlone};
pub(crate) use own::parse_own;

use crate::protocol::Spoken;
use flags::{CommandLine, SubCommand};

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
    /// Take part in a fleet.
    Node(Box<crate::agent::Config>),
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

impl From<command::Run> for Run {
    fn from(run: command::Run) -> Self {
        let command::Run { plan, sizing, file, thresholds, outputs } = run;
        Self { plan, sizing, file, spoken: None, thresholds, outputs }
    }
}

/// Reads arguments, the program's name first, and the environment.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: &dyn Surroundings,
) -> Result<Command, Refusal> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut definition = CommandLine::command();
    command::check_single_dashes(&arguments, &definition)?;
    let known = definition.clone();
    let wrong = |error: &clap::Error| command::from_clap(error, &arguments, &known, "engine");
    let matches = match definition.try_get_matches_from_mut(&arguments) {
        Ok(matches) => matches,
        Err(error) => {
            return match error.kind() {
                clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => {
                    Ok(Command::Print(error.render().to_string()))
                }
                _ => Err(wrong(&error)),
            };
        }
    };
    let line = CommandLine::from_arg_matches(&matches).map_err(|error| wrong(&error))?;
    match line.command {
        Some(SubCommand::Target(flags)) => others::target(&flags, surroundings),
        Some(SubCommand::Merge(flags)) => others::merge(flags, surroundings),
        Some(SubCommand::Check(flags)) => {
            let Some(file) = flags.positional_url.as_deref().map(PathBuf::from) else {
                return Err(Refusal::usage("check: there is no plan file", "engine check plan.yaml"));
            };
            let run = command::from_file(*flags, &file, surroundings)?;
            Ok(Command::Check(Box::new(run.into())))
        }
        Some(SubCommand::Debug(flags)) => others::debug(flags, surroundings),
        Some(SubCommand::Schema(flags)) => Ok(Command::Schema(flags.name)),
        Some(SubCommand::Doctor(flags)) => others::doctor(&flags),
        Some(SubCommand::Node(flags)) => node::node(*flags, surroundings),
        Some(SubCommand::Run(flags)) => {
            Ok(Command::Run(Box::new(command::run(*flags, surroundings)?.into())))
        }
        None => {
            let bare = arguments.len() <= 1;
            let run = command::unless_nothing(line.flags, surroundings)?;
            match run {
                Some(run) => Ok(Command::Run(Box::new(run.into()))),
                None if bare => Ok(Command::Nothing(definition.render_help().to_string())),
                None => Err(command::no_load()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
