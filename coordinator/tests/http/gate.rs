//! Who is let in: hosts, origins, tokens, roles, projects (S1, S6), and what floods come to (S3).

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, OsClock};
use coordinator::http::Options;
use coordinator::security::{Grant, Role, TokenKey};
use serde_json::json;

use crate::client::{answer, ask, connect, pause, request};
use crate::edge::{Edge, Setting};

const NEVER: u64 = 4_000_000_000;

/// What is asked, with which headers, and the status of the answer.
type Said<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

struct Guarded {
    edge: Edge,
    key: Arc<TokenKey>,
}

impl Guarded {
    fn start() -> Self {
        let key = Arc::new(TokenKey::new(&[42; 32]));
        let options = Options { tokens: Some(Arc::clone(&key)), ..Options::default() };
        Self { edge: Edge::start(Setting { options, ..Setting::default() }), key }
    }

    fn token(&self, role: Role, project: Option<&str>) -> String {
        self.key.mint(&Grant { role, project: project.map(str::to_owned), expires_s: NEVER }).unwrap()
    }

    fn status(&self, what: &str, authorization: Option<&str>, body: &str) -> u16 {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        ask(self.edge.address, what, &headers, body.as_bytes()).status
    }
}

#[test]
fn without_a_right_token_nothing_is_told_and_nothing_is_done() {
    let guarded = Guarded::start();
    let operator = format!("Bearer {}", guarded.token(Role::Operator, None));
    let run = r#"{"words":["--url","http://target/","--tps","1","--duration","9s"]}"#;
    let created = ask(
        guarded.edge.address,
        "POST /api/v1/runs",
        &[("Content-Type", "application/json"), ("Authorization", &operator)],
        run.as_bytes(),
    );
    assert_eq!(created.status, 200, "{}", created.text());
    let path = format!("/api/v1/runs/{}", created.json()["id"].as_str().unwrap());
    let old = guarded.key.mint(&Grant { role: Role::Operator, project: None, expires_s: 1_000 }).unwrap();
    let foreign = TokenKey::new(&[1; 32]);
    let foreign = foreign.mint(&Grant { role: Role::Operator, project: None, expires_s: NEVER }).unwrap();
    let mut changed = guarded.token(Role::Viewer, None);
    changed.replace_range(10..11, if &changed[10..11] == "A" { "B" } else { "A" });
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer olt_".to_owned()),
        Some(format!("Bearer {old}")),
        Some(format!("Bearer {foreign}")),
        Some(format!("Bearer {changed}")),
        Some(format!("Basic {}", &operator[7..])),
    ];
    let reads =
        ["/api/v1/fleet", "/api/v1/runs", path.as_str(), "/metrics", "/stats/requests", "/api/v1/files"];
    for what in reads.map(|path| format!("GET {path}")).into_iter().chain([format!("POST {path}/stop")]) {
        // One of each only: more would be told to wait.
        let wrong = &wrong[usize::from(what.contains("fleet"))..];
        let status = guarded.status(&what, wrong[0].as_deref(), "");
        assert_eq!(status, 401, "{what} with {:?}", wrong[0]);
    }
    for wrong in &wrong {
        assert_eq!(guarded.status("GET /api/v1/fleet", wrong.as_deref(), ""), 401, "{wrong:?}");
    }
    assert_eq!(guarded.status("GET /healthz", None, ""), 200);
    assert_eq!(guarded.status("GET /readyz", None, ""), 200);
    assert_eq!(guarded.status("GET /", None, ""), 200);
    assert_eq!(guarded.status(&format!("GET {path}"), Some(&operator), ""), 200);
}

#[test]
fn a_flood_of_wrong_tokens_is_told_to_wait_while_right_ones_pass() {
    let guarded = Guarded::start();
    let right = format!("Bearer {}", guarded.token(Role::Viewer, None));
    let statuses: Vec<u16> = (0..30)
        .map(|number| guarded.status("GET /api/v1/fleet", Some(&format!("Bearer olt_{number}")), ""))
        .collect();
    assert_eq!(statuses[..10], [401; 10], "{statuses:?}");
    assert_eq!(statuses[20..], [429; 10], "{statuses:?}");
    let told = ask(guarded.edge.address, "GET /api/v1/fleet", &[("Authorization", "Bearer olt_x")], b"");
    assert!(
        told.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 0),
        "{}",
        told.head
    );
    assert_eq!(guarded.status("GET /api/v1/fleet", Some(&right), ""), 200);
}

#[test]
fn roles_and_projects_bound_what_a_token_does() {
    let guarded = Guarded::start();
    let bearer = |role, project| format!("Bearer {}", guarded.token(role, project));
    let run = |project: &str| {
        let body = json!({"words": ["--url", "http://target/", "--tps", "1", "--duration", "99s"], "project": project});
        let headers =
            [("Content-Type", "application/json"), ("Authorization", &*bearer(Role::Operator, None))];
        let answer = ask(guarded.edge.address, "POST /api/v1/runs", &headers, body.to_string().as_bytes());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let (own, others) = (run("own"), run("others"));
    let operator = bearer(Role::Operator, Some("own"));
    let viewer = bearer(Role::Viewer, Some("own"));
    let node = bearer(Role::Node, None);
    let table = [
        (&viewer, format!("GET /api/v1/runs/{own}"), "", 200),
        (&viewer, format!("GET /api/v1/runs/{others}"), "", 404),
        (&viewer, format!("GET /api/v1/runs/{others}/stream"), "", 404),
        (&viewer, format!("GET /api/v1/runs/{others}/report"), "", 404),
        (&viewer, format!("GET /api/v1/runs/{others}/seconds"), "", 404),
        (&viewer, "GET /api/v1/runs?project=others".to_owned(), "", 404),
        (&viewer, format!("GET /api/v1/logs?run={others}"), "", 404),
        (&viewer, "GET /api/v1/logs".to_owned(), "", 403),
        (&viewer, "GET /api/v1/files".to_owned(), "", 403),
        (&viewer, "GET /stats/requests".to_owned(), "", 404),
        (&viewer, format!("POST /api/v1/runs/{own}/stop"), "", 403),
        (&viewer, "POST /api/v1/runs".to_owned(), "{}", 403),
        (&viewer, "GET /stop".to_owned(), "", 403),
        (&operator, format!("POST /api/v1/runs/{others}/stop"), "", 404),
        (&operator, format!("POST /api/v1/runs/{others}/rate"), r#"{"tps":5}"#, 404),
        (&operator, "POST /api/v1/runs".to_owned(), r#"{"project":"others"}"#, 403),
        (&operator, "POST /api/v1/nodes/alpha/drain".to_owned(), "{}", 403),
        (
            &operator,
            "POST /api/v1/tokens".to_owned(),
            r#"{"role":"operator","lifetime_s":9,"project":"others"}"#,
            403,
        ),
        (&operator, "POST /api/v1/tokens".to_owned(), r#"{"role":"node","lifetime_s":9}"#, 403),
        (&operator, "POST /api/v1/tokens".to_owned(), r#"{"role":"viewer","lifetime_s":0}"#, 400),
        (&operator, "POST /api/v1/tokens".to_owned(), r#"{"role":"viewer","lifetime_s":9}"#, 200),
        (&node, "GET /api/v1/fleet".to_owned(), "", 403),
        (&node, "POST /api/v1/runs/stop".to_owned(), "", 403),
        (&operator, format!("POST /api/v1/runs/{own}/stop"), "", 200),
    ];
    for (token, what, body, expected) in table {
        assert_eq!(guarded.status(&what, Some(token), body), expected, "{what} {body}");
    }
    let seen = ask(guarded.edge.address, "GET /api/v1/fleet", &[("Authorization", &viewer)], b"").json();
    assert_eq!(seen["runs"].as_array().unwrap().len(), 1, "{seen}");
    assert!(seen["nodes"][0]["run"].is_null(), "the node works for another project: {seen}");
    let metrics = ask(guarded.edge.address, "GET /metrics", &[("Authorization", &viewer)], b"").text();
    assert!(metrics.contains(&own) && !metrics.contains(&others), "{metrics}");
}

#[test]
fn a_minted_token_works_and_a_session_is_a_cookie_that_only_its_own_page_writes_with() {
    let guarded = Guarded::start();
    let operator = format!("Bearer {}", guarded.token(Role::Operator, None));
    let headers = [("Content-Type", "application/json"), ("Authorization", &*operator)];
    let body = br#"{"role":"operator","lifetime_s":60,"project":"shop"}"#;
    let minted = ask(guarded.edge.address, "POST /api/v1/tokens", &headers, body).json();
    let token = minted["token"].as_str().unwrap();
    let key = json!({"token": token}).to_string();
    let json = ("Content-Type", "application/json");
    let begun = ask(guarded.edge.address, "POST /api/v1/session", &[json], key.as_bytes());
    assert_eq!(begun.status, 200, "{}", begun.text());
    let cookie = begun.header("set-cookie").unwrap().to_owned();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let who = ask(guarded.edge.address, "GET /api/v1/session", &[("Cookie", &cookie)], b"").json();
    assert_eq!((who["role"].as_str(), who["project"].as_str()), (Some("operator"), Some("shop")));
    let origin = format!("http://{}", guarded.edge.address);
    let start = br#"{"words":["--url","http://target/"]}"#;
    let with = |origin: Option<&str>| {
        let mut headers = vec![json, ("Cookie", &*cookie)];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        ask(guarded.edge.address, "POST /api/v1/runs", &headers, start).status
    };
    assert_eq!(
        [with(None), with(Some("http://evil.example")), with(Some("null")), with(Some(&origin))],
        [403, 403, 403, 200]
    );
    let ended =
        ask(guarded.edge.address, "DELETE /api/v1/session", &[("Cookie", &cookie), ("Origin", &origin)], b"");
    assert!(ended.header("set-cookie").unwrap().contains("Max-Age=0"), "{}", ended.head);
}

#[test]
fn pages_of_others_can_neither_write_nor_read_nor_pose_as_us() {
    let edge = Edge::start(Setting::default());
    let run = edge.start_run(100);
    let stop = format!("POST /api/v1/runs/{run}/stop");
    let port = edge.address.port();
    let own = format!("http://127.0.0.1:{port}");
    let table: &[Said<'_>] = &[
        // A name that leads here without being ours: DNS rebinding.
        ("GET /api/v1/fleet", &[("Host", "evil.example")], 421),
        ("GET /api/v1/fleet", &[("Host", "evil.example:8089")], 421),
        ("GET /api/v1/fleet", &[("Host", "127.0.0.1.evil.example")], 421),
        ("GET /api/v1/fleet", &[("Host", "10.0.0.1")], 421),
        ("GET /api/v1/fleet", &[("Host", "localhost:9")], 200),
        ("GET /api/v1/fleet", &[("Host", "[::1]:8089")], 200),
        ("GET /api/v1/fleet", &[("Host", "localhost"), ("Host", "evil.example")], 400),
        (&stop, &[("Origin", "http://evil.example")], 403),
        (&stop, &[("Origin", "null")], 403),
        (&stop, &[("Origin", "https://127.0.0.1")], 403),
        (&stop, &[("Sec-Fetch-Site", "cross-site")], 403),
        (&stop, &[("Sec-Fetch-Site", "same-site")], 403),
        ("GET /api/v1/fleet", &[("Origin", "http://evil.example")], 403),
        ("GET /api/v1/fleet/stream", &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")], 403),
        ("GET /api/v1/fleet", &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], 403),
        ("GET /", &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], 200),
        (
            "OPTIONS /api/v1/runs",
            &[("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")],
            403,
        ),
        ("GET /stop", &[("Sec-Fetch-Site", "none")], 405),
        (&stop, &[("Origin", &own), ("Sec-Fetch-Site", "same-origin")], 200),
    ];
    for (what, headers, expected) in table {
        let answer = ask(edge.address, what, headers, b"");
        assert_eq!(answer.status, *expected, "{what} {headers:?}: {}", answer.text());
        assert!(!answer.head.to_ascii_lowercase().contains("access-control-allow"), "{}", answer.head);
    }
    // What a form of another page can send without asking first is never JSON.
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer =
            ask(edge.address, "POST /api/v1/runs", &[("Content-Type", media_type)], b"{\"words\":[]}");
        assert_eq!(answer.status, 415, "{media_type}");
    }
}

#[test]
fn every_answer_is_hardened() {
    let edge = Edge::start(Setting::default());
    for path in ["/", "/assets/app.js", "/api/v1/fleet", "/api/v1/nothing", "/healthz", "/metrics"] {
        let answer = edge.get(path);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        let kept = answer.header("cache-control").unwrap();
        assert_eq!(kept, if path.starts_with("/assets") { "no-cache" } else { "no-store" }, "{path}");
    }
    let page = edge.get("/").text();
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("javascript:"), "{page}");
    assert!(page.matches("<script").count() == page.matches("<script src=\"/assets/").count(), "{page}");
}

#[test]
fn heads_bodies_and_connections_are_bounded() {
    let options = Options { connection_limit: 8, ..Options::default() };
    let edge = Edge::start(Setting { options, ..Setting::default() });
    let json = [("Content-Type", "application/json")];
    let large = vec![b' '; (1 << 20) + 1];
    assert_eq!(ask(edge.address, "POST /api/v1/runs", &json, &large).status, 413);
    let long = "a".repeat(100 << 10);
    assert_eq!(ask(edge.address, "GET /healthz", &[("X", &long)], b"").status, 431);
    let names: Vec<String> = (0..1_000).map(|number| format!("X-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(ask(edge.address, "GET /healthz", &many, b"").status, 431);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(ask(edge.address, "POST /api/v1/runs", &json, deep.as_bytes()).status, 400);
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "GET /\u{ff}\u{fe} HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = connect(edge.address);
        stream.write_all(garbage.as_bytes()).unwrap();
        assert!(matches!(answer(&mut stream).status, 0 | 400), "{garbage:?}");
    }
    // Whoever says nothing holds one place, not all of them for good; one too many is closed at once. The places of those who
    // were answered are free a moment later.
    pause(Duration::from_millis(300));
    let held: Vec<_> = (0..8).map(|_| connect(edge.address)).collect();
    pause(Duration::from_millis(300));
    let mut refused = connect(edge.address);
    let _ = refused.write_all(&request(edge.address, "GET /healthz", &[], b""));
    let mut byte = [0];
    let outcome = refused.read(&mut byte);
    assert!(matches!(outcome, Ok(0) | Err(_)), "there was no place left: {outcome:?}");
    drop(held);
    pause(Duration::from_millis(300));
    let metrics = edge.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("openloop_http_connections_refused_total 1\n"), "{}", metrics.text());
}

#[test]
fn who_does_not_finish_a_head_is_not_waited_for() {
    let options = Options { head_patience: Duration::from_millis(400), ..Options::default() };
    let edge = Edge::start(Setting { options, ..Setting::default() });
    // Nothing at all, the begin of HTTP/2's preface, half a head, and a kept connection after its answer.
    let kept = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", edge.address);
    for said in ["", "PRI * HTTP", "GET /healthz HTTP/1.1\r\nHost: x\r\n", &kept] {
        let mut stream = connect(edge.address);
        stream.write_all(said.as_bytes()).unwrap();
        let mut told = Vec::new();
        // Its end comes long before the client's own patience does.
        let begin = OsClock.now();
        let _ = stream.read_to_end(&mut told);
        let waited = OsClock.now().nanos_since(begin);
        assert!(waited < 10_000_000_000, "{said:?}: {waited}");
        assert_eq!(
            told.starts_with(b"HTTP/1.1 200"),
            said == kept,
            "{said:?}: {}",
            String::from_utf8_lossy(&told)
        );
    }
}

#[test]
fn a_secret_that_comes_in_goes_out_nowhere() {
    let guarded = Guarded::start();
    let canary = guarded.token(Role::Operator, None);
    let bearer = format!("Bearer {canary}");
    let secret = canary.trim_start_matches("olt_");
    let paths = [
        "/api/v1/fleet",
        "/api/v1/session",
        "/metrics",
        "/api/v1/nothing",
        "/api/v1/runs/zzz",
        "/api/v1/runs?x=y",
    ];
    for path in paths {
        let answer = ask(guarded.edge.address, &format!("GET {path}"), &[("Authorization", &bearer)], b"");
        assert!(!answer.head.contains(secret) && !answer.text().contains(secret), "{path}");
    }
    let wrong = format!("Bearer {canary}x");
    let answer = ask(guarded.edge.address, "GET /api/v1/fleet", &[("Authorization", &wrong)], b"");
    assert!(answer.status == 401 && !answer.text().contains(secret), "{}", answer.text());
    let body = json!({"token": format!("{canary}x")}).to_string();
    let json = [("Content-Type", "application/json")];
    let answer = ask(guarded.edge.address, "POST /api/v1/session", &json, body.as_bytes());
    assert!(answer.status == 401 && !answer.text().contains(secret), "{}", answer.text());
    assert!(answer.header("set-cookie").is_none());
    assert!(!format!("{:?}", guarded.key).contains(secret));
}
