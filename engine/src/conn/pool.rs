//! Hot path. The pool: which connections are idle, and whether another may be opened.
//!
//! What it is: a last-in-first-out stack of idle connections (the most recently used is the warmest) and the
//! two bounds on opening: the cap on open connections, and the credit that keeps connects within the arrivals
//! asked for plus the pool declared, however often the target refuses or closes.
//! What it is not: it opens and closes nothing itself.
//!
//! Invariant: connects begun ≤ pool + arrivals due, at every instant.

use crate::io::ConnId;

/// The connection pool of one shard.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Vec<ConnId>,
    /// Where a connection stands in `idle`, by its index; `u32::MAX` when it is not there.
    place: Vec<u32>,
    cap: u32,
    open: u32,
    connecting: u32,
    credit: u64,
}

const ABSENT: u32 = u32::MAX;

impl Pool {
    /// A pool of at most `cap` connections over a driver's table of `table` places.
    pub(crate) fn new(cap: u32, table: u32) -> Self {
        Self {
            idle: Vec::with_capacity(cap as usize),
            place: vec![ABSENT; table as usize],
            cap,
            open: 0,
            connecting: 0,
            credit: u64::from(cap),
        }
    }

    /// Where it lies, for the test that shards lie apart.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> [std::ops::Range<usize>; 2] {
        let (idle, place) = (self.idle.as_ptr().addr(), self.place.as_ptr().addr());
        [
            idle..idle + self.idle.capacity() * size_of::<ConnId>(),
            place..place + self.place.capacity() * size_of::<u32>(),
        ]
    }

    /// An arrival is due: one more connect is paid for.
    pub(crate) fn arrival(&mut self) {
        self.credit += 1;
    }

    /// Whether another connection may be opened now.
    pub(crate) fn may_open(&self) -> bool {
        self.open < self.cap && self.credit > 0
    }

    /// A connect has begun.
    pub(crate) fn opening(&mut self) {
        self.open += 1;
        self.connecting += 1;
        self.credit -= 1;
    }

    /// A connect has ended, well or not; `closed` tells that the connection is gone.
    pub(crate) fn opened(&mut self) {
        self.connecting -= 1;
    }

    /// An open connection is gone.
    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.remove_idle(conn);
        self.open -= 1;
    }

    /// How many connections are being opened.
    pub(crate) fn connecting(&self) -> u32 {
        self.connecting
    }

    /// How many connections are open or being opened.
    pub(crate) fn open(&self) -> u32 {
        self.open
    }

    /// A connection has become idle.
    pub(crate) fn put_idle(&mut self, conn: ConnId) {
        self.place[conn.index as usize] = u32::try_from(self.idle.len()).unwrap_or(ABSENT);
        self.idle.push(conn);
    }

    /// Takes the most recently used idle connection.
    pub(crate) fn take_idle(&mut self) -> Option<ConnId> {
        let conn = self.idle.pop()?;
        self.place[conn.index as usize] = ABSENT;
        Some(conn)
    }

    fn remove_idle(&mut self, conn: ConnId) {
        let place = self.place[conn.index as usize];
        if place == ABSENT {
            return;
        }
        self.idle.swap_remove(place as usize);
        self.place[conn.index as usize] = ABSENT;
        if let Some(moved) = self.idle.get(place as usize) {
            self.place[moved.index as usize] = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    #[test]
    fn idle_connections_are_reused_warmest_first() {
        let mut pool = Pool::new(4, 8);
        for index in 0..3 {
            pool.opening();
            pool.opened();
            pool.put_idle(conn(index));
        }
        pool.closed(conn(0));
        assert_eq!(pool.take_idle(), Some(conn(1)));
        assert_eq!(pool.take_idle(), Some(conn(2)));
        assert_eq!(pool.take_idle(), None);
        assert_eq!((pool.open(), pool.connecting()), (2, 0));
    }

    #[test]
    fn connects_never_exceed_the_pool_and_the_arrivals() {
        let mut pool = Pool::new(2, 8);
        let mut connects = 0;
        let mut arrivals = 0;
        for _ in 0..10 {
            pool.arrival();
            arrivals += 1;
            while pool.may_open() {
                pool.opening();
                connects += 1;
                pool.opened();
                pool.closed(conn(0));
            }
            assert!(connects <= 2 + arrivals);
        }
        assert_eq!(connects, 12);
    }
}
