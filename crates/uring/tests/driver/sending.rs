//! Sends larger than the peer takes: order kept, bytes kept, silence kept.

use std::io::Read;
use std::net::TcpStream;
use std::sync::mpsc;

use crate::harness::{Server, connect, driver, during, next, pattern};
use uring::{Completion, Wait};

/// A server that reads nothing until it is told to, then everything, slowly at first.
fn lazy(go: mpsc::Receiver<()>) -> Server<Vec<u8>> {
    let go = std::sync::Arc::new(std::sync::Mutex::new(go));
    Server::start(1, move |mut stream: TcpStream| {
        go.lock().unwrap().recv().unwrap();
        let mut received = Vec::new();
        let mut bytes = [0; 1_000];
        for _ in 0..500 {
            let count = stream.read(&mut bytes).unwrap();
            received.extend_from_slice(&bytes[..count]);
        }
        stream.read_to_end(&mut received).unwrap();
        received
    })
}

#[test]
fn a_large_owned_send_to_a_slow_reader_arrives_whole() {
    let (go, gate) = mpsc::channel();
    let server = lazy(gate);
    let mut driver = driver(1, 4096, 2);
    let conn = connect(&mut driver, server.address);
    let bytes = pattern(20 << 20, 1);
    driver.send_owned(conn, bytes.clone());
    let early = during(&mut driver, 50_000_000);
    assert!(early.is_empty(), "{} completions though nothing was read", early.len());
    go.send(()).unwrap();
    match next(&mut driver) {
        Completion::Sent { conn: sent, buffer } => assert!(sent == conn && buffer == bytes),
        other => panic!("{other:?}"),
    }
    driver.close(conn);
    drop(driver);
    assert!(server.join() == [bytes]);
}

/// Sends until far more is under way than the sockets hold, `group` of them in each submission, then lets the
/// server read: the driver must notice that one did not go through, and let none overtake it.
fn stall(len: usize, group: u64) {
    let (go, gate) = mpsc::channel();
    let server = lazy(gate);
    let mut driver = driver(1, 4096, 2);
    let conn = connect(&mut driver, server.address);
    let mut expected = Vec::new();
    let mut number = 0;
    while expected.len() < 8 << 20 {
        number += 1;
        let bytes = pattern(len, number);
        expected.extend_from_slice(&bytes);
        let prepared = driver.prepare(bytes.into_boxed_slice());
        driver.send(conn, prepared);
        if number % group == 0 {
            driver.wait(Wait::Poll).unwrap();
            assert!(driver.completion().is_none());
        }
    }
    driver.send_owned(conn, b"the end".to_vec());
    expected.extend_from_slice(b"the end");
    go.send(()).unwrap();
    match next(&mut driver) {
        Completion::Sent { buffer, .. } => assert_eq!(buffer, b"the end"),
        other => panic!("{other:?}"),
    }
    driver.close(conn);
    drop(driver);
    let received = server.join().pop().unwrap();
    assert_eq!(received.len(), expected.len(), "{len} bytes each, {group} at a time");
    assert!(received == expected, "bytes were swapped: {len} bytes each, {group} at a time");
}

#[test]
fn sends_to_a_stalled_reader_keep_their_order() {
    for len in [1_000, 5_000, 7_001, 16_384] {
        for group in [1, 2, 3, 1_000] {
            stall(len, group);
        }
    }
}

#[test]
fn large_prepared_sends_keep_their_order() {
    for group in [1, 2, 3] {
        stall(100_000, group);
    }
}

#[test]
fn an_empty_send_completes() {
    let server = Server::start(1, |mut stream: TcpStream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    let mut driver = driver(1, 4096, 2);
    let empty = driver.prepare(Box::from([]));
    let conn = connect(&mut driver, server.address);
    driver.send(conn, empty);
    driver.send_owned(conn, Vec::new());
    assert!(matches!(next(&mut driver), Completion::Sent { .. }));
    driver.close(conn);
    drop(driver);
    assert_eq!(server.join(), [b""]);
}
