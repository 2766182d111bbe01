//! What a wrong text or a plan that contradicts itself is answered with.
//!
//! Invariant: every message says where it went wrong, what is wrong and how to fix it, on one line, in that
//! order: `--duration: "30" has no unit → 30s`. No message carries a secret or a control character; whatever
//! a user wrote passes through [`crate::quoted`].

use std::fmt;

/// Where a text came from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A command-line flag, spelled with its dashes.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A positional argument, as the usage line names it.
    Argument(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Argument(name) => formatter.write_str(name),
            Self::Variable(name) => write!(formatter, "variable {name}"),
        }
    }
}

/// A text or a plan that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what} → {fix}", Prefix { place: *place, column: *column })]
pub struct PlanError {
    /// Where the text came from, once that is known.
    pub place: Option<Place>,
    /// Which character of the text is at fault, counted from 1, where that helps.
    pub column: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// How to fix it.
    pub fix: String,
    /// Whether a safety rail refuses a plan that is otherwise valid.
    pub(crate) refusal: bool,
}

impl PlanError {
    /// An error of the text itself; whoever knows where it stood adds that with [`PlanError::at`]. Control
    /// characters of a user's text are shown escaped: a message is one line and steers no terminal.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        let (what, fix) = (tame(what.into()), tame(fix.into()));
        Self { place: None, column: None, what, fix, refusal: false }
    }

    /// A valid plan that a safety rail refuses.
    pub fn refused(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { refusal: true, ..Self::new(what, fix) }
    }

    /// Says where the text came from; what was said first stays.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = self.place.or(Some(place));
        self
    }

    /// Says at which byte offset of the text the fault lies; the message counts characters from 1.
    #[must_use]
    pub(crate) fn at_offset(mut self, text: &str, offset: usize) -> Self {
        let before = text.char_indices().take_while(|(index, _)| *index < offset).count();
        self.column = self.column.or(Some(before + 1));
        self
    }

    /// Whether a safety rail said no, as opposed to the plan being wrong.
    pub const fn is_refusal(&self) -> bool {
        self.refusal
    }
}

fn tame(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escaped = |character: char| {
        if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
    };
    text.chars().map(escaped).collect()
}

/// The part of a message that says where.
struct Prefix {
    place: Option<Place>,
    column: Option<usize>,
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place, self.column) {
            (Some(place), Some(column)) => write!(formatter, "{place} (column {column}): "),
            (Some(place), None) => write!(formatter, "{place}: "),
            (None, Some(column)) => write!(formatter, "column {column}: "),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_where_what_and_how_to_fix() {
        let error = PlanError::new("\"30\" has no unit", "30s");
        assert_eq!(error.to_string(), "\"30\" has no unit → 30s");
        let error = error.at(Place::Flag("--duration"));
        assert_eq!(error.to_string(), "--duration: \"30\" has no unit → 30s");
        let error =
            PlanError::new("wrong", "right").at_offset("äö:x", 5).at(Place::Variable("ENGINE_STAGES"));
        assert_eq!(error.to_string(), "variable ENGINE_STAGES (column 4): wrong → right");
        assert_eq!(error.at(Place::Flag("--later")).place, Some(Place::Variable("ENGINE_STAGES")));
        assert!(PlanError::refused("too much", "less").is_refusal());
    }
}
