//! Views as people read them on a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use report::sanitized;

use crate::handle::{FileView, NodeState, NodeView, RunView};
use crate::headless::state_word;

/// Rows under a heading, each column as wide as its widest text.
fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let texts = rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count());
        texts.chain([heading[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    let heading: Vec<String> = heading.iter().map(|&word| word.to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

pub(super) fn runs(runs: &[RunView]) -> String {
    let row = |run: &RunView| {
        let code = run.exit_code.map_or_else(String::new, |code| code.to_string());
        let (name, target) = (sanitized(&run.name), sanitized(&run.target));
        vec![
            run.id.to_string(),
            state_word(run.state).to_owned(),
            code,
            name,
            target,
            run.submitted_at.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    if rows.is_empty() {
        "no runs\n".to_owned()
    } else {
        table(&["run", "state", "exit", "name", "target", "asked for at"], &rows)
    }
}

pub(super) fn run(run: &RunView) -> String {
    let mut text = runs(std::slice::from_ref(run));
    if !run.why.is_empty() {
        let _ = writeln!(text, "why        {}", sanitized(&run.why));
    }
    let counts = &run.counts;
    let sum = |map: &std::collections::BTreeMap<String, u64>| map.values().sum::<u64>();
    let _ = writeln!(
        text,
        "counts     scheduled {} = sent {} + dropped {} + unassigned {}; ok {}, errors {}",
        counts.scheduled,
        counts.sent,
        sum(&counts.dropped),
        counts.unassigned,
        counts.ok,
        sum(&counts.errors)
    );
    for stretch in &run.degraded {
        let at = |ns| Duration::from_nanos(ns);
        let until = stretch.until_ns.map_or_else(|| "now".to_owned(), |ns| format!("{:.1?}", at(ns)));
        let _ =
            writeln!(text, "degraded   {:.1?} to {until}: {}", at(stretch.from_ns), sanitized(&stretch.what));
    }
    for threshold in &run.thresholds {
        let mark = if threshold.passed { "holds" } else { "fails" };
        let _ =
            writeln!(text, "threshold  {}: {mark} ({})", sanitized(&threshold.threshold), threshold.measured);
    }
    let rows: Vec<Vec<String>> = run
        .shares
        .iter()
        .map(|share| {
            let zone = sanitized(share.zone.as_deref().unwrap_or(""));
            let skew = share.start_skew_ns.zip(share.start_uncertainty_ns).map_or_else(
                String::new,
                |(skew, off)| {
                    let micros = |ns: i64| ns / 1_000;
                    format!("{} ± {} µs", micros(skew), off / 1_000)
                },
            );
            vec![sanitized(&share.node), zone, share.cells.to_string(), share.counts.sent.to_string(), skew]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&table(&["node", "zone", "cells", "sent", "start skew"], &rows));
    }
    text
}

pub(super) fn nodes(nodes: &[NodeView]) -> String {
    let row = |node: &NodeView| {
        let state = serde_json::to_value(node.state).unwrap_or_default();
        let state = state.as_str().unwrap_or_default().to_owned();
        let state = if node.state == NodeState::Ready && !node.connected { "away".to_owned() } else { state };
        let capacity = node.capacity_tps.map_or_else(String::new, |tps| format!("{tps}/s"));
        let zone = sanitized(node.zone.as_deref().unwrap_or(""));
        let run = node.run.map_or_else(String::new, |run| run.to_string());
        vec![
            sanitized(&node.name),
            state,
            zone,
            node.cores.to_string(),
            capacity,
            sanitized(&node.host),
            run,
            sanitized(&node.why),
        ]
    };
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    if rows.is_empty() {
        return "no nodes → engine node --coordinator HOST:5557\n".to_owned();
    }
    table(&["node", "state", "zone", "cores", "capacity", "host", "run", "why"], &rows)
}

pub(super) fn files(files: &[FileView]) -> String {
    let row = |file: &FileView| {
        vec![file.sha256.clone(), file.size.to_string(), file.uploaded_at.clone(), sanitized(&file.name)]
    };
    let rows: Vec<Vec<String>> = files.iter().map(row).collect();
    if rows.is_empty() {
        "no files\n".to_owned()
    } else {
        table(&["sha256", "bytes", "uploaded at", "name"], &rows)
    }
}
