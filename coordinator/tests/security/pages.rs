//! S6: pages of others, and names that only lead here. `tests/http/gate.rs` has the table of headers; this is the same gate in
//! the program that people start.

use serde_json::json;

use crate::serving::Serving;

#[test]
fn s6_pages_of_others_and_names_that_only_lead_here_change_and_read_nothing() {
    let serving = Serving::start(&[]);
    let words = ["--url=http://127.0.0.1:9/", "--tps=1", "--duration=9s"];
    let run = serving.submit(&json!({"words": words, "nodes": {"expect": 99}}));
    let stop = format!("POST /api/v1/runs/{run}/stop");
    let stream = format!("GET /api/v1/runs/{run}/stream");
    let fleet = "GET /api/v1/fleet";
    let json = ("Content-Type", "application/json");
    for (what, headers, status) in [
        (fleet, &[("Host", "evil.example")][..], 421),
        (&*stop, &[("Host", "rebound.example:8089"), json], 421),
        (fleet, &[("Host", "127.0.0.1.evil.example")], 421),
        (&*stop, &[("Origin", "http://evil.example"), json], 403),
        (&*stop, &[("Origin", "null"), json], 403),
        (&*stop, &[("Sec-Fetch-Site", "cross-site"), json], 403),
        (&*stream, &[("Origin", "http://evil.example")], 403),
        (&*stream, &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")], 403),
        ("POST /api/v1/runs", &[("Content-Type", "text/plain")], 415),
        ("POST /api/v1/runs", &[("Content-Type", "application/x-www-form-urlencoded")], 415),
        ("POST /swarm", &[("Origin", "http://evil.example")], 403),
        ("GET /stop", &[("Sec-Fetch-Site", "cross-site")], 403),
        ("OPTIONS /api/v1/runs", &[("Origin", "http://evil.example")], 403),
        ("TRACE /api/v1/fleet", &[], 405),
    ] {
        let answer = serving.ask(what, headers, if what.starts_with("POST") { b"{}" } else { b"" });
        assert_eq!(answer.status, status, "{what} {headers:?}: {}", answer.text());
        assert!(!answer.head.to_ascii_lowercase().contains("access-control-allow"), "{}", answer.head);
    }
    let view = serving.get(&format!("/api/v1/runs/{run}")).json();
    assert_eq!(view["state"], "queued", "nothing of that did anything");
}
