//! What a run shows while it lasts: three lines that are redrawn, or one plain line from time to time.
//!
//! What it is: text for one moment. What it is not: a terminal; it moves no cursor.
//!
//! Invariants: no line is longer than the columns that it was given; every figure says whether it is of the last
//! second or of the whole run.

use std::fmt::Write;

use super::numbers::{clock, cores, count, nanoseconds, percent, rate};
use super::style::{Style, Tint, width};

/// A moment of a run. Counts are of the whole run, rates and percentiles of the last second.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; none excludes another")]
pub struct Live<'a> {
    /// The run's id.
    pub run_id: &'a str,
    /// What is loaded.
    pub target: &'a str,
    /// The I/O driver.
    pub driver: &'a str,
    /// Cores that send load.
    pub cores: u32,
    /// Whether this is the warm-up.
    pub warmup: bool,
    /// Seconds since the begin.
    pub elapsed_s: u64,
    /// Seconds that the plan lasts; `None` when a count ends it.
    pub duration_s: Option<u64>,
    /// Arrivals per second asked for now; none where there are users alone.
    pub asked_tps: Option<f64>,
    /// Whether an arrival is an iteration of several requests.
    pub asked_iterations: bool,
    /// Users that the plan has now.
    pub users: u64,
    /// Requests per second sent in the last second.
    pub sent_tps: f64,
    /// Arrivals due so far.
    pub scheduled: u64,
    /// Requests sent so far.
    pub sent: u64,
    /// Exchanges that succeeded so far.
    pub ok: u64,
    /// Exchanges that failed so far.
    pub errors: u64,
    /// Arrivals given up so far.
    pub dropped: u64,
    /// Exchanges in flight now.
    pub in_flight: u64,
    /// Arrivals waiting for a connection now.
    pub waiting: u64,
    /// Response time percentiles of the last second.
    pub p50_ns: u64,
    /// 99th.
    pub p99_ns: u64,
    /// 99.9th.
    pub p99_9_ns: u64,
    /// The greatest response time of the last second.
    pub max_ns: u64,
    /// 99th percentile of schedule lag in the last second.
    pub lag_p99_ns: u64,
    /// Whether the generator has been on time in the last second.
    pub on_time: bool,
    /// Requests sent in each of the last seconds, the latest last.
    pub history: &'a [u64],
    /// Request names, in the order in which they are shown.
    pub names: &'a [LiveName<'a>],
    /// Whether the terminal hands out keys.
    pub keys: bool,
}

/// A request name at one moment.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveName<'a> {
    /// The name.
    pub name: &'a str,
    /// Requests sent so far.
    pub sent: u64,
    /// Exchanges that failed so far.
    pub errors: u64,
    /// Requests sent in the last second.
    pub sent_tps: u64,
    /// 99th percentile of the response time in the last second.
    pub p99_ns: u64,
}

/// Bars of the sparkline in the last seconds.
const HISTORY_MAX: usize = 24;
/// Cells of the bar that shows how much of the time is over.
const BAR: u64 = 10;

/// The lines to draw, without line ends.
pub fn live_lines(live: &Live<'_>, style: Style, columns: usize) -> Vec<String> {
    let mut first = format!(
        "run {}  {}  asked {}  {} {}  {}",
        style.foreign(live.run_id),
        style.foreign(live.target),
        asked(live),
        cores(live.cores),
        style.foreign(live.driver),
        times(live)
    );
    if let Some(done) = live.duration_s.filter(|duration| *duration > 0) {
        let permille = (live.elapsed_s.min(done)) * 1_000 / done;
        let full = usize::try_from(permille * BAR / 1_000).unwrap_or(0);
        let (on, off) = (style.pick("▇", "#"), style.pick("▁", "."));
        let bar = on.repeat(full) + &off.repeat(usize::try_from(BAR).unwrap_or(0) - full);
        let _ = write!(first, " {bar} {} %", permille / 10);
    }
    if live.warmup {
        first.push_str("  warm-up");
    }
    let second = format!(
        "sent {} of {} ({})  ok {}  errors {} ({})  dropped {}  in flight {}  waiting {}",
        count(live.sent),
        count(live.scheduled),
        rate(live.sent_tps),
        count(live.ok),
        count(live.errors),
        percent(live.errors, live.sent),
        count(live.dropped),
        count(live.in_flight),
        count(live.waiting)
    );
    let lag = format!(
        "lag p99 {} {}",
        nanoseconds(style, live.lag_p99_ns),
        if live.on_time { "on time" } else { "LATE" }
    );
    let third = format!("{}  last second: {}  ", sparkline(live.history, style), percentiles(live, style));
    let third_plain = style.fitted(&format!("{third}{lag}"), columns);
    // The colour goes on last, so that it takes no columns.
    let tint = if live.on_time { Tint::Good } else { Tint::Doubtful };
    let third = third_plain.replace(&lag, &style.tint(tint, &lag));
    let mut lines = vec![style.fitted(&first, columns), style.fitted(&second, columns), third];
    lines.extend(name_lines(live.names, style, columns));
    if live.keys {
        lines.push(style.fitted("keys: + a tenth more, - a tenth back, q stop", columns));
    }
    lines
}

/// What is asked for, in words.
fn asked(live: &Live<'_>) -> String {
    let unit = if live.asked_iterations { " iterations" } else { "" };
    let rate = live.asked_tps.map(|tps| format!("{}{unit}", rate(tps)));
    let users = (live.users > 0).then(|| format!("{} users", count(live.users)));
    let parts: Vec<String> = rate.into_iter().chain(users).collect();
    if parts.is_empty() { "nothing now".to_owned() } else { parts.join(" + ") }
}

/// A table of names: the same columns whatever the figures.
fn name_lines(names: &[LiveName<'_>], style: Style, columns: usize) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    let room = columns.saturating_sub(48).clamp(12, 40);
    let row = |name: &str, cells: [String; 4]| {
        let name = style.fitted(&style.foreign(name), room);
        let padding = " ".repeat(room.saturating_sub(width(&name)));
        let [sent, now, errors, p99] = cells;
        style.fitted(&format!("{name}{padding}{sent:>14}{now:>12}{errors:>10}{p99:>11}"), columns)
    };
    let head = row("name", ["sent", "last second", "errors", "p99"].map(str::to_owned));
    let rows = names.iter().map(|one| {
        let cells = [count(one.sent), count(one.sent_tps), count(one.errors), nanoseconds(style, one.p99_ns)];
        row(one.name, cells)
    });
    std::iter::once(head).chain(rows).collect()
}

/// One plain line for logs, without a line end: no colour, no control codes.
pub fn progress_line(live: &Live<'_>, style: Style) -> String {
    let style = Style { colour: false, ..style };
    format!(
        "{}{} asked {} sent {} ({}) ok {} errors {} dropped {} in flight {} | last second: {} lag p99 {}{}",
        times(live),
        if live.warmup { " warm-up" } else { "" },
        count(live.scheduled),
        count(live.sent),
        rate(live.sent_tps),
        count(live.ok),
        count(live.errors),
        count(live.dropped),
        count(live.in_flight),
        percentiles(live, style),
        nanoseconds(style, live.lag_p99_ns),
        if live.on_time { "" } else { " LATE" }
    )
}

fn times(live: &Live<'_>) -> String {
    match live.duration_s {
        Some(duration) => format!("{}/{}", clock(live.elapsed_s), clock(duration)),
        None => clock(live.elapsed_s),
    }
}

fn percentiles(live: &Live<'_>, style: Style) -> String {
    format!(
        "p50 {} p99 {} p99.9 {} max {}",
        nanoseconds(style, live.p50_ns),
        nanoseconds(style, live.p99_ns),
        nanoseconds(style, live.p99_9_ns),
        nanoseconds(style, live.max_ns)
    )
}

/// The latest values as bars, from nothing to the greatest of them.
fn sparkline(values: &[u64], style: Style) -> String {
    let bars: &[char] = if style.utf8 {
        &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    } else {
        &['_', '.', '-', '=', '#']
    };
    let shown = &values[values.len().saturating_sub(HISTORY_MAX)..];
    let greatest = u128::from(shown.iter().copied().max().unwrap_or(0).max(1));
    let steps = (bars.len() - 1) as u128;
    shown
        .iter()
        .map(|value| {
            let step = (u128::from(*value) * steps + greatest / 2) / greatest;
            bars[usize::try_from(step).unwrap_or(0).min(bars.len() - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTF8: Style = Style { utf8: true, colour: false };

    fn live() -> Live<'static> {
        Live {
            run_id: "a1f3",
            target: "https://stage.example/api",
            driver: "io_uring",
            cores: 4,
            elapsed_s: 72,
            duration_s: Some(300),
            asked_tps: Some(50_000.0),
            sent_tps: 49_998.0,
            scheduled: 3_600_000,
            sent: 3_599_981,
            ok: 3_599_102,
            errors: 301,
            dropped: 19,
            in_flight: 578,
            p50_ns: 800_000,
            p99_ns: 3_100_000,
            p99_9_ns: 9_800_000,
            max_ns: 41_000_000,
            lag_p99_ns: 60_000,
            on_time: true,
            history: &[50_000, 50_000, 25_000, 0, 50_000],
            ..Live::default()
        }
    }

    #[test]
    fn three_lines_say_everything() {
        let expected = [
            "run a1f3  https://stage.example/api  asked 50,000/s  4 cores io_uring  01:12/05:00 ▇▇▁▁▁▁▁▁▁▁ 24 %",
            "sent 3,599,981 of 3,600,000 (49,998/s)  ok 3,599,102  errors 301 (0.008 %)  dropped 19  in flight 578  \
             waiting 0",
            "██▅▁█  last second: p50 800 µs p99 3.10 ms p99.9 9.80 ms max 41.0 ms  lag p99 60.0 µs on time",
        ];
        assert_eq!(live_lines(&live(), UTF8, 120), expected);
    }

    #[test]
    fn names_and_keys_stand_below_and_a_plan_asks_for_iterations() {
        let names = [
            LiveName {
                name: "GET /orders/{{id}}",
                sent: 12_000,
                errors: 3,
                sent_tps: 100,
                p99_ns: 3_100_000,
            },
            LiveName { name: "lo\x1bgin", sent: 900, errors: 0, sent_tps: 0, p99_ns: 0 },
        ];
        let live = Live { names: &names, keys: true, asked_iterations: true, users: 4, ..live() };
        let lines = live_lines(&live, UTF8, 100);
        assert!(lines[0].contains("asked 50,000/s iterations + 4 users"), "{}", lines[0]);
        assert_eq!(lines.len(), 7);
        assert_eq!(
            lines[4],
            "GET /orders/{{id}}                              12,000         100         3    3.10 ms"
        );
        assert!(!lines[5].contains(char::is_control), "{:?}", lines[5]);
        assert_eq!(lines[6], "keys: + a tenth more, - a tenth back, q stop");
        for columns in [20, 60, 200] {
            assert!(live_lines(&live, UTF8, columns).iter().all(|line| width(line) <= columns));
        }
        let users = Live { asked_tps: None, ..live.clone() };
        assert!(live_lines(&users, UTF8, 100)[0].contains("asked 4 users"), "users have no rate");
    }

    #[test]
    fn lines_fit_and_stay_ascii_where_they_must() {
        let hostile =
            Live { run_id: "x\x1b[2J", target: "https://ex\u{e4}mple/\r\n", on_time: false, ..live() };
        for columns in [20, 60, 100] {
            for line in live_lines(&hostile, Style::default(), columns) {
                assert!(line.is_ascii() && !line.contains(char::is_control), "{line:?}");
                assert!(width(&line) <= columns, "{line:?}");
            }
        }
        assert!(live_lines(&hostile, UTF8, 120)[2].ends_with("lag p99 60.0 µs LATE"));
        let coloured = live_lines(&live(), Style { colour: true, utf8: true }, 120);
        assert!(coloured[2].ends_with("\x1b[32mlag p99 60.0 µs on time\x1b[0m"));
    }

    #[test]
    fn the_progress_line_is_plain() {
        let line = progress_line(
            &Live { warmup: true, duration_s: None, ..live() },
            Style { colour: true, utf8: false },
        );
        assert_eq!(
            line,
            "01:12 warm-up asked 3,600,000 sent 3,599,981 (49,998/s) ok 3,599,102 errors 301 dropped 19 in flight 578 | \
             last second: p50 800 us p99 3.10 ms p99.9 9.80 ms max 41.0 ms lag p99 60.0 us"
        );
    }

    #[test]
    fn a_sparkline_shows_the_latest_seconds() {
        let values: Vec<u64> = (0..100).collect();
        let line = sparkline(&values, UTF8);
        assert_eq!(line.chars().count(), HISTORY_MAX);
        assert!(line.ends_with('█'));
        assert_eq!(sparkline(&[0, 0], Style::default()), "__");
        assert_eq!(sparkline(&[], UTF8), "");
    }
}
