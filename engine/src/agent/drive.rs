//! The driver of the agent: connections, clocks, files, the thread of a run.
//!
//! What it is: what the agent wants done, done, and what happens, told to it. What it is not: a decision, but for when to
//! connect again.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, OsClock, Timestamp, boot_nanos, wall_time};
use command::Carried;
use measure::{Gauges, Totals};
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::transport::Endpoint;
use verdict::ExitCode;
use wire::grpc::NodeMessage;
use wire::{Delta, FromNode, Measured, Refusal, RunKey, Spec};

use super::event::{Action, Event, Happened, Now};
use super::link::{self, Client, Coordinator, Heard, Numbered};
use super::machine::Agent;
use super::spool::Spool;
use super::state::State;
use super::{CarryOut, DELTA_BYTES_MAX, Host, files};
use crate::args::Run as RunArguments;
use crate::collect::Second;
use crate::live::{Counted, Kept, Site, Told};
use crate::part::{self, Circumstances, Order, Part, Standing};
use crate::progress::tell;
use crate::shard::lease::Lease;

/// The longest pause before connecting again; each pause is a random part of twice the one before. A coordinator that was
/// started again waits for a lease, 3 s unless it is told otherwise, before it takes anyone for lost.
const PAUSE_MAX: Duration = Duration::from_secs(2);
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// How long the end waits for what was said last to leave.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the driver begins with.
pub(super) struct Setting {
    pub(super) agent: Agent,
    pub(super) state: State,
    pub(super) spool: Spool,
    pub(super) coordinator: Coordinator,
    pub(super) endpoint: Endpoint,
    pub(super) host: Host,
    pub(super) carry_out: CarryOut,
    /// The process ends with 3 unless it was taken in by then; never if none.
    pub(super) connect_within: Option<Duration>,
    /// Which life this is, and in which boot of the machine.
    pub(super) incarnation: u64,
    pub(super) boot_id: String,
    /// What was found at the start, for the log.
    pub(super) found: Vec<String>,
}

/// A run on a thread of its own.
struct Running {
    run: RunKey,
    part: Part,
    /// What is fetched before it begins.
    fetching: Option<JoinHandle<()>>,
    /// The other side, until the thread takes it.
    door: Option<part::Door>,
    /// Where it is noted which deltas were kept, and what those count that become the next.
    told: Option<Box<Told>>,
    counted: VecDeque<Counted>,
    is_over: bool,
}

impl Running {
    /// Nothing more of it is to be recovered.
    fn forget_live(&mut self) {
        if let Some(told) = self.told.take() {
            told.remove();
        }
    }
}

/// What was fetched.
struct Fetched {
    run: RunKey,
    spec: Box<Spec>,
    carried: Result<Carried, Refusal>,
}

struct Driver {
    agent: Agent,
    state: Arc<State>,
    spool: Spool,
    coordinator: Coordinator,
    endpoint: Endpoint,
    host: Host,
    carry_out: CarryOut,
    lease: Arc<Lease>,
    heard: mpsc::UnboundedSender<Numbered>,
    fetched: mpsc::UnboundedSender<Fetched>,
    link: Option<JoinHandle<()>>,
    /// Which connection it is; what others still say is not heard.
    link_number: u64,
    say: Option<mpsc::UnboundedSender<NodeMessage>>,
    /// The way to fetch files, while a connection stands.
    client: watch::Sender<Option<Client>>,
    connect_at: Option<Instant>,
    pause: Duration,
    said_why: String,
    was_taken_in: bool,
    running: Option<Running>,
    events: VecDeque<Event>,
    incarnation: u64,
    boot_id: String,
    cpu: (Timestamp, u64),
    cpu_milli: u32,
    exit: Option<ExitCode>,
}

/// The signals that end the process.
struct Signals {
    interrupts: Signal,
    terminations: Signal,
}

/// Takes part until the process is to end.
///
/// # Errors
/// The operating system refuses what the loop needs.
pub(super) fn drive(setting: Setting) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals {
            interrupts: signal(SignalKind::interrupt())?,
            terminations: signal(SignalKind::terminate())?,
        };
        let (heard, mut from_link) = mpsc::unbounded_channel();
        let (fetched, mut from_files) = mpsc::unbounded_channel();
        let give_up = setting.connect_within.map(|within| Instant::now() + within);
        let mut driver = Driver::new(setting, heard, fetched);
        while driver.exit.is_none() {
            driver.turn(&mut signals, &mut from_link, &mut from_files, give_up).await;
        }
        driver.farewell(&mut from_link).await;
        Ok(driver.exit.unwrap_or(ExitCode::Internal))
    })
}

impl Driver {
    fn new(
        setting: Setting,
        heard: mpsc::UnboundedSender<Numbered>,
        fetched: mpsc::UnboundedSender<Fetched>,
    ) -> Self {
        let Setting { agent, state, spool, coordinator, endpoint, host, carry_out, .. } = setting;
        let Setting { incarnation, boot_id, found, .. } = setting;
        Self {
            agent,
            state: Arc::new(state),
            spool,
            coordinator,
            endpoint,
            host,
            carry_out,
            lease: Arc::new(Lease::new(0)),
            heard,
            fetched,
            link: None,
            link_number: 0,
            say: None,
            client: watch::Sender::new(None),
            connect_at: Some(Instant::now()),
            pause: PAUSE_FIRST,
            said_why: String::new(),
            was_taken_in: false,
            running: None,
            events: found.into_iter().map(Event::Note).collect(),
            incarnation,
            boot_id,
            cpu: (OsClock.now(), process_cpu_ns()),
            cpu_milli: 0,
            exit: None,
        }
    }

    /// Waits for the next thing that happens, and deals with it.
    async fn turn(
        &mut self,
        signals: &mut Signals,
        from_link: &mut mpsc::UnboundedReceiver<Numbered>,
        from_files: &mut mpsc::UnboundedReceiver<Fetched>,
        give_up: Option<Instant>,
    ) {
        let wake = self.agent.deadline().map(|at| Instant::now() + until(at));
        let give_up = give_up.filter(|_| !self.was_taken_in);
        tokio::select! {
            biased;
            Some((number, heard)) = from_link.recv() => {
                if number == self.link_number {
                    self.heard(heard);
                }
            }
            event = next_event(&mut self.running) => self.part_did(event),
            Some(fetched) = from_files.recv() => self.begin(fetched),
            () = passed(wake) => self.wake(),
            () = passed(self.connect_at) => self.connect(),
            () = passed(give_up) => {
                tell(&format!("error: {} was not reached in time: {}\n", self.coordinator.address, self.said_why));
                self.exit = Some(ExitCode::Environment);
            }
            _ = signals.interrupts.recv() => self.leave("SIGINT", ExitCode::Interrupted),
            _ = signals.terminations.recv() => self.leave("SIGTERM", ExitCode::Terminated),
        }
        self.settle();
    }

    fn leave(&mut self, signal: &str, code: ExitCode) {
        self.events.push_back(Event::Leave { reason: signal.to_owned(), code });
    }

    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Connected { say, client } => {
                self.say = Some(say);
                self.client.send_replace(Some(client));
                self.events.push_back(Event::Connected);
            }
            Heard::Told { received, message } => self.events.push_back(Event::Told { received, message }),
            Heard::Closed { reason } => {
                self.let_go();
                // Said once, not with every attempt.
                if self.said_why != reason {
                    tell(&format!("{}: {reason}; trying again\n", self.coordinator.address));
                    self.said_why = reason;
                }
                self.connect_later();
                self.events.push_back(Event::Disconnected);
            }
        }
    }

    /// Forgets the connection; what its task still says is not heard.
    fn let_go(&mut self) {
        self.say = None;
        self.client.send_replace(None);
        self.link_number += 1;
        if let Some(task) = self.link.take() {
            task.abort();
        }
    }

    fn connect_later(&mut self) {
        // Full jitter: nodes that lost one coordinator do not come back at one instant.
        let share = RandomState::new().hash_one(self.pause) % 1_000;
        let pause = self.pause.mul_f64(share as f64 / 1_000.0);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.connect_at = Some(Instant::now() + pause);
    }

    fn connect(&mut self) {
        self.connect_at = None;
        let (coordinator, endpoint) = (self.coordinator.clone(), self.endpoint.clone());
        let attending = link::attend(coordinator, endpoint, self.link_number, self.heard.clone());
        self.link = Some(tokio::spawn(attending));
    }

    fn wake(&mut self) {
        let (at, now_ns) = (OsClock.now(), process_cpu_ns());
        let passed_ns = at.nanos_since(self.cpu.0).max(1);
        let used_ns = now_ns.saturating_sub(self.cpu.1);
        self.cpu_milli = u32::try_from(used_ns.saturating_mul(1_000) / passed_ns).unwrap_or(u32::MAX);
        self.cpu = (at, now_ns);
        let standing = self.running.as_ref().map_or(Standing::default(), |one| *one.part.standing.borrow());
        self.events.push_back(Event::Standing { standing, cpu_milli: self.cpu_milli });
        self.events.push_back(Event::Wake);
    }

    /// Tells the agent what happened, and does what it wants, until there is nothing more.
    fn settle(&mut self) {
        let mut actions = Vec::new();
        while let Some(event) = self.events.pop_front() {
            self.agent.handle(now(), event, &mut actions);
            for action in actions.drain(..) {
                self.perform(action);
            }
        }
        if self.agent.is_attending() && !self.was_taken_in {
            self.was_taken_in = true;
        }
        if self.agent.is_attending() {
            self.pause = PAUSE_FIRST;
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send(message) => link::say(self.say.as_ref(), *message),
            Action::Deliver { run, incarnation, sequence } => self.deliver(run, incarnation, sequence),
            Action::Close => {
                self.let_go();
                self.connect_later();
            }
            Action::Begin { run, spec } => self.fetch(run, spec),
            Action::Order(order) => self.order(order),
            Action::RenewLease { until_ns } => {
                // One that has run out meanwhile is told by the part.
                let _ = self.lease.renew(boot_nanos(), until_ns);
            }
            Action::BeginLease { until_ns } => self.lease.begin_anew(until_ns),
            Action::Keep(delta) => self.keep(*delta),
            Action::Forget { run, incarnation, through } => self.spool.forget(run, incarnation, through),
            Action::Coalesce { run, incarnation, from } => self.coalesce(run, incarnation, from),
            Action::Discard { run } => self.spool.discard(run),
            Action::Note(text) => tell(&format!("{text}\n")),
            Action::Exit { code, reason } => {
                if let Some(reason) = reason {
                    tell(&format!("error: {reason}\n"));
                }
                self.exit = Some(code);
            }
        }
    }

    fn keep(&mut self, delta: Delta) {
        let kept = Kept { sequence: delta.sequence, epoch: delta.epoch, until_ns: delta.until_ns };
        let counted = self.running.as_mut().and_then(|running| running.counted.pop_front());
        if let Err(error) = self.spool.keep(delta) {
            let text = format!("a second is kept in memory alone: {error}");
            self.events.push_back(Event::Note(text));
        } else if let (Some(running), Some(counted)) = (&mut self.running, counted)
            && let Some(told) = &mut running.told
        {
            // Only now: what the next life does not find as a delta, it finds counted.
            told.kept(kept, &counted);
        }
    }

    fn coalesce(&mut self, run: RunKey, incarnation: u64, from: u64) {
        let running = self.running.as_mut().filter(|running| running.run == run);
        let mut told = running.and_then(|running| running.told.as_mut());
        let end = self.spool.end(run, incarnation);
        // Of what is in memory alone the note knows nothing, so that it could not be told from what was put together.
        let is_noted = told.as_ref().is_none_or(|told| Some(told.next()) == end);
        let done = if is_noted {
            self.spool.coalesce(run, incarnation, from).map_err(|error| error.to_string())
        } else {
            Err("some are in memory alone".to_owned())
        };
        match done {
            Ok(end) => {
                if let Some(told) = &mut told {
                    told.renumbered(end);
                }
                // Nothing else may happen before the agent knows the new numbers.
                self.events.push_front(Event::Coalesced { run, incarnation, end });
            }
            Err(error) => {
                let text = format!("seconds cannot be put together, and take more room: {error}");
                self.events.push_back(Event::Note(text));
            }
        }
    }

    fn deliver(&mut self, run: RunKey, incarnation: u64, sequence: u64) {
        match self.spool.find(run, incarnation, sequence) {
            Ok(delta) => link::say(self.say.as_ref(), FromNode::Delta(Box::new(delta))),
            Err(error) => {
                let text = format!("second {sequence} of run {run:032x} cannot be told: {error}");
                self.events.push_back(Event::Note(text));
            }
        }
    }

    fn order(&mut self, order: Order) {
        let Some(running) = &mut self.running else { return };
        if let (Order::Abort { reason }, Some(task)) = (&order, running.fetching.take()) {
            // Nothing has begun.
            task.abort();
            let refusal = Refusal { exit_code: ExitCode::Environment.code(), message: reason.clone() };
            let happened = Happened::Prepared(Err(refusal));
            self.events.push_back(Event::Part { run: running.run, happened });
            self.running = None;
            return;
        }
        // A part that is over hears nothing.
        let _ = running.part.orders.send(order);
    }

    /// Fetches what a plan names; the part begins when everything is there.
    fn fetch(&mut self, run: RunKey, spec: Box<Spec>) {
        let site =
            Site { folder: self.state.live(), run, life: self.incarnation, boot_id: self.boot_id.clone() };
        let circumstances =
            Circumstances { run_id: format!("{run:032x}"), lease: Arc::clone(&self.lease), live: Some(site) };
        let (part, door) = part::pair(circumstances);
        let (state, client, done) = (Arc::clone(&self.state), self.client.subscribe(), self.fetched.clone());
        let fetching = tokio::spawn(async move {
            let carried = files::gather(&spec, state, client).await;
            let _ = done.send(Fetched { run, spec, carried });
        });
        self.running = Some(Running {
            run,
            part,
            fetching: Some(fetching),
            door: Some(door),
            told: None,
            counted: VecDeque::new(),
            is_over: false,
        });
    }

    /// Begins a part on a thread of its own.
    fn begin(&mut self, Fetched { run, spec, carried }: Fetched) {
        let Some(running) = self.running.as_mut().filter(|running| running.run == run) else { return };
        running.fetching = None;
        let Some(door) = running.door.take() else { return };
        let (host, carry_out) = (self.host.clone(), self.carry_out);
        let work = move || {
            let read = carried.and_then(|carried| {
                let refused = |refusal: command::Refusal| Refusal {
                    exit_code: refusal.exit_code.code(),
                    message: refusal.message,
                };
                command::of_words(&spec.words, &carried).map_err(refused)
            });
            match read {
                Ok(run) => {
                    let mut run = RunArguments::from(run);
                    host.settle_on(&mut run.plan);
                    carry_out(run, door);
                }
                Err(refusal) => drop(door.events.send(part::Event::Refused(refusal))),
            }
        };
        if let Err(error) = std::thread::Builder::new().name("part".to_owned()).spawn(work) {
            let refusal = Refusal { exit_code: ExitCode::Environment.code(), message: error.to_string() };
            self.events.push_back(Event::Part { run, happened: Happened::Prepared(Err(refusal)) });
            self.running = None;
        }
    }

    fn part_did(&mut self, event: Option<part::Event>) {
        let Some(running) = &mut self.running else { return };
        let run = running.run;
        let happened = match event {
            Some(part::Event::Counting(told)) => {
                running.told = Some(told);
                return;
            }
            Some(part::Event::Prepared(description)) => Happened::Prepared(Ok(description)),
            Some(part::Event::Refused(refusal)) => {
                running.is_over = true;
                running.forget_live();
                Happened::Prepared(Err(refusal))
            }
            Some(part::Event::Armed { epoch }) => Happened::Armed { epoch },
            Some(part::Event::Obeyed { epoch }) => Happened::Obeyed { epoch },
            Some(part::Event::Declined { epoch, reason }) => Happened::Declined { epoch, reason },
            Some(part::Event::FirstSent { at_ns }) => {
                let text = format!("the first request left {:.6} s after the start", at_ns as f64 / 1e9);
                return self.events.push_back(Event::Note(text));
            }
            Some(part::Event::Second(second)) => {
                let measured = Measured::pack_within(&second.totals, DELTA_BYTES_MAX);
                running.counted = match &running.told {
                    Some(_) => counted(&second.totals, &measured),
                    None => VecDeque::new(),
                };
                let happened = pieces(&second, measured);
                running.part.recycle(*second);
                let standing = *running.part.standing.borrow();
                self.events.push_back(Event::Standing { standing, cpu_milli: self.cpu_milli });
                self.events.extend(happened.into_iter().map(|happened| Event::Part { run, happened }));
                return;
            }
            Some(part::Event::Lapsed { at_ns }) => Happened::Lapsed { at_ns },
            Some(part::Event::Note(text)) => return self.events.push_back(Event::Note(text)),
            Some(part::Event::Finished(ended)) => {
                running.is_over = true;
                // Every second came before it, and was kept.
                running.forget_live();
                let (counters, first_sent_ns) = (Box::new(ended.counters), ended.first_sent_ns);
                Happened::Finished { counters, first_sent_ns, summary: ended.summary }
            }
            None if running.is_over => {
                self.running = None;
                return;
            }
            None => {
                running.is_over = true;
                let message = "the run broke off".to_owned();
                Happened::Prepared(Err(Refusal { exit_code: ExitCode::Internal.code(), message }))
            }
        };
        let standing = *running.part.standing.borrow();
        self.events.push_back(Event::Standing { standing, cpu_milli: self.cpu_milli });
        self.events.push_back(Event::Part { run, happened });
    }

    /// Lets what was said last leave, and a run end.
    async fn farewell(&mut self, from_link: &mut mpsc::UnboundedReceiver<Numbered>) {
        self.lease.end(boot_nanos());
        if let Some(running) = &self.running {
            let _ = running.part.orders.send(Order::Abort { reason: "the node's process ends".to_owned() });
        }
        self.say = None;
        self.client.send_replace(None);
        let ended = async {
            while let Some((_, heard)) = from_link.recv().await {
                if matches!(heard, Heard::Closed { .. }) {
                    break;
                }
            }
        };
        if self.link.is_some() {
            // A coordinator that does not close is left all the same.
            let _ = tokio::time::timeout(FAREWELL, ended).await;
        }
    }
}

/// What each piece of a second counts.
fn counted(second: &Totals, pieces: &[Measured]) -> VecDeque<Counted> {
    match pieces {
        [_] => VecDeque::from([Counted::of(second)]),
        several => several.iter().map(|piece| Counted::of(&piece.unpack())).collect(),
    }
}

/// A second as one delta, or as several where it is too large for one: all but the last say that they are not the whole of it.
fn pieces(second: &Second, pieces: Vec<Measured>) -> Vec<Happened> {
    let last = pieces.len() - 1;
    let happened = |(place, measured)| {
        let begun_ns = second.index * clock::NANOS_PER_SECOND + 1;
        let (until_ns, gauges) = match place {
            place if place == last => (second.until_ns, second.gauges),
            _ => (begun_ns.min(second.until_ns), Gauges::default()),
        };
        Happened::Second { second: second.index, until_ns, measured, gauges }
    };
    pieces.into_iter().enumerate().map(happened).collect()
}

/// What the run did next; never where there is none.
async fn next_event(running: &mut Option<Running>) -> Option<part::Event> {
    match running {
        Some(running) => running.part.events.recv().await,
        None => std::future::pending().await,
    }
}

/// Ends when the instant has come; never without one.
async fn passed(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn until(at: Timestamp) -> Duration {
    Duration::from_nanos(at.nanos_since(OsClock.now()))
}

fn now() -> Now {
    let unix_ns = u64::try_from(wall_time().as_nanos()).unwrap_or(u64::MAX);
    Now { monotonic: OsClock.now(), boot_ns: boot_nanos(), unix_ns }
}

/// Processor time of the whole process.
fn process_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec.cast_unsigned() * clock::NANOS_PER_SECOND + time.tv_nsec.cast_unsigned()
}
