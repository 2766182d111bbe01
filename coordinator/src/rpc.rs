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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::{Clock as _, OsClock, Timestamp};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use wire::grpc::fleet_server::{Fleet, FleetServer};
use wire::grpc::{
    CoordinatorMessage, FILE_PIECE_BYTES, FetchRequest, FilePiece, MESSAGE_BYTES_MAX, NodeMessage,
};
use wire::{FromNode, ToNode};

use crate::files::Repository;
use crate::security::{FailureLimiter, Role, TokenKey, Tried};
use crate::wall::now_unix_ns;

/// Messages that may wait to be heard, over all nodes; then nodes wait.
const HEARD_LIMIT: usize = 4_096;
/// Messages that may wait to be sent to one node; then it is cut off.
const UNREAD_LIMIT: usize = 4_096;
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// A silent connection is asked for a sign of life this often, and is over without one in the same time.
const PING: Duration = Duration::from_secs(10);
/// Without descriptors, accepting fails at once, again and again.
const REST: Duration = Duration::from_millis(100);
/// Calls at once on one connection: the stream, and files.
const CALLS: u32 = 16;

/// What came from nodes.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A connection stands; messages for it go here.
    Opened(u64, mpsc::Sender<ToNode>),
    /// A node said something.
    Message(u64, Timestamp, Box<FromNode>),
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
}

impl Default for Options {
    fn default() -> Self {
        Self { tls: None, tokens: None, connection_limit: 4_096 }
    }
}

struct Edge {
    heard: mpsc::Sender<Heard>,
    repository: Repository,
    tokens: Option<Arc<TokenKey>>,
    failures: Mutex<FailureLimiter>,
    sessions: AtomicU64,
}

/// Whose connection a call came on.
#[derive(Copy, Clone, Debug)]
struct Peer(SocketAddr);

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
    let places = Arc::new(Semaphore::new(options.connection_limit));
    let acceptor = options.tls.map(TlsAcceptor::from);
    let edge = Arc::new(Edge {
        heard,
        repository,
        tokens: options.tokens,
        failures: Mutex::default(),
        sessions: AtomicU64::new(1),
    });
    let over = ended.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.wait_for(|over| *over) => return,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(REST).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (edge, acceptor, over) = (Arc::clone(&edge), acceptor.clone(), over.clone());
        tokio::spawn(async move {
            let _place = place;
            // Beats and grants are small and wanted now.
            let _ = stream.set_nodelay(true);
            match acceptor {
                None => converse(stream, peer, edge, over).await,
                Some(acceptor) => {
                    let shaken = tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        converse(stream, peer, edge, over).await;
                    }
                }
            }
        });
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    edge: Arc<Edge>,
    mut ended: watch::Receiver<bool>,
) {
    let service = FleetServer::from_arc(edge)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let service = axum::Router::new().fallback_service(service).layer(axum::Extension(Peer(peer)));
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS)
        .max_header_list_size(16 << 10)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::select! {
        // A node that breaks off is told by the end of its stream.
        _ = connection => {}
        _ = ended.wait_for(|over| *over) => {}
    }
}

impl Edge {
    /// Whether whoever calls may.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(key) = &self.tokens else { return Ok(()) };
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let refusal = match token.map(|token| key.verify(token, now_unix_ns() / 1_000_000_000)) {
            Some(Ok(grant)) if grant.role == Role::Node => return Ok(()),
            Some(Ok(_)) => "the token is not a node's → coordinator tokens --role node".to_owned(),
            Some(Err(error)) => error.to_string(),
            None => "nodes need a token here → coordinator tokens --role node".to_owned(),
        };
        if let Some(Peer(peer)) = request.extensions().get::<Peer>() {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            if let Tried::TooOften { retry_after_s } = failures.failed(OsClock.now(), peer.ip()) {
                let what = format!("too many wrong tokens came from there; try again in {retry_after_s} s");
                return Err(Status::resource_exhausted(what));
            }
        }
        Err(Status::unauthenticated(refusal))
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
        self.admit(&request)?;
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let (tell, messages) = mpsc::channel(UNREAD_LIMIT);
        let ending = || Status::unavailable("the coordinator is ending");
        self.heard.send(Heard::Opened(session, tell)).await.map_err(|_| ending())?;
        let mut said = request.into_inner();
        let heard = self.heard.clone();
        tokio::spawn(async move {
            // What cannot be read ends the stream: a node of this version sends nothing else.
            while let Some(Ok(message)) = said.next().await {
                let at = OsClock.now();
                let Ok(message) = FromNode::try_from(message) else { break };
                if heard.send(Heard::Message(session, at, Box::new(message))).await.is_err() {
                    return;
                }
            }
            let _ = heard.send(Heard::Closed(session)).await;
        });
        let told = Told { messages: ReceiverStream::new(messages), session, heard: self.heard.clone() };
        Ok(Response::new(Box::pin(told)))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        self.admit(&request)?;
        let sha256 = request.into_inner().sha256.as_ref().try_into();
        let sha256 = sha256.map_err(|_| Status::invalid_argument("a file is named by 32 bytes"))?;
        let file = tokio::fs::File::open(self.repository.path(&sha256)).await;
        let mut file = file.map_err(|_| Status::not_found("there is no such file here"))?;
        let (pieces, stream) = mpsc::channel(4);
        tokio::spawn(async move {
            loop {
                let mut content = vec![0; FILE_PIECE_BYTES];
                let piece = match file.read(&mut content).await {
                    Ok(0) => return,
                    Ok(count) => {
                        content.truncate(count);
                        Ok(FilePiece { content: content.into() })
                    }
                    Err(error) => Err(unreadable(&error)),
                };
                let is_last = piece.is_err();
                if pieces.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

fn unreadable(error: &io::Error) -> Status {
    Status::internal(format!("the file cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
