//! AWS Signature Version 4, put on a request that was just written to the end of a buffer.
//!
//! What it is: the canonical form of the request, its signature, and the header lines that carry it, all built at the end of the
//! same buffer; nothing allocates when it has room. Signed are `Host`, `Content-Type`, `Date`, `Range` and all `X-Amz-…` fields.
//! What it is not: chunked or pre-signed uploads; the body is signed as a whole.

use std::ops::Range;

use crate::encode::{self, Civil};
use crate::location::path_of;
use crate::value::{Failure, Filler, Value};

/// Most header fields that are signed, and most parameters of a query.
const PAIRS_MAX: usize = 64;
const ALGORITHM: &[u8] = b"AWS4-HMAC-SHA256";
const TERMINATOR: &[u8] = b"aws4_request";

/// The values that a signature needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aws {
    pub(crate) access_key: Value,
    pub(crate) secret_key: Value,
    pub(crate) session_token: Option<Value>,
    pub(crate) region: Value,
    pub(crate) service: Value,
}

/// A name and a value, by where they lie in the buffer.
#[derive(Copy, Clone, Default)]
struct Pair {
    name: (usize, usize),
    value: (usize, usize),
}

struct Pairs {
    list: [Pair; PAIRS_MAX],
    count: usize,
}

impl Pairs {
    const EMPTY: Self = Self { list: [Pair { name: (0, 0), value: (0, 0) }; PAIRS_MAX], count: 0 };

    fn push(&mut self, pair: Pair) -> Result<(), Failure> {
        *self.list.get_mut(self.count).ok_or(Failure::Injection)? = pair;
        self.count += 1;
        Ok(())
    }

    /// By name, then by value.
    fn sort(&mut self, bytes: &[u8]) {
        let text = |(start, end): (usize, usize)| bytes[start..end].iter().map(u8::to_ascii_lowercase);
        let exact = |(start, end): (usize, usize)| &bytes[start..end];
        self.list[..self.count].sort_unstable_by(|left, right| {
            let names = text(left.name).cmp(text(right.name));
            names
                .then_with(|| exact(left.name).cmp(exact(right.name)))
                .then_with(|| exact(left.value).cmp(exact(right.value)))
        });
    }
}

/// Where the parts of the request lie.
struct Layout {
    start: usize,
    /// Behind the last header line, before the empty one.
    lines_end: usize,
    end: usize,
}

impl Aws {
    /// Signs the request that begins at `start` and reaches to the end of the buffer.
    pub(crate) fn sign(
        &self,
        start: usize,
        filler: &mut Filler<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let head = memchr::memmem::find(&out[start..], b"\r\n\r\n").ok_or(Failure::Injection)?;
        let mut layout = Layout { start, lines_end: start + head + 2, end: out.len() };
        let stamp = Stamp::of(filler.unix_ns);
        let payload = encode::sha256(&out[layout.lines_end + 2..]);
        self.add_fields(&mut layout, &stamp, &payload, filler, out)?;

        let region = written(&self.region, filler, out)?;
        let service = written(&self.service, filler, out)?;
        let is_s3 = &out[service.clone()] == b"s3";
        let canonical = out.len();
        push_canonical_target(&layout, is_s3, out)?;
        let names = push_canonical_fields(&layout, out)?;
        out.push(b'\n');
        encode::push_hex(&payload, out);
        let digest = encode::sha256(&out[canonical..]);

        let to_sign = out.len();
        out.extend_from_slice(ALGORITHM);
        out.push(b'\n');
        out.extend_from_slice(&stamp.0);
        out.push(b'\n');
        let scope = out.len();
        out.extend_from_slice(stamp.day());
        for part in [region.clone(), service.clone()] {
            out.push(b'/');
            out.extend_from_within(part);
        }
        out.push(b'/');
        out.extend_from_slice(TERMINATOR);
        let scope = scope..out.len();
        out.push(b'\n');
        encode::push_hex(&digest, out);
        let to_sign = to_sign..out.len();

        let secret = out.len();
        out.extend_from_slice(b"AWS4");
        filler.push(&self.secret_key, out)?;
        let mut key = encode::hmac_sha256(&out[secret..], stamp.day());
        for part in [&out[region], &out[service], TERMINATOR, &out[to_sign]] {
            key = encode::hmac_sha256(&key, part);
        }

        let line = out.len();
        out.extend_from_slice(b"Authorization: ");
        out.extend_from_slice(ALGORITHM);
        out.extend_from_slice(b" Credential=");
        let access_key = written(&self.access_key, filler, out)?;
        check_line(&out[access_key])?;
        out.push(b'/');
        out.extend_from_within(scope);
        out.extend_from_slice(b", SignedHeaders=");
        out.extend_from_within(names);
        out.extend_from_slice(b", Signature=");
        encode::push_hex(&key, out);
        out.extend_from_slice(b"\r\n");
        // What the line was made from goes, and the line moves behind the others.
        out.drain(layout.end..line);
        layout.take_line(out);
        Ok(())
    }

    /// The fields that are signed with the others.
    fn add_fields(
        &self,
        layout: &mut Layout,
        stamp: &Stamp,
        payload: &[u8; 32],
        filler: &mut Filler<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        out.extend_from_slice(b"X-Amz-Date: ");
        out.extend_from_slice(&stamp.0);
        out.extend_from_slice(b"\r\n");
        layout.take_line(out);
        let service = written(&self.service, filler, out)?;
        let is_s3 = &out[service] == b"s3";
        out.truncate(layout.end);
        if is_s3 {
            out.extend_from_slice(b"X-Amz-Content-Sha256: ");
            encode::push_hex(payload, out);
            out.extend_from_slice(b"\r\n");
            layout.take_line(out);
        }
        if let Some(token) = &self.session_token {
            out.extend_from_slice(b"X-Amz-Security-Token: ");
            let token = written(token, filler, out)?;
            check_line(&out[token])?;
            out.extend_from_slice(b"\r\n");
            layout.take_line(out);
        }
        Ok(())
    }
}

impl Layout {
    /// Moves the line that was written behind the request to its other header lines.
    fn take_line(&mut self, out: &mut [u8]) {
        let length = out.len() - self.end;
        out[self.lines_end..].rotate_right(length);
        self.lines_end += length;
        self.end += length;
    }
}

fn written(value: &Value, filler: &mut Filler<'_>, out: &mut Vec<u8>) -> Result<Range<usize>, Failure> {
    let start = out.len();
    filler.push(value, out)?;
    Ok(start..out.len())
}

fn check_line(text: &[u8]) -> Result<(), Failure> {
    if text.iter().any(u8::is_ascii_control) { Err(Failure::Injection) } else { Ok(()) }
}

/// The time as `20150830T123600Z`.
struct Stamp([u8; 16]);

impl Stamp {
    fn of(unix_ns: u64) -> Self {
        let civil = Civil::of(unix_ns / 1_000_000_000);
        let mut stamp = *b"00000000T000000Z";
        let seconds = civil.seconds;
        let fields = [
            (4, civil.year),
            (6, civil.month),
            (8, civil.day),
            (11, seconds / 3_600),
            (13, seconds / 60 % 60),
            (15, seconds % 60),
        ];
        for (end, mut number) in fields {
            let mut at = end;
            while number > 0 && at > 0 {
                at -= 1;
                stamp[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        }
        Self(stamp)
    }

    fn day(&self) -> &[u8] {
        &self.0[..8]
    }
}

/// Method, path and query, each with the line break after it.
fn push_canonical_target(layout: &Layout, is_s3: bool, out: &mut Vec<u8>) -> Result<(), Failure> {
    let line = &out[layout.start..layout.lines_end];
    let method = memchr::memchr(b' ', line).ok_or(Failure::Injection)?;
    let target = method + 1;
    let target_end = target + memchr::memchr(b' ', &line[target..]).ok_or(Failure::Injection)?;
    let path_end = target + path_of(&line[target..target_end]).len();
    let at = |offset: usize| layout.start + offset;
    out.extend_from_within(layout.start..at(method));
    out.push(b'\n');
    for index in at(target)..at(path_end) {
        let byte = out[index];
        // S3 takes the path as it is sent; all others encode what is encoded once more.
        if byte == b'/' || is_s3 && byte == b'%' {
            out.push(byte);
        } else {
            encode::push_percent(byte, out);
        }
    }
    out.push(b'\n');
    if path_end < target_end {
        push_canonical_query(at(path_end + 1)..at(target_end), out)?;
    }
    out.push(b'\n');
    Ok(())
}

/// The parameters, decoded, encoded in the one right way, and sorted.
fn push_canonical_query(query: Range<usize>, out: &mut Vec<u8>) -> Result<(), Failure> {
    let encoded = out.len();
    let mut pairs = Pairs::EMPTY;
    let mut at = query.start;
    while at < query.end {
        let end = memchr::memchr(b'&', &out[at..query.end]).map_or(query.end, |length| at + length);
        if end > at {
            let equals = memchr::memchr(b'=', &out[at..end]).map_or(end, |length| at + length);
            let name = push_encoded_again(at..equals, out);
            let value = push_encoded_again((equals + 1).min(end)..end, out);
            pairs.push(Pair { name, value })?;
        }
        at = end + 1;
    }
    let encoded_end = out.len();
    pairs.list[..pairs.count].sort_unstable_by(|left, right| {
        let text = |(start, end): (usize, usize)| &out[start..end];
        text(left.name).cmp(text(right.name)).then_with(|| text(left.value).cmp(text(right.value)))
    });
    for (index, pair) in pairs.list[..pairs.count].iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_within(pair.name.0..pair.name.1);
        out.push(b'=');
        out.extend_from_within(pair.value.0..pair.value.1);
    }
    out.drain(encoded..encoded_end);
    Ok(())
}

fn push_encoded_again(range: Range<usize>, out: &mut Vec<u8>) -> (usize, usize) {
    let start = out.len();
    let mut at = range.start;
    while at < range.end {
        let digit = |offset: usize, out: &[u8]| {
            (at + offset < range.end)
                .then(|| char::from(out[at + offset]).to_digit(16))
                .flatten()
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let byte = out[at];
        if let (b'%', Some(high), Some(low)) = (byte, digit(1, out), digit(2, out)) {
            encode::push_percent(high << 4 | low, out);
            at += 3;
        } else {
            encode::push_percent(byte, out);
            at += 1;
        }
    }
    (start, out.len())
}

/// The signed header lines, an empty line, and their names; returns where the names lie.
fn push_canonical_fields(layout: &Layout, out: &mut Vec<u8>) -> Result<Range<usize>, Failure> {
    let mut pairs = Pairs::EMPTY;
    let mut at = layout.start;
    while at < layout.lines_end {
        let end =
            memchr::memchr(b'\n', &out[at..layout.lines_end]).map_or(layout.lines_end, |length| at + length);
        let line = &out[at..end];
        if let Some(colon) =
            memchr::memchr(b':', line).filter(|&colon| at > layout.start && is_signed(&line[..colon]))
        {
            pairs.push(Pair { name: (at, at + colon), value: (at + colon + 1, end) })?;
        }
        at = end + 1;
    }
    pairs.sort(out);
    for pair in &pairs.list[..pairs.count] {
        push_lower(pair.name, out);
        out.push(b':');
        let start = out.len();
        for index in pair.value.0..pair.value.1 {
            let byte = out[index];
            // Spaces around the value go, and those within it become one.
            let is_space = byte.is_ascii_whitespace();
            if !is_space {
                out.push(byte);
            } else if out.len() > start && out.last() != Some(&b' ') {
                out.push(b' ');
            }
        }
        if out.len() > start && out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    let names = out.len();
    for (index, pair) in pairs.list[..pairs.count].iter().enumerate() {
        if index > 0 {
            out.push(b';');
        }
        push_lower(pair.name, out);
    }
    Ok(names..out.len())
}

fn push_lower(name: (usize, usize), out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_within(name.0..name.1);
    out[start..].make_ascii_lowercase();
}

fn is_signed(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b"host", b"content-type", b"date", b"range"];
    NAMES.iter().any(|signed| name.eq_ignore_ascii_case(signed))
        || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-amz-"))
}

#[cfg(test)]
#[path = "aws/tests.rs"]
mod tests;
