//! Files (S4): kept by their content, bounded, and never where a client says.

use std::io::Write as _;
use std::path::Path;

use coordinator::http::Options;

use crate::client::{ask, connect, pause};
use crate::edge::{Edge, Setting};

const BYTES: (&str, &str) = ("Content-Type", "application/octet-stream");

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

/// Every file and folder under `folder`, by its path within it.
fn everything(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_file_is_kept_by_its_content_and_comes_back_as_it_was() {
    let edge = Edge::start(Setting::default());
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = ask(edge.address, "POST /api/v1/files?name=users.csv", &[BYTES], &content).json();
    let sha256 = file["sha256"].as_str().unwrap().to_owned();
    assert_eq!(sha256, hexadecimal(ring::digest::digest(&ring::digest::SHA256, &content).as_ref()));
    assert_eq!((file["size"].as_u64(), file["name"].as_str()), (Some(1_200_000), Some("users.csv")));
    let back = edge.get(&format!("/api/v1/files/{sha256}"));
    assert!(back.body == content, "{}", back.head);
    assert_eq!(back.header("content-disposition"), Some("attachment"));
    assert_eq!(edge.get("/api/v1/files").json().as_array().unwrap().len(), 1);
    assert_eq!(ask(edge.address, &format!("DELETE /api/v1/files/{sha256}"), &[], b"").status, 200);
    assert_eq!(edge.get(&format!("/api/v1/files/{sha256}")).status, 404);
}

#[test]
fn no_name_leads_out_of_the_repository() {
    let edge = Edge::start(Setting::default());
    let outside = edge.folder.path().join("secret");
    std::fs::write(&outside, "secret").unwrap();
    let names = [
        "..%2F..%2Fevil",
        "%2Fetc%2Fevil",
        "C%3A%5Cevil",
        "....%2F%2Fevil",
        "..",
        ".",
        "%2e%2e%2fevil",
        "a%2Fb%2Fc",
        "CON",
        "-rf",
        "%20",
        "%E2%80%AEgpj.exe",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let answer = ask(
            edge.address,
            &format!("POST /api/v1/files?name={name}"),
            &[BYTES],
            format!("{number}").as_bytes(),
        );
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    for name in ["", "%00", "a%00b", "a%0Ab", &"a".repeat(300)] {
        let answer = ask(edge.address, &format!("POST /api/v1/files?name={name}"), &[BYTES], b"x");
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    let kept = everything(edge.folder.path());
    let is_expected = |path: &String| {
        let digest = path.strip_prefix("files/").unwrap_or_default();
        ["files", "incoming", "secret", "secret.key"].contains(&path.as_str())
            || (digest.len() == 64 && !digest.contains('.'))
    };
    assert!(kept.iter().all(is_expected), "{kept:?}");
    assert_eq!(kept.len(), names.len() + 4, "{kept:?}");
    for path in [
        "..%2Fsecret",
        "../secret",
        "%2e%2e/secret",
        "secret",
        "..%5Csecret",
        "%00",
        "files/x",
        &"A".repeat(64),
    ] {
        let answer = edge.get(&format!("/api/v1/files/{path}"));
        assert!(
            matches!(answer.status, 400 | 404) && !answer.text().contains("secret\""),
            "{path}: {}",
            answer.text()
        );
    }
    for path in ["..%2Fapp.js", "../../Cargo.toml", "%2e%2e%2f%2e%2e%2fCargo.toml", "style.css%00.js"] {
        assert_eq!(edge.get(&format!("/assets/{path}")).status, 404, "{path}");
    }
}

#[test]
fn too_much_is_refused_and_what_broke_off_leaves_nothing() {
    let options = Options { upload_limit: 100_000, ..Options::default() };
    let edge = Edge::start(Setting { options, ..Setting::default() });
    let large = vec![0; 100_001];
    assert_eq!(ask(edge.address, "POST /api/v1/files?name=a", &[BYTES], &large).status, 413);
    assert_eq!(
        ask(edge.address, "POST /api/v1/files?name=a", &[BYTES, ("Content-Length", "99999999999")], b"x")
            .status,
        413
    );
    // Without an announced size, the limit is met on the way.
    let mut stream = connect(edge.address);
    let head = format!(
        "POST /api/v1/files?name=a HTTP/1.1\r\nHost: {}\r\nContent-Type: application/octet-stream\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        edge.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
    stream.write_all(&chunk).unwrap();
    let _ = stream.write_all(&chunk);
    assert_eq!(crate::client::answer(&mut stream).status, 413);
    let mut stream = connect(edge.address);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&chunk[..1_000]).unwrap();
    drop(stream);
    assert_eq!(
        ask(edge.address, "POST /api/v1/files?name=a", &[("Content-Type", "text/html")], b"x").status,
        415
    );
    assert_eq!(ask(edge.address, "POST /api/v1/files?name=whole", &[BYTES], b"whole").status, 200);
    // The edge notices that a client is gone a moment later.
    for _ in 0..100 {
        if everything(&edge.incoming).is_empty() {
            break;
        }
        pause(std::time::Duration::from_millis(20));
    }
    assert!(everything(&edge.incoming).is_empty());
    assert_eq!(everything(&edge.folder.path().join("files")).len(), 1);
}
