//! What data costs: a row when the index is built, the row of a slot, and a field of a row.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use feeder::{AtEnd, Feeder, Format, Order, Policy, RowIndex, Rows};

const ROW_COUNT: u64 = 1_000_000;

fn plain_csv() -> (&'static str, Format, String) {
    let rows = (0..ROW_COUNT).map(|row| format!("{row},user-{row}@example.com,password-{row},DE\n"));
    (
        "csv",
        Format::Csv { delimiter: b',' },
        "id,mail,password,country\n".to_owned() + &rows.collect::<String>(),
    )
}

fn quoted_csv() -> (&'static str, Format, String) {
    let rows = (0..ROW_COUNT).map(|row| format!("{row},\"user \"\"{row}\"\"\",\"password,{row}\",DE\r\n"));
    (
        "csv_quoted",
        Format::Csv { delimiter: b',' },
        "id,mail,password,country\n".to_owned() + &rows.collect::<String>(),
    )
}

fn jsonl() -> (&'static str, Format, String) {
    let rows = (0..ROW_COUNT).map(|row| {
        format!(
            "{{\"id\":{row},\"mail\":\"user-{row}@example.com\",\"password\":\"{row}\",\"country\":\"DE\"}}\n"
        )
    });
    ("jsonl", Format::Jsonl, rows.collect())
}

fn index(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feeder/index");
    group.throughput(Throughput::Elements(ROW_COUNT)).sample_size(10);
    for (name, format, text) in [plain_csv(), quoted_csv(), jsonl()] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| Rows::read(text.as_bytes(), format, None).expect("valid data"));
        });
    }
    group.finish();
}

fn pick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feeder/row_for");
    let (_, format, text) = plain_csv();
    for (name, order, at_end) in [
        ("sequential", Order::Sequential, AtEnd::Repeat),
        ("shuffled", Order::Shuffled { seed: 1 }, AtEnd::Repeat),
        ("random", Order::Random { seed: 1 }, AtEnd::Repeat),
    ] {
        let rows = Rows::read(text.as_bytes(), format, None).expect("valid data");
        let feeder = Feeder::new(rows, Policy::new(order, at_end, false).expect("no contradiction"));
        let mut slot = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                slot += 1;
                black_box(feeder.row_for(slot))
            });
        });
    }
    group.finish();
}

/// The third of four fields, of rows that lie behind each other.
fn field(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feeder/field");
    for (name, format, text) in [plain_csv(), quoted_csv(), jsonl()] {
        let rows = Rows::read(text.as_bytes(), format, None).expect("valid data");
        let column = rows.column("password").expect("a column");
        let mut out = Vec::with_capacity(64);
        let mut number = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                number = (number + 1) % ROW_COUNT;
                out.clear();
                rows.row(RowIndex(number)).field(column).append_to(&mut out);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, index, pick, field);
criterion_main!(benches);
