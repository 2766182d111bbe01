//! The command that newcomers type first.

use std::time::Duration;

use e2e::machine::{alone, core_count, settle};
use e2e::{Engine, count, text};

/// From which lag on a run is untrustworthy by default: of any request, and of a second's 99th percentile.
const LIMITS_NS: (u64, u64) = (100_000_000, 10_000_000);

/// The same of all requests together, where the kernel kept the engine from its cores.
const STARVED_LAG_NS: u64 = 1_000_000;

#[test]
fn fifty_thousand_per_second_on_the_built_in_target_as_typed() {
    let _hold = alone();
    let mut late = Vec::new();
    for _ in 0..3 {
        let busy = settle(Duration::from_secs(20));
        let outcome = Engine::new("--tps 50000 --cores all -d 3s").json().run();
        let (summary, audit) = (outcome.summary(), outcome.audit());
        // However busy the machine: every arrival is accounted for, and what is printed is what is written.
        assert_eq!(audit.scheduled, 150_000, "{}", outcome.told());
        assert_eq!(summary["target"]["builtin"], true);
        assert!(outcome.stdout.contains("audit      scheduled 150,000 = sent "), "{}", outcome.told());
        assert!(outcome.stdout.contains("✓ sent "), "{}", outcome.told());
        let banner = "no URL given: loading the built-in target on 127.0.0.1:";
        assert!(outcome.stderr.contains(banner), "{}", outcome.told());
        assert!(core_count() > 1 || outcome.told().contains("shares its cores"), "{}", outcome.told());
        if outcome.code == 0 {
            assert_eq!(text(summary, "/verdict/result"), "pass");
            assert!(outcome.stdout.starts_with("PASS (exit 0)  http://127.0.0.1:"), "{}", outcome.told());
            assert_eq!((audit.sent, audit.ok, audit.dropped()), (150_000, 150_000, 0), "{}", outcome.told());
            return;
        }
        // Whoever took the time: a late run must say so, and must have been late.
        assert_eq!(outcome.code, 12, "{}", outcome.told());
        assert_eq!(text(summary, "/verdict/result"), "untrustworthy");
        let lag_ns = count(summary, "/latency_ns/lag/max");
        let second_ns = count(summary, "/generator/lag_p99_worst_second_ns");
        let core_wait_share = summary["generator"]["core_wait_share"].as_f64().unwrap_or(0.0);
        let starved = core_wait_share > 0.01 && count(summary, "/latency_ns/lag/p99") > STARVED_LAG_NS;
        let late_by_itself = lag_ns >= LIMITS_NS.0 || second_ns > LIMITS_NS.1;
        assert!(late_by_itself || starved, "late without lag: {}", outcome.told());
        late.push(format!(
            "lag max {lag_ns} ns, worst second's p99 {second_ns} ns, machine {:.0} % busy before",
            busy * 100.0
        ));
    }
    // How punctual the engine is, is measured (`perf schedule`) and not judged here: no code runs in time on a machine
    // that stands still.
    eprintln!("the engine called each of three runs late, rightly: {late:#?}");
}

#[test]
fn the_warm_up_stays_out_of_the_results() {
    let _hold = e2e::machine::among_others();
    let target = e2e::Target::start("");
    let outcome = Engine::patient("--tps 200 --warmup 1s -d 1s").arg(target.url()).run().expect(0);
    assert_eq!(outcome.audit().scheduled, 200);
    assert_eq!(count(outcome.summary(), "/latency_ns/response/count"), 200);
    assert_eq!(count(&target.stop(), "/requests"), 400);
}
