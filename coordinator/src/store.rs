//! The database: what must survive the coordinator, and the history that people read.
//!
//! What it is: one `SQLite` file, one thread that writes to it, and a reader beside it. What it is not: a decision; what is
//! kept is handed in, and what was kept is handed back.
//!
//! ```text
//!   serve ──writes──► queue ──► writer: one transaction for all that waits ──► disk ──► durable: number
//!         ──reads───► a connection of its own (write-ahead log: reader and writer do not wait for each other)
//! ```
//!
//! Invariants: a record is durable before its number is told; a write that fails ends the coordinator, because nothing that
//! it decided since can be relied upon. Specs are sealed: their variables and words may be secrets.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use crate::director::Record;
use crate::handle::{FileView, LogEntry, RunId, RunView, SecondView};
use crate::submission::Submitted;

mod read;
mod schema;
mod seal;
#[cfg(test)]
mod tests;
mod write;

pub use read::Kept;
pub use seal::{Key, KeyError};

/// The database, within the state folder.
const DATABASE: &str = "coordinator.sqlite";

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `SQLite` said so.
    #[error("the database {}: {source} → is the disk full, or another coordinator at work on this folder?", path.display())]
    Sql {
        /// Where it lies.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// Another version made it.
    #[error(
        "the database {} has format {found}, and this program reads {}: another version made it → that version, or another --state folder",
        path.display(),
        schema::VERSION
    )]
    Version {
        /// Where it lies.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// What it holds cannot be read back.
    #[error("the database {}: {what} cannot be read back: {why} → restore it from a copy, or use another --state folder", path.display())]
    Damaged {
        /// Where it lies.
        path: PathBuf,
        /// Which entry.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no key for its secrets.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its writer is gone.
    #[error("the database has failed: {0}")]
    Gone(String),
}

/// Something to write.
#[derive(Debug)]
pub enum Write {
    /// A record of the director, whose number is told once it is durable.
    Keep(u64, Box<Record>),
    /// What a run was asked to be, ahead of the record that it was taken.
    Submitted(Box<Submitted>),
    /// How a run looks, for the history.
    View(Box<RunView>),
    /// How a second of a run looks.
    Second(RunId, Arc<SecondView>),
    /// Lines of logs, with their positions.
    Log(Vec<LogEntry>),
    /// A file is in the repository.
    File(Box<FileView>),
    /// A file is no more.
    RemoveFile(String),
    /// A run is forgotten.
    DeleteRun(RunId),
    /// Tells when everything before it is durable.
    Flush(oneshot::Sender<()>),
    /// Old runs and lines are forgotten, beyond these numbers.
    Retain(Retention),
}

/// How much of the history is kept.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Ended runs.
    pub runs: u32,
    /// Lines of nodes' logs.
    pub lines: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { runs: 1_000, lines: 200_000 }
    }
}

/// How far the writer is: the number of the last durable record, or why there will be no more.
pub type Durable = watch::Receiver<Result<u64, String>>;

/// The database of one coordinator.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    key: Key,
    reader: Mutex<Connection>,
    writes: Option<mpsc::Sender<Write>>,
    durable: Durable,
    writer: Option<JoinHandle<()>>,
    term: u64,
}

impl Store {
    /// Opens or makes the database in `folder`, and begins a new term, which is durable when this returns.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(DATABASE);
        let wrong = |source| StoreError::Sql { path: path.clone(), source };
        let key = Key::of(folder)?;
        let mut writer = Connection::open(&path).map_err(wrong)?;
        schema::prepare(&mut writer).map_err(wrong)?;
        let found = schema::version(&writer).map_err(wrong)?;
        if found != schema::VERSION {
            return Err(StoreError::Version { path, found });
        }
        let term = write::next_term(&mut writer).map_err(wrong)?;
        let only_read = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let reader = Connection::open_with_flags(&path, only_read).map_err(wrong)?;
        schema::patience(&reader).map_err(wrong)?;
        let (hand_over, queue) = mpsc::channel();
        let (tell, durable) = watch::channel(Ok(0));
        let writers_key = key.clone();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write::work(&mut writer, &writers_key, &queue, &tell))
            .map_err(|error| StoreError::Gone(error.to_string()))?;
        Ok(Self {
            path,
            key,
            reader: Mutex::new(reader),
            writes: Some(hand_over),
            durable,
            writer: Some(thread),
            term,
        })
    }

    /// The term that opening began.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// How far the writer is.
    pub fn durable(&self) -> Durable {
        self.durable.clone()
    }

    /// Hands something to the writer.
    pub fn write(&self, write: Write) {
        if let Some(writes) = &self.writes {
            // Where the writer is gone, `durable` says so to whoever relies on it.
            let _ = writes.send(write);
        }
    }

    /// Waits until everything that was handed over is durable.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let (reply, done) = oneshot::channel();
        self.write(Write::Flush(reply));
        done.await.map_err(|_| {
            let why = self.durable.borrow().clone().err();
            StoreError::Gone(why.unwrap_or_else(|| "its writer ended".into()))
        })
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    /// Writes what waits, then closes the database.
    fn drop(&mut self) {
        self.writes = None;
        if let Some(writer) = self.writer.take() {
            // Its end was told by `durable`.
            let _ = writer.join();
        }
    }
}
