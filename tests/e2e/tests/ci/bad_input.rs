//! Wrong invocations: exit code 2 and one line that says where, what and how to fix it; nothing starts, nothing is
//! printed on standard output.

use std::thread;

use e2e::Engine;
use e2e::engine::write;
use e2e::machine::among_others;

/// Wrong command lines and what their message must name. `·` is a blank within an argument, `''` an empty argument,
/// `@` the folder of the test.
const WRONG: &[(&str, &str)] = &[
    // Whom to load.
    ("'' --tps 1", "the URL is empty"),
    ("--url= --tps 1", "--url: the URL is empty"),
    ("--url '' --tps 1", "--url: the URL is empty"),
    ("example.com --tps 1", "http://example.com"),
    ("/index.html --tps 1", "URL"),
    ("ftp://h/ --tps 1", "ftp"),
    ("http:// --tps 1", "URL"),
    ("http://h:0/ --tps 1", "port"),
    ("http://h:65536/ --tps 1", "65535"),
    ("http://h:80a/ --tps 1", "port"),
    ("http://[::1/ --tps 1", "bracket"),
    ("http://h/a·b --tps 1", "%20"),
    ("http://user:hunter2@h/ --tps 1", "not shown"),
    ("http://h/ http://i/ --tps 1", "one URL"),
    ("http://h/ --url http://i/ --tps 1", "twice"),
    ("dcotor", "dcotor"),
    ("http://h/", "--tps"),
    ("http://h/ -d 5s", "--tps"),
    // How much.
    ("--tps", "--tps"),
    ("--tps ''", "--tps: the rate is empty"),
    ("--tps 0", "--tps"),
    ("--tps -1", "--tps"),
    ("--tps fast", "\"fast\""),
    ("--tps 1,000", "1000"),
    ("--tps 10/fortnight", "unit of time"),
    ("--tps 1e6", "--tps"),
    ("--tps NaN", "--tps"),
    ("--tps 99999999M", "highest"),
    ("--tps 1 --tps 2", "twice"),
    ("--tps 1 --rate 2", "twice"),
    ("--tps 1 -n 0", "0 requests"),
    ("--tps 1 -n -3", "--count"),
    ("--tps 1 -n 1.5", "--count"),
    // How long.
    ("--tps 1 -d 30", "\"30\" has no unit → 30s"),
    ("--tps 1 --duration 30", "\"30\" has no unit → 30s"),
    ("--tps 1 -d ''", "--duration"),
    ("--tps 1 -d 0s", "0s"),
    ("--tps 1 -d 5parsecs", "--duration"),
    ("--tps 1 -d 1e9h", "--duration"),
    ("--tps 1 -d=-5s", "negative"),
    ("--tps 1 --timeout 10", "→ 10s"),
    ("--tps 1 --timeout 0s", "--timeout"),
    ("--tps 1 --grace 1", "→ 1s"),
    ("--tps 1 --warmup 1", "→ 1s"),
    ("--tps 1 --max-lag 5", "→ 5s"),
    // Stages.
    ("--stages 30s", "stage \"30s\" has no rate"),
    ("--stages 30s:", "--stages"),
    ("--stages 30s:1000,,10s:5", "column 10"),
    ("--stages 1000:30s", "30s:1000"),
    ("--stages 30:1000", "30s"),
    ("--stages 30s:x", "--stages (column 5)"),
    ("--stages 30s:0", "rate 0"),
    ("--stages 30s:5 --tps 5", "--tps and --stages"),
    ("--stages 30s:5 -d 5s", "already"),
    // How arrivals are spaced and shared.
    ("--tps 1 --pattern zigzag", "zigzag"),
    ("--tps 1 --process normal", "poisson"),
    ("--tps 1 --process poisson --seed x", "--seed"),
    ("--tps 1 --seed 5", "--seed"),
    ("--tps 1 --catch-up never", "burst, smooth, skip"),
    ("--tps 1 --share 0/4", "--share"),
    ("--tps 1 --share 5/4", "--share"),
    ("--tps 1 --share 1", "--share"),
    // Users.
    ("--users 0", "--users"),
    ("--users -1", "--users"),
    ("--users 5 --tps 5", "--users"),
    ("--users 5 --spawn-rate -1", "--spawn-rate"),
    ("--users 5 --think 1", "→ 1s"),
    ("--tps 5 --think 1s", "users"),
    // The request.
    ("--tps 1 -X G·T", "--method"),
    ("--tps 1 -X get", "GET"),
    ("--tps 1 -H nonsense", "colon"),
    ("--tps 1 -H A\u{1}:b", "--header"),
    ("--tps 1 -H Content-Length:·5", "Content-Length"),
    ("--tps 1 -H Transfer-Encoding:·chunked", "Transfer-Encoding"),
    ("--tps 1 --body x --body-file @/body", "--body"),
    ("--tps 1 --body-file @/missing", "there is no such file"),
    ("--tps 1 --body-file @", "directory"),
    ("--tps 1 --fail-status 4", "--fail-status"),
    ("--tps 1 --max-body 1z", "--max-body"),
    // Connections and TLS.
    ("--tps 1 -c 0", "--connections"),
    ("--tps 1 -c many", "--connections"),
    ("--tps 1 -c 4 --warm-connections 5", "--warm-connections"),
    ("--tps 1 --close-after 0", "--close-after"),
    ("--tps 1 --queue x", "--queue"),
    ("--tps 1 --connect-to h:80", "HOST:PORT:ADDR:PORT"),
    ("--tps 1 --dns ipv4", "auto, all, first, 4, 6"),
    ("--tps 1 --source eth0", "--source"),
    ("--tps 1 --unix-socket ''", "--unix-socket"),
    ("--tps 1 --unix-socket @/s", "http://localhost/"),
    ("http://h/ --tps 1 --unix-socket @/s --source 10.0.0.1", "leave one out"),
    ("https://127.0.0.1/ --tps 1 --cacert @/missing", "--cacert"),
    ("https://127.0.0.1/ --tps 1 --cacert @/body", "PEM"),
    ("https://127.0.0.1/ --tps 1 --cacert @/bad.pem", "certificate"),
    ("https://127.0.0.1/ --tps 1 --cert @/bad.pem", "--key"),
    ("--tps 1 -k --cacert @/bad.pem", "--cacert"),
    ("--tps 1 --tls-min 1.1", "--tls-min"),
    ("--tps 1 --tls-min 1.3 --tls-max 1.2", "--tls-min"),
    // The engine and its results.
    ("--tps 1 --cores 0", "--cores"),
    ("--tps 1 --cores 3-1", "--cores"),
    ("--tps 1 --io aio", "auto, uring, epoll"),
    ("--tps 1 --pacing jog", "sleep, spin"),
    ("--tps 1 --control @", "--control"),
    ("--tps 1 --rate-guard x", "--rate-guard"),
    ("--tps 1 --i-own http://h/", "--i-own"),
    ("--tps 1 --threshold p99", "--threshold"),
    ("--tps 1 --threshold p99<50", "50ms"),
    ("--tps 1 --threshold speed<5ms", "\"speed\""),
    ("--tps 1 --json @/missing/run.json", "there is no directory"),
    ("--tps 1 --json @", "directory"),
    ("--tps 1 --json - --ndjson -", "standard output"),
    ("--tps 1 --json @/a --ndjson @/a", "same file"),
    ("--tps 1 --tag x", "name=value"),
    ("--tps 1 --run-id a/b", "--run-id"),
    ("--tps 1 --progress-every 1", "→ 1s"),
    ("--tps 1 --color blue", "auto, always, never"),
    ("--tps 1 --quiet=yes", "--quiet"),
    // Flags that are not ours.
    ("--tsp 1", "--tps"),
    ("--frobnicate", "no such flag"),
    ("http://h/ -z 10s", "DURATION"),
    ("http://h/ --vus 10", "--users"),
    ("http://h/ -rate=5", "--rate"),
    // The other commands.
    ("target --listen nowhere", "--listen"),
    ("target --listen 127.0.0.1:70000", "--listen"),
    ("target --delay maybe", "--delay"),
    ("target --stall 2s/1s", "--stall"),
    ("target --error-rate 2", "--error-rate"),
    ("target --error-status 200", "--error-status"),
    ("target --body-size 2TiB", "--body-size"),
    ("target --certificate-out @/c", "--tls"),
    ("target --tls --cert @/bad.pem --key @/bad.pem --listen 127.0.0.1:0", "certificate"),
    ("merge", "FILE"),
    ("merge @/missing", "missing"),
    ("merge @/body", "body"),
    ("schema poem", "\"poem\""),
    ("schema summary interval", "one argument too many"),
    ("doctor -c x", "--connections"),
];

/// Wrong variables.
const WRONG_VARIABLES: &[(&str, &str, &str)] = &[
    ("ENGINE_URL", "", "variable ENGINE_URL: the URL is empty"),
    ("ENGINE_DURATION", "30", "variable ENGINE_DURATION: \"30\" has no unit → 30s"),
    ("DURATION", "10", "variable DURATION: \"10\" has no unit → 10s"),
    ("DURATION", "", "variable DURATION"),
    ("LOAD_PATTERN", "zigzag", "variable LOAD_PATTERN"),
    ("RUN_ID", "a b", "variable RUN_ID"),
    ("WORKER_ID", "", "variable WORKER_ID"),
    ("ENGINE_IO", "fast", "variable ENGINE_IO"),
    ("ENGINE_HEADER", "Authorization hunter2", "variable ENGINE_HEADER"),
    ("ENGINE_DNS", "5", "variable ENGINE_DNS"),
    ("ENGINE_SOURCE", "", "variable ENGINE_SOURCE"),
    ("ENGINE_UNIX_SOCKET", "", "variable ENGINE_UNIX_SOCKET"),
    ("ENGINE_QUIET", "maybe", "variable ENGINE_QUIET"),
    ("ENGINE_CONNECTIONS", "many", "variable ENGINE_CONNECTIONS"),
    ("ENGINE_JSON", "", "variable ENGINE_JSON"),
];

/// What is wrong with the answer to a wrong invocation, in words.
fn faults(engine: Engine, named: &str) -> Vec<String> {
    let outcome = engine.run();
    let said = &outcome.stderr;
    let lines: Vec<&str> = said.lines().collect();
    [
        (outcome.code == 2, "another exit code than 2"),
        (outcome.stdout.is_empty(), "something on standard output"),
        (lines.len() == 1 && said.ends_with('\n'), "not exactly one line"),
        (said.starts_with("error: "), "no error"),
        // Most messages point at the fix; those of certificates and documents put it into words.
        (said.contains(" → ") || said.contains("; "), "no fix"),
        (said.contains(named), "the fault is not named"),
        (!said.contains("hunter2"), "a secret"),
        (!said.contains("panicked"), "a panic"),
    ]
    .into_iter()
    .filter(|(holds, _)| !holds)
    .map(|(_, what)| format!("{what} (expected: {named}): {}", outcome.told()))
    .collect()
}

#[test]
fn wrong_invocations_get_one_line_that_says_where_what_and_how_to_fix_it() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("body"), "no PEM, no JSON");
    write(&folder.path().join("bad.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let here = folder.path().to_str().expect("a temporary folder has a plain name");
    let engine = |line: &str| {
        let words = line.split(' ').map(|word| if word == "''" { "" } else { word });
        words.fold(Engine::new(""), |engine, word| engine.arg(word.replace('·', " ").replace('@', here)))
    };
    let mut found: Vec<String> = Vec::new();
    // Starting a process takes a while on a busy machine; eight at a time take less.
    for rows in WRONG.chunks(8) {
        thread::scope(|scope| {
            let threads: Vec<_> = rows
                .iter()
                .map(|(line, named)| {
                    // An `@` in the URL is a user's name, not the folder.
                    let engine = if line.contains("hunter2@h") { Engine::new(line) } else { engine(line) };
                    scope.spawn(move || faults(engine, named))
                })
                .collect();
            for thread in threads {
                found.extend(thread.join().expect("no panic"));
            }
        });
    }
    for (name, value, named) in WRONG_VARIABLES {
        let load =
            if *name == "DURATION" || name.starts_with("ENGINE_D") { "--tps 1" } else { "--tps 1 -n 1" };
        found.extend(faults(Engine::new(load).variable(name, value), named));
    }
    assert!(WRONG.len() + WRONG_VARIABLES.len() >= 100);
    assert!(found.is_empty(), "{} faults\n\n{}", found.len(), found.join("\n\n"));
}

#[test]
fn an_unset_variable_in_a_script_is_not_the_built_in_target() {
    let _hold = among_others();
    for engine in [
        Engine::patient("--tps 10 -d 1s").arg(""),
        Engine::patient("--tps 10 -d 1s").arg("--url="),
        Engine::patient("--tps 10 -d 1s").arg("--url").arg(""),
        Engine::patient("--tps 10 -d 1s").variable("ENGINE_URL", ""),
    ] {
        let outcome = engine.run().expect(2);
        assert!(outcome.stderr.contains("is a variable unset?"), "{}", outcome.told());
        assert!(!outcome.has_summary());
    }
}
