//! Thresholds: what must hold, such as `p99<50ms`, `error_rate<1%` or `sent_tps>=49900`.
//!
//! What it is: the text form and its parser. What it is not: the evaluation, which is `evaluate.rs`.
//!
//! A threshold is a metric, one of `<`, `<=`, `>`, `>=`, and a limit in the metric's unit:
//!
//! | metric | unit | meaning |
//! |---|---|---|
//! | `p50` … `p99.99`, `p(95)`, `mean`, `min`, `max`, `median` | duration | response time |
//! | `lag_p99`, `queue_…`, `service_…`, `response_ok_…`, `connect_…`, `tls_…`, `first_byte_…` | duration | another latency |
//! | `error_rate` | percent | (errors + cut off) ÷ sent |
//! | `drop_rate` | percent | dropped ÷ scheduled |
//! | `sent_tps`, `completed_tps` | rate | per second of the measured time |
//! | `scheduled`, `sent`, `ok`, `errors`, `dropped`, `cut_off`, `unassigned` | count | |
//! | `checks` | percent | checks that held ÷ checks made |
//! | `iteration_p99` …, `group_p99` … | duration | iterations that came to their end; groups |
//! | `iteration_error_rate` | percent | (failed + cut off) ÷ begun |
//! | `iterations`, `iterations_completed`, `…_failed`, `…_dropped`, `…_cut_off`, `…_scheduled` | count | |
//!
//! Names, windows and aborts around it are in `terms.rs`.
//!
//! Invariant: limits are exact integers; nothing is compared in floating point.

use std::fmt;

use measure::{Latency, Names};
use plan::{PlanError, duration_text, parse_count, parse_duration, parse_millionths, parse_rate, quoted};

use crate::terms::{Kind, Scope, Terms, check_scope, split_terms};

/// Which figure of a latency distribution is meant.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// A percentile, in millionths: 99.9 % is 999,000.
    Percentile(u32),
    /// The arithmetic mean.
    Mean,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

/// A number of arrivals or requests.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Arrivals planned.
    Scheduled,
    /// Requests sent.
    Sent,
    /// Responses that were right.
    Ok,
    /// Requests that failed.
    Errors,
    /// Arrivals never sent, for any reason.
    Dropped,
    /// Requests unfinished when the run ended.
    CutOff,
    /// Arrivals of cells that nobody owned.
    Unassigned,
}

/// A number of iterations.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum IterationTally {
    /// Arrivals planned.
    Scheduled,
    /// Iterations begun.
    Begun,
    /// Iterations that came to their end.
    Completed,
    /// Iterations that ended before their last step.
    Failed,
    /// Arrivals never begun.
    Dropped,
    /// Iterations unfinished when the run ended.
    CutOff,
}

/// What a threshold looks at.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A figure of a latency distribution; nanoseconds.
    Latency(Latency, Statistic),
    /// Failed and cut-off requests among those sent; billionths.
    ErrorRate,
    /// Dropped arrivals among those scheduled; billionths.
    DropRate,
    /// Requests sent per second; millionths.
    SentTps,
    /// Responses and failures per second; millionths.
    CompletedTps,
    /// A count.
    Tally(Tally),
    /// Checks that held among those made; billionths.
    Checks,
    /// Failed and cut-off iterations among those begun; billionths.
    IterationErrorRate,
    /// A number of iterations.
    Iterations(IterationTally),
    /// A figure of the durations of the iterations that came to their end; nanoseconds.
    Iteration(Statistic),
    /// A figure of the durations of groups; nanoseconds.
    Group(Statistic),
}

impl Metric {
    /// By which names it is counted.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Checks => Kind::Check,
            Self::Group(_) => Kind::Group,
            Self::IterationErrorRate | Self::Iterations(_) | Self::Iteration(_) => Kind::Workload,
            _ => Kind::Request,
        }
    }

    /// Whether it is measured for each name by itself.
    const fn is_by_name(self) -> bool {
        match self {
            Self::Latency(latency, _) => {
                matches!(latency, Latency::Response | Latency::ResponseOk | Latency::Service)
            }
            Self::DropRate => false,
            Self::Tally(tally) => !matches!(tally, Tally::Scheduled | Tally::Dropped | Tally::Unassigned),
            _ => true,
        }
    }

    /// Whether it grows with time, so that a part of a run says nothing against a lower limit.
    pub(crate) const fn is_count(self) -> bool {
        matches!(self, Self::Tally(_) | Self::Iterations(_))
    }

    /// Whether it is a rate of requests.
    pub(crate) const fn is_rate(self) -> bool {
        matches!(self, Self::SentTps | Self::CompletedTps)
    }
}

/// How the measured value must stand to the limit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// The comparison as it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }

    /// Whether it is a lower limit.
    pub(crate) const fn is_lower_limit(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// Whether `value` stands to `limit` as it must.
    pub(crate) fn holds<T: Ord>(self, value: &T, limit: &T) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
        }
    }
}

/// Something that must hold for the run to pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// The text as the user wrote it, without spaces in the comparison.
    pub text: String,
    /// What is looked at.
    pub metric: Metric,
    /// How it must stand to the limit.
    pub comparison: Comparison,
    /// The limit, in the metric's unit: nanoseconds, billionths, millionths per second, or a count.
    pub limit: u64,
    /// Whom it is about, and when it is judged.
    pub terms: Terms,
}

const EXAMPLES: &str = "e.g. p99<50ms, error_rate<1%, sent_tps>=49900, dropped<1";

impl Threshold {
    /// Reads a threshold.
    pub fn parse(written: &str) -> Result<Self, PlanError> {
        let (terms, condition) = split_terms(written)?;
        Self::new(&condition, terms)
    }

    /// A threshold from its comparison, such as `p99<50ms`, and the words around it.
    pub fn new(condition: &str, terms: Terms) -> Result<Self, PlanError> {
        let condition: String = condition.chars().filter(|character| *character != ' ').collect();
        if condition.is_empty() {
            return Err(PlanError::new("the threshold is empty: is a variable unset?", EXAMPLES));
        }
        let (metric_text, comparison, limit_text) = split(&condition)?;
        let metric = parse_metric(metric_text)?;
        let limit = parse_limit(&condition, metric, limit_text)?;
        let text = format!("{}{condition}{terms}", terms.scope);
        let threshold = Self { text, metric, comparison, limit, terms };
        threshold.check_terms()?;
        Ok(threshold)
    }

    /// An error when the plan has none of the names that the threshold is about.
    pub fn check_names(&self, names: &Names) -> Result<(), PlanError> {
        let kind = self.metric.kind();
        if self.terms.scope == Scope::Run && kind == Kind::Request {
            return Ok(());
        }
        check_scope(&self.terms.scope, &self.text, kind.name(), kind.of(names))
    }

    /// Whether the words around the comparison suit it.
    fn check_terms(&self) -> Result<(), PlanError> {
        let refuse =
            |what: &str, fix: &str| Err(PlanError::new(format!("in {}: {what}", quoted(&self.text)), fix));
        let is_named = self.terms.scope != Scope::Run;
        if is_named && !self.metric.is_by_name() {
            return refuse(
                "this is not measured by name",
                "p99, service_p99, error_rate, sent, ok, errors …",
            );
        }
        if !is_named && matches!(self.metric, Metric::Group(_)) {
            return refuse("which group?", "e.g. checkout: group_p99<2s");
        }
        if self.terms.grace_s > 0 && !self.terms.is_watched() {
            return refuse("grace is for what is judged during the run", "add over 10s, or abort");
        }
        let early = self.terms.is_watched() && self.terms.over_s.is_none();
        if early && self.comparison.is_lower_limit() && self.metric.is_count() {
            return refuse(
                "a count that still grows would end the run at once",
                "leave abort away, or add over 10s",
            );
        }
        Ok(())
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Takes a threshold apart at its comparison.
fn split(text: &str) -> Result<(&str, Comparison, &str), PlanError> {
    let Some(at) = text.find(['<', '>', '=', '≤', '≥', '!']) else {
        return Err(PlanError::new(format!("{} compares nothing", quoted(text)), EXAMPLES));
    };
    let (metric, rest) = text.split_at(at);
    for (symbol, comparison) in [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("≤", Comparison::AtMost),
        ("≥", Comparison::AtLeast),
        ("<", Comparison::Below),
        (">", Comparison::Above),
    ] {
        if let Some(limit) = rest.strip_prefix(symbol) {
            return Ok((metric, comparison, limit));
        }
    }
    Err(PlanError::new(
        format!("{} compares in a way that thresholds do not know", quoted(text)),
        "one of <, <=, >, >=; for \"none\" write dropped<1",
    ))
}

/// The latencies by the prefix that names them; the bare figure is the response time.
const LATENCIES: &[(&str, Latency)] = &[
    ("response_ok_", Latency::ResponseOk),
    ("response_", Latency::Response),
    ("first_byte_", Latency::FirstByte),
    ("service_", Latency::Service),
    ("connect_", Latency::Connect),
    ("queue_", Latency::Queue),
    ("lag_", Latency::Lag),
    ("tls_", Latency::Tls),
    ("", Latency::Response),
];

fn parse_metric(text: &str) -> Result<Metric, PlanError> {
    let metric = match text {
        "error_rate" => Some(Metric::ErrorRate),
        "drop_rate" => Some(Metric::DropRate),
        "sent_tps" => Some(Metric::SentTps),
        "completed_tps" => Some(Metric::CompletedTps),
        "scheduled" => Some(Metric::Tally(Tally::Scheduled)),
        "sent" => Some(Metric::Tally(Tally::Sent)),
        "ok" => Some(Metric::Tally(Tally::Ok)),
        "errors" => Some(Metric::Tally(Tally::Errors)),
        "dropped" => Some(Metric::Tally(Tally::Dropped)),
        "cut_off" => Some(Metric::Tally(Tally::CutOff)),
        "unassigned" => Some(Metric::Tally(Tally::Unassigned)),
        _ => parse_journey_metric(text)?,
    };
    if let Some(metric) = metric {
        return Ok(metric);
    }
    let (name, latency) = LATENCIES
        .iter()
        .find_map(|&(prefix, latency)| text.strip_prefix(prefix).map(|name| (name, latency)))
        .expect("the last prefix is empty");
    parse_statistic(name)?.map(|statistic| Metric::Latency(latency, statistic)).ok_or_else(|| {
        let fix = match text {
            "errors_rate" | "failure_rate" | "http_req_failed" | "fail_rate" => "error_rate",
            "http_req_duration" | "latency" | "response" | "response_time" => {
                "a figure of it, e.g. p99 or mean"
            }
            "tps" | "rps" | "rate" | "qps" => "sent_tps or completed_tps",
            _ => {
                "p99, mean, min, max (also lag_p99, service_p99, …), error_rate, drop_rate, sent_tps, \
                  completed_tps, sent, ok, errors, dropped, cut_off or unassigned"
            }
        };
        PlanError::new(format!("{} is not a metric", quoted(text)), fix)
    })
}

/// The metrics of plans with scenarios; `None` when the text is none of them.
fn parse_journey_metric(text: &str) -> Result<Option<Metric>, PlanError> {
    Ok(match text {
        "checks" => Some(Metric::Checks),
        "iteration_error_rate" => Some(Metric::IterationErrorRate),
        "iterations" | "iterations_begun" => Some(Metric::Iterations(IterationTally::Begun)),
        "iterations_scheduled" => Some(Metric::Iterations(IterationTally::Scheduled)),
        "iterations_completed" => Some(Metric::Iterations(IterationTally::Completed)),
        "iterations_failed" => Some(Metric::Iterations(IterationTally::Failed)),
        "iterations_dropped" => Some(Metric::Iterations(IterationTally::Dropped)),
        "iterations_cut_off" => Some(Metric::Iterations(IterationTally::CutOff)),
        _ => {
            if let Some(name) = text.strip_prefix("iteration_") {
                parse_statistic(name)?.map(Metric::Iteration)
            } else if let Some(name) = text.strip_prefix("group_") {
                parse_statistic(name)?.map(Metric::Group)
            } else {
                None
            }
        }
    })
}

/// Reads `mean`, `p99`, `p(99.9)` …; `None` when the text is nothing of the kind.
fn parse_statistic(name: &str) -> Result<Option<Statistic>, PlanError> {
    Ok(match name {
        "mean" | "avg" => Some(Statistic::Mean),
        "median" | "med" => Some(Statistic::Percentile(500_000)),
        "min" => Some(Statistic::Min),
        "max" => Some(Statistic::Max),
        _ => {
            let Some(number) = name.strip_prefix('p') else { return Ok(None) };
            let number = number.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(number);
            if !number.starts_with(|first: char| first.is_ascii_digit()) {
                return Ok(None);
            }
            Some(parse_percentile(number)?)
        }
    })
}

/// Reads the number of a percentile: `99`, `99.9`, also `99_9` as the summary spells it.
fn parse_percentile(number: &str) -> Result<Statistic, PlanError> {
    let wrong = || {
        PlanError::new(format!("\"p{number}\" is not a percentile"), "above p0 and below p100, e.g. p99.9")
    };
    let micro_percent = parse_millionths(&number.replace('_', ".")).ok_or_else(wrong)?;
    match u32::try_from(micro_percent / 100) {
        Ok(1_000_000) if micro_percent % 100 == 0 => {
            Err(PlanError::new("\"p100\" is the largest value", "max"))
        }
        Ok(millionths @ 1..1_000_000) if micro_percent % 100 == 0 => Ok(Statistic::Percentile(millionths)),
        _ => Err(wrong()),
    }
}

/// Reads the limit in the metric's unit.
fn parse_limit(text: &str, metric: Metric, limit: &str) -> Result<u64, PlanError> {
    let in_threshold = |mut error: PlanError| {
        error.what = format!("in {}: {}", quoted(text), error.what);
        error
    };
    match metric {
        Metric::Latency(..) | Metric::Iteration(_) | Metric::Group(_) => {
            parse_duration(limit).map_err(|error| {
                // k6 writes p(95)<200 and means milliseconds; here the unit is written.
                if limit.parse::<f64>().is_ok() {
                    PlanError::new(
                        format!("the limit of {} has no unit", quoted(text)),
                        format!("{limit}ms (or s, us)"),
                    )
                } else {
                    in_threshold(error)
                }
            })
        }
        Metric::ErrorRate | Metric::DropRate | Metric::Checks | Metric::IterationErrorRate => {
            parse_share(text, limit)
        }
        Metric::SentTps | Metric::CompletedTps => {
            parse_rate(limit).map(plan::Rate::as_micro).map_err(in_threshold)
        }
        Metric::Tally(_) => parse_count(limit, "requests", "dropped<1").map_err(in_threshold),
        Metric::Iterations(_) => {
            parse_count(limit, "iterations", "iterations_failed<1").map_err(in_threshold)
        }
    }
}

/// Reads a percentage as billionths of the whole.
fn parse_share(text: &str, limit: &str) -> Result<u64, PlanError> {
    let Some(number) = limit.strip_suffix('%') else {
        return Err(PlanError::new(
            format!("the limit of {} is not a percentage", quoted(text)),
            "e.g. error_rate<1% or error_rate<0.1%",
        ));
    };
    // A millionth of a percent is ten billionths of the whole.
    match parse_millionths(number) {
        Some(micro_percent @ 0..=100_000_000) => Ok(micro_percent * 10),
        _ => Err(PlanError::new(
            format!("the limit of {} is not a percentage", quoted(text)),
            "0% to 100%, e.g. error_rate<1%",
        )),
    }
}

/// A limit or a value of `metric`, written for people.
pub(crate) fn value_text(metric: Metric, value: u64) -> String {
    match metric {
        Metric::Latency(..) | Metric::Iteration(_) | Metric::Group(_) => {
            duration_text(cut_to_four_digits(value))
        }
        Metric::ErrorRate | Metric::DropRate | Metric::Checks | Metric::IterationErrorRate => {
            format!("{}%", trimmed(value, 10_000_000, 7))
        }
        Metric::SentTps | Metric::CompletedTps => trimmed(value / 10_000, 100, 2),
        Metric::Tally(_) | Metric::Iterations(_) => value.to_string(),
    }
}

/// `value` ÷ `unit` with up to `digits` decimal digits.
fn trimmed(value: u64, unit: u64, digits: usize) -> String {
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Keeps four significant digits, which is what the histograms can tell.
pub(crate) fn cut_to_four_digits(ns: u64) -> u64 {
    let unit = 10_u64.pow(ns.checked_ilog10().unwrap_or(0).saturating_sub(3));
    ns / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn right_thresholds() {
        use Comparison::{Above, AtLeast, AtMost, Below};
        let response = |statistic| Metric::Latency(Latency::Response, statistic);
        for (text, metric, comparison, limit) in [
            ("p99<50ms", response(Statistic::Percentile(990_000)), Below, 50 * MS),
            ("p(95) < 200ms", response(Statistic::Percentile(950_000)), Below, 200 * MS),
            ("p99.9<=1s", response(Statistic::Percentile(999_000)), AtMost, 1_000 * MS),
            ("p99_99≤1s", response(Statistic::Percentile(999_900)), AtMost, 1_000 * MS),
            ("p50>1us", response(Statistic::Percentile(500_000)), Above, 1_000),
            ("median<1ms", response(Statistic::Percentile(500_000)), Below, MS),
            ("mean<1.5ms", response(Statistic::Mean), Below, 1_500_000),
            ("max<2s", response(Statistic::Max), Below, 2_000 * MS),
            ("response_min>=0s", response(Statistic::Min), AtLeast, 0),
            ("lag_p99<1ms", Metric::Latency(Latency::Lag, Statistic::Percentile(990_000)), Below, MS),
            (
                "service_p99<5ms",
                Metric::Latency(Latency::Service, Statistic::Percentile(990_000)),
                Below,
                5 * MS,
            ),
            ("response_ok_mean<5ms", Metric::Latency(Latency::ResponseOk, Statistic::Mean), Below, 5 * MS),
            ("first_byte_max<5ms", Metric::Latency(Latency::FirstByte, Statistic::Max), Below, 5 * MS),
            ("error_rate<1%", Metric::ErrorRate, Below, 10_000_000),
            ("error_rate<=0.001%", Metric::ErrorRate, AtMost, 10_000),
            ("drop_rate<100%", Metric::DropRate, Below, 1_000_000_000),
            ("sent_tps>=49900", Metric::SentTps, AtLeast, 49_900_000_000),
            ("completed_tps>6k/m", Metric::CompletedTps, Above, 100_000_000),
            ("dropped<1", Metric::Tally(Tally::Dropped), Below, 1),
            ("sent>=10k", Metric::Tally(Tally::Sent), AtLeast, 10_000),
        ] {
            let threshold = Threshold::parse(text).expect(text);
            assert_eq!(
                (threshold.metric, threshold.comparison, threshold.limit),
                (metric, comparison, limit),
                "{text}"
            );
        }
    }

    #[test]
    fn wrong_thresholds_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "is empty"),
            ("p99", "compares nothing → e.g. p99<50ms"),
            ("p99=50ms", "one of <, <=, >, >="),
            ("dropped==0", "dropped<1"),
            ("p99!=50ms", "one of <, <=, >, >="),
            ("p99<50", "has no unit → 50ms"),
            ("p(95)<200", "→ 200ms"),
            ("p99<50sec", "in \"p99<50sec\": \"50sec\" is not a duration → 50s"),
            ("p99<", "is empty"),
            ("p100<1s", "→ max"),
            ("p0<1s", "is not a percentile"),
            ("p101<1s", "is not a percentile"),
            ("p99.99999<1s", "is not a percentile"),
            ("p9k<1s", "is not a percentile"),
            ("q99<1s", "\"q99\" is not a metric"),
            ("p<1s", "is not a metric"),
            ("http_req_duration<1s", "a figure of it"),
            ("http_req_failed<1%", "→ error_rate"),
            ("rps>100", "sent_tps or completed_tps"),
            ("lag_<1ms", "is not a metric"),
            ("<5ms", "is not a metric"),
            ("error_rate<1", "is not a percentage → e.g. error_rate<1%"),
            ("error_rate<0.01", "is not a percentage"),
            ("error_rate<101%", "0% to 100%"),
            ("error_rate<1k%", "0% to 100%"),
            ("error_rate<-1%", "0% to 100%"),
            ("sent_tps>=fast", "is not a rate"),
            ("dropped<1ms", "is not a number of requests"),
            ("dropped<0.5", "is not a whole number"),
            ("dropped<-1", "is not a number of requests"),
            ("checks>99", "is not a percentage"),
            ("iteration_q<1s", "is not a metric"),
            ("iterations<1s", "is not a number of iterations"),
            ("group_p99<1s", "which group? → e.g. checkout: group_p99<2s"),
            (": p99<1s", "the name before the colon is empty"),
            ("tag kind: p99<1s", "\"kind\" is no label and value"),
            ("login: lag_p99<1s", "this is not measured by name"),
            ("login: drop_rate<1%", "this is not measured by name"),
            ("p99<1s over", "\"over\" lacks its duration"),
            ("p99<1s over 1500ms", "is not whole seconds"),
            ("p99<1s over 2h", "up to an hour"),
            ("p99<1s grace 5s", "grace is for what is judged during the run"),
            ("p99<1s over 5s please", "\"please\" means nothing"),
            ("sent>=10 abort", "would end the run at once"),
        ] {
            let message = Threshold::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }

    #[test]
    fn words_around_a_comparison_are_kept_in_one_order() {
        for (written, text, scope, over_s, grace_s, abort) in [
            ("p99 < 50ms", "p99<50ms", Scope::Run, None, 0, false),
            (
                "GET http://a/: p(95) < 1s",
                "GET http://a/: p(95)<1s",
                Scope::Name("GET http://a/".into()),
                None,
                0,
                false,
            ),
            (
                "a b: p99<1s abort grace 5s over 1m",
                "a b: p99<1s over 1m grace 5s abort",
                Scope::Name("a b".into()),
                Some(60),
                5,
                true,
            ),
            (
                "tag kind=write: errors<1 over 10s",
                "tag kind=write: errors<1 over 10s",
                Scope::Tag { key: "kind".into(), value: "write".into() },
                Some(10),
                0,
                false,
            ),
        ] {
            let threshold = Threshold::parse(written).expect(written);
            assert_eq!(threshold.text, text);
            assert_eq!(threshold.terms, Terms { scope, over_s, grace_s, abort }, "{written}");
            assert_eq!(Threshold::parse(text), Ok(threshold), "the text reads back");
        }
    }

    #[test]
    fn values_read_well() {
        let p99 = Metric::Latency(Latency::Response, Statistic::Percentile(990_000));
        for (metric, value, text) in [
            (p99, 51_234_567, "51.23ms"),
            (p99, 999, "999ns"),
            (p99, 0, "0s"),
            (Metric::ErrorRate, 10_000_000, "1%"),
            (Metric::ErrorRate, 12_345, "0.0012345%"),
            (Metric::SentTps, 49_899_999_999, "49899.99"),
            (Metric::Tally(Tally::Dropped), 12, "12"),
        ] {
            assert_eq!(value_text(metric, value), text);
        }
    }
}
