//! The disk: records become durable in order and after a while; what is not by then dies with the coordinator.

use std::collections::{BTreeMap, VecDeque};

use coordinator::director::{Fact, Mark, Merged, Record, Restored, Standing, Submission};
use measure::Gauges;
use schedule::Rate;
use wire::{Measured, RunKey};

/// Everything that is durable, and what is about to be.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// With the instant at which each is durable.
    waiting: VecDeque<(u64, u64, Record)>,
    /// The last number that is durable in this term.
    pub(crate) durable: u64,
    /// In the order in which they were taken.
    pub(crate) runs: BTreeMap<RunKey, Kept>,
    standing: Standing,
}

/// What is durable of a run.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    submission: Option<Submission>,
    facts: Vec<String>,
    seconds: Vec<(u64, Measured, Gauges)>,
    pub(crate) marks: BTreeMap<(String, u64), Mark>,
    pub(crate) summary: Option<report::Summary>,
    pub(crate) concluded: Option<verdict::ExitCode>,
    pub(crate) reason: Option<String>,
    /// The plan's zero on the coordinator's clock, as it was last set.
    pub(crate) start: Option<u64>,
    /// Changes of the rate: from when on, in nanoseconds of the run, and the rate.
    pub(crate) rates: Vec<(u64, Rate)>,
    /// When a stop took hold, in nanoseconds of the run.
    pub(crate) stopped_ns: Option<u64>,
}

impl Store {
    /// Takes a record that will be durable at `at`.
    pub(crate) fn keep(&mut self, at: u64, number: u64, record: Record) {
        let at = self.waiting.back().map_or(at, |(last, _, _)| at.max(*last));
        self.waiting.push_back((at, number, record));
    }

    /// When the next record is durable.
    pub(crate) fn next(&self) -> Option<u64> {
        self.waiting.front().map(|(at, _, _)| *at)
    }

    /// Time has passed.
    pub(crate) fn settle(&mut self, now: u64) {
        while let Some((_, number, record)) = self.waiting.pop_front_if(|(at, _, _)| *at <= now) {
            self.durable = number;
            self.write(record);
        }
    }

    /// The coordinator died: what was not durable is lost.
    pub(crate) fn crash(&mut self) {
        self.waiting.clear();
        self.durable = 0;
    }

    fn write(&mut self, record: Record) {
        match record {
            Record::Taken(submission) => {
                let run = submission.run;
                self.runs.entry(run).or_default().submission = Some(*submission);
            }
            Record::Fact { run, number, fact } => self.runs.entry(run).or_default().add(number, &fact),
            Record::Merged(merged) => {
                let Merged { run, whole, seconds, marks } = *merged;
                let kept = self.runs.entry(run).or_default();
                kept.seconds.retain(|(second, _, _)| whole.iter().all(|(other, _, _)| other != second));
                kept.seconds.extend(whole.into_iter().chain(seconds));
                for mark in marks {
                    kept.marks.insert((mark.node.clone(), mark.incarnation), mark);
                }
            }
            Record::Concluded { run, conclusion } => {
                let kept = self.runs.entry(run).or_default();
                kept.concluded = Some(conclusion.exit);
                kept.reason = conclusion.reason;
                kept.summary = conclusion.summary;
            }
            Record::Quarantine { node, reason: Some(reason) } => {
                self.standing.quarantined.insert(node, reason);
            }
            Record::Quarantine { node, reason: None } => {
                self.standing.quarantined.remove(&node);
            }
            Record::Drain { node, exit: Some(exit) } => {
                self.standing.draining.insert(node, exit);
            }
            Record::Drain { node, exit: None } => {
                self.standing.draining.remove(&node);
            }
        }
    }

    /// What a new coordinator is given.
    pub(crate) fn restore(&self) -> (Vec<Restored>, Standing) {
        let runs = self.runs.values().filter(|kept| kept.concluded.is_none()).filter_map(Kept::restored);
        (runs.collect(), self.standing.clone())
    }
}

impl Kept {
    fn add(&mut self, number: u64, fact: &Fact) {
        assert_eq!(number, self.facts.len() as u64, "facts are numbered without gaps");
        match fact {
            Fact::Arming { start_ns, .. } => self.start = Some(*start_ns),
            Fact::Rate { from_ns, micro_tps, .. } => {
                self.rates.push((*from_ns, Rate::from_micro(*micro_tps)));
            }
            Fact::Stopping { at_ns, .. } => self.stopped_ns = Some(*at_ns),
            _ => {}
        }
        self.facts.push(serde_json::to_string(fact).expect("a fact is JSON"));
    }

    fn restored(&self) -> Option<Restored> {
        let facts = self.facts.iter().map(|text| serde_json::from_str::<Fact>(text).expect("a fact is read"));
        Some(Restored {
            submission: self.submission.clone()?,
            facts: facts.collect(),
            seconds: self.seconds.clone(),
            marks: self.marks.values().cloned().collect(),
        })
    }

    /// Requests that are durably counted, as sent.
    pub(crate) fn sent(&self) -> u64 {
        self.seconds.iter().map(|(_, measured, _)| measured.counters().sent).sum()
    }
}
