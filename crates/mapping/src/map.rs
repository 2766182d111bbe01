//! The unsafe part: one private, read-only map of a file, for as long as it is needed.
//!
//! What it is: the pair of `mmap` and `munmap`, and the slice between them.
//! What it is not: an answer to files that change; the crate's documentation has that.
//!
//! Invariant: from `new` to `drop`, `start` is the address of `size` mapped bytes that only this value unmaps.

use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags};

/// A map of a file that is not empty.
pub(crate) struct Map {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the map is read-only memory without ties to the thread that made it.
unsafe impl Send for Map {}

// SAFETY: through a shared reference the memory can only be read.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `size` bytes of `file`, which has as many.
    pub(crate) fn new(file: &File, size: u64) -> io::Result<Self> {
        let size = usize::try_from(size)
            .ok()
            .filter(|size| isize::try_from(*size).is_ok())
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let flags = MapFlags::PRIVATE;
        // SAFETY: without an address of our own and without MAP_FIXED the kernel chooses a free one, so that no memory
        // in use is replaced.
        let start = unsafe { rustix::mm::mmap(ptr::null_mut(), size, ProtFlags::READ, flags, file, 0) }?;
        let start =
            NonNull::new(start.cast()).expect("Invariant: the kernel maps nothing at address 0 by itself");
        Ok(Self { start, size })
    }

    /// What is mapped.
    pub(crate) const fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is the address of `size` readable bytes, at most isize::MAX, that stay mapped while `self` is
        // borrowed, and this process has no way to write to them. Another process that writes to the file can change
        // what is read here, which the language does not foresee and every mapped file has: the crate's documentation
        // says who must mind it. A page that is gone from the file is no read of other memory but SIGBUS.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the map was made by `new` with this address and size and is unmapped only here; slices of it borrow
        // `self`, which nobody can any more.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.size) };
        unmapped.expect("Invariant: what was mapped can be unmapped");
    }
}
