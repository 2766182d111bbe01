//! Hot path. The waiting queue: requests to one target that are due while every connection to it is busy.
//!
//! What it is: a bounded first-in-first-out queue whose entries keep their intended send time, so that the
//! wait for a connection is part of their response time.
//! What it is not: a schedule; what is in here is due already.
//!
//! Invariant: of entries with the same timeout, the one in front expires first. One with a shorter timeout than those
//! before it is found to have expired when it comes to the front, and is then dropped all the same.

use std::collections::VecDeque;

use clock::Timestamp;

use super::exchange::Cause;

/// One request that is due and has no connection yet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// What is to be sent, and for whom.
    pub(crate) cause: Cause,
    /// When the plan wanted it sent.
    pub(crate) intended: Timestamp,
    /// When the shard got to it; queue wait counts from here.
    pub(crate) reached: Timestamp,
    /// Whether it belongs to the warm-up.
    pub(crate) warmup: bool,
}

/// Places whose memory is taken at the start, 10 MB: ten seconds of 25,000 arrivals. A stall in the midst of a run then
/// takes no more, and a plan of millions in a second does not take gigabytes for a stall that never comes.
const POPULATED: usize = 250_000;

/// The bounded queue of one target.
#[derive(Debug)]
pub(crate) struct WaitingQueue {
    entries: VecDeque<Waiting>,
    capacity: usize,
}

impl WaitingQueue {
    /// A queue for at most `capacity` arrivals, allocated now; the memory of the first [`POPULATED`] is also taken now.
    pub(crate) fn new(capacity: usize) -> Self {
        let mut entries = VecDeque::with_capacity(capacity);
        let blank = Waiting {
            intended: Timestamp::MAX,
            reached: Timestamp::MAX,
            cause: Cause { request: 0, target: 0, workload: 0, user: u32::MAX, iteration: u32::MAX },
            warmup: false,
        };
        entries.resize(capacity.min(POPULATED), blank);
        entries.clear();
        Self { entries, capacity }
    }

    /// Where it lies, for the test that shards lie apart.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> std::ops::Range<usize> {
        let start = self.entries.as_slices().0.as_ptr().addr();
        start..start + self.entries.capacity() * size_of::<Waiting>()
    }

    /// Adds an arrival; `false` when the queue is full and the arrival must be dropped.
    #[must_use]
    pub(crate) fn push(&mut self, waiting: Waiting) -> bool {
        let fits = self.entries.len() < self.capacity;
        if fits {
            self.entries.push_back(waiting);
        }
        fits
    }

    /// Puts back the arrival that has waited longest, though the queue be full by now.
    pub(crate) fn push_front(&mut self, waiting: Waiting) {
        self.entries.push_front(waiting);
    }

    /// The arrival that has waited longest.
    pub(crate) fn front(&self) -> Option<&Waiting> {
        self.entries.front()
    }

    /// Takes the arrival that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.entries.pop_front();
        if self.entries.is_empty() {
            // The next begins at the front of the memory again, so that a short queue does not wander through all
            // of what the longest may need.
            self.entries.clear();
        }
        waiting
    }

    /// How many arrivals wait.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64) -> Waiting {
        Waiting {
            cause: Cause { request: 0, target: 0, workload: 0, user: u32::MAX, iteration: u32::MAX },
            intended: Timestamp::from_nanos(at),
            reached: Timestamp::from_nanos(at),
            warmup: false,
        }
    }

    #[test]
    fn a_short_queue_stays_at_the_front_of_its_memory() {
        let mut queue = WaitingQueue::new(1_000);
        assert!(queue.push(entry(0)));
        let first = std::ptr::from_ref(queue.front().expect("one waits"));
        let mut highest = 0;
        for at in 0..5_000 {
            for _ in 0..at % 3 {
                assert!(queue.push(entry(at)));
            }
            while let Some(waiting) = queue.front() {
                highest = highest.max(std::ptr::from_ref(waiting).addr() - first.addr());
                queue.pop();
            }
        }
        assert!(highest < 4 * size_of::<Waiting>(), "it wandered {highest} bytes off");
    }

    #[test]
    fn a_full_queue_refuses_and_keeps_its_order() {
        let mut queue = WaitingQueue::new(2);
        assert!(queue.push(entry(1)));
        assert!(queue.push(entry(2)));
        assert!(!queue.push(entry(3)));
        assert_eq!(queue.front(), Some(&entry(1)));
        assert_eq!(queue.pop(), Some(entry(1)));
        assert!(queue.push(entry(3)));
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(entry(2)), Some(entry(3)), None));
        assert!(queue.is_empty());
    }
}
