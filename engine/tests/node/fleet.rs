//! A coordinator in the hands of a test, and the process of a node.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use wire::grpc::fleet_server::{Fleet as Service, FleetServer};
use wire::grpc::{CoordinatorMessage, FetchRequest, FilePiece, NodeMessage};
use wire::{Delta, Fencing, FromNode, Hello, Sha256, ToNode, Welcome};

pub(crate) const RUN: u128 = 0xfeed;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

type Say = mpsc::UnboundedSender<Result<CoordinatorMessage, Status>>;

pub(crate) fn fencing(epoch: u32) -> Fencing {
    Fencing { term: 1, epoch }
}

/// What the connections and the test share.
#[derive(Default)]
struct Shared {
    say: Mutex<Option<Say>>,
    files: Mutex<BTreeMap<Sha256, Vec<u8>>>,
    is_granting: AtomicBool,
    is_silent: AtomicBool,
    lease_ns: AtomicU64,
    /// Until when the last grant lasts, on this host's monotonic clock.
    granted_until_ns: AtomicU64,
    token: Option<String>,
}

/// A coordinator.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    heard: mpsc::UnboundedReceiver<FromNode>,
    pub(crate) port: u16,
    /// Every delta that came, by life and number.
    pub(crate) deltas: BTreeMap<(u64, u64), Delta>,
}

struct Edge {
    shared: Arc<Shared>,
    heard: mpsc::UnboundedSender<FromNode>,
}

impl Edge {
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(token) = &self.shared.token else { return Ok(()) };
        let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let right = given == Some(&format!("Bearer {token}"));
        if right { Ok(()) } else { Err(Status::unauthenticated("no such token")) }
    }
}

#[tonic::async_trait]
impl Service for Edge {
    type AttendStream = UnboundedReceiverStream<Result<CoordinatorMessage, Status>>;
    type FetchStream = Pin<Box<dyn Stream<Item = Result<FilePiece, Status>> + Send>>;

    async fn attend(
        &self,
        request: Request<Streaming<NodeMessage>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        self.admit(&request)?;
        let (say, said) = mpsc::unbounded_channel();
        *self.shared.say.lock().expect("no panic") = Some(say.clone());
        let (shared, heard, mut messages) =
            (Arc::clone(&self.shared), self.heard.clone(), request.into_inner());
        // A weak one: a cut is the test's to make.
        let say = say.downgrade();
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                let message = FromNode::try_from(message).expect("a node says what can be read");
                if let (FromNode::Beat(beat), Some(say)) = (&message, say.upgrade())
                    && shared.is_granting.load(Ordering::SeqCst)
                {
                    let lease_ns = shared.lease_ns.load(Ordering::SeqCst);
                    let until = beat.sent_at.plus_nanos(lease_ns);
                    shared.granted_until_ns.store(until.as_nanos(), Ordering::SeqCst);
                    let grant = ToNode::Grant { beat: beat.number, lease_ns };
                    let _ = say.send(Ok(grant.into()));
                }
                if let (FromNode::Delta(delta), Some(say)) = (&message, say.upgrade())
                    && !shared.is_silent.load(Ordering::SeqCst)
                {
                    let Delta { run, incarnation, sequence, .. } = **delta;
                    let kept = ToNode::Acknowledged { run, incarnation, through: sequence };
                    let _ = say.send(Ok(kept.into()));
                }
                let _ = heard.send(message);
            }
        });
        Ok(Response::new(UnboundedReceiverStream::new(said)))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        self.admit(&request)?;
        let sha256 = Sha256::try_from(request.into_inner().sha256.as_ref()).expect("a digest");
        let content = self.shared.files.lock().expect("no panic").get(&sha256).cloned();
        let content = content.ok_or_else(|| Status::not_found("no such file"))?;
        let pieces: Vec<_> = content
            .chunks(wire::grpc::FILE_PIECE_BYTES)
            .map(|piece| Ok(FilePiece { content: piece.to_vec().into() }))
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }
}

impl Fleet {
    /// Listens, and lets in whoever has the token.
    pub(crate) async fn open(token: Option<&str>) -> Self {
        Self::open_with(token, None).await
    }

    /// The same, with certificates.
    pub(crate) async fn open_with(token: Option<&str>, tls: Option<ServerTlsConfig>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { token: token.map(str::to_owned), ..Shared::default() });
        let (sender, heard) = mpsc::unbounded_channel();
        let edge = Edge { shared: Arc::clone(&shared), heard: sender };
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).expect("the certificates are sound");
        }
        let serving =
            server.add_service(FleetServer::new(edge)).serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(serving);
        Self { shared, heard, port, deltas: BTreeMap::new() }
    }

    pub(crate) fn tell(&self, message: ToNode) {
        let say = self.shared.say.lock().expect("no panic");
        say.as_ref().expect("a node attends").send(Ok(message.into())).expect("it listens");
    }

    /// Waits for a message that is meant; keeps every delta on the way.
    pub(crate) async fn until(&mut self, is_meant: impl Fn(&FromNode) -> bool) -> FromNode {
        let search = async {
            loop {
                let message = self.heard.recv().await.expect("the edge lives");
                if let FromNode::Delta(delta) = &message {
                    let key = (delta.incarnation, delta.sequence);
                    let before = self.deltas.insert(key, (**delta).clone());
                    assert!(before.is_none_or(|before| before == **delta), "one number, two contents");
                }
                if is_meant(&message) {
                    return message;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the node says it in time")
    }

    /// Whether nobody has said anything since.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.heard.try_recv().is_err()
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        let message = self.until(|message| matches!(message, FromNode::Hello(_))).await;
        let FromNode::Hello(hello) = message else { unreachable!() };
        hello
    }

    pub(crate) fn welcome(&self, lease_ns: u64, resume: bool) {
        self.shared.lease_ns.store(lease_ns, Ordering::SeqCst);
        self.shared.is_granting.store(true, Ordering::SeqCst);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let beat_ns = lease_ns / 10;
        self.tell(ToNode::Welcome(Welcome { term: 1, session: 1, version, lease_ns, beat_ns, resume }));
    }

    /// Grants nothing any more; yields until when the last grant lasts on the coordinator's clock.
    pub(crate) fn stop_granting(&self) -> Timestamp {
        self.shared.is_granting.store(false, Ordering::SeqCst);
        Timestamp::from_nanos(self.shared.granted_until_ns.load(Ordering::SeqCst))
    }

    pub(crate) fn grant(&self) {
        self.shared.is_granting.store(true, Ordering::SeqCst);
    }

    pub(crate) fn acknowledging(&self, acknowledges: bool) {
        self.shared.is_silent.store(!acknowledges, Ordering::SeqCst);
    }

    pub(crate) fn serve_file(&self, sha256: Sha256, content: Vec<u8>) {
        self.shared.files.lock().expect("no panic").insert(sha256, content);
    }

    /// Ends the connection that stands.
    pub(crate) fn cut(&self) {
        self.shared.say.lock().expect("no panic").take();
    }

    /// Lets time pass, and keeps what comes.
    pub(crate) async fn wait(&mut self, time: Duration) {
        let forever = async {
            loop {
                self.until(|_| false).await;
            }
        };
        let _ = timeout(time, forever).await;
    }
}

/// The process of a node. It ends with the test.
pub(crate) struct Node {
    child: Child,
    state: Arc<tempfile::TempDir>,
}

impl Node {
    pub(crate) fn start(fleet: &Fleet, name: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_in(fleet, name, Arc::new(tempfile::tempdir().expect("a folder")), variables)
    }

    pub(crate) fn start_in(
        fleet: &Fleet,
        name: &str,
        state: Arc<tempfile::TempDir>,
        variables: &[(&str, &str)],
    ) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_engine"))
            .args(["node", "--coordinator", &format!("127.0.0.1:{}", fleet.port), "--name", name])
            .args(["--label", "rack=7", "--cores", "1", "--die-with-parent", "--state"])
            .arg(folder(&state))
            .env("ENGINE_IO", "epoll")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the engine starts");
        Self { child, state }
    }

    pub(crate) fn state(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.state)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
    }

    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("it can be told");
    }

    /// Its exit code; none where a signal ended it.
    pub(crate) async fn wait(&mut self) -> Option<i32> {
        let end = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("it is our child") {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, end).await.expect("it ends in time")
    }

    /// What it said to whoever watches; ended by its end.
    pub(crate) fn said(&mut self) -> String {
        let mut text = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut text).expect("it is text");
        text
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder(state: &tempfile::TempDir) -> PathBuf {
    Path::new(state.path()).join("node")
}
