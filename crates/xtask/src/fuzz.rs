//! Fuzzing: `cargo xtask long fuzz [TARGET] [TIME]`, and `cargo xtask long coverage [TARGET]`.
//!
//! What it is: the fuzz targets of `tests/fuzz` one after another, each for a time, beginning with its committed corpus;
//! what reaches new code is kept in that corpus, which ordinary tests replay. Then the share of each parser's lines that
//! the corpus runs through.
//! What it is not: a judge of the share; it is printed beside the goal.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::commands::{cargo_in, set_up};
use crate::coverage::coverage;

/// How long a target is fuzzed unless another time is given.
const TIME_S: u64 = 600;
/// The longest input, in bytes: what is found should fit on a screen.
const INPUT_MAX: usize = 4096;
/// One input that takes longer than this is a finding.
const INPUT_TIME_S: u32 = 20;
/// The version that the commands below were written for.
const CARGO_FUZZ: &str = "0.13.2";

/// What a target's fuzzing came to.
struct Outcome {
    executions: u64,
    edges: u64,
    features: u64,
    /// Inputs that were added to the committed corpus, and all that it has now.
    added: usize,
    inputs: usize,
}

/// Fuzzes the targets named by `arguments`, all of them if none is, and prints what came of it.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let place = place();
    let mut time_s = TIME_S;
    let mut wanted = Vec::new();
    for argument in arguments {
        match seconds(argument) {
            Some(given) => time_s = given,
            None => wanted.push(argument.clone()),
        }
    }
    let targets = chosen(&place, &wanted)?;
    install(&place)?;
    fuzzer(&place, &["build"])?;
    let mut outcomes = BTreeMap::new();
    for target in &targets {
        println!("xtask: fuzzing {target} for {time_s} s");
        outcomes.insert(target, fuzz(&place, target, time_s)?);
    }
    println!(
        "\n{:18} {:>14} {:>9} {:>9} {:>7} {:>6}",
        "target", "executions", "edges", "features", "corpus", "new"
    );
    for (target, outcome) in &outcomes {
        let Outcome { executions, edges, features, added, inputs } = outcome;
        println!("{target:18} {executions:>14} {edges:>9} {features:>9} {inputs:>7} {added:>6}");
    }
    coverage(&targets)
}

/// Prints how much of each target's parser its corpus runs through.
pub(crate) fn print_coverage(arguments: &[String]) -> Result<(), String> {
    coverage(&chosen(&place(), arguments)?)
}

/// The package of the fuzz targets.
pub(crate) fn place() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    root.join("tests/fuzz")
}

/// The targets that were asked for; each has a corpus of its name.
fn chosen(place: &Path, wanted: &[String]) -> Result<Vec<String>, String> {
    let known = names(&place.join("corpus"))?;
    match wanted.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!(
            "{name} is neither a fuzz target nor a time such as 90s, 10m, 1h; targets: {}",
            known.join(", ")
        )),
        None if wanted.is_empty() => Ok(known),
        None => Ok(wanted.to_vec()),
    }
}

/// `90s`, `10m` or `1h` in seconds.
fn seconds(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let scale = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u64>().ok().map(|number| number.saturating_mul(scale))
}

/// Installs cargo-fuzz beside the other build outputs, where it is missing; the fuzzer itself wants a C++ compiler.
fn install(place: &Path) -> Result<(), String> {
    set_up(&[("g++", "g++")])?;
    if Command::new(env!("CARGO"))
        .args(["fuzz", "--version"])
        .env("PATH", path(place))
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return Ok(());
    }
    let root = tools(place);
    let root = root.to_string_lossy();
    cargo_in(place, &["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ, "--root", &root], &[])
}

fn tools(place: &Path) -> PathBuf {
    place.join("fuzz/target/tools")
}

/// The search path with our own tools last.
fn path(place: &Path) -> std::ffi::OsString {
    let own = tools(place).join("bin");
    let found = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::env::split_paths(&found).chain([own])).unwrap_or(found)
}

/// Runs `cargo fuzz`. The sanitizer's flags are unstable ones, which a stable compiler takes only when told to.
fn fuzzer(place: &Path, arguments: &[&str]) -> Result<(), String> {
    let words: Vec<&str> = std::iter::once("fuzz").chain(arguments.iter().copied()).collect();
    let path = path(place);
    cargo_in(place, &words, &[("RUSTC_BOOTSTRAP", "1".as_ref()), ("PATH", path.as_ref())])
}

/// Fuzzes one target, then keeps what reached new code.
fn fuzz(place: &Path, target: &str, time_s: u64) -> Result<Outcome, String> {
    let found = place.join("found").join(target);
    let failed = |error: std::io::Error| format!("cannot work in {}: {error}", found.display());
    fs::create_dir_all(&found).map_err(failed)?;
    let log = place.join("found").join(format!("{target}.log"));
    let (found, corpus) = (format!("found/{target}"), format!("corpus/{target}"));
    let time = format!("-max_total_time={time_s}");
    let length = format!("-max_len={INPUT_MAX}");
    let patience = format!("-timeout={INPUT_TIME_S}");
    let words =
        ["fuzz", "run", target, &found, &corpus, "--", &time, &length, &patience, "-print_final_stats=1"];
    let output = Command::new(env!("CARGO"))
        .args(words)
        .current_dir(place)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("PATH", path(place))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run cargo fuzz: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    fs::write(&log, text.as_bytes()).map_err(failed)?;
    if !output.status.success() {
        let tail: Vec<&str> = text.lines().rev().take(40).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!(
            "{target} found a fault (or could not run); its input belongs into tests/fuzz/corpus/{target}, with the \
             fix; the whole log is {}\n{}",
            log.display(),
            tail.join("\n")
        ));
    }
    let before = names(&place.join(&corpus))?.len();
    // The fewest inputs that reach all that was reached. Without counters, which code ran counts, not how often: the
    // corpus stays small.
    fuzzer(place, &["run", target, &corpus, &found, "--", "-set_cover_merge=1", "-use_counters=0", &length])?;
    let inputs = names(&place.join(&corpus))?.len();
    Ok(Outcome {
        executions: after(&text, "stat::number_of_executed_units:"),
        edges: after(&text, " cov: "),
        features: after(&text, " ft: "),
        added: inputs.saturating_sub(before),
        inputs,
    })
}

/// The number behind the last `word` of a log.
fn after(log: &str, word: &str) -> u64 {
    let digits =
        |rest: &str| rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap_or("").to_owned();
    log.rfind(word).and_then(|at| digits(&log[at + word.len()..]).parse().ok()).unwrap_or(0)
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>, String> {
    let entries =
        fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}
