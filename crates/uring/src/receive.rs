//! Hot path. The receiving half of connections: multishot, starvation, discarding.
//!
//! What it is: what follows from each completion of a receiving operation.
//! What it is not: the table or the buffers themselves.
//!
//! ```text
//!                       discard                  last completion
//!   Off ───► Armed ───────────────► Cancelling ──────────────────► Discarding ──┐
//!    ▲         │ ▲                                                     │        │ more left
//!    │ FIN or  │ │ last completion without an end, or nothing left     │ ◄──────┘
//!    │ failure │ └─────────────────────────────────────────────────────┘
//!    └─────────┤ no buffers                       buffers are back
//!              └──────────────────► Starved ────────────────────────► Armed
//! ```

use io_uring::cqueue;

use crate::connection::{Receiving, State};
use crate::driver::Driver;
use crate::operation::{Operation, Token};
use crate::{Completion, ConnId, Lent};

/// Fewer bytes than this are received and handed out: changing over costs three operations, more than copying
/// as little.
const DISCARD_MINIMUM: u64 = 64 * 1024;

impl Driver {
    /// The next `count` bytes of the connection need nobody: they are thrown away where that is worth while.
    ///
    /// Bytes already under way still come as [`Completion::Received`], and count.
    pub fn discard(&mut self, conn: ConnId, count: u64) {
        let Some(place) = self.table.find(conn) else { return };
        if count < DISCARD_MINIMUM || place.state != State::Open || place.is_failed {
            return;
        }
        place.discard_left = place.discard_left.max(count);
        match place.receiving {
            Receiving::Armed => {
                place.receiving = Receiving::Cancelling;
                let token = self.table.token(conn.index, Operation::Receive);
                self.submit_cancellation(token);
            }
            // Throwing away needs no buffer.
            Receiving::Starved => self.receive_again(conn.index),
            Receiving::Off | Receiving::Cancelling | Receiving::Discarding => {}
        }
    }

    /// Hands the receiving half back to the kernel in the way that fits.
    pub(crate) fn receive_again(&mut self, index: u32) {
        let place = self.table.at(index);
        if place.is_failed {
            place.receiving = Receiving::Off;
        } else if place.discard_left > 0 {
            place.receiving = Receiving::Discarding;
            self.submit_discard(index);
        } else {
            place.receiving = Receiving::Armed;
            self.submit_receive(index);
        }
    }

    /// Arms as many starved connections as there are free buffers. Each needs one to get on, so that none is
    /// armed in vain and nothing spins.
    #[inline]
    pub(crate) fn feed_starved(&mut self) {
        let mut available = self.buffers.available();
        while available > 0 {
            let Some(token) = self.starved.pop_front() else { return };
            match self.table.tenant(token) {
                Some(place) if place.state == State::Open && place.receiving == Receiving::Starved => {
                    self.receive_again(token.index());
                    available -= 1;
                }
                _ => {}
            }
        }
    }

    /// A completion of the multishot receive of an open connection.
    #[inline]
    pub(crate) fn on_received(&mut self, token: Token, result: i32, flags: u32) -> Option<Completion> {
        let index = token.index();
        let conn = self.table.name(index);
        let is_last = !cqueue::more(flags);
        let place = self.table.at(index);
        if is_last {
            place.pending -= 1;
        }
        if result > 0 {
            let len = result.cast_unsigned();
            let buffer = cqueue::buffer_select(flags).expect("received bytes lie in a provided buffer");
            place.discard_left = place.discard_left.saturating_sub(u64::from(len));
            let is_failed = place.is_failed;
            if is_last {
                self.receive_again(index);
            }
            if is_failed {
                self.buffers.recycle(buffer);
                return None;
            }
            self.buffers.lend(buffer, len);
            return Some(Completion::Received { conn, lent: Lent { buffer: u32::from(buffer), len } });
        }
        self.recycle(flags);
        if -result == libc::ENOBUFS {
            self.buffers.offer_more();
        }
        match -result {
            0 => self.end(index),
            libc::ENOBUFS if self.table.at(index).discard_left == 0 => {
                self.table.at(index).receiving = Receiving::Starved;
                self.starved.push_back(token);
                None
            }
            libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ENOBUFS => {
                self.receive_again(index);
                None
            }
            errno => self.fail_receiving(index, errno),
        }
    }

    /// A completion of a receive that throws away, of an open connection.
    pub(crate) fn on_discarded(&mut self, token: Token, result: i32) -> Option<Completion> {
        let index = token.index();
        let conn = self.table.name(index);
        let place = self.table.at(index);
        place.pending -= 1;
        match result {
            1.. => {
                let count = u64::from(result.cast_unsigned());
                place.discard_left = place.discard_left.saturating_sub(count);
                let is_failed = place.is_failed;
                self.receive_again(index);
                (!is_failed).then_some(Completion::Discarded { conn, count })
            }
            0 => self.end(index),
            _ => match -result {
                libc::EINTR | libc::EAGAIN => {
                    self.receive_again(index);
                    None
                }
                // This kernel cannot throw away; the bytes come as others do.
                libc::EFAULT | libc::EINVAL | libc::EOPNOTSUPP => {
                    self.table.at(index).discard_left = 0;
                    self.receive_again(index);
                    None
                }
                errno => self.fail_receiving(index, errno),
            },
        }
    }

    /// The peer sent its FIN.
    fn end(&mut self, index: u32) -> Option<Completion> {
        let conn = self.table.name(index);
        let place = self.table.at(index);
        place.receiving = Receiving::Off;
        if let Some(errno) = place.held_errno.take() {
            return self.fail(index, errno);
        }
        (!place.is_failed).then_some(Completion::Ended { conn })
    }

    fn fail_receiving(&mut self, index: u32, errno: i32) -> Option<Completion> {
        let place = self.table.at(index);
        place.receiving = Receiving::Off;
        place.held_errno = None;
        self.fail(index, errno)
    }
}
