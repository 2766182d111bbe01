//! The other end: rustls' own server in memory, its certificates, and ways to cut the bytes between.
//!
//! What it is not: a network. Nothing is delivered that a test does not deliver.

use std::io::{Read, Write};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{CipherSuite, RootCertStore, ServerConfig, ServerConnection};
use tls::{Client, Options, Session, TlsError, Trust, Version};

/// The name that [`Authority::leaf`]s are made for.
pub(crate) const NAME: &str = "target.example";

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        self.issue(&leaf_params(names))
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { chain: vec![cert.der().clone()], cert_pem: cert.pem(), key }
    }
}

pub(crate) fn leaf_params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
}

pub(crate) fn self_signed(params: &CertificateParams) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    Leaf { chain: vec![cert.der().clone()], cert_pem: cert.pem(), key }
}

/// A certificate chain and the key of its first certificate.
pub(crate) struct Leaf {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) cert_pem: String,
    pub(crate) key: KeyPair,
}

impl Leaf {
    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// What a server is like.
pub(crate) struct ServerOptions {
    pub(crate) versions: Vec<Version>,
    pub(crate) alpn: Vec<&'static str>,
    pub(crate) client_authority: Option<CertificateDer<'static>>,
    /// The most bytes in one record on the wire, handshake included.
    pub(crate) record_size: Option<usize>,
    /// Suites that it does without.
    pub(crate) refused: Vec<CipherSuite>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            versions: vec![Version::Tls12, Version::Tls13],
            alpn: Vec::new(),
            client_authority: None,
            record_size: None,
            refused: Vec::new(),
        }
    }
}

pub(crate) fn server_config(leaf: &Leaf, options: &ServerOptions) -> Arc<ServerConfig> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| !options.refused.contains(&suite.suite()));
    let provider = Arc::new(provider);
    let versions: Vec<_> = options
        .versions
        .iter()
        .map(|version| match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        })
        .collect();
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions).unwrap();
    let builder = match &options.client_authority {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(leaf.chain.clone(), leaf.key_der()).unwrap();
    config.alpn_protocols = options.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.session_storage = ServerSessionMemoryCache::new(64);
    config.max_fragment_size = options.record_size;
    Arc::new(config)
}

/// How bytes on their way to the client are cut.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Cut {
    /// As many as there are at once.
    Whole,
    /// Slices of this many bytes.
    Every(usize),
}

/// A client's session, a server's, and what each has received.
pub(crate) struct Link {
    pub(crate) session: Session,
    pub(crate) server: ServerConnection,
    /// What the client has to send.
    pub(crate) out: Vec<u8>,
    /// Plaintext that the client received.
    pub(crate) client_plain: Vec<u8>,
    /// Plaintext that the server received.
    pub(crate) server_plain: Vec<u8>,
    pub(crate) cut: Cut,
    /// Why the server gave up, if it did.
    pub(crate) server_error: Option<rustls::Error>,
}

impl Link {
    pub(crate) fn new(client: &Client, name: &str, server: &Arc<ServerConfig>) -> Self {
        let mut out = Vec::new();
        let session = client.session(name, &mut out).unwrap();
        let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
        server.set_buffer_limit(None);
        Self {
            session,
            server,
            out,
            client_plain: Vec::new(),
            server_plain: Vec::new(),
            cut: Cut::Whole,
            server_error: None,
        }
    }

    /// Everything that the server has to send now.
    pub(crate) fn server_output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Hands the client's output to the server; says whether there was any.
    pub(crate) fn deliver_to_server(&mut self) -> bool {
        let sent = std::mem::take(&mut self.out);
        let mut rest = sent.as_slice();
        while !rest.is_empty() && self.server_error.is_none() {
            if self.server.read_tls(&mut rest).unwrap() == 0 {
                break;
            }
            self.server_error = self.server.process_new_packets().err();
            let mut piece = Vec::new();
            // The reader says WouldBlock when it has no more; only the bytes matter here.
            let _ = self.server.reader().read_to_end(&mut piece);
            self.server_plain.extend_from_slice(&piece);
        }
        !sent.is_empty()
    }

    /// Hands `bytes` to the client, cut as the link says.
    pub(crate) fn deliver_to_client(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        let size = match self.cut {
            Cut::Whole => bytes.len().max(1),
            Cut::Every(size) => size,
        };
        for slice in bytes.chunks(size) {
            // As the driver does: a lent buffer of its own for every slice.
            let mut lent = slice.to_vec();
            let plain = &mut self.client_plain;
            self.session.receive(&mut lent, &mut self.out, &mut |piece| plain.extend_from_slice(piece))?;
        }
        Ok(())
    }

    /// Carries bytes both ways until neither side has any.
    pub(crate) fn settle(&mut self) -> Result<(), TlsError> {
        for _ in 0..64 {
            let moved = self.deliver_to_server();
            let bytes = self.server_output();
            self.deliver_to_client(&bytes)?;
            if !moved && bytes.is_empty() {
                return Ok(());
            }
        }
        panic!("the two ends never came to rest");
    }

    pub(crate) fn server_sends(&mut self, plaintext: &[u8]) {
        self.server.writer().write_all(plaintext).unwrap();
    }

    pub(crate) fn client_sends(&mut self, plaintext: &[u8]) {
        self.session.send(plaintext, &mut self.out).unwrap();
    }

    /// One request and its response, both checked.
    pub(crate) fn exchange(&mut self, request: &[u8], response: &[u8]) {
        self.server_plain.clear();
        self.client_plain.clear();
        self.client_sends(request);
        self.settle().unwrap();
        assert_eq!(self.server_plain, request);
        self.server_sends(response);
        self.settle().unwrap();
        assert_eq!(self.client_plain, response);
    }
}

pub(crate) fn trusting(authority: &Authority) -> Options {
    Options { trust: Trust::Pem(authority.pem()), ..Options::default() }
}

pub(crate) fn only(version: Version, options: Options) -> Options {
    Options { min_version: version, max_version: version, ..options }
}

/// An authority, a server of its for [`NAME`], and a client that trusts it.
pub(crate) fn pair(version: Version) -> (Client, Arc<ServerConfig>) {
    let authority = Authority::new("openloop test authority");
    let config = server_config(&authority.leaf(&[NAME]), &ServerOptions::default());
    (Client::new(only(version, trusting(&authority))).unwrap(), config)
}

/// A link whose handshake is done.
pub(crate) fn established(client: &Client, server: &Arc<ServerConfig>) -> Link {
    let mut link = Link::new(client, NAME, server);
    link.settle().unwrap();
    assert!(link.session.is_established());
    link
}
