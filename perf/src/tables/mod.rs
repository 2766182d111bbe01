//! The tables: which clients run against which target, and how the results are printed.
//!
//! Each table is a module with one function, from a [`Bench`] to a [`Table`]. Markdown goes to standard output as soon
//! as a table is done; the samples behind it go into the JSON document at the end.

mod bulk;
mod closed_loop;
mod comparison;
mod journey;
mod saturated;
mod scaling;
mod schedule;
mod tally;
mod tls;

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::arguments::Options;
use crate::child::{cores, raise_file_limit};
use crate::clients::{Client, What};
use crate::environment;
use crate::programs::Programs;
use crate::statistics::Spread;
use crate::{PerfError, emit, say};
use tally::Standing;

/// A table by its name.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Name {
    ClosedLoop,
    Sweep,
    Sizes,
    Churn,
    Bulk,
    Tls,
    Handshakes,
    Schedule,
    Scaling,
    Journey,
}

/// Every table, in the order of the document.
pub(crate) const ALL: &[Name] = &[
    Name::ClosedLoop,
    Name::Sweep,
    Name::Sizes,
    Name::Churn,
    Name::Bulk,
    Name::Tls,
    Name::Handshakes,
    Name::Schedule,
    Name::Scaling,
    Name::Journey,
];

/// All that a table needs to be measured.
#[derive(Debug)]
struct Bench<'a> {
    options: &'a Options,
    programs: &'a Programs,
    scratch: &'a Path,
    /// The client's core.
    core: usize,
    /// All cores that we may use.
    cores: &'a [usize],
    /// A core that is not the client's, if there is one.
    other_core: Option<usize>,
}

impl Bench<'_> {
    /// Those of the wanted clients that are there and were asked for.
    fn clients(&self, wanted: &[(&str, What)]) -> Vec<Client> {
        let only = &self.options.only;
        wanted
            .iter()
            .filter(|(name, _)| only.is_empty() || only.iter().any(|word| name.contains(word.as_str())))
            .filter_map(|(name, what)| Client::new(name, *what, self.programs))
            .collect()
    }
}

/// A finished table.
#[derive(Debug)]
struct Table {
    name: &'static str,
    markdown: String,
    samples: Value,
    /// How the engine stands beside its peers, where they saturate their core.
    standings: Vec<Standing>,
}

/// Measures and prints.
pub(crate) fn print(options: &Options, names: &[Name]) -> Result<(), PerfError> {
    raise_file_limit();
    let allowed = cores()?;
    let core = options.core.or_else(|| allowed.last().copied()).unwrap_or(0);
    for wanted in [Some(core), options.target_core].into_iter().flatten() {
        if !allowed.contains(&wanted) {
            return Err(PerfError::Refused {
                what: format!("core {wanted} is not among ours ({allowed:?})"),
            });
        }
    }
    let other_core = allowed.iter().copied().find(|other| *other != core);
    let programs = Programs::gather(options, names.iter().any(|name| matches!(name, Name::ClosedLoop)));
    let scratch = tempfile::tempdir().map_err(PerfError::system("cannot create a scratch folder"))?;
    let bench =
        Bench { options, programs: &programs, scratch: scratch.path(), core, cores: &allowed, other_core };
    let facts = environment::describe(&programs);
    emit(&heading(&bench, &facts))?;
    let mut tables = Map::new();
    let mut standings = Vec::new();
    for name in names {
        let table = match name {
            Name::ClosedLoop => closed_loop::measure(&bench),
            Name::Sweep => saturated::sweep(&bench),
            Name::Sizes => saturated::sizes(&bench),
            Name::Churn => saturated::churn(&bench),
            Name::Bulk => bulk::measure(&bench),
            Name::Tls => tls::measure(&bench),
            Name::Handshakes => tls::handshakes(&bench),
            Name::Schedule => schedule::measure(&bench),
            Name::Scaling => Ok(scaling::measure(&bench)),
            Name::Journey => journey::measure(&bench),
        }?;
        emit(&table.markdown)?;
        tables.insert(table.name.to_owned(), table.samples);
        standings.extend(table.standings);
    }
    emit(&tally::render(&standings))?;
    let Some(path) = &options.json else { return Ok(()) };
    let facts: Map<String, Value> = facts.into_iter().map(|(name, value)| (name, value.into())).collect();
    let document = json!({
        "environment": facts, "rounds": options.rounds(), "seconds": options.seconds(),
        "connections": options.connections, "notes": programs.notes, "tables": tables,
        "tally": tally::to_json(&standings),
    });
    say(&format!("writing {}", path.display()));
    std::fs::write(path, format!("{document:#}\n")).map_err(|source| PerfError::Output { source })
}

fn heading(bench: &Bench<'_>, facts: &[(String, String)]) -> String {
    let mut text = String::from("# Measured beside peers and baselines\n\n");
    for (name, value) in facts {
        line(&mut text, &format!("- {name}: {value}"));
    }
    let (rounds, seconds, connections) =
        (bench.options.rounds(), bench.options.seconds(), bench.options.connections);
    line(
        &mut text,
        &format!("- {rounds} rounds, interleaved; each run {seconds} s, {connections} connections"),
    );
    for note in &bench.programs.notes {
        line(&mut text, &format!("- **missing**: {note}"));
    }
    text.push('\n');
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("strings take everything");
}

/// A row of cells.
fn row(text: &mut String, cells: &[String]) {
    line(text, &format!("| {} |", cells.join(" | ")));
}

/// A header and the line under it; the first column is text, the others figures.
fn header(text: &mut String, cells: &[&str]) {
    line(text, &format!("| {} |", cells.join(" | ")));
    line(text, &format!("|---|{}", "---:|".repeat(cells.len() - 1)));
}

/// "least – **median** – greatest".
fn spread(samples: impl IntoIterator<Item = f64>, decimals: usize) -> String {
    match Spread::of(samples) {
        Some(Spread { min, median, max }) => {
            format!("{min:.decimals$} – **{median:.decimals$}** – {max:.decimals$}")
        }
        None => "–".to_owned(),
    }
}

/// The median alone.
fn median(samples: impl IntoIterator<Item = f64>, decimals: usize) -> String {
    Spread::of(samples).map_or_else(|| "–".to_owned(), |spread| format!("{:.decimals$}", spread.median))
}

/// The failures below a table.
fn failures(text: &mut String, failures: &[String]) {
    for failure in failures {
        line(text, &format!("- failed: {failure}"));
    }
    if !failures.is_empty() {
        text.push('\n');
    }
}
