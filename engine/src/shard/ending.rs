//! Hot path. Ending: deadlines, the end of the run, stop and abort.
//!
//! What it is: the part of a shard's turn that looks at what has lasted long enough.
//! What it is not: it sends nothing.
//!
//! Invariant: when the shard is done, nothing waits and nothing is in flight: all is counted.

use clock::Timestamp;
use measure::{DropReason, ErrorClass};

use super::link::Report;
use super::workload::{Task, Workload};
use super::{Phase, Shard};
use crate::conn::{Connection, State};
use crate::io::{ConnId, Io};

impl<I: Io> Shard<I> {
    /// Ends what has reached its deadline.
    pub(super) fn expire(&mut self) {
        if self.unheard_turns > 0 {
            // The generator was stopped; answers that came in time may lie in the kernel still.
            return;
        }
        self.expire_leaving();
        while let Some((_, exchange)) = self.exchanges.oldest() {
            if exchange.deadline > self.now {
                break;
            }
            let conn = exchange.conn;
            let begun = self.connections[conn.index as usize].machine.has_begun();
            self.break_off(conn, if begun { ErrorClass::Timeout } else { ErrorClass::TimeoutFirstByte });
        }
        for target_index in 0..self.targets.len() {
            self.expire_waiting(target_index);
        }
    }

    /// Ends what has waited too long for a connection to one target, and attempts to connect to it.
    fn expire_waiting(&mut self, target_index: usize) {
        while let Some(waiting) = self.targets[target_index].waiting.front() {
            if !self.has_expired(waiting) {
                break;
            }
            // An attempt that stayed unanswered for as long as the request waited takes it with it. A younger one
            // may still come through, for those behind.
            let reached = waiting.reached;
            if self.oldest_attempt(target_index).is_some_and(|(_, since)| since <= reached) {
                self.abandon_oldest_attempt(target_index);
            } else if let Some(waiting) = self.targets[target_index].waiting.pop() {
                self.drop_request(waiting.cause, waiting.warmup, DropReason::Expired);
            }
        }
        let limit_ns = self.targets[target_index].settings.connect_timeout_ns;
        while self
            .oldest_attempt(target_index)
            .is_some_and(|(_, since)| self.now.nanos_since(since) >= limit_ns)
        {
            self.abandon_oldest_attempt(target_index);
        }
    }

    /// The oldest connection attempt to a target that is under way, and since when.
    fn oldest_attempt(&mut self, target_index: usize) -> Option<(ConnId, Timestamp)> {
        self.forget_opened(target_index);
        self.targets[target_index].opening.front().copied()
    }

    fn abandon_oldest_attempt(&mut self, target_index: usize) {
        if let Some((conn, _)) = self.oldest_attempt(target_index) {
            let handshaking =
                matches!(self.connections[conn.index as usize].state, State::Handshaking { .. });
            let class = if handshaking { ErrorClass::TlsTimeout } else { ErrorClass::ConnectTimeout };
            self.break_off(conn, class);
        }
    }

    /// Moves on to the next phase when this one is over.
    pub(super) fn settle(&mut self) {
        for target_index in 0..self.targets.len() {
            self.forget_opened(target_index);
        }
        let phase = self.phase;
        match phase {
            Phase::Warming if self.targets.iter().all(|target| target.pool.connecting() == 0) => {
                self.phase = Phase::Armed;
                self.link.report(Report::Ready { connections: self.open_connections() });
            }
            Phase::Running if self.is_over() => {
                self.end_sending();
                self.settle_drained();
            }
            Phase::Draining { .. } => self.settle_drained(),
            _ => {}
        }
    }

    /// Drops entries of attempts that are no longer under way from the front.
    fn forget_opened(&mut self, target_index: usize) {
        let opening = &mut self.targets[target_index].opening;
        while let Some(&(conn, _)) = opening.front() {
            if is_under_way(&self.connections, conn) {
                break;
            }
            opening.pop_front();
        }
    }

    /// Drops entries of attempts that are no longer under way, wherever they stand.
    pub(super) fn forget_all_opened(&mut self, target_index: usize) {
        let Self { targets, connections, .. } = self;
        targets[target_index].opening.retain(|&(conn, _)| is_under_way(connections, conn));
    }

    /// Whether nothing more will become due.
    fn is_over(&mut self) -> bool {
        let is_at_end = self.now >= self.end;
        let is_spent = self.settings.ends_by_count && self.workloads.iter().all(Workload::is_exhausted);
        if !is_at_end && !is_spent {
            return false;
        }
        match self.next_due() {
            None => true,
            Some((due, _)) => is_at_end && due >= self.end,
        }
    }

    /// Nothing more becomes due; the grace begins.
    fn end_sending(&mut self) {
        let at = self.now.min(self.end);
        self.link.report(Report::SendingEnded { at });
        self.phase = Phase::Draining { until: at.plus_nanos(self.settings.grace_ns) };
    }

    fn settle_drained(&mut self) {
        let Phase::Draining { until } = self.phase else { return };
        if self.exchanges.len() == 0
            && self.targets.iter().all(|target| target.waiting.is_empty())
            && self.iterations.under_way() == 0
        {
            self.finish();
        } else if self.now >= until && self.unheard_turns == 0 {
            self.cut_off();
            self.finish();
        }
    }

    /// Sends nothing more: what waits is dropped, what is in flight may finish within the grace.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        match self.phase {
            Phase::Held | Phase::Warming | Phase::Armed => self.finish(),
            Phase::Running => {
                self.drop_due(self.now.plus_nanos(1), DropReason::Interrupted);
                self.drop_waiting(DropReason::Interrupted);
                self.cut_off_iterations(false);
                self.end_sending();
            }
            // The grace has begun: another stop does not begin it anew.
            Phase::Draining { .. } => {
                self.drop_waiting(DropReason::Interrupted);
                self.cut_off_iterations(false);
            }
            Phase::Done => {}
        }
    }

    /// Leaves now: what waits is dropped, what is in flight is cut off.
    pub(super) fn abort(&mut self) {
        self.stopped = true;
        if self.phase != Phase::Done {
            if self.phase == Phase::Running {
                self.drop_due(self.now.plus_nanos(1), DropReason::Interrupted);
                self.end_sending();
            }
            self.drop_waiting(DropReason::Interrupted);
            self.cut_off();
            self.finish();
        }
    }

    /// Counts the arrivals that are due before `until` and were not reached: the shard was late for them, and they will
    /// never be sent. Before the start and after the end there are none.
    pub(super) fn drop_due(&mut self, until: Timestamp, reason: DropReason) {
        let now = self.now;
        while let Some((_, workload)) = self.next_due().filter(|(due, _)| *due < until.min(self.end)) {
            let Some(due) = self.workloads[workload].take(self.start) else { return };
            let request = match self.workloads[workload].task {
                Task::Request(request) => Some(request),
                // Which request it would have been, its protocol was not asked any more.
                Task::Own => None,
                Task::Scenario(scenario) => {
                    let counted = self.iterations.counted(scenario);
                    let recorder = self.recorder(due.intended < self.origin);
                    recorder.iteration_scheduled(counted);
                    recorder.iteration_dropped(counted, reason);
                    continue;
                }
            };
            let name = request.map(|request| self.settings.requests[usize::from(request)].name);
            let recorder = self.recorder(due.intended < self.origin);
            recorder.scheduled(1);
            recorder.lag(now.nanos_since(due.intended));
            match name {
                Some(name) => recorder.dropped(name, reason),
                None => recorder.dropped_unnamed(reason),
            }
        }
    }

    pub(super) fn drop_waiting(&mut self, reason: DropReason) {
        for target_index in 0..self.targets.len() {
            while let Some(waiting) = self.targets[target_index].waiting.pop() {
                let name = self.settings.requests[usize::from(waiting.cause.request)].name;
                self.recorder(waiting.warmup).dropped(name, reason);
            }
        }
    }

    /// Counts everything unfinished and lets go of it.
    fn cut_off(&mut self) {
        let reason = if self.stopped { DropReason::Interrupted } else { DropReason::Expired };
        self.drop_waiting(reason);
        while let Some((id, _)) = self.exchanges.oldest() {
            let exchange = self.exchanges.finish(id);
            let name = self.settings.requests[usize::from(exchange.cause.request)].name;
            self.recorder(exchange.warmup).cut_off(name);
            self.close(exchange.conn);
        }
        self.cut_off_iterations(true);
    }

    /// Closes what is open and hands over the last snapshots.
    fn finish(&mut self) {
        self.begun.clear();
        for index in 0..self.connections.len() {
            let connection = &self.connections[index];
            let id = connection.id;
            match connection.state {
                State::Vacant => continue,
                State::Leaving => {
                    self.left(id);
                    continue;
                }
                State::Connecting { .. } | State::Handshaking { .. } | State::Greeting => {
                    let target = connection.target;
                    self.targets[target].pool.opened();
                }
                State::Idle | State::Busy { .. } => {}
            }
            self.close(id);
        }
        let began = self.start != Timestamp::MAX;
        if let Some(spare) = self.reserve.pop().filter(|_| began) {
            self.seal(spare, self.now.max(self.sealed_until));
        }
        if let Some(spare) = self.reserve.pop().filter(|_| began) {
            let warmup = self.recorders[1].seal(spare, 0, self.settings.warmup_ns);
            self.link.report(Report::Warmup(warmup));
        }
        self.phase = Phase::Done;
    }
}

fn is_under_way(connections: &[Connection], conn: ConnId) -> bool {
    let connection = &connections[conn.index as usize];
    let is_opening =
        matches!(connection.state, State::Connecting { .. } | State::Handshaking { .. } | State::Greeting);
    connection.id == conn && is_opening
}
