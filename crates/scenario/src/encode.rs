//! Hot path. Bytes written in other alphabets, numbers and times as text, digests. Everything appends to a buffer or replaces
//! its end; nothing allocates when the buffer has room.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use md5::Md5;
use sha2::{Digest, Sha256};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a number in decimal.
pub(crate) fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number in decimal, with its sign.
pub(crate) fn push_signed(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    push_number(number.unsigned_abs(), out);
}

/// Appends a number in decimal with leading zeros.
pub(crate) fn push_padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    push_number(number, out);
    while out.len() - start < width {
        out.insert(start, b'0');
    }
}

/// The two digits of a byte in hexadecimal.
pub(crate) fn hex_digits(byte: u8) -> [u8; 2] {
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

/// Appends bytes in hexadecimal.
pub(crate) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&hex_digits(*byte));
    }
}

/// How `replace` rewrites bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    Base64,
    Base64Url,
    Hex,
    Percent,
    Json,
}

/// Rewrites the end of the buffer, from `start`.
pub(crate) fn replace(out: &mut Vec<u8>, start: usize, alphabet: Alphabet) {
    let end = out.len();
    match alphabet {
        Alphabet::Base64 | Alphabet::Base64Url => {
            // Blocks of three bytes without padding in between, so that any length passes through a fixed buffer.
            let mut at = start;
            while at < end {
                let mut block = [0; 48];
                let length = (end - at).min(block.len());
                block[..length].copy_from_slice(&out[at..at + length]);
                let mut text = [0; 64];
                let engine = if alphabet == Alphabet::Base64 { &STANDARD } else { &URL_SAFE_NO_PAD };
                let written = engine.encode_slice(&block[..length], &mut text).unwrap_or_default();
                out.extend_from_slice(&text[..written]);
                at += length;
            }
        }
        Alphabet::Hex | Alphabet::Percent | Alphabet::Json => {
            for index in start..end {
                let byte = out[index];
                match alphabet {
                    Alphabet::Hex => push_hex(&[byte], out),
                    Alphabet::Percent => push_percent(byte, out),
                    _ => push_json(byte, out),
                }
            }
        }
    }
    out.drain(start..end);
}

/// Appends a byte percent-encoded, unless it is unreserved (RFC 3986 §2.3).
pub(crate) fn push_percent(byte: u8, out: &mut Vec<u8>) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        out.push(byte);
    } else {
        let digit = |value: u8| HEX[usize::from(value)].to_ascii_uppercase();
        out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
    }
}

/// Appends a byte as it stands in a JSON string (RFC 8259 §7).
pub(crate) fn push_json(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..0x20 => {
            out.extend_from_slice(b"\\u00");
            push_hex(&[byte], out);
        }
        _ => out.push(byte),
    }
}

/// Whether bytes are a number as JSON writes it (RFC 8259 §6).
pub(crate) fn is_json_number(bytes: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(behind) = rest.strip_prefix(b".") {
        let fraction = digits(behind);
        if fraction == 0 {
            return false;
        }
        rest = &behind[fraction..];
    }
    if let [b'e' | b'E', behind @ ..] = rest {
        let behind = behind.strip_prefix(b"+").or(behind.strip_prefix(b"-")).unwrap_or(behind);
        let power = digits(behind);
        return power > 0 && power == behind.len();
    }
    rest.is_empty()
}

/// The SHA-256 digest.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The MD5 digest.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// HMAC (RFC 2104) with SHA-256.
pub(crate) fn hmac_sha256(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&sha256(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner: [u8; 32] = Sha256::new().chain_update(padded(0x36)).chain_update(bytes).finalize().into();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

/// A day and a time in UTC.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: u64,
    pub(crate) month: u64,
    pub(crate) day: u64,
    pub(crate) seconds: u64,
}

impl Civil {
    /// From Unix time in seconds: days are counted from 1 March, so that leap days come last.
    pub(crate) const fn of(unix_seconds: u64) -> Self {
        let days = unix_seconds / 86_400 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        Self { year, month, day, seconds: unix_seconds % 86_400 }
    }
}

/// Appends the time as RFC 3339 in UTC, with milliseconds.
pub(crate) fn push_iso(unix_ns: u64, out: &mut Vec<u8>) {
    let civil = Civil::of(unix_ns / 1_000_000_000);
    let fields = [
        (civil.year, 4, b'-'),
        (civil.month, 2, b'-'),
        (civil.day, 2, b'T'),
        (civil.seconds / 3_600, 2, b':'),
        (civil.seconds / 60 % 60, 2, b':'),
        (civil.seconds % 60, 2, b'.'),
        (unix_ns / 1_000_000 % 1_000, 3, b'Z'),
    ];
    for (number, width, after) in fields {
        push_padded(number, width, out);
        out.push(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = b"<".to_vec();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn alphabets() {
        for (alphabet, text, expected) in [
            (Alphabet::Base64, "", "<"),
            (Alphabet::Base64, "a", "<YQ=="),
            (Alphabet::Base64, "user:p\u{e4}ss?", "<dXNlcjpww6Rzcz8="),
            (Alphabet::Base64Url, "\u{3ff}\u{3ff}?", "<z7_Pvz8"),
            (Alphabet::Hex, "a\n", "<610a"),
            (Alphabet::Percent, "a b/\u{e4}~", "<a%20b%2F%C3%A4~"),
            (Alphabet::Json, "a\"\\\n\u{1}\u{e4}", "<a\\\"\\\\\\n\\u0001\u{e4}"),
        ] {
            let out = written(|out| {
                out.extend_from_slice(text.as_bytes());
                replace(out, 1, alphabet);
            });
            assert_eq!(out, expected);
        }
        let long = vec![b'x'; 1_000];
        let out = written(|out| {
            out.extend_from_slice(&long);
            replace(out, 1, Alphabet::Base64);
        });
        assert_eq!(out[1..], STANDARD.encode(&long));
    }

    #[test]
    fn numbers_and_times() {
        assert_eq!(written(|out| push_number(0, out)), "<0");
        assert_eq!(written(|out| push_number(u64::MAX, out)), "<18446744073709551615");
        assert_eq!(written(|out| push_signed(i64::MIN, out)), "<-9223372036854775808");
        assert_eq!(written(|out| push_iso(0, out)), "<1970-01-01T00:00:00.000Z");
        assert_eq!(written(|out| push_iso(951_827_696_007_000_000, out)), "<2000-02-29T12:34:56.007Z");
        assert_eq!(written(|out| push_iso(1_763_666_374_000_000_000, out)), "<2025-11-20T19:19:34.000Z");
    }

    /// RFC 4231 test cases 2 and 6; RFC 1321.
    #[test]
    fn numbers_are_those_of_json() {
        for text in ["0", "-0", "7", "-12.50", "1e9", "1E-9", "0.1e+2", "18446744073709551616"] {
            assert!(is_json_number(text.as_bytes()), "{text}");
        }
        for text in
            ["", "-", "01", "1.", ".5", "+1", "1e", "1e+", "1 ", " 1", "0x1", "NaN", "1,2", "--1", "1e1.0"]
        {
            assert!(!is_json_number(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn digests() {
        let hex = |bytes: &[u8]| written(|out| push_hex(bytes, out));
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "<5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "<60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        assert_eq!(hex(&md5(b"abc")), "<900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex(&sha256(b"")), "<e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
