//! The matrix, whole: 200 requests per second for 5 s in each case, and every other flag its default.
//!
//! `HOSTILE_CASES=tls_` runs those alone whose names contain the word.

use std::time::Duration;

use e2e::machine::alone;

use crate::check::{Size, all};
use crate::ids::every_answer_is_credited_once;
use crate::table::{CASES, Case};

#[test]
fn every_hostile_target_gets_its_class_and_its_exit_code() {
    let _hold = alone();
    // Two at a time: each has a target that may take whatever it can get.
    let size = Size { tps: 200, seconds: 5, timeout_s: None, slack: Duration::from_secs(1) };
    let word = std::env::var("HOSTILE_CASES").unwrap_or_default();
    let cases: Vec<Case> = CASES.iter().filter(|case| case.behaviour.contains(&word)).copied().collect();
    assert!(!cases.is_empty(), "no behaviour has {word:?} in its name");
    for line in all(&cases, size, 2) {
        println!("{line}");
    }
}

#[test]
fn no_answer_is_credited_to_another_request() {
    let _hold = alone();
    for driver in ["uring", "epoll"] {
        println!("{}", every_answer_is_credited_once(driver, 1_000_000, 8_000));
    }
}
