//! The texts that scenarios were read from, by the numbers under which `scenario` knows them.

use scenario::{Origin, ScenarioError};

use super::problem::Problems;
use super::source::Span;
use super::tree::{Key, Node, Scalar};
use crate::PlanError;

/// Where a text stood and what is known of it.
#[derive(Clone, Debug)]
struct Place {
    span: Span,
    scalar: Scalar,
}

/// The table of texts; number 0 is the file itself.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    places: Vec<Place>,
}

impl Origins {
    /// A number for a value.
    pub(crate) fn of(&mut self, node: &Node, scalar: &Scalar) -> Origin {
        self.add(node.span, Scalar { text: String::new(), ..scalar.clone() })
    }

    /// A number for a key.
    pub(crate) fn of_key(&mut self, key: &Key) -> Origin {
        self.of_span(key.span)
    }

    /// A number for a place.
    pub(crate) fn of_span(&mut self, span: Span) -> Origin {
        let scalar = Scalar {
            text: String::new(),
            plain: true,
            verbatim: true,
            variables: Vec::new(),
            confidential: false,
            broken: false,
        };
        self.add(span, scalar)
    }

    fn add(&mut self, span: Span, scalar: Scalar) -> Origin {
        self.places.push(Place { span, scalar });
        Origin(u32::try_from(self.places.len()).unwrap_or(0))
    }

    fn place(&self, origin: Origin) -> Option<&Place> {
        self.places.get((origin.0 as usize).checked_sub(1)?)
    }

    /// Tells what is wrong with a text, where it stands.
    pub(crate) fn tell(&self, error: ScenarioError, problems: &mut Problems) {
        let ScenarioError { origin, offset, length, what, fix } = error;
        let Some(place) = self.place(origin) else {
            problems.add(Span::default(), what, fix);
            return;
        };
        if !place.scalar.variables.is_empty() {
            problems.refuse(&place.scalar, place.span, PlanError::new(what, fix));
            return;
        }
        let span = place.span;
        let start = (span.start + offset).min(span.end);
        let end = (start + length.max(1)).min(span.end.max(start + 1));
        problems.add(if place.scalar.verbatim { Span { start, end } } else { span }, what, fix);
    }
}
