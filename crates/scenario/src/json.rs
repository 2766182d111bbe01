//! Hot path. Finds what a path selects in received JSON: one pass over the bytes, no tree, no allocation.
//!
//! What it is: a scanner that checks the syntax (RFC 8259) of all that it passes, and carries, from a value to its children,
//! the set of path segments that are matched so far. What it is not: a decoder of the whole document; once a visitor has
//! what it wants, the rest is not read.
//!
//! Matches come in the order of the document, a value before those within it, each once. An array whose elements are counted
//! from its end is passed twice, and so is a match within which others may lie. Invariant: a value that is cut off is no match.

use std::ops::ControlFlow;

use crate::json_path::{JsonPath, Selector};

/// Deepest nesting of a document; deeper ones are invalid here.
const DEPTH_MAX: usize = 128;

/// The document ends too early, is no JSON, or is nested too deep, at that byte.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct InvalidJson {
    /// The byte at which the fault was noticed.
    pub offset: usize,
}

impl JsonPath {
    /// Hands every match to `visit`, as written in the document, until it breaks off.
    pub fn find<'a>(
        &self,
        json: &'a [u8],
        visit: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>,
    ) -> Result<(), InvalidJson> {
        let mut scan = Scan { json, at: 0, path: self, visit };
        scan.space();
        let done = scan.value(1, 0)?;
        if done.is_continue() {
            scan.space();
            if scan.at < json.len() {
                return Err(scan.invalid());
            }
        }
        Ok(())
    }

    /// The first match, as written in the document.
    pub fn first<'a>(&self, json: &'a [u8]) -> Result<Option<&'a [u8]>, InvalidJson> {
        let mut found = None;
        self.find(json, &mut |value| {
            found = Some(value);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// How many matches there are.
    pub fn count(&self, json: &[u8]) -> Result<u64, InvalidJson> {
        let mut count = 0;
        self.find(json, &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }
}

/// Appends what a value means as a text: a string without its quotation marks and escapes, anything else as written.
pub(crate) fn push_text(value: &[u8], out: &mut Vec<u8>) {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        out.extend_from_slice(value);
        return;
    };
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (character, after) = unescaped(&rest[at + 1..]);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// The character of the escape whose backslash was taken, and what follows it. The syntax was checked before.
fn unescaped(rest: &[u8]) -> (char, &[u8]) {
    let Some((&kind, rest)) = rest.split_first() else { return (char::REPLACEMENT_CHARACTER, rest) };
    let plain = match kind {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unescaped_unicode(rest),
        other => char::from(other),
    };
    (plain, rest)
}

fn unescaped_unicode(rest: &[u8]) -> (char, &[u8]) {
    let (unit, mut rest) = (code_unit(rest), rest.get(4..).unwrap_or_default());
    let mut code = u32::from(unit);
    if (0xD800..0xDC00).contains(&unit)
        && let Some(second) = rest.strip_prefix(b"\\u")
    {
        let low = code_unit(second);
        if (0xDC00..0xE000).contains(&low) {
            code = 0x1_0000 + ((u32::from(unit) - 0xD800) << 10) + (u32::from(low) - 0xDC00);
            rest = second.get(4..).unwrap_or_default();
        }
    }
    // A surrogate without its partner means no character.
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

fn code_unit(digits: &[u8]) -> u16 {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok()).unwrap_or(0);
    digits.iter().take(4).fold(0, |unit, byte| unit << 4 | digit(byte))
}

struct Scan<'a, 'p> {
    json: &'a [u8],
    at: usize,
    path: &'p JsonPath,
    visit: &'p mut dyn FnMut(&'a [u8]) -> ControlFlow<()>,
}

type Scanned = Result<ControlFlow<()>, InvalidJson>;

impl<'a> Scan<'a, '_> {
    const fn invalid(&self) -> InvalidJson {
        InvalidJson { offset: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), InvalidJson> {
        if self.peek() != Some(byte) {
            return Err(self.invalid());
        }
        self.at += 1;
        Ok(())
    }

    /// Passes a value. Bit n of `state`: the first n segments lead to it.
    fn value(&mut self, state: u64, depth: usize) -> Scanned {
        let whole = 1 << self.path.segments.len();
        let start = self.at;
        let inner = state & !whole;
        if state & whole != 0 {
            self.skip(depth)?;
            if (self.visit)(&self.json[start..self.at]).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if inner == 0 {
                return Ok(ControlFlow::Continue(()));
            }
            self.at = start;
        }
        match self.peek() {
            Some(b'{') if inner != 0 => self.object(inner, depth),
            Some(b'[') if inner != 0 => self.array(inner, depth),
            _ => self.skip(depth).map(ControlFlow::Continue),
        }
    }

    fn object(&mut self, state: u64, depth: usize) -> Scanned {
        self.open(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(ControlFlow::Continue(()));
        }
        loop {
            let name = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            let next = self.advance(state, |selector| match selector {
                Selector::Name(wanted) => is_name(name, wanted),
                Selector::Wildcard => true,
                Selector::Index(_) | Selector::Slice(..) => false,
            });
            if self.value(next, depth + 1)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if self.close(b'}')? {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    fn array(&mut self, state: u64, depth: usize) -> Scanned {
        let length = if self.needs_length(state) { self.length(depth)? } else { 0 };
        self.open(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(ControlFlow::Continue(()));
        }
        let mut index = 0;
        loop {
            let next = self.advance(state, |selector| selector.selects(index, length));
            if self.value(next, depth + 1)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            index += 1;
            if self.close(b']')? {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    /// The state of a child that `selected` says about.
    fn advance(&self, state: u64, selected: impl Fn(&Selector) -> bool) -> u64 {
        let mut next = 0;
        for (index, segment) in self.path.segments.iter().enumerate() {
            if state >> index & 1 == 1 {
                if segment.is_descendant {
                    next |= 1 << index;
                }
                if selected(&segment.selector) {
                    next |= 1 << (index + 1);
                }
            }
        }
        next
    }

    fn needs_length(&self, state: u64) -> bool {
        let mut segments = self.path.segments.iter().enumerate();
        segments.any(|(index, segment)| state >> index & 1 == 1 && segment.selector.counts_from_end())
    }

    /// How many elements the array has that begins here; does not move.
    fn length(&mut self, depth: usize) -> Result<i64, InvalidJson> {
        let start = self.at;
        self.open(depth)?;
        let mut length = 0;
        if self.peek() != Some(b']') {
            loop {
                self.skip(depth + 1)?;
                length += 1;
                if self.close(b']')? {
                    break;
                }
            }
        }
        self.at = start;
        Ok(length)
    }

    /// Takes the opening bracket, which is here, and the space after it.
    fn open(&mut self, depth: usize) -> Result<(), InvalidJson> {
        if depth == DEPTH_MAX {
            return Err(self.invalid());
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// After an element: whether `bracket` ends the container; else a comma was taken.
    fn close(&mut self, bracket: u8) -> Result<bool, InvalidJson> {
        self.space();
        if self.peek() == Some(bracket) {
            self.at += 1;
            return Ok(true);
        }
        self.expect(b',')?;
        self.space();
        Ok(false)
    }

    /// Passes a value in which nothing is looked for.
    fn skip(&mut self, depth: usize) -> Result<(), InvalidJson> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.skip_object(depth),
            Some(b'[') => {
                self.open(depth)?;
                if self.peek() == Some(b']') {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    self.skip(depth + 1)?;
                    if self.close(b']')? {
                        return Ok(());
                    }
                }
            }
            Some(b't') => self.word(b"true", depth),
            Some(b'f') => self.word(b"false", depth),
            Some(b'n') => self.word(b"null", depth),
            _ => self.number(depth),
        }
    }

    fn skip_object(&mut self, depth: usize) -> Result<(), InvalidJson> {
        self.open(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            self.skip(depth + 1)?;
            if self.close(b'}')? {
                return Ok(());
            }
        }
    }

    /// Passes a string; returns what stands between its quotation marks.
    fn string(&mut self) -> Result<&'a [u8], InvalidJson> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.json[start..self.at - 1]);
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(0..0x20) | None => return Err(self.invalid()),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), InvalidJson> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.invalid());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.invalid()),
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8], depth: usize) -> Result<(), InvalidJson> {
        if !self.json[self.at..].starts_with(word) {
            return Err(self.invalid());
        }
        self.at += word.len();
        self.ended(depth)
    }

    fn number(&mut self, depth: usize) -> Result<(), InvalidJson> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.ended(depth)
    }

    fn digits(&mut self) -> Result<(), InvalidJson> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.invalid()) } else { Ok(()) }
    }

    /// A number or word within a container must be followed by something: else it may have been cut off.
    fn ended(&self, depth: usize) -> Result<(), InvalidJson> {
        match self.peek() {
            None if depth == 0 => Ok(()),
            Some(b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') => Ok(()),
            _ => Err(self.invalid()),
        }
    }
}

/// Whether a name, as written between its quotation marks, is the wanted one. Names with escapes are rare; they are undone
/// character by character, without a buffer.
fn is_name(written: &[u8], wanted: &str) -> bool {
    let (mut rest, mut wanted) = (written, wanted.as_bytes());
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let Some(remaining) = wanted.strip_prefix(&rest[..at]) else { return false };
        let (character, after) = unescaped(&rest[at + 1..]);
        let Some(remaining) = remaining.strip_prefix(character.encode_utf8(&mut [0; 4]).as_bytes()) else {
            return false;
        };
        (rest, wanted) = (after, remaining);
    }
    rest == wanted
}

#[cfg(test)]
#[path = "json/tests.rs"]
mod tests;
