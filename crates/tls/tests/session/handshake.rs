//! Handshakes that succeed: versions, resumption, names, ALPN, client certificates, insecure mode.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tls::{Client, ClientIdentity, Options, TlsError, Trust, Version};

use crate::peer::{
    Authority, Leaf, Link, NAME, ServerOptions, established, leaf_params, only, pair, self_signed,
    server_config, trusting,
};

const BOTH: [Version; 2] = [Version::Tls12, Version::Tls13];

#[test]
fn each_version_carries_exchanges() {
    for version in BOTH {
        let (client, server) = pair(version);
        let mut link = Link::new(&client, NAME, &server);
        assert!(!link.session.is_established());
        assert_eq!(link.session.version(), None);
        link.settle().unwrap();
        assert!(link.session.is_established());
        assert_eq!(link.session.version(), Some(version));
        assert!(!link.session.resumed());
        assert_eq!(link.server.server_name(), Some(NAME));
        for round in 0..10 {
            link.exchange(format!("request {round}").as_bytes(), format!("response {round}").as_bytes());
        }
    }
}

#[test]
fn the_newest_version_in_common_is_taken() {
    let authority = Authority::new("openloop test authority");
    let client = Client::new(trusting(&authority)).unwrap();
    for version in BOTH {
        let options = ServerOptions { versions: vec![version], ..ServerOptions::default() };
        let server = server_config(&authority.leaf(&[NAME]), &options);
        assert_eq!(established(&client, &server).session.version(), Some(version));
    }
    let server = server_config(&authority.leaf(&[NAME]), &ServerOptions::default());
    assert_eq!(established(&client, &server).session.version(), Some(Version::Tls13));
}

#[test]
fn sessions_resume_where_wanted() {
    for version in BOTH {
        let (client, server) = pair(version);
        established(&client, &server).exchange(b"first", b"answer");
        let mut second = established(&client, &server);
        assert!(second.session.resumed(), "{version}: the client remembers the first session");
        assert_eq!(second.session.version(), Some(version));
        second.exchange(b"second", b"answer");

        let stranger = client.separate();
        assert!(!established(&stranger, &server).session.resumed(), "{version}: it has tickets of its own");
        assert!(established(&stranger, &server).session.resumed(), "{version}: and keeps them");
    }
}

#[test]
fn sessions_do_not_resume_where_not_wanted() {
    let authority = Authority::new("openloop test authority");
    let server = server_config(&authority.leaf(&[NAME]), &ServerOptions::default());
    for version in BOTH {
        let options = Options { resumption: false, ..only(version, trusting(&authority)) };
        let client = Client::new(options).unwrap();
        for _ in 0..3 {
            let mut link = established(&client, &server);
            assert!(!link.session.resumed(), "{version}");
            link.exchange(b"request", b"response");
        }
    }
}

#[test]
fn addresses_are_names_too_but_are_not_sent() {
    let authority = Authority::new("openloop test authority");
    let client = Client::new(trusting(&authority)).unwrap();
    let server = server_config(&authority.leaf(&["127.0.0.1", "::1"]), &ServerOptions::default());
    for name in ["127.0.0.1", "::1", "[::1]"] {
        let mut link = Link::new(&client, name, &server);
        link.settle().unwrap();
        assert!(link.session.is_established(), "{name}");
        assert_eq!(link.server.server_name(), None, "RFC 6066, section 3 forbids literal addresses");
    }
    for name in ["127.0.0.2", "::2", NAME] {
        assert_eq!(Link::new(&client, name, &server).settle(), Err(TlsError::Name), "{name}");
    }
}

#[test]
fn the_server_chooses_among_the_offered_protocols() {
    let authority = Authority::new("openloop test authority");
    let rows: [(&[&str], &[&str], Option<&str>); 4] = [
        (&["h2", "http/1.1"], &["http/1.1"], Some("http/1.1")),
        (&["h2", "http/1.1"], &["h2", "http/1.1"], Some("h2")),
        (&["http/1.1"], &[], None),
        (&[], &["h2"], None),
    ];
    for version in BOTH {
        for (offered, known, chosen) in rows {
            let alpn = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let client = Client::new(Options { alpn, ..only(version, trusting(&authority)) }).unwrap();
            let options = ServerOptions { alpn: known.to_vec(), ..ServerOptions::default() };
            let server = server_config(&authority.leaf(&[NAME]), &options);
            let link = established(&client, &server);
            assert_eq!(link.session.alpn(), chosen.map(str::as_bytes), "{version} {offered:?} {known:?}");
        }
    }
}

fn server_wanting_certificates(authority: &Authority) -> Arc<ServerConfig> {
    let options =
        ServerOptions { client_authority: Some(authority.issuer.der().clone()), ..ServerOptions::default() };
    server_config(&authority.leaf(&[NAME]), &options)
}

#[test]
fn a_client_certificate_is_shown_when_asked_for() {
    let authority = Authority::new("openloop test authority");
    let server = server_wanting_certificates(&authority);
    let leaf = authority.leaf(&["client.example"]);
    for version in BOTH {
        let identity = ClientIdentity {
            cert_pem: leaf.cert_pem.clone().into_bytes(),
            key_pem: leaf.key.serialize_pem().into_bytes(),
        };
        let options = Options { client: Some(identity), ..only(version, trusting(&authority)) };
        let mut link = established(&Client::new(options).unwrap(), &server);
        assert_eq!(link.server.peer_certificates().unwrap(), leaf.chain.as_slice(), "{version}");
        link.exchange(b"request", b"response");
    }
}

#[test]
fn a_missing_client_certificate_is_an_alert() {
    let authority = Authority::new("openloop test authority");
    let server = server_wanting_certificates(&authority);
    for version in BOTH {
        let client = Client::new(only(version, trusting(&authority))).unwrap();
        let mut link = Link::new(&client, NAME, &server);
        // RFC 8446, section 6.2: certificate_required.
        assert_eq!(link.settle(), Err(TlsError::Alert { code: 116 }), "{version}");
    }
}

#[test]
fn a_self_signed_certificate_may_be_trusted_by_itself() {
    let leaf = self_signed(&leaf_params(&[NAME]));
    let server = server_config(&leaf, &ServerOptions::default());
    for version in BOTH {
        let trust = Trust::Pem(leaf.cert_pem.clone().into_bytes());
        let client = Client::new(only(version, Options { trust, ..Options::default() })).unwrap();
        established(&client, &server).exchange(b"request", b"response");
    }
}

/// A server that shows one certificate and signs with the key of another.
fn impostor(shown: CertificateDer<'static>, signer: &Leaf) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider.key_provider.load_private_key(signer.key_der()).unwrap();
    let resolver = SingleCertAndKey::from(CertifiedKey::new(vec![shown], key));
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver)))
}

#[test]
fn a_known_chain_does_not_excuse_a_foreign_key() {
    let authority = Authority::new("openloop test authority");
    let (leaf, stranger) = (authority.leaf(&[NAME]), authority.leaf(&[NAME]));
    let honest = server_config(&leaf, &ServerOptions::default());
    let fake = impostor(leaf.chain[0].clone(), &stranger);
    for version in BOTH {
        let client = Client::new(only(version, trusting(&authority))).unwrap();
        for _ in 0..3 {
            established(&client.separate(), &honest).exchange(b"request", b"response");
            established(&client, &honest).exchange(b"request", b"response");
            let mut link = Link::new(&client.separate(), NAME, &fake);
            assert_eq!(link.settle(), Err(TlsError::Certificate), "{version}: unknown until now");
        }
        let options = Options { resumption: false, ..only(version, trusting(&authority)) };
        let client = Client::new(options).unwrap();
        for _ in 0..3 {
            established(&client, &honest).exchange(b"request", b"response");
            let mut link = Link::new(&client, NAME, &fake);
            assert_eq!(link.settle(), Err(TlsError::Certificate), "{version}: the chain was good just now");
        }
    }
}

#[test]
fn suites_are_offered_in_the_order_of_browsers_and_all_are_taken() {
    use rustls::CipherSuite as Suite;
    let authority = Authority::new("openloop test authority");
    let leaf = authority.leaf(&[NAME]);
    let client = Client::new(trusting(&authority)).unwrap();
    // rustls' server takes the first that we offer among those that it has.
    for (version, wanted) in [
        (
            Version::Tls13,
            &[
                Suite::TLS13_AES_128_GCM_SHA256,
                Suite::TLS13_AES_256_GCM_SHA384,
                Suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
        ),
        (
            Version::Tls12,
            &[
                Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            ],
        ),
    ] {
        let mut refused = Vec::new();
        for suite in wanted {
            let options = ServerOptions {
                versions: vec![version],
                refused: refused.clone(),
                ..ServerOptions::default()
            };
            let mut link = established(&client, &server_config(&leaf, &options));
            assert_eq!(link.server.negotiated_cipher_suite().unwrap().suite(), *suite);
            link.exchange(b"request", b"response");
            refused.push(*suite);
        }
    }
}

#[test]
fn insecure_mode_looks_at_the_signature_only() {
    let mut expired = leaf_params(&["other.example"]);
    expired.not_before = rcgen::date_time_ymd(2001, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let stranger = self_signed(&expired);
    let other = self_signed(&leaf_params(&[NAME]));
    let unreadable = CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x05]);
    for version in BOTH {
        let options = only(version, Options { trust: Trust::Insecure, ..Options::default() });
        let client = Client::new(options).unwrap();
        established(&client, &server_config(&stranger, &ServerOptions::default())).exchange(b"any", b"thing");
        established(&client, &impostor(unreadable.clone(), &stranger)).exchange(b"any", b"thing");

        let mut link = Link::new(&client, NAME, &impostor(other.chain[0].clone(), &stranger));
        assert_eq!(link.settle(), Err(TlsError::Certificate), "{version}: it does not hold the key");
    }
}
