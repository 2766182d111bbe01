//! The fleet as people see it.

use std::sync::Arc;

use clock::Timestamp;
use wire::RunKey;

use super::{Conclusion, Director};
use crate::fleet::Node;
use crate::handle::{NodeState, NodeView, RunId, RunView, SecondView};
use crate::run::Run;

impl Director {
    /// Every node that is known, rising by name; those that were shut out before this life of the coordinator, too.
    pub fn node_views(&self, now: Timestamp) -> Vec<NodeView> {
        let known = self.fleet.nodes.iter().map(|(name, node)| self.node_view(now, name, node));
        let absent = self.fleet.quarantined.iter().filter(|(name, _)| !self.fleet.nodes.contains_key(*name));
        let shut_out = absent.map(|(name, why)| NodeView {
            name: name.clone(),
            state: NodeState::Quarantined,
            why: why.clone(),
            ..NodeView::default()
        });
        let mut views: Vec<NodeView> = known.chain(shut_out).collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    /// Every run that is under way, or ended a moment ago, in the order in which they were taken; without the shares of
    /// their nodes, which take longer to look at than everything else.
    pub fn run_views(&self, now: Timestamp) -> Vec<RunView> {
        self.order.iter().filter_map(|key| self.runs.get(key)).map(|run| run.view(now)).collect()
    }

    /// One of them, with the shares of its nodes.
    pub fn run_view(&self, now: Timestamp, run: RunKey) -> Option<RunView> {
        self.runs.get(&run).map(|run| RunView { shares: run.shares(), ..run.view(now) })
    }

    /// Whether a run is under way, or ended a moment ago.
    pub fn shows(&self, run: RunKey) -> bool {
        self.runs.contains_key(&run)
    }

    /// The seconds of a run with a revision above this one, rising by revision.
    pub fn seconds(&self, run: RunKey, above: u64) -> Vec<Arc<SecondView>> {
        self.runs.get(&run).map(|run| run.seconds_above(above)).unwrap_or_default()
    }

    /// How a run ended, while it is shown.
    pub fn conclusion(&self, run: RunKey) -> Option<&Conclusion> {
        self.runs.get(&run).and_then(|run| run.conclusion.as_deref())
    }

    /// The report of a run under way: what is known so far. Nothing before its first second is complete.
    pub fn so_far(&self, run: RunKey) -> Option<report::Summary> {
        self.runs.get(&run).and_then(|run| run.so_far(&self.origin.version))
    }

    fn node_view(&self, now: Timestamp, name: &str, node: &Node) -> NodeView {
        let (hello, beat) = (&node.hello, &node.beat);
        let clock = node.clock(now);
        let (state, why) = self.node_state(now, name, node);
        NodeView {
            name: name.to_owned(),
            state,
            why,
            incarnation: hello.incarnation,
            connected: node.session.is_some(),
            zone: hello.zone.clone(),
            labels: hello.labels.clone(),
            host: hello.host.clone(),
            pid: hello.pid,
            version: hello.version.clone(),
            cores: hello.cores,
            capacity_tps: hello.capacity.map(schedule::Rate::per_second_f64),
            silent_ms: now.nanos_since(node.seen) / 1_000_000,
            clock_ahead_ns: clock.map(|clock| clock.ahead_ns),
            clock_uncertainty_ns: clock.map(|clock| clock.error_ns),
            run: node.busy.map(RunId),
            lag_p99_ns: beat.lag_p99_ns,
            cpu_milli: beat.cpu_milli,
            unacknowledged: beat.unacknowledged,
        }
    }

    fn node_state(&self, now: Timestamp, name: &str, node: &Node) -> (NodeState, String) {
        if let Some(reason) = self.fleet.quarantined.get(name) {
            return (NodeState::Quarantined, reason.clone());
        }
        if node.gone {
            return (NodeState::Gone, String::new());
        }
        let own = node
            .busy
            .and_then(|run| self.runs.get(&run))
            .and_then(|run: &Run| run.node_state(name, &self.fleet));
        let lost = self.fleet.lease_over(name, node.hello.incarnation).is_none_or(|over| now >= over);
        let silent = now.nanos_since(node.seen) / 1_000_000;
        if node.is_suspect(now, &self.origin.settings) {
            let state = if lost { NodeState::Lost } else { NodeState::Suspect };
            return (state, format!("silent for {silent} ms"));
        }
        match (node.draining, own) {
            (Some(_), Some(_)) => (NodeState::Draining, String::new()),
            (Some(_), None) => (NodeState::Drained, String::new()),
            (None, Some(state)) => (state, String::new()),
            (None, None) => (NodeState::Ready, String::new()),
        }
    }
}
