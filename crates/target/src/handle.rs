//! Starting and stopping a target.

use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use clock::{Clock as _, OsClock};
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::config::{Config, Threads};
use crate::error::StartError;
use crate::listener;
use crate::log::{csv, lock};
use crate::shared::Shared;
use crate::tls;
use crate::truth::Truth;
use crate::worker::Worker;

/// A running target; dropping it stops it.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    address: SocketAddr,
    trust_pem: Option<String>,
    stop: Arc<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
    list: Option<PathBuf>,
}

/// Starts a target: when this returns, it listens and its threads serve.
pub fn start(config: Config) -> Result<Handle, StartError> {
    config.check()?;
    if let Some(list) = &config.list {
        // Opened now, so that a path that cannot be written is known before the load, not after it.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&list.path)
            .map_err(|source| StartError::Write { path: list.path.clone(), source })?;
    }
    let tls = config.tls.as_ref().map(tls::prepare).transpose()?;
    let (server, trust_pem) = tls.map(|tls| (tls.server, tls.trust_pem)).unzip();
    let (listeners, address) = listener::bind(config.listen, config.threads.count())?;
    let stop = eventfd(0, EventfdFlags::CLOEXEC.union(EventfdFlags::NONBLOCK))
        .map_err(|error| StartError::Resource { what: "stop event", source: error.into() })?;
    let mut handle = Handle {
        shared: Arc::new(Shared::new(&config, address, server)),
        address,
        trust_pem,
        stop: Arc::new(stop),
        threads: Vec::new(),
        list: config.list.map(|list| list.path),
    };
    for (index, listener) in listeners.into_iter().enumerate() {
        let core = match &config.threads {
            Threads::Floating(_) => None,
            Threads::Pinned(cores) => Some(cores[index]),
        };
        let worker = Worker::new(Arc::clone(&handle.shared), index, listener, Arc::clone(&handle.stop))?;
        // On an error the handle is dropped, and stops the threads that already run.
        handle.threads.push(spawn(worker, index, core)?);
    }
    Ok(handle)
}

/// Starts a target, calls `until`, stops the target when it returns, and gives the document.
pub fn run(config: Config, until: impl FnOnce(&Handle)) -> Result<Truth, StartError> {
    let handle = start(config)?;
    until(&handle);
    Ok(handle.stop())
}

/// A thread that serves, on `core` if one is named.
fn spawn(worker: Worker, index: usize, core: Option<usize>) -> Result<JoinHandle<()>, StartError> {
    let (ready, is_ready) = mpsc::sync_channel(1);
    let thread = Builder::new()
        .name(format!("target-{index}"))
        .spawn(move || {
            let pinned = core.map_or(Ok(()), pin);
            let is_pinned = pinned.is_ok();
            // The starter waits for this message, so it is always taken.
            let _ = ready.send(pinned);
            if is_pinned {
                worker.run();
            }
        })
        .map_err(|source| StartError::Resource { what: "thread", source })?;
    match (is_ready.recv(), core) {
        (Ok(Err(source)), Some(core)) => Err(StartError::Core { core, source }),
        _ => Ok(thread),
    }
}

/// Binds the calling thread to one core.
fn pin(core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

impl Handle {
    /// The address that it listens on, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients must trust, in PEM; None without TLS.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.trust_pem.as_deref()
    }

    /// The document as of now.
    pub fn truth(&self) -> Truth {
        self.shared.truth(OsClock.now())
    }

    /// Stops every thread, writes the list of requests if there is one, and gives the last document.
    pub fn stop(mut self) -> Truth {
        self.join();
        let mut truth = self.truth();
        if let (Some(path), Some(record)) = (&self.list, &mut truth.delay.list) {
            match self.write_list(path) {
                Ok(()) => record.written = true,
                Err(error) => record.problem = Some(error.to_string()),
            }
        }
        truth
    }

    fn join(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        // An event counter that is full is readable as well.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself; its log stands.
            let _ = thread.join();
        }
    }

    fn write_list(&self, path: &Path) -> io::Result<()> {
        let entries = self.shared.logs.iter().flat_map(|log| std::mem::take(&mut lock(log).entries));
        std::fs::write(path, csv(entries.collect()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.join();
    }
}
