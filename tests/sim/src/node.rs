//! A simulated node: the engine's own agent, over simulated shards, disk and process.
//!
//! What it is: the driver of the real [`Agent`], which it hands messages and time and for which it does what the agent wants
//! done. What it is not: a decision of its own.
//!
//! It lives by its own clock, which is `ahead` of the true one, and may stand still.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};

use clock::Timestamp;
use engine::agent::{Action, Agent, Event, Happened, Identity, LeftBehind, Now};
use engine::part::{Order, Standing};
use measure::{Counters, Gauges, Names, Totals};
use verdict::ExitCode;
use wire::{ByShard, Delta, Description, FromNode, Measured, RunKey, ToNode};

use crate::S;
use crate::course::Course;
use crate::scenario::Scenario;
use crate::shards::Shards;

/// How far the boot-time clock is ahead of the monotonic one: each lease has to be counted on the right one.
const BOOT_AHEAD: u64 = 7 * S;

/// A summary in which nothing was measured.
static EMPTY: LazyLock<String> = LazyLock::new(|| {
    let facts = report::RunFacts::default();
    let passed = verdict::Verdict::passed();
    report::Summary::new(&facts, &Totals::default(), Vec::new(), &passed).to_json()
});

/// A node, over all its lives.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a state of its own: process, mapping, order, step"
)]
pub(crate) struct Node {
    pub(crate) name: String,
    zone: String,
    /// Its clock minus the true one.
    pub(crate) ahead: u64,
    pub(crate) incarnation: u64,
    pub(crate) alive: bool,
    /// It stands still until then.
    pub(crate) frozen_until: u64,
    pub(crate) session: Option<u64>,
    agent: Agent,
    part: Option<Part>,
    /// On the boot-time clock.
    lease_end: u64,
    /// Survives the process.
    pub(crate) spool: BTreeMap<(RunKey, u64), Spool>,
    /// What earlier and present lives sent: run and life → requests.
    pub(crate) sent: BTreeMap<(RunKey, u64), u64>,
    courses: BTreeMap<RunKey, Arc<Course>>,
    /// What it counted in an interval that its death cut short is saved.
    saves: bool,
    /// It keeps so many seconds apart of which it could tell nobody.
    untold_most: u64,
    /// It was told to go.
    pub(crate) retired: bool,
    /// It was asked to end.
    pub(crate) is_to_end: bool,
    /// Within a step: the agent wants its connection closed.
    leaves: bool,
}

/// What one life measured for one run.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    deltas: BTreeMap<u64, Delta>,
    next: u64,
    /// Requests in all deltas up to and with each.
    pub(crate) sums: Vec<u64>,
    pub(crate) acknowledged: u64,
}

/// A run on this node.
#[derive(Debug)]
struct Part {
    run: RunKey,
    obeyed: u32,
    shards: Option<Shards>,
    totals: [u64; 3],
    over: bool,
}

/// What comes of a step.
#[derive(Debug, Default)]
pub(crate) struct Did {
    pub(crate) said: Vec<FromNode>,
    pub(crate) slots: Vec<(RunKey, u64)>,
    pub(crate) leaves: bool,
}

impl Node {
    pub(crate) fn new(
        index: usize,
        ahead: u64,
        scenario: &Scenario,
        courses: BTreeMap<RunKey, Arc<Course>>,
    ) -> Self {
        let (saves, untold_most) = (scenario.saves, scenario.untold_most);
        let name = format!("n{index}");
        let zone = if index.is_multiple_of(2) { "east" } else { "west" };
        Self {
            agent: Agent::new(identity(&name, zone, 1), Vec::new()).with_untold_most(untold_most),
            untold_most,
            name,
            zone: zone.to_owned(),
            ahead,
            incarnation: 1,
            alive: true,
            frozen_until: 0,
            session: None,
            part: None,
            lease_end: 0,
            spool: BTreeMap::new(),
            sent: BTreeMap::new(),
            courses,
            saves,
            retired: false,
            is_to_end: false,
            leaves: false,
        }
    }

    /// The process is killed.
    pub(crate) fn kill(&mut self) {
        (self.alive, self.session) = (false, None);
        let Some(part) = self.part.take().filter(|part| self.saves && !part.over) else { return };
        let Some(shards) = part.shards else { return };
        // The mapping outlives the process: the next life finds what was counted.
        let spool = self.spool.entry((part.run, self.incarnation)).or_default();
        let until_ns = shards.sealed_ns + S / 2;
        let delta = Delta {
            run: part.run,
            incarnation: self.incarnation,
            sequence: spool.next,
            epoch: part.obeyed,
            second: until_ns.saturating_sub(1) / S,
            until_ns,
            measured: packed(shards.counts),
            gauges: Gauges::default(),
            recovered: true,
        };
        spool.add(delta);
    }

    /// Another life begins.
    pub(crate) fn revive(&mut self) {
        self.incarnation += 1;
        (self.alive, self.retired, self.is_to_end, self.part) = (true, false, false, None);
        (self.frozen_until, self.lease_end) = (0, 0);
        let owed = self.spool.iter().filter(|(_, spool)| spool.acknowledged < spool.next);
        let left = owed.map(|((run, incarnation), spool)| LeftBehind {
            run: *run,
            incarnation: *incarnation,
            first: spool.acknowledged,
            end: spool.next,
        });
        let agent = Agent::new(identity(&self.name, &self.zone, self.incarnation), left.collect());
        self.agent = agent.with_untold_most(self.untold_most);
    }

    /// The process gets a signal.
    pub(crate) fn signalled(&mut self, now: u64) -> Did {
        let mut did = Did::default();
        self.run_shards(now, &mut did);
        self.is_to_end = true;
        let reason = "SIGTERM".to_owned();
        self.tell_agent(now, Event::Leave { reason, code: ExitCode::Terminated }, &mut did);
        did
    }

    /// A connection stands; `now` is by the node's clock, here and below.
    pub(crate) fn connected(&mut self, now: u64, session: u64) -> Did {
        self.session = Some(session);
        let mut did = Did::default();
        self.tell_agent(now, Event::Connected, &mut did);
        did
    }

    pub(crate) fn disconnected(&mut self, now: u64) {
        self.session = None;
        // Nobody hears what it says to that.
        self.tell_agent(now, Event::Disconnected, &mut Did::default());
    }

    /// Time has passed.
    pub(crate) fn step(&mut self, now: u64) -> Did {
        let mut did = Did::default();
        self.run_shards(now, &mut did);
        if let Some(part) = self.part.as_ref().filter(|part| !part.over) {
            let standing = Standing {
                epoch: part.obeyed,
                run_ns: part.shards.as_ref().map_or(0, |shards| shards.run_ns(now)),
                owned: part.shards.as_ref().map_or(0, Shards::owns),
                scheduled: part.totals[0],
                sent: part.totals[1],
                lag_p99_ns: 0,
            };
            self.tell_agent(now, Event::Standing { standing, cpu_milli: 0 }, &mut did);
        }
        if self.agent.deadline().is_some_and(|at| at.as_nanos() <= now) {
            self.tell_agent(now, Event::Wake, &mut did);
        }
        did
    }

    /// The coordinator said something.
    pub(crate) fn told(&mut self, now: u64, message: ToNode) -> Did {
        let mut did = Did::default();
        // Whatever was due before this came is dealt with first.
        self.run_shards(now, &mut did);
        self.retired |= matches!(message, ToNode::Retire { .. });
        let received = Timestamp::from_nanos(now);
        self.tell_agent(now, Event::Told { received, message: Box::new(message) }, &mut did);
        did
    }

    fn tell_agent(&mut self, now: u64, event: Event, did: &mut Did) {
        let clocks = Now { monotonic: Timestamp::from_nanos(now), boot_ns: now + BOOT_AHEAD, unix_ns: now };
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut actions = Vec::new();
            self.agent.handle(clocks, event, &mut actions);
            for action in actions {
                self.act(now, action, did, &mut events);
            }
        }
        did.leaves |= std::mem::take(&mut self.leaves);
    }

    fn act(&mut self, now: u64, action: Action, did: &mut Did, events: &mut VecDeque<Event>) {
        match action {
            Action::Send(message) => did.said.push(*message),
            Action::Deliver { run, incarnation, sequence } => {
                let spool = self.spool.get(&(run, incarnation));
                let delta = spool.and_then(|spool| spool.deltas.get(&sequence));
                let delta = delta.expect("the agent delivers what is kept").clone();
                did.said.push(FromNode::Delta(Box::new(delta)));
            }
            Action::Close => self.leaves = true,
            Action::Begin { run, .. } => {
                self.retired = false;
                self.part = Some(Part { run, obeyed: 0, shards: None, totals: [0; 3], over: false });
                let names = Names::requests(["all".to_owned()]);
                let description = Box::new(Description { names, summary: EMPTY.clone() });
                events.push_back(Event::Part { run, happened: Happened::Prepared(Ok(description)) });
            }
            Action::Order(order) => self.obey(now, order, events),
            Action::RenewLease { until_ns } if now + BOOT_AHEAD < self.lease_end => {
                self.lease_end = self.lease_end.max(until_ns);
            }
            Action::BeginLease { until_ns } => self.lease_end = until_ns,
            Action::Keep(delta) => {
                self.spool.entry((delta.run, delta.incarnation)).or_default().add(*delta);
            }
            Action::Forget { run, incarnation, through } => {
                if let Some(spool) = self.spool.get_mut(&(run, incarnation)) {
                    spool.acknowledged = spool.acknowledged.max(through + 1);
                    spool.deltas.retain(|sequence, _| *sequence > through);
                }
            }
            Action::Coalesce { run, incarnation, from } => {
                if let Some(spool) = self.spool.get_mut(&(run, incarnation)) {
                    let end = spool.coalesce(from);
                    events.push_front(Event::Coalesced { run, incarnation, end });
                }
            }
            Action::Discard { run } => {
                let own = self.spool.iter_mut().filter(|((of, _), _)| *of == run);
                own.for_each(|(_, spool)| spool.deltas.clear());
            }
            Action::Exit { .. } => {
                (self.alive, self.retired) = (false, true);
                self.leaves = true;
            }
            // One that has run out is not renewed; nobody reads notes.
            Action::RenewLease { .. } | Action::Note(_) => {}
        }
    }

    /// The shards do what is asked, or decline.
    fn obey(&mut self, now: u64, order: Order, events: &mut VecDeque<Event>) {
        let Some(part) = self.part.as_mut().filter(|part| !part.over) else { return };
        let run = part.run;
        let course = Arc::clone(&self.courses[&run]);
        let (epoch, done, arms) = match order {
            Order::Arm { epoch, start, from_ns, cells, rates } => {
                let mut shards = Shards::new(course, start.as_nanos(), now);
                for (_, from_ns, rate) in &rates {
                    shards.set_rate_before(*from_ns, *rate);
                }
                let takes = shards.assign(from_ns.max(shards.run_ns(now)), cells);
                part.shards = Some(shards);
                (epoch, takes, true)
            }
            Order::Assign { epoch, from_ns, cells } => {
                let done = part.shards.as_mut().is_some_and(|shards| shards.assign(from_ns, cells));
                (epoch, done, false)
            }
            Order::SetRate { epoch, from_ns, rate, .. } => {
                let done = part.shards.as_mut().is_some_and(|shards| shards.set_rate(from_ns, rate));
                (epoch, done, false)
            }
            Order::Stop | Order::Abort { .. } => return self.finish(events),
        };
        if done {
            part.obeyed = epoch;
        }
        let happened = match (done, arms) {
            (true, true) => Happened::Armed { epoch },
            (true, false) => Happened::Obeyed { epoch },
            (false, _) => Happened::Declined { epoch, reason: "it came too late".to_owned() },
        };
        events.push_back(Event::Part { run, happened });
    }

    fn run_shards(&mut self, now: u64, did: &mut Did) {
        let lease_end = self.lease_end.saturating_sub(BOOT_AHEAD);
        let Some(part) = self.part.as_mut().filter(|part| !part.over) else { return };
        let Some(shards) = &mut part.shards else { return };
        let run = part.run;
        let (mut events, mut over) = (VecDeque::new(), false);
        // Seconds are sealed as they pass, also after a standstill.
        loop {
            let next_ns = shards.sealed_ns + S;
            let (slots, lapsed) = shards.release(now.min(shards.start + next_ns - 1), now, lease_end);
            *self.sent.entry((run, self.incarnation)).or_default() += slots.len() as u64;
            did.slots.extend(slots.into_iter().map(|slot| (run, slot)));
            if let Some(at_ns) = lapsed {
                events.push_back(Event::Part { run, happened: Happened::Lapsed { at_ns } });
            }
            if now < shards.start + next_ns {
                break;
            }
            let counts = std::mem::take(&mut shards.counts);
            add(&mut part.totals, counts);
            events.push_back(second(run, counts, next_ns));
            shards.sealed_ns = next_ns;
            if next_ns >= shards.duration_ns() {
                over = true;
                break;
            }
        }
        if over {
            self.finish(&mut events);
        }
        for event in events {
            self.tell_agent(now, event, did);
        }
    }

    /// The part is over.
    fn finish(&mut self, events: &mut VecDeque<Event>) {
        let Some(part) = self.part.as_mut().filter(|part| !part.over) else { return };
        part.over = true;
        let run = part.run;
        let shards = part.shards.take();
        if let Some(shards) = shards.as_ref().filter(|shards| shards.counts != [0; 3]) {
            add(&mut part.totals, shards.counts);
            events.push_back(second(run, shards.counts, shards.sealed_ns + S / 2));
        }
        let [_, sent, _] = part.totals;
        let happened = Happened::Finished {
            counters: Box::new(Counters { sent, ok: sent, ..Counters::default() }),
            first_sent_ns: shards.and_then(|shards| shards.first_sent_ns),
            summary: String::new(),
        };
        events.push_back(Event::Part { run, happened });
    }
}

impl Spool {
    fn add(&mut self, delta: Delta) {
        assert_eq!(delta.sequence, self.next, "deltas are numbered without gaps");
        let sent = delta.measured.counters().sent;
        self.sums.push(self.sums.last().copied().unwrap_or(0) + sent);
        self.next += 1;
        self.deltas.insert(delta.sequence, delta);
    }

    /// Puts deltas together, two and two, and numbers them anew.
    fn coalesce(&mut self, from: u64) -> u64 {
        let apart: Vec<Delta> = self.deltas.split_off(&from).into_values().collect();
        self.next = from;
        self.sums.truncate(usize::try_from(from).expect("a few deltas"));
        for pair in apart.chunks(2) {
            let last = pair.last().expect("a chunk is not empty");
            let mut totals = Totals::new(last.measured.shape());
            for one in pair {
                one.measured.add_to(&mut totals, ByShard::AsTold).expect("one shape");
            }
            let measured = Measured::pack(&totals);
            self.add(Delta { sequence: self.next, measured, ..last.clone() });
        }
        self.next
    }
}

fn add(sums: &mut [u64; 3], more: [u64; 3]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

fn second(run: RunKey, counts: [u64; 3], until_ns: u64) -> Event {
    let happened = Happened::Second {
        second: until_ns.saturating_sub(1) / S,
        until_ns,
        measured: packed(counts),
        gauges: Gauges::default(),
    };
    Event::Part { run, happened }
}

/// Requests that were all answered within a millisecond.
fn packed([scheduled, sent, dropped]: [u64; 3]) -> Measured {
    let mut totals = Totals::new(Names::requests(["all".to_owned()]).shape());
    totals.counters = Counters { scheduled, sent, ok: sent, ..Counters::default() };
    totals.counters.dropped[measure::DropReason::Late.index()] = dropped;
    (totals.names[0].sent, totals.names[0].ok_count) = (sent, sent);
    totals.names[0].ok.record_many(1_000_000, sent);
    Measured::pack(&totals)
}

fn identity(name: &str, zone: &str, incarnation: u64) -> Identity {
    Identity {
        node: name.to_owned(),
        incarnation,
        boot_id: "boot".to_owned(),
        host: name.to_owned(),
        pid: 1,
        version: "1".to_owned(),
        cores: 1,
        capacity: None,
        zone: Some(zone.to_owned()),
        labels: BTreeMap::new(),
    }
}
