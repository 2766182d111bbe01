//! Hot path. The shard: one thread, one driver, one share of the plan.
//!
//! What it is: the loop that releases arrivals when they are due, hands them to connections, reads responses
//! and records what it saw. It owns everything it touches: no locks, no allocation after the start (plain
//! exchanges), no system call except through [`Io`].
//! What it is not: it parses no flags, prints nothing and knows no other shard. The control thread talks to it
//! over two bounded queues ([`link`]).
//!
//! Invariants:
//! * No request leaves before its intended send time.
//! * scheduled = sent + dropped, and when it is done sent = ok + errors + cut off.
//! * If arrivals wait, no connection is idle.
//! * The clock is read once a turn, and everything that came happened at that instant; only for what leaves, and for
//!   the lag of what is due, it is read again after every few steps.
//!
//! ```text
//!   Warming ──► Armed ──start──► Running ──end, stop──► Draining ──empty, grace over──► Done
//!      │└────────────┴──────────────┴─────── abort ─────────┴───────────────────────────►
//!   Held, in a fleet: opens nothing before it is told to
//! ```

pub(crate) mod exchange;
pub mod hand_over;
pub mod lease;
pub mod link;
pub mod pacing;
pub mod workload;

mod complete;
mod ending;
mod iterations;
mod leaving;
mod own;
mod release;
pub mod scenarios;
mod settings;
mod targets;
pub mod users;
mod waiting;

#[cfg(test)]
mod tests;

use std::io;

use clock::{NANOS_PER_SECOND, Timestamp};
use mapping::Words;
use measure::{Gauges, Recorder, Snapshot};

pub use settings::{FailStatus, RequestSettings, Settings, TargetSettings, TlsSettings};

use crate::conn::Connection;
use crate::io::{ConnId, Io, PreparedId, Wait};
use crate::live;
use exchange::{Cause, ExchangeId, ExchangeTable};
use hand_over::Handed;
use iterations::Iterations;
use leaving::Leaving;
use link::{Command, Link, Report};
use own::OwnArrivals;
use pacing::{COALESCE_NS, LONGEST_SLEEP_NS, Pacing, Smoother};
use targets::Target;
use workload::Workload;

/// Completions handled in one turn before arrivals get their chance again. The ring sends what a turn has queued at its
/// end, some 4 µs each on loopback, and hears no answer before all have left: what a turn may be wrong by is its length.
const COMPLETIONS_PER_TURN: u32 = 32;

/// Arrivals released in one turn before completions get their chance again.
const RELEASES_PER_TURN: u32 = 32;

/// A turn that begins so much later than it was meant to follows a stall of the generator's own: 10 ms.
const STALL_NS: u64 = 10_000_000;

/// Exchanges whose answers one turn hears at least, if they have come: half of its completions.
const HEARD_PER_TURN: usize = 16;

/// Steps of a turn between two readings of the clock: a few microseconds of work.
const STEPS_PER_READING: u32 = 16;

/// What a connect or a piece of a TLS handshake counts as: either takes longer than sixteen requests.
const CONNECTION_STEPS: u32 = STEPS_PER_READING;

/// What a request over TLS counts as.
const ENCRYPTION_STEPS: u32 = 4;

/// Room for the exchanges that a turn begins: those that were answered, released and resumed in it.
const BEGUN_IN_A_TURN: usize = 256;

/// Connects begun in one turn before completions and arrivals get their chance again.
const OPENS_PER_TURN: u32 = 4;

/// Where the shard is in its run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// In a fleet: nothing is opened before somebody says so.
    Held,
    /// Opening the connections that the plan wants open before the start.
    Warming,
    /// Ready; the start is not known yet.
    Armed,
    /// Sending what is due.
    Running,
    /// Sending nothing that is not due already; waiting for responses until then.
    Draining {
        /// When what is still unfinished is cut off.
        until: Timestamp,
    },
    /// Over.
    Done,
}

/// One of the plan's requests, as the driver knows it.
#[derive(Copy, Clone, Debug)]
struct Request {
    message: PreparedId,
    /// That of a connection's last exchange; often the same.
    last_message: PreparedId,
    /// Its list in the exchange table.
    list: u8,
}

/// One shard. Build it on the thread that will run it, then call [`Shard::run`].
#[derive(Debug)]
pub struct Shard<I: Io> {
    io: I,
    settings: Settings,
    workloads: Vec<Workload>,
    link: Link,
    connections: Vec<Connection>,
    targets: Vec<Target>,
    requests: Vec<Request>,
    exchanges: ExchangeTable,
    iterations: Iterations,
    own: OwnArrivals,
    /// Connections that were answered in this turn, until all that came in it has been looked at.
    answered: Vec<ConnId>,
    leaving: Leaving,
    /// What counts, and what belongs to the warm-up.
    recorders: [Recorder<Words>; 2],
    /// Snapshots kept back for the final seals.
    reserve: Vec<Box<Snapshot>>,
    phase: Phase,
    /// Instant of this turn.
    now: Timestamp,
    /// The present, read again after every [`STEPS_PER_READING`] steps of a turn: what leaves late in a long turn is not
    /// stamped with its beginning.
    present: Timestamp,
    steps: u32,
    /// The plan's zero, warm-up included.
    start: Timestamp,
    /// The results' zero: the start plus the warm-up.
    origin: Timestamp,
    /// No arrival is due from here on.
    end: Timestamp,
    /// When a second of the run, or what lies before the first, ends next.
    seal_at: Timestamp,
    /// What the open snapshots cover begins here.
    sealed_until: Timestamp,
    /// Bytes of sends that were recorded so far.
    bytes_taken: u64,
    /// CPU time that was reported so far.
    cpu_sealed_ns: u64,
    /// Waiting for a core that was reported so far, or lies before the results' zero.
    core_wait_sealed_ns: u64,
    /// When this turn's wait was meant to end.
    planned: Timestamp,
    /// When an arrival is to wake the shard next, and when one did last.
    arrival_wake: Timestamp,
    last_arrival_wake: Timestamp,
    smoother: Smoother,
    /// A turn ended at its bound with work left: do not sleep.
    unfinished_turn: bool,
    /// After an own stall, turns in which what came meanwhile is heard and no deadline is judged.
    unheard_turns: usize,
    /// Connects that this turn may still begin.
    opens_left: u32,
    /// A stop or abort came.
    stopped: bool,
    handed: Handed,
    /// In a fleet: what was begun in this turn and leaves with the next wait.
    begun: Vec<(ConnId, ExchangeId)>,
    /// When the first request left, once that was told.
    first_sent: Option<Timestamp>,
}

impl<I: Io> Shard<I> {
    /// A shard over `io`, whose limits are at least [`Settings::driver_limits`]. Of the workloads it makes copies: whoever
    /// made them made those of the other shards, too, one beside the other.
    ///
    /// # Panics
    /// When there are 256 lengths of timeout or more.
    pub fn new(mut io: I, settings: Settings, workloads: &[Workload], mut link: Link) -> Self {
        let limits = settings.driver_limits();
        let mut timeouts_ns: Vec<u64> = settings.requests.iter().map(|request| request.timeout_ns).collect();
        timeouts_ns.sort_unstable();
        timeouts_ns.dedup();
        let requests = settings.requests.iter().map(|request| {
            // What each iteration writes anew has no message; its place is never sent.
            let message =
                request.message.clone().map_or(PreparedId(u32::MAX), |message| io.prepare_message(message));
            let last_message =
                request.last_message.clone().map_or(message, |message| io.prepare_message(message));
            let list = timeouts_ns.iter().position(|&timeout_ns| timeout_ns == request.timeout_ns);
            let list =
                list.and_then(|list| u8::try_from(list).ok()).expect("a plan has few lengths of timeout");
            Request { message, last_message, list }
        });
        let requests = requests.collect();
        let now = io.now();
        let connections = (0..limits.connections)
            .map(|index| Connection::vacant(index, settings.response_limits))
            .collect();
        let longest_ns = timeouts_ns.last().copied().unwrap_or(0);
        link.make_spares(settings.shape, longest_ns);
        if let Some(tenure) = &settings.tenure {
            io.guard(tenure.guard());
        }
        Self {
            connections,
            targets: settings
                .targets
                .iter()
                .map(|target| Target::new(target.clone(), limits.connections))
                .collect(),
            requests,
            exchanges: ExchangeTable::new(limits.connections, &timeouts_ns),
            iterations: Iterations::new(&settings),
            own: OwnArrivals::new(&settings),
            answered: Vec::with_capacity(COMPLETIONS_PER_TURN as usize),
            leaving: Leaving::new(),
            recorders: [recorder(&settings, false, longest_ns), recorder(&settings, true, longest_ns)],
            reserve: (0..2).map(|_| Box::new(Snapshot::new(settings.shape))).collect(),
            phase: if settings.tenure.is_some() { Phase::Held } else { Phase::Warming },
            now,
            present: now,
            steps: 0,
            start: Timestamp::MAX,
            origin: Timestamp::MAX,
            end: Timestamp::MAX,
            seal_at: Timestamp::MAX,
            sealed_until: Timestamp::MAX,
            bytes_taken: 0,
            cpu_sealed_ns: 0,
            core_wait_sealed_ns: 0,
            planned: now,
            arrival_wake: now,
            last_arrival_wake: Timestamp::ZERO,
            smoother: Smoother::new(now),
            unfinished_turn: false,
            opens_left: OPENS_PER_TURN,
            unheard_turns: 0,
            stopped: false,
            handed: Handed::default(),
            begun: Vec::with_capacity(if settings.tenure.is_some() { BEGUN_IN_A_TURN } else { 0 }),
            first_sent: None,
            io,
            settings,
            workloads: workloads.iter().map(Workload::copied).collect(),
            link,
        }
    }

    /// Runs until the run is over, and gives the driver back.
    ///
    /// # Errors
    /// The driver broke. What was sealed before has been reported.
    pub fn run(mut self) -> io::Result<I> {
        if self.phase == Phase::Warming {
            self.open_warm();
        }
        while self.phase != Phase::Done {
            self.turn()?;
        }
        Ok(self.io)
    }

    /// One turn: wait, then deal with what came and what is due, all at one instant.
    fn turn(&mut self) -> io::Result<()> {
        let mut wait = self.next_wait();
        if !self.begun.is_empty() && self.is_withheld() {
            wait = Wait::Poll;
        }
        self.io.wait(wait)?;
        let before = std::mem::replace(&mut self.now, self.io.now());
        (self.present, self.steps) = (self.now, 0);
        self.unfinished_turn = false;
        self.opens_left = OPENS_PER_TURN;
        if self.now.nanos_since(self.planned) > STALL_NS {
            // The driver hands out what came meanwhile bit by bit.
            self.unheard_turns = self.exchanges.len() / HEARD_PER_TURN + 1;
        }
        if self.now >= self.seal_at {
            self.seal_due(before);
        }
        if self.link.has_command() {
            self.obey(before);
        }
        if self.settings.tenure.is_some() {
            self.look_at_lease(before);
        }
        self.complete();
        self.resume_iterations();
        self.release();
        self.expire();
        // Most turns find nothing to open; but a table that was full may have room by now.
        self.open_for_all();
        self.count_sent();
        if self.first_sent.is_none() {
            self.note_first_sent();
        }
        self.settle();
        // Only here: what this turn did not judge, it did not cut off either.
        self.unheard_turns = self.unheard_turns.saturating_sub(1);
        Ok(())
    }

    /// How long the next turn may wait.
    fn next_wait(&mut self) -> Wait {
        // Before it waits for anything, a turn is meant to go on at once.
        self.planned = self.now;
        if self.unfinished_turn || self.unheard_turns > 0 || self.iterations.are_ready() {
            return Wait::Poll;
        }
        let mut until = self.now.plus_nanos(LONGEST_SLEEP_NS);
        if self.phase == Phase::Running {
            if self.settings.pacing == Pacing::Spin && self.start.nanos_since(self.now) < LONGEST_SLEEP_NS {
                return Wait::Poll;
            }
            if let Some((due, _)) = self.next_due().filter(|(due, _)| *due < self.end) {
                // Absolute times only: a late wake-up never shifts the ones behind it.
                self.arrival_wake = due.max(self.last_arrival_wake.plus_nanos(COALESCE_NS));
                until = until.min(self.arrival_wake);
            }
            if self.smoother.is_behind() {
                until = until.min(self.now.plus_nanos(COALESCE_NS));
            }
            until = until.min(self.end.max(self.now.plus_nanos(1)));
        }
        until = until.min(self.iterations.next_look(self.now));
        if let Phase::Draining { until: cut_off } = self.phase {
            until = until.min(cut_off);
        }
        if let Some((_, exchange)) = self.exchanges.oldest() {
            until = until.min(exchange.deadline);
        }
        for target in &self.targets {
            if let Some(waiting) = target.waiting.front() {
                until = until.min(waiting.intended.plus_nanos(self.timeout_ns(waiting.cause)));
            }
            if let Some(&(_, since)) = target.opening.front() {
                until = until.min(since.plus_nanos(target.settings.connect_timeout_ns));
            }
        }
        self.planned = until.max(self.now);
        Wait::Until(until)
    }

    /// Obeys what the control thread says. Nothing was released since the turn `before`.
    #[cold]
    fn obey(&mut self, before: Timestamp) {
        while let Some(command) = self.link.command() {
            match command {
                Command::Open if self.phase == Phase::Held => {
                    self.phase = Phase::Warming;
                    self.open_warm();
                }
                Command::Open => {}
                Command::Start { at } => self.start_at(at),
                Command::Hand(hand) => self.hand_over(hand, before),
                Command::End { at } => self.end = at.min(self.start.plus_nanos(self.settings.duration_ns)),
                Command::Profile { workload, profile } => self.workloads[workload].set_profile(&profile),
                Command::Token { place, value } => self.iterations.take_token(place, &value),
                Command::Stop => self.stop(),
                Command::Abort => self.abort(),
            }
        }
    }

    /// The plan's zero is `at`. Only what has not begun can: a stop may have been quicker. A start that has not come can be moved.
    fn start_at(&mut self, at: Timestamp) {
        let is_to_come = self.phase == Phase::Running && self.now < self.start;
        if !is_to_come && !matches!(self.phase, Phase::Warming | Phase::Armed) {
            return;
        }
        self.start = at;
        self.origin = at.plus_nanos(self.settings.warmup_ns);
        self.end = at.plus_nanos(self.settings.duration_ns);
        (self.seal_at, self.sealed_until) = (self.origin, self.origin);
        if let Some(seat) = &self.settings.live {
            seat.begins(self.origin);
        }
        if self.settings.tenure.is_some() && self.now > self.origin {
            // Of a run that it joins on the way, it measures the part that it is there for.
            self.sealed_until = self.now;
            self.core_wait_sealed_ns = (self.settings.core_wait_clock)().unwrap_or(0);
        }
        self.smoother = Smoother::new(self.now);
        self.phase = Phase::Running;
    }

    /// Tells when the first request left, once it has.
    #[cold]
    fn note_first_sent(&mut self) {
        if let Some(at) = self.exchanges.first_sent() {
            self.first_sent = Some(at);
            self.link.report(Report::FirstSent { at });
        }
    }

    /// Seals the open snapshot when a second of the run has ended since the turn `before`, whose instant is the
    /// last at which anything was recorded: what it measured belongs to that turn's second, however late this
    /// turn is. When the control thread has given no empty snapshot back, the interval simply grows by another
    /// second: nothing is lost.
    #[cold]
    fn seal_due(&mut self, before: Timestamp) {
        let origin = self.origin;
        let second = |at: Timestamp| at.nanos_since(origin) / NANOS_PER_SECOND;
        let begin = |second: u64| origin.plus_nanos(second * NANOS_PER_SECOND);
        let (last, present) = (second(before), second(self.now));
        self.seal_at = begin(present + 1);
        if before < origin {
            // What the results cover begins here.
            self.core_wait_sealed_ns = (self.settings.core_wait_clock)().unwrap_or(0);
            return;
        }
        if last == present {
            return;
        }
        if let Some(spare) = self.link.spare() {
            self.seal(spare, begin(last + 1));
            self.sealed_until = begin(present);
        }
    }

    fn seal(&mut self, spare: Box<Snapshot>, until: Timestamp) {
        let from_ns = self.sealed_until.nanos_since(self.origin);
        let until_ns = until.nanos_since(self.origin);
        let mut sealed = self.recorders[0].seal(spare, from_ns, until_ns);
        let cpu_ns = (self.settings.cpu_clock)();
        sealed.cpu_ns = cpu_ns.saturating_sub(self.cpu_sealed_ns);
        if let Some(core_wait_ns) = (self.settings.core_wait_clock)() {
            sealed.core_wait_ns = core_wait_ns.saturating_sub(self.core_wait_sealed_ns);
            self.core_wait_sealed_ns = core_wait_ns;
        }
        sealed.gauges = Gauges {
            connections: self.open_connections(),
            in_flight: u32::try_from(self.exchanges.len()).unwrap_or(u32::MAX),
            waiting: self.targets.iter().map(|target| target.waiting.len() as u64).sum(),
        };
        self.cpu_sealed_ns = cpu_ns;
        self.sealed_until = until;
        self.link.report(Report::Sealed(sealed));
    }

    /// When the next piece of work is due, and of which workload.
    #[inline]
    fn next_due(&mut self) -> Option<(Timestamp, usize)> {
        // Most plans have one; it is asked several times for each of its arrivals.
        match &mut self.workloads[..] {
            [workload] => Some((workload.next_due(self.start)?, 0)),
            workloads => next_of(workloads, self.start),
        }
    }

    /// How long a request is waited for, from its intended send time.
    fn timeout_ns(&self, cause: Cause) -> u64 {
        self.settings.requests[usize::from(cause.request)].timeout_ns
    }

    /// Connections open or being opened, to all targets.
    fn open_connections(&self) -> u32 {
        self.targets.iter().map(|target| target.pool.open()).sum()
    }

    /// Records what the system has taken of sends since the last time. A large body goes out over many turns, and a
    /// turn records what went in it; so does a handshake, which belongs to no exchange.
    fn count_sent(&mut self) {
        let taken = self.io.bytes_taken();
        let recorder = &mut self.recorders[usize::from(self.now < self.origin)];
        // What was counted when it was queued may turn out not to have gone through.
        if taken > self.bytes_taken {
            recorder.bytes_sent(taken - self.bytes_taken);
            self.bytes_taken = taken;
        }
    }

    /// Notes work of so many steps, a step being the release of a plain request; yields the present.
    #[inline]
    fn step(&mut self, steps: u32) -> Timestamp {
        self.steps += steps;
        if self.steps >= STEPS_PER_READING {
            self.steps = 0;
            self.present = self.io.now();
        }
        self.present
    }

    /// The recorder for work that does or does not belong to the warm-up.
    fn recorder(&mut self, warmup: bool) -> &mut Recorder<Words> {
        &mut self.recorders[usize::from(warmup)]
    }
}

/// What a shard records into, of the warm-up or of what comes after it, with the memory of all values up to `longest_ns`.
fn recorder(settings: &Settings, warmup: bool, longest_ns: u64) -> Recorder<Words> {
    let (node, shard, shape) = (settings.node, settings.shard, settings.shape);
    let mut recorder = match &settings.live {
        Some(seat) => seat.recorder(node, shard, shape, warmup),
        None => live::private_recorder(node, shard, shape),
    };
    recorder.set_warmup(warmup);
    if !warmup || settings.warmup_ns > 0 {
        recorder.populate(longest_ns);
    }
    recorder
}

/// When the next piece of work of several workloads is due, and of which.
#[inline(never)]
fn next_of(workloads: &mut [Workload], start: Timestamp) -> Option<(Timestamp, usize)> {
    let next = |(index, workload): (usize, &mut Workload)| Some((workload.next_due(start)?, index));
    workloads.iter_mut().enumerate().filter_map(next).min()
}
