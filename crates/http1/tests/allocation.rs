//! The machine allocates nothing, ever: not for whole responses, not for single bytes, not for hostile ones.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use http1::{Limits, ResponseMachine};

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
fn receiving_allocates_nothing() {
    let responses: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ];
    let endless = vec![b'a'; 1 << 20];
    let count = allocations(|| {
        let mut machine = ResponseMachine::new(Limits::default());
        for bytes in responses {
            for size in [1, 2, 7, usize::MAX] {
                machine.reset();
                machine.expect(false);
                for piece in bytes.chunks(size) {
                    let _ = black_box(machine.receive(black_box(piece)));
                }
            }
        }
        for prefix in [&b"HTTP/1.1 200 "[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: "] {
            machine.reset();
            machine.expect(false);
            assert!(machine.receive(prefix).is_ok());
            assert!(machine.receive(&endless).is_err(), "a head has a limit");
        }
    });
    assert_eq!(count, 0);
}
