//! Hot path. Targets: what a shard keeps for each of those whom the plan loads.
//!
//! What it is: the connections' pool, the queue of requests that wait for one, and the attempts under way, of one target
//! each. What it is not: it opens and sends nothing itself.

use std::collections::VecDeque;

use clock::Timestamp;

use super::TargetSettings;
use super::waiting::WaitingQueue;
use crate::conn::Pool;
use crate::io::{ConnId, Route};

/// One target of a shard.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) settings: TargetSettings,
    pub(crate) pool: Pool,
    pub(crate) waiting: WaitingQueue,
    /// Connects under way, oldest first; entries of finished ones are skipped when they come up.
    pub(crate) opening: VecDeque<(ConnId, Timestamp)>,
    /// The route of the next connection.
    route: usize,
}

impl Target {
    /// Room for what the settings allow, in a driver's table of `table` places.
    pub(crate) fn new(settings: TargetSettings, table: u32) -> Self {
        Self {
            pool: Pool::new(settings.connections, table),
            waiting: WaitingQueue::new(settings.waiting_capacity),
            opening: VecDeque::with_capacity(4 * settings.connections as usize + 32),
            route: settings.first_route % settings.routes.len(),
            settings,
        }
    }

    /// The route of the next connection. Whatever becomes of it, the one after it takes another: a route that has run
    /// out of ports must not hold up the others.
    pub(crate) fn next_route(&mut self) -> &Route {
        let route = self.route;
        self.route = (route + 1) % self.settings.routes.len();
        &self.settings.routes[route]
    }
}
