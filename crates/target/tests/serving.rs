//! What clients see of a target, and that its document agrees with them.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

mod client;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::time::Duration;

use client::{GET, connect, eventually, exchange, has_ended, read_response, truth};
use target::{Config, Handle, StartError, Threads, Truth, start};

fn started() -> Handle {
    start(Config::default()).unwrap()
}

#[test]
fn the_default_response_has_a_hundred_bytes() {
    let target = started();
    let mut stream = connect(target.address());
    let response = exchange(&mut stream, GET);
    assert_eq!((response.status, response.head.len() + response.body.len()), (200, 100));
    assert_eq!(response.body, b"open loop target\n");
    let truth = target.stop();
    assert_eq!((truth.config.response_bytes, truth.bytes.sent, truth.bytes.received), (100, 100, 40));
}

#[test]
fn counts_are_exact_over_many_connections() {
    const CONNECTIONS: u64 = 200;
    const PER_CONNECTION: u64 = 50;
    let threads = Threads::Floating(NonZeroUsize::new(2).unwrap());
    let target = start(Config { threads, ..Config::default() }).unwrap();
    let address = target.address();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut streams: Vec<_> = (0..CONNECTIONS / 4).map(|_| connect(address)).collect();
                for _ in 0..PER_CONNECTION {
                    for stream in &mut streams {
                        assert_eq!(exchange(stream, GET).status, 200);
                    }
                }
                drop(streams);
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    eventually("every connection closed", || target.truth().connections_open == 0);

    let over_http = truth(address);
    let truth = target.stop();
    for truth in [&over_http, &truth] {
        assert_eq!((truth.connects, truth.requests, truth.responses), (200, 10_000, 10_000));
        assert_eq!((truth.unanswered, truth.requests_incomplete), (0, 0));
        assert_eq!(truth.status["200"], 10_000);
        assert_eq!((truth.bytes.received, truth.bytes.sent), (400_000, 1_000_000));
        let sum = |of: fn(&target::SecondRecord) -> u64| truth.per_second.iter().map(of).sum::<u64>();
        assert_eq!(sum(|second| second.connects), 200);
        assert_eq!(sum(|second| second.requests), 10_000);
        assert_eq!(sum(|second| second.responses), 10_000);
        let applied = truth.delay.applied_ns.as_ref().unwrap();
        assert_eq!(applied.count, 10_000);
        assert!(truth.first_request_ns.unwrap() < truth.last_request_ns.unwrap());
        assert!(truth.last_request_ns.unwrap() < truth.elapsed_ns);
    }
    assert_eq!((truth.truth_requests, truth.connections_open), (1, 0));
}

#[test]
fn asking_for_the_truth_counts_nowhere_else() {
    let target = started();
    for form in ["/truth", "/truth?pretty", "http://t/truth"] {
        let request = format!("GET {form} HTTP/1.1\r\nHost: t\r\n\r\n");
        let response = exchange(&mut connect(target.address()), request.as_bytes());
        assert!(response.head.contains("application/json"), "{form}: {}", response.head);
        assert_eq!(Truth::from_json(&response.body).unwrap().requests, 0);
    }
    let mut stream = connect(target.address());
    let head = exchange(&mut stream, b"HEAD /truth HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(target.truth().connects, 0);
    // The same connection counts once it asks for something else.
    exchange(&mut stream, GET);
    exchange(&mut stream, b"GET /truth HTTP/1.1\r\nHost: t\r\n\r\n");
    let truth = target.stop();
    assert_eq!((truth.connects, truth.requests, truth.truth_requests), (1, 1, 5));
    assert_eq!(truth.per_second.iter().map(|second| second.connects).sum::<u64>(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let target = start(Config { body_bytes: 5, ..Config::default() }).unwrap();
    let mut stream = connect(target.address());
    let count = 2_000;
    let mut batch = Vec::new();
    for index in 0..count {
        let method = if index % 3 == 0 { "HEAD" } else { "GET" };
        batch.extend_from_slice(format!("{method} /{index} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
    }
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&batch).unwrap());
    for index in 0..count {
        let response = read_response(&mut stream, index % 3 == 0).unwrap();
        assert_eq!(response.body.len(), if index % 3 == 0 { 0 } else { 5 });
        assert!(response.head.contains("Content-Length: 5\r\n"));
    }
    writing.join().unwrap();
    assert_eq!(target.stop().requests, 2_000);
}

#[test]
fn bodies_are_read_and_counted() {
    let target = started();
    let mut stream = connect(target.address());
    let sized = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
        4;a=b\r\nWiki\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
    assert_eq!(exchange(&mut stream, sized).status, 200);
    assert_eq!(exchange(&mut stream, chunked).status, 200);
    stream.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 300000\r\n\r\n").unwrap();
    assert_eq!(exchange(&mut stream, &vec![b'x'; 300_000]).status, 200);
    let truth = target.stop();
    assert_eq!((truth.requests, truth.bytes.request_bodies), (3, 5 + 14 + 300_000));
}

#[test]
fn a_client_that_expects_continue_gets_it() {
    let target = started();
    let mut stream = connect(target.address());
    let head = b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(exchange(&mut stream, head).status, 100);
    assert_eq!(exchange(&mut stream, b"abc").status, 200);
    let truth = target.stop();
    assert_eq!((truth.requests, truth.responses, truth.unanswered), (1, 1, 0));
}

#[test]
fn connections_end_when_asked_and_only_then() {
    let rows = [
        ("HTTP/1.1", "Host: t\r\n", true, ""),
        ("HTTP/1.1", "Host: t\r\nConnection: close\r\n", false, "Connection: close"),
        ("HTTP/1.1", "Host: t\r\nConnection: x, CLOSE\r\n", false, "Connection: close"),
        ("HTTP/1.0", "", false, "Connection: close"),
        ("HTTP/1.0", "Connection: keep-alive\r\n", true, "Connection: keep-alive"),
    ];
    let target = started();
    for (version, fields, stays, says) in rows {
        let mut stream = connect(target.address());
        let request = format!("GET / {version}\r\n{fields}\r\n");
        let response = exchange(&mut stream, request.as_bytes());
        assert_eq!(response.status, 200);
        assert!(response.head.contains(says), "{version} {fields}: {}", response.head);
        if stays {
            assert_eq!(exchange(&mut stream, request.as_bytes()).status, 200);
        } else {
            assert!(has_ended(&mut stream), "{version} {fields}");
        }
    }
    // A half-closed client still gets its answer.
    let mut stream = connect(target.address());
    stream.write_all(GET).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_response(&mut stream, false).unwrap().status, 200);
    assert!(has_ended(&mut stream));
}

#[test]
fn headers_and_large_bodies_come_whole_to_slow_readers() {
    let config = Config {
        body_bytes: 8_000_000,
        headers: vec![("X-Test".into(), "yes".into()), ("Content-Type".into(), "text/x".into())],
        ..Config::default()
    };
    let target = start(config).unwrap();
    let mut streams: Vec<_> = (0..10).map(|_| connect(target.address())).collect();
    for stream in &mut streams {
        stream.write_all(&[GET, GET].concat()).unwrap();
    }
    // Nobody reads for a while, so the target has to wait for room.
    client::pause(Duration::from_millis(50));
    assert!(target.truth().responses < 20);
    for stream in &mut streams {
        for _ in 0..2 {
            let response = read_response(stream, false).unwrap();
            assert!(response.head.contains("X-Test: yes\r\n") && response.head.contains("text/x"));
            assert!(!response.head.contains("text/plain"));
            assert_eq!(response.body.len(), 8_000_000);
            assert!(response.body.chunks(17).all(|part| b"open loop target\n".starts_with(part)));
        }
    }
    eventually("all responses counted", || target.truth().responses == 20);
}

#[test]
fn a_port_in_use_is_refused_with_the_fix() {
    for count in [1, 2] {
        let threads = Threads::Floating(NonZeroUsize::new(count).unwrap());
        let target = start(Config { threads: threads.clone(), ..Config::default() }).unwrap();
        let error = start(Config { listen: target.address(), threads, ..Config::default() }).unwrap_err();
        assert!(matches!(error, StartError::Listen { .. }) && !error.is_usage(), "{error}");
        assert!(error.to_string().contains("choose a free port"), "{error}");
        // The port is free again once the first one has stopped.
        let address = target.address();
        target.stop();
        start(Config { listen: address, ..Config::default() }).unwrap();
    }
}

#[test]
fn threads_run_on_their_cores_or_not_at_all() {
    let target = start(Config { threads: Threads::Pinned(vec![0, 0]), ..Config::default() }).unwrap();
    assert_eq!(exchange(&mut connect(target.address()), GET).status, 200);
    assert_eq!(target.stop().config.cores, [0, 0]);
    let error = start(Config { threads: Threads::Pinned(vec![0, 1_000]), ..Config::default() }).unwrap_err();
    assert!(matches!(error, StartError::Core { core: 1_000, .. }), "{error}");
    let error = start(Config { threads: Threads::Pinned(vec![5_000]), ..Config::default() }).unwrap_err();
    assert!(matches!(error, StartError::Core { core: 5_000, .. }), "{error}");
}

#[test]
fn ipv6_is_served_where_the_machine_has_it() {
    // Where this bind fails the machine has no IPv6 at all.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let target = start(Config { listen: "[::1]:0".parse().unwrap(), ..Config::default() }).unwrap();
        assert_eq!(exchange(&mut connect(target.address()), GET).status, 200);
    }
}

#[test]
fn run_serves_until_told_and_a_dropped_target_is_gone() {
    let truth = target::run(Config::default(), |target| {
        exchange(&mut connect(target.address()), GET);
    })
    .unwrap();
    assert_eq!(truth.requests, 1);
    let target = started();
    let mut stream = connect(target.address());
    exchange(&mut stream, GET);
    drop(target);
    let mut rest = Vec::new();
    assert!(matches!(stream.read_to_end(&mut rest), Ok(0) | Err(_)));
}
