//! The messages as gRPC carries them, and the way to plain data and back.
//!
//! What it is: the code generated from `proto/fleet.proto`, and conversions for the edges that hold a connection. What it is
//! not: for anyone else; machines speak [`FromNode`](crate::FromNode) and [`ToNode`](crate::ToNode).
//!
//! Invariant: whatever a stranger sends is converted or refused; it neither panics nor takes more memory than its bytes
//! times a small constant.

mod from_node;
#[rustfmt::skip]
#[allow(clippy::pedantic, missing_debug_implementations, reason = "generated: cargo xtask proto")]
mod generated;
mod limits;
mod parts;
mod to_node;

pub use generated::*;
pub use limits::{FILE_PIECE_BYTES, MESSAGE_BYTES_MAX};

#[cfg(test)]
mod tests;
