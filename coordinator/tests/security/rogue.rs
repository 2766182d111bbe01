//! A node in the hands of a test: it follows the protocol by itself, until the test has it say something else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clock::{Clock as _, OsClock};
use measure::{Gauges, Names, Totals};
use schedule::Cells;
use tokio::sync::mpsc;
use tokio::time::{Interval, interval, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use wire::grpc::fleet_client::FleetClient;
use wire::grpc::{CoordinatorMessage, NodeMessage};
use wire::{Beat, Delta, Description, FromNode, Hello, Measured, Prepared, RunKey, ToNode};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The facts of a report, as a node would tell them.
const SUMMARY: &str = include_str!("../../../crates/report/tests/golden/summary.json");

pub(crate) async fn client(address: SocketAddr) -> FleetClient<Channel> {
    let address = Channel::from_shared(format!("http://{address}")).unwrap();
    FleetClient::new(address.connect().await.unwrap())
}

pub(crate) fn hello(name: &str) -> Hello {
    Hello {
        node: name.to_owned(),
        incarnation: 7,
        boot_id: "boot".to_owned(),
        host: "here".to_owned(),
        pid: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cores: 2,
        capacity: None,
        zone: None,
        labels: BTreeMap::new(),
        resume: None,
        left_behind: Vec::new(),
    }
}

/// With a token to show, if there is one.
pub(crate) fn with_token<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

pub(crate) struct Rogue {
    say: mpsc::UnboundedSender<NodeMessage>,
    hear: Streaming<CoordinatorMessage>,
    beats: Interval,
    beat: u64,
    /// The run that it takes part in, and what it was told of it.
    pub(crate) run: Option<RunKey>,
    pub(crate) cells: Option<Cells>,
    pub(crate) start: Option<clock::Timestamp>,
    /// What its plan counts, as it says.
    pub(crate) names: Names,
}

impl Rogue {
    pub(crate) async fn attend(address: SocketAddr, token: Option<&str>) -> Result<Self, Status> {
        let mut client = client(address).await;
        let (say, said) = mpsc::unbounded_channel();
        let hear = client.attend(with_token(UnboundedReceiverStream::new(said), token)).await?.into_inner();
        Ok(Self {
            say,
            hear,
            beats: interval(Duration::from_millis(200)),
            beat: 0,
            run: None,
            cells: None,
            start: None,
            names: Names::requests(["a".to_owned()]),
        })
    }

    /// One that was let in under this name.
    pub(crate) async fn join(address: SocketAddr, name: &str) -> Self {
        let mut rogue = Self::attend(address, None).await.unwrap();
        rogue.say(FromNode::Hello(hello(name)));
        rogue.until(|message| matches!(message, ToNode::Welcome(_))).await.unwrap();
        rogue
    }

    pub(crate) fn say(&self, message: FromNode) {
        // Where it was cut off already, the test notices by what it hears.
        let _ = self.say.send(message.into());
    }

    pub(crate) fn say_raw(&self, message: NodeMessage) {
        let _ = self.say.send(message);
    }

    /// Follows the protocol until a message is meant, which it yields; none when the stream ends before.
    pub(crate) async fn until(&mut self, is_meant: impl Fn(&ToNode) -> bool) -> Option<ToNode> {
        let search = async {
            loop {
                let message = tokio::select! {
                    message = self.hear.message() => message.ok().flatten()?,
                    _ = self.beats.tick() => {
                        self.beat_once();
                        continue;
                    }
                };
                let message = ToNode::try_from(message).unwrap();
                self.follow(&message);
                if is_meant(&message) {
                    return Some(message);
                }
            }
        };
        timeout(PATIENCE, search).await.expect("it comes in time")
    }

    /// Follows the protocol for a while, or until the stream ends; whether it still stands.
    pub(crate) async fn pass(&mut self, time: Duration) -> bool {
        timeout(time, self.until(|_| false)).await.is_err()
    }

    /// Follows the protocol until its stream ends; the reason, if it was told one.
    pub(crate) async fn refused(&mut self) -> Option<String> {
        match self.until(|message| matches!(message, ToNode::Refused { .. })).await {
            Some(ToNode::Refused { reason }) => Some(reason),
            _ => None,
        }
    }

    /// Follows the protocol until it owns cells of a run that is under way.
    pub(crate) async fn begin(&mut self) {
        self.until(|message| matches!(message, ToNode::Assign { .. })).await.expect("it is given cells");
        let start = self.start.expect("it was armed");
        let left = start.nanos_since(OsClock.now());
        self.pass(Duration::from_nanos(left + 300_000_000)).await;
    }

    fn beat_once(&mut self) {
        self.beat += 1;
        let run_ns = self.start.map_or(0, |start| OsClock.now().nanos_since(start));
        self.say(FromNode::Beat(Beat {
            number: self.beat,
            sent_at: OsClock.now(),
            run: self.run,
            run_ns,
            ..Beat::default()
        }));
    }

    fn follow(&mut self, message: &ToNode) {
        let now = OsClock.now();
        match message {
            ToNode::TimeProbe { probe } => {
                self.say(FromNode::TimeReply { probe: *probe, received: now, replied: now });
            }
            ToNode::Prepare { run, spec, .. } => {
                self.run = Some(*run);
                let outcome = Ok(Description { names: self.names.clone(), summary: SUMMARY.to_owned() });
                let prepared = Prepared { run: *run, spec: spec.digest(), outcome };
                self.say(FromNode::Prepared(Box::new(prepared)));
            }
            ToNode::Arm { run, fencing, start, .. } => {
                self.start = Some(*start);
                self.say(FromNode::Armed { run: *run, epoch: fencing.epoch });
            }
            ToNode::Assign { run, fencing, cells, .. } => {
                self.cells = Some(cells.clone());
                self.say(FromNode::Obeyed { run: *run, epoch: fencing.epoch });
            }
            _ => {}
        }
    }

    /// A second of its run with so many requests, all well.
    pub(crate) fn delta(&self, sequence: u64, count: u64) -> Delta {
        self.delta_of(sequence, |totals| {
            totals.counters.scheduled = count;
            totals.counters.sent = count;
            totals.counters.ok = count;
            let name = &mut totals.names[0];
            (name.sent, name.ok_count) = (count, count);
            name.ok.record_many(1_000_000, count.min(1_000));
        })
    }

    /// A second of its run, as `change` makes it.
    pub(crate) fn delta_of(&self, sequence: u64, change: impl FnOnce(&mut Totals)) -> Delta {
        let mut totals = Totals::new(self.names.shape());
        change(&mut totals);
        Delta {
            run: self.run.unwrap_or(1),
            incarnation: 7,
            sequence,
            epoch: 1,
            second: 0,
            until_ns: 1_000_000,
            measured: Measured::pack(&totals),
            gauges: Gauges::default(),
            recovered: false,
        }
    }

    pub(crate) fn tell(&self, delta: Delta) {
        self.say(FromNode::Delta(Box::new(delta)));
    }
}
