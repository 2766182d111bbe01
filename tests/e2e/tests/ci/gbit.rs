//! Load asked for in bits per second: what it comes to, who is counted for what, and when it is refused.

use e2e::document::items;
use e2e::machine::among_others;
use e2e::{Engine, Target, count};

/// The notes of the report that say what a bandwidth came to.
fn derived(summary: &serde_json::Value) -> Vec<String> {
    let notes = items(summary, "/environment/notes").iter().filter_map(|note| note.as_str());
    notes.filter(|note| note.contains(" Gbit/s = ")).map(str::to_owned).collect()
}

#[test]
fn the_rate_is_that_which_fills_the_bandwidth() {
    let _hold = among_others();
    for (driver, tls, target_flags, flags) in [
        ("uring", "", "--body-size 100kB", ""),
        ("epoll", "", "--body-size 100kB", ""),
        ("uring", "", "", "--body-size 100kB"),
        ("epoll", "--tls", "--body-size 100kB", "--insecure"),
        ("uring", "--tls", "", "--body-size 100kB --insecure"),
        ("uring", "", "--body-size 100kB", "--close-after 1"),
    ] {
        let target = Target::start(&format!("{tls} {target_flags}"));
        let line = format!("--gbit 0.08 -d 1s --timeout 30s --cores 1 --io {driver} {flags}");
        let outcome = Engine::patient(&line).arg(target.url()).run().expect(0);
        let truth = target.stop();
        let (summary, audit) = (outcome.summary(), outcome.audit());
        let requests = audit.ok;
        assert_eq!(audit.failed(), 0, "{}", outcome.told());
        assert_eq!(
            count(&truth, "/requests"),
            requests + 1,
            "the one that showed the size: {}",
            outcome.told()
        );
        let notes = derived(summary);
        assert_eq!(notes.len(), 1, "{}", outcome.told());
        // "0.08 Gbit/s = 99.873 requests/s of 100,127 bytes received; …"
        let words: Vec<&str> = notes[0].split_whitespace().collect();
        let rate: f64 = words[3].replace(',', "").parse().expect("a rate");
        let bytes: u64 = words[6].replace(',', "").parse().expect("a size");
        assert_eq!((words[2], words[4], words[7]), ("=", "requests/s", "bytes"), "{}", notes[0]);
        let nearest = 0.08e9 / 8.0 / bytes as f64;
        assert!((rate - nearest).abs() <= 1e-6, "{rate} beside {nearest}");
        assert!((100_050..101_500).contains(&bytes), "{bytes} bytes of an exchange");
        // Arrivals at 0, and then evenly: all whose instants lie within the second.
        assert!((requests as f64 - rate).abs() <= 1.0, "{requests} at {rate} a second");
        let way = if target_flags.is_empty() { "sent" } else { "received" };
        assert!(words[8].starts_with(way), "{}", notes[0]);
        if tls.is_empty() {
            let counted = count(summary, &format!("/bytes/{way}"));
            assert_eq!(
                counted,
                requests * bytes,
                "each exchange is as large as the first: {}",
                outcome.told()
            );
        }
        assert_eq!(summary["plan"]["settings"]["bandwidth"], "0.08 Gbit/s", "{}", outcome.told());
    }
}

#[test]
fn a_target_that_shows_no_size_is_refused_before_the_run() {
    let _hold = among_others();
    let failing = Target::start("--error-rate 1");
    let outcome = Engine::new("--gbit 1").arg(failing.url()).run().expect(11);
    assert!(outcome.stderr.contains("got status 500"), "{}", outcome.told());
    assert_eq!(count(&failing.stop(), "/requests"), 1);
    let silent = Target::start("--hang-rate 1");
    let outcome = Engine::new("--gbit 1 --timeout 200ms").arg(silent.url()).run().expect(11);
    assert!(outcome.stderr.contains("failed: timeout"), "{}", outcome.told());
    let closing = Target::start("--close-rate 1");
    let outcome = Engine::new("--gbit 1").arg(closing.url()).run().expect(11);
    assert!(outcome.stderr.contains("failed: closed_early"), "{}", outcome.told());
    let outcome = Engine::new("--gbit 1 http://127.0.0.1:1/").run().expect(11);
    assert!(outcome.stderr.contains("failed: connect_refused"), "{}", outcome.told());
}

#[test]
fn the_guard_is_held_against_the_rate_that_was_derived() {
    let _hold = among_others();
    let target = Target::start("--body-size 100kB");
    let outcome = Engine::new("--gbit 0.08 --rate-guard 90").arg(target.url()).run().expect(4);
    assert!(outcome.stderr.contains("above the guard of 90/s"), "{}", outcome.told());
    assert_eq!(count(&target.stop(), "/requests"), 1, "nothing but the one that showed the size");
}
