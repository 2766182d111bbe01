//! Plan files at the command line: explained, or refused with their place.

use e2e::Engine;
use e2e::engine::write;
use e2e::machine::among_others;

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
