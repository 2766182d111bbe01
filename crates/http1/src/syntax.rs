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
#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
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
#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
pub(crate) fn token_length(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut length = 0;
    // Nearly all names are letters and hyphens up to a colon; other bytes are left to the table.
    for word in words {
        let letters = letters_before(u64::from_le_bytes(*word));
        length += letters;
        if letters < 8 {
            if word[letters] == b':' {
                return length;
            }
            break;
        }
    }
    length + bytes[length..].iter().position(|byte| !is_token(*byte)).unwrap_or(bytes.len() - length)
}

/// How many letters and hyphens `word` begins with, in its bytes' order in memory.
#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
const fn letters_before(word: u64) -> usize {
    // Each byte has its top bit cleared first, so that no sum carries into the next byte: the marks are exact.
    let low = word & !HIGHS;
    let lower_case = low | (ONES * 0x20);
    let letters = (lower_case + ONES * (0x80 - b'a' as u64)) & !(lower_case + ONES * (0x7f - b'z' as u64));
    let hyphens = !((low ^ (ONES * b'-' as u64)) + ONES * 0x7f);
    let others = !((letters | hyphens) & !word) & HIGHS;
    (others.trailing_zeros() / 8) as usize
}

/// Whether `token`, which must have token bytes only, is `wanted`, in any case. `wanted` has eight or more
/// bytes, in lower case.
#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
pub(crate) fn is_long_token(token: &[u8], wanted: &[u8]) -> bool {
    token.len() == wanted.len()
        && token.as_chunks::<8>().0.iter().zip(wanted.as_chunks::<8>().0).all(same_word)
        && token.last_chunk::<8>().zip(wanted.last_chunk::<8>()).is_some_and(same_word)
}

/// Among token bytes, setting 0x20 joins the cases of letters, and nothing else to a letter or a hyphen.
#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
fn same_word((token, wanted): (&[u8; 8], &[u8; 8])) -> bool {
    u64::from_le_bytes(*token) | (ONES * 0x20) == u64::from_le_bytes(*wanted)
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
