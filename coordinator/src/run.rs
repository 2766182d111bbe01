//! One run: who carries it out, who owns what, how far it is.
//!
//! ```text
//!   Queued ──nodes chosen──► Preparing ──all prepared──► Arming ──all armed──► Armed ──its start──► Running
//!     │                          │                        │  ▲ too late           │                   │
//!     │                          │                        └──┘ a later start      │                   │ the plan's end,
//!     └──────── refused ─────────┴───────── refused ────────┘                     └─────────┬─────────┘ or a stop
//!                                                                                           ▼
//!                           concluded ◄──everything told, or waited for long enough── Sealing ◄──all over── Stopping
//! ```
//!
//! What it is: the machine of a run, level-triggered: [`Run::advance`] looks at how things stand and does what that asks for,
//! as often as it is called. What it is not: a choice among runs; the director hands it nodes.
//!
//! Invariants: what nodes are told follows from kept facts; the start never moves once anybody owns a cell; nothing is given
//! to one node before another has surely given it up.
//! Units: `…_ns` without another word count from the plan's zero, the warm-up included.

mod conclude;
mod course;
mod due;
mod ending;
mod measures;
mod member;
mod moves;
mod so_far;
mod start;
mod table;
mod views;

use std::collections::BTreeMap;

use clock::Timestamp;
use schedule::Rate;
use verdict::Watch;
use wire::{Beat, FromNode, RunKey, ToNode};

pub(crate) use conclude::early;
use due::Due;
pub(crate) use member::{Member, Phase};
use table::Table;

use crate::director::{Conclusion, Origin, Out, Restored, StopCause, Submission};
use crate::fleet::Fleet;
use crate::handle::{Degraded, OnNodeLoss};
use crate::ledger::Ledger;

/// A lead that suffices on one host: commands reach every shard within 100 ms, records a disk.
const LEAD_NS: u64 = 200_000_000;
/// More epochs than a coordinator uses between two facts.
const EPOCHS_UNKEPT: u32 = 1_000;

/// Where a run is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Queued,
    Preparing,
    Arming,
    Armed,
    Running,
    Stopping,
    Sealing,
    Concluded,
}

/// The end of a run before its plan's.
#[derive(Clone, Debug)]
pub(crate) struct Halt {
    at_ns: u64,
    reason: String,
    cause: StopCause,
}

/// One run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) submission: Submission,
    pub(crate) stage: Stage,
    /// What it waits for.
    reason: String,
    epoch: u32,
    facts: u64,
    members: BTreeMap<String, Member>,
    /// Earlier lives of nodes, in the order in which they were replaced.
    past: Vec<(String, Member)>,
    next_place: u32,
    table: Table,
    due: Due,
    rates: Vec<(Option<String>, u64, Rate)>,
    /// A summary in which nothing was measured, as the first node described it.
    described: Option<String>,
    /// What was asked for, as that summary says it.
    schedule: String,
    ledger: Option<Ledger>,
    watch: Watch,
    start: Option<Timestamp>,
    start_unix_ns: Option<u64>,
    start_boot: String,
    /// Somebody was given cells: the start stands.
    committed: bool,
    halt: Option<Halt>,
    notes: Vec<String>,
    degraded: Vec<Degraded>,
    /// Who owns what may have to change.
    unsettled: bool,
    /// When the present stage began.
    since: Timestamp,
    /// When all nodes were prepared, and how long the lead was when the last start was missed.
    ready_at: Option<Timestamp>,
    start_lead_ns: u64,
    /// Since when nobody is left.
    alone_since: Option<Timestamp>,
    /// A threshold that ends the run was breached, and this says so.
    breach: Option<String>,
    /// The last sign of what is still expected.
    heard_at: Timestamp,
    /// Breaches of what a node may say, for the director to act on.
    pub(crate) rogues: Vec<(String, String)>,
    /// How it ended.
    pub(crate) conclusion: Option<Box<Conclusion>>,
    /// A rule that a test breaks on purpose.
    pub(crate) broken: Option<crate::director::Broken>,
}

impl Run {
    /// A run that was just taken.
    pub(crate) fn new(now: Timestamp, submission: Submission) -> Self {
        Self {
            due: Due::new(submission.load.clone()),
            watch: Watch::new(&submission.thresholds),
            submission,
            stage: Stage::Queued,
            reason: String::new(),
            epoch: 0,
            facts: 0,
            members: BTreeMap::new(),
            past: Vec::new(),
            next_place: 0,
            table: Table::default(),
            rates: Vec::new(),
            described: None,
            schedule: String::new(),
            ledger: None,
            start: None,
            start_unix_ns: None,
            start_boot: String::new(),
            committed: false,
            halt: None,
            notes: Vec::new(),
            degraded: Vec::new(),
            unsettled: true,
            since: now,
            ready_at: None,
            start_lead_ns: 0,
            alone_since: None,
            breach: None,
            heard_at: now,
            rogues: Vec::new(),
            conclusion: None,
            broken: None,
        }
    }

    /// A run that an earlier coordinator left. Its nodes may hold leases that were granted until now.
    pub(crate) fn restore(now: Timestamp, restored: Restored, origin: &Origin) -> Self {
        let mut run = Self::new(now, restored.submission);
        for fact in &restored.facts {
            run.apply(fact);
        }
        run.facts = restored.facts.len() as u64;
        run.epoch += EPOCHS_UNKEPT;
        if let Some(ledger) = &mut run.ledger {
            ledger.restore(restored.seconds, restored.marks, origin.term);
        }
        run.stage = match (run.members.is_empty(), run.committed) {
            (true, _) => Stage::Queued,
            (false, false) => Stage::Preparing,
            (false, true) => Stage::Running,
        };
        if run.halt.is_some() && run.committed {
            run.stage = Stage::Stopping;
        }
        if !run.committed {
            run.start = None;
            run.members
                .values_mut()
                .filter(|member| member.is_living())
                .for_each(|member| member.phase = Phase::Preparing);
        } else if run.start_boot != origin.boot_id {
            // The clock that the start was counted by is gone with its boot; the wall clock is the bridge, until a node
            // tells how far the run is.
            run.start = run
                .start_unix_ns
                .map(|unix_ns| Timestamp::from_nanos(unix_ns.saturating_sub(origin.unix_offset_ns)));
            origin.boot_id.clone_into(&mut run.start_boot);
        }
        for member in run.members.values_mut().filter(|member| member.phase == Phase::Armed) {
            // Whoever joined and was given nothing yet begins anew.
            if member.queue.is_empty() && member.epoch == 0 {
                member.phase = Phase::Preparing;
            }
        }
        run
    }

    pub(crate) fn key(&self) -> RunKey {
        self.submission.run
    }

    /// Nodes that take part, by name and life.
    pub(crate) fn living(&self) -> impl Iterator<Item = (&str, u64)> {
        let living = self.members.iter().filter(|(_, member)| member.is_living());
        living.map(|(name, member)| (name.as_str(), member.who.incarnation))
    }

    /// Whether a node takes part, as this life.
    pub(crate) fn has(&self, node: &str, incarnation: u64) -> bool {
        self.members.get(node).is_some_and(|member| member.who.incarnation == incarnation)
    }

    /// Whether some life of a node took part.
    pub(crate) fn had(&self, node: &str) -> bool {
        self.members.contains_key(node)
    }

    /// Whether a node must not be granted a lease now.
    pub(crate) fn withholds(&self, node: &str) -> bool {
        self.members.get(node).is_some_and(Member::is_withheld)
    }

    /// How far the run is; negative before its start.
    fn run_ns(&self, now: Timestamp) -> i64 {
        let Some(start) = self.start else { return i64::MIN };
        let ahead = i128::from(now.as_nanos()) - i128::from(start.as_nanos());
        i64::try_from(ahead).unwrap_or(i64::MAX)
    }

    /// How far it is; 0 before its start.
    fn elapsed_ns(&self, now: Timestamp) -> u64 {
        u64::try_from(self.run_ns(now)).unwrap_or(0)
    }

    /// When nothing more is due.
    fn end_ns(&self) -> u64 {
        let planned = self.submission.duration_ns.unwrap_or(u64::MAX);
        self.halt.as_ref().map_or(planned, |halt| halt.at_ns.min(planned))
    }

    fn abandons(&self) -> bool {
        self.submission.terms.on_loss == OnNodeLoss::Continue
    }

    fn enter(&mut self, now: Timestamp, stage: Stage) {
        (self.stage, self.since) = (stage, now);
        self.reason.clear();
    }

    /// How long before its instant a change has to leave, so that every node obeys in time.
    fn lead_ns(&self, fleet: &Fleet) -> u64 {
        let trip = |(node, incarnation): (&str, u64)| fleet.life(node, incarnation)?.offset.round_trip_ns();
        LEAD_NS + 4 * self.living().filter_map(trip).max().unwrap_or(0)
    }

    /// Does what the present asks for.
    pub(crate) fn advance(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        if matches!(self.stage, Stage::Queued | Stage::Concluded) {
            return;
        }
        self.find_losses(now, fleet, out);
        match self.stage {
            Stage::Preparing => self.begin_when_prepared(now, fleet, out),
            Stage::Arming => self.commit_when_armed(now, fleet, out),
            Stage::Armed if self.run_ns(now) >= 0 => self.enter(now, Stage::Running),
            _ => {}
        }
        if matches!(self.stage, Stage::Armed | Stage::Running) {
            self.arm_joiners(now, fleet, out);
            self.balance(now, fleet, out);
            self.let_leavers_go(now, fleet, out);
        }
        self.close_seconds(now, out);
        self.end_on_breach(now, fleet, out);
        self.commit_measures(now, fleet, out, false);
        self.end(now, fleet, out);
    }

    /// Hears what a node that takes part said about the run.
    pub(crate) fn hear(
        &mut self,
        now: Timestamp,
        node: &str,
        message: FromNode,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) {
        match message {
            FromNode::Prepared(prepared) => self.prepared(now, node, *prepared, fleet, out),
            FromNode::Armed { epoch, .. } => self.armed(node, epoch),
            FromNode::Obeyed { epoch, .. } => self.obeyed(now, node, epoch, fleet, out),
            FromNode::Declined { epoch, reason, .. } => self.declined(now, node, epoch, &reason, fleet, out),
            FromNode::Delta(delta) => self.measured(now, node, *delta, out),
            FromNode::Finished(finished) => self.finished(now, node, &finished, out),
            FromNode::Hello(_)
            | FromNode::TimeReply { .. }
            | FromNode::Beat(_)
            | FromNode::Log(_)
            | FromNode::Bye { .. } => {}
        }
    }

    /// Hears a sign of life of a node that takes part.
    pub(crate) fn heard_beat(
        &mut self,
        now: Timestamp,
        node: &str,
        beat: &Beat,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) {
        if beat.run != Some(self.key()) {
            return;
        }
        self.take_back(now, node, fleet, out);
        self.note_fenced(node, beat, out);
        self.watch_overload(now, node, beat, out);
    }

    /// Tells a node again what it may not have heard, on a connection that is new.
    pub(crate) fn greet(&mut self, now: Timestamp, node: &str, epoch: u32, fleet: &Fleet, out: &mut Out<'_>) {
        // A coordinator before this one may have used numbers that it did not keep.
        self.epoch = self.epoch.max(epoch);
        self.tell(now, node, fleet, out);
    }

    /// Whether a node that resumes this run has something to go on with.
    pub(crate) fn takes_back(&self, node: &str, incarnation: u64) -> bool {
        self.has(node, incarnation) && !matches!(self.stage, Stage::Concluded | Stage::Queued)
    }

    /// Tells a node what it has to answer now.
    fn tell(&self, now: Timestamp, node: &str, fleet: &Fleet, out: &mut Out<'_>) {
        let Some(member) = self.members.get(node) else { return };
        let Some(session) = fleet.session(node, member.who.incarnation) else { return };
        let (run, term) = (self.key(), out.term());
        let fencing = wire::Fencing { term, epoch: self.epoch };
        if member.stopped.is_some() && member.phase != Phase::Over {
            out.send(session, ToNode::Stop { run, fencing });
            return;
        }
        let message = match member.phase {
            Phase::Preparing => {
                Some(ToNode::Prepare { run, fencing, spec: Box::new(self.submission.spec.clone()) })
            }
            Phase::Arming(epoch) => self.arming(now, node, epoch, fleet, term),
            Phase::Armed => member.question(run, term),
            Phase::Prepared | Phase::Over | Phase::Lost => None,
        };
        if let Some(message) = message {
            out.send(session, message);
        }
    }

    /// When something is to be done although nothing happens.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let commit = self.ledger.as_ref().and_then(Ledger::dirty_since);
        let start = self.start.filter(|_| matches!(self.stage, Stage::Armed | Stage::Arming));
        [commit, start].into_iter().flatten().min()
    }

    /// It waits for nodes.
    pub(crate) fn waits(&mut self, there: usize, least: u32) {
        self.reason = format!("waits for nodes: {there} of {} that fit are free", least.max(1));
    }

    /// Whether an earlier life of a node may still act, so that a later one cannot take part yet.
    pub(crate) fn expects_end_of(&self, node: &str) -> bool {
        self.members.get(node).is_some_and(Member::is_living)
    }

    /// A node of this run is shut out.
    pub(crate) fn shut_out(&mut self, now: Timestamp, node: &str, reason: &str) {
        let what = format!("node {node} is shut out: {reason}");
        self.notes.push(what.clone());
        let from_ns = self.elapsed_ns(now);
        self.degraded.push(Degraded {
            cause: crate::handle::Cause::Quarantined,
            what,
            from_ns,
            until_ns: None,
        });
        self.unsettled = true;
    }

    /// A node whose part is over, and whose measurements are all here, is not needed any more.
    pub(crate) fn let_go_when_done(&self, node: &str, fleet: &mut Fleet, out: &mut Out<'_>) {
        let Some(member) = self.members.get(node) else { return };
        let merged = self.ledger.as_ref().map_or(0, |ledger| ledger.merged(node, member.who.incarnation));
        let waits = self.ledger.as_ref().is_some_and(|ledger| ledger.dirty_since().is_some());
        if member.phase == Phase::Over
            && member.part.as_ref().is_some_and(|part| merged >= part.deltas)
            && !waits
        {
            self.release_node(node, fleet, out);
        }
    }

    /// The report of what is known so far; nothing before the first second is complete.
    pub(crate) fn so_far(&self, version: &str) -> Option<report::Summary> {
        so_far::so_far(self, version)
    }

    /// Seconds with a revision above this one, rising by revision.
    pub(crate) fn seconds_above(&self, above: u64) -> Vec<std::sync::Arc<crate::handle::SecondView>> {
        let Some(ledger) = &self.ledger else { return Vec::new() };
        let mut seconds: Vec<_> =
            ledger.views.values().filter(|view| view.revision > above).cloned().collect();
        seconds.sort_by_key(|view| view.revision);
        seconds
    }
}
