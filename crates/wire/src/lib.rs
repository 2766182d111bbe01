//! What nodes and the coordinator tell each other.
//!
//! What it is: the messages of the control plane as plain data ([`FromNode`], [`ToNode`]). What it is not: behaviour. It
//! opens no connection, reads no clock and decides nothing.
//!
//! Units: instants are nanoseconds; which clock they belong to stands at each field. `run_ns` and `…_ns` "of the run" count
//! from the plan's zero, the warm-up included.

#![forbid(unsafe_code)]

mod digest;
mod error;
pub mod grpc;
mod measured;
mod message;

pub use error::WireError;
pub use measured::{ByShard, Measured, Outline, Overall, pack_counters, unpack_counters};
pub use message::{
    Beat, Delta, Description, Fencing, FileRef, Finished, FromNode, Hello, LogLine, Prepared, Refusal,
    Resume, RunKey, Sha256, Spec, ToNode, Welcome,
};
