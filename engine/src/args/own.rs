//! The command line of a program with a protocol of its own: the engine's, without what is about HTTP, with its flags.
//!
//! What it is not: another set of flags; what is the same is read by the same functions.

use std::ffi::OsString;

use clap::{Arg, CommandFactory as _, FromArgMatches as _};
use plan::{Place, PlanError, Scheme, Url};

use command::{Asked, Flags, check_single_dashes, from_clap};

use super::flags::{AFTER_HELP, CommandLine, SubCommand};
use super::{Command, Refusal, Run, Surroundings, others};
use crate::protocol::{About, Given, Spoken};

/// Flags that are about HTTP, and about plan files, which describe it.
const OF_HTTP: &[&str] = &[
    "--method",
    "--header",
    "--body",
    "--body-file",
    "--body-size",
    "--fail-status",
    "--max-head",
    "--max-body",
    "--gbit",
    "--workload",
];

/// Commands that are about HTTP.
const HTTP_COMMANDS: &[&str] = &["run", "target", "check", "debug", "node"];

/// Reads the arguments of a program, its name first, and the environment. `speak` makes its protocol of its own flags; what
/// it says against them is told.
pub(crate) fn parse_own(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: &dyn Surroundings,
    about: &About,
    speak: impl FnOnce(&Given) -> Result<Spoken, String>,
) -> Result<Command, Refusal> {
    let renamed = |refusal: Refusal| Refusal {
        message: refusal.message.replace("engine --help", &format!("{} --help", about.name)),
        ..refusal
    };
    read(arguments, surroundings, about, speak).map_err(renamed)
}

fn read(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: &dyn Surroundings,
    about: &About,
    speak: impl FnOnce(&Given) -> Result<Spoken, String>,
) -> Result<Command, Refusal> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = command(about);
    check_single_dashes(&arguments, &command)?;
    let known = command.clone();
    let wrong = |error: &clap::Error| from_clap(error, &arguments, &known, about.name);
    let matches = match command.try_get_matches_from_mut(&arguments) {
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
        Some(SubCommand::Merge(flags)) => others::merge(flags, surroundings),
        Some(SubCommand::Schema(flags)) => Ok(Command::Schema(flags.name)),
        Some(SubCommand::Doctor(flags)) => others::doctor(&flags),
        Some(of_http) => {
            let name = match of_http {
                SubCommand::Target(_) => "target",
                SubCommand::Check(_) => "check",
                SubCommand::Debug(_) => "debug",
                SubCommand::Node(_) => "node",
                _ => "run",
            };
            let what = format!("{name}: it is about HTTP, and this program speaks {}", about.protocol());
            Err(Refusal::usage(&what, &format!("{} URL --tps RATE, or engine {name}", about.name)))
        }
        None if arguments.len() <= 1 => Ok(Command::Nothing(command.render_help().to_string())),
        None => {
            let given = given(about, &matches, surroundings)?;
            let spoken =
                speak(&given).map_err(|message| Refusal { message, exit_code: verdict::ExitCode::Usage })?;
            Ok(Command::Run(Box::new(build(line.flags, surroundings, about, spoken)?)))
        }
    }
}

/// The engine's command line, as this program has it.
fn command(about: &About) -> clap::Command {
    let url = about.example_url();
    let mut command = CommandLine::command()
        .name(about.name)
        .bin_name(about.name)
        .about(about.about)
        .override_usage(format!("{0} URL --tps RATE [FLAGS]\n       {0} <COMMAND> [FLAGS]", about.name))
        .after_help(AFTER_HELP)
        .mut_arg("positional_url", |argument| argument.help(format!("Whom to load, e.g. {url}")));
    command = command.mut_args(|argument| {
        let is_of_http = argument
            .get_long()
            .is_some_and(|name| OF_HTTP.iter().any(|flag| flag.strip_prefix("--") == Some(name)));
        if is_of_http { argument.hide(true) } else { argument }
    });
    for name in HTTP_COMMANDS {
        command = command.mut_subcommand(name, |command| command.hide(true));
    }
    let ours = |flag: &str| CommandLine::command().get_arguments().any(|own| own.get_long() == Some(flag));
    for flag in about.flags {
        assert!(!ours(flag.name), "--{} is a flag of the engine's own", flag.name);
        let argument = Arg::new(flag.name).long(flag.name).value_name(flag.value).help(flag.help);
        command = command.arg(argument.help_heading("Protocol").allow_hyphen_values(true));
    }
    command
}

/// What the program's own flags and their variables say.
fn given(
    about: &About,
    matches: &clap::ArgMatches,
    surroundings: &dyn Surroundings,
) -> Result<Given, Refusal> {
    let mut given = Given::default();
    for flag in about.flags {
        let variable = format!("ENGINE_{}", flag.name.to_ascii_uppercase().replace('-', "_"));
        let text = match matches.get_one::<String>(flag.name) {
            Some(text) => Some(text.clone()),
            None => {
                surroundings.variable(&variable).map(OsString::into_string).transpose().map_err(|_| {
                    Refusal::usage(&format!("{variable}: the value is not text (not shown)"), "UTF-8")
                })?
            }
        };
        if let Some(text) = text {
            given.set(flag.name, text);
        }
    }
    Ok(given)
}

fn build(
    mut flags: Flags,
    surroundings: &dyn Surroundings,
    about: &About,
    spoken: Spoken,
) -> Result<Run, Refusal> {
    let schemes: Vec<Scheme> = about.schemes.iter().copied().map(Scheme::Own).collect();
    let Asked { overrides, outputs, thresholds } = command::read(&mut flags, surroundings, &schemes)?;
    if let Some(place) = OF_HTTP.iter().find_map(|flag| overrides.place_given(flag)) {
        let what = format!("it is about HTTP, and this program speaks {}", about.protocol());
        return Err(PlanError::new(what, "leave it out").at(place).into());
    }
    let draft = overrides.draft;
    check_url(draft.url.as_ref(), about)?;
    let mut plan = draft.into_plan()?;
    plan.tls.alpn = Vec::new();
    Ok(Run { plan, sizing: None, file: None, spoken: Some(spoken), thresholds, outputs })
}

fn check_url(url: Option<&Url>, about: &About) -> Result<(), PlanError> {
    match url {
        None => {
            let what = "nothing says whom to load: the built-in target speaks HTTP alone";
            Err(PlanError::new(what, format!("a URL, e.g. {}", about.example_url())))
        }
        Some(url) if url.target() != "/" => {
            let what = format!("{} has no paths", about.protocol());
            Err(PlanError::new(what, "the host and port alone").at(Place::Argument("URL")))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
