//! Launching: one pinned thread, one driver and one shard for each core.
//!
//! What it is: the choice of the driver, and the birth and the end of the shards' threads.
//! What it is not: it knows no plan; [`Settings`] and [`Workload`]s come ready made.
//!
//! Invariant: a driver is built on the thread that uses it (the ring demands a single issuer).

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use crate::io::Limits;
use crate::io::epoll::EpollIo;
use crate::io::uring::Uring;
use crate::shard::link::{Control, Link, pair};
use crate::shard::workload::Workload;
use crate::shard::{Settings, Shard};

/// Which driver the user asks for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The ring where this host allows it, else epoll.
    #[default]
    Auto,
    /// The ring or nothing.
    Uring,
    /// epoll.
    Epoll,
}

/// The driver that a run stands on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `io_uring`.
    Uring,
    /// epoll.
    Epoll,
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

/// The decided driver and the reason, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the shards run on.
    pub driver: Driver,
    /// Why.
    pub why: String,
}

/// Why shards could not be launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// `--io uring` was asked for and the host refuses the ring.
    #[error("io_uring is not to be had here: {why}; use --io auto or --io epoll to run without it")]
    RingRefused {
        /// The probable cause and its cure.
        why: String,
    },
    /// The operating system refused a thread or an epoll instance.
    #[error("cannot start shard {shard}: {source}")]
    Refused {
        /// Which shard.
        shard: usize,
        /// What the system said.
        source: io::Error,
    },
}

/// One shard's thread, seen from the control thread.
#[derive(Debug)]
pub struct Worker {
    /// The queues to and from the shard.
    pub control: Control,
    /// The core that the thread is pinned to; `None` when pinning was refused.
    pub core: Option<usize>,
    thread: JoinHandle<io::Result<()>>,
}

impl Worker {
    /// Whether the thread has ended.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the thread.
    ///
    /// # Errors
    /// The driver broke, or the thread panicked: the shard's results are incomplete.
    pub fn join(self) -> io::Result<()> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the shard's thread panicked")))
    }
}

/// Decides which driver the shards will stand on, by trying.
///
/// # Errors
/// The ring was demanded and is refused.
pub fn decide(choice: Choice) -> Result<Decision, LaunchError> {
    if choice == Choice::Epoll {
        return Ok(Decision { driver: Driver::Epoll, why: "asked for by --io epoll".to_owned() });
    }
    let small = Limits { connections: 1, buffer_size: 2_048, buffer_count: 2 };
    match (Uring::new(small), choice) {
        (Ok(_), Choice::Uring) => {
            Ok(Decision { driver: Driver::Uring, why: "asked for by --io uring".to_owned() })
        }
        (Ok(_), _) => Ok(Decision {
            driver: Driver::Uring,
            why: "this host allows every ring feature needed".to_owned(),
        }),
        (Err(refusal), Choice::Uring) => Err(LaunchError::RingRefused { why: refusal.to_string() }),
        (Err(refusal), _) => {
            Ok(Decision { driver: Driver::Epoll, why: format!("io_uring is refused: {refusal}") })
        }
    }
}

/// Starts a thread for each shard, pinned to `cores[i]`, on `driver`.
///
/// # Errors
/// A thread or its driver could not be made; the threads made before are told to leave.
pub fn launch(
    driver: Driver,
    cores: &[usize],
    shards: Vec<(Settings, Vec<Workload>)>,
) -> Result<Vec<Worker>, LaunchError> {
    let mut workers = Vec::with_capacity(shards.len());
    for (index, (settings, workloads)) in shards.into_iter().enumerate() {
        let (link, control) = pair();
        let core = cores.get(index).copied();
        let (tell, told) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || run_shard(driver, core, settings, &workloads, link, &tell))
            .map_err(|source| LaunchError::Refused { shard: index, source })?;
        match told.recv() {
            Ok(Ok(pinned)) => workers.push(Worker { control, core: core.filter(|_| pinned), thread }),
            Ok(Err(why)) if driver == Driver::Uring => return Err(LaunchError::RingRefused { why }),
            Ok(Err(why)) => return Err(LaunchError::Refused { shard: index, source: io::Error::other(why) }),
            Err(_) => {
                let source = io::Error::other("the shard's thread died at its start");
                return Err(LaunchError::Refused { shard: index, source });
            }
        }
    }
    Ok(workers)
}

fn run_shard(
    driver: Driver,
    core: Option<usize>,
    settings: Settings,
    workloads: &[Workload],
    link: Link,
    tell: &mpsc::Sender<Result<bool, String>>,
) -> io::Result<()> {
    let pinned = core.is_some_and(|id| core_affinity::set_for_current(core_affinity::CoreId { id }));
    let limits = settings.driver_limits();
    // A launcher that is gone has failed already; its threads end with their commands queue.
    let refuse = |why: String| {
        let _ = tell.send(Err(why.clone()));
        io::Error::other(why)
    };
    match driver {
        Driver::Uring => {
            let io = Uring::new(limits).map_err(|refusal| refuse(refusal.to_string()))?;
            let shard = Shard::new(io, settings, workloads, link);
            let _ = tell.send(Ok(pinned));
            shard.run().map(drop)
        }
        Driver::Epoll => {
            let io = EpollIo::new(limits).map_err(|error| refuse(error.to_string()))?;
            let shard = Shard::new(io, settings, workloads, link);
            let _ = tell.send(Ok(pinned));
            shard.run().map(drop)
        }
    }
}
