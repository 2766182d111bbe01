//! Words that outlive the process which writes them: a file that is mapped to be written to.
//!
//! What it is: [`Sheet::create`] makes a file of 64-bit words, and [`Sheet::words`] gives parts of it out, each to be
//! counted in by whoever has it. What a process has stored when it is killed, at whatever instruction, is in the file:
//! its pages belong to the kernel. [`Sheet::private`] gives words of the same kind that belong to no file.
//! What it is not: safe against the end of the machine. Pages reach the disk when the kernel pleases, each by itself.
//!
//! The room is taken when the file is made, so that a disk that fills up later hurts nobody. A file that somebody shortens
//! meanwhile is fatal, as the crate's documentation says: give it to nobody.
//!
//! Units: words of 8 bytes, in the order of bytes that this machine has.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use crate::MappingError;
use crate::map::{WordMap, Words};

/// A file of words, or memory for as many.
#[derive(Clone)]
pub struct Sheet(Arc<WordMap>);

impl Sheet {
    /// Makes a file of `count` words, all 0, at `path`, in the place of one that is there; whoever has that one mapped keeps
    /// it. Only its user may read it.
    ///
    /// # Errors
    /// It cannot be made, there is no room for it, or it cannot be mapped.
    pub fn create(path: impl AsRef<Path>, count: usize) -> Result<Self, MappingError> {
        let path = path.as_ref();
        let failed = |source: io::Error| MappingError::Create { path: path.to_owned(), source };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let size = (count as u64).saturating_mul(8);
        let made = take_room(&file, size).and_then(|()| WordMap::new(Some(&file), count));
        made.map(|map| Self(Arc::new(map))).map_err(|error| {
            // What is of no use is not left behind.
            let _ = fs::remove_file(path);
            failed(error)
        })
    }

    /// So many words, all 0, that end with the process.
    ///
    /// # Panics
    /// The system has no memory left.
    pub fn private(count: usize) -> Self {
        Self(Arc::new(WordMap::new(None, count.max(1)).expect("there is memory for a few words")))
    }

    /// Some of the words. They stay for as long as anyone has them.
    ///
    /// # Panics
    /// There are not so many.
    pub fn words(&self, range: Range<usize>) -> Words {
        Words::new(Arc::clone(&self.0), range)
    }
}

/// Gives the file its size, and the disk blocks for it.
fn take_room(file: &File, size: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        // Not every file system can; zeros that were written take their room as well.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let (mut left, zeros) = (size, [0; 4_096]);
            while left > 0 {
                let piece = left.min(zeros.len() as u64);
                (&mut &*file).write_all(&zeros[..usize::try_from(piece).unwrap_or(zeros.len())])?;
                left -= piece;
            }
            Ok(())
        }
        done => Ok(done?),
    }
}

impl fmt::Debug for Sheet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sheet").field("words", &self.0.words().len()).finish_non_exhaustive()
    }
}
