//! Hot path. The exchange table: every request in flight, and which of them times out first.
//!
//! What it is: a fixed slab of exchanges, threaded by one list for each length of timeout, in the order of the
//! deadlines. Deadlines count from the intended send times, and requests are begun nearly in the order of these; so the
//! place of a new exchange is at or near a list's end, and the heads are all that a turn has to look at.
//! What it is not: it knows no connection's state and records nothing.
//!
//! Invariant: an exchange is in its list exactly while it is in flight, and no list ever goes back in time.

use clock::Timestamp;

use crate::io::ConnId;

/// Marks the end of the list and the absence of a user.
pub(crate) const NONE: u32 = u32::MAX;

/// Names one exchange in flight: its place in the table.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeId(pub(crate) u32);

/// What a request is, and for whom it is sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Which of the plan's requests.
    pub(crate) request: u16,
    /// To which target it goes: the request's own, or where a redirect leads.
    pub(crate) target: u16,
    /// The workload that it belongs to.
    pub(crate) workload: u16,
    /// The closed model's user who waits for it; [`NONE`] in the open model.
    pub(crate) user: u32,
    /// The place of the iteration that it belongs to; [`NONE`] where every arrival is one request.
    pub(crate) iteration: u32,
}

/// One request on its way, from the moment it was handed to a connection.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Exchange {
    /// What was sent, and for whom.
    pub(crate) cause: Cause,
    /// When the plan wanted it sent.
    pub(crate) intended: Timestamp,
    /// When it is given up.
    pub(crate) deadline: Timestamp,
    /// When it was handed to the kernel.
    pub(crate) sent: Timestamp,
    /// When the first byte of its response was seen; `None` before.
    pub(crate) first_byte: Option<Timestamp>,
    /// The connection that carries it.
    pub(crate) conn: ConnId,
    /// Whether it belongs to the warm-up and stays out of the results.
    pub(crate) warmup: bool,
}

#[derive(Copy, Clone, Debug)]
struct Place {
    exchange: Exchange,
    list: u8,
    previous: u32,
    next: u32,
}

/// The exchanges of one length of timeout.
#[derive(Copy, Clone, Debug)]
struct List {
    timeout_ns: u64,
    oldest: u32,
    newest: u32,
}

/// All exchanges in flight of one shard.
#[derive(Debug)]
pub(crate) struct ExchangeTable {
    places: Vec<Place>,
    free: Vec<u32>,
    lists: Vec<List>,
}

impl ExchangeTable {
    /// A table for at most `capacity` exchanges at one time, whose timeouts are these.
    pub(crate) fn new(capacity: u32, timeouts_ns: &[u64]) -> Self {
        let vacant = Place {
            exchange: Exchange {
                cause: Cause { request: 0, target: 0, workload: 0, user: NONE, iteration: NONE },
                intended: Timestamp::ZERO,
                deadline: Timestamp::ZERO,
                sent: Timestamp::ZERO,
                first_byte: None,
                conn: ConnId { index: 0, generation: 0 },
                warmup: false,
            },
            list: 0,
            previous: NONE,
            next: NONE,
        };
        Self {
            places: vec![vacant; capacity as usize],
            // Popped from the back, so that low places (warm in the cache) are used first.
            free: (0..capacity).rev().collect(),
            lists: timeouts_ns
                .iter()
                .map(|&timeout_ns| List { timeout_ns, oldest: NONE, newest: NONE })
                .collect(),
        }
    }

    /// Where it lies, for the test that shards lie apart.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> [std::ops::Range<usize>; 3] {
        fn of<T>(elements: &Vec<T>) -> std::ops::Range<usize> {
            let start = elements.as_ptr().addr();
            start..start + elements.capacity() * size_of::<T>()
        }
        [of(&self.places), of(&self.free), of(&self.lists)]
    }

    /// How many exchanges are in flight.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Puts an exchange in flight. Its timeout is the `list`-th of the table's.
    ///
    /// # Panics
    /// When the table is full: there is a place for every connection, so that is a programmer's error.
    pub(crate) fn begin(&mut self, list: u8, mut exchange: Exchange) -> ExchangeId {
        let index = self.free.pop().expect("there is an exchange place for every connection");
        let ends = &mut self.lists[usize::from(list)];
        exchange.deadline = exchange.intended.plus_nanos(ends.timeout_ns);
        // Late arrivals go before requests that became due meanwhile.
        let (mut previous, mut next) = (ends.newest, NONE);
        while previous != NONE && self.places[previous as usize].exchange.deadline > exchange.deadline {
            (previous, next) = (self.places[previous as usize].previous, previous);
        }
        self.places[index as usize] = Place { exchange, list, previous, next };
        if previous == NONE {
            ends.oldest = index;
        } else {
            self.places[previous as usize].next = index;
        }
        if next == NONE {
            ends.newest = index;
        } else {
            self.places[next as usize].previous = index;
        }
        ExchangeId(index)
    }

    /// Takes an exchange out of flight.
    pub(crate) fn finish(&mut self, id: ExchangeId) -> Exchange {
        let Place { exchange, list, previous, next } = self.places[id.0 as usize];
        let ends = &mut self.lists[usize::from(list)];
        if previous == NONE {
            ends.oldest = next;
        } else {
            self.places[previous as usize].next = next;
        }
        if next == NONE {
            ends.newest = previous;
        } else {
            self.places[next as usize].previous = previous;
        }
        self.free.push(id.0);
        exchange
    }

    /// The exchange with the earliest deadline.
    #[inline]
    pub(crate) fn oldest(&self) -> Option<(ExchangeId, &Exchange)> {
        let heads = self.lists.iter().filter(|list| list.oldest != NONE);
        heads
            .map(|list| (ExchangeId(list.oldest), &self.places[list.oldest as usize].exchange))
            .min_by_key(|(_, exchange)| exchange.deadline)
    }

    /// When the first of those in flight was handed to the kernel.
    pub(crate) fn first_sent(&self) -> Option<Timestamp> {
        let heads = self.lists.iter().filter(|list| list.oldest != NONE);
        heads.map(|list| self.places[list.oldest as usize].exchange.sent).min()
    }

    /// What an exchange in flight is for.
    pub(crate) fn cause(&self, id: ExchangeId) -> Cause {
        self.places[id.0 as usize].exchange.cause
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
            cause: Cause { request: 0, target: 0, workload: 0, user: NONE, iteration: NONE },
            intended: Timestamp::from_nanos(intended),
            deadline: Timestamp::ZERO,
            sent: Timestamp::from_nanos(intended),
            first_byte: None,
            conn: ConnId { index: 0, generation: 0 },
            warmup: false,
        }
    }

    #[test]
    fn the_oldest_leads_whatever_finishes_between() {
        let mut table = ExchangeTable::new(4, &[10]);
        let ids: Vec<_> = (1..=4).map(|at| table.begin(0, exchange(at))).collect();
        table.finish(ids[1]);
        assert_eq!(table.oldest().map(|(id, _)| id), Some(ids[0]));
        table.finish(ids[0]);
        assert_eq!(
            table.oldest().map(|(_, e)| (e.intended.as_nanos(), e.deadline.as_nanos())),
            Some((3, 13))
        );
        let again = table.begin(0, exchange(9));
        table.finish(ids[2]);
        table.finish(ids[3]);
        assert_eq!(table.oldest().map(|(id, _)| id), Some(again));
        assert_eq!(table.len(), 1);
        table.finish(again);
        assert!(table.oldest().is_none());
        assert_eq!(table.len(), 0);
    }

    /// In whatever order they begin, and whatever their timeouts: they lead in the order of their deadlines.
    #[test]
    fn deadlines_lead_in_their_order() {
        for order in [[5, 1, 3, 2, 4, 6], [6, 5, 4, 3, 2, 1], [2, 1, 6, 3, 5, 4]] {
            let mut table = ExchangeTable::new(6, &[100, 3]);
            for (index, intended) in order.into_iter().enumerate() {
                table.begin(u8::from(index % 2 == 1), exchange(intended));
            }
            let mut deadlines = Vec::new();
            while let Some((id, exchange)) = table.oldest() {
                deadlines.push(exchange.deadline);
                table.finish(id);
            }
            assert_eq!(deadlines.len(), 6);
            assert!(deadlines.is_sorted(), "{order:?}: {deadlines:?}");
        }
    }

    #[test]
    fn the_first_byte_is_noted_once() {
        let mut table = ExchangeTable::new(1, &[10]);
        let id = table.begin(0, exchange(1));
        table.note_first_byte(id, Timestamp::from_nanos(5));
        table.note_first_byte(id, Timestamp::from_nanos(7));
        assert_eq!(table.finish(id).first_byte, Some(Timestamp::from_nanos(5)));
    }
}
