//! Hot path. Queueing operations: where the driver makes its promises to the kernel.
//!
//! What it is: one function for each operation; each takes everything that the kernel will touch from the
//! connection table, the buffers or the prepared bytes, all of which outlive the operation.
//! What it is not: it decides nothing; the states are set by its callers.
//!
//! Invariant: `pending` is raised here for every operation that completes; silent sends and cancellations are not
//! counted, because they touch nothing once they are submitted.

use io_uring::squeue::Flags;
use io_uring::types::{CancelBuilder, Fd};
use io_uring::{opcode, squeue};

use crate::connection::Source;
use crate::driver::Driver;
use crate::operation::{Operation, Token};
use crate::ring::BUFFER_GROUP;

/// Most bytes of one sending operation.
const SEND_LIMIT: usize = 1 << 30;

/// Most bytes thrown away by one operation, so that progress is seen while a large body passes.
const DISCARD_LIMIT: u64 = 1 << 20;

impl Driver {
    /// Makes sure that an operation can be queued, submitting what is there when the queue is full.
    #[inline]
    pub(crate) fn make_room(&mut self) {
        if self.ring.is_full() {
            self.flush();
        }
    }

    /// Queues an operation that completes.
    ///
    /// # Safety
    /// As for [`crate::ring::Ring::push`].
    #[inline]
    unsafe fn queue(&mut self, index: u32, entry: &squeue::Entry) {
        self.make_room();
        self.table.at(index).pending += 1;
        // SAFETY: passed on to the caller.
        unsafe { self.ring.push(entry) };
    }

    pub(crate) fn submit_connect(&mut self, index: u32) {
        let token = self.table.token(index, Operation::Connect);
        let place = self.table.at(index);
        let entry =
            opcode::Connect::new(Fd(place.raw_descriptor()), place.address.pointer(), place.address.len())
                .build()
                .user_data(token.bits());
        // SAFETY: descriptor and address stay in the table's place until this operation's completion lowers
        // `pending` (`Table::vacate` asserts it); the table never moves its places.
        unsafe { self.queue(index, &entry) };
    }

    pub(crate) fn submit_receive(&mut self, index: u32) {
        let token = self.table.token(index, Operation::Receive);
        let descriptor = Fd(self.table.at(index).raw_descriptor());
        let entry = opcode::RecvMulti::new(descriptor, BUFFER_GROUP).build().user_data(token.bits());
        // SAFETY: the descriptor as in `submit_connect`; the memory is that of the registered buffers, which the
        // driver drops after the ring.
        unsafe { self.queue(index, &entry) };
    }

    pub(crate) fn submit_discard(&mut self, index: u32) {
        let token = self.table.token(index, Operation::Discard);
        let place = self.table.at(index);
        let len = u32::try_from(place.discard_left.min(DISCARD_LIMIT)).expect("at most 2^20");
        // tcp(7): with MSG_TRUNC the bytes are thrown away, not copied. Should some kernel try after all, the
        // null address makes it fail. No MSG_WAITALL: bytes thrown away do not advance the kernel's iterator, so
        // that its second attempt would throw away too many (seen on 6.18).
        let entry = opcode::Recv::new(Fd(place.raw_descriptor()), std::ptr::null_mut(), len)
            .flags(libc::MSG_TRUNC)
            .build()
            .user_data(token.bits());
        // SAFETY: the descriptor as in `submit_connect`; no memory is named.
        unsafe { self.queue(index, &entry) };
    }

    /// Queues the send of prepared bytes that either goes through whole within the submission, and then is never
    /// heard of again, or says within the same submission how far it got.
    ///
    /// `MSG_DONTWAIT` keeps the kernel from parking it; `MSG_WAITALL` makes less than everything a failure, which
    /// `CQE_SKIP_SUCCESS` does not silence. The caller has made room.
    #[inline]
    pub(crate) fn submit_silent_send(&mut self, index: u32) {
        let token = self.table.token(index, Operation::SilentSend);
        let place = self.table.at(index);
        let bytes = self.prepared[place.silent_prepared as usize].piece(0);
        #[expect(clippy::cast_possible_truncation, reason = "at most SILENT_LIMIT, checked by the caller")]
        let entry = opcode::Send::new(Fd(place.raw_descriptor()), bytes.as_ptr(), bytes.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(token.bits());
        // SAFETY: prepared bytes live, unmoved, as long as the driver. The operation is over once it is
        // submitted, and `silent_batch` keeps the descriptor in the table until then.
        unsafe { self.ring.push(&entry) };
    }

    /// Queues the send of what is left of the connection's source.
    pub(crate) fn submit_send(&mut self, index: u32) {
        let token = self.table.token(index, Operation::Send);
        let batch = self.batch;
        let place = self.table.at(index);
        place.send_batch = batch;
        let bytes = match place.source {
            Source::Prepared(prepared) => self.prepared[prepared as usize].piece(place.sent),
            Source::Owned => {
                let owned = place.owned.as_deref().expect("an owned send has its buffer in the table");
                &owned[usize::try_from(place.sent).expect("within the buffer")..]
            }
        };
        let len = u32::try_from(bytes.len().min(SEND_LIMIT)).expect("at most 2^30");
        let entry = opcode::Send::new(Fd(place.raw_descriptor()), bytes.as_ptr(), len)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(token.bits());
        // SAFETY: prepared bytes live, unmoved, as long as the driver; an owned buffer and the descriptor stay
        // in the place until this operation's completion lowers `pending`, and the buffer is not touched
        // meanwhile.
        unsafe { self.queue(index, &entry) };
    }

    /// Queues the cancellation of an operation; heard of only when it fails.
    pub(crate) fn submit_cancellation(&mut self, operation: Token) {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::user_data(operation.bits()))
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(operation.cancellation().bits());
        self.make_room();
        // SAFETY: it names neither memory nor a descriptor.
        unsafe { self.ring.push(&entry) };
    }
}
