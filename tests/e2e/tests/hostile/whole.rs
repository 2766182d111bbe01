//! The matrix, whole: 200 requests per second for 5 s in each case, and every other flag its default.

use std::time::Duration;

use e2e::machine::alone;

use crate::check::{Size, all};
use crate::ids::every_answer_is_credited_once;
use crate::table::CASES;

#[test]
fn every_hostile_target_gets_its_class_and_its_exit_code() {
    let _hold = alone();
    // Two at a time: each has a target that may take whatever it can get.
    let size = Size { tps: 200, seconds: 5, timeout_s: None, slack: Duration::from_secs(1) };
    for line in all(CASES, size, 2) {
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
