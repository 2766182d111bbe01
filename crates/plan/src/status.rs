//! Which response statuses count as failures, as flags say it.

use scenario::{Origin, StatusSet};

use crate::PlanError;

/// Reads the statuses of a flag in the words that checks of a plan file use: `none`, or `500`, `4xx`, `400-499`, `>=400`,
/// separated by commas.
///
/// # Errors
/// The text names no set of statuses.
pub fn parse_statuses(text: &str) -> Result<StatusSet, PlanError> {
    StatusSet::parse(text, Origin::default()).map_err(|error| PlanError::new(error.what, error.fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_a_plan_file() {
        let set = parse_statuses("5xx,429").expect("it names statuses");
        assert!(set.contains(429) && set.contains(599) && !set.contains(428));
        let error = parse_statuses("40x").expect_err("it names none").to_string();
        assert!(error.contains("\"40x\" is not a status → 100 to 999: e.g. 200"), "{error}");
    }
}
