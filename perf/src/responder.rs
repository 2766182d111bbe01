//! The target of the plain tables: 107 bytes for each request, unless told otherwise; epoll, a thread for each core.
//!
//! What it is: the same for every client, so that ratios between clients hold. It counts requests (heads that end in
//! an empty line), and on demand notes when each arrived.
//! What it is not: an HTTP server. It reads no request line, and expects bodies only of a size that it is told. It shares
//! no code with the product.
//!
//! Units: nanoseconds of the monotonic clock.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::PerfError;
use crate::child::{now_ns, pin};

/// What every request is answered with.
pub(crate) const REPLY: &[u8; 107] = b"HTTP/1.1 200 OK\r\n\
    Server: responder\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 23\r\n\
    \r\n\
    {\"token\":\"0123456789a\"}";

/// Bytes read at once: where requests are small, and where they have bodies.
const SMALL_READ: usize = 4 << 10;
const LARGE_READ: usize = 256 << 10;
/// The token of the listening socket.
const LISTENER: u64 = u64::MAX;
/// A spinning responder never sleeps: it has a core of its own, and its notes of arrivals are not late.
const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// How long another one sleeps before it looks whether it is over.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// Connections that may wait to be accepted; the kernel has a bound of its own.
const BACKLOG: i32 = 4_096;

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicU64,
    is_noting: AtomicBool,
    is_over: AtomicBool,
    arrivals_ns: Mutex<Vec<u64>>,
}

/// What a responder answers, and how.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// Burn the core to answer, and note arrivals, at once.
    pub(crate) is_spinning: bool,
    /// Bytes of body; `None` is [`REPLY`].
    pub(crate) body_bytes: Option<usize>,
    /// Close a connection after an answer when the request asks for it (RFC 9112 section 9.6). Looking costs time.
    pub(crate) obeys_close: bool,
    /// Bytes of body behind every head. With some, a request counts when all of it has come.
    pub(crate) request_bytes: usize,
}

impl Manner {
    /// [`REPLY`], sleeping between requests.
    pub(crate) const PLAIN: Self =
        Self { is_spinning: false, body_bytes: None, obeys_close: false, request_bytes: 0 };

    pub(crate) fn reply(&self, is_last: bool) -> Vec<u8> {
        let Some(bytes) = self.body_bytes.or(is_last.then_some(23)) else { return REPLY.to_vec() };
        let close = if is_last { "Connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: responder\r\nContent-Type: text/plain\r\n{close}Content-Length: {bytes}\r\n\r\n"
        );
        [head.into_bytes(), vec![b'x'; bytes]].concat()
    }
}

/// A running responder. Dropping it ends its threads.
#[derive(Debug)]
pub(crate) struct Responder {
    address: SocketAddr,
    threads: Vec<(Arc<Shared>, Option<std::thread::JoinHandle<()>>)>,
}

impl Responder {
    /// Starts one on a core, which answers [`REPLY`].
    pub(crate) fn start(core: usize, is_spinning: bool) -> Result<Self, PerfError> {
        Self::start_on(&[core], &Manner { is_spinning, ..Manner::PLAIN })
    }

    /// Starts one with a thread on each core. Connections go to the thread on whose core they were begun, if there is
    /// one, else to any.
    pub(crate) fn start_on(cores: &[usize], manner: &Manner) -> Result<Self, PerfError> {
        let mut responder = Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), threads: Vec::new() };
        for core in cores.iter().copied() {
            let listener = listen(responder.address, core).map_err(PerfError::system("listen"))?;
            responder.address = listener.local_addr().map_err(PerfError::system("getsockname"))?;
            let shared = Arc::new(Shared::default());
            let mut serving = Serving::new(listener, Arc::clone(&shared), manner)?;
            let is_spinning = manner.is_spinning;
            let thread = std::thread::Builder::new()
                .name("responder".to_owned())
                .spawn(move || {
                    pin(&[core]).expect("the core was checked before");
                    serving.serve(is_spinning).expect("epoll works");
                })
                .map_err(PerfError::system("cannot start a thread"))?;
            responder.threads.push((shared, Some(thread)));
        }
        Ok(responder)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests received until now.
    pub(crate) fn requests(&self) -> u64 {
        self.threads.iter().map(|(shared, _)| shared.requests.load(Ordering::Acquire)).sum()
    }

    /// CPU time used until now. Our own process does nothing else worth mentioning while it serves.
    #[expect(clippy::unused_self, reason = "it is this responder's figure, wherever it is read")]
    pub(crate) fn cpu_ns(&self) -> u64 {
        crate::child::own_cpu_ns()
    }

    /// Begins to note when each request arrives (at the first thread: notes are taken where there is one).
    pub(crate) fn note_arrivals(&self, expected: usize) {
        let shared = &self.threads[0].0;
        let mut arrivals = shared.arrivals_ns.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.clear();
        arrivals.reserve(expected);
        shared.is_noting.store(true, Ordering::Release);
    }

    /// Ends the notes and hands them over, oldest first.
    pub(crate) fn arrivals_ns(&self) -> Vec<u64> {
        let shared = &self.threads[0].0;
        shared.is_noting.store(false, Ordering::Release);
        std::mem::take(&mut *shared.arrivals_ns.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        for (shared, _) in &self.threads {
            shared.is_over.store(true, Ordering::Release);
        }
        for thread in self.threads.iter_mut().filter_map(|(_, thread)| thread.take()) {
            // A thread that panicked has already said so.
            let _ = thread.join();
        }
    }
}

/// A listening socket beside others on the same address; the kernel prefers the one of the caller's core.
fn listen(address: SocketAddr, core: usize) -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    sockopt::set_socket_incoming_cpu(&socket, u32::try_from(core).expect("cores are few"))?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// One client's connection.
struct Connection {
    stream: TcpStream,
    /// How much of an empty line has been seen at the end of what it sent.
    matched: usize,
    /// Bytes that are still to come of the body of its request.
    body_left: usize,
    /// Bytes of answers that are due and not sent yet; the last of them ends an answer.
    unsent: usize,
    /// Whether the answer is the last.
    is_closing: bool,
    /// Whether we are told when it takes more.
    is_blocked: bool,
}

struct Serving {
    listener: TcpListener,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    shared: Arc<Shared>,
    replies: [Vec<u8>; 2],
    obeys_close: bool,
    request_bytes: usize,
    /// What requests are read into.
    memory: Box<[u8]>,
}

impl Serving {
    fn new(listener: TcpListener, shared: Arc<Shared>, manner: &Manner) -> Result<Self, PerfError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(PerfError::system("epoll_create"))?;
        let data = epoll::EventData::new_u64(LISTENER);
        epoll::add(&epoll, listener.as_fd(), data, epoll::EventFlags::IN)
            .map_err(PerfError::system("epoll_ctl"))?;
        let replies = [manner.reply(false), manner.reply(true)];
        let memory = if manner.request_bytes == 0 { SMALL_READ } else { LARGE_READ };
        Ok(Self {
            listener,
            epoll,
            connections: Vec::new(),
            free: Vec::new(),
            shared,
            replies,
            obeys_close: manner.obeys_close,
            request_bytes: manner.request_bytes,
            memory: vec![0; memory].into_boxed_slice(),
        })
    }

    fn serve(&mut self, is_spinning: bool) -> io::Result<()> {
        let mut events = Vec::with_capacity(1024);
        while !self.shared.is_over.load(Ordering::Acquire) {
            events.clear();
            let limit = if is_spinning { &NEVER } else { &LOOK_EVERY };
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(limit)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                if event.data.u64() == LISTENER {
                    self.accept()?;
                } else {
                    let place = usize::try_from(event.data.u64()).expect("a place");
                    let flags = event.flags;
                    if flags.intersects(epoll::EventFlags::OUT) {
                        self.send(place);
                    }
                    if flags.intersects(!epoll::EventFlags::OUT) {
                        self.answer(place);
                    }
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The client gave up in between.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
            let connection = Connection {
                stream,
                matched: 0,
                body_left: 0,
                unsent: 0,
                is_closing: false,
                is_blocked: false,
            };
            self.connections[place] = Some(connection);
        }
    }

    fn answer(&mut self, place: usize) {
        let Some(connection) = self.connections[place].as_mut() else { return };
        let bytes = &mut self.memory;
        let count = match connection.stream.read(bytes) {
            Ok(0) => return self.close(place),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return self.close(place),
        };
        let requests = match self.request_bytes {
            0 => ended_heads(&bytes[..count], &mut connection.matched),
            body => ended_requests(&bytes[..count], body, &mut connection.matched, &mut connection.body_left),
        };
        // Counted before it is answered: a client that has its reply was counted.
        let total = self.shared.requests.load(Ordering::Relaxed) + requests;
        self.shared.requests.store(total, Ordering::Release);
        if self.shared.is_noting.load(Ordering::Acquire) {
            let mut arrivals = self.shared.arrivals_ns.lock().unwrap_or_else(PoisonError::into_inner);
            let now_ns = now_ns();
            arrivals.extend((0..requests).map(|_| now_ns));
        }
        if self.obeys_close && requests > 0 {
            connection.is_closing |= asks_to_close(&bytes[..count]);
        }
        let size = self.replies[usize::from(connection.is_closing)].len();
        connection.unsent += usize::try_from(requests).expect("a read is small") * size;
        self.send(place);
    }

    /// Sends what is due, as far as the kernel takes it.
    fn send(&mut self, place: usize) {
        let Some(connection) = self.connections[place].as_mut() else { return };
        let reply = &self.replies[usize::from(connection.is_closing)];
        while connection.unsent > 0 {
            let rest = (connection.unsent - 1) % reply.len() + 1;
            match connection.stream.write(&reply[reply.len() - rest..]) {
                Ok(written) => connection.unsent -= written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return self.close(place),
            }
        }
        let is_blocked = connection.unsent > 0;
        if connection.is_blocked != is_blocked {
            connection.is_blocked = is_blocked;
            let out = if is_blocked { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            let data = epoll::EventData::new_u64(place as u64);
            if epoll::modify(&self.epoll, &connection.stream, data, epoll::EventFlags::IN | out).is_err() {
                return self.close(place);
            }
        }
        if connection.is_closing && !is_blocked {
            self.close(place);
        }
    }

    fn close(&mut self, place: usize) {
        // Closing the descriptor takes it out of the epoll set.
        self.connections[place] = None;
        self.free.push(place);
    }
}

/// Whether a head names the option to close. Each client sends its head whole, and spells the field in one of two ways.
fn asks_to_close(bytes: &[u8]) -> bool {
    const FIELD: &[u8] = b"onnection: close\r\n";
    bytes.windows(FIELD.len()).any(|window| window == FIELD)
}

/// How many heads end in these bytes; `matched` carries a beginning of CR LF CR LF from one call to the next.
fn ended_heads(bytes: &[u8], matched: &mut usize) -> u64 {
    const END: &[u8; 4] = b"\r\n\r\n";
    let mut count = 0;
    for byte in bytes {
        if *byte == END[*matched] {
            *matched += 1;
            if *matched == END.len() {
                *matched = 0;
                count += 1;
            }
        } else {
            *matched = usize::from(*byte == b'\r');
        }
    }
    count
}

/// How many requests end in these bytes, each a head and `body` bytes behind it.
fn ended_requests(mut bytes: &[u8], body: usize, matched: &mut usize, body_left: &mut usize) -> u64 {
    let mut count = 0;
    while !bytes.is_empty() {
        if *body_left > 0 {
            let taken = bytes.len().min(*body_left);
            *body_left -= taken;
            bytes = &bytes[taken..];
            count += u64::from(*body_left == 0);
        } else {
            // Byte by byte only as far as the head goes.
            let end = (0..bytes.len()).find(|place| ended_heads(&bytes[*place..=*place], matched) > 0);
            let Some(end) = end else { return count };
            *body_left = body;
            bytes = &bytes[end + 1..];
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_with_bodies_are_counted_however_they_are_cut() {
        let stream = b"POST / HTTP/1.1\r\n\r\n\r\n\r\nPOST / HTTP/1.1\r\n\r\nbodyPOST".as_slice();
        for cut in 0..stream.len() {
            let (mut matched, mut left) = (0, 0);
            let (front, back) = stream.split_at(cut);
            let count = ended_requests(front, 4, &mut matched, &mut left)
                + ended_requests(back, 4, &mut matched, &mut left);
            assert_eq!((count, left), (2, 0), "{cut}");
        }
    }

    #[test]
    fn large_requests_are_answered_when_all_of_them_has_come() {
        let core = crate::child::cores().unwrap()[0];
        let manner = Manner { request_bytes: 1 << 20, ..Manner::PLAIN };
        let responder = Responder::start_on(&[core], &manner).unwrap();
        let mut stream = TcpStream::connect(responder.address()).unwrap();
        let body = vec![b'x'; 1 << 20];
        for round in 1..=3 {
            stream.write_all(b"POST / HTTP/1.1\r\n\r\n").unwrap();
            let (most, last) = body.split_at(body.len() - 1);
            stream.write_all(most).unwrap();
            assert_eq!(responder.requests(), round - 1);
            stream.write_all(last).unwrap();
            let mut reply = [0; REPLY.len()];
            stream.read_exact(&mut reply).unwrap();
            assert_eq!((&reply, responder.requests()), (REPLY, round));
        }
    }

    #[test]
    fn heads_are_counted_however_they_are_cut() {
        let stream = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\r\n\r\n";
        for cut in 0..stream.len() {
            let mut matched = 0;
            let (front, back) = stream.split_at(cut);
            assert_eq!(ended_heads(front, &mut matched) + ended_heads(back, &mut matched), 3, "{cut}");
        }
    }

    #[test]
    fn bodies_of_any_size_come_whole_from_every_thread() {
        let cores = crate::child::cores().unwrap();
        let manner = Manner { body_bytes: Some(3_000_000), ..Manner::PLAIN };
        let responder = Responder::start_on(&[cores[0], *cores.last().unwrap()], &manner).unwrap();
        for _ in 0..8 {
            let mut stream = TcpStream::connect(responder.address()).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").unwrap();
            // More than the kernel takes at once: the responder has to go on later.
            let mut replies = vec![0; 2 * manner.reply(false).len()];
            stream.read_exact(&mut replies).unwrap();
            assert_eq!(replies, manner.reply(false).repeat(2));
        }
        assert_eq!(responder.requests(), 16);
    }

    #[test]
    fn who_asks_to_close_is_answered_and_closed() {
        let core = crate::child::cores().unwrap()[0];
        let manner = Manner { obeys_close: true, ..Manner::PLAIN };
        let responder = Responder::start_on(&[core], &manner).unwrap();
        let mut stream = TcpStream::connect(responder.address()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut reply = [0; REPLY.len()];
        stream.read_exact(&mut reply).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("Connection: close\r\n") && rest.len() > REPLY.len(), "{rest}");
    }

    #[test]
    fn it_answers_counts_and_notes() {
        for is_spinning in [false, true] {
            let core = crate::child::cores().unwrap()[0];
            let responder = Responder::start(core, is_spinning).unwrap();
            let mut streams: Vec<_> =
                (0..3).map(|_| TcpStream::connect(responder.address()).unwrap()).collect();
            responder.note_arrivals(6);
            for place in 0..6 {
                let stream = &mut streams[place % 3];
                stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
                stream.write_all(b"Host: a\r\n\r\n").unwrap();
                let mut reply = [0; REPLY.len()];
                stream.read_exact(&mut reply).unwrap();
                assert_eq!(&reply, REPLY);
            }
            assert_eq!(responder.requests(), 6);
            let arrivals = responder.arrivals_ns();
            assert!(arrivals.len() == 6 && arrivals.is_sorted(), "{arrivals:?}");
        }
    }
}
