//! One run, seen from the control thread: its shards, what they report, and what may be asked of it.
//!
//! What it is: the state between launching the shards and having joined them all. Both ways to drive an engine,
//! the command line and the control socket, stand on it.
//! What it is not: it waits for nothing and prints nothing; whoever drives it calls [`Run::poll`] now and then.
//!
//! ```text
//!   Warming ──all ready──► Ready ──start──► Started ──all shards over──► Over
//! ```

use std::io;
use std::sync::Arc;

use clock::{Clock, OsClock, Timestamp};
use measure::Shape;
use schedule::{Cells, Profile, Rate, ScheduleError};

use crate::collect::{Collector, Second};
use crate::dealing::{Answer, Dealing};
use crate::launch::Worker;
use crate::shard::lease::Lease;
use crate::shard::link::{Command, Report};
use crate::tokens::Refresher;

/// How long before a changed rate holds: every shard must have heard of it by then. 100 ms.
pub const RATE_CHANGE_LEAD_NS: u64 = 100_000_000;

/// Places in a shard's command queue that changes of rate leave to start, stop and abort.
const COMMAND_RESERVE: usize = 8;

/// Where a run is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Opening the connections that are wanted before the start.
    Warming,
    /// Everything stands ready.
    Ready,
    /// Begun, or about to begin at a known instant.
    Started,
    /// All shards have ended.
    Over,
}

/// A workload of the open model: its rate can be changed while it runs.
#[derive(Clone, Debug)]
pub struct Rated {
    /// Its name in the plan file; none where the plan is one workload without a name.
    pub name: Option<String>,
    /// Its place among the plan's workloads.
    pub workload: usize,
    /// Its own zero, counted from the plan's.
    pub begins_ns: u64,
    /// Its present profile.
    pub profile: Arc<Profile>,
}

/// A change of rate that all shards were told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateChange {
    /// The workload's name, if it has one.
    pub name: Option<String>,
    /// Its place among the plan's workloads.
    pub workload: usize,
    /// From when on, counted from the plan's zero.
    pub at_ns: u64,
    /// The rate from then on.
    pub rate: Rate,
}

/// Why a rate could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum RateChangeError {
    /// The plan file has no workload of that name, or it has users.
    #[error("{} is no workload with a rate; one of {known}", plan::quoted(name))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those whose rate can be set.
        known: String,
    },
    /// The plan has several rates.
    #[error("the plan has several workloads with a rate; say which with workload: one of {known}")]
    Ambiguous {
        /// Those whose rate can be set.
        known: String,
    },
    /// The workload's time is over.
    #[error("the time of workload {} is over", plan::quoted(name))]
    Over {
        /// Its name.
        name: String,
    },
    /// The closed model has no rate.
    #[error(
        "this run has users, not a rate; a rate can be set only for plans with --tps or --stages, or for workloads with arrivals"
    )]
    ClosedModel,
    /// The run has not started, or has ended.
    #[error("the run is not running; its rate can be set between its start and its end")]
    NotRunning,
    /// The shards have not heard the last changes yet; room is kept for a stop.
    #[error("the rate was changed too often within 20 ms; try again")]
    TooOften,
    /// The instant has passed, or is too near for every shard to hear of it.
    #[error("the rate cannot change at {at_ns} ns of the run, only from {from_ns} ns on")]
    TooEarly {
        /// What was asked for, counted from the plan's zero.
        at_ns: u64,
        /// From when on it is possible.
        from_ns: u64,
    },
    /// The new profile cannot be built.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    workers: Vec<Option<Worker>>,
    cores: Vec<Option<usize>>,
    collector: Collector,
    rated: Vec<Rated>,
    refresher: Option<Refresher>,
    ready: usize,
    warm_connections: u32,
    state: State,
    start: Option<Timestamp>,
    stopped: bool,
    failure: Option<io::Error>,
    sending_ended: Option<Timestamp>,
    ended: Option<Timestamp>,
    first_sent: Option<Timestamp>,
    fleet: Option<InFleet>,
}

/// What a run has that is one node's part of a fleet's.
#[derive(Debug)]
struct InFleet {
    dealing: Dealing,
    lease: Arc<Lease>,
    /// The plan is over when its limits are reached.
    ends_by_limit: bool,
    /// From when on nothing is ours, until somebody takes note.
    lapsed_ns: Option<u64>,
}

impl Run {
    /// Takes charge of launched shards. `rated` are the workloads of the open model, their profiles with the warm-up in
    /// front; `timeout_ns` is as long as a latency gets.
    pub fn new(workers: Vec<Worker>, shape: Shape, rated: Vec<Rated>, timeout_ns: u64) -> Self {
        let shards = workers.len();
        Self {
            cores: workers.iter().map(|worker| worker.core).collect(),
            workers: workers.into_iter().map(Some).collect(),
            collector: Collector::new(shards, shape, timeout_ns),
            rated,
            refresher: None,
            ready: 0,
            warm_connections: 0,
            state: State::Warming,
            start: None,
            stopped: false,
            failure: None,
            sending_ended: None,
            ended: None,
            first_sent: None,
            fleet: None,
        }
    }

    /// Makes it one node's part of a run: shards own what they are dealt, under a lease. `ends_by_limit` says that the plan is
    /// over when limits leave nothing due.
    #[must_use]
    pub fn in_fleet(self, dealing: Dealing, lease: Arc<Lease>, ends_by_limit: bool) -> Self {
        Self { fleet: Some(InFleet { dealing, lease, ends_by_limit, lapsed_ns: None }), ..self }
    }

    /// Hands renewed tokens on to the shards from now on.
    #[must_use]
    pub fn with_refresher(self, refresher: Option<Refresher>) -> Self {
        Self { refresher, ..self }
    }

    /// Gives back what renews tokens.
    pub fn give_back_refresher(&mut self) -> Option<Refresher> {
        self.refresher.take()
    }

    /// Tells the shards of tokens that were renewed: all shards or none, and room for a stop is kept. What does not fit waits for the next
    /// look.
    fn pass_tokens_on(&mut self) {
        while self.workers.iter().flatten().all(|worker| worker.control.room() >= COMMAND_RESERVE) {
            let Some((place, value)) = self.refresher.as_mut().and_then(Refresher::fresh) else { return };
            self.tell_all(&Command::Token { place, value });
        }
    }

    /// Hears what the shards report, and hands tokens on. Call it at least a few times a second.
    pub fn poll(&mut self) {
        self.pass_tokens_on();
        let mut gave_up = Vec::new();
        for index in 0..self.workers.len() {
            let Some(worker) = &mut self.workers[index] else { continue };
            // Asked before the queue is emptied, so that nothing reported last is missed.
            let over = worker.is_over();
            while let Some(report) = worker.control.report() {
                match report {
                    Report::Ready { connections } => {
                        self.ready += 1;
                        self.warm_connections += connections;
                    }
                    Report::SendingEnded { at } => {
                        self.sending_ended = self.sending_ended.max(Some(at));
                    }
                    Report::FirstSent { at } => {
                        self.first_sent = Some(self.first_sent.map_or(at, |first| first.min(at)));
                    }
                    Report::Handed { in_time, hand } => {
                        if let Some(fleet) = &mut self.fleet {
                            fleet.dealing.handed(index, in_time);
                        }
                        drop(hand);
                    }
                    Report::GaveUp { at_ns } => gave_up.push((index, at_ns)),
                    Report::Sealed(mut snapshot) | Report::Warmup(mut snapshot) => {
                        self.collector.absorb(index, &snapshot);
                        snapshot.clear();
                        worker.control.give_back(snapshot);
                    }
                }
            }
            if over && let Some(worker) = self.workers[index].take() {
                self.collector.shard_over(index);
                if let Some(fleet) = &mut self.fleet {
                    fleet.dealing.shard_over(index);
                }
                if let Err(error) = worker.join() {
                    self.failure.get_or_insert(error);
                    self.stop();
                }
            }
        }
        self.deal(&gave_up);
        if self.workers.iter().all(Option::is_none) {
            self.state = State::Over;
            self.ended.get_or_insert_with(|| OsClock.now());
        } else if self.state == State::Warming && self.ready == self.workers.len() {
            self.state = State::Ready;
        }
    }

    /// Goes on with changes of what shards own.
    fn deal(&mut self, gave_up: &[(usize, u64)]) {
        let Some(fleet) = &mut self.fleet else { return };
        let living: Vec<bool> = self.workers.iter().map(Option::is_some).collect();
        for &(index, at_ns) in gave_up {
            // One has noticed: whatever the others' clocks say, it has run out for all.
            fleet.lease.end(clock::boot_nanos());
            if let Some(at_ns) = fleet.dealing.gave_up(index, at_ns, &living) {
                fleet.lapsed_ns = Some(at_ns);
            }
        }
        let workers = &mut self.workers;
        let mut tell = |index: usize, hand| {
            let worker = workers[index].as_mut();
            worker.is_some_and(|worker| worker.control.tell(Command::Hand(Box::new(hand))))
        };
        let since = |start: Timestamp| i128::from(OsClock.now().as_nanos()) - i128::from(start.as_nanos());
        fleet.dealing.advance(self.start.map(since), &mut tell);
    }

    /// Opens the connections that the plan wants before the start. Shards of a fleet wait for it.
    pub fn open(&mut self) {
        self.tell_all(&Command::Open);
    }

    /// For arrivals that are due from `from_ns` after the plan's zero on, the engine's cells are these and no others. An answer
    /// follows; nothing happens outside of a fleet.
    pub fn assign(&mut self, epoch: u32, from_ns: u64, cells: Cells) {
        if let Some(fleet) = &mut self.fleet {
            fleet.dealing.assign(epoch, from_ns, cells);
        }
        self.deal(&[]);
    }

    /// What became of the next change of ownership that did.
    pub fn answer(&mut self) -> Option<Answer> {
        self.fleet.as_mut()?.dealing.answer()
    }

    /// From when on nothing was the engine's, once its lease has run out and every shard has given up what it had.
    pub fn lapsed_ns(&mut self) -> Option<u64> {
        self.fleet.as_mut()?.lapsed_ns.take()
    }

    /// Sets the plan's zero, or moves one that is to come.
    pub fn start_at(&mut self, at: Timestamp) {
        self.start = Some(at);
        if self.state != State::Over {
            self.state = State::Started;
        }
        self.tell_all(&Command::Start { at });
        self.tell_end();
    }

    /// Tells shards of a fleet when a limit ends the plan: one that has no cells at the moment cannot know it.
    fn tell_end(&mut self) {
        let (Some(fleet), Some(start)) = (&self.fleet, self.start) else { return };
        if fleet.ends_by_limit {
            let end = fleet.dealing.limit_ns().map_or(Timestamp::MAX, |limit_ns| start.plus_nanos(limit_ns));
            self.tell_all(&Command::End { at: end });
        }
    }

    /// From [`RATE_CHANGE_LEAD_NS`] from now on, or from its beginning if that is later, the rate of a workload is `rate`
    /// until its end. All shards switch at the same instant. Without a name, the workload is the only one with a rate.
    ///
    /// # Errors
    /// See [`RateChangeError`].
    pub fn set_rate(&mut self, name: Option<&str>, rate: Rate) -> Result<RateChange, RateChangeError> {
        self.change_rate(name, None, rate)
    }

    /// From `at_ns` after the plan's zero on the rate of a workload is `rate` until its end.
    ///
    /// # Errors
    /// See [`RateChangeError`].
    pub fn set_rate_at(
        &mut self,
        name: Option<&str>,
        at_ns: u64,
        rate: Rate,
    ) -> Result<RateChange, RateChangeError> {
        self.change_rate(name, Some(at_ns), rate)
    }

    fn change_rate(
        &mut self,
        name: Option<&str>,
        at_ns: Option<u64>,
        rate: Rate,
    ) -> Result<RateChange, RateChangeError> {
        let place = self.rated_place(name)?;
        let start = self.start.filter(|_| self.state == State::Started && !self.stopped);
        let start = start.ok_or(RateChangeError::NotRunning)?;
        let soonest_ns = OsClock.now().plus_nanos(RATE_CHANGE_LEAD_NS).nanos_since(start);
        let handed_ns = self.fleet.as_ref().map_or(0, |fleet| fleet.dealing.latest_ns());
        let from_ns = soonest_ns.max(handed_ns);
        if let Some(at_ns) = at_ns.filter(|at_ns| *at_ns < from_ns) {
            return Err(RateChangeError::TooEarly { at_ns, from_ns });
        }
        let Rated { name, workload, begins_ns, profile } = &self.rated[place];
        let at_ns = at_ns.unwrap_or(from_ns).saturating_sub(*begins_ns);
        if at_ns >= profile.duration_ns() {
            let over = |name: &String| RateChangeError::Over { name: name.clone() };
            return Err(name.as_ref().map_or(RateChangeError::NotRunning, over));
        }
        // All shards or none: profiles that differ would not add up, and a stop must always fit.
        if self.workers.iter().flatten().any(|worker| worker.control.room() < COMMAND_RESERVE) {
            return Err(RateChangeError::TooOften);
        }
        let changed = Arc::new(profile.with_rate_from(at_ns, rate)?);
        let change = RateChange { name: name.clone(), workload: *workload, at_ns: begins_ns + at_ns, rate };
        self.rated[place].profile = Arc::clone(&changed);
        if let Some(fleet) = &mut self.fleet {
            fleet.dealing.set_profile(change.workload, &changed);
        }
        self.tell_all(&Command::Profile { workload: change.workload, profile: changed });
        self.tell_end();
        Ok(change)
    }

    /// Changes of rate that were made before this engine joined: they hold for what it will be dealt.
    ///
    /// # Errors
    /// See [`RateChangeError`]; there is nothing too early.
    pub fn set_rate_before_start(
        &mut self,
        name: Option<&str>,
        at_ns: u64,
        rate: Rate,
    ) -> Result<(), RateChangeError> {
        let place = self.rated_place(name)?;
        let Rated { workload, begins_ns, profile, .. } = &self.rated[place];
        let changed = Arc::new(profile.with_rate_from(at_ns.saturating_sub(*begins_ns), rate)?);
        let workload = *workload;
        self.rated[place].profile = Arc::clone(&changed);
        if let Some(fleet) = &mut self.fleet {
            fleet.dealing.set_profile(workload, &changed);
        }
        self.tell_all(&Command::Profile { workload, profile: changed });
        Ok(())
    }

    /// What a number of steps upwards (or, below zero, downwards) makes of the rate of each workload that is under way: a
    /// step is a tenth more, and one back takes it back.
    ///
    /// # Errors
    /// No workload with a rate is under way.
    pub fn stepped(&self, steps: i32) -> Result<Vec<(Option<String>, Rate)>, RateChangeError> {
        if self.rated.is_empty() {
            return Err(RateChangeError::ClosedModel);
        }
        let start = self.start.filter(|_| self.state == State::Started && !self.stopped);
        let at = OsClock.now().plus_nanos(RATE_CHANGE_LEAD_NS);
        let at_ns = at.nanos_since(start.ok_or(RateChangeError::NotRunning)?);
        let step = |rated: &Rated| {
            let now = rated.profile.rate_at(at_ns.checked_sub(rated.begins_ns)?);
            (now > Rate::ZERO).then(|| (rated.name.clone(), stepped(now, steps)))
        };
        let changed: Vec<_> = self.rated.iter().filter_map(step).collect();
        if changed.is_empty() { Err(RateChangeError::NotRunning) } else { Ok(changed) }
    }

    /// The most that all workloads come to together once some of them have other rates: what a guard must allow.
    pub fn highest_rate_changed(&self, changed: &[(Option<String>, Rate)]) -> Rate {
        let rate = |rated: &Rated| {
            let own = changed.iter().find(|(name, _)| *name == rated.name);
            own.map_or_else(|| rated.profile.max_rate(), |(_, rate)| *rate).as_micro()
        };
        Rate::from_micro(self.rated.iter().map(rate).fold(0, u64::saturating_add))
    }

    /// The rate that the plan asks for at an instant of it, changes included, over all workloads that have one; none where
    /// all have users.
    pub fn asked_at(&self, at_ns: u64) -> Option<Rate> {
        let rate = |rated: &Rated| {
            at_ns
                .checked_sub(rated.begins_ns)
                .map_or(0, |within_ns| rated.profile.rate_at(within_ns).as_micro())
        };
        let sum = || self.rated.iter().map(rate).fold(0, u64::saturating_add);
        (!self.rated.is_empty()).then(|| Rate::from_micro(sum()))
    }

    /// The most that all workloads come to together once one of them has another rate: what a guard must allow.
    ///
    /// # Errors
    /// See [`RateChangeError`].
    pub fn highest_rate_with(&self, name: Option<&str>, rate: Rate) -> Result<Rate, RateChangeError> {
        let changed = self.rated_place(name)?;
        let others = self.rated.iter().enumerate().filter(|(place, _)| *place != changed);
        let others = others.map(|(_, rated)| rated.profile.max_rate().as_micro());
        Ok(Rate::from_micro(others.fold(rate.as_micro(), u64::saturating_add)))
    }

    /// Which of the workloads with a rate is meant.
    fn rated_place(&self, name: Option<&str>) -> Result<usize, RateChangeError> {
        let known = || {
            let names = self.rated.iter().filter_map(|rated| rated.name.as_deref());
            names.map(plan::quoted).collect::<Vec<_>>().join(", ")
        };
        match (self.rated.as_slice(), name) {
            ([], _) => Err(RateChangeError::ClosedModel),
            ([_], None) => Ok(0),
            (_, None) => Err(RateChangeError::Ambiguous { known: known() }),
            (rated, Some(name)) => rated
                .iter()
                .position(|rated| rated.name.as_deref() == Some(name))
                .ok_or_else(|| RateChangeError::Unknown { name: name.to_owned(), known: known() }),
        }
    }

    /// Sends nothing more; responses are waited for within the grace.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.tell_all(&Command::Stop);
    }

    /// Leaves now.
    pub fn abort(&mut self) {
        self.stopped = true;
        self.tell_all(&Command::Abort);
    }

    fn tell_all(&mut self, command: &Command) {
        for worker in self.workers.iter_mut().flatten() {
            // A shard reads its queue at least every 20 ms and the queue holds 16: full means that it is
            // stopped from outside; it then hears the commands that fitted.
            let _ = worker.control.tell(command.clone());
        }
    }

    /// Where the run is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The plan's zero, once it is known.
    pub fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// From when on nothing more was due on any shard that has said so.
    pub fn sending_ended(&self) -> Option<Timestamp> {
        self.sending_ended
    }

    /// When the first request left; none while none has.
    pub fn first_sent(&self) -> Option<Timestamp> {
        self.first_sent
    }

    /// When the last shard had ended.
    pub fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    /// Whether it was stopped or aborted before its end.
    pub fn was_stopped(&self) -> bool {
        self.stopped
    }

    /// The present profile of a plan that is one workload of the open model without a name.
    pub fn profile(&self) -> Option<&Arc<Profile>> {
        self.rated.first().filter(|rated| rated.name.is_none()).map(|rated| &rated.profile)
    }

    /// Connections that stood open before the start.
    pub fn warm_connections(&self) -> u32 {
        self.warm_connections
    }

    /// The core of each shard; `None` where pinning was refused.
    pub fn cores(&self) -> &[Option<usize>] {
        &self.cores
    }

    /// A driver's failure, if one broke: the results are incomplete.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// What was measured so far.
    pub fn collector(&self) -> &Collector {
        &self.collector
    }

    /// The next second that is complete over all shards.
    pub fn next_second(&mut self) -> Option<Second> {
        self.collector.next_second()
    }

    /// Gives a second's memory back.
    pub fn recycle(&mut self, second: Second) {
        self.collector.recycle(second.totals);
    }

    /// Gives the memory of sums back that a second held.
    pub fn recycle_totals(&mut self, totals: measure::Totals) {
        self.collector.recycle(totals);
    }

    /// What the plan counts.
    pub fn shape(&self) -> Shape {
        self.collector.shape()
    }

    /// How many cells this engine owns in its fleet; none outside of one.
    pub fn owned_count(&self) -> u32 {
        self.fleet.as_ref().map_or(0, |fleet| fleet.dealing.owned().count())
    }
}

/// The highest rate that anybody may ask for: a thousand million per second.
const HIGHEST_MICRO: u64 = 1_000_000_000_000_000;

/// A rate some steps further; it stays a rate.
fn stepped(rate: Rate, steps: i32) -> Rate {
    let (over, under) = if steps > 0 { (11, 10) } else { (10, 11) };
    let step = |micro: u64| (u128::from(micro) * over + under / 2) / under;
    let micro = (0..steps.unsigned_abs().min(200)).fold(rate.as_micro(), |micro, _| {
        u64::try_from(step(micro)).unwrap_or(u64::MAX).clamp(1, HIGHEST_MICRO)
    });
    Rate::from_micro(micro)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_tenths_and_come_back() {
        let rate = |per_second: u64| Rate::per_second(per_second);
        assert_eq!(stepped(rate(1_000), 1), rate(1_100));
        assert_eq!(stepped(rate(1_000), 2), rate(1_210));
        for steps in [-5, -1, 1, 7] {
            for start in [1, 3, 999, 1_000_000] {
                // To the millionths that are rounded away on the way.
                let back = stepped(stepped(rate(start), steps), -steps).as_micro();
                assert!(back.abs_diff(rate(start).as_micro()) <= 8, "{start} {steps}: {back}");
            }
        }
        assert_eq!(stepped(rate(1_000_000_000), 9), rate(1_000_000_000));
        assert_eq!(stepped(Rate::from_micro(1), -9), Rate::from_micro(1));
    }
}
