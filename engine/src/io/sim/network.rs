//! What the simulated network and the simulated machine are like.

use clock::{NANOS_PER_SECOND, Timestamp};

use super::super::Errno;

/// A time in which the simulated machine refuses to connect.
#[derive(Copy, Clone, Debug)]
pub struct LocalRefusal {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
    /// What the machine says, such as `EMFILE` or `EADDRNOTAVAIL`.
    pub errno: Errno,
}

/// See the module's documentation. Chances are per million; times are nanoseconds.
#[derive(Clone, Debug)]
pub struct Network {
    /// What every draw depends on.
    pub seed: u64,
    /// What the clock shows at the beginning.
    pub start: Timestamp,
    /// How long anything takes one way.
    pub latency_ns: u64,
    /// Most that is added to that, evenly drawn; the order on one connection is kept.
    pub jitter_ns: u64,
    /// Chance that an attempt to connect takes `slow_connect_ns` longer.
    pub slow_connect_per_million: u32,
    /// See `slow_connect_per_million`.
    pub slow_connect_ns: u64,
    /// Chance that a receive is cut short, anywhere from its first byte.
    pub cut_per_million: u32,
    /// Chance that a wait ends before anything happened.
    pub spurious_per_million: u32,
    /// Chance that a send breaks the connection (`EPIPE` here, a reset there).
    pub send_failure_per_million: u32,
    /// Most by which a wait may be late, so that it finds several things at once.
    pub coalesce_ns: u64,
    /// What a wait costs that neither finds nor waits for anything, so that polling makes time pass.
    pub poll_ns: u64,
    /// What each send takes of the sender's own time.
    pub send_ns: u64,
    /// Bytes that are taken from a sender before the peer has read any.
    pub send_window: usize,
    /// Times in which the machine refuses to connect.
    pub refusals: Vec<LocalRefusal>,
    /// Whether the truth keeps every byte that the peers read.
    pub keep_bytes: bool,
}

impl Default for Network {
    /// 20 µs one way, nothing goes wrong.
    fn default() -> Self {
        Self {
            seed: 1,
            start: Timestamp::from_nanos(NANOS_PER_SECOND),
            latency_ns: 20_000,
            jitter_ns: 0,
            slow_connect_per_million: 0,
            slow_connect_ns: 0,
            cut_per_million: 0,
            spurious_per_million: 0,
            send_failure_per_million: 0,
            coalesce_ns: 0,
            poll_ns: 200,
            send_ns: 0,
            send_window: 256 << 10,
            refusals: Vec::new(),
            keep_bytes: false,
        }
    }
}

impl Network {
    /// A network on which much goes wrong that no shard may stumble over: cuts, jitter, spurious and late
    /// wake-ups, and now and then a slow handshake.
    pub fn rough(seed: u64) -> Self {
        Self {
            seed,
            jitter_ns: 200_000,
            slow_connect_per_million: 20_000,
            slow_connect_ns: 30_000_000,
            cut_per_million: 300_000,
            spurious_per_million: 50_000,
            coalesce_ns: 100_000,
            ..Self::default()
        }
    }
}
