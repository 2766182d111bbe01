//! Hot path. The exchange table: every request in flight, and which of them times out first.
//!
//! What it is: a fixed slab of exchanges, threaded by a list in the order in which they were begun. All
//! exchanges of a shard share one timeout, counted from the intended send time, and arrivals are begun in the
//! order of their intended times; so that list is also the order of their deadlines, and its head is all that
//! a turn has to look at.
//! What it is not: it knows no connection's state and records nothing.
//!
//! Invariant: an exchange is in the list exactly while it is in flight.

use clock::Timestamp;

use crate::io::ConnId;

/// Marks the end of the list and the absence of a user.
pub(crate) const NONE: u32 = u32::MAX;

/// Names one exchange in flight: its place in the table.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeId(pub(crate) u32);

/// One request on its way, from the moment it was handed to a connection.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Exchange {
    /// When the plan wanted it sent.
    pub(crate) intended: Timestamp,
    /// When it was handed to the kernel.
    pub(crate) sent: Timestamp,
    /// When the first byte of its response was seen; `None` before.
    pub(crate) first_byte: Option<Timestamp>,
    /// The connection that carries it.
    pub(crate) conn: ConnId,
    /// The closed model's user who waits for it; [`NONE`] in the open model.
    pub(crate) user: u32,
    /// Whether it belongs to the warm-up and stays out of the results.
    pub(crate) warmup: bool,
}

#[derive(Copy, Clone, Debug)]
struct Place {
    exchange: Exchange,
    previous: u32,
    next: u32,
}

/// All exchanges in flight of one shard.
#[derive(Debug)]
pub(crate) struct ExchangeTable {
    places: Vec<Place>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
}

impl ExchangeTable {
    /// A table for at most `capacity` exchanges at one time.
    pub(crate) fn new(capacity: u32) -> Self {
        let vacant = Place {
            exchange: Exchange {
                intended: Timestamp::ZERO,
                sent: Timestamp::ZERO,
                first_byte: None,
                conn: ConnId { index: 0, generation: 0 },
                user: NONE,
                warmup: false,
            },
            previous: NONE,
            next: NONE,
        };
        Self {
            places: vec![vacant; capacity as usize],
            // Popped from the back, so that low places (warm in the cache) are used first.
            free: (0..capacity).rev().collect(),
            oldest: NONE,
            newest: NONE,
        }
    }

    /// How many exchanges are in flight.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Puts an exchange in flight, behind all others.
    ///
    /// # Panics
    /// When the table is full: there is a place for every connection, so that is a programmer's error.
    pub(crate) fn begin(&mut self, exchange: Exchange) -> ExchangeId {
        let index = self.free.pop().expect("there is an exchange place for every connection");
        let previous = self.newest;
        self.places[index as usize] = Place { exchange, previous, next: NONE };
        if previous == NONE {
            self.oldest = index;
        } else {
            self.places[previous as usize].next = index;
        }
        self.newest = index;
        ExchangeId(index)
    }

    /// Takes an exchange out of flight.
    pub(crate) fn finish(&mut self, id: ExchangeId) -> Exchange {
        let Place { exchange, previous, next } = self.places[id.0 as usize];
        if previous == NONE {
            self.oldest = next;
        } else {
            self.places[previous as usize].next = next;
        }
        if next == NONE {
            self.newest = previous;
        } else {
            self.places[next as usize].previous = previous;
        }
        self.free.push(id.0);
        exchange
    }

    /// The exchange with the earliest deadline.
    pub(crate) fn oldest(&self) -> Option<(ExchangeId, &Exchange)> {
        (self.oldest != NONE).then(|| (ExchangeId(self.oldest), &self.places[self.oldest as usize].exchange))
    }

    /// Notes when the first byte of a response came, unless it was noted before.
    pub(crate) fn note_first_byte(&mut self, id: ExchangeId, now: Timestamp) {
        self.places[id.0 as usize].exchange.first_byte.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(intended: u64) -> Exchange {
        Exchange {
            intended: Timestamp::from_nanos(intended),
            sent: Timestamp::from_nanos(intended),
            first_byte: None,
            conn: ConnId { index: 0, generation: 0 },
            user: NONE,
            warmup: false,
        }
    }

    #[test]
    fn the_oldest_leads_whatever_finishes_between() {
        let mut table = ExchangeTable::new(4);
        let ids: Vec<_> = (1..=4).map(|at| table.begin(exchange(at))).collect();
        table.finish(ids[1]);
        assert_eq!(table.oldest().map(|(id, _)| id), Some(ids[0]));
        table.finish(ids[0]);
        assert_eq!(table.oldest().map(|(_, e)| e.intended.as_nanos()), Some(3));
        let again = table.begin(exchange(9));
        table.finish(ids[2]);
        table.finish(ids[3]);
        assert_eq!(table.oldest().map(|(id, _)| id), Some(again));
        assert_eq!(table.len(), 1);
        table.finish(again);
        assert!(table.oldest().is_none());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn the_first_byte_is_noted_once() {
        let mut table = ExchangeTable::new(1);
        let id = table.begin(exchange(1));
        table.note_first_byte(id, Timestamp::from_nanos(5));
        table.note_first_byte(id, Timestamp::from_nanos(7));
        assert_eq!(table.finish(id).first_byte, Some(Timestamp::from_nanos(5)));
    }
}
