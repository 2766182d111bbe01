//! The built-in HTTP target with its truth log.
//!
//! What it is: an HTTP/1.1 server, plain or TLS, that answers every request alike, after a delay drawn from a law,
//! wrongly as often as it is told to, frozen on a schedule, and that keeps account of all it received and did: the
//! document `openloop.truth/1`, at `/truth` and at the end. A load generator is checked against it.
//! What it is not: a client's code turned round. It shares neither parser, TLS session, event loop nor histogram
//! with the engine, so that an error there cannot agree with itself here.
//!
//! One thread per core, each with its own listener (`SO_REUSEPORT`), connections and timers, on edge-triggered
//! epoll: a ring runtime such as monoio would share as little code, but its timers are 1 ms coarse and it does not
//! run where the kernel refuses `io_uring`.
//!
//! ```no_run
//! let target = target::start(target::Config { delay: target::text::parse_delay("exp:5ms")?, ..Default::default() })?;
//! println!("http://{}/", target.address());
//! let truth = target.stop();
//! assert_eq!(truth.requests, truth.responses + truth.unanswered);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Units: nanoseconds and bytes throughout; rates are fractions of all requests.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod config;
mod connection;
mod delay;
mod distribution;
mod error;
mod handle;
mod listener;
mod log;
mod random;
mod reply;
pub mod request;
mod shared;
mod slab;
pub mod text;
mod tls;
mod truth;
mod worker;

pub use config::{
    BODY_BYTES_LIMIT, Config, DEFAULT_BODY_BYTES, DEFAULT_LIST_LIMIT, Faults, Identity, ListConfig, Stall,
    StallOrigin, Threads, TlsConfig,
};
pub use delay::{DELAY_NS_LIMIT, DelayLaw};
pub use error::{ParseError, StartError};
pub use handle::{Handle, run, start};
pub use truth::{
    Bytes, Delay, Durations, ListRecord, SCHEMA, SCHEMA_NAME, SecondRecord, Settings, StallRecord,
    StallSettings, Truth,
};
