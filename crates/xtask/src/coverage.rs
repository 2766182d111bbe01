//! How many of a parser's lines the committed corpus of its fuzz target runs through.
//!
//! What it is: the corpus replay, built with the compiler's own coverage counters, one target at a time, and LLVM's
//! count of lines. The tools have to be of the compiler's LLVM; Debian's package serves, or rustup's `llvm-tools`.
//! What it is not: the fuzzer's own figure, which counts edges of the whole program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::commands::{cargo_in, set_up};
use crate::fuzz::place;

/// The share of lines that is aimed at, in percent.
const GOAL: f64 = 85.0;

/// The files that each target is there for.
const PARSERS: &[(&str, &[&str])] = &[
    ("control_request", &["engine/src/control/request.rs"]),
    ("feeder_csv", &["crates/feeder/src/csv.rs"]),
    ("feeder_jsonl", &["crates/feeder/src/jsonl.rs", "crates/feeder/src/json.rs"]),
    ("http1_request", &["crates/http1/src/request.rs"]),
    (
        "http1_response",
        &["crates/http1/src/response.rs", "crates/http1/src/fields.rs", "crates/http1/src/chunked.rs"],
    ),
    ("measure_histogram", &["crates/measure/src/codec.rs"]),
    ("plan_document", &["crates/plan/src/document/"]),
    ("plan_request", &["crates/plan/src/url.rs", "crates/plan/src/header.rs"]),
    (
        "plan_texts",
        &[
            "crates/plan/src/duration.rs",
            "crates/plan/src/rate.rs",
            "crates/plan/src/text.rs",
            "crates/plan/src/choice.rs",
        ],
    ),
    ("redis_reply", &["examples/redis/src/parser.rs"]),
    ("report_merge", &["crates/report/src/merge.rs", "crates/report/src/merge/"]),
    (
        "scenario_condition",
        &[
            "crates/scenario/src/condition.rs",
            "crates/scenario/src/pattern.rs",
            "crates/scenario/src/status.rs",
        ],
    ),
    ("scenario_challenge", &["crates/scenario/src/digest.rs"]),
    ("scenario_cookies", &["crates/scenario/src/cookie.rs"]),
    ("scenario_json_path", &["crates/scenario/src/json_path.rs", "crates/scenario/src/json.rs"]),
    ("scenario_template", &["crates/scenario/src/template.rs", "crates/scenario/src/expression.rs"]),
    ("target_request", &["crates/target/src/request.rs", "crates/target/src/request/"]),
    ("target_texts", &["crates/target/src/text.rs"]),
    ("tls_pem", &["crates/tls/src/pem.rs"]),
    ("tls_session", &["crates/tls/src/session.rs", "crates/tls/src/carry.rs"]),
    ("verdict_threshold", &["crates/verdict/src/threshold.rs"]),
    (
        "wire_message",
        &[
            "crates/wire/src/grpc/from_node.rs",
            "crates/wire/src/grpc/to_node.rs",
            "crates/wire/src/grpc/parts.rs",
            "crates/wire/src/measured/",
        ],
    ),
];

#[derive(Deserialize)]
struct Export {
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    lines: Lines,
}

#[derive(Copy, Clone, Default, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

/// Prints the lines covered of the parsers of `targets`.
pub(crate) fn coverage(targets: &[String]) -> Result<(), String> {
    let tools = Tools::find()?;
    let place = place();
    let folder = place.join("fuzz/target/coverage");
    let build = folder.to_string_lossy().into_owned();
    let settings = [("RUSTFLAGS", "-C instrument-coverage".as_ref()), ("CARGO_TARGET_DIR", build.as_ref())];
    // Build scripts and macros count themselves, too; their profiles stay out of the tree.
    let aside = folder.join("aside/%p.profraw");
    let mut building = settings.to_vec();
    building.push(("LLVM_PROFILE_FILE", aside.as_os_str()));
    cargo_in(&place, &["test", "--locked", "--no-run", "--test", "replay"], &building)?;
    let program = newest_replay(&folder)?;
    println!("\n{:18} {:44} {:>7} {:>7} {:>7}  (goal {GOAL} %)", "target", "file", "lines", "covered", "%");
    for target in targets {
        let (_, parsers) = PARSERS
            .iter()
            .find(|(name, _)| name == target)
            .ok_or(format!("{target} has no row in crates/xtask/src/coverage.rs"))?;
        let mut all = Lines::default();
        for file in tools.measure(&program, target, &folder)?.data.into_iter().flat_map(|data| data.files) {
            let Some(parser) = parsers.iter().find(|parser| is_of(&file.filename, parser)) else { continue };
            let lines = file.summary.lines;
            all = Lines { count: all.count + lines.count, covered: all.covered + lines.covered };
            let shown = file.filename.rfind(parser).map_or(file.filename.as_str(), |at| &file.filename[at..]);
            print_row(target, shown, lines);
        }
        if all.count == 0 {
            return Err(format!("no line of {} was compiled into the replay", parsers.join(", ")));
        }
        if parsers.len() > 1 {
            print_row(target, "all of these", all);
        }
    }
    Ok(())
}

/// Whether the file is the parser's, or stands in its folder.
fn is_of(file: &str, parser: &str) -> bool {
    if parser.ends_with('/') {
        file.contains(parser) && !file.ends_with("tests.rs")
    } else {
        file.ends_with(parser)
    }
}

#[expect(clippy::cast_precision_loss, reason = "files have few lines")]
fn print_row(target: &str, file: &str, lines: Lines) {
    let share = 100.0 * lines.covered as f64 / (lines.count.max(1)) as f64;
    println!("{target:18} {file:44} {:>7} {:>7} {share:>7.1}", lines.count, lines.covered);
}

/// The replay as it was built last.
fn newest_replay(folder: &Path) -> Result<PathBuf, String> {
    let programs = folder.join("debug/deps");
    let entries =
        fs::read_dir(&programs).map_err(|error| format!("cannot read {}: {error}", programs.display()))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("replay-") && path.extension().is_none()
        })
        .max_by_key(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
        .ok_or(format!("there is no replay in {}", programs.display()))
}

/// LLVM's reader of profiles and its reporter.
struct Tools {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Tools {
    /// Those of the toolchain, or those of the system that know the compiler's format; installed if need be.
    fn find() -> Result<Self, String> {
        let version = text_of(Command::new("rustc").arg("-vV"))?;
        let field = |name: &str| {
            version
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
                .unwrap_or_default()
                .to_owned()
        };
        let sysroot = text_of(Command::new("rustc").args(["--print", "sysroot"]))?;
        let own = Path::new(sysroot.trim()).join("lib/rustlib").join(field("host:")).join("bin");
        if own.join("llvm-cov").is_file() {
            return Ok(Self { profdata: own.join("llvm-profdata"), cov: own.join("llvm-cov") });
        }
        let llvm = field("LLVM version:");
        let major = llvm.split('.').next().unwrap_or_default();
        let (package, program) = (format!("llvm-{major}"), format!("llvm-cov-{major}"));
        set_up(&[(&package, &program)]).map_err(|error| {
            format!("line coverage needs LLVM {major}'s tools: {error}; or `rustup component add llvm-tools`")
        })?;
        Ok(Self { profdata: format!("llvm-profdata-{major}").into(), cov: program.into() })
    }

    /// Replays one corpus and counts.
    fn measure(&self, program: &Path, target: &str, folder: &Path) -> Result<Export, String> {
        let (raw, merged) =
            (folder.join(format!("{target}.profraw")), folder.join(format!("{target}.profdata")));
        text_of(
            Command::new(program)
                .args(["--exact", target])
                .current_dir(place())
                .env("LLVM_PROFILE_FILE", &raw),
        )?;
        text_of(Command::new(&self.profdata).args(["merge", "-sparse", "-o"]).args([&merged, &raw]))?;
        let profile = format!("-instr-profile={}", merged.display());
        let json = text_of(Command::new(&self.cov).args(["export", "-summary-only", &profile]).arg(program))?;
        serde_json::from_str(&json)
            .map_err(|error| format!("{} wrote no report: {error}", self.cov.display()))
    }
}

/// What a program prints.
fn text_of(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{name} failed: {}\n{said}{complained}", output.status))
}
