//! Hot path. The closed model's users on one shard: when each is there, and when each is ready for its next request.
//!
//! What it is: a queue of those who have rested, one of those who are still to enter, and what each has begun. In a fleet
//! users follow the cells that change hands: those who go begin nothing more, those who come enter at that instant.
//! What it is not: a clock; instants come in as arguments.
//!
//! Invariants: instants handed out never decrease; no slot is handed out twice, by whatever shards a user passes.

use std::collections::VecDeque;

use clock::Timestamp;
use schedule::{CELL_COUNT, Cells};

use super::workload::Due;

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
pub(super) struct User {
    /// Which of the plan's users.
    number: u64,
    /// The place of the first iteration here among the user's: above 0 where the user came from elsewhere.
    first: u64,
    /// Iterations begun here.
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

    pub(super) fn next(&self, start: Timestamp) -> Option<Timestamp> {
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

    pub(super) fn take(&mut self, start: Timestamp) -> Option<Due> {
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

    /// The n-th iteration of user k among p users has slot n × p + k; of one who came from elsewhere, n begins high.
    fn next_slot(&mut self, user: u32) -> u64 {
        let slot = self.slot(user);
        self.members[user as usize].begun += 1;
        slot
    }

    fn slot(&self, user: u32) -> u64 {
        let User { number, first, begun, .. } = self.members[user as usize];
        first.saturating_add(begun).saturating_mul(self.population).saturating_add(number)
    }

    /// The iteration of a user has ended, and the next may begin at `at`.
    pub(super) fn rest(&mut self, user: u32, at: Timestamp) {
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

/// Users who come to a shard.
#[derive(Clone, Debug, Default)]
pub struct Newcomers {
    /// Which of the plan's users they are, and the place of the first iteration of each among its own.
    pub members: Vec<(u64, u64)>,
    /// When each is there, rising; users are places in `members`.
    pub stays: Vec<Stay>,
    /// How many iterations more the shard's users may begin together, where that is bounded.
    pub iterations: u64,
}

impl Users {
    /// From `from` on the shard has the users of `cells`, and no others: `newcomers` enter, whoever has no cell there any
    /// more begins nothing. `zero` is the workload's, `from_ns` counts from it.
    ///
    /// Takes memory, on the shard's thread: as much as the newcomers need.
    pub(super) fn hand_over(&mut self, from_ns: u64, zero: Timestamp, cells: &Cells, newcomers: &Newcomers) {
        let mut is_ours = vec![false; CELL_COUNT as usize];
        cells.iter().for_each(|cell| is_ours[usize::from(cell)] = true);
        let members = &mut self.members;
        let cell_of = |number: u64| usize::try_from(number % u64::from(CELL_COUNT)).unwrap_or(0);
        for member in members.iter_mut().filter(|member| !is_ours[cell_of(member.number)]) {
            member.leaves = member.leaves.min(zero.plus_nanos(from_ns));
        }
        self.stays.retain_mut(|stay| {
            if is_ours[cell_of(members[stay.user as usize].number)] {
                return true;
            }
            stay.leaves_ns = stay.leaves_ns.min(from_ns);
            stay.enters_ns < from_ns
        });
        self.ready.retain(|&(at, user)| at < members[user as usize].leaves);
        let first = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let joins = |&(number, first): &(u64, u64)| User { number, first, ..User::default() };
        members.extend(newcomers.members.iter().map(joins));
        self.ready.reserve(members.len().saturating_sub(self.ready.len()));
        let later = |stay: &Stay| Stay { user: stay.user + first, ..*stay };
        self.stays.extend(newcomers.stays.iter().map(later));
        self.stays.make_contiguous().sort_unstable();
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_add(newcomers.iterations);
        }
    }

    /// Everybody leaves now.
    pub(super) fn give_up(&mut self, now: Timestamp) {
        self.stays.clear();
        self.ready.clear();
        self.members.iter_mut().for_each(|member| member.leaves = member.leaves.min(now));
    }

    /// Memory for as many as can be ready at one time.
    pub(super) fn make_room(&mut self) {
        self.ready.reserve_exact(self.members.len());
    }

    /// Whether they have begun all that they may.
    pub(super) fn are_spent(&self) -> bool {
        self.remaining == Some(0)
    }

    /// How long they rest between two requests.
    pub(super) fn think_ns(&self) -> u64 {
        self.think_ns
    }

    /// Where they lie, for the test that shards lie apart.
    #[cfg(test)]
    pub(super) fn memory(&self) -> Vec<std::ops::Range<usize>> {
        let Self { ready, members, .. } = self;
        let (ready_at, members_at) = (ready.as_slices().0.as_ptr().addr(), members.as_ptr().addr());
        vec![
            ready_at..ready_at + ready.capacity() * size_of::<(Timestamp, u32)>(),
            members_at..members_at + members.capacity() * size_of::<User>(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Timestamp {
        Timestamp::from_nanos(ns)
    }

    fn of(cells: &[u16]) -> Cells {
        cells.iter().copied().collect()
    }

    fn stay(enters_ns: u64, user: u32) -> Stay {
        Stay { enters_ns, leaves_ns: u64::MAX, user }
    }

    #[test]
    fn users_follow_their_cells() {
        // Users 0 to 2 are there, user 3 enters at 500 ns; from 300 ns on cells 1 and 7 are ours.
        let stays = vec![stay(0, 0), stay(0, 1), stay(0, 2), stay(500, 3)];
        let mut users = Users::staying(stays, vec![0, 1, 2, 3], 10, None);
        let zero = at(1_000);
        for user in 0..3 {
            assert_eq!(users.take(zero).map(|due| due.user), Some(user));
        }
        users.rest(0, at(1_100));
        users.rest(1, at(1_310));
        users.rest(2, at(1_300));
        let newcomers = Newcomers { members: vec![(7, 5)], stays: vec![stay(300, 0)], iterations: 0 };
        users.hand_over(300, zero, &of(&[1, 7]), &newcomers);
        let mut slots = Vec::new();
        while let Some(due) = users.take(zero) {
            slots.push((due.intended.as_nanos(), due.slot));
        }
        // User 0 goes after what was due before; user 2 was ready too late, user 3 comes too late.
        assert_eq!(slots, [(1_100, 10), (1_300, 57), (1_310, 11)]);
        users.rest(0, at(1_320));
        users.rest(4, at(1_330));
        assert_eq!(users.take(zero).map(|due| due.slot), Some(67));
        assert_eq!(users.take(zero), None);
    }

    #[test]
    fn users_who_gave_up_come_back_as_newcomers() {
        let mut users = Users::staying(vec![stay(0, 0)], vec![4], 10, Some(5));
        assert_eq!(users.take(at(0)).map(|due| due.slot), Some(4));
        users.rest(0, at(10));
        users.give_up(at(5));
        assert_eq!(users.next(at(0)), None);
        users.rest(0, at(20));
        let newcomers = Newcomers { members: vec![(4, 9)], stays: vec![stay(50, 0)], iterations: 2 };
        users.hand_over(50, at(0), &of(&[4]), &newcomers);
        let due = users.take(at(0)).expect("it enters again");
        assert_eq!((due.intended, due.slot), (at(50), 94));
        assert!(!users.are_spent());
    }
}
