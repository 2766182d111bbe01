//! The nodes' edge: one stream per node, by gRPC.
//!
//! What it is: connections taken in bounded numbers, messages turned into plain data and back, files handed out by digest.
//! What it is not: a decision. What a node says is heard by the director, with the instant at which it came.
//!
//! Invariants: nothing a stranger sends panics here or takes more memory than a bound; a node that does not read is cut off,
//! not waited for; where tokens are asked for, nothing is heard and no file handed out without one of a node's.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::{Clock as _, OsClock, Timestamp};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wire::grpc::fleet_server::{Fleet, FleetServer};
use wire::grpc::{CoordinatorMessage, FetchRequest, FilePiece, MESSAGE_BYTES_MAX, NodeMessage};
use wire::{FromNode, ToNode};

use crate::files::{Content, Repository};
use crate::security::{Audit, FailureLimiter, Places, Role, TokenKey, Tried, id_of};
use crate::wall::now_unix_ns;

mod ear;
mod lines;

use ear::Ear;

/// Messages that may wait to be heard, over all nodes; then nodes wait.
const HEARD_LIMIT: usize = 4_096;
/// Messages of more than a quarter of a mebibyte that may wait to be heard.
const LARGE_LIMIT: usize = 16;
/// Messages that may wait to be sent to one node; then it is cut off.
const UNREAD_LIMIT: usize = 4_096;
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// A silent connection is asked for a sign of life this often, and is over without one in the same time.
const PING: Duration = Duration::from_secs(10);
/// A connection whose other end takes nothing for so long is over, in milliseconds.
const UNREAD_MS: u32 = 30_000;
/// Without descriptors, accepting fails at once, again and again.
const REST: Duration = Duration::from_millis(100);
/// A connection of which no call was let in by then is closed, and so is a stream on which nobody said who they are.
const STRANGERS_PATIENCE: Duration = Duration::from_secs(10);
/// Calls at once on one connection: the stream, and files.
const CALLS: u32 = 16;
/// Files that are handed out at once, over all nodes; then others wait.
const FETCHES: usize = 256;
/// Pieces of a file that may wait to be sent.
const PIECES_AHEAD: usize = 4;
/// Who takes no piece of a file for so long gets no more of it.
const FETCH_PATIENCE: Duration = Duration::from_secs(30);

/// What came from nodes.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A connection stands; messages for it go here.
    Opened(u64, mpsc::Sender<ToNode>),
    /// A node said something. A large one holds a place until it was heard.
    Message(u64, Timestamp, Box<FromNode>, Option<OwnedSemaphorePermit>),
    /// A connection is no more.
    Closed(u64),
}

/// How the edge is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// TLS; without it, only this host may be listened to.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whose tokens are asked for.
    pub tokens: Option<Arc<TokenKey>>,
    /// Connections at once.
    pub connection_limit: usize,
    /// Where refusals are noted.
    pub audit: Audit,
}

impl Default for Options {
    fn default() -> Self {
        Self { tls: None, tokens: None, connection_limit: 4_096, audit: Audit::default() }
    }
}

/// What all connections share.
struct Shared {
    heard: mpsc::Sender<Heard>,
    repository: Repository,
    tokens: Option<Arc<TokenKey>>,
    failures: Mutex<FailureLimiter>,
    audit: Audit,
    sessions: AtomicU64,
    fetches: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// The service that a connection speaks to.
#[derive(Clone)]
struct Edge(Arc<Shared>);

/// Whose connection a call came on.
#[derive(Clone, Debug)]
struct Peer {
    address: SocketAddr,
    /// The certificate that it showed, where one was asked for.
    certificate: Option<CertificateDer<'static>>,
    /// Whether a call of it was let in.
    admitted: Arc<AtomicBool>,
}

impl Peer {
    fn new(address: SocketAddr, certificate: Option<CertificateDer<'static>>) -> Self {
        Self { address, certificate, admitted: Arc::default() }
    }
}

/// Where messages of nodes come out, and the queue behind it.
pub(crate) fn queue() -> (mpsc::Sender<Heard>, mpsc::Receiver<Heard>) {
    mpsc::channel(HEARD_LIMIT)
}

/// Takes nodes' connections until `ended`.
pub(crate) async fn serve(
    listener: TcpListener,
    options: Options,
    repository: Repository,
    heard: mpsc::Sender<Heard>,
    mut ended: watch::Receiver<bool>,
) {
    let places = Places::new(options.connection_limit);
    let acceptor = options.tls.map(TlsAcceptor::from);
    let edge = Edge(Arc::new(Shared {
        heard,
        repository,
        tokens: options.tokens,
        failures: Mutex::default(),
        audit: options.audit,
        sessions: AtomicU64::new(1),
        fetches: Arc::new(Semaphore::new(FETCHES)),
        large: Arc::new(Semaphore::new(LARGE_LIMIT)),
    }));
    let over = ended.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.wait_for(|over| *over) => return,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(REST).await;
            continue;
        };
        let Some(place) = places.take(address.ip()) else { continue };
        let (edge, acceptor, over) = (edge.clone(), acceptor.clone(), over.clone());
        tokio::spawn(async move {
            let _place = place;
            // Beats and grants are small and wanted now; who takes nothing of what is sent is gone.
            let _ = stream.set_nodelay(true);
            let _ = set_tcp_user_timeout(&stream, UNREAD_MS);
            match acceptor {
                None => converse(stream, Peer::new(address, None), edge, over).await,
                Some(acceptor) => {
                    let shaken = tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        let shown = stream.get_ref().1.peer_certificates();
                        let certificate = shown.and_then(|chain| chain.first().cloned());
                        converse(stream, Peer::new(address, certificate), edge, over).await;
                    }
                }
            }
        });
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    edge: Edge,
    mut ended: watch::Receiver<bool>,
) {
    let service = FleetServer::new(edge)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let admitted = Arc::clone(&peer.admitted);
    let service = axum::Router::new().fallback_service(service).layer(axum::Extension(peer));
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS)
        .max_header_list_size(16 << 10)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    tokio::select! {
        // A node that breaks off is told by the end of its stream.
        _ = connection.as_mut() => return,
        _ = ended.wait_for(|over| *over) => return,
        // Who says nothing, or nothing right, takes no place of those who do.
        () = tokio::time::sleep(STRANGERS_PATIENCE) => {}
    }
    if admitted.load(Ordering::Relaxed) {
        tokio::select! {
            _ = connection.as_mut() => {}
            _ = ended.wait_for(|over| *over) => {}
        }
    }
}

impl Shared {
    /// Whether whoever calls may; with the number of its token.
    fn admit<T>(&self, request: &Request<T>) -> Result<Option<String>, Status> {
        let admitted = self.judge(request)?;
        if let Some(peer) = request.extensions().get::<Peer>() {
            peer.admitted.store(true, Ordering::Relaxed);
        }
        Ok(admitted)
    }

    fn judge<T>(&self, request: &Request<T>) -> Result<Option<String>, Status> {
        let Some(key) = &self.tokens else { return Ok(None) };
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let refusal = match token.map(|token| key.verify(token, now_unix_ns() / 1_000_000_000)) {
            Some(Ok(grant)) if grant.role == Role::Node => return Ok(token.and_then(id_of)),
            Some(Ok(_)) => "the token is not a node's → coordinator tokens --role node".to_owned(),
            Some(Err(error)) => error.to_string(),
            None => "nodes need a token here → coordinator tokens --role node".to_owned(),
        };
        if let Some(Peer { address, .. }) = request.extensions().get::<Peer>() {
            self.note(*address, &refusal);
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            if let Tried::TooOften { retry_after_s } = failures.failed(OsClock.now(), address.ip()) {
                let what = format!("too many wrong tokens came from there; try again in {retry_after_s} s");
                return Err(Status::resource_exhausted(what));
            }
        }
        Err(Status::unauthenticated(refusal))
    }

    fn note(&self, address: SocketAddr, why: &str) {
        self.audit.refused(OsClock.now(), "the nodes' edge", address.ip(), why);
    }
}

/// Messages for a node. When it is dropped, the node's connection is over.
struct Told {
    messages: ReceiverStream<ToNode>,
    session: u64,
    heard: mpsc::Sender<Heard>,
}

impl Stream for Told {
    type Item = Result<CoordinatorMessage, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        Pin::new(&mut self.messages).poll_next(context).map(|next| next.map(|message| Ok(message.into())))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let (heard, session) = (self.heard.clone(), self.session);
        // Outside of a runtime the whole program ends.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = heard.send(Heard::Closed(session)).await;
            });
        }
    }
}

#[tonic::async_trait]
impl Fleet for Edge {
    type AttendStream = Pin<Box<dyn Stream<Item = Result<CoordinatorMessage, Status>> + Send>>;
    type FetchStream = Pin<Box<dyn Stream<Item = Result<FilePiece, Status>> + Send>>;

    async fn attend(
        &self,
        request: Request<Streaming<NodeMessage>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let token = self.0.admit(&request)?;
        let session = self.0.sessions.fetch_add(1, Ordering::Relaxed);
        let (tell, messages) = mpsc::channel(UNREAD_LIMIT);
        let ending = || Status::unavailable("the coordinator is ending");
        let peer = request.extensions().get::<Peer>().cloned();
        let ear = Ear::new(Arc::clone(&self.0), session, peer, token, tell.downgrade());
        self.0.heard.send(Heard::Opened(session, tell)).await.map_err(|_| ending())?;
        tokio::spawn(ear.hear(request.into_inner()));
        let told = Told { messages: ReceiverStream::new(messages), session, heard: self.0.heard.clone() };
        Ok(Response::new(Box::pin(told)))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        self.0.admit(&request)?;
        let sha256 = request.into_inner().sha256.as_ref().try_into();
        let sha256 = sha256.map_err(|_| Status::invalid_argument("a file is named by 32 bytes"))?;
        let place = Arc::clone(&self.0.fetches).acquire_owned().await;
        let place = place.map_err(|_| Status::unavailable("the coordinator is ending"))?;
        let repository = self.0.repository.clone();
        let opened = on_disk(move || repository.content(&sha256)).await;
        let content = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Status::not_found("there is no such file here"),
            _ => unreadable(&error),
        })?;
        let (pieces, stream) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            let _place = place;
            hand_out(content, &pieces).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Hands a file out piece by piece. Who does not take them is not waited for: others may want the place.
async fn hand_out(mut content: Content, pieces: &mpsc::Sender<Result<FilePiece, Status>>) {
    loop {
        let read = on_disk(move || Ok((content.next_piece()?, content))).await;
        let (piece, rest) = match read {
            Ok((Some(piece), rest)) => (Ok(piece), Some(rest)),
            Ok((None, _)) => return,
            Err(error) => (Err(unreadable(&error)), None),
        };
        let piece = piece.map(|content| FilePiece { content: content.into() });
        let taken = pieces.send_timeout(piece, FETCH_PATIENCE).await;
        match rest {
            Some(rest) if taken.is_ok() => content = rest,
            _ => return,
        }
    }
}

/// Work on the disk, beside what else is to be done.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn unreadable(error: &io::Error) -> Status {
    Status::internal(format!("the file cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
