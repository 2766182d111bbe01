//! What nodes measured, as it comes: into the ledger, second by second before the thresholds, and acknowledged.

use std::sync::Arc;

use clock::{NANOS_PER_SECOND, Timestamp};
use schedule::CELL_COUNT;
use wire::{Delta, ToNode};

use super::due::expected;
use super::{Phase, Run, Stage};
use crate::director::{Broken, Out, Record, StopCause};
use crate::fleet::Fleet;
use crate::handle::SecondView;
use crate::ledger::bounds::{Limits, breach, contradiction};
use crate::ledger::{Open, Taken, seconds};

/// A node's clock may be this far beyond ours, and its second this late.
const AHEAD_NS: u64 = 2 * NANOS_PER_SECOND;

/// How many of so many arrivals can have been due in so many cells. Over any stretch the cells of a node are due within their
/// share of it and one arrival for each cell; a twentieth and what chance adds to random arrivals on top.
fn most_of(all: u64, cells: u32) -> u64 {
    let own = u128::from(all) * u128::from(cells) * 21 / u128::from(CELL_COUNT) / 20;
    let chance = 10.0 * (own as f64).sqrt();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a root of a count is one")]
    let slack = u64::from(cells.min(1_000)) + 1_000 + chance as u64;
    u64::try_from(own).unwrap_or(u64::MAX).saturating_add(slack)
}

impl Run {
    /// Takes a delta of a life that took part.
    pub(super) fn measured(&mut self, now: Timestamp, node: &str, mut delta: Delta, out: &mut Out<'_>) {
        let known = self.members.get(node).filter(|member| member.who.incarnation == delta.incarnation);
        let past =
            || self.past.iter().find(|(name, one)| name == node && one.who.incarnation == delta.incarnation);
        let Some(member) = known.or_else(|| past().map(|(_, member)| member)) else {
            self.rogues.push((
                node.to_owned(),
                "it measured for a run in which that life of it had no part".to_owned(),
            ));
            return;
        };
        let (place, cells_most) = (member.who.place, member.cells_most);
        let limits = self.limits(now, cells_most);
        let Some(ledger) = &mut self.ledger else { return };
        if delta.sequence >= ledger.merged(node, delta.incarnation) {
            let limits = Limits { shape: ledger.names().shape(), ..limits };
            let share = ledger.share(node, delta.incarnation);
            let what = breach(&limits, share, &delta);
            if let Some(what) = what.or_else(|| contradiction(&limits, share, &delta)) {
                self.rogues.push((node.to_owned(), what));
                return;
            }
        } else if self.broken == Some(Broken::CountTwice) {
            delta.sequence = ledger.merged(node, delta.incarnation);
        }
        self.heard_at = now;
        let Taken::Merged { corrected } = ledger.take(now, node, place, delta) else { return };
        for (index, late) in corrected {
            let revision = ledger.revise();
            let (Some(view), Some(second)) = (ledger.views.get(&index), ledger.timeline.get(&index)) else {
                continue;
            };
            let view = Arc::new(seconds::amended(view, second, revision, &late));
            ledger.show(Arc::clone(&view));
            out.second(self.submission.run, view);
        }
    }

    /// What a node with so many cells can have told by now.
    fn limits(&self, now: Timestamp, cells_most: u32) -> Limits {
        let elapsed_ns = self.elapsed_ns(now).saturating_add(AHEAD_NS);
        let warmup_ns = self.submission.warmup_ns;
        let grace_ns = self.submission.grace_ns;
        let plain =
            self.due.rated().iter().all(|rated| rated.counted.is_none()) && !self.due.rated().is_empty();
        let arrivals = plain.then(|| most_of(self.due.before(elapsed_ns), cells_most));
        let mut iterations = Vec::new();
        for rated in self.due.rated() {
            let Some(place) = rated.counted else { continue };
            if iterations.len() <= place {
                iterations.resize(place + 1, None);
            }
            iterations[place] = Some(most_of(expected(rated, elapsed_ns), cells_most));
        }
        let latest_ns =
            elapsed_ns.min(self.end_ns().saturating_add(grace_ns).saturating_add(60 * NANOS_PER_SECOND));
        Limits {
            shape: measure::Shape::default(),
            until_ns: latest_ns.saturating_sub(warmup_ns).max(AHEAD_NS),
            elapsed_ns,
            arrivals,
            iterations,
        }
    }

    /// Up to where every living owner has told.
    fn complete_through_ns(&self) -> u64 {
        let Some(ledger) = &self.ledger else { return 0 };
        let told = |(name, member): (&String, &super::Member)| match member.phase {
            Phase::Armed => Some(ledger.until_ns(name, member.who.incarnation)),
            // Its last ones may be under way still.
            Phase::Over => {
                let merged = ledger.merged(name, member.who.incarnation);
                let due = member.part.as_ref().map_or(0, |part| part.deltas);
                (merged < due).then(|| ledger.until_ns(name, member.who.incarnation))
            }
            Phase::Preparing | Phase::Prepared | Phase::Arming(_) | Phase::Lost => None,
        };
        self.members.iter().filter_map(told).min().unwrap_or(u64::MAX)
    }

    /// Closes the seconds that are complete, in order.
    pub(super) fn close_seconds(&mut self, now: Timestamp, out: &mut Out<'_>) {
        let sealing = self.stage == Stage::Sealing;
        // With nobody left, a second may still change until the next one has begun.
        let by_time_ns = self.elapsed_ns(now).saturating_sub(self.submission.warmup_ns + NANOS_PER_SECOND);
        let told_ns = self.complete_through_ns();
        let through_ns = match told_ns {
            u64::MAX if !sealing => by_time_ns,
            told_ns => told_ns,
        };
        self.close_through(through_ns, out);
    }

    /// Closes the seconds that end by then, whoever may owe something for them.
    pub(super) fn close_through(&mut self, through_ns: u64, out: &mut Out<'_>) {
        while let Some((index, open)) =
            self.ledger.as_mut().and_then(|ledger| ledger.next_complete(through_ns))
        {
            self.close(index, &open, out);
            if let Some(ledger) = &mut self.ledger {
                ledger.settle(index, open);
            }
        }
    }

    fn close(&mut self, index: u64, open: &Open, out: &mut Out<'_>) {
        let from_ns = self.submission.warmup_ns + index * NANOS_PER_SECOND;
        let until_ns = from_ns + NANOS_PER_SECOND;
        let asked = self.due.asked_at(from_ns + NANOS_PER_SECOND / 2);
        let counters = &open.totals.counters;
        let due = self.due.requests_before(until_ns.min(self.end_ns()));
        let due = due.zip(self.due.requests_before(from_ns)).map(|(until, from)| until.saturating_sub(from));
        // Seconds end at whole seconds of each node; an arrival at the boundary may be told with the next one. Only where
        // cells were nobody's is less than what was due a lack.
        let vacant = self.table.unassigned() > 0 || !self.degraded.is_empty();
        let unassigned = due.filter(|_| vacant).map_or(0, |due| due.saturating_sub(counters.scheduled));
        let scheduled = counters.scheduled.saturating_add(unassigned);
        let owing = self.members.values().filter(|member| member.cells_most > 0).count();
        let told = open.told_by.len();
        let sending = until_ns <= self.end_ns() && self.halt.is_none();
        let halted = self.halt.is_some();
        let Some(ledger) = &mut self.ledger else { return };
        let mut counts = seconds::counts(counters);
        (counts.scheduled, counts.unassigned) = (scheduled, unassigned);
        let view = Arc::new(SecondView {
            revision: ledger.revise(),
            second: index,
            asked_tps: asked.map(schedule::Rate::per_second_f64),
            counts,
            response_ns: seconds::percentiles(&open.totals.latency(measure::Latency::Response)),
            lag_ns: seconds::percentiles(&open.totals.lag),
            in_flight: u64::from(open.gauges.in_flight),
            connections: u64::from(open.gauges.connections),
            nodes: u32::try_from(told).unwrap_or(u32::MAX),
            nodes_missing: u32::try_from(owing.saturating_sub(told)).unwrap_or(u32::MAX),
        });
        ledger
            .timeline
            .insert(index, seconds::of_timeline(index, &open.totals, open.gauges, scheduled, asked));
        ledger.show(Arc::clone(&view));
        out.second(self.submission.run, view);
        let breach = self.watch.second(index, sending, ledger.names(), &open.totals);
        if let Some(breach) = breach.filter(|_| !halted) {
            let measured = breach.measured_text();
            self.breach =
                Some(format!("threshold {} failed after {} s: {measured}", breach.threshold, index + 1));
        }
    }

    /// A threshold that ends the run was breached.
    pub(super) fn end_on_breach(&mut self, now: Timestamp, fleet: &mut Fleet, out: &mut Out<'_>) {
        if let Some(breach) = self.breach.take() {
            self.stop(now, breach, StopCause::Threshold, fleet, out);
        }
    }

    /// Keeps what was merged, when it has waited long enough or at once, and acknowledges it.
    pub(super) fn commit_measures(
        &mut self,
        now: Timestamp,
        fleet: &Fleet,
        out: &mut Out<'_>,
        at_once: bool,
    ) {
        let wait_ns = out.settings().commit_ns;
        let run = self.key();
        let Some(ledger) = &mut self.ledger else { return };
        let waits = ledger.dirty_since().is_some_and(|since| at_once || now.nanos_since(since) >= wait_ns);
        if !waits {
            return;
        }
        let Some((merged, through)) = ledger.commit(run) else { return };
        out.keep(Record::Merged(Box::new(merged)));
        for (node, incarnation, through) in through {
            // Measurements of an earlier life are told, and acknowledged, on the connection of the present one.
            let Some(session) = fleet.nodes.get(&node).and_then(|node| node.session) else { continue };
            let message = ToNode::Acknowledged { run, incarnation, through };
            if self.broken == Some(Broken::AcknowledgeUnkept) {
                out.send_now(session, message);
            } else {
                out.send(session, message);
            }
        }
    }
}
