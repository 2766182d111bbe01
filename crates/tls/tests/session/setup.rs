//! Options that are refused, and how: what, where, and the way out.

use std::path::Path;
use std::process::Command;

use rcgen::KeyPair;
use tls::{Client, ClientIdentity, Options, SetupError, Trust, Version};

use crate::peer::{Authority, leaf_params, self_signed};

fn refusal(options: Options) -> String {
    Client::new(options).expect_err("these options must be refused").to_string()
}

fn trusting_text(text: &[u8]) -> Options {
    Options { trust: Trust::Pem(text.to_vec()), ..Options::default() }
}

fn identity(cert_pem: &str, key_pem: &str) -> Options {
    let client = ClientIdentity { cert_pem: cert_pem.into(), key_pem: key_pem.into() };
    Options { trust: Trust::Insecure, client: Some(client), ..Options::default() }
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{said:?} must say {part:?}");
    }
}

#[test]
fn a_bad_ca_file_is_pointed_at() {
    let pem = String::from_utf8(Authority::new("openloop test authority").pem()).unwrap();
    let key = KeyPair::generate().unwrap().serialize_pem();
    let der = self_signed(&leaf_params(&["a.example"])).chain[0].to_vec();
    let cut = pem.replace("-----END CERTIFICATE-----", "");
    let spoiled = format!("# mine\n{pem}# and another\n{}", pem.replace("MI", "!!"));
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let trusted = pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
    let line_count = pem.lines().count();
    let rows: [(&[u8], &[&str]); 8] = [
        (b"", &["the CA file, line 1", "no PEM section", "-----BEGIN CERTIFICATE-----"]),
        (b"\xff\xfe\x00", &["the CA file, line 1", "no PEM section"]),
        (key.as_bytes(), &["the CA file, line 1", "PRIVATE KEY instead"]),
        (&der, &["binary DER", "openssl x509 -inform der"]),
        (cut.as_bytes(), &["line 1", "no matching END line", "copy the whole"]),
        (spoiled.as_bytes(), &[&format!("line {}", line_count + 3), "not base64"]),
        (empty.as_bytes(), &["line 1", "cannot be read", "openssl x509 -noout -text"]),
        (trusted.as_bytes(), &["TRUSTED CERTIFICATE", "openssl x509"]),
    ];
    for (text, parts) in rows {
        assert_says(&refusal(trusting_text(text)), parts);
    }
}

#[test]
fn pem_survives_the_ways_people_keep_it() {
    let pem = String::from_utf8(Authority::new("openloop test authority").pem()).unwrap();
    let other = String::from_utf8(Authority::new("another authority").pem()).unwrap();
    for text in [
        pem.clone(),
        pem.replace('\n', "\r\n"),
        format!("Subject: somebody\n\n{pem}\nand\n{other}"),
        pem.trim_end().to_owned(),
        format!("\u{feff}# a note\n{pem}"),
    ] {
        Client::new(trusting_text(text.as_bytes())).unwrap();
    }
}

#[test]
fn a_bad_identity_is_pointed_at() {
    let leaf = self_signed(&leaf_params(&["client.example"]));
    let (cert, key) = (leaf.cert_pem.as_str(), leaf.key.serialize_pem());
    let other = KeyPair::generate().unwrap().serialize_pem();
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                         -----END RSA PRIVATE KEY-----\n";
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let two = format!("{key}{other}");
    let rows: [(&str, &str, &[&str]); 8] = [
        (cert, "", &["the client's private key, line 1", "no PEM section"]),
        (cert, cert, &["the client's private key", "CERTIFICATE instead"]),
        (&key, &key, &["the client certificate", "PRIVATE KEY instead"]),
        (cert, &encrypted, &["encrypted", "openssl pkey"]),
        (cert, old_encrypted, &["encrypted", "openssl pkey"]),
        (cert, nonsense, &["the client's private key, line 1", "cannot be used", "Ed25519"]),
        (cert, &two, &["a second private key", "first begins on line 1"]),
        (cert, &other, &["do not belong together"]),
    ];
    for (cert, key, parts) in rows {
        assert_says(&refusal(identity(cert, key)), parts);
    }
    // `openssl ecparam -genkey` puts the curve's parameters ahead of the key.
    let with_parameters =
        format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{key}");
    Client::new(identity(cert, &with_parameters)).unwrap();
}

#[test]
fn options_that_contradict_themselves_are_refused() {
    let versions = Options { min_version: Version::Tls13, max_version: Version::Tls12, ..Options::default() };
    assert_says(&refusal(versions), &["TLS 1.3", "TLS 1.2", "swap"]);
    for (name, length) in [(Vec::new(), "0 bytes"), (vec![b'x'; 256], "256 bytes")] {
        let alpn = Options { alpn: vec![b"h2".to_vec(), name], ..Options::default() };
        assert_says(&refusal(alpn), &["application protocol 2", length]);
    }
}

#[test]
fn names_are_hosts_alone() {
    let client = Client::new(Options { trust: Trust::Insecure, ..Options::default() }).unwrap();
    for name in
        ["", "https://a.example", "a.example:443", "a b", "[::1", "bücher.example", "a..example", "\0"]
    {
        let error = client.session(name, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, SetupError::ServerName { .. }), "{name:?}: {error}");
    }
    for name in
        ["a.example", "a_b.example", "A.EXAMPLE", "a.example.", "localhost", "127.0.0.1", "[::1]", "::1"]
    {
        client.session(name, &mut Vec::new()).unwrap();
    }
}

#[test]
fn a_private_key_does_not_reach_a_log() {
    let leaf = self_signed(&leaf_params(&["client.example"]));
    let key = leaf.key.serialize_pem();
    let options = identity(&leaf.cert_pem, &key);
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{options:?}").contains(secret));
    let client = Client::new(options).unwrap();
    let session = client.session("a.example", &mut Vec::new()).unwrap();
    assert!(!format!("{client:?} {session:?}").contains(secret));
}

/// Set for the test when it runs itself again: whether roots are to be found.
const EXPECTATION: &str = "OPENLOOP_TEST_ROOTS";

#[test]
fn the_systems_roots_are_those_that_the_environment_names() {
    if let Ok(expectation) = std::env::var(EXPECTATION) {
        let result = Client::new(Options::default());
        match expectation.as_str() {
            "found" => drop(result.unwrap()),
            _ => assert_says(
                &result.unwrap_err().to_string(),
                &["no usable root", "ca-certificates", "nowhere.pem"],
            ),
        }
        return;
    }
    // The environment may be changed only for another process: this one has threads that may read it.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("roots.pem"), Authority::new("openloop test authority").pem()).unwrap();
    for (file, expectation) in [("roots.pem", "found"), ("nowhere.pem", "missed")] {
        let output = Command::new(std::env::current_exe().unwrap())
            .arg("the_systems_roots_are_those_that_the_environment_names")
            .env("SSL_CERT_FILE", folder.join(file))
            .env_remove("SSL_CERT_DIR")
            .env(EXPECTATION, expectation)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{expectation}: {said}");
    }
}
