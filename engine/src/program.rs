//! The commands of the `engine` program.
//!
//! What it is: from a parsed command to its module, and from its result to an exit code.
//! What it is not: a parser ([`crate::args`]) or a place for work.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};

use command::outputs;
use report::{Summary, merge, terminal_summary};
use rustix::process::{Signal, set_parent_process_death_signal};
use verdict::ExitCode;

use crate::args::{self, Color, Command, Merge, Refusal, Sink, TargetAlone};
use crate::cores::divide;
use crate::progress::{style, tell};
use crate::{agent, check, control, debug, doctor, host, part, standalone};

/// Runs the program; yields how it ends.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    end(args::parse(arguments, &args::Process))
}

/// Carries out what was asked for, or says why not.
pub(crate) fn end(command: Result<Command, Refusal>) -> ExitCode {
    match command {
        Ok(command) => execute(command),
        Err(refusal) => {
            tell(&format!("error: {refusal}\n"));
            refusal.exit_code
        }
    }
}

fn execute(command: Command) -> ExitCode {
    match command {
        Command::Run(run) => standalone::run(*run),
        Command::Target(alone) => target_alone(*alone),
        Command::Merge(asked) => merge_files(&asked),
        Command::Check(run) => check_plan(&run),
        Command::Debug(asked) => debug_plan(&asked),
        Command::Schema(name) => print_schema(name.as_deref()),
        Command::Doctor { connections } => {
            host::raise_descriptor_limit();
            let (text, code) = doctor::examine(connections);
            print(&text).unwrap_or(code)
        }
        Command::Node(config) => agent::run(*config, part::take_part),
        Command::Print(text) => print(&text).unwrap_or(ExitCode::Passed),
        Command::Nothing(text) => {
            tell(&text);
            ExitCode::Usage
        }
    }
}

/// Prints what was asked for; yields the exit code of a standard output that does not take it.
fn print(text: &str) -> Option<ExitCode> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        Ok(()) => None,
        // A reader that has seen enough (`| head`) is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
        Err(error) => {
            tell(&format!("error: cannot write to standard output: {error}\n"));
            Some(ExitCode::ReportNotWritten)
        }
    }
}

/// Explains a plan file.
fn check_plan(run: &args::Run) -> ExitCode {
    let style = style(Color::Auto, io::stdout().is_terminal());
    let text = run.file.as_ref().map(|from| check::explain(run, from, style));
    print(&text.unwrap_or_default()).unwrap_or(ExitCode::Passed)
}

/// Runs one iteration of what a plan file says and shows it.
fn debug_plan(asked: &args::Debug) -> ExitCode {
    let mut unread = None;
    let style = style(Color::Auto, io::stdout().is_terminal());
    let result = debug::debug(asked, style, &mut |text| {
        unread = unread.or_else(|| print(text));
        unread.is_none()
    });
    match result {
        Ok(code) => unread.map_or(code, |unread| ExitCode::first_of([code, unread])),
        Err(error) => {
            tell(&format!("error: {error}\n"));
            error.exit_code()
        }
    }
}

fn print_schema(name: Option<&str>) -> ExitCode {
    const OWN: [(&str, &str); 3] =
        [("plan", plan::document::PLAN_JSON_SCHEMA), ("truth", target::SCHEMA), ("control", control::SCHEMA)];
    const NAMES: [&str; 5] = ["summary", "interval", "plan", "truth", "control"];
    let Some(name) = name else {
        return print(&format!("{}\n", NAMES.join("\n"))).unwrap_or(ExitCode::Passed);
    };
    // In full, such as `openloop.truth/1`, or short.
    let short = name.strip_prefix("openloop.").map_or(name, |rest| rest.strip_suffix("/1").unwrap_or(rest));
    let own = || OWN.iter().find(|(own, _)| *own == short).map(|(_, text)| *text);
    if let Some(text) = report::schema(name).or_else(own) {
        return print(&format!("{}\n", text.trim_end())).unwrap_or(ExitCode::Passed);
    }
    tell(&format!("error: schema: {} is no document → one of {}\n", plan::quoted(name), NAMES.join(", ")));
    ExitCode::Usage
}

fn merge_files(asked: &Merge) -> ExitCode {
    let mut summaries = Vec::with_capacity(asked.files.len());
    for file in &asked.files {
        let read = fs::read_to_string(file)
            .map_err(|error| format!("cannot read it: {error} → a summary that --json FILE has written"));
        match read.and_then(|text| Summary::parse(&text).map_err(|error| error.to_string())) {
            Ok(summary) => summaries.push(summary),
            Err(error) => {
                tell(&format!("error: merge: {}: {error}\n", file.display()));
                return ExitCode::Usage;
            }
        }
    }
    // Thresholds of all parts are judged anew on the whole; those given here join them.
    if let Some(first) = summaries.first_mut() {
        first.thresholds.extend(asked.thresholds.iter().map(|threshold| report::Threshold {
            threshold: threshold.text.clone(),
            passed: false,
            measured: String::new(),
            value: None,
            at_s: None,
            aborted: false,
        }));
    }
    let merged = match merge(&summaries) {
        Ok(merged) => merged,
        Err(error) => {
            tell(&format!("error: merge: {error}\n"));
            return ExitCode::Usage;
        }
    };
    let mut code = ExitCode::from_code(merged.verdict.exit_code).unwrap_or(ExitCode::Internal);
    let mut files = Vec::new();
    match &asked.json {
        Some(sink @ Sink::File(path)) => match outputs::write(sink, &merged.to_json()) {
            Ok(()) => files.push(path.display().to_string()),
            Err(error) => {
                tell(&format!("error: {error}\n"));
                code = ExitCode::first_of([code, ExitCode::ReportNotWritten]);
            }
        },
        Some(Sink::Stdout) => return print(&format!("{}\n", merged.to_json())).unwrap_or(code),
        None => {}
    }
    let text = terminal_summary(&merged, &files, style(asked.color, io::stdout().is_terminal()));
    print(&text).unwrap_or(code)
}

/// Runs the built-in target until a signal comes, then prints its truth.
fn target_alone(alone: TargetAlone) -> ExitCode {
    if alone.die_with_parent
        && let Err(error) = set_parent_process_death_signal(Some(Signal::TERM))
    {
        tell(&format!("error: --die-with-parent: {error} → leave it out\n"));
        return ExitCode::Environment;
    }
    host::raise_descriptor_limit();
    let facts = host::Facts::gather();
    let cores = divide(&alone.cores, &facts.cores, false).engine;
    if let Some(missing) = cores.iter().find(|core| !facts.cores.contains(core)) {
        tell(&format!("error: --cores: core {missing} is not to be had here → one of {:?}\n", facts.cores));
        return ExitCode::Environment;
    }
    let config = target::Config { threads: target::Threads::Pinned(cores), ..alone.config };
    let secure = config.tls.is_some();
    let handle = match target::start(config) {
        Ok(handle) => handle,
        Err(error) => {
            tell(&format!("error: {error}\n"));
            return if error.is_usage() { ExitCode::Usage } else { ExitCode::Environment };
        }
    };
    let scheme = if secure { "https" } else { "http" };
    tell(&format!("target: {scheme}://{}/ (what it saw: /truth; end it with Ctrl-C)\n", handle.address()));
    if let Err(error) = wait_for_signal() {
        tell(&format!("error: cannot wait for signals: {error}\n"));
        return ExitCode::Environment;
    }
    let truth = handle.stop().to_json();
    match alone.truth {
        Some(sink) => match outputs::write(&sink, &truth) {
            Ok(()) => ExitCode::Passed,
            Err(error) => {
                tell(&format!("error: {error}\n"));
                ExitCode::ReportNotWritten
            }
        },
        None => print(&format!("{truth}\n")).unwrap_or(ExitCode::Passed),
    }
}

fn wait_for_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
        }
        Ok(())
    })
}
