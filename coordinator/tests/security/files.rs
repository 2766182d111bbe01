//! S4: names and contents of files that lead elsewhere. What comes lies sealed under its digest, and nothing else is opened.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use wire::grpc::FetchRequest;

use crate::client::{connect, pause};
use crate::rogue::client;
use crate::serving::Serving;

const BYTES: (&str, &str) = ("Content-Type", "application/octet-stream");

/// Every file below a folder, by its path in it.
pub(crate) fn everything(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

#[tokio::test]
async fn s4_no_name_and_no_content_leads_out_of_the_repository() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "the canary of another file").unwrap();
    let serving = Serving::start(&[]);
    let before: Vec<String> = everything(serving.folder()).into_keys().collect();
    let long = "a".repeat(256);
    for (name, status) in [
        ("..%2F..%2F..%2Fetc%2Fpasswd", 200),
        ("%2Fetc%2Fpasswd", 200),
        ("C%3A%5Cevil", 200),
        ("plan.zip", 200),
        ("%00", 400),
        ("a%0Ab", 400),
        ("", 400),
        (&long, 400),
    ] {
        // A zip slip and a zip bomb are bytes like others: nothing is unpacked.
        let content = [b"PK\x03\x04../../evil", name.as_bytes()].concat();
        let answer = serving.ask(&format!("POST /api/v1/files?name={name}"), &[BYTES], &content);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    for (path, content) in everything(serving.folder()) {
        let digest = path.strip_prefix("files/").unwrap_or_default();
        let kept = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(kept || before.contains(&path) || path.starts_with("coordinator.sqlite"), "{path}");
        assert!(!kept || !content.windows(4).any(|four| four == b"evil"), "{path} lies in the clear");
    }
    // Plans name files by paths; only those that came along are opened.
    let path = secret.to_string_lossy().into_owned();
    let plan = format!(
        "version: openloop.plan/1\ntargets:\n  - url: http://127.0.0.1:9/\n    tls:\n      cacert: {path}\n\
         scenarios:\n  a:\n    - get: /\nworkloads:\n  - scenario: a\n    rate: 1\n    duration: 1s\n"
    );
    let url = "--url=http://127.0.0.1:9/";
    for body in [
        json!({"words": [url, "--tps=1", format!("--body-file={path}")]}),
        json!({"words": [url, "--tps=1", format!("--cacert={path}")]}),
        json!({"words": [url, "--tps=1", "--body-file=../../../etc/hostname"]}),
        json!({"words": [url, "--tps=1", "--body-file=secret.key"]}),
        json!({"words": [path]}),
        json!({"words": ["plan.yaml"], "texts": {"plan.yaml": plan}}),
        json!({"words": [url, "--tps=1", "--body-file=x"], "files": {"x": "../secret.key"}}),
        json!({"words": [url, "--tps=1", "--body-file=x"], "files": {"x": "0".repeat(64)}}),
    ] {
        let answer = serving.post("/api/v1/runs", &body);
        assert!(matches!(answer.status, 400 | 404), "{body}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("canary"), "{}", answer.text());
    }
    for name in ["..%2Fsecret.key", "../secret.key", "secret.key", "%2e%2e%2fsecret.key", &"A".repeat(64)] {
        assert!(matches!(serving.get(&format!("/api/v1/files/{name}")).status, 400 | 404), "{name}");
    }
    let mut nodes = client(serving.nodes).await;
    for name in [b"../secret.key".to_vec(), Vec::new(), vec![b'/'; 32], vec![0; 1_000_000]] {
        let refused = nodes.fetch(FetchRequest { sha256: name.into() }).await.err().unwrap();
        let code = refused.code();
        assert!(matches!(code, tonic::Code::NotFound | tonic::Code::InvalidArgument), "{refused}");
    }
}

#[test]
fn s4_what_broke_off_or_is_changed_on_the_disk_is_no_file() {
    let serving = Serving::start(&[]);
    let head = format!(
        "POST /api/v1/files?name=a HTTP/1.1\r\nHost: {}\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: 1000000\r\n\r\n",
        serving.people
    );
    for part in [0, 1, 300_000] {
        let mut stream = connect(serving.people);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; part]).unwrap();
    }
    pause(Duration::from_millis(500));
    let lie = everything(serving.folder()).into_keys().filter(|path| path.contains("incoming/"));
    assert_eq!(lie.collect::<Vec<_>>(), [""; 0]);
    let content = vec![b'y'; 200_000];
    let file = serving.ask("POST /api/v1/files?name=b", &[BYTES], &content).json();
    let path = format!("/api/v1/files/{}", file["sha256"].as_str().unwrap());
    assert!(serving.get(&path).body == content);
    let kept = serving.folder().join("files").join(file["sha256"].as_str().unwrap());
    let mut sealed = std::fs::read(&kept).unwrap();
    let middle = sealed.len() / 2;
    sealed[middle] ^= 1;
    std::fs::write(&kept, &sealed).unwrap();
    let changed = serving.get(&path);
    assert!(changed.body.len() < content.len(), "what was changed is not handed out as if it were whole");
}
