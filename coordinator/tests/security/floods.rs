//! S3: floods, and clients that are slow on purpose. Memory stays bounded, and who behaves is served meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clock::{Clock as _, OsClock};
use serde_json::json;
use wire::grpc::{NodeMessage, node_message};
use wire::{FromNode, LogLine};

use crate::client::{answer, connect, pause};
use crate::rogue::{Rogue, client};
use crate::serving::Serving;

const MIB: u64 = 1 << 20;

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const CONTINUATION: u8 = 9;

/// A connection on which HTTP/2 was begun.
fn begun(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    stream
}

/// The head of a call to the nodes' service, in HPACK without an index (RFC 7541, section 6.2.2).
fn head() -> Vec<u8> {
    let field = |name: &str, value: &str| {
        let length = |text: &str| u8::try_from(text.len()).unwrap();
        [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
    };
    let method = field(":method", "POST");
    let path = field(":path", "/openloop.fleet.v1.Fleet/Attend");
    let rest =
        [field(":scheme", "http"), field(":authority", "a"), field("content-type", "application/grpc")];
    [method, path, rest.concat()].concat()
}

/// How long a well-behaved node waits for the answer to a beat, at worst, while something goes on.
async fn worst_wait(node: &mut Rogue, seconds: u32) -> Duration {
    let mut worst = Duration::ZERO;
    for _ in 0..seconds * 5 {
        let begin = OsClock.now();
        node.until(|message| matches!(message, wire::ToNode::Grant { .. })).await.expect("it is served");
        worst = worst.max(Duration::from_nanos(OsClock.now().nanos_since(begin)));
    }
    worst
}

#[tokio::test]
async fn s3_floods_at_the_nodes_edge_cost_bounded_memory_and_nobody_elses_time() {
    let mut serving = Serving::start(&[]);
    let mut honest = Rogue::join(serving.nodes, "honest").await;
    honest.pass(Duration::from_secs(1)).await;
    let before = serving.memory_bytes();
    let address = serving.nodes;
    let flood = std::thread::spawn(move || {
        // Each is cut off, or held to what one connection may do; none of them ends anything else.
        let mut held = Vec::new();
        let many: Vec<u8> = (0..20_000).flat_map(|_| frame(PING, 0, 0, &[7; 8])).collect();
        let settings: Vec<u8> = (0..20_000).flat_map(|_| frame(SETTINGS, 0, 0, &[])).collect();
        let ids = || (1..20_000_u32).step_by(2);
        let streams: Vec<u8> = ids().flat_map(|id| frame(HEADERS, 4, id, &head())).collect();
        let resets: Vec<u8> = ids()
            .flat_map(|id| {
                [frame(HEADERS, 4, id, &head()), frame(RESET, 0, id, &8_u32.to_be_bytes())].concat()
            })
            .collect();
        let mut endless = frame(HEADERS, 0, 1, &head());
        let lines = [&[0, 1, b'x', 127, 0][..], &[b'y'; 127]].concat().repeat(100);
        endless.extend((0..2_000).flat_map(|_| frame(CONTINUATION, 0, 1, &lines)));
        // Messages that announce four gigabytes, are said to be compressed, or are noise.
        let call = |data: &[u8]| [frame(HEADERS, 4, 1, &head()), frame(DATA, 0, 1, data)].concat();
        let noise: Vec<u8> =
            (0..16_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let announced = call(&[&[0, 0xff, 0xff, 0xff, 0xff][..], &noise].concat());
        let compressed = call(&[&[1, 0, 0, 0, 200][..], &noise[..200]].concat());
        let nonsense = call(&[&[0, 0, 0, 62, 128][..], &noise].concat());
        let garbage = vec![0xff; 1 << 20];
        for bytes in [
            many,
            settings,
            streams,
            resets,
            endless,
            announced,
            compressed,
            nonsense,
            garbage,
            PREFACE.to_vec(),
        ] {
            let mut stream = begun(address);
            stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            // It closes in the middle, or does not read on.
            let _ = stream.write_all(&bytes);
            held.push(stream);
        }
        for _ in 0..2_000 {
            if let Ok(stream) = TcpStream::connect(address) {
                held.push(stream);
            }
        }
        held
    });
    let worst = worst_wait(&mut honest, 6).await;
    let held = flood.join().unwrap();
    let grown = serving.memory_bytes().saturating_sub(before);
    println!("nodes' edge under flood: {} MiB more, worst wait of a beat {worst:?}", grown / MIB);
    assert!(grown < 256 * MIB, "{} MiB more", grown / MIB);
    assert!(worst < Duration::from_secs(3), "{worst:?}");
    // Those that never said anything are closed after a while, and their places free.
    let mut silent = held.into_iter().next_back().unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let mut byte = [0; 64];
    while matches!(silent.read(&mut byte), Ok(count) if count > 0) {}
    drop(Rogue::join(serving.nodes, "late").await);
    assert!(serving.is_alive());
}

#[tokio::test]
async fn s3_messages_and_logs_of_nodes_are_bounded() {
    let mut serving = Serving::start(&[]);
    let before = serving.memory_bytes();
    // Larger than any message: the stream ends.
    let mut large = Rogue::attend(serving.nodes, None).await.unwrap();
    let text = "x".repeat(20 << 20);
    let line = wire::grpc::LogLine { number: 0, unix_ns: 0, run: None, text };
    let message = node_message::Message::Log(wire::grpc::Log { lines: vec![line] });
    large.say_raw(NodeMessage { message: Some(message) });
    assert_eq!(large.until(|_| true).await, None);
    // Nothing at all, or what is none.
    let mut none = Rogue::attend(serving.nodes, None).await.unwrap();
    none.say_raw(NodeMessage { message: None });
    assert_eq!(none.until(|_| true).await, None);
    // A node that does not read is cut off, not waited for; one that talks without end is cut short.
    let mut deaf = Rogue::join(serving.nodes, "deaf").await;
    for number in 0..40_u64 {
        let line = LogLine { number, unix_ns: 1, run: None, text: "y".repeat(60_000) };
        deaf.say(FromNode::Log(vec![line; 100]));
    }
    for _ in 0..30_000 {
        deaf.say(FromNode::Beat(wire::Beat::default()));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut honest = Rogue::join(serving.nodes, "honest").await;
    let worst = worst_wait(&mut honest, 2).await;
    let size = std::fs::metadata(serving.folder().join("coordinator.sqlite")).unwrap().len();
    let log = std::fs::metadata(serving.folder().join("coordinator.sqlite-wal")).map_or(0, |log| log.len());
    let grown = serving.memory_bytes().saturating_sub(before);
    println!(
        "240 MB of log: {} MiB on disk, {} MiB of memory, worst wait {worst:?}",
        (size + log) / MIB,
        grown / MIB
    );
    assert!(size + log < 64 * MIB, "{size} {log}");
    assert!(grown < 512 * MIB, "{} MiB", grown / MIB);
    let logs = serving.get("/api/v1/logs?node=deaf&limit=1").json();
    assert!(logs[0]["text"].as_str().unwrap().len() < 5_000, "{logs}");
    deaf.pass(Duration::from_millis(100)).await;
    assert!(serving.is_alive());
}

#[tokio::test]
async fn s3_files_that_nobody_reads_on_keep_nobody_waiting() {
    let serving = Serving::start(&[]);
    let content = vec![7; 8 << 20];
    let bytes = [("Content-Type", "application/octet-stream")];
    let file = serving.ask("POST /api/v1/files?name=a", &bytes, &content).json();
    let sha256 = coordinator::files::from_hex(file["sha256"].as_str().unwrap()).unwrap();
    let before = serving.memory_bytes();
    let fetch = || wire::grpc::FetchRequest { sha256: sha256.to_vec().into() };
    let mut unread = Vec::new();
    for _ in 0..10 {
        let mut nodes = client(serving.nodes).await;
        for _ in 0..15 {
            unread.push(nodes.fetch(fetch()).await.unwrap().into_inner());
        }
    }
    let mut pieces = client(serving.nodes).await.fetch(fetch()).await.unwrap().into_inner();
    let mut whole = 0;
    while let Some(piece) = pieces.message().await.unwrap() {
        whole += piece.content.len();
    }
    assert_eq!(whole, content.len());
    let grown = serving.memory_bytes().saturating_sub(before);
    println!("150 files that nobody reads: {} MiB more", grown / MIB);
    assert!(grown < 256 * MIB, "{} MiB", grown / MIB);
}

#[test]
fn s3_slow_and_silent_clients_of_the_http_edge_take_nobodys_place() {
    let serving = Serving::start(&[]);
    let words = ["--url=http://127.0.0.1:9/", "--tps=1", "--duration=9s"];
    let run = serving.submit(&json!({"words": words, "nodes": {"expect": 99}}));
    let before = serving.memory_bytes();
    let host = serving.people;
    let mut held = Vec::new();
    let stream_head = format!("GET /api/v1/runs/{run}/stream HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let body_head = format!(
        "POST /api/v1/runs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{{"
    );
    // Half a head, half a body, events that nobody reads, and nothing at all.
    for said in ["GET / HT", &body_head, &stream_head, ""] {
        for _ in 0..100 {
            let mut stream = connect(host);
            stream.write_all(said.as_bytes()).unwrap();
            held.push(stream);
        }
    }
    pause(Duration::from_millis(500));
    assert_eq!(serving.get("/healthz").status, 200, "there is room beside them");
    let grown = serving.memory_bytes().saturating_sub(before);
    println!("400 slow clients: {} MiB more", grown / MIB);
    assert!(grown < 128 * MIB, "{} MiB", grown / MIB);
    // Who has not sent a body within half a minute is told so; half a head is closed by then.
    let mut bodies = held.into_iter().skip(100);
    let mut slow = bodies.next().unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    let mut piece = [0; 64];
    let count = slow.read(&mut piece).unwrap_or(0);
    assert!(piece[..count].starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&piece[..count]));
    // Bodies and heads that are too large are refused, and so is what is nested without end.
    let deep = "[".repeat(200_000);
    let large = vec![b' '; (1 << 20) + 1];
    for (body, status) in [(deep.as_bytes(), 400), (&large, 413)] {
        let json = [("Content-Type", "application/json")];
        assert_eq!(serving.ask("POST /api/v1/runs", &json, body).status, status);
    }
    let mut stream = connect(host);
    let heads = "X-Header: 1\r\n".repeat(1_000_000);
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{heads}\r\n").as_bytes());
    let told = answer(&mut stream);
    assert!(matches!(told.status, 0 | 431), "{}", told.head);
}
