//! Histograms of documents, read by another implementation than the product's.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use serde_json::Value;

use crate::document::text;

/// The buckets of the latency at a pointer, by value: how many samples each has.
///
/// # Panics
/// When there is no histogram.
#[track_caller]
pub fn buckets(document: &Value, pointer: &str) -> BTreeMap<u64, u64> {
    let bytes = STANDARD.decode(text(document, &format!("{pointer}/hdr"))).expect("base64");
    let histogram: hdrhistogram::Histogram<u64> =
        Deserializer::new().deserialize(&mut &bytes[..]).expect("an HDR histogram");
    let recorded = histogram.iter_recorded();
    recorded.map(|bucket| (bucket.value_iterated_to(), bucket.count_since_last_iteration())).collect()
}

/// The buckets of several histograms together.
pub fn pooled(parts: impl IntoIterator<Item = BTreeMap<u64, u64>>) -> BTreeMap<u64, u64> {
    let mut pool = BTreeMap::new();
    for (value, count) in parts.into_iter().flatten() {
        *pool.entry(value).or_default() += count;
    }
    pool
}
