//! Receive buffers: scarce, held back, lent.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Server, connect, driver, echo, next, pattern, take};
use uring::{Completion, Driver, Wait};

#[test]
fn few_buffers_for_many_connections_lose_nothing() {
    const CONNECTIONS: usize = 64;
    const LEN: usize = 50_000;
    let server = Server::start(CONNECTIONS, |mut stream: TcpStream| {
        let mut seed = [0; 8];
        stream.read_exact(&mut seed).unwrap();
        stream.write_all(&pattern(LEN, u64::from_le_bytes(seed))).unwrap();
        // Keep it open until the client has everything.
        assert_eq!(stream.read(&mut seed).unwrap(), 0);
    });
    let mut driver = driver(64, 256, 4);
    let conns: Vec<_> = (0..CONNECTIONS).map(|_| connect(&mut driver, server.address)).collect();
    for (number, conn) in conns.iter().enumerate() {
        driver.send_owned(*conn, (number as u64).to_le_bytes().to_vec());
    }
    let mut received = vec![Vec::new(); CONNECTIONS];
    while received.iter().any(|bytes| bytes.len() < LEN) {
        match next(&mut driver) {
            Completion::Received { conn, lent } => {
                let number = conns.iter().position(|known| *known == conn).unwrap();
                received[number].extend(take(&mut driver, lent));
            }
            Completion::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    for (number, bytes) in received.iter().enumerate() {
        assert!(*bytes == pattern(LEN, number as u64), "connection {number} lost or swapped bytes");
    }
    drop(driver);
    server.join();
}

/// Collects lent buffers until nothing comes any more.
fn hoard(driver: &mut Driver, count: usize) -> Vec<uring::Lent> {
    let mut hoard = Vec::new();
    while hoard.len() < count {
        match next(driver) {
            Completion::Received { lent, .. } => hoard.push(lent),
            other => panic!("{other:?}"),
        }
    }
    hoard
}

#[test]
fn without_buffers_the_driver_neither_spins_nor_forgets() {
    let bytes = pattern(4 * 1024, 3);
    let sent = bytes.clone();
    let server = Server::start(1, move |mut stream: TcpStream| {
        stream.write_all(&sent).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    });
    let mut driver = driver(1, 1024, 2);
    connect(&mut driver, server.address);
    let held = hoard(&mut driver, 2);
    // Both buffers are out: the next wait must sleep to its deadline, in a handful of calls.
    let before = driver.enter_count();
    let deadline = uring::now().plus_nanos(100_000_000);
    while uring::now() < deadline {
        driver.wait(Wait::Until(deadline)).unwrap();
        let completion = driver.completion();
        assert!(completion.is_none(), "{completion:?}");
    }
    assert!(driver.enter_count() - before < 5, "{} calls", driver.enter_count() - before);
    let mut received = Vec::new();
    for lent in held {
        received.extend(take(&mut driver, lent));
    }
    while received.len() < bytes.len() {
        for lent in hoard(&mut driver, 1) {
            received.extend(take(&mut driver, lent));
        }
    }
    assert!(received == bytes);
    drop(driver);
    server.join();
}

#[test]
fn lent_bytes_may_be_changed_in_place() {
    let server = Server::start(1, echo);
    let mut driver = driver(1, 1024, 2);
    let prepared = driver.prepare(Box::from(*b"ABC"));
    let conn = connect(&mut driver, server.address);
    driver.send(conn, prepared);
    let lent = hoard(&mut driver, 1).pop().unwrap();
    driver.bytes(&lent).make_ascii_lowercase();
    assert_eq!(driver.bytes(&lent), b"abc");
    driver.release(lent);
}

#[test]
fn polling_an_idle_ring_makes_no_system_call() {
    let server = Server::start(1, echo);
    let mut driver = driver(1, 1024, 2);
    let prepared = driver.prepare(Box::from(*b"ABC"));
    let conn = connect(&mut driver, server.address);
    while driver.completion().is_some() {}
    driver.wait(Wait::Poll).unwrap();
    let before = driver.enter_count();
    for _ in 0..10_000 {
        driver.wait(Wait::Poll).unwrap();
        assert!(driver.completion().is_none());
    }
    assert_eq!(driver.enter_count(), before);
    // And yet it sees what happens.
    driver.send(conn, prepared);
    let deadline = uring::now().plus_nanos(crate::harness::PATIENCE_NANOS);
    let completion = loop {
        driver.wait(Wait::Poll).unwrap();
        if let Some(completion) = driver.completion() {
            break completion;
        }
        assert!(uring::now() < deadline, "polling never saw the echo");
        std::thread::yield_now();
    };
    assert!(matches!(completion, Completion::Received { .. }), "{completion:?}");
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let mut driver = driver(1, 1024, 2);
    for nanos in [0, 1_000, 1_000_000, 20_000_000] {
        let deadline = uring::now().plus_nanos(nanos);
        driver.wait(Wait::Until(deadline)).unwrap();
        assert!(uring::now() >= deadline, "returned early with nothing to hand out");
        assert!(driver.completion().is_none());
    }
}
