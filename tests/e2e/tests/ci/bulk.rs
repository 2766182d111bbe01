//! Large bodies: made up, sent in pieces, received and thrown away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use e2e::machine::among_others;
use e2e::random::Random;
use e2e::waiting::pause;
use e2e::{Engine, Target, count};

const MIB: u64 = 1 << 20;

/// The bytes of which made bodies consist: `SplitMix64` from seed 1, repeated after 1 MiB.
fn made() -> Vec<u8> {
    let mut random = Random::new(1);
    std::iter::repeat_with(|| random.number().to_le_bytes()).flatten().take(1 << 20).collect()
}

/// A server that reads one request of one connection to its end, looking at every byte, and answers it; how many body
/// bytes came as they should.
fn inspector() -> (String, JoinHandle<u64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let inspect = move || {
        let (stream, _) = listener.accept().expect("the engine connects");
        let mut reader = BufReader::with_capacity(1 << 16, stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().expect("a number");
            }
            if line == "\r\n" {
                break;
            }
        }
        let block = made();
        let mut seen = 0_u64;
        let mut piece = vec![0; 1 << 16];
        while seen < length {
            let got = reader.read(&mut piece).expect("more of the body");
            assert!(got > 0, "the body ended after {seen} of {length} bytes");
            let from = usize::try_from(seen % MIB).expect("small");
            let expected = block[from..].iter().chain(&block).take(got);
            assert!(piece[..got].iter().eq(expected), "another body within {got} bytes from {seen} on");
            seen += got as u64;
        }
        let mut stream = reader.into_inner();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it takes the answer");
        // Until the engine closes.
        let _ = stream.read(&mut piece);
        seen
    };
    (url, spawn(inspect))
}

#[test]
fn made_bodies_arrive_byte_for_byte() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        for size in ["0", "1", "16k", "1MiB", "1048577", "70000001"] {
            let (url, server) = inspector();
            let engine = Engine::patient("--users 1 -n 1 --timeout 60s --body-size").arg(size);
            let outcome = engine.arg("--io").arg(driver).arg(url).run().expect(0);
            let seen = server.join().expect("the body was as it should be");
            let asked = match size {
                "16k" => 16 << 10,
                "1MiB" => MIB,
                number => number.parse().expect("a number"),
            };
            assert_eq!(seen, asked, "{}", outcome.told());
            let head = count(outcome.summary(), "/bytes/sent") - asked;
            assert!((80..300).contains(&head), "{head} bytes beside the body: {}", outcome.told());
        }
    }
}

#[test]
fn uploads_larger_than_the_memory_that_they_take() {
    let _hold = among_others();
    for (driver, flags) in [("uring", ""), ("epoll", ""), ("uring", "--tls"), ("epoll", "--tls")] {
        let target = Target::start(flags);
        let line = "--users 2 -n 4 --timeout 60s --cores 1 --insecure --body-size 300MiB --io";
        let engine = Engine::patient(line).arg(driver).arg(target.url());
        let mut running = engine.start();
        let mut peak = 0;
        while !running.process.has_ended() {
            peak = running.process.memory_peak_bytes().map_or(peak, |now| peak.max(now));
            pause(Duration::from_millis(5));
        }
        let outcome = running.finish().expect(0);
        assert!((1 << 20..64 << 20).contains(&peak), "{peak} bytes of memory: {}", outcome.told());
        assert_eq!(outcome.audit().ok, 4, "{}", outcome.told());
        assert_eq!(count(&target.stop(), "/bytes/request_bodies"), 4 * 300 * MIB);
    }
}

#[test]
fn bodies_of_files_and_answers_of_any_size_over_tls() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("body.bin");
    std::fs::write(&file, vec![b'x'; 3_000_000]).expect("a file");
    for driver in ["uring", "epoll"] {
        let target = Target::start("--tls --body-size 1MiB");
        let engine = Engine::patient("--users 3 -n 12 --timeout 60s --insecure --body-file").arg(&file);
        let outcome = engine.arg("--io").arg(driver).arg(target.url()).run().expect(0);
        let truth = target.stop();
        assert_eq!((outcome.audit().ok, count(&truth, "/bytes/request_bodies")), (12, 12 * 3_000_000));
        assert!(count(outcome.summary(), "/bytes/received") > 12 * MIB, "{}", outcome.told());
    }
}
