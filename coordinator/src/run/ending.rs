//! The end of a run: stopping, waiting for what was measured, and letting its nodes go.
//!
//! What it is: from the last instant at which anything is due to the conclusion. What it is not: the report; that is
//! `conclude`.
//!
//! A stop is an assignment of nothing from one instant on, so that every node ends at the same arrival; the order to stop
//! follows when that instant has passed.

use std::collections::BTreeMap;

use clock::{NANOS_PER_SECOND, Timestamp};
use schedule::Cells;
use verdict::ExitCode;
use wire::{Fencing, Finished, ToNode};

use super::{Phase, Run, Stage, conclude};
use crate::director::{Conclusion, Fact, Order, Out, PartText, Record, StopCause};
use crate::fleet::Fleet;
use crate::handle::{Refused, RefusedKind};

/// A node that has not ended so long after its grace is told to stop, then to leave, then is given up.
const OVERTIME_NS: u64 = 10 * NANOS_PER_SECOND;
/// A run that nobody carries any more ends after so long.
const ALONE_NS: u64 = 30 * NANOS_PER_SECOND;
/// Late measurements put the conclusion off by so much each, and by no more than [`LINGER_MOST_NS`] in all.
const LINGER_MORE_NS: u64 = NANOS_PER_SECOND;
const LINGER_MOST_NS: u64 = 60 * NANOS_PER_SECOND;

impl Run {
    /// Somebody wants the run ended.
    pub(crate) fn order_end(
        &mut self,
        now: Timestamp,
        order: &Order,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) -> Result<(), Refused> {
        if self.stage >= Stage::Sealing {
            return Err(Refused::new(RefusedKind::Conflict, "the run has ended already"));
        }
        match order {
            Order::Stop => self.stop(now, "stopped by an order".to_owned(), StopCause::Order, fleet, out),
            Order::Abort { reason } => {
                self.halt_at_once(now, format!("aborted: {reason}"), StopCause::Abort, fleet, out);
            }
            Order::SetRate { .. } => {}
        }
        Ok(())
    }

    /// Nothing is due from an instant soon to come on.
    pub(super) fn stop(
        &mut self,
        now: Timestamp,
        reason: String,
        cause: StopCause,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) {
        if !self.committed {
            return self.fail(now, ExitCode::Interrupted, reason, fleet, out);
        }
        if self.halt.is_some() || self.stage >= Stage::Stopping {
            return;
        }
        let at_ns = self.elapsed_ns(now).saturating_add(self.lead_ns(fleet));
        let known = self.epoch;
        out.note(Some(self.key()), reason.clone());
        self.decide(Fact::Stopping { at_ns, reason, cause }, out);
        let having = self.members.iter().filter(|(_, member)| member.phase == Phase::Armed);
        let cells: BTreeMap<String, Cells> = having.map(|(name, _)| (name.clone(), Cells::none())).collect();
        if !cells.is_empty() {
            self.give_cells(at_ns, cells, out);
        }
        self.tell_since(now, known, fleet, out);
        self.enter(now, Stage::Stopping);
    }

    /// Everybody leaves now.
    pub(super) fn halt_at_once(
        &mut self,
        now: Timestamp,
        reason: String,
        cause: StopCause,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) {
        if !self.committed {
            return self.fail(now, ExitCode::Interrupted, reason, fleet, out);
        }
        out.note(Some(self.key()), reason.clone());
        let at_ns = self.elapsed_ns(now);
        self.decide(Fact::Stopping { at_ns, reason, cause }, out);
        self.tell_to_leave(fleet, out);
        self.enter(now, Stage::Stopping);
    }

    fn tell_to_leave(&self, fleet: &Fleet, out: &mut Out<'_>) {
        let reason = self.halt.as_ref().map_or("its time is over", |halt| halt.reason.as_str());
        let fencing = Fencing { term: out.term(), epoch: self.epoch };
        for (name, incarnation) in self.living() {
            if let Some(session) = fleet.session(name, incarnation) {
                out.send(session, ToNode::Abort { run: self.key(), fencing, reason: reason.to_owned() });
            }
        }
    }

    /// The run never begins.
    pub(super) fn fail(
        &mut self,
        now: Timestamp,
        code: ExitCode,
        reason: String,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) {
        out.note(Some(self.key()), reason.clone());
        let fencing = Fencing { term: out.term(), epoch: self.epoch };
        for (name, incarnation) in self.living() {
            if let Some(session) = fleet.session(name, incarnation) {
                out.send(session, ToNode::Abort { run: self.key(), fencing, reason: reason.clone() });
            }
        }
        self.conclude_as(now, Conclusion { summary: None, exit: code, reason: Some(reason) }, fleet, out);
    }

    /// What the time asks for near the end.
    pub(super) fn end(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        match self.stage {
            Stage::Armed | Stage::Running => self.end_running(now, fleet, out),
            Stage::Stopping => self.end_stopping(now, fleet, out),
            Stage::Sealing => self.end_sealing(now, fleet, out),
            _ => {}
        }
    }

    fn end_running(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        let living = self.living().count();
        let part_over =
            self.members.values().any(|member| member.phase == Phase::Over && member.stopped.is_none());
        if self.elapsed_ns(now) >= self.end_ns() {
            self.enter(now, Stage::Stopping);
        } else if living > 0 {
            self.alone_since = None;
        } else if part_over && self.submission.duration_ns.is_none() {
            // Only a count ends this plan, and it is reached.
            self.enter(now, Stage::Stopping);
        } else {
            let since = *self.alone_since.get_or_insert(now);
            if now.nanos_since(since) >= ALONE_NS {
                self.halt_at_once(now, "no node is left".to_owned(), StopCause::Fleet, fleet, out);
            }
        }
    }

    fn end_stopping(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        if self.living().next().is_none() {
            self.enter(now, Stage::Sealing);
            self.heard_at = now;
            return;
        }
        let over_ns = self.elapsed_ns(now).saturating_sub(self.end_ns());
        let patience_ns = self.submission.grace_ns.saturating_add(OVERTIME_NS);
        let halted = self.halt.as_ref().is_some_and(|_| self.elapsed_ns(now) > self.end_ns());
        let names: Vec<String> = self.members.keys().cloned().collect();
        for name in names {
            let Some(member) = self.members.get_mut(&name) else { continue };
            // Whoever has not begun will not begin.
            let wanted = halted || over_ns > patience_ns || member.phase != Phase::Armed;
            if wanted && member.is_living() && member.stopped.is_none() {
                member.stopped = Some(now);
                self.tell(now, &name, fleet, out);
            }
        }
        if over_ns > patience_ns.saturating_add(OVERTIME_NS) && now.nanos_since(self.heard_at) > OVERTIME_NS {
            self.heard_at = now;
            self.tell_to_leave(fleet, out);
        }
        if over_ns > patience_ns.saturating_add(4 * OVERTIME_NS) {
            let by_ns = self.elapsed_ns(now);
            let living: Vec<(String, u64)> =
                self.living().map(|(name, incarnation)| (name.to_owned(), incarnation)).collect();
            for (node, incarnation) in living {
                let reason = "it did not end in time".to_owned();
                self.decide(Fact::Lost { node, incarnation, by_ns, reason }, out);
            }
        }
    }

    fn end_sealing(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        let lacks = |name: &str, member: &super::Member| {
            let merged = self.ledger.as_ref().map_or(0, |ledger| ledger.merged(name, member.who.incarnation));
            member.part.as_ref().is_none_or(|part| merged < part.deltas)
        };
        let all = self.members.iter().map(|(name, member)| (name.as_str(), member));
        let mut everyone = all.chain(self.past.iter().map(|(name, member)| (name.as_str(), member)));
        let missing =
            everyone.find(|(name, member)| member.epoch > 0 && lacks(name, member)).map(|(name, _)| name);
        if let Some(name) = missing {
            self.reason = format!("waits for what node {name} measured");
            let linger_ns = self.submission.terms.linger_ns;
            let quiet = now.nanos_since(self.heard_at) >= LINGER_MORE_NS;
            let waited_ns = now.nanos_since(self.since);
            if waited_ns < linger_ns.min(LINGER_MOST_NS) || (!quiet && waited_ns < LINGER_MOST_NS) {
                return;
            }
        }
        self.close_through(u64::MAX, out);
        self.commit_measures(now, fleet, out, true);
        let conclusion = conclude::conclude(self, out);
        self.conclude_as(now, conclusion, fleet, out);
    }

    fn conclude_as(&mut self, now: Timestamp, conclusion: Conclusion, fleet: &mut Fleet, out: &mut Out<'_>) {
        let run = self.key();
        out.keep(Record::Concluded { run, conclusion: Box::new(conclusion.clone()) });
        self.conclusion = Some(Box::new(conclusion));
        let names: Vec<String> = self.members.keys().cloned().collect();
        for name in &names {
            self.release_node(name, fleet, out);
        }
        self.enter(now, Stage::Concluded);
    }

    /// A node is not the run's any more.
    pub(super) fn release_node(&self, name: &str, fleet: &mut Fleet, out: &mut Out<'_>) {
        let run = self.key();
        let Some(node) = fleet.nodes.get_mut(name) else { return };
        if let Some(session) = node.session {
            out.send(session, ToNode::Release { run });
        }
        if node.busy == Some(run) {
            node.busy = None;
        }
    }

    /// A node's part is over.
    pub(super) fn finished(&mut self, now: Timestamp, node: &str, finished: &Finished, out: &mut Out<'_>) {
        let earlier = self.past.iter().map(|(name, member)| (name, member));
        let mut lives = self.members.iter().chain(earlier);
        let known =
            lives.find(|(name, member)| *name == node && member.who.incarnation == finished.incarnation);
        let Some((_, member)) = known else { return };
        self.heard_at = now;
        if member.part.is_some() {
            return;
        }
        if member.is_living() && self.stage < Stage::Stopping && member.stopped.is_none() && self.committed {
            out.note(Some(self.key()), format!("node {node} ended its part before its time"));
        }
        let part = PartText {
            incarnation: finished.incarnation,
            deltas: finished.deltas,
            scheduled: finished.counters.scheduled,
            sent: finished.counters.sent,
            ok: finished.counters.ok,
            first_sent_ns: finished.first_sent_ns,
            summary: finished.summary.clone(),
        };
        let at_ns = self.elapsed_ns(now);
        self.decide(Fact::Finished { node: node.to_owned(), at_ns, part }, out);
    }
}
