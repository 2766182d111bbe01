//! A scenario of a plan file that is done once, by itself: what it needs, and nothing of the load.

use scenario::Scenario;

use super::{Compiler, FileRun, List, feeders, limits, targets};
use crate::once::Alone;
use crate::prepare::PrepareError;

/// Prepares a scenario to be run once. `index` is the place of the workload whose first iteration it is, which decides
/// what is drawn at random.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare_alone(run: &FileRun<'_>, scenario: &Scenario, index: usize) -> Result<Alone, PrepareError> {
    // Data may have millions of rows: only what it uses is read.
    let feeders = feeders(run, &|name| scenario.data.iter().any(|(used, _)| used == name))?;
    let mut list = List::new(run.file.limits.names as usize);
    let scenario = Compiler::new(run, &feeders).compile(scenario, index, &mut list)?;
    Ok(Alone {
        targets: targets(run, 1)?.iter().map(|target| target.of_shard(0, 1, run.plan)).collect(),
        requests: list.requests,
        scenario,
        response_limits: limits(run.file),
        kept_body_bytes: usize::try_from(run.file.limits.body_bytes).unwrap_or(usize::MAX),
        unix_offset_ns: run.unix_offset_ns,
    })
}
