//! Hot path. Where a shard's arrivals come from: the plan's schedules, or populations of users.
//!
//! What it is: a workload is one source of due work with two shapes, and what it sends. In the open model arrivals are due whatever the target
//! does; in the closed model each user's next request is due when its last one has ended and it has thought.
//! What it is not: a clock; instants come in as arguments.
//!
//! Invariant: instants handed out never decrease.

use std::sync::Arc;

use clock::Timestamp;
use schedule::{Arrivals, Profile};

use super::exchange::NONE;
use super::hand_over::Share;
pub use super::users::{Stay, Users};

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
    /// From when on nothing of `source` is due, from the plan's zero on.
    ends_ns: u64,
    /// What follows `source`, where cells change hands.
    coming: Option<Box<Coming>>,
    /// From when on nothing of the workload is due at all.
    over_ns: u64,
    /// What a hand-over took the place of, until somebody takes its memory away.
    retired: Option<Box<Coming>>,
}

/// What a hand-over took the place of. It has no other use than to be freed.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "what it holds is freed with it")]
pub struct Retired(Box<Coming>);

/// The arrivals that a workload has behind a hand-over.
#[derive(Clone, Debug)]
struct Coming {
    arrivals: Arrivals,
    /// From when on nothing of them is due, from the plan's zero on.
    ends_ns: u64,
    next: Option<Box<Coming>>,
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

impl Workload {
    /// Arrivals of a schedule of the plan's.
    pub fn open(arrivals: Arrivals, task: Task) -> Self {
        Self::of(Source::Open(arrivals), task)
    }

    /// Users who wait until their task is done before they begin it again.
    pub fn closed(users: Users, task: Task) -> Self {
        Self::of(Source::Closed(users), task)
    }

    fn of(source: Source, task: Task) -> Self {
        let (ends_ns, over_ns) = (u64::MAX, u64::MAX);
        Self { source, task, begins_ns: 0, ends_ns, coming: None, over_ns, retired: None }
    }

    /// Moves it to a stretch of the plan: its own zero is at `begins_ns`, and nothing of it is due from `ends_ns` on.
    #[must_use]
    pub fn between(self, begins_ns: u64, ends_ns: u64) -> Self {
        Self { begins_ns, ends_ns, over_ns: ends_ns, ..self }
    }

    /// A copy for a run that has not begun, in memory that the calling thread takes now; running takes no more.
    pub(crate) fn copied(&self) -> Self {
        let mut copy = self.clone();
        if let Source::Closed(users) = &mut copy.source {
            users.make_room();
        }
        copy
    }

    /// Where its users lie, for the test that shards lie apart.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> Vec<std::ops::Range<usize>> {
        let Source::Closed(users) = &self.source else { return Vec::new() };
        users.memory()
    }

    /// When the next piece of work is due; `None` when there is none to come by itself.
    #[inline]
    pub(crate) fn next_due(&mut self, start: Timestamp) -> Option<Timestamp> {
        let zero = start.plus_nanos(self.begins_ns);
        let due = match &mut self.source {
            Source::Open(arrivals) => arrivals.peek_due_ns().map(|offset| zero.plus_nanos(offset)),
            Source::Closed(users) => users.next(zero),
        };
        let due = due.filter(|due| *due < start.plus_nanos(self.ends_ns));
        if due.is_none() && self.coming.is_some() { self.next_of_coming(start) } else { due }
    }

    /// Takes the next piece of work.
    pub(crate) fn take(&mut self, start: Timestamp) -> Option<Due> {
        if self.coming.is_some() {
            self.hand_on();
        }
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
            Source::Closed(users) => users.are_spent(),
        }
    }

    /// A user's request has ended; the next is due after the user has thought, at the earliest after
    /// `pause_ns`.
    pub(crate) fn ended(&mut self, user: u32, now: Timestamp, pause_ns: u64) {
        if let Source::Closed(users) = &mut self.source {
            users.rest(user, now.plus_nanos(users.think_ns().max(pause_ns)));
        }
    }

    /// Follows a changed rate profile; the closed model has none.
    pub(crate) fn set_profile(&mut self, profile: &Arc<Profile>) {
        if let Source::Open(arrivals) = &mut self.source {
            arrivals.set_profile(Arc::clone(profile));
        }
        let mut coming = self.coming.as_deref_mut();
        while let Some(next) = coming {
            next.arrivals.set_profile(Arc::clone(profile));
            coming = next.next.as_deref_mut();
        }
    }

    /// From `from_ns` after the plan's zero on it has this share, which is left with what it took the place of. Of several
    /// hand-overs each is at the instant of the one before, and then takes its place, or later.
    pub(super) fn hand_over(&mut self, from_ns: u64, start: Timestamp, share: &mut Share) {
        let (begins_ns, over_ns) = (self.begins_ns, self.over_ns);
        match (&mut self.source, std::mem::replace(share, Share::Replaced([None, None]))) {
            (Source::Open(_), Share::Open(arrivals)) => {
                let (mut ends_ns, mut place) = (&mut self.ends_ns, &mut self.coming);
                // Those that are still to come in front of it stay; one that begins with it never begins.
                while *ends_ns < from_ns && place.is_some() {
                    let Some(before) = place else { break };
                    (ends_ns, place) = (&mut before.ends_ns, &mut before.next);
                }
                *ends_ns = from_ns.min(*ends_ns);
                let never = place.replace(Box::new(Coming { arrivals, ends_ns: over_ns, next: None }));
                *share = Share::Replaced([self.retired.take(), never].map(|coming| coming.map(Retired)));
            }
            (Source::Closed(users), Share::Closed { cells, newcomers }) => {
                let zero = start.plus_nanos(begins_ns);
                users.hand_over(from_ns.saturating_sub(begins_ns), zero, &cells, &newcomers);
                // They may have been given up before.
                self.ends_ns = over_ns;
            }
            _ => {}
        }
    }

    /// Nothing of it that is due from `at_ns` after the plan's zero on is ours, whatever was to come.
    pub(super) fn give_up(&mut self, at_ns: u64, start: Timestamp) {
        self.ends_ns = self.ends_ns.min(at_ns);
        // A chain of hand-overs is rare, and its memory goes with the next one.
        self.retired = self.coming.take().or_else(|| self.retired.take());
        if let Source::Closed(users) = &mut self.source {
            users.give_up(start.plus_nanos(at_ns));
        }
    }

    /// When something of what comes behind `source` is due.
    #[cold]
    fn next_of_coming(&mut self, start: Timestamp) -> Option<Timestamp> {
        let zero = start.plus_nanos(self.begins_ns);
        let mut coming = self.coming.as_deref_mut();
        while let Some(next) = coming {
            let due = next.arrivals.peek_due_ns().map(|offset| zero.plus_nanos(offset));
            if let Some(due) = due.filter(|due| *due < start.plus_nanos(next.ends_ns)) {
                return Some(due);
            }
            coming = next.next.as_deref_mut();
        }
        None
    }

    /// Moves on to what follows `source`, if nothing of that is due before its end. Asked when a piece of work is taken, which
    /// is due then: so no later change of the rate can bring anything back.
    #[cold]
    fn hand_on(&mut self) {
        while let (Source::Open(arrivals), Some(coming)) = (&mut self.source, &mut self.coming) {
            let offset = arrivals.peek_due_ns();
            if offset.is_some_and(|offset| self.begins_ns.saturating_add(offset) < self.ends_ns) {
                return;
            }
            std::mem::swap(arrivals, &mut coming.arrivals);
            self.ends_ns = coming.ends_ns;
            let next = coming.next.take();
            self.retired = std::mem::replace(&mut self.coming, next);
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
