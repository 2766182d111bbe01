//! The program whose instructions are counted: `instructions ROW COUNT` does one piece of the hot path COUNT times;
//! alone it lists its rows.
//!
//! What it is: rows without a kernel under them, so that callgrind sees all there is. `tests/instructions.rs` runs each
//! with COUNT and with twice COUNT: the difference has no start-up and no end in it.
//! What it is not: the drivers. What the ring and epoll spend is system calls for the greater part, which is measured
//! by `perf/`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "it answers the test that runs it")]

mod memory;
mod parts;
mod secure;
mod shards;

use std::hint::black_box;
use std::process::ExitCode;

/// A row's name, how often it is done in the shorter of two runs, and what is done.
type Row = (&'static str, u64, fn(u64));

const ROWS: &[Row] = &[
    ("exchange, saturated", 8_000, shards::saturated),
    ("exchange, paced", 8_000, shards::paced),
    ("exchange, paced in a fleet", 8_000, shards::in_fleet),
    ("exchange, a connection each", 4_000, shards::churn),
    ("exchange, own protocol", 8_000, shards::own),
    ("exchange, body of 64 KiB", 2_000, shards::body_64k),
    ("exchange, body of 1 MiB", 1_000, shards::body_1m),
    ("response, 3 fields", 8_000, parts::plain_response),
    ("response, 10 fields", 8_000, parts::busy_response),
    ("response, chunked", 8_000, parts::chunked_response),
    ("value into a histogram", 16_000, parts::record),
    ("exchange recorded", 8_000, parts::record_exchange),
    ("arrival, even", 16_000, parts::even_arrivals),
    ("arrival, Poisson", 55_440, parts::poisson_arrivals),
    ("TLS exchange", 2_000, secure::exchanges),
    ("TLS handshake", 100, secure::handshakes),
    // Not held against the baseline: the test must see it as more than the first row.
    ("canary", 8_000, canary),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = &arguments[..] else {
        println!("{}", machine());
        for (name, count, _) in ROWS {
            println!("{count} {name}");
        }
        return ExitCode::SUCCESS;
    };
    let row = ROWS.iter().find(|(known, ..)| known == name);
    match (row, count.parse()) {
        (Some((_, _, work)), Ok(count)) => {
            work(black_box(count));
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(2),
    }
}

/// The first row, and twenty multiplications more for every request: about 6 %.
fn canary(count: u64) {
    shards::saturated(count);
    let mut state = black_box(1_u64);
    for _ in 0..count * 20 {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

/// The architecture, and what of it code is chosen by at run time.
fn machine() -> String {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "x86_64 with AVX2".to_owned();
    }
    std::env::consts::ARCH.to_owned()
}
