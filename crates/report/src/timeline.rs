//! The timeline of a summary as text, second by second, for whoever does not hold a run's seconds in memory.
//!
//! What it is: the same bytes that [`Summary::to_json`] writes, in pieces: what stands before the timeline, each second
//! as it stands in it, what stands behind it.
//! What it is not: another form of the document, and no writer.
//!
//! Invariant: `before`, the text of each second in its order, and `behind` together are the document.

use crate::{Second, Summary};

/// How far a second is indented.
const INDENT: &str = "\n    ";
/// The timeline of a summary that holds no second.
const EMPTY: &str = "\n  \"timeline\": []";

/// What stands around a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    /// Everything up to the first second.
    pub before: String,
    /// Everything from the last second on.
    pub behind: String,
}

/// A second as it stands in the timeline; all but the first are parted from the one before.
#[expect(clippy::missing_panics_doc, reason = "string keys and numbers always serialise")]
pub fn timeline_text(second: &Second, is_first: bool) -> String {
    let own = serde_json::to_string_pretty(second).expect("a second has only string keys and numbers");
    let comma = if is_first { "" } else { "," };
    // Within a JSON text a line ends only where the indentation begins; in strings line ends are escaped.
    format!("{comma}{INDENT}{}", own.replace('\n', INDENT))
}

impl Summary {
    /// The document around its timeline, which has `seconds` seconds that are not in here.
    ///
    /// # Panics
    /// When seconds are in here.
    pub fn around_timeline(&self, seconds: u64) -> Around {
        assert!(self.timeline.is_empty(), "a timeline is held in memory or elsewhere, not both");
        let text = self.to_json();
        // No string holds a bare line end, and two blanks behind one are the indentation of the outermost fields.
        let at = text.find(EMPTY).expect("an empty timeline is written like this") + EMPTY.len() - 1;
        let (before, behind) = text.split_at(at);
        let gap = if seconds == 0 { "" } else { "\n  " };
        Around { before: before.to_owned(), behind: format!("{gap}{behind}") }
    }
}
