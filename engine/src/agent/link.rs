//! The connection to the coordinator.
//!
//! What it is: one task that connects, hands on what comes with the instant at which it came, and ends with the connection;
//! the token and the certificates that a connection takes; and the fetching of files. What it is not: a decision; whether and
//! when to connect again is the driver's.

use std::path::PathBuf;
use std::time::Duration;

use clock::{Clock, OsClock, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use wire::grpc::fleet_client::FleetClient;
use wire::grpc::{FetchRequest, MESSAGE_BYTES_MAX, NodeMessage};
use wire::{FileRef, FromNode, ToNode};

use super::state::State;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a quiet connection is asked whether it is there, and how long the answer may take.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// Whom to attend, and how.
#[derive(Clone)]
pub struct Coordinator {
    /// The host and port.
    pub address: String,
    /// Speak TLS, with these roots; the system's if empty.
    pub tls: Option<Tls>,
    /// What proves that this node may join.
    pub token: Option<String>,
}

/// The certificates of a connection.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Whom to trust (PEM).
    pub authority_pem: Option<Vec<u8>>,
    /// Who this node is: certificate and key (PEM).
    pub identity_pem: Option<(Vec<u8>, PrivatePem)>,
}

/// A key, which is never shown.
#[derive(Clone)]
pub struct PrivatePem(pub Vec<u8>);

impl std::fmt::Debug for PrivatePem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivatePem(***)")
    }
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A connection's number, by which what it still says after it was let go is known, and what it did.
pub(super) type Numbered = (u64, Heard);

/// What a connection did.
#[derive(Debug)]
pub(super) enum Heard {
    /// It stands; what is put into the sender is said.
    Connected {
        /// To speak.
        say: mpsc::UnboundedSender<NodeMessage>,
        /// To fetch.
        client: Client,
    },
    /// The coordinator said something.
    Told {
        /// When it came.
        received: Timestamp,
        /// What.
        message: Box<ToNode>,
    },
    /// It is over.
    Closed {
        /// Why, in words.
        reason: String,
    },
}

/// A way to ask the coordinator for files.
#[derive(Clone, Debug)]
pub(super) struct Client {
    fleet: FleetClient<Channel>,
    token: Option<MetadataValue<Ascii>>,
}

/// Why there is no way to the coordinator at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// The address or the certificates are no good.
    #[error("--coordinator: {0} → HOST:PORT, and certificates in PEM")]
    Unusable(String),
}

impl Coordinator {
    /// The way to it, over which nothing was said yet.
    pub(super) fn endpoint(&self) -> Result<Endpoint, LinkError> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let unusable = |error: tonic::transport::Error| LinkError::Unusable(causes(&error));
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address)).map_err(unusable)?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        let Some(tls) = &self.tls else { return Ok(endpoint) };
        let mut config = ClientTlsConfig::new();
        config = match &tls.authority_pem {
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            None => config.with_native_roots(),
        };
        if let Some((certificate, key)) = &tls.identity_pem {
            config = config.identity(Identity::from_pem(certificate, &key.0));
        }
        endpoint.tls_config(config).map_err(unusable)
    }

    fn bearer(&self) -> Result<Option<MetadataValue<Ascii>>, LinkError> {
        let Some(token) = &self.token else { return Ok(None) };
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
            .parse()
            .map_err(|_| LinkError::Unusable("the join token holds what no header may".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Connects, and tells what comes until the connection ends.
pub(super) async fn attend(
    coordinator: Coordinator,
    endpoint: Endpoint,
    number: u64,
    heard: mpsc::UnboundedSender<Numbered>,
) {
    let tell = |what| {
        // Nobody listens any more when the driver has ended.
        let _ = heard.send((number, what));
    };
    let reason = match converse(&coordinator, endpoint, &tell).await {
        Ok(()) => "the coordinator closed the connection".to_owned(),
        Err(reason) => reason,
    };
    tell(Heard::Closed { reason });
}

async fn converse(
    coordinator: &Coordinator,
    endpoint: Endpoint,
    tell: &impl Fn(Heard),
) -> Result<(), String> {
    let token = coordinator.bearer().map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| causes(&error))?;
    let mut fleet = FleetClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let client = Client { fleet: fleet.clone(), token: token.clone() };
    let (say, said) = mpsc::unbounded_channel();
    // The coordinator may wait for the Hello before it answers at all.
    tell(Heard::Connected { say, client });
    let request = with_token(UnboundedReceiverStream::new(said), token.as_ref());
    let mut messages = fleet.attend(request).await.map_err(|status| said_no(&status))?.into_inner();
    while let Some(message) = messages.message().await.map_err(|status| said_no(&status))? {
        let received = OsClock.now();
        let message =
            ToNode::try_from(message).map_err(|error| format!("the coordinator says nonsense: {error}"))?;
        tell(Heard::Told { received, message: Box::new(message) });
    }
    Ok(())
}

impl Client {
    /// Fetches a file into the node's folder, and checks it.
    pub(super) async fn fetch(&mut self, state: &State, file: FileRef) -> Result<(), FetchError> {
        let broken = |error: std::io::Error| FetchError::Refused(error.to_string());
        let request = FetchRequest { sha256: file.sha256.to_vec().into() };
        let request = with_token(request, self.token.as_ref());
        let mut pieces =
            self.fleet.fetch(request).await.map_err(|status| FetchError::of(&status))?.into_inner();
        let mut incoming = state.incoming(file).map_err(broken)?;
        while let Some(piece) = pieces.message().await.map_err(|status| FetchError::of(&status))? {
            incoming.take(&piece.content).map_err(broken)?;
        }
        state.take_in(incoming).map_err(broken)
    }
}

/// Why a file did not come.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The connection ended: over the next one it may come.
    Cut,
    /// It is not to be had, or cannot be kept.
    Refused(String),
}

impl FetchError {
    fn of(status: &Status) -> Self {
        match status.code() {
            // What a connection that ends, or a coordinator that does, says; no coordinator says these of a file.
            tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled => Self::Cut,
            _ if std::error::Error::source(status).is_some() => Self::Cut,
            _ => Self::Refused(said_no(status)),
        }
    }
}

fn with_token<T>(message: T, token: Option<&MetadataValue<Ascii>>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token.clone());
    }
    request
}

/// What a status says, for people.
fn said_no(status: &Status) -> String {
    match status.code() {
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
            format!("the coordinator does not let this node in: {}", status.message())
        }
        tonic::Code::Unknown | tonic::Code::Unavailable => causes(status),
        code => format!("{code}: {}", status.message()),
    }
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Where a message of this node goes; one that goes nowhere is told again on the next connection.
pub(super) fn say(to: Option<&mpsc::UnboundedSender<NodeMessage>>, message: FromNode) {
    if let Some(to) = to {
        let _ = to.send(message.into());
    }
}

/// The default folder of a node.
pub(super) fn default_state(
    name: &str,
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Option<PathBuf> {
    let given = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = given("XDG_STATE_HOME").or_else(|| given("HOME").map(|home| home.join(".local/state")))?;
    Some(base.join("openloop").join(format!("node-{name}")))
}
