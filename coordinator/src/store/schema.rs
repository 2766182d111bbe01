//! The tables.
//!
//! What it is: the format of the database and how a connection is set up. Keys of runs are 16 bytes, most significant first,
//! so that later runs are greater.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

/// The format; another one is another number.
pub(super) const VERSION: i64 = 2;

/// Marks the file as ours: the letters `OpLo`.
const APPLICATION: i64 = 0x4f70_4c6f;

/// How long a connection waits for another.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
  run BLOB PRIMARY KEY, submitted_unix_ns INTEGER NOT NULL, project TEXT NOT NULL, searched TEXT NOT NULL DEFAULT '',
  spec BLOB NOT NULL, terms TEXT NOT NULL, taken INTEGER NOT NULL DEFAULT 0, concluded INTEGER NOT NULL DEFAULT 0,
  exit_code INTEGER, reason TEXT, summary TEXT, view TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run_files (run BLOB, sha256 TEXT, PRIMARY KEY (run, sha256)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
  run BLOB, number INTEGER, fact TEXT NOT NULL, PRIMARY KEY (run, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS merged (
  id INTEGER PRIMARY KEY, run BLOB NOT NULL, second INTEGER NOT NULL, totals BLOB NOT NULL,
  connections INTEGER NOT NULL, in_flight INTEGER NOT NULL, waiting INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS merged_by_run ON merged (run, second);
CREATE TABLE IF NOT EXISTS marks (
  run BLOB, node TEXT, incarnation INTEGER, next INTEGER NOT NULL, until_ns INTEGER NOT NULL, sums BLOB NOT NULL,
  recovered INTEGER, PRIMARY KEY (run, node, incarnation)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seconds (
  run BLOB, second INTEGER, revision INTEGER NOT NULL, view TEXT NOT NULL, PRIMARY KEY (run, second)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seconds_by_revision ON seconds (run, revision);
CREATE TABLE IF NOT EXISTS quarantine (node TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS draining (node TEXT PRIMARY KEY, exit INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (position INTEGER PRIMARY KEY, node TEXT NOT NULL, run TEXT, line TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (sha256 TEXT PRIMARY KEY, view TEXT NOT NULL) WITHOUT ROWID;
";

/// Sets a writing connection up, and makes the tables where there are none.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    patience(connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let is_new = connection.query_row("PRAGMA application_id", [], |row| row.get::<_, i64>(0))? == 0;
    // A table that came later is added to a database that was made before it.
    if is_new || version(connection)? == VERSION {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Makes a connection wait for others.
pub(super) fn patience(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)
}

/// The format of an open database.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}
