//! The agent: how this engine takes part in a fleet.
//!
//! ```text
//!            Connected           Welcome                         Closed
//!   alone ──────────► greeting ──────────► attending ─────────────────┐
//!     ▲                   │ Refused                                   │
//!     │                   ▼                                           │
//!     │                 leaving                                       │
//!     └───────────────────────────────────────────────────────────────┘
//!
//!   of a run:  preparing ──► prepared ──► armed ──► (shards run) ──► over ──► released
//!                  │            │ Arm      ▲  │ Assign, SetRate: asked of the shards, answered when all obey
//!                  ▼            └──────────┘  ▼
//!               refused                    fenced: the lease ended, nothing is owned until a later epoch is obeyed
//! ```
//!
//! What it is: [`Agent`], which decides (sessions, leases, beats, what is asked of the run, what is told again after a cut),
//! and the driver around it, which connects, fetches and keeps. What it is not: a run; that is a
//! [`Part`](crate::part::Part) on a thread of its own.
//!
//! Invariants: a lease counts from the instant at which its beat left; what is fenced by a lower term or epoch is not done;
//! a delta is told until it is acknowledged, over cuts, restarts of the coordinator and of this process.

mod capacity;
mod drive;
mod event;
mod files;
mod link;
mod machine;
mod node;
mod outbox;
mod spool;
mod state;
mod work;

pub use capacity::Capacity;
pub use event::{Action, Event, Happened, Identity, LeftBehind, Now};
pub use link::{Coordinator, PrivatePem, Tls};
pub use machine::{Agent, LEASE_MARGIN_NS, LEASE_RHO_PER_MILLE};
pub use node::{CarryOut, Config, Host, run};

/// The most that one delta measures, packed: with everything around it, it fits into a message.
const DELTA_BYTES_MAX: usize = wire::grpc::MESSAGE_BYTES_MAX - (64 << 10);

#[cfg(test)]
mod tests;
