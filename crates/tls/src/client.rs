//! What many sessions share.
//!
//! What it is: checked options, turned once into rustls' configuration.
//! What it is not: a pool. A client knows no sessions, only the tickets that they left.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientSessionMemoryCache, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::{DnsName, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion};

use crate::verdicts::Verdicts;
use crate::{ClientIdentity, Options, Session, SetupError, Trust, Version, pem};

const CA: &str = "the CA file";
const CLIENT_CERT: &str = "the client certificate";
const CLIENT_KEY: &str = "the client's private key";

/// How many sessions are remembered for resumption: rustls keeps eight TLS 1.3 tickets for each server, so this
/// is 32 servers. A ticket serves once; a server that sends none is not resumed.
const REMEMBERED_SESSIONS: usize = 256;

/// What is offered, in the order in which browsers offer it. Both strengths of AES-GCM are beyond attack; behind the
/// smaller is SHA-256, which processors compute by themselves, and a handshake is full of it.
const CIPHER_SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// What many sessions share: trust, identity, ALPN, versions, tickets.
///
/// Tickets and verdicts on chains are behind locks. One client per shard, made by [`Client::separate`], keeps them
/// uncontended.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    /// Who judges chains; nobody in insecure mode.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    resumption: bool,
}

impl Client {
    /// Checks `options`. With [`Trust::System`], this reads the platform's roots, which takes milliseconds.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let provider =
            Arc::new(CryptoProvider { cipher_suites: CIPHER_SUITES.to_vec(), ..default_provider() });
        check_alpn(&options.alpn)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions(&options)?)
            .map_err(|error| SetupError::Provider { detail: error.to_string() })?;
        let verifier = match &options.trust {
            Trust::System => Some(verifier(system_roots()?, &provider)?),
            Trust::Pem(text) => Some(verifier(own_roots(text)?, &provider)?),
            Trust::Insecure => None,
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(match &verifier {
            Some(verifier) => remembering(verifier),
            None => Arc::new(crate::verify::AcceptAnyone::new(Arc::clone(&provider))),
        });
        let mut config = match &options.client {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(certified_key(identity, &provider)?))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = options.alpn;
        config.resumption = resumption(options.resumption);
        Ok(Self { config: Arc::new(config), verifier, resumption: options.resumption })
    }

    /// The same client with tickets and verdicts of its own: what one shard remembers, another does not see.
    #[must_use]
    pub fn separate(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = resumption(self.resumption);
        if let Some(verifier) = &self.verifier {
            config.dangerous().set_certificate_verifier(remembering(verifier));
        }
        Self { config: Arc::new(config), verifier: self.verifier.clone(), resumption: self.resumption }
    }

    /// Begins a session with `server_name`, a DNS name or an IP address (an IPv6 address with or without
    /// brackets), and appends the `ClientHello` to `out`.
    ///
    /// A DNS name is sent as SNI; an address is not (RFC 6066, section 3), but the certificate must name it.
    pub fn session(&self, server_name: &str, out: &mut Vec<u8>) -> Result<Session, SetupError> {
        Session::new(Arc::clone(&self.config), parse_name(server_name)?, out)
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, SetupError> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    match DnsName::try_from(name.to_owned()) {
        Ok(dns) => Ok(ServerName::DnsName(dns)),
        Err(_) => Err(SetupError::ServerName { name: name.to_owned() }),
    }
}

fn check_alpn(protocols: &[Vec<u8>]) -> Result<(), SetupError> {
    // RFC 7301, section 3.1: opaque ProtocolName<1..2^8-1>.
    match protocols.iter().position(|name| name.is_empty() || name.len() > 255) {
        Some(index) => Err(SetupError::Alpn { number: index + 1, length: protocols[index].len() }),
        None => Ok(()),
    }
}

fn versions(options: &Options) -> Result<&'static [&'static SupportedProtocolVersion], SetupError> {
    const TLS12: &SupportedProtocolVersion = &rustls::version::TLS12;
    const TLS13: &SupportedProtocolVersion = &rustls::version::TLS13;
    match (options.min_version, options.max_version) {
        (Version::Tls12, Version::Tls12) => Ok(&[TLS12]),
        (Version::Tls12, Version::Tls13) => Ok(&[TLS13, TLS12]),
        (Version::Tls13, Version::Tls13) => Ok(&[TLS13]),
        (min, max) => Err(SetupError::Versions { min, max }),
    }
}

fn resumption(is_on: bool) -> Resumption {
    if is_on {
        Resumption::store(Arc::new(ClientSessionMemoryCache::new(REMEMBERED_SESSIONS)))
    } else {
        Resumption::disabled()
    }
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, SetupError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| SetupError::Provider { detail: error.to_string() })
}

/// That verifier with a memory of its own.
fn remembering(verifier: &Arc<WebPkiServerVerifier>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Verdicts::new(Arc::clone(verifier) as Arc<dyn ServerCertVerifier>))
}

fn system_roots() -> Result<RootCertStore, SetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let detail = match found.errors.first() {
        Some(error) => error.to_string(),
        None => format!("{ignored} certificates found, none of them readable"),
    };
    Err(SetupError::NoSystemRoots { detail })
}

fn own_roots(text: &[u8]) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(CA, text)? {
        roots.add(certificate.der).map_err(|error| unreadable(CA, certificate.line, &error))?;
    }
    Ok(roots)
}

fn certified_key(
    identity: &ClientIdentity,
    provider: &CryptoProvider,
) -> Result<SingleCertAndKey, SetupError> {
    let certificates = pem::certificates(CLIENT_CERT, &identity.cert_pem)?;
    let key = pem::private_key(CLIENT_KEY, &identity.key_pem)?;
    let signing_key = provider.key_provider.load_private_key(key.der).map_err(|error| SetupError::Pem {
        what: CLIENT_KEY,
        line: key.line,
        fault: format!("the key cannot be used ({error})"),
        fix: "use an RSA key of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519".to_owned(),
    })?;
    let first_line = certificates[0].line;
    let chain = certificates.into_iter().map(|certificate| certificate.der).collect();
    let certified = CertifiedKey::new(chain, signing_key);
    match certified.keys_match() {
        Ok(()) => Ok(SingleCertAndKey::from(certified)),
        Err(Error::InconsistentKeys(_)) => Err(SetupError::KeyMismatch),
        Err(error) => Err(unreadable(CLIENT_CERT, first_line, &error)),
    }
}

fn unreadable(what: &'static str, line: u32, error: &Error) -> SetupError {
    SetupError::Pem {
        what,
        line,
        fault: format!("the certificate cannot be read ({error})"),
        fix: "look at it with `openssl x509 -noout -text`, and export it again".to_owned(),
    }
}
