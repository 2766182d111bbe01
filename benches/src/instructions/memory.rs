//! A driver without sockets: what a shard sends is answered from memory, in time that passes as it is told to.
//!
//! What it is: the least work that keeps the contract of [`Io`], the same for every request, so that what is counted
//! is the shard's. Every connection stands at once; every request is answered in pieces, one for each wait.
//! What it is not: the simulated network of the engine's tests, which weighs every event and would drown the count.
//!
//! Invariant: nothing here depends on addresses, real time or chance.

use std::collections::VecDeque;
use std::io;

use clock::Timestamp;
use engine::io::{Completion, ConnId, Errno, Guard, Io, Lent, Limits, Message, PreparedId, Route, Wait};

/// What passes in a wait that finds something: 10 µs.
const ANSWER_NS: u64 = 10_000;

/// One place of the connection table.
#[derive(Copy, Clone, Debug, Default)]
struct Place {
    generation: u32,
    is_new: bool,
    /// Bytes of the reply that have been handed out.
    answered: usize,
    /// Of those that follow, how many nobody wants.
    discard: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Memory {
    now: Timestamp,
    places: Vec<Place>,
    free: Vec<u32>,
    reply: Box<[u8]>,
    piece: usize,
    request_size: u64,
    taken: u64,
    /// Connections about which the next wait has something to say.
    active: VecDeque<ConnId>,
    completions: VecDeque<Completion>,
    /// Sends of which the next wait says that they were taken.
    taken_over: Vec<(ConnId, Vec<u8>)>,
}

impl Memory {
    pub(crate) fn new(limits: &Limits, reply: &[u8]) -> Self {
        let places = vec![Place::default(); limits.connections as usize];
        Self {
            now: Timestamp::from_nanos(clock::NANOS_PER_SECOND),
            free: (0..limits.connections).rev().collect(),
            active: VecDeque::with_capacity(places.len()),
            completions: VecDeque::with_capacity(2 * places.len()),
            taken_over: Vec::with_capacity(places.len()),
            places,
            reply: reply.into(),
            piece: limits.buffer_size as usize,
            request_size: 0,
            taken: 0,
        }
    }

    fn place(&mut self, conn: ConnId) -> Option<&mut Place> {
        let place = &mut self.places[conn.index as usize];
        (place.generation == conn.generation).then_some(place)
    }

    /// What the connection has to say now: that it stands, or the next piece of the reply.
    fn answer(&mut self, conn: ConnId) -> Option<Completion> {
        let (whole, piece) = (self.reply.len(), self.piece);
        let place = self.place(conn)?;
        if std::mem::take(&mut place.is_new) {
            return Some(Completion::Connected { conn });
        }
        let begin = place.answered;
        let rest = whole - begin;
        let discarded = std::mem::take(&mut place.discard).min(rest);
        let count = if discarded > 0 { discarded } else { rest.min(piece) };
        place.answered += count;
        if place.answered < whole {
            self.active.push_back(conn);
        }
        if discarded > 0 {
            return Some(Completion::Discarded { conn, count: count as u64 });
        }
        let buffer = u32::try_from(begin).expect("replies are small");
        let len = u32::try_from(count).expect("replies are small");
        Some(Completion::Received { conn, lent: Lent { buffer, len } })
    }
}

impl Io for Memory {
    const SENDS_AT_ONCE: bool = false;

    fn now(&mut self) -> Timestamp {
        self.now
    }

    fn prepare_message(&mut self, message: Message) -> PreparedId {
        self.request_size = message.size();
        PreparedId(0)
    }

    fn bytes_taken(&self) -> u64 {
        self.taken
    }

    fn connect(&mut self, _route: &Route) -> Result<ConnId, Errno> {
        let index = self.free.pop().expect("there are places enough");
        let place = &mut self.places[index as usize];
        let conn = ConnId { index, generation: place.generation };
        *place = Place { generation: place.generation, is_new: true, ..Place::default() };
        self.active.push_back(conn);
        Ok(conn)
    }

    fn withhold(&mut self) {}

    fn guard(&mut self, _may_leave: Guard) {}

    fn send(&mut self, conn: ConnId, _prepared: PreparedId) {
        self.taken += self.request_size;
        if let Some(place) = self.place(conn) {
            place.answered = 0;
            self.active.push_back(conn);
        }
    }

    fn send_owned(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.taken += bytes.len() as u64;
        if let Some(place) = self.place(conn) {
            place.answered = 0;
            self.active.push_back(conn);
        }
        self.taken_over.push((conn, bytes));
    }

    fn discard(&mut self, conn: ConnId, count: u64) {
        if let Some(place) = self.place(conn) {
            place.discard = usize::try_from(count).expect("replies are small");
        }
    }

    fn close(&mut self, conn: ConnId) {
        let place = self.place(conn).expect("only what stands is closed");
        place.generation += 1;
        self.free.push(conn.index);
    }

    fn wait(&mut self, wait: Wait) -> io::Result<()> {
        if !self.completions.is_empty() {
            return Ok(());
        }
        let count = self.active.len();
        self.now = match wait {
            Wait::Until(until) if count == 0 => until.max(self.now),
            _ => self.now.plus_nanos(ANSWER_NS),
        };
        if !self.taken_over.is_empty() {
            let taken_over = self.taken_over.drain(..);
            self.completions.extend(taken_over.map(|(conn, buffer)| Completion::Sent { conn, buffer }));
        }
        for _ in 0..count {
            let conn = self.active.pop_front().expect("counted");
            if let Some(completion) = self.answer(conn) {
                self.completions.push_back(completion);
            }
        }
        Ok(())
    }

    fn completion(&mut self) -> Option<Completion> {
        loop {
            let completion = self.completions.pop_front()?;
            if self.place(completion.conn()).is_some() {
                return Some(completion);
            }
        }
    }

    fn bytes(&mut self, lent: &Lent) -> &mut [u8] {
        let begin = lent.buffer as usize;
        &mut self.reply[begin..begin + lent.len as usize]
    }

    fn release(&mut self, lent: Lent) {
        // The reply stays where it is.
        let Lent { .. } = lent;
    }
}
