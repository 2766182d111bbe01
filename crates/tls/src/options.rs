//! What a user may choose about TLS.
//!
//! What it is: plain data, checked by [`crate::Client::new`].
//! What it is not: a file reader; PEM arrives as bytes.

use std::fmt;

/// Everything that the sessions of a [`crate::Client`] have in common.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The certificate we show when the server asks for one.
    pub client: Option<ClientIdentity>,
    /// Application protocols to offer, best first, such as `h2` and `http/1.1`; empty offers none.
    pub alpn: Vec<Vec<u8>>,
    /// Whether a later session may resume an earlier one. Without it, every session is a full handshake.
    pub resumption: bool,
    /// The oldest protocol version to accept.
    pub min_version: Version,
    /// The newest protocol version to offer.
    pub max_version: Version,
}

impl Default for Options {
    /// The system's roots, no identity, no ALPN, resumption, both versions.
    fn default() -> Self {
        Self {
            trust: Trust::System,
            client: None,
            alpn: Vec::new(),
            resumption: true,
            min_version: Version::Tls12,
            max_version: Version::Tls13,
        }
    }
}

/// Whose server certificates are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The platform's roots, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    System,
    /// Only the certificate authorities in this PEM text.
    Pem(Vec<u8>),
    /// Anybody: names, dates and issuers are not looked at. That the peer holds the key of the certificate it
    /// shows is still checked wherever that certificate can be read. The caller marks its results accordingly.
    Insecure,
}

/// A certificate chain, leaf first, and its private key, both as PEM text.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The certificate, followed by any intermediates.
    pub cert_pem: Vec<u8>,
    /// The unencrypted private key: PKCS #8, PKCS #1 or SEC 1.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for ClientIdentity {
    /// Shows sizes only: a private key must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("cert_pem_bytes", &self.cert_pem.len())
            .field("key_pem_bytes", &self.key_pem.len())
            .finish()
    }
}

/// A protocol version.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// The version as people write it: `TLS 1.2`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
