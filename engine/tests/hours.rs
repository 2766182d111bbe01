//! A run of many hours takes no more memory than one of a minute.
//!
//! What it is: the control thread's side of a run (collector, timeline, interval lines) fed with simulated seconds, as
//! many as half a day has; every byte that is allocated and not freed is counted.
//! What it is not: a run; `cargo xtask long soak` watches the kernel's figures over a real one.
//!
//! A test binary of its own, because it replaces the allocator. The counter is per thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count(bytes: usize, sign: i64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        // A thread that is being torn down has no counter any more, and nothing to prove.
        let _ = LIVE.try_with(|live| live.set(live.get() + sign * bytes));
    }
}

// SAFETY: every call is handed on unchanged to the system allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size(), 1);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size(), 1);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(layout.size(), -1);
        Self::count(size, 1);
        // SAFETY: the pointer came from the system allocator through this one; the rest is the caller's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::count(layout.size(), -1);
        // SAFETY: the pointer came from the system allocator through this one.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cfg(test)]
mod growth {
    use std::fs;

    use clock::NANOS_PER_SECOND;
    use engine::args::Sink;
    use engine::collect::Collector;
    use engine::timeline::Timeline;
    use measure::{ErrorClass, Recorder, Shape, Snapshot, Totals};
    use report::{Interval, IntervalFacts};

    use crate::LIVE;

    const SHARDS: usize = 2;
    const SECONDS: u64 = 12 * 3_600;
    const TIMEOUT_NS: u64 = 10 * NANOS_PER_SECOND;

    fn live() -> i64 {
        LIVE.get()
    }

    /// Two shards' measuring of one second after the other.
    struct Feed {
        recorders: Vec<Recorder>,
        spares: Vec<Option<Box<Snapshot>>>,
        collector: Collector,
    }

    impl Feed {
        fn new() -> Self {
            let shards = 0..u32::try_from(SHARDS).expect("few shards");
            Self {
                recorders: shards.map(|shard| Recorder::new(0, shard, Shape::requests(1))).collect(),
                spares: (0..SHARDS).map(|_| Some(Box::new(Snapshot::new(Shape::requests(1))))).collect(),
                collector: Collector::new(SHARDS, Shape::requests(1), TIMEOUT_NS),
            }
        }

        fn second(&mut self, index: u64) {
            for (shard, recorder) in self.recorders.iter_mut().enumerate() {
                for place in 1..=8 {
                    // Never quite the same second twice.
                    let ns = place * (1_000 + (index * 7_919) % 1_000_003);
                    recorder.scheduled(1);
                    recorder.lag(ns / 50);
                    recorder.sent(0);
                    if place == 8 {
                        recorder.failed(0, ErrorClass::Reset, ns, Some(ns));
                    } else {
                        recorder.ok(0, ns, ns - 5, 200);
                    }
                }
                let spare = self.spares[shard].take().expect("it came back");
                let from = index * NANOS_PER_SECOND;
                let mut sealed = recorder.seal(spare, from, from + NANOS_PER_SECOND);
                self.collector.absorb(shard, &sealed);
                sealed.clear();
                self.spares[shard] = Some(sealed);
            }
        }
    }

    #[test]
    fn half_a_day_holds_no_more_than_a_minute() {
        let folder = std::env::temp_dir().join(format!("openloop-hours-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be made");
        let mut timeline = Timeline::new(Some(&Sink::File(folder.join("summary.json"))));
        let mut feed = Feed::new();
        let mut after_a_minute = 0;
        let mut most = i64::MIN;
        for index in 0..SECONDS {
            feed.second(index);
            let second = feed.collector.next_second().expect("both shards have reported");
            timeline.push(second.index, &second.totals, second.gauges, None);
            if index % 600 == 0 {
                interval_line(index, &second.totals);
            }
            feed.collector.recycle(second.totals);
            if index == 60 {
                after_a_minute = live();
            } else if index > 60 {
                most = most.max(live());
            }
        }
        assert!(after_a_minute > 1 << 20, "the counter counts nothing: {after_a_minute} bytes");
        assert!(most <= after_a_minute + 4_096, "{after_a_minute} bytes after a minute, {most} at most");
        assert_eq!((timeline.seconds(), timeline.held_bytes()), (SECONDS, 0));
        // Nothing of it was thrown away either.
        let mut bytes = Counter::default();
        timeline.write_to(&mut bytes).expect("it can be read back");
        assert_eq!(bytes.braces, 3 * SECONDS);
        assert!(live() <= after_a_minute + 4_096, "writing it takes memory: {}", live());
        fs::remove_dir(folder).expect("the folder is empty");
    }

    fn interval_line(index: u64, totals: &Totals) {
        let names = measure::Names::requests(["home".to_owned()]);
        let facts = IntervalFacts {
            run_id: "simulated",
            names: &names,
            second: index,
            from_ns: index * NANOS_PER_SECOND,
            until_ns: (index + 1) * NANOS_PER_SECOND,
            in_flight: 0,
            waiting: 0,
            connections: 0,
        };
        assert!(Interval::new(&facts, totals).to_line().ends_with('\n'));
    }

    /// Counts the objects that are written to it: a second is one, with its two distributions.
    #[derive(Default)]
    struct Counter {
        braces: u64,
    }

    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.braces += bytes.split(|byte| *byte == b'{').count() as u64 - 1;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
