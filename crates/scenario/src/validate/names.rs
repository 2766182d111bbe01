//! Which names are known at a point of a scenario.

use super::{Scope, VARIABLES_MAX};
use crate::error::{Origin, ScenarioError};
use crate::expression::{Expression, ExpressionKind, Function, RESERVED};
use crate::name::{fix_for, is_name};
use crate::syntax::Scenario;

/// The names that are known so far.
#[derive(Clone, Debug)]
pub(super) struct Names<'a> {
    scope: &'a Scope,
    scenario: &'a Scenario,
    variables: Vec<String>,
}

impl<'a> Names<'a> {
    pub(super) const fn new(scenario: &'a Scenario, scope: &'a Scope) -> Self {
        Self { scope, scenario, variables: Vec::new() }
    }

    pub(super) fn into_variables(self) -> Vec<String> {
        self.variables
    }

    /// A variable is set here.
    pub(super) fn set(&mut self, name: &str, origin: Origin) -> Result<(), ScenarioError> {
        let wrong = |what: String, fix: &str| Err(ScenarioError::new(0, name.len(), what, fix).of(origin));
        if !is_name(name) {
            let shown = crate::error::Shown(name);
            return wrong(
                format!("{shown} is not a name for a variable"),
                "a letter, then letters, digits, _ and -; at most 64",
            );
        }
        if Function::named(name).is_some() {
            return wrong(format!("{name} is a function"), "another name");
        }
        if RESERVED.contains(&name) {
            return wrong(format!("{name} has a meaning of its own"), "another name");
        }
        if self.scope.constants.iter().any(|(constant, _)| constant == name) {
            return wrong(format!("{name} is a constant of the plan"), "another name");
        }
        if self.variables.iter().any(|variable| variable == name) {
            return Ok(());
        }
        if self.variables.len() == VARIABLES_MAX {
            return wrong(format!("there are more than {VARIABLES_MAX} variables"), "use some of them again");
        }
        self.variables.push(name.to_owned());
        Ok(())
    }

    /// Whether what an expression names is known here; those within it are not looked at.
    pub(super) fn check(&self, expression: &Expression, origin: Origin) -> Result<(), ScenarioError> {
        let (what, fix) = match &expression.kind {
            ExpressionKind::Literal(_) | ExpressionKind::Call(..) => return Ok(()),
            ExpressionKind::Variable(name) => {
                let is_constant = self.scope.constants.iter().any(|(constant, _)| constant == name);
                if is_constant || self.variables.iter().any(|variable| variable == name) {
                    return Ok(());
                }
                (format!("nothing has set {name} before this"), self.fix_variable(name))
            }
            ExpressionKind::Secret(name) => {
                if self.scope.secrets.contains(name) {
                    return Ok(());
                }
                (
                    format!("the plan has no secret {name}"),
                    fix_of(name, &self.scope.secrets, "name it under `secrets`"),
                )
            }
            ExpressionKind::Setup(name) => {
                if self.scope.setup.contains(name) {
                    return Ok(());
                }
                let fix = fix_of(name, &self.scope.setup, "extract it in a step of `setup`");
                (format!("setup sets no variable {name}"), fix)
            }
            ExpressionKind::Column { feeder, column } => match self.check_column(feeder, column) {
                Ok(()) => return Ok(()),
                Err(said) => said,
            },
        };
        Err(ScenarioError::new(expression.offset, expression.length, what, fix).of(origin))
    }

    fn check_column(&self, feeder: &str, column: &str) -> Result<(), (String, String)> {
        let Some(known) = self.scope.feeders.iter().find(|known| known.name == feeder) else {
            let mut names: Vec<&str> = self.scope.feeders.iter().map(|known| known.name.as_str()).collect();
            names.extend(RESERVED);
            return Err((format!("the plan has no data {feeder}"), fix_for(feeder, &names, "")));
        };
        if !self.scenario.data.iter().any(|(name, _)| name == feeder) {
            let what = format!("the scenario takes no rows of {feeder}");
            return Err((what, format!("data: {feeder} in the scenario")));
        }
        match &known.columns {
            Some(columns) if !columns.iter().any(|known| known == column) => {
                let shown = crate::error::Shown(column);
                Err((format!("{feeder} has no column {shown}"), fix_of(column, columns, "")))
            }
            _ => Ok(()),
        }
    }

    fn fix_variable(&self, name: &str) -> String {
        let mut names: Vec<&str> = self.variables.iter().map(String::as_str).collect();
        names.extend(self.scope.constants.iter().map(|(constant, _)| constant.as_str()));
        names.extend(
            Function::ALL
                .iter()
                .filter(|function| function.arguments().0 == 0)
                .map(|function| function.name()),
        );
        if let Some(meant) = crate::name::closest(name, names.iter().copied()) {
            return format!("did you mean {meant}?");
        }
        "set it with `set` or `extract` in an earlier step".to_owned()
    }
}

fn fix_of(name: &str, known: &[String], none: &str) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    fix_for(name, &known, none)
}
