//! Hot path. JSON lines: an object on each line, its members the columns.
//!
//! What it is: [`Members`] checks a line when the table is read, [`field`] finds a member of one that was checked.
//! What it is not: a tree. A string is its text; any other value is its JSON text as it stands in the file, `null` too.

use memchr::{memchr, memchr2};

use crate::error::FeederError;
use crate::field::Field;
use crate::json::Cursor;
use crate::position::Position;
use crate::rows::ROW_BYTES_MAX;

/// Walks the members of the object on one line.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Members<'a> {
    cursor: Cursor<'a>,
    is_first: bool,
}

/// Where the first line at or behind `at` that is not blank begins and ends (its line feed excluded). None at the end of
/// the file.
pub(crate) fn next_line(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, FeederError> {
    let start = bytes.len() - trimmed(&bytes[at..]).len();
    if start == bytes.len() {
        return Ok(None);
    }
    let window = &bytes[start..bytes.len().min(start + ROW_BYTES_MAX)];
    match memchr(b'\n', window) {
        Some(size) => Ok(Some((start, start + size))),
        None if start + window.len() == bytes.len() => Ok(Some((start, bytes.len()))),
        None => Err(FeederError::RowTooLong { position: Position::of(bytes, start) }),
    }
}

impl<'a> Members<'a> {
    /// Of the object that begins at `start`, on a line that ends at `end`.
    pub(crate) fn new(bytes: &'a [u8], start: usize, end: usize) -> Result<Self, FeederError> {
        let mut cursor = Cursor { bytes, at: start, end };
        if cursor.peek() == Some(b'[') {
            return Err(cursor.fault("an array begins here", "write one object per line (jq -c '.[]' does)"));
        }
        cursor.expect(b'{', "the line is no JSON object")?;
        Ok(Self { cursor, is_first: true })
    }

    /// Checks the next member; its key without quotes, as it stands, and where that is. None behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<(Field<'a>, usize)>, FeederError> {
        let cursor = &mut self.cursor;
        cursor.space();
        if cursor.peek() == Some(b'}') {
            return self.end();
        }
        if !self.is_first {
            cursor.expect(b',', "a comma or } is missing")?;
            cursor.space();
        }
        self.is_first = false;
        let start = self.cursor.at;
        self.cursor.key()?;
        let key =
            string(&self.cursor.bytes[start..self.cursor.at]).map_or(Field::plain_bytes(b""), |(key, _)| key);
        self.cursor.value()?;
        Ok(Some((key, start)))
    }

    fn end(&mut self) -> Result<Option<(Field<'a>, usize)>, FeederError> {
        self.cursor.at += 1;
        self.cursor.space();
        if self.cursor.peek().is_some() {
            return Err(self
                .cursor
                .fault("text behind the object", "write one object per line (jq -c does)"));
        }
        Ok(None)
    }
}

/// The member called `name` of an object that was found in order. Empty if the bytes have changed and there is none.
pub(crate) fn field<'a>(row: &'a [u8], name: &[u8]) -> Field<'a> {
    find(row, name).unwrap_or(Field::plain_bytes(b""))
}

fn find<'a>(row: &'a [u8], name: &[u8]) -> Option<Field<'a>> {
    let mut rest = trimmed(row).strip_prefix(b"{")?;
    loop {
        let (key, size) = string(trimmed(rest))?;
        rest = trimmed(trimmed(rest).get(size..)?).strip_prefix(b":")?;
        rest = trimmed(rest);
        let size = value_size(rest)?;
        if names(key, name) {
            let value = &rest[..size];
            return Some(string(value).map_or(Field::plain_bytes(value), |(text, _)| text));
        }
        rest = trimmed(&rest[size..]).strip_prefix(b",")?;
    }
}

/// Whether a key is `name`.
pub(crate) fn names(key: Field<'_>, name: &[u8]) -> bool {
    key.plain().map_or_else(|| *key.text() == *name, |key| key == name)
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    &bytes[spaces.unwrap_or(bytes.len())..]
}

/// The string with which `bytes` begin, and how many of them it takes.
fn string(bytes: &[u8]) -> Option<(Field<'_>, usize)> {
    let inner = bytes.strip_prefix(b"\"")?;
    let mut at = 0;
    let mut is_plain = true;
    loop {
        at += memchr2(b'"', b'\\', inner.get(at..)?)?;
        if inner[at] == b'"' {
            let raw = &inner[..at];
            let field = if is_plain { Field::plain_bytes(raw) } else { Field::escapes(raw) };
            return Some((field, at + 2));
        }
        is_plain = false;
        at += 2;
    }
}

/// How many bytes the value takes with which `bytes` begin.
fn value_size(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' => string(bytes).map(|(_, size)| size),
        b'{' | b'[' => nested_size(bytes),
        _ => bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n')),
    }
}

fn nested_size(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += string(&bytes[at..])?.1;
                continue;
            }
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}
