//! The engine: one load process.
//!
//! What it is: the library under the `engine` program, and under programs that load a protocol of their own
//! ([`protocol`]). A shard per core ([`shard`]) drives connections over a
//! completion-shaped driver ([`io`]); the control thread starts the shards ([`launch`]) and adds up what they
//! measure ([`collect`]).
//! What it is not: a fleet; several engines meet in documents and at the control socket only.

#![forbid(unsafe_code)]

pub mod agent;
pub mod args;
pub mod around;
pub mod check;
pub mod collect;
mod conn;
pub mod control;
pub mod cores;
pub mod dealing;
pub mod debug;
pub mod describe;
pub mod dial;
pub mod doctor;
pub mod drive;
pub mod host;
pub mod io;
pub mod keys;
pub mod launch;
pub mod live;
pub mod once;
pub mod part;
pub mod preflight;
pub mod prepare;
pub mod program;
pub mod progress;
pub mod protocol;
pub mod run;
pub mod shard;
pub mod sizing;
pub mod standalone;
pub mod timeline;
pub mod tokens;
