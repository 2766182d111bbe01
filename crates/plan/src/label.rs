//! What a run is labelled with: its id and its tags.
//!
//! Invariant: labels are short printable text without spaces in names, so that they pass unharmed through file names,
//! metric labels, HTML and terminals.

use crate::PlanError;
use crate::text::quoted;

/// Longest name of a tag and longest run id, in bytes.
const LONGEST_NAME: usize = 64;
/// Longest value of a tag, in bytes.
const LONGEST_VALUE: usize = 256;

/// A tag: a name and a value that stand in the report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Tag {
    /// Reads `name=value`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let Some((name, value)) = text.split_once('=') else {
            return Err(PlanError::new(
                format!("{} is not a tag", quoted(text)),
                "name=value, e.g. build=417",
            ));
        };
        if !is_name(name) {
            return Err(PlanError::new(
                format!("{} is not a name for a tag", quoted(name)),
                "1 to 64 letters, digits, _, -, . or /, e.g. build=417",
            ));
        }
        if value.len() > LONGEST_VALUE || value.contains(char::is_control) {
            return Err(PlanError::new(
                format!("the value of tag {name} is too long or has a control character"),
                "at most 256 bytes on one line",
            ));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// The name of a run, the same on every engine that takes part in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunId(String);

impl RunId {
    /// Reads a run id.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if text.is_empty() {
            return Err(PlanError::new("the run id is empty: is a variable unset?", "e.g. nightly-417"));
        }
        if !is_name(text) || text.contains('/') || text.starts_with('.') {
            return Err(PlanError::new(
                format!("{} is not a run id", quoted(text)),
                "1 to 64 letters, digits, _, - or ., not beginning with a dot, e.g. nightly-417",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (text, name, value) in
            [("a=b", "a", "b"), ("a=", "a", ""), ("a=b=c", "a", "b=c"), ("k8s/x.y-z=ä b", "k8s/x.y-z", "ä b")]
        {
            let tag = Tag::parse(text).expect(text);
            assert_eq!((tag.name.as_str(), tag.value.as_str()), (name, value));
        }
        for (text, fragment) in [
            ("", "is not a tag → name=value"),
            ("a", "is not a tag"),
            ("=b", "is not a name"),
            ("a b=c", "is not a name"),
            ("a=b\nc", "control character"),
            ("ä=b", "is not a name"),
        ] {
            assert!(Tag::parse(text).expect_err(text).to_string().contains(fragment), "{text}");
        }
        assert!(Tag::parse(&format!("a={}", "x".repeat(257))).is_err());
    }

    #[test]
    fn run_ids() {
        for text in ["1763666374", "nightly-417", "a.b_c"] {
            assert_eq!(RunId::parse(text).expect(text).as_str(), text);
        }
        for text in ["", "a b", "../x", ".hidden", "a/b", "ä", "a\n", "${RUN_ID}"] {
            assert!(RunId::parse(text).is_err(), "{text}");
        }
        assert!(RunId::parse(&"x".repeat(65)).is_err());
    }
}
