//! The world: true time, a network of connections, a disk, and who lives.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use clock::Timestamp;
use coordinator::director::{Action, Director, Event, NodeOrder, Origin, Settings};
use wire::{FromNode, RunKey, ToNode};

use crate::node::{Did, Node};
use crate::random::Random;
use crate::scenario::{Happening, Scenario};
use crate::store::Store;
use crate::{MS, S};

/// Nodes look at their clock this often.
const STEP: u64 = 10 * MS;
/// The world's zero on the coordinator's clock.
const EPOCH: u64 = 1_000 * S;
/// The first run is submitted then, the others right after it.
pub(crate) const SUBMITTED: u64 = EPOCH + S;

/// Tickets from here on are of nobody whose answer matters; those below are places of happenings.
const OTHER_TICKETS: u64 = 1 << 32;

/// Something that is going to happen.
#[derive(Debug)]
enum Next {
    Step(usize),
    ToNode {
        node: usize,
        session: u64,
        message: Box<ToNode>,
    },
    FromNode {
        session: u64,
        message: Box<FromNode>,
    },
    Connect(usize),
    /// The coordinator's end of a connection notices its end.
    Gone(u64),
    Wake(u64),
    Durable,
    Happening(usize),
    Revive(usize, u64),
    Restart,
    Submit(usize),
}

/// One way of a connection: nothing overtakes.
#[derive(Clone, Debug, Default)]
struct Way {
    last: u64,
    cut_until: u64,
}

/// By slot: who sent it, in which life, and when.
pub(crate) type Sent = BTreeMap<u64, Vec<(String, u64, u64)>>;

/// What happened, for the checkers.
#[derive(Debug)]
pub struct Outcome {
    /// Where it came from.
    pub scenario: Scenario,
    /// By run and slot: who sent it and when, in true time.
    pub(crate) sent: BTreeMap<RunKey, Sent>,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    /// When the last run was concluded.
    pub(crate) concluded: Option<u64>,
    /// Nodes that were drained and not taken back, and when whoever wanted it was answered.
    pub(crate) drained: BTreeMap<String, u64>,
    /// Nodes that were there at the end and had not been drained.
    pub(crate) steady: usize,
    pub(crate) notes: Vec<String>,
}

impl Outcome {
    /// What happened, for people.
    pub fn course(&self) -> String {
        let happenings = self.scenario.happenings.iter();
        let planned = happenings.map(|(at, one)| format!("{:.3} {one:?}", (at + S) as f64 / 1e9));
        let ends = self.store.runs.iter().map(|(run, kept)| {
            let summary = kept.summary.as_ref();
            let verdict = summary.map(|summary| format!("{:?} {:?}", summary.audit, summary.verdict));
            format!("run {run}: {:?} {:?} {verdict:?}", kept.concluded, kept.reason)
        });
        format!(
            "seed {}, {} nodes, way of {} ms, {:?}\n{}\n---\n{}\n---\n{}",
            self.scenario.seed,
            self.scenario.nodes,
            self.scenario.delay_ns / MS,
            self.scenario.company,
            planned.collect::<Vec<_>>().join("\n"),
            self.notes.join("\n"),
            ends.collect::<Vec<_>>().join("\n")
        )
    }
}

/// A world under way.
#[derive(Debug)]
pub struct World {
    now: u64,
    order: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Next>,
    random: Random,
    director: Option<Director>,
    term: u64,
    number: u64,
    wake: u64,
    waiting: VecDeque<(u64, Action)>,
    sessions: BTreeMap<u64, usize>,
    next_session: u64,
    ways: Vec<[Way; 2]>,
    /// Nodes that somebody wanted taken back, and did not drain since.
    taken_back: BTreeSet<usize>,
    outcome: Outcome,
}

impl World {
    /// The world of a scenario.
    pub fn new(scenario: Scenario) -> Self {
        let mut random = Random::new(scenario.seed ^ 0xffff);
        let count = 2 * scenario.nodes;
        let courses: BTreeMap<_, _> =
            scenario.plans.iter().map(|plan| (plan.submission.run, plan.course.clone())).collect();
        let node = |index| {
            let ahead = random.below(2_000) * S / 2;
            Node::new(index, ahead, &scenario, courses.clone())
        };
        let mut nodes: Vec<Node> = (0..count).map(node).collect();
        // The second half comes when it is its time, if ever.
        nodes.iter_mut().skip(scenario.nodes).for_each(|node| node.alive = false);
        let mut world = Self {
            now: EPOCH,
            order: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            random,
            director: None,
            term: 0,
            number: 0,
            wake: 0,
            waiting: VecDeque::new(),
            sessions: BTreeMap::new(),
            next_session: 1,
            ways: vec![[Way::default(), Way::default()]; count],
            taken_back: BTreeSet::new(),
            outcome: Outcome {
                sent: BTreeMap::new(),
                store: Store::default(),
                nodes,
                concluded: None,
                drained: BTreeMap::new(),
                steady: 0,
                notes: Vec::new(),
                scenario,
            },
        };
        world.restart();
        for index in 0..world.outcome.scenario.nodes {
            world.at(EPOCH + STEP, Next::Step(index));
            world.at(EPOCH + MS, Next::Connect(index));
        }
        for place in 0..world.outcome.scenario.plans.len() {
            world.at(SUBMITTED + place as u64 * 10 * MS, Next::Submit(place));
        }
        for (place, (after, _)) in world.outcome.scenario.happenings.clone().into_iter().enumerate() {
            world.at(SUBMITTED + after, Next::Happening(place));
        }
        world
    }

    /// Lets it happen.
    pub fn run(mut self) -> Outcome {
        let lengths = self.outcome.scenario.plans.iter().map(|plan| plan.course.duration_ns() + 240 * S);
        let end = SUBMITTED + lengths.sum::<u64>();
        while let Some(Reverse((at, number))) = self.queue.pop() {
            let Some(next) = self.events.remove(&number) else { continue };
            if at > end || self.outcome.concluded.is_some_and(|concluded| at > concluded + S) {
                break;
            }
            self.now = at;
            self.happen(next);
        }
        let stays = |node: &&Node| node.alive && !node.retired;
        self.outcome.steady = self.outcome.nodes.iter().filter(stays).count();
        self.outcome
    }

    fn at(&mut self, at: u64, next: Next) {
        self.order += 1;
        self.events.insert(self.order, next);
        self.queue.push(Reverse((at, self.order)));
    }

    fn happen(&mut self, next: Next) {
        match next {
            Next::Step(index) => self.step(index),
            Next::ToNode { node, session, message } => self.arrive_at_node(node, session, *message),
            Next::FromNode { session, message } => {
                let event = Event::Message { session, at: Timestamp::from_nanos(self.now), message };
                self.direct(event);
            }
            Next::Connect(index) => self.connect(index),
            Next::Gone(session) => self.direct(Event::Closed { session }),
            Next::Wake(number) if number == self.wake => self.direct(Event::Wake),
            Next::Wake(_) => {}
            Next::Durable => self.flush(),
            Next::Happening(place) => {
                let happening = self.outcome.scenario.happenings[place].1.clone();
                self.cause(place, happening);
            }
            Next::Revive(index, incarnation) => {
                let node = &mut self.outcome.nodes[index];
                let now = self.now;
                if node.incarnation == incarnation && node.is_to_end && node.alive {
                    // Whoever starts it again waits for its end.
                    self.at(now + 300 * MS, Next::Revive(index, incarnation));
                } else if node.incarnation == incarnation && !node.alive {
                    node.revive();
                    self.at(now + STEP, Next::Step(index));
                    self.at(now + MS, Next::Connect(index));
                }
            }
            Next::Restart => self.restart(),
            Next::Submit(place) => {
                let submission = Box::new(self.outcome.scenario.plans[place].submission.clone());
                self.direct(Event::Submit { ticket: OTHER_TICKETS, submission });
            }
        }
    }

    fn restart(&mut self) {
        self.term += 1;
        let origin = Origin {
            term: self.term,
            version: "1".to_owned(),
            boot_id: "boot".to_owned(),
            unix_offset_ns: 5_000_000 * S,
            settings: Settings::default(),
        };
        let (restored, standing) = self.outcome.store.restore();
        let mut director = Director::new(Timestamp::from_nanos(self.now), origin, restored, standing);
        if let Some(broken) = self.outcome.scenario.broken {
            director.break_rule(broken);
        }
        self.director = Some(director);
        self.number = 0;
        self.direct(Event::Wake);
    }

    fn direct(&mut self, event: Event) {
        let Some(director) = &mut self.director else { return };
        let mut actions = Vec::new();
        director.handle(Timestamp::from_nanos(self.now), event, &mut actions);
        let deadline = director.deadline();
        for action in actions {
            self.act(action);
        }
        self.flush();
        if let Some(at) = deadline {
            self.wake += 1;
            let (at, wake) = (at.as_nanos().max(self.now + MS), self.wake);
            self.at(at, Next::Wake(wake));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Keep { number, record } => {
                let at = self.now + self.random.between(MS, self.outcome.scenario.disk_ns);
                self.outcome.store.keep(at, number, *record);
                if let Some(at) = self.outcome.store.next() {
                    self.at(at.max(self.now), Next::Durable);
                }
            }
            Action::Send { after, .. } | Action::Close { after, .. } | Action::Answer { after, .. } => {
                self.waiting.push_back((after, action));
            }
            Action::Note { text, .. } => {
                self.outcome.notes.push(format!("{:.3} {text}", (self.now - EPOCH) as f64 / 1e9));
            }
            Action::Second { .. } | Action::Log { .. } => {}
        }
    }

    /// What is durable by now, and what may be said because of it.
    fn flush(&mut self) {
        let now = self.now;
        self.outcome.store.settle(now);
        let kept = &self.outcome.store.runs;
        let ended = kept.values().filter(|kept| kept.concluded.is_some()).count();
        if ended == self.outcome.scenario.plans.len() && self.outcome.concluded.is_none() {
            self.outcome.concluded = Some(now);
        }
        let durable = self.outcome.store.durable;
        let mut kept = VecDeque::new();
        // Within a session nothing overtakes, but sessions do not wait for each other.
        let mut blocked: Vec<u64> = Vec::new();
        for (after, action) in std::mem::take(&mut self.waiting) {
            let session = match &action {
                Action::Send { session, .. } | Action::Close { session, .. } => *session,
                // No session has this number.
                _ => 0,
            };
            if after > durable || (after > 0 && blocked.contains(&session)) {
                blocked.push(session);
                kept.push_back((after, action));
                continue;
            }
            match action {
                Action::Send { session, message, .. } => self.send_to(session, message),
                Action::Close { session, .. } => self.drop_session(session, true),
                Action::Answer { ticket, answer: Ok(_), .. } => self.answered(ticket),
                _ => {}
            }
        }
        self.waiting = kept;
    }

    /// Whoever wanted what happens at this place was told that it is done.
    fn answered(&mut self, ticket: u64) {
        let place = usize::try_from(ticket).unwrap_or(usize::MAX);
        match self.outcome.scenario.happenings.get(place) {
            Some((_, Happening::Drain(index))) if !self.taken_back.contains(index) => {
                let name = self.outcome.nodes[*index].name.clone();
                self.outcome.drained.insert(name, self.now);
            }
            _ => {}
        }
    }

    fn delay(&mut self, node: usize, way: usize) -> u64 {
        let most = self.outcome.scenario.delay_ns;
        let delay = if self.random.percent(3) { most * 3 } else { self.random.between(most / 4, most) };
        let way = &mut self.ways[node][way];
        let at = (self.now.max(way.cut_until) + delay).max(way.last + 1);
        way.last = at;
        at
    }

    fn send_to(&mut self, session: u64, message: Box<ToNode>) {
        let Some(&node) = self.sessions.get(&session) else { return };
        let at = self.delay(node, 0);
        self.at(at, Next::ToNode { node, session, message });
    }

    fn say(&mut self, node: usize, message: FromNode) {
        let Some(session) = self.outcome.nodes[node].session else { return };
        let at = self.delay(node, 1);
        let twice = self.random.percent(self.outcome.scenario.twice);
        if twice && !matches!(message, FromNode::Hello(_)) {
            let later = at + self.random.below(200 * MS);
            self.at(later, Next::FromNode { session, message: Box::new(message.clone()) });
        }
        self.at(at, Next::FromNode { session, message: Box::new(message) });
    }

    fn connect(&mut self, index: usize) {
        let now = self.now;
        let node = &self.outcome.nodes[index];
        let cut = self.ways[index].iter().any(|way| way.cut_until > now);
        if !node.alive || node.session.is_some() {
            return;
        }
        if self.director.is_none() || cut || node.frozen_until > now {
            let again = now + self.random.between(50 * MS, 400 * MS);
            return self.at(again, Next::Connect(index));
        }
        let session = self.term * 1_000_000 + self.next_session;
        self.next_session += 1;
        self.sessions.insert(session, index);
        self.ways[index] = [Way::default(), Way::default()];
        let node = &mut self.outcome.nodes[index];
        let did = node.connected(now + node.ahead, session);
        self.done(index, did);
    }

    /// A connection ends: what was under way on it is lost.
    fn drop_session(&mut self, session: u64, by_coordinator: bool) {
        let Some(index) = self.sessions.remove(&session) else { return };
        let now = self.now;
        let node = &mut self.outcome.nodes[index];
        if node.session == Some(session) {
            node.disconnected(now + node.ahead);
            let again = now + self.random.between(20 * MS, 300 * MS);
            self.at(again, Next::Connect(index));
        }
        if !by_coordinator {
            let later = now + self.random.between(MS, 50 * MS);
            self.at(later, Next::Gone(session));
        }
    }

    fn arrive_at_node(&mut self, index: usize, session: u64, message: ToNode) {
        let now = self.now;
        let node = &mut self.outcome.nodes[index];
        if !node.alive || node.session != Some(session) {
            return;
        }
        if node.frozen_until > now {
            // It lies in the socket until the process runs again.
            let at = node.frozen_until;
            return self.at(at, Next::ToNode { node: index, session, message: Box::new(message) });
        }
        let did = node.told(now + node.ahead, message);
        self.done(index, did);
    }

    fn step(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.outcome.nodes[index];
        if !node.alive {
            return;
        }
        if node.frozen_until > now {
            let at = node.frozen_until;
            return self.at(at, Next::Step(index));
        }
        let did = node.step(now + node.ahead);
        self.at(now + STEP, Next::Step(index));
        self.done(index, did);
    }

    fn done(&mut self, index: usize, did: Did) {
        let now = self.now;
        let (name, incarnation) = {
            let node = &self.outcome.nodes[index];
            (node.name.clone(), node.incarnation)
        };
        for (run, slot) in did.slots {
            let sent = self.outcome.sent.entry(run).or_default();
            sent.entry(slot).or_default().push((name.clone(), incarnation, now));
        }
        for message in did.said {
            self.say(index, message);
        }
        if let Some(session) = self.outcome.nodes[index].session.filter(|_| did.leaves) {
            self.drop_session(session, false);
        }
    }

    fn cause(&mut self, place: usize, happening: Happening) {
        let now = self.now;
        let asks = matches!(happening, Happening::Order(..) | Happening::Drain(_) | Happening::Admit(_));
        if asks && self.director.is_none() {
            // Nobody answers while it is down; people try again.
            return self.at(now + 300 * MS, Next::Happening(place));
        }
        match happening {
            Happening::Kill(index, after) => {
                let node = &mut self.outcome.nodes[index];
                if !node.alive {
                    return;
                }
                let (session, incarnation) = (node.session, node.incarnation);
                node.kill();
                if let Some(session) = session {
                    self.drop_session(session, false);
                }
                if let Some(after) = after {
                    self.at(now + after, Next::Revive(index, incarnation));
                }
            }
            Happening::Leave(index, after) => self.ask_to_end(place, index, after),
            Happening::Freeze(index, for_ns) => {
                let node = &mut self.outcome.nodes[index];
                node.frozen_until = node.frozen_until.max(now + for_ns);
            }
            Happening::Cut { node, to_node, from_node, for_ns } => {
                for (way, cut) in [(0, to_node), (1, from_node)] {
                    if cut {
                        self.ways[node][way].cut_until = now + for_ns;
                    }
                }
            }
            Happening::Reset(index) => {
                if let Some(session) = self.outcome.nodes[index].session {
                    self.drop_session(session, false);
                }
            }
            Happening::KillCoordinator(down) => self.kill_coordinator(down),
            Happening::Order(plan, order) => {
                let run = self.outcome.scenario.plans[plan].submission.run;
                self.direct(Event::Order { ticket: OTHER_TICKETS, run, order });
            }
            Happening::Drain(index) | Happening::Admit(index) => {
                let node = self.outcome.nodes[index].name.clone();
                let order = if matches!(happening, Happening::Drain(_)) {
                    self.taken_back.remove(&index);
                    NodeOrder::Drain { exit: false }
                } else {
                    // From here on it may send again, whether or not whoever wants it hears of that.
                    self.taken_back.insert(index);
                    self.outcome.drained.remove(&node);
                    NodeOrder::Admit
                };
                self.direct(Event::NodeOrder { ticket: place as u64, node, order });
            }
            Happening::Arrive(index) => {
                let node = &mut self.outcome.nodes[index];
                if !node.alive {
                    node.alive = true;
                    self.at(now + STEP, Next::Step(index));
                    self.at(now + MS, Next::Connect(index));
                }
            }
        }
    }

    fn ask_to_end(&mut self, place: usize, index: usize, after: Option<u64>) {
        let now = self.now;
        let node = &mut self.outcome.nodes[index];
        if !node.alive || node.is_to_end {
            return;
        }
        if node.frozen_until > now {
            // The signal waits until the process runs again.
            let at = node.frozen_until;
            return self.at(at, Next::Happening(place));
        }
        let incarnation = node.incarnation;
        let did = node.signalled(now + node.ahead);
        self.done(index, did);
        if let Some(after) = after {
            self.at(now + after, Next::Revive(index, incarnation));
        }
    }

    fn kill_coordinator(&mut self, down: u64) {
        if self.director.take().is_none() {
            return;
        }
        self.waiting.clear();
        self.wake += 1;
        self.outcome.store.crash();
        let now = self.now;
        let sessions: Vec<u64> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.drop_session(session, true);
        }
        self.at(now + down, Next::Restart);
    }
}
