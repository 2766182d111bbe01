//! Where drivers are tried: a driver, and scripted peers for it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::super::sim::{Answer, Network, Random, Script, SimIo, Step};
use super::super::{Io, Limits, Wait};

/// How long a peer waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A driver of one kind, and peers that it can reach.
pub(super) trait World {
    type Driver: Io;

    /// The driver; asked for once, before anything else.
    fn driver(&mut self, limits: Limits) -> Self::Driver;

    /// Has a peer follow `steps` on each connection to the address returned.
    fn listen(&mut self, driver: &mut Self::Driver, steps: &[Step]) -> SocketAddr;

    /// An address at which nobody listens.
    fn nobody(&mut self) -> SocketAddr;

    /// Waits until `count` connections to `address` are over for the peers too; what they read, in any order.
    fn read_by_peers(&mut self, driver: Self::Driver, address: SocketAddr, count: usize) -> Vec<Vec<u8>>;
}

/// Real sockets on the loopback interface, peers on threads of their own.
pub(super) struct Loopback<F> {
    make: F,
    listeners: Vec<(SocketAddr, Receiver<Vec<u8>>)>,
    /// Bound and never listening, so that nobody else gets the port.
    nobody: Vec<socket2::Socket>,
}

impl<D: Io, F: Fn(Limits) -> D> Loopback<F> {
    /// A world whose driver `make` makes.
    pub(super) fn new(make: F) -> Self {
        Self { make, listeners: Vec::new(), nobody: Vec::new() }
    }
}

impl<D: Io, F: Fn(Limits) -> D> World for Loopback<F> {
    type Driver = D;

    fn driver(&mut self, limits: Limits) -> D {
        (self.make)(limits)
    }

    fn listen(&mut self, _driver: &mut D, steps: &[Step]) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Enough for every test to connect at once.
        socket2::SockRef::from(&listener).listen(1_024).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = channel();
        let steps = steps.to_vec();
        // The thread ends with the test process; it holds nothing that outlives it.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (steps, sender) = (steps.clone(), sender.clone());
                thread::spawn(move || follow(stream.unwrap(), &steps, &sender));
            }
        });
        self.listeners.push((address, receiver));
        address
    }

    fn nobody(&mut self) -> SocketAddr {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        self.nobody.push(socket);
        address
    }

    fn read_by_peers(&mut self, mut driver: D, address: SocketAddr, count: usize) -> Vec<Vec<u8>> {
        let reports = &self.listeners.iter().find(|(listening, _)| *listening == address).unwrap().1;
        let deadline = driver.now().plus(PATIENCE);
        let mut all = Vec::new();
        while all.len() < count {
            assert!(driver.now() < deadline, "only {} of {count} connections were closed", all.len());
            // A driver may hold the close itself back until it waits.
            driver.wait(Wait::Poll).unwrap();
            assert!(driver.completion().is_none(), "everything was closed");
            all.extend(reports.recv_timeout(Duration::from_millis(1)));
        }
        all
    }
}

/// Follows the steps on one connection, then reads until its end and reports everything read.
fn follow(mut stream: TcpStream, steps: &[Step], report: &Sender<Vec<u8>>) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut read = Vec::new();
    let mut pace = None;
    let mut used = 0;
    let fetch = |stream: &mut TcpStream, read: &mut Vec<u8>, until: usize| {
        let from = read.len();
        read.resize(until.max(from), 0);
        stream.read_exact(&mut read[from..]).is_ok()
    };
    for step in steps {
        let alive = match step {
            Step::Await(count) => {
                used += count;
                fetch(&mut stream, &mut read, used)
            }
            Step::Echo(count) => {
                used += count;
                fetch(&mut stream, &mut read, used) && stream.write_all(&read[used - count..used]).is_ok()
            }
            Step::Pause(pause_ns) => {
                pause(*pause_ns);
                true
            }
            Step::Send(bytes) => stream.write_all(bytes).is_ok(),
            Step::Finish => stream.shutdown(Shutdown::Write).is_ok(),
            Step::Close => false,
            Step::Reset => {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                false
            }
            Step::Pace(new) => {
                pace = Some(*new);
                true
            }
        };
        if !alive {
            drop(stream);
            let _ = report.send(read);
            return;
        }
    }
    let mut chunk = vec![0; pace.map_or(65_536, |pace| pace.bytes)];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        read.extend_from_slice(&chunk[..count]);
        if let Some(pace) = pace {
            pause(pace.every_ns);
        }
    }
    let _ = report.send(read);
}

#[expect(clippy::disallowed_methods, reason = "a real peer of a test, on a thread of its own")]
fn pause(pause_ns: u64) {
    thread::sleep(Duration::from_nanos(pause_ns));
}

/// Simulated sockets.
pub(super) struct Simulated {
    network: Network,
    listening: u16,
}

impl Simulated {
    /// A world on that network.
    pub(super) fn new(network: Network) -> Self {
        Self { network: Network { keep_bytes: true, ..network }, listening: 0 }
    }

    fn address(&mut self) -> SocketAddr {
        self.listening += 1;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.listening)
    }
}

impl World for Simulated {
    type Driver = SimIo;

    fn driver(&mut self, limits: Limits) -> SimIo {
        SimIo::new(limits, self.network.clone())
    }

    fn listen(&mut self, driver: &mut SimIo, steps: &[Step]) -> SocketAddr {
        let address = self.address();
        let script = Script::new(steps.iter().cloned());
        driver.listen(address, move |_, _, _: &mut Random| Answer::Accept(Box::new(script.clone())));
        address
    }

    fn nobody(&mut self) -> SocketAddr {
        self.address()
    }

    fn read_by_peers(&mut self, driver: SimIo, address: SocketAddr, count: usize) -> Vec<Vec<u8>> {
        assert_eq!(driver.open_count(), 0, "the test left connections open");
        let truth = driver.finish();
        let there = |seen: &&_| -> bool {
            let seen: &super::super::sim::ConnectionSeen = seen;
            seen.address == address && seen.accepted.is_some()
        };
        let read: Vec<Vec<u8>> =
            truth.connections.iter().filter(there).map(|seen| seen.kept.clone()).collect();
        assert_eq!(read.len(), count);
        read
    }
}
