//! Peers that refuse, reset and end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};

use crate::harness::{Server, connect, driver, during, next, receive, reset, take};
use uring::{Completion, Errno, Wait};

const CONNECTION_REFUSED: Errno = Errno(111);
const CONNECTION_RESET: Errno = Errno(104);
const BROKEN_PIPE: Errno = Errno(32);
const TABLE_FULL: Errno = Errno(54);

#[test]
fn a_refused_connection_says_so_and_frees_its_place() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut driver = driver(1, 4096, 2);
    for generation in 0..10 {
        let conn = driver.connect(&address).unwrap();
        assert_eq!((conn.index, conn.generation), (0, generation));
        match next(&mut driver) {
            Completion::ConnectFailed { conn: failed, errno } => {
                assert_eq!((failed, errno), (conn, CONNECTION_REFUSED));
            }
            other => panic!("{other:?}"),
        }
        // Closing what closed by itself is harmless.
        driver.close(conn);
    }
}

#[test]
fn a_full_table_refuses() {
    let server = Server::start(1, |_| ());
    let mut driver = driver(1, 4096, 2);
    let _conn = driver.connect(&server.address).unwrap();
    assert_eq!(driver.connect(&server.address), Err(TABLE_FULL));
}

#[test]
fn a_reset_fails_the_connection_once() {
    let server = Server::start(1, |mut stream: TcpStream| {
        stream.read_exact(&mut [0; 4]).unwrap();
        reset(stream);
    });
    let mut driver = driver(1, 4096, 2);
    let prepared = driver.prepare(Box::from(*b"ping"));
    let conn = connect(&mut driver, server.address);
    driver.send(conn, prepared);
    match next(&mut driver) {
        Completion::Failed { conn: failed, errno } => assert_eq!((failed, errno), (conn, CONNECTION_RESET)),
        other => panic!("{other:?}"),
    }
    // Sending on it changes nothing.
    driver.send(conn, prepared);
    driver.send_owned(conn, b"more".to_vec());
    let after = during(&mut driver, 50_000_000);
    assert!(after.is_empty(), "{after:?}");
    driver.close(conn);
    server.join();
}

#[test]
fn what_the_peer_said_before_it_broke_off_is_handed_out_first() {
    let server = Server::start(1, |mut stream: TcpStream| {
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\n\r\n").unwrap();
        // Dropped with bytes unread: the peer's kernel answers with a reset.
        stream.peek(&mut [0; 1]).unwrap();
    });
    let mut driver = driver(1, 4096, 2);
    let conn = connect(&mut driver, server.address);
    driver.send_owned(conn, vec![b'x'; 64 << 20]);
    match next(&mut driver) {
        Completion::Received { lent, .. } => assert!(take(&mut driver, lent).starts_with(b"HTTP/1.1 413")),
        other => panic!("{other:?}"),
    }
    match next(&mut driver) {
        Completion::Failed { errno, .. } => {
            assert!([CONNECTION_RESET, BROKEN_PIPE].contains(&errno), "{errno:?}");
        }
        other => panic!("{other:?}"),
    }
    server.join();
}

/// The failure of the send is known to the kernel before the driver has looked for the response.
#[test]
fn a_send_that_fails_first_does_not_hide_the_response() {
    let armed = Arc::new(Barrier::new(2));
    let gate = Arc::clone(&armed);
    let server = Server::start(1, move |mut stream: TcpStream| {
        gate.wait();
        stream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        reset(stream);
    });
    let mut driver = driver(1, 4096, 2);
    let prepared = driver.prepare(Box::from(*b"ping"));
    let conn = connect(&mut driver, server.address);
    // The receive is with the kernel, and what it has received is not collected before the send is under way.
    driver.wait(Wait::Poll).unwrap();
    armed.wait();
    server.join();
    driver.send(conn, prepared);
    match next(&mut driver) {
        Completion::Received { lent, .. } => assert!(take(&mut driver, lent).starts_with(b"HTTP/1.1 408")),
        other => panic!("{other:?}"),
    }
    match next(&mut driver) {
        Completion::Failed { errno, .. } => {
            assert!([CONNECTION_RESET, BROKEN_PIPE].contains(&errno), "{errno:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_silent_send_on_a_broken_connection_fails_aloud() {
    let server = Server::start(1, reset);
    let mut driver = driver(1, 4096, 2);
    let prepared = driver.prepare(Box::from(*b"ping"));
    let conn = connect(&mut driver, server.address);
    server.join();
    driver.send(conn, prepared);
    match next(&mut driver) {
        Completion::Failed { conn: failed, errno } => {
            assert_eq!(failed, conn);
            assert!([CONNECTION_RESET, BROKEN_PIPE].contains(&errno), "{errno:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_the_peer_has_ended_sending_still_works() {
    let server = Server::start(1, |mut stream: TcpStream| {
        stream.write_all(b"bye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    });
    let mut driver = driver(1, 4096, 2);
    let prepared = driver.prepare(Box::from(*b"adieu"));
    let conn = connect(&mut driver, server.address);
    assert_eq!(receive(&mut driver, &[(conn, 3)])[&conn.index], b"bye");
    assert!(matches!(next(&mut driver), Completion::Ended { conn: ended } if ended == conn));
    driver.send(conn, prepared);
    let after = during(&mut driver, 50_000_000);
    assert!(after.is_empty(), "{after:?}");
    assert_eq!(server.join(), [*b"adieu"]);
    driver.close(conn);
}
