//! The director: decides what the fleet does.
//!
//! What it is: one pure machine. It hears [`Event`]s with the instant at which they came and answers [`Action`]s; whom it
//! takes for a run, who owns which cells from when on, what is durable before what is said. What it is not: a socket, a
//! clock, a database or a source of randomness; those are the edges', and tests hand it simulated ones.
//!
//! ```text
//!                 Event                                              Action
//!   nodes ──► Message, Closed ──┐                            ┌──► Send, Close ──► nodes
//!   people ─► Submit, Order ────┤  fleet: who is there       ├──► Answer, Second, Note ──► people
//!   clock ──► Wake, WallClock ──┤  runs: who carries what    ├──► Keep ──► store
//!                               └► ledgers: what was measured┘
//! ```
//!
//! Invariants: a cell has at most one owner for every nanosecond of a run; every delta is counted once; whatever a node is
//! told follows from what was durable before.

mod event;
mod out;
mod queue;
mod record;
mod text;
mod views;

use std::collections::BTreeMap;

use clock::Timestamp;
use wire::{Beat, FromNode, Hello, RunKey, ToNode, Welcome};

pub use event::{Action, Answer, Event, NodeOrder, Order, Rated, Submission, Terms, Weights};
pub(crate) use out::Out;
pub use record::{
    CellsText, Chosen, Conclusion, Fact, Mark, Merged, NamesText, Origin, PartText, Record, Restored,
    Settings, Share, Standing, StopCause,
};

use crate::fleet::{Fleet, Greeting};
use crate::handle::{Refused, RefusedKind};
use crate::run::{Run, Stage};

/// While a run is under way, time is looked at this often.
const TICK_NS: u64 = 50_000_000;
/// What nodes say leads to no more looks than one in this time,
const PASS_NS: u64 = 10_000_000;
/// nor than one in this time for each of them: looking at a node takes a microsecond or two.
const PASS_OF_EACH_NS: u64 = 50_000;
/// Otherwise this often.
const IDLE_TICK_NS: u64 = 500_000_000;
/// A run that has ended is shown for so long.
const SHOWN_NS: u64 = 60_000_000_000;

/// Directs a fleet.
#[derive(Debug)]
pub struct Director {
    origin: Origin,
    fleet: Fleet,
    runs: BTreeMap<RunKey, Run>,
    /// In the order in which they were taken.
    order: Vec<RunKey>,
    /// Since when a run is the one that nodes are gathered for.
    first_since: BTreeMap<RunKey, Timestamp>,
    ended_at: BTreeMap<RunKey, Timestamp>,
    number: u64,
    last: Timestamp,
    /// When everything was looked at last, and whether something has come since that asks for a look.
    looked_at: Timestamp,
    is_due: bool,
    broken: Option<Broken>,
}

/// A rule that a simulation breaks on purpose, to see that it is caught.
#[doc(hidden)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Cells are given to others before their owner obeyed to give them up.
    GiveBeforeObeyed,
    /// A silent node is taken for lost before its lease is over.
    LossBeforeLease,
    /// A lower rate holds at once, whoever has not heard of it.
    LowerAtOnce,
    /// A delta that comes twice counts twice.
    CountTwice,
    /// Deltas are acknowledged before they are kept.
    AcknowledgeUnkept,
}

impl Director {
    /// A director of a new term. `restored` are the runs that an earlier one left, `standing` what it had decided about nodes.
    pub fn new(now: Timestamp, origin: Origin, restored: Vec<Restored>, standing: Standing) -> Self {
        let mut fleet = Fleet::new(standing);
        let (mut runs, mut order) = (BTreeMap::new(), Vec::new());
        for one in restored {
            let key = one.submission.run;
            let run = Run::restore(now, one, &origin);
            for (node, incarnation) in run.living() {
                fleet.presume(now, node, incarnation, &origin.settings);
            }
            order.push(key);
            runs.insert(key, run);
        }
        Self {
            origin,
            fleet,
            runs,
            order,
            first_since: BTreeMap::new(),
            ended_at: BTreeMap::new(),
            number: 0,
            last: now,
            looked_at: Timestamp::ZERO,
            is_due: false,
            broken: None,
        }
    }

    /// Breaks a rule, for simulations.
    #[doc(hidden)]
    pub fn break_rule(&mut self, broken: Broken) {
        self.broken = Some(broken);
        self.runs.values_mut().for_each(|run| run.broken = Some(broken));
    }

    /// Hears an event. `now` never goes back.
    pub fn handle(&mut self, now: Timestamp, event: Event, actions: &mut Vec<Action>) {
        self.last = now;
        let (is_of_node, is_routine) = (event.is_of_node(), event.is_routine());
        let mut number = self.number;
        let origin = self.origin.clone();
        let mut out = Out { actions, number: &mut number, origin: &origin };
        match event {
            Event::Message { session, at, message } => self.hear(now, session, at, *message, &mut out),
            Event::Closed { session } => {
                self.fleet.closed(session);
            }
            Event::Submit { ticket, submission } => self.submit(now, ticket, *submission, &mut out),
            Event::Order { ticket, run, order } => self.order(now, ticket, run, &order, &mut out),
            Event::NodeOrder { ticket, node, order } => self.order_node(ticket, &node, order, &mut out),
            Event::WallClock { unix_offset_ns } => self.origin.unix_offset_ns = unix_offset_ns,
            Event::Wake => {}
        }
        self.is_due |= !is_routine;
        // A thousand nodes say something thousands of times a second; what follows from that may wait for a moment.
        if !is_of_node || now >= self.looks_at() {
            (self.looked_at, self.is_due) = (now, false);
            self.advance(now, &mut out);
        }
        self.number = number;
    }

    /// When [`Event::Wake`] is wanted at the latest. It may change with every event.
    pub fn deadline(&self) -> Option<Timestamp> {
        let active = self.runs.values().any(|run| !matches!(run.stage, Stage::Concluded));
        let tick = self.last.plus_nanos(if active { TICK_NS } else { IDLE_TICK_NS });
        let idle = self.runs.is_empty() && self.fleet.nodes.is_empty();
        let own = self.runs.values().filter_map(Run::deadline).filter(|at| *at > self.last).min();
        let look = self.is_due.then(|| self.looks_at());
        own.into_iter().chain((!idle).then_some(tick)).chain(look).min()
    }

    /// Before this, nothing that nodes say leads to another look.
    fn looks_at(&self) -> Timestamp {
        let of_all_ns = (self.fleet.nodes.len() as u64).saturating_mul(PASS_OF_EACH_NS);
        self.looked_at.plus_nanos(PASS_NS.max(of_all_ns))
    }

    fn advance(&mut self, now: Timestamp, out: &mut Out<'_>) {
        self.gather(now, out);
        for run in self.runs.values_mut() {
            run.advance(now, &mut self.fleet, out);
        }
        let rogues: Vec<(String, String)> =
            self.runs.values_mut().flat_map(|run| std::mem::take(&mut run.rogues)).collect();
        for (node, reason) in rogues {
            self.shut_out(&node, &reason, out);
        }
        self.retire(out);
        for run in self.runs.values().filter(|run| run.stage == Stage::Concluded) {
            self.ended_at.entry(run.key()).or_insert(now);
        }
        let ended = &self.ended_at;
        let shown = |key: &RunKey| ended.get(key).is_none_or(|at| now.nanos_since(*at) < SHOWN_NS);
        self.runs.retain(|key, _| shown(key));
        self.order.retain(|key| self.runs.contains_key(key));
        self.ended_at.retain(|key, _| self.runs.contains_key(key));
        self.first_since.retain(|key, _| self.runs.contains_key(key));
        self.fleet.tidy(now);
    }

    fn hear(&mut self, now: Timestamp, session: u64, at: Timestamp, message: FromNode, out: &mut Out<'_>) {
        let Some(name) = self.fleet.of_session(session).map(str::to_owned) else {
            match message {
                FromNode::Hello(hello) => self.greet(now, session, hello, out),
                // It was closed, or never said who it is.
                _ => out.close(session),
            }
            return;
        };
        let Some(node) = self.fleet.nodes.get_mut(&name) else { return };
        node.seen = now;
        match message {
            FromNode::Hello(_) => {}
            FromNode::TimeReply { probe, received, replied } => {
                node.offset.answer(probe, at, received, replied);
                if node.offset.wants_more() {
                    let probe = node.offset.probe(now);
                    out.send_now(session, ToNode::TimeProbe { probe });
                }
            }
            FromNode::Beat(beat) => self.heard_beat(now, session, &name, &beat, out),
            FromNode::Log(mut lines) => {
                // What a node says is about runs that it had a part in, or about none.
                let had = |run: &RunKey| self.runs.get(run).is_some_and(|run| run.had(&name));
                for line in &mut lines {
                    line.run = line.run.filter(had);
                }
                out.log(&name, lines);
            }
            FromNode::Bye { reason } => {
                node.gone = true;
                let incarnation = node.hello.incarnation;
                self.fleet.died(&name, incarnation);
                let why = if reason.is_empty() { reason } else { format!(": {reason}") };
                out.note(None, format!("node {name} left{why}"));
            }
            message => self.route(now, session, &name, message, out),
        }
    }

    /// Hands a message about a run to that run.
    fn route(&mut self, now: Timestamp, session: u64, name: &str, message: FromNode, out: &mut Out<'_>) {
        let run = match &message {
            FromNode::Prepared(prepared) => prepared.run,
            FromNode::Armed { run, .. } | FromNode::Declined { run, .. } | FromNode::Obeyed { run, .. } => {
                *run
            }
            FromNode::Delta(delta) => delta.run,
            FromNode::Finished(finished) => finished.run,
            FromNode::Hello(_)
            | FromNode::TimeReply { .. }
            | FromNode::Beat(_)
            | FromNode::Log(_)
            | FromNode::Bye { .. } => return,
        };
        match self.runs.get_mut(&run) {
            Some(known) if known.stage != Stage::Concluded => {
                known.hear(now, name, message, &mut self.fleet, out);
            }
            // It is over: nothing more can be counted, and nothing more has to be kept.
            _ => out.send_now(session, ToNode::Release { run }),
        }
    }

    fn greet(&mut self, now: Timestamp, session: u64, hello: Hello, out: &mut Out<'_>) {
        let greeting = self.fleet.greet(now, session, &hello, &self.origin.version);
        let old = match greeting {
            Greeting::Refused { reason } => {
                out.note(None, format!("refused: {reason}"));
                out.send_now(session, ToNode::Refused { reason });
                return out.close(session);
            }
            Greeting::Taken { old } => old,
        };
        if let Some(old) = old {
            out.close(old);
        }
        let (name, incarnation) = (hello.node, hello.incarnation);
        let takes = |resume: &wire::Resume| {
            self.runs.get(&resume.run).is_some_and(|run| run.takes_back(&name, incarnation))
        };
        let resume = hello.resume.as_ref().is_some_and(takes);
        let settings = self.origin.settings;
        let welcome = Welcome {
            term: self.origin.term,
            session,
            version: self.origin.version.clone(),
            lease_ns: settings.lease_ns,
            beat_ns: settings.beat_ns,
            resume,
        };
        out.send_now(session, ToNode::Welcome(welcome));
        let own =
            self.runs.values_mut().find(|run| run.has(&name, incarnation) && run.stage != Stage::Concluded);
        if let Some(node) = self.fleet.nodes.get_mut(&name) {
            node.busy = own.as_ref().map(|run| run.key());
            let probe = node.offset.probe(now);
            out.send_now(session, ToNode::TimeProbe { probe });
        }
        if let Some(run) = own {
            let epoch = hello
                .resume
                .filter(|resume| resume.run == run.key())
                .map_or(0, |resume| resume.fencing.epoch);
            run.greet(now, &name, epoch, &self.fleet, out);
        }
        for run in hello.left_behind {
            let wanted =
                self.runs.get(&run).is_some_and(|run| run.stage != Stage::Concluded && run.had(&name));
            if !wanted {
                out.send_now(session, ToNode::Release { run });
            }
        }
    }

    /// A sign of life: the lease is renewed, unless somebody else may come to act in its place.
    fn heard_beat(&mut self, now: Timestamp, session: u64, name: &str, beat: &Beat, out: &mut Out<'_>) {
        let Some(node) = self.fleet.nodes.get_mut(name) else { return };
        node.beat = beat.clone();
        let busy = node.busy;
        if beat.leaving && node.draining.is_none() {
            (node.draining, node.leaving) = (Some(true), Some(node.hello.incarnation));
            out.note(busy, format!("node {name} is to end; its cells go to others"));
            self.runs.values_mut().filter(|run| run.had(name)).for_each(Run::reconsider);
        }
        let probe = node.offset.probe(now);
        out.send_now(session, ToNode::TimeProbe { probe });
        let withheld = busy.and_then(|run| self.runs.get(&run)).is_some_and(|run| run.withholds(name));
        if !withheld {
            let first = !node.granted;
            self.fleet.grant(now, name, &self.origin.settings);
            let lease_ns = self.origin.settings.lease_ns;
            out.send_now(session, ToNode::Grant { beat: beat.number, lease_ns });
            if let Some(run) = busy.and_then(|run| self.runs.get_mut(&run)).filter(|_| first) {
                run.reconsider();
            }
        }
        if let Some(run) = busy.and_then(|run| self.runs.get_mut(&run)) {
            run.heard_beat(now, name, beat, &mut self.fleet, out);
        }
    }

    fn submit(&mut self, now: Timestamp, ticket: u64, submission: Submission, out: &mut Out<'_>) {
        let key = submission.run;
        if self.runs.contains_key(&key) {
            let refused = Refused::new(RefusedKind::Conflict, "a run of this id was taken already");
            return out.answer(ticket, Err(refused));
        }
        out.keep(Record::Taken(Box::new(submission.clone())));
        let mut run = Run::new(now, submission);
        run.broken = self.broken;
        self.runs.insert(key, run);
        self.order.push(key);
        out.answer(ticket, Ok(Answer::Done));
    }

    fn order(&mut self, now: Timestamp, ticket: u64, run: RunKey, order: &Order, out: &mut Out<'_>) {
        let Some(run) = self.runs.get_mut(&run) else {
            let refused = Refused::new(RefusedKind::Missing, "there is no run of this id under way");
            return out.answer(ticket, Err(refused));
        };
        let answer = match order {
            Order::SetRate { .. } => run.order_rate(now, order, &self.fleet, out).map(Answer::Rate),
            Order::Stop | Order::Abort { .. } => {
                run.order_end(now, order, &mut self.fleet, out).map(|()| Answer::Done)
            }
        };
        out.answer(ticket, answer);
    }

    fn order_node(&mut self, ticket: u64, name: &str, order: NodeOrder, out: &mut Out<'_>) {
        let shut_out = self.fleet.quarantined.contains_key(name);
        let is_known = self.fleet.nodes.contains_key(name);
        let is_kept_out = shut_out || self.fleet.draining.contains_key(name);
        let can_be = is_known || (is_kept_out && order == NodeOrder::Admit);
        if !can_be {
            let refused = Refused::new(RefusedKind::Missing, "no node has this name; see the list of nodes");
            return out.answer(ticket, Err(refused));
        }
        let exit = match order {
            NodeOrder::Drain { exit } => Some(exit),
            NodeOrder::Admit => None,
        };
        if self.fleet.drain(name, exit) {
            out.keep(Record::Drain { node: name.to_owned(), exit });
        }
        if shut_out && order == NodeOrder::Admit {
            self.let_in(name, out);
        }
        self.runs.values_mut().filter(|run| run.had(name)).for_each(Run::reconsider);
        out.answer(ticket, Ok(Answer::Done));
    }

    /// A node told what cannot be: nothing more of it is believed, and its lease is not renewed.
    fn shut_out(&mut self, name: &str, reason: &str, out: &mut Out<'_>) {
        if self.fleet.quarantined.contains_key(name) {
            return;
        }
        self.fleet.quarantined.insert(name.to_owned(), reason.to_owned());
        out.keep(Record::Quarantine { node: name.to_owned(), reason: Some(reason.to_owned()) });
        out.note(None, format!("node {name} is shut out: {reason}"));
        for run in self.runs.values_mut().filter(|run| run.had(name)) {
            run.shut_out(self.last, name, reason);
        }
        let Some(session) = self.fleet.nodes.get(name).and_then(|node| node.session) else { return };
        out.send(session, ToNode::Refused { reason: format!("shut out: {reason}") });
        out.close(session);
        self.fleet.closed(session);
    }

    fn let_in(&mut self, name: &str, out: &mut Out<'_>) {
        self.fleet.quarantined.remove(name);
        out.keep(Record::Quarantine { node: name.to_owned(), reason: None });
        out.note(None, format!("node {name} is let in again"));
    }

    /// Draining nodes that have nothing left to do may go.
    fn retire(&mut self, out: &mut Out<'_>) {
        let draining = self.fleet.nodes.iter().filter(|(_, node)| node.draining.is_some() && !node.retired);
        let names: Vec<String> = draining.map(|(name, _)| name.clone()).collect();
        for name in names {
            let busy = self.fleet.nodes.get(&name).and_then(|node| node.busy);
            if let Some(run) = busy.and_then(|run| self.runs.get(&run)) {
                run.let_go_when_done(&name, &mut self.fleet, out);
            }
            let Some(node) = self.fleet.nodes.get_mut(&name) else { continue };
            if let (Some(exit), Some(session), None) = (node.draining, node.session, node.busy) {
                node.retired = true;
                out.send(session, ToNode::Retire { exit });
            }
        }
    }
}
