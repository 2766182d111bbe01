//! A place in a text that is being parsed.

use crate::error::ScenarioError;
use crate::name::{continues_name, starts_name};

/// Reads a text from its beginning to its end.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) text: &'a str,
    /// The byte offset of what comes next. Invariant: at a character's boundary.
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes `prefix`, if it comes next.
    pub(crate) fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    /// Takes one character, whichever comes.
    pub(crate) fn take_char(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// Takes the bytes for which `wanted` holds; it must hold for ASCII only.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !byte.is_ascii() || !wanted(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    pub(crate) fn skip_space(&mut self) {
        self.take_while(|byte| byte.is_ascii_whitespace());
    }

    /// Takes a name; empty when none comes next.
    pub(crate) fn take_name(&mut self) -> &'a str {
        if self.peek().is_some_and(starts_name) { self.take_while(continues_name) } else { "" }
    }

    /// Takes a text between quotation marks, one of which comes next, and undoes its escapes.
    pub(crate) fn take_quoted(&mut self) -> Result<String, ScenarioError> {
        let start = self.at;
        let mark = self.take_char();
        let mut value = String::new();
        while let Some(character) = self.take_char() {
            match character {
                _ if Some(character) == mark => return Ok(value),
                '\\' => value.push(self.take_escape()?),
                _ => value.push(character),
            }
        }
        let mark = mark.unwrap_or('"');
        Err(ScenarioError::new(start, 1, "the quotation mark is not closed", format!("close it with {mark}")))
    }

    fn take_escape(&mut self) -> Result<char, ScenarioError> {
        let start = self.at - 1;
        match self.take_char() {
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some(same @ ('\\' | '"' | '\'')) => Ok(same),
            other => Err(ScenarioError::new(
                start,
                1 + other.map_or(0, char::len_utf8),
                "the backslash begins no escape",
                "one of \\n \\r \\t \\\\ \\\" \\', or \\\\ for a backslash",
            )),
        }
    }

    /// How many bytes the character that comes next has: the length of a caret below it.
    pub(crate) fn char_length(&self) -> usize {
        self.rest().chars().next().map_or(0, char::len_utf8)
    }
}
