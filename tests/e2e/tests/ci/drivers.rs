//! The basics on both drivers of I/O: whatever differs inside, nothing may differ outside.

use e2e::machine::among_others;
use e2e::waiting::SOON;
use e2e::{Engine, Outcome, Target, count, number, text};
use serde_json::Value;

/// Runs on a driver; the run and what the target saw.
fn on(driver: &str, target_flags: &str, line: &str) -> (Outcome, Value) {
    let target = Target::start(target_flags);
    let outcome = Engine::patient(line).args("--io").arg(driver).arg(target.url()).run().expect(0);
    let stamp = if driver == "uring" { "io_uring" } else { "epoll" };
    assert_eq!(text(outcome.summary(), "/run/io/driver"), stamp);
    assert!(text(outcome.summary(), "/run/io/why").contains(&format!("--io {driver}")));
    let truth = target.stop();
    let audit = outcome.audit();
    assert_eq!((audit.failed(), audit.cut_off, audit.dropped()), (0, 0, 0), "{}", outcome.told());
    assert_eq!(count(&truth, "/requests"), audit.sent, "{}", outcome.told());
    // Both sides count the same bytes, without TLS.
    assert_eq!(count(&truth, "/bytes/received"), count(outcome.summary(), "/bytes/sent"));
    assert_eq!(count(&truth, "/bytes/sent"), count(outcome.summary(), "/bytes/received"));
    (outcome, truth)
}

#[test]
fn small_requests() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        let (outcome, truth) = on(driver, "", "--tps 1000 -d 1s");
        assert_eq!(outcome.audit().ok, 1_000);
        assert_eq!(count(&truth, "/connects"), count(outcome.summary(), "/connections/connects"));
    }
}

#[test]
fn bodies_of_requests() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("body.bin");
    std::fs::write(&file, vec![b'x'; 100_000]).expect("a file");
    for driver in ["uring", "epoll"] {
        let (_, truth) = on(driver, "", "--tps 50 -d 1s --body hello");
        assert_eq!(count(&truth, "/bytes/request_bodies"), 50 * 5);
        let target = Target::start("");
        let from_file = Engine::patient("--tps 50 -d 1s --io").arg(driver).arg("--body-file").arg(&file);
        from_file.arg(target.url()).run().expect(0);
        let stdin = std::fs::File::open(&file).expect("it is there");
        let from_stdin = Engine::patient("--tps 10 -d 1s -X PUT --body-file - --io").arg(driver).stdin(stdin);
        from_stdin.arg(target.url()).run().expect(0);
        let truth = target.stop();
        assert_eq!(count(&truth, "/requests"), 60);
        assert_eq!(count(&truth, "/bytes/request_bodies"), 60 * 100_000);
    }
}

#[test]
fn large_responses_are_counted_though_nobody_reads_them() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        let (outcome, _) = on(driver, "--body-size 1MiB", "--tps 40 -d 1s");
        assert!(count(outcome.summary(), "/bytes/received") > 40 << 20, "{}", outcome.told());
    }
}

#[test]
fn head_has_no_body() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        let (outcome, _) = on(driver, "--body-size 100k", "--tps 100 -d 1s -X HEAD");
        assert!(count(outcome.summary(), "/bytes/received") < 100 * 1_000, "{}", outcome.told());
        assert_eq!(count(outcome.summary(), "/status/200"), 100);
    }
}

#[test]
fn connections_close_after_so_many_requests() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        let (_, truth) = on(driver, "", "--tps 100 -d 1s --close-after 1");
        assert_eq!((count(&truth, "/requests"), count(&truth, "/connects")), (100, 100));
        let (_, truth) = on(driver, "", "--users 1 -n 100 --close-after 10");
        assert_eq!((count(&truth, "/requests"), count(&truth, "/connects")), (100, 10));
    }
}

#[test]
fn users_and_counts() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        let (outcome, truth) = on(driver, "", "--users 4 -n 1001");
        assert_eq!((outcome.audit().sent, count(&truth, "/requests")), (1_001, 1_001));
        assert!(count(&truth, "/connects") <= 4);
    }
}

/// The kernel takes the ring's absolute instants for the machine's, also where a process has a monotonic clock of its own.
#[test]
fn clocks_of_a_time_namespace() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        for ahead in ["1000", "-1000"] {
            let target = Target::start("");
            let engine = Engine::patient("--tps 200 -d 1s --io").arg(driver).arg(target.url());
            let unshare = ["unshare", "--user", "--map-root-user", "--time", "--monotonic", ahead];
            let outcome = engine.under(unshare).within(SOON).run().expect(0);
            assert_eq!(count(&target.stop(), "/requests"), 200);
            let lag = count(outcome.summary(), "/latency_ns/lag/max");
            assert!(lag < 1_000_000_000, "{lag} ns late: {}", outcome.told());
            let cpu = number(outcome.summary(), "/generator/cpu_s");
            assert!(cpu < 0.5, "it spins: {}", outcome.told());
        }
    }
}
