//! What one shard measured in one interval, as plain data.
//!
//! What it is: the unit that travels from a shard to the control side, and later between machines.
//! What it is not: a total; [`Totals`](crate::Totals) adds snapshots up.
//!
//! Invariant: (run, node, shard, epoch, sequence) names a snapshot, so that each can be counted exactly once; a
//! cleared snapshot is as good as a new one.
//! Units: `from_ns` and `until_ns` count from the run's start.

use crate::{
    CheckCounts, Counters, DropReason, ErrorClass, GroupSnapshot, IntervalHistogram, Shape, StatusCounts,
    WorkloadSnapshot,
};

/// Measurements of one shard over one interval.
///
/// A shard writes it with every exchange, while others' lie beside it in memory: none shares a cache line with its
/// neighbours. 128 bytes, because processors fetch lines in pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(128))]
pub struct Snapshot {
    /// The run; 0 where there is only one.
    pub run: u128,
    /// The engine.
    pub node: u32,
    /// The shard of the engine.
    pub shard: u32,
    /// Epoch of the lease under which it was measured; 0 without leases.
    pub epoch: u32,
    /// Position among the snapshots of this shard, from 0 on without gaps.
    pub sequence: u64,
    /// Begin of the interval.
    pub from_ns: u64,
    /// End of the interval.
    pub until_ns: u64,
    /// Whether it belongs to the warm-up, which stays out of the results.
    pub warmup: bool,
    /// What happened.
    pub counters: Counters,
    /// Schedule lag.
    pub lag: IntervalHistogram,
    /// Queue wait.
    pub queue: IntervalHistogram,
    /// TCP connect time.
    pub connect: IntervalHistogram,
    /// TLS handshake time.
    pub tls: IntervalHistogram,
    /// Actual send to first response byte.
    pub first_byte: IntervalHistogram,
    /// By request name, in the plan's order.
    pub names: Vec<NameSnapshot>,
    /// By workload, in the plan's order.
    pub workloads: Vec<WorkloadSnapshot>,
    /// By group, in the plan's order.
    pub groups: Vec<GroupSnapshot>,
    /// By check, in the plan's order.
    pub checks: Vec<CheckCounts>,
    /// Processor time that the shard's thread used.
    pub cpu_ns: u64,
    /// For how long the shard's thread could have run and had no core, as the kernel counts it.
    pub core_wait_ns: u64,
    /// How things stood at the end of the interval.
    pub gauges: Gauges,
}

/// How things stood on a shard at one instant.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections open or being opened.
    pub connections: u32,
    /// Exchanges in flight.
    pub in_flight: u32,
    /// Arrivals that wait for a connection.
    pub waiting: u64,
}

/// Measurements of one request name over one interval. On cache lines of its own, as a [`Snapshot`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(align(128))]
pub struct NameSnapshot {
    /// Requests sent.
    pub sent: u64,
    /// Exchanges that succeeded.
    pub ok_count: u64,
    /// Exchanges unfinished when the run ended.
    pub cut_off: u64,
    /// Arrivals never sent, by [`DropReason`].
    pub dropped: [u64; DropReason::COUNT],
    /// Exchanges that failed, by [`ErrorClass`].
    pub errors: [u64; ErrorClass::COUNT],
    /// Responses by status code.
    pub status: StatusCounts,
    /// Response time of the exchanges that succeeded.
    pub ok: IntervalHistogram,
    /// Response time of the exchanges that failed.
    pub failed: IntervalHistogram,
    /// Service time of all exchanges that had one.
    pub service: IntervalHistogram,
}

impl Snapshot {
    /// An empty snapshot for a plan of this shape; the only place where its memory is allocated.
    pub fn new(shape: Shape) -> Self {
        Self {
            run: 0,
            node: 0,
            shard: 0,
            epoch: 0,
            sequence: 0,
            from_ns: 0,
            until_ns: 0,
            warmup: false,
            counters: Counters::default(),
            lag: IntervalHistogram::new(),
            queue: IntervalHistogram::new(),
            connect: IntervalHistogram::new(),
            tls: IntervalHistogram::new(),
            first_byte: IntervalHistogram::new(),
            names: (0..shape.names).map(|_| NameSnapshot::default()).collect(),
            workloads: (0..shape.workloads).map(|_| WorkloadSnapshot::default()).collect(),
            groups: (0..shape.groups).map(|_| GroupSnapshot::default()).collect(),
            checks: vec![CheckCounts::default(); shape.checks],
            cpu_ns: 0,
            core_wait_ns: 0,
            gauges: Gauges::default(),
        }
    }

    /// The shape that it was made for.
    pub fn shape(&self) -> Shape {
        Shape {
            names: self.names.len(),
            workloads: self.workloads.len(),
            groups: self.groups.len(),
            checks: self.checks.len(),
        }
    }

    /// Takes the memory of all values up to `longest_ns` now, so that recording them needs no more.
    pub fn populate(&mut self, longest_ns: u64) {
        for histogram in self.histograms_mut() {
            histogram.populate(longest_ns);
        }
        let names =
            self.names.iter_mut().flat_map(|name| [&mut name.ok, &mut name.failed, &mut name.service]);
        let workloads = self.workloads.iter_mut().flat_map(|one| [&mut one.completed, &mut one.failed]);
        let groups = self.groups.iter_mut().flat_map(|group| [&mut group.duration, &mut group.busy]);
        for histogram in names.chain(workloads).chain(groups) {
            histogram.populate(longest_ns);
        }
    }

    /// Forgets the measurements and keeps the memory.
    pub fn clear(&mut self) {
        self.counters = Counters::default();
        for histogram in self.histograms_mut() {
            histogram.clear();
        }
        for name in &mut self.names {
            name.clear();
        }
        self.workloads.iter_mut().for_each(WorkloadSnapshot::clear);
        self.groups.iter_mut().for_each(GroupSnapshot::clear);
        self.checks.fill(CheckCounts::default());
        self.cpu_ns = 0;
        self.core_wait_ns = 0;
        self.gauges = Gauges::default();
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.counters == Counters::default()
            && [&self.lag, &self.queue, &self.connect, &self.tls, &self.first_byte]
                .iter()
                .all(|histogram| histogram.is_empty())
            && self.names.iter().all(NameSnapshot::is_empty)
            && self.workloads.iter().all(WorkloadSnapshot::is_empty)
            && self.groups.iter().all(GroupSnapshot::is_empty)
            && self.checks.iter().all(|check| *check == CheckCounts::default())
    }

    fn histograms_mut(&mut self) -> [&mut IntervalHistogram; 5] {
        [&mut self.lag, &mut self.queue, &mut self.connect, &mut self.tls, &mut self.first_byte]
    }
}

impl NameSnapshot {
    fn clear(&mut self) {
        self.sent = 0;
        self.ok_count = 0;
        self.cut_off = 0;
        self.dropped = [0; DropReason::COUNT];
        self.errors = [0; ErrorClass::COUNT];
        self.status = StatusCounts::default();
        self.ok.clear();
        self.failed.clear();
        self.service.clear();
    }

    fn is_empty(&self) -> bool {
        self.sent == 0
            && self.ok_count == 0
            && self.cut_off == 0
            && self.errors.iter().chain(&self.dropped).all(|count| *count == 0)
            && self.status == StatusCounts::default()
            && self.ok.is_empty()
            && self.failed.is_empty()
            && self.service.is_empty()
    }
}
