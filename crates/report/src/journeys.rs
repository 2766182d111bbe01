//! What documents say of plans with scenarios: iterations by workload, groups and checks.
//!
//! What it is: the types, how they are built from totals, and how those of several documents are added.
//! What it is not: there for plans of plain requests, whose documents have none of these fields.
//!
//! Invariant: `scheduled = begun + dropped + unassigned` and `begun = completed + failed + cut_off`, for each workload.

use std::collections::{BTreeMap, BTreeSet};

use measure::{
    CheckCounts, DropReason, FailReason, GroupTotals, IterationCounters, MeasureError, Named, Names, Totals,
    WorkloadTotals,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::summary::total;
use crate::{LatencyEntry, MergeError, Run, Summary};

/// Iterations of one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// Where every arrival went.
    pub iterations: Iterations,
    /// Iterations per second, of the stretch of the run that it is planned for.
    pub rate: IterationRate,
    /// That stretch, where it is not the whole measured time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stretch: Option<Stretch>,
    /// Distributions of how long iterations took, in nanoseconds.
    pub duration_ns: IterationLatencies,
    /// The user's own labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// Where every arrival of a workload went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Iterations {
    /// Arrivals that the plan had due.
    pub scheduled: u64,
    /// Iterations begun.
    pub begun: u64,
    /// Arrivals never begun, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Arrivals of shares that nobody owned.
    pub unassigned: u64,
    /// Iterations that came to their end.
    pub completed: u64,
    /// Iterations that ended before their last step, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Iterations unfinished when the run ended.
    pub cut_off: u64,
    /// Whether both sums hold; in the summary of a run, the warm-up included.
    pub balanced: bool,
}

/// A stretch of the measured time.
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    /// When it begins, in seconds.
    pub from_s: f64,
    /// When it ends.
    pub until_s: f64,
}

impl Stretch {
    /// The part of it that lies in a run of this length, in seconds.
    fn within(self, duration_s: f64) -> f64 {
        (self.until_s.min(duration_s) - self.from_s).max(0.0)
    }
}

/// Iterations per second.
#[derive(Copy, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IterationRate {
    /// Arrivals due.
    pub asked_tps: f64,
    /// Iterations begun.
    pub begun_tps: f64,
    /// Iterations that came to their end, to the end of the last exchange.
    pub completed_tps: f64,
}

/// How long iterations took, from the intended time of their arrival.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IterationLatencies {
    /// Those that came to their end.
    pub completed: LatencyEntry,
    /// Those that ended before their last step.
    pub failed: LatencyEntry,
}

/// A group of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// How often it was gone through to its end.
    pub ok: u64,
    /// How often an iteration failed inside it.
    pub failed: u64,
    /// Distributions of how long it took where it came to its end, in nanoseconds.
    pub duration_ns: GroupLatencies,
}

/// How long a group took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupLatencies {
    /// From its begin to its end, think times included.
    pub total: LatencyEntry,
    /// The same without think times.
    pub busy: LatencyEntry,
}

/// A check.
#[derive(Copy, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Responses for which it held.
    pub passed: u64,
    /// Responses for which it did not.
    pub failed: u64,
    /// The share of those for which it held, 0 to 1; absent where nothing was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_rate: Option<f64>,
}

impl Check {
    fn new(passed: u64, failed: u64) -> Self {
        let all = passed.saturating_add(failed);
        Self { passed, failed, pass_rate: (all > 0).then(|| passed as f64 / all as f64) }
    }
}

impl Iterations {
    /// Arrivals never begun, for any reason.
    pub fn dropped_total(&self) -> u64 {
        total(&self.dropped)
    }

    /// Iterations that ended before their last step, for any reason.
    pub fn failed_total(&self) -> u64 {
        total(&self.failed)
    }

    fn of(totals: &WorkloadTotals) -> Self {
        let counts = &totals.iterations;
        let occurred = |name: &'static str, count: u64| (count > 0).then(|| (name.to_owned(), count));
        Self {
            scheduled: counts.scheduled,
            begun: counts.begun,
            dropped: DropReason::ALL
                .iter()
                .filter_map(|reason| occurred(reason.name(), counts.dropped[reason.index()]))
                .collect(),
            unassigned: counts.unassigned,
            completed: counts.completed,
            failed: FailReason::ALL
                .iter()
                .filter_map(|reason| occurred(reason.name(), counts.failed[reason.index()]))
                .collect(),
            cut_off: counts.cut_off,
            balanced: totals.balanced(),
        }
    }

    /// Adds the counts of `other`.
    fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.scheduled, other.scheduled),
            (&mut self.begun, other.begun),
            (&mut self.unassigned, other.unassigned),
            (&mut self.completed, other.completed),
            (&mut self.cut_off, other.cut_off),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in [(&mut self.dropped, &other.dropped), (&mut self.failed, &other.failed)] {
            for (name, count) in theirs {
                let sum = mine.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
    }

    fn rate(&self, stretch: Option<Stretch>, duration_s: f64, elapsed_s: f64) -> IterationRate {
        let of_stretch = |seconds: f64| stretch.map_or(seconds, |stretch| stretch.within(seconds));
        let (duration_s, elapsed_s) = (of_stretch(duration_s), of_stretch(elapsed_s));
        let per_second = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let elapsed_s = if elapsed_s > 0.0 { elapsed_s } else { duration_s };
        IterationRate {
            asked_tps: per_second(self.scheduled, duration_s),
            begun_tps: per_second(self.begun, duration_s),
            completed_tps: per_second(self.completed, elapsed_s),
        }
    }
}

/// The entries of all workloads, over these times: those of the whole run, or of a part of it.
pub(crate) fn workloads(
    names: &Names,
    totals: &Totals,
    duration_s: f64,
    elapsed_s: f64,
    is_whole: bool,
) -> BTreeMap<String, Workload> {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let entry = |named: &Named, totals: &WorkloadTotals| {
        let iterations = Iterations::of(totals);
        let stretch = named
            .stretch_ns
            .filter(|_| is_whole)
            .map(|(from, until)| Stretch { from_s: seconds(from), until_s: seconds(until) });
        Workload {
            rate: iterations.rate(stretch, duration_s, elapsed_s),
            stretch,
            iterations,
            duration_ns: IterationLatencies {
                completed: LatencyEntry::from(&totals.completed),
                failed: LatencyEntry::from(&totals.failed),
            },
            tags: named.tags.clone(),
        }
    };
    by_name(&names.workloads, &totals.workloads, entry)
}

/// The entries of all groups.
pub(crate) fn groups(names: &Names, totals: &Totals) -> BTreeMap<String, Group> {
    let entry = |_: &Named, totals: &GroupTotals| Group {
        ok: totals.ok,
        failed: totals.failed,
        duration_ns: GroupLatencies {
            total: LatencyEntry::from(&totals.duration),
            busy: LatencyEntry::from(&totals.busy),
        },
    };
    by_name(&names.groups, &totals.groups, entry)
}

/// The entries of all checks.
pub(crate) fn checks(names: &Names, totals: &Totals) -> BTreeMap<String, Check> {
    let entry = |_: &Named, counts: &CheckCounts| Check::new(counts.passed, counts.failed);
    by_name(&names.checks, &totals.checks, entry)
}

/// What a reader must know about names that are not all shown.
pub(crate) fn note(names: &Names) -> Option<String> {
    (names.beyond > 0).then(|| {
        format!(
            "{} request names beyond the limit of {} are counted together as {:?}; limits.names raises it",
            names.beyond,
            names.requests.len().saturating_sub(1),
            measure::OTHER
        )
    })
}

fn by_name<T, E>(names: &[Named], totals: &[T], entry: impl Fn(&Named, &T) -> E) -> BTreeMap<String, E> {
    names.iter().zip(totals).map(|(named, total)| (named.name.clone(), entry(named, total))).collect()
}

/// The workloads of all summaries together.
pub(crate) fn merged_workloads(
    summaries: &[Summary],
    run: &Run,
) -> Result<BTreeMap<String, Workload>, MergeError> {
    merged(
        summaries,
        |summary| &summary.workloads,
        |key, all| {
            // Shares are of one plan.
            let stretch = all.iter().find_map(|(_, workload)| workload.stretch);
            let mut iterations = Iterations::default();
            for (_, workload) in all {
                iterations.add(&workload.iterations);
            }
            iterations.balanced = all.iter().all(|(_, workload)| workload.iterations.balanced)
                && iterations_balance(&iterations);
            let duration = |kind: &str, pick: fn(&IterationLatencies) -> &LatencyEntry| {
                let place = format!("workloads.{key}.duration_ns.{kind}");
                crate::merge::entry(
                    &place,
                    all.iter().map(|(summary, one)| (*summary, pick(&one.duration_ns))),
                )
            };
            Ok(Workload {
                rate: iterations.rate(stretch, run.duration_s, run.elapsed_s),
                stretch,
                iterations,
                duration_ns: IterationLatencies {
                    completed: duration("completed", |all| &all.completed)?,
                    failed: duration("failed", |all| &all.failed)?,
                },
                tags: crate::merge::joined_maps(all.iter().map(|(_, one)| &one.tags)),
            })
        },
    )
}

/// The groups of all summaries together.
pub(crate) fn merged_groups(summaries: &[Summary]) -> Result<BTreeMap<String, Group>, MergeError> {
    merged(
        summaries,
        |summary| &summary.groups,
        |key, all| {
            let duration = |kind: &str, pick: fn(&GroupLatencies) -> &LatencyEntry| {
                let place = format!("groups.{key}.duration_ns.{kind}");
                crate::merge::entry(
                    &place,
                    all.iter().map(|(summary, one)| (*summary, pick(&one.duration_ns))),
                )
            };
            Ok(Group {
                ok: all.iter().fold(0, |sum, (_, one)| sum.saturating_add(one.ok)),
                failed: all.iter().fold(0, |sum, (_, one)| sum.saturating_add(one.failed)),
                duration_ns: GroupLatencies {
                    total: duration("total", |all| &all.total)?,
                    busy: duration("busy", |all| &all.busy)?,
                },
            })
        },
    )
}

/// The checks of all summaries together.
pub(crate) fn merged_checks(summaries: &[Summary]) -> Result<BTreeMap<String, Check>, MergeError> {
    merged(
        summaries,
        |summary| &summary.checks,
        |_, all| {
            Ok(Check::new(
                all.iter().fold(0, |sum, (_, one)| sum.saturating_add(one.passed)),
                all.iter().fold(0, |sum, (_, one)| sum.saturating_add(one.failed)),
            ))
        },
    )
}

/// Whether the sums hold; reasons that only a later version knows count too.
fn iterations_balance(iterations: &Iterations) -> bool {
    let sum = |parts: [u64; 3]| parts.into_iter().map(u128::from).sum::<u128>();
    let Iterations { begun, unassigned, completed, cut_off, .. } = *iterations;
    u128::from(iterations.scheduled) == sum([begun, iterations.dropped_total(), unassigned])
        && u128::from(begun) == sum([completed, iterations.failed_total(), cut_off])
}

/// The names that a document has, each kind in the document's order.
pub(crate) fn merged_names(whole: &Summary, mut names: Names) -> Names {
    let bare = |name: &String| Named::from(name.clone());
    for (mine, entry) in names.requests.iter_mut().zip(whole.names.values()) {
        mine.tags.clone_from(&entry.tags);
    }
    let workload = |(name, entry): (&String, &Workload)| Named { tags: entry.tags.clone(), ..bare(name) };
    names.workloads = whole.workloads.iter().map(workload).collect();
    names.groups = whole.groups.keys().map(bare).collect();
    names.checks = whole.checks.keys().map(bare).collect();
    names
}

/// The totals of a document's workloads.
pub(crate) fn workload_totals(whole: &Summary) -> Result<Vec<WorkloadTotals>, MeasureError> {
    let entry = |workload: &Workload| {
        let counts = &workload.iterations;
        let mut iterations = IterationCounters {
            scheduled: counts.scheduled,
            begun: counts.begun,
            unassigned: counts.unassigned,
            completed: counts.completed,
            cut_off: counts.cut_off,
            ..IterationCounters::default()
        };
        // Reasons that only a later version knows still count in the sums.
        for (name, count) in &counts.dropped {
            let known = DropReason::ALL.iter().find(|reason| reason.name() == name);
            let sum = &mut iterations.dropped[known.unwrap_or(&DropReason::Interrupted).index()];
            *sum = sum.saturating_add(*count);
        }
        for (name, count) in &counts.failed {
            let known = FailReason::ALL.iter().find(|reason| reason.name() == name);
            let sum = &mut iterations.failed[known.unwrap_or(&FailReason::Step).index()];
            *sum = sum.saturating_add(*count);
        }
        Ok(WorkloadTotals {
            iterations,
            completed: workload.duration_ns.completed.histogram()?,
            failed: workload.duration_ns.failed.histogram()?,
            ..WorkloadTotals::default()
        })
    };
    whole.workloads.values().map(entry).collect()
}

/// The totals of a document's groups.
pub(crate) fn group_totals(whole: &Summary) -> Result<Vec<GroupTotals>, MeasureError> {
    let entry = |group: &Group| {
        Ok(GroupTotals {
            ok: group.ok,
            failed: group.failed,
            duration: group.duration_ns.total.histogram()?,
            busy: group.duration_ns.busy.histogram()?,
        })
    };
    whole.groups.values().map(entry).collect()
}

/// The counts of a document's checks.
pub(crate) fn check_counts(whole: &Summary) -> Vec<CheckCounts> {
    whole.checks.values().map(|check| CheckCounts { passed: check.passed, failed: check.failed }).collect()
}

/// For each key of any summary, what `join` makes of the entries that have it.
fn merged<'a, E: 'a>(
    summaries: &'a [Summary],
    pick: fn(&Summary) -> &BTreeMap<String, E>,
    join: impl Fn(&str, &[(&'a Summary, &'a E)]) -> Result<E, MergeError>,
) -> Result<BTreeMap<String, E>, MergeError> {
    let keys: BTreeSet<&String> = summaries.iter().flat_map(|summary| pick(summary).keys()).collect();
    let join_key = |key: &String| {
        let all: Vec<(&Summary, &E)> =
            summaries.iter().filter_map(|summary| Some((summary, pick(summary).get(key)?))).collect();
        Ok((key.clone(), join(key, &all)?))
    };
    keys.into_iter().map(join_key).collect()
}
