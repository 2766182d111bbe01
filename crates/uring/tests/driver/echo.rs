//! Connecting, sending, receiving: the ordinary day.

use crate::harness::{Server, connect, driver, echo, next, pattern, receive, take};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;
use uring::{Completion, Driver, Limits};

#[test]
fn prepared_bytes_come_back_from_an_echo() {
    let server = Server::start(1, echo);
    let mut driver = driver(1, 4096, 4);
    let prepared = driver.prepare(Box::from(*b"GET / HTTP/1.1\r\n\r\n"));
    let conn = connect(&mut driver, server.address);
    for _ in 0..1_000 {
        driver.send(conn, prepared);
        let received = receive(&mut driver, &[(conn, 18)]);
        assert_eq!(received[&conn.index], b"GET / HTTP/1.1\r\n\r\n");
    }
    drop(driver);
    server.join();
}

#[test]
fn many_connections_are_kept_apart_and_in_order() {
    const CONNECTIONS: usize = 200;
    const ROUNDS: usize = 20;
    let server = Server::start(CONNECTIONS, echo);
    let mut driver = driver(256, 512, 512);
    let conns: Vec<_> = (0..CONNECTIONS).map(|_| driver.connect(&server.address).unwrap()).collect();
    let mut connected = 0;
    while connected < CONNECTIONS {
        assert!(matches!(next(&mut driver), Completion::Connected { .. }));
        connected += 1;
    }
    let messages: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let bytes = pattern(1_500, number as u64);
            (driver.prepare(bytes.clone().into_boxed_slice()), bytes)
        })
        .collect();
    for _ in 0..ROUNDS {
        for (conn, (prepared, _)) in conns.iter().zip(&messages) {
            driver.send(*conn, *prepared);
        }
        let counts: Vec<_> = conns.iter().map(|conn| (*conn, 1_500)).collect();
        let received = receive(&mut driver, &counts);
        for (conn, (_, bytes)) in conns.iter().zip(&messages) {
            assert!(received[&conn.index] == *bytes, "connection {conn:?} received another's bytes");
        }
    }
    drop(driver);
    server.join();
}

#[test]
fn an_owned_buffer_returns_with_sent() {
    let server = Server::start(1, echo);
    let mut driver = driver(1, 4096, 4);
    let conn = connect(&mut driver, server.address);
    let bytes = pattern(3_000, 7);
    driver.send_owned(conn, bytes.clone());
    let (mut returned, mut received) = (None, Vec::new());
    while returned.is_none() || received.len() < bytes.len() {
        match next(&mut driver) {
            Completion::Sent { buffer, .. } => returned = Some(buffer),
            Completion::Received { lent, .. } => received.extend(take(&mut driver, lent)),
            other => panic!("{other:?}"),
        }
    }
    assert!(returned == Some(bytes.clone()) && received == bytes);
}

#[test]
fn sends_handed_over_before_the_connection_stands_follow_it() {
    let server = Server::start(1, echo);
    let mut driver = driver(1, 4096, 4);
    let (first, second) = (driver.prepare(Box::from(*b"one ")), driver.prepare(Box::from(*b"two ")));
    let conn = driver.connect(&server.address).unwrap();
    driver.send(conn, first);
    driver.send_owned(conn, b"owned ".to_vec());
    driver.send(conn, second);
    assert!(matches!(next(&mut driver), Completion::Connected { .. }));
    let received = receive(&mut driver, &[(conn, 14)]);
    assert_eq!(received[&conn.index], b"one owned two ");
}

#[test]
fn a_source_address_is_bound_before_connecting() {
    let server = Server::start(1, |stream: TcpStream| stream.peer_addr().unwrap());
    let source: IpAddr = "127.0.0.5".parse().unwrap();
    let limits = Limits { connections: 1, buffer_size: 4096, buffer_count: 2 };
    let mut driver = Driver::new(limits).unwrap();
    let conn = driver.connect_from(&server.address, Some(source)).unwrap();
    assert!(matches!(next(&mut driver), Completion::Connected { conn: of } if of == conn));
    assert_eq!(server.join()[0].ip(), source);
}

#[test]
fn unix_sockets_are_connected_by_path_and_by_abstract_name() {
    let path = std::env::temp_dir().join(format!("openloop-uring-{}.socket", std::process::id()));
    let hidden = format!("openloop-uring-{}", std::process::id());
    let listeners = [
        UnixListener::bind(&path).unwrap(),
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&hidden).unwrap()).unwrap(),
    ];
    let names = [path.to_str().unwrap().to_owned(), format!("\0{hidden}")];
    for (listener, name) in listeners.into_iter().zip(names) {
        let mut driver = driver(1, 4096, 4);
        let echo = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let conn = driver.connect_unix(name.as_bytes()).unwrap();
        assert!(matches!(next(&mut driver), Completion::Connected { conn: of } if of == conn));
        let prepared = driver.prepare(Box::from(*b"hello"));
        driver.send(conn, prepared);
        let received = receive(&mut driver, &[(conn, 5)]);
        assert_eq!(received[&conn.index], b"hello");
        echo.join().unwrap();
    }
    std::fs::remove_file(&path).unwrap();
    let mut driver = driver(1, 4096, 4);
    driver.connect_unix(path.to_str().unwrap().as_bytes()).unwrap();
    let missing = rustix::io::Errno::NOENT.raw_os_error();
    assert!(matches!(next(&mut driver), Completion::ConnectFailed { errno, .. } if errno.0 == missing));
}
