//! Bytes that are sent many times over, by many connections, from one place in memory.
//!
//! What it is: an immutable block, shared by whoever sends it, whose end may be repeated until a size is reached: a
//! request of ten gigabytes takes as much memory as its head and the part that repeats.
//! What it is not: aware of what the bytes mean.
//!
//! Invariant: the memory neither moves nor changes while any clone of the message lives. Sizes are bytes.

use std::fmt;
use std::sync::Arc;

/// See the module's documentation.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    bytes: Arc<[u8]>,
    /// What follows the last byte: the bytes from here on, again and again.
    repeated_from: usize,
    size: u64,
}

impl Message {
    /// `bytes`, followed by `bytes[repeated_from..]` again and again until there are `size` bytes in all.
    ///
    /// # Panics
    /// When `size` is below the length of `bytes`, or above it with nothing to repeat.
    pub fn repeating(bytes: Vec<u8>, repeated_from: usize, size: u64) -> Self {
        assert!(size >= bytes.len() as u64, "a message is at least as long as its bytes");
        assert!(size == bytes.len() as u64 || repeated_from < bytes.len(), "nothing is no pattern");
        Self { bytes: bytes.into(), repeated_from, size }
    }

    /// How many bytes are sent.
    #[inline]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What is sent from `position` on, as far as it lies in one piece: empty at the end only.
    #[inline]
    pub fn piece(&self, position: u64) -> &[u8] {
        let end = self.bytes.len() as u64;
        if position < end || position >= self.size {
            return &self.bytes[index(position.min(end))..];
        }
        let period = end - self.repeated_from as u64;
        let offset = (position - end) % period;
        let count = (period - offset).min(self.size - position);
        let from = self.repeated_from + index(offset);
        &self.bytes[from..from + index(count)]
    }
}

/// A position inside of memory.
#[inline]
fn index(position: u64) -> usize {
    usize::try_from(position).expect("what lies in memory has a small position")
}

impl From<Box<[u8]>> for Message {
    fn from(bytes: Box<[u8]>) -> Self {
        Self { size: bytes.len() as u64, repeated_from: bytes.len(), bytes: bytes.into() }
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self { size: bytes.len() as u64, repeated_from: bytes.len(), bytes: bytes.into() }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes may hold credentials.
        write!(formatter, "Message of {} bytes, {} of them in memory", self.size, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let piece = message.piece(bytes.len() as u64);
            if piece.is_empty() {
                return bytes;
            }
            bytes.extend_from_slice(piece);
        }
    }

    #[test]
    fn the_end_is_repeated_until_the_size_is_reached() {
        let of = |size| Message::repeating(b"head:abc".to_vec(), 5, size);
        for (size, expected) in
            [(8, "head:abc"), (9, "head:abca"), (11, "head:abcabc"), (15, "head:abcabcabca")]
        {
            assert_eq!(String::from_utf8(whole(&of(size))).unwrap(), expected);
            assert_eq!(of(size).size(), size);
        }
        assert_eq!(of(15).piece(9), b"bc", "a piece may begin inside of the pattern");
        assert_eq!(of(15).piece(15), b"");
        assert_eq!(of(15).piece(99), b"");
    }

    #[test]
    fn plain_bytes_are_sent_once() {
        let message = Message::from(b"once".to_vec());
        assert_eq!((whole(&message), message.size()), (b"once".to_vec(), 4));
        assert_eq!(whole(&Message::from(Vec::new())), b"");
    }

    #[test]
    fn far_more_than_memory_holds_costs_no_memory() {
        let message = Message::repeating(vec![7; 1_024], 24, 1 << 50);
        assert_eq!(message.piece((1 << 50) - 1), [7]);
        assert_eq!(message.piece(1 << 50), b"");
    }

    #[test]
    #[should_panic(expected = "nothing is no pattern")]
    fn nothing_cannot_be_repeated() {
        Message::repeating(b"head".to_vec(), 4, 5);
    }
}
