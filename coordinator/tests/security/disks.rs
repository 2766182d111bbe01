//! Disks that are full, and databases that others hold: what is told stands, what cannot be kept is not told, and the next start
//! finds everything that was.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::client::{answer, ask, connect, pause, request};
use crate::serving::Serving;

const BYTES: (&str, &str) = ("Content-Type", "application/octet-stream");

#[test]
fn a_full_disk_refuses_uploads_ends_the_coordinator_with_a_reason_and_loses_nothing_that_was_told() {
    let state = Arc::new(tempfile::tempdir().unwrap());
    let folder = state.path().display().to_string();
    let serve = format!(
        "{} serve --nodes-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --state {folder}",
        env!("CARGO_BIN_EXE_coordinator")
    );
    let line = format!(
        "mount -t tmpfs -o size=3m tmpfs {folder} && {serve}; echo ended with $? >&2; \
         mount -o remount,size=64m {folder} && exec {serve}"
    );
    let mut command = Command::new("unshare");
    // In a world of its own, all of which ends with the test.
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &line]);
    let serving = Serving::run(command, &state).unwrap_or_else(|ended| panic!("{ended:?}"));
    let large = vec![7; 8 << 20];
    // It answers before it has everything, and closes; what is still sent then may lose the answer.
    let mut stream = connect(serving.people);
    let _ = stream.write_all(&request(serving.people, "POST /api/v1/files?name=large", &[BYTES], &large));
    let told = answer(&mut stream);
    assert!(matches!(told.status, 0 | 503), "{}", told.text());
    assert_eq!(serving.get("/api/v1/files").json(), json!([]));
    assert_eq!(serving.get("/readyz").status, 200, "what came in part is gone, and the coordinator is not");
    let mut told = Vec::new();
    let body = json!({
        "words": ["--url=http://127.0.0.1:9/", "--tps=1", "--duration=9s", format!("--body={}", "x".repeat(60_000))],
        "nodes": {"expect": 99},
    });
    for _ in 0..200 {
        let json = [("Content-Type", "application/json")];
        let Ok(stream) = std::net::TcpStream::connect(serving.people) else { break };
        drop(stream);
        let answer = ask(serving.people, "POST /api/v1/runs", &json, body.to_string().as_bytes());
        match answer.status {
            200 => told.push(answer.json()["id"].as_str().unwrap().to_owned()),
            // What cannot be kept is not taken.
            0 | 503 => {}
            status => panic!("{status}: {}", answer.text()),
        }
    }
    assert!(told.len() > 5, "{told:?}");
    let again = |said: &str| {
        let second = said.split_once("ended with ")?.1.split_once("people: http://")?.1;
        second.split('/').next()?.parse().ok()
    };
    let mut people = None;
    for _ in 0..300 {
        people = again(&serving.said());
        if people.is_some() {
            break;
        }
        pause(Duration::from_millis(50));
    }
    let people: std::net::SocketAddr = people.unwrap_or_else(|| panic!("{}", serving.said()));
    let said = serving.said();
    assert!(said.contains("ended with 3") && said.contains("database"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for run in &told {
        let answer = ask(people, &format!("GET /api/v1/runs/{run}"), &[], b"");
        assert_eq!(answer.status, 200, "{run} was told, and is gone");
        assert_eq!(answer.json()["state"], "queued");
    }
}

#[test]
fn whoever_only_reads_the_database_stops_nobody() {
    let serving = Serving::start(&[]);
    let path = serving.folder().join("coordinator.sqlite");
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM runs;").unwrap();
    let words = ["--url=http://127.0.0.1:9/", "--tps=1", "--duration=9s"];
    let body = json!({"words": words, "nodes": {"expect": 99}});
    for _ in 0..20 {
        serving.submit(&body);
    }
    // And a writer that is quick.
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    pause(Duration::from_secs(1));
    writer.execute_batch("ROLLBACK").unwrap();
    serving.submit(&body);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(serving.end(), Some(0));
}
