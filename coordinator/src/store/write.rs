//! The writer: takes what waits, and makes it durable in one transaction.

use std::sync::mpsc;

use measure::Gauges;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use tokio::sync::watch;
use wire::RunKey;

use super::{Key, Retention, Write};
use crate::director::{Conclusion, Mark, Merged, Record};
use crate::handle::{LogEntry, RunView};
use crate::submission::Submitted;

/// The most that one transaction takes, so that what waits behind it does not wait too long.
const AT_ONCE: usize = 4_096;

/// Begins a new term.
pub(super) fn next_term(connection: &mut Connection) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let last: Option<i64> = transaction
        .query_row("SELECT value FROM meta WHERE name = 'term'", [], |row| row.get(0))
        .optional()?;
    let term = last.unwrap_or(0) + 1;
    transaction.execute("INSERT OR REPLACE INTO meta VALUES ('term', ?1)", [term])?;
    // A plan that was handed over and never taken has no owner any more.
    transaction.execute("DELETE FROM runs WHERE taken = 0", [])?;
    transaction.commit()?;
    Ok(term.cast_unsigned())
}

/// Writes until nobody hands anything over any more, or the disk fails.
pub(super) fn work(
    connection: &mut Connection,
    key: &Key,
    queue: &mpsc::Receiver<Write>,
    durable: &watch::Sender<Result<u64, String>>,
) {
    while let Ok(first) = queue.recv() {
        let mut writes = vec![first];
        writes.extend(queue.try_iter().take(AT_ONCE - 1));
        match write_all(connection, key, &writes) {
            Ok(number) => {
                if let Some(number) = number {
                    // What stood there before is known.
                    let _ = durable.send_replace(Ok(number));
                }
                for write in writes {
                    if let Write::Flush(reply) = write {
                        // Whoever waited may have gone.
                        let _ = reply.send(());
                    }
                }
            }
            Err(error) => {
                let _ = durable.send_replace(Err(error.to_string()));
                return;
            }
        }
    }
}

/// Writes all of it or nothing; yields the greatest number of a record in it.
fn write_all(connection: &mut Connection, key: &Key, writes: &[Write]) -> rusqlite::Result<Option<u64>> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut last = None;
    for write in writes {
        match write {
            Write::Keep(number, kept) => {
                record(&transaction, kept)?;
                last = Some(*number);
            }
            Write::Submitted(submitted) => self::submitted(&transaction, key, submitted)?,
            Write::View(view) => self::view(&transaction, view)?,
            Write::Second(run, second) => {
                let text = json(&**second);
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO seconds VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![of_run(run.0), int(second.second), int(second.revision), text])?;
            }
            Write::Log(lines) => lines.iter().try_for_each(|line| log(&transaction, line))?,
            Write::File(file) => {
                transaction.execute(
                    "INSERT OR REPLACE INTO files VALUES (?1, ?2)",
                    params![file.sha256, json(&**file)],
                )?;
            }
            Write::RemoveFile(sha256) => {
                transaction.execute("DELETE FROM files WHERE sha256 = ?1", [sha256])?;
            }
            Write::DeleteRun(run) => delete(&transaction, &of_run(run.0))?,
            Write::Flush(_) => {}
            Write::Retain(retention) => retain(&transaction, *retention)?,
        }
    }
    transaction.commit()?;
    Ok(last)
}

fn record(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::Taken(submission) => {
            let run = of_run(submission.run);
            let taken = transaction.execute(
                "UPDATE runs SET taken = 1, terms = ?2 WHERE run = ?1",
                params![run, json(&submission.terms)],
            )?;
            assert!(taken == 1, "Invariant: a plan is handed over before it is taken");
        }
        Record::Fact { run, number, fact } => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO facts VALUES (?1, ?2, ?3)")?
                .execute(params![of_run(*run), int(*number), json(fact)])?;
        }
        Record::Merged(merged) => self::merged(transaction, merged)?,
        Record::Concluded { run, conclusion } => concluded(transaction, *run, conclusion)?,
        Record::Quarantine { node, reason: Some(reason) } => {
            transaction.execute("INSERT OR REPLACE INTO quarantine VALUES (?1, ?2)", [node, reason])?;
        }
        Record::Quarantine { node, reason: None } => {
            transaction.execute("DELETE FROM quarantine WHERE node = ?1", [node])?;
        }
        Record::Drain { node, exit: Some(exit) } => {
            transaction.execute("INSERT OR REPLACE INTO draining VALUES (?1, ?2)", params![node, exit])?;
        }
        Record::Drain { node, exit: None } => {
            transaction.execute("DELETE FROM draining WHERE node = ?1", [node])?;
        }
    }
    Ok(())
}

fn submitted(transaction: &Transaction<'_>, key: &Key, submitted: &Submitted) -> rusqlite::Result<()> {
    let submission = &submitted.submission;
    let run = of_run(submission.run);
    let spec = key.seal(&run, submitted.spec_text.as_bytes());
    transaction.execute(
        "INSERT INTO runs (run, submitted_unix_ns, project, spec, terms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![run, int(submitted.at_unix_ns), submission.terms.project, spec, json(&submission.terms)],
    )?;
    for file in submission.spec.files.values() {
        let sha256 = crate::files::hex(&file.sha256);
        transaction.execute("INSERT OR IGNORE INTO run_files VALUES (?1, ?2)", params![run, sha256])?;
    }
    Ok(())
}

fn merged(transaction: &Transaction<'_>, merged: &Merged) -> rusqlite::Result<()> {
    let run = of_run(merged.run);
    let mut insert = transaction.prepare_cached(
        "INSERT INTO merged (run, second, totals, connections, in_flight, waiting) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut replace = transaction.prepare_cached("DELETE FROM merged WHERE run = ?1 AND second = ?2")?;
    for (second, _, _) in &merged.whole {
        replace.execute(params![run, int(*second)])?;
    }
    for (second, totals, gauges) in merged.whole.iter().chain(&merged.seconds) {
        let Gauges { connections, in_flight, waiting } = *gauges;
        insert.execute(params![run, int(*second), totals.bytes(), connections, in_flight, int(waiting)])?;
    }
    let mut mark =
        transaction.prepare_cached("INSERT OR REPLACE INTO marks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for Mark { node, incarnation, next, until_ns, sums, recovered } in &merged.marks {
        let (next, until_ns, recovered) = (int(*next), int(*until_ns), recovered.map(int));
        mark.execute(params![run, node, int(*incarnation), next, until_ns, sums, recovered])?;
    }
    Ok(())
}

/// The report stands for what it was made of: sums by second and by node are in it.
fn concluded(transaction: &Transaction<'_>, run: RunKey, conclusion: &Conclusion) -> rusqlite::Result<()> {
    let run = of_run(run);
    let summary = conclusion.summary.as_ref().map(report::Summary::to_json);
    transaction.execute(
        "UPDATE runs SET concluded = 1, exit_code = ?2, reason = ?3, summary = ?4 WHERE run = ?1",
        params![run, conclusion.exit.code(), conclusion.reason, summary],
    )?;
    transaction.execute("DELETE FROM merged WHERE run = ?1", [&run])?;
    transaction.execute("DELETE FROM marks WHERE run = ?1", [&run])?;
    Ok(())
}

fn view(transaction: &Transaction<'_>, view: &RunView) -> rusqlite::Result<()> {
    let tags = view.tags.iter().map(|(name, value)| format!("{name}={value}"));
    let searched =
        [view.name.clone(), view.target.clone()].into_iter().chain(tags).collect::<Vec<_>>().join("\n");
    transaction
        .prepare_cached("UPDATE runs SET view = ?2, searched = ?3 WHERE run = ?1")?
        .execute(params![of_run(view.id.0), json(view), searched.to_lowercase()])?;
    Ok(())
}

fn log(transaction: &Transaction<'_>, line: &LogEntry) -> rusqlite::Result<()> {
    let run = line.run.map(|run| run.to_string());
    transaction.prepare_cached("INSERT OR REPLACE INTO logs VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        int(line.position),
        line.node,
        run,
        json(line)
    ])?;
    Ok(())
}

fn delete(transaction: &Transaction<'_>, run: &[u8; 16]) -> rusqlite::Result<()> {
    for table in ["runs", "run_files", "facts", "merged", "marks", "seconds"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
    }
    Ok(())
}

fn retain(transaction: &Transaction<'_>, retention: Retention) -> rusqlite::Result<()> {
    let mut old = transaction
        .prepare("SELECT run FROM runs WHERE concluded = 1 ORDER BY run DESC LIMIT -1 OFFSET ?1")?;
    let runs: Vec<[u8; 16]> = old.query_map([retention.runs], |row| row.get(0))?.collect::<Result<_, _>>()?;
    runs.iter().try_for_each(|run| delete(transaction, run))?;
    transaction.execute(
        "DELETE FROM logs WHERE position <= (SELECT coalesce(max(position), 0) FROM logs) - ?1",
        [int(retention.lines)],
    )?;
    Ok(())
}

/// The key of a run, in an order that is that of time.
pub(super) fn of_run(run: RunKey) -> [u8; 16] {
    run.to_be_bytes()
}

/// `SQLite` has no numbers without sign: the bits stay the same.
pub(super) fn int(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("Invariant: our documents have texts for keys")
}
