//! The built `engine`, run as a user runs it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::document::{Audit, parse};
use crate::process::{Process, shell_code};
use crate::terminal::Terminal;

/// How long any run of a test may take, unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(90);

/// Variables that the engine reads: whoever runs the tests may have some of them set.
const VARIABLES: &[&str] = &[
    "TARGET_TPS",
    "DURATION",
    "LOAD_PATTERN",
    "RUN_ID",
    "WORKER_ID",
    "NO_COLOR",
    "CLICOLOR_FORCE",
    "LC_ALL",
    "LANG",
];

/// Where the engine under test is: `OPENLOOP_ENGINE`, else the release build of this workspace.
///
/// # Panics
/// When it is not there: `cargo xtask test` builds it.
pub fn binary() -> PathBuf {
    let path = match (std::env::var_os("OPENLOOP_ENGINE"), std::env::var_os("CARGO_TARGET_DIR")) {
        (Some(engine), _) => PathBuf::from(engine),
        // Cargo takes a relative folder from where it was called, which is the repository.
        (None, Some(folder)) => crate::machine::repository().join(folder).join("release/engine"),
        (None, None) => crate::machine::repository().join("target/release/engine"),
    };
    assert!(path.is_file(), "no engine at {}: cargo build --release -p engine", path.display());
    path
}

/// A command line of the engine, not yet run.
#[derive(Debug)]
#[must_use]
pub struct Engine {
    program: PathBuf,
    wrapper: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    json: bool,
    patient: bool,
    limit: Duration,
}

impl Engine {
    /// `engine` with these arguments, separated by blanks.
    pub fn new(line: &str) -> Self {
        Self::by(binary(), line)
    }

    /// Another program that has the engine's command line, built beside it.
    pub fn of(program: &str, line: &str) -> Self {
        let path = binary().with_file_name(program);
        assert!(path.is_file(), "no {program} at {}: `cargo xtask test` builds it", path.display());
        Self::by(path, line)
    }

    fn by(program: PathBuf, line: &str) -> Self {
        Self {
            program,
            wrapper: Vec::new(),
            arguments: line.split_whitespace().map(OsString::from).collect(),
            environment: BTreeMap::new(),
            stdin: None,
            stdout: None,
            stderr: None,
            json: false,
            patient: false,
            limit: LIMIT,
        }
    }

    /// A run that is about something else than the generator's punctuality: on a busy machine it shall not be called
    /// untrustworthy. Its summary goes to a file and is read.
    pub fn patient(line: &str) -> Self {
        let mut engine = Self::new(line).json();
        engine.patient = true;
        engine
    }

    /// Adds an argument, whatever it consists of.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments, separated by blanks.
    pub fn args(mut self, line: &str) -> Self {
        self.arguments.extend(line.split_whitespace().map(OsString::from));
        self
    }

    /// Has the summary written to a file, which [`Outcome::summary`] reads.
    pub fn json(mut self) -> Self {
        self.json = true;
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Starts the engine by another program that takes it as its last arguments.
    pub fn under<I: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = I>) -> Self {
        self.wrapper = wrapper.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// What it reads on standard input; nothing otherwise.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Where its standard output goes; to a file that [`Outcome::stdout`] reads otherwise.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Has it read keys from a terminal and show its progress there. The terminal is its session's, as that of a shell is.
    pub fn at(mut self, terminal: &Terminal) -> Self {
        self.stdin = Some(terminal.stream());
        self.stderr = Some(terminal.stream());
        self.under(["setsid", "--ctty", "--wait"]).variable("TERM", "xterm")
    }

    /// Changes how long it may take.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let mut words = self.wrapper;
        words.push(self.program.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(&self.arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ENGINE_") {
                command.env_remove(name);
            }
        }
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C.UTF-8").envs(&self.environment);
        command.stdin(self.stdin.unwrap_or_else(Stdio::null));
        if self.patient {
            command.args(["--max-lag", "1h"]);
        }
        let json = self.json.then(|| {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            command.arg("--json").arg(folder.path().join("summary.json"));
            folder
        });
        let line = format!("{command:?}");
        Running {
            process: Process::start_with(command, self.stdout, self.stderr),
            line,
            json,
            limit: self.limit,
        }
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().finish()
    }
}

/// A running engine.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub process: Process,
    line: String,
    json: Option<tempfile::TempDir>,
    limit: Duration,
}

impl Running {
    /// Waits for its end.
    pub fn finish(mut self) -> Outcome {
        let status = self.process.wait(self.limit);
        let file = self.json.as_ref().map(|folder| folder.path().join("summary.json"));
        let summary =
            file.and_then(|file| std::fs::read(file).ok()).map(|bytes| parse("the summary", &bytes));
        Outcome {
            code: shell_code(status),
            stdout: self.process.stdout(),
            stderr: self.process.stderr(),
            line: self.line,
            summary,
        }
    }
}

/// How a run of the engine ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code, as a shell would show it.
    pub code: i32,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    line: String,
    summary: Option<Value>,
}

impl Outcome {
    /// Demands an exit code.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the code is all that matters")]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "another exit code than expected: {}", self.told());
        self
    }

    /// The summary document.
    ///
    /// # Panics
    /// When none was written.
    #[track_caller]
    pub fn summary(&self) -> &Value {
        self.summary.as_ref().unwrap_or_else(|| panic!("no summary was written: {}", self.told()))
    }

    /// Whether a summary was written.
    pub fn has_summary(&self) -> bool {
        self.summary.is_some()
    }

    /// The audit of the summary, checked to be balanced.
    #[track_caller]
    pub fn audit(&self) -> Audit {
        Audit::of(self.summary())
    }

    /// Everything that it said, for messages.
    pub fn told(&self) -> String {
        format!(
            "{}\nexit code {}\n--- stderr\n{}\n--- stdout\n{}",
            self.line, self.code, self.stderr, self.stdout
        )
    }
}

/// Writes a file of a test.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) {
    std::fs::write(path, contents).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
