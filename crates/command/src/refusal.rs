//! How a wrong command line is answered: one line that says where, what and how to fix it.
//!
//! What it is: the error of this crate, and the translation of clap's errors and of other tools' words into it.
//! Invariant: nothing that a user wrote is repeated except through [`plan::quoted`], which withholds secrets.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use plan::{PlanError, quoted};
use verdict::ExitCode;

/// Why the program does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// One line: where, what, how to fix it.
    pub message: String,
    /// [`ExitCode::Usage`], or [`ExitCode::Refused`] by a safety rail.
    pub exit_code: ExitCode,
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        let exit_code = if error.is_refusal() { ExitCode::Refused } else { ExitCode::Usage };
        Self { message: error.to_string(), exit_code }
    }
}

impl Refusal {
    /// A usage error: what is wrong and where, and how to fix it.
    pub fn usage(what: &str, fix: &str) -> Self {
        Self { message: format!("{what} → {fix}"), exit_code: ExitCode::Usage }
    }
}

/// Words of other tools, and ours for them.
const OTHER_TOOLS: &[(&str, &str)] = &[
    ("-R", "--tps RATE"),
    ("-q", "--tps RATE for the rate, or --quiet"),
    ("-z", "-d DURATION"),
    ("-t", "-d DURATION for the time, or --cores N for the threads"),
    ("-i", "-n COUNT"),
    ("-s", "--spawn-rate or --users; scripts are not supported"),
    ("-p", "-c CONNECTIONS"),
    ("-w", "-c CONNECTIONS"),
    ("-m", "-X METHOD"),
    ("-D", "--body-file FILE"),
    ("-o", "--json FILE"),
    ("-a", "-H 'Authorization: …'"),
    ("-b", "--body TEXT"),
    ("-L", "redirects are not followed; leave it out"),
    ("-v", "the summary already tells everything; leave it out"),
    ("--qps", "--tps RATE"),
    ("--rps", "--tps RATE"),
    ("--arrival-rate", "--tps RATE"),
    ("--vus", "--users COUNT"),
    ("--concurrency", "-c CONNECTIONS"),
    ("--workers", "-c CONNECTIONS, or --cores N"),
    ("--max-workers", "-c CONNECTIONS"),
    ("--threads", "--cores N"),
    ("--processes", "--cores N"),
    ("--requests", "-n COUNT"),
    ("--iterations", "-n COUNT"),
    ("--run-time", "-d DURATION"),
    ("--time", "-d DURATION"),
    ("--stage", "--stages STAGES"),
    ("--host", "the URL as an argument, or --url URL"),
    ("--data", "--body TEXT"),
    ("--data-raw", "--body TEXT"),
    ("--data-binary", "--body-file FILE"),
    ("--request", "-X METHOD"),
    ("--headers", "-H 'Name: value', once for each"),
    ("--user", "--users COUNT for users, or -H 'Authorization: …'"),
    ("--cacert-file", "--cacert FILE"),
    ("--ca", "--cacert FILE"),
    ("--no-keepalive", "--close-after 1"),
    ("--disable-keepalive", "--close-after 1"),
    ("--keepalive", "connections are kept by default; leave it out"),
    ("--latency", "percentiles are always printed; leave it out"),
    ("--http2", "the engine speaks HTTP/1.1; leave it out"),
    ("--h1", "the engine speaks HTTP/1.1 anyway; leave it out"),
    ("--no-tui", "--quiet"),
    ("--headless", "there is no screen to switch off; leave it out"),
    ("--no-color", "--color never"),
    ("--out", "--json FILE or --ndjson FILE"),
    ("--output", "--json FILE"),
    ("--html", "--json FILE"),
    ("--csv", "--ndjson FILE"),
    ("--tags", "--tag NAME=VALUE, once for each"),
    ("--thresholds", "--threshold, once for each"),
    ("--poisson", "--process poisson"),
    ("--spin", "--pacing spin"),
];

/// Ours for another tool's word.
fn other_tools_word(flag: &str) -> Option<&'static str> {
    OTHER_TOOLS.iter().find(|(word, _)| *word == flag).map(|&(_, ours)| ours)
}

/// One line for what clap found wrong with the arguments of `program`, which `definition` describes.
pub fn from_clap(error: &clap::Error, definition: &clap::Command, program: &str) -> Refusal {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => {
            let unknown =
                if argument.is_empty() { context(ContextKind::InvalidSubcommand) } else { Some(argument) };
            let suggestion = context(ContextKind::SuggestedArg);
            unknown_argument(&unknown.unwrap_or_default(), suggestion.as_deref(), definition, program)
        }
        ErrorKind::InvalidValue
            if context(ContextKind::InvalidValue).is_none_or(|value| value.is_empty()) =>
        {
            let (flag, value) = argument.split_once(' ').unwrap_or((&argument, "a value"));
            Refusal::usage(&format!("{flag}: there is no value"), &format!("{flag} {value}"))
        }
        ErrorKind::TooManyValues => {
            let flag = argument.split(' ').next().unwrap_or_default();
            Refusal::usage(&format!("{flag}: it is a switch and takes no value"), flag)
        }
        ErrorKind::ArgumentConflict => {
            let flag = argument.split(' ').next().unwrap_or_default();
            let other = context(ContextKind::PriorArg).unwrap_or_default();
            let other = other.split(' ').next().unwrap_or_default();
            if flag.is_empty() {
                // Two arguments without a flag: clap takes the second for a command.
                too_many_arguments()
            } else if other == flag {
                Refusal::usage(&format!("{flag}: it is given twice"), "once")
            } else {
                Refusal::usage(
                    &format!("{flag}: flags of a run do not go together with a command"),
                    &format!("write the command first, then its own flags ({program} COMMAND --help)"),
                )
            }
        }
        ErrorKind::MissingRequiredArgument => {
            Refusal::usage(&format!("{argument}: it is missing"), &format!("see {program} COMMAND --help"))
        }
        ErrorKind::InvalidUtf8 => Refusal::usage(
            "an argument is not UTF-8 text (not shown)",
            "UTF-8; binary bodies go into --body-file",
        ),
        _ => Refusal::usage("the command line cannot be read", &format!("{program} --help")),
    }
}

fn too_many_arguments() -> Refusal {
    Refusal::usage(
        "there is one argument too many (not shown)",
        "one URL; values with spaces in quotes, e.g. -H 'Accept: text/html'",
    )
}

fn unknown_argument(
    argument: &str,
    suggestion: Option<&str>,
    definition: &clap::Command,
    program: &str,
) -> Refusal {
    let flag = argument.split('=').next().unwrap_or_default();
    if !flag.starts_with('-') {
        return too_many_arguments();
    }
    if let Some(ours) = other_tools_word(flag) {
        return Refusal::usage(&format!("{flag}: no such flag here"), ours);
    }
    let what = format!("{}: no such flag", quoted(flag).trim_matches('"'));
    if flag[1..].starts_with(|first: char| first.is_ascii_digit()) {
        return Refusal::usage(&what, "a value that begins with - is written --flag=VALUE");
    }
    let swapped = swapped_letters(flag, definition);
    if swapped.as_deref() == Some(flag) {
        // It was given to a command, which has flags of its own.
        return Refusal::usage(
            &format!("{flag}: a flag of a run, not of this command"),
            &format!("{program} COMMAND --help shows the flags that a command takes"),
        );
    }
    match suggestion.or(swapped.as_deref()) {
        Some(ours) => Refusal::usage(&what, &format!("did you mean {ours}?")),
        None => Refusal::usage(&what, &format!("see {program} --help")),
    }
}

/// The flag with the same letters in another order, which clap's measure of likeness misses in short words.
fn swapped_letters(flag: &str, definition: &clap::Command) -> Option<String> {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let letters = sorted(flag.strip_prefix("--")?);
    let name =
        definition.get_arguments().filter_map(clap::Arg::get_long).find(|name| sorted(name) == letters)?;
    Some(format!("--{name}"))
}

/// Refuses long flags with one dash, as some tools have them: clap would read `-rate=5` as `-r ate=5`.
pub fn check_single_dashes(arguments: &[std::ffi::OsString], command: &clap::Command) -> Result<(), Refusal> {
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
        if let Some(ours) = other_tools_word(&long) {
            return Err(Refusal::usage(&format!("-{name}: no such flag here"), ours));
        }
    }
    Ok(())
}
