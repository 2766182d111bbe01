//! Counts what an exchange allocates once its connection is warm: what rustls allocates, and nothing of ours.
//!
//! rustls 0.23 allocates once for each record: on the way out for the encrypted record, which it then copies to
//! the caller's buffer; on the way in for the plaintext, which it copies out of the caller's buffer after having
//! decrypted it there. Nothing depends on how the bytes are cut.
//!
//! A test binary of its own, because it replaces the allocator. The counter is per thread, so that the test
//! harness's own threads do not disturb it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[cfg(test)]
#[path = "session/peer.rs"]
#[expect(dead_code, reason = "this binary needs a part of what the other tests share")]
mod peer;

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

#[cfg(test)]
mod exchange {
    use tls::Version;

    use crate::allocations;
    use crate::peer::{Link, established, pair};

    const ROUNDS: u64 = 1000;

    /// What `ROUNDS` exchanges allocate on the client's side: sending, then receiving slices of `cut` bytes.
    fn count(link: &mut Link, request: &[u8], response: &[u8], cut: usize) -> (u64, u64) {
        let (mut sending, mut receiving) = (0, 0);
        for _ in 0..ROUNDS {
            link.out.clear();
            sending += allocations(|| link.session.send(request, &mut link.out).unwrap());
            link.deliver_to_server();
            link.server_sends(response);
            let mut wire = link.server_output();
            let mut received = 0;
            for slice in wire.chunks_mut(cut) {
                receiving += allocations(|| {
                    link.session.receive(slice, &mut link.out, &mut |piece| received += piece.len()).unwrap();
                });
            }
            assert_eq!(received, response.len());
            // `deliver_to_server` takes the buffer away; the driver would keep it.
            link.out.reserve(200_000);
        }
        (sending, receiving)
    }

    #[test]
    fn a_warm_exchange_allocates_once_for_each_record() {
        assert_eq!(allocations(|| drop(std::hint::black_box(vec![0_u8; 100]))), 1, "the allocator counts");
        for version in [Version::Tls12, Version::Tls13] {
            let (client, server) = pair(version);
            // request and response bytes, and how many records they make.
            for (request, response, out_records, in_records) in
                [(100, 200, 1, 1), (100, 16_384, 1, 1), (100, 100_000, 1, 7), (40_000, 200, 3, 1)]
            {
                let (request, response) = (vec![7; request], vec![9; response]);
                for cut in [usize::MAX, 1448, 100] {
                    let mut link = established(&client, &server);
                    count(&mut link, &request, &response, cut);
                    let (sending, receiving) = count(&mut link, &request, &response, cut);
                    let row = format!("{version} {} {} {cut}", request.len(), response.len());
                    assert_eq!(sending, out_records * ROUNDS, "{row}: sending");
                    assert_eq!(receiving, in_records * ROUNDS, "{row}: receiving");
                }
            }
        }
    }
}
