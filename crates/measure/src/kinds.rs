//! What is measured and what can go wrong: the closed lists whose names stand in the documents.
//!
//! What it is: `Copy` enums with their document names, usable as array indices.
//! What it is not: text for people; the names are a contract and change only with a document's number.

/// A latency that is measured.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Latency {
    /// Intended send time to the shard getting to it; the generator answers for it.
    Lag,
    /// The shard getting to it to the actual send.
    Queue,
    /// Actual send to the last response byte.
    Service,
    /// Intended send time to the last response byte, or to the failure.
    Response,
    /// The response time of the exchanges that succeeded.
    ResponseOk,
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// Actual send to the first response byte.
    FirstByte,
}

impl Latency {
    /// All of them, the headline first, in the order in which reports list them.
    pub const ALL: &[Self] = &[
        Self::Response,
        Self::ResponseOk,
        Self::Service,
        Self::Queue,
        Self::Lag,
        Self::Connect,
        Self::Tls,
        Self::FirstByte,
    ];

    /// The name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::Queue => "queue",
            Self::Service => "service",
            Self::Response => "response",
            Self::ResponseOk => "response_ok",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::FirstByte => "first_byte",
        }
    }
}

/// Why an exchange failed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ErrorClass {
    /// The peer refused the connection.
    ConnectRefused,
    /// The connection was not established in time.
    ConnectTimeout,
    /// The peer reset the connection while it was being established.
    ConnectReset,
    /// No route to the host or the network.
    ConnectUnreachable,
    /// Connecting failed for another reason.
    ConnectOther,
    /// The certificate is unusable for a reason without a class of its own.
    TlsCertificate,
    /// The certificate has expired or is not valid yet.
    TlsExpired,
    /// The certificate is for another name.
    TlsName,
    /// The certificate's issuer is not trusted.
    TlsUnknownIssuer,
    /// No common application protocol.
    TlsAlpn,
    /// No common TLS version or cipher suite.
    TlsVersion,
    /// The peer sent a fatal alert.
    TlsAlert,
    /// The peer broke the TLS protocol.
    TlsProtocol,
    /// The handshake was not finished in time.
    TlsTimeout,
    /// The peer closed the connection during the handshake.
    TlsClosed,
    /// The connection was reset during the exchange.
    Reset,
    /// The connection was closed before the response was complete.
    ClosedEarly,
    /// The connection was closed before the request was sent in full.
    BrokenPipe,
    /// No response byte came in time.
    TimeoutFirstByte,
    /// The response began but was not complete in time.
    Timeout,
    /// The peer broke HTTP, or the protocol that is spoken instead.
    Protocol,
    /// Bytes came that belong to no request.
    Desync,
    /// The response head is larger than allowed.
    HeadLimit,
    /// The response body is larger than allowed.
    BodyLimit,
    /// More interim responses than allowed.
    InterimLimit,
    /// The response has a status that was asked to count as a failure.
    Status,
    /// Sending or receiving failed for a reason without a class of its own.
    Other,
}

impl ErrorClass {
    /// All of them, by index.
    pub const ALL: &[Self] = &[
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectReset,
        Self::ConnectUnreachable,
        Self::ConnectOther,
        Self::TlsCertificate,
        Self::TlsExpired,
        Self::TlsName,
        Self::TlsUnknownIssuer,
        Self::TlsAlpn,
        Self::TlsVersion,
        Self::TlsAlert,
        Self::TlsProtocol,
        Self::TlsTimeout,
        Self::TlsClosed,
        Self::Reset,
        Self::ClosedEarly,
        Self::BrokenPipe,
        Self::TimeoutFirstByte,
        Self::Timeout,
        Self::Protocol,
        Self::Desync,
        Self::HeadLimit,
        Self::BodyLimit,
        Self::InterimLimit,
        Self::Status,
        Self::Other,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`ErrorClass::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectReset => "connect_reset",
            Self::ConnectUnreachable => "connect_unreachable",
            Self::ConnectOther => "connect_other",
            Self::TlsCertificate => "tls_certificate",
            Self::TlsExpired => "tls_expired",
            Self::TlsName => "tls_name",
            Self::TlsUnknownIssuer => "tls_unknown_issuer",
            Self::TlsAlpn => "tls_alpn",
            Self::TlsVersion => "tls_version",
            Self::TlsAlert => "tls_alert",
            Self::TlsProtocol => "tls_protocol",
            Self::TlsTimeout => "tls_timeout",
            Self::TlsClosed => "tls_closed",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed_early",
            Self::BrokenPipe => "broken_pipe",
            Self::TimeoutFirstByte => "timeout_first_byte",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Desync => "desync",
            Self::HeadLimit => "head_limit",
            Self::BodyLimit => "body_limit",
            Self::InterimLimit => "interim_limit",
            Self::Status => "status",
            Self::Other => "other",
        }
    }
}

/// Why an arrival was never sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// The queue of arrivals waiting for a connection was full; the target's cause.
    QueueFull,
    /// Its deadline passed while it waited for a connection; the target's cause.
    Expired,
    /// The generator was late and was told to skip; the generator's cause.
    Late,
    /// This host had no descriptor, port or memory for it; the generator's cause.
    LocalResource,
    /// It was still waiting when a signal or a stop ended the run.
    Interrupted,
}

impl DropReason {
    /// All of them, by index.
    pub const ALL: &[Self] =
        &[Self::QueueFull, Self::Expired, Self::Late, Self::LocalResource, Self::Interrupted];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`DropReason::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Expired => "expired",
            Self::Late => "late",
            Self::LocalResource => "local_resource",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether the arrival was lost waiting for the target.
    pub const fn is_targets_cause(self) -> bool {
        matches!(self, Self::QueueFull | Self::Expired)
    }

    /// Whether the arrival was lost by the generator's own fault.
    pub const fn is_generators_cause(self) -> bool {
        matches!(self, Self::Late | Self::LocalResource)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn indices_are_positions_and_names_are_distinct_snake_case() {
        let mut names = BTreeSet::new();
        for (position, class) in ErrorClass::ALL.iter().enumerate() {
            assert_eq!(class.index(), position);
            assert!(names.insert(class.name()));
        }
        for (position, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), position);
            assert!(names.insert(reason.name()));
            assert!(!(reason.is_targets_cause() && reason.is_generators_cause()));
        }
        for latency in Latency::ALL {
            assert!(names.insert(latency.name()));
        }
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        assert_eq!(Latency::ALL.len(), 8);
    }
}
