//! Single machines of the hot path, each as often as it is told to.

use std::hint::black_box;
use std::sync::Arc;

use http1::{Limits, ResponseMachine};
use measure::{IntervalHistogram, Recorder, Shape, Snapshot};
use schedule::{Arrivals, Cells, Process, Profile, Rate};

pub(crate) fn plain_response(count: u64) {
    receive(benches::PLAIN, count);
}

pub(crate) fn busy_response(count: u64) {
    receive(benches::BUSY, count);
}

pub(crate) fn chunked_response(count: u64) {
    receive(benches::CHUNKED, count);
}

fn receive(response: &[u8], count: u64) {
    let mut machine = ResponseMachine::new(Limits::default());
    for _ in 0..count {
        machine.expect(false);
        let step = machine.receive(black_box(response)).expect("the response is valid");
        black_box(step.response.expect("the response is whole").status);
    }
}

/// One value into one histogram.
pub(crate) fn record(count: u64) {
    let mut histogram = IntervalHistogram::new();
    for value in values(count) {
        histogram.record(black_box(value));
    }
    assert_eq!(histogram.count(), count);
}

/// Everything that is recorded of an exchange.
pub(crate) fn record_exchange(count: u64) {
    let mut recorder = Recorder::new(0, 0, Shape::requests(1));
    for value in values(count) {
        let value = black_box(value);
        recorder.scheduled(1);
        recorder.sent(0);
        recorder.lag(value >> 6);
        recorder.queue(value >> 8);
        recorder.first_byte(value >> 1);
        recorder.ok(0, value, value - 50_000, 200);
    }
    let sealed = recorder.seal(Box::new(Snapshot::new(Shape::requests(1))), 0, 1);
    assert_eq!(sealed.counters.ok, count);
}

/// From about 60 µs to 60 ms, without chance.
fn values(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|place| 60_000 + place * 7_919 % 60_000_000)
}

pub(crate) fn even_arrivals(count: u64) {
    arrivals(Process::Deterministic, count);
}

pub(crate) fn poisson_arrivals(count: u64) {
    arrivals(Process::Poisson { seed: 1 }, count);
}

/// One shard of two.
fn arrivals(process: Process, count: u64) {
    let profile = Profile::constant(Rate::per_second(50_000), 3_600 * clock::NANOS_PER_SECOND);
    let cells = Cells::share(1, 2).expect("a valid share");
    let arrivals = Arrivals::new(Arc::new(profile.expect("a valid profile")), process, &cells);
    let taken = arrivals.take(usize::try_from(count).expect("counts are small"));
    assert!(taken.fold(0, |latest, arrival| arrival.due_ns.max(latest)) > 0);
}
