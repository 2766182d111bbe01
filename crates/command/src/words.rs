//! Flags as words again, to be read elsewhere.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args as _, CommandFactory as _, FromArgMatches as _, Parser};

use crate::{Flags, Refusal, Run, Surroundings, refusal};

/// Flags that say where the results of a run go: the affair of whoever asked for it.
pub const OUTPUTS: &[&str] = &["--json", "--ndjson", "--quiet", "--progress-every", "--color", "--control"];

/// Flags that say how one host is used: the affair of each node.
pub const OF_A_NODE: &[&str] = &["--cores", "--io", "--pacing"];

/// The flags of a run and nothing else.
#[derive(Debug, Parser)]
#[command(
    name = "engine",
    disable_help_flag = true,
    disable_version_flag = true,
    allow_negative_numbers = true
)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

/// Reads the words of `engine run`, without the program's name.
pub fn of_words(words: &[String], surroundings: &dyn Surroundings) -> Result<Run, Refusal> {
    let definition = Line::command();
    let words: Vec<OsString> =
        std::iter::once("engine").chain(words.iter().map(String::as_str)).map(OsString::from).collect();
    refusal::check_single_dashes(&words, &definition)?;
    let wrong = |error: clap::Error| refusal::from_clap(&error, &words, &definition, "engine");
    let matches = definition.clone().try_get_matches_from(&words).map_err(wrong)?;
    let flags = Flags::from_arg_matches(&matches).map_err(wrong)?;
    crate::run(flags, surroundings)
}

/// Words in one form, `--flag=value` each, whatever form they came in; none where they cannot be read.
pub fn plain_words(words: &[String]) -> Option<Vec<String>> {
    let words = std::iter::once("engine").chain(words.iter().map(String::as_str));
    Line::command().try_get_matches_from(words).ok().map(|matches| words_of(&matches, &[]))
}

/// The words that say what `matches` say about a run, without those that `without` names. Flags that are no flags of a
/// run are left out too.
pub fn words_of(matches: &ArgMatches, without: &[&str]) -> Vec<String> {
    let definition = Flags::augment_args(clap::Command::new("engine"));
    let mut words = Vec::new();
    let mut last = Vec::new();
    for argument in definition.get_arguments() {
        let id = argument.get_id().as_str();
        let given = matches.try_contains_id(id).is_ok_and(|known| known)
            && matches.value_source(id) == Some(ValueSource::CommandLine);
        if !given {
            continue;
        }
        let Some(name) = argument.get_long() else {
            last.extend(matches.get_many::<String>(id).into_iter().flatten().cloned());
            continue;
        };
        let flag = format!("--{name}");
        if without.contains(&flag.as_str()) {
            continue;
        }
        if matches!(argument.get_action(), ArgAction::SetTrue) {
            words.push(flag);
        } else {
            let values = matches.get_many::<String>(id).into_iter().flatten();
            words.extend(values.map(|value| format!("{flag}={value}")));
        }
    }
    if !last.is_empty() {
        // Behind two dashes, nothing is taken for a flag.
        words.push("--".to_owned());
        words.extend(last);
    }
    words
}

#[cfg(test)]
mod tests;
