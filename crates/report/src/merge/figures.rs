//! The figures of a merge: counts added, histograms decoded and added.

use std::collections::{BTreeMap, BTreeSet};

use measure::{Histogram, MeasureError};

use crate::{
    Audit, Bytes, Connections, Latencies, LatencyEntry, MergeError, Name, NameLatencies, Second, Summary,
    Warmup, sanitized,
};

pub(super) fn audit(summaries: &[Summary]) -> Audit {
    let audits = || summaries.iter().map(|summary| &summary.audit);
    let mut whole = Audit {
        scheduled: sum(audits().map(|audit| audit.scheduled)),
        sent: sum(audits().map(|audit| audit.sent)),
        dropped: sum_maps(audits().map(|audit| &audit.dropped)),
        ok: sum(audits().map(|audit| audit.ok)),
        errors: sum_maps(audits().map(|audit| &audit.errors)),
        cut_off: sum(audits().map(|audit| audit.cut_off)),
        unassigned: sum(audits().map(|audit| audit.unassigned)),
        balanced: false,
    };
    let sums = measure::Audit {
        scheduled: whole.scheduled,
        sent: whole.sent,
        dropped: whole.dropped_total(),
        ok: whole.ok,
        errors: whole.errors_total(),
        cut_off: whole.cut_off,
        unassigned: whole.unassigned,
    };
    // Two parts that do not balance must not make a whole that seems to.
    whole.balanced = sums.balanced() && audits().all(|audit| audit.balanced);
    whole
}

pub(super) fn warmup(summaries: &[Summary]) -> Option<Warmup> {
    summaries.iter().filter_map(|summary| summary.warmup).reduce(|left, right| Warmup {
        scheduled: left.scheduled.saturating_add(right.scheduled),
        sent: left.sent.saturating_add(right.sent),
        dropped: left.dropped.saturating_add(right.dropped),
        ok: left.ok.saturating_add(right.ok),
        errors: left.errors.saturating_add(right.errors),
        cut_off: left.cut_off.saturating_add(right.cut_off),
        unassigned: left.unassigned.saturating_add(right.unassigned),
    })
}

pub(super) fn bytes(summaries: &[Summary]) -> Bytes {
    Bytes {
        sent: sum(summaries.iter().map(|summary| summary.bytes.sent)),
        received: sum(summaries.iter().map(|summary| summary.bytes.received)),
    }
}

pub(super) fn connections(summaries: &[Summary]) -> Connections {
    let all = || summaries.iter().map(|summary| &summary.connections);
    Connections {
        limit: sum(all().map(|one| one.limit)),
        connects: sum(all().map(|one| one.connects)),
        failed: sum(all().map(|one| one.failed)),
        tls_resumed: sum(all().map(|one| one.tls_resumed)),
        closed_idle: sum(all().map(|one| one.closed_idle)),
        unsolicited: sum(all().map(|one| one.unsolicited)),
    }
}

pub(super) fn latencies(summaries: &[Summary]) -> Result<Latencies, MergeError> {
    let merged = |name: &str, pick: fn(&Latencies) -> &LatencyEntry| {
        let entries = summaries.iter().map(|summary| (summary, pick(&summary.latency_ns)));
        entry(&format!("latency_ns.{name}"), entries)
    };
    Ok(Latencies {
        response: merged("response", |all| &all.response)?,
        response_ok: merged("response_ok", |all| &all.response_ok)?,
        service: merged("service", |all| &all.service)?,
        queue: merged("queue", |all| &all.queue)?,
        lag: merged("lag", |all| &all.lag)?,
        connect: merged("connect", |all| &all.connect)?,
        tls: merged("tls", |all| &all.tls)?,
        first_byte: merged("first_byte", |all| &all.first_byte)?,
    })
}

pub(super) fn names(summaries: &[Summary]) -> Result<BTreeMap<String, Name>, MergeError> {
    let keys: BTreeSet<&String> = summaries.iter().flat_map(|summary| summary.names.keys()).collect();
    keys.into_iter().map(|key| Ok((key.clone(), name(summaries, key)?))).collect()
}

fn name(summaries: &[Summary], key: &str) -> Result<Name, MergeError> {
    let all: Vec<(&Summary, &Name)> =
        summaries.iter().filter_map(|summary| Some((summary, summary.names.get(key)?))).collect();
    let merged = |kind: &str, pick: fn(&NameLatencies) -> &LatencyEntry| {
        let entries = all.iter().map(|(summary, name)| (*summary, pick(&name.latency_ns)));
        entry(&format!("names.{key}.latency_ns.{kind}"), entries)
    };
    Ok(Name {
        sent: sum(all.iter().map(|(_, name)| name.sent)),
        ok: sum(all.iter().map(|(_, name)| name.ok)),
        errors: sum_maps(all.iter().map(|(_, name)| &name.errors)),
        cut_off: sum(all.iter().map(|(_, name)| name.cut_off)),
        dropped: sum_maps(all.iter().map(|(_, name)| &name.dropped)),
        status: sum_maps(all.iter().map(|(_, name)| &name.status)),
        latency_ns: NameLatencies {
            response: merged("response", |all| &all.response)?,
            response_ok: merged("response_ok", |all| &all.response_ok)?,
            service: merged("service", |all| &all.service)?,
        },
        tags: super::joined_maps(all.iter().map(|(_, name)| &name.tags)),
    })
}

/// The seconds of all parts, aligned by their number.
pub(super) fn timeline(summaries: &[Summary]) -> Result<Vec<Second>, MergeError> {
    let mut seconds: BTreeMap<u64, Second> = BTreeMap::new();
    for summary in summaries {
        for second in &summary.timeline {
            let place = second.second;
            let failed = |source| damaged(summary, &format!("timeline second {place}"), source);
            match seconds.get_mut(&place) {
                Some(whole) => add_second(whole, second).map_err(failed)?,
                None => {
                    seconds.insert(place, second.clone());
                }
            }
        }
    }
    Ok(seconds.into_values().collect())
}

fn add_second(whole: &mut Second, more: &Second) -> Result<(), MeasureError> {
    for (mine, theirs) in [
        (&mut whole.asked, more.asked),
        (&mut whole.sent, more.sent),
        (&mut whole.ok, more.ok),
        (&mut whole.errors, more.errors),
        (&mut whole.dropped, more.dropped),
        (&mut whole.in_flight, more.in_flight),
        (&mut whole.connections, more.connections),
        (&mut whole.bytes_sent, more.bytes_sent),
        (&mut whole.bytes_received, more.bytes_received),
    ] {
        *mine = mine.saturating_add(theirs);
    }
    whole.asked_micro_tps = match (whole.asked_micro_tps, more.asked_micro_tps) {
        (Some(mine), Some(theirs)) => Some(mine.saturating_add(theirs)),
        (mine, theirs) => mine.or(theirs),
    };
    whole.response_ns = whole.response_ns.merged(&more.response_ns)?;
    whole.lag_ns = whole.lag_ns.merged(&more.lag_ns)?;
    Ok(())
}

/// The entry of all `entries` together.
pub(crate) fn entry<'a>(
    place: &str,
    entries: impl Iterator<Item = (&'a Summary, &'a LatencyEntry)>,
) -> Result<LatencyEntry, MergeError> {
    let mut whole = Histogram::new();
    for (summary, entry) in entries {
        whole.merge(&entry.histogram().map_err(|source| damaged(summary, place, source))?);
    }
    Ok(LatencyEntry::from(&whole))
}

pub(super) fn damaged(summary: &Summary, place: &str, source: MeasureError) -> MergeError {
    MergeError::Histogram { run: sanitized(&summary.run.id), place: place.to_owned(), source }
}

pub(super) fn sum_maps<'a>(maps: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (key, count) in maps.flatten() {
        let sum = sums.entry(key.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    sums
}

fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}
