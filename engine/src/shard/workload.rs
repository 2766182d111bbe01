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
    /// Its place in the workload, unique over all shards and engines.
    pub(crate) slot: u64,
    /// The closed model's user, or [`NONE`].
    pub(crate) user: u32,
}

/// One of the plan's workloads, as far as it is one shard's. On cache lines of its own, whoever allocated it.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub struct Workload {
    source: Source,
    /// What it does for each arrival.
    pub(crate) task: Task,
    /// When it begins, from the plan's zero on.
    begins_ns: u64,
    /// From when on nothing of it is due, from the plan's zero on.
    ends_ns: u64,
}

/// What is done for an arrival.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// One request is sent: a place in [`super::Settings::requests`].
    Request(u16),
    /// An iteration of a scenario is run: a place in [`super::Settings::scenarios`].
    Scenario(u16),
    /// One request of [`super::Settings::protocol`] is sent, of its choice.
    Own,
}

/// Where the arrivals of a workload come from.
#[derive(Clone, Debug)]
enum Source {
    /// Arrivals of the plan's schedule, whatever the target does.
    Open(Arrivals),
    /// Users who wait for their responses.
    Closed(Users),
}

/// A stretch of time in which a user of the closed model is there.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stay {
    /// When the user enters, from the workload's zero on.
    pub enters_ns: u64,
    /// From when on the user begins nothing more.
    pub leaves_ns: u64,
    /// Which user of the shard.
    pub user: u32,
}

/// One user of the closed model.
#[derive(Copy, Clone, Debug, Default)]
struct User {
    /// Which of the plan's users.
    number: u64,
    /// Iterations begun.
    begun: u64,
    /// When the stay at hand ends.
    leaves: Timestamp,
}

/// The closed model's users on one shard.
#[derive(Clone, Debug)]
pub struct Users {
    /// When each user of this shard enters, in order.
    stays: VecDeque<Stay>,
    members: Vec<User>,
    /// How many users the whole plan has.
    population: u64,
    /// Iterations of each user, at most.
    each: u64,
    /// A user leaves whose next slot would not be below this one.
    slots: u64,
    think_ns: u64,
    /// Users ready for their next request. Thinking is constant, so they get ready in order.
    ready: VecDeque<(Timestamp, u32)>,
    /// Requests that may still be begun; `None` is no bound.
    remaining: Option<u64>,
}

impl Users {
    /// Users who enter at `entries_ns` after the start (in order), think `think_ns` between requests and
    /// together begin at most `requests`.
    pub fn new(entries_ns: Vec<u64>, think_ns: u64, requests: Option<u64>) -> Self {
        let population = entries_ns.len() as u64;
        let stay = |(user, enters_ns): (u32, u64)| Stay { enters_ns, leaves_ns: u64::MAX, user };
        let stays = (0..).zip(entries_ns).map(stay).collect();
        Self { think_ns, ..Self::staying(stays, (0..population).collect(), population, requests) }
    }

    /// Users who come and go, `stays` rising by entry. They are the users `numbers` of the plan's `population`, and
    /// together begin at most `iterations`.
    ///
    /// # Panics
    /// When a stay is of a user without a number.
    pub fn staying(stays: Vec<Stay>, numbers: Vec<u64>, population: u64, iterations: Option<u64>) -> Self {
        assert!(stays.iter().all(|stay| (stay.user as usize) < numbers.len()), "every user has a number");
        Self {
            ready: VecDeque::new(),
            stays: stays.into(),
            members: numbers.into_iter().map(|number| User { number, ..User::default() }).collect(),
            population,
            each: u64::MAX,
            slots: u64::MAX,
            think_ns: 0,
            remaining: iterations,
        }
    }

    /// Has each user rest for so long between two requests.
    #[must_use]
    pub fn thinking(self, think_ns: u64) -> Self {
        Self { think_ns, ..self }
    }

    /// Bounds the iterations of each user, and the slots that there are rows for.
    #[must_use]
    pub fn within(self, each: u64, slots: u64) -> Self {
        Self { each, slots, ..self }
    }

    fn next(&self, start: Timestamp) -> Option<Timestamp> {
        if self.remaining == Some(0) {
            return None;
        }
        let entry = self.stays.front().map(|stay| start.plus_nanos(stay.enters_ns));
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
                Due { intended: at, slot: self.next_slot(user), user }
            }
            _ => {
                let Stay { leaves_ns, user, .. } = self.stays.pop_front()?;
                self.members[user as usize].leaves = start.plus_nanos(leaves_ns);
                Due { intended: next, slot: self.next_slot(user), user }
            }
        };
        if let Some(remaining) = &mut self.remaining {
            *remaining -= 1;
        }
        Some(due)
    }

    /// The n-th iteration of user k among p users has slot n × p + k.
    fn next_slot(&mut self, user: u32) -> u64 {
        let slot = self.slot(user);
        self.members[user as usize].begun += 1;
        slot
    }

    fn slot(&self, user: u32) -> u64 {
        let User { number, begun, .. } = self.members[user as usize];
        begun.saturating_mul(self.population).saturating_add(number)
    }

    /// The iteration of a user has ended, and the next may begin at `at`.
    fn rest(&mut self, user: u32, at: Timestamp) {
        let User { begun, leaves, .. } = self.members[user as usize];
        if at >= leaves || begun >= self.each || self.slot(user) >= self.slots {
            return;
        }
        if self.ready.back().is_none_or(|&(latest, _)| latest <= at) {
            self.ready.push_back((at, user));
            return;
        }
        // Pauses after failed connects may exceed the think time: keep the order of the queue.
        let place = self.ready.partition_point(|&(ready, _)| ready <= at);
        self.ready.insert(place, (at, user));
    }
}

impl Workload {
    /// Arrivals of a schedule of the plan's.
    pub fn open(arrivals: Arrivals, task: Task) -> Self {
        Self { source: Source::Open(arrivals), task, begins_ns: 0, ends_ns: u64::MAX }
    }

    /// Users who wait until their task is done before they begin it again.
    pub fn closed(users: Users, task: Task) -> Self {
        Self { source: Source::Closed(users), task, begins_ns: 0, ends_ns: u64::MAX }
    }

    /// Moves it to a stretch of the plan: its own zero is at `begins_ns`, and nothing of it is due from `ends_ns` on.
    #[must_use]
    pub fn between(self, begins_ns: u64, ends_ns: u64) -> Self {
        Self { begins_ns, ends_ns, ..self }
    }

    /// A copy for a run that has not begun, in memory that the calling thread takes now; running takes no more.
    pub(crate) fn copied(&self) -> Self {
        let mut copy = self.clone();
        if let Source::Closed(users) = &mut copy.source {
            users.ready.reserve_exact(users.members.len());
        }
        copy
    }

    /// Where its users lie, for the test that shards lie apart.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> Vec<std::ops::Range<usize>> {
        let Source::Closed(Users { ready, members, .. }) = &self.source else { return Vec::new() };
        let (ready_at, members_at) = (ready.as_slices().0.as_ptr().addr(), members.as_ptr().addr());
        vec![
            ready_at..ready_at + ready.capacity() * size_of::<(Timestamp, u32)>(),
            members_at..members_at + members.capacity() * size_of::<User>(),
        ]
    }

    /// When the next piece of work is due; `None` when there is none to come by itself.
    #[inline]
    pub(crate) fn next_due(&mut self, start: Timestamp) -> Option<Timestamp> {
        let zero = start.plus_nanos(self.begins_ns);
        let due = match &mut self.source {
            Source::Open(arrivals) => arrivals.peek_due_ns().map(|offset| zero.plus_nanos(offset)),
            Source::Closed(users) => users.next(zero),
        };
        due.filter(|due| *due < start.plus_nanos(self.ends_ns))
    }

    /// Takes the next piece of work.
    pub(crate) fn take(&mut self, start: Timestamp) -> Option<Due> {
        let zero = start.plus_nanos(self.begins_ns);
        match &mut self.source {
            Source::Open(arrivals) => arrivals.next().map(|arrival| Due {
                intended: zero.plus_nanos(arrival.due_ns),
                slot: arrival.slot,
                user: NONE,
            }),
            Source::Closed(users) => users.take(zero),
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
            users.rest(user, now.plus_nanos(users.think_ns.max(pause_ns)));
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
        let mut load = Workload::closed(Users::new(vec![0, 100], 50, None), Task::Request(0));
        assert_eq!(load.take(at(1_000)), Some(Due { intended: at(1_000), slot: 0, user: 0 }));
        assert_eq!(load.next_due(at(1_000)), Some(at(1_100)));
        load.ended(0, at(1_020), 0);
        assert_eq!(load.take(at(1_000)), Some(Due { intended: at(1_070), slot: 2, user: 0 }));
        assert_eq!(load.take(at(1_000)), Some(Due { intended: at(1_100), slot: 1, user: 1 }));
        assert_eq!(load.next_due(at(1_000)), None);
    }

    #[test]
    fn a_count_bounds_the_closed_model() {
        let mut load = Workload::closed(Users::new(vec![0], 0, Some(2)), Task::Request(0));
        for round in 0..2 {
            assert!(load.take(at(0)).is_some(), "round {round}");
            load.ended(0, at(round), 0);
        }
        assert_eq!(load.take(at(0)), None);
        assert_eq!(load.next_due(at(0)), None);
    }

    #[test]
    fn a_pause_does_not_hold_up_the_others() {
        let mut load = Workload::closed(Users::new(vec![0, 0], 0, None), Task::Request(0));
        load.take(at(0));
        load.take(at(0));
        load.ended(0, at(10), 1_000);
        load.ended(1, at(20), 0);
        assert_eq!(load.take(at(0)).map(|due| due.user), Some(1));
        assert_eq!(load.next_due(at(0)), Some(at(1_010)));
    }

    #[test]
    fn users_come_and_go_and_come_back() {
        let stay = |enters_ns, leaves_ns, user| Stay { enters_ns, leaves_ns, user };
        let stays = vec![stay(0, 100, 0), stay(50, 100, 1), stay(200, 300, 0)];
        let users = Users::staying(stays, vec![4, 9], 10, None).within(u64::MAX, 30);
        let mut load = Workload::closed(users, Task::Scenario(0));
        assert_eq!(load.take(at(0)), Some(Due { intended: at(0), slot: 4, user: 0 }));
        load.ended(0, at(40), 0);
        assert_eq!(load.take(at(0)), Some(Due { intended: at(40), slot: 14, user: 0 }));
        assert_eq!(load.take(at(0)), Some(Due { intended: at(50), slot: 9, user: 1 }));
        // Too late for the stay at hand.
        load.ended(0, at(100), 0);
        load.ended(1, at(99), 0);
        assert_eq!(load.take(at(0)), Some(Due { intended: at(99), slot: 19, user: 1 }));
        load.ended(1, at(120), 0);
        assert_eq!(load.take(at(0)), Some(Due { intended: at(200), slot: 24, user: 0 }));
        // Slot 34 has no row any more.
        load.ended(0, at(210), 0);
        assert_eq!(load.next_due(at(0)), None);
    }

    #[test]
    fn each_user_has_so_many_iterations() {
        let users = Users::new(vec![0, 0], 0, None).within(2, u64::MAX);
        let mut load = Workload::closed(users, Task::Scenario(0)).between(1_000, 2_000);
        for round in 0..2 {
            assert_eq!(load.next_due(at(0)), Some(at(1_000 + round)));
            for _ in 0..2 {
                let due = load.take(at(0)).expect("both are there");
                load.ended(due.user, at(1_001 + round), 0);
            }
        }
        assert_eq!(load.next_due(at(0)), None);
    }
}
