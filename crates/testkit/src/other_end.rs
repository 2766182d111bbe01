//! A TLS 1.3 server in memory.
//!
//! What it is: the honest other end of a client session, for whoever measures or tests the client alone.
//! What it is not: a socket. Nothing moves that the caller does not move.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};

/// A certificate that vouches for itself and its key (ECDSA on P-256), and how a server uses them: no tickets.
#[derive(Clone, Debug)]
pub struct Papers(Arc<ServerConfig>);

impl Papers {
    /// Papers in that name, with a key that is made now.
    pub fn new(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("the name is valid");
        let certificate = params.self_signed(&key).expect("a certificate can be made");
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("the certificate is the key's");
        config.send_tls13_tickets = 0;
        Self(Arc::new(config))
    }
}

/// The server of one connection. Its functions are never inlined, so that an instrument can look away by their names.
#[derive(Debug)]
pub struct OtherEnd(ServerConnection);

impl OtherEnd {
    /// A server that has heard nothing yet.
    #[inline(never)]
    pub fn new(papers: &Papers) -> Self {
        Self(ServerConnection::new(Arc::clone(&papers.0)).expect("the configuration is valid"))
    }

    /// Takes what the client sent, says `plain`, and appends what that becomes on the wire to `wire`.
    #[inline(never)]
    pub fn answer(&mut self, mut sent: &[u8], plain: &[u8], wire: &mut Vec<u8>) {
        while !sent.is_empty() {
            self.0.read_tls(&mut sent).expect("a slice can be read");
            self.0.process_new_packets().expect("the client keeps the protocol");
        }
        // An error says no more than that there is nothing more by now.
        let _ = self.0.reader().read_to_end(&mut Vec::new());
        self.0.writer().write_all(plain).expect("memory can be written");
        while self.0.wants_write() {
            self.0.write_tls(wire).expect("memory can be written");
        }
    }
}
