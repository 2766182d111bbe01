//! Figures of a plan file: what its workloads come to together.
//!
//! What it is: arithmetic for `engine check` and for the rails. What it is not: a look at the host.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::num::NonZeroU32;

use scenario::{Choice, Step};
use schedule::{Profile, Rate};

use super::{PlanFile, UserStage, Workload, WorkloadLoad};
use crate::needs::{
    DESCRIPTORS_LEAVING, MEMORY_BASE, MEMORY_PER_CONNECTION, MEMORY_PER_NAME, MEMORY_PER_NAME_AND_SHARD,
    MEMORY_PER_SHARD, MEMORY_PER_TLS_CONNECTION,
};
use crate::{Connections, Needs};

impl PlanFile {
    /// How long the plan lasts, without warm-up and grace.
    pub fn duration_ns(&self) -> u64 {
        self.workloads.iter().map(Workload::end_ns).max().unwrap_or(0)
    }

    /// The highest rate that the open workloads reach together.
    ///
    /// Between two corners of any profile the sum is a straight line: its highest point is a corner, seen from the
    /// left or from the right.
    pub fn highest_rate(&self) -> Rate {
        self.highest_rate_and_when().0
    }

    /// That rate, and the first instant at which it is reached.
    pub(super) fn highest_rate_and_when(&self) -> (Rate, u64) {
        let open: Vec<(u64, &Profile)> = self.open().collect();
        let mut corners: Vec<u64> = Vec::new();
        for (start_ns, profile) in &open {
            let mut at_ns = *start_ns;
            corners.push(at_ns);
            for phase in profile.phases() {
                at_ns = at_ns.saturating_add(phase.duration_ns);
                corners.push(at_ns);
            }
        }
        corners.sort_unstable();
        corners.dedup();
        let sum = |at_ns: u64| {
            let rates = open.iter().map(|(start_ns, profile)| match at_ns.checked_sub(*start_ns) {
                Some(within_ns) => profile.rate_at(within_ns).as_micro(),
                None => 0,
            });
            rates.fold(0_u64, u64::saturating_add)
        };
        // The nanosecond before a corner stands for its left side: what a line rises by in it is rounded away.
        let sides = corners.iter().flat_map(|at_ns| [at_ns.saturating_sub(1), *at_ns]);
        let highest =
            sides.map(|at_ns| (sum(at_ns), at_ns)).max_by_key(|(sum, at_ns)| (*sum, Reverse(*at_ns)));
        let (micro, at_ns) = highest.unwrap_or((0, 0));
        (Rate::from_micro(micro), at_ns)
    }

    /// The most users that the closed workloads have together at one time, at most.
    pub fn most_users(&self) -> u64 {
        self.most_users_and_when().0
    }

    /// That number, and an instant at which it is reached.
    pub(super) fn most_users_and_when(&self) -> (u64, u64) {
        let closed = self.workloads.iter().filter(|workload| workload.load.most_users() > 0);
        let spans: Vec<(u64, u64, u64)> = closed
            .map(|workload| (workload.start_ns, workload.end_ns(), u64::from(workload.load.most_users())))
            .collect();
        let at = |at_ns: u64| {
            let there = spans.iter().filter(|(start_ns, end_ns, _)| (*start_ns..*end_ns).contains(&at_ns));
            there.map(|(.., users)| users).sum::<u64>()
        };
        spans.iter().map(|(start_ns, ..)| (at(*start_ns), *start_ns)).max().unwrap_or((0, 0))
    }

    /// How many users the plan has at an instant of it, those included who have run their iterations.
    pub fn users_at(&self, at_ns: u64) -> u64 {
        let users = |workload: &Workload| match at_ns.checked_sub(workload.start_ns) {
            Some(within_ns) if at_ns < workload.end_ns() => workload.load.users_at(within_ns),
            _ => 0,
        };
        self.workloads.iter().map(users).sum()
    }

    /// How many arrivals the open workloads have together: exactly where they are evenly spaced, on average where
    /// they are random.
    pub fn arrivals(&self) -> u64 {
        let open =
            self.workloads.iter().filter(|workload| matches!(workload.load, WorkloadLoad::Open { .. }));
        open.filter_map(|workload| workload.load.iterations()).fold(0, u64::saturating_add)
    }

    /// Estimates what the plan needs on `shards` shards, data files apart.
    ///
    /// Each target has its own connections; users never need more of them than they are. How many requests an
    /// iteration sends only running it tells, so nothing is foreseen here for connections that were closed.
    pub fn needs(&self, shards: u32) -> Needs {
        let users = self.most_users();
        let only_users = self.highest_rate() == Rate::ZERO;
        let (mut open, mut memory_bytes) = (0_u64, MEMORY_BASE + u64::from(shards) * MEMORY_PER_SHARD);
        let name_bytes = MEMORY_PER_NAME + u64::from(shards) * MEMORY_PER_NAME_AND_SHARD;
        memory_bytes += self.distributions().saturating_sub(1) * name_bytes;
        let mut leaving = 0;
        for target in &self.targets {
            let cap = u64::from(target.connections.cap.map_or(Connections::DEFAULT_CAP, NonZeroU32::get));
            let connections = if only_users { cap.min(users.max(1)) } else { cap };
            let tls = if target.url.scheme().is_secure() { MEMORY_PER_TLS_CONNECTION } else { 0 };
            open += connections;
            memory_bytes += connections * (MEMORY_PER_CONNECTION + tls);
            if target.connections.close_after.is_some() {
                leaving += connections.min(u64::from(shards) * DESCRIPTORS_LEAVING);
            }
        }
        Needs {
            connections: u32::try_from(open).unwrap_or(u32::MAX),
            response_ns_at_cap: None,
            descriptors: Needs::descriptors_beside_connections(shards) + open + leaving,
            ports: open,
            memory_bytes,
        }
    }

    /// How many things have histograms of their own: names of requests, groups, and workloads beyond the first.
    fn distributions(&self) -> u64 {
        let (mut names, mut groups) = (BTreeSet::new(), BTreeSet::new());
        let used: BTreeSet<usize> = self.workloads.iter().map(|workload| workload.scenario).collect();
        for scenario in used.into_iter().filter_map(|place| self.scenarios.get(place)) {
            gather_names(&scenario.steps, &mut names, &mut groups);
        }
        // Beyond the limit they are counted together, as one more.
        let names = names.len().min(self.limits.names as usize + 1);
        (names + groups.len() + self.workloads.len().saturating_sub(1)) as u64
    }

    fn open(&self) -> impl Iterator<Item = (u64, &Profile)> {
        self.workloads.iter().filter_map(|workload| match &workload.load {
            WorkloadLoad::Open { profile, .. } => Some((workload.start_ns, profile)),
            WorkloadLoad::Closed { .. } => None,
        })
    }
}

impl WorkloadLoad {
    /// How many users a closed workload has at an instant of it; 0 in the open model.
    pub fn users_at(&self, within_ns: u64) -> u64 {
        let Self::Closed { stages, first, spawn_rate, .. } = self else { return 0 };
        let started = spawn_rate.map_or(u64::MAX, |rate| {
            let millionths = u128::from(rate.as_micro()) * u128::from(within_ns) / 1_000_000_000;
            u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX)
        });
        planned_users_at(stages, *first, within_ns).min(started)
    }
}

/// How many users the stages say, however fast they start.
fn planned_users_at(stages: &[UserStage], first: u32, within_ns: u64) -> u64 {
    let (mut from, mut left_ns) = (u64::from(first), within_ns);
    for stage in stages {
        let to = u64::from(stage.users);
        if left_ns < stage.duration_ns {
            let change = u128::from(from.abs_diff(to)) * u128::from(left_ns) / u128::from(stage.duration_ns);
            let change = u64::try_from(change).unwrap_or(u64::MAX);
            return if to >= from { from + change } else { from - change };
        }
        left_ns -= stage.duration_ns;
        from = to;
    }
    from
}

/// The names of the requests and of the groups of some steps, and of the steps in them.
fn gather_names<'a>(steps: &'a [Step], names: &mut BTreeSet<&'a str>, groups: &mut BTreeSet<&'a str>) {
    for step in steps {
        match step {
            Step::Request(request) => {
                names.insert(&request.name);
            }
            Step::Repeat(repeat) => gather_names(&repeat.steps, names, groups),
            Step::While(repeat) => gather_names(&repeat.steps, names, groups),
            Step::If(either) => {
                gather_names(&either.then, names, groups);
                gather_names(&either.otherwise, names, groups);
            }
            Step::Choose(choose) => {
                choose.choices.iter().for_each(|Choice { steps, .. }| gather_names(steps, names, groups));
            }
            Step::Group(group) => {
                groups.insert(&group.name);
                gather_names(&group.steps, names, groups);
            }
            Step::Think(_) | Step::Barrier(_) | Step::Set(_) | Step::Stop => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::document::tests::parse;

    #[test]
    fn every_name_takes_its_memory_wherever_it_stands() {
        let head = "schema: openloop.plan/1\ntargets: {t: 'http://h'}\nworkloads: {w: {tps: 1, for: 1s, scenario: s}}\n";
        let memory = |rest: &str, shards| parse(&format!("{head}{rest}")).needs(shards).memory_bytes >> 20;
        let one = "scenarios:\n  s:\n  - get: /a\n    name: a\n";
        // The same name twice is one; b, c and d are new, and g is a group.
        let many = format!(
            "{one}  - get: /x\n    name: a\n  - repeat: 2\n    steps: [{{get: /b, name: b}}]\n  - choose:\n    \
             - {{weight: 1, steps: [{{get: /c, name: c}}]}}\n  - group: g\n    steps: [{{get: /d, name: d}}]\n"
        );
        assert_eq!(memory(&many, 1) - memory(one, 1), 4 * 3 + 1);
        assert_eq!(memory(&many, 2) - memory(one, 2), 4 * 4 + 2);
        // A limit on names bounds them, and what is beyond counts as one more.
        let bounded = format!("limits: {{names: 1}}\n{many}");
        assert_eq!(memory(&bounded, 1) - memory(one, 1), 2 * 3);
    }
}
