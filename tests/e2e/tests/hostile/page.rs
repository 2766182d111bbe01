//! `docs/hostile.md` is the table.

use std::fmt::Write as _;

use e2e::machine::repository;
use testkit::find;

use crate::table::{Answers, CASES, Case};

/// The page's row for a case.
fn row(case: &Case) -> String {
    let quoted: Vec<String> = case.classes.iter().map(|class| format!("`{class}`")).collect();
    let errors = match (case.answers, quoted.as_slice()) {
        (Answers::All, _) => "none".to_owned(),
        (Answers::Some, classes) => format!("some: {}", classes.join(", ")),
        (Answers::None, classes) => classes.join(", "),
    };
    let flags = case.flags.replace("AUTHORITY", "FILE");
    let flags = if flags.is_empty() { String::new() } else { format!("`{flags}`") };
    format!("| `{}` | {} | {errors} | {} | {flags} |", case.behaviour, find(case.behaviour).what, case.exit)
}

#[test]
fn the_page_is_the_table() {
    let path = repository().join("docs/hostile.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = CASES.iter().map(row).collect();
    let mut text = String::new();
    for row in &expected {
        let _ = writeln!(text, "{row}");
    }
    assert_eq!(rows, expected, "docs/hostile.md should have these rows:\n{text}");
}

#[test]
fn every_behaviour_has_its_row() {
    let mut behaviours: Vec<&str> = testkit::all().map(|behaviour| behaviour.name).collect();
    // It is for the ids.
    behaviours.retain(|name| *name != "numbered");
    let mut rows: Vec<&str> = CASES.iter().map(|case| case.behaviour).collect();
    behaviours.sort_unstable();
    rows.sort_unstable();
    assert_eq!(behaviours, rows);
}
