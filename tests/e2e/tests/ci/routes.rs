//! Which way connections take: all addresses of a name, several sources, Unix sockets; on both drivers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;

use e2e::document::items;
use e2e::engine::write;
use e2e::machine::among_others;
use e2e::{Engine, Target, count, text};

/// Starts the engine in namespaces of its own, after a shell command as their root.
fn in_own_world(engine: Engine, namespaces: &str, command: &str) -> Engine {
    let script = format!("{command} && exec \"$0\" \"$@\"");
    let mut words = vec!["unshare".to_owned()];
    words.extend(namespaces.split(' ').map(str::to_owned));
    if !rustix::process::geteuid().is_root() {
        words.push("--map-root-user".to_owned());
    }
    words.extend(["sh".to_owned(), "-c".to_owned(), script]);
    engine.under(words)
}

#[test]
fn connections_take_all_addresses_of_a_name_in_turn() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    write(&hosts, "127.0.0.2 many.test\n127.0.0.3 many.test\n127.0.0.4 many.test\n127.0.0.1 localhost\n");
    let names = format!("mount --bind {} /etc/hosts", hosts.display());
    for driver in ["uring", "epoll"] {
        let first = Target::start_on("127.0.0.2:0", Engine::new("target"));
        let port = first.address.port();
        let second = Target::start_on(&format!("127.0.0.3:{port}"), Engine::new("target"));
        let run = |more: &str| {
            let line =
                format!("http://many.test:{port}/ --tps 300 -d 1s --cores 1 --close-after 1 --io {driver}");
            in_own_world(Engine::patient(&line).args(more), "--mount", &names).run().expect(0)
        };
        // Nobody listens on the third: a third of the connections is refused, and said to be.
        let outcome = run("");
        let audit = outcome.audit();
        assert_eq!((audit.ok, audit.failed()), (200, 100), "{}", outcome.told());
        assert_eq!(count(outcome.summary(), "/audit/errors/connect_refused"), 100);
        assert_eq!((count(&first.truth(), "/requests"), count(&second.truth(), "/requests")), (100, 100));
        assert_eq!(items(outcome.summary(), "/target/addresses").len(), 3);
        assert!(outcome.stdout.contains("3 addresses of many.test in turn"), "{}", outcome.told());
        let outcome = run("--dns first");
        assert_eq!(outcome.audit().ok, 300, "{}", outcome.told());
        assert_eq!(items(outcome.summary(), "/target/addresses").len(), 1);
        let outcome = run(&format!("--connect-to many.test:{port}:127.0.0.3:{port}"));
        assert_eq!(outcome.audit().ok, 300, "{}", outcome.told());
        assert_eq!(text(outcome.summary(), "/target/addresses/0"), format!("127.0.0.3:{port}"));
        assert_eq!(count(&first.stop(), "/requests"), 400);
        assert_eq!(count(&second.stop(), "/requests"), 400);
    }
}

/// Answers each request on a stream with two bytes.
fn serve(mut stream: impl Read + Write, heads: &Mutex<Vec<u8>>) -> Option<()> {
    let (mut held, mut block) = (Vec::new(), [0; 4_096]);
    loop {
        let taken = stream.read(&mut block).ok().filter(|taken| *taken > 0)?;
        held.extend_from_slice(&block[..taken]);
        while let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            heads.lock().ok()?.extend(held.drain(..end + 4));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()?;
        }
    }
}

#[test]
fn connections_leave_from_all_sources_in_turn() {
    let _hold = among_others();
    for (driver, flag) in [("uring", "--source"), ("epoll", "--source"), ("uring", "--local-ips")] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let seen: Arc<Mutex<BTreeMap<IpAddr, u64>>> = Arc::default();
        let counter = Arc::clone(&seen);
        thread::spawn(move || {
            while let Ok((stream, peer)) = listener.accept() {
                *counter.lock().expect("no thread panics").entry(peer.ip()).or_default() += 1;
                thread::spawn(move || serve(stream, &Mutex::default()));
            }
        });
        let line = format!("http://{address}/ --users 1 -n 40 --close-after 1 --io {driver} {flag}");
        let outcome = Engine::patient(&line).args("127.0.0.11-127.0.0.13,127.0.0.21").run().expect(0);
        assert_eq!(outcome.audit().ok, 40, "{}", outcome.told());
        assert_eq!(text(outcome.summary(), "/plan/settings/sources"), "4: 127.0.0.11 to 127.0.0.21");
        let seen = seen.lock().expect("no thread panics").clone();
        let expected = [11, 12, 13, 21].map(|last| (IpAddr::from([127, 0, 0, last]), 10));
        assert_eq!(seen, expected.into(), "{}", outcome.told());
    }
    let outcome =
        Engine::new("http://127.0.0.1/ --tps 1 --source 127.0.0.1,192.0.2.1 --quiet").run().expect(3);
    assert!(outcome.stderr.contains("192.0.2.1: it is no address of this host → "), "{}", outcome.told());
}

#[test]
fn each_source_has_all_ports_for_itself() {
    let _hold = among_others();
    // 16 local ports, of which the built-in target takes one.
    let few_ports = "ip link set lo up && echo 40000 40015 > /proc/sys/net/ipv4/ip_local_port_range";
    for driver in ["uring", "epoll"] {
        let line = format!("--users 40 -n 2000 --quiet --io {driver}");
        let engine = Engine::patient(&line);
        let outcome = in_own_world(engine, "--net --mount", few_ports).run().expect(3);
        assert!(
            outcome.stderr.contains("there are 16 local ports → --source with 3 addresses of this host; or "),
            "{}",
            outcome.told()
        );
        let engine = Engine::patient(&line).args("--warm-connections 40 --source 127.0.0.11-127.0.0.13");
        let outcome = in_own_world(engine, "--net --mount", few_ports).run().expect(0);
        assert_eq!(outcome.audit().ok, 2_000, "{}", outcome.told());
        let notes = items(outcome.summary(), "/environment/notes");
        assert!(
            notes.iter().any(|note| note.as_str().is_some_and(|note| note.ends_with("on 40 connections"))),
            "{}",
            outcome.told()
        );
    }
}

#[test]
fn the_target_closes_first_and_keeps_the_time_wait() {
    let _hold = among_others();
    // 16 local ports, of which the built-in target takes one, and none is taken again while it is in TIME_WAIT.
    let few_ports = "ip link set lo up && echo 40000 40015 > /proc/sys/net/ipv4/ip_local_port_range && echo 0 > \
                     /proc/sys/net/ipv4/tcp_tw_reuse";
    for (driver, load) in
        [("uring", "--users 6 -n 3000"), ("epoll", "--users 6 -n 3000"), ("uring", "--tps 400 -d 1s")]
    {
        let engine = Engine::patient(load).args("--close-after 1 -c 6 --io").arg(driver);
        let outcome = in_own_world(engine, "--net --mount", few_ports).run().expect(0);
        let audit = outcome.audit();
        assert_eq!((audit.ok, audit.dropped()), (audit.scheduled, 0), "{}", outcome.told());
        assert_eq!(count(outcome.summary(), "/connections/connects"), audit.ok, "{}", outcome.told());
    }
    // A plan that tells the target to keep connections has them closed by the engine, and runs out of ports: the
    // generator's shortage, no error of the target.
    let engine =
        Engine::patient("--users 6 -n 100 --close-after 1 -c 6 -H Connection:keep-alive --timeout 1s");
    let outcome = in_own_world(engine, "--net --mount", few_ports).run().expect(12);
    let dropped = count(outcome.summary(), "/audit/dropped/local_resource");
    assert!(dropped > 0 && outcome.audit().failed() == 0, "{}", outcome.told());
}

#[test]
fn unix_sockets_are_loaded_like_addresses() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    for driver in ["uring", "epoll"] {
        let path = folder.path().join(driver);
        let listener = UnixListener::bind(&path).expect("a socket");
        let heads: Arc<Mutex<Vec<u8>>> = Arc::default();
        let told = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = Arc::clone(&told);
                thread::spawn(move || serve(stream, &told));
            }
        });
        let line =
            format!("http://shop.example/cart --tps 300 -d 1s --close-after 10 --io {driver} --unix-socket");
        let outcome = Engine::patient(&line).arg(&path).run().expect(0);
        assert_eq!(outcome.audit().ok, 300, "{}", outcome.told());
        assert!(count(outcome.summary(), "/connections/connects") >= 30, "{}", outcome.told());
        assert_eq!(text(outcome.summary(), "/target/addresses/0"), format!("unix:{}", path.display()));
        let heads = String::from_utf8(heads.lock().expect("no thread panics").clone()).expect("ASCII");
        assert_eq!(
            heads.matches("GET /cart HTTP/1.1\r\nHost: shop.example\r\n").count(),
            300,
            "{heads:.300}"
        );
    }
}

#[test]
fn a_unix_socket_that_nobody_serves_is_told() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let (left, file) = (folder.path().join("left"), folder.path().join("file"));
    drop(UnixListener::bind(&left).expect("a socket"));
    write(&file, "");
    for driver in ["uring", "epoll"] {
        let line = format!("http://localhost/ --tps 50 -d 1s --io {driver} --quiet --unix-socket");
        for (path, why) in [(&folder.path().join("none"), "no such file"), (&file, "it is no socket")] {
            let outcome = Engine::patient(&line).arg(path).run().expect(3);
            let lines = outcome.stderr.lines().count();
            assert!(outcome.stderr.starts_with("error: --unix-socket: ") && lines == 1, "{}", outcome.told());
            assert!(outcome.stderr.contains(why) && !outcome.has_summary(), "{}", outcome.told());
        }
        let outcome = Engine::patient(&line).arg(&left).run().expect(11);
        assert_eq!(count(outcome.summary(), "/audit/errors/connect_refused"), 50, "{}", outcome.told());
    }
}
