//! What one shard writes shares no cache line with what another does.
//!
//! Two shards are made as a launch makes them: what they are told by one thread, one behind the other, and they
//! themselves on their own threads. Looked at is where their memory lies.

use std::ops::Range;
use std::sync::Barrier;

use super::*;
use crate::io::epoll::EpollIo;
use crate::shard::link::Link;

/// Processors fetch lines of 64 bytes in pairs.
const LINES: usize = 128;

/// A block of memory, and what lies in it.
#[derive(Clone, Debug)]
struct Block {
    what: &'static str,
    lines: Range<usize>,
}

impl Block {
    fn new(what: &'static str, bytes: Range<usize>) -> Self {
        Self { what, lines: bytes.start / LINES..bytes.end.div_ceil(LINES) }
    }

    fn of<T>(what: &'static str, value: &T) -> Self {
        let start = std::ptr::from_ref(value).addr();
        Self::new(what, start..start + size_of::<T>())
    }

    fn meets(&self, other: &Self) -> bool {
        self.lines.start < other.lines.end && other.lines.start < self.lines.end
    }
}

/// What a shard writes while it works.
fn blocks(shard: &Shard<EpollIo>) -> Vec<Block> {
    let mut blocks = vec![Block::of("the shard", shard)];
    let mut add = |what, bytes| blocks.push(Block::new(what, bytes));
    add("connections", slice(&shard.connections));
    add("the answered", slice(&shard.answered));
    add("the workloads", slice(&shard.workloads));
    add("the targets", slice(&shard.targets));
    for bytes in shard.exchanges.memory() {
        add("the exchange table", bytes);
    }
    for target in &shard.targets {
        for bytes in target.pool.memory() {
            add("a pool", bytes);
        }
        add("a waiting queue", target.waiting.memory());
        add("connects under way", deque(&target.opening));
    }
    for workload in &shard.workloads {
        for bytes in workload.memory() {
            add("the users", bytes);
        }
    }
    for recorder in &shard.recorders {
        let words = recorder.words().as_ptr_range();
        add("a tally", words.start.addr()..words.end.addr());
    }
    let open = shard.recorders.iter().map(measure::Recorder::open);
    for snapshot in open.chain(shard.reserve.iter().map(AsRef::as_ref)).chain(shard.link.fresh()) {
        blocks.extend(blocks_of_snapshot(snapshot));
    }
    blocks
}

fn blocks_of_snapshot(snapshot: &Snapshot) -> Vec<Block> {
    let mut blocks = vec![Block::of("a snapshot", snapshot)];
    blocks.push(Block::new("figures by name", slice(&snapshot.names)));
    blocks.push(Block::new("figures by workload", slice(&snapshot.workloads)));
    blocks.push(Block::new("figures by group", slice(&snapshot.groups)));
    blocks.push(Block::new("figures by check", slice(&snapshot.checks)));
    let shards = [&snapshot.lag, &snapshot.queue, &snapshot.connect, &snapshot.tls, &snapshot.first_byte];
    let names = snapshot.names.iter().flat_map(|name| [&name.ok, &name.failed, &name.service]);
    let workloads = snapshot.workloads.iter().flat_map(|workload| [&workload.completed, &workload.failed]);
    let groups = snapshot.groups.iter().flat_map(|group| [&group.duration, &group.busy]);
    blocks.extend(shards.into_iter().chain(names).chain(workloads).chain(groups).map(|histogram| {
        let buckets = histogram.buckets().as_ptr_range();
        Block::new("a histogram", buckets.start.addr()..buckets.end.addr())
    }));
    blocks
}

fn slice<T>(elements: &Vec<T>) -> Range<usize> {
    let start = elements.as_ptr().addr();
    start..start + elements.capacity() * size_of::<T>()
}

fn deque<T>(elements: &VecDeque<T>) -> Range<usize> {
    let start = elements.as_slices().0.as_ptr().addr();
    start..start + elements.capacity() * size_of::<T>()
}

/// The blocks of two shards that live at the same time.
fn two_shards() -> [Vec<Block>; 2] {
    let mut settings = Lab::new(1_000, SECOND).settings;
    settings.shape = Shape { names: 1, workloads: 1, groups: 1, checks: 1 };
    // Little of everything: small blocks of memory are what lies close to others.
    (settings.targets[0].connections, settings.targets[0].waiting_capacity) = (8, 64);
    // One behind the other, as they are made from a plan.
    let workloads: Vec<_> =
        (0..2).map(|_| vec![Workload::closed(Users::new(vec![0; 2], 0, None), Task::Request(0))]).collect();
    let told: Vec<(Settings, Vec<Workload>, Link, Control)> = workloads
        .into_iter()
        .map(|workloads| {
            let (link, control) = pair();
            (settings.clone(), workloads, link, control)
        })
        .collect();
    let both_stand = Barrier::new(2);
    std::thread::scope(|scope| {
        let threads: Vec<_> = told
            .into_iter()
            .map(|(settings, workloads, link, _control)| {
                let both_stand = &both_stand;
                scope.spawn(move || {
                    let io = EpollIo::new(settings.driver_limits()).expect("epoll is to be had");
                    let shard = Shard::new(io, settings, &workloads, link);
                    let blocks = blocks(&shard);
                    both_stand.wait();
                    blocks
                })
            })
            .collect();
        let found: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("it looks only")).collect();
        found.try_into().expect("there are two")
    })
}

/// In a process of its own, as an engine is one: among all other tests there are more threads than the allocator makes heaps
/// for, and threads that share a heap get neighbouring blocks.
#[test]
fn shards_write_to_no_common_cache_line() {
    let program = std::env::current_exe().expect("this is a program");
    let mut looking = std::process::Command::new(program);
    looking.args([
        "--exact",
        "--ignored",
        "--test-threads=1",
        "shard::tests::apart::two_shards_of_one_process",
    ]);
    let looked = looking.output().expect("it can be started once more");
    let told = String::from_utf8_lossy(&looked.stdout);
    assert!(looked.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
#[ignore = "shards_write_to_no_common_cache_line runs it"]
fn two_shards_of_one_process() {
    let [one, other] = two_shards();
    assert!(one.len() > 40, "snapshots and their histograms are looked at: {}", one.len());
    let pairs = one.iter().flat_map(|block| other.iter().map(move |there| (block, there)));
    let common: Vec<_> = pairs
        .filter(|(block, there)| block.meets(there))
        .map(|(block, there)| (block.what, there.what))
        .collect();
    assert!(common.is_empty(), "{common:?}");
}

/// That the test above can fail: blocks that meet in a line are found.
#[test]
fn neighbours_in_a_line_are_found() {
    let block = |bytes| Block::new("", bytes);
    assert!(block(0..100).meets(&block(100..130)));
    assert!(!block(0..128).meets(&block(128..130)));
    let pair = [0_u64; 2];
    assert!(Block::of("", &pair[0]).meets(&Block::of("", &pair)));
}
