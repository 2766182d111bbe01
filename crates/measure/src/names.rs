//! The names behind the positions that measurements carry.
//!
//! What it is: what a report and a threshold call a request, a workload, a group or a check. What it is not: on any
//! hot path; shards know positions alone.
//!
//! Invariant: names of one kind are distinct, which whoever builds the list answers for.

use std::collections::BTreeMap;

use crate::Shape;

/// The name of the requests beyond the limit on names, which are counted together.
pub const OTHER: &str = "other";

/// The code under which the first status of a protocol that is not HTTP is counted; the others follow.
pub const FIRST_STATUS: u16 = 100;

/// A name and the labels that its user gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The labels, by which thresholds may choose.
    pub tags: BTreeMap<String, String>,
    /// Of a workload that does not last for the whole run: from when until when it is planned to, in nanoseconds of the
    /// measured time.
    pub stretch_ns: Option<(u64, u64)>,
}

impl From<String> for Named {
    fn from(name: String) -> Self {
        Self { name, ..Self::default() }
    }
}

/// All names of a plan, each kind in the order in which it is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Request names.
    pub requests: Vec<Named>,
    /// Workloads that run scenarios.
    pub workloads: Vec<Named>,
    /// Groups of steps.
    pub groups: Vec<Named>,
    /// Checks.
    pub checks: Vec<Named>,
    /// Request names beyond the limit, all of them counted as [`OTHER`], which is then the last of `requests`.
    pub beyond: usize,
    /// What a protocol that is not HTTP calls its statuses, those from [`FIRST_STATUS`] on.
    pub statuses: Vec<String>,
}

impl Names {
    /// The names of a plan of plain requests.
    pub fn requests(names: impl IntoIterator<Item = String>) -> Self {
        Self { requests: names.into_iter().map(Named::from).collect(), ..Self::default() }
    }

    /// What a counted status is called: its code, or what its protocol calls it.
    pub fn status(&self, code: u16) -> String {
        let own = code.checked_sub(FIRST_STATUS).and_then(|place| self.statuses.get(usize::from(place)));
        own.cloned().unwrap_or_else(|| code.to_string())
    }

    /// How much room counting them takes.
    pub fn shape(&self) -> Shape {
        Shape {
            names: self.requests.len(),
            workloads: self.workloads.len(),
            groups: self.groups.len(),
            checks: self.checks.len(),
        }
    }
}
