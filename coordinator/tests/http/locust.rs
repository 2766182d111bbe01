//! Locust's façade, as scripts written for Locust use it.

use std::time::Duration;

use serde_json::json;

use crate::client::ask;
use crate::edge::{Edge, Setting};

#[test]
fn a_script_that_drives_locust_drives_us() {
    let edge = Edge::start(Setting { second: Duration::from_millis(20), ..Setting::default() });
    let idle = edge.get("/stats/requests").json();
    assert_eq!((idle["state"].as_str(), idle["stats"].as_array().unwrap().len()), (Some("ready"), 0));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let swarm = b"user_count=200&spawn_rate=20&host=http%3A%2F%2Finference%3A8000&run_time=120";
    let begun = ask(edge.address, "POST /swarm", &form, swarm).json();
    assert_eq!(
        (begun["success"].as_bool(), begun["host"].as_str()),
        (Some(true), Some("http://inference:8000"))
    );
    let run = edge.get(&format!("/api/v1/runs/{}", begun["run"].as_str().unwrap())).json();
    let words =
        ["--url", "http://inference:8000", "--users", "200", "--spawn-rate", "20", "--duration", "120s"];
    assert_eq!((&run["words"], run["project"].as_str()), (&json!(words), Some("locust")));
    let again = ask(edge.address, "POST /swarm", &form, swarm).json();
    assert_eq!(again["success"], json!(false), "one at a time: {again}");
    let stats = edge.get("/stats/requests").json();
    assert_eq!((stats["state"].as_str(), stats["user_count"].as_u64()), (Some("running"), Some(200)));
    let all = stats["stats"].as_array().unwrap().iter().find(|row| row["name"] == "Aggregated").unwrap();
    for name in ["num_requests", "num_failures", "avg_response_time", "median_response_time", "current_rps"] {
        assert!(all[name].is_number(), "{name}: {all}");
    }
    for name in ["total_rps", "fail_ratio"] {
        assert!(stats[name].is_number(), "{name}: {stats}");
    }
    // Scripts stop with GET.
    assert_eq!(edge.get("/stop").json()["success"], json!(true));
    assert_eq!(edge.get("/stats/requests").json()["state"], json!("stopped"));
    let as_json =
        edge.post("/swarm", &json!({"user_count": 5, "spawn_rate": 1.5, "host": "http://inference:8000"}));
    assert_eq!(as_json.json()["success"], json!(true), "{}", as_json.text());
}

#[test]
fn what_a_form_lacks_is_said() {
    let edge = Edge::start(Setting::default());
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for (body, word) in [("user_count=1", "host"), ("host=http%3A%2F%2Fx", "user_count"), ("", "form")] {
        let answer =
            ask(edge.address, "POST /swarm", if body.is_empty() { &[] } else { &form }, body.as_bytes());
        assert!(
            matches!(answer.status, 400 | 415) && answer.text().contains(word),
            "{body}: {}",
            answer.text()
        );
    }
    let answer = ask(edge.address, "POST /swarm", &form, b"user_count=1&host=http%3A%2F%2Fforbidden%2F");
    assert_eq!(answer.status, 403, "{}", answer.text());
}
