//! The terminal summary's lines about names, workloads, groups and checks.
//!
//! Invariant: one line for each name (two where something went wrong under it), group and check and two for each workload,
//! so that the list can be cut anywhere.

use std::collections::BTreeMap;

use super::numbers::{count, nanoseconds, percent, rate};
use super::style::{Style, Tint, width};
use super::summary::{Block, COLUMNS_MAX, LABEL, Line, labelled, with_parts};
use crate::summary::total;
use crate::{Name, Summary};

/// Columns of a name in a table, the space behind it included.
const NAME: usize = 27;

/// A row of a table: a name, cut if it must be, and cells.
fn table_row(name: &str, cells: &[String], style: Style) -> Line {
    let name = style.fitted(&style.foreign(name), NAME - 1);
    let padding = " ".repeat(NAME - width(&name));
    let cells = cells
        .iter()
        .zip(WIDTHS)
        .map(|(cell, columns)| format!("{cell:>columns$}"))
        .collect::<Vec<_>>()
        .concat();
    labelled("", format!("{name}{padding}{cells}"))
}

/// The columns of a table's cells.
const WIDTHS: [usize; 6] = [12, 10, 10, 10, 10, 10];

fn head(label: &str, what: &str, titles: [&str; 6]) -> Line {
    let cells = titles
        .iter()
        .zip(WIDTHS)
        .map(|(title, columns)| format!("{title:>columns$}"))
        .collect::<Vec<_>>()
        .concat();
    labelled(label, format!("{what:NAME$}{cells}"))
}

pub(super) fn names_block(summary: &Summary, style: Style) -> Block {
    // A single name repeats the table above.
    if summary.names.len() < 2 {
        return Block::default();
    }
    let list = summary.names.iter().flat_map(|(name, entry)| {
        let response = &entry.latency_ns.response;
        let times = [response.p50, response.p95, response.p99, response.max];
        let mut cells = vec![count(entry.sent), count(total(&entry.errors))];
        cells.extend(times.map(|ns| nanoseconds(style, ns)));
        std::iter::once(table_row(name, &cells, style)).chain(trouble(entry, style))
    });
    let titles = ["sent", "errors", "p50", "p95", "p99", "max"];
    Block { fixed: vec![head("names", "response time", titles)], list: list.collect() }
}

/// What went wrong under a name, on a line of its own: statuses, errors by class, drops by reason.
fn trouble(entry: &Name, style: Style) -> Option<Line> {
    if total(&entry.errors) == 0 && total(&entry.dropped) == 0 {
        return None;
    }
    let list = |counts: &BTreeMap<String, u64>| {
        let parts = counts.iter().filter(|(_, value)| **value > 0);
        parts
            .map(|(name, value)| format!("{} {}", style.foreign(name), count(*value)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let parts = [("status", &entry.status), ("errors", &entry.errors), ("dropped", &entry.dropped)];
    let parts = parts.into_iter().filter(|(_, counts)| total(counts) > 0);
    let text: Vec<String> = parts.map(|(what, counts)| format!("{what} {}", list(counts))).collect();
    Some(labelled("", format!("  {}", text.join("; "))))
}

pub(super) fn groups_block(summary: &Summary, style: Style) -> Block {
    if summary.groups.is_empty() {
        return Block::default();
    }
    let list = summary.groups.iter().map(|(name, group)| {
        let (total, busy) = (&group.duration_ns.total, &group.duration_ns.busy);
        let mut cells = vec![count(group.ok), count(group.failed)];
        cells.extend([total.p50, total.p99, total.max, busy.p99].map(|ns| nanoseconds(style, ns)));
        table_row(name, &cells, style)
    });
    let titles = ["ok", "failed", "p50", "p99", "max", "busy p99"];
    Block { fixed: vec![head("groups", "with think times", titles)], list: list.collect() }
}

pub(super) fn workloads_block(summary: &Summary, style: Style) -> Block {
    let mut list = Vec::new();
    for (position, (name, workload)) in summary.workloads.iter().enumerate() {
        let (iterations, rates) = (&workload.iterations, &workload.rate);
        let name = style.fitted(&style.foreign(name), 20);
        let scheduled = with_parts(
            &format!(
                "{name}  scheduled {} = begun {} + dropped {}",
                count(iterations.scheduled),
                count(iterations.begun),
                count(iterations.dropped_total())
            ),
            &iterations.dropped,
            &format!(" + unassigned {}", count(iterations.unassigned)),
            style,
        );
        list.push(labelled(if position == 0 { "workloads" } else { "" }, scheduled));
        let completed = &workload.duration_ns.completed;
        let end = format!(" + cut off {}", count(iterations.cut_off));
        let ended = with_parts(
            &format!(
                "  completed {} + failed {}",
                count(iterations.completed),
                count(iterations.failed_total())
            ),
            &iterations.failed,
            &end,
            style,
        );
        let label = " ".repeat(LABEL - 1 - width(style.mark(iterations.balanced)));
        let tint = if iterations.balanced { Tint::Good } else { Tint::Bad };
        let mark = Some((style.mark(iterations.balanced).to_owned(), tint));
        let took = match completed.count {
            0 => String::new(),
            _ => format!(
                "; took p50 {}, p99 {}",
                nanoseconds(style, completed.p50),
                nanoseconds(style, completed.p99)
            ),
        };
        let times = format!("; asked {}, begun {}{took}", rate(rates.asked_tps), rate(rates.begun_tps));
        let whole = width(&ended) + width(&times) <= COLUMNS_MAX - LABEL;
        list.push(Line { label, mark, rest: if whole { format!("{ended}{times}") } else { ended } });
        if !whole {
            list.push(labelled("", format!("   {}", times.trim_start_matches("; "))));
        }
    }
    Block { fixed: Vec::new(), list }
}

pub(super) fn checks_block(summary: &Summary, style: Style) -> Block {
    if summary.checks.is_empty() {
        return Block::default();
    }
    let sum = |pick: fn(&crate::Check) -> u64| summary.checks.values().map(pick).fold(0, u64::saturating_add);
    let (passed, failed) = (sum(|check| check.passed), sum(|check| check.failed));
    let all = passed.saturating_add(failed);
    let line = format!("{} held, {} of {}", percent(passed, all), count(passed), count(all));
    // What failed comes first: the list may be cut.
    let mut checks: Vec<_> = summary.checks.iter().collect();
    checks.sort_by_key(|(_, check)| check.failed == 0);
    let list = checks.into_iter().map(|(name, check)| {
        let held = check.failed == 0 && check.passed > 0;
        let tint = if held { Tint::Good } else { Tint::Bad };
        let name = style.fitted(&style.foreign(name), 50);
        let padding = " ".repeat(52 - width(&name));
        let all = check.passed.saturating_add(check.failed);
        let text = match check.pass_rate {
            Some(_) if held => format!("{:>8}   {} held", "100 %", count(check.passed)),
            Some(_) => {
                format!(
                    "{:>8}   {} of {} did not",
                    percent(check.passed, all),
                    count(check.failed),
                    count(all)
                )
            }
            None => "nothing was checked".to_owned(),
        };
        let mark = Some((style.mark(held).to_owned(), tint));
        Line { label: " ".repeat(LABEL), mark, rest: format!(" {name}{padding}{text}") }
    });
    Block { fixed: vec![labelled("checks", line)], list: list.collect() }
}
