//! Hot path. The protocol stack of a connection: HTTP/1.1 or an own protocol, plain or inside TLS.
//!
//! What it is: the path of received bytes to the response machine, and of request bytes to the wire.
//! What it is not: a socket. What must be sent is handed to the driver by the shard.
//!
//! Invariant: under TLS at most one buffer is with the driver at a time; what is encrypted meanwhile gathers
//! in `outgoing` and leaves when the driver returns the first.

use http1::Response;
use measure::ErrorClass;
use tls::TlsError;

use super::{Capture, Machine, Own, failure};
use crate::io::Message;

/// Plain, or inside TLS.
#[derive(Debug)]
pub(crate) enum Stack {
    /// Bytes are those of the protocol.
    Plain,
    /// Bytes are TLS records around them.
    Tls(Box<TlsStack>),
}

/// A TLS session and its bytes on their way out.
#[derive(Debug)]
pub(crate) struct TlsStack {
    pub(crate) session: tls::Session,
    /// Ciphertext that waits for the driver.
    pub(crate) outgoing: Vec<u8>,
    /// The second buffer, while the driver does not hold it.
    pub(crate) spare: Option<Vec<u8>>,
    /// Where the part of the request begins that is not encrypted yet; `None` when all of it is.
    pub(crate) unsent: Option<u64>,
}

/// Ciphertext that is gathered for one send: 128 KiB, whatever the size of a request.
const GATHERED: usize = 128 << 10;

impl TlsStack {
    /// Begins to send a request. An error that is retryable has sent nothing.
    pub(crate) fn begin(&mut self, request: &Message) -> Result<(), TlsError> {
        self.unsent = Some(0);
        self.gather(request)
    }

    /// Begins to send a request that was written for one exchange. An error that is retryable has sent nothing.
    pub(crate) fn begin_rendered(&mut self, request: &[u8]) -> Result<(), TlsError> {
        self.unsent = None;
        self.session.send(request, &mut self.outgoing)
    }

    /// Encrypts what the session of an own protocol has written.
    pub(crate) fn take_own(&mut self, own: &mut Own) -> Result<(), TlsError> {
        let written = own.outgoing();
        if written.is_empty() {
            return Ok(());
        }
        self.session.send(written, &mut self.outgoing)?;
        written.clear();
        Ok(())
    }

    /// Encrypts as much of what is left of the request as fits one send.
    pub(crate) fn gather(&mut self, request: &Message) -> Result<(), TlsError> {
        while let Some(position) = self.unsent.filter(|_| self.outgoing.len() < GATHERED) {
            let piece = request.piece(position);
            let piece = &piece[..piece.len().min(GATHERED)];
            self.unsent = None;
            self.session.send(piece, &mut self.outgoing)?;
            let position = position + piece.len() as u64;
            self.unsent = (position < request.size()).then_some(position);
        }
        Ok(())
    }

    /// The ciphertext to hand to the driver now, if there is any and the driver is free.
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

/// What received bytes amounted to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Nothing is complete yet.
    Nothing,
    /// The response is complete.
    Response(Response),
    /// The connection is of no further use.
    Failed(ErrorClass),
}

impl Stack {
    /// Takes bytes that arrived, and keeps them in `capture`, up to so many. They may be changed in place.
    pub(crate) fn receive(
        &mut self,
        machine: &mut Machine,
        bytes: &mut [u8],
        mut capture: Option<(&mut Capture, usize)>,
    ) -> Delivery {
        let mut delivery = Delivery::Nothing;
        match self {
            Self::Plain => {
                keep(&mut capture, bytes);
                feed(machine, bytes, &mut delivery);
            }
            Self::Tls(stack) => {
                let result = stack.session.receive(bytes, &mut stack.outgoing, &mut |plain| {
                    keep(&mut capture, plain);
                    feed(machine, plain, &mut delivery);
                });
                if let Err(error) = result
                    && !matches!(delivery, Delivery::Failed(_))
                {
                    delivery = Delivery::Failed(failure::of_tls(error));
                }
            }
        }
        delivery
    }

    /// Whether part of a request is not encrypted yet.
    pub(crate) fn is_sending(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls(stack) => stack.unsent.is_some(),
        }
    }

    /// Whether the peer said that nothing more will come (RFC 8446 section 6.1); its FIN need not be waited for.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls(stack) => stack.session.peer_closed(),
        }
    }

    /// Whether TLS ended without the peer saying so.
    pub(crate) fn is_truncated(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls(stack) => !stack.session.peer_closed(),
        }
    }
}

/// Keeps what came, where somebody wants to read it.
#[inline]
fn keep(capture: &mut Option<(&mut Capture, usize)>, bytes: &[u8]) {
    if let Some((capture, most)) = capture {
        capture.push(bytes, *most);
    }
}

fn feed(machine: &mut Machine, bytes: &[u8], delivery: &mut Delivery) {
    if bytes.is_empty() {
        return;
    }
    *delivery = match *delivery {
        Delivery::Nothing => machine.receive(bytes),
        Delivery::Response(_) => Delivery::Failed(ErrorClass::Desync),
        failed @ Delivery::Failed(_) => failed,
    };
}
