//! TLS 1.2 and 1.3 client sessions that own no socket.
//!
//! What it is: a [`Client`] holds what many sessions share (trust, identity, ALPN, tickets); a [`Session`] is one
//! connection's TLS machine. Bytes from the peer are lent to [`Session::receive`] and decrypted where they lie;
//! bytes for the peer are appended to a buffer of the caller's.
//! What it is not: a socket, a timer or a policy. A peer that vanishes without saying `close_notify` is seen by
//! the caller, through [`Session::peer_closed`]; a handshake that stalls ends by the caller's deadline. Files are
//! read by the caller, save the system's roots, which [`Client::new`] fetches once from where the platform keeps
//! them. Certificate dates are held against the system's wall clock and keys come from the system's randomness,
//! both by way of rustls.
//!
//! Invariants: no rustls type is public. After [`Session::receive`] returns, nothing that the peer should get is
//! held back, and no whole record waits undecrypted. What a session carries over from one slice to the next is
//! bounded ([`CARRY_LIMIT`]). A failed session stays failed, with the same [`TlsError`].
//!
//! Units: lengths are bytes.

#![forbid(unsafe_code)]

mod carry;
mod client;
mod error;
mod options;
mod pem;
mod session;
mod verdicts;
mod verify;

pub use carry::CARRY_LIMIT;
pub use client::Client;
pub use error::{SetupError, TlsError};
pub use options::{ClientIdentity, Options, Trust, Version};
pub use session::Session;
