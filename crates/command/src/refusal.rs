//! How a wrong command line is answered: one line that says where, what and how to fix it.
//!
//! What it is: the error of this crate, and the translation of clap's errors and of other tools' words into it.
//! Invariant: nothing that a user wrote is repeated except through [`plan::quoted`], which withholds secrets.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use plan::{PlanError, quoted};
use verdict::ExitCode;

/// Why the program does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// One line: where, what, how to fix it.
    pub message: String,
    /// [`ExitCode::Usage`], [`ExitCode::Refused`] by a safety rail, or [`ExitCode::Environment`] by the host.
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

    /// The host refuses: what it refuses and where, and how to fix it.
    pub fn environment(what: &str, fix: &str) -> Self {
        Self { message: format!("{what} → {fix}"), exit_code: ExitCode::Environment }
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

/// A command that was typed: its words, such as `engine merge`, and what clap knows of it.
struct AtHand<'a> {
    words: String,
    definition: &'a clap::Command,
}

impl<'a> AtHand<'a> {
    fn of(arguments: &[OsString], definition: &'a clap::Command, program: &str) -> Self {
        let mut at_hand = Self { words: program.to_owned(), definition };
        for name in arguments.iter().skip(1).map_while(|argument| argument.to_str()) {
            let Some(command) = at_hand.definition.find_subcommand(name) else { break };
            at_hand.words.push(' ');
            at_hand.words.push_str(command.get_name());
            at_hand.definition = command;
        }
        at_hand
    }

    /// Where more is told.
    fn help(&self) -> String {
        format!("{} --help", self.words)
    }

    fn has_flag(&self, name: &str) -> bool {
        let mut flags = self.definition.get_arguments();
        flags.any(|flag| flag.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name)))
    }

    /// Ours for another tool's word, where the command has it.
    fn other_tools_word(&self, flag: &str) -> Option<&'static str> {
        let (_, ours) = OTHER_TOOLS.iter().find(|(word, _)| *word == flag)?;
        let name = ours.strip_prefix("--").and_then(|ours| ours.split(' ').next());
        let is_run = self.has_flag("tps");
        Some(*ours).filter(|_| is_run || name.is_some_and(|name| self.has_flag(name)))
    }

    fn too_many_arguments(&self) -> Refusal {
        let places: Vec<String> = self.definition.get_positionals().map(ToString::to_string).collect();
        let fix = match &*places {
            [] => format!("{} takes flags alone: {}", self.words, self.help()),
            [url] if url == "[URL]" => {
                "one URL; values with spaces in quotes, e.g. -H 'Accept: text/html'".to_owned()
            }
            places => format!("{} {}", self.words, places.join(" ")),
        };
        Refusal::usage("there is one argument too many (not shown)", &fix)
    }

    fn no_command(&self, name: &str) -> Refusal {
        let names: Vec<&str> = self.definition.get_subcommands().map(clap::Command::get_name).collect();
        let fix = format!("one of {}: {}", names.join(", "), self.help());
        Refusal::usage(&format!("{} is no command", quoted(name)), &fix)
    }
}

/// What clap tells of an error.
struct Told<'a>(&'a clap::Error);

impl Told<'_> {
    fn all(&self, kind: ContextKind) -> Vec<String> {
        match self.0.get(kind) {
            Some(ContextValue::String(text)) => vec![text.clone()],
            Some(ContextValue::Strings(texts)) => texts.clone(),
            _ => Vec::new(),
        }
    }

    fn first(&self, kind: ContextKind) -> String {
        self.all(kind).into_iter().next().unwrap_or_default()
    }
}

/// One line for what clap found wrong with `arguments`, the program's name first, which `definition` describes.
pub fn from_clap(
    error: &clap::Error,
    arguments: &[OsString],
    definition: &clap::Command,
    program: &str,
) -> Refusal {
    let (at_hand, told) = (AtHand::of(arguments, definition, program), Told(error));
    let argument = told.first(ContextKind::InvalidArg);
    let flag = argument.split(' ').next().unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let suggestion = told.first(ContextKind::SuggestedArg);
            unknown_argument(&argument, &suggestion, &at_hand, definition)
        }
        ErrorKind::InvalidSubcommand => {
            let name = told.first(ContextKind::InvalidSubcommand);
            let takes_words = at_hand.definition.get_positionals().next().is_some();
            if takes_words { at_hand.too_many_arguments() } else { at_hand.no_command(&name) }
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => wrong_value(&told, &argument, &at_hand),
        ErrorKind::TooManyValues => {
            Refusal::usage(&format!("{flag}: it is a switch and takes no value"), flag)
        }
        ErrorKind::ArgumentConflict => {
            let other = told.first(ContextKind::PriorArg);
            let other = other.split(' ').next().unwrap_or_default();
            if flag.is_empty() {
                // Two arguments without a flag: clap takes the second for a command.
                at_hand.too_many_arguments()
            } else if other == flag {
                Refusal::usage(&format!("{flag}: it is given twice"), "once")
            } else {
                let both = format!("{flag} and {other} do not go together");
                Refusal::usage(&both, &format!("leave one out: {}", at_hand.help()))
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = told.all(ContextKind::InvalidArg);
            let are_missing = if missing.len() > 1 { "they are missing" } else { "it is missing" };
            Refusal::usage(
                &format!("{}: {are_missing}", missing.join(", ")),
                &format!("{} {}", at_hand.words, missing.join(" ")),
            )
        }
        ErrorKind::InvalidUtf8 => Refusal::usage(
            "an argument is not UTF-8 text (not shown)",
            "UTF-8; binary bodies go into --body-file",
        ),
        _ => Refusal::usage("the command line cannot be read", &at_hand.help()),
    }
}

/// A value that there is not, that is none of those that there are, or that its parser refused.
fn wrong_value(told: &Told<'_>, argument: &str, at_hand: &AtHand<'_>) -> Refusal {
    let (flag, place) = argument.split_once(' ').unwrap_or((argument, "a value"));
    let value = told.first(ContextKind::InvalidValue);
    let reason = told.0.source().map(ToString::to_string).unwrap_or_default();
    if let Some((what, fix)) = reason.split_once(" → ") {
        return Refusal::usage(&format!("{flag}: {what}"), fix);
    }
    if value.is_empty() {
        return Refusal::usage(&format!("{flag}: there is no value"), &format!("{flag} {place}"));
    }
    let what = format!("{flag}: it cannot be {}", quoted(&value));
    match &*told.all(ContextKind::ValidValue) {
        [] => Refusal::usage(&what, &format!("see {}", at_hand.help())),
        values => Refusal::usage(&what, &format!("one of {}", values.join(", "))),
    }
}

fn unknown_argument(
    argument: &str,
    suggestion: &str,
    at_hand: &AtHand<'_>,
    definition: &clap::Command,
) -> Refusal {
    let flag = argument.split('=').next().unwrap_or_default();
    if !flag.starts_with('-') {
        return at_hand.too_many_arguments();
    }
    if let Some(ours) = at_hand.other_tools_word(flag) {
        return Refusal::usage(&format!("{flag}: no such flag here"), ours);
    }
    let what = format!("{}: no such flag", quoted(flag).trim_matches('"'));
    if flag[1..].starts_with(|first: char| first.is_ascii_digit()) {
        return Refusal::usage(&what, "a value that begins with - is written --flag=VALUE");
    }
    let swapped = swapped_letters(flag, at_hand.definition).or_else(|| swapped_letters(flag, definition));
    if swapped.as_deref() == Some(flag) {
        // It was given to a command, which has flags of its own.
        return Refusal::usage(
            &format!("{flag}: a flag of a run, not of this command"),
            &format!("{} shows its flags", at_hand.help()),
        );
    }
    match Some(suggestion).filter(|ours| !ours.is_empty()).or(swapped.as_deref()) {
        Some(ours) => Refusal::usage(&what, &format!("did you mean {ours}?")),
        None => Refusal::usage(&what, &format!("see {}", at_hand.help())),
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
pub fn check_single_dashes(arguments: &[OsString], definition: &clap::Command) -> Result<(), Refusal> {
    let at_hand = AtHand::of(arguments, definition, "");
    let root = AtHand { words: String::new(), definition };
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
        if at_hand.has_flag(name) || root.has_flag(name) {
            return Err(Refusal::usage(&format!("-{name}: long flags have two dashes"), &long));
        }
        if let Some(ours) = at_hand.other_tools_word(&long) {
            return Err(Refusal::usage(&format!("-{name}: no such flag here"), ours));
        }
    }
    Ok(())
}
