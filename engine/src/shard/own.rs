//! Hot path. Own protocols on the shard: arrivals that choose what they send, and conversations before the first request.
//!
//! What it is: what differs from HTTP between an arrival and its bytes. What it is not: anything about responses, failures,
//! deadlines or counts, which are those of every exchange.
//!
//! Invariant: an arrival is kept from its choice until its request is written or dropped.

use measure::ErrorClass;
use tls::TlsError;

use super::exchange::Cause;
use super::waiting::Waiting;
use super::workload::Due;
use super::{Settings, Shard};
use crate::conn::{Machine, Stack, State};
use crate::io::{ConnId, Io};
use crate::protocol::Arrival;

/// The arrivals of an own protocol whose requests are not written yet. As many places are made as are needed at one time,
/// and kept.
#[derive(Debug, Default)]
pub(super) struct OwnArrivals {
    places: Vec<Arrival>,
    free: Vec<u32>,
}

/// Arrivals for which there is memory before the start; it is taken when they come.
const PLACES_AT_START: usize = 250_000;

impl OwnArrivals {
    /// None yet, with memory for as many as may wait if an own protocol is spoken.
    pub(super) fn new(settings: &Settings) -> Self {
        if settings.protocol.is_none() {
            return Self::default();
        }
        let waiting: usize = settings.targets.iter().map(|target| target.waiting_capacity).sum();
        let places = (waiting + 1).min(PLACES_AT_START);
        Self { places: Vec::with_capacity(places), free: Vec::with_capacity(places) }
    }

    /// Keeps an arrival; yields its place.
    fn keep(&mut self, arrival: Arrival) -> u32 {
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = arrival;
            return place;
        }
        self.places.push(arrival);
        u32::try_from(self.places.len() - 1).expect("no queue holds as many")
    }

    /// The arrival for which a request is to be written.
    fn of(&self, cause: Cause) -> Arrival {
        self.places[cause.iteration as usize]
    }

    /// The request is written or will never be. Nothing is kept where no arrival of an own protocol was.
    pub(super) fn release(&mut self, cause: Cause) {
        if !self.places.is_empty() {
            self.free.push(cause.iteration);
        }
    }
}

impl<I: Io> Shard<I> {
    /// An arrival is due, and chooses what it sends.
    pub(super) fn begin_own(&mut self, workload: u16, due: Due) {
        let now = self.present;
        let Some(spoken) = &self.settings.protocol else { return };
        let arrival = Arrival { slot: due.slot };
        let request = spoken.protocol.choose(&arrival);
        assert!(request < self.settings.requests.len(), "an arrival sends one of its protocol's requests");
        let cause = Cause {
            request: u16::try_from(request).unwrap_or(u16::MAX),
            target: 0,
            workload,
            user: due.user,
            iteration: self.own.keep(arrival),
        };
        let warmup = due.intended < self.origin;
        let recorder = self.recorder(warmup);
        recorder.scheduled(1);
        recorder.lag(now.nanos_since(due.intended));
        self.request_due(Waiting { cause, intended: due.intended, reached: now, warmup });
    }

    /// Writes a request, and encrypts it under TLS. An error that is retryable has sent nothing.
    pub(super) fn write_own(&mut self, conn: ConnId, cause: Cause) -> Result<(), TlsError> {
        let connection = &mut self.connections[conn.index as usize];
        let Machine::Own(own) = &mut connection.machine else { return Ok(()) };
        own.request(cause.request, self.own.of(cause));
        match &mut connection.stack {
            Stack::Plain => Ok(()),
            Stack::Tls(stack) => stack.take_own(own),
        }
    }

    /// Lets a request that is written leave.
    pub(super) fn send_own(&mut self, conn: ConnId, cause: Cause, encrypted: Result<(), TlsError>) {
        self.own.release(cause);
        match encrypted {
            Ok(()) => self.flush(conn),
            Err(error) => self.break_off(conn, crate::conn::of_tls(error)),
        }
    }

    /// Hands what a session has written to the driver, if it is free to take it.
    #[inline(never)]
    pub(super) fn flush_own(&mut self, conn: ConnId) {
        let connection = &mut self.connections[conn.index as usize];
        let Machine::Own(own) = &mut connection.machine else { return };
        if matches!(connection.state, State::Vacant | State::Connecting { .. }) {
            return;
        }
        if let Some(bytes) = own.take_outgoing() {
            connection.is_sending = true;
            self.io.send_owned(conn, bytes);
        }
    }

    /// The transport of a connection stands.
    pub(super) fn own_stands(&mut self, conn: ConnId) {
        self.connections[conn.index as usize].state = State::Greeting;
        self.greeted(conn);
    }

    /// Looks whether the conversation with which a connection begins is over, and how.
    pub(super) fn greeted(&mut self, conn: ConnId) {
        let connection = &self.connections[conn.index as usize];
        let (Machine::Own(own), Some(spoken)) = (&connection.machine, &self.settings.protocol) else {
            return;
        };
        if own.is_opening() {
            return self.flush(conn);
        }
        let target = connection.target;
        if let Some(greeting) = own.greeting() {
            if spoken.declared.is_failure(greeting.status) {
                let next = self.targets[target].waiting.front();
                if let Some((request, warmup)) = next.map(|waiting| (waiting.cause.request, waiting.warmup)) {
                    let name = self.settings.requests[usize::from(request)].name;
                    self.recorder(warmup).status(name, greeting.status);
                }
                return self.break_off(conn, ErrorClass::Status);
            }
            if !greeting.keep_alive {
                return self.break_off(conn, ErrorClass::ConnectReset);
            }
        }
        self.targets[target].pool.opened();
        self.serve_next(conn);
        self.flush(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::exchange::NONE;

    #[test]
    fn places_are_used_again() {
        let mut kept = OwnArrivals::default();
        let arrival = |slot| Arrival { slot };
        let cause = |iteration| Cause { request: 0, target: 0, workload: 0, user: NONE, iteration };
        // Of a plan without an own protocol nothing is kept.
        kept.release(cause(NONE));
        assert!(kept.free.is_empty());
        assert_eq!((kept.keep(arrival(5)), kept.keep(arrival(6))), (0, 1));
        kept.release(cause(0));
        assert_eq!(kept.keep(arrival(7)), 0);
        assert_eq!((kept.of(cause(0)).slot, kept.of(cause(1)).slot), (7, 6));
    }
}
