//! The verifier of insecure mode.
//!
//! What it is: acceptance of any certificate, whatever its name, dates and issuer.
//! What it is not: a way around the handshake's own signature. The peer must hold the key of the certificate
//! that it shows, as far as that certificate can be read at all; of one that cannot, the signature's form is
//! checked. So a handshake costs about what it costs with verification, and a broken server is still seen.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};

#[derive(Debug)]
pub(crate) struct AcceptAnyone {
    provider: Arc<CryptoProvider>,
}

impl AcceptAnyone {
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }

    /// Lets pass what fails only because the certificate cannot be read.
    fn judge(
        &self,
        result: Result<HandshakeSignatureValid, Error>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match result {
            Err(Error::InvalidCertificate(CertificateError::BadSignature)) => result,
            Err(Error::InvalidCertificate(_)) if self.is_well_formed(signed) => {
                Ok(HandshakeSignatureValid::assertion())
            }
            Err(Error::InvalidCertificate(_)) => {
                Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
            }
            _ => result,
        }
    }

    fn is_well_formed(&self, signed: &DigitallySignedStruct) -> bool {
        !signed.signature().is_empty() && self.supported_verify_schemes().contains(&signed.scheme)
    }
}

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.judge(verify_tls12_signature(message, cert, signed, algorithms), signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.judge(verify_tls13_signature(message, cert, signed, algorithms), signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
