//! The text form of a histogram: base64 of the HDR V2 encoding, deflated.
//!
//! What it is: the form that HDR Histogram's own tools read (cookies, big-endian header, zig-zag LEB128 counts in
//! which a negative number skips that many empty buckets, zlib around it).
//! What it is not: complete; the form carries no exact sum, least or greatest value, so these travel beside it.
//!
//! Invariant: reading is bounded: a text of any length and content costs at most the memory of one histogram.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::layout::{BUCKET_COUNT, HIGHEST_NS, LOWEST_NS, SIGNIFICANT_DIGITS};
use crate::{Exact, Histogram, MeasureError};

/// First word of the plain form.
const COOKIE_PLAIN: u32 = 0x1c84_9303 | 0x10;
/// First word of the deflated form.
const COOKIE_DEFLATED: u32 = 0x1c84_9304 | 0x10;
/// Bytes of the plain form's header.
const HEADER_BYTES: usize = 40;
/// Most bytes that one count takes: eight of 7 bits and one of 8.
const COUNT_BYTES_MAX: usize = 9;

impl Histogram {
    /// The histogram as base64 of the deflated HDR V2 form.
    #[expect(
        clippy::missing_panics_doc,
        reason = "memory takes every write, and one histogram is below 4 GiB"
    )]
    pub fn encode(&self) -> String {
        let plain = self.plain_form();
        let mut bytes = Vec::with_capacity(plain.len() / 2 + 8);
        bytes.extend_from_slice(&COOKIE_DEFLATED.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let mut encoder = ZlibEncoder::new(bytes, Compression::default());
        encoder.write_all(&plain).expect("writing to memory cannot fail");
        let mut bytes = encoder.finish().expect("writing to memory cannot fail");
        let body_bytes = u32::try_from(bytes.len() - 8).expect("one histogram is far below 4 GiB");
        bytes[4..8].copy_from_slice(&body_bytes.to_be_bytes());
        STANDARD.encode(bytes)
    }

    /// Reads what [`Histogram::encode`] wrote, with the exact figures that stood beside it.
    pub fn decode(text: &str, exact: Exact) -> Result<Self, MeasureError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| malformed("it is not base64"))?;
        let (cookie, rest) = word(&bytes)?;
        if cookie != COOKIE_DEFLATED {
            return Err(malformed("it does not begin with the cookie of the deflated V2 form"));
        }
        let (body_bytes, rest) = word(rest)?;
        let body = rest.get(..body_bytes as usize).ok_or(malformed("it ends too early"))?;
        let mut plain = Vec::new();
        let most = HEADER_BYTES + COUNT_BYTES_MAX * BUCKET_COUNT;
        ZlibDecoder::new(body)
            .take(most as u64 + 1)
            .read_to_end(&mut plain)
            .map_err(|_| malformed("it does not inflate"))?;
        if plain.len() > most {
            return Err(malformed("it is longer than any histogram of the layout"));
        }
        Self::from_plain_form(&plain, exact)
    }

    fn plain_form(&self) -> Vec<u8> {
        let counts = self.counts_from_zero();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + counts.len());
        bytes.extend_from_slice(&COOKIE_PLAIN.to_be_bytes());
        bytes.extend_from_slice(&[0; 8]); // payload length, filled in below; normalizing offset
        bytes.extend_from_slice(&SIGNIFICANT_DIGITS.to_be_bytes());
        bytes.extend_from_slice(&LOWEST_NS.to_be_bytes());
        bytes.extend_from_slice(&HIGHEST_NS.to_be_bytes());
        bytes.extend_from_slice(&1.0_f64.to_be_bytes());
        let mut empty_run: i64 = 0;
        for count in counts {
            if *count == 0 {
                empty_run += 1;
                continue;
            }
            push_empty_run(&mut bytes, empty_run);
            empty_run = 0;
            // The form knows signed counts only; more than 2^63 requests do not happen.
            push_number(&mut bytes, i64::try_from(*count).unwrap_or(i64::MAX));
        }
        push_empty_run(&mut bytes, empty_run);
        let payload_bytes =
            u32::try_from(bytes.len() - HEADER_BYTES).expect("one histogram is far below 4 GiB");
        bytes[4..8].copy_from_slice(&payload_bytes.to_be_bytes());
        bytes
    }

    fn from_plain_form(bytes: &[u8], exact: Exact) -> Result<Self, MeasureError> {
        let header = bytes.get(..HEADER_BYTES).ok_or(malformed("it ends too early"))?;
        let (cookie, rest) = word(header)?;
        let (payload_bytes, rest) = word(rest)?;
        let (normalizing_offset, rest) = word(rest)?;
        let (digits, rest) = word(rest)?;
        let (lowest_ns, rest) = long(rest)?;
        let (_highest_ns, rest) = long(rest)?;
        let (ratio, _) = long(rest)?;
        if cookie != COOKIE_PLAIN {
            return Err(malformed("its inner form is not V2"));
        }
        if normalizing_offset != 0 || ratio != 1.0_f64.to_bits() {
            return Err(malformed("it is shifted or scaled"));
        }
        if digits != SIGNIFICANT_DIGITS || lowest_ns != LOWEST_NS {
            return Err(MeasureError::Layout { digits, lowest_ns });
        }
        let end = HEADER_BYTES.saturating_add(payload_bytes as usize);
        let payload = bytes.get(HEADER_BYTES..end).ok_or(malformed("it ends too early"))?;
        Self::from_buckets(occupied(payload)?, exact)
    }
}

/// The occupied buckets of a payload, as (index, count).
fn occupied(mut payload: &[u8]) -> Result<Vec<(u64, u64)>, MeasureError> {
    let mut buckets = Vec::new();
    let mut index: u64 = 0;
    while !payload.is_empty() {
        let (number, rest) = take_number(payload)?;
        payload = rest;
        if let Ok(count) = u64::try_from(number) {
            if count > 0 {
                buckets.push((index, count));
            }
            index += 1;
        } else {
            index = index.saturating_add(number.unsigned_abs());
        }
        if index > BUCKET_COUNT as u64 {
            return Err(MeasureError::BucketOutOfRange { index });
        }
    }
    Ok(buckets)
}

/// A run of empty buckets: a single one as the count 0, as the reference implementation writes it.
fn push_empty_run(bytes: &mut Vec<u8>, length: i64) {
    match length {
        0 => {}
        1 => push_number(bytes, 0),
        _ => push_number(bytes, -length),
    }
}

/// Zig-zag LEB128 whose ninth byte, if it comes to that, carries 8 bits.
fn push_number(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    for _ in 1..COUNT_BYTES_MAX {
        let low = rest.to_le_bytes()[0];
        rest >>= 7;
        if rest == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
    bytes.push(rest.to_le_bytes()[0]);
}

fn take_number(bytes: &[u8]) -> Result<(i64, &[u8]), MeasureError> {
    let mut zig_zag: u64 = 0;
    for (position, byte) in bytes.iter().take(COUNT_BYTES_MAX).enumerate() {
        let is_whole_byte = position == COUNT_BYTES_MAX - 1;
        let bits = if is_whole_byte { *byte } else { byte & 0x7f };
        zig_zag |= u64::from(bits) << (7 * position);
        if is_whole_byte || byte & 0x80 == 0 {
            let number = (zig_zag >> 1).cast_signed() ^ -(zig_zag & 1).cast_signed();
            return Ok((number, &bytes[position + 1..]));
        }
    }
    Err(malformed("a count ends too early"))
}

fn word(bytes: &[u8]) -> Result<(u32, &[u8]), MeasureError> {
    let (first, rest) = bytes.split_first_chunk().ok_or(malformed("it ends too early"))?;
    Ok((u32::from_be_bytes(*first), rest))
}

fn long(bytes: &[u8]) -> Result<(u64, &[u8]), MeasureError> {
    let (first, rest) = bytes.split_first_chunk().ok_or(malformed("it ends too early"))?;
    Ok((u64::from_be_bytes(*first), rest))
}

const fn malformed(reason: &'static str) -> MeasureError {
    MeasureError::Encoding { reason }
}

#[cfg(test)]
mod tests;
