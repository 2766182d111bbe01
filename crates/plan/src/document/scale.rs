//! Making the load of a plan larger, smaller, longer or shorter, in proportion.
//!
//! Exactness: whole numbers only. What workloads reach together at the plan's highest instant is what was asked for, to
//! the millionth of a rate and to the user: each gets its part rounded down, and what is then missing goes, one each, to
//! those that lost most by it. Where that would lift another instant above what was asked for, nobody is given it.

use schedule::{Phase, Profile, Rate};

use super::{PlanFile, UserStage, WorkloadLoad};

/// `value` × `to` / `from`, rounded down.
fn part(value: u64, to: u64, from: u64) -> u64 {
    let product = u128::from(value) * u128::from(to) / u128::from(from.max(1));
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// By how much each part is lifted, so that the parts of `values` come to `to` together as they come to their sum.
fn lifts(values: &[u64], to: u64) -> Vec<u64> {
    let from: u64 = values.iter().sum();
    let parts: u64 = values.iter().map(|value| part(*value, to, from)).sum();
    let lost = |value: u64| u128::from(value) * u128::from(to) % u128::from(from.max(1));
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(lost(values[*place])));
    let mut lifts = vec![0; values.len()];
    let missing = usize::try_from(to.saturating_sub(parts)).unwrap_or(usize::MAX);
    for place in order.into_iter().take(missing) {
        lifts[place] = 1;
    }
    lifts
}

/// Multiplies all rates of a plan, so that the highest which they reach together is `to`.
pub(super) fn rates(plan: &mut PlanFile, to: Rate) -> Result<(), String> {
    let (from, at_ns) = plan.highest_rate_and_when();
    let profiles = |plan: &PlanFile| -> Vec<Option<(u64, Profile)>> {
        let profile = |load: &WorkloadLoad| match load {
            WorkloadLoad::Open { profile, .. } => Some(profile.clone()),
            WorkloadLoad::Closed { .. } => None,
        };
        let all = plan.workloads.iter();
        all.map(|workload| profile(&workload.load).map(|profile| (workload.start_ns, profile))).collect()
    };
    let before = profiles(plan);
    let at_peak = |one: &Option<(u64, Profile)>| {
        let (start_ns, profile) = one.as_ref()?;
        Some(profile.rate_at(at_ns.checked_sub(*start_ns)?).as_micro())
    };
    let values: Vec<u64> = before.iter().map(|one| at_peak(one).unwrap_or(0)).collect();
    let lifts = lifts(&values, to.as_micro());
    for lifted in [true, false] {
        for (place, one) in before.iter().enumerate() {
            let Some((_, profile)) = one else { continue };
            let lift = if lifted { lifts[place] } else { 0 };
            let changed = multiplied(profile, to, from, lift)?;
            if changed.max_rate() == Rate::ZERO {
                return Err(format!("workload {} would have no rate left", plan.workloads[place].name));
            }
            if let WorkloadLoad::Open { profile, .. } = &mut plan.workloads[place].load {
                *profile = changed;
            }
        }
        if plan.highest_rate() <= to {
            break;
        }
    }
    Ok(())
}

fn multiplied(profile: &Profile, to: Rate, from: Rate, lift: u64) -> Result<Profile, String> {
    let rate = |rate: Rate| match rate {
        Rate::ZERO => Rate::ZERO,
        rate => Rate::from_micro(part(rate.as_micro(), to.as_micro(), from.as_micro()) + lift),
    };
    let phase = |phase: &Phase| Phase { from: rate(phase.from), to: rate(phase.to), ..*phase };
    Profile::new(profile.phases().iter().map(phase).collect())
        .map_err(|error| format!("the plan is not possible: {error}"))
}

/// Multiplies all users of a plan, so that the most there are together is `to`.
pub(super) fn users(plan: &mut PlanFile, to: u32) -> Result<(), String> {
    let (from, at_ns) = plan.most_users_and_when();
    let before: Vec<u32> = plan.workloads.iter().map(|workload| workload.load.most_users()).collect();
    let there = |place: usize| {
        let workload = &plan.workloads[place];
        (workload.start_ns..workload.end_ns()).contains(&at_ns)
    };
    let values: Vec<u64> = before
        .iter()
        .enumerate()
        .map(|(place, users)| if there(place) { u64::from(*users) } else { 0 })
        .collect();
    let lifts = lifts(&values, u64::from(to));
    for lifted in [true, false] {
        for (place, most) in before.iter().enumerate().filter(|(_, most)| **most > 0) {
            let lift = if lifted { lifts[place] } else { 0 };
            let most_now = part(u64::from(*most), u64::from(to), from) + lift;
            let name = plan.workloads[place].name.clone();
            if most_now == 0 {
                return Err(format!("workload {name} would have no user left"));
            }
            let own_most = u64::from(plan.workloads[place].load.most_users());
            let scaled =
                |users: u32| u32::try_from(part(users.into(), most_now, own_most)).unwrap_or(u32::MAX);
            if let WorkloadLoad::Closed { stages, first, .. } = &mut plan.workloads[place].load {
                *first = scaled(*first);
                for stage in stages {
                    stage.users = scaled(stage.users);
                }
            }
        }
        if plan.most_users() <= u64::from(to) {
            break;
        }
    }
    Ok(())
}

/// Divides a rate at which users start among the workloads with users, in proportion to these.
pub(super) fn spawn(plan: &mut PlanFile, rate: Rate) -> Result<(), String> {
    let all: u64 = plan.workloads.iter().map(|workload| u64::from(workload.load.most_users())).sum();
    let mut before = 0;
    for workload in &mut plan.workloads {
        let most = workload.load.most_users();
        let WorkloadLoad::Closed { stages, first, spawn_rate, .. } = &mut workload.load else { continue };
        if stages.len() != 1 || stages[0].users != *first {
            return Err(format!("the stages of {} already say how users come and go", workload.name));
        }
        let upto = before + u64::from(most);
        let micro = part(rate.as_micro(), upto, all) - part(rate.as_micro(), before, all);
        before = upto;
        if micro == 0 {
            return Err(format!("at that rate no user of {} would start", workload.name));
        }
        *spawn_rate = Some(Rate::from_micro(micro));
    }
    Ok(())
}

/// Stretches lengths of time one behind the other, so that they come to `to_ns`.
pub(super) fn lengths<'a>(lengths_ns: impl Iterator<Item = &'a mut u64>, to_ns: u64) {
    let lengths_ns: Vec<&mut u64> = lengths_ns.collect();
    let all_ns = lengths_ns.iter().fold(0_u64, |sum, ns| sum.saturating_add(**ns));
    let (mut before_ns, mut begins_ns) = (0, 0);
    for length_ns in lengths_ns {
        before_ns += *length_ns;
        let ends_ns = part(before_ns, to_ns, all_ns);
        *length_ns = ends_ns - begins_ns;
        begins_ns = ends_ns;
    }
}

/// Stretches the phases of a profile to be.
pub(super) fn phases(phases: &mut [Phase], to_ns: u64) {
    lengths(phases.iter_mut().map(|phase| &mut phase.duration_ns), to_ns);
}

/// Stretches the stages of users.
pub(super) fn user_stages(stages: &mut [UserStage], to_ns: u64) {
    lengths(stages.iter_mut().map(|stage| &mut stage.duration_ns), to_ns);
}
