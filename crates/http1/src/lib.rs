//! The client's side of HTTP/1.1, without I/O.
//!
//! What it is: [`encode_request`], which turns a described request into the bytes of one, and
//! [`ResponseMachine`], which is told the received bytes of one connection, cut anywhere, and says when a
//! response is complete and whether the connection may carry another request.
//! What it is not: a connection, a pool, a clock or a content decoder. It opens nothing, waits for nothing,
//! keeps no header and no body byte, and decompresses nothing: a load generator needs the frame, not the
//! content. Nor is it a proxy or a server.
//!
//! Invariants:
//! - The answers depend on the bytes, never on where they were cut.
//! - A machine's memory is its own size, for any peer; receiving allocates nothing.
//! - Where two honest parsers could disagree about the end of a message, the machine refuses the message. A
//!   connection that was refused once is never trusted again: only [`ResponseMachine::reset`] revives it.
//! - Time has no part in it; a slow peer is the driver's deadline.
//!
//! Units: bytes throughout.
//!
//! Who wants to read a response keeps the bytes that the machine was given, and finds head and body in them with [`parts`]
//! when it is complete; the machine itself keeps to fixed memory.

#![forbid(unsafe_code)]

mod chunked;
mod error;
mod fields;
mod framing;
mod head;
mod request;
mod response;
mod syntax;
mod view;
mod whole;

#[cfg(test)]
mod tests;

pub use error::{ErrorKind, ProtocolError};
pub use request::{RequestError, USER_AGENT, asks_to_close, encode_head, encode_request};
pub use response::{Ending, Limits, Response, ResponseMachine, Step};
pub use view::{Parts, parts};
