//! The summary that a run prints last.
//!
//! What it is: verdict, audit, rates, latencies, errors, thresholds, the generator's health and the files, from the
//! summary document alone, so that a merged or stored summary prints the same way.
//! What it is not: complete; lists too long for the terminal end in a line that says how much is left out.
//!
//! Invariants: at most [`LINES_MAX`] lines of at most [`COLUMNS_MAX`] columns.

use std::collections::BTreeMap;
use std::fmt::Write;

use measure::Latency;

use super::fleet::{nodes_block, zones_block};
use super::journeys::{checks_block, groups_block, names_block, workloads_block};
use super::numbers::{bits_per_second, bytes, cores, count, duration, nanoseconds, percent, rate};
use super::style::{Style, Tint, width};
use crate::{Judgement, LatencyEntry, Link, Summary, Throughput};

/// Most lines of a terminal summary.
pub(crate) const LINES_MAX: usize = 40;
/// Most columns of a terminal summary.
pub(crate) const COLUMNS_MAX: usize = 100;
/// Columns of the labels at the left.
pub(super) const LABEL: usize = 11;

/// A line: a label, a mark in colour, and the rest.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) mark: Option<(String, Tint)>,
    pub(super) rest: String,
}

/// Lines that belong together; the list may be cut, the fixed lines before it may not.
#[derive(Default)]
pub(super) struct Block {
    pub(super) fixed: Vec<Line>,
    pub(super) list: Vec<Line>,
}

/// The summary as text, each line ended; `files` are the reports written, in the order of writing.
pub fn terminal_summary(summary: &Summary, files: &[String], style: Style) -> String {
    let mut blocks = vec![
        verdict_block(summary, style),
        fixed(audit_lines(summary, style)),
        fixed(rate_lines(summary, style)),
        latency_block(summary, style),
        error_block(summary),
        workloads_block(summary, style),
        names_block(summary, style),
        groups_block(summary, style),
        checks_block(summary, style),
        nodes_block(summary, style),
        zones_block(summary, style),
        threshold_block(summary, style),
        fixed(generator_lines(summary, style)),
        Block { fixed: Vec::new(), list: wrapped_list("note", &summary.environment.notes, style) },
        files_block(files, style),
    ];
    shorten(&mut blocks, LINES_MAX, style);
    let mut text = String::new();
    for line in blocks.iter().flat_map(|block| block.fixed.iter().chain(&block.list)) {
        let (mark, tint) = line.mark.as_ref().map_or(("", Tint::Good), |(mark, tint)| (mark.as_str(), *tint));
        let room = COLUMNS_MAX.saturating_sub(width(&line.label) + width(mark));
        let mark = if mark.is_empty() { String::new() } else { style.tint(tint, mark) };
        text.push_str(format!("{}{mark}{}", line.label, style.fitted(&line.rest, room)).trim_end());
        text.push('\n');
    }
    text
}

/// Cuts the longest lists until everything fits; a cut list ends in a line that says so.
fn shorten(blocks: &mut [Block], lines_max: usize, style: Style) {
    let fixed: usize = blocks.iter().map(|block| block.fixed.len()).sum();
    let mut kept: Vec<usize> = blocks.iter().map(|block| block.list.len()).collect();
    while fixed + kept.iter().sum::<usize>() > lines_max {
        // The later of equally long lists gives way first: what comes first matters more.
        let Some(longest) = kept.iter_mut().max() else { return };
        if *longest == 0 {
            return;
        }
        *longest -= 1;
    }
    for (block, kept) in blocks.iter_mut().zip(kept) {
        if kept < block.list.len() {
            let hidden = block.list.len() - kept.saturating_sub(1);
            block.list.truncate(kept.saturating_sub(1));
            let text =
                format!("{} and {hidden} more lines; the JSON summary has all", style.pick("…", "..."));
            if kept > 0 {
                block.list.push(labelled("", text));
            }
        }
    }
}

fn verdict_block(summary: &Summary, style: Style) -> Block {
    let verdict = &summary.verdict;
    let (word, tint) = match verdict.result {
        Judgement::Pass => ("PASS", Tint::Good),
        Judgement::Fail => ("FAIL", Tint::Bad),
        Judgement::Untrustworthy => ("UNTRUSTWORTHY", Tint::Doubtful),
        Judgement::Aborted => ("ABORTED", Tint::Doubtful),
        Judgement::Error => ("ERROR", Tint::Bad),
    };
    let word = if summary.run.under_way { format!("UNDER WAY, SO FAR {word}") } else { word.to_owned() };
    let mut what = format!(" (exit {})  {}", verdict.exit_code, style.foreign(&summary.target.url));
    if summary.target.builtin {
        what.push_str(" (built-in target)");
    }
    if !summary.plan.schedule.is_empty() {
        let _ = write!(what, ", {}", style.foreign(&summary.plan.schedule));
    }
    if let Some(share) = summary.run.share {
        let _ = write!(what, ", share {}/{}", share.index, share.of);
    }
    let _ = write!(what, ", run {}", style.foreign(&summary.run.id));
    if summary.parts.len() > 1 {
        let _ = write!(what, ", {} parts merged", summary.parts.len());
    }
    Block {
        fixed: vec![Line { label: String::new(), mark: Some((word, tint)), rest: what }],
        list: wrapped_list("", &verdict.reasons, style),
    }
}

fn audit_lines(summary: &Summary, style: Style) -> Vec<Line> {
    let audit = &summary.audit;
    let unassigned = format!(" + unassigned {}", count(audit.unassigned));
    let scheduled = with_parts(
        &format!(
            "scheduled {} = sent {} + dropped {}",
            count(audit.scheduled),
            count(audit.sent),
            count(audit.dropped_total())
        ),
        &audit.dropped,
        &unassigned,
        style,
    );
    let cut_off = format!(" + cut off {}", count(audit.cut_off));
    let sent = with_parts(
        &format!(
            "sent {} = ok {} + errors {}",
            count(audit.sent),
            count(audit.ok),
            count(audit.errors_total())
        ),
        &audit.errors,
        &cut_off,
        style,
    );
    let label = " ".repeat(LABEL - 1 - width(style.mark(audit.balanced)));
    let tint = if audit.balanced { Tint::Good } else { Tint::Bad };
    vec![
        labelled("audit", scheduled),
        Line { label, mark: Some((style.mark(audit.balanced).to_owned(), tint)), rest: format!(" {sent}") },
    ]
}

/// `start (name count, …) end`: as many of the parts, greatest first, as fit between start and end.
pub(super) fn with_parts(start: &str, parts: &BTreeMap<String, u64>, end: &str, style: Style) -> String {
    let sorted = greatest_first(parts);
    for shown in (1..=sorted.len()).rev() {
        let mut names: Vec<String> = sorted[..shown]
            .iter()
            .map(|(name, value)| format!("{} {}", style.foreign(name), count(*value)))
            .collect();
        if shown < sorted.len() {
            names.push(format!("{} more", sorted.len() - shown));
        }
        let text = format!("{start} ({}){end}", names.join(", "));
        if width(&text) <= COLUMNS_MAX - LABEL {
            return text;
        }
    }
    format!("{start}{end}")
}

/// The entries that are not 0, the greatest first, equal ones by name.
fn greatest_first(counts: &BTreeMap<String, u64>) -> Vec<(&String, u64)> {
    let mut sorted: Vec<(&String, u64)> =
        counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name, *count)).collect();
    sorted.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    sorted
}

fn rate_lines(summary: &Summary, style: Style) -> Vec<Line> {
    let (run, rates, connections) = (&summary.run, &summary.rate, &summary.connections);
    let mut lines = vec![labelled(
        "rate",
        format!(
            "asked {}   sent {}   completed {}   for {}",
            rate(rates.asked_tps),
            rate(rates.sent_tps),
            rate(rates.completed_tps),
            duration(style, run.duration_s * 1e9)
        ),
    )];
    if let Some(warmup) = &summary.warmup {
        let text = format!(
            "{}, {} sent, in no figure here",
            duration(style, run.warmup_s * 1e9),
            count(warmup.sent)
        );
        lines.push(labelled("warm-up", text));
    }
    lines.push(labelled(
        "transport",
        format!(
            "sent {}   received {}   connects {} (failed {})   limit {}",
            bytes(summary.bytes.sent),
            bytes(summary.bytes.received),
            count(connections.connects),
            count(connections.failed),
            count(connections.limit)
        ),
    ));
    lines.push(labelled("throughput", throughput(&summary.throughput, style)));
    let codes: Vec<String> = summary
        .status
        .iter()
        .map(|(code, value)| format!("{}: {}", style.foreign(code), count(*value)))
        .collect();
    if !codes.is_empty() {
        lines.push(labelled("status", codes.join("   ")));
    }
    if summary.target.insecure {
        lines.push(labelled("INSECURE", "certificates were not checked (--insecure)".to_owned()));
    }
    lines
}

fn throughput(throughput: &Throughput, style: Style) -> String {
    let link = match &throughput.link {
        Some(Link { interface, speed_bits_per_s: Some(speed) }) => {
            format!("   link {}, {}", style.foreign(interface), bits_per_second(*speed as f64))
        }
        Some(Link { interface, speed_bits_per_s: None }) => format!("   link {}", style.foreign(interface)),
        None => String::new(),
    };
    let (sent, received) = (throughput.sent_bits_per_s, throughput.received_bits_per_s);
    format!("sent {}   received {}{link}", bits_per_second(sent), bits_per_second(received))
}

fn latency_block(summary: &Summary, style: Style) -> Block {
    let measured = Latency::ALL.iter().filter(|latency| {
        let is_repetition = **latency == Latency::ResponseOk && summary.audit.errors_total() == 0;
        summary.latency_ns.get(**latency).count > 0 && !is_repetition
    });
    let rows: Vec<Line> =
        measured.map(|latency| row(latency.name(), summary.latency_ns.get(*latency), style)).collect();
    if rows.is_empty() {
        return fixed(vec![labelled("latency", "nothing was measured".to_owned())]);
    }
    let titles = ["mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    let head = titles.map(|title| format!("{title:>10}")).concat();
    let mut lines = vec![labelled("latency", format!("{:>14}{head}", "count"))];
    lines.extend(rows);
    fixed(lines)
}

fn row(name: &str, entry: &LatencyEntry, style: Style) -> Line {
    let mut text = format!("{:>12}{:>10}", count(entry.count), duration(style, entry.mean));
    for value in [entry.p50, entry.p90, entry.p99, entry.p99_9, entry.p99_99, entry.max] {
        let _ = write!(text, "{:>10}", nanoseconds(style, value));
    }
    Line { label: format!("  {name:<LABEL$}"), mark: None, rest: text }
}

fn error_block(summary: &Summary) -> Block {
    let errors = &summary.audit.errors;
    if summary.audit.errors_total() == 0 {
        return Block::default();
    }
    let share = percent(summary.audit.errors_total(), summary.audit.sent);
    Block {
        fixed: vec![labelled("errors", format!("{share} of what was sent"))],
        list: greatest_first(errors)
            .into_iter()
            .map(|(name, value)| {
                let text =
                    format!("{name:<20}{:>14}{:>12}", count(value), percent(value, summary.audit.sent));
                labelled("", Style { utf8: false, colour: false }.foreign(&text))
            })
            .collect(),
    }
}

fn threshold_block(summary: &Summary, style: Style) -> Block {
    let lines = summary.thresholds.iter().enumerate().map(|(position, threshold)| {
        let label = if position == 0 { "thresholds" } else { "" };
        let tint = if threshold.passed { Tint::Good } else { Tint::Bad };
        let mark = style.mark(threshold.passed).to_owned();
        let text =
            format!(" {:<28} {}", style.foreign(&threshold.threshold), style.foreign(&threshold.measured));
        Line { label: format!("{label:<LABEL$}"), mark: Some((mark, tint)), rest: text }
    });
    Block { fixed: Vec::new(), list: lines.collect() }
}

fn generator_lines(summary: &Summary, style: Style) -> Vec<Line> {
    let (generator, run) = (&summary.generator, &summary.run);
    let lag = &summary.latency_ns.lag;
    let limit = |pick: fn(&crate::MaxLag) -> u64| {
        generator.max_lag.map_or(String::new(), |max| format!(" (limit {})", nanoseconds(style, pick(&max))))
    };
    let health = format!(
        "lag p99 {}, max {}{}, worst second p99 {}{}",
        nanoseconds(style, lag.p99),
        nanoseconds(style, lag.max),
        limit(|max| max.any_ns),
        nanoseconds(style, generator.lag_p99_worst_second_ns),
        limit(|max| max.second_p99_ns)
    );
    let cost = format!(
        "{}, CPU {}, {} per request, pacing {}, kernel {}",
        cores(run.cores),
        duration(style, generator.cpu_s * 1e9),
        duration(style, generator.cpu_us_per_request * 1e3),
        style.foreign(&run.pacing),
        style.foreign(&run.kernel)
    );
    let driver = format!("{}: {}", style.foreign(&run.io.driver), style.foreign(&run.io.why));
    let mut lines = vec![labelled("generator", health), labelled("", cost)];
    // The reason for the driver is a sentence or two, never a list.
    lines.extend(
        style.wrapped(&driver, COLUMNS_MAX - LABEL).into_iter().take(2).map(|line| labelled("", line)),
    );
    lines
}

/// Lines that are never cut.
fn fixed(lines: Vec<Line>) -> Block {
    Block { fixed: lines, list: Vec::new() }
}

/// Paths are cut rather than broken.
fn files_block(files: &[String], style: Style) -> Block {
    let label = |position| if position == 0 { "files" } else { "" };
    let lines =
        files.iter().enumerate().map(|(position, file)| labelled(label(position), style.foreign(file)));
    Block { fixed: Vec::new(), list: lines.collect() }
}

/// Foreign texts, each on as many lines as it needs; the label stands before the first.
fn wrapped_list(label: &str, texts: &[String], style: Style) -> Vec<Line> {
    let lines = texts.iter().flat_map(|text| style.wrapped(&style.foreign(text), COLUMNS_MAX - LABEL));
    lines.enumerate().map(|(position, line)| labelled(if position == 0 { label } else { "" }, line)).collect()
}

pub(super) fn labelled(label: &str, rest: String) -> Line {
    Line { label: format!("{label:<LABEL$}"), mark: None, rest }
}
