//! Hot path. CSV as RFC 4180 has it: where rows end, what is wrong with them, and where their fields are.
//!
//! What it is: [`Csv::row_end`] checks a row when the table is read, [`field`] finds a field of a row that was checked.
//! What it is not: lenient. Beyond the RFC only: line ends may be LF, another separator may be named, and lines without
//! a byte are passed over (an empty value of a table with one column is written `""`).

use memchr::{memchr, memchr2};

use crate::error::FeederError;
use crate::field::Field;
use crate::position::Position;
use crate::rows::ROW_BYTES_MAX;

/// A CSV file under examination.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Csv<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) delimiter: u8,
}

/// A row that is in order.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct CsvRow {
    /// Where the row ends, its line end included.
    pub(crate) end: usize,
    pub(crate) field_count: usize,
}

impl Csv<'_> {
    /// The first byte at or behind `at` that is not an empty line's.
    pub(crate) fn skip_empty_lines(&self, mut at: usize) -> usize {
        loop {
            match &self.bytes[at..] {
                [b'\n', ..] => at += 1,
                [b'\r', b'\n', ..] => at += 2,
                _ => return at,
            }
        }
    }

    /// Checks the row that begins at `start`.
    pub(crate) fn row(&self, start: usize) -> Result<CsvRow, FeederError> {
        let limit = self.bytes.len().min(start + ROW_BYTES_MAX);
        let window = &self.bytes[start..limit];
        let (line, end) = match memchr(b'\n', window) {
            Some(line_end) => (&window[..line_end], start + line_end + 1),
            None => (window, limit),
        };
        // Most rows are one line without quotes: they need to be counted, not parsed.
        let special = memchr2(b'"', b'\r', line);
        let is_ended = end > start + line.len();
        if special.is_none_or(|at| line[at] == b'\r' && at + 1 == line.len() && is_ended) {
            if !is_ended && limit < self.bytes.len() {
                return Err(FeederError::RowTooLong { position: self.position(start) });
            }
            return Ok(CsvRow { end, field_count: memchr::memchr_iter(self.delimiter, line).count() + 1 });
        }
        self.quoted_row(start, limit)
    }

    fn quoted_row(&self, start: usize, limit: usize) -> Result<CsvRow, FeederError> {
        let bytes = &self.bytes[..limit];
        let mut at = start;
        let mut field_count = 1;
        loop {
            let is_quoted = bytes.get(at) == Some(&b'"');
            at = if is_quoted { self.quoted_end(at, limit)? } else { self.bare_end(at, limit) };
            match &bytes[at..] {
                [] if limit < self.bytes.len() => {
                    return Err(FeederError::RowTooLong { position: self.position(start) });
                }
                [] => return Ok(CsvRow { end: at, field_count }),
                [b'\n', ..] => return Ok(CsvRow { end: at + 1, field_count }),
                [b'\r', b'\n', ..] => return Ok(CsvRow { end: at + 2, field_count }),
                [byte, ..] if *byte == self.delimiter => {
                    field_count += 1;
                    at += 1;
                }
                [b'\r', ..] => return Err(FeederError::BareReturn { position: self.position(at) }),
                _ if is_quoted => return Err(FeederError::TextBehindQuote { position: self.position(at) }),
                _ => return Err(FeederError::QuoteInside { position: self.position(at) }),
            }
        }
    }

    /// The byte behind the quote that closes the one at `open`.
    fn quoted_end(&self, open: usize, limit: usize) -> Result<usize, FeederError> {
        let mut at = open + 1;
        loop {
            let Some(quote) = memchr(b'"', &self.bytes[at..limit]) else {
                return Err(FeederError::OpenQuote { position: self.position(open) });
            };
            at += quote + 1;
            if self.bytes[at..limit].first() != Some(&b'"') {
                return Ok(at);
            }
            at += 1;
        }
    }

    /// The first byte at or behind `at` that a field without quotes cannot hold.
    fn bare_end(&self, at: usize, limit: usize) -> usize {
        let ends = |byte: &u8| *byte == self.delimiter || matches!(byte, b'"' | b'\r' | b'\n');
        at + self.bytes[at..limit].iter().position(ends).unwrap_or(limit - at)
    }

    pub(crate) fn position(&self, offset: usize) -> Position {
        Position::of(self.bytes, offset)
    }
}

/// Field `column` of a row that was found in order. Lines without a byte may follow the row. Empty if the bytes have
/// changed and there is no such field any more.
#[inline]
pub(crate) fn field(row: &[u8], delimiter: u8, column: usize) -> Field<'_> {
    let mut rest = row;
    for _ in 0..column {
        let (_, end) = cut(rest, delimiter);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    cut(rest, delimiter).0
}

/// The field with which `rest` begins, and where it ends.
#[inline]
fn cut(rest: &[u8], delimiter: u8) -> (Field<'_>, usize) {
    if rest.first() != Some(&b'"') {
        let end = memchr(delimiter, rest).unwrap_or_else(|| line_end(rest));
        return (Field::plain_bytes(&rest[..end]), end);
    }
    let mut at = 1;
    let mut is_plain = true;
    while let Some(quote) = memchr(b'"', &rest[at..]) {
        at += quote + 1;
        if rest.get(at) != Some(&b'"') {
            let inner = &rest[1..at - 1];
            let field = if is_plain { Field::plain_bytes(inner) } else { Field::doubled_quotes(inner) };
            return (field, at);
        }
        is_plain = false;
        at += 1;
    }
    (Field::plain_bytes(b""), rest.len())
}

/// Where the first line of `rest` ends, without its line end.
fn line_end(rest: &[u8]) -> usize {
    let end = memchr(b'\n', rest).unwrap_or(rest.len());
    if end < rest.len() && rest[..end].last() == Some(&b'\r') { end - 1 } else { end }
}
