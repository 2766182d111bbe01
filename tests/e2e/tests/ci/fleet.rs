//! The coordinator's command line, as a user runs it.

use e2e::{Engine, Outcome};

fn refused(line: &str) -> Outcome {
    Engine::of("coordinator", line).run()
}

#[test]
fn what_cannot_be_done_is_said_with_the_houses_exit_codes() {
    for (line, code, fragment) in [
        ("run --tps 5 --nodes-listen 127.0.0.1:0 --local 2", 2, "nothing says whom to load → a URL"),
        (
            "run http://127.0.0.1:1/ --tps 5 --share 1/2 --nodes-listen 127.0.0.1:0",
            2,
            "--share: the coordinator deals the shares",
        ),
        ("run http://127.0.0.1:1/ --tps 5 --rate-guard 1", 4, "above the guard of 1/s"),
        ("run http://127.0.0.1:1/ --tsp 5", 2, "--tsp: no such flag"),
        (
            "run http://127.0.0.1:1/ --tps 5 --local 1 --engine /nowhere/engine",
            3,
            "--engine FILE names the engine",
        ),
        (
            "run http://127.0.0.1:1/ --tps 5 --nodes-listen 127.0.0.1:0 --nodes 1 --wait 1s",
            3,
            "the run did not begin",
        ),
        ("serve --nodes-listen 0.0.0.0:0 --state /tmp", 4, "without TLS and tokens"),
        ("status --coordinator http://127.0.0.1:1", 3, "no coordinator at 127.0.0.1:1"),
    ] {
        let outcome = refused(line).expect(code);
        assert!(outcome.stderr.contains(fragment), "{fragment}: {}", outcome.told());
    }
}
