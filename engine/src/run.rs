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
use schedule::{Profile, Rate, ScheduleError};

use crate::collect::{Collector, Second};
use crate::launch::Worker;
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
        }
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
                    Report::Sealed(mut snapshot) | Report::Warmup(mut snapshot) => {
                        self.collector.absorb(index, &snapshot);
                        snapshot.clear();
                        worker.control.give_back(snapshot);
                    }
                }
            }
            if over && let Some(worker) = self.workers[index].take() {
                self.collector.shard_over(index);
                if let Err(error) = worker.join() {
                    self.failure.get_or_insert(error);
                    self.stop();
                }
            }
        }
        if self.workers.iter().all(Option::is_none) {
            self.state = State::Over;
            self.ended.get_or_insert_with(|| OsClock.now());
        } else if self.state == State::Warming && self.ready == self.workers.len() {
            self.state = State::Ready;
        }
    }

    /// Sets the plan's zero.
    pub fn start_at(&mut self, at: Timestamp) {
        self.start = Some(at);
        if self.state != State::Over {
            self.state = State::Started;
        }
        self.tell_all(&Command::Start { at });
    }

    /// From [`RATE_CHANGE_LEAD_NS`] from now on, or from its beginning if that is later, the rate of a workload is `rate`
    /// until its end. All shards switch at the same instant. Without a name, the workload is the only one with a rate.
    ///
    /// # Errors
    /// See [`RateChangeError`].
    pub fn set_rate(&mut self, name: Option<&str>, rate: Rate) -> Result<RateChange, RateChangeError> {
        let place = self.rated_place(name)?;
        let start = self.start.filter(|_| self.state == State::Started && !self.stopped);
        let start = start.ok_or(RateChangeError::NotRunning)?;
        let Rated { name, workload, begins_ns, profile } = &self.rated[place];
        let zero = start.plus_nanos(*begins_ns);
        let at_ns = OsClock.now().plus_nanos(RATE_CHANGE_LEAD_NS).nanos_since(zero);
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
        self.tell_all(&Command::Profile { workload: change.workload, profile: changed });
        Ok(change)
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
        self.collector.recycle(second);
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
