//! The matrix, shortened: a second for each case.

use std::time::Duration;

use e2e::machine::among_others;

use crate::check::{Size, all};
use crate::ids::every_answer_is_credited_once;
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
fn no_answer_is_credited_to_another_request() {
    let _hold = among_others();
    for driver in ["uring", "epoll"] {
        println!("{}", every_answer_is_credited_once(driver, 20_000, 5_000));
    }
}
