//! What simulated nodes did, counted over all of them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use clock::{Clock as _, OsClock};
use prost::Message;

/// Length and flag before each message of gRPC.
const FRAME_BYTES: u64 = 5;

/// Messages of one direction.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Traffic {
    pub(super) fn add(&self, message: &impl Message) {
        self.messages.fetch_add(1, Relaxed);
        self.bytes.fetch_add(message.encoded_len() as u64 + FRAME_BYTES, Relaxed);
    }

    /// Messages and bytes so far.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.messages.load(Relaxed), self.bytes.load(Relaxed))
    }
}

/// What nodes did so far.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) from_nodes: Traffic,
    pub(super) to_nodes: Traffic,
    /// Nodes that are of the fleet.
    pub(super) taken_in: AtomicU64,
    /// Leases that ended while something was owned.
    pub(super) lapsed: AtomicU64,
    /// Changes that came too late.
    pub(super) declined: AtomicU64,
    /// Requests that nodes whose part is over say they sent.
    pub(super) sent: AtomicU64,
    /// The start, as it was told last.
    pub(super) start_ns: AtomicU64,
    /// By second: when the last node sealed it.
    last_sealed_ns: Vec<AtomicU64>,
}

impl Told {
    pub(super) fn new(seconds: u32) -> Self {
        Self {
            from_nodes: Traffic::default(),
            to_nodes: Traffic::default(),
            taken_in: AtomicU64::new(0),
            lapsed: AtomicU64::new(0),
            declined: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            start_ns: AtomicU64::new(0),
            last_sealed_ns: (0..seconds).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A node has sealed a second.
    pub(super) fn sealed(&self, second: u64) {
        let place = usize::try_from(second).unwrap_or(usize::MAX);
        if let Some(last) = self.last_sealed_ns.get(place) {
            last.fetch_max(OsClock.now().as_nanos(), Relaxed);
        }
    }

    /// When the last node sealed a second.
    pub(super) fn last_sealed_ns(&self, second: u64) -> Option<u64> {
        let last = self.last_sealed_ns.get(usize::try_from(second).ok()?)?.load(Relaxed);
        (last > 0).then_some(last)
    }
}
