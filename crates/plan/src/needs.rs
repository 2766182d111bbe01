//! What a plan will need of its host, estimated before anything is started.
//!
//! What it is: arithmetic for the pre-flight. What it is not: a look at the host; whoever compares these figures with
//! the limits knows them. Estimates are rounded up; memory is what is set aside at the start, within a quarter.

use crate::Trust;
use crate::plan::{Load, Plan};

/// What a plan needs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Connections that may be open at one time.
    pub connections: u32,
    /// Little's law the other way round: the mean time that an exchange may take, in nanoseconds, before all
    /// connections are busy and arrivals begin to wait; `None` in the closed model.
    pub response_ns_at_cap: Option<u64>,
    /// File descriptors.
    pub descriptors: u64,
    /// Local ports towards one address and port: connections open, and connections closed within the minute for
    /// which the kernel keeps a port in `TIME_WAIT`.
    pub ports: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
}

/// Descriptors of the program itself: standard streams, runtime, signals, control socket, reports.
const DESCRIPTORS_BASE: u64 = 24;
/// Descriptors of a shard beside its open connections, for those that wait for the target to close them.
pub(crate) const DESCRIPTORS_LEAVING: u64 = 64;
/// Descriptors of a shard: ring or epoll, timer, wake-up.
const DESCRIPTORS_PER_SHARD: u64 = 4;
/// How long Linux keeps a closed connection's port (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT_NS: u64 = 60_000_000_000;
/// Memory of the program itself.
pub(crate) const MEMORY_BASE: u64 = 16 << 20;
/// Memory of a shard: histograms of the open and the spare snapshots, tables, its stack.
pub(crate) const MEMORY_PER_SHARD: u64 = 4 << 20;
/// Memory of the histograms of a name of requests, a group or a workload beyond the first: in the sums, and in each shard.
pub(crate) const MEMORY_PER_NAME: u64 = 2 << 20;
pub(crate) const MEMORY_PER_NAME_AND_SHARD: u64 = 5 << 18;
/// Memory of a connection: two receive buffers of 16 KiB and its tables.
pub(crate) const MEMORY_PER_CONNECTION: u64 = 36 << 10;
/// Memory that TLS adds to a connection: records in both directions and the session.
pub(crate) const MEMORY_PER_TLS_CONNECTION: u64 = 48 << 10;
/// Memory of an arrival that waits for a connection.
const MEMORY_PER_WAITING: u64 = 16;

impl Needs {
    /// File descriptors that a run on `shards` shards needs beside its connections.
    pub const fn descriptors_beside_connections(shards: u32) -> u64 {
        DESCRIPTORS_BASE + shards as u64 * DESCRIPTORS_PER_SHARD
    }
}

impl Plan {
    /// Estimates what the plan needs on `shards` shards with at most `cap` connections among them; `cap` is what
    /// [`crate::Connections::cap`] says, or what the host's descriptor limit made of it.
    pub fn needs(&self, shards: u32, cap: u32) -> Needs {
        let connections = match self.load {
            Load::Open { .. } => cap,
            // A user has one exchange in flight at most.
            Load::Closed(_) => cap.min(self.users_here().max(1)),
        };
        let open = u64::from(connections);
        let leaving = match self.connections.close_after {
            Some(_) => open.min(u64::from(shards) * DESCRIPTORS_LEAVING),
            None => 0,
        };
        let rate = self.highest_rate_here();
        let response_ns_at_cap = rate.map(|rate| {
            let ns = u128::from(connections) * 1_000_000_000_000_000 / u128::from(rate.as_micro().max(1));
            u64::try_from(ns).unwrap_or(u64::MAX)
        });
        let tls = self.url.as_ref().is_some_and(|url| url.scheme().is_secure());
        let per_connection = MEMORY_PER_CONNECTION + if tls { MEMORY_PER_TLS_CONNECTION } else { 0 };
        let memory_bytes = (MEMORY_BASE + u64::from(shards) * MEMORY_PER_SHARD)
            .saturating_add(open * per_connection)
            .saturating_add(self.queue_limit().saturating_mul(MEMORY_PER_WAITING))
            .saturating_add(2 * self.request.body.memory_bytes())
            .saturating_add(if let Trust::Pem(pem) = &self.tls.trust { 2 * pem.len() as u64 } else { 0 });
        Needs {
            connections,
            response_ns_at_cap,
            descriptors: Needs::descriptors_beside_connections(shards) + open + leaving,
            ports: open.saturating_add(self.closed_within_time_wait()),
            memory_bytes,
        }
    }

    /// Connections that the plan itself closes within a minute of its highest rate; those that the target closes are
    /// the target's to keep. A closed model's rate is not known: none are foreseen.
    fn closed_within_time_wait(&self) -> u64 {
        let (Some(requests), Some(rate)) = (self.connections.close_after, self.highest_rate_here()) else {
            return 0;
        };
        let within_ns = TIME_WAIT_NS.min(self.run_ns());
        let arrivals = (u128::from(rate.as_micro()) * u128::from(within_ns)).div_ceil(1_000_000_000_000_000);
        u64::try_from(arrivals.div_ceil(u128::from(requests.get()))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use schedule::Rate;

    use super::*;
    use crate::{Draft, Share, Url};

    fn draft() -> Draft {
        Draft { rate: Some(Rate::per_second(10_000)), duration_ns: Some(30_000_000_000), ..Draft::default() }
    }

    #[test]
    fn needs_follow_the_plan() {
        let plan = draft().into_plan().expect("a plan");
        let needs = plan.needs(2, 1_000);
        assert_eq!(needs.connections, 1_000);
        assert_eq!(needs.response_ns_at_cap, Some(100_000_000), "10,000/s × 0.1 s = 1,000 in flight");
        assert_eq!((needs.descriptors, needs.ports), (1_032, 1_000));
        assert_eq!(plan.queue_limit(), 100_000, "10,000/s × 10 s");
        assert!((40 << 20..90 << 20).contains(&needs.memory_bytes), "{needs:?}");
    }

    #[test]
    fn a_share_needs_its_share() {
        let share = Share::new(2, 4).expect("a share");
        let plan = Draft { share, close_after: Some(10), ..draft() }.into_plan().expect("a plan");
        assert_eq!(plan.queue_limit(), 25_000);
        assert_eq!(plan.needs(1, 100).ports, 100 + 2_500 * 30 / 10);
        assert_eq!(plan.needs(1, 100).response_ns_at_cap, Some(40_000_000));
    }

    #[test]
    fn users_need_no_more_connections_than_they_are() {
        let plan = Draft { users: Some(64), ..Draft::default() }.into_plan().expect("a plan");
        let needs = plan.needs(2, 1_024);
        assert_eq!((needs.connections, needs.response_ns_at_cap, needs.ports), (64, None, 64));
        assert_eq!(plan.queue_limit(), 64);
    }

    #[test]
    fn tls_needs_more_memory_and_nothing_overflows() {
        let plain = Url::parse("http://h/").ok();
        let secure = Url::parse("https://h/").ok();
        let of = |url| Draft { url, ..draft() }.into_plan().expect("a plan").needs(1, 100).memory_bytes;
        assert!(of(secure) >= of(plain) + 100 * MEMORY_PER_TLS_CONNECTION);
        let vast = Draft { queue: Some(u64::MAX), ..draft() }.into_plan().expect("a plan");
        assert_eq!(vast.needs(u32::MAX, u32::MAX).memory_bytes, u64::MAX);
    }
}
