//! The terminal summary's lines about the nodes and zones of a fleet.
//!
//! Invariant: one line for each (two for a node that was lost or began anew), so that the list can be cut anywhere.

use super::numbers::{count, duration, nanoseconds, percent};
use super::style::{Style, width};
use super::summary::{Block, Line, labelled};
use crate::summary::total;
use crate::{Node, PartTotals, Summary};

/// All cells of a plan.
const CELLS: u64 = 55_440;
/// Columns of a name, the space behind it included, and of the cells behind it.
const NAME: usize = 22;
const WIDTHS: [usize; 5] = [9, 14, 10, 10, 24];

fn row(name: &str, cells: &[String; 5], style: Style) -> Line {
    let name = style.fitted(&style.foreign(name), NAME - 1);
    let mut text = format!("{name}{}", " ".repeat(NAME - width(&name)));
    for (cell, columns) in cells.iter().zip(WIDTHS) {
        text.push_str(&" ".repeat(columns.saturating_sub(width(cell))));
        text.push_str(cell);
    }
    labelled("", text)
}

fn head(label: &str, what: &str, titles: [&str; 5]) -> Line {
    let titles = titles.iter().zip(WIDTHS).map(|(title, columns)| format!("{title:>columns$}"));
    labelled(label, format!("{what:NAME$}{}", titles.collect::<String>()))
}

fn figures(cells: u32, totals: &PartTotals, last: String, style: Style) -> [String; 5] {
    [
        percent(u64::from(cells), CELLS),
        count(totals.sent),
        count(total(&totals.dropped)),
        nanoseconds(style, totals.response_ns.p99),
        last,
    ]
}

/// How late a node began, and how sure that is.
fn start(node: &Node, style: Style) -> String {
    let Some((skew, unsure)) = node.start_skew_ns.zip(node.start_uncertainty_ns) else {
        return String::new();
    };
    let sign = if skew < 0 { "-" } else { "+" };
    let (skew, unsure) = (nanoseconds(style, skew.unsigned_abs()), nanoseconds(style, unsure));
    format!("{sign}{skew} {} {unsure}", style.pick("±", "+/-"))
}

/// What a node went through.
fn trouble(node: &Node, style: Style) -> Option<Line> {
    let lost = node.lost_at_s.map(|at| format!("lost by {}", duration(style, at * 1e9)));
    let lives = (node.lives > 1).then(|| format!("{} lives", node.lives));
    let saved = node.recovered.map(|requests| format!("{requests} requests recovered after a kill"));
    let parts: Vec<String> = [lost, lives, saved].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| labelled("", format!("  {}", parts.join("; "))))
}

pub(super) fn nodes_block(summary: &Summary, style: Style) -> Block {
    if summary.nodes.is_empty() {
        return Block::default();
    }
    let list = summary.nodes.iter().flat_map(|(name, node)| {
        let cells = figures(node.cells, &node.totals, start(node, style), style);
        std::iter::once(row(name, &cells, style)).chain(trouble(node, style))
    });
    let titles = ["share", "sent", "dropped", "p99", "began late by"];
    Block { fixed: vec![head("nodes", "shares at the start", titles)], list: list.collect() }
}

pub(super) fn zones_block(summary: &Summary, style: Style) -> Block {
    if summary.zones.is_empty() {
        return Block::default();
    }
    let list = summary.zones.iter().map(|(name, zone)| {
        row(name, &figures(zone.cells, &zone.totals, count(u64::from(zone.nodes)), style), style)
    });
    let titles = ["share", "sent", "dropped", "p99", "nodes"];
    Block { fixed: vec![head("zones", "", titles)], list: list.collect() }
}
