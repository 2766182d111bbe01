//! Hot path. What is kept of a response, for checks and extractions.
//!
//! What it is: the bytes of one response as the stack hands them on, up to a limit. What it is not: a parser.

use std::ops::Range;

use http1::{Parts, parts};

/// The bytes of one response. Its memory is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Capture {
    /// With memory for so many bytes.
    pub(crate) fn for_bytes(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count), is_cut: false }
    }

    /// Takes what came, as far as `most` bytes in all allow.
    pub(crate) fn push(&mut self, bytes: &[u8], most: usize) {
        let room = most.saturating_sub(self.bytes.len());
        self.is_cut |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Forgets the response.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.is_cut = false;
    }

    /// The head of the response. Its body is left as it came.
    pub(crate) fn head(&mut self) -> &[u8] {
        // What is no longer than it is said to be is not taken for chunks.
        let Parts { head, .. } = parts(&mut self.bytes, u64::MAX);
        &self.bytes[head]
    }

    /// The head and the body of the response, whose body has so many bytes; no body if not all of it was kept.
    pub(crate) fn parts(&mut self, body_bytes: u64) -> (&[u8], Option<&[u8]>) {
        let Parts { head, body } = parts(&mut self.bytes, body_bytes);
        let slice = |range: Range<usize>| &self.bytes[range];
        (slice(head), (!self.is_cut).then(|| slice(body)))
    }
}
