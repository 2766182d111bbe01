//! Nodes on this machine, for one command.
//!
//! What it is: engines that are started, watched and ended. Invariant: they never outlive this process: each holds the other
//! end of a pipe that closes with it, and asks the kernel for its own end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use plan::{Cores, IoChoice, Pacing, Plan};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a node may take to leave.
const FAREWELL: Duration = Duration::from_secs(5);
/// Lines of a node's log that are shown when it could not start.
const LAST_LINES: usize = 5;

/// The engines that were started.
#[derive(Debug)]
pub(crate) struct LocalNodes {
    nodes: Vec<LocalNode>,
}

#[derive(Debug)]
struct LocalNode {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

/// How nodes are started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// How many.
    pub(crate) count: u32,
    /// The program.
    pub(crate) engine: &'a Path,
    /// Where they connect.
    pub(crate) coordinator: String,
    /// Where their state and logs lie.
    pub(crate) folder: &'a Path,
    /// The plan, which says how they use this host.
    pub(crate) plan: &'a Plan,
    /// The cores that they share.
    pub(crate) cores: Vec<usize>,
}

/// How the cores of this host are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Division {
    /// By the nodes.
    pub(crate) nodes: Vec<usize>,
    /// By the built-in target, where there is one.
    pub(crate) target: Vec<usize>,
}

/// Divides the cores that the plan names, as an engine alone does: the lower half is a built-in target's, where there are enough.
pub(crate) fn divide(plan: &Plan, with_target: bool) -> Division {
    division(cores(plan), with_target)
}

fn division(all: Vec<usize>, with_target: bool) -> Division {
    if !with_target || all.len() < 2 {
        return Division { target: all.clone(), nodes: all };
    }
    let (lower, upper) = all.split_at(all.len() / 2);
    Division { target: lower.to_vec(), nodes: upper.to_vec() }
}

/// The engine beside this program, or the one that the shell would find.
pub(crate) fn engine_program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|path| path.with_file_name("engine"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("engine"))
}

/// The cores of a node: its part of `cores`, or the one that it shares with others where there are more nodes.
fn cores_of(index: usize, count: usize, cores: &[usize]) -> String {
    let part: Vec<usize> = if count >= cores.len() {
        vec![cores[index % cores.len()]]
    } else {
        let begin = |index: usize| index * cores.len() / count;
        cores[begin(index)..begin(index + 1)].to_vec()
    };
    let texts: Vec<String> = part.iter().map(usize::to_string).collect();
    // A single number would be a count.
    if texts.len() == 1 { format!("{0}-{0}", texts[0]) } else { texts.join(",") }
}

/// The cores that this process may use, of which the plan may name some.
fn cores(plan: &Plan) -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).map_or_else(
        |_| vec![0],
        |set| (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect::<Vec<_>>(),
    );
    let named: Vec<usize> = match &plan.cores {
        Cores::All => allowed.clone(),
        Cores::Count(count) => {
            allowed.iter().copied().take(usize::try_from(u32::from(*count)).unwrap_or(1)).collect()
        }
        Cores::List(list) => list.iter().map(|core| usize::from(*core)).collect(),
    };
    if named.is_empty() { allowed } else { named }
}

impl LocalNodes {
    /// Starts them.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(crate) fn start(how: &Start<'_>) -> io::Result<Self> {
        let cores = &how.cores;
        let mut nodes = Vec::new();
        for index in 0..how.count as usize {
            let name = format!("local-{}", index + 1);
            let state = how.folder.join(&name);
            crate::files::private_folder(&state)?;
            let log = state.join("log");
            let mut command = Command::new(how.engine);
            command.arg("node").args(["--coordinator", &how.coordinator]).args(["--name", &name]);
            command.arg("--state").arg(&state).args(["--cores", &cores_of(index, how.count as usize, cores)]);
            // Whoever asks for this run has this machine already.
            command.args(["--allow-target", "any"]);
            command.arg("--die-with-parent").args(own_words(how.plan));
            let written = File::create(&log)?;
            command.stdin(Stdio::piped()).stdout(written.try_clone()?).stderr(written).kill_on_drop(true);
            nodes.push(LocalNode { child: command.spawn()?, log, ended: None });
        }
        Ok(Self { nodes })
    }

    /// What became of the first that ended by itself: its name, and what it said last.
    pub(crate) fn first_end(&mut self) -> Option<String> {
        self.nodes.iter_mut().enumerate().find_map(|(index, node)| {
            if node.ended.is_some() {
                return None;
            }
            node.ended = node.child.try_wait().ok().flatten();
            let status = node.ended?;
            let said = std::fs::read_to_string(&node.log).unwrap_or_default();
            let lines: Vec<&str> = said.lines().rev().take(LAST_LINES).collect();
            let said: Vec<&str> = lines.into_iter().rev().collect();
            Some(format!("node local-{} ended ({status}): {}", index + 1, said.join(" / ")))
        })
    }

    /// Whether none is left.
    pub(crate) fn are_gone(&self) -> bool {
        self.nodes.iter().all(|node| node.ended.is_some())
    }

    /// Ends them, and waits for that.
    pub(crate) async fn end(mut self) {
        for node in &mut self.nodes {
            // The pipe's end tells it.
            drop(node.child.stdin.take());
            terminate(&node.child);
        }
        for node in &mut self.nodes {
            if tokio::time::timeout(FAREWELL, node.child.wait()).await.is_err() {
                // Then it is killed as it is dropped.
                let _ = node.child.start_kill();
            }
        }
    }
}

/// The built-in target, for a run that names none.
#[derive(Debug)]
pub(crate) struct LocalTarget {
    child: Child,
    /// Where it is.
    pub(crate) url: String,
}

impl LocalTarget {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// The program cannot be started, or does not say where it listens.
    pub(crate) async fn start(engine: &Path, cores: &[usize]) -> io::Result<Self> {
        let mut command = Command::new(engine);
        command.args([
            "target",
            "--listen",
            "127.0.0.1:0",
            "--die-with-parent",
            "--cores",
            &cores_of(0, 1, cores),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or_else(|| io::Error::other("it has no output"))?;
        let mut lines = BufReader::new(stderr).lines();
        let address = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(rest) = line.strip_prefix("target: ") {
                    return Ok(rest.split(' ').next().unwrap_or_default().to_owned());
                }
            }
            Err(io::Error::other("the built-in target ended"))
        };
        let url = tokio::time::timeout(FAREWELL, address).await??;
        // What else it says is nobody's; it must not wait for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, url })
    }

    /// Ends it, and waits for that.
    pub(crate) async fn end(mut self) {
        terminate(&self.child);
        if tokio::time::timeout(FAREWELL, self.child.wait()).await.is_err() {
            // Then it is killed as it is dropped.
            let _ = self.child.start_kill();
        }
    }
}

/// Asks a child to end; it may be gone already.
fn terminate(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// What the plan says of how a host is used, as flags of a node.
fn own_words(plan: &Plan) -> Vec<String> {
    let mut words = Vec::new();
    match plan.io {
        IoChoice::Auto => {}
        IoChoice::Uring => words.push("--io=uring".to_owned()),
        IoChoice::Epoll => words.push("--io=epoll".to_owned()),
    }
    if plan.pacing == Pacing::Spin {
        words.push("--pacing=spin".to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_in_target_has_the_lower_half_of_the_cores() {
        for (all, with_target, nodes, target) in [
            (&[0, 1, 2, 3, 4][..], true, &[2, 3, 4][..], &[0, 1][..]),
            (&[0, 1], true, &[1], &[0]),
            (&[7], true, &[7], &[7]),
            (&[0, 1], false, &[0, 1], &[0, 1]),
        ] {
            let expected = Division { nodes: nodes.to_vec(), target: target.to_vec() };
            assert_eq!(division(all.to_vec(), with_target), expected);
        }
    }

    #[test]
    fn nodes_share_the_cores_without_overlap_where_there_are_enough() {
        let cores = [0, 2, 4, 6, 8];
        let all = |count| (0..count).map(|index| cores_of(index, count, &cores)).collect::<Vec<_>>();
        assert_eq!(all(1), ["0,2,4,6,8"]);
        assert_eq!(all(2), ["0,2", "4,6,8"]);
        assert_eq!(all(5), ["0-0", "2-2", "4-4", "6-6", "8-8"]);
        assert_eq!(all(6)[5], "0-0", "more nodes than cores share them");
        for (count, index) in [(1, 0), (2, 1), (5, 4)] {
            assert!(matches!(Cores::parse(&all(count)[index]), Ok(Cores::List(_))), "{count} {index}");
        }
    }
}
