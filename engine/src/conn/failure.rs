//! What went wrong, in the words that results are counted by.
//!
//! What it is: the mapping of protocol, TLS and operating system errors to [`ErrorClass`].
//! What it is not: a place for text; classes are counted, never formatted, on the shard's thread.

use http1::{ErrorKind, ProtocolError};
use measure::ErrorClass;
use rustix::io::Errno as Code;
use tls::TlsError;

use crate::io::Errno;

fn is(errno: Errno, code: Code) -> bool {
    errno.0 == code.raw_os_error()
}

/// Why a connection could not be made.
pub(crate) fn of_connect_errno(errno: Errno) -> ErrorClass {
    if is(errno, Code::CONNREFUSED) {
        ErrorClass::ConnectRefused
    } else if is(errno, Code::TIMEDOUT) {
        ErrorClass::ConnectTimeout
    } else if is(errno, Code::CONNRESET) || is(errno, Code::CONNABORTED) {
        ErrorClass::ConnectReset
    } else if is(errno, Code::NETUNREACH) || is(errno, Code::HOSTUNREACH) || is(errno, Code::NETDOWN) {
        ErrorClass::ConnectUnreachable
    } else {
        ErrorClass::ConnectOther
    }
}

/// Why a connection that stood broke.
pub(crate) fn of_errno(errno: Errno) -> ErrorClass {
    if is(errno, Code::PIPE) {
        ErrorClass::BrokenPipe
    } else if is(errno, Code::TIMEDOUT) {
        ErrorClass::Timeout
    } else {
        ErrorClass::Reset
    }
}

/// What a response did wrong.
pub(crate) fn of_protocol(error: ProtocolError) -> ErrorClass {
    match error.kind() {
        ErrorKind::Protocol => ErrorClass::Protocol,
        ErrorKind::Desync => ErrorClass::Desync,
        ErrorKind::HeadLimit => ErrorClass::HeadLimit,
        ErrorKind::BodyLimit => ErrorClass::BodyLimit,
        ErrorKind::InterimLimit => ErrorClass::InterimLimit,
        ErrorKind::ClosedEarly => ErrorClass::ClosedEarly,
    }
}

/// What a TLS session did wrong.
pub(crate) fn of_tls(error: TlsError) -> ErrorClass {
    match error {
        TlsError::Expired => ErrorClass::TlsExpired,
        TlsError::Name => ErrorClass::TlsName,
        TlsError::UnknownIssuer => ErrorClass::TlsUnknownIssuer,
        TlsError::NotYetValid | TlsError::AuthorityAsServer | TlsError::Revoked | TlsError::Certificate => {
            ErrorClass::TlsCertificate
        }
        TlsError::Alpn => ErrorClass::TlsAlpn,
        TlsError::Version | TlsError::Incompatible => ErrorClass::TlsVersion,
        TlsError::Alert { .. } => ErrorClass::TlsAlert,
        TlsError::BadRecord | TlsError::Protocol | TlsError::HandshakeTooLarge | TlsError::KeysUsedUp => {
            ErrorClass::TlsProtocol
        }
    }
}
