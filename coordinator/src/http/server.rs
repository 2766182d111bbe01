//! Connections: taken in bounded numbers, with bounded patience.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::gate::Peer;
use super::{Edge, Options, api, count};
use crate::handle::Handle;
use crate::security::{Place, Places};

/// Turns true once, when the edge shall end.
pub type Ended = watch::Receiver<bool>;

const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// What is under way when the edge ends may take this long.
const FAREWELL: Duration = Duration::from_secs(2);
/// What is buffered of a head before it is given up; one more piece of this size may lie in it then, so that no head of more
/// than 64 KiB is ever taken.
const HEAD_LIMIT: usize = 32 << 10;
/// The most lines in it.
const HEADER_LIMIT: usize = 100;
/// Requests at once on one connection of HTTP/2.
const STREAM_LIMIT: u32 = 64;
/// A connection whose other end takes nothing for so long is over, in milliseconds.
const UNREAD_MS: u32 = 60_000;
/// Without descriptors, accepting fails at once, again and again.
const REST: Duration = Duration::from_millis(100);

/// Answers what comes over `listener` until `ended`. Whoever listens beyond loopback has asked
/// [`crate::security::check_bind`] before.
pub async fn serve(listener: TcpListener, handle: Handle, options: Options, ended: Ended) -> io::Result<()> {
    let bound = listener.local_addr()?;
    let places = Places::new(options.connection_limit);
    let head_patience = options.head_patience;
    let acceptor = options.tls.clone().map(TlsAcceptor::from);
    let edge = Arc::new(Edge::new(handle, options, bound, ended.clone()));
    let router = api::router(&edge);
    let mut over = ended.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = over.wait_for(|over| *over) => return Ok(()),
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(REST).await;
            continue;
        };
        let Some(place) = places.take(peer.ip()) else {
            count(&edge.told.connections_refused);
            continue;
        };
        let router = router.clone().layer(axum::Extension(Peer(peer)));
        tokio::spawn(connection(stream, acceptor.clone(), head_patience, router, ended.clone(), place));
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    head_patience: Duration,
    router: Router,
    ended: Ended,
    _place: Place,
) {
    // Events are small and wanted now; who takes nothing of what is sent is gone.
    let _ = stream.set_nodelay(true);
    let _ = set_tcp_user_timeout(&stream, UNREAD_MS);
    match acceptor {
        None => converse(stream, Version::One, head_patience, router, ended).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
                let is_two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let version = if is_two { Version::Two } else { Version::One };
                converse(stream, version, head_patience, router, ended).await;
            }
        }
    }
}

/// Whether anything was asked on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

impl Asked {
    /// Something was.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is spoken is agreed on beforehand: guessing it from the first bytes would wait for them without end.
#[derive(Copy, Clone, Debug)]
enum Version {
    One,
    Two,
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    version: Version,
    head_patience: Duration,
    router: Router,
    mut ended: Ended,
) {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = match version {
        Version::One => builder.http1_only(),
        Version::Two => builder.http2_only(),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_patience)
        .max_buf_size(HEAD_LIMIT)
        .max_headers(HEADER_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAM_LIMIT)
        .max_header_list_size(u32::try_from(HEAD_LIMIT).unwrap_or(u32::MAX))
        .keep_alive_interval(head_patience)
        .keep_alive_timeout(head_patience);
    let asked = Asked::default();
    let router = router.layer(axum::Extension(asked.clone()));
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    // HTTP/1 has its own patience for heads; HTTP/2 would wait for the first one without end.
    let is_asked = async {
        tokio::time::sleep(head_patience).await;
        if matches!(version, Version::One) || asked.0.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = is_asked => return,
        // A client that breaks off is no matter of ours.
        _ = connection.as_mut() => return,
        _ = ended.wait_for(|over| *over) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(FAREWELL, connection).await;
}

/// A future that never ends keeps nothing else from ending.
pub(crate) async fn until_over<T>(mut ended: Ended, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = ended.wait_for(|over| *over) => None,
    }
}
