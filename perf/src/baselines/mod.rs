//! Bare clients: what 64 connections in a closed loop cost without a load generator around them.
//!
//! What they are: each keeps one request outstanding on every connection, counts reply bytes and does nothing else.
//! `floor` is bare system calls, `epoll` a readiness loop, `ring` the engine's own driver; `monoio`, `glommio` and
//! `compio` are the runtimes that were weighed against it, in a program of their own, [`runtimes`](Kind::Monoio),
//! which only `perf` builds.
//! What they are not: HTTP clients. They parse nothing, record nothing and keep no schedule; whoever beats them by
//! doing more has a faster foundation.
//!
//! Units: nanoseconds.

mod bulk;
mod epoll;
mod floor;
mod ring;
mod still;
mod window;

use std::io;
use std::net::{SocketAddr, TcpStream};

use clap::ValueEnum;

pub use crate::arguments::Exercise;
use crate::{PerfError, emit};
pub use window::Window;

/// What every baseline sends.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: baseline\r\n\r\n";
/// Bytes of body where there is a large one.
pub const BULK_BYTES: usize = 1 << 20;
/// The size of what the target answers to it.
pub const REPLY_SIZE: usize = crate::responder::REPLY.len();

/// The bare clients.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `send(2)` on every connection, then `recv(2)` on every connection; nothing can do with less.
    Floor,
    /// Readiness, edge-triggered.
    Epoll,
    /// The driver that the engine's shards stand on: multishot receive into provided buffers.
    Ring,
    /// monoio on `io_uring`.
    Monoio,
    /// glommio.
    Glommio,
    /// compio on `io_uring`.
    Compio,
    /// Large requests: `send(2)` from one buffer as far as the kernel takes it, then readiness.
    SendLoop,
    /// Large answers: `recv(2)` into one buffer on readiness.
    RecvLoop,
    /// No requests: a loop that reads the clock against a schedule.
    Still,
}

impl Kind {
    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Epoll => "epoll",
            Self::Ring => "ring",
            Self::Monoio => "monoio",
            Self::Glommio => "glommio",
            Self::Compio => "compio",
            Self::SendLoop => "send-loop",
            Self::RecvLoop => "recv-loop",
            Self::Still => "still",
        }
    }

    /// Whether it lives in the program `runtimes`.
    pub fn is_runtime(self) -> bool {
        matches!(self, Self::Monoio | Self::Glommio | Self::Compio)
    }
}

/// Runs one of the baselines that need no runtime, and prints its [`Window`], or its lag.
pub(crate) fn run(exercise: &Exercise) -> Result<(), PerfError> {
    let done = match exercise.kind {
        Kind::Still => {
            let told = still::run(exercise).map_err(|error| failed(Kind::Still, &error))?;
            return emit(&format!("{told}\n"));
        }
        Kind::Floor => floor::run(exercise),
        Kind::Epoll => epoll::run(exercise),
        Kind::Ring => ring::run(exercise),
        Kind::SendLoop => bulk::send(exercise),
        Kind::RecvLoop => bulk::receive(exercise),
        Kind::Monoio | Kind::Glommio | Kind::Compio => {
            Err(io::Error::other("it is in the program `runtimes` (--features baselines)"))
        }
    };
    print(exercise.kind, done)
}

/// Prints what a baseline measured, or says why it did not.
pub fn print(kind: Kind, done: io::Result<Window>) -> Result<(), PerfError> {
    let window = done.map_err(|error| failed(kind, &error))?;
    emit(&format!("{}\n", window.to_json()))
}

fn failed(kind: Kind, error: &io::Error) -> PerfError {
    PerfError::Baseline { name: kind.name(), detail: error.to_string() }
}

fn connect(address: SocketAddr, connections: u32) -> io::Result<Vec<TcpStream>> {
    (0..connections)
        .map(|_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
        .collect()
}

/// The target ended a connection, or answered something else.
fn broken() -> io::Error {
    io::Error::other("the target did not answer in full")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responder::Responder;

    #[test]
    fn each_measures_what_the_target_saw() {
        let core = crate::child::cores().unwrap()[0];
        for run in [floor::run, epoll::run, ring::run] {
            let responder = Responder::start(core, false).unwrap();
            let address = responder.address();
            let exercise = Exercise { kind: Kind::Floor, address, connections: 3, seconds: 1, rate: None };
            let window = run(&exercise).unwrap();
            let seen = responder.requests();
            assert!(window.requests() > 100 && window.requests() < seen, "{window:?}, target saw {seen}");
            assert!(window.cpu_ns_per_request() > 100.0, "{window:?}");
        }
    }

    #[test]
    fn large_bodies_are_moved_both_ways() {
        use crate::responder::Manner;
        let core = crate::child::cores().unwrap()[0];
        for (kind, manner) in [
            (Kind::SendLoop, Manner { request_bytes: BULK_BYTES, ..Manner::PLAIN }),
            (Kind::RecvLoop, Manner { body_bytes: Some(BULK_BYTES), ..Manner::PLAIN }),
        ] {
            let responder = Responder::start_on(&[core], &manner).unwrap();
            let address = responder.address();
            let exercise = Exercise { kind, address, connections: 3, seconds: 1, rate: None };
            let run = if kind == Kind::SendLoop { bulk::send } else { bulk::receive };
            let window = run(&exercise).unwrap();
            let seen = responder.requests();
            assert!(window.requests() > 0 && window.requests() < seen, "{window:?}, target saw {seen}");
        }
    }

    #[test]
    fn the_request_is_one_to_the_target() {
        let ends = REQUEST.windows(4).filter(|window| window == b"\r\n\r\n").count();
        assert!(ends == 1 && REQUEST.ends_with(b"\r\n\r\n"));
    }
}
