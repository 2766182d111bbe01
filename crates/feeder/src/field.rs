//! Hot path. One value of a row, as it stands in the file until it is wanted.

use std::borrow::Cow;

/// A field: bytes of the file, and how they are coded.
///
/// The text is UTF-8, which was checked when the table was read.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    raw: &'a [u8],
    coding: Coding,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Coding {
    /// As it is.
    Plain,
    /// Quotes are doubled (RFC 4180 §2, 7).
    DoubledQuotes,
    /// A JSON string with escapes (RFC 8259 §7), without its quotes.
    Escapes,
}

impl<'a> Field<'a> {
    pub(crate) const fn plain_bytes(raw: &'a [u8]) -> Self {
        Self { raw, coding: Coding::Plain }
    }

    pub(crate) const fn doubled_quotes(raw: &'a [u8]) -> Self {
        Self { raw, coding: Coding::DoubledQuotes }
    }

    pub(crate) const fn escapes(raw: &'a [u8]) -> Self {
        Self { raw, coding: Coding::Escapes }
    }

    /// The text where it stands in the file, unless it has to be decoded.
    #[inline]
    pub fn plain(self) -> Option<&'a [u8]> {
        (self.coding == Coding::Plain).then_some(self.raw)
    }

    /// The text, decoded into memory of its own where it has to be.
    pub fn text(self) -> Cow<'a, [u8]> {
        self.plain().map_or_else(
            || {
                let mut text = Vec::with_capacity(self.raw.len());
                self.append_to(&mut text);
                Cow::Owned(text)
            },
            Cow::Borrowed,
        )
    }

    /// Appends the text to `out`, which grows by no more than the field has bytes in the file.
    #[inline]
    pub fn append_to(self, out: &mut Vec<u8>) {
        match self.coding {
            Coding::Plain => out.extend_from_slice(self.raw),
            Coding::DoubledQuotes => append_quoted(self.raw, out),
            Coding::Escapes => append_escaped(self.raw, out),
        }
    }
}

/// The size alone: the text may be a secret.
impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Field({} bytes, {:?})", self.raw.len(), self.coding)
    }
}

fn append_quoted(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        out.extend_from_slice(&rest[..=quote]);
        rest = rest.get(quote + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// What is no escape is dropped: the table has none, but a file may change after it was read.
fn append_escaped(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..backslash]);
        let escape = &rest[backslash + 1..];
        let Some(&kind) = escape.first() else { return };
        rest = &escape[1..];
        match kind {
            b'"' | b'\\' | b'/' => out.push(kind),
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                if let Some((character, size)) = code_point(rest) {
                    let mut buffer = [0; 4];
                    out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                    rest = &rest[size..];
                }
            }
            _ => {}
        }
    }
    out.extend_from_slice(rest);
}

/// The character whose escape goes on with `rest` behind its `\u`, and how many bytes of `rest` belong to it. None if it
/// is a lone surrogate, or no hexadecimal number.
pub(crate) fn code_point(rest: &[u8]) -> Option<(char, usize)> {
    let unit = code_unit(rest)?;
    if let Some(character) = char::from_u32(unit) {
        return Some((character, 4));
    }
    // RFC 8259 §7: what lies beyond the first plane is a pair of surrogates.
    let low = rest.get(4..6).filter(|mark| *mark == b"\\u").and_then(|_| code_unit(&rest[6..]))?;
    if unit >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    let character = char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?;
    Some((character, 10))
}

fn code_unit(rest: &[u8]) -> Option<u32> {
    let digits = rest.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}
