//! Hot path. The character classes of HTTP, and scans over them.
//!
//! Invariant: the scans are exact for every slice; they are eight bytes wide for speed only.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Which bytes a token may have (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        // `as` is exact: byte < 256; there is no const conversion yet.
        #[expect(clippy::cast_possible_truncation, reason = "byte < 256")]
        let candidate = byte as u8;
        table[byte] = candidate.is_ascii_alphanumeric()
            || matches!(
                candidate,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// Whether `byte` may stand in a token, such as a method or a field name.
#[inline]
pub(crate) const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether `byte` is one of the two kinds of white space (OWS) that may stand inside a line.
#[inline]
pub(crate) const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// How many bytes of `bytes` come before the first control byte (0x00 to 0x1F, 0x7F): all, if there is none.
#[inline]
pub(crate) fn control_free(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A byte is marked if it is below 0x20, or if it is 0x7F. Borrows can mark bytes wrongly, but only
        // above a rightly marked one, so the lowest mark is exact.
        let low = word.wrapping_sub(ONES * 0x20) & !word;
        let delete = word ^ (ONES * 0x7f);
        let delete = delete.wrapping_sub(ONES) & !delete;
        let marks = (low | delete) & HIGHS;
        if marks != 0 {
            return index * 8 + (marks.trailing_zeros() / 8) as usize;
        }
    }
    let before = words.len() * 8;
    before + rest.iter().position(u8::is_ascii_control).unwrap_or(rest.len())
}

/// How many bytes of `bytes` come before the first that no token may have: all, if there is none.
#[inline]
pub(crate) fn token_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_token(*byte)).unwrap_or(bytes.len())
}

/// `bytes` without white space at either end.
#[inline]
pub(crate) fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_white(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_white(*last)
    {
        bytes = rest;
    }
    bytes
}
