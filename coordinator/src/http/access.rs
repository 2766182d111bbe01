//! Who asks, and what that lets them see.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::error::Problem;
use crate::handle::{FleetView, RunView};
use crate::security::{Grant, Role};

/// Who asks; the gate puts it into each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) role: Role,
    /// The only project that they see; `None` sees all.
    pub(crate) project: Option<String>,
}

impl From<Grant> for Caller {
    fn from(grant: Grant) -> Self {
        Self { role: grant.role, project: grant.project }
    }
}

impl Caller {
    /// Everybody, where no tokens are asked for.
    pub(crate) const fn anybody() -> Self {
        Self { role: Role::Operator, project: None }
    }

    pub(crate) fn sees(&self, project: &str) -> bool {
        self.project.as_deref().is_none_or(|own| own == project)
    }

    /// A run that this caller may not see is one that does not exist.
    pub(crate) fn checked(&self, run: RunView) -> Result<RunView, Problem> {
        if self.sees(&run.project) { Ok(run) } else { Err(Problem::missing("run")) }
    }

    /// What concerns the whole fleet is not for those who are bound to a project.
    pub(crate) fn unbound(&self, what: &str) -> Result<(), Problem> {
        match &self.project {
            None => Ok(()),
            Some(project) => Err(Problem::forbidden(format!(
                "{what} needs a token that is not bound to the project {project:?}"
            ))),
        }
    }

    /// The view without what this caller may not see.
    pub(crate) fn view(&self, view: &FleetView) -> FleetView {
        let mut view = view.clone();
        if self.project.is_some() {
            view.runs.retain(|run| self.sees(&run.project));
            let seen: Vec<_> = view.runs.iter().map(|run| run.id).collect();
            for node in &mut view.nodes {
                node.run = node.run.filter(|run| seen.contains(run));
            }
        }
        view
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "who asks?");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}
