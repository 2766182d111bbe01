//! TLS by rustls: the server's configuration and, if none is given, a certificate made at start.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::config::{Identity, TlsConfig};
use crate::error::StartError;

/// A configuration ready for every connection.
pub(crate) struct Tls {
    pub(crate) server: Arc<ServerConfig>,
    /// What clients must trust, in PEM: the authority made at start, or the chain that was given.
    pub(crate) trust_pem: String,
}

/// Makes the configuration; writes what clients must trust where asked.
pub(crate) fn prepare(config: &TlsConfig) -> Result<Tls, StartError> {
    let (identity, trust_pem) = match &config.identity {
        Some(identity) => {
            let pem = String::from_utf8_lossy(&identity.certificate_pem).into_owned();
            (identity.clone(), pem)
        }
        None => self_made().map_err(|error| unusable("own certificate", &error))?,
    };
    let server = server_config(&identity, config.client_authorities_pem.as_deref())?;
    if let Some(path) = &config.certificate_out {
        std::fs::write(path, &trust_pem)
            .map_err(|source| StartError::Write { path: path.clone(), source })?;
    }
    Ok(Tls { server: Arc::new(server), trust_pem })
}

fn unusable(what: &'static str, problem: &dyn ToString) -> StartError {
    StartError::Certificate { what, problem: problem.to_string() }
}

fn server_config(identity: &Identity, authorities: Option<&[u8]>) -> Result<ServerConfig, StartError> {
    let chain = certificates("certificate", &identity.certificate_pem)?;
    let key =
        PrivateKeyDer::from_pem_slice(&identity.key_pem).map_err(|error| unusable("private key", &error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("certificate", &error))?;
    let builder = match authorities {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("client authority", pem)? {
                roots.add(certificate).map_err(|error| unusable("client authority", &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| unusable("client authority", &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| unusable("certificate", &error))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets rather than a table of sessions: resumption then costs no memory and no lock between threads.
    server.ticketer = ring::Ticketer::new().map_err(|error| unusable("session ticket key", &error))?;
    Ok(server)
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(what, &error))?;
    if certificates.is_empty() {
        return Err(unusable(what, &"no certificate in it"));
    }
    Ok(certificates)
}

/// An authority of its own and, signed by it, a certificate for this machine's loopback names.
fn self_made() -> Result<(Identity, String), rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "openloop target authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "openloop target");
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
    let identity = Identity {
        certificate_pem: certificate.pem().into_bytes(),
        key_pem: key.serialize_pem().into_bytes(),
    };
    Ok((identity, authority.pem()))
}
