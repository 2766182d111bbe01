//! A coordinator at work: the director, and the edges around it.
//!
//! What it is: one task that owns the director, hands it what happens and does what it answers: messages to nodes, records to
//! the store, answers to people. What it is not: a decision, or an edge.
//!
//! ```text
//!   nodes ──rpc──► Heard ──┐            ┌── Keep ──► store ──durable──┐
//!   people ─http─► Request ┼► director ─┼── Send, Close ──(held)──────┼──► rpc ──► nodes
//!   clocks ──────► Wake ───┘            └── Answer ────(held)─────────┴──► http ─► people
//! ```
//!
//! Invariants: nothing that an action wants durable first leaves before it is; what is said to one node, and what is answered,
//! keeps its order; when the disk fails, nothing leaves any more.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, OsClock, Timestamp};
use rustix::fs::{FlockOperation, flock};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::director::{Action, Director, Event, Origin, Restored, Settings};
use crate::files::Repository;
use crate::handle::{FleetView, Handle, Inbox, RunId, RunState, RunView};
use crate::rpc::{self, Heard};
use crate::security::Audit;
use crate::store::{Retention, Store, StoreError, Write};
use crate::submission::{Rails, Shown, Submitted, of_spec};
use crate::wall::{now_unix_ns, rfc3339};

mod asked;
mod held;

use asked::Ticket;
use held::Held;

/// How things stand is shown at most this often.
const SHOWN_EVERY: Duration = Duration::from_millis(100);
/// Showing takes at most one part of so many of the time.
const SHOWN_PART: u64 = 20;
/// The wall clock is compared with the monotonic one this often, and old history forgotten.
const TIDIED_EVERY: Duration = Duration::from_secs(10);
/// A wall clock that was set moves by more than this.
const SET_BY_NS: u64 = 1_000_000;
/// Messages that are taken before anything else is looked at.
const BATCH: usize = 256;

/// How a coordinator is set up.
#[derive(Debug)]
pub struct Options {
    /// The nodes' edge.
    pub nodes: rpc::Options,
    /// What may be loaded.
    pub rails: Rails,
    /// How much of the history is kept.
    pub retention: Retention,
    /// Times of the protocol.
    pub settings: Settings,
    /// Where the edges note whom they refused.
    pub audit: Audit,
    /// Say on standard error what happens.
    pub tells: bool,
}

/// Why a coordinator ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of its state.
    #[error("the state folder {path}: {source} → a folder that this user may write to: --state DIR")]
    Folder {
        /// The folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another coordinator has it.
    #[error(
        "the state folder {path}: another coordinator is at work on it → end that one, or another --state DIR"
    )]
    Taken {
        /// The folder.
        path: String,
    },
    /// What the system told of this host.
    #[error("this host does not tell its boot: {0}")]
    Boot(std::io::Error),
}

/// A coordinator that was opened, and not set to work yet.
#[derive(Debug)]
pub struct Coordinator {
    state: State,
    inbox: Inbox,
    handle: Handle,
}

/// What a run is beside what the director knows of it.
#[derive(Clone, Debug)]
struct About {
    shown: Shown,
    submitted_at: String,
    stored: Option<(RunState, Option<u8>)>,
}

#[derive(Debug)]
struct State {
    store: Arc<Store>,
    repository: Repository,
    director: Director,
    rails: Arc<Rails>,
    retention: Retention,
    audit: Audit,
    tells: bool,
    /// Held for as long as the coordinator works on the folder.
    _lock: File,
    about: BTreeMap<u128, About>,
    sessions: BTreeMap<u64, mpsc::Sender<wire::ToNode>>,
    held: Held,
    tickets: BTreeMap<u64, Ticket>,
    next_ticket: u64,
    next_line: u64,
    unix_offset_ns: u64,
    started_at: String,
    is_stale: bool,
    /// Not before this is it shown again.
    shown_from: Timestamp,
    /// For plans that are being read.
    places: Arc<Semaphore>,
    read: mpsc::UnboundedSender<asked::Read>,
    reading: Option<mpsc::UnboundedReceiver<asked::Read>>,
}

impl Coordinator {
    /// Opens the state in `folder`: a new term, and the runs that go on.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn open(folder: &Path, options: &Options) -> Result<Self, ServeError> {
        let wrong = |source| ServeError::Folder { path: folder.display().to_string(), source };
        crate::files::private_folder(folder).map_err(wrong)?;
        let lock = take(folder)?;
        let store = Store::open(folder)?;
        let repository = Repository::open(folder).map_err(wrong)?;
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(ServeError::Boot)?;
        let unix_offset_ns = unix_offset_ns();
        let origin = Origin {
            term: store.term(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: boot_id.trim().to_owned(),
            unix_offset_ns,
            settings: options.settings,
        };
        let (mut restored, mut about) = (Vec::new(), BTreeMap::new());
        for kept in store.unfinished()? {
            let run = kept.run;
            // Its rails were asked when it was taken.
            let read = of_spec(kept.spec, kept.terms, run, kept.at_unix_ns, &repository, &Rails::default());
            let submitted = read.map_err(|refused| StoreError::Damaged {
                path: folder.to_owned(),
                what: format!("the plan of run {}", RunId(run)),
                why: refused.message,
            })?;
            about.insert(run, About::of(&submitted));
            let Submitted { submission, .. } = submitted;
            restored.push(Restored {
                submission,
                facts: kept.facts,
                seconds: kept.seconds,
                marks: kept.marks,
            });
        }
        let director = Director::new(OsClock.now(), origin, restored, store.standing()?);
        let next_line = store.last_line()? + 1;
        let (read, reading) = mpsc::unbounded_channel();
        let state = State {
            store: Arc::new(store),
            repository,
            director,
            rails: Arc::new(options.rails.clone()),
            retention: options.retention,
            audit: options.audit.clone(),
            tells: options.tells,
            _lock: lock,
            about,
            sessions: BTreeMap::new(),
            held: Held::default(),
            tickets: BTreeMap::new(),
            next_ticket: 1,
            next_line,
            unix_offset_ns,
            started_at: rfc3339(now_unix_ns()),
            is_stale: true,
            shown_from: Timestamp::ZERO,
            places: Arc::new(Semaphore::new(asked::READ_AT_ONCE)),
            read,
            reading: Some(reading),
        };
        let (handle, inbox) = crate::handle::channel(state.repository.clone(), state.view());
        Ok(Self { state, inbox, handle })
    }

    /// By which it is asked.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Works until `ended`, with nodes over `nodes`.
    ///
    /// # Errors
    /// The disk fails.
    ///
    /// # Panics
    /// Never: a coordinator works once.
    pub async fn work(
        self,
        nodes: TcpListener,
        options: rpc::Options,
        mut ended: watch::Receiver<bool>,
    ) -> Result<(), ServeError> {
        let Self { mut state, mut inbox, .. } = self;
        let (heard, mut hearing) = rpc::queue();
        let mut durable = state.store.durable();
        let mut reading = state.reading.take().expect("Invariant: a coordinator works once");
        tokio::spawn(rpc::serve(nodes, options, state.repository.clone(), heard, ended.clone()));
        let mut shown = tokio::time::interval(SHOWN_EVERY);
        shown.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut tidied = tokio::time::interval(TIDIED_EVERY);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wake = until(state.director.deadline());
            tokio::select! {
                count = hearing.recv_many(&mut batch, BATCH) => {
                    // The nodes' edge ends with this loop.
                    if count == 0 { break; }
                    batch.drain(..).for_each(|heard| state.hear(heard));
                }
                changed = durable.changed() => {
                    let told = durable.borrow_and_update().clone();
                    match told {
                        Ok(number) if changed.is_ok() => state.release(number),
                        told => {
                            let why = told.err().unwrap_or_else(|| "its writer ended".to_owned());
                            return Err(StoreError::Gone(why).into());
                        }
                    }
                }
                Some(request) = inbox.requests.recv() => state.asked(request),
                Some(read) = reading.recv() => state.was_read(read),
                () = wake => state.decide(Event::Wake),
                _ = shown.tick() => {
                    state.note_refusals();
                    state.show(&inbox);
                }
                _ = tidied.tick() => state.tidy(),
                _ = ended.wait_for(|over| *over) => break,
            }
        }
        state.shown_from = Timestamp::ZERO;
        state.show(&inbox);
        Ok(state.store.flush().await?)
    }
}

/// Takes the folder for this process alone; the kernel gives it back when the process ends, however it does.
fn take(folder: &Path) -> Result<File, ServeError> {
    let path = || folder.display().to_string();
    let wrong = |source: std::io::Error| ServeError::Folder { path: path(), source };
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let lock = options.open(folder.join("lock")).map_err(wrong)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ServeError::Taken { path: path() }),
        Err(error) => Err(wrong(error.into())),
    }
}

impl About {
    fn of(submitted: &Submitted) -> Self {
        Self { shown: submitted.shown.clone(), submitted_at: rfc3339(submitted.at_unix_ns), stored: None }
    }
}

/// Waits for an instant of the monotonic clock; without one, for ever.
async fn until(at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(Duration::from_nanos(at.nanos_since(OsClock.now()))).await,
        None => std::future::pending().await,
    }
}

/// By how much the wall clock is ahead of the monotonic one: of several looks at both, the quickest, because whoever is
/// interrupted between the two measures the interruption, and starts runs that much beside the time that was asked for.
fn unix_offset_ns() -> u64 {
    offset_of((0..8).map(|_| (OsClock.now(), now_unix_ns(), OsClock.now())))
}

/// From looks at the monotonic clock, at the wall clock, and at the monotonic clock again.
fn offset_of(looks: impl Iterator<Item = (Timestamp, u64, Timestamp)>) -> u64 {
    let measured = |(before, wall, after): (Timestamp, u64, Timestamp)| {
        let took = after.nanos_since(before);
        (took, wall.saturating_sub(before.as_nanos() + took / 2))
    };
    looks.map(measured).min().map_or(0, |(_, offset)| offset)
}

impl State {
    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Opened(session, tell) => {
                self.sessions.insert(session, tell);
            }
            // What comes over a connection that was ended is not heard.
            Heard::Message(session, at, message, _place) => {
                if self.sessions.contains_key(&session) {
                    self.decide(Event::Message { session, at, message });
                }
            }
            Heard::Closed(session) => {
                if self.sessions.remove(&session).is_some() {
                    self.decide(Event::Closed { session });
                }
            }
        }
    }

    /// Hands the director an event, and does what it wants done.
    fn decide(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.director.handle(OsClock.now(), event, &mut actions);
        self.is_stale = true;
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Keep { number, record } => self.store.write(Write::Keep(number, record)),
            Action::Send { .. } | Action::Close { .. } | Action::Answer { .. } => {
                if let Some(action) = self.held.hold(action) {
                    self.carry_out(action);
                }
            }
            Action::Second { run, second } => self.store.write(Write::Second(RunId(run), second)),
            Action::Note { run, text } => {
                let line = wire::LogLine { number: 0, unix_ns: now_unix_ns(), run, text };
                self.log("coordinator", vec![line]);
            }
            Action::Log { node, lines } => self.log(&node, lines),
        }
    }

    /// Everything up to this record is durable.
    fn release(&mut self, number: u64) {
        self.held.is_durable(number);
        while let Some(action) = self.held.next() {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send { session, message, .. } => {
                let unread = self.sessions.get(&session).map(|tell| tell.try_send(*message));
                if let Some(Err(_)) = unread {
                    // It does not read: its connection ends, and the director hears so.
                    self.sessions.remove(&session);
                    self.decide(Event::Closed { session });
                }
            }
            Action::Close { session, .. } => {
                self.sessions.remove(&session);
            }
            Action::Answer { ticket, answer, .. } => self.answer(ticket, answer),
            Action::Keep { .. } | Action::Second { .. } | Action::Note { .. } | Action::Log { .. } => {}
        }
    }

    fn log(&mut self, node: &str, lines: Vec<wire::LogLine>) {
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines {
            if self.tells && node == "coordinator" {
                crate::tell(&report::sanitized(&line.text));
            }
            entries.push(crate::handle::LogEntry {
                position: self.next_line,
                at: rfc3339(line.unix_ns),
                node: node.to_owned(),
                run: line.run.map(RunId),
                text: line.text,
            });
            self.next_line += 1;
        }
        self.store.write(Write::Log(entries));
    }

    /// Notes in the log whom the edges refused.
    fn note_refusals(&mut self) {
        for text in self.audit.take(OsClock.now()) {
            let line = wire::LogLine { number: 0, unix_ns: now_unix_ns(), run: None, text };
            self.log("coordinator", vec![line]);
        }
    }

    /// Shows how things stand, and keeps what the history needs of it. Of a large fleet that takes its time, and is done the
    /// less often for it.
    fn show(&mut self, inbox: &Inbox) {
        let begin = OsClock.now();
        if !self.is_stale || begin < self.shown_from {
            return;
        }
        self.is_stale = false;
        let view = self.view();
        for run in &view.runs {
            self.keep_view(run);
        }
        inbox.view.send_replace(Arc::new(view));
        let end = OsClock.now();
        self.shown_from = end.plus_nanos(end.nanos_since(begin).saturating_mul(SHOWN_PART));
        let ended: Vec<u128> =
            self.about.iter().filter(|(_, about)| about.is_over()).map(|(run, _)| *run).collect();
        for run in ended {
            if !self.director.shows(run) {
                self.about.remove(&run);
            }
        }
    }

    fn keep_view(&mut self, view: &RunView) {
        let Some(about) = self.about.get_mut(&view.id.0) else { return };
        let stored = Some((view.state, view.exit_code));
        if about.stored != stored {
            about.stored = stored;
            // The history shows the shares as well.
            let whole = self.run_view(view.id).unwrap_or_else(|| view.clone());
            self.store.write(Write::View(Box::new(whole)));
        }
    }

    fn view(&self) -> FleetView {
        let now = OsClock.now();
        FleetView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            term: self.store.term(),
            started_at: self.started_at.clone(),
            ready: true,
            why_not_ready: String::new(),
            nodes: self.director.node_views(now),
            runs: self.director.run_views(now).into_iter().map(|view| self.completed(view)).collect(),
        }
    }

    /// A view with what only its submitter knew.
    fn completed(&self, mut view: RunView) -> RunView {
        if let Some(About { shown, submitted_at, .. }) = self.about.get(&view.id.0) {
            view.target.clone_from(&shown.target);
            view.words.clone_from(&shown.words);
            view.tags.clone_from(&shown.tags);
            view.submitted_at.clone_from(submitted_at);
        }
        view
    }

    fn run_view(&self, run: RunId) -> Option<RunView> {
        self.director.run_view(OsClock.now(), run.0).map(|view| self.completed(view))
    }

    fn tidy(&mut self) {
        let offset_ns = unix_offset_ns();
        if offset_ns.abs_diff(self.unix_offset_ns) > SET_BY_NS {
            self.unix_offset_ns = offset_ns;
            self.decide(Event::WallClock { unix_offset_ns: offset_ns });
        }
        self.store.write(Write::Retain(self.retention));
    }
}

impl About {
    fn is_over(&self) -> bool {
        matches!(self.stored, Some((RunState::Ended | RunState::Refused, _)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_was_interrupted_does_not_move_the_wall_clock() {
        let offset_ns = 1_700_000_000_000_000_000;
        let look = |at: u64, until_wall: u64, until_end: u64| {
            let end = Timestamp::from_nanos(at + until_end);
            (Timestamp::from_nanos(at), offset_ns + at + until_wall, end)
        };
        // Before the wall clock was read, behind it, and not at all.
        let looks =
            [look(1_000, 40_000_000, 40_000_100), look(50_000_000, 100, 80_000_000), look(1 << 30, 60, 200)];
        let found = offset_of(looks.into_iter());
        assert!(found.abs_diff(offset_ns) <= 100, "{found}");
    }
}
