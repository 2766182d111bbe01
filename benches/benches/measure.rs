//! What measuring costs: one record, one exchange, sealing an interval, draining it, merging and encoding totals.
//!
//! Values are drawn beforehand from a skewed distribution around 1 ms, so that the buckets touched are those of a
//! real run and the generator's own cost stays out of the figures.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use measure::{ErrorClass, Histogram, IntervalHistogram, Recorder, Shape, Snapshot, Totals};

/// Values per measured batch.
const BATCH: usize = 4_096;

/// Skewed values between about 60 µs and 60 ms: the product of two uniforms, from a fixed xorshift sequence.
fn values() -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 56
    };
    (0..BATCH).map(|_| 60_000 + (next() * next()) * 900 + next()).collect()
}

fn interval_of(values: &[u64]) -> IntervalHistogram {
    let mut interval = IntervalHistogram::new();
    for value in values {
        interval.record(*value);
    }
    interval
}

fn record(criterion: &mut Criterion) {
    let values = values();
    let mut group = criterion.benchmark_group("measure/record");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut interval = interval_of(&values);
    group.bench_function("interval_histogram", |bencher| {
        bencher.iter(|| {
            for value in black_box(&values) {
                interval.record(*value);
            }
        });
    });
    let mut total = Histogram::new();
    group.bench_function("histogram", |bencher| {
        bencher.iter(|| {
            for value in black_box(&values) {
                total.record(*value);
            }
        });
    });
    let mut recorder = Recorder::new(0, 0, Shape::requests(1));
    group.bench_function("whole_exchange", |bencher| {
        bencher.iter(|| {
            for value in black_box(&values) {
                recorder.scheduled(1);
                recorder.sent(0);
                recorder.lag(*value >> 6);
                recorder.queue(*value >> 8);
                recorder.first_byte(*value >> 1);
                recorder.ok(0, *value, *value - 50_000, 200);
            }
        });
    });
    group.finish();
    let sealed = recorder.seal(Box::new(Snapshot::new(Shape::requests(1))), 0, 1);
    black_box((interval.count(), total.count(), sealed.counters.ok));
}

fn fill(recorder: &mut Recorder, values: &[u64]) {
    for (position, value) in values.iter().enumerate() {
        recorder.sent(0);
        recorder.lag(*value >> 6);
        if position % 100 == 0 {
            recorder.failed(0, ErrorClass::Timeout, *value, Some(*value));
        } else {
            recorder.ok(0, *value, *value, 200);
        }
    }
}

fn interval_end(criterion: &mut Criterion) {
    let values = values();
    let mut recorder = Recorder::new(0, 0, Shape::requests(1));
    let mut spare = Some(Box::new(Snapshot::new(Shape::requests(1))));
    criterion.bench_function("measure/seal", |bencher| {
        bencher.iter(|| {
            let sealed = recorder.seal(spare.take().expect("the spare comes back each time"), 0, 1);
            spare = Some(black_box(sealed));
        });
    });
    fill(&mut recorder, &values);
    let snapshot = recorder.seal(Box::new(Snapshot::new(Shape::requests(1))), 0, 1);
    let mut totals = Totals::new(Shape::requests(1));
    criterion.bench_function("measure/absorb_snapshot", |bencher| {
        bencher.iter(|| totals.absorb(black_box(&snapshot)));
    });
    criterion.bench_function("measure/clear_snapshot", |bencher| {
        bencher.iter_batched_ref(|| snapshot.clone(), |snapshot| snapshot.clear(), BatchSize::SmallInput);
    });
}

fn totals(criterion: &mut Criterion) {
    let interval = interval_of(&values());
    let mut total = Histogram::new();
    total.absorb(&interval);
    let mut sum = Histogram::new();
    criterion.bench_function("measure/merge", |bencher| bencher.iter(|| sum.merge(black_box(&total))));
    criterion.bench_function("measure/quantile_p99_9", |bencher| {
        bencher.iter(|| black_box(&total).value_at_quantile(0.999));
    });
    let text = total.encode();
    criterion.bench_function("measure/encode", |bencher| bencher.iter(|| black_box(&total).encode()));
    criterion.bench_function("measure/decode", |bencher| {
        bencher.iter(|| Histogram::decode(black_box(&text), total.exact()).expect("it was just encoded"));
    });
}

criterion_group!(benches, record, interval_end, totals);
criterion_main!(benches);
