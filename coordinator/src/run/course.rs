//! The course of a run: what each of its facts means for it.
//!
//! What it is: the only place that changes what a run durably is. A decision is a fact that is kept and applied; a
//! coordinator that begins anew applies what was kept, and stands where the earlier one stood. What it is not: a decision.

use clock::Timestamp;
use measure::Names;
use schedule::{Cells, Rate};

use super::member::{Change, Kind, Member, Phase};
use super::{Halt, Run};
use crate::director::{CellsText, Chosen, Fact, NamesText, Out, Record};
use crate::handle::{Cause, Degraded};
use crate::ledger::Ledger;

impl Run {
    /// Decides: the fact is to be kept, and holds from now on.
    pub(crate) fn decide(&mut self, fact: Fact, out: &mut Out<'_>) {
        self.apply(&fact);
        let number = self.facts;
        self.facts += 1;
        out.keep(Record::Fact { run: self.submission.run, number, fact });
    }

    /// What a fact means.
    pub(crate) fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Chosen { nodes } => {
                for (node, who) in nodes {
                    self.next_place = self.next_place.max(who.place + 1);
                    self.members.insert(node.clone(), Member::new(who.clone()));
                }
            }
            Fact::Described { names: NamesText(names), summary } => self.describe(names, summary),
            Fact::Arming { epoch, start_ns, start_unix_ns, boot_id, clock_errors_ns } => {
                self.epoch = *epoch;
                self.start = Some(Timestamp::from_nanos(*start_ns));
                self.start_unix_ns = Some(*start_unix_ns);
                self.start_boot.clone_from(boot_id);
                for (name, member) in self.members.iter_mut().filter(|(_, member)| member.is_living()) {
                    member.phase = Phase::Arming(*epoch);
                    member.clock_error_ns = clock_errors_ns.get(name).copied();
                }
            }
            Fact::Given { epoch, from_ns, cells } => {
                self.epoch = *epoch;
                self.committed = true;
                for (node, CellsText(cells)) in cells {
                    self.give(node, *epoch, *from_ns, cells);
                }
            }
            Fact::Settled { node, epoch } => self.settle(node, *epoch),
            Fact::Declined { node, epoch } => self.unsettle(node, *epoch),
            Fact::Fenced { node, at_ns } => self.free_all(node, *at_ns),
            Fact::Returned { node } => {
                if let Some(member) = self.members.get_mut(node) {
                    (member.phase, member.lost_by_ns) = (Phase::Armed, None);
                }
            }
            Fact::Rate { epoch, workload, from_ns, micro_tps } => {
                self.epoch = *epoch;
                self.set_rate(*epoch, workload.as_deref(), *from_ns, Rate::from_micro(*micro_tps));
            }
            Fact::Lost { node, by_ns, reason, .. } => self.lose(node, *by_ns, reason),
            Fact::Joined { node, who } => self.join(node, who),
            Fact::Finished { node, at_ns, part } => {
                // Where a count ends the plan, whoever is done has nothing that others could go on with.
                match (self.submission.duration_ns, self.members.get(node)) {
                    (None, Some(member)) => self.table.abandon(member.who.place),
                    _ => self.free_all(node, *at_ns),
                }
                let past = self.past.iter_mut().map(|(name, member)| (&*name, member));
                let all = self.members.iter_mut().chain(past);
                for (_, member) in
                    all.filter(|(name, one)| *name == node && one.who.incarnation == part.incarnation)
                {
                    member.phase = Phase::Over;
                    member.queue.clear();
                    member.part = Some(part.clone());
                }
            }
            Fact::Stopping { at_ns, reason, cause } => {
                self.halt = Some(Halt { at_ns: *at_ns, reason: reason.clone(), cause: *cause });
            }
            Fact::Noted { text, .. } => self.notes.push(text.clone()),
        }
        self.unsettled = true;
    }

    fn describe(&mut self, names: &Names, summary: &str) {
        self.described = Some(summary.to_owned());
        self.schedule =
            report::Summary::parse(summary).map(|summary| summary.plan.schedule).unwrap_or_default();
        self.ledger = Some(Ledger::new(names.clone()));
    }

    fn join(&mut self, node: &str, who: &Chosen) {
        self.next_place = self.next_place.max(who.place + 1);
        if let Some(earlier) = self.members.insert(node.to_owned(), Member::new(who.clone())) {
            self.past.push((node.to_owned(), earlier));
        }
    }

    /// All cells of a node from an instant on. Whether it gains or loses follows from what it has: never both.
    fn give(&mut self, node: &str, epoch: u32, from_ns: u64, cells: &Cells) {
        let Some(member) = self.members.get_mut(node) else { return };
        let gained = cells.difference(&self.table.of(member.who.place));
        self.table.give(&gained, member.who.place);
        if member.cells_most == 0 && cells.count() > 0 {
            member.cells_first = cells.count();
            member.first_due_ns = self.due.first_of(cells, from_ns);
        }
        member.cells_most = member.cells_most.max(cells.count());
        member.from_ns = member.from_ns.max(from_ns);
        if member.queue.is_empty() {
            // Whoever has nothing left to answer knows every rate, by having been armed with it or having obeyed.
            member.rates_known = self.rates.len();
        }
        if matches!(member.phase, Phase::Preparing | Phase::Prepared | Phase::Arming(_)) {
            member.phase = Phase::Armed;
        }
        member.queue.push_back(Change { epoch, kind: Kind::Cells { from_ns, cells: cells.clone(), gained } });
    }

    fn settle(&mut self, node: &str, epoch: u32) {
        let Some(member) = self.members.get_mut(node) else { return };
        if member.queue.front().is_none_or(|change| change.epoch != epoch) {
            return;
        }
        (member.epoch, member.declines) = (epoch, 0);
        match member.queue.pop_front().map(|change| change.kind) {
            Some(Kind::Cells { from_ns, cells, .. }) => {
                if cells.count() == 0 {
                    member.bare_from_ns = from_ns;
                }
                let lost = self.table.of(member.who.place).difference(&cells);
                self.table.release(&lost, member.who.place, from_ns);
            }
            Some(Kind::Rate { .. }) => member.rates_known += 1,
            None => {}
        }
    }

    fn unsettle(&mut self, node: &str, epoch: u32) {
        let Some(member) = self.members.get_mut(node) else { return };
        if member.queue.front().is_none_or(|change| change.epoch != epoch) {
            return;
        }
        member.declines += 1;
        match member.queue.pop_front().map(|change| change.kind) {
            Some(Kind::Cells { gained, .. }) => self.table.take_back(&gained, member.who.place),
            // It goes on at the rate that it had; so it must not go on, and gets nothing that was on its way.
            Some(Kind::Rate { .. }) => {
                member.leaving = true;
                for change in std::mem::take(&mut member.queue) {
                    if let Kind::Cells { gained, .. } = change.kind {
                        self.table.take_back(&gained, member.who.place);
                    }
                }
            }
            None => {}
        }
    }

    fn free_all(&mut self, node: &str, at_ns: u64) {
        let Some(member) = self.members.get_mut(node) else { return };
        let cells = self.table.of(member.who.place);
        self.table.release(&cells, member.who.place, at_ns);
    }

    fn set_rate(&mut self, epoch: u32, workload: Option<&str>, from_ns: u64, rate: Rate) {
        let Ok(place) = self.due.find(workload) else { return };
        let lowers = !self.due.raises(place, from_ns, rate);
        self.due.change(place, from_ns, rate);
        let name = workload.map(str::to_owned);
        self.rates.push((name.clone(), from_ns, rate));
        for member in self.members.values_mut() {
            if member.phase == Phase::Armed {
                let kind = Kind::Rate { workload: name.clone(), from_ns, rate, lowers };
                member.queue.push_back(Change { epoch, kind });
            }
        }
    }

    fn lose(&mut self, node: &str, by_ns: u64, reason: &str) {
        let abandons = self.abandons();
        let Some(member) = self.members.get_mut(node) else { return };
        member.phase = Phase::Lost;
        member.queue.clear();
        member.lost_by_ns = Some(by_ns);
        let place = member.who.place;
        if abandons {
            self.table.abandon(place);
        } else {
            let cells = self.table.of(place);
            self.table.release(&cells, place, by_ns);
        }
        self.degraded.push(Degraded {
            cause: Cause::NodeLost,
            what: format!("node {node} was lost: {reason}"),
            from_ns: by_ns,
            until_ns: None,
        });
    }
}
