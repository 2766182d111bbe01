//! Local ports: whether there are enough for the connections that are open, and for those closed a while ago.
//!
//! What it is: a part of the pre-flight. Whoever closes a connection first keeps its port in `TIME_WAIT` for a minute;
//! with `--close-after` the engine asks the target to,
//! unless a header of the plan says otherwise.
//! What it is not: the plan's own estimate, which knows neither the kernel's reuse of ports nor its limit on them.

use std::net::IpAddr;

use plan::Load;

use super::{Flight, PreflightError};
use crate::host::TimeWaitReuse;
use crate::host::figures::{count, counted};
use crate::io::Route;

/// How long Linux keeps a closed connection's port (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT_NS: u64 = 60_000_000_000;

impl Flight<'_> {
    pub(super) fn check_ports(&self, notes: &mut Vec<String>) -> Result<(), PreflightError> {
        const WIDEN: &str = "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"";
        let Some(of_each) = self.facts.local_port_count() else { return Ok(()) };
        if self.routes.iter().any(|route| matches!(route, Route::Unix(_))) {
            return Ok(());
        }
        // Each pair of a source and an address has all local ports for itself.
        let ways = self.routes.len() as u64;
        let ports = of_each.saturating_mul(ways);
        let needs = self.needs();
        let open = u64::from(needs.connections);
        if open > ports {
            let what = format!("{}{} need as many ports", counted(open, "connection"), self.on_ways());
            let fix =
                format!("{}; or {WIDEN}; or use --connections {ports}", self.more_sources(open, of_each));
            return Err(PreflightError::Ports { what, ports, fix });
        }
        let Some(after) = self.closes_after() else { return Ok(()) };
        let kept = |closes: u64| closes.min(self.facts.time_wait_limit.unwrap_or(u64::MAX));
        let resting = kept(self.closes_at_least(after));
        let reuse = self.facts.time_wait_reuse;
        let reused = match reuse {
            // Hidden is not certain enough to refuse.
            None | Some(TimeWaitReuse::Always) => true,
            Some(TimeWaitReuse::Loopback) => self.is_loopback(),
            Some(TimeWaitReuse::Never) => false,
        };
        let by_engine = !self.lets_the_target_close();
        if resting > ports && !reused && by_engine {
            let what = format!(
                "{} closed within a minute each hold a port for 60 s",
                counted(resting, "connection")
            );
            let fix = format!(
                "{}; or {WIDEN}; or sysctl -w net.ipv4.tcp_tw_reuse=1; or a larger --close-after",
                self.more_sources(resting, of_each)
            );
            return Err(PreflightError::Ports { what, ports, fix });
        }
        let foreseen = kept(self.closes_at_most(after));
        if open.saturating_add(foreseen) > ports {
            let when = match (by_engine, reused) {
                (false, _) => "if the engine closes them before the target does",
                (true, true) => "unless the kernel reuses them (net.ipv4.tcp_tw_reuse, with TCP timestamps)",
                (true, false) => "at the highest rate",
            };
            notes.push(format!(
                "up to {} closed within a minute may each hold one of {} local ports for 60 s {when}; what finds no \
                 port is dropped as local_resource",
                counted(foreseen, "connection"),
                count(ports)
            ));
        }
        Ok(())
    }

    fn asks_to_close(&self) -> bool {
        let headers: Vec<(String, String)> = self
            .plan
            .request
            .headers
            .iter()
            .map(|header| (header.name().to_owned(), header.value().to_owned()))
            .collect();
        http1::asks_to_close(&headers)
    }

    /// Whether the last request of a connection asks the target to close it. The engine adds that to every request
    /// that has no `Connection` header of its own.
    fn lets_the_target_close(&self) -> bool {
        self.asks_to_close() || !self.plan.request.headers.iter().any(|header| header.is("connection"))
    }

    /// After how many requests a connection is closed, if ever.
    pub(super) fn closes_after(&self) -> Option<u64> {
        let asked = self.plan.connections.close_after.map(std::num::NonZero::get);
        if self.asks_to_close() { Some(1) } else { asked }
    }

    /// How connections are spread, for a sentence.
    fn on_ways(&self) -> String {
        let sources = self.plan.connections.sources.len().max(1);
        let addresses = self.routes.len() / sources;
        match (sources, addresses) {
            (1, 1) => " to one address".to_owned(),
            (1, _) => format!(" to {addresses} addresses"),
            (_, 0 | 1) => format!(" from {sources} sources to one address"),
            _ => format!(" from {sources} sources to {addresses} addresses"),
        }
    }

    /// The advice to take so many sources that `needed` connections find ports, of which each pair has `of_each`.
    fn more_sources(&self, needed: u64, of_each: u64) -> String {
        let now = self.plan.connections.sources.len().max(1) as u64;
        let addresses = (self.routes.len() as u64 / now).max(1);
        let count = needed.div_ceil(of_each.saturating_mul(addresses).max(1));
        format!("--source with {count} addresses of this host")
    }

    /// Whether connections stay on this machine.
    fn is_loopback(&self) -> bool {
        self.routes.iter().filter_map(Route::peer).all(|peer| match peer.ip() {
            IpAddr::V6(address) => {
                address.to_ipv4_mapped().map_or(address.is_loopback(), |mapped| mapped.is_loopback())
            }
            IpAddr::V4(address) => address.is_loopback(),
        })
    }

    /// Connections closed in some stretch of a minute: a figure that is certainly reached, because it looks only at
    /// the minutes that begin or end with a phase. 0 in the closed model, whose rate is the target's to decide.
    fn closes_at_least(&self, after: u64) -> u64 {
        let Load::Open { profile, .. } = &self.plan.load else { return 0 };
        let due = |at_ns: u64| profile.arrivals_before(at_ns);
        let mut at_ns = 0_u64;
        let mut most = due(TIME_WAIT_NS);
        for phase in profile.phases() {
            at_ns = at_ns.saturating_add(phase.duration_ns);
            most = most
                .max(due(at_ns) - due(at_ns.saturating_sub(TIME_WAIT_NS)))
                .max(due(at_ns.saturating_add(TIME_WAIT_NS)) - due(at_ns));
        }
        let most = most.min(self.plan.count.unwrap_or(u64::MAX));
        most / u64::from(self.plan.share.of()) / after
    }

    /// Connections closed in a minute of the highest rate, were there one: never fewer than really are.
    pub(super) fn closes_at_most(&self, after: u64) -> u64 {
        let Load::Open { profile, .. } = &self.plan.load else { return 0 };
        let within_ns = TIME_WAIT_NS.min(self.plan.run_ns());
        let peak = u128::from(profile.max_rate().as_micro()) * u128::from(within_ns);
        let peak = u64::try_from(peak.div_ceil(1_000_000_000_000_000)).unwrap_or(u64::MAX);
        let most = peak.min(profile.arrival_count()).min(self.plan.count.unwrap_or(u64::MAX));
        most.div_ceil(u64::from(self.plan.share.of())).div_ceil(after)
    }
}
