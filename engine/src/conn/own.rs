//! Hot path. The user's side of a connection: a session of an own protocol, and the bytes that it has written.
//!
//! What it is: what stands between a [`Session`] and the shard: when its bytes may leave, when a response is due, and what
//! it yields in the words of results. It allocates nothing after it was made.
//! What it is not: a judge of the protocol; the session is that.
//!
//! Invariant: at most one buffer is with the driver at a time; what is written meanwhile gathers in the other.

use http1::Response;
use measure::{ErrorClass, FIRST_STATUS};

use super::Delivery;
use crate::protocol::{Arrival, Opening, Received, Session};

/// Room for a request before a buffer grows.
const REQUEST_BYTES: usize = 512;

/// What is due from the peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The end of the conversation with which the connection begins.
    Opening,
    /// Nothing.
    Idle,
    /// A response.
    Due,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Own {
    session: Box<dyn Session>,
    /// How many statuses the protocol has declared.
    statuses: usize,
    stage: Stage,
    /// How the opening ended.
    greeting: Option<Response>,
    has_begun: bool,
    /// What the session has written and the driver has not taken.
    outgoing: Vec<u8>,
    /// The second buffer, while the driver does not hold it.
    spare: Option<Vec<u8>>,
}

impl Own {
    /// A session for a new connection, with what it sends first. Its protocol has declared so many statuses.
    pub(crate) fn new(mut session: Box<dyn Session>, statuses: usize) -> Self {
        let mut outgoing = Vec::with_capacity(REQUEST_BYTES);
        let stage = match session.open(&mut outgoing) {
            Opening::Awaits => Stage::Opening,
            Opening::Done => Stage::Idle,
        };
        let spare = Some(Vec::with_capacity(REQUEST_BYTES));
        Self { session, statuses, stage, greeting: None, has_begun: false, outgoing, spare }
    }

    /// Whether requests must wait for the peer.
    pub(crate) fn is_opening(&self) -> bool {
        self.stage == Stage::Opening
    }

    /// How the opening ended, if it has and there was one.
    pub(crate) fn greeting(&self) -> Option<Response> {
        self.greeting
    }

    /// Whether a byte of the response that is due has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Writes a request; its response is due from here on.
    pub(crate) fn request(&mut self, request: u16, arrival: Arrival) {
        self.stage = Stage::Due;
        self.has_begun = false;
        self.session.request(usize::from(request), &arrival, &mut self.outgoing);
    }

    /// Takes bytes that arrived. Not inlined: HTTP's path is not to be the longer for it.
    #[inline(never)]
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Delivery {
        if self.stage == Stage::Idle {
            return Delivery::Failed(ErrorClass::Desync);
        }
        self.has_begun = true;
        let received = self.session.receive(bytes, &mut self.outgoing);
        if let Received::Response { consumed, .. } = received {
            assert!(consumed <= bytes.len(), "a session takes no more bytes than there are");
            if consumed < bytes.len() {
                return Delivery::Failed(ErrorClass::Desync);
            }
        }
        self.deliver(received, ErrorClass::Protocol)
    }

    /// The peer has sent its last byte.
    pub(crate) fn end(&mut self) -> Delivery {
        let received = match self.stage {
            Stage::Due => self.session.end(),
            Stage::Opening | Stage::Idle => Received::Broken,
        };
        match self.deliver(received, ErrorClass::ClosedEarly) {
            Delivery::Nothing => Delivery::Failed(ErrorClass::ClosedEarly),
            delivery => delivery,
        }
    }

    fn deliver(&mut self, received: Received, class: ErrorClass) -> Delivery {
        match received {
            Received::More => Delivery::Nothing,
            Received::Broken => Delivery::Failed(class),
            Received::Response { status, closes, .. } => {
                assert!(status < self.statuses, "a session yields only statuses that its protocol declares");
                let place = u16::try_from(status).unwrap_or(u16::MAX);
                let status = FIRST_STATUS.saturating_add(place);
                let response = Response { status, keep_alive: !closes, head_bytes: 0, body_bytes: 0 };
                if std::mem::replace(&mut self.stage, Stage::Idle) == Stage::Opening {
                    self.greeting = Some(response);
                    return Delivery::Nothing;
                }
                Delivery::Response(response)
            }
        }
    }

    /// What was written and has not left.
    pub(crate) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// What to hand to the driver now, if there is anything and the driver is free.
    pub(crate) fn take_outgoing(&mut self) -> Option<Vec<u8>> {
        if self.outgoing.is_empty() {
            return None;
        }
        let spare = self.spare.take()?;
        Some(std::mem::replace(&mut self.outgoing, spare))
    }

    /// The driver returns the buffer that it held.
    pub(crate) fn put_spare(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare = Some(buffer);
    }
}
