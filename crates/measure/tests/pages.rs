//! Proves that values never seen before find the memory of their buckets taken.
//!
//! What it is: the process's resident memory around a recording of every power of two, once into what was populated and
//! once into what was not, which proves that the measurement sees pages.
//! What it is not: a count of allocations; nothing is allocated here, pages of what was allocated are.
//!
//! A test binary of its own with a single test, because resident memory is the whole process's.

use std::fs;

use measure::{ErrorClass, Recorder, Shape, Snapshot, Totals};

const LONGEST_NS: u64 = 10_000_000_000;

/// Resident memory that is not of a file, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("it names it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of KiB")
}

/// Records values of every size up to the longest, as kinds and as names, and adds them up; yields how many KiB became
/// resident by it.
fn record(recorder: &mut Recorder, spare: Box<Snapshot>, totals: &mut Totals) -> u64 {
    let before = resident_kib();
    let mut value = 1;
    while value <= LONGEST_NS {
        for ns in [value, value + value / 2] {
            let ns = ns.min(LONGEST_NS);
            recorder.lag(ns);
            recorder.queue(ns);
            recorder.connect(ns);
            recorder.tls(ns, false);
            recorder.first_byte(ns);
            recorder.ok(0, ns, ns, 200);
            recorder.failed(0, ErrorClass::Reset, ns, None);
        }
        value *= 2;
    }
    totals.absorb(&recorder.seal(spare, 0, 1));
    resident_kib().saturating_sub(before)
}

#[test]
fn new_values_find_their_memory_taken() {
    let (mut recorder, mut totals) =
        (Recorder::new(0, 0, Shape::requests(1)), Totals::new(Shape::requests(1)));
    let untouched = record(&mut recorder, Box::new(Snapshot::new(Shape::requests(1))), &mut totals);
    assert!(untouched > 1_000, "the measurement does not see pages: {untouched} KiB");

    let (mut recorder, mut spare) =
        (Recorder::new(0, 0, Shape::requests(1)), Box::new(Snapshot::new(Shape::requests(1))));
    let mut totals = Totals::populated(Shape::requests(1), 0, 1, LONGEST_NS);
    recorder.populate(LONGEST_NS);
    spare.populate(LONGEST_NS);
    assert!(recorder.is_empty() && spare.is_empty() && totals.lag.is_empty());
    let grown = record(&mut recorder, spare, &mut totals);
    assert!(grown < 100, "{grown} KiB became resident, {untouched} without populating");
}
