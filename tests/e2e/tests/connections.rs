//! Tens of thousands of connections: in one process up to its descriptor limit, and over several processes with sources
//! and addresses of their own. Part of the long home: each process here holds thousands of sockets.

use std::time::Duration;

use e2e::document::items;
use e2e::engine::Running;
use e2e::machine::alone;
use e2e::waiting::pause;
use e2e::{Engine, Outcome, Target, count};

/// Most memory that a process takes beside its connections.
const BASE_KIB: u64 = 48 << 10;
/// Most memory that a connection takes.
const PER_CONNECTION_KIB: u64 = 4;

/// The most memory that a running engine has had, in KiB; 0 when it has ended.
fn peak_kib(running: &Running) -> u64 {
    running.process.memory_peak_bytes().unwrap_or(0) >> 10
}

/// A run that opens all its connections before it starts.
fn begin(url: &str, connections: u64, more: &str) -> Running {
    let line = format!("{url} --tps 2000 -d 10s --cores 1 -c {connections} --warm-connections {connections}");
    Engine::patient(&line).args(more).within(Duration::from_mins(3)).start()
}

/// Waits for all runs, watching their memory; the outcomes, and the peaks in KiB.
fn finish(running: Vec<Running>) -> Vec<(Outcome, u64)> {
    let mut peaks = vec![0; running.len()];
    // Connections stand before the start; 10 s of load follow.
    for _ in 0..60 {
        for (peak, running) in peaks.iter_mut().zip(&running) {
            *peak = peak_kib(running).max(*peak);
        }
        pause(Duration::from_millis(100));
    }
    running.into_iter().map(Running::finish).zip(peaks).collect()
}

fn check(outcome: Outcome, arrivals: u64) {
    let outcome = outcome.expect(0);
    let audit = outcome.audit();
    assert_eq!((audit.ok, audit.sent, audit.dropped()), (arrivals, arrivals, 0), "{}", outcome.told());
    assert!(!items(outcome.summary(), "/timeline").is_empty());
}

#[test]
fn nineteen_thousand_connections_in_one_process() {
    let _hold = alone();
    for driver in ["uring", "epoll"] {
        let mut peaks = Vec::new();
        for connections in [100, 19_000] {
            let target = Target::start("");
            let running = begin(&target.url(), connections, &format!("--io {driver}"));
            let (outcome, peak) = finish(vec![running]).pop().expect("one run");
            check(outcome, 20_000);
            assert_eq!(count(&target.stop(), "/connects"), connections);
            assert!(peak < BASE_KIB + connections * PER_CONNECTION_KIB, "{driver}: {peak} KiB");
            peaks.push(peak);
        }
        let each = (peaks[1].saturating_sub(peaks[0])) as f64 / 18_900.0;
        println!(
            "{driver}: {} KiB with 100 connections, {} KiB with 19,000: {each:.2} KiB each",
            peaks[0], peaks[1]
        );
    }
}

#[test]
fn sixty_thousand_connections_over_several_processes() {
    let _hold = alone();
    for driver in ["uring", "epoll"] {
        // 15,000 in each of four processes; to each of four addresses, from two sources.
        let targets: Vec<Target> = (1..=4)
            .map(|last| Target::start_on(&format!("127.0.0.{last}:0"), Engine::new("target")))
            .collect();
        let begin = |(index, target): (usize, &Target)| {
            let first = 11 + 2 * index;
            let sources = format!("--io {driver} --source 127.0.0.{first}-127.0.0.{}", first + 1);
            begin(&target.url(), 15_000, &sources)
        };
        let running = targets.iter().enumerate().map(begin).collect();
        for (outcome, peak) in finish(running) {
            check(outcome, 20_000);
            println!("{driver}: {peak} KiB with 15,000 connections");
        }
        for target in targets {
            assert_eq!(count(&target.stop(), "/connects"), 15_000);
        }
    }
}
