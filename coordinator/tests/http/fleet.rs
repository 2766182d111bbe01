//! A pretended fleet behind the handle: runs that advance by themselves, with figures that follow from their number alone.
//!
//! It stands here and nowhere else: nothing of the product may be mistaken for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coordinator::files::Repository;
use coordinator::handle::{
    Counts, FileView, FleetView, Inbox, LogEntry, NodeState, NodeView, Percentiles, RateChange, Refused,
    RefusedKind, Request, RunId, RunState, RunView, RunsPage, SecondView, ShareView, StartRequest,
};
use serde_json::{Value, json};

/// What it begins with, and how it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Pretence {
    /// A second of a run takes this long.
    pub(crate) second: Duration,
    /// Seconds that a new run has behind it already.
    pub(crate) behind: u64,
    /// Text that stands wherever a name may stand.
    pub(crate) words: String,
    /// Where files go.
    pub(crate) repository: Repository,
}

struct Run {
    view: RunView,
    seconds: Vec<Arc<SecondView>>,
    length: u64,
}

pub(crate) struct Fleet {
    pretence: Pretence,
    runs: BTreeMap<RunId, Run>,
    files: BTreeMap<String, FileView>,
    drained: bool,
}

/// Answers until nobody asks any more.
pub(crate) async fn pretend(pretence: Pretence, mut inbox: Inbox) {
    let mut fleet = Fleet { pretence, runs: BTreeMap::new(), files: BTreeMap::new(), drained: false };
    let begin = tokio::time::Instant::now() + fleet.pretence.second;
    let mut tick = tokio::time::interval_at(begin, fleet.pretence.second);
    loop {
        tokio::select! {
            request = inbox.requests.recv() => match request {
                Some(request) => fleet.answer(request),
                None => return,
            },
            _ = tick.tick() => fleet.runs.values_mut().for_each(Run::advance),
        }
        let _ = inbox.view.send(Arc::new(fleet.view()));
    }
}

/// What second `number` of every run is.
pub(crate) fn second(number: u64, revision: u64) -> SecondView {
    let counts = Counts {
        scheduled: 1_000,
        sent: 990,
        dropped: BTreeMap::from([("queue_full".to_owned(), 4), ("late".to_owned(), 0)]),
        ok: 980,
        errors: BTreeMap::from([("timeout".to_owned(), number % 7), ("reset".to_owned(), 3)]),
        unassigned: 6,
        bytes_sent: 99_000,
        bytes_received: 198_000,
        ..Counts::default()
    };
    let p50 = 800_000 + number * 1_000;
    let response_ns = Percentiles {
        count: 983,
        mean: 900_000.0,
        p50,
        p90: p50 * 2,
        p95: p50 * 3,
        p99: p50 * 4,
        p99_9: p50 * 8,
        max: p50 * 16,
    };
    let lag_ns = Percentiles { count: 1_000, p99: 40_000, ..Percentiles::default() };
    SecondView {
        revision,
        second: number,
        asked_tps: Some(1_000.0),
        counts,
        response_ns,
        lag_ns,
        in_flight: 7,
        connections: 12,
        nodes: 3,
        nodes_missing: 0,
    }
}

impl Run {
    fn advance(&mut self) {
        if self.view.state != RunState::Running {
            return;
        }
        self.push();
        if self.seconds.len() as u64 >= self.length {
            self.end("pass", 0);
        }
    }

    fn push(&mut self) {
        let number = self.seconds.len() as u64;
        self.view.revision += 1;
        let second = second(number, self.view.revision);
        add(&mut self.view.counts, &second.counts);
        self.view.response_ns = second.response_ns;
        self.view.seconds = number + 1;
        self.view.run_ns = (number + 1) * 1_000_000_000;
        self.view.shares[0].counts = self.view.counts.clone();
        self.seconds.push(Arc::new(second));
    }

    fn end(&mut self, verdict: &str, exit_code: u8) {
        self.view.state = RunState::Ended;
        self.view.verdict = Some(verdict.to_owned());
        self.view.exit_code = Some(exit_code);
        self.view.ended_at = Some("2026-11-21T22:00:30.000Z".to_owned());
    }
}

fn add(sums: &mut Counts, more: &Counts) {
    sums.scheduled += more.scheduled;
    sums.sent += more.sent;
    sums.ok += more.ok;
    sums.unassigned += more.unassigned;
    for (name, count) in &more.dropped {
        *sums.dropped.entry(name.clone()).or_default() += count;
    }
    for (name, count) in &more.errors {
        *sums.errors.entry(name.clone()).or_default() += count;
    }
}

impl Fleet {
    fn view(&self) -> FleetView {
        let state = if self.drained { NodeState::Drained } else { NodeState::Ready };
        let node = NodeView {
            name: format!("alpha{}", self.pretence.words),
            state,
            connected: true,
            labels: BTreeMap::from([("where".to_owned(), self.pretence.words.clone())]),
            zone: Some(format!("eu{}", self.pretence.words)),
            host: format!("host{}", self.pretence.words),
            why: self.pretence.words.clone(),
            cores: 2,
            capacity_tps: Some(50_000.0),
            run: self.runs.keys().next_back().copied(),
            ..NodeView::default()
        };
        FleetView {
            version: "0.1.0".to_owned(),
            term: 3,
            ready: true,
            nodes: vec![node],
            runs: self.runs.values().map(|run| run.view.clone()).collect(),
            ..FleetView::default()
        }
    }

    fn start(&mut self, start: StartRequest) -> Result<RunView, Refused> {
        let word = |name: &str| start.words.iter().skip_while(|word| *word != name).nth(1);
        let target = word("--url").cloned().unwrap_or_else(|| "from a plan".to_owned());
        if target.contains("forbidden") {
            let message = format!("{target} is not allowed as a target{}", self.pretence.words);
            return Err(Refused::new(RefusedKind::Forbidden, message));
        }
        let length =
            word("--duration").and_then(|text| text.trim_end_matches('s').parse().ok()).unwrap_or(1_000_000);
        let id = RunId(self.runs.len() as u128 + 1);
        let share = ShareView { node: "alpha".to_owned(), cells: 55_440, ..ShareView::default() };
        let view = RunView {
            id,
            name: start.name,
            project: start.project,
            tags: start.tags,
            state: RunState::Running,
            target,
            schedule: format!("{}/s", word("--tps").map_or("users", String::as_str)),
            words: start.words,
            submitted_at: "2026-11-21T22:00:00.000Z".to_owned(),
            length_ns: Some(length * 1_000_000_000),
            shares: vec![share],
            ..RunView::default()
        };
        let mut run = Run { view, seconds: Vec::new(), length };
        (0..self.pretence.behind).for_each(|_| run.push());
        let view = run.view.clone();
        self.runs.insert(id, run);
        Ok(view)
    }

    fn run(&mut self, id: RunId) -> Result<&mut Run, Refused> {
        self.runs.get_mut(&id).ok_or_else(|| Refused::new(RefusedKind::Missing, "there is no such run"))
    }

    fn ended(&mut self, id: RunId, verdict: &str, code: u8) -> Result<RunView, Refused> {
        let run = self.run(id)?;
        if run.view.state == RunState::Ended {
            return Err(Refused::new(RefusedKind::Conflict, "the run has ended already"));
        }
        run.end(verdict, code);
        Ok(run.view.clone())
    }

    fn answer(&mut self, request: Request) {
        // Whoever asked may be gone.
        match request {
            Request::Start(start, reply) => drop(reply.send(self.start(*start))),
            Request::SetRate(id, rate, reply) => {
                let change = |run: &mut Run| RateChange { tps: rate.tps, from_ns: run.view.run_ns, epoch: 2 };
                // A correction of the first second, as a node's late delivery makes it.
                drop(reply.send(self.run(id).map(|run| {
                    run.view.revision += 1;
                    let mut corrected = second(0, run.view.revision);
                    corrected.counts.sent += 5;
                    run.seconds[0] = Arc::new(corrected);
                    change(run)
                })));
            }
            Request::Stop(id, reply) | Request::Abort(id, _, reply) => {
                drop(reply.send(self.ended(id, "aborted", 130)));
            }
            Request::StopAll(project, reply) => {
                let of = |run: &Run| project.as_ref().is_none_or(|project| *project == run.view.project);
                let running: Vec<RunId> =
                    self.runs.values().filter(|run| of(run)).map(|run| run.view.id).collect();
                let stopped =
                    running.into_iter().filter(|id| self.ended(*id, "aborted", 130).is_ok()).count();
                drop(reply.send(Ok(u32::try_from(stopped).unwrap())));
            }
            Request::Delete(id, reply) => drop(reply.send(self.run(id).map(|_| ()))),
            Request::Drain(..) | Request::Readmit(..) | Request::Logs(..) => self.answer_about_nodes(request),
            Request::Runs(query, reply) => {
                let of =
                    |run: &&Run| query.project.as_ref().is_none_or(|project| *project == run.view.project);
                let runs = self.runs.values().rev().filter(of).map(|run| run.view.clone()).collect();
                drop(reply.send(Ok(RunsPage { runs, before: None })));
            }
            Request::Run(id, reply) => drop(reply.send(self.run(id).map(|run| run.view.clone()))),
            Request::Seconds(id, after, limit, reply) => drop(reply.send(self.run(id).map(|run| {
                let mut new: Vec<_> =
                    run.seconds.iter().filter(|second| second.revision > after).cloned().collect();
                new.sort_by_key(|second| second.revision);
                new.truncate(limit);
                new
            }))),
            Request::Report(id, reply) => {
                drop(reply.send(self.run(id).map(|run| summary(&run.view).to_string().into())));
            }
            Request::Files(..) | Request::PutFile(..) | Request::RemoveFile(..) => {
                self.answer_about_files(request);
            }
        }
    }

    fn answer_about_nodes(&mut self, request: Request) {
        match request {
            Request::Drain(_, _, reply) => {
                self.drained = true;
                drop(reply.send(Ok(self.view().nodes.remove(0))));
            }
            Request::Readmit(_, reply) => {
                self.drained = false;
                drop(reply.send(Ok(self.view().nodes.remove(0))));
            }
            Request::Logs(query, reply) => {
                let entry = LogEntry {
                    position: 1,
                    text: self.pretence.words.clone(),
                    run: query.run,
                    ..LogEntry::default()
                };
                drop(reply.send(Ok(vec![entry])));
            }
            other => panic!("{other:?} is not about nodes"),
        }
    }

    fn answer_about_files(&mut self, request: Request) {
        match request {
            Request::Files(reply) => drop(reply.send(Ok(self.files.values().cloned().collect()))),
            Request::PutFile(file, arrived, reply) => {
                self.pretence.repository.take(arrived).unwrap();
                self.files.insert(file.sha256.clone(), file.clone());
                drop(reply.send(Ok(file)));
            }
            Request::RemoveFile(sha256, reply) => {
                self.files.remove(&sha256);
                self.pretence.repository.remove(&coordinator::files::from_hex(&sha256).unwrap()).unwrap();
                drop(reply.send(Ok(())));
            }
            other => panic!("{other:?} is not about files"),
        }
    }
}

/// A summary document whose figures are those of the run.
fn summary(run: &RunView) -> Value {
    let text = include_str!("../../../crates/report/tests/golden/summary.json");
    let mut summary: Value = serde_json::from_str(text).unwrap();
    let errors: u64 = run.counts.errors.values().sum();
    summary["verdict"]["result"] = json!(run.verdict.as_deref().unwrap_or("pass"));
    summary["verdict"]["exit_code"] = json!(run.exit_code.unwrap_or(0));
    summary["verdict"]["reasons"] = json!([run.name]);
    summary["target"]["url"] = json!(run.target);
    summary["audit"] = json!({
        "scheduled": run.counts.scheduled,
        "sent": run.counts.sent,
        "dropped": run.counts.dropped,
        "ok": run.counts.sent - errors,
        "errors": run.counts.errors,
        "cut_off": 0,
        "unassigned": run.counts.unassigned,
        "balanced": true,
    });
    summary
}
