//! The nodes' edge from outside, over the wire.

use std::collections::BTreeMap;

use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use wire::Hello;
use wire::grpc::FILE_PIECE_BYTES;
use wire::grpc::fleet_client::FleetClient;

use super::*;
use crate::director::Settings;
use crate::handle::{Handle, NodeState};
use crate::security::Grant;
use crate::serve::{self, Coordinator};
use crate::store::Retention;
use crate::submission::Rails;

/// A coordinator at work.
struct AtWork {
    handle: Handle,
    address: SocketAddr,
    end: watch::Sender<bool>,
    work: tokio::task::JoinHandle<Result<(), serve::ServeError>>,
}

impl AtWork {
    async fn begin(state: &std::path::Path, tokens: Option<Arc<TokenKey>>) -> Self {
        let options = serve::Options {
            nodes: Options { tokens, ..Options::default() },
            rails: Rails::default(),
            retention: Retention::default(),
            settings: Settings::default(),
            audit: Audit::default(),
            tells: false,
        };
        let coordinator = Coordinator::open(state, &options).expect("it opens");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (end, ended) = watch::channel(false);
        let handle = coordinator.handle();
        let work = tokio::spawn(coordinator.work(listener, options.nodes, ended));
        Self { handle, address, end, work }
    }

    async fn client(&self) -> FleetClient<Channel> {
        let address = Channel::from_shared(format!("http://{}", self.address)).expect("an address");
        FleetClient::new(address.connect().await.expect("it listens"))
    }

    async fn end(self) {
        self.end.send(true).expect("it works");
        self.work.await.expect("no panic").expect("no failure");
    }
}

/// A node's end of its stream.
struct Node {
    say: mpsc::UnboundedSender<NodeMessage>,
    hear: Streaming<CoordinatorMessage>,
}

impl Node {
    async fn attend(client: &mut FleetClient<Channel>) -> Result<Self, Status> {
        let (say, said) = mpsc::unbounded_channel();
        let hear = client.attend(UnboundedReceiverStream::new(said)).await?.into_inner();
        Ok(Self { say, hear })
    }

    fn say(&self, message: FromNode) {
        self.say.send(message.into()).expect("the stream is open");
    }

    /// The next message that `pick` takes.
    async fn hear<T>(&mut self, pick: impl Fn(ToNode) -> Option<T>) -> T {
        let next = async {
            loop {
                let message = self.hear.next().await.expect("the stream is open").expect("a message");
                if let Some(found) = pick(ToNode::try_from(message).expect("of this version")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("in time")
    }
}

fn hello() -> FromNode {
    FromNode::Hello(Hello {
        node: "alpha".to_owned(),
        incarnation: 1,
        boot_id: "boot".to_owned(),
        host: "here".to_owned(),
        pid: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cores: 2,
        capacity: None,
        zone: Some("eu".to_owned()),
        labels: BTreeMap::new(),
        resume: None,
        left_behind: Vec::new(),
    })
}

#[tokio::test]
async fn a_node_is_welcomed_probed_and_granted_and_missed_when_it_breaks_off() {
    let state = tempfile::tempdir().expect("a folder");
    for term in 1..=2 {
        let at_work = AtWork::begin(state.path(), None).await;
        let mut node = Node::attend(&mut at_work.client().await).await.expect("let in");
        node.say(hello());
        let welcome = node.hear(|message| match message {
            ToNode::Welcome(welcome) => Some(welcome),
            _ => None,
        });
        let welcome = welcome.await;
        assert_eq!((welcome.term, &*welcome.version), (term, env!("CARGO_PKG_VERSION")));
        let probe = |message| match message {
            ToNode::TimeProbe { probe } => Some(probe),
            _ => None,
        };
        let probe = node.hear(probe).await;
        let now = OsClock.now();
        node.say(FromNode::TimeReply { probe, received: now, replied: now });
        node.say(FromNode::Beat(wire::Beat { number: 7, sent_at: now, ..wire::Beat::default() }));
        let grant = |message| match message {
            ToNode::Grant { beat, lease_ns } => Some((beat, lease_ns)),
            _ => None,
        };
        assert_eq!(node.hear(grant).await, (7, Settings::default().lease_ns));
        let mut view = at_work.handle.watch();
        let is_there = |nodes: &[crate::handle::NodeView]| {
            nodes.iter().any(|node| node.name == "alpha" && node.connected)
        };
        view.wait_for(|view| is_there(&view.nodes)).await.expect("shown");
        let seen = at_work.handle.view().nodes[0].clone();
        assert_eq!((seen.state, seen.zone.as_deref(), seen.cores), (NodeState::Ready, Some("eu"), 2));
        drop(node);
        view.wait_for(|view| !is_there(&view.nodes)).await.expect("shown");
        at_work.end().await;
    }
}

#[tokio::test]
async fn what_is_no_message_ends_the_stream_and_nothing_else() {
    let state = tempfile::tempdir().expect("a folder");
    let at_work = AtWork::begin(state.path(), None).await;
    let mut client = at_work.client().await;
    for message in [NodeMessage { message: None }, wrong_hello()] {
        let mut node = Node::attend(&mut client).await.expect("let in");
        node.say.send(message).expect("the stream is open");
        let end = tokio::time::timeout(Duration::from_secs(20), node.hear.next()).await.expect("in time");
        assert!(end.is_none_or(|end| end.is_err()), "nothing is said to it");
    }
    let mut node = Node::attend(&mut client).await.expect("others are let in");
    node.say(hello());
    node.hear(|message| matches!(message, ToNode::Welcome(_)).then_some(())).await;
    at_work.end().await;
}

/// A Hello with a name that no node can have.
fn wrong_hello() -> NodeMessage {
    let FromNode::Hello(hello) = hello() else { unreachable!("it is one") };
    FromNode::Hello(Hello { node: "x".repeat(100_000), ..hello }).into()
}

#[tokio::test]
async fn files_are_fetched_by_their_content_alone() {
    let state = tempfile::tempdir().expect("a folder");
    let at_work = AtWork::begin(state.path(), None).await;
    let content: Vec<u8> =
        (0..3 * FILE_PIECE_BYTES + 17).map(|at| u8::try_from(at % 251).expect("small")).collect();
    let kept = at_work.handle.repository().keep(&content).expect("kept");
    let mut client = at_work.client().await;
    let fetched =
        client.fetch(FetchRequest { sha256: kept.sha256.to_vec().into() }).await.expect("it is there");
    let mut pieces = fetched.into_inner();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        whole.extend_from_slice(&piece.expect("a piece").content);
    }
    assert!(whole == content, "{} of {} bytes", whole.len(), content.len());
    for (name, code) in [(vec![0; 32], Code::NotFound), (b"../secret.key".to_vec(), Code::InvalidArgument)] {
        let refused = client.fetch(FetchRequest { sha256: name.into() }).await.expect_err("not there");
        assert_eq!(refused.code(), code, "{refused}");
    }
    at_work.end().await;
}

#[tokio::test]
async fn where_tokens_are_asked_for_only_nodes_tokens_let_in() {
    let state = tempfile::tempdir().expect("a folder");
    let key = Arc::new(TokenKey::new(&[7; 32]));
    let at_work = AtWork::begin(state.path(), Some(Arc::clone(&key))).await;
    let token = |role| {
        let expires_s = now_unix_ns() / 1_000_000_000 + 60;
        key.mint(&Grant { role, project: None, expires_s }).expect("a token")
    };
    let mut client = at_work.client().await;
    let mut attend = async |authorization: Option<String>| {
        let (_say, said) = mpsc::unbounded_channel::<NodeMessage>();
        let mut request = Request::new(UnboundedReceiverStream::new(said));
        if let Some(text) = authorization {
            let value = MetadataValue::try_from(text).expect("text");
            request.metadata_mut().insert("authorization", value);
        }
        client.attend(request).await.map(|_| ()).map_err(|status| status.code())
    };
    assert_eq!(attend(None).await, Err(Code::Unauthenticated));
    assert_eq!(attend(Some(format!("Bearer {}", token(Role::Operator)))).await, Err(Code::Unauthenticated));
    assert_eq!(attend(Some("Bearer olt_wrong".to_owned())).await, Err(Code::Unauthenticated));
    assert_eq!(attend(Some(format!("Bearer {}", token(Role::Node)))).await, Ok(()));
    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(attend(None).await);
    }
    assert!(codes.contains(&Err(Code::ResourceExhausted)), "guessing is slowed down: {codes:?}");
    at_work.end().await;
}
