//! What one exchange costs in the HTTP/1.1 machine: a response that arrives whole, one that arrives in pieces, a
//! chunked one, and the encoding of a request.

use std::hint::black_box;

use benches::{BUSY, CHUNKED, PLAIN};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http1::{Limits, ResponseMachine, encode_request};

/// Gives the machine one response, cut into pieces of at most `size` bytes.
fn exchange(machine: &mut ResponseMachine, bytes: &[u8], size: usize) {
    machine.expect(false);
    let mut response = None;
    for piece in bytes.chunks(size) {
        response = machine.receive(black_box(piece)).expect("the response is valid").response;
    }
    // Used as the shard uses it: field by field, where it lies.
    black_box(response.expect("the last piece completes the response").status);
}

fn receiving(criterion: &mut Criterion) {
    assert_eq!(PLAIN.len(), 107);
    let mut group = criterion.benchmark_group("http1/receive");
    let cases = [
        ("whole", PLAIN, usize::MAX),
        ("halves", PLAIN, 54),
        ("bytes", PLAIN, 1),
        ("ten fields", BUSY, usize::MAX),
        ("ten fields in halves", BUSY, BUSY.len().div_ceil(2)),
        ("chunked", CHUNKED, usize::MAX),
        ("chunked in halves", CHUNKED, CHUNKED.len().div_ceil(2)),
    ];
    for (name, bytes, size) in cases {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut machine = ResponseMachine::new(Limits::default());
        group.bench_function(name, |bencher| bencher.iter(|| exchange(&mut machine, bytes, size)));
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let headers = [("Accept".to_owned(), "*/*".to_owned()), ("X-Run".to_owned(), "1".to_owned())];
    criterion.bench_function("http1/encode", |bencher| {
        bencher.iter(|| encode_request(black_box("GET"), "/index.html", "example.test", &headers, b""));
    });
}

criterion_group!(benches, receiving, encoding);
criterion_main!(benches);
