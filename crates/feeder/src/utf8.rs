//! Whether a file is UTF-8, checked along with its rows while they are in the processor's caches.

use crate::error::FeederError;
use crate::position::Position;

/// Checked at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// How far a file has been checked.
#[derive(Debug, Default)]
pub(crate) struct Utf8 {
    checked: usize,
}

impl Utf8 {
    /// Makes sure that the first `upto` bytes have been checked.
    #[inline]
    pub(crate) fn check(&mut self, bytes: &[u8], upto: usize) -> Result<(), FeederError> {
        while self.checked < upto {
            self.check_chunk(bytes)?;
        }
        Ok(())
    }

    fn check_chunk(&mut self, bytes: &[u8]) -> Result<(), FeederError> {
        let end = bytes.len().min(self.checked + CHUNK_BYTES);
        match std::str::from_utf8(&bytes[self.checked..end]) {
            Ok(_) => self.checked = end,
            // The chunk ends within a character; the next one begins with it.
            Err(error) if error.error_len().is_none() && end < bytes.len() => {
                self.checked += error.valid_up_to();
            }
            Err(error) => {
                let position = Position::of(bytes, self.checked + error.valid_up_to());
                return Err(FeederError::NoUtf8 { position });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_may_lie_across_chunks() {
        for shift in 0..4 {
            let text = format!("{}{}", "x".repeat(shift), "🦀".repeat(50_000));
            let mut utf8 = Utf8::default();
            utf8.check(text.as_bytes(), 1).unwrap();
            assert!(utf8.checked <= CHUNK_BYTES);
            utf8.check(text.as_bytes(), text.len()).unwrap();
            assert_eq!(utf8.checked, text.len());
        }
    }

    #[test]
    fn the_first_wrong_byte_is_found() {
        let (crabs, size) = ("🦀".repeat(50_000), 200_000);
        for wrong in [&b"\xff"[..], b"\xc3(", b"\xf0\x9f\xa6", b"\xed\xa0\x80"] {
            for tail in [&b""[..], b"more"] {
                let bytes = [crabs.as_bytes(), b"\nab", wrong, tail].concat();
                let error = Utf8::default().check(&bytes, bytes.len()).expect_err("wrong");
                assert_eq!(error, FeederError::NoUtf8 { position: Position::of(&bytes, size + 3) });
                assert_eq!(Position::of(&bytes, size + 3), Position { line: 2, column: 3 });
            }
        }
    }
}
