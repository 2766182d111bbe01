//! TLS: what a hostile server sends, and the texts of certificates and keys.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use tls::{Client, ClientIdentity, Options, Session, TlsError, Trust, Version};

use crate::texts::assert_fit_for_a_terminal;

const NAME: &str = "target.example";
/// What the server answers: more than one record, whatever their size.
const ANSWER: &[u8] = &[b'a'; 20_000];

const RAW: u8 = 1;
const TLS12: u8 = 2;
const SMALL_RECORDS: u8 = 4;
const GOODBYE: u8 = 8;

/// More than a client ever has to say here: hello, Finished, a request, an alert.
const SAID_MAX: usize = 16 << 10;

/// An authority and what it has issued. Ed25519, so that signatures have one length.
struct Papers {
    authority_pem: String,
    cert_pem: String,
    key_pem: String,
    /// A server for each version, with large records and with small ones.
    servers: [[Arc<ServerConfig>; 2]; 2],
    /// A client for each version.
    clients: [Client; 2],
}

static PAPERS: LazyLock<Papers> = LazyLock::new(|| {
    let pair = || KeyPair::generate_for(&PKCS_ED25519).expect("ring makes keys");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, pair()).expect("a key signs");
    let key = pair();
    let leaf = CertificateParams::new(vec![NAME.to_owned()])
        .and_then(|params| params.signed_by(&key, &authority))
        .expect("an authority signs");
    let server = |version, record_size| {
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[version])
                .expect("ring knows both versions")
                .with_no_client_auth()
                .with_single_cert(
                    vec![leaf.der().clone()],
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
                )
                .expect("the key is the certificate's");
        config.max_fragment_size = record_size;
        Arc::new(config)
    };
    let client = |version| {
        let trust = Trust::Pem(authority.pem().into_bytes());
        let options = Options { trust, min_version: version, max_version: version, ..Options::default() };
        Client::new(options).expect("the options are sound")
    };
    let servers = [&rustls::version::TLS13, &rustls::version::TLS12]
        .map(|version| [server(version, None), server(version, Some(64))]);
    Papers {
        authority_pem: authority.pem(),
        cert_pem: leaf.pem(),
        key_pem: key.serialize_pem(),
        servers,
        clients: [client(Version::Tls13), client(Version::Tls12)],
    }
});

/// The input: a byte of flags, the size of the pieces in which bytes arrive (0: all at once), and either what the
/// server sends, or changes to what a real server sends: four bytes each, kind, place in the stream, operand. The
/// client gets what the server wrote, or a part of it from its beginning; never anything else.
pub fn tls_session(input: &[u8]) {
    let [flags, cut, rest @ ..] = input else { return };
    let version = usize::from(flags & TLS12 != 0);
    let mut link = Link::new(&PAPERS.clients[version], usize::from(*cut));
    if flags & RAW != 0 {
        link.deliver(rest);
        assert!(link.plain.is_empty(), "nobody had the keys");
        return;
    }
    let size = usize::from(flags & SMALL_RECORDS != 0);
    let (changes, _) = rest.as_chunks::<4>();
    let mut server = ServerConnection::new(Arc::clone(&PAPERS.servers[version][size]))
        .expect("the configuration is whole");
    let mut wire = Wire { changes, passed: 0 };
    let mut answered = false;
    for _ in 0..16 {
        let sent = link.deliver_to(&mut server);
        if !answered && !server.is_handshaking() {
            answered = true;
            // A server that has had an alert says no more.
            let _ = server.writer().write_all(ANSWER);
            if flags & GOODBYE != 0 {
                server.send_close_notify();
            }
        }
        let mut bytes = Vec::new();
        while server.wants_write() && server.write_tls(&mut bytes).is_ok() {}
        if !sent && bytes.is_empty() {
            break;
        }
        link.deliver(&wire.change(&bytes));
    }
    assert!(ANSWER.starts_with(&link.plain), "the client was given what the server never wrote");
    if changes.is_empty() {
        assert_eq!(link.failure, None);
        assert_eq!(link.plain, ANSWER);
        assert_eq!(link.session.peer_closed(), flags & GOODBYE != 0);
    }
}

/// The bytes on their way to the client, with the fuzzer's changes.
struct Wire<'a> {
    changes: &'a [[u8; 4]],
    passed: usize,
}

impl Wire<'_> {
    fn change(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        for [kind, high, low, operand] in self.changes {
            let place = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(at) = place.checked_sub(self.passed).filter(|at| *at < bytes.len()) else { continue };
            // Earlier changes may have shortened what is left.
            let at = at.min(changed.len());
            let end = (at + usize::from(*operand)).min(changed.len());
            match kind % 5 {
                0 => changed.insert(at, *operand),
                1 => drop(changed.drain(at..end)),
                2 => {
                    let twice = changed[at..end].to_vec();
                    changed.splice(at..at, twice);
                }
                3 => changed.truncate(at),
                _ => changed.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= operand),
            }
        }
        self.passed += bytes.len();
        changed
    }
}

/// The client's side.
struct Link {
    session: Session,
    out: Vec<u8>,
    plain: Vec<u8>,
    failure: Option<TlsError>,
    asked: bool,
    cut: usize,
}

impl Link {
    fn new(client: &Client, cut: usize) -> Self {
        let mut out = Vec::new();
        let session = client.session(NAME, &mut out).expect("the name is sound");
        Self { session, out, plain: Vec::new(), failure: None, asked: false, cut }
    }

    /// Hands bytes to the client, in pieces.
    fn deliver(&mut self, bytes: &[u8]) {
        let size = if self.cut == 0 { bytes.len().max(1) } else { self.cut };
        for piece in bytes.chunks(size) {
            let mut lent = piece.to_vec();
            let plain = &mut self.plain;
            let result =
                self.session.receive(&mut lent, &mut self.out, &mut |piece| plain.extend_from_slice(piece));
            if let Some(failure) = self.failure {
                assert_eq!(result, Err(failure), "a failed session stays failed");
            }
            if let Err(failure) = result {
                self.failure = Some(failure);
                assert!(!self.session.is_established());
                assert_fit_for_a_terminal(&failure.to_string());
            }
            assert!(self.out.len() < SAID_MAX, "the client says more than it has to say");
        }
        if self.session.is_established() && !self.asked {
            self.asked = true;
            // Keys cannot be worn out by one request.
            self.session.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut self.out).expect("the keys are new");
        }
    }

    /// Hands the client's bytes to the server; says whether there were any.
    fn deliver_to(&mut self, server: &mut ServerConnection) -> bool {
        let sent = std::mem::take(&mut self.out);
        let mut rest = sent.as_slice();
        while !rest.is_empty() {
            // What the server makes of it does not matter: its alert reaches the client as any other bytes.
            if server.read_tls(&mut rest).is_err() || server.process_new_packets().is_err() {
                break;
            }
            let _ = server.reader().read_to_end(&mut Vec::new());
        }
        !sent.is_empty()
    }
}

/// The input: PEM texts of authorities, certificates and a key, each but the last ended by the byte 0xFF. A line
/// `@authority`, `@cert` or `@key` stands for a real one. What is wrong with them is said on one line.
pub fn tls_pem(input: &[u8]) {
    let texts: Vec<Vec<u8>> = input.split(|byte| *byte == 0xff).take(3).map(expanded).collect();
    let mut texts = texts.into_iter();
    let trust = Trust::Pem(texts.next().unwrap_or_default());
    let identity = texts.next().zip(texts.next());
    let client = identity.map(|(cert_pem, key_pem)| ClientIdentity { cert_pem, key_pem });
    match Client::new(Options { trust, client, ..Options::default() }) {
        Ok(client) => {
            let mut hello = Vec::new();
            client.session(NAME, &mut hello).expect("the name is sound");
            assert!(!hello.is_empty());
        }
        Err(error) => assert_fit_for_a_terminal(&error.to_string()),
    }
}

/// The text with its placeholders filled in.
fn expanded(text: &[u8]) -> Vec<u8> {
    text.split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| match line.trim_ascii() {
            b"@authority" => PAPERS.authority_pem.as_bytes(),
            b"@cert" => PAPERS.cert_pem.as_bytes(),
            b"@key" => PAPERS.key_pem.as_bytes(),
            _ => line,
        })
        .copied()
        .collect()
}
