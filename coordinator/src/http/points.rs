//! Points of a chart: seconds of a run, several put together where a run is long.
//!
//! Invariant: counts add up over any grouping. Percentiles do not: a point of several seconds carries the worst second's,
//! and its `stretch_s` says of how many.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::handle::SecondView;

/// The most points that one chart is given at once.
pub(crate) const POINTS_LIMIT: u64 = 3_600;

/// One or more seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Point {
    /// The first second.
    pub(crate) second: u64,
    /// How many there are in it.
    pub(crate) stretch_s: u64,
    /// Arrivals per second that the plan asks for, averaged.
    pub(crate) asked_tps: Option<f64>,
    /// Arrivals due.
    pub(crate) scheduled: u64,
    /// Requests sent.
    pub(crate) sent: u64,
    /// Exchanges that succeeded.
    pub(crate) ok: u64,
    /// Exchanges that failed, by class.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Arrivals never sent, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Exchanges unfinished when the run ended.
    pub(crate) cut_off: u64,
    /// Arrivals in cells that nobody owned.
    pub(crate) unassigned: u64,
    /// Response times measured.
    pub(crate) count: u64,
    /// Response time's median, of the worst second; so the other percentiles. In nanoseconds.
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p99_9: u64,
    /// Exact greatest response time.
    pub(crate) max: u64,
    /// Schedule lag's 99th percentile, of the worst second.
    pub(crate) lag_p99: u64,
    /// Exchanges in flight, at most.
    pub(crate) in_flight: u64,
    /// Connections open, at most.
    pub(crate) connections: u64,
    /// Nodes that delivered it, at least.
    pub(crate) nodes: u32,
    /// Nodes that owe it, at most.
    pub(crate) nodes_missing: u32,
}

/// How many seconds a point must have so that `seconds` of them are not too many points.
pub(crate) fn stretch(seconds: u64) -> u64 {
    // Lengths that people reckon with; beyond a day, whole hours' worth.
    let lengths = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
    let fits = |length: &u64| seconds.div_ceil(*length) <= POINTS_LIMIT;
    lengths.into_iter().find(fits).unwrap_or_else(|| seconds.div_ceil(POINTS_LIMIT))
}

/// The points of `seconds`, of `stretch_s` each, rising. Seconds may come in any order.
pub(crate) fn points(seconds: &[Arc<SecondView>], stretch_s: u64) -> Vec<Point> {
    let mut points: BTreeMap<u64, Point> = BTreeMap::new();
    for second in seconds {
        let first = second.second / stretch_s * stretch_s;
        points
            .entry(first)
            .or_insert_with(|| Point { second: first, nodes: u32::MAX, ..Point::default() })
            .add(second);
    }
    points.into_values().collect()
}

impl Point {
    fn add(&mut self, second: &SecondView) {
        let counts = &second.counts;
        let asked = |own: f64, more: f64| (own * self.stretch_s as f64 + more) / (self.stretch_s + 1) as f64;
        self.asked_tps = match (self.asked_tps, second.asked_tps) {
            (Some(own), Some(more)) => Some(asked(own, more)),
            (own, more) => own.or(more),
        };
        self.stretch_s += 1;
        self.scheduled += counts.scheduled;
        self.sent += counts.sent;
        self.ok += counts.ok;
        add_each(&mut self.errors, &counts.errors);
        add_each(&mut self.dropped, &counts.dropped);
        self.cut_off += counts.cut_off;
        self.unassigned += counts.unassigned;
        let response = &second.response_ns;
        self.count += response.count;
        self.p50 = self.p50.max(response.p50);
        self.p90 = self.p90.max(response.p90);
        self.p99 = self.p99.max(response.p99);
        self.p99_9 = self.p99_9.max(response.p99_9);
        self.max = self.max.max(response.max);
        self.lag_p99 = self.lag_p99.max(second.lag_ns.p99);
        self.in_flight = self.in_flight.max(second.in_flight);
        self.connections = self.connections.max(second.connections);
        self.nodes = self.nodes.min(second.nodes);
        self.nodes_missing = self.nodes_missing.max(second.nodes_missing);
    }
}

fn add_each(sums: &mut BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) {
    for (name, count) in counts.iter().filter(|(_, count)| **count > 0) {
        *sums.entry(name.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::{Counts, Percentiles};

    fn second(second: u64, sent: u64, p99: u64) -> Arc<SecondView> {
        let errors = BTreeMap::from([("reset".to_owned(), second % 2)]);
        let counts = Counts { scheduled: sent + 1, sent, errors, unassigned: 1, ..Counts::default() };
        let response_ns = Percentiles { count: sent, p99, max: p99 * 2, ..Percentiles::default() };
        let asked_tps = Some(sent as f64);
        Arc::new(SecondView { second, counts, response_ns, asked_tps, nodes: 3, ..SecondView::default() })
    }

    #[test]
    fn a_chart_is_never_given_more_points_than_it_can_draw() {
        let table = [
            (0, 1),
            (1, 1),
            (3_600, 1),
            (3_601, 2),
            (7_201, 5),
            (86_400, 30),
            (604_800, 300),
            (20_000_000, 5_556),
        ];
        for (seconds, expected) in table {
            assert_eq!(stretch(seconds), expected, "{seconds}");
            assert!(seconds.div_ceil(stretch(seconds)) <= POINTS_LIMIT);
        }
    }

    #[test]
    fn counts_add_up_and_percentiles_are_the_worst_whatever_the_order() {
        let mut seconds: Vec<_> = (0..25).map(|at| second(at, at * 10, 1_000 + at % 7)).collect();
        let forth = points(&seconds, 10);
        seconds.reverse();
        let back = points(&seconds, 10);
        let sums = |points: &[Point]| {
            points.iter().map(|point| (point.second, point.stretch_s, point.sent)).collect::<Vec<_>>()
        };
        assert_eq!(sums(&forth), [(0, 10, 450), (10, 10, 1_450), (20, 5, 1_100)]);
        assert_eq!(sums(&forth), sums(&back));
        assert_eq!(forth.iter().map(|point| point.p99).collect::<Vec<_>>(), [1_006, 1_006, 1_006]);
        assert_eq!(forth[0].errors, BTreeMap::from([("reset".to_owned(), 5)]));
        assert_eq!((forth[2].max, forth[2].nodes, forth[2].unassigned), (2_012, 3, 5));
        assert!((forth[0].asked_tps.unwrap() - 45.0).abs() < 1e-9);
    }

    #[test]
    fn single_seconds_stay_what_they_are() {
        let all = points(&[second(4, 7, 9), second(2, 5, 8)], 1);
        assert_eq!(
            all.iter().map(|point| (point.second, point.sent, point.p99)).collect::<Vec<_>>(),
            [(2, 5, 8), (4, 7, 9)]
        );
        assert_eq!(all[1].asked_tps, Some(7.0));
    }
}
