//! Driving a run: signals, orders, progress and the interval stream, until the last shard has ended.
//!
//! What it is: the control thread's loop, on tokio. What it is not: it measures nothing and judges nothing.
//!
//! Invariant: the first signal stops, the second leaves now; both leave a run whose results are whole.

use std::collections::BTreeSet;
use std::time::Duration;

use clock::{Clock, NANOS_PER_SECOND, OsClock, Timestamp};
use command::outputs::Lines;
use measure::{Latency, Names};
use plan::document::PlanFile;
use report::{Interval, IntervalFacts, Live, LiveName};
use schedule::Rate;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Interval as Ticks, MissedTickBehavior, interval};
use verdict::{Ending, Threshold, ThresholdResult, Watch};

use crate::keys::Keys;
use crate::progress::Progress;
use crate::run::{RateChange, RateChangeError, Run, State};
use crate::timeline::Timeline;

/// How often the shards are heard: 20 ms.
const TICK: Duration = Duration::from_millis(20);

/// From the decision to start until the plan's zero, 60 ms: every shard must have heard of it by then.
pub const START_LEAD_NS: u64 = 60_000_000;

/// Time between two changes of the rate by keys, 200 ms: a key that is held down comes thirty times a second.
const STEP_REST_NS: u64 = 200_000_000;

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
    /// The file that the plan was read from.
    pub file: Option<&'a PlanFile>,
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
    /// Somebody at the terminal ended it.
    pub stopped_by_key: bool,
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
    pub(crate) fn push(&mut self, change: RateChange) {
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
    watch: Watch,
    keys: Option<Keys>,
    /// Steps of the rate that were pressed and not taken yet.
    steps: i32,
    stepped_at: Option<Timestamp>,
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
    keys: Option<Keys>,
) -> std::io::Result<Driven> {
    let mut signals = Signals::new(keys.is_some())?;
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
        stopped_by_key: false,
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
        watch: Watch::new(words.thresholds),
        keys,
        steps: 0,
        stepped_at: None,
    };
    while wheel.run.state() != State::Over {
        step(&mut wheel, &mut ticks, &mut signals, &mut orders).await;
    }
    wheel.seconds();
    wheel.driven.watched = wheel.watch.results();
    Ok(wheel.driven)
}

/// The signals that a run hears.
struct Signals {
    interrupts: Signal,
    terminations: Signal,
    /// A terminal that is gone must not take the results with it.
    hangups: Signal,
    /// Behind a stop (Ctrl-Z), and to leave at once (Ctrl-\): where the terminal hands out keys, it is to be told again, or
    /// to be put back.
    continues: Option<Signal>,
    quits: Option<Signal>,
}

impl Signals {
    fn new(with_keys: bool) -> std::io::Result<Self> {
        let of_keys = |kind: SignalKind| with_keys.then(|| signal(kind)).transpose();
        Ok(Self {
            interrupts: signal(SignalKind::interrupt())?,
            terminations: signal(SignalKind::terminate())?,
            hangups: signal(SignalKind::hangup())?,
            continues: of_keys(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
            quits: of_keys(SignalKind::quit())?,
        })
    }
}

/// Waits for a signal that may not be listened to.
async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

async fn step(
    driver: &mut Driver<'_>,
    ticks: &mut Ticks,
    signals: &mut Signals,
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
        _ = signals.interrupts.recv() => driver.signalled(Ending::Interrupted),
        _ = signals.terminations.recv() => driver.signalled(Ending::Terminated),
        _ = signals.hangups.recv() => {}
        () = heard(&mut signals.continues) => driver.continued(),
        () = heard(&mut signals.quits) => driver.quit(),
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
        self.keyed();
        self.seconds();
    }

    /// Does what keys ask for.
    fn keyed(&mut self) {
        let Some(keys) = &self.keys else { return };
        let pressed = keys.pressed();
        if pressed.stop && self.driven.stopped_at.is_none() {
            self.driven.stopped_by_key = true;
            self.driven.stopped_at = Some(OsClock.now());
            self.run.stop();
            self.progress.note("stopping: waiting for what is in flight; Ctrl-C leaves now");
        }
        self.steps = self.steps.saturating_add(pressed.steps);
        let now = OsClock.now();
        let rested = self.stepped_at.is_none_or(|before| now.nanos_since(before) >= STEP_REST_NS);
        if self.steps != 0 && rested {
            self.stepped_at = Some(now);
            let steps = std::mem::take(&mut self.steps);
            let said = self.step_rates(steps).unwrap_or_else(|error| error.to_string());
            self.progress.note(&said);
        }
    }

    /// Moves all rates by so many steps; yields what whoever pressed is told.
    fn step_rates(&mut self, steps: i32) -> Result<String, OrderError> {
        let changed = self.run.stepped(steps)?;
        self.words.rails.check_rate(self.run.highest_rate_changed(&changed))?;
        let mut told = Vec::new();
        for (name, rate) in changed {
            let change = self.run.set_rate(name.as_deref(), rate)?;
            told.push(format!("{} {}/s", name.as_deref().unwrap_or("rate"), plan::rate_text(rate)));
            self.driven.rate_changes.push(change);
        }
        Ok(told.join(", "))
    }

    /// The run goes on behind a stop.
    fn continued(&mut self) {
        if let Some(keys) = &self.keys {
            keys.resume();
        }
    }

    /// Leaves now.
    fn quit(&mut self) {
        self.driven.ending = Ending::Interrupted;
        self.driven.stopped_at.get_or_insert_with(|| OsClock.now());
        self.run.abort();
    }

    fn signalled(&mut self, ending: Ending) {
        self.signals += 1;
        if self.signals == 1 && !self.driven.stopped_by_key {
            self.driven.ending = ending;
            self.driven.stopped_at.get_or_insert_with(|| OsClock.now());
            self.run.stop();
            self.progress.note("stopping: waiting for what is in flight; the same signal again leaves now");
        } else {
            if self.driven.stopped_by_key {
                self.driven.ending = ending;
            }
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
            let asked = self.asked(second.index * NANOS_PER_SECOND + NANOS_PER_SECOND / 2);
            self.driven.timeline.push(second.index, &second.totals, second.gauges, asked);
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

    /// The rate that this engine's share of the plan asks for at an instant of the results; none where it has users alone.
    fn asked(&self, at_ns: u64) -> Option<Rate> {
        let asked = self.run.asked_at(self.words.warmup_ns.saturating_add(at_ns))?;
        Some(Rate::from_micro(asked.as_micro() / u64::from(self.words.share_count.max(1))))
    }

    fn show(&mut self, second: &crate::collect::Second) {
        let words = self.words;
        let totals = &self.run.collector().totals().counters;
        let at_ns = second.index * NANOS_PER_SECOND;
        let asked = self.asked(at_ns).map(Rate::per_second_f64);
        let users = words.file.map_or(0, |file| file.users_at(at_ns) / u64::from(words.share_count.max(1)));
        let response = second.totals.latency(Latency::Response);
        let lag_p99_ns = second.totals.lag.value_at_quantile(0.99);
        let sent = second.totals.counters.sent;
        let names = self.names(second);
        let live = Live {
            run_id: words.run_id,
            target: words.target,
            driver: words.driver,
            cores: words.cores,
            warmup: false,
            elapsed_s: second.index + 1,
            duration_s: words.duration_ns.map(|ns| ns.div_ceil(NANOS_PER_SECOND)),
            asked_tps: match words.file {
                None => asked.or(Some(second.totals.counters.scheduled as f64)),
                Some(_) => asked,
            },
            asked_iterations: words.file.is_some(),
            users,
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
            names: &names,
            keys: self.keys.is_some(),
        };
        self.progress.show(&live, sent);
    }
}

impl<'a> Driver<'a> {
    /// The names of which most was sent, as many as the terminal holds; none where there is one.
    fn names(&self, second: &crate::collect::Second) -> Vec<LiveName<'a>> {
        let words: &'a Words<'a> = self.words;
        let (named, room) = (&words.names.requests, self.progress.name_rows());
        let totals = &self.run.collector().totals().names;
        if named.len() < 2 || room == 0 {
            return Vec::new();
        }
        let mut order: Vec<usize> = (0..named.len().min(totals.len())).collect();
        order.sort_by_key(|place| std::cmp::Reverse(totals[*place].sent));
        let row = |place: usize| {
            let (whole, last) = (&totals[place], second.totals.names.get(place));
            LiveName {
                name: &named[place].name,
                sent: whole.sent,
                errors: whole.errors.iter().fold(0, |sum, count| sum.saturating_add(*count)),
                sent_tps: last.map_or(0, |last| last.sent),
                p99_ns: last.map_or(0, |last| last.response().value_at_quantile(0.99)),
            }
        };
        order.into_iter().take(room).map(row).collect()
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
            file: None,
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
            stopped_by_key: false,
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
            watch: Watch::default(),
            keys: None,
            steps: 0,
            stepped_at: None,
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
