//! The validated test plan, and the parsers of the texts that people describe it with.
//!
//! What it is: pure functions from texts to valid types, a [`Draft`] that is filled with them, and the [`Plan`] that it
//! becomes. What it is not: I/O. It reads no file, no environment and no host; it parses what it is handed.
//!
//! Invariants: a [`Plan`] needs no further check; every error says what is wrong and how to fix it, and where as far as
//! is known; numbers are exact, nothing passes through floating point; no message and no `Debug` shows a secret.
//! Units: nanoseconds (`_ns`), bytes, and [`Rate`]s in millionths of an arrival per second.

#![forbid(unsafe_code)]

mod bandwidth;
mod body;
mod choice;
mod connect_to;
mod cores;
pub mod document;
mod draft;
mod duration;
mod error;
mod fence;
mod header;
mod host;
mod label;
mod lag;
mod needs;
mod plan;
mod rails;
mod rate;
mod share;
mod size;
mod sources;
mod stages;
mod status;
mod text;
mod unix_socket;
mod url;

pub use bandwidth::{Bandwidth, Sizing};
pub use body::Body;
pub use choice::{CatchUp, Dns, IoChoice, Pacing, ProcessKind, TlsVersion, parse_switch};
pub use connect_to::ConnectTo;
pub use cores::Cores;
pub use draft::{DEFAULT_DURATION_NS, DEFAULT_SEED, DEFAULT_TIMEOUT_NS, Draft, Pattern};
pub use duration::{LONGEST_DURATION_NS, duration_text, parse_duration};
pub use error::{Place, PlanError};
pub use fence::{Allowed, Fence};
pub use header::{Header, Method};
pub use host::{Host, parse_port};
pub use label::{RunId, Tag};
pub use lag::MaxLag;
pub use needs::Needs;
pub use plan::{Connections, Identity, Limits, Load, Plan, Request, Tls, Trust, Users};
pub use rails::Rails;
pub use rate::{parse_rate, rate_text};
pub use scenario::StatusSet;
pub use schedule::Rate;
pub use share::Share;
pub use size::parse_size;
pub use sources::parse_sources;
pub use stages::parse_stages;
pub use status::parse_statuses;
pub use text::{named, parse_count, parse_millionths, quoted};
pub use unix_socket::UnixSocket;
pub use url::{OwnScheme, Scheme, Url};
