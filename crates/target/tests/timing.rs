//! Delays and freezes: what the target says it did is what a client saw.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

mod client;

use std::io::Write as _;
use std::num::NonZeroUsize;

use client::{GET, connect, exchange, now_ns, pause, read_response};
use target::text::{parse_delay, parse_stall};
use target::{Config, ListConfig, Threads, start};

const MS: u64 = 1_000_000;

/// Sends `count` requests one after the other and returns how long each took.
fn service_times(address: std::net::SocketAddr, count: usize) -> Vec<u64> {
    let mut stream = connect(address);
    (0..count)
        .map(|_| {
            let sent = now_ns();
            assert_eq!(exchange(&mut stream, GET).status, 200);
            now_ns() - sent
        })
        .collect()
}

#[test]
fn logged_delays_are_what_the_client_saw() {
    for law in ["none", "3ms", "uniform:1ms,4ms", "exp:2ms", "bimodal:1ms,20ms,0.2", "pareto:1ms,1.5,40ms"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list.csv");
        let list = Some(ListConfig { path: path.clone(), limit: 1_000 });
        let target = start(Config { delay: parse_delay(law).unwrap(), list, ..Config::default() }).unwrap();
        let seen = service_times(target.address(), 100);
        let truth = target.stop();
        assert_eq!(truth.delay.law, law);
        let record = truth.delay.list.unwrap();
        assert_eq!((record.kept, record.left_out, record.written), (100, 0, true));

        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("arrived_ns,drawn_ns,applied_ns"));
        let rows: Vec<Vec<u64>> =
            lines.map(|line| line.split(',').map(|field| field.parse().unwrap()).collect()).collect();
        assert_eq!(rows.len(), 100);
        let mut far = 0;
        for (row, seen) in rows.iter().zip(&seen) {
            let (drawn, applied) = (row[1], row[2]);
            assert!(applied >= drawn, "{law}: {applied} ns instead of {drawn} ns");
            // The client's span surrounds the target's, but for the end of the call that sends: on one machine the
            // client may read the answer before that call returns.
            far += usize::from(seen.abs_diff(applied) > 2 * MS);
        }
        assert!(far <= 10, "{law}: {far} of 100 delays differ from what the client saw");
        let (drawn, applied) = (truth.delay.drawn_ns.unwrap(), truth.delay.applied_ns.unwrap());
        assert_eq!((drawn.count, applied.count), (100, 100));
        assert_eq!(drawn.sum, rows.iter().map(|row| row[1]).sum::<u64>());
        assert_eq!(applied.sum, rows.iter().map(|row| row[2]).sum::<u64>());
        assert_eq!(applied.max, rows.iter().map(|row| row[2]).max().unwrap());
        // Precise timers: the typical answer leaves within a fraction of a millisecond of its instant.
        let mut late: Vec<u64> = rows.iter().map(|row| row[2] - row[1]).collect();
        late.sort_unstable();
        assert!(late[50] < MS, "{law}: answers leave {} ns late", late[50]);
    }
}

#[test]
fn a_seed_gives_the_same_delays_again() {
    let drawn = |seed| {
        let delay = parse_delay("exp:100us").unwrap();
        let target = start(Config { delay, seed, ..Config::default() }).unwrap();
        service_times(target.address(), 50);
        target.stop().delay.drawn_ns.unwrap().sum
    };
    assert_eq!(drawn(5), drawn(5));
    assert_ne!(drawn(5), drawn(6));
}

#[test]
fn delayed_answers_do_not_wait_for_one_another() {
    let target = start(Config { delay: parse_delay("200ms").unwrap(), ..Config::default() }).unwrap();
    let mut streams: Vec<_> = (0..100).map(|_| connect(target.address())).collect();
    let begin = now_ns();
    for stream in &mut streams {
        stream.write_all(&[GET, GET].concat()).unwrap();
    }
    assert_eq!(target.truth().responses, 0);
    for stream in &mut streams {
        assert_eq!(read_response(stream, false).unwrap().status, 200);
        assert_eq!(read_response(stream, false).unwrap().status, 200);
    }
    let took = now_ns() - begin;
    assert!((200 * MS..1_000 * MS).contains(&took), "{took} ns");
    assert_eq!(target.stop().responses, 200);
}

#[test]
fn an_unanswered_request_is_no_response() {
    let target = start(Config { delay: parse_delay("1h").unwrap(), ..Config::default() }).unwrap();
    let mut stream = connect(target.address());
    stream.write_all(GET).unwrap();
    client::eventually("the request", || target.truth().requests == 1);
    let truth = target.stop();
    assert_eq!((truth.requests, truth.responses, truth.unanswered), (1, 0, 1));
    assert_eq!(truth.delay.applied_ns, None);
}

#[test]
fn a_freeze_stops_everything_and_is_logged() {
    let stall = Some(parse_stall("300ms/1s@100ms").unwrap());
    let threads = Threads::Floating(NonZeroUsize::new(2).unwrap());
    let target = start(Config { stall, threads, ..Config::default() }).unwrap();
    let address = target.address();
    // Nothing freezes before the first request.
    pause(std::time::Duration::from_millis(150));
    let mut stream = connect(address);
    exchange(&mut stream, GET);
    let origin = now_ns();
    let (mut slow, mut count) = (Vec::new(), 0);
    while now_ns() < origin + 1_900 * MS {
        let sent = now_ns();
        // New connections wait as well as old ones.
        if count % 2 == 0 {
            exchange(&mut stream, GET)
        } else {
            exchange(&mut connect(address), GET)
        };
        count += 1;
        let took = now_ns() - sent;
        if took > 100 * MS {
            slow.push((sent - origin, took));
        }
        pause(std::time::Duration::from_millis(1));
    }
    assert_eq!(slow.len(), 2, "{slow:?}");
    for (ordinal, (sent, took)) in slow.iter().enumerate() {
        let begins = 100 * MS + ordinal as u64 * 1_000 * MS;
        let ended = sent + took;
        assert!(ended.abs_diff(begins + 300 * MS) < 50 * MS, "{slow:?}");
    }
    let truth = target.stop();
    assert_eq!(truth.stalls.len(), 2, "{:?}", truth.stalls);
    for (ordinal, stall) in truth.stalls.iter().enumerate() {
        assert_eq!(stall.ordinal, ordinal as u64);
        let begins = truth.first_request_ns.unwrap() + (100 + ordinal as u64 * 1_000) * MS;
        assert!(stall.from_ns >= begins && stall.from_ns < begins + 50 * MS);
        assert!(stall.until_ns >= begins + 300 * MS && stall.until_ns < begins + 350 * MS);
    }
    assert_eq!(truth.requests, count + 1);
}

#[test]
fn a_frozen_target_still_stops_at_once() {
    let stall = Some(parse_stall("1h/2h@start").unwrap());
    let target = start(Config { stall, ..Config::default() }).unwrap();
    let mut stream = connect(target.address());
    stream.write_all(GET).unwrap();
    pause(std::time::Duration::from_millis(50));
    let begin = now_ns();
    let truth = target.stop();
    assert!(now_ns() - begin < 1_000 * MS);
    assert_eq!((truth.requests, truth.connects, truth.stalls.len()), (0, 0, 1));
}

#[test]
fn a_full_list_says_what_it_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let list = |name: &str, limit| Some(ListConfig { path: directory.path().join(name), limit });
    let target = start(Config { list: list("list", 10), ..Config::default() }).unwrap();
    service_times(target.address(), 25);
    let record = target.stop().delay.list.unwrap();
    assert_eq!((record.kept, record.left_out, record.written), (10, 15, true));
    assert_eq!(std::fs::read_to_string(record.file).unwrap().lines().count(), 11);
    let error = start(Config { list: list("no/such/place", 10), ..Config::default() }).unwrap_err();
    assert!(error.to_string().contains("writable directory"), "{error}");
}
