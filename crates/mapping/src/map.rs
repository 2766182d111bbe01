//! The unsafe part: a private, read-only map of a file, or words that are shared with one, for as long as they are needed.
//!
//! What it is: one pair of `mmap` and `munmap`, and the slices between them.
//! What it is not: an answer to files that change; the crate's documentation has that.
//!
//! Invariant: from `Mapped::new` to its `drop`, `start` is the address of `size` mapped bytes that only this value unmaps.

use std::ffi::c_void;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags};

/// Memory that the kernel mapped for us, whatever is in it.
struct Mapped {
    start: NonNull<c_void>,
    size: usize,
}

// SAFETY: the map has no ties to the thread that made it.
unsafe impl Send for Mapped {}

// SAFETY: a shared reference to it reads an address and a size, and nothing that is mapped.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps so many bytes, at least one: the first of `file`, which has as many, or of no file: then they are 0. What may be
    /// written to is shared with all who map the file.
    fn new(file: Option<&File>, size: Option<usize>, protection: ProtFlags) -> io::Result<Self> {
        let size = size.filter(|size| isize::try_from(*size).is_ok());
        let size = size.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let is_shared = file.is_some() && protection.contains(ProtFlags::WRITE);
        let flags = if is_shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
        let start = match file {
            // SAFETY: without an address of our own and without MAP_FIXED the kernel chooses a free one, so that no memory
            // in use is replaced.
            Some(file) => unsafe { rustix::mm::mmap(ptr::null_mut(), size, protection, flags, file, 0) },
            // SAFETY: as above.
            None => unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), size, protection, flags) },
        }?;
        let start = NonNull::new(start).expect("Invariant: the kernel maps nothing at address 0 by itself");
        Ok(Self { start, size })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the map was made by `new` with this address and size and is unmapped only here; slices of it borrow
        // `self`, which nobody can any more.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr(), self.size) };
        unmapped.expect("Invariant: what was mapped can be unmapped");
    }
}

/// A map of a file that is not empty.
pub(crate) struct Map(Mapped);

impl Map {
    /// Maps the first `size` bytes of `file`, which has as many.
    pub(crate) fn new(file: &File, size: u64) -> io::Result<Self> {
        Mapped::new(Some(file), usize::try_from(size).ok(), ProtFlags::READ).map(Self)
    }

    /// What is mapped.
    pub(crate) const fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is the address of `size` readable bytes, at most isize::MAX, that stay mapped while `self` is
        // borrowed, and this process has no way to write to them. Another process that writes to the file can change
        // what is read here, which the language does not foresee and every mapped file has: the crate's documentation
        // says who must mind it. A page that is gone from the file is no read of other memory but SIGBUS.
        unsafe { std::slice::from_raw_parts(self.0.start.cast().as_ptr(), self.0.size) }
    }
}

/// Words that are written to: those of a file, or of memory that has none.
pub(crate) struct WordMap(Mapped);

impl WordMap {
    /// Maps so many words, at least one, of `file`, which has them, or of no file: then they are 0.
    pub(crate) fn new(file: Option<&File>, count: usize) -> io::Result<Self> {
        let size = count.checked_mul(size_of::<AtomicU64>());
        Mapped::new(file, size, ProtFlags::READ | ProtFlags::WRITE).map(Self)
    }

    /// All words.
    pub(crate) const fn words(&self) -> &[AtomicU64] {
        let count = self.0.size / size_of::<AtomicU64>();
        // SAFETY: `start` is the page-aligned address of `count` words, at most isize::MAX bytes, that stay mapped, readable
        // and writable while `self` is borrowed; any bits are a word, and every access through the slice is atomic, whoever
        // else maps the file. A page that is gone from the file is no access to other memory but SIGBUS.
        unsafe { std::slice::from_raw_parts(self.0.start.cast().as_ptr(), count) }
    }
}

/// Some words of a [`Sheet`](crate::Sheet).
#[derive(Clone)]
pub struct Words {
    /// Looked up once, because it is asked for with every event of a hot path.
    start: NonNull<AtomicU64>,
    count: usize,
    /// Keeps what `start` leads to.
    map: Arc<WordMap>,
}

// SAFETY: as for the map that it keeps.
unsafe impl Send for Words {}

// SAFETY: as for the map that it keeps.
unsafe impl Sync for Words {}

impl Words {
    /// Those in this range.
    pub(crate) fn new(map: Arc<WordMap>, range: Range<usize>) -> Self {
        let words = &map.words()[range];
        Self { start: NonNull::from(words).cast(), count: words.len(), map }
    }
}

impl AsRef<[AtomicU64]> for Words {
    #[inline]
    fn as_ref(&self) -> &[AtomicU64] {
        // SAFETY: they were `count` words of `map`, which stays mapped as long as `self` does, and neither field changes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Words")
            .field("count", &self.count)
            .field("of", &self.map.words().len())
            .finish_non_exhaustive()
    }
}
