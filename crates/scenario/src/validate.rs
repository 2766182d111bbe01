//! What is wrong with a scenario as a whole: names that nothing bears, variables used before they can have been set,
//! steps nested too deep.
//!
//! What it is: a walk over the steps in the order in which they run, carrying what can have been set so far. A variable that
//! only one branch sets counts as set after it: whether it was is known at run time only.
//! What it is not: a check of texts; they were parsed before.

mod names;
mod steps;

use crate::error::ScenarioError;
use crate::syntax::Scenario;

/// Deepest nesting of steps within steps.
pub const NESTING_MAX: usize = 8;
/// Most steps of a scenario, those within others included.
pub const STEPS_MAX: usize = 1_000;
/// Most variables of a scenario.
pub const VARIABLES_MAX: usize = 256;
/// Most rounds of a loop.
pub const ROUNDS_MAX: u32 = 1_000_000;
/// Most redirects that a step may follow.
pub const REDIRECTS_MAX: u8 = 20;

/// What a scenario may name beside its own variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The plan's constants and their values.
    pub constants: Vec<(String, String)>,
    /// The names of the plan's secrets.
    pub secrets: Vec<String>,
    /// The variables that the setup steps extract.
    pub setup: Vec<String>,
    /// The plan's feeders.
    pub feeders: Vec<FeederNames>,
    /// The plan's targets.
    pub targets: Vec<String>,
}

/// A feeder and what is known of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeederNames {
    /// Its name.
    pub name: String,
    /// Its columns; none when they are not known before the file is read.
    pub columns: Option<Vec<String>>,
}

/// Everything that is wrong with a scenario, in the order in which it runs; empty when it can be compiled.
pub fn validate(scenario: &Scenario, scope: &Scope) -> Vec<ScenarioError> {
    let mut walk = steps::Walk::new(scenario, scope);
    walk.scenario();
    walk.errors
}

/// The variables that a scenario sets, in the order in which they are first set: what setup hands on to all others.
pub fn variables(scenario: &Scenario) -> Vec<String> {
    let scope = Scope::default();
    let mut walk = steps::Walk::new(scenario, &scope);
    walk.scenario();
    walk.names.into_variables()
}

#[cfg(test)]
#[path = "validate/tests.rs"]
mod tests;
