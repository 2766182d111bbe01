//! Regular expressions over bytes.
//!
//! Invariant: looking for a group allocates nothing once the engine behind it is warm: where groups lie is written to
//! memory that each copy of a pattern has for itself, and each shard has a copy of its own.

use std::sync::Mutex;

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use crate::error::{Origin, ScenarioError, Shown};

/// How long a pattern may be as it is written, in bytes. What it is read into, before it is compiled, grows with it: a class such
/// as `(?i)\pL` costs 40 KB and a tenth of a millisecond for three bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// How much memory a compiled pattern may take, in bytes. Compiling ends where that is exceeded, whatever is repeated how often.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A regular expression, compiled. Two are equal when they are written the same.
#[derive(Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
    /// Where the groups of the last match lay. Nobody waits for it.
    locations: Mutex<CaptureLocations>,
}

impl Pattern {
    /// Reads a pattern in the syntax of the `regex` crate: no look-around, no back references, and therefore matched
    /// in time linear in the text.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, ScenarioError> {
        let wrong = |what: String, fix: &str| ScenarioError::new(0, text.len(), what, fix).of(origin);
        if text.len() > TEXT_BYTES_MAX {
            let what = format!("{} has {} bytes, which is too long for a pattern", Shown(text), text.len());
            let fix =
                format!("at most {TEXT_BYTES_MAX}, e.g. a class such as [a-z]+ instead of all its words");
            return Err(wrong(what, &fix));
        }
        // The offset stands in the parser's own error, which the other crate keeps to itself; its text says what is wrong.
        let wrong = |error: regex::Error| match error {
            regex::Error::CompiledTooBig(_) => {
                let what = format!("{} becomes larger than 1 MiB when it is compiled", Shown(text));
                wrong(
                    what,
                    "smaller numbers in braces, above all in braces within braces; a{99}{99} is 9801 times a",
                )
            }
            error => {
                let reason = error.to_string().lines().last().unwrap_or_default().replace("error: ", "");
                let what = format!("{} is not a regular expression: {reason}", Shown(text));
                wrong(what, "e.g. id=(\\d+); a literal . ( [ ? needs a \\ before it")
            }
        };
        let mut builder = RegexBuilder::new(text);
        let regex = builder.size_limit(COMPILED_BYTES_MAX).build().map_err(wrong)?;
        Ok(Self { text: text.to_owned(), locations: Mutex::new(regex.capture_locations()), regex })
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

    /// What a group of the first match is, group 0 being all of it.
    pub(crate) fn group<'a>(&self, bytes: &'a [u8], group: usize) -> Option<&'a [u8]> {
        if group == 0 {
            return self.regex.find(bytes).map(|found| found.as_bytes());
        }
        let Ok(mut locations) = self.locations.try_lock() else {
            // Another thread looks through the same copy, which no shard does.
            return self.regex.captures(bytes)?.get(group).map(|found| found.as_bytes());
        };
        self.regex.captures_read(&mut locations, bytes)?;
        let (begin, end) = locations.get(group)?;
        bytes.get(begin..end)
    }

    /// Whether it is found in `bytes`.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(bytes)
    }
}

impl Clone for Pattern {
    /// A copy with memory of its own, also inside of the engine.
    fn clone(&self) -> Self {
        let regex = self.regex.clone();
        Self { text: self.text.clone(), locations: Mutex::new(regex.capture_locations()), regex }
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
        let copy = pattern.clone();
        for (bytes, id) in
            [(&b"a id=7 id=8"[..], Some(&b"7"[..])), (b"id=", None), (b"\xffid=99", Some(b"99"))]
        {
            assert_eq!((pattern.group(bytes, 1), copy.group(bytes, 1)), (id, id));
            // While another has the memory of places, the answer is the same.
            let held = pattern.locations.lock().unwrap();
            assert_eq!(pattern.group(bytes, 1), id);
            drop(held);
        }
        let either = Pattern::parse("(a)|(b)", Origin(0)).unwrap();
        assert_eq!(
            (either.group(b"b", 1), either.group(b"b", 2), either.group(b"b", 9)),
            (None, Some(&b"b"[..]), None)
        );
        for (text, fragment) in [("(", "unclosed group"), (r"(?=a)", "look-around")] {
            let error = Pattern::parse(text, Origin(3)).expect_err(text);
            assert!(error.to_string().contains(fragment), "{error}");
            assert_eq!((error.origin, error.length), (Origin(3), text.len()));
        }
    }

    #[test]
    fn what_a_pattern_takes_is_bounded() {
        // A few bytes that would become megabytes; the second was found by a fuzzer.
        for text in
            ["a{9999}{9999}", "(. .999*}){9999}", r"((\w{99}){99}){99}", r"\w{9999}", "((a?)*){9999}{9999}"]
        {
            let error = Pattern::parse(text, Origin(3)).expect_err(text);
            assert!(
                error.to_string().contains("larger than 1 MiB when it is compiled → smaller numbers"),
                "{error}"
            );
            assert_eq!((error.origin, error.length), (Origin(3), text.len()));
        }
        let longest = "a".repeat(TEXT_BYTES_MAX);
        assert!(Pattern::parse(&longest, Origin(3)).is_ok());
        // Three bytes each that are read into 40 KB each.
        for text in [longest + "a", format!("(?i){}", r"\pL".repeat(1 << 18))] {
            let error = Pattern::parse(&text, Origin(3)).expect_err("too long");
            assert!(error.to_string().contains("too long for a pattern → at most 4096"), "{error}");
            assert_eq!(error.length, text.len());
        }
    }
}
