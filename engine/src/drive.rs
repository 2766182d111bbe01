//! Driving a run: signals, orders, progress and the interval stream, until the last shard has ended.
//!
//! What it is: the control thread's loop, on tokio. What it is not: it measures nothing and judges nothing.
//!
//! Invariant: the first signal stops, the second leaves now; both leave a run whose results are whole.

use std::collections::BTreeSet;
use std::time::Duration;

use clock::{Clock, NANOS_PER_SECOND, OsClock, Timestamp};
use measure::{Latency, Names};
use report::{Interval, IntervalFacts, Live};
use schedule::Rate;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Interval as Ticks, MissedTickBehavior, interval};
use verdict::{Ending, Threshold, ThresholdResult, Watch};

use crate::outputs::Lines;
use crate::progress::Progress;
use crate::run::{RateChange, RateChangeError, Run, State};
use crate::timeline::Timeline;

/// How often the shards are heard: 20 ms.
const TICK: Duration = Duration::from_millis(20);

/// From the decision to start until the plan's zero, 60 ms: every shard must have heard of it by then.
pub const START_LEAD_NS: u64 = 60_000_000;

/// Something that a parent program asks of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Start at this instant of the machine's monotonic clock, or as soon as possible.
    Start {
        /// When the plan's zero is.
        at: Option<Timestamp>,
    },
    /// Change a workload's rate from shortly after now until its end.
    SetRate {
        /// Its name in the plan file; none where only one has a rate.
        workload: Option<String>,
        /// The new rate.
        rate: Rate,
    },
    /// Send nothing more; finish what is in flight.
    Stop,
    /// Leave now.
    Abort,
    /// Say how things stand.
    Status,
}

/// How a run stands, for whoever asks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it is.
    pub state: State,
    /// The plan's zero, once it is known.
    pub start: Option<Timestamp>,
    /// Arrivals due so far, in the results.
    pub scheduled: u64,
    /// Requests sent so far.
    pub sent: u64,
    /// Exchanges that succeeded so far.
    pub ok: u64,
    /// Exchanges that failed so far.
    pub errors: u64,
    /// Arrivals dropped so far.
    pub dropped: u64,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The run has been started already.
    #[error("the run has been started already")]
    Started,
    /// The instant has passed, or is too near for every shard to hear of it.
    #[error("the start lies less than {} ms ahead; choose a later instant", START_LEAD_NS / 1_000_000)]
    TooLate,
    /// The rate cannot be changed.
    #[error(transparent)]
    Rate(#[from] RateChangeError),
    /// The rate is above the guard.
    #[error(transparent)]
    Guard(#[from] plan::PlanError),
}

/// An order and where its answer goes.
pub type OrderWithReply = (Order, oneshot::Sender<Result<Standing, OrderError>>);

/// The door for orders: `None` starts by itself as soon as everything is ready.
#[derive(Debug)]
pub struct Door {
    /// Orders come in here.
    pub orders: mpsc::Receiver<OrderWithReply>,
    /// Interval lines go out here.
    pub intervals: broadcast::Sender<std::sync::Arc<str>>,
}

/// What is said of a run while it lasts.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    /// The run's id.
    pub run_id: &'a str,
    /// Method and URL.
    pub target: &'a str,
    /// The driver.
    pub driver: &'a str,
    /// Shards.
    pub cores: u32,
    /// What is counted, by name.
    pub names: &'a Names,
    /// What must hold; those with windows, or that end the run, are judged while it lasts.
    pub thresholds: &'a [Threshold],
    /// How hard the plan may load its target, whoever asks for it.
    pub rails: &'a plan::Rails,
    /// Of how many shares the plan is, of which this run is one.
    pub share_count: u32,
    /// Length of the warm-up.
    pub warmup_ns: u64,
    /// Length of the measured time, unless a count ends it.
    pub duration_ns: Option<u64>,
    /// From which lag of a second's 99th percentile on the generator counts as late.
    pub max_lag_p99_ns: u64,
}

/// What driving a run to its end yields, beside the run itself.
#[derive(Debug)]
pub struct Driven {
    /// What ended it.
    pub ending: Ending,
    /// Each second, for the summary.
    pub timeline: Timeline,
    /// When sending was stopped before the plan's end.
    pub stopped_at: Option<Timestamp>,
    /// How rates were changed while it ran.
    pub rate_changes: RateChanges,
    /// What thresholds found that are judged while the run lasts.
    pub watched: Vec<ThresholdResult>,
}

/// Changes of rates that the report tells one by one.
const CHANGES_TOLD: usize = 20;

/// How rates were changed while a run lasted.
#[derive(Clone, Debug, Default)]
pub struct RateChanges {
    told: Vec<RateChange>,
    untold: u64,
    workloads: BTreeSet<usize>,
}

impl RateChanges {
    fn push(&mut self, change: RateChange) {
        self.workloads.insert(change.workload);
        if self.told.len() < CHANGES_TOLD {
            self.told.push(change);
        } else {
            self.untold += 1;
        }
    }

    /// Whether that of a workload was.
    pub fn has(&self, workload: usize) -> bool {
        self.workloads.contains(&workload)
    }

    /// What the reader of the report must know; seconds count from the results' zero, behind the warm-up.
    pub fn notes(&self, warmup_ns: u64) -> impl Iterator<Item = String> {
        let told = self.told.iter().map(move |change| {
            let whose = change.name.as_ref().map_or("the rate".to_owned(), |name| format!("workload {name}"));
            let at_s = (i128::from(change.at_ns) - i128::from(warmup_ns)) as f64 / NANOS_PER_SECOND as f64;
            format!("{whose} was set to {}/s from {at_s:.3} s on", plan::rate_text(change.rate))
        });
        let untold = (self.untold > 0).then(|| format!("rates were set {} times more", self.untold));
        told.chain(untold)
    }
}

struct Driver<'a> {
    run: &'a mut Run,
    words: &'a Words<'a>,
    progress: &'a mut Progress,
    ndjson: Option<&'a mut Lines>,
    intervals: Option<broadcast::Sender<std::sync::Arc<str>>>,
    held: bool,
    armed_at: Option<Timestamp>,
    driven: Driven,
    signals: u32,
    last_rate: f64,
    watch: Watch,
}

/// Drives `run` until its last shard has ended.
///
/// # Errors
/// The operating system refuses signal handlers.
pub async fn drive(
    run: &mut Run,
    words: &Words<'_>,
    progress: &mut Progress,
    ndjson: Option<&mut Lines>,
    timeline: Timeline,
    door: Option<Door>,
) -> std::io::Result<Driven> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    // A terminal that is gone must not take the results with it.
    let mut hangups = signal(SignalKind::hangup())?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut orders, intervals) = match door {
        Some(door) => (Some(door.orders), Some(door.intervals)),
        None => (None, None),
    };
    let held = orders.is_some();
    let driven = Driven {
        ending: Ending::Completed,
        timeline,
        stopped_at: None,
        rate_changes: RateChanges::default(),
        watched: Vec::new(),
    };
    let mut wheel = Driver {
        run,
        words,
        progress,
        ndjson,
        intervals,
        held,
        armed_at: None,
        driven,
        signals: 0,
        last_rate: 0.0,
        watch: Watch::new(words.thresholds),
    };
    while wheel.run.state() != State::Over {
        step(&mut wheel, &mut ticks, &mut interrupts, &mut terminations, &mut hangups, &mut orders).await;
    }
    wheel.seconds();
    wheel.driven.watched = wheel.watch.results();
    Ok(wheel.driven)
}

async fn step(
    driver: &mut Driver<'_>,
    ticks: &mut Ticks,
    interrupts: &mut Signal,
    terminations: &mut Signal,
    hangups: &mut Signal,
    orders: &mut Option<mpsc::Receiver<OrderWithReply>>,
) {
    let next_order = async {
        match orders {
            Some(orders) => orders.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = ticks.tick() => driver.tick(),
        _ = interrupts.recv() => driver.signalled(Ending::Interrupted),
        _ = terminations.recv() => driver.signalled(Ending::Terminated),
        _ = hangups.recv() => {}
        order = next_order => match order {
            Some((order, reply)) => {
                let answer = driver.obey(order);
                // Who asked may have gone.
                let _ = reply.send(answer);
            }
            None => *orders = None,
        },
    }
}

impl Driver<'_> {
    fn tick(&mut self) {
        self.run.poll();
        let ready = self.run.state() == State::Ready && !self.run.was_stopped();
        if ready && (!self.held || self.armed_at.is_some()) {
            let soonest = OsClock.now().plus_nanos(START_LEAD_NS);
            self.run.start_at(self.armed_at.unwrap_or(soonest));
        }
        self.seconds();
    }

    fn signalled(&mut self, ending: Ending) {
        self.signals += 1;
        if self.signals == 1 {
            self.driven.ending = ending;
            self.driven.stopped_at.get_or_insert_with(|| OsClock.now());
            self.run.stop();
            self.progress.note("stopping: waiting for what is in flight; the same signal again leaves now");
        } else {
            self.run.abort();
        }
    }

    fn obey(&mut self, order: Order) -> Result<Standing, OrderError> {
        match order {
            Order::Start { at } => self.start(at)?,
            Order::SetRate { workload, rate } => {
                let workload = workload.as_deref();
                self.words.rails.check_rate(self.run.highest_rate_with(workload, rate)?)?;
                self.driven.rate_changes.push(self.run.set_rate(workload, rate)?);
            }
            Order::Stop => {
                self.driven.stopped_at.get_or_insert_with(|| OsClock.now());
                self.run.stop();
            }
            Order::Abort => {
                self.driven.ending = Ending::Interrupted;
                self.driven.stopped_at.get_or_insert_with(|| OsClock.now());
                self.run.abort();
            }
            Order::Status => {}
        }
        Ok(self.standing())
    }

    fn start(&mut self, at: Option<Timestamp>) -> Result<(), OrderError> {
        if self.run.start().is_some() || self.armed_at.is_some() || self.run.was_stopped() {
            return Err(OrderError::Started);
        }
        let soonest = OsClock.now().plus_nanos(START_LEAD_NS);
        if at.is_some_and(|at| at < soonest) {
            return Err(OrderError::TooLate);
        }
        match (self.run.state(), at) {
            (State::Ready, at) => self.run.start_at(at.unwrap_or(soonest)),
            // Not ready yet: an instant that passes meanwhile is late, and the lag will say so.
            (_, Some(at)) => self.armed_at = Some(at),
            (_, None) => self.held = false,
        }
        Ok(())
    }

    fn standing(&self) -> Standing {
        let counters = &self.run.collector().totals().counters;
        Standing {
            state: self.run.state(),
            start: self.run.start(),
            scheduled: counters.scheduled,
            sent: counters.sent,
            ok: counters.ok,
            errors: counters.errors_total(),
            dropped: counters.dropped_total(),
        }
    }

    /// Deals with the seconds that are complete.
    fn seconds(&mut self) {
        while let Some(second) = self.run.next_second() {
            if self.ndjson.is_some() || self.intervals.as_ref().is_some_and(|out| out.receiver_count() > 0) {
                self.stream(&second);
            }
            self.show(&second);
            self.judge(&second);
            self.driven.timeline.push(second.index, &second.totals, second.gauges);
            self.run.recycle(second);
        }
    }

    /// Tells the watch of a second, and stops the run where a threshold ends it.
    fn judge(&mut self, second: &crate::collect::Second) {
        let end_ns = (second.index + 1) * NANOS_PER_SECOND;
        let in_plan = self.words.duration_ns.is_none_or(|duration_ns| end_ns <= duration_ns);
        let sending = in_plan && second.until_ns >= end_ns && self.driven.stopped_at.is_none();
        let Some(breach) = self.watch.second(second.index, sending, self.words.names, &second.totals) else {
            return;
        };
        if self.driven.stopped_at.is_none() {
            self.driven.stopped_at = Some(OsClock.now());
            self.run.stop();
            self.progress.note(&format!(
                "threshold {} failed after {} s: {}; waiting for what is in flight",
                breach.threshold,
                second.index + 1,
                breach.measured_text()
            ));
        }
    }

    fn stream(&mut self, second: &crate::collect::Second) {
        let facts = IntervalFacts {
            run_id: self.words.run_id,
            names: self.words.names,
            second: second.index,
            from_ns: second.index * NANOS_PER_SECOND,
            until_ns: second.until_ns,
            in_flight: u64::from(second.gauges.in_flight),
            waiting: second.gauges.waiting,
            connections: u64::from(second.gauges.connections),
        };
        let document = Interval::new(&facts, &second.totals).to_line();
        let line = document.trim_end();
        if let Some(ndjson) = &mut self.ndjson {
            ndjson.line(line);
        }
        if let Some(intervals) = &self.intervals {
            // Nobody listening is nobody to tell.
            let _ = intervals.send(line.into());
        }
    }

    fn show(&mut self, second: &crate::collect::Second) {
        let words = self.words;
        let totals = &self.run.collector().totals().counters;
        let at_ns = words.warmup_ns + second.index * NANOS_PER_SECOND;
        if let Some(profile) = self.run.profile() {
            self.last_rate = profile.rate_at(at_ns).per_second_f64() / f64::from(words.share_count);
        } else {
            self.last_rate = second.totals.counters.scheduled as f64;
        }
        let response = second.totals.latency(Latency::Response);
        let lag_p99_ns = second.totals.lag.value_at_quantile(0.99);
        let sent = second.totals.counters.sent;
        let live = Live {
            run_id: words.run_id,
            target: words.target,
            driver: words.driver,
            cores: words.cores,
            warmup: false,
            elapsed_s: second.index + 1,
            duration_s: words.duration_ns.map(|ns| ns.div_ceil(NANOS_PER_SECOND)),
            asked_tps: self.last_rate,
            sent_tps: sent as f64,
            scheduled: totals.scheduled,
            sent: totals.sent,
            ok: totals.ok,
            errors: totals.errors_total(),
            dropped: totals.dropped_total(),
            in_flight: u64::from(second.gauges.in_flight),
            waiting: second.gauges.waiting,
            p50_ns: response.value_at_quantile(0.5),
            p99_ns: response.value_at_quantile(0.99),
            p99_9_ns: response.value_at_quantile(0.999),
            max_ns: response.max_ns(),
            lag_p99_ns,
            on_time: lag_p99_ns <= words.max_lag_p99_ns,
            history: &[],
        };
        self.progress.show(&live, sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Color, Outputs};
    use crate::run::Rated;

    /// A workload of ten per second.
    fn rated(name: &str, workload: usize) -> Rated {
        let profile = schedule::Profile::constant(Rate::per_second(10), NANOS_PER_SECOND);
        let profile = std::sync::Arc::new(profile.expect("a valid profile"));
        Rated { name: Some(name.to_owned()), workload, begins_ns: 0, profile }
    }

    #[test]
    fn a_rate_set_while_running_stays_within_the_guard() {
        let rails = plan::Rails { rate_guard: Some(Rate::per_second(100)), ..plan::Rails::default() };
        let words = Words {
            run_id: "",
            target: "",
            driver: "",
            cores: 0,
            names: &Names::default(),
            thresholds: &[],
            rails: &rails,
            share_count: 1,
            warmup_ns: 0,
            duration_ns: None,
            max_lag_p99_ns: 0,
        };
        let outputs = Outputs {
            json: None,
            ndjson: None,
            quiet: true,
            progress_every_ns: 0,
            color: Color::Never,
            control: None,
        };
        let rated = vec![rated("browse", 0), rated("buy", 2)];
        let mut run = Run::new(Vec::new(), measure::Shape::default(), rated, NANOS_PER_SECOND);
        let mut progress = Progress::new(&outputs);
        let results = Driven {
            ending: Ending::Completed,
            timeline: Timeline::default(),
            stopped_at: None,
            rate_changes: RateChanges::default(),
            watched: Vec::new(),
        };
        let mut driver = Driver {
            run: &mut run,
            words: &words,
            progress: &mut progress,
            ndjson: None,
            intervals: None,
            held: false,
            armed_at: None,
            driven: results,
            signals: 0,
            last_rate: 0.0,
            watch: Watch::default(),
        };
        driver.run.start_at(OsClock.now());
        let order = |workload: Option<&str>, rate| Order::SetRate {
            workload: workload.map(str::to_owned),
            rate: Rate::per_second(rate),
        };
        // Ten per second are the other workload's.
        assert!(driver.obey(order(Some("buy"), 90)).is_ok());
        for (workload, rate, said) in [
            (Some("buy"), 91, "above the guard of 100/s"),
            // The other one has 90 by now.
            (Some("browse"), 11, "above the guard of 100/s"),
            (Some("bye"), 1, "\"bye\" is no workload with a rate; one of \"browse\", \"buy\""),
            (None, 1, "say which with workload: one of \"browse\", \"buy\""),
        ] {
            let refused = driver.obey(order(workload, rate)).expect_err(said);
            assert!(refused.to_string().contains(said), "{refused}");
        }
        let changes = &driver.driven.rate_changes;
        assert!(changes.has(2) && !changes.has(0));
        let notes: Vec<String> = changes.notes(0).collect();
        assert!(notes.len() == 1 && notes[0].starts_with("workload buy was set to 90/s from "), "{notes:?}");
    }
}
