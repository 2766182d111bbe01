//! Closing and dropping with operations in flight.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::harness::{Server, connect, driver, during, echo, next, take};
use uring::{Completion, Wait};

/// Floods until the peer is gone.
fn flood(mut stream: TcpStream) {
    while stream.write_all(&[b'f'; 1000]).is_ok() {}
}

#[test]
fn nothing_of_a_closed_connection_reaches_the_next_tenant() {
    const ROUNDS: usize = 300;
    let server = Server::start(ROUNDS, flood);
    let quiet = Server::start(ROUNDS, echo);
    let mut driver = driver(1, 512, 8);
    let prepared = driver.prepare(Box::from(*b"mine"));
    let mut last = None;
    for round in 0..ROUNDS {
        let noisy = connect(&mut driver, server.address);
        // The flood is being received, and completions lie in the queue unread, when it is closed.
        if round % 3 > 0 {
            driver.wait(Wait::Until(uring::now().plus_nanos(100_000_000))).unwrap();
        }
        if round % 3 == 1
            && let Some(Completion::Received { lent, .. }) = driver.completion()
        {
            driver.release(lent);
        }
        driver.close(noisy);
        driver.send(noisy, prepared);
        driver.send_owned(noisy, b"stale".to_vec());
        driver.discard(noisy, 1 << 20);
        // The table has one place: it must become free, and be another tenant's.
        let conn = connect(&mut driver, quiet.address);
        assert_eq!(conn.index, noisy.index);
        assert_ne!(conn.generation, noisy.generation);
        assert_ne!(Some(conn), last);
        last = Some(conn);
        driver.send(conn, prepared);
        match next(&mut driver) {
            Completion::Received { conn: of, lent } => {
                assert_eq!(of, conn);
                assert_eq!(take(&mut driver, lent), b"mine");
            }
            other => panic!("{other:?}"),
        }
        driver.close(conn);
    }
    assert!(during(&mut driver, 10_000_000).is_empty());
    drop(driver);
    server.join();
    quiet.join();
}

#[test]
fn closing_cancels_a_connection_attempt_and_a_parked_send() {
    let server = Server::start(1, |mut stream: TcpStream| {
        let mut count = 0;
        let mut bytes = vec![0; 1 << 16];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) | Err(_) => return count,
                Ok(more) => count += more,
            }
            std::thread::yield_now();
        }
    });
    let mut driver = driver(4, 4096, 8);
    // Nobody answers there: the attempt stays in flight (TEST-NET-1, RFC 5737), or is refused at once.
    let nowhere: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let attempt = driver.connect(&nowhere);
    let conn = driver.connect(&server.address).unwrap();
    driver.send_owned(conn, vec![0; 256 << 20]);
    driver.wait(Wait::Poll).unwrap();
    if let Ok(attempt) = attempt {
        driver.close(attempt);
    }
    driver.wait(Wait::Poll).unwrap();
    driver.close(conn);
    let after = during(&mut driver, 50_000_000);
    assert!(after.is_empty(), "{after:?}");
    // Only a closed descriptor lets the server see the end.
    assert!(server.join()[0] < 256 << 20);
}

#[test]
fn closing_before_anything_was_submitted() {
    let server = Server::start(50, echo);
    let mut driver = driver(1, 4096, 2);
    for _ in 0..50 {
        let conn = connect(&mut driver, server.address);
        let prepared = driver.prepare(Box::from(*b"last words"));
        driver.send(conn, prepared);
        driver.close(conn);
        driver.close(conn);
        let after = during(&mut driver, 100_000);
        assert!(after.is_empty(), "{after:?}");
    }
    drop(driver);
    server.join();
}

#[test]
fn dropping_drains_receives_sends_discards_and_attempts() {
    for _ in 0..20 {
        let floods = Server::start(4, flood);
        let sinks = Server::start(4, |mut stream: TcpStream| {
            // Reads too little to let the send finish, then waits for the end.
            let mut bytes = [0; 100];
            while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
        });
        let mut driver = driver(16, 1024, 32);
        for number in 0..4 {
            let flooded = driver.connect(&floods.address).unwrap();
            let sink = driver.connect(&sinks.address).unwrap();
            driver.send_owned(sink, vec![1; 8 << 20]);
            driver.wait(Wait::Poll).unwrap();
            if number % 2 == 0 {
                driver.discard(flooded, 1 << 30);
            }
        }
        for _ in 0..5 {
            driver.wait(Wait::Until(uring::now().plus_nanos(1_000_000))).unwrap();
            // Some lent buffers are never given back.
            drop(driver.completion());
        }
        drop(driver);
        floods.join();
        sinks.join();
    }
}
