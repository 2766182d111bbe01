//! Hot path. The sending half of connections: bytes leave in the order in which they were handed over.
//!
//! What it is: when a send is submitted at once and silently, when it waits, and what follows from completions.
//! What it is not: the queueing of entries.
//!
//! Two sends in flight on one socket may overtake each other: the first waits for room, the second finds some.
//! So at most one operation that may wait is with the kernel for each connection. The ordinary send is silent: it
//! never waits, so that its fate is known when the submission that carries it is over.
//!
//! ```text
//!             silent send
//!            ┌──────────┐        did not go through
//!            └── Idle ◄─┘ ─────────────────────────────► Stalled
//!               ▲  │ large, owned, or waiting                │ its completion, in its turn
//!          done │  ▼                                         │
//!               Busy ◄───────────────────────────────────────┘
//!               any failure: Broken
//! ```

use crate::connection::{NONE, Receiving, Sending, Source, State};
use crate::driver::Driver;
use crate::operation::Token;
use crate::{Completion, ConnId, PreparedId};

/// Larger prepared bytes do not fit a young socket's send buffer, so that a silent attempt would be wasted.
const SILENT_LIMIT: u64 = 16 * 1024;

impl Driver {
    /// Sends prepared bytes whole, from where they lie. Silent, but for [`Completion::Failed`]. A stale name is
    /// ignored.
    ///
    /// # Panics
    /// When `prepared` was not made by this driver.
    #[inline]
    pub fn send(&mut self, conn: ConnId, prepared: PreparedId) {
        let size = self.prepared[prepared.0 as usize].size();
        self.make_room();
        let batch = self.batch;
        let Some(place) = self.table.find(conn) else { return };
        let is_idle = place.state == State::Open
            && place.sending == Sending::Idle
            && place.first_waiting == NONE
            && place.silent_batch != batch;
        if is_idle && size <= SILENT_LIMIT {
            place.silent_batch = batch;
            place.silent_prepared = prepared.0;
            self.taken += size;
            self.submit_silent_send(conn.index);
        } else {
            self.send_later(conn.index, Source::Prepared(prepared.0));
        }
    }

    /// Sends `bytes` whole; completes with [`Completion::Sent`] or [`Completion::Failed`]. With a stale name the
    /// buffer is dropped.
    ///
    /// # Panics
    /// When an owned send of the connection is unfinished.
    pub fn send_owned(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let Some(place) = self.table.find(conn) else { return };
        if place.is_failed {
            return;
        }
        assert!(place.owned.is_none(), "one owned send at a time on a connection");
        place.owned = Some(bytes);
        self.send_later(conn.index, Source::Owned);
    }

    /// Appends a send to those of the connection, and starts it if it is its turn.
    fn send_later(&mut self, index: u32, source: Source) {
        let place = self.table.at(index);
        if place.sending == Sending::Broken {
            return;
        }
        self.waiting.push(place, source);
        self.start_waiting(index);
    }

    /// Starts the first waiting send of a connection, if nothing is before it.
    pub(crate) fn start_waiting(&mut self, index: u32) {
        self.make_room();
        let batch = self.batch;
        let place = self.table.at(index);
        if place.state != State::Open || place.sending != Sending::Idle || place.first_waiting == NONE {
            return;
        }
        if place.silent_batch == batch {
            // Whether the silent send in this batch goes through is known after its submission.
            if !place.is_deferred {
                place.is_deferred = true;
                self.deferred.push(index);
            }
            return;
        }
        let source = self.waiting.pop(place).expect("the list is not empty");
        place.sending = Sending::Busy;
        place.source = source;
        place.sent = 0;
        self.submit_send(index);
    }

    /// Starts sends that waited for a submission to be over. Says whether some still do.
    #[inline]
    pub(crate) fn start_deferred(&mut self) -> bool {
        let mut position = 0;
        while let Some(&index) = self.deferred.get(position) {
            if self.table.at(index).silent_batch == self.batch {
                position += 1;
            } else {
                self.deferred.swap_remove(position);
                self.table.at(index).is_deferred = false;
                self.start_waiting(index);
            }
        }
        !self.deferred.is_empty()
    }

    /// A silent send of an open connection did not go through: -`errno`, or the bytes that did.
    pub(crate) fn on_silent_send(&mut self, token: Token, result: i32) -> Option<Completion> {
        let index = token.index();
        let place = self.table.at(index);
        if place.sending != Sending::Stalled {
            return None;
        }
        let sent = match result {
            0.. => u64::from(result.unsigned_abs()),
            _ if matches!(-result, libc::EAGAIN | libc::EINTR) => 0,
            _ => return self.fail_sending(index, -result),
        };
        place.sending = Sending::Busy;
        place.source = Source::Prepared(place.silent_prepared);
        place.sent = sent;
        self.submit_send(index);
        None
    }

    /// A send of an open connection completed.
    pub(crate) fn on_sent(&mut self, token: Token, result: i32) -> Option<Completion> {
        let index = token.index();
        let conn = self.table.name(index);
        self.taken += u64::from(result.max(0).cast_unsigned());
        let place = self.table.at(index);
        place.pending -= 1;
        if place.is_failed {
            place.sending = Sending::Broken;
            return None;
        }
        let size = match place.source {
            Source::Prepared(prepared) => self.prepared[prepared as usize].size(),
            Source::Owned => place.owned.as_ref().map_or(0, Vec::len) as u64,
        };
        match result {
            0.. => place.sent += u64::from(result.unsigned_abs()),
            _ if matches!(-result, libc::EAGAIN | libc::EINTR) => {}
            _ => return self.fail_sending(index, -result),
        }
        if place.sent < size {
            if result == 0 {
                return self.fail_sending(index, libc::EPIPE);
            }
            // The next piece. Or a short send, which is a failed one: trying the rest tells why.
            self.submit_send(index);
            return None;
        }
        place.sending = Sending::Idle;
        let buffer = if place.source == Source::Owned { place.owned.take() } else { None };
        self.start_waiting(index);
        buffer.map(|buffer| Completion::Sent { conn, buffer })
    }

    /// Sending failed. When the peer has broken off, what it sent before is still handed out first: its response
    /// may tell why.
    fn fail_sending(&mut self, index: u32, errno: i32) -> Option<Completion> {
        let place = self.table.at(index);
        place.sending = Sending::Broken;
        self.waiting.clear(place);
        let is_broken_off = matches!(errno, libc::EPIPE | libc::ECONNRESET);
        if is_broken_off && place.receiving != Receiving::Off && !place.is_failed {
            place.held_errno = Some(errno);
            return None;
        }
        self.fail(index, errno)
    }
}
