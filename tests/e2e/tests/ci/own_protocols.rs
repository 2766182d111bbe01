//! A protocol of a user's own: `examples/redis` against a Redis server, whose own counts are the witness.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use e2e::machine::{among_others, core_count};
use e2e::process::{Process, program};
use e2e::waiting::{SOON, pause, wait_for};
use e2e::{Engine, Outcome, count, counts, text};
use rustix::process::Signal;

/// A Redis server of the test's own, on a port of its own; it keeps nothing and ends with the test.
struct Redis {
    process: Process,
    address: SocketAddr,
    password: Option<&'static str>,
}

impl Redis {
    fn start(password: Option<&'static str>) -> Self {
        // The port is free as far as anybody can tell; whoever takes it meanwhile makes Redis say so and the test fail.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let mut command = Command::new(program(&["redis-server"]));
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--daemonize", "no"]);
        command.args(["--save", "", "--appendonly", "no", "--dir", "/tmp", "--dbfilename", "none"]);
        if let Some(password) = password {
            command.args(["--requirepass", password]);
        }
        let redis = Self { process: Process::start(command, None), address, password };
        wait_for("Redis", SOON, || TcpStream::connect(address).ok());
        redis
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Runs a command of the test's own; yields the first line of its reply, or the whole string that it is.
    fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("Redis listens");
        stream.set_read_timeout(Some(SOON)).expect("a socket takes a timeout");
        let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
        let mut reply = String::new();
        for command in self
            .password
            .map(|password| format!("AUTH {password}"))
            .iter()
            .map(String::as_str)
            .chain([command])
        {
            stream.write_all(format!("{command}\r\n").as_bytes()).expect("Redis reads");
            reply.clear();
            reader.read_line(&mut reply).expect("Redis answers");
        }
        if let Some(size) = reply.strip_prefix('$') {
            let mut body = vec![0; size.trim().parse().expect("a size")];
            reader.read_exact(&mut body).expect("a whole string");
            return String::from_utf8(body).expect("text");
        }
        reply.trim().to_owned()
    }

    /// What Redis counted of each command: calls that it carried out, calls that failed, calls that it rejected.
    fn seen(&self) -> BTreeMap<String, [u64; 3]> {
        let info = self.ask("INFO commandstats");
        let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':'));
        let figure = |figures: &str, name: &str| {
            let of = figures.split(',').find_map(|figure| figure.strip_prefix(name)?.strip_prefix('='));
            of.expect("Redis 6.2 and later tell it").parse().expect("a count")
        };
        lines
            .map(|(name, figures)| {
                let counted = ["calls", "failed_calls", "rejected_calls"].map(|name| figure(figures, name));
                (name.to_owned(), counted)
            })
            .collect()
    }

    fn connections(&self) -> u64 {
        let info = self.ask("INFO stats");
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.expect("Redis tells it").trim().parse().expect("a count")
    }
}

fn load(redis: &Redis, line: &str) -> Outcome {
    assert_eq!(redis.ask("CONFIG RESETSTAT"), "+OK");
    Engine::of("redis-load", line).json().args("--max-lag 1h").arg(redis.url()).run()
}

#[test]
fn redis_counts_what_the_report_says() {
    let _hold = among_others();
    let redis = Redis::start(None);
    for (driver, cores) in [("uring", 1), ("uring", 2), ("epoll", 1), ("epoll", 2)] {
        let cores = cores.min(core_count());
        let line =
            format!("--tps 2000 -d 3s --io {driver} --cores {cores} --keys 100 --mix SET=2,GET=6,INCR=2");
        let outcome = load(&redis, &line).expect(0);
        let summary = outcome.summary();
        let audit = outcome.audit();
        assert_eq!((audit.sent, audit.ok), (6_000, 6_000), "{}", outcome.told());
        assert_eq!(count(summary, "/run/cores"), cores as u64);
        let seen = redis.seen();
        let mut all = 0;
        for name in ["SET", "GET", "INCR"] {
            let sent = count(summary, &format!("/names/{name}/sent"));
            assert_eq!(seen[&name.to_lowercase()], [sent, 0, 0], "{line}: {name}");
            assert!(sent > 900, "{line}: {name} {sent}");
            all += sent;
        }
        assert_eq!(all, 6_000);
        let status = counts(summary, "/status");
        assert_eq!(status["OK"], seen["set"][0], "{line}");
        assert_eq!(status["integer"], seen["incr"][0], "{line}");
        let got = status["value"] + status.get("nil").copied().unwrap_or(0);
        assert_eq!(got, seen["get"][0], "{line}");
        // The test's own: the one that asked for these figures; the reset came before.
        assert_eq!(redis.connections(), count(summary, "/connections/connects") + 2, "{line}");
        assert_eq!(text(summary, "/plan/settings/protocol"), "redis");
        assert_eq!(text(summary, "/target/url"), format!("{}/", redis.url()));
        assert!(outcome.stdout.contains("GET"), "{}", outcome.told());
    }
    // The draws follow from the slots: each run raised the same counters as often, whatever the shards.
    for key in 0..100 {
        let raised: u64 = redis.ask(&format!("GET counter:{key}")).parse().unwrap_or(0);
        assert_eq!(raised % 4, 0, "counter {key}: {raised}");
    }
}

#[test]
fn errors_have_their_names() {
    let _hold = among_others();
    let redis = Redis::start(None);
    assert_eq!(redis.ask("RPUSH key:0 a"), ":1");
    assert_eq!(redis.ask("SET counter:0 text"), "+OK");
    for (mix, status, place) in [("GET", "WRONGTYPE", 1), ("INCR", "ERR", 1)] {
        let line = format!("--tps 200 -d 1s --keys 1 --mix {mix}=1");
        let outcome = load(&redis, &line).expect(11);
        let audit = outcome.audit();
        assert_eq!((audit.sent, audit.errors["status"]), (200, 200), "{}", outcome.told());
        assert_eq!(counts(outcome.summary(), "/status"), BTreeMap::from([(status.to_owned(), 200)]));
        assert_eq!(redis.seen()[&mix.to_lowercase()][place], 200, "{mix}");
        assert!(outcome.stdout.contains(&format!("{status}: 200")), "{}", outcome.told());
    }
    // The first SET makes a string of the list; only what came before it fails.
    let outcome = load(&redis, "--tps 200 -d 1s -c 1 --keys 1 --mix SET=1,GET=1").expect(0);
    assert_eq!(redis.seen()["set"], [count(outcome.summary(), "/names/SET/sent"), 0, 0]);
    let failed = counts(outcome.summary(), "/status").get("WRONGTYPE").copied().unwrap_or(0);
    assert_eq!(redis.seen()["get"][1], failed);
}

#[test]
fn passwords_are_asked_for_once_for_each_connection() {
    let _hold = among_others();
    let redis = Redis::start(Some("sesame"));
    let outcome = load(&redis, "--tps 200 -d 1s").expect(11);
    assert_eq!(counts(outcome.summary(), "/status"), BTreeMap::from([("NOAUTH".to_owned(), 200)]));
    assert_eq!(outcome.audit().errors, BTreeMap::from([("status".to_owned(), 200)]));
    let rejected: u64 =
        ["set", "get", "incr"].iter().filter_map(|name| redis.seen().get(*name).map(|seen| seen[2])).sum();
    assert_eq!(rejected, 200);
    for driver in ["uring", "epoll"] {
        assert_eq!(redis.ask("CONFIG RESETSTAT"), "+OK");
        let with = |password: &str| {
            let engine =
                Engine::of("redis-load", "--tps 300 -d 1s -c 4 --close-after 20 --username default --io");
            let engine = engine.arg(driver).json().args("--max-lag 1h").arg(redis.url());
            engine.variable("REDIS_PASSWORD", password).run()
        };
        let outcome = with("sesame").expect(0);
        assert_eq!((outcome.audit().ok, outcome.audit().failed()), (300, 0), "{}", outcome.told());
        let connects = count(outcome.summary(), "/connections/connects");
        assert!(connects >= 15, "{connects}");
        // The test's own connection has logged in as well, to ask.
        assert_eq!(redis.seen()["auth"], [connects + 1, 0, 0]);
        for said in [&outcome.stdout, &outcome.stderr, &outcome.summary().to_string()] {
            assert!(!said.contains("sesame"), "{said}");
        }
        let outcome = with("wrong").expect(11);
        let audit = outcome.audit();
        assert_eq!(audit.errors, BTreeMap::from([("status".to_owned(), 300)]), "{}", outcome.told());
        assert_eq!(counts(outcome.summary(), "/status"), BTreeMap::from([("WRONGPASS".to_owned(), 300)]));
        assert_eq!(redis.seen()["auth"][1], count(outcome.summary(), "/connections/failed"));
    }
}

#[test]
fn a_redis_that_dies_leaves_the_audit_whole() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        let mut redis = Redis::start(None);
        let line = format!("--tps 1000 -d 3s --timeout 1s --io {driver}");
        let running = Engine::of("redis-load", &line).json().args("--max-lag 1h").arg(redis.url()).start();
        wait_for("half of the load", SOON, || {
            let seen = redis.seen();
            let calls: u64 = ["set", "get", "incr"].iter().filter_map(|name| Some(seen.get(*name)?[0])).sum();
            (calls > 1_500).then_some(())
        });
        redis.process.signal(Signal::KILL);
        redis.process.wait(SOON);
        let outcome = running.finish();
        let audit = outcome.audit();
        assert_eq!((audit.scheduled, audit.dropped()), (3_000, 0), "{}", outcome.told());
        assert!(audit.ok >= 1_400, "{}", outcome.told());
        assert!(audit.errors["connect_refused"] > 500, "{}", outcome.told());
        let known = ["broken_pipe", "closed_early", "connect_refused", "connect_reset", "reset"];
        assert!(audit.error_classes().iter().all(|class| known.contains(class)), "{}", outcome.told());
    }
}

#[test]
fn a_redis_that_is_stopped_shows_its_stall() {
    let _hold = among_others();
    let redis = Redis::start(None);
    let running = Engine::of("redis-load", "--tps 500 -d 3s -c 64")
        .json()
        .args("--max-lag 1h")
        .arg(redis.url())
        .start();
    wait_for("some load", SOON, || redis.seen().contains_key("get").then_some(()));
    redis.process.signal(Signal::STOP);
    pause(Duration::from_secs(1));
    redis.process.signal(Signal::CONT);
    let outcome = running.finish();
    let audit = outcome.audit();
    assert_eq!((audit.ok, audit.failed(), audit.dropped()), (1_500, 0, 0), "{}", outcome.told());
    // A second of arrivals waited for up to a second: a third of all, counted from when they were due.
    let p90 = count(outcome.summary(), "/latency_ns/response/p90");
    assert!(p90 > 500_000_000, "{}", outcome.told());
}

#[test]
fn what_is_about_http_is_refused_in_one_line() {
    let _hold = among_others();
    for (line, fragment) in [
        ("--tps 10", "a URL, e.g. redis://127.0.0.1:6379"),
        ("http://127.0.0.1:1/ --tps 10", "does not speak http"),
        ("redis://127.0.0.1:1/0 --tps 10", "redis has no paths"),
        ("redis://127.0.0.1:1 --tps 10 -H A:b", "--header: it is about HTTP"),
        ("redis://127.0.0.1:1 --tps 10 --mix DEL=1", "--mix: \"DEL\" is no command here"),
        ("run plan.yaml", "run: it is about HTTP"),
    ] {
        let outcome = Engine::of("redis-load", line).run().expect(2);
        assert!(outcome.stderr.contains(fragment), "{}", outcome.told());
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.told());
    }
    let help = Engine::of("redis-load", "--help").run().expect(0).stdout;
    assert!(help.contains("--mix <COMMAND=WEIGHT,…>") && help.contains("--threshold"), "{help}");
    Engine::of("redis-load", "redis://8.8.8.8 --tps 10").run().expect(4);
}
