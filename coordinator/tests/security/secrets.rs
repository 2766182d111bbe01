//! S8: secrets in plans, headers, bodies, variables, files and tokens. They go to the nodes of their run and to nobody else, and lie
//! nowhere in the clear: every byte that is answered, said or kept is looked at.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use wire::{FromNode, ToNode};

use crate::files::everything;
use crate::rogue::{Rogue, hello};
use crate::serving::{Serving, command};

/// What is hidden, one for each place that may hold a secret.
const CANARIES: [&str; 10] = [
    "canary-header-1f3a",
    "canary-short-2b4c",
    "canary-body-3d5e",
    "canary-query-4f6a",
    "canary-variable-5b7c",
    "canary-plan-6d8e",
    "canary-data-7f9a",
    "canary-upload-8b1c",
    "canary-key-9d2e",
    "canary-default-0f3a",
];

/// Where a secret shows, in whatever form; nowhere, if all is well.
fn found(what: &str, bytes: &[u8], more: &[String]) -> Vec<String> {
    let forms = |text: &str| [text.to_owned(), STANDARD.encode(text), URL_SAFE_NO_PAD.encode(text)];
    let all = CANARIES.iter().map(ToString::to_string).chain(more.iter().cloned());
    all.filter(|canary| {
        forms(canary).iter().any(|form| {
            // The middle of a form in base64 does not depend on what stands beside it.
            bytes.windows(form.len() - 4).any(|window| window == &form.as_bytes()[2..form.len() - 2])
        })
    })
    .map(|canary| format!("{what}: {canary}"))
    .collect()
}

const PLAN: &str = "schema: openloop.plan/1
targets:
  shop: {url: 'http://127.0.0.1:9'}
workloads:
  w: {tps: 1, for: 9s, scenario: s}
scenarios:
  s:
    - post: /login?token=canary-query-4f6a
      headers: {Authorization: 'Bearer canary-plan-6d8e', X-Key: '${SECRET:-canary-default-0f3a}'}
      body: 'password=canary-body-3d5e'
";

/// Secrets in what the coordinator and its commands tell of two runs.
fn told_by(serving: &Serving, run: &str, later: &str, tokens: &[String]) -> Vec<String> {
    let mut leaks = Vec::new();
    let url = "--url=http://127.0.0.1:9/login?token=canary-query-4f6a";
    let run_path = format!("/api/v1/runs/{run}");
    for path in [
        "/api/v1/fleet",
        "/api/v1/nodes",
        "/api/v1/runs",
        "/api/v1/files",
        "/api/v1/logs?limit=5000",
        "/api/v1/session",
        "/api/v1/openapi.json",
        "/metrics",
        "/stats/requests",
        &run_path,
        &format!("{run_path}/seconds"),
        &format!("{run_path}/report"),
        &format!("/api/v1/runs/{later}"),
        "/api/v1/runs/canary-query-4f6a?token=canary-query-4f6a",
    ] {
        let answer = serving.get(path);
        let shown = answer.text().replace(path, "");
        leaks.extend(found(path, answer.head.as_bytes(), tokens));
        leaks.extend(found(path, shown.as_bytes(), tokens));
    }
    // What is wrong in a plan is said without what it holds.
    for body in [
        json!({"words": [url, "--tps=1", "--header", "Authorization canary-header-1f3a"]}),
        json!({"words": [url, "--tsp=1", "--body=canary-body-3d5e"]}),
        json!({"words": ["http://ann:canary-query-4f6a@127.0.0.1/", "--tps=1"]}),
        json!({"words": ["plan.yaml"], "texts": {"plan.yaml": format!("{PLAN}nonsense: 1\n")}}),
    ] {
        let answer = serving.post("/api/v1/runs", &body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        leaks.extend(found("a refusal", answer.text().as_bytes(), tokens));
    }
    let words = std::fs::read(format!("/proc/{}/cmdline", serving.pid().as_raw_nonzero())).unwrap();
    leaks.extend(found("its command line", &words, tokens));
    let at = format!("http://{}", serving.people);
    let key = serving.folder().join("operator.token");
    std::fs::write(&key, serving.mint(&["--role", "viewer"])).unwrap();
    let key_text = key.to_string_lossy().into_owned();
    for command_words in [&["runs"][..], &["status"], &["status", run], &["logs"], &["files"]] {
        let words = [command_words, &["--coordinator", &at, "--token-file", &key_text]].concat();
        let (code, told, said) = command(&words, serving.folder());
        assert_eq!(code, Some(0), "{words:?}: {said}");
        leaks.extend(found(&format!("{words:?}"), format!("{told}{said}").as_bytes(), tokens));
    }
    std::fs::remove_file(&key).unwrap();
    leaks
}

#[tokio::test]
async fn s8_no_secret_shows_in_anything_that_is_told_or_kept() {
    let serving = Serving::with_tokens(&["--lease", "20s"]);
    let node_token = serving.mint(&["--role", "node"]);
    let mut node = Rogue::attend(serving.nodes, Some(&node_token)).await.unwrap();
    node.say(FromNode::Hello(hello("alpha")));
    node.until(|message| matches!(message, ToNode::Welcome(_))).await.unwrap();
    let bytes = [("Content-Type", "application/octet-stream")];
    let data = "user,password\nann,canary-data-7f9a\n".repeat(1_000);
    let file = serving.ask("POST /api/v1/files?name=users.csv", &bytes, data.as_bytes()).json();
    let upload =
        serving.ask("POST /api/v1/files?name=key.pem", &bytes, b"canary-upload-8b1c canary-key-9d2e");
    assert_eq!(upload.status, 200, "{}", upload.text());
    let url = "--url=http://127.0.0.1:9/login?token=canary-query-4f6a&signature=canary-query-4f6a";
    let run = serving.submit(&json!({
        "words": [url, "--tps=1", "--duration=30s", "--header", "Authorization: Bearer canary-header-1f3a",
                  "-H", "X-Key: canary-short-2b4c", "--body", "password=canary-body-3d5e"],
        "variables": {"ENGINE_TAG": "stage=blue", "SECRET": "canary-variable-5b7c"},
        "files": {"users.csv": file["sha256"]}, "nodes": {"expect": 1, "at_most": 1}, "name": "shop",
    }));
    let later = serving.submit(&json!({
        "words": ["plan.yaml"], "texts": {"plan.yaml": PLAN}, "nodes": {"expect": 1, "at_most": 1},
        "variables": {"SECRET": "canary-variable-5b7c"}, "name": "plan",
    }));
    let prepare = node.until(|message| matches!(message, ToNode::Prepare { .. })).await;
    let Some(ToNode::Prepare { spec, .. }) = prepare else { panic!("it is asked") };
    let told = format!("{:?} {:?}", spec.words, spec.variables);
    assert!(
        told.contains("canary-header-1f3a") && told.contains("canary-variable-5b7c"),
        "the node needs them"
    );
    node.begin().await;
    node.tell(node.delta(0, 1));
    node.pass(std::time::Duration::from_secs(1)).await;
    let tokens = [node_token.clone(), serving.mint(&["--role", "viewer"])];

    let mut leaks = told_by(&serving, &run, &later, &tokens);
    serving.post(&format!("/api/v1/runs/{run}/stop"), &json!({}));
    node.say(FromNode::Bye { reason: "over".to_owned() });
    leaks.extend(found("its standard error", serving.said().as_bytes(), &tokens));
    let state = serving.state();
    let kept_alive = everything(state.path());
    assert_eq!(serving.end(), Some(0));
    for kept in [kept_alive, everything(state.path())] {
        is_kept_for_its_owner(&kept, state.path());
        for (path, bytes) in kept {
            leaks.extend(found(&path, &bytes, &tokens));
        }
    }
    assert_eq!(leaks, [""; 0], "secrets show");
}

fn is_kept_for_its_owner(kept: &BTreeMap<String, Vec<u8>>, folder: &std::path::Path) {
    assert!(kept.keys().any(|path| path == "coordinator.sqlite"), "{:?}", kept.keys());
    assert!(kept.keys().filter(|path| path.starts_with("files/")).count() >= 3, "{:?}", kept.keys());
    for secret in ["secret.key", "token.key", "lock"] {
        let mode = std::fs::metadata(folder.join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret}");
    }
}

#[test]
fn s8_keys_that_others_may_read_or_that_are_lost_are_said_before_anything_is_served() {
    let serving = Serving::with_tokens(&[]);
    let state = serving.state();
    let words = ["--url=http://127.0.0.1:9/", "--tps=1", "--duration=9s", "--header=X: canary-header-1f3a"];
    let run = serving.submit(&json!({"words": words, "nodes": {"expect": 99}}));
    assert_eq!(serving.end(), Some(0));
    for name in ["secret.key", "token.key"] {
        let key = state.path().join(name);
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
        let ended = Serving::try_start(&state, &["--tokens"]).err().unwrap();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert!(ended.said.contains("chmod 600") && ended.said.contains(name), "{}", ended.said);
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let key = state.path().join("secret.key");
    let kept = std::fs::read(&key).unwrap();
    for wrong in [Some(vec![7; 32]), Some(b"short".to_vec()), None] {
        std::fs::remove_file(&key).unwrap();
        if let Some(wrong) = &wrong {
            std::fs::write(&key, wrong).unwrap();
            std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        }
        let ended = Serving::try_start(&state, &["--tokens"]).err().unwrap();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert!(ended.said.contains(" → ") && !ended.said.contains("canary"), "{}", ended.said);
        // Whoever lost the key is told so, and no other takes its place.
        assert_eq!(key.exists(), wrong.is_some());
        std::fs::write(&key, &kept).unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let serving = Serving::start_in(&state, &[]);
    assert_eq!(
        serving.get(&format!("/api/v1/runs/{run}")).json()["state"],
        "queued",
        "with the right key it goes on"
    );
}
