//! Where a value comes from: the flag, or one of its environment variables.
//!
//! Invariant: the first source that is set decides, and an error names it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use plan::{Place, PlanError};

use crate::Surroundings;

/// The sources of one flag.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Source {
    /// The flag, with its dashes.
    pub(crate) flag: &'static str,
    /// Its variables, the one that wins first.
    pub(crate) variables: &'static [&'static str],
}

/// Where each flag's value stood, and its text.
pub(crate) type Given = BTreeMap<&'static str, (Place, String)>;

/// The environment, and what was found there and on the command line.
pub(crate) struct Sources<'a> {
    pub(crate) surroundings: &'a dyn Surroundings,
    pub(crate) given: RefCell<Given>,
}

impl Sources<'_> {
    /// The text of a flag that is given once, and where it stood.
    pub(crate) fn text(
        &self,
        given: Option<String>,
        source: Source,
    ) -> Result<Option<(String, Place)>, PlanError> {
        if let Some(text) = given {
            let place = Place::Flag(source.flag);
            self.note(source.flag, place, &text);
            return Ok(Some((text, place)));
        }
        for &name in source.variables {
            if let Some(value) = self.surroundings.variable(name) {
                let place = Place::Variable(name);
                let text = value.into_string().map_err(|_| {
                    PlanError::new("the value is not UTF-8 text (not shown)", "UTF-8 text").at(place)
                })?;
                self.note(source.flag, place, &text);
                return Ok(Some((text, place)));
            }
        }
        Ok(None)
    }

    fn note(&self, flag: &'static str, place: Place, text: &str) {
        self.given.borrow_mut().insert(flag, (place, text.to_owned()));
    }

    /// The value of a flag that is given once.
    pub(crate) fn one<T>(
        &self,
        given: Option<String>,
        source: Source,
        parse: impl Fn(&str) -> Result<T, PlanError>,
    ) -> Result<Option<T>, PlanError> {
        let Some((text, place)) = self.text(given, source)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|error| error.at(place))
    }

    /// The values of a flag that may be repeated; in a variable they stand on lines of their own.
    pub(crate) fn many<T>(
        &self,
        given: &[String],
        source: Source,
        parse: impl Fn(&str) -> Result<T, PlanError>,
    ) -> Result<Vec<T>, PlanError> {
        if !given.is_empty() {
            let place = Place::Flag(source.flag);
            self.note(source.flag, place, &given.join(", "));
            return given.iter().map(|text| parse(text).map_err(|error| error.at(place))).collect();
        }
        let Some((text, place)) = self.text(None, source)? else { return Ok(Vec::new()) };
        if text.is_empty() {
            return Err(
                PlanError::new("the value is empty", "unset the variable, or give it a value").at(place)
            );
        }
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| parse(line).map_err(|error| error.at(place))).collect()
    }

    /// Whether a switch is on.
    pub(crate) fn switch(&self, given: bool, source: Source) -> Result<bool, PlanError> {
        if given {
            self.note(source.flag, Place::Flag(source.flag), "");
            return Ok(true);
        }
        Ok(self.one(None, source, plan::parse_switch)?.unwrap_or(false))
    }
}

/// Declares the source of a flag: `source!("--max-lag", "ENGINE_MAX_LAG")`.
macro_rules! source {
    ($flag:literal, $($variable:literal),+) => {
        $crate::sources::Source { flag: $flag, variables: &[$($variable),+] }
    };
}
pub(crate) use source;
