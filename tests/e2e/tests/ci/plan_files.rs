//! Plan files at the command line: explained, or refused with their place.

use std::collections::BTreeMap;

use e2e::document::{Audit, counts, items};
use e2e::engine::write;
use e2e::machine::among_others;
use e2e::{Engine, Target, count};

const PLAN: &str = "\
schema: openloop.plan/1
name: checkout
secrets: {password: {file: secret.txt}}
targets: {shop: \"${BASE_URL:-http://127.0.0.1:8080}\"}
data: {users: users.csv}
workloads:
  warm: {tps: 100, for: 10s, request: /}
  wave: {sine: {mean: 100, amplitude: 50, period: 10s}, for: 20s, after: warm, scenario: buy}
  people: {users: 5, for: 10s, scenario: buy}
scenarios:
  buy:
    data: users
    steps: [{get: \"/{{users.name}}\", auth: {basic: {user: me, password: \"{{secret.password}}\"}}}]
thresholds: [p99<50ms]
";

#[test]
fn plans_are_explained_and_their_files_stand_beside_them() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("plan.yaml"), PLAN);
    write(&folder.path().join("secret.txt"), "hunter2\n");
    write(&folder.path().join("users.csv"), "name\nann\n");
    let check = || Engine::new("check").arg(folder.path().join("plan.yaml"));
    let outcome = check().run().expect(0);
    for words in [
        "the plan is valid",
        "1,000 iterations",
        "2,000 iterations of buy",
        "150/s",
        "5 users",
        "lasts        30s",
        "3,000 iterations",
        "p99<50ms",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.told());
    }
    assert!(!outcome.told().contains("hunter2"), "{}", outcome.told());
    let ascii = check().variable("LC_ALL", "C").run().expect(0);
    assert!(ascii.stdout.is_ascii(), "{}", ascii.told());
    let other = check().variable("BASE_URL", "http://127.0.0.1:9999").run().expect(0);
    assert!(other.stdout.contains(":9999"), "{}", other.told());
    let around = "setup: [{get: /a}, {repeat: 2, steps: [{get: /b}]}]\nteardown: [{get: /c}]\n";
    write(&folder.path().join("plan.yaml"), format!("{PLAN}{around}"));
    let around = check().run().expect(0);
    for words in [
        "setup        once before the load, 2 requests written",
        "teardown     once behind it, 1 request written",
    ] {
        assert!(around.stdout.contains(words), "{words}: {}", around.told());
    }
}

#[test]
fn wrong_plans_end_with_2_and_point_into_the_file() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.yaml");
    let check = |plan: &str| {
        write(&path, plan);
        Engine::new("check").arg(&path).run().expect(2)
    };
    let outcome = check(PLAN);
    assert!(outcome.stderr.contains("plan.yaml:3:28:"), "{}", outcome.told());
    assert!(outcome.stderr.contains("plan.yaml:5:15:"), "both missing files: {}", outcome.told());
    let outcome = check(&PLAN.replace("tps: 100", "tsp: 100"));
    assert!(
        outcome.stderr.contains("plan.yaml:7:10: a workload has no key \"tsp\" → did you mean tps?"),
        "{}",
        outcome.told()
    );
    assert!(outcome.stderr.contains("\n  |          ^^^"), "{}", outcome.told());
    let outcome = check(&PLAN.replace("p99<50ms", "p99<50"));
    assert!(outcome.stderr.contains("plan.yaml:14:14:"), "{}", outcome.told());
    assert!(outcome.stdout.is_empty());
    let crowd = PLAN.replace("users: 5", "users: 5000").replace("{file: secret.txt}", "{env: PATH}");
    write(
        &path,
        crowd
            .replace("data: {users: users.csv}\n", "")
            .replace("    data: users\n", "")
            .replace("{{users.name}}", "x"),
    );
    let crowd = Engine::new("check").arg(&path).run().expect(0);
    assert!(
        crowd.stdout.contains("share 1,024 connections to shop (connections: 5000 gives"),
        "{}",
        crowd.told()
    );
    // Without an end, and with a name that speaks of secrets.
    let zero = std::fs::File::open("/dev/zero").expect("there is a /dev/zero");
    let endless = Engine::new("check -").stdin(zero).run().expect(2);
    assert!(
        endless.stderr.contains("cannot read standard input: it has more than 64 MiB"),
        "{}",
        endless.told()
    );
    let missing = Engine::new("check nowhere-secret.yaml").run().expect(2);
    assert!(missing.stderr.contains("\"nowhere-secret.yaml\": there is no such file"), "{}", missing.told());
    let guarded = PLAN
        .replace("data: {users: users.csv}", "options: {rate-guard: 10}")
        .replace("    data: users\n", "");
    let guarded = guarded.replace("{{users.name}}", "x").replace("{file: secret.txt}", "{env: PATH}");
    write(&path, guarded);
    Engine::new("check").arg(&path).run().expect(4);
}

/// Two workloads with arrivals and one with users.
const MIX: &str = "\
schema: openloop.plan/1
seed: 3
targets: {shop: \"${BASE_URL}\"}
workloads:
  browse: {tps: 150, for: 20s, request: /a}
  buy: {tps: 50, for: 20s, request: /b}
  people: {users: 4, for: 20s, scenario: [{get: /c}, {think: 100ms}]}
thresholds: [{name: GET /b, that: \"error_rate<1%\"}]
";

/// Sent requests by name.
fn sent(summary: &serde_json::Value) -> BTreeMap<String, u64> {
    let names = summary["names"].as_object().expect("the names").iter();
    names.map(|(name, counted)| (name.clone(), count(counted, "/sent"))).collect()
}

/// Demands that for each name what was sent ended or was cut off, and that the names together are the run.
fn names_add_up(summary: &serde_json::Value) {
    let audit = Audit::of(summary);
    let mut whole = [0; 5];
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for (name, counted) in summary["names"].as_object().expect("the names") {
        let total = |pointer: &str| match counted.pointer(pointer) {
            Some(_) => counts(counted, pointer).values().sum::<u64>(),
            None => 0,
        };
        let (sent, ok, cut_off) =
            (count(counted, "/sent"), count(counted, "/ok"), count(counted, "/cut_off"));
        assert_eq!(sent, ok + total("/errors") + cut_off, "{name}: {counted}");
        for (sum, part) in whole.iter_mut().zip([sent, ok, total("/errors"), cut_off, total("/dropped")]) {
            *sum += part;
        }
        let own = counted.get("status").map(|_| counts(counted, "/status")).unwrap_or_default();
        for (code, count) in own {
            *statuses.entry(code).or_default() += count;
        }
    }
    let all = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    assert_eq!(whole, [audit.sent, audit.ok, all(&audit.errors), audit.cut_off, all(&audit.dropped)]);
    assert_eq!(statuses, counts(summary, "/status"));
}

#[test]
fn what_goes_wrong_is_told_by_name() {
    let _hold = among_others();
    let target = Target::start("--error-rate 0.3 --close-rate 0.1 --delay 20ms");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.yaml");
    // One connection for 200 requests of 20 ms each per second: most find no place to wait.
    let plan =
        MIX.replace("{shop: \"${BASE_URL}\"}", "{shop: {url: \"${BASE_URL}\", connections: 1, queue: 2}}");
    write(&path, plan.split("thresholds").next().expect("a plan"));
    let engine = Engine::patient("run").arg(&path).args("-d 2s").variable("BASE_URL", &target.url());
    let outcome = engine.run().expect(15);
    names_add_up(outcome.summary());
    let dropped = outcome.summary().pointer("/names/GET ~1a/dropped").expect("some were");
    assert!(dropped["queue_full"].as_u64() > Some(10), "{}", outcome.told());
    assert!(outcome.stdout.contains("; dropped queue_full "), "{}", outcome.told());
}

#[test]
fn flags_win_over_variables_and_variables_over_the_plan() {
    let _hold = among_others();
    let target = Target::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.yaml");
    write(&path, MIX);
    let engine = |command: &str| {
        Engine::new(command)
            .arg(&path)
            .args("--tps 100 -c 8 --cores 1")
            .variable("BASE_URL", &target.url())
            .variable("ENGINE_TPS", "7")
            .variable("DURATION", "2s")
    };
    let check = engine("check").run().expect(0);
    for words in [
        "given     --tps 100: browse 75/s for 150/s, buy 25/s for 50/s",
        "given     DURATION=2s in place of browse 20s, buy 20s, people 20s",
        "given     --connections 8",
        "lasts        2s",
        "200 iterations, at most 100/s together",
        "connections  at most 8",
    ] {
        assert!(check.stdout.contains(words), "{words}: {}", check.told());
    }
    let outcome = engine("run").args("--max-lag 1h").json().run().expect(0);
    let seen = sent(outcome.summary());
    assert_eq!((seen["GET /a"], seen["GET /b"]), (150, 50), "{}", outcome.told());
    assert!((60..=88).contains(&seen["GET /c"]), "{seen:?}");
    names_add_up(outcome.summary());
    let notes = items(outcome.summary(), "/environment/notes");
    let given = "given beside the plan file: --tps 100: browse 75/s for 150/s, buy 25/s for 50/s";
    assert!(notes.iter().any(|note| note == given), "{}", outcome.told());
    assert_eq!(target.stop()["requests"], seen.values().sum::<u64>());
}

#[test]
fn one_workload_of_a_plan_is_run_alone() {
    let _hold = among_others();
    let target = Target::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.yaml");
    write(&path, MIX);
    let engine =
        |line: &str| Engine::patient("run").arg(&path).args(line).variable("BASE_URL", &target.url());
    let outcome = engine("--workload people -u 2 -n 11").run().expect(0);
    assert_eq!(sent(outcome.summary()), BTreeMap::from([("GET /c".to_owned(), 11)]));
    assert!(outcome.stdout.contains("was not judged"), "{}", outcome.told());
    for (line, said) in [
        ("--workload nobody", "--workload: there is no workload \"nobody\" → one of browse, buy, people"),
        ("-n 5", "--count: the plan has several workloads"),
        ("--header a:b", "--header: a plan file says this itself, for each of its requests"),
        ("--gbit 1", "--gbit: how large an exchange of a plan file is only running it tells"),
        ("--timeout 1s", "--timeout: a plan file says this itself"),
    ] {
        let refused = engine(line).run().expect(2);
        assert!(refused.stderr.contains(said), "{}", refused.told());
    }
    assert_eq!(target.stop()["requests"], 11);
}
