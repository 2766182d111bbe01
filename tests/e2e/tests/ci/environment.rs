//! Hosts that refuse something: descriptors, the ring, room for a report; and the rails that refuse a plan.

use std::fs::OpenOptions;

use e2e::document::items;
use e2e::machine::among_others;
use e2e::{Engine, Target, count, text};

/// The helper that starts a program with system calls refused.
const CONFINED: &str = env!("CARGO_BIN_EXE_confined");

#[test]
fn a_full_device_costs_the_file_and_not_the_summary() {
    let _hold = among_others();
    let target = Target::start("");
    for flag in ["--json", "--ndjson"] {
        let line = format!("--tps 100 -d 1s --max-lag 1h {flag} /dev/full");
        let outcome = Engine::new(&line).arg(target.url()).run().expect(14);
        assert!(outcome.stderr.contains("error: cannot write /dev/full: "), "{}", outcome.told());
        for line in
            ["ERROR (exit 14)", "cannot write /dev/full", "audit      scheduled 100 = sent 100 ", "latency "]
        {
            assert!(outcome.stdout.contains(line), "no {line:?}: {}", outcome.told());
        }
    }
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let outcome = Engine::patient("--tps 100 -d 1s").arg(target.url()).stdout(full()).run().expect(14);
    assert_eq!(outcome.audit().sent, 100);
    let outcome = Engine::new("schema summary").stdout(full()).run().expect(14);
    assert!(outcome.stderr.starts_with("error: cannot write to standard output: "), "{}", outcome.told());
}

/// Starts the engine with room for this many descriptors.
fn with_descriptors(limit: u32, engine: Engine) -> Engine {
    engine.under(["sh".to_owned(), "-c".to_owned(), format!("ulimit -n {limit} && exec \"$0\" \"$@\"")])
}

#[test]
fn a_descriptor_limit_is_told_before_anything_is_sent() {
    let _hold = among_others();
    let target = Target::start("");
    let outcome = with_descriptors(64, Engine::patient("--tps 100 -d 1s -c 1000 --quiet").arg(target.url()))
        .run()
        .expect(3);
    assert!(outcome.stderr.starts_with("error: need "), "{}", outcome.told());
    for words in ["1,000 connections", "the limit is 64", " → ", "ulimit -n", "--connections "] {
        assert!(outcome.stderr.contains(words), "no {words:?}: {}", outcome.told());
    }
    assert!(outcome.stdout.is_empty() && !outcome.has_summary(), "{}", outcome.told());
    assert_eq!(count(&target.truth(), "/requests"), 0);
    // The number that the message offers does work, and so does no number at all.
    let offered =
        outcome.stderr.rsplit("--connections ").next().and_then(|rest| rest.split_whitespace().next());
    let offered: u32 = offered.and_then(|number| number.parse().ok()).expect("the message offers a number");
    for connections in [format!("-c {offered}"), String::new()] {
        let engine = Engine::patient("--tps 100 -d 1s").args(&connections).arg(target.url());
        assert_eq!(with_descriptors(64, engine).run().expect(0).audit().ok, 100);
    }
    assert_eq!(count(&target.stop(), "/requests"), 200);
}

#[test]
fn a_refused_ring_is_replaced_by_epoll_and_said() {
    let _hold = among_others();
    let target = Target::start("");
    let outcome =
        Engine::patient("--tps 200 -d 1s").arg(target.url()).under([CONFINED, "io-uring"]).run().expect(0);
    let summary = outcome.summary();
    assert_eq!(text(summary, "/run/io/driver"), "epoll");
    for told in [text(summary, "/run/io/why"), &outcome.stderr, &outcome.stdout] {
        assert!(told.contains("io_uring is refused") && told.contains("seccomp"), "{told}");
    }
    assert_eq!(outcome.audit().ok, 200);
    assert_eq!(count(&target.truth(), "/requests"), 200);
    let demanded = Engine::patient("--tps 200 -d 1s --io uring --quiet").arg(target.url());
    let outcome = demanded.under([CONFINED, "io-uring"]).run().expect(3);
    assert!(
        outcome.stderr.starts_with("error: ") && outcome.stderr.lines().count() == 1,
        "{}",
        outcome.told()
    );
    for words in ["io_uring", "seccomp", "--io epoll"] {
        assert!(outcome.stderr.contains(words), "no {words:?}: {}", outcome.told());
    }
    assert!(outcome.stdout.is_empty() && !outcome.has_summary(), "{}", outcome.told());
    assert_eq!(count(&target.stop(), "/requests"), 200);
}

#[test]
fn the_doctor_names_what_a_host_allows() {
    let _hold = among_others();
    let outcome = Engine::new("doctor").run().expect(0);
    assert_eq!(outcome.stderr, "");
    for subject in [
        "io_uring",
        "epoll",
        "descriptors",
        "ports",
        "memory",
        "locked memory",
        "cores",
        "governor",
        "congestion control",
    ] {
        assert!(outcome.stdout.contains(subject), "nothing about {subject}: {}", outcome.told());
    }
    let refused = Engine::new("doctor").under([CONFINED, "io-uring"]).run();
    let line = refused.stdout.lines().find(|line| line.contains("io_uring")).expect("it names the ring");
    assert!(line.starts_with('x') || line.starts_with('!'), "{}", refused.told());
    assert!(refused.stdout.contains("seccomp"), "{}", refused.told());
    let narrow = with_descriptors(64, Engine::new("doctor -c 1000")).run().expect(3);
    let line = narrow.stdout.lines().find(|line| line.contains("descriptors")).expect("it names descriptors");
    assert!(line.starts_with("x ") && line.contains("64"), "{}", narrow.told());
    assert!(narrow.stdout.contains("→ ulimit -n "), "{}", narrow.told());
}

#[test]
fn public_addresses_need_a_word() {
    let _hold = among_others();
    // TEST-NET addresses (RFC 5737, RFC 3849), and no connect is possible whatever the engine decides.
    for (url, connect_to, shown) in [
        ("http://203.0.113.1/", "", "203.0.113.1 is a public address"),
        ("http://[2001:db8::1]:8080/", "", "2001:db8::1] is a public address"),
        ("http://169.254.169.254/", "", "169.254.169.254 is a public address"),
        ("http://[::ffff:203.0.113.1]/", "", "is a public address"),
        ("http://localhost/", "--connect-to localhost:80:203.0.113.1:80", "203.0.113.1 is a public address"),
        (
            "http://127.0.0.1/",
            "--i-own shop.example --connect-to 127.0.0.1:80:198.51.100.7:80",
            "198.51.100.7 is",
        ),
    ] {
        let engine = Engine::patient("--tps 5 -d 1s --quiet").args(connect_to).arg(url);
        let outcome = engine.under([CONFINED, "network"]).run().expect(4);
        assert!(
            outcome.stderr.starts_with("error: ") && outcome.stderr.lines().count() == 1,
            "{}",
            outcome.told()
        );
        assert!(outcome.stderr.contains(shown) && outcome.stderr.contains("→ "), "{}", outcome.told());
        assert!(outcome.stderr.contains("--i-own "), "{}", outcome.told());
        assert!(outcome.stdout.is_empty() && !outcome.has_summary(), "{}", outcome.told());
    }
    // The word lets the plan through to the kernel, which refuses every connect here.
    let engine = Engine::patient("http://203.0.113.1/ --tps 5 -d 1s --i-own 203.0.113.1 --timeout 2s");
    let outcome = engine.under([CONFINED, "network"]).run();
    assert!(![0, 2, 3, 4].contains(&outcome.code), "{}", outcome.told());
    assert_eq!(outcome.audit().ok, 0);
}

#[test]
fn the_rate_guard_refuses_what_is_above_it() {
    let _hold = among_others();
    let target = Target::start("");
    for (load, guard, code) in [
        ("--tps 100 -d 1s", "100", 0),
        ("--tps 100.5 -d 1s", "100", 4),
        ("--stages 1s:100,1s:=101,1s:0", "100", 4),
    ] {
        let by_flag = Engine::patient(load).args("--quiet --rate-guard").arg(guard).arg(target.url()).run();
        let by_variable = Engine::patient(load)
            .args("--quiet")
            .variable("ENGINE_RATE_GUARD", guard)
            .arg(target.url())
            .run();
        for outcome in [by_flag, by_variable] {
            let outcome = outcome.expect(code);
            assert_eq!(outcome.has_summary(), code == 0);
            assert!(code == 0 || outcome.stderr.contains("above the guard of 100/s"), "{}", outcome.told());
        }
    }
    assert_eq!(count(&target.stop(), "/requests"), 200);
}

#[test]
fn a_port_in_use_is_told() {
    let _hold = among_others();
    let target = Target::start("");
    let outcome = Engine::new("target --listen").arg(target.address.to_string()).run().expect(3);
    assert!(outcome.stderr.starts_with("error: ") && outcome.stderr.contains("in use"), "{}", outcome.told());
}

#[test]
fn notes_of_the_host_are_in_the_report() {
    let _hold = among_others();
    let outcome = Engine::patient("--tps 100 -d 1s").run().expect(0);
    let notes = items(outcome.summary(), "/environment/notes");
    assert!(
        notes.iter().any(|note| note.as_str().is_some_and(|note| note.contains("counted 100 requests"))),
        "{notes:?}"
    );
}
