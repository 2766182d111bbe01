//! What is true, what was reported, and how far they are apart.
//!
//! The truth of a response time is taken from a witness that is not the engine: when the k-th request that the witness saw
//! was answered, less the instant at which the plan has the k-th request due. Requests are matched in order: the k-th due
//! is the k-th seen, because the engine sends in the order of the plan. Where two swap places on their way, microseconds
//! are at stake, or, in the backlog of a stall, what the witness needs to work it off.
//!
//! Units: nanoseconds, instants on `CLOCK_MONOTONIC`.

use e2e::machine::Stood;
use e2e::{count, number};
use serde_json::Value;

/// The percentiles that are compared: the document's name, the table's, the quantile.
pub(crate) const FIGURES: [(&str, &str, f64); 5] = [
    ("p50", "p50", 0.5),
    ("p90", "p90", 0.9),
    ("p95", "p95", 0.95),
    ("p99", "p99", 0.99),
    ("p99_9", "p99.9", 0.999),
];

/// One request as a witness saw it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When it was read, or when its first packet left.
    pub(crate) asked_ns: u64,
    /// When its answer was handed to the kernel, or had arrived.
    pub(crate) answered_ns: u64,
}

/// The times from when each request was due to when it was answered, rising.
pub(crate) fn response_times(due: &[u64], seen: &[Seen]) -> Vec<u64> {
    assert_eq!(due.len(), seen.len(), "the witness has seen another number of requests than was due");
    let mut in_order = seen.to_vec();
    in_order.sort_unstable_by_key(|seen| seen.asked_ns);
    sorted(due.iter().zip(&in_order).map(|(due, seen)| seen.answered_ns.saturating_sub(*due)))
}

/// The same, when the machine stood still in these stretches, which begin in rising order: an answer that was given in one of
/// them could not be read before its end.
pub(crate) fn latest_response_times(due: &[u64], seen: &[Seen], stood: &[Stood]) -> Vec<u64> {
    let read = |seen: &Seen| Seen { answered_ns: readable_ns(seen.answered_ns, stood), ..*seen };
    response_times(due, &seen.iter().map(read).collect::<Vec<_>>())
}

/// From when on an answer could be read.
fn readable_ns(answered_ns: u64, stood: &[Stood]) -> u64 {
    // Stretches of several cores may hold on to each other.
    stood.iter().fold(
        answered_ns,
        |at_ns, stood| {
            if stood.from_ns <= at_ns { at_ns.max(stood.until_ns) } else { at_ns }
        },
    )
}

/// The times from when each request was read to when it was answered, rising.
pub(crate) fn service_times(seen: &[Seen]) -> Vec<u64> {
    sorted(seen.iter().map(|seen| seen.answered_ns - seen.asked_ns))
}

fn sorted(times: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    times
}

/// The least sample that at least the share `quantile` of all does not exceed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank among samples")]
pub(crate) fn quantile_ns(sorted: &[u64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64 - 1e-6).ceil().max(1.0) as usize;
    sorted[rank - 1] as f64
}

/// How far a figure may be off: 1 % of the truth, or 0.2 ms, or 5 ms for p99.9.
fn tolerance_ns(name: &str, truth_ns: f64) -> f64 {
    (truth_ns * 0.01).max(if name == "p99_9" { 5e6 } else { 0.2e6 })
}

/// One percentile, reported and true.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) reported_ns: f64,
    pub(crate) true_ns: f64,
    /// The error as a share of what is allowed.
    pub(crate) error: f64,
}

/// The percentiles of one latency, in the order of [`FIGURES`].
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// The latency, as the document calls it.
    pub(crate) latency: &'static str,
    pub(crate) figures: Vec<Figure>,
}

impl Comparison {
    /// Compares the summary's `latency` with true times.
    pub(crate) fn of(summary: &Value, latency: &'static str, truth: &[u64]) -> Self {
        Self::between(summary, latency, truth, truth)
    }

    /// Compares the summary's `latency` with times of which the witness knows that each is at least the one of `least` and at
    /// most the one of `most`, request for request: then the same holds for their percentiles.
    pub(crate) fn between(summary: &Value, latency: &'static str, least: &[u64], most: &[u64]) -> Self {
        let reported = |name: &str| number(summary, &format!("/latency_ns/{latency}/{name}"));
        let counted = count(summary, &format!("/latency_ns/{latency}/count"));
        assert_eq!(counted, least.len() as u64, "another number of {latency} times");
        assert_eq!(counted, most.len() as u64, "another number of {latency} times");
        let figure = |&(name, _, quantile): &(&str, &str, f64)| {
            let (least_ns, most_ns) = (quantile_ns(least, quantile), quantile_ns(most, quantile));
            let reported_ns = reported(name);
            let true_ns = reported_ns.clamp(least_ns, most_ns);
            let error = (reported_ns - true_ns).abs() / tolerance_ns(name, true_ns);
            Figure { reported_ns, true_ns, error }
        };
        Self { latency, figures: FIGURES.iter().map(figure).collect() }
    }

    /// The largest error as a share of what is allowed, and the percentile that has it.
    pub(crate) fn worst(&self) -> (f64, &'static str) {
        let named = self.figures.iter().zip(FIGURES).map(|(figure, (_, name, _))| (figure.error, name));
        named.max_by(|left, right| left.0.total_cmp(&right.0)).expect("there are figures")
    }
}

#[test]
fn the_oracle_finds_a_tenth_of_a_millisecond_and_no_less() {
    // 1,000 requests, one each millisecond, the k-th answered after k µs, seen in any order.
    let due: Vec<u64> = (0..1_000).map(|k| 5_000_000_000 + k * 1_000_000).collect();
    let seen: Vec<Seen> = due
        .iter()
        .enumerate()
        .map(|(k, due)| Seen { asked_ns: due + 10, answered_ns: due + 1_000 * (k as u64 + 1) })
        .rev()
        .collect();
    let times = response_times(&due, &seen);
    assert_eq!(times, (1..=1_000).map(|k| k * 1_000).collect::<Vec<u64>>());
    let figures = [500e3, 900e3, 950e3, 990e3, 999e3];
    for ((_, _, quantile), figure) in FIGURES.iter().zip(figures) {
        assert!((quantile_ns(&times, *quantile) - figure).abs() < 1.0);
    }
    let report = |more: f64| {
        let entries =
            FIGURES.iter().zip(figures).map(|((name, ..), ns)| ((*name).to_owned(), (ns + more).into()));
        let mut entry: serde_json::Map<String, Value> = entries.collect();
        entry.insert("count".into(), 1_000.into());
        serde_json::json!({ "latency_ns": { "response": entry } })
    };
    let worst = |more| Comparison::of(&report(more), "response", &times).worst().0;
    assert!(worst(199e3) < 1.0 && worst(-199e3) < 1.0);
    assert!(worst(201e3) > 1.0 && worst(-201e3) > 1.0);
    // An answer that was given while the machine stood still is read when the last of its cores is back.
    let stood = |from_ns: u64, until_ns: u64| Stood {
        from_ns: 5_000_000_000 + from_ns,
        until_ns: 5_000_000_000 + until_ns,
    };
    let stretches = [stood(2_003_000, 2_500_000), stood(2_400_000, 2_700_000), stood(3_000_000, 3_000_500)];
    let latest = latest_response_times(&due[2..5], &seen[995..998], &stretches);
    assert_eq!(latest, [4_000, 5_000, 700_000]);
    // Times of which only bounds are known are right anywhere between them.
    let least: Vec<u64> = times.iter().map(|ns| ns / 2).collect();
    let between = |more: f64| Comparison::between(&report(more), "response", &least, &times).worst().0;
    assert!(between(0.0) == 0.0 && between(-100e3) == 0.0 && between(199e3) < 1.0);
    assert!(between(201e3) > 1.0 && between(-451e3) > 1.0);
}
