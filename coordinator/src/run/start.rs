//! The start: preparing, arming, and the point from which it stands.
//!
//! What it is: two phases. Nodes are armed for an instant without owning anything; when all of them stand ready with time to
//! spare, cells are given from the plan's zero on. What it is not: a vote; whoever misses the second phase joins late, and what
//! it would have sent is unassigned until then.
//!
//! Invariant: as long as the start can still move, nobody owns a cell. So a node that never heard of a later start sends
//! nothing at the earlier one.

use std::fmt::Write as _;

use clock::Timestamp;
use schedule::Cells;
use verdict::ExitCode;
use wire::{Fencing, Prepared, ToNode};

use super::{LEAD_NS, Member, Phase, Run, Stage};
use crate::director::{Chosen, Fact, NamesText, Out};
use crate::fleet::Fleet;
use crate::fleet::offset::on_node;

/// Nodes that start later than this are told only shortly before, because clocks drift meanwhile.
const EARLY_NS: u64 = 10_000_000_000;
/// No lead grows beyond this.
const LEAD_MOST_NS: u64 = 30_000_000_000;

impl Run {
    /// Takes nodes: they read the plan.
    pub(crate) fn choose(&mut self, now: Timestamp, names: &[String], fleet: &mut Fleet, out: &mut Out<'_>) {
        let nodes = names.iter().filter_map(|name| {
            let who = self.enlist(name, fleet)?;
            self.next_place += 1;
            Some((name.clone(), who))
        });
        let nodes = nodes.collect();
        self.decide(Fact::Chosen { nodes }, out);
        self.enter(now, Stage::Preparing);
        for name in names {
            self.tell(now, name, fleet, out);
        }
    }

    /// Takes a node into the run under way.
    pub(crate) fn admit(&mut self, now: Timestamp, name: &str, fleet: &mut Fleet, out: &mut Out<'_>) {
        let Some(who) = self.enlist(name, fleet) else { return };
        out.note(Some(self.key()), format!("node {name} joins"));
        self.decide(Fact::Joined { node: name.to_owned(), who }, out);
        if let Some(member) = self.members.get_mut(name) {
            member.asked_at = now;
        }
        self.tell(now, name, fleet, out);
    }

    fn enlist(&self, name: &str, fleet: &mut Fleet) -> Option<Chosen> {
        let run = self.key();
        let node = fleet.nodes.get_mut(name)?;
        node.busy = Some(run);
        Some(Chosen {
            incarnation: node.hello.incarnation,
            place: self.next_place,
            host: node.hello.host.clone(),
            zone: node.hello.zone.clone(),
            cores: node.hello.cores,
            capacity_micro_tps: node.hello.capacity.map(schedule::Rate::as_micro),
        })
    }

    /// Whether one more node may join now.
    pub(crate) fn has_room(&self, now: Timestamp) -> bool {
        let under_way = matches!(self.stage, Stage::Armed | Stage::Running);
        let living = self.living().count();
        let most = self.submission.terms.nodes_most.map_or(usize::MAX, |most| most as usize);
        let left_ns = self.end_ns().saturating_sub(self.elapsed_ns(now));
        under_way && self.halt.is_none() && living < most && left_ns > 4 * LEAD_NS && self.described.is_some()
    }

    /// Hears whether a node can carry the plan out.
    pub(super) fn prepared(
        &mut self,
        now: Timestamp,
        node: &str,
        prepared: Prepared,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) {
        let Some(phase) = self.members.get(node).map(|member| member.phase) else { return };
        // Whoever was told to stop before its start refuses what it had prepared.
        let refuses = prepared.outcome.is_err() && matches!(phase, Phase::Prepared | Phase::Arming(_));
        if phase != Phase::Preparing && !refuses {
            return;
        }
        if prepared.spec != self.submission.digest {
            let (theirs, ours) = (hex(&prepared.spec), hex(&self.submission.digest));
            let reason = format!("node {node} prepared plan {theirs}, the run's is {ours}");
            return self.turn_away(now, node, ExitCode::Internal, reason, fleet, out);
        }
        match prepared.outcome {
            Err(refusal) => {
                let code = ExitCode::from_code(refusal.exit_code).filter(|code| *code != ExitCode::Passed);
                let reason = format!("node {node}: {}", refusal.message);
                self.turn_away(now, node, code.unwrap_or(ExitCode::Environment), reason, fleet, out);
            }
            Ok(description) => {
                let known = self.ledger.as_ref().map(|ledger| ledger.names() == &description.names);
                if known == Some(false) {
                    let reason =
                        format!("node {node} counts other names in the plan than the nodes before it");
                    return self.turn_away(now, node, ExitCode::Internal, reason, fleet, out);
                }
                if known.is_none() {
                    let names = NamesText(description.names);
                    self.decide(Fact::Described { names, summary: description.summary }, out);
                }
                if let Some(member) = self.members.get_mut(node) {
                    member.phase = Phase::Prepared;
                }
            }
        }
    }

    /// A node cannot take part. Before the start the run fails with it: somebody counted on that node.
    fn turn_away(
        &mut self,
        now: Timestamp,
        node: &str,
        code: ExitCode,
        reason: String,
        fleet: &mut Fleet,
        out: &mut Out<'_>,
    ) {
        if !self.committed {
            return self.fail(now, code, reason, fleet, out);
        }
        let Some(member) = self.members.get(node) else { return };
        let incarnation = member.who.incarnation;
        let by_ns = self.elapsed_ns(now);
        out.note(Some(self.key()), reason.clone());
        self.decide(Fact::Lost { node: node.to_owned(), incarnation, by_ns, reason }, out);
        self.release_node(node, fleet, out);
    }

    /// All living members are in this phase, and there are some.
    fn all(&self, is: impl Fn(Phase) -> bool) -> bool {
        let mut living = self.members.values().filter(|member| member.is_living()).peekable();
        living.peek().is_some() && living.all(|member| is(member.phase))
    }

    pub(super) fn begin_when_prepared(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        let settings = out.settings();
        if !self.all(|phase| phase == Phase::Prepared) {
            let mut waits = self.members.iter().filter(|(_, member)| member.phase == Phase::Preparing);
            let name = waits.next().map(|(name, _)| name.clone()).unwrap_or_default();
            self.reason = format!("waits for node {name} to read the plan");
            if now.nanos_since(self.since) > settings.prepare_ns {
                let seconds = settings.prepare_ns / clock::NANOS_PER_SECOND;
                let reason = format!("node {name} did not prepare within {seconds} s");
                self.fail(now, ExitCode::Environment, reason, fleet, out);
            }
            return;
        }
        let fit = |(name, incarnation): (&str, u64)| {
            let node = fleet.life(name, incarnation)?;
            let measured = !node.offset.wants_more() && node.clock(now).is_some();
            (measured && node.granted).then_some(())
        };
        if self.living().any(|one| fit(one).is_none()) {
            "measures the nodes' clocks".clone_into(&mut self.reason);
            return;
        }
        let ready = *self.ready_at.get_or_insert(now);
        let earliest = now.plus_nanos(self.start_lead_ns.max(3 * self.lead_ns(fleet)));
        let after = ready.plus_nanos(self.submission.terms.start_after_ns);
        let wanted = self
            .submission
            .terms
            .start_at_unix_ns
            .map(|unix_ns| Timestamp::from_nanos(unix_ns.saturating_sub(out.unix_offset_ns())));
        let start = earliest.max(after).max(wanted.unwrap_or(Timestamp::ZERO));
        if start.nanos_since(now) > EARLY_NS + LEAD_MOST_NS {
            "waits for the time at which it is to start".clone_into(&mut self.reason);
            return;
        }
        self.arm(now, start, fleet, out);
    }

    fn arm(&mut self, now: Timestamp, start: Timestamp, fleet: &Fleet, out: &mut Out<'_>) {
        let error_ns = |(name, member): (&String, &Member)| {
            let clock = fleet.life(name, member.who.incarnation)?.clock(now)?;
            Some((name.clone(), clock.error_ns))
        };
        let fact = Fact::Arming {
            clock_errors_ns: self.members.iter().filter_map(error_ns).collect(),
            epoch: self.epoch + 1,
            start_ns: start.as_nanos(),
            boot_id: out.boot_id().to_owned(),
            start_unix_ns: start.as_nanos().saturating_add(out.unix_offset_ns()),
        };
        self.decide(fact, out);
        self.enter(now, Stage::Arming);
        let names: Vec<String> = self.members.keys().cloned().collect();
        for name in &names {
            self.tell(now, name, fleet, out);
        }
    }

    /// The message that arms a node, without cells.
    pub(super) fn arming(
        &self,
        now: Timestamp,
        name: &str,
        epoch: u32,
        fleet: &Fleet,
        term: u64,
    ) -> Option<ToNode> {
        let member = self.members.get(name)?;
        let clock = fleet.life(name, member.who.incarnation)?.clock(now)?;
        let from_ns =
            if self.committed { self.elapsed_ns(now).saturating_add(self.lead_ns(fleet)) } else { 0 };
        Some(ToNode::Arm {
            run: self.key(),
            fencing: Fencing { term, epoch },
            start: on_node(self.start?, clock),
            from_ns,
            cells: Cells::none(),
            rates: self.rates.clone(),
        })
    }

    pub(super) fn armed(&mut self, node: &str, epoch: u32) {
        let Some(member) = self.members.get_mut(node) else { return };
        if member.phase == Phase::Arming(epoch) {
            member.phase = Phase::Armed;
            member.epoch = epoch;
            self.unsettled = true;
        } else if member.phase == Phase::Preparing && self.described.is_some() {
            // It was armed by a coordinator before this one: so it has read the plan. It is armed anew.
            member.phase = Phase::Prepared;
        }
    }

    pub(super) fn commit_when_armed(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        let lead_ns = self.lead_ns(fleet);
        let left_ns = u64::try_from(-self.run_ns(now).max(-i64::MAX)).unwrap_or(0);
        if left_ns < lead_ns {
            // Nobody owns anything yet, so that the start may move.
            self.start_lead_ns = (2 * self.start_lead_ns.max(3 * lead_ns)).min(LEAD_MOST_NS);
            let start = now.plus_nanos(self.start_lead_ns);
            return self.arm(now, start, fleet, out);
        }
        if self.all(|phase| phase == Phase::Armed) && self.has_leases(fleet) {
            self.enter(now, Stage::Armed);
            self.unsettled = true;
        }
    }

    fn has_leases(&self, fleet: &Fleet) -> bool {
        self.living()
            .all(|(name, incarnation)| fleet.life(name, incarnation).is_some_and(|node| node.granted))
    }

    /// Joiners that have read the plan are armed for the start that was, and own nothing yet.
    pub(super) fn arm_joiners(&mut self, now: Timestamp, fleet: &Fleet, out: &mut Out<'_>) {
        if !self.committed {
            return;
        }
        let ready = |name: &str, incarnation: u64| {
            let node = fleet.life(name, incarnation)?;
            (!node.offset.wants_more() && node.granted).then_some(())
        };
        let joiners: Vec<String> = self
            .members
            .iter()
            .filter(|(name, member)| {
                member.phase == Phase::Prepared && ready(name, member.who.incarnation).is_some()
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in joiners {
            self.epoch += 1;
            let epoch = self.epoch;
            if let Some(member) = self.members.get_mut(&name) {
                member.phase = Phase::Arming(epoch);
                member.rates_known = self.rates.len();
                let clock = fleet.life(&name, member.who.incarnation).and_then(|node| node.clock(now));
                member.clock_error_ns = clock.map(|clock| clock.error_ns);
            }
            self.tell(now, &name, fleet, out);
        }
    }
}

/// The beginning of a digest, for people.
fn hex(digest: &[u8]) -> String {
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
