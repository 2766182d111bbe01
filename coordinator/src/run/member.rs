//! A node's part in a run, as the coordinator sees it.
//!
//! ```text
//!   Preparing ──Prepared──► Prepared ──told to arm──► Arming ──Armed──► Armed ──Finished──► Over
//!       │                      │                        │                │ ▲
//!       └──────────────── lease over ───────────────────┴────────────────┤ │
//!                                                                         ▼ │ the same life beats again
//!                                                                        Lost
//! ```
//!
//! Invariant: a member has at most one change under way that it has not answered; the next follows its answer. So an answer
//! that was lost is asked for again without doubt about what it answers.

use std::collections::VecDeque;

use clock::Timestamp;
use schedule::{Cells, Rate};
use wire::{Fencing, RunKey, ToNode};

use crate::director::{Chosen, PartText};

/// One life of a node in one run.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) who: Chosen,
    pub(crate) phase: Phase,
    /// Changes that it has not answered; it was told the first.
    pub(crate) queue: VecDeque<Change>,
    /// The epoch that it obeys.
    pub(crate) epoch: u32,
    /// From when on its cells are what it was given last: nothing later may hold before that, or it would use what it
    /// gained before it was its own.
    pub(crate) from_ns: u64,
    /// Changes that it declined in a row.
    pub(crate) declines: u32,
    /// It is given nothing before that.
    pub(crate) rests_until: Timestamp,
    /// Changes of rate that it obeys.
    pub(crate) rates_known: usize,
    /// Of its weight, in thousandths: less when it is late through its own fault.
    pub(crate) weight_milli: u64,
    /// Since when it is late in every beat.
    pub(crate) late_since: Option<Timestamp>,
    /// When its weight was last changed.
    pub(crate) shed_at: Option<Timestamp>,
    /// From when on it owns nothing, as it said when it gave its last cells up, in nanoseconds of the run.
    pub(crate) bare_from_ns: u64,
    /// It is to give its cells up and leave.
    pub(crate) leaving: bool,
    /// When it was told to stop.
    pub(crate) stopped: Option<Timestamp>,
    /// What it told at its end.
    pub(crate) part: Option<PartText>,
    /// By when it had stopped, where it was lost, in nanoseconds of the run.
    pub(crate) lost_by_ns: Option<u64>,
    /// The most cells that it ever had.
    pub(crate) cells_most: u32,
    /// Cells that it was first given.
    pub(crate) cells_first: u32,
    /// When the first arrival in them was due, after the plan's zero.
    pub(crate) first_due_ns: Option<u64>,
    /// When it was told to arm.
    pub(crate) asked_at: Timestamp,
    /// How wrong its clock may have been translated when it was told the start, either way.
    pub(crate) clock_error_ns: Option<u64>,
}

/// Where a member is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It reads the plan.
    Preparing,
    /// It could begin.
    Prepared,
    /// It was told when to begin, under this epoch.
    Arming(u32),
    /// It stands ready, or runs.
    Armed,
    /// Its part is over.
    Over,
    /// Its lease is over.
    Lost,
}

/// Something that a member was told, or is to be told next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) epoch: u32,
    pub(crate) kind: Kind,
}

/// What changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Its cells.
    Cells {
        /// From when on.
        from_ns: u64,
        /// All of them.
        cells: Cells,
        /// Those that it did not have before.
        gained: Cells,
    },
    /// A rate.
    Rate {
        /// Of which workload.
        workload: Option<String>,
        /// From when on.
        from_ns: u64,
        /// The whole plan's.
        rate: Rate,
        /// Whoever does not hear of it must not send beyond that instant: it gets no lease that lasts longer.
        lowers: bool,
    },
}

impl Member {
    /// One that is told to prepare.
    pub(crate) fn new(who: Chosen) -> Self {
        Self {
            who,
            phase: Phase::Preparing,
            queue: VecDeque::new(),
            epoch: 0,
            from_ns: 0,
            declines: 0,
            rests_until: Timestamp::ZERO,
            rates_known: 0,
            weight_milli: 1_000,
            late_since: None,
            shed_at: None,
            bare_from_ns: 0,
            leaving: false,
            stopped: None,
            part: None,
            lost_by_ns: None,
            cells_most: 0,
            cells_first: 0,
            first_due_ns: None,
            asked_at: Timestamp::ZERO,
            clock_error_ns: None,
        }
    }

    /// Whether it may act for the run, now or soon.
    pub(crate) fn is_living(&self) -> bool {
        !matches!(self.phase, Phase::Over | Phase::Lost)
    }

    /// Whether it must not be granted a lease now.
    pub(crate) fn is_withheld(&self) -> bool {
        let lowers = |change: &Change| matches!(change.kind, Kind::Rate { lowers: true, .. });
        self.queue.iter().any(lowers)
    }

    /// The message of the change that it has to answer.
    pub(crate) fn question(&self, run: RunKey, term: u64) -> Option<ToNode> {
        let change = self.queue.front()?;
        let fencing = Fencing { term, epoch: change.epoch };
        Some(match &change.kind {
            Kind::Cells { from_ns, cells, .. } => {
                ToNode::Assign { run, fencing, from_ns: *from_ns, cells: cells.clone() }
            }
            Kind::Rate { workload, from_ns, rate, .. } => {
                ToNode::SetRate { run, fencing, workload: workload.clone(), from_ns: *from_ns, rate: *rate }
            }
        })
    }
}
