//! The target of the plain tables: 107 bytes for each request, one thread, epoll.
//!
//! What it is: the same for every client, so that ratios between clients hold. It counts requests (heads that end in
//! an empty line), and on demand notes when each arrived.
//! What it is not: an HTTP server. It reads no request line and expects no bodies. It shares no code with the product.
//!
//! Units: nanoseconds of the monotonic clock.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{Timespec, epoll};

use crate::PerfError;
use crate::child::{now_ns, pin};

/// What every request is answered with.
pub(crate) const REPLY: &[u8; 107] = b"HTTP/1.1 200 OK\r\n\
    Server: responder\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 23\r\n\
    \r\n\
    hello from perf 0123456";

/// The token of the listening socket.
const LISTENER: u64 = u64::MAX;
/// A spinning responder never sleeps: it has a core of its own, and its notes of arrivals are not late.
const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicU64,
    is_noting: AtomicBool,
    is_over: AtomicBool,
    arrivals_ns: Mutex<Vec<u64>>,
}

/// A running responder. Dropping it ends its thread.
#[derive(Debug)]
pub(crate) struct Responder {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Responder {
    /// Starts one on a core. A spinning one burns that core to answer, and note arrivals, at once.
    pub(crate) fn start(core: usize, is_spinning: bool) -> Result<Self, PerfError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(PerfError::system("bind"))?;
        let address = listener.local_addr().map_err(PerfError::system("getsockname"))?;
        listener.set_nonblocking(true).map_err(PerfError::system("O_NONBLOCK"))?;
        let shared = Arc::new(Shared::default());
        let mut serving = Serving::new(listener, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new()
            .name("responder".to_owned())
            .spawn(move || {
                pin(core).expect("the core was checked before");
                serving.serve(is_spinning).expect("epoll works");
            })
            .map_err(PerfError::system("cannot start a thread"))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests received until now.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// CPU time used until now. Our own process does nothing else worth mentioning while it serves.
    #[expect(clippy::unused_self, reason = "it is this responder's figure, wherever it is read")]
    pub(crate) fn cpu_ns(&self) -> u64 {
        crate::child::own_cpu_ns()
    }

    /// Begins to note when each request arrives.
    pub(crate) fn note_arrivals(&self, expected: usize) {
        let mut arrivals = self.shared.arrivals_ns.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.clear();
        arrivals.reserve(expected);
        self.shared.is_noting.store(true, Ordering::Release);
    }

    /// Ends the notes and hands them over, oldest first.
    pub(crate) fn arrivals_ns(&self) -> Vec<u64> {
        self.shared.is_noting.store(false, Ordering::Release);
        std::mem::take(&mut *self.shared.arrivals_ns.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes it, if it sleeps.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already said so.
            let _ = thread.join();
        }
    }
}

/// One client's connection, and how much of an empty line has been seen at the end of what it sent.
struct Connection {
    stream: TcpStream,
    matched: usize,
}

struct Serving {
    listener: TcpListener,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    shared: Arc<Shared>,
}

impl Serving {
    fn new(listener: TcpListener, shared: Arc<Shared>) -> Result<Self, PerfError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(PerfError::system("epoll_create"))?;
        let data = epoll::EventData::new_u64(LISTENER);
        epoll::add(&epoll, listener.as_fd(), data, epoll::EventFlags::IN)
            .map_err(PerfError::system("epoll_ctl"))?;
        Ok(Self { listener, epoll, connections: Vec::new(), free: Vec::new(), shared })
    }

    fn serve(&mut self, is_spinning: bool) -> io::Result<()> {
        let mut events = Vec::with_capacity(1024);
        while !self.shared.is_over.load(Ordering::Acquire) {
            events.clear();
            let limit = is_spinning.then_some(&NEVER);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), limit) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                if event.data.u64() == LISTENER {
                    self.accept()?;
                } else {
                    self.answer(usize::try_from(event.data.u64()).expect("a place"));
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
            self.connections[place] = Some(Connection { stream, matched: 0 });
        }
    }

    fn answer(&mut self, place: usize) {
        let Some(connection) = self.connections[place].as_mut() else { return };
        let mut bytes = [0; 4096];
        let count = match connection.stream.read(&mut bytes) {
            Ok(0) => return self.close(place),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return self.close(place),
        };
        let requests = ended_heads(&bytes[..count], &mut connection.matched);
        // Counted before it is answered: a client that has its reply was counted.
        let total = self.shared.requests.load(Ordering::Relaxed) + requests;
        self.shared.requests.store(total, Ordering::Release);
        if self.shared.is_noting.load(Ordering::Acquire) {
            let mut arrivals = self.shared.arrivals_ns.lock().unwrap_or_else(PoisonError::into_inner);
            let now_ns = now_ns();
            arrivals.extend((0..requests).map(|_| now_ns));
        }
        for _ in 0..requests {
            // So small a reply always fits, unless the client is gone or reads nothing at all.
            if !matches!(connection.stream.write(REPLY), Ok(written) if written == REPLY.len()) {
                return self.close(place);
            }
        }
    }

    fn close(&mut self, place: usize) {
        // Closing the descriptor takes it out of the epoll set.
        self.connections[place] = None;
        self.free.push(place);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
