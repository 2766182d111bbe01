//! Rows are found, and their fields appended, without an allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use feeder::{AtEnd, Feeder, Format, Order, Policy, Rows};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting touches
// no allocated memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract for `layout`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller got `pointer` from `alloc` above, that is from the system, with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(7)))), 1);
}

#[test]
fn using_rows_allocates_nothing() {
    let csv = "a,b\n1,\"x\"\"y\"\n,\"p\nq\"\n";
    let jsonl = "{\"a\":1,\"b\":\"\\u00e4\\n\"}\n{\"b\":{\"c\":[]},\"a\":\"plain\"}\n";
    let orders = [
        (Order::Sequential, AtEnd::Stop),
        (Order::Shuffled { seed: 1 }, AtEnd::Repeat),
        (Order::Random { seed: 1 }, AtEnd::Repeat),
    ];
    for (format, text) in [(Format::Csv { delimiter: b',' }, csv), (Format::Jsonl, jsonl)] {
        for (order, at_end) in orders {
            let rows = Rows::read(text.as_bytes(), format, None).unwrap();
            let feeder = Feeder::new(rows, Policy::new(order, at_end, false).unwrap());
            let columns = [feeder.rows().column("a").unwrap(), feeder.rows().column("b").unwrap()];
            let mut out = Vec::with_capacity(4_096);
            let count = allocations(|| {
                for slot in 0..100 {
                    let Some(row) = feeder.row_for(slot) else { continue };
                    for column in columns {
                        feeder.rows().row(row).field(column).append_to(black_box(&mut out));
                    }
                }
            });
            assert_eq!(count, 0, "{format:?} {order:?}");
            assert!(!out.is_empty());
        }
    }
}
