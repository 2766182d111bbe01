//! A run as people see it.

use std::time::Duration;

use clock::{Timestamp, rfc3339};
use measure::Counters;

use super::{Member, Phase, Run, Stage};
use crate::fleet::Fleet;
use crate::handle::{Percentiles, RunId, RunState, RunView, ShareView, ThresholdView};
use crate::ledger::Ledger;
use crate::ledger::seconds::{counts, percentiles};

impl Run {
    /// How it looks now. What only its submitter knows (target, words, tags, when it was asked for) is left empty, and so are
    /// the shares of its nodes: see [`Run::shares`].
    pub(crate) fn view(&self, now: Timestamp) -> RunView {
        let summary = self.conclusion.as_ref().and_then(|conclusion| conclusion.summary.as_ref());
        let terms = &self.submission.terms;
        let totals = self.ledger.as_ref().map(crate::ledger::Ledger::total);
        let elapsed_ns = self.elapsed_ns(now);
        let failed = self.conclusion.as_ref().and_then(|conclusion| conclusion.reason.clone());
        let halted = self.halt.as_ref().map(|halt| halt.reason.clone());
        let why = failed.or(halted).unwrap_or_else(|| self.reason.clone());
        RunView {
            id: RunId(self.key()),
            name: terms.name.clone(),
            project: terms.project.clone(),
            state: self.state(),
            schedule: self.schedule.clone(),
            why,
            started_at: self.start_unix_ns.map(|ns| rfc3339(Duration::from_nanos(ns))),
            run_ns: elapsed_ns,
            warmup_ns: self.submission.warmup_ns,
            length_ns: self.submission.duration_ns,
            asked_tps: self.due.asked_at(elapsed_ns).map(schedule::Rate::per_second_f64),
            epoch: self.epoch,
            counts: match summary {
                Some(summary) => of_summary(summary),
                None => self.ledger.as_ref().map(so_far).unwrap_or_default(),
            },
            response_ns: totals.map_or_else(Percentiles::default, |totals| {
                percentiles(&totals.latency(measure::Latency::Response))
            }),
            seconds: self.ledger.as_ref().map_or(0, |ledger| ledger.views.len() as u64),
            revision: self.ledger.as_ref().map_or(0, crate::ledger::Ledger::revision),
            nodes: self.owners(),
            unassigned_cells: self.table.unassigned(),
            degraded: self.degraded.clone(),
            thresholds: self.thresholds(),
            verdict: summary.map(|summary| {
                let word = serde_json::to_value(summary.verdict.result).unwrap_or_default();
                word.as_str().unwrap_or_default().to_owned()
            }),
            exit_code: self.conclusion.as_ref().map(|conclusion| conclusion.exit.code()),
            reasons: summary.map(|summary| summary.verdict.reasons.clone()).unwrap_or_default(),
            ..RunView::default()
        }
    }

    /// What each of its nodes has and did.
    pub(crate) fn shares(&self) -> Vec<ShareView> {
        self.members.iter().map(|(name, member)| self.share_view(name, member)).collect()
    }

    /// Nodes that have cells.
    fn owners(&self) -> u32 {
        let owns = |member: &&Member| self.table.count(member.who.place) > 0;
        u32::try_from(self.members.values().filter(owns).count()).unwrap_or(u32::MAX)
    }

    fn state(&self) -> RunState {
        match self.stage {
            Stage::Queued => RunState::Queued,
            Stage::Preparing => RunState::Preparing,
            Stage::Arming | Stage::Armed => RunState::Armed,
            Stage::Running => RunState::Running,
            Stage::Stopping => RunState::Stopping,
            Stage::Sealing => RunState::Sealing,
            Stage::Concluded => {
                let began = self.conclusion.as_ref().is_some_and(|conclusion| conclusion.summary.is_some());
                if began { RunState::Ended } else { RunState::Refused }
            }
        }
    }

    fn share_view(&self, name: &str, member: &Member) -> ShareView {
        let share = self.ledger.as_ref().and_then(|ledger| ledger.share(name, member.who.incarnation));
        let skew = member.part.as_ref().and_then(|part| part.first_sent_ns).zip(member.first_due_ns);
        let own = |counters: &Counters| counts(counters);
        ShareView {
            node: name.to_owned(),
            zone: member.who.zone.clone(),
            cells: self.table.count(member.who.place),
            counts: share.map(|share| own(&share.sums.counters)).unwrap_or_default(),
            response_ns: share.map_or_else(Percentiles::default, |share| percentiles(&share.sums.response)),
            start_skew_ns: skew.map(|(sent, due)| sent.cast_signed().wrapping_sub(due.cast_signed())),
            start_uncertainty_ns: skew.and(member.clock_error_ns),
        }
    }

    fn thresholds(&self) -> Vec<ThresholdView> {
        let watched = self.watch.results();
        let view = |threshold: &verdict::Threshold| {
            let text = threshold.to_string();
            let found = watched.iter().find(|result| result.threshold.to_string() == text);
            ThresholdView {
                passed: found.is_none_or(|result| result.passed),
                measured: found.map(verdict::ThresholdResult::measured_text).unwrap_or_default(),
                threshold: text,
            }
        };
        self.submission.thresholds.iter().map(view).collect()
    }

    /// What a node is doing for the run; `None` where it takes no part any more.
    pub(crate) fn node_state(&self, name: &str, fleet: &Fleet) -> Option<crate::handle::NodeState> {
        use crate::handle::NodeState;
        let member = self.members.get(name).filter(|one| fleet.life(name, one.who.incarnation).is_some())?;
        Some(match member.phase {
            Phase::Preparing => NodeState::Preparing,
            Phase::Prepared | Phase::Arming(_) => NodeState::Armed,
            Phase::Armed if self.stage < Stage::Running => NodeState::Armed,
            Phase::Armed => NodeState::Running,
            Phase::Lost => NodeState::Lost,
            Phase::Over => NodeState::Ready,
        })
    }
}

/// Where the arrivals of complete seconds went, those that nobody owned with them.
fn so_far(ledger: &Ledger) -> crate::handle::Counts {
    let counts = counts(&ledger.total().counters);
    let unassigned = ledger.unassigned();
    crate::handle::Counts { scheduled: counts.scheduled.saturating_add(unassigned), unassigned, ..counts }
}

fn of_summary(summary: &report::Summary) -> crate::handle::Counts {
    let audit = &summary.audit;
    let some = |map: &std::collections::BTreeMap<String, u64>| {
        map.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.clone(), *count)).collect()
    };
    crate::handle::Counts {
        scheduled: audit.scheduled,
        sent: audit.sent,
        dropped: some(&audit.dropped),
        ok: audit.ok,
        errors: some(&audit.errors),
        cut_off: audit.cut_off,
        unassigned: audit.unassigned,
        bytes_sent: summary.bytes.sent,
        bytes_received: summary.bytes.received,
    }
}
