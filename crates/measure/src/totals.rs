//! The control side's sums: snapshots added up over shards, names and time.
//!
//! What it is: 64-bit totals of a run, of one second of it, or of many runs.
//! What it is not: a ledger; whoever may see a snapshot twice must notice that before.
//!
//! Invariants: absorbing allocates only when a shard or name appears for the first time; the merge is total,
//! associative and commutative, with `default()` as identity. Snapshots of the warm-up are kept apart and enter
//! no result.

use crate::counters::add_each;
use crate::{
    CheckCounts, Counters, DropReason, ErrorClass, GroupTotals, Histogram, IterationCounters, Latency,
    NameSnapshot, Shape, Snapshot, StatusCounts, WorkloadTotals,
};

/// Sums over any number of snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What happened.
    pub counters: Counters,
    /// What happened during the warm-up, which no result contains.
    pub warmup: Counters,
    /// Schedule lag.
    pub lag: Histogram,
    /// Queue wait.
    pub queue: Histogram,
    /// TCP connect time.
    pub connect: Histogram,
    /// TLS handshake time.
    pub tls: Histogram,
    /// Actual send to first response byte.
    pub first_byte: Histogram,
    /// By request name, in the plan's order.
    pub names: Vec<NameTotals>,
    /// By workload, in the plan's order.
    pub workloads: Vec<WorkloadTotals>,
    /// By group, in the plan's order.
    pub groups: Vec<GroupTotals>,
    /// By check, in the plan's order.
    pub checks: Vec<CheckCounts>,
    /// By shard, rising by node and shard.
    pub shards: Vec<ShardTotals>,
}

/// Sums of one request name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameTotals {
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
    pub ok: Histogram,
    /// Response time of the exchanges that failed.
    pub failed: Histogram,
    /// Service time of all exchanges that had one.
    pub service: Histogram,
}

/// Sums of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardTotals {
    /// The engine.
    pub node: u32,
    /// The shard of the engine.
    pub shard: u32,
    /// Arrivals that were due in its cells.
    pub scheduled: u64,
    /// Requests that it sent.
    pub sent: u64,
    /// Exchanges that ended on it, well or not.
    pub completed: u64,
    /// Processor time of its thread, warm-up included.
    pub cpu_ns: u64,
    /// For how long its thread could have run and had no core.
    pub core_wait_ns: u64,
    /// The time that its snapshots cover.
    pub covered_ns: u64,
    /// Its schedule lag.
    pub lag: Histogram,
}

impl Totals {
    /// Empty sums with room for a plan of this shape.
    pub fn new(shape: Shape) -> Self {
        let mut totals = Self::default();
        totals.make_room(shape);
        totals
    }

    /// Empty sums with room for a plan of this shape and for the shards below `shards` of engine `node`, with the memory
    /// of all values up to `longest_ns` taken now.
    pub fn populated(shape: Shape, node: u32, shards: u32, longest_ns: u64) -> Self {
        let mut totals = Self::new(shape);
        for shard in 0..shards {
            totals.shard_mut(node, shard).lag.populate(longest_ns);
        }
        let kinds = [
            &mut totals.lag,
            &mut totals.queue,
            &mut totals.connect,
            &mut totals.tls,
            &mut totals.first_byte,
        ];
        for histogram in kinds {
            histogram.populate(longest_ns);
        }
        let names =
            totals.names.iter_mut().flat_map(|name| [&mut name.ok, &mut name.failed, &mut name.service]);
        let workloads = totals.workloads.iter_mut().flat_map(|one| [&mut one.completed, &mut one.failed]);
        let groups = totals.groups.iter_mut().flat_map(|group| [&mut group.duration, &mut group.busy]);
        for histogram in names.chain(workloads).chain(groups) {
            histogram.populate(longest_ns);
        }
        totals
    }

    /// Adds one snapshot.
    pub fn absorb(&mut self, snapshot: &Snapshot) {
        self.make_room(snapshot.shape());
        let shard = self.shard_mut(snapshot.node, snapshot.shard);
        shard.cpu_ns = shard.cpu_ns.saturating_add(snapshot.cpu_ns);
        if snapshot.warmup {
            self.warmup.merge(&snapshot.counters);
            for (total, workload) in self.workloads.iter_mut().zip(&snapshot.workloads) {
                total.warmup.merge(&workload.iterations);
            }
            return;
        }
        shard.scheduled = shard.scheduled.saturating_add(snapshot.counters.scheduled);
        shard.sent = shard.sent.saturating_add(snapshot.counters.sent);
        shard.completed = shard.completed.saturating_add(snapshot.counters.completed());
        shard.core_wait_ns = shard.core_wait_ns.saturating_add(snapshot.core_wait_ns);
        shard.covered_ns =
            shard.covered_ns.saturating_add(snapshot.until_ns.saturating_sub(snapshot.from_ns));
        shard.lag.absorb(&snapshot.lag);
        self.counters.merge(&snapshot.counters);
        self.lag.absorb(&snapshot.lag);
        self.queue.absorb(&snapshot.queue);
        self.connect.absorb(&snapshot.connect);
        self.tls.absorb(&snapshot.tls);
        self.first_byte.absorb(&snapshot.first_byte);
        for (total, name) in self.names.iter_mut().zip(&snapshot.names) {
            total.absorb(name);
        }
        for (total, workload) in self.workloads.iter_mut().zip(&snapshot.workloads) {
            total.absorb(workload);
        }
        for (total, group) in self.groups.iter_mut().zip(&snapshot.groups) {
            total.absorb(group);
        }
        for (total, check) in self.checks.iter_mut().zip(&snapshot.checks) {
            total.merge(check);
        }
    }

    /// Adds everything that `other` counted; names, workloads, groups and checks are matched by position, shards by
    /// node and shard.
    pub fn merge(&mut self, other: &Self) {
        self.counters.merge(&other.counters);
        self.warmup.merge(&other.warmup);
        self.lag.merge(&other.lag);
        self.queue.merge(&other.queue);
        self.connect.merge(&other.connect);
        self.tls.merge(&other.tls);
        self.first_byte.merge(&other.first_byte);
        self.make_room(other.shape());
        for (mine, theirs) in self.names.iter_mut().zip(&other.names) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.workloads.iter_mut().zip(&other.workloads) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.groups.iter_mut().zip(&other.groups) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.checks.iter_mut().zip(&other.checks) {
            mine.merge(theirs);
        }
        for theirs in &other.shards {
            let mine = self.shard_mut(theirs.node, theirs.shard);
            mine.scheduled = mine.scheduled.saturating_add(theirs.scheduled);
            mine.sent = mine.sent.saturating_add(theirs.sent);
            mine.completed = mine.completed.saturating_add(theirs.completed);
            mine.cpu_ns = mine.cpu_ns.saturating_add(theirs.cpu_ns);
            mine.core_wait_ns = mine.core_wait_ns.saturating_add(theirs.core_wait_ns);
            mine.covered_ns = mine.covered_ns.saturating_add(theirs.covered_ns);
            mine.lag.merge(&theirs.lag);
        }
    }

    /// Forgets every count and keeps the memory, the names and the shards.
    pub fn clear(&mut self) {
        self.counters = Counters::default();
        self.warmup = Counters::default();
        let kinds = [&mut self.lag, &mut self.queue, &mut self.connect, &mut self.tls, &mut self.first_byte];
        for histogram in kinds {
            histogram.clear();
        }
        for name in &mut self.names {
            name.clear();
        }
        self.workloads.iter_mut().for_each(WorkloadTotals::clear);
        self.groups.iter_mut().for_each(GroupTotals::clear);
        self.checks.fill(CheckCounts::default());
        for shard in &mut self.shards {
            (shard.scheduled, shard.sent, shard.completed, shard.cpu_ns) = (0, 0, 0, 0);
            (shard.core_wait_ns, shard.covered_ns) = (0, 0);
            shard.lag.clear();
        }
    }

    /// The distribution of one latency over all names and shards.
    pub fn latency(&self, latency: Latency) -> Histogram {
        match latency {
            Latency::Lag => self.lag.clone(),
            Latency::Queue => self.queue.clone(),
            Latency::Connect => self.connect.clone(),
            Latency::Tls => self.tls.clone(),
            Latency::FirstByte => self.first_byte.clone(),
            Latency::Service => self.sum_of_names(|name| vec![&name.service]),
            Latency::Response => self.sum_of_names(|name| vec![&name.ok, &name.failed]),
            Latency::ResponseOk => self.sum_of_names(|name| vec![&name.ok]),
        }
    }

    /// How often checks held, over all of them.
    pub fn checks_total(&self) -> CheckCounts {
        let mut sum = CheckCounts::default();
        self.checks.iter().for_each(|check| sum.merge(check));
        sum
    }

    /// What became of iterations, over all workloads.
    pub fn iterations_total(&self) -> IterationCounters {
        let mut sum = IterationCounters::default();
        self.workloads.iter().for_each(|workload| sum.merge(&workload.iterations));
        sum
    }

    /// Whether requests, in all and by name, and iterations add up, the warm-up included; meaningful once the run has ended.
    pub fn balanced(&self) -> bool {
        self.counters.balanced()
            && self.warmup.balanced()
            && self.workloads.iter().all(WorkloadTotals::balanced)
            && self.names.iter().all(NameTotals::balanced)
    }

    /// Processor time of all shards, warm-up included.
    pub fn cpu_ns(&self) -> u64 {
        self.shards.iter().fold(0, |sum, shard| sum.saturating_add(shard.cpu_ns))
    }

    fn sum_of_names(&self, pick: impl Fn(&NameTotals) -> Vec<&Histogram>) -> Histogram {
        let mut sum = Histogram::new();
        for histogram in self.names.iter().flat_map(pick) {
            sum.merge(histogram);
        }
        sum
    }

    /// How many of each kind they have room for.
    pub fn shape(&self) -> Shape {
        Shape {
            names: self.names.len(),
            workloads: self.workloads.len(),
            groups: self.groups.len(),
            checks: self.checks.len(),
        }
    }

    fn make_room(&mut self, shape: Shape) {
        fn at_least<T: Default>(list: &mut Vec<T>, count: usize) {
            if list.len() < count {
                list.resize_with(count, T::default);
            }
        }
        at_least(&mut self.names, shape.names);
        at_least(&mut self.workloads, shape.workloads);
        at_least(&mut self.groups, shape.groups);
        at_least(&mut self.checks, shape.checks);
    }

    /// The sums of one shard, which begin empty.
    pub fn shard_mut(&mut self, node: u32, shard: u32) -> &mut ShardTotals {
        let found = self.shards.binary_search_by_key(&(node, shard), |known| (known.node, known.shard));
        let position = found.unwrap_or_else(|position| {
            self.shards.insert(position, ShardTotals { node, shard, ..ShardTotals::default() });
            position
        });
        &mut self.shards[position]
    }
}

impl ShardTotals {
    /// The share of the time for which its thread could have run and had no core.
    pub fn core_wait_share(&self) -> f64 {
        if self.covered_ns == 0 { 0.0 } else { self.core_wait_ns as f64 / self.covered_ns as f64 }
    }
}

impl NameTotals {
    /// Exchanges that failed, for any reason.
    pub fn errors_total(&self) -> u64 {
        self.errors.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether what was sent under this name is what ended or was cut off.
    pub fn balanced(&self) -> bool {
        let ended = [self.ok_count, self.errors_total(), self.cut_off];
        u128::from(self.sent) == ended.into_iter().map(u128::from).sum::<u128>()
    }

    /// Response time of every exchange that ended.
    pub fn response(&self) -> Histogram {
        let mut response = self.ok.clone();
        response.merge(&self.failed);
        response
    }

    fn absorb(&mut self, name: &NameSnapshot) {
        self.add_counts(name.sent, name.ok_count, name.cut_off);
        add_each(&mut self.dropped, &name.dropped);
        add_each(&mut self.errors, &name.errors);
        self.status.merge(&name.status);
        self.ok.absorb(&name.ok);
        self.failed.absorb(&name.failed);
        self.service.absorb(&name.service);
    }

    fn merge(&mut self, other: &Self) {
        self.add_counts(other.sent, other.ok_count, other.cut_off);
        add_each(&mut self.dropped, &other.dropped);
        add_each(&mut self.errors, &other.errors);
        self.status.merge(&other.status);
        self.ok.merge(&other.ok);
        self.failed.merge(&other.failed);
        self.service.merge(&other.service);
    }

    fn clear(&mut self) {
        (self.sent, self.ok_count, self.cut_off) = (0, 0, 0);
        self.dropped = [0; DropReason::COUNT];
        self.errors = [0; ErrorClass::COUNT];
        self.status = StatusCounts::default();
        self.ok.clear();
        self.failed.clear();
        self.service.clear();
    }

    fn add_counts(&mut self, sent: u64, ok_count: u64, cut_off: u64) {
        self.sent = self.sent.saturating_add(sent);
        self.ok_count = self.ok_count.saturating_add(ok_count);
        self.cut_off = self.cut_off.saturating_add(cut_off);
    }
}

#[cfg(test)]
mod tests;
