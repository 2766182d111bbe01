//! TLS with certificates of our own making.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coordinator::http::Options;
use coordinator::security::{CertificatesRequest, TokenKey, server_config, write_certificates};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Answer, PATIENCE, answer, ask, request};
use crate::edge::{Edge, Setting};

const NOW: Duration = Duration::from_secs(1_795_000_000);

fn papers(folder: &Path, nodes: &[&str], days: u32, now: Duration) {
    let request = CertificatesRequest {
        folder: folder.to_owned(),
        servers: vec!["coordinator.test".to_owned(), "127.0.0.1".to_owned()],
        nodes: nodes.iter().map(|&name| name.to_owned()).collect(),
        days,
    };
    write_certificates(&request, now).unwrap();
}

/// One request over TLS, by who trusts `authority` and shows `identity`.
fn ask_over_tls(
    edge: &Edge,
    name: &str,
    authority: &Path,
    identity: Option<(&Path, &str)>,
) -> Result<Answer, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((folder, node)) => {
            let chain = vec![CertificateDer::from_pem_file(folder.join(format!("node-{node}.pem"))).unwrap()];
            let key = PrivateKeyDer::from_pem_file(folder.join(format!("node-{node}.key"))).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), server).map_err(|error| error.to_string())?;
    let socket = TcpStream::connect(edge.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let text = request(edge.address, "GET /healthz", &[("Host", name)], b"");
    stream.write_all(&text).map_err(|error| error.to_string())?;
    let answer = answer(&mut stream);
    if answer.status == 0 { Err("closed without an answer".to_owned()) } else { Ok(answer) }
}

/// Whether HTTP/2 is agreed on, and its SETTINGS come (RFC 9113, section 3.4).
fn speaks_http_2(edge: &Edge, authority: &Path) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = ServerName::try_from("coordinator.test").unwrap();
    let connection = ClientConnection::new(Arc::new(config), server).unwrap();
    let socket = TcpStream::connect(edge.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    frame[3] == 4 && stream.conn.alpn_protocol() == Some(b"h2".as_slice())
}

fn secure_edge(folder: &Path, client_authority: Option<&Path>) -> Edge {
    let tls = server_config(
        &folder.join("server.pem"),
        &folder.join("server.key"),
        client_authority,
        &["h2", "http/1.1"],
    );
    let tokens = Some(Arc::new(TokenKey::new(&[1; 32])));
    let options = Options { tls: Some(tls.unwrap()), tokens, ..Options::default() };
    Edge::start(Setting { options, ..Setting::default() })
}

#[test]
fn certificates_of_our_own_carry_tls_and_strangers_are_not_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let strangers = tempfile::tempdir().unwrap();
    let now = clock::wall_time();
    papers(folder.path(), &["alpha"], 30, now);
    papers(strangers.path(), &["alpha"], 30, now);
    let authority = folder.path().join("ca.pem");
    let edge = secure_edge(folder.path(), None);
    let answer = ask_over_tls(&edge, "coordinator.test", &authority, None).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("strict-transport-security").is_some(), "{}", answer.head);
    assert_eq!(ask_over_tls(&edge, "127.0.0.1", &authority, None).unwrap().status, 200);
    assert!(ask_over_tls(&edge, "other.test", &authority, None).unwrap_err().contains("not valid for name"));
    let stranger = ask_over_tls(&edge, "coordinator.test", &strangers.path().join("ca.pem"), None);
    assert!(stranger.unwrap_err().contains("certificate"), "another authority of the same name");
    assert_eq!(ask(edge.address, "GET /healthz", &[], b"").status, 0, "nothing is told in the clear");

    assert!(speaks_http_2(&edge, &authority));

    let edge = secure_edge(folder.path(), Some(&authority));
    let own = Some((folder.path(), "alpha"));
    let strange = Some((strangers.path(), "alpha"));
    assert_eq!(ask_over_tls(&edge, "coordinator.test", &authority, own).unwrap().status, 200);
    assert!(ask_over_tls(&edge, "coordinator.test", &authority, None).is_err());
    assert!(ask_over_tls(&edge, "coordinator.test", &authority, strange).is_err());
}

#[test]
fn an_expired_certificate_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    papers(folder.path(), &[], 30, Duration::from_secs(1_000_000_000));
    let edge = secure_edge(folder.path(), None);
    let outcome = ask_over_tls(&edge, "coordinator.test", &folder.path().join("ca.pem"), None);
    assert!(outcome.as_ref().is_err_and(|error| error.contains("xpired")), "{outcome:?}");
}

#[test]
fn making_certificates_overwrites_nothing_and_goes_on_with_an_authority() {
    let folder = tempfile::tempdir().unwrap();
    papers(folder.path(), &["alpha"], 30, NOW);
    let authority = std::fs::read(folder.path().join("ca.pem")).unwrap();
    let more = CertificatesRequest {
        folder: folder.path().to_owned(),
        servers: Vec::new(),
        nodes: vec!["beta".to_owned()],
        days: 30,
    };
    let written = write_certificates(&more, NOW).unwrap();
    assert_eq!(written, ["node-beta.pem", "node-beta.key"].map(|name| folder.path().join(name)));
    assert_eq!(std::fs::read(folder.path().join("ca.pem")).unwrap(), authority);
    let again = write_certificates(&more, NOW).unwrap_err().to_string();
    assert!(again.contains("node-beta.pem") && again.contains("is there already"), "{again}");
    for name in ["ca.key", "server.key", "node-alpha.key"] {
        let bits =
            std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder.path().join(name)).unwrap());
        assert_eq!(bits & 0o777, 0o600, "{name}");
    }
    for name in ["../evil", "", "a/b", "a\0b"] {
        let request = CertificatesRequest { nodes: vec![name.to_owned()], ..more.clone() };
        assert!(write_certificates(&request, NOW).is_err(), "{name:?}");
    }
}
