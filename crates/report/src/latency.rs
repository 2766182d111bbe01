//! Latencies as they stand in documents, and the way back to histograms.
//!
//! What it is: figures for people and dashboards beside the histogram that makes them mergeable.
//! What it is not: an average of averages; whatever combines two entries decodes and adds their histograms.
//!
//! Invariant: an entry is a function of its histogram, so that merging entries in any order gives the same entry.
//! Units: nanoseconds.

use measure::{Exact, Histogram, Latency, MeasureError, Totals};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The distribution of one latency, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyEntry {
    /// Values measured.
    pub count: u64,
    /// Exact sum of the values; it may exceed 2^53.
    pub sum: u128,
    /// Exact least value; 0 when nothing was measured.
    pub min: u64,
    /// Exact mean.
    pub mean: f64,
    /// Standard deviation of the whole population, to the resolution of the histogram.
    pub stddev: f64,
    /// Median; this and the other percentiles to 3 significant digits.
    pub p50: u64,
    /// 75th percentile.
    pub p75: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p99_9: u64,
    /// 99.99th percentile.
    pub p99_99: u64,
    /// Exact greatest value.
    pub max: u64,
    /// The histogram: base64 of HDR V2 + deflate, lowest value 1 ns, 3 significant digits.
    pub hdr: String,
}

impl From<&Histogram> for LatencyEntry {
    fn from(histogram: &Histogram) -> Self {
        Self {
            count: histogram.count(),
            sum: histogram.sum_ns(),
            min: histogram.min_ns(),
            mean: histogram.mean_ns(),
            stddev: histogram.stddev_ns(),
            p50: histogram.value_at_quantile(0.50),
            p75: histogram.value_at_quantile(0.75),
            p90: histogram.value_at_quantile(0.90),
            p95: histogram.value_at_quantile(0.95),
            p99: histogram.value_at_quantile(0.99),
            p99_9: histogram.value_at_quantile(0.999),
            p99_99: histogram.value_at_quantile(0.9999),
            max: histogram.max_ns(),
            hdr: histogram.encode(),
        }
    }
}

impl LatencyEntry {
    /// The histogram behind the figures; an error when the two contradict each other.
    pub fn histogram(&self) -> Result<Histogram, MeasureError> {
        let exact = Exact { count: self.count, sum_ns: self.sum, min_ns: self.min, max_ns: self.max };
        Histogram::decode(&self.hdr, exact)
    }
}

/// All latencies of a run or of an interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latencies {
    /// Intended send time to the last response byte or to the failure: what a user would feel.
    pub response: LatencyEntry,
    /// The response time of the exchanges that succeeded.
    pub response_ok: LatencyEntry,
    /// Actual send to the last response byte.
    pub service: LatencyEntry,
    /// The shard getting to an arrival to the actual send: waiting for a connection.
    pub queue: LatencyEntry,
    /// Intended send time to the shard getting to it: the generator's own lateness.
    pub lag: LatencyEntry,
    /// TCP connect.
    pub connect: LatencyEntry,
    /// TLS handshake.
    pub tls: LatencyEntry,
    /// Actual send to the first response byte.
    pub first_byte: LatencyEntry,
}

impl From<&Totals> for Latencies {
    fn from(totals: &Totals) -> Self {
        let entry = |latency| LatencyEntry::from(&totals.latency(latency));
        Self {
            response: entry(Latency::Response),
            response_ok: entry(Latency::ResponseOk),
            service: entry(Latency::Service),
            queue: entry(Latency::Queue),
            lag: entry(Latency::Lag),
            connect: entry(Latency::Connect),
            tls: entry(Latency::Tls),
            first_byte: entry(Latency::FirstByte),
        }
    }
}

impl Latencies {
    /// The entry of one latency.
    pub fn get(&self, latency: Latency) -> &LatencyEntry {
        match latency {
            Latency::Response => &self.response,
            Latency::ResponseOk => &self.response_ok,
            Latency::Service => &self.service,
            Latency::Queue => &self.queue,
            Latency::Lag => &self.lag,
            Latency::Connect => &self.connect,
            Latency::Tls => &self.tls,
            Latency::FirstByte => &self.first_byte,
        }
    }
}

/// The distribution of one latency in one second of the timeline, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecondLatency {
    /// Values measured.
    pub count: u64,
    /// Exact sum of the values.
    pub sum: u128,
    /// Exact least value.
    pub min: u64,
    /// Exact greatest value.
    pub max: u64,
    /// Median; absent, like the other percentiles, where parts without histograms were merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<u64>,
    /// 90th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<u64>,
    /// 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<u64>,
    /// 99.9th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_9: Option<u64>,
    /// The histogram, as in `latency_ns`; absent where the run is too long to keep one for each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdr: Option<String>,
}

impl SecondLatency {
    /// The entry of `histogram`, with the histogram itself when `keep_histogram`.
    pub fn new(histogram: &Histogram, keep_histogram: bool) -> Self {
        Self {
            count: histogram.count(),
            sum: histogram.sum_ns(),
            min: histogram.min_ns(),
            max: histogram.max_ns(),
            p50: Some(histogram.value_at_quantile(0.50)),
            p90: Some(histogram.value_at_quantile(0.90)),
            p99: Some(histogram.value_at_quantile(0.99)),
            p99_9: Some(histogram.value_at_quantile(0.999)),
            hdr: keep_histogram.then(|| histogram.encode()),
        }
    }

    /// The histogram behind the figures, if it was kept. A second without values needs none.
    pub fn histogram(&self) -> Result<Option<Histogram>, MeasureError> {
        if self.count == 0 {
            return Ok(Some(Histogram::new()));
        }
        let exact = Exact { count: self.count, sum_ns: self.sum, min_ns: self.min, max_ns: self.max };
        self.hdr.as_deref().map(|text| Histogram::decode(text, exact)).transpose()
    }

    /// The entry of both together: from the histograms where both have one, else without percentiles.
    pub fn merged(&self, other: &Self) -> Result<Self, MeasureError> {
        if let (Some(mut sum), Some(more)) = (self.histogram()?, other.histogram()?) {
            sum.merge(&more);
            return Ok(Self::new(&sum, true));
        }
        let (min, max) = match (self.count, other.count) {
            (0, _) => (other.min, other.max),
            (_, 0) => (self.min, self.max),
            _ => (self.min.min(other.min), self.max.max(other.max)),
        };
        let count = self.count.saturating_add(other.count);
        let sum = self.sum.saturating_add(other.sum);
        Ok(Self { count, sum, min, max, ..Self::default() })
    }
}
