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

/// Why a rate could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum RateChangeError {
    /// The closed model has no rate.
    #[error("this run has users, not a rate; a rate can be set only for plans with --tps or --stages")]
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
    profile: Option<Arc<Profile>>,
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
    /// Takes charge of launched shards. `profile` is the open model's, with the warm-up in front; `timeout_ns` is as long
    /// as a latency gets.
    pub fn new(workers: Vec<Worker>, shape: Shape, profile: Option<Arc<Profile>>, timeout_ns: u64) -> Self {
        let shards = workers.len();
        Self {
            cores: workers.iter().map(|worker| worker.core).collect(),
            workers: workers.into_iter().map(Some).collect(),
            collector: Collector::new(shards, shape, timeout_ns),
            profile,
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

    /// Hears what the shards report. Call it at least a few times a second.
    pub fn poll(&mut self) {
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

    /// From [`RATE_CHANGE_LEAD_NS`] from now on, the rate is `rate` until the plan's end. All shards switch at
    /// the same instant, which is returned as an offset from the plan's zero in nanoseconds.
    ///
    /// # Errors
    /// See [`RateChangeError`].
    pub fn set_rate(&mut self, rate: Rate) -> Result<u64, RateChangeError> {
        let profile = self.profile.as_ref().ok_or(RateChangeError::ClosedModel)?;
        let start = self.start.filter(|_| self.state == State::Started && !self.stopped);
        let start = start.ok_or(RateChangeError::NotRunning)?;
        let at_ns = OsClock.now().plus_nanos(RATE_CHANGE_LEAD_NS).nanos_since(start);
        if at_ns >= profile.duration_ns() {
            return Err(RateChangeError::NotRunning);
        }
        // All shards or none: profiles that differ would not add up, and a stop must always fit.
        if self.workers.iter().flatten().any(|worker| worker.control.room() < COMMAND_RESERVE) {
            return Err(RateChangeError::TooOften);
        }
        let changed = Arc::new(profile.with_rate_from(at_ns, rate)?);
        self.profile = Some(Arc::clone(&changed));
        self.tell_all(&Command::Profile { workload: 0, profile: changed });
        Ok(at_ns)
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

    /// The open model's present profile.
    pub fn profile(&self) -> Option<&Arc<Profile>> {
        self.profile.as_ref()
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
