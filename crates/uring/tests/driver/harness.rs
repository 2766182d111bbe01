//! A driver with patience, and servers in threads to talk to.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use uring::{Completion, ConnId, Driver, Limits, Wait};

/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
pub(crate) const PATIENCE_NANOS: u64 = 20_000_000_000;

/// A driver for tests; where the machine refuses the ring, the test fails.
pub(crate) fn driver(connections: u32, buffer_size: u32, buffer_count: u32) -> Driver {
    Driver::new(Limits { connections, buffer_size, buffer_count }).expect("this machine offers a ring")
}

/// The next completion, waited for.
pub(crate) fn next(driver: &mut Driver) -> Completion {
    let deadline = uring::now().plus_nanos(PATIENCE_NANOS);
    loop {
        if let Some(completion) = driver.completion() {
            return completion;
        }
        assert!(uring::now() < deadline, "nothing completed in 20 s");
        driver.wait(Wait::Until(deadline)).expect("the ring works");
    }
}

/// Whatever completes during `nanos`.
pub(crate) fn during(driver: &mut Driver, nanos: u64) -> Vec<Completion> {
    let deadline = uring::now().plus_nanos(nanos);
    let mut completions = Vec::new();
    while uring::now() < deadline {
        driver.wait(Wait::Until(deadline)).expect("the ring works");
        completions.extend(std::iter::from_fn(|| driver.completion()));
    }
    completions
}

/// A connection that stands.
pub(crate) fn connect(driver: &mut Driver, address: SocketAddr) -> ConnId {
    let conn = driver.connect(&address).expect("a socket");
    match next(driver) {
        Completion::Connected { conn: connected } => assert_eq!(connected, conn),
        other => panic!("not connected but {other:?}"),
    }
    conn
}

/// Takes the bytes of a `Received` out of the driver, and gives the buffer back.
pub(crate) fn take(driver: &mut Driver, lent: uring::Lent) -> Vec<u8> {
    let bytes = driver.bytes(&lent).to_vec();
    assert_eq!(bytes.len(), lent.len as usize);
    driver.release(lent);
    bytes
}

/// Receives until `count` bytes of each connection named are there.
pub(crate) fn receive(driver: &mut Driver, counts: &[(ConnId, usize)]) -> HashMap<u32, Vec<u8>> {
    let mut received: HashMap<u32, Vec<u8>> = HashMap::new();
    let is_done = |received: &HashMap<u32, Vec<u8>>| {
        counts.iter().all(|(conn, count)| received.get(&conn.index).map_or(0, Vec::len) >= *count)
    };
    while !is_done(&received) {
        match next(driver) {
            Completion::Received { conn, lent } => {
                assert!(counts.iter().any(|(expected, _)| *expected == conn), "{conn:?} is a stranger");
                let bytes = take(driver, lent);
                received.entry(conn.index).or_default().extend(bytes);
            }
            Completion::Sent { .. } => {}
            other => panic!("while receiving: {other:?}"),
        }
    }
    received
}

/// Bytes that betray a loss, a repetition or a swap of any piece.
pub(crate) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(len)
    .collect()
}

/// A server that handles `count` connections, each in a thread of its own; joined for what they return.
pub(crate) struct Server<T> {
    pub(crate) address: SocketAddr,
    acceptor: JoinHandle<Vec<JoinHandle<T>>>,
}

impl<T: Send + 'static> Server<T> {
    pub(crate) fn start(count: usize, handle: impl Fn(TcpStream) -> T + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = thread::spawn(move || {
            (0..count)
                .map(|_| {
                    let (stream, _) = listener.accept().expect("a connection");
                    let handle = handle.clone();
                    thread::spawn(move || handle(stream))
                })
                .collect()
        });
        Self { address, acceptor }
    }

    pub(crate) fn join(self) -> Vec<T> {
        let handlers = self.acceptor.join().expect("the acceptor does not panic");
        handlers.into_iter().map(|handler| handler.join().expect("the handler does not panic")).collect()
    }
}

/// Sends back whatever comes, until the peer ends.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
    // The peer may be gone already.
    drop(stream.shutdown(Shutdown::Write));
}

/// Makes closing the stream send a reset instead of a FIN.
pub(crate) fn reset(stream: TcpStream) {
    let linger = Some(std::time::Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(&stream, linger).expect("SO_LINGER");
    drop(stream);
}
