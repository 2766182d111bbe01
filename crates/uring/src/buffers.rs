//! Hot path. Receive buffers provided to the kernel through a registered ring.
//!
//! What it is: the memory of all receive buffers, the ring of free ones that the kernel draws from, and the
//! record of which are lent out. The kernel draws in turn from all that it was offered, so that as many are touched
//! again and again: it is offered few at first, and more each time that it finds none. What is never offered costs
//! neither memory nor cache.
//! What it is not: it knows no connection.
//!
//! Invariants: the first `offered` buffers are in use, the others untouched; a buffer in use is either the kernel's (in
//! the ring, or drawn and not yet reported) or lent, never both; the memory outlives the kernel's use of it (the owner
//! drops the ring first).

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

/// Most entries that the kernel admits in a ring of provided buffers.
pub(crate) const COUNT_LIMIT: u32 = 1 << 15;

/// How many the kernel is offered at first: with buffers of 16 KiB they fit the second-level cache.
const OFFERED_FIRST: u32 = 64;

/// How many more each time that a connection finds none.
const OFFERED_MORE: u32 = 16;

/// All receive buffers of one ring.
#[derive(Debug)]
pub(crate) struct Buffers {
    entries: NonNull<BufRingEntry>,
    entries_layout: Layout,
    memory: NonNull<u8>,
    memory_layout: Layout,
    size: u32,
    count: u32,
    offered: u32,
    mask: u16,
    tail: u16,
    /// Bytes received into each lent buffer; 0 for the kernel's.
    lent: Box<[u32]>,
    lent_count: u32,
}

impl Buffers {
    /// Allocates `count` buffers of `size` bytes, all free; offers the first of them.
    ///
    /// # Panics
    /// When `size` is 0 or above 1 GiB, or `count` is 0 or above [`COUNT_LIMIT`].
    pub(crate) fn new(size: u32, count: u32) -> Self {
        assert!(size > 0 && size <= 1 << 30, "a receive buffer has 1 to 2^30 bytes, not {size}");
        assert!(
            count > 0 && count <= COUNT_LIMIT,
            "there are 1 to {COUNT_LIMIT} receive buffers, not {count}"
        );
        let entry_count = count.next_power_of_two();
        let entries_layout = Layout::array::<BufRingEntry>(entry_count as usize)
            .expect("2^15 entries of 16 bytes fit the address space");
        let memory_layout = Layout::array::<u8>(size as usize * count as usize)
            .expect("the receive buffers exceed the address space");
        let mut buffers = Self {
            entries: map(entries_layout).cast(),
            entries_layout,
            memory: map(memory_layout),
            memory_layout,
            size,
            count,
            offered: 0,
            mask: u16::try_from(entry_count - 1).expect("at most 2^15 entries"),
            tail: 0,
            lent: vec![0; count as usize].into_boxed_slice(),
            lent_count: 0,
        };
        buffers.offer(OFFERED_FIRST);
        buffers
    }

    /// The kernel found no buffer: offers it more, as long as there are any.
    #[cold]
    pub(crate) fn offer_more(&mut self) {
        self.offer(OFFERED_MORE);
    }

    fn offer(&mut self, more: u32) {
        let until = self.count.min(self.offered.saturating_add(more));
        for buffer in self.offered..until {
            self.add(buffer);
        }
        self.offered = until;
        self.publish();
    }

    /// Address and entry count of the ring, for its registration.
    pub(crate) fn registration(&self) -> (u64, u16) {
        (self.entries.as_ptr() as u64, self.mask + 1)
    }

    /// Buffers that are offered and not lent.
    pub(crate) fn available(&self) -> u32 {
        self.offered - self.lent_count
    }

    /// Buffers that are lent.
    #[cfg(feature = "faults")]
    pub(crate) fn lent_count(&self) -> u32 {
        self.lent_count
    }

    /// Notes that the kernel filled `buffer` with `len` bytes; it is lent from now on.
    pub(crate) fn lend(&mut self, buffer: u16, len: u32) {
        let lent = &mut self.lent[usize::from(buffer)];
        assert!(
            *lent == 0 && len > 0 && len <= self.size,
            "the kernel filled buffer {buffer} with {len} bytes"
        );
        *lent = len;
        self.lent_count += 1;
    }

    /// The bytes of a lent buffer.
    ///
    /// # Panics
    /// When the buffer is not lent.
    pub(crate) fn bytes(&mut self, buffer: u32) -> &mut [u8] {
        let len = self.lent[buffer as usize];
        assert!(len != 0, "receive buffer {buffer} is not lent");
        let offset = buffer as usize * self.size as usize;
        // SAFETY: `buffer < count`, as the index into `lent` proved, so the offset lies within the allocation.
        let start = unsafe { self.memory.add(offset) };
        // SAFETY: `len <= size` bytes from there lie within the allocation and are initialised (zeroed at first,
        // then written by the kernel); being lent, the kernel does not touch them, and `&mut self` excludes
        // every other reference.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len as usize) }
    }

    /// Takes a lent buffer back and gives it to the kernel.
    ///
    /// # Panics
    /// When the buffer is not lent.
    pub(crate) fn release(&mut self, buffer: u32) {
        let lent = &mut self.lent[buffer as usize];
        assert!(*lent != 0, "receive buffer {buffer} is not lent");
        *lent = 0;
        self.lent_count -= 1;
        self.add(buffer);
        self.publish();
    }

    /// Gives a buffer back that was never lent onwards.
    pub(crate) fn recycle(&mut self, buffer: u16) {
        self.add(u32::from(buffer));
        self.publish();
    }

    /// Puts a buffer at the tail of the ring, unseen by the kernel until [`Buffers::publish`].
    #[expect(clippy::cast_possible_truncation, reason = "buffer < count <= 2^15")]
    fn add(&mut self, buffer: u32) {
        let offset = buffer as usize * self.size as usize;
        // SAFETY: `buffer < count` by the invariant of every caller, so the offset lies within the allocation.
        let start = unsafe { self.memory.add(offset) };
        // SAFETY: the masked index is below the number of entries that were allocated.
        let mut entry = unsafe { self.entries.add(usize::from(self.tail & self.mask)) };
        // SAFETY: the entry is initialised (zeroed) and, lying behind the published tail, not read by the
        // kernel. The ring has at least as many entries as there are buffers, so it is not a pending one. The
        // setters leave the tail alone, which shares the first entry.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(start.as_ptr() as u64);
        entry.set_len(self.size);
        entry.set_bid(buffer as u16);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel the new tail.
    fn publish(&self) {
        // SAFETY: `entries` points to the first entry of the ring.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is a 16-bit field of the live allocation, aligned as such; the kernel and this
        // thread access it only as an atomic.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        let blocks = [(self.memory, self.memory_layout), (self.entries.cast(), self.entries_layout)];
        for (start, layout) in blocks {
            // SAFETY: mapped by `map` with this length; the kernel has no more use for it (the module's invariant).
            unsafe { libc::munmap(start.as_ptr().cast(), layout.size()) };
        }
    }
}

/// Zeroed memory that begins with a page, as the kernel wants it of the ring, and of which each page exists only once it
/// is touched. The allocator is not asked: where it has memory at hand it writes the zeroes, and so touches every page.
fn map(layout: Layout) -> NonNull<u8> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let start = unsafe { libc::mmap(ptr::null_mut(), layout.size(), access, flags, -1, 0) };
    match NonNull::new(start.cast::<u8>()) {
        Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => start,
        _ => handle_alloc_error(layout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_buffer_is_distinct_writable_and_comes_back_once() {
        let mut buffers = Buffers::new(100, 5);
        assert_eq!(buffers.registration().1, 8);
        buffers.lend(0, 100);
        buffers.lend(4, 7);
        assert_eq!(buffers.available(), 3);
        buffers.bytes(0).fill(1);
        buffers.bytes(4).fill(2);
        assert_eq!(buffers.bytes(0), [1; 100]);
        assert_eq!(buffers.bytes(4), [2; 7]);
        buffers.release(4);
        assert_eq!(buffers.available(), 4);
        assert_eq!(buffers.tail, 6);
    }

    #[test]
    fn more_are_offered_until_all_are() {
        let mut buffers = Buffers::new(8, 100);
        let mut offered = Vec::new();
        for _ in 0..4 {
            offered.push((buffers.available(), buffers.tail));
            buffers.offer_more();
        }
        assert_eq!(offered, [(64, 64), (80, 80), (96, 96), (100, 100)]);
        assert_eq!((buffers.available(), buffers.tail), (100, 100));
        buffers.lend(99, 8);
        buffers.release(99);
        assert_eq!((buffers.available(), buffers.tail), (100, 101));
    }

    #[test]
    #[should_panic(expected = "is not lent")]
    fn releasing_twice_is_refused() {
        let mut buffers = Buffers::new(16, 2);
        buffers.lend(1, 3);
        buffers.release(1);
        buffers.release(1);
    }

    #[test]
    #[should_panic(expected = "is not lent")]
    fn reading_a_buffer_of_the_kernel_is_refused() {
        Buffers::new(16, 2).bytes(1);
    }
}
