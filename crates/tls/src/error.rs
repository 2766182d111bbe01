//! What can go wrong: when a client is set up, in sentences; and on a session, as a small `Copy` enum.
//!
//! Invariant: a [`TlsError`] holds nothing of the peer's but one alert code, so it can be counted and shown.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

/// Why a [`crate::Client`] or a [`crate::Session`] could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A PEM text is not what it should be.
    #[error("{what}, line {line}: {fault}; {fix}")]
    Pem {
        /// Which of the texts.
        what: &'static str,
        /// Where in it, from 1.
        line: u32,
        /// What is wrong there.
        fault: String,
        /// How to set it right.
        fix: String,
    },
    /// The client certificate and the private key do not belong together.
    #[error(
        "the client certificate and the private key do not belong together: the key's public half is not the one \
         that the first certificate names; put the leaf certificate first, or give the key that it was issued for"
    )]
    KeyMismatch,
    /// The platform offers no root certificates.
    #[error(
        "no usable root certificates on this system ({detail}); install them (on most systems the package \
         ca-certificates), point SSL_CERT_FILE at a bundle, or give a CA file of your own"
    )]
    NoSystemRoots {
        /// What was tried.
        detail: String,
    },
    /// The oldest version to accept is newer than the newest to offer.
    #[error("the oldest version to accept, {min}, is newer than the newest to offer, {max}; swap them")]
    Versions {
        /// The configured minimum.
        min: crate::Version,
        /// The configured maximum.
        max: crate::Version,
    },
    /// An application protocol cannot be offered.
    #[error(
        "application protocol {number} has {length} bytes; ALPN names have 1 to 255 bytes, like h2 or http/1.1"
    )]
    Alpn {
        /// Its place in the list, from 1.
        number: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// The server's name is neither a DNS name nor an IP address.
    #[error(
        "{name:?} is neither a DNS name nor an IP address; give the host alone, without scheme, port or spaces, \
         and international names in their ASCII form (xn--…)"
    )]
    ServerName {
        /// The name as given.
        name: String,
    },
    /// The provider of cryptography refused.
    #[error(
        "TLS could not be set up: {detail}; this is a fault of the build or the machine, please report it"
    )]
    Provider {
        /// What the provider said.
        detail: String,
    },
}

/// Why a session failed. A failed session is of no further use; its connection is to be closed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TlsError {
    /// The server's certificate is past its end date.
    #[error("the server's certificate has expired")]
    Expired,
    /// The server's certificate is not valid yet.
    #[error("the server's certificate is not valid yet; check the clocks of both machines")]
    NotYetValid,
    /// The server's certificate is for other names.
    #[error("the server's certificate is not for this name")]
    Name,
    /// The server's certificate is self-signed, or no trusted authority issued it.
    #[error(
        "nobody that is trusted issued the server's certificate; it may be self-signed, or lack an intermediate"
    )]
    UnknownIssuer,
    /// The server shows a certificate authority's certificate as its own.
    #[error("the server's certificate is marked as an authority's (CA:TRUE), which a server's must not be")]
    AuthorityAsServer,
    /// The server's certificate has been revoked.
    #[error("the server's certificate has been revoked")]
    Revoked,
    /// Any other fault of the server's certificate: encoding, signature, purpose, key too weak, none shown.
    #[error("the server's certificate is not acceptable")]
    Certificate,
    /// No application protocol in common.
    #[error("no application protocol (ALPN) in common with the server")]
    Alpn,
    /// No protocol version in common.
    #[error("no TLS version in common with the server")]
    Version,
    /// The server and we have a version in common, but no cipher suite, group or signature scheme.
    #[error("no cipher suite, key exchange group or signature scheme in common with the server")]
    Incompatible,
    /// The server ended the session with an alert; RFC 8446, section 6.2 and RFC 5246, section 7.2.2 list them.
    #[error("the server sent alert {code} ({})", alert_name(*.code))]
    Alert {
        /// The alert's number.
        code: u8,
    },
    /// A record did not decrypt: damaged on the way, or forged.
    #[error("a record did not decrypt")]
    BadRecord,
    /// What the server sent is not TLS, or breaks its rules.
    #[error("the server does not speak TLS here, or breaks its rules")]
    Protocol,
    /// A handshake message, usually the certificate chain, is larger than what is accepted.
    #[error("the server's handshake is too large")]
    HandshakeTooLarge,
    /// These keys have protected as many records as they may (2^24 with AES-GCM); a new connection is needed. Only
    /// TLS 1.2 comes here: TLS 1.3 changes its keys by itself. Found in [`crate::Session::send`] only.
    #[error("the session's keys are used up")]
    KeysUsedUp,
}

/// The names of RFC 8446, section 6 and RFC 5246, section 7.2; RFC 7301 for the last.
const fn alert_name(code: u8) -> &'static str {
    match code {
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "unassigned",
    }
}

impl TlsError {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(fault) => Self::of_certificate(fault),
            Error::NoCertificatesPresented => Self::Certificate,
            Error::AlertReceived(AlertDescription::NoApplicationProtocol) | Error::NoApplicationProtocol => {
                Self::Alpn
            }
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => Self::Version,
            Error::AlertReceived(description) => Self::Alert { code: u8::from(*description) },
            Error::PeerIncompatible(_) => Self::Incompatible,
            Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => Self::Alpn,
            Error::DecryptError => Self::BadRecord,
            Error::InvalidMessage(
                InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
            ) => Self::HandshakeTooLarge,
            _ => Self::Protocol,
        }
    }

    fn of_certificate(fault: &CertificateError) -> Self {
        match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::Name,
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Revoked => Self::Revoked,
            // The verifier has no variant of its own for this frequent mistake; its text is what tells it.
            CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
                Self::AuthorityAsServer
            }
            _ => Self::Certificate,
        }
    }

    /// Whether the same request may be sent again on a new connection: nothing of it has left, and nobody is at
    /// fault.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::KeysUsedUp)
    }

    /// Whether the fault lies in the certificate that the server shows.
    pub const fn is_certificate(self) -> bool {
        matches!(
            self,
            Self::Expired
                | Self::NotYetValid
                | Self::Name
                | Self::UnknownIssuer
                | Self::AuthorityAsServer
                | Self::Revoked
                | Self::Certificate
        )
    }
}
