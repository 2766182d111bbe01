//! Hostile clients, faults on purpose, and the limits of the machine.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

mod client;

use std::io::{Read as _, Write as _};

use client::{GET, connect, eventually, exchange, has_ended, read_response, truth};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use target::{Config, Faults, Handle, TlsConfig, Truth, start};

fn faulty(faults: Faults) -> Handle {
    start(Config { faults, seed: 3, ..Config::default() }).unwrap()
}

#[test]
fn garbage_is_answered_and_ends_only_its_connection() {
    let target = start(Config::default()).unwrap();
    let mut bystander = connect(target.address());
    exchange(&mut bystander, GET);
    let long = [b"GET / HTTP/1.1\r\nHost: t\r\nA: ", &vec![b'a'; 80_000][..]].concat();
    let rows: [(&[u8], u16); 5] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: br\r\n\r\n", 501),
        (&long, 431),
    ];
    for (bytes, status) in rows {
        let mut stream = connect(target.address());
        stream.write_all(bytes).unwrap();
        let response = read_response(&mut stream, false).unwrap();
        assert_eq!(response.status, status);
        assert!(response.head.contains("Connection: close\r\n"));
        assert!(has_ended(&mut stream));
    }
    exchange(&mut bystander, GET);
    // A good request before the bad one is answered first; nothing after it is.
    let mut stream = connect(target.address());
    stream.write_all(&[GET, b"bad\r\n\r\n", GET].concat()).unwrap();
    assert_eq!(read_response(&mut stream, false).unwrap().status, 200);
    assert_eq!(read_response(&mut stream, false).unwrap().status, 400);
    assert!(has_ended(&mut stream));
    let truth = target.stop();
    assert_eq!(
        (truth.refused["malformed"], truth.refused["too_large"], truth.refused["unknown_coding"]),
        (4, 1, 1)
    );
    assert_eq!((truth.requests, truth.responses, truth.unanswered), (3, 9, 0));
    assert_eq!((truth.status["200"], truth.status["400"]), (3, 4));
}

#[test]
fn requests_that_never_end_are_counted_apart() {
    let target = start(Config::default()).unwrap();
    for part in [&b"GET / HT"[..], b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc"] {
        connect(target.address()).write_all(part).unwrap();
    }
    eventually("both connections closed", || target.truth().requests_incomplete == 2);
    let mut open = connect(target.address());
    open.write_all(b"GET").unwrap();
    eventually("the third connection", || target.truth().connects == 3);
    client::pause(std::time::Duration::from_millis(50));
    let truth = target.stop();
    assert_eq!((truth.requests, truth.requests_incomplete, truth.connections_open), (0, 3, 0));
}

#[test]
fn faults_happen_as_often_as_asked_and_are_counted() {
    let target = faulty(Faults { error_rate: 0.25, error_status: 503, ..Faults::default() });
    let mut stream = connect(target.address());
    let mut failed = 0;
    for _ in 0..2_000 {
        failed += u64::from(exchange(&mut stream, GET).status == 503);
    }
    assert!((430..570).contains(&failed), "{failed}");
    let truth = target.stop();
    assert_eq!((truth.faults["error"], truth.status["503"], truth.responses), (failed, failed, 2_000));
    assert_eq!(truth.unanswered, 0);
}

#[test]
fn each_fault_looks_as_it_should() {
    let none = Faults::default();
    let target = faulty(Faults { close_rate: 1.0, ..none.clone() });
    let mut stream = connect(target.address());
    stream.write_all(GET).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_fault(&target.stop(), "close");

    let target = faulty(Faults { reset_rate: 1.0, ..none.clone() });
    let mut stream = connect(target.address());
    stream.write_all(GET).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_fault(&target.stop(), "reset");

    for (faults, name, expected) in [
        (Faults { cut_rate: 1.0, ..none.clone() }, "cut", &b"HTTP/1.1 200 OK\r\n"[..]),
        (Faults { garbage_rate: 1.0, ..none.clone() }, "garbage", b"\x00\xffthis is not HTTP"),
    ] {
        let target = faulty(faults);
        let mut stream = connect(target.address());
        stream.write_all(GET).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert!(bytes.starts_with(expected) && bytes.len() < 100, "{name}: {bytes:?}");
        assert_fault(&target.stop(), name);
    }

    let target = faulty(Faults { hang_rate: 1.0, ..none });
    let mut stream = connect(target.address());
    stream.write_all(GET).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(stream);
    eventually("the hanging connection closed", || target.truth().connections_open == 0);
    assert_fault(&target.stop(), "hang");
}

fn assert_fault(truth: &Truth, name: &str) {
    assert_eq!((truth.requests, truth.responses, truth.unanswered), (1, 0, 1), "{name}");
    assert_eq!(truth.faults.get(name), Some(&1), "{name}: {:?}", truth.faults);
}

#[test]
fn a_client_that_never_reads_costs_bounded_memory() {
    let target = start(Config { body_bytes: 100_000, ..Config::default() }).unwrap();
    let mut stream = connect(target.address());
    stream.set_write_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    // The target stops reading once it owes enough, so this client's writes stop too.
    let batch = GET.repeat(1_000);
    let mut sent = 0;
    while sent < 1_000_000 {
        match stream.write(&batch) {
            Ok(count) => sent += count / GET.len(),
            Err(_) => break,
        }
    }
    let owed = target.truth();
    assert!(owed.unanswered < 128 + 32 * 1024 / GET.len() as u64 + 1, "{} owed", owed.unanswered);
    assert!(sent < 1_000_000, "the target took every request");
    // Others are served meanwhile, and this one too once it reads.
    assert_eq!(exchange(&mut connect(target.address()), GET).status, 200);
    for _ in 0..2_000 {
        assert_eq!(read_response(&mut stream, false).unwrap().body.len(), 100_000);
    }
    drop(stream);
    eventually("the connections closed", || target.truth().connections_open == 0);
}

#[test]
fn thousands_of_connections_beyond_the_descriptor_limit_wait_their_turn() {
    // The limit belongs to the whole process, so this test runs in a process of its own.
    if std::env::var_os("TARGET_TEST_FEW_DESCRIPTORS").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "thousands_of_connections_beyond_the_descriptor_limit_wait_their_turn"])
            .env("TARGET_TEST_FEW_DESCRIPTORS", "1")
            .status()
            .unwrap();
        return assert!(status.success());
    }
    let target = start(Config::default()).unwrap();
    let address = target.address();
    let hard = getrlimit(Resource::Nofile).maximum;
    let limit = |current| {
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: hard }).unwrap();
    };
    // Clients and target share the limit here: the clients' sockets are made first, then no descriptor is left.
    limit(900.min(hard.unwrap_or(900)));
    let sockets: Vec<_> =
        std::iter::from_fn(|| socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok())
            .collect();
    assert!(sockets.len() > 500, "{}", sockets.len());
    for socket in &sockets[..300] {
        socket.connect(&address.into()).unwrap();
    }
    client::pause(std::time::Duration::from_millis(300));
    let stuck = target.truth();
    assert_eq!(stuck.connects, 0);
    // It rests between its attempts, rather than spin.
    assert!((1..=30).contains(&stuck.accepts_postponed), "{}", stuck.accepts_postponed);
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let before = cpu();
    client::pause(std::time::Duration::from_millis(300));
    let spent = (cpu().tv_sec - before.tv_sec) * 1_000_000_000 + cpu().tv_nsec - before.tv_nsec;
    assert!(spent < 100_000_000, "{spent} ns of CPU while waiting for descriptors");
    // With room again, everybody who waited is served.
    let connected: Vec<_> = sockets.into_iter().take(300).collect();
    for socket in connected {
        let mut stream = std::net::TcpStream::from(socket);
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        assert_eq!(exchange(&mut stream, GET).status, 200);
    }
    let truth = target.stop();
    assert_eq!((truth.connects, truth.requests), (300, 300));
}

#[test]
fn every_document_fits_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(target::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let check = |truth: &Truth| {
        let json = truth.to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {json}");
        assert_eq!(&Truth::from_json(json.as_bytes()).unwrap(), truth);
        value
    };
    let idle = start(Config::default()).unwrap();
    let value = check(&idle.stop());
    assert_eq!(value["schema"], target::SCHEMA_NAME);
    assert_eq!(value["delay"]["drawn_ns"], serde_json::Value::Null);

    let directory = tempfile::tempdir().unwrap();
    let busy = start(Config {
        delay: target::text::parse_delay("exp:100us").unwrap(),
        stall: Some(target::text::parse_stall("5ms/20ms@0s").unwrap()),
        faults: Faults { error_rate: 0.5, ..Faults::default() },
        list: Some(target::ListConfig { path: directory.path().join("list"), limit: 10 }),
        ..Config::default()
    })
    .unwrap();
    let mut stream = connect(busy.address());
    for _ in 0..100 {
        exchange(&mut stream, GET);
    }
    exchange(&mut stream, b"bad\r\n\r\n");
    check(&truth(busy.address()));
    let value = check(&busy.stop());
    assert!(!value["stalls"].as_array().unwrap().is_empty());
    check(&start(Config { tls: Some(TlsConfig::default()), ..Config::default() }).unwrap().stop());

    // The schema is no mere formality: it refuses what is not a document.
    let mut broken = value;
    broken["requests"] = serde_json::json!("many");
    assert!(!validator.is_valid(&broken));
    // Unknown fields are ignored, by the schema and by the reader.
    broken["requests"] = serde_json::json!(100);
    broken["novelty"] = serde_json::json!(1);
    assert!(validator.is_valid(&broken));
    assert!(Truth::from_json(broken.to_string().as_bytes()).is_ok());
}
