//! Hot path. Where a shard's arrivals come from: the plan's schedules, or populations of users.
//!
//! What it is: a workload is one source of due work with two shapes, and what it sends. In the open model arrivals are due whatever the target
//! does; in the closed model each user's next request is due when its last one has ended and it has thought.
//! What it is not: a clock; instants come in as arguments.
//!
//! Invariant: instants handed out never decrease.

use std::collections::VecDeque;
use std::sync::Arc;

use clock::Timestamp;
use schedule::{Arrivals, Profile};

use super::exchange::NONE;

/// One piece of due work.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// When the plan wants it sent.
    pub(crate) intended: Timestamp,
    /// The closed model's user, or [`NONE`].
    pub(crate) user: u32,
}

/// One of the plan's workloads, as far as it is one shard's.
#[derive(Debug)]
pub struct Workload {
    source: Source,
    /// What it sends: a place in [`super::Settings::requests`].
    pub(crate) request: u16,
}

/// Where the arrivals of a workload come from.
#[derive(Debug)]
enum Source {
    /// Arrivals of the plan's schedule, whatever the target does.
    Open(Arrivals),
    /// Users who wait for their responses.
    Closed(Users),
}

/// The closed model's users on one shard.
#[derive(Debug)]
pub struct Users {
    /// When each user of this shard enters, in order.
    entries: VecDeque<u64>,
    think_ns: u64,
    /// Users ready for their next request. Thinking is constant, so they get ready in order.
    ready: VecDeque<(Timestamp, u32)>,
    entered: u32,
    /// Requests that may still be begun; `None` is no bound.
    remaining: Option<u64>,
}

impl Users {
    /// Users who enter at `entries_ns` after the start (in order), think `think_ns` between requests and
    /// together begin at most `requests`.
    pub fn new(entries_ns: Vec<u64>, think_ns: u64, requests: Option<u64>) -> Self {
        let ready = VecDeque::with_capacity(entries_ns.len());
        Self { entries: entries_ns.into(), think_ns, ready, entered: 0, remaining: requests }
    }

    fn next(&self, start: Timestamp) -> Option<Timestamp> {
        if self.remaining == Some(0) {
            return None;
        }
        let entry = self.entries.front().map(|&offset| start.plus_nanos(offset));
        let ready = self.ready.front().map(|&(at, _)| at);
        match (entry, ready) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn take(&mut self, start: Timestamp) -> Option<Due> {
        let next = self.next(start)?;
        let due = match self.ready.front() {
            Some(&(at, user)) if at <= next => {
                self.ready.pop_front();
                Due { intended: at, user }
            }
            _ => {
                self.entries.pop_front();
                let user = self.entered;
                self.entered += 1;
                Due { intended: next, user }
            }
        };
        if let Some(remaining) = &mut self.remaining {
            *remaining -= 1;
        }
        Some(due)
    }
}

impl Workload {
    /// Arrivals of the plan's schedule, for each of which the `request`-th of the plan's requests is sent.
    pub fn open(arrivals: Arrivals, request: u16) -> Self {
        Self { source: Source::Open(arrivals), request }
    }

    /// Users who send the `request`-th of the plan's requests and wait for the responses.
    pub fn closed(users: Users, request: u16) -> Self {
        Self { source: Source::Closed(users), request }
    }

    /// When the next piece of work is due; `None` when there is none to come by itself.
    pub(crate) fn next_due(&mut self, start: Timestamp) -> Option<Timestamp> {
        match &mut self.source {
            Source::Open(arrivals) => arrivals.peek_due_ns().map(|offset| start.plus_nanos(offset)),
            Source::Closed(users) => users.next(start),
        }
    }

    /// Takes the next piece of work.
    pub(crate) fn take(&mut self, start: Timestamp) -> Option<Due> {
        match &mut self.source {
            Source::Open(arrivals) => {
                arrivals.next().map(|arrival| Due { intended: start.plus_nanos(arrival.due_ns), user: NONE })
            }
            Source::Closed(users) => users.take(start),
        }
    }

    /// Whether no work will ever be due again, whatever ends. Asked when a request count bounds the run.
    pub(crate) fn is_exhausted(&self) -> bool {
        match &self.source {
            Source::Open(arrivals) => arrivals.is_spent(),
            Source::Closed(users) => users.remaining == Some(0),
        }
    }

    /// A user's request has ended; the next is due after the user has thought, at the earliest after
    /// `pause_ns`.
    pub(crate) fn ended(&mut self, user: u32, now: Timestamp, pause_ns: u64) {
        if let Source::Closed(users) = &mut self.source {
            let at = now.plus_nanos(users.think_ns.max(pause_ns));
            // Pauses after failed connects may exceed the think time: keep the order of the queue.
            let place = users.ready.partition_point(|&(ready, _)| ready <= at);
            users.ready.insert(place, (at, user));
        }
    }

    /// Follows a changed rate profile; the closed model has none.
    pub(crate) fn set_profile(&mut self, profile: Arc<Profile>) {
        if let Source::Open(arrivals) = &mut self.source {
            arrivals.set_profile(profile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Timestamp {
        Timestamp::from_nanos(ns)
    }

    #[test]
    fn users_enter_wait_and_think() {
        let mut load = Workload::closed(Users::new(vec![0, 100], 50, None), 0);
        assert_eq!(load.take(at(1_000)), Some(Due { intended: at(1_000), user: 0 }));
        assert_eq!(load.next_due(at(1_000)), Some(at(1_100)));
        load.ended(0, at(1_020), 0);
        assert_eq!(load.take(at(1_000)), Some(Due { intended: at(1_070), user: 0 }));
        assert_eq!(load.take(at(1_000)), Some(Due { intended: at(1_100), user: 1 }));
        assert_eq!(load.next_due(at(1_000)), None);
    }

    #[test]
    fn a_count_bounds_the_closed_model() {
        let mut load = Workload::closed(Users::new(vec![0], 0, Some(2)), 0);
        for round in 0..2 {
            assert!(load.take(at(0)).is_some(), "round {round}");
            load.ended(0, at(round), 0);
        }
        assert_eq!(load.take(at(0)), None);
        assert_eq!(load.next_due(at(0)), None);
    }

    #[test]
    fn a_pause_does_not_hold_up_the_others() {
        let mut load = Workload::closed(Users::new(vec![0, 0], 0, None), 0);
        load.take(at(0));
        load.take(at(0));
        load.ended(0, at(10), 1_000);
        load.ended(1, at(20), 0);
        assert_eq!(load.take(at(0)).map(|due| due.user), Some(1));
        assert_eq!(load.next_due(at(0)), Some(at(1_010)));
    }
}
