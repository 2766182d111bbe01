//! What is the simulation's own: its clock, its truth, its strictness. The rest is in the conformance suite.

use std::net::Ipv4Addr;

use clock::NANOS_PER_SECOND;

use super::*;

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LIMITS: Limits = Limits { connections: 4, buffer_size: 64, buffer_count: 8 };
const MILLI: u64 = 1_000_000;

/// One client that asks again as soon as it has been answered, until `end`.
fn closed_loop(io: &mut SimIo, response_len: u64, end: Timestamp) -> Vec<u64> {
    let request = io.prepare(REQUEST.into());
    io.connect(&ADDRESS.into()).unwrap();
    let (mut sent, mut left) = (Timestamp::ZERO, 0);
    let mut latencies = Vec::new();
    while io.now() < end {
        io.wait(Wait::Until(end)).unwrap();
        let now = io.now();
        while let Some(completion) = io.completion() {
            let conn = completion.conn();
            match completion {
                Completion::Connected { .. } => {}
                Completion::Received { lent, .. } => {
                    left -= u64::from(lent.len);
                    io.release(lent);
                    if left > 0 {
                        continue;
                    }
                    latencies.push(now.nanos_since(sent));
                }
                other => panic!("unexpected {other:?}"),
            }
            sent = now;
            left = response_len;
            io.send(conn, request);
        }
    }
    latencies
}

#[test]
fn a_simulated_hour_is_exact_and_quick() {
    let mut io = SimIo::new(LIMITS, Network::default());
    let server = HttpServer::new(DelayLaw::Fixed(10 * MILLI));
    let response_len = server.response.len() as u64;
    io.listen(ADDRESS, server);
    let end = io.now().plus_nanos(3_600 * NANOS_PER_SECOND);
    let latencies = closed_loop(&mut io, response_len, end);
    // 10 ms and two flights of 20 µs each: the handshake takes 40 µs of the hour.
    assert_eq!(latencies.len() as u64, (3_600 * NANOS_PER_SECOND - 40_000) / 10_040_000);
    assert!(latencies.iter().all(|latency| *latency == 10_040_000));
    let truth = io.finish();
    assert_eq!(truth.answered_count(), latencies.len());
}

#[test]
fn the_same_seed_gives_the_same_run_and_truth_agrees() {
    let run = |seed| {
        let mut io = SimIo::new(LIMITS, Network::rough(seed));
        let server = HttpServer::new(DelayLaw::Uniform(0, 5 * MILLI));
        let response_len = server.response.len() as u64;
        io.listen(ADDRESS, server);
        let end = io.now().plus_nanos(20 * NANOS_PER_SECOND);
        let latencies = closed_loop(&mut io, response_len, end);
        let truth = io.finish();
        for (latency, request) in latencies.iter().zip(&truth.requests) {
            let least = request.answered.unwrap().nanos_since(request.sent);
            // Late wake-ups and cuts may add, nothing may subtract.
            assert!(*latency >= least && *latency < least + MILLI, "{latency} against {least}");
        }
        latencies
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn polling_makes_time_pass_and_waiting_ends_on_time() {
    let mut io = SimIo::new(LIMITS, Network::default());
    let start = io.now();
    io.wait(Wait::Poll).unwrap();
    assert_eq!(io.now().nanos_since(start), 200);
    io.wait(Wait::Until(start.plus_nanos(MILLI))).unwrap();
    assert_eq!(io.now().nanos_since(start), MILLI);
}

#[test]
fn stalls_hold_answers_back() {
    let start = Network::default().start;
    let stall = start.plus_nanos(100 * MILLI)..start.plus_nanos(300 * MILLI);
    let mut io = SimIo::new(LIMITS, Network::default());
    let mut server = HttpServer::new(DelayLaw::Fixed(MILLI));
    server.stalls.push(stall.clone());
    let response_len = server.response.len() as u64;
    io.listen(ADDRESS, server);
    let latencies = closed_loop(&mut io, response_len, start.plus_nanos(400 * MILLI));
    let slow: Vec<u64> = latencies.into_iter().filter(|latency| *latency > 2 * MILLI).collect();
    assert_eq!(slow.len(), 1);
    assert!(slow[0] > 199 * MILLI && slow[0] <= 202 * MILLI, "{}", slow[0]);
}

#[test]
fn the_machine_refuses_by_schedule() {
    let start = Network::default().start;
    let errno: Errno = rustix::io::Errno::MFILE.into();
    let refusal = LocalRefusal { from: start, until: start.plus_nanos(MILLI), errno };
    let mut io = SimIo::new(LIMITS, Network { refusals: vec![refusal], ..Network::default() });
    io.listen(ADDRESS, HttpServer::new(DelayLaw::Fixed(0)));
    assert_eq!(io.connect(&ADDRESS.into()), Err(errno));
    io.wait(Wait::Until(start.plus_nanos(MILLI))).unwrap();
    io.connect(&ADDRESS.into()).unwrap();
    let truth = io.finish();
    assert_eq!((truth.refused_locally, truth.connections.len()), (1, 1));
}

/// A driver with one connection that stands, and what it was called.
fn connected(network: Network) -> (SimIo, ConnId) {
    let mut io = SimIo::new(LIMITS, network);
    io.listen(ADDRESS, HttpServer::new(DelayLaw::Fixed(0)));
    let conn = io.connect(&ADDRESS.into()).unwrap();
    io.wait(Wait::Until(Timestamp::MAX)).unwrap();
    assert!(matches!(io.completion(), Some(Completion::Connected { .. })));
    (io, conn)
}

#[test]
fn a_send_can_break_the_connection() {
    let (mut io, conn) = connected(Network { send_failure_per_million: 1_000_000, ..Network::default() });
    let request = io.prepare(REQUEST.into());
    io.send(conn, request);
    io.wait(Wait::Poll).unwrap();
    assert!(matches!(io.completion(), Some(Completion::Failed { errno: Errno(32), .. })));
    io.send(conn, request);
    io.wait(Wait::Poll).unwrap();
    assert!(io.completion().is_none(), "a failure is told once");
    io.close(conn);
    assert_eq!(io.finish().requests.len(), 0);
}

#[test]
#[should_panic(expected = "never gave 1 lent buffers back")]
fn a_leaked_buffer_is_found() {
    let (mut io, conn) = connected(Network::default());
    let request = io.prepare(REQUEST.into());
    io.send(conn, request);
    io.wait(Wait::Until(Timestamp::MAX)).unwrap();
    let Some(Completion::Received { lent, .. }) = io.completion() else { panic!("no answer") };
    assert!(io.bytes(&lent).starts_with(b"HTTP/1.1 200"));
    io.finish();
}

#[test]
#[should_panic(expected = "is closed after its end")]
fn closing_twice_is_found() {
    let (mut io, conn) = connected(Network::default());
    io.close(conn);
    io.close(conn);
}

#[test]
#[should_panic(expected = "discards after its end")]
fn discarding_on_a_closed_connection_is_found() {
    let (mut io, conn) = connected(Network::default());
    io.close(conn);
    io.discard(conn, 1);
}

#[test]
#[should_panic(expected = "was never given")]
fn a_name_that_was_never_given_is_found() {
    let (mut io, conn) = connected(Network::default());
    let request = io.prepare(REQUEST.into());
    io.send(ConnId { generation: conn.generation + 1, ..conn }, request);
}

#[test]
#[should_panic(expected = "already has an owned send")]
fn a_second_owned_send_is_found() {
    let (mut io, conn) = connected(Network::default());
    io.send_owned(conn, REQUEST.to_vec());
    io.send_owned(conn, REQUEST.to_vec());
}
