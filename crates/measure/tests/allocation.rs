//! Proves that recording, sealing, absorbing and clearing allocate nothing once everything is set up.
//!
//! A test binary of its own, because it replaces the allocator. The counter is per thread, so that the test
//! harness's own threads do not disturb it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use measure::{DropReason, ErrorClass, FailReason, IterationEnd, Recorder, Shape, Snapshot, Totals};

const SHAPE: Shape = Shape { names: 3, workloads: 2, groups: 2, checks: 3 };

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count() {
        // A thread that is being torn down has no counter any more, and nothing to prove.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call is handed on unchanged to the system allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the pointer came from the system allocator through this one; the rest is the caller's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system allocator through this one.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(action: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    action();
    ALLOCATIONS.get() - before
}

fn record_everything(recorder: &mut Recorder, round: u64) {
    for step in 0..2_000_u64 {
        let ns = (step * 7_919 + round) << (step % 30);
        let name = u32::try_from(step % 3).expect("below 3");
        recorder.scheduled(2);
        recorder.sent(name);
        recorder.lag(ns / 100);
        recorder.queue(ns / 50);
        recorder.connect_started();
        recorder.connect(ns / 9);
        recorder.tls(ns / 8, step % 2 == 0);
        recorder.first_byte(ns / 3);
        recorder.ok(name, ns, ns / 2, 200 + u16::try_from(step % 300).expect("below 300"));
        recorder.failed(name, ErrorClass::Timeout, ns, Some(ns));
        recorder.dropped(0, DropReason::QueueFull);
        recorder.cut_off(name);
        recorder.bytes_received(ns);
        let workload = u32::try_from(step % 2).expect("below 2");
        recorder.iteration_scheduled(workload);
        recorder.iteration_unassigned(workload, 1);
        recorder.iteration_dropped(workload, DropReason::QueueFull);
        recorder.iteration_begun(workload);
        for end in [IterationEnd::Completed, IterationEnd::Failed(FailReason::Check), IterationEnd::CutOff] {
            recorder.iteration_ended(workload, end, ns);
        }
        recorder.group_ended(workload, step % 5 != 0, ns, ns / 3);
        recorder.check(name, step % 7 != 0);
    }
}

#[test]
fn the_hot_path_allocates_nothing() {
    assert!(allocations(|| drop(std::hint::black_box(Box::new(7_u64)))) > 0, "the counter must count");

    let mut recorder = Recorder::new(0, 0, SHAPE);
    let mut spare = Some(Box::new(Snapshot::new(SHAPE)));
    let mut totals = Totals::new(SHAPE);
    let mut second = Totals::new(SHAPE);
    // The first snapshot of a shard makes room for the shard.
    let first = recorder.seal(spare.take().unwrap(), 0, 1);
    totals.absorb(&first);
    second.absorb(&first);
    let mut spare = Some(first);

    let count = allocations(|| {
        for round in 0..5 {
            record_everything(&mut recorder, round);
            let mut sealed = recorder.seal(spare.take().unwrap(), round, round + 1);
            totals.absorb(&sealed);
            second.absorb(&sealed);
            second.clear();
            sealed.clear();
            spare = Some(sealed);
        }
    });
    assert_eq!(count, 0);
    assert_eq!((totals.counters.ok, totals.checks_total().total()), (10_000, 10_000));
    assert_eq!(totals.iterations_total().completed, 10_000);
}
