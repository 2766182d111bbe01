//! The simulated network: connections, peers, and what happens when.
//!
//! What it is: a discrete-event simulation. Time stands still until [`World::advance`] moves it to the next
//! event. What it is not: aware of buffers and completions; it leaves [`Arrival`]s at the connection's near end,
//! and names the connection in `ready`.
//!
//! Invariants: events of equal instants happen in the order in which they were planned; bytes of one
//! connection keep their order whatever the jitter.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;

use clock::Timestamp;
use rustix::io::Errno as OsErrno;

use super::super::{ConnId, Errno};
use super::link::{Arrival, FarEnd, Link, Outgoing, Segment, Standing};
use super::network::Network;
use super::peer::{Action, Answer, Listener, Turn};
use super::random::Random;
use super::truth::{ConnectionSeen, RequestSeen, Truth};

/// How long the kernel goes on trying to connect to someone who says nothing (`tcp_syn_retries` = 6).
const CONNECT_PATIENCE_NS: u64 = 127_000_000_000;

/// Most bytes in one segment.
const SEGMENT_SIZE: usize = 16 << 10;

/// Names a link for good; never used again.
pub(super) type LinkKey = u64;

#[derive(Debug)]
enum Event {
    /// The attempt to connect reaches the listener.
    Attempt { address: SocketAddr },
    /// The answer to it reaches the shard's machine.
    Attempted { outcome: Result<(), Errno> },
    /// Bytes reach the peer's machine.
    Up { segment: Segment },
    /// The peer reads again.
    Read,
    /// The sender learns that the peer has read.
    Room { count: usize },
    /// The peer does something to its connection.
    Act { action: Action },
    /// Something reaches the shard's machine.
    Down { arrival: Arrival, answers: Option<usize> },
    /// The peer learns that the shard has closed.
    Gone,
}

#[derive(Debug)]
struct Planned {
    at: Timestamp,
    ordinal: u64,
    key: LinkKey,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.ordinal == other.ordinal
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.ordinal).cmp(&(other.at, other.ordinal))
    }
}

struct Listening {
    listener: Box<dyn Listener>,
    attempts: u64,
}

/// See the module's documentation.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) network: Network,
    pub(super) random: Random,
    pub(super) truth: Truth,
    /// Links at whose near end something lies.
    pub(super) ready: BTreeSet<LinkKey>,
    listeners: BTreeMap<SocketAddr, Listening>,
    links: BTreeMap<LinkKey, Link>,
    planned: BinaryHeap<Reverse<Planned>>,
    plan_count: u64,
    next_key: LinkKey,
    spare_plan: Vec<(u64, Action)>,
}

impl World {
    pub(super) fn new(network: Network) -> Self {
        Self {
            now: network.start,
            random: Random::new(network.seed),
            network,
            truth: Truth::default(),
            ready: BTreeSet::new(),
            listeners: BTreeMap::new(),
            links: BTreeMap::new(),
            planned: BinaryHeap::new(),
            plan_count: 0,
            next_key: 0,
            spare_plan: Vec::new(),
        }
    }

    pub(super) fn listen(&mut self, address: SocketAddr, listener: Box<dyn Listener>) {
        self.listeners.insert(address, Listening { listener, attempts: 0 });
    }

    pub(super) fn link(&mut self, key: LinkKey) -> Option<&mut Link> {
        self.links.get_mut(&key)
    }

    /// When the next event is due.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.planned.peek().map(|planned| planned.0.at)
    }

    /// Moves time to `to` and lets everything happen that is due until then.
    pub(super) fn advance(&mut self, to: Timestamp) {
        while let Some(next) = self.planned.peek()
            && next.0.at <= to
        {
            let Some(Reverse(planned)) = self.planned.pop() else { break };
            self.now = self.now.max(planned.at);
            self.happen(planned.key, planned.event);
        }
        self.now = self.now.max(to);
    }

    /// Begins to connect; what the machine itself refuses is the caller's to say.
    pub(super) fn connect(&mut self, conn: ConnId, address: SocketAddr) -> LinkKey {
        let key = self.next_key;
        self.next_key += 1;
        self.truth.connections.push(ConnectionSeen {
            address,
            begun: self.now,
            accepted: None,
            closed: None,
            bytes_received: 0,
            bytes_sent: 0,
            kept: Vec::new(),
        });
        self.links.insert(key, Link::new(conn, self.truth.connections.len() - 1));
        let slow = self.random.chance(self.network.slow_connect_per_million);
        let extra = if slow { self.network.slow_connect_ns } else { 0 };
        let at = self.flight().plus_nanos(extra);
        self.plan(at, key, Event::Attempt { address });
        key
    }

    /// Takes a send; whether it broke the connection is drawn here.
    pub(super) fn send(&mut self, key: LinkKey, outgoing: Outgoing) {
        let fails = self.random.chance(self.network.send_failure_per_million);
        let now = self.now;
        let Some(link) = self.links.get_mut(&key) else { return };
        // As the kernel: whoever sends on a broken connection is told so, unless it was told already.
        if link.standing == Standing::Broken || (fails && link.standing == Standing::Open) {
            if link.fail(OsErrno::PIPE.into()) {
                self.ready.insert(key);
            }
            return;
        }
        link.handed_bytes += outgoing.segment.len() as u64;
        link.handed.push_back((link.handed_bytes, now));
        link.outgoing.push_back(outgoing);
        self.transmit(key);
    }

    /// The shard closes its side.
    pub(super) fn close(&mut self, key: LinkKey) {
        let at = self.flight();
        let Some(link) = self.links.get_mut(&key) else { return };
        link.standing = Standing::Closed;
        link.arrived.clear();
        link.outgoing.clear();
        self.ready.remove(&key);
        let at = link.last_up.max(at);
        self.plan(at, key, Event::Gone);
    }

    fn plan(&mut self, at: Timestamp, key: LinkKey, event: Event) {
        self.plan_count += 1;
        self.planned.push(Reverse(Planned { at, ordinal: self.plan_count, key, event }));
    }

    /// When something that leaves now arrives.
    fn flight(&mut self) -> Timestamp {
        let jitter = self.random.up_to(self.network.jitter_ns);
        self.now.plus_nanos(self.network.latency_ns + jitter)
    }

    fn happen(&mut self, key: LinkKey, event: Event) {
        match event {
            Event::Attempt { address } => self.attempt(key, address),
            Event::Attempted { outcome } => self.attempted(key, outcome),
            Event::Up { segment } => self.up(key, segment),
            Event::Read => self.read(key),
            Event::Room { count } => {
                if let Some(link) = self.links.get_mut(&key) {
                    link.window_used -= count;
                    self.transmit(key);
                }
            }
            Event::Act { action } => self.act(key, action),
            Event::Down { arrival, answers } => self.down(key, arrival, answers),
            Event::Gone => self.gone(key),
        }
    }

    fn attempt(&mut self, key: LinkKey, address: SocketAddr) {
        let now = self.now;
        let answer = match self.listeners.get_mut(&address) {
            Some(listening) => {
                listening.attempts += 1;
                listening.listener.attempted(now, listening.attempts - 1, &mut self.random)
            }
            None => Answer::Refuse(OsErrno::CONNREFUSED.into()),
        };
        let flight = self.flight();
        let Some(link) = self.links.get_mut(&key) else { return };
        match answer {
            Answer::Accept(peer) => {
                link.peer = Some(peer);
                link.last_down = flight;
                self.truth.connections[link.seen].accepted = Some(now);
                self.plan(flight, key, Event::Attempted { outcome: Ok(()) });
                self.turn(key, |peer, turn| peer.connected(turn));
            }
            Answer::Refuse(errno) => self.plan(flight, key, Event::Attempted { outcome: Err(errno) }),
            Answer::Ignore => {
                let outcome = Err(OsErrno::TIMEDOUT.into());
                self.plan(now.plus_nanos(CONNECT_PATIENCE_NS), key, Event::Attempted { outcome });
            }
        }
    }

    fn attempted(&mut self, key: LinkKey, outcome: Result<(), Errno>) {
        let Some(link) = self.links.get_mut(&key) else { return };
        if link.standing == Standing::Closed {
            return;
        }
        match outcome {
            Ok(()) => {
                link.standing = Standing::Open;
                link.arrived.push_back(Arrival::Connected);
                self.transmit(key);
            }
            Err(errno) => {
                link.break_off();
                link.arrived.push_back(Arrival::Refused(errno));
            }
        }
        self.ready.insert(key);
    }

    /// Takes from the senders what the window allows.
    fn transmit(&mut self, key: LinkKey) {
        let window = self.network.send_window;
        loop {
            let at = self.flight();
            let Some(link) = self.links.get_mut(&key) else { return };
            if link.standing != Standing::Open {
                return;
            }
            let Some(next) = link.outgoing.front_mut() else { return };
            let count = next.segment.len().min(window.saturating_sub(link.window_used)).min(SEGMENT_SIZE);
            if count == 0 && next.segment.len() > 0 {
                return;
            }
            let segment = next.segment.split_front(count);
            if next.segment.len() == 0
                && let Some(Outgoing { owned: Some(buffer), .. }) = link.outgoing.pop_front()
            {
                link.arrived.push_back(Arrival::Sent(buffer));
                self.ready.insert(key);
            }
            if count > 0 {
                link.window_used += count;
                link.last_up = link.last_up.max(at);
                let at = link.last_up;
                self.plan(at, key, Event::Up { segment });
            }
        }
    }

    fn up(&mut self, key: LinkKey, segment: Segment) {
        let Some(link) = self.links.get_mut(&key) else { return };
        if link.far == FarEnd::Closed {
            // RFC 9293 §3.10.7.1: whatever comes for a connection that is closed is answered with a reset.
            return self.send_down(key, Arrival::Failed(OsErrno::CONNRESET.into()), None);
        }
        link.unread.push_back(segment);
        if link.far == FarEnd::Open {
            self.read(key);
        }
    }

    /// The peer reads as much as its pace allows.
    fn read(&mut self, key: LinkKey) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&key) else { return };
        if link.far == FarEnd::Closed {
            return;
        }
        link.far = FarEnd::Open;
        let pace = link.peer.as_ref().and_then(|peer| peer.pace());
        let mut left = pace.map_or(usize::MAX, |pace| pace.bytes);
        while left > 0
            && let Some(link) = self.links.get_mut(&key)
            && let Some(segment) = link.unread.front_mut()
        {
            let front = segment.split_front(segment.len().min(left));
            if segment.len() == 0 {
                link.unread.pop_front();
            }
            left -= front.len();
            let seen = &mut self.truth.connections[link.seen];
            seen.bytes_received += front.len() as u64;
            if self.network.keep_bytes {
                seen.kept.extend_from_slice(front.as_slice());
            }
            let flight = self.flight();
            self.plan(flight, key, Event::Room { count: front.len() });
            self.turn(key, |peer, turn| peer.receive(front.as_slice(), turn));
        }
        if let (Some(pace), Some(link)) = (pace, self.links.get_mut(&key))
            && left < pace.bytes
            && link.far == FarEnd::Open
        {
            link.far = FarEnd::Paused;
            self.plan(now.plus_nanos(pace.every_ns), key, Event::Read);
        }
    }

    /// Lets the peer act, and plans what it wants.
    fn turn(&mut self, key: LinkKey, act: impl FnOnce(&mut dyn super::peer::Peer, &mut Turn<'_>)) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&key) else { return };
        let Some(mut peer) = link.peer.take() else { return };
        let planned = std::mem::take(&mut self.spare_plan);
        let mut turn = Turn { now, random: &mut self.random, planned, requests: 0 };
        act(&mut *peer, &mut turn);
        let Turn { mut planned, requests, .. } = turn;
        link.peer = Some(peer);
        for _ in 0..requests {
            let read = self.truth.connections[link.seen].bytes_received;
            let mut sent = now;
            while let Some(&(end, at)) = link.handed.front()
                && end <= read
            {
                sent = at;
                link.handed.pop_front();
            }
            link.unanswered.push_back(self.truth.requests.len());
            self.truth.requests.push(RequestSeen {
                connection: link.seen,
                sent,
                arrived: now,
                answered: None,
            });
        }
        for (delay, action) in planned.drain(..) {
            let mut at = now.plus_nanos(delay);
            if let (Some(link), false) = (self.links.get_mut(&key), matches!(action, Action::Wake)) {
                link.last_plan = link.last_plan.max(at);
                at = link.last_plan;
            }
            self.plan(at, key, Event::Act { action });
        }
        self.spare_plan = planned;
    }

    fn act(&mut self, key: LinkKey, action: Action) {
        let Some(link) = self.links.get_mut(&key) else { return };
        if link.far == FarEnd::Closed {
            return;
        }
        match action {
            Action::Send { bytes, answers } => {
                let answers = if answers { link.unanswered.pop_front() } else { None };
                self.send_segments(key, &Segment::whole(bytes), answers);
            }
            Action::Finish => self.send_down(key, Arrival::Ended, None),
            Action::Close => {
                link.far = FarEnd::Closed;
                self.send_down(key, Arrival::Ended, None);
            }
            Action::Reset => {
                link.far = FarEnd::Closed;
                self.send_down(key, Arrival::Failed(OsErrno::CONNRESET.into()), None);
            }
            Action::Wake => self.turn(key, |peer, turn| peer.wake(turn)),
        }
    }

    fn send_segments(&mut self, key: LinkKey, whole: &Segment, answers: Option<usize>) {
        let mut rest = whole.clone();
        loop {
            let front = rest.split_front(rest.len().min(SEGMENT_SIZE));
            let is_last = rest.len() == 0;
            if front.len() > 0 {
                self.send_down(key, Arrival::Bytes(front), answers.filter(|_| is_last));
            }
            if is_last {
                return;
            }
        }
    }

    fn send_down(&mut self, key: LinkKey, arrival: Arrival, answers: Option<usize>) {
        let at = self.flight();
        let Some(link) = self.links.get_mut(&key) else { return };
        link.last_down = link.last_down.max(at);
        let at = link.last_down;
        self.plan(at, key, Event::Down { arrival, answers });
    }

    fn down(&mut self, key: LinkKey, arrival: Arrival, answers: Option<usize>) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&key) else { return };
        if matches!(link.standing, Standing::Broken | Standing::Closed) {
            return;
        }
        match &arrival {
            Arrival::Bytes(segment) => {
                self.truth.connections[link.seen].bytes_sent += segment.len() as u64;
            }
            // The reset that follows a FIN is noticed by whoever sends next, and by nobody else.
            Arrival::Failed(_) if link.ended => return link.break_off(),
            Arrival::Failed(errno) => {
                if link.fail(*errno) {
                    self.ready.insert(key);
                }
                return;
            }
            Arrival::Ended => link.ended = true,
            _ => {}
        }
        if let Some(request) = answers {
            self.truth.requests[request].answered = Some(now);
        }
        link.arrived.push_back(arrival);
        self.ready.insert(key);
    }

    fn gone(&mut self, key: LinkKey) {
        let now = self.now;
        if let Some(mut link) = self.links.remove(&key)
            && let Some(peer) = &mut link.peer
        {
            self.truth.connections[link.seen].closed = Some(now);
            peer.closed(now);
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("World")
            .field("now", &self.now)
            .field("links", &self.links.len())
            .field("planned", &self.planned.len())
            .finish_non_exhaustive()
    }
}
