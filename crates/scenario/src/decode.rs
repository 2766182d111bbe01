//! Bodies that were compressed for the way, decoded into bounded memory.

use flate2::{Decompress, FlushDecompress, Status};

use crate::fields::field;
use crate::value::Failure;

/// What the answers of one shard are read with: memory that is used again for each.
#[derive(Debug)]
pub struct Workspace {
    decompress: Decompress,
    decoded: Vec<u8>,
    pub(crate) scratch: Vec<u8>,
    body_bytes_max: usize,
}

impl Workspace {
    /// Bodies may have at most so many bytes when decoded.
    pub fn new(body_bytes_max: usize) -> Self {
        Self {
            decompress: Decompress::new(false),
            decoded: Vec::new(),
            scratch: Vec::with_capacity(1_024),
            body_bytes_max,
        }
    }

    /// The body as it was before it was encoded, and room for texts.
    pub(crate) fn open<'a>(
        &'a mut self,
        head: &[u8],
        body: &'a [u8],
    ) -> Result<(&'a [u8], &'a mut Vec<u8>), Failure> {
        self.scratch.clear();
        let body = match field(head, "Content-Encoding") {
            None => body,
            Some(coding)
                if coding.eq_ignore_ascii_case(b"identity") || coding.is_empty() || body.is_empty() =>
            {
                body
            }
            Some(coding)
                if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") =>
            {
                let start = gzip_data(body).ok_or(Failure::Body)?;
                self.inflate(&body[start..], false)?;
                &self.decoded
            }
            Some(coding) if coding.eq_ignore_ascii_case(b"deflate") => {
                // RFC 9110 §8.4.1.2: with the zlib wrapper, which some servers leave out.
                if self.inflate(body, true).is_err() {
                    self.inflate(body, false)?;
                }
                &self.decoded
            }
            Some(_) => return Err(Failure::Body),
        };
        Ok((body, &mut self.scratch))
    }

    fn inflate(&mut self, data: &[u8], has_wrapper: bool) -> Result<(), Failure> {
        self.decompress.reset(has_wrapper);
        self.decoded.clear();
        let mut at = 0;
        loop {
            if self.decoded.len() == self.decoded.capacity() {
                if self.decoded.len() >= self.body_bytes_max {
                    return Err(Failure::Body);
                }
                let more = self.decoded.len().clamp(4 << 10, 1 << 20);
                self.decoded.reserve(more.min(self.body_bytes_max - self.decoded.len()).max(1));
            }
            let before = (self.decompress.total_in(), self.decompress.total_out());
            let status =
                self.decompress.decompress_vec(&data[at..], &mut self.decoded, FlushDecompress::None);
            let (read, written) =
                (self.decompress.total_in() - before.0, self.decompress.total_out() - before.1);
            at += usize::try_from(read).map_err(|_| Failure::Body)?;
            if self.decoded.len() > self.body_bytes_max {
                return Err(Failure::Body);
            }
            match status {
                Ok(Status::StreamEnd) => return Ok(()),
                Ok(_) if read > 0 || written > 0 || self.decoded.len() == self.decoded.capacity() => {}
                // Neither taken nor given: the data is cut off.
                Ok(_) | Err(_) => return Err(Failure::Body),
            }
        }
    }
}

/// Where the compressed data begins: behind the header of RFC 1952 §2.3.
fn gzip_data(body: &[u8]) -> Option<usize> {
    let [0x1f, 0x8b, 8, flags, ..] = *body else { return None };
    let mut at = 10;
    if flags & 4 != 0 {
        let low_high = body.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([low_high[0], low_high[1]]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += memchr::memchr(0, body.get(at..)?)? + 1;
        }
    }
    at += if flags & 2 != 0 { 2 } else { 0 };
    (at <= body.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn opened(coding: &str, body: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
        let head = format!("Content-Encoding: {coding}\r\n");
        Workspace::new(limit).open(head.as_bytes(), body).map(|(body, _)| body.to_vec())
    }

    #[test]
    fn bodies_are_decoded_within_their_limit() {
        let text = "hello ".repeat(20_000).into_bytes();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&text).unwrap();
        let zlib = zlib.finish().unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(&text).unwrap();
        let raw = raw.finish().unwrap();
        for (coding, body) in
            [("gzip", &gzip), ("x-GZIP", &gzip), ("deflate", &zlib), ("deflate", &raw), ("identity", &text)]
        {
            assert_eq!(opened(coding, body, text.len()).as_ref(), Ok(&text), "{coding}");
        }
        assert_eq!(opened("gzip", &gzip, text.len() - 1), Err(Failure::Body));
        assert_eq!(opened("br", &text, 1 << 20), Err(Failure::Body));
        for end in 0..gzip.len() - 8 {
            assert_eq!(opened("gzip", &gzip[..end], 1 << 20).ok(), (end == 0).then(Vec::new), "cut at {end}");
        }
        // Name, comment, extra field and header checksum.
        let mut named =
            vec![0x1f, 0x8b, 8, 4 | 8 | 16 | 2, 0, 0, 0, 0, 0, 0, 3, 0, 1, 2, 3, b'n', 0, b'c', 0, 7, 7];
        named.extend_from_slice(&gzip[10..]);
        assert_eq!(opened("gzip", &named, text.len()), Ok(text));
    }
}
