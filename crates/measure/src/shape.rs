//! What a plan counts: how many names of each kind.
//!
//! What it is: the size of snapshots and totals. What it is not: the names themselves; these stay on the control
//! side, and measurements carry their positions.

/// How many of each kind a plan has.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Request names.
    pub names: usize,
    /// Workloads that run scenarios; their iterations are counted.
    pub workloads: usize,
    /// Groups of steps with a timing of their own.
    pub groups: usize,
    /// Checks.
    pub checks: usize,
}

impl Shape {
    /// The shape of a plan of plain requests, which has neither iterations nor groups nor checks.
    pub const fn requests(names: usize) -> Self {
        Self { names, workloads: 0, groups: 0, checks: 0 }
    }
}
