//! A target that writes every request down: when it came, for which slot of the plan, from which process.
//!
//! What it is: a server on loopback that shares no code with the product. A request of `/s/4711` is that of slot 4,711; whose it
//! is, the kernel tells: the process that holds the other end of its connection. What it is not: a whole HTTP server; requests
//! have no bodies.
//!
//! Invariant: a request is stamped after it was read. So no stamp is before the request was there, and what is stamped before
//! it was due was sent before it was due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::waiting::monotonic_ns;

/// The token of the listener; no connection has so high a number.
const LISTENER: u64 = u64::MAX;
/// How long the server waits at most before it looks whether it shall end.
const ROUND_NS: u64 = 20_000_000;
/// How often it is looked for whose connections are.
const LOOKED_EVERY: Duration = Duration::from_millis(20);
/// A connection that was nobody's so often was closed before anyone looked.
const LOOKS_MOST: u32 = 250;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it had been read, in nanoseconds of the machine's monotonic clock.
    pub at_ns: u64,
    /// Which slot of the plan it is of, where its path says so.
    pub slot: Option<u64>,
    /// The number of its connection.
    pub connection: usize,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The requests, in the order in which they were read.
    pub seen: Vec<Seen>,
    /// By connection: the process at its other end, where it was found.
    owners: Vec<Option<u32>>,
}

impl Log {
    /// The process that sent a request; none where it was gone before anyone looked.
    pub fn owner(&self, seen: &Seen) -> Option<u32> {
        self.owners.get(seen.connection).copied().flatten()
    }

    /// The requests of one process.
    pub fn of(&self, pid: Pid) -> impl Iterator<Item = &Seen> {
        let pid = u32::try_from(pid.as_raw_nonzero().get()).ok();
        self.seen.iter().filter(move |seen| self.owner(seen) == pid)
    }

    /// Requests of which nobody knows who sent them: of connections that were closed before anyone looked.
    pub fn nobodys(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|seen| self.owner(seen).is_none())
    }
}

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    count: AtomicUsize,
    log: Mutex<Log>,
    /// Connections whose process is not known yet: number, port of the other end, looks so far.
    unknown: Mutex<Vec<(usize, u16, u32)>>,
    /// There is one more of them.
    one_more: Condvar,
    /// Processes that may be at the other end.
    pids: Mutex<BTreeSet<u32>>,
}

/// A running witness. Dropping it ends it.
#[derive(Debug)]
pub struct Witness {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Witness {
    /// Starts one on a free port of 127.0.0.1, which answers each request so long after it was read.
    pub fn start(answers_after: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        // A fleet connects at one instant.
        rustix::net::listen(&listener, 4_096).expect("a longer backlog");
        listener.set_nonblocking(true).expect("a listener can be asked");
        let address = listener.local_addr().expect("it listens");
        let shared = Arc::new(Shared::default());
        let delay_ns = u64::try_from(answers_after.as_nanos()).expect("a short delay");
        let server = Server::new(listener, Arc::clone(&shared), delay_ns);
        let looking = Arc::clone(&shared);
        let threads = vec![
            std::thread::spawn(move || server.serve()),
            std::thread::spawn(move || look_for_owners(&looking, address.port())),
        ];
        Self { address, shared, threads }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections of this process are to be known as its own.
    pub fn watch(&self, pid: Pid) {
        let pid = u32::try_from(pid.as_raw_nonzero().get()).expect("a process has a positive id");
        locked(&self.shared.pids).insert(pid);
    }

    /// Requests so far.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// A copy of what was seen so far.
    pub fn log(&self) -> Log {
        locked(&self.shared.log).clone()
    }

    /// Ends it; everything that was seen.
    pub fn stop(mut self) -> Log {
        self.end();
        std::mem::take(&mut *locked(&self.shared.log))
    }

    fn end(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a witness does not fall");
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.end();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that serves.
struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    shared: Arc<Shared>,
    delay_ns: u64,
    /// By number; none once it was closed.
    connections: Vec<Option<Connection>>,
    /// Who is owed an answer, and when.
    owed: VecDeque<(u64, usize)>,
    /// What was seen in this round.
    fresh: Vec<Seen>,
}

struct Connection {
    stream: TcpStream,
    /// The begin of a request that is not whole yet.
    begun: Vec<u8>,
}

impl Server {
    fn new(listener: TcpListener, shared: Arc<Shared>, delay_ns: u64) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an event queue");
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).expect("it is added");
        let (connections, owed, fresh) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { listener, epoll, shared, delay_ns, connections, owed, fresh }
    }

    fn serve(mut self) {
        loop {
            // The last round reads what had come before it was asked to end.
            let last = self.shared.ended.load(Ordering::Relaxed);
            let events = self.round(last);
            if !self.fresh.is_empty() {
                self.shared.count.fetch_add(self.fresh.len(), Ordering::Relaxed);
                locked(&self.shared.log).seen.append(&mut self.fresh);
            }
            if last && events == 0 {
                return;
            }
        }
    }

    fn round(&mut self, last: bool) -> usize {
        let mut storage = [const { MaybeUninit::uninit() }; 256];
        let until_owed = self.owed.front().map(|(at, _)| at.saturating_sub(monotonic_ns()));
        let wait_ns = if last { 0 } else { until_owed.unwrap_or(ROUND_NS).min(ROUND_NS) };
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait_ns.try_into().expect("less than a second") };
        let tokens: Vec<u64> = match epoll::wait(&self.epoll, &mut storage, Some(&timeout)) {
            Ok((events, _)) => events.iter().map(|event| event.data.u64()).collect(),
            Err(Errno::INTR) => return 1,
            Err(error) => panic!("an event queue can be asked: {error}"),
        };
        for token in &tokens {
            match usize::try_from(*token) {
                Ok(number) if *token != LISTENER => self.read(number),
                _ => self.accept(),
            }
        }
        self.answer_those_owed();
        tokens.len()
    }

    fn accept(&mut self) {
        while let Ok((stream, peer)) = self.listener.accept() {
            stream.set_nonblocking(true).expect("a connection can be asked");
            stream.set_nodelay(true).expect("a connection can be set");
            let number = self.connections.len();
            let token = EventData::new_u64(number as u64);
            epoll::add(&self.epoll, &stream, token, EventFlags::IN).expect("it is added");
            self.connections.push(Some(Connection { stream, begun: Vec::new() }));
            locked(&self.shared.log).owners.push(None);
            locked(&self.shared.unknown).push((number, peer.port(), 0));
            self.shared.one_more.notify_one();
        }
    }

    fn read(&mut self, number: usize) {
        let mut bytes = [0; 16 << 10];
        loop {
            let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else { return };
            match connection.stream.read(&mut bytes) {
                Ok(0) => return self.close(number),
                Ok(count) => {
                    let at_ns = monotonic_ns();
                    connection.begun.extend_from_slice(&bytes[..count]);
                    while let Some(head) = connection.next_request() {
                        self.fresh.push(Seen { at_ns, slot: slot_of(&head), connection: number });
                        self.owed.push_back((at_ns + self.delay_ns, number));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Its other end was killed.
                Err(_) => return self.close(number),
            }
        }
    }

    fn close(&mut self, number: usize) {
        // The queue forgets a descriptor that is closed.
        self.connections[number] = None;
    }

    fn answer_those_owed(&mut self) {
        while let Some((at_ns, number)) = self.owed.front().copied() {
            if self.delay_ns > 0 && at_ns > monotonic_ns() {
                return;
            }
            self.owed.pop_front();
            let Some(connection) = self.connections[number].as_mut() else { continue };
            // So few bytes find room, unless nobody is there any more.
            if connection.stream.write_all(ANSWER).is_err() {
                self.close(number);
            }
        }
    }
}

impl Connection {
    /// Takes the next whole request.
    fn next_request(&mut self) -> Option<Vec<u8>> {
        let end = self.begun.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        Some(self.begun.drain(..end).collect())
    }
}

/// The slot that a request names in its path.
fn slot_of(head: &[u8]) -> Option<u64> {
    let digits = head.split(|byte| *byte == b' ').nth(1)?.strip_prefix(b"/s/")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Finds out whose connections are, until the end.
fn look_for_owners(shared: &Shared, port: u16) {
    while !shared.ended.load(Ordering::Relaxed) {
        let waiting = locked(&shared.unknown);
        let woken = shared.one_more.wait_timeout(waiting, LOOKED_EVERY);
        let (mut waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        let unknown: Vec<(usize, u16, u32)> = std::mem::take(&mut *waiting);
        drop(waiting);
        if unknown.is_empty() {
            continue;
        }
        let pids: Vec<u32> = locked(&shared.pids).iter().copied().collect();
        let sockets = sockets_to(port);
        let owners = owners_of_sockets(&pids);
        let mut still = Vec::new();
        for (number, port, looks) in unknown {
            match sockets.get(&port).and_then(|inode| owners.get(inode)) {
                Some(pid) => locked(&shared.log).owners[number] = Some(*pid),
                None if looks < LOOKS_MOST => still.push((number, port, looks + 1)),
                None => {}
            }
        }
        locked(&shared.unknown).append(&mut still);
    }
}

/// By local port: the inodes of sockets of this host that are connected to a port of 127.0.0.1.
fn sockets_to(port: u16) -> BTreeMap<u16, u64> {
    let text = fs::read_to_string("/proc/net/tcp").expect("Linux tells its sockets");
    let there = format!("0100007F:{port:04X}");
    // proc_pid_net(5): number, local address, remote address, state, queues, timer, retransmissions, user, timeout, inode.
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?.split_once(':')?.1;
        let inode = fields.get(9)?.parse().ok()?;
        (*fields.get(2)? == there).then_some((u16::from_str_radix(local, 16).ok()?, inode))
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// By inode: which of these processes holds the socket.
fn owners_of_sockets(pids: &[u32]) -> BTreeMap<u64, u32> {
    let mut owners = BTreeMap::new();
    for pid in pids {
        // It may have ended.
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for descriptor in descriptors.flatten() {
            let Ok(link) = fs::read_link(descriptor.path()) else { continue };
            let link = link.to_string_lossy();
            let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
            owners.extend(inode.map(|inode: u64| (inode, *pid)));
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::{SOON, wait_for};

    #[test]
    fn requests_are_seen_with_their_slots_and_their_processes() {
        let witness = Witness::start(Duration::ZERO);
        witness.watch(rustix::process::getpid());
        let before_ns = monotonic_ns();
        let mut stream = TcpStream::connect(witness.address).expect("it listens");
        for (bytes, whole) in [(&b"GET /s/7 HTTP/1.1\r\n"[..], 0), (b"\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n", 2)]
        {
            stream.write_all(bytes).expect("it reads");
            wait_for("the requests", SOON, || (witness.count() == whole).then_some(()));
        }
        let mut answers = vec![0; 2 * ANSWER.len()];
        stream.read_exact(&mut answers).expect("it answers each");
        wait_for("the owner", SOON, || (witness.log().nobodys().count() == 0).then_some(()));
        let log = witness.stop();
        assert_eq!(log.seen.iter().map(|seen| seen.slot).collect::<Vec<_>>(), [Some(7), None]);
        assert!(log.seen.iter().all(|seen| (before_ns..monotonic_ns()).contains(&seen.at_ns)));
        assert_eq!(log.of(rustix::process::getpid()).count(), 2);
    }
}
