//! A client's process: started on its core, waited for with a time limit, its CPU time taken from the kernel.
//!
//! What it is not: a shell. Standard output and error go to files, so that no client is ever held up by a full pipe.
//! Units: nanoseconds.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clock::{Clock, OsClock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Signal, getrlimit, pidfd_open, pidfd_send_signal, setrlimit,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::PerfError;

/// What became of a process.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// User and system time of the whole process, start-up and end included.
    pub(crate) cpu_ns: u64,
    /// How often its threads left the core, by themselves or pushed.
    pub(crate) switches: u64,
    /// From its start to its end.
    pub(crate) wall_ns: u64,
    /// Its exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Whether it had to be ended because its time was up.
    pub(crate) overran: bool,
    /// What it wrote to standard output.
    pub(crate) output: String,
    /// What it wrote to standard error.
    pub(crate) complaints: String,
}

/// A started process. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    pid: Pid,
    descriptor: OwnedFd,
    output: PathBuf,
    complaints: PathBuf,
    started_ns: u64,
    is_reaped: bool,
}

impl Running {
    /// Starts a program on these cores. `name` tells the files of its output apart.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        cores: &[usize],
        scratch: &Path,
        name: &str,
    ) -> Result<Self, PerfError> {
        let output = scratch.join(format!("{name}.out"));
        let complaints = scratch.join(format!("{name}.err"));
        let create =
            |path: &Path| File::create(path).map_err(PerfError::system("cannot create a scratch file"));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(create(&output)?).stderr(create(&complaints)?);
        // Variables such as TARGET_TPS are flags to the engine; clients see what they are told and nothing else.
        command.env_clear();
        for variable in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(variable) {
                command.env(variable, value);
            }
        }
        let started_ns = now_ns();
        let child = on_cores(cores, || command.spawn())?
            .map_err(|source| PerfError::Start { program: program.to_path_buf(), source })?;
        let pid = Pid::from_child(&child);
        // std's handle is not used again: `finish` reaps the process, and with it takes its CPU time.
        drop(child);
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).map_err(PerfError::system("pidfd_open"))?;
        Ok(Self { pid, descriptor, output, complaints, started_ns, is_reaped: false })
    }

    /// Its number.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Waits for its end, at most so long; then ends it.
    pub(crate) fn finish(mut self, limit_ns: u64) -> Result<Ended, PerfError> {
        let overran = !self.has_ended_within(limit_ns)?;
        if overran {
            self.signal(Signal::KILL);
        }
        let (usage, code) = self.reap()?;
        let wall_ns = now_ns() - self.started_ns;
        let read =
            |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let output = read(&self.output).map_err(PerfError::system("cannot read a scratch file"))?;
        let complaints = read(&self.complaints).map_err(PerfError::system("cannot read a scratch file"))?;
        let cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
        let switches = u64::try_from(usage.ru_nvcsw + usage.ru_nivcsw).expect("counts are positive");
        Ok(Ended { cpu_ns, switches, wall_ns, code, overran, output, complaints })
    }

    /// Whether it ended by itself within that time.
    pub(crate) fn has_ended_within(&self, limit_ns: u64) -> Result<bool, PerfError> {
        let deadline_ns = now_ns() + limit_ns;
        loop {
            let left =
                Timespec::try_from(std::time::Duration::from_nanos(deadline_ns.saturating_sub(now_ns())))
                    .expect("a few minutes fit");
            let mut watched = [PollFd::new(&self.descriptor, PollFlags::IN)];
            match poll(&mut watched, Some(&left)) {
                Ok(count) => return Ok(count > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(PerfError::system("poll")(error)),
            }
        }
    }

    /// CPU time used so far by its first thread, which is all of it where there is one thread.
    pub(crate) fn cpu_ns(&self) -> Result<u64, PerfError> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid.as_raw_pid()))
            .map_err(PerfError::system("cannot read a process's CPU time"))?;
        let field = text.split_whitespace().next().and_then(|field| field.parse().ok());
        Ok(field.unwrap_or(0))
    }

    fn signal(&self, signal: Signal) {
        // It may have ended in between: then there is nobody to tell.
        let _ = pidfd_send_signal(self.descriptor.as_fd(), signal);
    }

    /// What the ended process used, and its exit code.
    fn reap(&mut self) -> Result<(libc::rusage, Option<i32>), PerfError> {
        let mut status = 0;
        // SAFETY: every field of rusage is an integer, for which zero is a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        loop {
            // SAFETY: both pointers are to live, exclusively borrowed values of the types wait4 writes.
            let reaped = unsafe { libc::wait4(self.pid.as_raw_pid(), &raw mut status, 0, &raw mut usage) };
            if reaped >= 0 {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(PerfError::System { what: "wait4", source: error });
            }
        }
        self.is_reaped = true;
        let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        Ok((usage, code))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.signal(Signal::KILL);
            // Nothing more can be done about a process that cannot be reaped.
            let _ = self.reap();
        }
    }
}

fn nanoseconds(time: libc::timeval) -> u64 {
    let seconds = u64::try_from(time.tv_sec).expect("times are positive");
    let micros = u64::try_from(time.tv_usec).expect("times are positive");
    seconds * 1_000_000_000 + micros * 1_000
}

/// User and system time of our own process so far.
pub(crate) fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |value: i64| u64::try_from(value).expect("times are positive");
    part(time.tv_sec) * clock::NANOS_PER_SECOND + part(time.tv_nsec)
}

/// Monotonic time.
pub(crate) fn now_ns() -> u64 {
    OsClock.now().as_nanos()
}

/// Does something with this thread on some cores. Processes and threads begun meanwhile stay on them.
pub(crate) fn on_cores<T>(cores: &[usize], work: impl FnOnce() -> T) -> Result<T, PerfError> {
    let before = sched_getaffinity(None).map_err(PerfError::system("sched_getaffinity"))?;
    pin(cores)?;
    let result = work();
    sched_setaffinity(None, &before).map_err(PerfError::system("sched_setaffinity"))?;
    Ok(result)
}

/// Keeps this thread on these cores.
pub(crate) fn pin(cores: &[usize]) -> Result<(), PerfError> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).map_err(PerfError::system("sched_setaffinity: is this one of our cores?"))
}

/// Raises the number of files that we and those whom we start may open to what the machine allows.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused, it leaves the limit as it was; a client that lacks descriptors says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The cores that this process may use.
pub(crate) fn cores() -> Result<Vec<usize>, PerfError> {
    let allowed = sched_getaffinity(None).map_err(PerfError::system("sched_getaffinity"))?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit_ns: u64) -> Ended {
        let scratch = tempfile::tempdir().unwrap();
        let core = cores().unwrap()[0];
        let arguments = ["-c".to_owned(), script.to_owned()];
        Running::start(Path::new("/bin/sh"), &arguments, &[core], scratch.path(), "sh")
            .unwrap()
            .finish(limit_ns)
            .unwrap()
    }

    #[test]
    fn a_process_is_charged_for_what_it_used_and_only_that() {
        let idle = shell("sleep 0.2; echo out; echo err >&2; exit 7", 10_000_000_000);
        assert_eq!((idle.code, idle.overran), (Some(7), false));
        assert_eq!((idle.output.as_str(), idle.complaints.as_str()), ("out\n", "err\n"));
        assert!(idle.wall_ns >= 200_000_000, "{idle:?}");
        let busy = shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done", 60_000_000_000);
        assert_eq!(busy.code, Some(0));
        assert!(busy.cpu_ns > idle.cpu_ns && busy.cpu_ns <= busy.wall_ns, "{busy:?} beside {idle:?}");
    }

    #[test]
    fn a_process_is_ended_when_its_time_is_up() {
        let ended = shell("exec sleep 60", 100_000_000);
        assert!(ended.overran);
        assert_eq!(ended.code, None);
        assert!(ended.wall_ns < 30_000_000_000);
    }

    #[test]
    fn a_process_starts_on_its_core_and_we_stay_where_we_were() {
        let before = cores().unwrap();
        let ended = shell("grep Cpus_allowed_list /proc/self/status", 10_000_000_000);
        assert_eq!(ended.output.split_whitespace().last(), Some(before[0].to_string().as_str()));
        assert_eq!(cores().unwrap(), before);
    }
}
