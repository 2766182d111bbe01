//! Read-only views of whole files, and words in a file that outlive their process.
//!
//! What it is: [`Mapping::open`] gives the bytes of a regular file as one slice that threads may share. A file of up to
//! [`COPIED_BYTES_MAX`] is copied into memory; a larger one is mapped, so that data of many gigabytes costs page cache
//! and no memory of the process, and several engines on one host share it.
//! What it is not: a parser or a cache. Pipes, devices and directories are refused. What is written are [`Sheet`]s alone.
//!
//! # When somebody changes the file meanwhile
//!
//! - A copy cannot change. While it is made, the file's size and time of change are compared before and after: a file
//!   that is being written is refused.
//! - A mapped file that is replaced (written under another name, then renamed) stays what it was: the mapping holds the
//!   old one.
//! - A mapped file that is overwritten in place shows its new bytes. Whoever reads them must therefore not rest memory
//!   safety on what it once found there, nor panic about it; [`Mapping::check_unchanged`] tells.
//! - A mapped file that is shortened in place is fatal: the kernel ends the process with `SIGBUS` when it reads a page
//!   that is no longer there. Nothing prevents this from the reader's side. Locks are advisory; a lease
//!   (`F_SETLEASE`) delays the writer by 45 seconds at most, and wants the file's owner and a local file system; seals
//!   exist for memory files only; and a signal handler that puts zeros in the place of what is gone would let a run go
//!   on with wrong data. A process that ends is the lesser evil. So: replace data files, do not rewrite them.
//!   [`Mapping::check_unchanged`], called before a run and every second of it, finds most such files before the pages
//!   that are gone are needed, and costs one `fstat`.
//!
//! A page of a mapped file that memory pressure took is read again from the disk by the thread that needs it, which
//! waits for it.
//!
//! Units: bytes.

#![warn(missing_docs)]

mod error;
mod map;
mod sheet;

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};

pub use error::MappingError;
use map::Map;
pub use map::Words;
pub use sheet::Sheet;

/// Files up to this size are copied, larger ones mapped.
pub const COPIED_BYTES_MAX: u64 = 16 << 20;

/// The bytes of a whole file.
pub struct Mapping {
    path: PathBuf,
    held: Held,
}

enum Held {
    Copy(Box<[u8]>),
    Map { map: Map, file: File, seen: Seen },
}

/// What tells one content of a file from another, as far as the kernel keeps books.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Seen {
    size: u64,
    modified_s: i64,
    modified_ns: u64,
}

impl Mapping {
    /// The file at `path`, whole, as it is now. An empty file is allowed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, MappingError> {
        Self::open_limited(path.as_ref(), COPIED_BYTES_MAX)
    }

    fn open_limited(path: &Path, copied_bytes_max: u64) -> Result<Self, MappingError> {
        let path = path.to_path_buf();
        let unopened =
            |source: rustix::io::Errno| MappingError::Open { path: path.clone(), source: source.into() };
        // Without O_NONBLOCK a pipe would keep us here until somebody writes into it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(&path, flags, Mode::empty()).map_err(unopened)?);
        let status = rustix::fs::fstat(&file).map_err(unopened)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(MappingError::NoFile { path });
        }
        let seen = Seen::of(&status);
        let held = if seen.size <= copied_bytes_max {
            Held::Copy(copy(&path, &file, seen)?)
        } else {
            let map = Map::new(&file, seen.size).map_err(|source| MappingError::Map {
                path: path.clone(),
                size: seen.size,
                source,
            })?;
            Held::Map { map, file, seen }
        };
        Ok(Self { path, held })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.held {
            Held::Copy(bytes) => bytes,
            Held::Map { map, .. } => map.bytes(),
        }
    }

    /// Whether the bytes are the file's own pages, which others can change, rather than a copy.
    pub const fn is_mapped(&self) -> bool {
        matches!(self.held, Held::Map { .. })
    }

    /// Whether the file still has the size and the time of change that it had when it was opened. A copy always has.
    pub fn check_unchanged(&self) -> Result<(), MappingError> {
        let Held::Map { file, seen, .. } = &self.held else { return Ok(()) };
        unchanged(&self.path, file, *seen)
    }
}

impl Seen {
    fn of(status: &Stat) -> Self {
        Self {
            size: u64::try_from(status.st_size).unwrap_or(0),
            modified_s: status.st_mtime,
            modified_ns: status.st_mtime_nsec,
        }
    }
}

/// The bytes of a file that is not being written meanwhile.
fn copy(path: &Path, file: &File, seen: Seen) -> Result<Box<[u8]>, MappingError> {
    let mut bytes = Vec::with_capacity(usize::try_from(seen.size).unwrap_or(0));
    // One byte more than there should be shows a file that grew.
    file.take(seen.size + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| MappingError::Read { path: path.to_path_buf(), source })?;
    if bytes.len() as u64 != seen.size {
        return Err(MappingError::Changed { path: path.to_path_buf() });
    }
    unchanged(path, file, seen)?;
    Ok(bytes.into_boxed_slice())
}

fn unchanged(path: &Path, file: &File, seen: Seen) -> Result<(), MappingError> {
    match rustix::fs::fstat(file) {
        Ok(status) if Seen::of(&status) == seen => Ok(()),
        Ok(_) => Err(MappingError::Changed { path: path.to_path_buf() }),
        Err(source) => Err(MappingError::Read { path: path.to_path_buf(), source: source.into() }),
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// Without the bytes: they may be secrets.
impl fmt::Debug for Mapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mapping")
            .field("path", &self.path)
            .field("bytes", &self.bytes().len())
            .field("is_mapped", &self.is_mapped())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
