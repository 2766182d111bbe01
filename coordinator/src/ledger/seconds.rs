//! Seconds as people see them: for the timeline of the summary, and for the views of the API.

use std::collections::BTreeMap;

use measure::{Counters, DropReason, ErrorClass, Exact, Gauges, Histogram, Latency, Totals};
use report::SecondLatency;
use schedule::Rate;

use crate::handle::{Counts, Percentiles, SecondView};

/// Seconds of which the timeline keeps histograms: an hour.
const HISTOGRAM_SECONDS: u64 = 3_600;

/// A complete second for the timeline.
pub(crate) fn of_timeline(
    index: u64,
    totals: &Totals,
    gauges: Gauges,
    due: u64,
    asked: Option<Rate>,
) -> report::Second {
    let mut second = report::second(index, totals, gauges, index < HISTOGRAM_SECONDS);
    second.asked = due.max(second.asked);
    second.asked_micro_tps = asked.map(Rate::as_micro);
    second
}

/// Adds what came late to a second of the timeline.
pub(crate) fn amend(second: &mut report::Second, index: u64, late: &Totals) {
    let more = report::second(index, late, Gauges::default(), false);
    second.second = index;
    for (sum, more) in [
        (&mut second.sent, more.sent),
        (&mut second.ok, more.ok),
        (&mut second.errors, more.errors),
        (&mut second.dropped, more.dropped),
        (&mut second.bytes_sent, more.bytes_sent),
        (&mut second.bytes_received, more.bytes_received),
    ] {
        *sum = sum.saturating_add(more);
    }
    second.asked = second.asked.max(second.sent.saturating_add(second.dropped));
    amend_latency(&mut second.response_ns, &late.latency(Latency::Response));
    amend_latency(&mut second.lag_ns, &late.lag);
}

/// Percentiles stay those of what was in time where no histogram is kept.
fn amend_latency(known: &mut SecondLatency, late: &Histogram) {
    if late.is_empty() {
        return;
    }
    let exact = Exact { count: known.count, sum_ns: known.sum, min_ns: known.min, max_ns: known.max };
    let decoded = match &known.hdr {
        Some(hdr) => Histogram::decode(hdr, exact).ok(),
        None if known.count == 0 => Some(Histogram::new()),
        None => None,
    };
    if let Some(mut whole) = decoded {
        whole.merge(late);
        *known = SecondLatency::new(&whole, true);
        return;
    }
    known.min = if known.count == 0 { late.min_ns() } else { known.min.min(late.min_ns()) };
    known.max = known.max.max(late.max_ns());
    known.count = known.count.saturating_add(late.count());
    known.sum = known.sum.saturating_add(late.sum_ns());
}

/// Counts for people.
pub(crate) fn counts(counters: &Counters) -> Counts {
    let named = |name: &str, count: u64| (count > 0).then(|| (name.to_owned(), count));
    let dropped =
        DropReason::ALL.iter().filter_map(|reason| named(reason.name(), counters.dropped_for(*reason)));
    let errors = ErrorClass::ALL.iter().filter_map(|class| named(class.name(), counters.errors_of(*class)));
    Counts {
        scheduled: counters.scheduled,
        sent: counters.sent,
        dropped: dropped.collect(),
        ok: counters.ok,
        errors: errors.collect(),
        cut_off: counters.cut_off,
        unassigned: counters.unassigned,
        bytes_sent: counters.bytes_sent,
        bytes_received: counters.bytes_received,
    }
}

/// A distribution for people.
pub(crate) fn percentiles(histogram: &Histogram) -> Percentiles {
    Percentiles {
        count: histogram.count(),
        mean: histogram.mean_ns(),
        p50: histogram.value_at_quantile(0.5),
        p90: histogram.value_at_quantile(0.9),
        p95: histogram.value_at_quantile(0.95),
        p99: histogram.value_at_quantile(0.99),
        p99_9: histogram.value_at_quantile(0.999),
        max: histogram.max_ns(),
    }
}

/// A second's view with what came late for it; `timeline` has it already.
pub(crate) fn amended(
    view: &SecondView,
    timeline: &report::Second,
    revision: u64,
    late: &Counters,
) -> SecondView {
    let add = |sums: &BTreeMap<String, u64>, more: BTreeMap<String, u64>| {
        let mut sums = sums.clone();
        for (name, count) in more {
            let sum = sums.entry(name).or_default();
            *sum = sum.saturating_add(count);
        }
        sums
    };
    let (known, more) = (&view.counts, counts(late));
    let quantiles = |known: Percentiles, now: &SecondLatency| Percentiles {
        count: now.count,
        mean: if now.count == 0 { 0.0 } else { now.sum as f64 / now.count as f64 },
        p50: now.p50.unwrap_or(known.p50),
        p90: now.p90.unwrap_or(known.p90),
        p99: now.p99.unwrap_or(known.p99),
        p99_9: now.p99_9.unwrap_or(known.p99_9),
        max: now.max,
        ..known
    };
    let unassigned = known.unassigned.saturating_sub(late.scheduled);
    // What was not seen as missing before is added to what was due.
    let seen = known.unassigned - unassigned;
    SecondView {
        revision,
        counts: Counts {
            scheduled: known.scheduled.saturating_add(late.scheduled.saturating_sub(seen)),
            sent: known.sent.saturating_add(more.sent),
            dropped: add(&known.dropped, more.dropped),
            ok: known.ok.saturating_add(more.ok),
            errors: add(&known.errors, more.errors),
            cut_off: known.cut_off.saturating_add(more.cut_off),
            unassigned,
            bytes_sent: known.bytes_sent.saturating_add(more.bytes_sent),
            bytes_received: known.bytes_received.saturating_add(more.bytes_received),
        },
        response_ns: quantiles(view.response_ns, &timeline.response_ns),
        lag_ns: quantiles(view.lag_ns, &timeline.lag_ns),
        ..view.clone()
    }
}
