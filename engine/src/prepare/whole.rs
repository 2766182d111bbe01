//! Workloads before they are split: of the whole plan, whoever sends which part of it.
//!
//! What it is: the one place where a workload's arrivals or users are given to shards, at the start or in the middle of a
//! run. What it is not: a choice of owners.
//!
//! Invariants: whatever the owners, their arrivals together are the plan's, and each user lives with one of them; a quota of
//! iterations is split exactly.

use std::sync::Arc;

use schedule::{Arrivals, CELL_COUNT, Cells, Profile};

use crate::shard::hand_over::Share;
use crate::shard::users::{Newcomers, Stay, Users};
use crate::shard::workload::{Task, Workload};

/// No iteration is as short: users who come from elsewhere begin with slots that as many iterations would not have reached.
const SHORTEST_ITERATION_NS: u64 = 100;

/// A workload of the whole plan.
#[derive(Clone, Debug)]
pub struct WholeWorkload {
    load: Load,
    task: Task,
    /// Its zero, from the plan's on.
    begins_ns: u64,
    /// From when on nothing of it is due, from the plan's zero on.
    ends_ns: u64,
}

#[derive(Clone, Debug)]
enum Load {
    /// Arrivals of nobody's cells: those of others are made from them.
    Open(Arrivals),
    Closed(WholeUsers),
}

/// The users of a workload, all of them.
#[derive(Clone, Debug)]
pub struct WholeUsers {
    /// When each is there, rising; users are those of the plan.
    pub stays: Vec<Stay>,
    /// How many there are.
    pub population: u32,
    /// How long each rests between two requests.
    pub think_ns: u64,
    /// Iterations of each, at most.
    pub each: u64,
    /// Slots that there are rows for.
    pub slots: u64,
    /// Iterations of all together, at most.
    pub total: Option<u64>,
}

impl WholeWorkload {
    /// Arrivals; whose they are does not matter.
    pub fn open(arrivals: Arrivals, task: Task) -> Self {
        Self { load: Load::Open(arrivals), task, begins_ns: 0, ends_ns: u64::MAX }
    }

    /// Users.
    pub fn closed(users: WholeUsers, task: Task) -> Self {
        Self { load: Load::Closed(users), task, begins_ns: 0, ends_ns: u64::MAX }
    }

    /// Moves it to a stretch of the plan.
    #[must_use]
    pub fn between(self, begins_ns: u64, ends_ns: u64) -> Self {
        Self { begins_ns, ends_ns, ..self }
    }

    /// Splits it among owners of disjoint cells, who together may begin `total` iterations where their number is bounded.
    pub fn split(&self, cells: &[Cells], total: impl FnOnce(u64) -> u64) -> Vec<Workload> {
        let placed = |workload: Workload| workload.between(self.begins_ns, self.ends_ns);
        match &self.load {
            Load::Open(arrivals) => {
                let one = |cells| placed(Workload::open(arrivals.of_owner(cells, 0), self.task));
                cells.iter().map(one).collect()
            }
            Load::Closed(users) => {
                let quota = users.total.map(total);
                users
                    .split(cells, quota)
                    .into_iter()
                    .map(|users| placed(Workload::closed(users, self.task)))
                    .collect()
            }
        }
    }

    /// Nobody's part of it, for a shard that is told later what it owns.
    pub fn of_nobody(&self) -> Vec<Workload> {
        self.split(&[Cells::none()], |_| 0)
    }

    /// What the owner of `cells` has from `from_ns` after the plan's zero on, who had `held` of them before.
    pub fn share(&self, cells: &Cells, held: &Cells, from_ns: u64) -> Share {
        let from_ns = from_ns.saturating_sub(self.begins_ns);
        match &self.load {
            Load::Open(arrivals) => Share::Open(arrivals.of_owner(cells, from_ns)),
            Load::Closed(users) => Share::Closed {
                cells: cells.clone(),
                newcomers: users.newcomers(&cells.difference(held), from_ns),
            },
        }
    }

    /// Whether cells that change hands after its beginning leave their users behind, because what each may still begin is
    /// known to nobody else.
    pub fn leaves_users_behind(&self) -> bool {
        matches!(&self.load, Load::Closed(users) if users.is_bounded())
    }

    /// Follows a changed profile; users have none.
    pub fn set_profile(&mut self, profile: Arc<Profile>) {
        if let Load::Open(arrivals) = &mut self.load {
            arrivals.set_profile(profile);
        }
    }

    /// From when on a limit leaves nothing due, counted from the plan's zero; `None` where there is none, or only the
    /// profile's end.
    pub fn limit_ns(&self) -> Option<u64> {
        match &self.load {
            Load::Open(arrivals) => Some(arrivals.limit_ns()?.saturating_add(self.begins_ns)),
            Load::Closed(_) => None,
        }
    }
}

/// The cell of a user.
fn cell_of(user: u32) -> u16 {
    u16::try_from(user % CELL_COUNT).expect("a cell fits in 16 bits")
}

impl WholeUsers {
    /// Splits them among owners of cells: user u lives where the cell of slot u is. Of `quota` iterations each owner has as
    /// many as its users are of all owners'.
    fn split(&self, cells: &[Cells], quota: Option<u64>) -> Vec<Users> {
        let mut owners: Vec<Option<usize>> = vec![None; CELL_COUNT as usize];
        for (owner, cells) in cells.iter().enumerate() {
            cells.iter().for_each(|cell| owners[usize::from(cell)] = Some(owner));
        }
        let owner = |user: u32| owners[usize::from(cell_of(user))];
        let mut numbers: Vec<Vec<u64>> = vec![Vec::new(); cells.len()];
        let mut places = vec![0_u32; self.population as usize];
        for user in 0..self.population {
            if let Some(owner) = owner(user) {
                places[user as usize] = u32::try_from(numbers[owner].len()).unwrap_or(u32::MAX);
                numbers[owner].push(u64::from(user));
            }
        }
        let mut stays: Vec<Vec<Stay>> = vec![Vec::new(); cells.len()];
        for stay in &self.stays {
            if let Some(owner) = owner(stay.user) {
                stays[owner].push(Stay { user: places[stay.user as usize], ..*stay });
            }
        }
        let mut left: u64 = numbers.iter().map(|numbers| numbers.len() as u64).sum();
        let mut quota = quota;
        let users = stays.into_iter().zip(numbers).map(|(stays, numbers)| {
            // By users, telescoping, so that the quotas add up exactly.
            let mine = quota.as_mut().map(|quota| {
                let count = numbers.len() as u64;
                let part =
                    (u128::from(*quota) * u128::from(count)).checked_div(u128::from(left)).unwrap_or(0);
                let mine = u64::try_from(part).unwrap_or(u64::MAX);
                left -= count;
                *quota -= mine;
                mine
            });
            let users = Users::staying(stays, numbers, u64::from(self.population), mine);
            users.thinking(self.think_ns).within(self.each, self.slots)
        });
        users.collect()
    }

    fn is_bounded(&self) -> bool {
        self.total.is_some() || self.each != u64::MAX
    }

    /// The users of cells that come to an owner `from_ns` after the workload's zero.
    ///
    /// How many iterations each has begun elsewhere is known there only. So none come where these are bounded; and the slots
    /// of those who come begin where nobody can have got to by then. There may be no rows for these.
    fn newcomers(&self, cells: &Cells, from_ns: u64) -> Newcomers {
        let is_moved = from_ns > 0;
        if is_moved && self.is_bounded() {
            return Newcomers::default();
        }
        let first = if is_moved { from_ns / SHORTEST_ITERATION_NS + 1 } else { 0 };
        let population = u64::from(self.population);
        // Beyond it slots would no longer be told apart.
        let slots = if is_moved { self.slots.min(u64::MAX / 2) } else { self.slots };
        let has_rows = |user: u32| {
            let slot = first.checked_mul(population).and_then(|slot| slot.checked_add(u64::from(user)));
            slot.is_some_and(|slot| slot < slots)
        };
        let mut newcomers = Newcomers::default();
        let mut places = vec![u32::MAX; self.population as usize];
        for stay in self.stays.iter().filter(|stay| stay.leaves_ns > from_ns) {
            if !cells.contains(cell_of(stay.user)) || !has_rows(stay.user) {
                continue;
            }
            let place = &mut places[stay.user as usize];
            if *place == u32::MAX {
                *place = u32::try_from(newcomers.members.len()).unwrap_or(u32::MAX);
                newcomers.members.push((u64::from(stay.user), first));
                newcomers.iterations += self.quota_of(stay.user);
            }
            newcomers.stays.push(Stay { user: *place, enters_ns: stay.enters_ns.max(from_ns), ..*stay });
        }
        newcomers.stays.sort_unstable();
        newcomers
    }

    /// One user's part of the iterations of all: whoever has the user has the part.
    fn quota_of(&self, user: u32) -> u64 {
        let population = u64::from(self.population.max(1));
        self.total.map_or(0, |total| total / population + u64::from(u64::from(user) < total % population))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(population: u32, total: Option<u64>) -> WholeUsers {
        let stay = |user| Stay { enters_ns: u64::from(user) * 10, leaves_ns: u64::MAX, user };
        WholeUsers {
            stays: (0..population).map(stay).collect(),
            population,
            think_ns: 0,
            each: u64::MAX,
            slots: u64::MAX,
            total,
        }
    }

    #[test]
    fn each_user_comes_to_one_owner_and_quotas_add_up() {
        for (population, total) in [(7, 100), (3, 2), (1, 9), (60_000, 60_001)] {
            let users = users(population, Some(total));
            let parts = Cells::all().deal(&[3, 1, 2]).expect("there are weights");
            let newcomers: Vec<_> = parts.iter().map(|cells| users.newcomers(cells, 0)).collect();
            let mut numbers: Vec<_> = newcomers
                .iter()
                .flat_map(|newcomers| newcomers.members.iter().map(|&(number, _)| number))
                .collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..u64::from(population)));
            assert_eq!(newcomers.iter().map(|newcomers| newcomers.iterations).sum::<u64>(), total);
        }
    }

    #[test]
    fn users_who_move_keep_their_stay_and_take_slots_of_their_own() {
        let whole = users(10, None);
        let Newcomers { members, stays, .. } = whole.newcomers(&[2, 9].into_iter().collect(), 50);
        assert_eq!((members.as_slice(), stays.len()), (&[(2, 1), (9, 1)][..], 2));
        assert_eq!(stays.iter().map(|stay| stay.enters_ns).collect::<Vec<_>>(), [50, 90]);
        let bounded = WholeUsers { total: Some(5), ..whole.clone() };
        assert!(bounded.newcomers(&Cells::all(), 50).members.is_empty());
        let with_rows = WholeUsers { slots: 13, ..whole };
        let members = with_rows.newcomers(&Cells::all(), 50).members;
        assert_eq!(members.iter().map(|&(number, _)| number).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
