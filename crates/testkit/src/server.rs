//! The server of every behaviour: a listener, a thread for each connection, and counters.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

use crate::behaviour::{Accepting, Behaviour, find};
use crate::papers::Papers;
use crate::peer::Peer;
use crate::time::{monotonic_ns, pause};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;

/// What a target has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When each connection was accepted, in nanoseconds of the machine's monotonic clock.
    pub connects: Vec<u64>,
    /// When each request head had been read.
    pub requests: Vec<u64>,
    /// Bytes that it has read from sockets.
    pub bytes_read: u64,
    /// Bytes that it has written to sockets.
    pub bytes_written: u64,
    /// Answers that it has given whole and rightly, by status, where the behaviour counts them.
    pub answers: std::collections::BTreeMap<u16, u64>,
}

/// The counters of a target, shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    seen: Mutex<Seen>,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
}

impl Ledger {
    /// Notes a connection; yields its number, from 0.
    fn connect(&self) -> u64 {
        let mut seen = self.seen.lock().expect("no thread panics");
        seen.connects.push(monotonic_ns());
        seen.connects.len() as u64 - 1
    }

    /// Notes a request; yields its number among all of this target, from 0.
    pub(crate) fn request(&self) -> u64 {
        let mut seen = self.seen.lock().expect("no thread panics");
        seen.requests.push(monotonic_ns());
        seen.requests.len() as u64 - 1
    }

    /// Notes an answer.
    pub(crate) fn answer(&self, status: u16) {
        *self.seen.lock().expect("no thread panics").answers.entry(status).or_default() += 1;
    }
}

/// A running target in this process. It accepts nobody once it is dropped.
#[derive(Debug)]
pub struct Hostile {
    /// Where it listens.
    pub address: SocketAddr,
    behaviour: Behaviour,
    papers: Arc<Papers>,
    ledger: Arc<Ledger>,
    over: Arc<AtomicBool>,
}

impl Hostile {
    /// Starts a target with the behaviour of this name on a free port.
    pub fn start(name: &str) -> Self {
        let behaviour = find(name);
        let listener = match behaviour.accepting {
            Accepting::Never(backlog) => listener(backlog),
            Accepting::AtOnce | Accepting::Slowly(_) => listener(BACKLOG),
        }
        .expect("a free port of loopback");
        let target = Self {
            address: listener.local_addr().expect("it listens"),
            behaviour,
            papers: Arc::new(Papers::new()),
            ledger: Arc::default(),
            over: Arc::default(),
        };
        let (papers, ledger) = (Arc::clone(&target.papers), Arc::clone(&target.ledger));
        let over = Arc::clone(&target.over);
        thread::spawn(move || accept(&listener, behaviour, &papers, &ledger, &over));
        target
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.behaviour.secure { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    /// The authority that issued its certificate, where one is to be trusted, in PEM.
    pub fn authority_pem(&self) -> String {
        self.papers.authority_pem()
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        let mut seen = self.ledger.seen.lock().expect("no thread panics").clone();
        seen.bytes_read = self.ledger.bytes_read.load(Ordering::Relaxed);
        seen.bytes_written = self.ledger.bytes_written.load(Ordering::Relaxed);
        seen
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect_timeout(&self.address, std::time::Duration::from_millis(100));
    }
}

fn listener(backlog: i32) -> io::Result<TcpListener> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listen(&socket, backlog)?;
    Ok(socket.into())
}

fn accept(
    listener: &TcpListener,
    behaviour: Behaviour,
    papers: &Arc<Papers>,
    ledger: &Arc<Ledger>,
    over: &Arc<AtomicBool>,
) {
    if matches!(behaviour.accepting, Accepting::Never(_)) {
        while !over.load(Ordering::Relaxed) {
            pause(std::time::Duration::from_millis(20));
        }
        return;
    }
    while let Ok((stream, _)) = listener.accept() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let mut peer = Peer::new(stream, ledger.connect(), Arc::clone(ledger), Arc::clone(papers));
        // A peer that breaks off breaks off alone.
        let talk = move || {
            // A thread for each of a thousand connections would leave the client on the same machine next to nothing of the
            // cores; on Linux a priority is a thread's own. Without the right to change it, it stays.
            let _ = rustix::process::nice(10);
            let _ = (behaviour.serve)(&mut peer);
        };
        let thread = thread::Builder::new().stack_size(256 << 10).spawn(talk);
        thread.expect("a thread for each connection");
        if let Accepting::Slowly(span) = behaviour.accepting {
            pause(span);
        }
    }
}

/// A port of 127.0.0.1 on which nobody listens, kept from others as long as the value lives.
#[derive(Debug)]
pub struct Refusing {
    /// The address.
    pub address: SocketAddr,
    _socket: rustix::fd::OwnedFd,
}

impl Refusing {
    /// Takes a port and does not listen on it.
    pub fn start() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = getsockname(&socket).expect("it is bound").try_into().expect("an IPv4 address");
        Self { address, _socket: socket }
    }
}
