//! Hot path. What reads the responses of a connection: HTTP/1.1, or a protocol of the user's own.
//!
//! What it is: the choice between the two, made when the connection is opened. What it is not: a reader itself.

use http1::{Ending, ResponseMachine, Step};
use measure::ErrorClass;

use super::{Delivery, Own, failure};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) enum Machine {
    /// HTTP/1.1.
    Http(ResponseMachine),
    /// A protocol of the user's own.
    Own(Box<Own>),
}

impl Machine {
    /// A response to a request of HTTP is due.
    #[inline]
    pub(crate) fn expect(&mut self, is_head: bool) {
        if let Self::Http(machine) = self {
            machine.expect(is_head);
        }
    }

    /// Whether a byte of the response that is due has come.
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        match self {
            Self::Http(machine) => machine.has_begun(),
            Self::Own(own) => own.has_begun(),
        }
    }

    /// Bytes that may be thrown away unseen.
    pub(crate) fn discardable(&self) -> u64 {
        match self {
            Self::Http(machine) => machine.discardable(),
            Self::Own(_) => 0,
        }
    }

    /// So many bytes were thrown away unseen.
    pub(crate) fn discarded(&mut self, count: u64) -> Delivery {
        match self {
            // The driver was asked for no more than the body has left; more is not ours to guess about.
            Self::Http(machine) if count <= machine.discardable() => match machine.discarded(count) {
                Ok(step) => step.response.map_or(Delivery::Nothing, Delivery::Response),
                Err(error) => Delivery::Failed(failure::of_protocol(error)),
            },
            Self::Http(_) | Self::Own(_) => Delivery::Failed(ErrorClass::Desync),
        }
    }

    /// Takes bytes, at least one.
    #[inline]
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Delivery {
        match self {
            Self::Http(machine) => match machine.receive(bytes) {
                Ok(Step { consumed, response: Some(response) }) if consumed == bytes.len() => {
                    Delivery::Response(response)
                }
                // RFC 9112 section 9.3.2: responses answer requests one by one; more bytes than the response
                // has cannot be trusted to be anything.
                Ok(Step { response: Some(_), .. }) => Delivery::Failed(ErrorClass::Desync),
                Ok(Step { response: None, .. }) => Delivery::Nothing,
                Err(error) => Delivery::Failed(failure::of_protocol(error)),
            },
            Self::Own(own) => own.receive(bytes),
        }
    }

    /// The peer has sent its last byte.
    pub(crate) fn end(&mut self) -> Delivery {
        match self {
            Self::Http(machine) => match machine.end() {
                Ok(Ending::Complete(response)) => Delivery::Response(response),
                Ok(Ending::Idle) => Delivery::Nothing,
                Err(error) => Delivery::Failed(failure::of_protocol(error)),
            },
            Self::Own(own) => own.end(),
        }
    }
}
