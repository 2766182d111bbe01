//! What a node does for one run.
//!
//! What it is: how far the run is here, what was asked last and what was answered, so that it can be answered again. What it
//! is not: the run, nor the order in which messages may come; that is the agent's.

use clock::Timestamp;
use wire::{Description, Fencing, FromNode, Prepared, Refusal, Resume, RunKey, Sha256};

use super::event::{Action, Happened};
use crate::part::Order;

/// How far a run is on this node.
#[derive(Debug)]
enum Phase {
    /// The plan is being read.
    Preparing,
    /// It can be carried out, and waits for its start.
    Prepared(Box<Description>),
    /// It was told its start: it opens its connections, waits, or runs.
    Armed,
    /// It cannot be carried out, or could not be begun.
    Refused(Refusal),
    /// It has ended.
    Over,
}

/// A run on this node.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) run: RunKey,
    fencing: Fencing,
    digest: Sha256,
    phase: Phase,
    start: Option<Timestamp>,
    /// What was said last about an epoch.
    answer: Option<FromNode>,
    /// Since when nothing is owned, because the lease ended.
    pub(super) fenced_at_ns: Option<u64>,
    /// Shards may own cells, or be about to.
    may_own: bool,
    /// Nobody waits for it any more.
    pub(super) released: bool,
}

impl Work {
    /// Begins to prepare a run.
    pub(super) fn new(run: RunKey, fencing: Fencing, digest: Sha256) -> Self {
        Self {
            run,
            fencing,
            digest,
            phase: Phase::Preparing,
            start: None,
            answer: None,
            fenced_at_ns: None,
            may_own: false,
            released: false,
        }
    }

    /// Whether nothing more happens on this node for the run.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over | Phase::Refused(_))
    }

    /// Whether shards may send, now or from some instant on, without being told anything more.
    pub(super) const fn may_own(&self) -> bool {
        self.may_own && !self.is_over()
    }

    /// Whether it is the plan with this digest.
    pub(super) fn is_of(&self, digest: &Sha256) -> bool {
        self.digest == *digest
    }

    /// The epoch of the last change that was asked.
    pub(super) const fn epoch(&self) -> u32 {
        self.fencing.epoch
    }

    /// What a Hello says about it; nothing where there is nothing to go on with.
    pub(super) fn resume(&self, next_sequence: u64) -> Option<Resume> {
        let resume = Resume {
            run: self.run,
            fencing: self.fencing,
            start: self.start,
            next_sequence,
            fenced_at_ns: self.fenced_at_ns,
        };
        (!matches!(self.phase, Phase::Refused(_))).then_some(resume)
    }

    /// Whether an order of this fencing is to be followed: a later one. One that was answered is answered again.
    pub(super) fn admit(&mut self, fencing: Fencing, actions: &mut Vec<Action>) -> bool {
        self.fencing.term = self.fencing.term.max(fencing.term);
        let first = self.answer.is_none() && self.start.is_none();
        if fencing.epoch > self.fencing.epoch || (first && fencing.epoch == self.fencing.epoch) {
            self.fencing.epoch = fencing.epoch;
            self.answer = None;
            return true;
        }
        if fencing.epoch == self.fencing.epoch
            && let Some(answer) = &self.answer
        {
            actions.push(Action::Send(Box::new(answer.clone())));
        }
        false
    }

    /// Asks the shards for a start or a change of cells or rate, where the lease lets them have it.
    pub(super) fn ask(&mut self, order: Order, leased: bool, actions: &mut Vec<Action>) {
        let refused = match (&self.phase, &order) {
            (Phase::Prepared(_) | Phase::Armed, Order::Arm { .. }) => {
                (!leased).then_some("its lease has ended")
            }
            (Phase::Armed, Order::Assign { .. }) => (!leased).then_some("its lease has ended"),
            (Phase::Armed, _) => None,
            (Phase::Preparing, _) => Some("its plan is not prepared yet"),
            (Phase::Prepared(_), _) => Some("it was not told its start"),
            (Phase::Refused(_) | Phase::Over, _) => Some("its part is over"),
        };
        if let Some(reason) = refused {
            self.answered(self.declined(reason.to_owned()), actions);
            return;
        }
        if let Order::Arm { start, .. } = &order {
            self.start = Some(*start);
            self.phase = Phase::Armed;
        }
        if matches!(order, Order::Arm { .. } | Order::Assign { .. }) {
            self.may_own = true;
        }
        actions.push(Action::Order(order));
    }

    /// Ends the part: what is in flight may end within the plan's grace where it had begun.
    pub(super) fn stop(&self, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Armed => actions.push(Action::Order(Order::Stop)),
            Phase::Preparing | Phase::Prepared(_) => {
                let reason = "it was stopped before its start".to_owned();
                actions.push(Action::Order(Order::Abort { reason }));
            }
            Phase::Refused(_) | Phase::Over => {}
        }
    }

    /// Ends the part now.
    pub(super) fn abort(&self, reason: String, actions: &mut Vec<Action>) {
        if !self.is_over() {
            actions.push(Action::Order(Order::Abort { reason }));
        }
    }

    /// Says again what may have been lost with a connection.
    pub(super) fn tell_again(&self, actions: &mut Vec<Action>) {
        match &self.phase {
            Phase::Prepared(description) => actions.push(self.prepared(Ok((**description).clone()))),
            Phase::Refused(refusal) => actions.push(self.prepared(Err(refusal.clone()))),
            Phase::Preparing | Phase::Armed | Phase::Over => {}
        }
        if let Some(answer) = &self.answer {
            actions.push(Action::Send(Box::new(answer.clone())));
        }
    }

    /// The part did something that is no measurement; what is to be said of it is said if `attending`, else it is told again
    /// when a connection stands.
    pub(super) fn happened(&mut self, happened: Happened, actions: &mut Vec<Action>) {
        match happened {
            Happened::Prepared(Ok(description)) => {
                actions.push(self.prepared(Ok((*description).clone())));
                self.phase = Phase::Prepared(description);
            }
            Happened::Prepared(Err(refusal)) => {
                actions.push(self.prepared(Err(refusal.clone())));
                self.phase = Phase::Refused(refusal);
            }
            Happened::Armed { epoch } => self.did(epoch, FromNode::Armed { run: self.run, epoch }, actions),
            Happened::Obeyed { epoch } => self.did(epoch, FromNode::Obeyed { run: self.run, epoch }, actions),
            Happened::Declined { epoch, reason } => {
                if self.fenced_at_ns.is_some() {
                    self.may_own = false;
                }
                if epoch == self.fencing.epoch {
                    self.answered(self.declined(reason), actions);
                }
            }
            Happened::Lapsed { at_ns } => {
                self.fenced_at_ns = Some(at_ns);
                self.may_own = false;
            }
            Happened::Finished { .. } => self.phase = Phase::Over,
            Happened::Second { .. } => {}
        }
    }

    fn did(&mut self, epoch: u32, answer: FromNode, actions: &mut Vec<Action>) {
        // A change of rate gives nothing back.
        if self.may_own {
            self.fenced_at_ns = None;
        }
        if epoch == self.fencing.epoch {
            self.answered(answer, actions);
        }
    }

    fn answered(&mut self, answer: FromNode, actions: &mut Vec<Action>) {
        self.answer = Some(answer.clone());
        actions.push(Action::Send(Box::new(answer)));
    }

    fn declined(&self, reason: String) -> FromNode {
        FromNode::Declined { run: self.run, epoch: self.fencing.epoch, reason }
    }

    fn prepared(&self, outcome: Result<Description, Refusal>) -> Action {
        let prepared = Prepared { run: self.run, spec: self.digest, outcome };
        Action::Send(Box::new(FromNode::Prepared(Box::new(prepared))))
    }
}
