//! Throwing bytes away: exact to the byte on both sides of what is thrown away.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Server, connect, driver, next, take};
use uring::{Completion, ConnId, Driver};

const HEAD: &[u8] = b"<head>";
const TAIL: &[u8] = b"<tail>";

/// For each byte received: a head, a body of zeros of the given length, a tail.
fn serve(body: usize, count: usize) -> Server<()> {
    Server::start(count, move |mut stream: TcpStream| {
        let body = vec![0; body];
        while stream.read(&mut [0; 1]).is_ok_and(|count| count > 0) {
            for part in [HEAD, &body, TAIL] {
                if stream.write_all(part).is_err() {
                    return;
                }
            }
        }
    })
}

/// Takes one response; the body is asked to be discarded as soon as the head is there. Returns the bytes that
/// were thrown away.
fn exchange(driver: &mut Driver, conn: ConnId, body: usize) -> u64 {
    let (mut seen, mut discarded, mut is_asked) = (Vec::new(), 0, false);
    let total = HEAD.len() + body + TAIL.len();
    while seen.len() + usize::try_from(discarded).unwrap() < total {
        match next(driver) {
            Completion::Received { conn: of, lent } => {
                assert_eq!(of, conn);
                seen.extend(take(driver, lent));
                if !is_asked && seen.len() >= HEAD.len() {
                    is_asked = true;
                    let left = (HEAD.len() + body).saturating_sub(seen.len());
                    driver.discard(conn, left as u64);
                }
            }
            Completion::Discarded { conn: of, count } => {
                assert!(of == conn && count > 0);
                discarded += count;
            }
            Completion::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen.len() as u64 + discarded, total as u64);
    assert!(seen.starts_with(HEAD) && seen.ends_with(TAIL));
    assert!(seen[HEAD.len()..seen.len() - TAIL.len()].iter().all(|byte| *byte == 0));
    discarded
}

#[test]
fn large_bodies_are_thrown_away_and_what_follows_is_not() {
    for body in [10 << 20, (1 << 20) + 1, 70_000] {
        let server = serve(body, 1);
        let mut driver = driver(1, 4096, 4);
        let conn = connect(&mut driver, server.address);
        let request = driver.prepare(Box::from(*b"?"));
        let mut discarded = 0;
        for _ in 0..20 {
            driver.send(conn, request);
            discarded += exchange(&mut driver, conn, body);
        }
        if body > 1 << 20 {
            let least = 20 * body as u64 / 2;
            assert!(discarded > least, "only {discarded} of {} bytes were thrown away", 20 * body);
        }
        drop(driver);
        server.join();
    }
}

#[test]
fn small_bodies_are_simply_received() {
    let server = serve(1_000, 1);
    let mut driver = driver(1, 64, 4);
    let conn = connect(&mut driver, server.address);
    let request = driver.prepare(Box::from(*b"?"));
    for _ in 0..50 {
        driver.send(conn, request);
        assert_eq!(exchange(&mut driver, conn, 1_000), 0);
    }
    drop(driver);
    server.join();
}

#[test]
fn a_body_cut_short_ends_the_connection_and_the_count_is_exact() {
    const SENT: usize = 3 << 20;
    let server = Server::start(1, |mut stream: TcpStream| {
        stream.read_exact(&mut [0; 1]).unwrap();
        stream.write_all(&vec![0; SENT]).unwrap();
    });
    let mut driver = driver(1, 4096, 4);
    let conn = connect(&mut driver, server.address);
    driver.discard(conn, 10 << 20);
    driver.send_owned(conn, b"?".to_vec());
    let mut count = 0;
    loop {
        match next(&mut driver) {
            Completion::Received { lent, .. } => count += take(&mut driver, lent).len() as u64,
            Completion::Discarded { count: more, .. } => count += more,
            Completion::Ended { .. } => break,
            Completion::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(count, SENT as u64);
    server.join();
}

#[test]
fn discarding_while_starved_needs_no_buffer() {
    const BODY: usize = 2 << 20;
    let server = serve(BODY, 1);
    let mut driver = driver(1, 1024, 1);
    let conn = connect(&mut driver, server.address);
    driver.send_owned(conn, b"?".to_vec());
    let held = loop {
        if let Completion::Received { lent, .. } = next(&mut driver) {
            break lent;
        }
    };
    let rest = (HEAD.len() + BODY + TAIL.len()) as u64 - u64::from(held.len);
    // The only buffer is out. Let the starvation be noticed before asking.
    let nothing = crate::harness::during(&mut driver, 20_000_000);
    assert!(nothing.iter().all(|completion| matches!(completion, Completion::Sent { .. })), "{nothing:?}");
    driver.discard(conn, rest);
    let mut discarded = 0;
    while discarded < rest {
        match next(&mut driver) {
            Completion::Discarded { count, .. } => discarded += count,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(discarded, rest);
    driver.release(held);
    drop(driver);
    server.join();
}
