//! The users of a plan file's workload: when each is there.
//!
//! What it is: the stages of a file as stays of single users. What it is not: the split over shards, which is `whole`'s.

use plan::document::{Iterations, UserStage};
use schedule::Profile;

use super::super::{PrepareError, WholeUsers};
use crate::shard::users::Stay;

/// When each user of a workload is there: user u from the instant at which there are more than u users until there are
/// not.
pub(super) fn stays(
    first: u32,
    stages: &[UserStage],
    spawn_rate: Option<schedule::Rate>,
    warmup_ns: u64,
) -> Result<Vec<Stay>, PrepareError> {
    let mut present: Vec<Option<u64>> = Vec::new();
    let mut stays = Vec::new();
    let spawn = match spawn_rate {
        Some(rate) => {
            let last_ns = u128::from(first) * 1_000_000_000_000_000 / u128::from(rate.as_micro().max(1));
            let lasting_ns = u64::try_from(last_ns).unwrap_or(u64::MAX / 2).saturating_add(1_000_000_000);
            Some(Profile::constant(rate, lasting_ns)?)
        }
        None => None,
    };
    for user in 0..first {
        present.push(Some(spawn.as_ref().and_then(|spawn| spawn.due_ns(user.into())).unwrap_or(0)));
    }
    let (mut from, mut begin_ns) = (first, warmup_ns);
    for stage in stages {
        let steps = u64::from(from.abs_diff(stage.users));
        // The n-th of `steps` comes or goes when n + 1 of them would have: the last at the end.
        let at_ns = |step: u64| {
            let within = u128::from(stage.duration_ns) * u128::from(step + 1) / u128::from(steps.max(1));
            begin_ns.saturating_add(u64::try_from(within).unwrap_or(u64::MAX))
        };
        for step in 0..steps {
            if stage.users > from {
                present.push(Some(at_ns(step)));
            } else if let Some(enters_ns) = present.pop().flatten() {
                let user = u32::try_from(present.len()).unwrap_or(u32::MAX);
                stays.push(Stay { enters_ns, leaves_ns: at_ns(step), user });
            }
        }
        from = stage.users;
        begin_ns = begin_ns.saturating_add(stage.duration_ns);
    }
    for (user, enters_ns) in (0..).zip(present) {
        stays.extend(enters_ns.map(|enters_ns| Stay { enters_ns, leaves_ns: u64::MAX, user }));
    }
    stays.sort_unstable();
    Ok(stays)
}

/// The users of a workload, all of them.
pub(super) fn of_stays(
    stays: Vec<Stay>,
    population: u32,
    iterations: Iterations,
    rows: Option<u64>,
) -> WholeUsers {
    let (total, each) = match iterations {
        Iterations::Unbounded => (None, u64::MAX),
        Iterations::Total(total) => (Some(total), u64::MAX),
        Iterations::Each(each) => (None, each),
    };
    WholeUsers { stays, population, think_ns: 0, each, slots: rows.unwrap_or(u64::MAX), total }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn stage(seconds: u64, users: u32) -> UserStage {
        UserStage { duration_ns: seconds * SECOND, users }
    }

    /// How many users are there at an instant.
    fn present(stays: &[Stay], at_ns: u64) -> usize {
        stays.iter().filter(|stay| stay.enters_ns <= at_ns && at_ns < stay.leaves_ns).count()
    }

    #[test]
    fn users_follow_their_stages() {
        let stages = [stage(10, 10), stage(5, 10), stage(10, 2), stage(4, 6), stage(1, 6)];
        let stays = stays(0, &stages, None, 0).expect("a valid load");
        let rows = [(0, 0), (1, 1), (5, 5), (10, 10), (14, 10), (20, 6), (25, 2), (27, 4), (29, 6), (40, 6)];
        for (second, users) in rows {
            assert_eq!(present(&stays, second * SECOND), users, "at {second} s");
        }
        assert!(stays.is_sorted());
        // No user is there twice at one time.
        for (index, one) in stays.iter().enumerate() {
            for other in &stays[index + 1..] {
                let overlap = one.enters_ns < other.leaves_ns && other.enters_ns < one.leaves_ns;
                assert!(one.user != other.user || !overlap, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn users_spawn_at_their_rate_and_a_warm_up_moves_the_stages() {
        let spawned = stays(4, &[stage(9, 4)], Some(schedule::Rate::per_second(2)), 0).expect("a valid load");
        let entries: Vec<u64> = spawned.iter().map(|stay| stay.enters_ns / 1_000_000).collect();
        assert_eq!(entries, [0, 500, 1_000, 1_500]);
        let warmed = stays(2, &[stage(10, 4)], None, 5 * SECOND).expect("a valid load");
        assert_eq!([0, 5, 10, 15].map(|second| present(&warmed, second * SECOND)), [2, 2, 3, 4]);
    }
}
