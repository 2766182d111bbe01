//! The control socket: how a parent program drives an engine (`openloop.control/1`).
//!
//! What it is: a Unix socket on which each line is a JSON document. A request gets one reply with the same `id`;
//! after `subscribe`, interval documents follow as they are sealed, and one `ended` event when the run is over.
//! With `--control` the run waits, ready, for `start` or `arm`.
//! What it is not: a network service; the socket's file is its owner's alone (mode 0600).
//!
//! Invariants: a line longer than [`LINE_MAX`] ends its connection; a subscriber that is too slow loses intervals
//! and is told how many; nothing a client does holds the run up.

mod messages;
pub mod request;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::drive::{Door, OrderWithReply};
use messages::{ended, interval, lost, refused, reply};
use request::{Asked, Request};

pub use messages::SCHEMA;

/// Bytes of a request, at most.
pub const LINE_MAX: u64 = 64 << 10;

/// Connections served at one time.
const CLIENTS_MAX: u32 = 16;

/// Seconds that a slow subscriber may fall behind before it loses intervals.
const BACKLOG: usize = 64;

/// How long clients may take to read what was said last.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves the socket until it is closed; removes its file when the run is over.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    server: JoinHandle<()>,
    places: Arc<Semaphore>,
}

impl Guard {
    /// Lets every client hear the end, within [`FAREWELL`]. The door must be gone by now.
    pub async fn close(mut self) {
        // The server holds the last sender of intervals; without it every conversation comes to its end.
        self.server.abort();
        let _ = (&mut self.server).await;
        let everybody = self.places.acquire_many(CLIENTS_MAX);
        // A client that does not read is not waited for.
        let _ = tokio::time::timeout(FAREWELL, everybody).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens the control socket at `path` and serves it in the background of the present runtime.
///
/// # Errors
/// The path is in use by a living engine, is no socket, or cannot be bound.
pub fn open(path: &Path) -> io::Result<(Guard, Door)> {
    clear_stale(path)?;
    let listener = UnixListener::bind(path).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()))
    })?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let (orders_in, orders) = mpsc::channel(CLIENTS_MAX as usize);
    let (intervals, _) = broadcast::channel(BACKLOG);
    let places = Arc::new(Semaphore::new(CLIENTS_MAX as usize));
    let server = tokio::spawn(serve(listener, Arc::clone(&places), orders_in, intervals.clone()));
    Ok((Guard { path: path.to_owned(), server, places }, Door { orders, intervals }))
}

/// Removes the file of an engine that is gone.
fn clear_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        let message = format!("{} exists and is no socket; choose another path", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let message = format!("{} is in use by a running engine; choose another path", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    }
    std::fs::remove_file(path)
}

async fn serve(
    listener: UnixListener,
    places: Arc<Semaphore>,
    orders: mpsc::Sender<OrderWithReply>,
    intervals: broadcast::Sender<Arc<str>>,
) {
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: a client of ours must not make us spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (orders, intervals) = (orders.clone(), intervals.subscribe());
        tokio::spawn(async move {
            // A client that breaks off breaks off alone.
            let _ = converse(stream, orders, intervals).await;
            drop(place);
        });
    }
}

/// Serves one client until it leaves or the run is over.
async fn converse(
    stream: UnixStream,
    orders: mpsc::Sender<OrderWithReply>,
    mut intervals: broadcast::Receiver<Arc<str>>,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    let mut line = Vec::new();
    let mut subscribed = false;
    loop {
        let mut limited = (&mut reader).take(LINE_MAX - line.len() as u64);
        tokio::select! {
            count = limited.read_until(b'\n', &mut line) => {
                if count? == 0 || !line.ends_with(b"\n") {
                    if line.len() as u64 >= LINE_MAX {
                        say(&mut write, &refused(None, "a request is one line of at most 64 KiB")).await?;
                    }
                    return Ok(());
                }
                let text = answer(&line, &orders, &mut subscribed).await;
                line.clear();
                say(&mut write, &text).await?;
            }
            heard = intervals.recv() => match heard {
                Ok(document) if subscribed => say(&mut write, &interval(&document)).await?,
                Err(broadcast::error::RecvError::Lagged(count)) if subscribed => say(&mut write, &lost(count)).await?,
                Err(broadcast::error::RecvError::Closed) => {
                    if subscribed {
                        say(&mut write, &ended()).await?;
                    }
                    return Ok(());
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            },
        }
    }
}

async fn answer(line: &[u8], orders: &mpsc::Sender<OrderWithReply>, subscribed: &mut bool) -> String {
    let Request { id, asked } = match Request::parse(line) {
        Ok(request) => request,
        Err((id, message)) => return refused(id.as_ref(), &message),
    };
    let order = match asked {
        Asked::Order(order) => order,
        Asked::Subscribe => {
            *subscribed = true;
            crate::drive::Order::Status
        }
    };
    let (tell, told) = oneshot::channel();
    if orders.send((order, tell)).await.is_err() {
        return refused(id.as_ref(), "the run is over");
    }
    match told.await {
        Ok(Ok(standing)) => reply(id.as_ref(), &standing),
        Ok(Err(error)) => refused(id.as_ref(), &error.to_string()),
        Err(_) => refused(id.as_ref(), "the run is over"),
    }
}

async fn say(write: &mut OwnedWriteHalf, text: &str) -> io::Result<()> {
    write.write_all(text.as_bytes()).await?;
    write.write_all(b"\n").await
}
