//! What people and programs ask for, and what they are answered.
//!
//! What it is: each [`Request`] either answered from how things stand, read from the history beside the loop, or handed to the
//! director under a ticket. What it is not: a decision.

use std::sync::Arc;

use clock::{Clock as _, OsClock};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{About, State};
use crate::director::{Answer, Event, NodeOrder, Order};
use crate::files::{Arrived, from_hex};
use crate::handle::{
    FileView, NodeState, NodeView, RateChange, RateRequest, Refused, RefusedKind, Reply, Request, RunId,
    RunState, RunView, RunsPage, RunsQuery, SecondView, StartRequest,
};
use crate::store::{Store, StoreError, Write};
use crate::submission::{Submitted, of_request};
use crate::wall::now_unix_ns;

/// Runs that wait or are under way, at most.
const RUNS_LIMIT: usize = 1_000;
/// Plans that are read at once.
pub(super) const READ_AT_ONCE: usize = 4;

/// Whom an answer of the director is for.
#[derive(Debug)]
pub(super) enum Ticket {
    /// Who asked something of a run, and is shown it.
    Run(RunId, Reply<RunView>),
    /// Who changes a rate.
    Rate(Reply<RateChange>),
    /// Who asked something of a node, and is shown it.
    Node(String, Reply<NodeView>),
    /// Who stops many runs: this is one of them.
    #[expect(dead_code, reason = "the last that is dropped answers")]
    OneOfMany(Arc<Many>),
}

/// Many runs that are stopped at once. When the last of them has answered, so is whoever asked.
#[derive(Debug)]
pub(super) struct Many {
    count: u32,
    reply: std::sync::Mutex<Option<Reply<u32>>>,
}

impl Drop for Many {
    fn drop(&mut self) {
        let reply = self.reply.get_mut().ok().and_then(Option::take);
        if let Some(reply) = reply {
            answer(reply, Ok(self.count));
        }
    }
}

/// What was read beside the loop, and goes on in it.
#[derive(Debug)]
pub(super) enum Read {
    /// A plan.
    Plan(Result<Box<Submitted>, Refused>, Reply<RunView>),
    /// A page of the history.
    Page(Result<RunsPage, Refused>, Reply<RunsPage>),
}

/// Whoever asked may have gone.
fn answer<T>(reply: Reply<T>, with: Result<T, Refused>) {
    let _ = reply.send(with);
}

fn refused(kind: RefusedKind, what: impl Into<String>) -> Refused {
    Refused::new(kind, what)
}

fn failed(error: &StoreError) -> Refused {
    refused(RefusedKind::Unavailable, error.to_string())
}

fn no_run(run: RunId) -> Refused {
    refused(RefusedKind::Missing, format!("there is no run {run}"))
}

fn no_file() -> Refused {
    refused(RefusedKind::Missing, "there is no such file here")
}

/// Answers from the history, beside the loop.
fn beside<T: Send + 'static>(
    store: &Arc<Store>,
    reply: Reply<T>,
    read: impl FnOnce(&Store) -> Result<T, Refused> + Send + 'static,
) {
    let store = Arc::clone(store);
    tokio::task::spawn_blocking(move || answer(reply, read(&store)));
}

impl State {
    pub(super) fn asked(&mut self, request: Request) {
        match request {
            Request::Start(request, reply) => self.read_plan(*request, reply),
            Request::SetRate(run, RateRequest { tps, workload }, reply) => match rate_of(tps) {
                Ok(rate) => self.order(run, Order::SetRate { workload, rate }, Ticket::Rate(reply)),
                Err(error) => answer(reply, Err(error)),
            },
            Request::Stop(run, reply) => self.order(run, Order::Stop, Ticket::Run(run, reply)),
            Request::Abort(run, reason, reply) => {
                self.order(run, Order::Abort { reason }, Ticket::Run(run, reply));
            }
            Request::StopAll(project, reply) => self.stop_all(project.as_deref(), reply),
            Request::Delete(run, reply) => self.delete(run, reply),
            Request::Drain(node, how, reply) => {
                self.order_node(node, NodeOrder::Drain { exit: how.exit }, reply);
            }
            Request::Readmit(node, reply) => self.order_node(node, NodeOrder::Admit, reply),
            Request::Run(run, reply) => match self.run_view(run) {
                Some(view) => answer(reply, Ok(view)),
                None => beside(&self.store, reply, move |store| past(store, run)),
            },
            Request::Runs(query, reply) => self.page(query, reply),
            Request::Seconds(run, after, limit, reply) => self.seconds(run, after, limit, reply),
            Request::Report(run, reply) => self.report(run, reply),
            Request::Logs(query, reply) => {
                beside(&self.store, reply, move |store| store.logs(&query).map_err(|error| failed(&error)));
            }
            Request::Files(reply) => {
                beside(&self.store, reply, |store| store.files().map_err(|error| failed(&error)));
            }
            Request::PutFile(file, arrived, reply) => self.put_file(file, arrived, reply),
            Request::RemoveFile(sha256, reply) => self.remove_file(sha256, reply),
        }
    }

    /// Reads a plan beside the loop, because it may be large.
    fn read_plan(&mut self, request: StartRequest, reply: Reply<RunView>) {
        if self.about.values().filter(|about| !about.is_over()).count() >= RUNS_LIMIT {
            let what = format!(
                "{RUNS_LIMIT} runs wait or are under way → stop some of them: POST /api/v1/runs/stop"
            );
            return answer(reply, Err(refused(RefusedKind::TooMuch, what)));
        }
        let (repository, rails, read) = (self.repository.clone(), Arc::clone(&self.rails), self.read.clone());
        let places = Arc::clone(&self.places);
        tokio::spawn(async move {
            // A plan may take much memory while it is read; the places never close.
            let Ok(_place) = places.acquire().await else { return };
            let reading = tokio::task::spawn_blocking(move || {
                let at_unix_ns = now_unix_ns();
                let submitted = of_request(&request, fresh_run(at_unix_ns), at_unix_ns, &repository, &rails);
                // Where the loop has ended, so has whoever asked.
                let _ = read.send(Read::Plan(submitted.map(Box::new), reply));
            });
            // Its panic would have ended the program.
            let _ = reading.await;
        });
    }

    /// Goes on with what was read.
    pub(super) fn was_read(&mut self, read: Read) {
        match read {
            Read::Plan(Err(error), reply) => answer(reply, Err(error)),
            Read::Plan(Ok(submitted), reply) => {
                let submission = Box::new(submitted.submission.clone());
                let run = RunId(submission.run);
                self.about.insert(run.0, About::of(&submitted));
                let terms = &submission.terms;
                let queued = self.completed(RunView {
                    id: run,
                    name: terms.name.clone(),
                    project: terms.project.clone(),
                    ..RunView::default()
                });
                self.store.write(Write::Submitted(submitted));
                // Whoever submitted it finds it in the history from the answer on.
                self.store.write(Write::View(Box::new(queued)));
                let ticket = self.ticket(Ticket::Run(run, reply));
                self.decide(Event::Submit { ticket, submission });
            }
            Read::Page(Err(error), reply) => answer(reply, Err(error)),
            Read::Page(Ok(mut page), reply) => {
                for run in &mut page.runs {
                    if let Some(view) = self.run_view(run.id) {
                        *run = RunView { shares: Vec::new(), ..view };
                    }
                }
                answer(reply, Ok(page));
            }
        }
    }

    fn ticket(&mut self, whose: Ticket) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(ticket, whose);
        ticket
    }

    fn order(&mut self, run: RunId, order: Order, whose: Ticket) {
        let ticket = self.ticket(whose);
        self.decide(Event::Order { ticket, run: run.0, order });
    }

    fn order_node(&mut self, node: String, order: NodeOrder, reply: Reply<NodeView>) {
        let ticket = self.ticket(Ticket::Node(node.clone(), reply));
        self.decide(Event::NodeOrder { ticket, node, order });
    }

    fn stop_all(&mut self, project: Option<&str>, reply: Reply<u32>) {
        let views = self.director.run_views(OsClock.now());
        let is_meant = |view: &&RunView| {
            let is_over = matches!(view.state, RunState::Ended | RunState::Refused);
            !is_over && project.is_none_or(|project| view.project == project)
        };
        let runs: Vec<RunId> = views.iter().filter(is_meant).map(|view| view.id).collect();
        let count = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        let many = Arc::new(Many { count, reply: std::sync::Mutex::new(Some(reply)) });
        for run in runs {
            self.order(run, Order::Stop, Ticket::OneOfMany(Arc::clone(&many)));
        }
    }

    /// Answers whoever holds a ticket.
    pub(super) fn answer(&mut self, ticket: u64, with: Result<Answer, Refused>) {
        match (self.tickets.remove(&ticket), with) {
            (Some(Ticket::Run(run, reply)), Ok(_)) => {
                answer(reply, self.run_view(run).ok_or_else(|| no_run(run)));
            }
            (Some(Ticket::Run(run, reply)), Err(error)) => {
                let error = self.of_the_past(run, error);
                answer(reply, Err(error));
            }
            (Some(Ticket::Rate(reply)), Ok(Answer::Rate(change))) => answer(reply, Ok(change)),
            (Some(Ticket::Rate(reply)), Ok(Answer::Done)) => {
                answer(reply, Err(refused(RefusedKind::Conflict, "the rate did not change")));
            }
            (Some(Ticket::Rate(reply)), Err(error)) => answer(reply, Err(error)),
            (Some(Ticket::Node(name, reply)), Ok(_)) => {
                let view = self.director.node_views(OsClock.now()).into_iter().find(|node| node.name == name);
                // Who was let in again, and has not come since it was shut out, is not there.
                let away = || NodeView { name, state: NodeState::Gone, ..NodeView::default() };
                answer(reply, Ok(view.unwrap_or_else(away)));
            }
            (Some(Ticket::Node(_, reply)), Err(error)) => answer(reply, Err(error)),
            // One of many, or who asked has gone.
            (Some(Ticket::OneOfMany(_)) | None, _) => {}
        }
    }

    /// The director knows nothing of runs that ended long ago.
    fn of_the_past(&self, run: RunId, error: Refused) -> Refused {
        match (error.kind, self.store.run(run)) {
            (RefusedKind::Missing, Ok(Some(_))) => {
                refused(RefusedKind::Conflict, format!("run {run} has ended"))
            }
            _ => error,
        }
    }

    fn delete(&mut self, run: RunId, reply: Reply<()>) {
        let live = self.run_view(run).map(|view| view.state);
        if live.is_some_and(|state| !matches!(state, RunState::Ended | RunState::Refused)) {
            let what = format!("run {run} has not ended → stop or abort it first");
            return answer(reply, Err(refused(RefusedKind::Conflict, what)));
        }
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            let done = async {
                store.run(run).map_err(|error| failed(&error))?.ok_or_else(|| no_run(run))?;
                store.write(Write::DeleteRun(run));
                store.flush().await.map_err(|error| failed(&error))
            };
            answer(reply, done.await);
        });
    }

    fn page(&mut self, query: RunsQuery, reply: Reply<RunsPage>) {
        let (store, read) = (Arc::clone(&self.store), self.read.clone());
        tokio::task::spawn_blocking(move || {
            let page = store.runs(&query).map_err(|error| failed(&error));
            let _ = read.send(Read::Page(page, reply));
        });
    }

    fn seconds(&mut self, run: RunId, after: u64, limit: usize, reply: Reply<Vec<Arc<SecondView>>>) {
        if self.director.shows(run.0) {
            let mut seconds = self.director.seconds(run.0, after);
            seconds.truncate(limit);
            return answer(reply, Ok(seconds));
        }
        beside(&self.store, reply, move |store| {
            past(store, run)?;
            store.seconds(run, after, limit).map_err(|error| failed(&error))
        });
    }

    fn report(&mut self, run: RunId, reply: Reply<Arc<str>>) {
        let now = OsClock.now();
        if let Some(summary) = self.director.conclusion(run.0).and_then(|over| over.summary.as_ref()) {
            return answer(reply, Ok(summary.to_json().into()));
        }
        if let Some(summary) = self.director.so_far(run.0) {
            tokio::task::spawn_blocking(move || answer(reply, Ok(summary.to_json().into())));
            return;
        }
        if let Some(view) = self.director.run_view(now, run.0) {
            let what = match view.state {
                RunState::Refused => format!("run {run} was refused, and has no report: {}", view.why),
                _ => format!("run {run} has no report yet → its first second has to be complete"),
            };
            return answer(reply, Err(refused(RefusedKind::Conflict, what)));
        }
        beside(&self.store, reply, move |store| {
            let view = past(store, run)?;
            let summary = store.report(run).map_err(|error| failed(&error))?;
            let none = || format!("run {run} was refused, and has no report: {}", view.why);
            summary.map(Into::into).ok_or_else(|| refused(RefusedKind::Conflict, none()))
        });
    }

    fn put_file(&mut self, file: FileView, arrived: Arrived, reply: Reply<FileView>) {
        let (store, repository) = (Arc::clone(&self.store), self.repository.clone());
        tokio::spawn(async move {
            let put = async {
                let taking = tokio::task::spawn_blocking(move || repository.take(arrived));
                let taken = taking.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                taken.map_err(|error| {
                    refused(RefusedKind::Unavailable, format!("the file was not taken: {error}"))
                })?;
                store.write(Write::File(Box::new(file.clone())));
                store.flush().await.map_err(|error| failed(&error))?;
                Ok(file)
            };
            answer(reply, put.await);
        });
    }

    fn remove_file(&mut self, sha256: String, reply: Reply<()>) {
        let (store, repository) = (Arc::clone(&self.store), self.repository.clone());
        tokio::spawn(async move {
            let remove = async {
                let digest = from_hex(&sha256).ok_or_else(no_file)?;
                repository.find(&digest).ok_or_else(no_file)?;
                if store.is_needed(&sha256).map_err(|error| failed(&error))? {
                    let what = "a run that has not ended needs this file → wait for its end, or abort it";
                    return Err(refused(RefusedKind::Conflict, what));
                }
                store.write(Write::RemoveFile(sha256.clone()));
                store.flush().await.map_err(|error| failed(&error))?;
                repository
                    .remove(&digest)
                    .map_err(|error| refused(RefusedKind::Unavailable, error.to_string()))
            };
            answer(reply, remove.await);
        });
    }
}

/// A run of the history.
fn past(store: &Store, run: RunId) -> Result<RunView, Refused> {
    store.run(run).map_err(|error| failed(&error))?.ok_or_else(|| no_run(run))
}

/// A rate from a number, exact to a millionth.
fn rate_of(tps: f64) -> Result<plan::Rate, Refused> {
    if !(0.0..=1e9).contains(&tps) {
        let what = format!("tps: {tps} is no rate → 0 to 1000000000");
        return Err(refused(RefusedKind::Invalid, what));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be from 0 to 1e9"
    )]
    let micro = (tps * 1e6).round() as u64;
    Ok(plan::Rate::from_micro(micro))
}

/// A key that no other run has, and that is greater than earlier ones: milliseconds, then chance.
fn fresh_run(at_unix_ns: u64) -> u128 {
    let mut chance = [0; 10];
    SystemRandom::new()
        .fill(&mut chance)
        .expect("Invariant: the system gave randomness for the key of secrets");
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&(at_unix_ns / 1_000_000).to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&chance);
    u128::from_be_bytes(bytes)
}
