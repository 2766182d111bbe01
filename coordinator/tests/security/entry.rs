//! S1: who is let in. No token, a wrong, an old, a foreign or a called-back one; certificates; and who listens where.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use coordinator::security::{CertificatesRequest, Grant, Role, TokenKey, id_of, write_certificates};
use serde_json::json;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use wire::FromNode;
use wire::grpc::FetchRequest;
use wire::grpc::fleet_client::FleetClient;

use crate::client::pause;
use crate::rogue::{Rogue, client, hello, with_token};
use crate::serving::{Serving, command};

/// A run that waits for nodes that never come.
fn waiting(project: &str) -> serde_json::Value {
    let words = ["--url=http://127.0.0.1:9/", "--tps=1", "--duration=9s"];
    json!({"words": words, "project": project, "nodes": {"expect": 1_000}})
}

/// Tokens that let nobody in where an operator or a viewer is asked for, and why not.
fn wrong_tokens(serving: &Serving) -> Vec<(&'static str, Option<String>)> {
    let old = serving.mint(&["--role", "operator", "--lifetime", "1s"]);
    let revoked = serving.mint(&["--role", "operator"]);
    let (code, said, _) = command(&["tokens", "revoke", &id_of(&revoked).unwrap()], serving.folder());
    assert_eq!(code, Some(0), "{said}");
    let grant = Grant { role: Role::Operator, project: None, expires_s: 4_000_000_000 };
    let foreign = TokenKey::new(&[1; 32]).mint(&grant).unwrap();
    let own = TokenKey::open_or_create(&serving.folder().join("token.key")).unwrap();
    let mut changed = own.mint(&grant).unwrap();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'B' } else { 'A' });
    pause(Duration::from_millis(2_100));
    vec![
        ("none", None),
        ("an empty one", Some(String::new())),
        ("no token at all", Some("olt_".to_owned())),
        ("one that has expired", Some(old)),
        ("one that was called back", Some(revoked)),
        ("one of another coordinator", Some(foreign)),
        ("one that was changed", Some(changed)),
    ]
}

#[tokio::test]
async fn s1_without_a_right_token_nobody_is_let_in_at_either_edge() {
    let serving = Serving::with_tokens(&[]);
    let run = serving.submit(&waiting("shop"));
    let others = serving.mint(&["--role", "operator", "--project", "other"]);
    let node = serving.mint(&["--role", "node"]);
    let wrong = wrong_tokens(&serving);
    let status = |what: &str, token: Option<&str>| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> =
            bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
        crate::client::ask(serving.people, what, &headers, b"").status
    };
    for (what, token) in &wrong {
        assert_eq!(status(&format!("GET /api/v1/runs/{run}"), token.as_deref()), 401, "HTTP, {what}");
    }
    assert_eq!(status("POST /api/v1/runs/stop", None), 401);
    assert_eq!(status("GET /metrics", None), 401);
    assert_eq!(status("GET /api/v1/fleet", Some(&node)), 403, "a node's token reads nothing");
    assert_eq!(status(&format!("GET /api/v1/runs/{run}"), Some(&others)), 404, "another project's token");
    assert_eq!(status(&format!("POST /api/v1/runs/{run}/stop"), Some(&others)), 404);
    assert_eq!(status("GET /readyz", None), 200);
    for (what, token) in wrong.iter().map(|(what, token)| (*what, token.clone())).chain([
        ("a viewer's", Some(serving.mint(&["--role", "viewer"]))),
        ("an operator's", Some(others.clone())),
    ]) {
        let refused = Rogue::attend(serving.nodes, token.as_deref()).await.err();
        assert_eq!(refused.map(|status| status.code()), Some(Code::Unauthenticated), "gRPC, {what}");
    }
    let fetch = FetchRequest { sha256: vec![0; 32].into() };
    let refused = client(serving.nodes).await.fetch(with_token(fetch, None)).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated, "files are for nodes alone: {refused}");
    let mut own = Rogue::attend(serving.nodes, Some(&node)).await.unwrap();
    own.say(FromNode::Hello(hello("alpha")));
    assert!(own.until(|message| matches!(message, wire::ToNode::Welcome(_))).await.is_some());
}

#[tokio::test]
async fn s1_who_guesses_tokens_is_slowed_down_and_noted_while_right_ones_pass() {
    let serving = Serving::with_tokens(&[]);
    let node = serving.mint(&["--role", "node"]);
    let mut codes = Vec::new();
    for number in 0..40 {
        let guess = format!("olt_guess{number}");
        codes.push(Rogue::attend(serving.nodes, Some(&guess)).await.err().unwrap().code());
    }
    assert!(codes[..10].iter().all(|code| *code == Code::Unauthenticated), "{codes:?}");
    let slowed = codes.iter().filter(|code| **code == Code::ResourceExhausted).count();
    assert!(slowed > 20, "{codes:?}");
    let bearer = [("Authorization", "Bearer olt_guess")];
    let statuses: Vec<u16> = (0..40)
        .map(|_| crate::client::ask(serving.people, "GET /api/v1/fleet", &bearer, b"").status)
        .collect();
    assert!(
        statuses[0] == 401 && statuses.iter().filter(|status| **status == 429).count() > 20,
        "{statuses:?}"
    );
    assert!(Rogue::attend(serving.nodes, Some(&node)).await.is_ok(), "a right token passes meanwhile");
    let lines = |text: &str| {
        let logs = serving.get("/api/v1/logs?limit=5000").json();
        let lines = logs.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned());
        lines.filter(|line| line.contains(text)).collect::<Vec<_>>()
    };
    pause(Duration::from_millis(300));
    let noted = lines("refused 127.0.0.1");
    assert!((10..=25).contains(&noted.len()), "noted, and bounded: {noted:?}");
    assert!(noted.iter().any(|line| line.contains("the nodes' edge")), "{noted:?}");
    assert!(lines("guess").is_empty(), "what was tried stands nowhere");
    serving.until("/api/v1/logs?limit=5000", |logs| {
        logs.to_string().contains("more were refused than are noted").then_some(())
    });
}

#[tokio::test]
async fn s1_a_token_that_is_called_back_ends_what_it_let_in() {
    let serving = Serving::with_tokens(&[]);
    let (one, other) = (serving.mint(&["--role", "node"]), serving.mint(&["--role", "node"]));
    let mut nodes = Vec::new();
    for (name, token) in [("alpha", &one), ("beta", &other)] {
        let mut node = Rogue::attend(serving.nodes, Some(token)).await.unwrap();
        node.say(FromNode::Hello(hello(name)));
        node.until(|message| matches!(message, wire::ToNode::Welcome(_))).await.unwrap();
        nodes.push(node);
    }
    let id = id_of(&one).unwrap();
    let (_, listed, _) = command(&["tokens", "list"], serving.folder());
    assert!(listed.contains(&id) && !listed.contains("olt_"), "{listed}");
    let (code, _, said) = command(&["tokens", "revoke", &id], serving.folder());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(nodes[0].refused().await.as_deref(), Some("its token was called back"));
    assert!(nodes[1].pass(Duration::from_secs(2)).await, "others stay");
    let again = Rogue::attend(serving.nodes, Some(&one)).await.err().unwrap();
    assert!(again.message().contains("called back"), "{again}");
    let (_, listed, _) = command(&["tokens", "list"], serving.folder());
    assert!(listed.lines().any(|line| line.starts_with(&id) && line.contains("revoked")), "{listed}");
    assert_eq!(
        command(&["tokens", "revoke", "../token.key"], serving.folder()).0,
        Some(2),
        "no name of a token"
    );
}

#[test]
fn s1_a_stream_ends_with_the_token_that_opened_it() {
    use std::io::{Read as _, Write as _};
    let serving = Serving::with_tokens(&[]);
    let run = serving.submit(&waiting("shop"));
    let revoked = serving.mint(&["--role", "viewer"]);
    let short = serving.mint(&["--role", "viewer", "--lifetime", "3s"]);
    let what = format!("GET /api/v1/runs/{run}/stream");
    let mut streams: Vec<_> = [&revoked, &short]
        .iter()
        .map(|token| {
            let bearer = format!("Bearer {token}");
            let mut stream = crate::client::connect(serving.people);
            let headers = [("Authorization", bearer.as_str())];
            stream.write_all(&crate::client::request(serving.people, &what, &headers, b"")).unwrap();
            let mut begin = [0; 12];
            stream.read_exact(&mut begin).unwrap();
            assert_eq!(&begin, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let (code, _, said) = command(&["tokens", "revoke", &id_of(&revoked).unwrap()], serving.folder());
    assert_eq!(code, Some(0), "{said}");
    for stream in &mut streams {
        // Its end comes long before the client's patience does, and without it this would be an error.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
}

#[test]
fn s1_nothing_listens_beyond_loopback_without_tls_and_tokens() {
    let state = Arc::new(tempfile::tempdir().unwrap());
    for flags in [
        &["--nodes-listen", "0.0.0.0:0", "--http-listen", "127.0.0.1:0"][..],
        &["--nodes-listen", "127.0.0.1:0", "--http-listen", "0.0.0.0:0"],
        &["--nodes-listen", "[::]:0", "--http-listen", "127.0.0.1:0", "--tokens"],
        &["--nodes-listen", "127.0.0.1:0", "--http-listen", "[::]:0", "--tokens"],
    ] {
        let (code, _, said) = command(&[&["serve"], flags].concat(), state.path());
        assert_eq!(code, Some(4), "{flags:?}: {said}");
        assert!(said.contains("coordinator certs"), "{said}");
    }
    // In a network of its own, where its default ports are free.
    let program = env!("CARGO_BIN_EXE_coordinator");
    let mut command = Command::new("unshare");
    let line = format!("ip link set lo up && exec {program} serve");
    command.args(["--net", "sh", "-c", &line]).env("COORDINATOR_STATE", state.path());
    let serving = Serving::run(command, &state).unwrap_or_else(|ended| panic!("{ended:?}"));
    let pid = serving.pid().as_raw_nonzero();
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        let rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        listening.extend(rows.filter(|row| row.get(3) == Some(&"0A")).map(|row| row[1].to_owned()));
    }
    listening.sort();
    // 127.0.0.1 with ports 5557 and 8089, as the kernel writes them.
    assert_eq!(listening, ["0100007F:15B5", "0100007F:1F99"], "nothing else is listened on by default");
}

#[tokio::test]
async fn s1_certificates_let_in_whom_they_name_until_they_expire() {
    let folder = tempfile::tempdir().unwrap();
    let papers = |servers: &[&str], nodes: &[&str], now: Duration| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let folder = folder.path().to_owned();
        let request = CertificatesRequest { folder, servers: owned(servers), nodes: owned(nodes), days: 30 };
        write_certificates(&request, now).unwrap();
    };
    let now = clock::wall_time();
    papers(&["127.0.0.1"], &["alpha", "load_1.eu"], now);
    papers(&[], &["old"], Duration::from_secs(1_600_000_000));
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (cert, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let serving = Serving::start(&["--tls-cert", &cert, "--tls-key", &key, "--node-ca", &ca]);
    let attend = async |identity: Option<&str>, name: &str| {
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("ca.pem")));
        if let Some(node) = identity {
            let pair = [format!("node-{node}.pem"), format!("node-{node}.key")].map(|name| read(&name));
            tls = tls.identity(Identity::from_pem(&pair[0], &pair[1]));
        }
        let address = Channel::from_shared(format!("https://{}", serving.nodes)).unwrap();
        let channel = address.tls_config(tls).unwrap().connect().await.map_err(|_| "no connection")?;
        let (say, said) = tokio::sync::mpsc::unbounded_channel();
        let said = tokio_stream::wrappers::UnboundedReceiverStream::new(said);
        let mut client = FleetClient::new(channel);
        say.send(FromNode::Hello(hello(name)).into()).map_err(|_| "no stream")?;
        let mut hear = client.attend(said).await.map_err(|_| "no stream")?.into_inner();
        let first = hear.message().await.map_err(|_| "no stream")?.ok_or("an end")?;
        match wire::ToNode::try_from(first).unwrap() {
            wire::ToNode::Welcome(_) => Ok("welcome"),
            wire::ToNode::Refused { reason } if reason.contains("certificate is not that of") => {
                Err("another's certificate")
            }
            _ => Err("something else"),
        }
    };
    assert_eq!(attend(Some("alpha"), "alpha").await, Ok("welcome"));
    assert_eq!(attend(Some("load_1.eu"), "load_1.eu").await, Ok("welcome"));
    assert_eq!(attend(Some("alpha"), "beta").await, Err("another's certificate"));
    assert_eq!(attend(Some("alpha"), "load_1.eu").await, Err("another's certificate"));
    assert!(attend(Some("old"), "old").await.is_err_and(|why| why != "welcome"), "it has expired");
    assert!(attend(None, "alpha").await.is_err(), "it shows none");
}
