//! Hot path. Receive buffers of one size, lent and given back.
//!
//! What it is: one block of memory cut into equal buffers, with a stack of those that are free. The buffer
//! given back last is lent first, because it is still in the processor's cache.
//! What it is not: aware of connections or sockets.
//!
//! Invariant: a buffer is either free or lent, never both; giving back one that is not lent is a programmer's
//! error and panics. Nothing is allocated after construction. Sizes are bytes.

use std::fmt;

use super::{Lent, Limits};

/// See the module's documentation.
pub(super) struct Buffers {
    memory: Box<[u8]>,
    size: usize,
    free: Vec<u32>,
    lent: Box<[bool]>,
}

impl Buffers {
    pub(super) fn new(limits: &Limits) -> Self {
        let size = usize::try_from(limits.buffer_size).expect("a 32-bit size fits");
        let count = usize::try_from(limits.buffer_count).expect("a 32-bit count fits");
        assert!(size > 0 && count > 0, "a driver needs receive buffers");
        let bytes = size.checked_mul(count).expect("the receive buffers fit the address space");
        Self {
            memory: vec![0; bytes].into_boxed_slice(),
            size,
            free: (0..limits.buffer_count).rev().collect(),
            lent: vec![false; count].into_boxed_slice(),
        }
    }

    /// Bytes in one buffer.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub(super) fn lent_count(&self) -> usize {
        self.lent.len() - self.free.len()
    }

    /// Lends a buffer out, if one is free.
    pub(super) fn take(&mut self) -> Option<u32> {
        let buffer = self.free.pop()?;
        self.lent[buffer as usize] = true;
        Some(buffer)
    }

    /// Takes a lent buffer back.
    pub(super) fn put_back(&mut self, buffer: u32) {
        let lent = &mut self.lent[buffer as usize];
        assert!(*lent, "receive buffer {buffer} was given back without being lent");
        *lent = false;
        self.free.push(buffer);
    }

    /// The whole of one buffer, to receive into.
    pub(super) fn whole(&mut self, buffer: u32) -> &mut [u8] {
        let start = buffer as usize * self.size;
        &mut self.memory[start..start + self.size]
    }

    /// What was received into a lent buffer.
    pub(super) fn bytes(&mut self, lent: &Lent) -> &mut [u8] {
        assert!(self.lent[lent.buffer as usize], "receive buffer {} is not lent", lent.buffer);
        &mut self.whole(lent.buffer)[..lent.len as usize]
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Buffers")
            .field("size", &self.size)
            .field("count", &self.lent.len())
            .field("lent", &self.lent_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Buffers {
        Buffers::new(&Limits { connections: 1, buffer_size: 8, buffer_count: 2 })
    }

    #[test]
    fn lends_each_buffer_once() {
        let mut buffers = two();
        let first = buffers.take().unwrap();
        let second = buffers.take().unwrap();
        assert_ne!(first, second);
        assert!(buffers.take().is_none());
        buffers.whole(first).copy_from_slice(b"12345678");
        buffers.whole(second).copy_from_slice(b"abcdefgh");
        assert_eq!(buffers.bytes(&Lent { buffer: first, len: 3 }), b"123");
        assert_eq!(buffers.bytes(&Lent { buffer: second, len: 8 }), b"abcdefgh");
        buffers.put_back(first);
        assert_eq!(buffers.take(), Some(first));
    }

    #[test]
    #[should_panic(expected = "without being lent")]
    fn refuses_a_second_return() {
        let mut buffers = two();
        let buffer = buffers.take().unwrap();
        buffers.put_back(buffer);
        buffers.put_back(buffer);
    }
}
