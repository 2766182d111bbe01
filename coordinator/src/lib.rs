//! The coordinator: splits a plan's TPS exactly over engines, starts them at one instant, keeps the total
//! when one dies or joins, and merges their measurements exactly.
//!
//! What it is: machines that decide, and edges that carry messages, requests and records.
//! What it is not: a generator of load; engines are.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod args;
mod asking;
mod client;
pub mod director;
pub mod files;
mod fleet;
pub mod handle;
mod headless;
pub mod http;
mod ledger;
mod local;
pub mod program;
pub mod rpc;
mod run;
pub mod security;
pub mod serve;
pub mod store;
pub mod submission;
pub mod wall;

pub(crate) use program::tell;
