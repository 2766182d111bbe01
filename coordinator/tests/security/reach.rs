//! S7: targets that are nobody's business: what a machine keeps for itself, the fleet's own doors, whatever is not on the list.
//! Nodes judge again after they resolved a name: `tests/e2e/tests/ci/security.rs`.

use serde_json::{Value, json};

use crate::serving::Serving;

fn words(url: &str, more: &[&str]) -> Value {
    let words: Vec<String> = [&[&format!("--url={url}"), "--tps=1", "--duration=1s"], more]
        .concat()
        .iter()
        .map(ToString::to_string)
        .collect();
    json!({"words": words, "nodes": {"expect": 99}})
}

fn of_plan(target: &str, more: &str) -> Value {
    let plan = format!(
        "schema: openloop.plan/1\ntargets:\n  a:\n    url: {target}\n{more}workloads:\n  w: {{tps: 1, for: 1s, scenario: s}}\n\
         scenarios:\n  s:\n    - get: /\n"
    );
    json!({"words": ["plan.yaml"], "texts": {"plan.yaml": plan}, "nodes": {"expect": 99}})
}

#[test]
fn s7_what_machines_keep_for_themselves_and_the_fleets_own_doors_are_refused() {
    let serving = Serving::start(&[]);
    let people = format!("http://{}/api/v1/runs/stop", serving.people);
    let by_name = format!("http://localhost:{}/", serving.people.port());
    let nodes = format!("http://{}/", serving.nodes);
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", serving.people.port());
    let redirect = format!("--connect-to=::127.0.0.1:{}", serving.people.port());
    let metadata = "http://169.254.169.254/latest/meta-data/";
    for (body, status) in [
        (words(metadata, &[]), 403),
        (words(metadata, &["--i-own=169.254.169.254"]), 403),
        (words("http://[fe80::1]/", &["--i-own=[fe80::1]"]), 403),
        (words("http://[fd00:ec2::254]/", &[]), 403),
        (words("http://0.0.0.0/", &["--i-own=0.0.0.0"]), 403),
        (words("http://10.0.0.1/", &["--connect-to=10.0.0.1:80:169.254.169.254:80"]), 403),
        (words("http://10.0.0.1/", &["--unix-socket=/var/run/docker.sock"]), 403),
        (words("http://10.0.0.1/", &[&redirect]), 403),
        (words(&people, &[]), 403),
        (words(&by_name, &[]), 403),
        (words(&nodes, &[]), 403),
        (words(&mapped, &[]), 403),
        (of_plan("http://169.254.169.254", ""), 403),
        (of_plan("http://10.0.0.1", "    unix-socket: /run/docker.sock\n"), 403),
        (of_plan(&by_name, ""), 403),
        (of_plan("http://10.0.0.1", ""), 200),
        (words("http://127.0.0.1:9/", &[]), 200),
    ] {
        let answer = serving.post("/api/v1/runs", &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    // Locust's words lead to the same judgement.
    let swarm = [("Content-Type", "application/x-www-form-urlencoded")];
    let form = b"user_count=1&spawn_rate=1&host=http%3A%2F%2F169.254.169.254";
    let answer = serving.ask("POST /swarm", &swarm, form);
    assert!(answer.status >= 400 || answer.json()["success"] == false, "{}", answer.text());
}

#[test]
fn s7_with_a_list_nothing_else_is_loaded() {
    let list = ["10.1.0.0/16", "shop.invalid", "127.0.0.1", "unix:/run/app.sock"];
    let flags: Vec<&str> = list.iter().flat_map(|target| ["--allow-target", target]).collect();
    let serving = Serving::start(&flags);
    let own = format!("http://{}/", serving.people);
    for (body, status) in [
        (words("http://10.1.2.3/", &[]), 200),
        (words("http://shop.invalid/", &["--i-own=shop.invalid"]), 200),
        (words("http://127.0.0.1:9/", &["--unix-socket=/run/app.sock"]), 200),
        (words("http://10.2.0.1/", &["--i-own=10.2.0.1"]), 403),
        (words("http://other.invalid/", &["--i-own=other.invalid"]), 403),
        (words("http://10.1.2.3/", &["--connect-to=10.1.2.3:80:10.2.0.1:80"]), 403),
        (words("http://127.0.0.1:9/", &["--unix-socket=/run/docker.sock"]), 403),
        (of_plan("http://10.2.0.1", ""), 403),
        // Who lists the coordinator's own address means it.
        (words(&own, &[]), 200),
    ] {
        let answer = serving.post("/api/v1/runs", &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
}
