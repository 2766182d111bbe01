//! The lease under which a node's shards may send: an instant of the boot-time clock, after which nothing more is theirs.
//!
//! What it is: one number that whoever holds the node's session raises, and that shards look at before they release anything.
//! What it is not: a protocol; when a lease is granted, and for how long, others decide.
//!
//! Invariant: a lease that has run out is never renewed. What shards own after that, they are given anew.
//! Units: nanoseconds of `CLOCK_BOOTTIME`, which runs on while the machine sleeps.

use std::sync::atomic::{AtomicU64, Ordering};

/// A lease that shards look at.
#[derive(Debug)]
#[repr(align(128))]
pub struct Lease {
    until_ns: AtomicU64,
}

impl Lease {
    /// A lease until this instant.
    pub const fn new(until_ns: u64) -> Self {
        Self { until_ns: AtomicU64::new(until_ns) }
    }

    /// A lease without an end, for whoever has no coordinator to lose.
    pub const fn endless() -> Self {
        Self::new(u64::MAX)
    }

    /// Until when it lasts.
    pub fn until_ns(&self) -> u64 {
        self.until_ns.load(Ordering::Acquire)
    }

    /// Makes it last until then, `now_ns` being the present; `false` when it has run out, and then it stays so. It never
    /// becomes shorter.
    pub fn renew(&self, now_ns: u64, until_ns: u64) -> bool {
        let longer = |present_ns: u64| (now_ns < present_ns).then_some(present_ns.max(until_ns));
        self.until_ns.fetch_update(Ordering::AcqRel, Ordering::Acquire, longer).is_ok()
    }

    /// Ends it now, if it lasts at all.
    pub fn end(&self, now_ns: u64) {
        self.until_ns.fetch_min(now_ns, Ordering::AcqRel);
    }

    /// Begins it anew behind its end, once every shard has given up what it had.
    pub fn begin_anew(&self, until_ns: u64) {
        self.until_ns.store(until_ns, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_until_it_has_run_out() {
        let lease = Lease::new(100);
        assert!(lease.renew(99, 200));
        assert!(lease.renew(150, 120), "a shorter one is a renewal that came late");
        assert_eq!(lease.until_ns(), 200);
        assert!(!lease.renew(200, 300));
        assert!(!lease.renew(201, 300));
        assert_eq!(lease.until_ns(), 200);
        lease.begin_anew(500);
        assert!(lease.renew(499, 600));
        lease.end(550);
        lease.end(580);
        assert_eq!(lease.until_ns(), 550);
    }
}
