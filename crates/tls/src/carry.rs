//! What is left over between two slices from the peer.
//!
//! What it is: the bytes of an unfinished record, and before them the records of an unfinished handshake message,
//! which rustls wants to see again in the same place. It grows record by record, so that a whole record that
//! follows an unfinished one is decrypted where it lies, and rustls is called once per record however small the
//! slices are.
//! What it is not: a queue. A record is handed over as soon as it is whole.
//!
//! Invariant: `tail` is where the unfinished record begins; at the end when there is none. All before `tail` has
//! been seen by rustls, which may have moved it about: record headers are not to be looked for there.

use crate::TlsError;

/// The most bytes that a session carries over: rustls' 64 KiB limit on one handshake message, plus room for the
/// headers and tags of the records it may be cut into.
pub const CARRY_LIMIT: usize = 128 * 1024;

/// RFC 8446, section 5.1: type, version, length.
const HEADER: usize = 5;

/// RFC 5246, section 6.2.3: a record's length must not exceed 2^14 + 2048 bytes.
const RECORD_MAX: usize = HEADER + (1 << 14) + 2048;

#[derive(Debug, Default)]
pub(crate) struct Carry {
    bytes: Vec<u8>,
    tail: usize,
}

impl Carry {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Takes from the front of `bytes` what the unfinished record lacks; says how much, and whether rustls should
    /// have a look: the record is whole, or its header has just become so and may be refused at once.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> Result<(usize, bool), TlsError> {
        let held = self.bytes.len() - self.tail;
        let due = missing(&self.bytes[self.tail..]);
        let taken = due.min(bytes.len());
        self.extend(&bytes[..taken], due)?;
        let is_whole = missing(&self.bytes[self.tail..]) == 0;
        if is_whole {
            self.tail = self.bytes.len();
        }
        Ok((taken, is_whole || (held < HEADER && taken == due)))
    }

    /// Keeps `rest`, whose unfinished record begins at `tail`, for the next slice.
    pub(crate) fn keep(&mut self, rest: &[u8], tail: usize) -> Result<(), TlsError> {
        debug_assert!(
            self.bytes.is_empty(),
            "the carry must be used up before a slice is decrypted in place"
        );
        self.tail = tail;
        let due = rest.len() + missing(&rest[tail..]);
        self.extend(rest, due)
    }

    /// Forgets the first `count` bytes, with which rustls is done.
    pub(crate) fn discard(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.tail = self.tail.saturating_sub(count);
        // A long handshake needs more than any record later will: give that back.
        if self.bytes.is_empty() && self.bytes.capacity() > RECORD_MAX {
            self.bytes = Vec::new();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.tail = 0;
    }

    /// Appends `bytes` in room made for `room`, so that a record cut into small pieces grows the buffer once.
    fn extend(&mut self, bytes: &[u8], room: usize) -> Result<(), TlsError> {
        if self.bytes.len() + bytes.len() > CARRY_LIMIT {
            return Err(TlsError::HandshakeTooLarge);
        }
        self.bytes.reserve_exact(room.min(RECORD_MAX).max(bytes.len()));
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// How many bytes the record that begins `bytes` lacks; of its header, while that is unfinished.
fn missing(bytes: &[u8]) -> usize {
    match record_size(bytes) {
        Some(size) => size.saturating_sub(bytes.len()),
        None => HEADER - bytes.len(),
    }
}

/// The size of the record that begins `bytes`, header included.
fn record_size(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER>()?;
    Some(HEADER + usize::from(u16::from_be_bytes([header[3], header[4]])))
}

/// Where in `bytes`, which begin with a record, the last and unfinished record begins; their length if all are
/// whole.
pub(crate) fn unfinished_at(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(size) = record_size(&bytes[at..]) {
        if size > bytes.len() - at {
            break;
        }
        at += size;
    }
    at
}
