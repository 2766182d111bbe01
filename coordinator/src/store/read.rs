//! Reading: what a new coordinator is given back, and the history.

use std::sync::Arc;

use measure::Gauges;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql};
use serde::de::DeserializeOwned;
use wire::{Measured, RunKey, Spec};

use super::write::{int, of_run};
use super::{Store, StoreError};
use crate::director::{Fact, Mark, Standing, Terms};
use crate::handle::{FileView, LogEntry, LogsQuery, RunId, RunView, RunsPage, RunsQuery, SecondView};
use crate::submission::spec_of;

/// Runs on a page when nobody says, and at most.
const RUNS: (u32, u32) = (50, 500);
/// Lines of logs when nobody says, and at most.
const LINES: (u32, u32) = (500, 5_000);

/// A run that was taken and not concluded, as it was kept.
#[derive(Debug)]
pub struct Kept {
    /// Its key.
    pub run: RunKey,
    /// When it came, in nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
    /// What to run.
    pub spec: Spec,
    /// How the fleet was to carry it out.
    pub terms: Terms,
    /// Its facts, in order.
    pub facts: Vec<Fact>,
    /// The rows of its seconds.
    pub seconds: Vec<(u64, Measured, Gauges)>,
    /// How far deltas were merged.
    pub marks: Vec<Mark>,
}

impl Store {
    /// The runs that go on, in the order in which they came.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn unfinished(&self) -> Result<Vec<Kept>, StoreError> {
        let reader = self.reader();
        let runs = self.rows(
            &reader,
            "SELECT run, submitted_unix_ns, spec, terms FROM runs WHERE taken = 1 AND concluded = 0 ORDER BY run",
            &[],
            |row| {
                let run: [u8; 16] = row.get(0)?;
                Ok((run, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, String>(3)?))
            },
        )?;
        runs.into_iter().map(|run| self.kept(&reader, run)).collect()
    }

    fn kept(
        &self,
        reader: &Connection,
        (run, at_unix_ns, sealed, terms): ([u8; 16], i64, Vec<u8>, String),
    ) -> Result<Kept, StoreError> {
        let key = RunKey::from_be_bytes(run);
        let what = format!("run {}", RunId(key));
        let damaged = |why: &str| self.damaged(&what, why);
        let text =
            self.key.open(&run, &sealed).ok_or_else(|| damaged("secret.key is not the key of its plan"))?;
        let spec = String::from_utf8(text).ok().and_then(|text| spec_of(&text));
        let facts =
            self.rows(reader, "SELECT fact FROM facts WHERE run = ?1 ORDER BY number", &[&run], text_of)?;
        let seconds = self.rows(
            reader,
            "SELECT second, totals, connections, in_flight, waiting FROM merged WHERE run = ?1 ORDER BY id",
            &[&run],
            |row| {
                let waiting = row.get::<_, i64>(4)?.cast_unsigned();
                let gauges = Gauges { connections: row.get(2)?, in_flight: row.get(3)?, waiting };
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Vec<u8>>(1)?, gauges))
            },
        )?;
        let unpack = |(second, bytes, gauges): (u64, Vec<u8>, Gauges)| {
            let packed = Measured::from_bytes(bytes).map_err(|error| damaged(&error.to_string()))?;
            Ok((second, packed, gauges))
        };
        let marks = self.rows(
            reader,
            "SELECT node, incarnation, next, until_ns, sums, recovered FROM marks WHERE run = ?1",
            &[&run],
            |row| {
                let number = |place| row.get::<_, i64>(place).map(i64::cast_unsigned);
                let (node, sums) = (row.get(0)?, row.get(4)?);
                let (incarnation, next, until_ns) = (number(1)?, number(2)?, number(3)?);
                let recovered = row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned);
                Ok(Mark { node, incarnation, next, until_ns, sums, recovered })
            },
        )?;
        for mark in &marks {
            mark.share().map_err(|error| damaged(&error.to_string()))?;
        }
        Ok(Kept {
            run: key,
            at_unix_ns: at_unix_ns.cast_unsigned(),
            spec: spec.ok_or_else(|| damaged("its plan is not text"))?,
            terms: self.parsed(&what, &terms)?,
            facts: facts.iter().map(|fact| self.parsed(&what, fact)).collect::<Result<_, _>>()?,
            seconds: seconds.into_iter().map(unpack).collect::<Result<_, StoreError>>()?,
            marks,
        })
    }

    /// What was decided about nodes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn standing(&self) -> Result<Standing, StoreError> {
        let reader = self.reader();
        let quarantined = self.rows(&reader, "SELECT node, reason FROM quarantine", &[], pair)?;
        let draining = self.rows(&reader, "SELECT node, exit FROM draining", &[], pair)?;
        Ok(Standing {
            quarantined: quarantined.into_iter().collect(),
            draining: draining.into_iter().collect(),
        })
    }

    /// A page of the history.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn runs(&self, query: &RunsQuery) -> Result<RunsPage, StoreError> {
        let limit = query.limit.unwrap_or(RUNS.0).clamp(1, RUNS.1);
        let before = of_run(query.before.map_or(RunKey::MAX, |run| run.0));
        let searched = query.search.as_deref().unwrap_or_default().to_lowercase();
        let texts = self.rows(
            &self.reader(),
            "SELECT view FROM runs WHERE run < ?1 AND view IS NOT NULL AND (?2 IS NULL OR project = ?2)
             AND instr(searched, ?3) > 0 ORDER BY run DESC LIMIT ?4",
            &[&before, &query.project, &searched, &(limit + 1)],
            text_of,
        )?;
        let is_whole = texts.len() <= limit as usize;
        let view = |text: &String| {
            let view: RunView = self.parsed("a run", text)?;
            Ok(RunView { shares: Vec::new(), ..view })
        };
        let runs: Vec<RunView> =
            texts.iter().take(limit as usize).map(view).collect::<Result<_, StoreError>>()?;
        let before = runs.last().map(|run| run.id).filter(|_| !is_whole);
        Ok(RunsPage { runs, before })
    }

    /// How a run looked last.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn run(&self, run: RunId) -> Result<Option<RunView>, StoreError> {
        let text =
            self.one("SELECT view FROM runs WHERE run = ?1 AND view IS NOT NULL", &[&of_run(run.0)])?;
        text.map(|text: String| self.parsed("a run", &text)).transpose()
    }

    /// The seconds of a run above a revision, rising by it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn seconds(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Arc<SecondView>>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let texts = self.rows(
            &self.reader(),
            "SELECT view FROM seconds WHERE run = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3",
            &[&of_run(run.0), &int(after), &limit],
            text_of,
        )?;
        texts.iter().map(|text| self.parsed("a second", text).map(Arc::new)).collect()
    }

    /// The report of a run that has ended.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn report(&self, run: RunId) -> Result<Option<String>, StoreError> {
        self.one("SELECT summary FROM runs WHERE run = ?1 AND summary IS NOT NULL", &[&of_run(run.0)])
    }

    /// Lines of logs.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn logs(&self, query: &LogsQuery) -> Result<Vec<LogEntry>, StoreError> {
        let limit = query.limit.unwrap_or(LINES.0).clamp(1, LINES.1);
        let run = query.run.map(|run| run.to_string());
        let texts = self.rows(
            &self.reader(),
            "SELECT line FROM logs WHERE position > ?1 AND (?2 IS NULL OR node = ?2) AND (?3 IS NULL OR run = ?3)
             ORDER BY position LIMIT ?4",
            &[&int(query.after), &query.node, &run, &limit],
            text_of,
        )?;
        texts.iter().map(|text| self.parsed("a line", text)).collect()
    }

    /// The greatest position among the lines; 0 where there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn last_line(&self) -> Result<u64, StoreError> {
        let last: Option<i64> = self.one("SELECT coalesce(max(position), 0) FROM logs", &[])?;
        Ok(last.unwrap_or(0).cast_unsigned())
    }

    /// The files of the repository.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn files(&self) -> Result<Vec<FileView>, StoreError> {
        let texts = self.rows(&self.reader(), "SELECT view FROM files ORDER BY sha256", &[], text_of)?;
        texts.iter().map(|text| self.parsed("a file", text)).collect()
    }

    /// The file with this digest.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn file(&self, sha256: &str) -> Result<Option<FileView>, StoreError> {
        let text: Option<String> = self.one("SELECT view FROM files WHERE sha256 = ?1", &[&sha256])?;
        text.map(|text| self.parsed("a file", &text)).transpose()
    }

    /// Whether a run that has not ended needs a file.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn is_needed(&self, sha256: &str) -> Result<bool, StoreError> {
        let needed: Option<i64> = self.one(
            "SELECT 1 FROM run_files JOIN runs USING (run) WHERE sha256 = ?1 AND concluded = 0 LIMIT 1",
            &[&sha256],
        )?;
        Ok(needed.is_some())
    }

    fn rows<T>(
        &self,
        reader: &Connection,
        sql: &str,
        values: &[&dyn ToSql],
        of: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let read = || {
            let mut statement = reader.prepare_cached(sql)?;
            let rows = statement.query_map(values, |row| of(row))?;
            rows.collect::<rusqlite::Result<Vec<T>>>()
        };
        read().map_err(|error| self.sql(error))
    }

    fn one<T: FromSql>(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Option<T>, StoreError> {
        let reader = self.reader();
        reader.query_row(sql, values, |row| row.get(0)).optional().map_err(|error| self.sql(error))
    }

    fn sql(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Sql { path: self.path.clone(), source }
    }

    fn parsed<T: DeserializeOwned>(&self, what: &str, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.damaged(what, &error.to_string()))
    }

    fn damaged(&self, what: &str, why: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what: what.to_owned(), why: why.to_owned() }
    }
}

fn pair<A: FromSql, B: FromSql>(row: &Row<'_>) -> rusqlite::Result<(A, B)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn text_of(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}
