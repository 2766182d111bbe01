//! Targets that misbehave, with real sockets and counters of their own.
//!
//! What they count is what left the engine: connections accepted, request heads read, and when.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::waiting::monotonic_ns;

/// What a target does to whoever connects.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers every request with a good response.
    Good,
    /// Answers every request with a response and then another one that nobody asked for.
    TwoForOne,
    /// Closes as soon as it has accepted.
    CloseAtOnce,
    /// Resets as soon as it has accepted.
    ResetAtOnce,
    /// Reads a request, then closes.
    CloseAfterRequest,
    /// Reads a request, then resets.
    ResetAfterRequest,
    /// Answers every request with something that is not HTTP, and keeps the connection open.
    Garbage,
    /// Answers every request with something that is not HTTP, and closes.
    GarbageAndClose,
    /// Begins a response and closes in its middle.
    HalfResponse,
    /// Answers with interim responses only, one after another.
    InterimStorm,
    /// Answers with a head that never ends.
    EndlessHead,
    /// Reads and never answers.
    Mute,
}

/// What a target has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When each connection was accepted, in nanoseconds of the machine's monotonic clock.
    pub connects: Vec<u64>,
    /// When each request head had been read.
    pub requests: Vec<u64>,
}

/// A running target in this process. Its threads end with the test.
#[derive(Debug)]
pub struct Hostile {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Hostile {
    /// Starts a target on a free port.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let counter = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.lock().expect("no thread panics").connects.push(monotonic_ns());
                let counter = Arc::clone(&counter);
                // A peer that breaks off breaks off alone.
                thread::spawn(move || serve(stream, manner, &counter));
            }
        });
        Self { address, seen }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it has seen so far.
    ///
    /// # Panics
    /// When one of its threads has panicked.
    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("no thread panics").clone()
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
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start() -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = getsockname(&socket).expect("it is bound").try_into().expect("an IPv4 address");
        Self { address, _socket: socket }
    }
}

fn serve(mut stream: TcpStream, manner: Manner, seen: &Mutex<Seen>) -> Option<()> {
    match manner {
        Manner::CloseAtOnce => return None,
        Manner::ResetAtOnce => return reset(&stream),
        _ => {}
    }
    stream.set_read_timeout(Some(Duration::from_mins(1))).ok()?;
    let mut held = Vec::new();
    let mut block = [0; 4_096];
    loop {
        let taken = stream.read(&mut block).ok().filter(|taken| *taken > 0)?;
        held.extend_from_slice(&block[..taken]);
        while let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            held.drain(..end + 4);
            seen.lock().ok()?.requests.push(monotonic_ns());
            answer(&mut stream, manner)?;
        }
    }
}

/// Answers a request; `None` ends the connection.
fn answer(stream: &mut TcpStream, manner: Manner) -> Option<()> {
    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const GARBAGE: &[u8] = b"\x00\x01SSH-2.0-OpenSSH_9.9\r\nnot what you came for\r\n\r\n";
    match manner {
        Manner::Good => stream.write_all(GOOD).ok(),
        Manner::TwoForOne => stream.write_all(&[GOOD, GOOD].concat()).ok(),
        Manner::Garbage => stream.write_all(GARBAGE).ok(),
        Manner::GarbageAndClose => {
            stream.write_all(GARBAGE).ok()?;
            None
        }
        Manner::HalfResponse => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of i").ok()?;
            None
        }
        Manner::InterimStorm => forever(stream, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        Manner::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").ok()?;
            forever(stream, b"X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
        }
        Manner::Mute => Some(()),
        Manner::ResetAfterRequest => reset(stream),
        Manner::CloseAfterRequest | Manner::CloseAtOnce | Manner::ResetAtOnce => None,
    }
}

fn forever(stream: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    loop {
        stream.write_all(bytes).ok()?;
    }
}

/// Has the kernel send RST instead of FIN when the stream is dropped.
fn reset(stream: &TcpStream) -> Option<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok()?;
    None
}
