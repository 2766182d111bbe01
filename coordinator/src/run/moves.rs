//! Who owns what, while the run goes on.
//!
//! What it is: the move in two steps. Whoever holds more than its quota is told to give cells up from an instant on; only when
//! it has said that it will obey are they given to others, from that instant on or later. Loss, return, late joiners, drains
//! and overload all come to that. What it is not: a redistribution of everything; whoever keeps its quota hears nothing.
//!
//! Invariant: a cell is given only when its last owner obeyed to give it up, gave it up by itself, or cannot act any more.

use std::collections::BTreeMap;

use clock::Timestamp;
use schedule::{CELL_COUNT, Cells, Rate};
use wire::Beat;

use super::{Member, Phase, Run, Stage};
use crate::director::{Broken, CellsText, Fact, Order, Out, StopCause, Weights};
use crate::fleet::deal::{Seat, halve, quotas, share_out};
use crate::fleet::{Fleet, lease_bound_ns};
use crate::handle::{Cause, Degraded, OnNodeLoss, RateChange, Refused, RefusedKind};

/// Declined changes in a row after which a node has to leave the run.
const DECLINES_MOST: u32 = 8;
/// After a declined change a node is given nothing for so long, twice as long after the next.
const REST_NS: u64 = 50_000_000;
/// A node that is late for so long sheds load.
const LATE_NS: u64 = 3_000_000_000;
/// It sheds no more for so long after that.
const SHED_PAUSE_NS: u64 = 10_000_000_000;

impl Run {
    /// Finds members that cannot act any more.
    pub(super) fn find_losses(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        let settings = *out.settings();
        let early = self.broken == Some(Broken::LossBeforeLease);
        let mut lost = Vec::new();
        for (name, member) in self.members.iter().filter(|(_, member)| member.is_living()) {
            let incarnation = member.who.incarnation;
            let node = fleet.life(name, incarnation);
            if node.is_some_and(|node| node.gone) {
                lost.push((name.clone(), incarnation, "it said good-bye".to_owned()));
                continue;
            }
            let over = fleet.lease_over(name, incarnation);
            let silent = node.is_none_or(|node| node.session.is_none());
            let is_over = match over {
                Some(over) if early => now.plus_nanos(settings.lease_ns / 2) >= over && silent,
                Some(over) => now >= over,
                // It never had a lease; what it was told to read does not matter any more.
                None => {
                    silent && node.is_none_or(|node| now.nanos_since(node.seen) > lease_bound_ns(&settings))
                }
            };
            if is_over {
                lost.push((name.clone(), incarnation, "its lease is over".to_owned()));
            }
        }
        for (node, incarnation, reason) in lost {
            self.lost(now, &node, incarnation, reason, fleet, out);
        }
    }

    fn lost(
        &mut self,
        now: Timestamp,
        node: &str,
        incarnation: u64,
        reason: String,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) {
        let text = format!("node {node} was lost: {reason}");
        let by_ns = self.elapsed_ns(now);
        self.heard_at = now;
        out.note(Some(self.key()), text.clone());
        self.decide(Fact::Lost { node: node.to_owned(), incarnation, by_ns, reason }, out);
        if !self.committed {
            // It is free again, should it come back.
            self.release_node(node, fleet, out);
            let living = self.living().count();
            let least =
                if self.submission.terms.fewer { 1 } else { self.submission.terms.nodes_least.max(1) };
            if living < least as usize {
                self.fail(now, verdict::ExitCode::Environment, text, fleet, out);
            }
        } else if self.submission.terms.on_loss == OnNodeLoss::Abort && self.halt.is_none() {
            let reason = format!("{text}, and the run was to end then");
            self.halt_at_once(now, reason, StopCause::Fleet, fleet, out);
        }
    }

    /// Looks at quotas and holdings, and moves what differs.
    pub(super) fn balance(&mut self, now: Timestamp, fleet: &Fleet, out: &mut Out<'_>) {
        if !self.unsettled || self.halt.is_some() {
            return;
        }
        self.unsettled = false;
        let lead_ns = self.lead_ns(fleet);
        let (seated, wanted) = self.quotas(fleet);
        let known = self.epoch;
        let slowest = self.members.values().map(|member| member.declines).max().unwrap_or(0);
        let lead_ns = lead_ns << slowest.min(5);
        let now_ns = self.run_ns(now);
        let from = |lead_ns: u64| {
            u64::try_from(now_ns.saturating_add(i64::try_from(lead_ns).unwrap_or(i64::MAX))).unwrap_or(0)
        };
        let (mut losers, mut wants, mut rests) = (BTreeMap::new(), Vec::new(), false);
        for (name, quota) in seated.iter().zip(&wanted) {
            let Some(member) = self.members.get(name) else { continue };
            let owned = self.table.count(member.who.place);
            let can_gain = may_gain(name, member, fleet);
            if now < member.rests_until {
                rests = true;
                continue;
            }
            // Whoever has something else to answer first would hear of a move too late for its instant.
            if !member.queue.is_empty() || member.phase != Phase::Armed {
                continue;
            }
            if owned > *quota {
                losers.insert(name.clone(), halve(&self.table.of(member.who.place), *quota).0);
            } else if can_gain && *quota > owned {
                wants.push((name.clone(), member.who.place, *quota - owned));
            }
        }
        if !losers.is_empty() {
            // Twice the lead: the gainers have to hear of it in time as well.
            let from_ns = from(2 * lead_ns).max(self.given_from_ns(losers.keys()));
            if self.broken == Some(Broken::GiveBeforeObeyed) {
                self.give_at_once(from_ns, &losers);
            }
            self.give_cells(from_ns, losers, out);
        }
        self.give_free(from(lead_ns), &wants, out);
        self.unsettled |= rests;
        self.tell_since(now, known, fleet, out);
    }

    /// Gives what is free to those who want some.
    fn give_free(&mut self, earliest_ns: u64, wants: &[(String, u32, u32)], out: &mut Out<'_>) {
        if wants.is_empty() {
            return;
        }
        let free = self.table.free();
        let wanted: Vec<u32> = wants.iter().map(|(_, _, count)| *count).collect();
        let mut gainers = BTreeMap::new();
        let mut from_ns = earliest_ns;
        for ((name, place, _), part) in wants.iter().zip(share_out(&free, &wanted)) {
            if part.count() > 0 {
                let known_ns = self.given_from_ns([name]);
                from_ns = from_ns.max(self.table.free_from_ns(&part)).max(known_ns);
                gainers.insert(name.clone(), self.table.of(*place).union(&part));
            }
        }
        if !gainers.is_empty() && from_ns < self.end_ns() {
            self.give_cells(from_ns, gainers, out);
        }
    }

    /// From when on all of these nodes have what they were given last: a change replaces what was to hold after it.
    fn given_from_ns<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> u64 {
        let members = names.into_iter().filter_map(|name| self.members.get(name));
        members.map(|member| member.from_ns).max().unwrap_or(0)
    }

    /// Decides what cells nodes have from an instant on.
    pub(super) fn give_cells(&mut self, from_ns: u64, cells: BTreeMap<String, Cells>, out: &mut Out<'_>) {
        let epoch = self.epoch + 1;
        let cells = cells.into_iter().map(|(name, cells)| (name, CellsText(cells))).collect();
        self.decide(Fact::Given { epoch, from_ns, cells }, out);
    }

    /// A broken rule, for the simulation: what losers shall give up counts as free before they have said anything.
    fn give_at_once(&mut self, from_ns: u64, losers: &BTreeMap<String, Cells>) {
        for (name, keep) in losers {
            let Some(member) = self.members.get(name) else { continue };
            let lost = self.table.of(member.who.place).difference(keep);
            self.table.release(&lost, member.who.place, from_ns);
        }
    }

    /// Tells members the changes of epochs above `known`, those that have nothing else to answer first.
    pub(super) fn tell_since(&self, now: Timestamp, known: u32, fleet: &Fleet, out: &mut Out<'_>) {
        let is_new = |member: &Member| member.queue.front().is_some_and(|change| change.epoch > known);
        for (name, _) in self.members.iter().filter(|(_, member)| is_new(member)) {
            self.tell(now, name, fleet, out);
        }
    }

    /// Who may own cells, and how many: in the order of their names. Those that were lost in a run that goes on without them
    /// keep their seat, so that nobody gets their part.
    fn quotas(&self, fleet: &Fleet) -> (Vec<String>, Vec<u32>) {
        let terms = &self.submission.terms;
        let highest = self.due.highest().as_micro();
        let seated: Vec<(&String, &Member)> = self
            .members
            .iter()
            .filter(|(_, member)| {
                member.phase == Phase::Armed || (member.phase == Phase::Lost && self.abandons())
            })
            .collect();
        let smallest =
            seated.iter().filter_map(|(_, member)| member.who.capacity_micro_tps).min().unwrap_or(1).max(1);
        let seat = |(index, (name, member)): (usize, &(&String, &Member))| {
            let stays = member.phase == Phase::Lost || stays(name, member, fleet);
            let given = match &terms.weights {
                Weights::Equal => 1,
                Weights::Capacity => member.who.capacity_micro_tps.unwrap_or(smallest),
                Weights::InOrder(all) => all.get(index).or(all.last()).copied().unwrap_or(1),
                Weights::ByName(all) => all.get(*name).copied().unwrap_or(0),
            };
            let most = member.who.capacity_micro_tps.filter(|_| highest > 0).map(|capacity| {
                let cells = u128::from(capacity) * u128::from(CELL_COUNT) / u128::from(highest);
                u32::try_from(cells).unwrap_or(u32::MAX)
            });
            let weight = if stays { given.saturating_mul(member.weight_milli) } else { 0 };
            Seat { zone: member.who.zone.clone(), weight, most }
        };
        let seats: Vec<Seat> = seated.iter().enumerate().map(seat).collect();
        let names = seated.iter().map(|(name, _)| (*name).clone()).collect();
        (names, quotas(&seats, &terms.zones))
    }

    /// A life that was lost beats again: it owns nothing, for whatever it was told before its loss it obeyed under the lease
    /// that is over, or declined. It can be given something again, unless it missed a change of rate.
    pub(super) fn take_back(&mut self, now: Timestamp, node: &str, fleet: &Fleet, out: &mut Out<'_>) {
        let under_way = matches!(self.stage, Stage::Armed | Stage::Running) && self.halt.is_none();
        let (key, known) = (self.key(), self.rates.len());
        let Some(member) = self.members.get_mut(node) else { return };
        let incarnation = member.who.incarnation;
        let leased = fleet.lease_over(node, incarnation).is_some_and(|over| now < over);
        if member.phase != Phase::Lost || !leased || member.stopped.is_some() || !self.committed {
            return;
        }
        if under_way && member.rates_known == known {
            out.note(Some(key), format!("node {node} is back"));
            self.decide(Fact::Returned { node: node.to_owned() }, out);
            return;
        }
        member.stopped = Some(now);
        let fencing = wire::Fencing { term: out.term(), epoch: self.epoch };
        if let Some(session) = fleet.session(node, incarnation) {
            out.send(session, wire::ToNode::Stop { run: key, fencing });
        }
    }

    /// A node will obey.
    pub(super) fn obeyed(
        &mut self,
        now: Timestamp,
        node: &str,
        epoch: u32,
        fleet: &Fleet,
        out: &mut Out<'_>,
    ) {
        let Some(member) = self.members.get(node) else { return };
        if member.queue.front().is_none_or(|change| change.epoch != epoch) {
            return;
        }
        self.decide(Fact::Settled { node: node.to_owned(), epoch }, out);
        self.tell(now, node, fleet, out);
    }

    /// A node did nothing of what it was told.
    pub(super) fn declined(
        &mut self,
        now: Timestamp,
        node: &str,
        epoch: u32,
        reason: &str,
        fleet: &Fleet,
        out: &mut Out<'_>,
    ) {
        let Some(member) = self.members.get_mut(node) else { return };
        if member.phase == Phase::Arming(epoch) {
            if self.committed {
                member.phase = Phase::Prepared;
            } else {
                // The start moves before its time.
                let lead_ns = self.lead_ns(fleet);
                self.start_lead_ns = (2 * self.start_lead_ns.max(3 * lead_ns)).min(30_000_000_000);
                self.enter(now, Stage::Preparing);
                self.members
                    .values_mut()
                    .filter(|one| one.is_living())
                    .for_each(|one| one.phase = Phase::Prepared);
            }
            return;
        }
        if member.queue.front().is_none_or(|change| change.epoch != epoch) {
            return;
        }
        out.note(Some(self.key()), format!("node {node} declined epoch {epoch}: {reason}"));
        self.decide(Fact::Declined { node: node.to_owned(), epoch }, out);
        if let Some(member) = self.members.get_mut(node) {
            member.rests_until = now.plus_nanos(REST_NS << member.declines.min(6));
            member.leaving |= member.declines >= DECLINES_MOST;
        }
        self.tell(now, node, fleet, out);
    }

    /// A node that gave its cells up by itself says so with every beat until it obeys something new.
    pub(super) fn note_fenced(&mut self, node: &str, beat: &Beat, out: &mut Out<'_>) {
        let Some(member) = self.members.get(node) else { return };
        let Some(at_ns) = beat.fenced_at_ns else { return };
        let settled = member.phase == Phase::Armed && member.queue.is_empty() && member.epoch == beat.epoch;
        if settled && self.table.count(member.who.place) > 0 {
            out.note(Some(self.key()), format!("node {node} gave its cells up: its lease had ended"));
            self.decide(Fact::Fenced { node: node.to_owned(), at_ns }, out);
        }
    }

    /// A node that is late through its own fault for seconds gives a fifth of its load to the others.
    pub(super) fn watch_overload(&mut self, now: Timestamp, node: &str, beat: &Beat, out: &mut Out<'_>) {
        let limit_ns = self.submission.max_lag.second_p99_ns;
        let others = self.members.iter().any(|(name, other)| {
            name != node && other.phase == Phase::Armed && other.late_since.is_none() && !other.leaving
        });
        let key = self.key();
        let at_ns = self.elapsed_ns(now);
        let Some(member) = self.members.get_mut(node).filter(|member| member.phase == Phase::Armed) else {
            return;
        };
        if beat.lag_p99_ns <= limit_ns {
            member.late_since = None;
            return;
        }
        let since = *member.late_since.get_or_insert(now);
        let paused = member.shed_at.is_some_and(|at| now.nanos_since(at) < SHED_PAUSE_NS);
        if now.nanos_since(since) < LATE_NS || paused || !others {
            return;
        }
        member.weight_milli = (member.weight_milli * 4 / 5).max(100);
        member.shed_at = Some(now);
        self.unsettled = true;
        let what =
            format!("node {node} was late through its own fault and gave a fifth of its load to the others");
        out.note(Some(key), what.clone());
        self.degraded.push(Degraded { cause: Cause::Overload, what, from_ns: at_ns, until_ns: None });
    }

    /// Leavers without cells are told to stop; not before the instant up to which they own some, nor before what was due by
    /// then has left.
    pub(super) fn let_leavers_go(&mut self, now: Timestamp, fleet: &Fleet, out: &mut Out<'_>) {
        let passed_ns = self.elapsed_ns(now);
        let leavers: Vec<String> = self
            .members
            .iter()
            .filter(|(name, member)| {
                let over = member.bare_from_ns == 0 || passed_ns >= member.bare_from_ns + FAREWELL_NS;
                let bare = self.table.count(member.who.place) == 0 && member.queue.is_empty() && over;
                let ready =
                    matches!(member.phase, Phase::Armed | Phase::Prepared) && member.stopped.is_none();
                ready && bare && !stays(name, member, fleet)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in leavers {
            if let Some(member) = self.members.get_mut(&name) {
                member.stopped = Some(now);
            }
            self.tell(now, &name, fleet, out);
        }
    }

    /// A drain was asked for, or taken back.
    pub(crate) fn reconsider(&mut self) {
        self.unsettled = true;
    }

    /// Another rate. Raised ones hold soon; lowered ones when the last lease of a node that might not hear of it is over, for
    /// until then it could send more than is asked.
    pub(crate) fn order_rate(
        &mut self,
        now: Timestamp,
        order: &Order,
        fleet: &Fleet,
        out: &mut Out<'_>,
    ) -> Result<RateChange, Refused> {
        let Order::SetRate { workload, rate } = order else {
            return Err(Refused::new(RefusedKind::Invalid, "this is no change of rate"));
        };
        let (workload, rate) = (workload.as_deref(), *rate);
        if self.stage != Stage::Running || self.halt.is_some() {
            let why = "the run is not running; its rate can be set between its start and its end";
            return Err(Refused::new(RefusedKind::Conflict, why));
        }
        let place = self.due.find(workload).map_err(|why| Refused::new(RefusedKind::Invalid, why))?;
        let highest = self.due.highest_with(place, rate);
        if let Some(guard) = self.submission.rate_guard.filter(|guard| highest > *guard) {
            let why = format!("{highest} is above the guard of {guard}");
            return Err(Refused::new(RefusedKind::Forbidden, why));
        }
        let elapsed_ns = self.elapsed_ns(now);
        let soon_ns = elapsed_ns.saturating_add(2 * self.lead_ns(fleet));
        let lowers = !self.due.raises(place, soon_ns, rate) && self.broken != Some(Broken::LowerAtOnce);
        let lead_ns = if lowers { lease_bound_ns(out.settings()) + LOWER_MARGIN_NS } else { 0 };
        let from_ns = soon_ns.max(elapsed_ns.saturating_add(lead_ns));
        if from_ns >= self.end_ns() {
            let why = "the run ends before every node could have heard of it";
            return Err(Refused::new(RefusedKind::Conflict, why));
        }
        let epoch = self.epoch + 1;
        let fact =
            Fact::Rate { epoch, workload: workload.map(str::to_owned), from_ns, micro_tps: rate.as_micro() };
        self.decide(fact, out);
        for member in self.members.values_mut() {
            // Whoever is being armed does not know of it: it is armed anew.
            if matches!(member.phase, Phase::Arming(_)) {
                member.phase = Phase::Prepared;
            }
        }
        out.note(Some(self.key()), format!("the rate is {rate} from {from_ns} ns of the run on"));
        self.tell_since(now, epoch - 1, fleet, out);
        Ok(RateChange { tps: Rate::per_second_f64(rate), from_ns, epoch })
    }
}

/// Beyond the end of the last lease.
const LOWER_MARGIN_NS: u64 = 50_000_000;

/// So long behind the last instant at which it owned anything a leaver is told to stop.
const FAREWELL_NS: u64 = clock::NANOS_PER_SECOND;

/// Whether a member goes on owning cells.
fn stays(name: &str, member: &Member, fleet: &Fleet) -> bool {
    let asked = fleet.life(name, member.who.incarnation).is_some_and(|node| node.draining.is_some());
    let drained = asked || fleet.draining.contains_key(name);
    !member.leaving && !drained && !fleet.quarantined.contains_key(name)
}

/// Whether a member can be given more now.
fn may_gain(name: &str, member: &Member, fleet: &Fleet) -> bool {
    let node = fleet.life(name, member.who.incarnation);
    stays(name, member, fleet) && node.is_some_and(|node| node.granted && node.session.is_some())
}
