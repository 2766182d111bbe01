//! What a wrong text of a scenario, or a scenario that contradicts itself, is answered with.
//!
//! Invariant: every error says which text it is about, where in it, what is wrong and how to fix it. Units: offsets and
//! lengths are bytes of the text as it was handed to the parser.

use std::fmt;

/// Names the text that something was read from: a number that the caller chose, such as an index into its table of
/// positions in a file. This crate only hands it back.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(pub u32);

/// A text or a scenario that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} → {fix}")]
pub struct ScenarioError {
    /// Which text is at fault.
    pub origin: Origin,
    /// At which byte of it; its length when something is missing at its end.
    pub offset: usize,
    /// How many bytes are at fault; zero when something is missing.
    pub length: usize,
    /// What is wrong.
    pub what: String,
    /// How to fix it.
    pub fix: String,
}

impl ScenarioError {
    /// An error of `length` bytes at `offset`.
    pub(crate) fn new(offset: usize, length: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { origin: Origin::default(), offset, length, what: what.into(), fix: fix.into() }
    }

    /// Says which text it is about.
    #[must_use]
    pub fn of(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Moves the error by the offset at which the text that was parsed lies in a larger one.
    #[must_use]
    pub fn moved(mut self, by: usize) -> Self {
        self.offset += by;
        self
    }
}

/// Longest stretch of a text that a message repeats, in characters.
const SHOWN_CHARS: usize = 40;

/// A stretch of a text, fit for one line of a message: short, between quotation marks, control characters escaped.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"")?;
        for (count, character) in self.0.chars().enumerate() {
            if count == SHOWN_CHARS {
                formatter.write_str("…")?;
                break;
            }
            if character.is_control() {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                write!(formatter, "{character}")?;
            }
        }
        formatter.write_str("\"")
    }
}
