//! What can be wrong with a file.
//!
//! Invariant: every message says which file, what is wrong and how to fix it, on one line, and repeats none of the
//! file's bytes.

use std::io;
use std::path::PathBuf;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// It cannot be opened.
    #[error("{path:?}: cannot be opened ({source}) → name a file that this user may read")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be made.
    #[error(
        "{path:?}: cannot be made ({source}) → a folder on a local disk with room that this user may write"
    )]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a directory, a pipe, a socket or a device.
    #[error("{path:?}: is no regular file → write the data to a file and name that")]
    NoFile {
        /// What was named.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("{path:?}: cannot be read ({source}) → copy it to a disk that works")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be mapped.
    #[error(
        "{path:?}: its {size} bytes cannot be mapped ({source}) → raise the limit on address space (ulimit -v)"
    )]
    Map {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody wrote to it.
    #[error(
        "{path:?}: was changed while in use → write another file and rename it, or wait until it is written"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
}
