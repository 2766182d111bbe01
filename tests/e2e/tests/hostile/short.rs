//! The matrix, shortened: a second for each case.

use std::time::Duration;

use e2e::machine::among_others;

use crate::check::{Size, all};
use crate::table::CASES;

#[test]
fn every_hostile_target_gets_its_class_and_its_exit_code() {
    let _hold = among_others();
    let size = Size { tps: 40, seconds: 1, timeout_s: Some(1), slack: Duration::from_secs(1) };
    for line in all(CASES, size, 8) {
        println!("{line}");
    }
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
