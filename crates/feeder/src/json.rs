//! JSON texts as RFC 8259 has them, walked without a tree.
//!
//! What it is: a cursor over bytes that checks one value after the other and says what is wrong where.
//! What it is not: recursive; 128 levels are kept as bits.

use crate::error::FeederError;
use crate::field::code_point;
use crate::position::Position;

/// Levels of arrays and objects within each other, the row itself included.
const DEPTH_MAX: u32 = 127;

/// A place in a line of JSON.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Cursor<'a> {
    /// The file, for positions.
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    /// Where the line ends.
    pub(crate) end: usize,
}

const ONE_OBJECT: &str = "write one JSON object per line (jq -c does)";

impl Cursor<'_> {
    pub(crate) fn peek(&self) -> Option<u8> {
        if self.at < self.end { Some(self.bytes[self.at]) } else { None }
    }

    /// Passes white space (§2).
    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    pub(crate) fn fault(&self, what: &'static str, fix: &'static str) -> FeederError {
        FeederError::Json { position: Position::of(self.bytes, self.at), what, fix }
    }

    /// Passes `byte` or says what is missing.
    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), FeederError> {
        if self.peek() != Some(byte) {
            return Err(self.fault(what, ONE_OBJECT));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes a value, which is a member of an object.
    pub(crate) fn value(&mut self) -> Result<(), FeederError> {
        // A bit for each level that is open: 1 for an object. The lowest is the innermost.
        let (mut levels, mut depth) = (0_u128, 1_u32);
        loop {
            self.space();
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return Err(self.fault("a value is more than 127 levels deep", "flatten it"));
                    }
                    levels = levels << 1 | u128::from(open == b'{');
                    self.at += 1;
                    self.space();
                    if !matches!((open, self.peek()), (b'{', Some(b'}')) | (b'[', Some(b']'))) {
                        if open == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                    self.at += 1;
                    levels >>= 1;
                    depth -= 1;
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => self.word()?,
            }
            if self.close(&mut levels, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// Behind a value: closes levels until another value is due, or the outermost is done (`true`).
    fn close(&mut self, levels: &mut u128, depth: &mut u32) -> Result<bool, FeederError> {
        while *depth > 1 {
            self.space();
            let is_object = *levels & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if is_object {
                        self.space();
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if is_object => {}
                Some(b']') if !is_object => {}
                _ if is_object => return Err(self.fault("a comma or } is missing", ONE_OBJECT)),
                _ => return Err(self.fault("a comma or ] is missing", ONE_OBJECT)),
            }
            self.at += 1;
            *levels >>= 1;
            *depth -= 1;
        }
        Ok(true)
    }

    /// Passes a key and its colon.
    pub(crate) fn key(&mut self) -> Result<(), FeederError> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("a key in quotes is missing", ONE_OBJECT));
        }
        self.string()?;
        self.space();
        self.expect(b':', "the colon behind a key is missing")
    }

    /// Passes a string (§7).
    fn string(&mut self) -> Result<(), FeederError> {
        let open = *self;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape()?,
                0..0x20 => {
                    return Err(self.fault("a control character stands in a string", "write it as \\u00XX"));
                }
                _ => self.at += 1,
            }
        }
        Err(open.fault("the string that begins here is not closed", ONE_OBJECT))
    }

    fn escape(&mut self) -> Result<(), FeederError> {
        let rest = &self.bytes[self.at + 1..self.end];
        match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match code_point(&rest[1..]) {
                Some((_, size)) => self.at += 2 + size,
                None => {
                    return Err(self.fault("the escape is no character", "\\uXXXX, or a pair of surrogates"));
                }
            },
            _ => return Err(self.fault("there is no such escape", "double the backslash")),
        }
        Ok(())
    }

    /// Passes a number (§6).
    fn number(&mut self) -> Result<(), FeederError> {
        let start = *self;
        let wrong = || Err(start.fault("the number is none in JSON", "put it in quotes"));
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading = self.peek();
        let count = self.digits();
        if count == 0 || (count > 1 && leading == Some(b'0')) {
            return wrong();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return wrong();
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return wrong();
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    /// Passes `true`, `false` or `null`.
    fn word(&mut self) -> Result<(), FeederError> {
        let rest = &self.bytes[self.at..self.end];
        let Some(word) = [&b"true"[..], b"false", b"null"].into_iter().find(|word| rest.starts_with(word))
        else {
            return Err(self.fault("a value is missing", "a text in quotes, a number, true, false or null"));
        };
        self.at += word.len();
        Ok(())
    }
}
