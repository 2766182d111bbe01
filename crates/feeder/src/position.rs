//! Where in a file something stands.

use std::fmt;

/// The mark with which some programs begin a UTF-8 file.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A place in a file.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1; lines end with a line feed, in quoted fields as well.
    pub line: u64,
    /// The byte in that line, from 1; a byte order mark does not count.
    pub column: u64,
}

impl Position {
    /// Of the byte at `offset`. It counts all lines before, so it is for errors.
    pub(crate) fn of(bytes: &[u8], offset: usize) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let before = before.strip_prefix(BYTE_ORDER_MARK).unwrap_or(before);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
        let line_count = memchr::memchr_iter(b'\n', before).count();
        Self { line: line_count as u64 + 1, column: (before.len() - line_start) as u64 + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bytes_count_from_1() {
        for (bytes, offset, line, column) in [
            (&b""[..], 0, 1, 1),
            (b"ab", 1, 1, 2),
            (b"ab\ncd", 2, 1, 3),
            (b"ab\ncd", 3, 2, 1),
            (b"ab\r\n\r\ncd", 7, 3, 2),
            (b"\xef\xbb\xbfab\ncd", 4, 1, 2),
            (b"\xef\xbb\xbfab\ncd", 7, 2, 2),
            (b"\xef\xbb", 1, 1, 2),
        ] {
            assert_eq!(Position::of(bytes, offset), Position { line, column }, "{bytes:?} {offset}");
        }
    }
}
