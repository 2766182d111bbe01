//! Regular expressions over bytes.

use crate::error::{Origin, ScenarioError, Shown};

/// How much memory a compiled pattern may take, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A regular expression, compiled. Two are equal when they are written the same.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: regex::bytes::Regex,
}

impl Pattern {
    /// Reads a pattern in the syntax of the `regex` crate: no look-around, no back references, and therefore matched
    /// in time linear in the text.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, ScenarioError> {
        // The offset stands in the parser's own error, which the other crate keeps to itself; its text says what is wrong.
        let wrong = |error: regex::Error| {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "it becomes too large".to_owned(),
                error => error.to_string().lines().last().unwrap_or_default().replace("error: ", ""),
            };
            let what = format!("{} is not a regular expression: {reason}", Shown(text));
            ScenarioError::new(0, text.len(), what, "e.g. id=(\\d+); a literal . ( [ ? needs a \\ before it")
                .of(origin)
        };
        let mut builder = regex::bytes::RegexBuilder::new(text);
        let regex = builder.size_limit(COMPILED_BYTES_MAX).build().map_err(wrong)?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many groups it has, the whole match being number 0.
    pub fn group_count(&self) -> usize {
        self.regex.captures_len()
    }

    /// The number of the group with that name.
    pub fn group_named(&self, name: &str) -> Option<usize> {
        self.regex.capture_names().position(|group| group == Some(name))
    }

    /// What a group of the first match is, group 0 being all of it. Any other group costs an allocation.
    pub(crate) fn group<'a>(&self, bytes: &'a [u8], group: usize) -> Option<&'a [u8]> {
        if group == 0 {
            return self.regex.find(bytes).map(|found| found.as_bytes());
        }
        self.regex.captures(bytes)?.get(group).map(|found| found.as_bytes())
    }

    /// Whether it is found in `bytes`.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(bytes)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let pattern = Pattern::parse(r"id=(?P<id>\d+)", Origin(0)).unwrap();
        assert_eq!(
            (pattern.group_count(), pattern.group_named("id"), pattern.group_named("x")),
            (2, Some(1), None)
        );
        assert!(pattern.is_match(b"\xff id=7") && !pattern.is_match(b"id="));
        assert_eq!(pattern, Pattern::parse(pattern.as_str(), Origin(1)).unwrap());
        for (text, fragment) in
            [("(", "unclosed group"), ("a{9999}{9999}", "too large"), (r"(?=a)", "look-around")]
        {
            let error = Pattern::parse(text, Origin(3)).expect_err(text);
            assert!(error.to_string().contains(fragment), "{error}");
            assert_eq!((error.origin, error.length), (Origin(3), text.len()));
        }
    }
}
