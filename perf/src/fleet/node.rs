//! A simulated node: the engine's own agent over a gRPC connection of its own, and a part that sends nothing.
//!
//! What it is: everything that a coordinator sees of a node: the Hello, clock probes, beats, answers to what it is told, a
//! delta for each second until it is acknowledged, the end. What it is not: an engine; its shards are arithmetic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use clock::{Clock as _, NANOS_PER_SECOND, OsClock, Timestamp, boot_nanos, wall_time};
use engine::agent::{Action, Agent, Event, Happened, Identity, Now};
use engine::part::{Order, Standing};
use measure::{Counters, Gauges};
use schedule::Cells;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;
use wire::grpc::fleet_client::FleetClient;
use wire::grpc::{MESSAGE_BYTES_MAX, NodeMessage};
use wire::{Delta, Description, FromNode, RunKey, ToNode};

use super::load::{Load, counters};
use super::told::Told;

/// Everything that all nodes share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) load: Load,
    pub(super) told: Told,
    pub(super) address: String,
    /// A summary in which nothing was measured.
    pub(super) empty: String,
}

/// A run on this node.
#[derive(Debug)]
struct Part {
    run: RunKey,
    start: Option<Timestamp>,
    epoch: u32,
    /// From when on which cells are owned, rising.
    owned: Vec<(u64, Cells)>,
    /// Seconds that were sealed.
    sealed: u64,
    sums: Counters,
    is_over: bool,
}

struct Node {
    number: u64,
    world: Arc<World>,
    agent: Agent,
    say: mpsc::UnboundedSender<NodeMessage>,
    part: Option<Part>,
    kept: BTreeMap<(RunKey, u64), Delta>,
    lease_until_ns: u64,
    was_taken_in: bool,
    is_over: bool,
}

/// Lives until the connection ends, or the coordinator has everything and lets the node go.
pub(super) async fn live(number: u64, world: Arc<World>) -> Result<(), String> {
    let broken = |error: &dyn std::error::Error| format!("node {number}: {error}");
    let endpoint = Endpoint::from_shared(format!("http://{}", world.address)).map_err(|e| broken(&e))?;
    let channel = endpoint.tcp_nodelay(true).connect().await.map_err(|e| broken(&e))?;
    let mut client = FleetClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (say, said) = mpsc::unbounded_channel();
    let mut node = Node::new(number, world, say);
    node.tell(Event::Connected);
    let stream = client.attend(UnboundedReceiverStream::new(said)).await.map_err(|e| broken(&e))?;
    let mut messages = stream.into_inner();
    while !node.is_over {
        let wake = Duration::from_nanos(node.wakes_at().nanos_since(OsClock.now()));
        tokio::select! {
            message = messages.message() => {
                let message = message.map_err(|e| broken(&e))?;
                let message = message.ok_or_else(|| format!("node {number}: the coordinator ended"))?;
                node.world.told.to_nodes.add(&message);
                node.hear(ToNode::try_from(message).map_err(|e| broken(&e))?);
            }
            () = tokio::time::sleep(wake) => node.wake(),
        }
    }
    Ok(())
}

impl Node {
    fn new(number: u64, world: Arc<World>, say: mpsc::UnboundedSender<NodeMessage>) -> Self {
        let identity = Identity {
            node: format!("node-{number:04}"),
            incarnation: 1,
            boot_id: "simulated".to_owned(),
            host: format!("host-{number:04}"),
            pid: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cores: 1,
            capacity: None,
            zone: Some(format!("zone-{}", number % 4)),
            labels: BTreeMap::from([("rack".to_owned(), (number / 40).to_string())]),
        };
        Self {
            number,
            world,
            agent: Agent::new(identity, Vec::new()),
            say,
            part: None,
            kept: BTreeMap::new(),
            lease_until_ns: 0,
            was_taken_in: false,
            is_over: false,
        }
    }

    /// When something is to be done although nothing is heard.
    fn wakes_at(&self) -> Timestamp {
        let second = self.part.as_ref().filter(|part| !part.is_over).and_then(|part| {
            let next_ns = (part.sealed + 1) * NANOS_PER_SECOND;
            Some(part.start?.plus_nanos(next_ns))
        });
        let idle = OsClock.now().plus_nanos(NANOS_PER_SECOND);
        [self.agent.deadline(), second].into_iter().flatten().min().unwrap_or(idle)
    }

    fn hear(&mut self, message: ToNode) {
        self.is_over = matches!(message, ToNode::Release { .. });
        self.tell(Event::Told { received: OsClock.now(), message: Box::new(message) });
        if !self.was_taken_in && self.agent.is_attending() {
            self.was_taken_in = true;
            self.world.told.taken_in.fetch_add(1, Relaxed);
        }
    }

    fn wake(&mut self) {
        self.lapse();
        self.seal();
        if self.agent.deadline().is_some_and(|at| at <= OsClock.now()) {
            let standing = self.standing();
            self.tell(Event::Standing { standing, cpu_milli: 500 });
            self.tell(Event::Wake);
        }
    }

    fn standing(&self) -> Standing {
        let Some(part) = self.part.as_ref().filter(|part| !part.is_over) else { return Standing::default() };
        Standing {
            epoch: part.epoch,
            run_ns: part.start.map_or(0, |start| OsClock.now().nanos_since(start)),
            owned: part.owned.last().map_or(0, |(_, cells)| cells.count()),
            scheduled: part.sums.scheduled,
            sent: part.sums.sent,
            lag_p99_ns: 40_000,
        }
    }

    /// Whether the lease has ended while something was owned: then nothing is any more.
    fn lapse(&mut self) {
        let Some(part) = self.part.as_mut().filter(|part| !part.is_over) else { return };
        let (Some(start), now_ns) = (part.start, boot_nanos()) else { return };
        let owns = part.owned.iter().any(|(_, cells)| cells.count() > 0);
        if !owns || now_ns < self.lease_until_ns {
            return;
        }
        let since_ns = now_ns - self.lease_until_ns;
        let at_ns = OsClock.now().nanos_since(start).saturating_sub(since_ns);
        part.owned.push((at_ns, Cells::none()));
        self.world.told.lapsed.fetch_add(1, Relaxed);
        let run = part.run;
        self.tell(Event::Part { run, happened: Happened::Lapsed { at_ns } });
    }

    /// Seals the seconds that have passed.
    fn seal(&mut self) {
        let world = Arc::clone(&self.world);
        while let Some(part) = self.part.as_mut().filter(|part| !part.is_over) {
            let Some(start) = part.start else { return };
            let (from_ns, until_ns) = (part.sealed * NANOS_PER_SECOND, (part.sealed + 1) * NANOS_PER_SECOND);
            if OsClock.now() < start.plus_nanos(until_ns) {
                return;
            }
            let count = part.due(&world.load, from_ns, until_ns);
            part.sums.merge(&counters(count));
            let (run, second) = (part.run, part.sealed);
            part.sealed += 1;
            let is_last = until_ns >= world.load.duration_ns();
            let happened = Happened::Second {
                second,
                until_ns,
                measured: world.load.measured(count, self.number + second),
                gauges: Gauges { connections: 64, in_flight: 25, waiting: 0 },
            };
            self.tell(Event::Part { run, happened });
            world.told.sealed(second);
            if is_last {
                self.finish(Some(0));
            }
        }
    }

    fn finish(&mut self, first_sent_ns: Option<u64>) {
        let Some(part) = self.part.as_mut().filter(|part| !part.is_over) else { return };
        part.is_over = true;
        let run = part.run;
        self.world.told.sent.fetch_add(part.sums.sent, Relaxed);
        let counters = Box::new(part.sums.clone());
        let happened = Happened::Finished { counters, first_sent_ns, summary: self.world.empty.clone() };
        self.tell(Event::Part { run, happened });
    }

    fn tell(&mut self, event: Event) {
        let now = Now {
            monotonic: OsClock.now(),
            boot_ns: boot_nanos(),
            unix_ns: u64::try_from(wall_time().as_nanos()).unwrap_or(u64::MAX),
        };
        let mut actions = Vec::new();
        self.agent.handle(now, event, &mut actions);
        for action in actions {
            self.act(action);
        }
    }

    fn say(&self, message: FromNode) {
        let message = NodeMessage::from(message);
        self.world.told.from_nodes.add(&message);
        // Where the connection is gone, so is this node.
        let _ = self.say.send(message);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(message) => self.say(*message),
            Action::Deliver { run, sequence, .. } => {
                if let Some(delta) = self.kept.get(&(run, sequence)).cloned() {
                    self.say(FromNode::Delta(Box::new(delta)));
                }
            }
            Action::Begin { run, .. } => {
                let (sums, owned) = (Counters::default(), Vec::new());
                self.part = Some(Part { run, start: None, epoch: 0, owned, sealed: 0, sums, is_over: false });
                let (names, summary) = (self.world.load.names.clone(), self.world.empty.clone());
                let description = Box::new(Description { names, summary });
                self.tell(Event::Part { run, happened: Happened::Prepared(Ok(description)) });
            }
            Action::Order(order) => self.obey(order),
            Action::RenewLease { until_ns } | Action::BeginLease { until_ns } => {
                self.lease_until_ns = until_ns;
            }
            Action::Keep(delta) => {
                self.kept.insert((delta.run, delta.sequence), *delta);
            }
            Action::Forget { run, through, .. } => {
                self.kept.retain(|(of, sequence), _| *of != run || *sequence > through);
            }
            Action::Discard { .. } => self.kept.clear(),
            Action::Close | Action::Exit { .. } => self.is_over = true,
            // Nobody watches, and a node that is cut off ends: it has no seconds to put together.
            Action::Note(_) | Action::Coalesce { .. } => {}
        }
    }

    fn obey(&mut self, order: Order) {
        let Some(part) = self.part.as_mut().filter(|part| !part.is_over) else { return };
        let run = part.run;
        let happened = match order {
            Order::Arm { epoch, start, from_ns, cells, .. } => {
                self.world.told.start_ns.store(start.as_nanos(), Relaxed);
                part.start = Some(start);
                part.owned = vec![(from_ns, cells)];
                part.epoch = epoch;
                Happened::Armed { epoch }
            }
            Order::Assign { epoch, from_ns, cells } => {
                let run_ns = part.start.map_or(0, |start| OsClock.now().nanos_since(start));
                if from_ns < run_ns {
                    self.world.told.declined.fetch_add(1, Relaxed);
                    Happened::Declined { epoch, reason: "it came too late".to_owned() }
                } else {
                    part.owned.push((from_ns, cells));
                    part.epoch = epoch;
                    Happened::Obeyed { epoch }
                }
            }
            Order::SetRate { epoch, .. } => {
                let reason = "a simulated node keeps its rate".to_owned();
                Happened::Declined { epoch, reason }
            }
            Order::Stop | Order::Abort { .. } => return self.finish(None),
        };
        self.tell(Event::Part { run, happened });
    }
}

impl Part {
    /// Arrivals due in what was owned over a stretch.
    fn due(&self, load: &Load, from_ns: u64, until_ns: u64) -> u64 {
        let ends = self.owned.iter().skip(1).map(|(at_ns, _)| *at_ns).chain([u64::MAX]);
        let over = |((begins_ns, cells), ends_ns): (&(u64, Cells), u64)| {
            let (from_ns, until_ns) = (from_ns.max(*begins_ns), until_ns.min(ends_ns));
            if from_ns < until_ns { load.due(cells, from_ns, until_ns) } else { 0 }
        };
        self.owned.iter().zip(ends).map(over).sum()
    }
}
