//! What every driver must do, tried on each of them in the same words.
//!
//! A case is a function over a [`World`]: a driver and scripted peers for it, real or simulated. To try another
//! driver, add one line at the end of this file. Streams carry a pattern in which each byte depends on its
//! place, so that a byte lost, doubled or moved is seen wherever it happens.

mod world;

use std::net::SocketAddr;
use std::sync::Arc;

use self::world::{Loopback, Simulated, World};
use super::epoll::EpollIo;
use super::sim::{Network, Pace, Random, Step};
use super::uring::Uring;
use super::{Completion, ConnId, Errno, Io, Lent, Limits, Message, Wait};
use rustix::io::Errno as OsErrno;

const MILLI: u64 = 1_000_000;

/// How long something that must come may take: far more than it does.
const PATIENCE_NS: u64 = 30_000_000_000;

const LIMITS: Limits = Limits { connections: 4, buffer_size: 4_096, buffer_count: 8 };

/// What a completion said, with its bytes copied out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Connected,
    ConnectFailed(Errno),
    Received(Vec<u8>),
    Discarded(u64),
    Ended,
    Sent(Vec<u8>),
    Failed(Errno),
}

/// A driver, and everything that it has said.
struct Client<D> {
    io: D,
    said: Vec<(ConnId, Said)>,
}

impl<D: Io> Client<D> {
    fn connect(&mut self, address: SocketAddr) -> ConnId {
        self.io.connect(&address.into()).expect("this machine has what a connection needs")
    }

    /// A connection that stands.
    fn connected(&mut self, address: SocketAddr) -> ConnId {
        let conn = self.connect(address);
        self.until(|said| said.contains(&(conn, Said::Connected)));
        conn
    }

    fn note(&mut self, completion: Completion) {
        let conn = completion.conn();
        let said = match completion {
            Completion::Connected { .. } => Said::Connected,
            Completion::ConnectFailed { errno, .. } => Said::ConnectFailed(errno),
            Completion::Received { lent, .. } => Said::Received(self.copy_out(lent)),
            Completion::Discarded { count, .. } => Said::Discarded(count),
            Completion::Ended { .. } => Said::Ended,
            Completion::Sent { buffer, .. } => Said::Sent(buffer),
            Completion::Failed { errno, .. } => Said::Failed(errno),
        };
        self.said.push((conn, said));
    }

    fn copy_out(&mut self, lent: Lent) -> Vec<u8> {
        let bytes = self.io.bytes(&lent).to_vec();
        assert!(!bytes.is_empty(), "a lent buffer holds at least one byte");
        self.io.release(lent);
        bytes
    }

    /// Collects until `enough`.
    fn until(&mut self, enough: impl Fn(&[(ConnId, Said)]) -> bool) {
        let deadline = self.io.now().plus_nanos(PATIENCE_NS);
        while !enough(&self.said) {
            assert!(self.io.now() < deadline, "it never came; there was {:?}", self.said);
            self.io.wait(Wait::Until(deadline)).unwrap();
            while let Some(completion) = self.io.completion() {
                self.note(completion);
            }
        }
    }

    /// Collects what comes in the next `nanos`.
    fn linger(&mut self, nanos: u64) {
        let until = self.io.now().plus_nanos(nanos);
        while self.io.now() < until {
            self.io.wait(Wait::Until(until)).unwrap();
            while let Some(completion) = self.io.completion() {
                self.note(completion);
            }
        }
    }

    /// What was said of one connection.
    fn of(&self, conn: ConnId) -> Vec<Said> {
        of(&self.said, conn)
    }

    /// The bytes received on it.
    fn received(&self, conn: ConnId) -> Vec<u8> {
        received(&self.said, conn)
    }
}

fn of(said: &[(ConnId, Said)], conn: ConnId) -> Vec<Said> {
    said.iter().filter(|(of, _)| *of == conn).map(|(_, said)| said.clone()).collect()
}

fn received(said: &[(ConnId, Said)], conn: ConnId) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (_, said) in said.iter().filter(|(of, _)| *of == conn) {
        if let Said::Received(more) = said {
            bytes.extend_from_slice(more);
        }
    }
    bytes
}

fn start<W: World>(world: &mut W, limits: Limits) -> Client<W::Driver> {
    Client { io: world.driver(limits), said: Vec::new() }
}

/// Bytes of which each depends on its place.
fn pattern(range: std::ops::Range<usize>) -> Vec<u8> {
    range.map(|place| u8::try_from((place * 131 + place / 251) % 256).unwrap()).collect()
}

fn send(bytes: impl Into<Arc<[u8]>>) -> Step {
    Step::Send(bytes.into())
}

fn exchanges_on_one_connection<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let steps = [Step::Await(4), send(&b"one"[..]), Step::Await(4), send(&b"two"[..]), Step::Echo(8)];
    let address = world.listen(&mut client.io, &steps);
    let request = client.io.prepare(Box::from(*b"ask."));
    let conn = client.connected(address);
    for answer in [&b"one"[..], b"onetwo", b"onetwoask.ask."] {
        client.io.send(conn, request);
        if answer.len() == 14 {
            client.io.send(conn, request);
        }
        client.until(|said| received(said, conn) == answer);
    }
    assert_eq!(client.of(conn)[0], Said::Connected);
    client.io.close(conn);
    assert_eq!(world.read_by_peers(client.io, address, 1), [b"ask.ask.ask.ask."]);
}

fn refused_and_the_place_is_free_again<W: World>(mut world: W) {
    let mut client = start(&mut world, Limits { connections: 1, ..LIMITS });
    let address = world.listen(&mut client.io, &[]);
    for _ in 0..20 {
        let conn = client.connect(world.nobody());
        client.until(|said| said.len() == 1);
        let refused = Said::ConnectFailed(OsErrno::CONNREFUSED.into());
        assert_eq!(std::mem::take(&mut client.said), [(conn, refused)]);
    }
    let conn = client.connected(address);
    let full = client.io.connect(&address.into());
    assert_eq!(full, Err(super::TABLE_FULL));
    client.io.close(conn);
    client.linger(20 * MILLI);
    assert_eq!(client.of(conn), [Said::Connected]);
    world.read_by_peers(client.io, address, 1);
}

fn closed_while_connecting_says_nothing<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let address = world.listen(&mut client.io, &[]);
    for to in [world.nobody(), address, world.nobody(), address] {
        let conn = client.connect(to);
        client.io.close(conn);
    }
    // Here the driver may have collected the outcome already.
    for to in [world.nobody(), address] {
        let conn = client.connect(to);
        client.io.wait(Wait::Poll).unwrap();
        client.io.close(conn);
    }
    client.linger(50 * MILLI);
    assert_eq!(client.said, []);
}

fn reset_after_what_came_before_it<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let steps = [Step::Await(4), send(&b"begun"[..]), Step::Pause(20 * MILLI), Step::Reset];
    let address = world.listen(&mut client.io, &steps);
    let request = client.io.prepare(Box::from(*b"ask."));
    let conn = client.connected(address);
    client.io.send(conn, request);
    client.until(|said| matches!(said.last(), Some((_, Said::Failed(_)))));
    assert_eq!(client.received(conn), b"begun");
    assert_eq!(client.of(conn).last(), Some(&Said::Failed(OsErrno::CONNRESET.into())));
    let told = client.said.len();
    client.io.send(conn, request);
    client.linger(20 * MILLI);
    assert_eq!(client.said.len(), told, "a failure is the last word");
    client.io.close(conn);
    world.read_by_peers(client.io, address, 1);
}

fn half_close_leaves_sending<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let address = world.listen(&mut client.io, &[send(&b"bye"[..]), Step::Finish]);
    let request = client.io.prepare(Box::from(*b"ask."));
    let conn = client.connected(address);
    client.until(|said| said.contains(&(conn, Said::Ended)));
    assert_eq!(client.received(conn), b"bye");
    client.io.send(conn, request);
    client.io.send_owned(conn, b"more".to_vec());
    client.until(|said| matches!(said.last(), Some((_, Said::Sent(_)))));
    client.linger(10 * MILLI);
    let after: Vec<_> = client.of(conn).into_iter().skip_while(|said| *said != Said::Ended).skip(1).collect();
    assert!(matches!(after[..], [Said::Sent(_)]), "{after:?}");
    client.io.close(conn);
    assert_eq!(world.read_by_peers(client.io, address, 1), [b"ask.more"]);
}

fn bytes_come_before_the_end<W: World>(mut world: W) {
    let len = 100_001;
    let mut client = start(&mut world, LIMITS);
    let steps = [Step::Await(4), send(pattern(0..len)), Step::Close];
    let address = world.listen(&mut client.io, &steps);
    let request = client.io.prepare(Box::from(*b"ask."));
    for _ in 0..5 {
        let conn = client.connected(address);
        client.io.send(conn, request);
        client.until(|said| said.contains(&(conn, Said::Ended)));
        assert!(client.received(conn) == pattern(0..len), "the stream was altered");
        assert_eq!(client.of(conn).last(), Some(&Said::Ended));
        client.io.close(conn);
    }
    world.read_by_peers(client.io, address, 5);
}

fn discard_is_exact<W: World>(mut world: W) {
    let (head, body, tail) = (100, 700_000, 5_000);
    // Buffers so small that several completions are collected before the discard is asked for.
    let mut client = start(&mut world, Limits { buffer_size: 64, buffer_count: 16, ..LIMITS });
    let all = head + body + tail;
    let address = world.listen(&mut client.io, &[Step::Await(4), send(pattern(0..all)), Step::Echo(4)]);
    let request = client.io.prepare(Box::from(*b"ask."));
    let conn = client.connected(address);
    client.io.send(conn, request);
    let (mut place, mut asked, mut discarded) = (0, false, 0);
    let deadline = client.io.now().plus_nanos(PATIENCE_NS);
    while place < all {
        assert!(client.io.now() < deadline, "stuck at {place} of {all}");
        client.io.wait(Wait::Until(deadline)).unwrap();
        while let Some(completion) = client.io.completion() {
            match completion {
                Completion::Received { lent, .. } => {
                    let bytes = client.copy_out(lent);
                    assert!(bytes == pattern(place..place + bytes.len()), "altered at {place}");
                    place += bytes.len();
                }
                Completion::Discarded { count, .. } => {
                    assert!(asked && count > 0);
                    discarded += usize::try_from(count).unwrap();
                    place += usize::try_from(count).unwrap();
                    assert!(place <= head + body, "the tail was thrown away");
                }
                other => panic!("unexpected {other:?}"),
            }
            if place >= head && !asked {
                asked = true;
                client.io.discard(conn, (head + body - place) as u64);
            }
        }
    }
    assert!(discarded > 0, "everything was copied");
    client.io.send(conn, request);
    client.until(|said| received(said, conn) == b"ask.");
    client.io.close(conn);
    world.read_by_peers(client.io, address, 1);
}

fn discard_ends_with_the_stream<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let address = world.listen(&mut client.io, &[Step::Await(4), send(pattern(0..50_000)), Step::Close]);
    let request = client.io.prepare(Box::from(*b"ask."));
    let conn = client.connected(address);
    client.io.discard(conn, 80_000);
    client.io.send(conn, request);
    client.until(|said| said.contains(&(conn, Said::Ended)));
    let count = |said: Said| match said {
        Said::Received(bytes) => bytes.len() as u64,
        Said::Discarded(count) => count,
        _ => 0,
    };
    assert_eq!(client.of(conn).into_iter().map(count).sum::<u64>(), 50_000);
    client.io.close(conn);
    world.read_by_peers(client.io, address, 1);
}

fn a_big_owned_send_to_a_slow_reader<W: World>(mut world: W) {
    let len = 6 << 20;
    let mut client = start(&mut world, LIMITS);
    let pace = Pace { bytes: 128 << 10, every_ns: MILLI };
    let address = world.listen(&mut client.io, &[Step::Pace(pace)]);
    let behind = client.io.prepare(Box::from(*b"behind"));
    let conn = client.connected(address);
    client.io.send_owned(conn, pattern(0..len));
    client.io.send(conn, behind);
    client.until(|said| said.iter().any(|(_, said)| matches!(said, Said::Sent(_))));
    let [Said::Connected, Said::Sent(buffer)] = &client.of(conn)[..] else { panic!("{:?}", client.said) };
    assert!(buffer.capacity() >= len, "the buffer's memory was not kept");
    // Taken by the kernel is not read by the peer: wait for an answer that cannot come before.
    client.linger(500 * MILLI);
    client.io.close(conn);
    let read = world.read_by_peers(client.io, address, 1).remove(0);
    assert_eq!(read.len(), len + 6);
    assert!(read[..len] == pattern(0..len), "the stream was altered");
    assert!(read.ends_with(b"behind"));
}

fn a_send_to_a_peer_that_resets_fails_once<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let steps = [Step::Pace(Pace { bytes: 1, every_ns: MILLI }), Step::Await(1_000), Step::Reset];
    let address = world.listen(&mut client.io, &steps);
    let conn = client.connected(address);
    client.io.send_owned(conn, pattern(0..32 << 20));
    client.until(|said| matches!(said.last(), Some((_, Said::Failed(_)))));
    client.linger(20 * MILLI);
    let said = client.of(conn);
    assert!(matches!(said[..], [Said::Connected, Said::Failed(_)]), "{said:?}");
    client.io.close(conn);
    world.read_by_peers(client.io, address, 1);
}

fn many_connections_keep_their_bytes_apart<W: World>(mut world: W) {
    let count = 120;
    let rounds = 20;
    let limits = Limits { connections: count, buffer_size: 256, buffer_count: 2 * count };
    let mut client = start(&mut world, limits);
    let steps = vec![Step::Echo(16); rounds];
    let address = world.listen(&mut client.io, &steps);
    let conns: Vec<ConnId> = (0..count).map(|_| client.connect(address)).collect();
    client.until(|said| said.len() == conns.len());
    let message = |conn: ConnId, round: usize| format!("{:06}-{round:08}.", conn.index).into_bytes();
    for round in 0..rounds {
        client.said.clear();
        for conn in &conns {
            client.io.send_owned(*conn, message(*conn, round));
        }
        client.until(|said| {
            let mut received = 0;
            for (_, said) in said {
                received += if let Said::Received(bytes) = said { bytes.len() } else { 0 };
            }
            received == 16 * conns.len()
        });
        for conn in &conns {
            assert_eq!(client.received(*conn), message(*conn, round));
            assert_eq!(client.of(*conn).iter().filter(|said| matches!(said, Said::Sent(_))).count(), 1);
        }
    }
    for conn in &conns {
        client.io.close(*conn);
    }
    world.read_by_peers(client.io, address, conns.len());
}

fn stale_names_reach_nobody<W: World>(mut world: W) {
    let mut client = start(&mut world, Limits { connections: 1, ..LIMITS });
    let address = world.listen(&mut client.io, &[send(&b"hi"[..]), Step::Echo(4)]);
    let request = client.io.prepare(Box::from(*b"good"));
    let wrong = client.io.prepare(Box::from(*b"evil"));
    let mut last = None;
    let rounds = 30;
    for round in 0..rounds {
        client.said.clear();
        let conn = client.connected(address);
        if let Some(stale) = last.replace(conn) {
            assert_eq!(stale, ConnId { generation: stale.generation, ..conn });
            assert_ne!(stale, conn, "a name was used twice");
            client.io.send(stale, wrong);
            client.io.send_owned(stale, b"evil".to_vec());
        }
        client.io.send(conn, request);
        if round % 2 == 0 {
            client.until(|said| received(said, conn) == b"higood");
        }
        // In the other rounds the answer is still under way when its connection goes.
        client.io.close(conn);
        assert!(client.said.iter().all(|(of, _)| *of == conn), "{:?}", client.said);
    }
    client.said.clear();
    client.linger(20 * MILLI);
    assert_eq!(client.said, []);
    for read in world.read_by_peers(client.io, address, rounds) {
        assert!(b"good".starts_with(&read[..]), "{read:?}");
    }
}

fn a_close_swallows_what_was_collected<W: World>(mut world: W) {
    let limits = Limits { connections: 4, buffer_size: 64, buffer_count: 8 };
    let mut client = start(&mut world, limits);
    let address = world.listen(&mut client.io, &[Step::Await(4), send(pattern(0..500))]);
    let request = client.io.prepare(Box::from(*b"ask."));
    // An answer fills all buffers, so that most of it is collected or under way when its connection goes.
    for _ in 0..12 {
        let conns: Vec<ConnId> = (0..4).map(|_| client.connected(address)).collect();
        for conn in &conns {
            client.io.send(*conn, request);
        }
        let deadline = client.io.now().plus_nanos(PATIENCE_NS);
        let mut is_closed = false;
        while !is_closed {
            assert!(client.io.now() < deadline, "no answer came");
            client.io.wait(Wait::Until(deadline)).unwrap();
            while let Some(completion) = client.io.completion() {
                assert!(!is_closed, "{completion:?} after the close");
                let Completion::Received { lent, .. } = completion else { panic!("{completion:?}") };
                client.io.release(lent);
                for conn in &conns {
                    client.io.close(*conn);
                }
                is_closed = true;
            }
        }
    }
    // The buffers of what was swallowed came back: all of them can be held at once.
    let conn = client.connected(address);
    client.io.send(conn, request);
    let mut held = Vec::new();
    let deadline = client.io.now().plus_nanos(PATIENCE_NS);
    while held.len() < 8 {
        assert!(client.io.now() < deadline, "only {} buffers are left", held.len());
        client.io.wait(Wait::Until(deadline)).unwrap();
        while let Some(Completion::Received { lent, .. }) = client.io.completion() {
            held.push(lent);
        }
    }
    for lent in held {
        client.io.release(lent);
    }
    client.io.close(conn);
    world.read_by_peers(client.io, address, 49);
}

/// Streams of several connections, put together from buffers that are given back late.
struct Streams {
    conns: Vec<ConnId>,
    received: Vec<Vec<u8>>,
    kept: Vec<(ConnId, Lent)>,
    ended: usize,
}

impl Streams {
    /// Notes one turn's completions, keeping their buffers; whether there were any.
    fn keep<D: Io>(&mut self, client: &mut Client<D>) -> bool {
        let mut came = false;
        while let Some(completion) = client.io.completion() {
            came = true;
            match completion {
                Completion::Received { conn, lent } => self.kept.push((conn, lent)),
                Completion::Ended { .. } => self.ended += 1,
                Completion::Connected { .. } => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        came
    }

    /// Reads and gives back the `count` oldest buffers.
    fn give_back<D: Io>(&mut self, client: &mut Client<D>, count: usize) {
        for (conn, lent) in self.kept.drain(..count) {
            let place = self.conns.iter().position(|known| *known == conn).unwrap();
            self.received[place].extend_from_slice(&client.copy_out(lent));
        }
    }
}

fn without_free_buffers_nothing_is_lost<W: World>(mut world: W) {
    let (len, buffer_count) = (5_000, 3);
    let mut client = start(&mut world, Limits { connections: 4, buffer_size: 64, buffer_count });
    let address = world.listen(&mut client.io, &[send(pattern(0..len)), Step::Finish]);
    let conns: Vec<ConnId> = (0..4).map(|_| client.connect(address)).collect();
    let mut streams = Streams { conns, received: vec![Vec::new(); 4], kept: Vec::new(), ended: 0 };
    let deadline = client.io.now().plus_nanos(PATIENCE_NS);
    let mut dry = 0;
    while streams.ended < 4 {
        let now = client.io.now();
        assert!(now < deadline, "stuck: {:?}", streams.received.iter().map(Vec::len).collect::<Vec<_>>());
        client.io.wait(Wait::Until(now.plus_nanos(2 * MILLI))).unwrap();
        let came = streams.keep(&mut client);
        assert!(streams.kept.len() <= buffer_count as usize);
        if dry >= 20 {
            // Enough of that: everything at once, and as soon as it comes.
            streams.give_back(&mut client, streams.kept.len());
        } else if !came && !streams.kept.is_empty() {
            // All buffers are kept until nothing comes any more; then a single one is given back.
            dry += 1;
            streams.give_back(&mut client, 1);
        }
    }
    assert_eq!(dry, 20, "the buffers never ran out");
    streams.give_back(&mut client, streams.kept.len());
    for (conn, stream) in streams.conns.iter().zip(&streams.received) {
        assert!(*stream == pattern(0..len), "{conn:?} has {} bytes", stream.len());
        client.io.close(*conn);
    }
    world.read_by_peers(client.io, address, 4);
}

fn several_sends_in_a_row_keep_their_order<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let address = world.listen(&mut client.io, &[Step::Echo(9 * 1_000)]);
    let parts: Vec<_> =
        (0..8).map(|part| client.io.prepare(pattern(part * 1_000..(part + 1) * 1_000).into())).collect();
    let conn = client.connected(address);
    for part in parts {
        client.io.send(conn, part);
    }
    client.io.send_owned(conn, pattern(8_000..9_000));
    client.until(|said| received(said, conn).len() == 9_000);
    assert!(client.received(conn) == pattern(0..9_000), "the stream was altered");
    client.io.close(conn);
    world.read_by_peers(client.io, address, 1);
}

/// A head, a block that is repeated, and a cut in the midst of it; the next message stays behind all of that.
fn a_repeated_block_arrives_as_often_as_asked<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let (head, block, size) = (40, 100_000, 3_456_789);
    let mut expected = pattern(0..head + block);
    let message = Message::repeating(expected.clone(), head, size as u64);
    while expected.len() < size {
        let more = (size - expected.len()).min(block);
        expected.extend_from_within(head..head + more);
    }
    expected.extend_from_slice(b"behind");
    let address = world.listen(&mut client.io, &[Step::Echo(expected.len())]);
    let (message, behind) = (client.io.prepare_message(message), client.io.prepare(Box::from(*b"behind")));
    let conn = client.connected(address);
    client.io.send(conn, message);
    client.io.send(conn, behind);
    client.until(|said| received(said, conn).len() == expected.len());
    assert!(client.received(conn) == expected, "the stream was altered");
    assert_eq!(client.io.bytes_taken(), expected.len() as u64);
    client.io.close(conn);
    world.read_by_peers(client.io, address, 1);
}

fn waits_end_on_time<W: World>(mut world: W) {
    let mut client = start(&mut world, LIMITS);
    let address = world.listen(&mut client.io, &[]);
    let conn = client.connected(address);
    for nanos in [0, 1, 50_000, 3 * MILLI, 12 * MILLI] {
        let until = client.io.now().plus_nanos(nanos);
        // A wait may end early, but not for ever, and without anything to tell it does not end late.
        while client.io.now() < until {
            client.io.wait(Wait::Until(until)).unwrap();
            assert!(client.io.completion().is_none());
        }
        assert!(client.io.now() < until.plus_nanos(1_000 * MILLI));
    }
    let before = client.io.now();
    client.io.wait(Wait::Poll).unwrap();
    assert!(client.io.now() < before.plus_nanos(1_000 * MILLI));
    client.io.close(conn);
    world.read_by_peers(client.io, address, 1);
}

/// Bursts, pauses and ends drawn at random; the client discards at random. Every byte must be accounted for.
fn random_streams_stay_whole<W: World>(mut world: W, seed: u64) {
    let mut random = Random::new(seed);
    let mut client = start(&mut world, Limits { connections: 3, buffer_size: 512, buffer_count: 6 });
    let mut steps = Vec::new();
    let mut len = 0;
    for _ in 0..=random.up_to(12) {
        let burst = usize::try_from(random.up_to(6_000)).unwrap();
        steps.push(send(pattern(len..len + burst)));
        len += burst;
        if random.chance(300_000) {
            steps.push(Step::Pause(random.up_to(2 * MILLI)));
        }
    }
    steps.push(if random.chance(500_000) { Step::Close } else { Step::Finish });
    let address = world.listen(&mut client.io, &steps);
    let conns: Vec<ConnId> = (0..3).map(|_| client.connect(address)).collect();
    let mut places = [0; 3];
    let mut ended = 0;
    let deadline = client.io.now().plus_nanos(PATIENCE_NS);
    while ended < 3 {
        assert!(client.io.now() < deadline, "seed {seed}: stuck at {places:?} of {len}");
        client.io.wait(Wait::Until(deadline)).unwrap();
        while let Some(completion) = client.io.completion() {
            let conn = completion.conn();
            let place = &mut places[conns.iter().position(|known| *known == conn).unwrap()];
            match completion {
                Completion::Received { lent, .. } => {
                    let bytes = client.copy_out(lent);
                    assert!(bytes == pattern(*place..*place + bytes.len()), "seed {seed}: at {place}");
                    *place += bytes.len();
                }
                Completion::Discarded { count, .. } => *place += usize::try_from(count).unwrap(),
                Completion::Ended { .. } => {
                    assert_eq!(*place, len, "seed {seed}");
                    ended += 1;
                    client.io.close(conn);
                    continue;
                }
                Completion::Connected { .. } => {}
                other => panic!("seed {seed}: unexpected {other:?}"),
            }
            if random.chance(200_000) {
                client.io.discard(conn, 1 + random.up_to(3_000));
            }
        }
    }
    world.read_by_peers(client.io, address, 3);
}

/// Every case, over the worlds of one kind.
macro_rules! conformance {
    ($module:ident, seeds $seeds:expr, $world:expr) => {
        mod $module {
            use super::*;

            conformance!(cases $world;
                exchanges_on_one_connection,
                refused_and_the_place_is_free_again,
                closed_while_connecting_says_nothing,
                reset_after_what_came_before_it,
                half_close_leaves_sending,
                bytes_come_before_the_end,
                discard_is_exact,
                discard_ends_with_the_stream,
                a_big_owned_send_to_a_slow_reader,
                a_send_to_a_peer_that_resets_fails_once,
                many_connections_keep_their_bytes_apart,
                stale_names_reach_nobody,
                a_close_swallows_what_was_collected,
                without_free_buffers_nothing_is_lost,
                several_sends_in_a_row_keep_their_order,
                a_repeated_block_arrives_as_often_as_asked,
                waits_end_on_time,
            );

            #[test]
            fn random_streams_stay_whole() {
                for seed in $seeds {
                    super::random_streams_stay_whole($world, seed);
                }
            }
        }
    };
    (cases $world:expr; $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                super::$case($world);
            }
        )*
    };
}

fn epoll(limits: Limits) -> EpollIo {
    EpollIo::new(limits).expect("epoll is there wherever Linux is")
}

fn uring(limits: Limits) -> Uring {
    Uring::new(limits).expect("the tests need a kernel with the ring")
}

conformance!(on_uring, seeds 0..40, Loopback::new(uring));
conformance!(on_epoll, seeds 0..40, Loopback::new(epoll));
conformance!(on_smooth_simulation, seeds 0..200, Simulated::new(Network::default()));
conformance!(on_rough_simulation, seeds 0..200, Simulated::new(Network::rough(11)));
