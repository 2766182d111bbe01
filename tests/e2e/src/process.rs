//! A started program: its output in files, its end by the end of the test at the latest.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::waiting::{now, pause, wait_for};

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    folder: TempDir,
    name: String,
}

impl Process {
    /// Starts `command` with its standard streams in files of a new temporary folder; streams in `own_stdout` are the
    /// caller's.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(command: Command, own_stdout: Option<Stdio>) -> Self {
        Self::start_with(command, own_stdout, None)
    }

    /// The same, with a standard error of the caller's.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start_with(mut command: Command, own_stdout: Option<Stdio>, own_stderr: Option<Stdio>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let stream =
            |name: &str| File::create(folder.path().join(name)).expect("a stream's file can be made");
        command.stdout(own_stdout.unwrap_or_else(|| stream("stdout").into()));
        command.stderr(own_stderr.unwrap_or_else(|| stream("stderr").into()));
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { child, folder, name }
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The processes that it has started and that have not been collected.
    pub fn children(&self) -> Vec<Pid> {
        let pid = self.pid().as_raw_nonzero();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let of_list = |list: String| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let numbers = lists.flat_map(of_list).filter_map(|pid| pid.parse().ok());
        numbers.filter_map(Pid::from_raw).collect()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// What it has printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.stream("stderr")
    }

    /// What it has printed on standard output so far.
    pub fn stdout(&self) -> String {
        self.stream("stdout")
    }

    fn stream(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The folder with its streams; it goes with this value.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The most memory that it had at one time so far, in bytes; `None` once it has ended.
    pub fn memory_peak_bytes(&self) -> Option<u64> {
        let pid = self.pid().as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok().map(|kibibytes: u64| kibibytes << 10)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it has not after `limit`; it is killed then.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let begin = now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            if begin.elapsed() > limit {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!(
                    "{} did not end within {limit:?}; it said:\n{}\n{}",
                    self.name,
                    self.stderr(),
                    self.stdout()
                );
            }
            pause(Duration::from_millis(2));
        }
    }

    /// Waits until its standard error has a line that `read` understands.
    pub fn wait_for_stderr<T>(&mut self, what: &str, limit: Duration, read: impl Fn(&str) -> Option<T>) -> T {
        wait_for(what, limit, || {
            let said = self.stderr();
            if let Some(found) = said.lines().find_map(&read) {
                return Some(found);
            }
            assert!(!self.has_ended(), "{} ended before {what}; it said:\n{said}", self.name);
            None
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; a stopped one dies of SIGKILL too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The exit code, as a shell would show it.
pub fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The first of `candidates` that is an executable's name on the search path or in the system's folders.
///
/// # Panics
/// When there is none: `cargo xtask test` installs what tests start.
pub fn program(candidates: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/sbin".into()]).collect();
    candidates
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("none of {candidates:?} is installed; `cargo xtask test` installs them"))
}
