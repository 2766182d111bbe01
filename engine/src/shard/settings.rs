//! What one shard is told before it starts: plain data, derived from the plan by `launch`.

use std::sync::Arc;

use measure::Shape;

use scenario::Needs;

use super::hand_over::Tenure;
use super::pacing::{CatchUp, Pacing};
use super::scenarios::ScenarioSettings;
use crate::io::{Limits, Message, Route};
use crate::live::Seat;
use crate::protocol::Spoken;

/// Bytes of receive buffers that a driver may allocate for one shard: 32 MiB.
const RECEIVE_MEMORY: u32 = 32 << 20;
/// Bytes of a receive buffer, at least.
const SMALLEST_BUFFER: u32 = 2 << 10;

/// Everything that a shard needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This engine's number in its fleet; 0 alone.
    pub node: u32,
    /// This shard's number in its engine.
    pub shard: u32,
    /// What the plan counts.
    pub shape: Shape,
    /// Whom requests go to. At least one.
    pub targets: Vec<TargetSettings>,
    /// What is sent. At least one.
    pub requests: Vec<RequestSettings>,
    /// What workloads run that do more than send one request. A workload and its scenario belong together.
    pub scenarios: Vec<ScenarioSettings>,
    /// What is spoken instead of HTTP; each arrival then sends the request that it chooses, whose place in `requests` is
    /// that among the protocol's own.
    pub protocol: Option<Spoken>,
    /// Bounds on responses.
    pub response_limits: http1::Limits,
    /// Body bytes that nobody needs are thrown away unseen from this many on.
    pub discard_from: u64,
    /// How long unfinished exchanges are waited for after the last arrival, in nanoseconds.
    pub grace_ns: u64,
    /// The first part of the run, which stays out of the results, in nanoseconds.
    pub warmup_ns: u64,
    /// The whole run, warm-up included, in nanoseconds; `u64::MAX` when only a count ends it.
    pub duration_ns: u64,
    /// The workload ends by itself before the duration (a request count was given).
    pub ends_by_count: bool,
    /// What happens to late arrivals.
    pub catch_up: CatchUp,
    /// How the shard waits.
    pub pacing: Pacing,
    /// Bytes of a body that are kept for checks and extractions, at most.
    pub kept_body_bytes: u32,
    /// What is added to the monotonic clock for Unix time, in nanoseconds.
    pub unix_offset_ns: u64,
    /// The lease under which a fleet's shard sends; it then waits to be told what it owns, and before that to open
    /// connections. `None` for a shard that owns what it begins with.
    pub tenure: Option<Tenure>,
    /// Where it counts, so that its counts outlive the process; `None` where they need not.
    pub live: Option<Seat>,
    /// CPU time of the calling thread, in nanoseconds.
    pub cpu_clock: fn() -> u64,
    /// For how long the calling thread could have run and had no core, in nanoseconds since it began; None where the
    /// kernel does not tell.
    pub core_wait_clock: fn() -> Option<u64>,
}

/// One of those whom a plan loads, as one shard sees it.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// Where to connect: a connection takes each route in turn. At least one.
    pub routes: Arc<[Route]>,
    /// The route of the first connection, so that not all shards begin with the same.
    pub first_route: usize,
    /// TLS around it.
    pub tls: Option<TlsSettings>,
    /// Host and port as in its URL, by which redirects find it; in lower case.
    pub authority: String,
    /// Connections open at one time, at most.
    pub connections: u32,
    /// Connections to open before the start.
    pub warm_connections: u32,
    /// Close a connection after so many exchanges.
    pub close_after: Option<u64>,
    /// Requests that may wait for a connection.
    pub waiting_capacity: usize,
    /// How long a connection attempt may take, the TLS handshake included, in nanoseconds.
    pub connect_timeout_ns: u64,
}

/// One request of a plan.
#[derive(Clone, Debug)]
pub struct RequestSettings {
    /// Under which name it is counted.
    pub name: u32,
    /// To whom it goes: a place in [`Settings::targets`].
    pub target: u16,
    /// As it goes on the wire; `None` for what is written anew for each exchange.
    pub message: Option<Message>,
    /// What is kept of its responses.
    pub needs: Needs,
    /// In its last form, which asks the target to close the connection behind it; `None` where `message` says so itself,
    /// or must not.
    pub last_message: Option<Message>,
    /// Whether it is HEAD, whose response has no body (RFC 9110 section 9.3.2).
    pub is_head: bool,
    /// Statuses that count as failures.
    pub fail_status: FailStatus,
    /// From the intended send time to the deadline of an exchange, in nanoseconds.
    pub timeout_ns: u64,
}

/// A set of status codes, looked up in one step.
#[derive(Copy, Clone, Debug)]
pub struct FailStatus([u64; 16]);

impl FailStatus {
    /// The codes below 1,024 for which `contains` says yes.
    pub fn new(contains: impl Fn(u16) -> bool) -> Self {
        let mut words = [0; 16];
        for code in (0..1_024).filter(|&code| contains(code)) {
            words[usize::from(code / 64)] |= 1 << (code % 64);
        }
        Self(words)
    }

    /// Whether an exchange that ended with `code` failed.
    #[inline]
    pub fn contains(&self, code: u16) -> bool {
        self.0.get(usize::from(code / 64)).is_some_and(|word| word >> (code % 64) & 1 == 1)
    }
}

/// TLS for the connections of a shard.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Makes sessions.
    pub client: Arc<tls::Client>,
    /// The name that the certificate must carry.
    pub server_name: Arc<str>,
}

impl TargetSettings {
    /// Whether a connection that has served so many exchanges closes behind the next one.
    #[inline]
    pub fn is_last(&self, served: u64) -> bool {
        self.close_after.is_some_and(|most| served + 1 >= most)
    }
}

impl RequestSettings {
    /// The request for a connection for which it is or is not the last.
    #[inline]
    pub fn message(&self, is_last: bool) -> Option<&Message> {
        match &self.last_message {
            Some(last) if is_last => Some(last),
            _ => self.message.as_ref(),
        }
    }
}

impl Settings {
    /// What the driver must hold. Its table has twice the places of the cap, because a closed connection
    /// keeps its place until the kernel has let go of it.
    pub fn driver_limits(&self) -> Limits {
        let cap = self.targets.iter().fold(0_u32, |sum, target| sum.saturating_add(target.connections));
        let connections = cap.saturating_mul(2).saturating_add(16);
        // With many connections there are fewer than two for each: a turn empties a few hundred at most, and a
        // connection that finds none waits its turn.
        let most = RECEIVE_MEMORY / SMALLEST_BUFFER;
        let buffer_count = cap.saturating_mul(2).clamp(16, most).next_power_of_two();
        let largest = 1 << (RECEIVE_MEMORY / buffer_count).ilog2();
        Limits { connections, buffer_size: largest.min(16_384), buffer_count }
    }
}
