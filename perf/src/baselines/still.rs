//! The machine's own lag: a loop that does nothing but read the clock against an even schedule.
//!
//! What it is: the floor under every client's lag on this machine in this round. What such a loop misses, it missed because
//! the machine did not run it: no client on the core can be better.
//! What it is not: a client. It sends nothing.

use std::hint::spin_loop;
use std::io;

use clock::{Clock, OsClock};
use serde_json::{Value, json};

use super::Exercise;
use crate::statistics::quantile;

/// Spins through a schedule; yields what an engine's summary calls its lag.
pub(super) fn run(exercise: &Exercise) -> io::Result<Value> {
    let rate = exercise.rate.filter(|rate| *rate > 0);
    let rate = rate.ok_or_else(|| io::Error::other("it takes a rate: --rate 20000"))?;
    let slots = u64::from(rate) * u64::from(exercise.seconds);
    // Its pages are touched before the first slot is due.
    let mut lags_ns = vec![1; usize::try_from(slots).map_err(io::Error::other)?];
    let begin = OsClock.now().plus_nanos(1_000_000);
    for (slot, lag_ns) in (0..slots).zip(&mut lags_ns) {
        let due = begin.plus_nanos(slot * clock::NANOS_PER_SECOND / u64::from(rate));
        let mut now = OsClock.now();
        while now < due {
            spin_loop();
            now = OsClock.now();
        }
        *lag_ns = now.nanos_since(due);
    }
    lags_ns.sort_unstable();
    let [p50, p99, p99_9] = [0.5, 0.99, 0.999].map(|share| quantile(&lags_ns, share));
    Ok(json!({ "requests": slots, "latency_ns": { "lag": { "p50": p50, "p99": p99, "p99_9": p99_9 } } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines::Kind;

    #[test]
    fn every_slot_is_met_and_none_early() {
        let address = "127.0.0.1:1".parse().unwrap();
        let mut exercise =
            Exercise { kind: Kind::Still, address, connections: 1, seconds: 1, rate: Some(1_000) };
        let told = run(&exercise).unwrap();
        assert_eq!(told["requests"], 1_000);
        let lag = &told["latency_ns"]["lag"];
        assert!(lag["p50"].as_u64() <= lag["p99"].as_u64() && lag["p99"].as_u64() <= lag["p99_9"].as_u64());
        exercise.rate = None;
        assert!(run(&exercise).is_err());
    }
}
