//! Queues too small for what is going on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use super::*;

const CONNECTIONS: u32 = 32;
const REPLY: usize = 6_000;

/// Replies to each byte of each connection with many, until the peer ends.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(CONNECTIONS as usize) {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let reply: Vec<u8> = (0..=250).cycle().take(REPLY).collect();
                while stream.read_exact(&mut [0; 1]).is_ok() && stream.write_all(&reply).is_ok() {}
            });
        }
    });
    address
}

#[test]
fn overflowing_queues_lose_nothing() {
    let address = serve();
    let limits = Limits { connections: CONNECTIONS, buffer_size: 64, buffer_count: 2_048 };
    // Thousands of pieces are received through 8 entries, and 32 sends go out through 4.
    let mut driver = Driver::with_queues(limits, 4, 8).unwrap();
    let request = driver.prepare(Box::from(*b"?"));
    let conns: Vec<_> = (0..CONNECTIONS).map(|_| driver.connect(&address).unwrap()).collect();
    let mut received = vec![0; CONNECTIONS as usize];
    let (mut ended_early, mut rounds) = (0, 0);
    let deadline = now().plus_nanos(30_000_000_000);
    while rounds < 20 {
        driver.wait(Wait::Until(now().plus_nanos(1_000_000_000))).unwrap();
        ended_early += driver
            .inbox
            .iter()
            .filter(|entry| entry.result() > 0 && !cqueue::more(entry.flags()))
            .filter(|entry| Token::from_bits(entry.user_data()).operation() == Some(Operation::Receive))
            .count();
        while let Some(completion) = driver.completion() {
            match completion {
                Completion::Connected { conn } => driver.send(conn, request),
                Completion::Received { conn, lent } => {
                    let bytes: &mut usize = &mut received[conn.index as usize];
                    for byte in driver.bytes(&lent) {
                        assert_eq!(usize::from(*byte), *bytes % REPLY % 251, "of {conn:?}");
                        *bytes += 1;
                    }
                    driver.release(lent);
                }
                other => panic!("{other:?}"),
            }
        }
        if received.iter().all(|bytes| *bytes == REPLY * (rounds + 1)) {
            rounds += 1;
            for conn in &conns {
                driver.send(*conn, request);
            }
        }
        assert!(now() < deadline, "round {rounds}: {received:?}");
    }
    assert!(ended_early > 0, "the queue never overflowed, so that this proves nothing");
}

/// Listens, and says of each connection how many bytes came before its end.
fn count() -> (SocketAddr, std::sync::mpsc::Receiver<usize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell) = (stream.unwrap(), tell.clone());
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                let _ = tell.send(bytes.len());
            });
        }
    });
    (address, told)
}

/// What is withheld, whichever way it was to be sent, never leaves: also where the queue had to be submitted for want of room.
#[test]
fn what_is_withheld_does_not_leave() {
    for (name, submissions, is_guarded) in [("before the wait", 256, false), ("for want of room", 4, true)] {
        let (address, told) = count();
        let limits = Limits { connections: CONNECTIONS, buffer_size: 64, buffer_count: 256 };
        let mut driver = Driver::with_queues(limits, submissions, 512).unwrap();
        let request = driver.prepare(Box::from(*b"GET"));
        let conns: Vec<_> = (0..CONNECTIONS).map(|_| driver.connect(&address).unwrap()).collect();
        let mut standing = 0;
        while standing < CONNECTIONS {
            driver.wait(Wait::Until(now().plus_nanos(1_000_000_000))).unwrap();
            while let Some(completion) = driver.completion() {
                assert!(matches!(completion, Completion::Connected { .. }), "{completion:?}");
                standing += 1;
            }
        }
        // The first of them has sent before.
        driver.send(conns[0], request);
        driver.wait(Wait::Poll).unwrap();
        if is_guarded {
            driver.guard(Box::new(|| false));
        }
        for (place, conn) in conns.iter().enumerate() {
            match place % 2 {
                0 => driver.send(*conn, request),
                _ => driver.send_owned(*conn, b"POST".to_vec()),
            }
        }
        driver.withhold();
        for conn in &conns {
            driver.close(*conn);
        }
        drop(driver);
        let patience = std::time::Duration::from_secs(10);
        let mut came: Vec<usize> =
            (0..CONNECTIONS).map(|_| told.recv_timeout(patience).expect("every connection ends")).collect();
        came.sort_unstable();
        assert_eq!(came[..came.len() - 1], [0; CONNECTIONS as usize - 1], "{name}");
        assert_eq!(came.last(), Some(&3), "{name}: what left before stays");
    }
}
