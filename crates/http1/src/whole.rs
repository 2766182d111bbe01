//! Hot path. A plain head that lies whole in one slice.
//!
//! What it is: a shortcut for nearly every response there is. It answers only when the head is complete and
//! plain; then it answers exactly what [`crate::head::HeadMachine`] would.
//! What it is not: a judge. Whatever is unusual, cut or wrong, it leaves to that machine, which alone names
//! errors.

use crate::framing::{Coding, Facts, Head};
use crate::syntax::{control_free, is_long_token, token_length, trimmed};

/// A number of so many digits cannot overflow 64 bits.
const SAFE_DIGITS: usize = 18;

/// The size of the head at the beginning of `bytes`, and what it says.
#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
pub(crate) fn parse(bytes: &[u8]) -> Option<(usize, Head)> {
    let (version, rest) = bytes.split_first_chunk::<8>()?;
    let is_http11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return None,
    };
    let (&[b' ', hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' '], _) =
        rest.split_first_chunk::<5>()?
    else {
        return None;
    };
    let status = u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
    let mut at = 13;
    at += line_length(&bytes[at..])?;
    let mut facts = Facts::default();
    loop {
        let line = &bytes[at..];
        if let [b'\r', b'\n', ..] = line {
            return Some((at + 2, Head { status, is_http11, facts }));
        }
        // The end of the line is sought from its beginning, not from its colon: the next line then waits for one
        // scan instead of two, and the processor does both at once.
        let size = line_length(line)?;
        let name_length = token_length(line);
        if name_length == 0 || line.get(name_length) != Some(&b':') {
            return None;
        }
        note(&mut facts, &line[..name_length], &line[name_length + 1..size - 2])?;
        at += size;
    }
}

/// The size of the line at the beginning of `bytes`, with its CR LF; `None` if another control byte comes first.
#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
fn line_length(bytes: &[u8]) -> Option<usize> {
    let length = control_free(bytes);
    match bytes.get(length..) {
        Some([b'\r', b'\n', ..]) => Some(length + 2),
        _ => None,
    }
}

/// Notes what a field says; `None` if that is not plain.
#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
fn note(facts: &mut Facts, name: &[u8], value: &[u8]) -> Option<()> {
    match name.len() {
        14 if is_long_token(name, b"content-length") => {
            // A second one is left to the judge.
            if facts.content_length.is_some() {
                return None;
            }
            facts.content_length = Some(number(trimmed(value))?);
        }
        17 if is_long_token(name, b"transfer-encoding") => {
            if facts.coding != Coding::Absent || !trimmed(value).eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            facts.coding = Coding::Chunked;
        }
        10 if is_long_token(name, b"connection") => {
            let option = trimmed(value);
            if option.eq_ignore_ascii_case(b"keep-alive") {
                facts.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                facts.close = true;
            } else {
                return None;
            }
        }
        _ => {}
    }
    Some(())
}

#[expect(clippy::inline_always, reason = "calls cost a tenth of the whole-head path; benches/http1")]
#[inline(always)]
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > SAFE_DIGITS {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    Some(number)
}
