//! Driving a part: orders in, events out, until the last shard has ended.
//!
//! What it is: the control thread's loop of a run that a fleet directs. What it is not: a judge of what is asked; orders that
//! cannot be obeyed in time are declined, and so said.
//!
//! Invariant: an order that was answered with `Armed` or `Obeyed` is obeyed by every shard at its instant.

use std::time::Duration;

use clock::{Clock, OsClock, Timestamp};
use measure::{Counters, IterationCounters, Totals};
use plan::Plan;
use schedule::{Cells, Rate};
use tokio::time::{MissedTickBehavior, interval};

use super::{Door, Event, Order, Standing};
use crate::collect::Second;
use crate::dealing::Answer;
use crate::drive::{OrderError, RateChanges, START_LEAD_NS};
use crate::run::{Run, State};

/// How often the shards are heard: 20 ms.
const TICK: Duration = Duration::from_millis(20);

/// How a part went, beside what was measured.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// When sending was stopped before the plan's end.
    pub(super) stopped_at: Option<Timestamp>,
    /// Why the run was left, if it was.
    pub(super) aborted: Option<String>,
    /// How rates were changed.
    pub(super) rate_changes: RateChanges,
}

/// A start that was asked for and is not answered yet.
#[derive(Debug)]
struct Arming {
    epoch: u32,
    start: Timestamp,
    from_ns: u64,
    /// The shards have their cells.
    is_dealt: bool,
}

struct Driver<'a> {
    run: &'a mut Run,
    door: &'a mut Door,
    plan: &'a Plan,
    course: Course,
    is_open: bool,
    arming: Option<Arming>,
    standing: Standing,
    first_sent: Option<Timestamp>,
    /// The second that was told last.
    latest: u64,
}

/// Drives `run` until its last shard has ended.
///
/// # Errors
/// The operating system refuses what the loop needs.
pub(super) fn drive(run: &mut Run, door: &mut Door, plan: &Plan) -> std::io::Result<Course> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut driver = Driver {
            run,
            door,
            plan,
            course: Course::default(),
            is_open: false,
            arming: None,
            standing: Standing::default(),
            first_sent: None,
            latest: 0,
        };
        let mut has_agent = true;
        while driver.run.state() != State::Over {
            tokio::select! {
                _ = ticks.tick() => driver.tick(),
                order = driver.door.orders.recv(), if has_agent => {
                    // Without an agent nobody is left who could say when to stop.
                    has_agent = order.is_some();
                    driver.obey(order.unwrap_or(Order::Stop));
                }
            }
        }
        driver.tick();
        driver.tell_warmup();
        Ok(driver.course)
    })
}

impl Driver<'_> {
    fn tell(&self, event: Event) {
        // An agent that is gone hears nothing; the run stops when its orders end.
        let _ = self.door.events.send(event);
    }

    fn tick(&mut self) {
        self.run.poll();
        while let Ok(totals) = self.door.spent.try_recv() {
            self.run.recycle_totals(totals);
        }
        while let Some(answer) = self.run.answer() {
            self.answered(answer);
        }
        self.arm();
        if let Some(first) = self.run.first_sent().filter(|first| Some(*first) != self.first_sent) {
            self.first_sent = Some(first);
            let at_ns = self.run.start().map_or(0, |start| first.nanos_since(start));
            self.tell(Event::FirstSent { at_ns });
        }
        if let Some(at_ns) = self.run.lapsed_ns() {
            self.tell(Event::Lapsed { at_ns });
        }
        while let Some(second) = self.run.next_second() {
            self.standing.lag_p99_ns = second.totals.lag.value_at_quantile(0.99);
            self.latest = second.index;
            self.tell(Event::Second(Box::new(second)));
        }
        self.stand();
    }

    /// Says how things stand.
    fn stand(&mut self) {
        let counters = &self.run.collector().totals().counters;
        let start = self.run.start();
        self.standing = Standing {
            run_ns: start.map_or(0, |start| OsClock.now().nanos_since(start)),
            scheduled: counters.scheduled,
            sent: counters.sent,
            owned: self.run.owned_count(),
            ..self.standing
        };
        self.door.standing.send_replace(self.standing);
    }

    fn decline(&self, epoch: u32, reason: String) {
        self.tell(Event::Declined { epoch, reason });
    }

    fn answered(&mut self, Answer { epoch, outcome }: Answer) {
        match (&mut self.arming, outcome) {
            (Some(arming), Ok(())) if arming.epoch == epoch => arming.is_dealt = true,
            (Some(arming), Err(reason)) if arming.epoch == epoch => {
                self.arming = None;
                self.decline(epoch, reason);
            }
            (_, Ok(())) => {
                self.standing.epoch = epoch;
                self.tell(Event::Obeyed { epoch });
            }
            (_, Err(reason)) => self.decline(epoch, reason),
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Arm { epoch, start, from_ns, cells, rates } => {
                if let Err(reason) = self.prepare_to_start(epoch, (start, from_ns), cells, &rates) {
                    self.decline(epoch, reason);
                }
            }
            Order::Assign { epoch, from_ns, cells } => {
                if self.run.start().is_none() || self.run.was_stopped() {
                    return self.decline(epoch, "the run is not under way here".to_owned());
                }
                self.run.assign(epoch, from_ns, cells);
            }
            Order::SetRate { epoch, workload, from_ns, rate } => {
                match self.set_rate(workload.as_deref(), from_ns, rate) {
                    Ok(()) => {
                        self.standing.epoch = self.standing.epoch.max(epoch);
                        self.tell(Event::Obeyed { epoch });
                    }
                    Err(error) => self.decline(epoch, error.to_string()),
                }
            }
            Order::Stop => self.stop(),
            Order::Abort { reason } => {
                self.course.aborted.get_or_insert(reason);
                self.course.stopped_at.get_or_insert_with(|| OsClock.now());
                self.run.abort();
            }
        }
    }

    fn stop(&mut self) {
        self.course.stopped_at.get_or_insert_with(|| OsClock.now());
        self.run.stop();
    }

    fn set_rate(&mut self, workload: Option<&str>, from_ns: u64, rate: Rate) -> Result<(), OrderError> {
        self.plan.rails.check_rate(self.run.highest_rate_with(workload, rate)?)?;
        let change = self.run.set_rate_at(workload, from_ns, rate)?;
        self.course.rate_changes.push(change);
        Ok(())
    }

    /// Has the shards connect and gives them their cells; the start follows when that is done.
    fn prepare_to_start(
        &mut self,
        epoch: u32,
        (start, from_ns): (Timestamp, u64),
        cells: Cells,
        rates: &[(Option<String>, u64, Rate)],
    ) -> Result<(), String> {
        if self.run.was_stopped() {
            return Err("the run was stopped here".to_owned());
        }
        let soonest = OsClock.now().plus_nanos(START_LEAD_NS);
        if self.run.start().is_some_and(|start| start < soonest) {
            return Err("it has begun, or is about to".to_owned());
        }
        if let Some(before) = self.arming.take() {
            self.decline(before.epoch, "another start was named".to_owned());
        }
        for (workload, at_ns, rate) in rates {
            let changed = self.run.set_rate_before_start(workload.as_deref(), *at_ns, *rate);
            changed.map_err(|error| error.to_string())?;
        }
        if !self.is_open {
            self.is_open = true;
            self.run.open();
        }
        self.arming = Some(Arming { epoch, start, from_ns, is_dealt: false });
        self.run.assign(epoch, from_ns, cells);
        Ok(())
    }

    /// Tells the shards of the start, once they stand ready and while it is early enough for them to hear of it.
    fn arm(&mut self) {
        let Some(Arming { epoch, start, from_ns, is_dealt }) = self.arming else { return };
        let soonest = OsClock.now().plus_nanos(START_LEAD_NS);
        if start.plus_nanos(from_ns) < soonest {
            self.arming = None;
            let reason = "connections were not open, or cells not dealt, early enough before the start";
            return self.decline(epoch, reason.to_owned());
        }
        if is_dealt && matches!(self.run.state(), State::Ready | State::Started) {
            self.arming = None;
            self.run.start_at(start);
            self.standing.epoch = epoch;
            self.tell(Event::Armed { epoch });
        }
    }

    /// What the warm-up measured is known at the end alone; it comes with the last second.
    fn tell_warmup(&self) {
        let (totals, none) = (self.run.collector().totals(), IterationCounters::default());
        if totals.warmup == Counters::default() && totals.workloads.iter().all(|one| one.warmup == none) {
            return;
        }
        let mut warmup = Totals::new(self.run.shape());
        warmup.warmup = totals.warmup.clone();
        for (mine, all) in warmup.workloads.iter_mut().zip(&totals.workloads) {
            mine.warmup = all.warmup;
        }
        let until_ns = (self.latest + 1) * clock::NANOS_PER_SECOND;
        self.tell(Event::Second(Box::new(Second {
            index: self.latest,
            until_ns,
            totals: warmup,
            gauges: measure::Gauges::default(),
        })));
    }
}
