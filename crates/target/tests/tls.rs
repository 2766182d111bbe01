//! TLS with a rustls client.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

mod client;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use client::{GET, connect, eventually, exchange, read_response};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use target::{Config, Handle, Identity, TlsConfig, start};

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn started(tls: TlsConfig, body_bytes: u64) -> Handle {
    start(Config { tls: Some(tls), body_bytes, ..Config::default() }).unwrap()
}

fn trusting(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    roots
}

fn client_config(target: &Handle, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(trusting(target.certificate_pem().unwrap()))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn secure(address: SocketAddr, config: &Arc<ClientConfig>, name: &'static str) -> Stream {
    let name = ServerName::try_from(name).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), connect(address))
}

#[test]
fn both_versions_and_every_name_shake_hands() {
    let target = started(TlsConfig::default(), 17);
    let mut expected = 0;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = client_config(&target, version);
        for name in ["localhost", "127.0.0.1", "::1"] {
            let mut stream = secure(target.address(), &config, name);
            for _ in 0..3 {
                assert_eq!(exchange(&mut stream, GET).status, 200);
            }
            assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert!(matches!(
                stream.conn.protocol_version(),
                Some(ProtocolVersion::TLSv1_2 | ProtocolVersion::TLSv1_3)
            ));
            expected += 1;
        }
    }
    let truth = target.stop();
    assert_eq!((truth.tls_handshakes, truth.tls_failures, truth.connects), (expected, 0, expected));
    assert_eq!((truth.requests, truth.responses), (3 * expected, 3 * expected));
    assert_eq!(truth.bytes.sent, 300 * expected);
    assert!(truth.config.tls);
}

#[test]
fn sessions_resume() {
    let target = started(TlsConfig::default(), 17);
    let config = client_config(&target, &rustls::version::TLS13);
    let kinds: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = secure(target.address(), &config, "localhost");
            exchange(&mut stream, GET);
            stream.conn.handshake_kind().unwrap()
        })
        .collect();
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
}

#[test]
fn large_bodies_pass_bounded_buffers() {
    use std::io::Write as _;
    let target = started(TlsConfig::default(), 5_000_000);
    let config = client_config(&target, &rustls::version::TLS13);
    let mut stream = secure(target.address(), &config, "localhost");
    stream
        .write_all(&[GET, GET, b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"].concat())
        .unwrap();
    for _ in 0..3 {
        assert_eq!(read_response(&mut stream, false).unwrap().body.len(), 5_000_000);
    }
    // The end is announced by close_notify: a plain end of the stream would be an error here.
    assert!(read_response(&mut stream, false).is_none());
    assert_eq!(target.stop().responses, 3);
}

#[test]
fn failed_handshakes_are_counted_and_harm_nobody() {
    let target = started(TlsConfig::default(), 17);
    // Plain HTTP on the TLS port, and a client that does not trust the certificate.
    let mut plain = connect(target.address());
    std::io::Write::write_all(&mut plain, GET).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut plain, &mut answer).unwrap();
    // RFC 8446 §5.1: 21 is the type of an alert record.
    assert_eq!(answer.first(), Some(&21));
    let other = started(TlsConfig::default(), 17);
    let config = client_config(&other, &rustls::version::TLS13);
    let mut stranger = secure(target.address(), &config, "localhost");
    assert!(std::io::Write::write_all(&mut stranger, GET).is_err());
    // The client's alert went out with the failure; the target reads it.
    drop(stranger);
    eventually("two failures", || target.truth().tls_failures == 2);
    let config = client_config(&target, &rustls::version::TLS13);
    assert_eq!(exchange(&mut secure(target.address(), &config, "localhost"), GET).status, 200);
}

#[test]
fn the_certificate_is_written_where_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("target.pem");
    let tls = |certificate_out| TlsConfig { certificate_out: Some(certificate_out), ..TlsConfig::default() };
    let target = started(tls(path.clone()), 17);
    assert_eq!(std::fs::read_to_string(path).unwrap(), target.certificate_pem().unwrap());
    let config = Config { tls: Some(tls(directory.path().join("no/such"))), ..Config::default() };
    assert!(start(config).unwrap_err().to_string().contains("cannot write"));
}

#[test]
fn a_given_identity_serves_and_client_certificates_are_asked_for() {
    let made = rcgen::generate_simple_self_signed(vec!["given.test".to_owned()]).unwrap();
    let identity = Identity {
        certificate_pem: made.cert.pem().into_bytes(),
        key_pem: made.signing_key.serialize_pem().into_bytes(),
    };
    let client_authorities_pem = Some(made.cert.pem().into_bytes());
    let target =
        started(TlsConfig { identity: Some(identity), client_authorities_pem, certificate_out: None }, 17);
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(trusting(target.certificate_pem().unwrap()));
    let without = Arc::new(builder.clone().with_no_client_auth());
    let mut stream = secure(target.address(), &without, "given.test");
    assert!(std::io::Write::write_all(&mut stream, GET).is_err());
    let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let with = Arc::new(builder.with_client_auth_cert(chain, key).unwrap());
    assert_eq!(exchange(&mut secure(target.address(), &with, "given.test"), GET).status, 200);
}

#[test]
fn unusable_certificates_are_refused() {
    let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap().signing_key.serialize_pem();
    let rows = [
        ("", key.as_str(), None, "target's certificate is"),
        ("garbage", &key, None, "no certificate in it"),
        (&certificate, "", None, "private key"),
        (&certificate, &other, None, "target's certificate is"),
        (&certificate, &key, Some("nothing"), "client authority"),
    ];
    for (certificate_pem, key_pem, authorities, part) in rows {
        let identity = Identity { certificate_pem: certificate_pem.into(), key_pem: key_pem.into() };
        let tls = TlsConfig {
            identity: Some(identity),
            client_authorities_pem: authorities.map(Into::into),
            certificate_out: None,
        };
        let error = start(Config { tls: Some(tls), ..Config::default() }).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(part), "{error} lacks {part}");
    }
}
