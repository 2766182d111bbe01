//! What an arrival costs: the next one of each process, and the inverse of a profile.
//!
//! One shard of two holds every other cell, as on a machine of two cores.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use schedule::{Arrivals, Cells, Phase, Process, Profile, Rate};

const WEEK_NS: u64 = 7 * 86_400 * 1_000_000_000;
const BATCH: usize = 1_000;

fn constant() -> Arc<Profile> {
    let profile = Profile::constant(Rate::per_second(50_000), 8 * WEEK_NS);
    Arc::new(profile.expect("a valid profile"))
}

fn ramp() -> Arc<Profile> {
    let (from, to) = (Rate::per_second(1_000), Rate::per_second(50_000));
    Arc::new(Profile::new(vec![Phase { duration_ns: WEEK_NS, from, to }]).expect("a valid profile"))
}

fn next(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/next");
    group.throughput(Throughput::Elements(BATCH as u64));
    let poisson = Process::Poisson { seed: 1 };
    for (name, profile, process) in [
        ("constant", constant(), Process::Deterministic),
        ("ramp", ramp(), Process::Deterministic),
        ("poisson", constant(), poisson),
        ("poisson_ramp", ramp(), poisson),
    ] {
        let cells = Cells::share(1, 2).expect("a valid share");
        group.bench_function(name, |bencher| {
            let mut arrivals = Arrivals::new(Arc::clone(&profile), process, &cells);
            bencher.iter(|| arrivals.by_ref().take(BATCH).fold(0, |sum, arrival| sum ^ arrival.due_ns));
        });
    }
    group.finish();
}

fn due_ns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/due_ns");
    for (name, profile) in [("constant", constant()), ("ramp", ramp())] {
        let count = profile.arrival_count();
        let mut slot = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                slot = (slot + 7_919) % count;
                black_box(profile.due_ns(slot))
            });
        });
    }
    group.finish();
}

fn start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/start");
    group.sample_size(10);
    group.bench_function("poisson", |bencher| {
        bencher.iter(|| Arrivals::new(constant(), Process::Poisson { seed: 1 }, &Cells::all()));
    });
    group.bench_function("poisson_limit_1m", |bencher| {
        let cells = Cells::share(1, 2).expect("a valid share");
        bencher
            .iter(|| Arrivals::new(constant(), Process::Poisson { seed: 1 }, &cells).with_limit(1_000_000));
    });
    group.bench_function("deal_all_to_7", |bencher| bencher.iter(|| Cells::all().deal(&[1; 7])));
    group.finish();
}

criterion_group!(benches, next, due_ns, start);
criterion_main!(benches);
