//! `coordinator run`: serves, waits for nodes, runs, reports, exits.
//!
//! What it is: the whole life of one run in one command, with nodes from elsewhere or of its own. What it is not: another
//! coordinator; it is the one that serves, asked through its handle as everybody else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use command::{Outputs, Sink};
use report::{Summary, terminal_summary};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use verdict::ExitCode;

use crate::args::Run;
use crate::asking::{self, Asking, Content, exit_code};
use crate::files::{Repository, hex};
use crate::handle::{Handle, Refused, Request, RunId, RunState, RunView, StartRequest};
use crate::local::{self, LocalNodes, LocalTarget, Start, engine_program};
use crate::program::{Failure, Opened, listen, print, runtime, show, style, tell};
use crate::serve::{Coordinator, Options};
use crate::submission::Rails;

/// How often local nodes are looked after.
const LOOKED_AFTER: Duration = Duration::from_millis(200);

/// Runs what the command line says; yields how it ends.
pub(crate) fn run(asked: Run, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut over = asked.over.clone();
    if let Some(count) = asked.local {
        if !(1..=1_000).contains(&count) {
            return Err(Failure::usage(
                "--local: that many nodes there cannot be on one machine → 1 to 1000",
            ));
        }
        let guarded = asked.listen.tls_cert.is_some() || asked.listen.tokens;
        if guarded && asked.http_listen.is_none() {
            let what = "--local: these nodes are on this machine, and nobody else can reach its loopback";
            let fix = "leave --tls-cert, --tls-key and --tokens out, or let people in: --http-listen ADDRESS";
            return Err(Failure::usage(&format!("{what} → {fix}")));
        }
        if guarded && !asked.listen.nodes_at.ip().is_loopback() {
            return Err(Failure::usage(
                "--local: these nodes come over loopback, without papers → leave --nodes-listen out",
            ));
        }
        over.nodes = over.nodes.or(Some(count));
    }
    let asking = asking::of_flags(asked.flags, matches, &over, asked.local.is_some())?;
    let by_itself = matches.value_source("nodes_at") == Some(ValueSource::DefaultValue);
    let mut opened = Opened::of(&asked.listen, Rails::default(), asked.state.as_deref())?;
    if asked.local.is_some() {
        // People show papers; these nodes come over loopback, where nobody else is.
        opened.open_to_nodes();
        if by_itself {
            opened.nodes_listen.set_port(0);
        }
    }
    if let Some(http) = asked.http_listen {
        opened.check_http(http)?;
    }
    let engine = asked.engine.clone().unwrap_or_else(engine_program);
    runtime()?.block_on(async {
        let here = Here { opened, asking, local: asked.local, engine, http_listen: asked.http_listen };
        here.carry_out().await
    })
}

/// One command's coordinator.
struct Here {
    opened: Opened,
    asking: Asking,
    local: Option<u32>,
    engine: PathBuf,
    http_listen: Option<std::net::SocketAddr>,
}

impl Here {
    async fn carry_out(self) -> Result<ExitCode, Failure> {
        let Self { opened, asking, local, engine, http_listen } = self;
        let options = Options { tells: !asking.run.outputs.quiet, ..opened.serve_options() };
        let coordinator = Coordinator::open(opened.folder(), &options).map_err(Failure::serve)?;
        let handle = coordinator.handle();
        let listener = listen("--nodes-listen", opened.nodes_listen).await?;
        let address = listener.local_addr().map_err(Failure::state)?;
        let (end, ended) = watch::channel(false);
        let work = tokio::spawn(coordinator.work(listener, options.nodes.clone(), ended.clone()));
        if let Some(http) = http_listen {
            let listener: TcpListener = listen("--http-listen", http).await?;
            tell(&format!(
                "people: {}://{}/\n",
                opened.scheme(),
                listener.local_addr().map_err(Failure::state)?
            ));
            tokio::spawn(crate::http::serve(listener, handle.clone(), opened.http_options(), ended));
        }
        let mut request = with_files(asking.request, &asking.files, handle.repository())?;
        let nowhere = local.is_some() && asking.run.file.is_none() && asking.run.plan.url.is_none();
        let cores = local::divide(&asking.run.plan, nowhere);
        let target = if nowhere {
            let started = LocalTarget::start(&engine, &cores.target).await;
            let target = started.map_err(|error| Failure::engine(&engine, &error))?;
            if options.tells {
                tell(&format!("no URL given: loading the built-in target on {}\n", target.url));
            }
            request.words.push(format!("--url={}", target.url));
            Some(target)
        } else {
            None
        };
        let nodes = match local {
            None => {
                tell(&format!("nodes: engine node --coordinator {address}\n"));
                None
            }
            Some(count) => {
                let (folder, plan) = (opened.folder(), &asking.run.plan);
                let (coordinator, cores) = (address.to_string(), cores.nodes);
                let start = Start { count, engine: &engine, coordinator, folder, plan, cores };
                Some(LocalNodes::start(&start).map_err(|error| Failure::engine(&engine, &error))?)
            }
        };
        let mut course = Course { handle, nodes, outputs: asking.run.outputs, interrupted: None };
        let result = course.follow(request).await;
        // The coordinator first: that its own nodes leave at the end is nothing to tell anybody.
        let _ = end.send(true);
        let worked = work.await;
        if let Some(nodes) = course.nodes.take() {
            nodes.end().await;
        }
        if let Some(target) = target {
            target.end().await;
        }
        match worked {
            Ok(Ok(())) => result,
            Ok(Err(error)) => Err(Failure::serve(error)),
            Err(_) => Err(Failure::internal("the coordinator's task ended")),
        }
    }
}

/// Puts the files of a request into the repository, and names them.
fn with_files(
    mut request: StartRequest,
    files: &std::collections::BTreeMap<String, Content>,
    repository: &Repository,
) -> Result<StartRequest, Failure> {
    for (path, content) in files {
        let kept = match content {
            Content::File(place) => repository.copy(place),
            Content::Piped(bytes) => repository.keep(bytes),
        };
        let kept = kept.map_err(|error| Failure::file(path, &error))?;
        request.files.insert(path.clone(), hex(&kept.sha256));
    }
    Ok(request)
}

/// The course of the run, as whoever typed the command sees it.
struct Course {
    handle: Handle,
    nodes: Option<LocalNodes>,
    outputs: Outputs,
    interrupted: Option<ExitCode>,
}

impl Course {
    async fn follow(&mut self, request: StartRequest) -> Result<ExitCode, Failure> {
        let mut signals = Signals::new()?;
        let ask = self.handle.ask(|reply| Request::Start(Box::new(request), reply));
        let run = ask.await.map_err(|refused| Failure::refused(&refused))?.id;
        let over = self.until_over(run, &mut signals).await?;
        self.conclude(&over).await
    }

    /// Waits for the end of the run.
    async fn until_over(&mut self, run: RunId, signals: &mut Signals) -> Result<RunView, Failure> {
        let mut view = self.handle.watch();
        let mut looked_after = tokio::time::interval(LOOKED_AFTER);
        let mut progress = Progress::new(&self.outputs);
        loop {
            let now = view.borrow_and_update().runs.iter().find(|view| view.id == run).cloned();
            if let Some(now) = now {
                progress.show(&now);
                if matches!(now.state, RunState::Ended | RunState::Refused) {
                    return Ok(now);
                }
            }
            tokio::select! {
                changed = view.changed() => changed.map_err(|_| Failure::internal("the coordinator ended"))?,
                code = signals.next() => self.interrupt(run, code).await?,
                _ = looked_after.tick() => self.look_after(run).await,
            }
        }
    }

    /// The first signal stops the run, the second leaves it.
    async fn interrupt(&mut self, run: RunId, code: ExitCode) -> Result<(), Failure> {
        let is_first = self.interrupted.is_none();
        self.interrupted = self.interrupted.or(Some(code));
        let asked = if is_first {
            self.handle.ask(|reply| Request::Stop(run, reply)).await
        } else {
            self.handle.ask(|reply| Request::Abort(run, "interrupted twice".to_owned(), reply)).await
        };
        match asked {
            Err(refused) if is_first => Err(Failure::refused(&refused)),
            // Where it was refused the second time, the run is ending anyway.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A node that cannot start will never join: better said than waited for.
    async fn look_after(&mut self, run: RunId) {
        let Some(nodes) = &mut self.nodes else { return };
        let Some(what) = nodes.first_end() else { return };
        tell(&format!("{what}\n"));
        let waits =
            self.handle.view().runs.iter().any(|view| view.id == run && view.state == RunState::Queued);
        if waits || nodes.are_gone() {
            let why = format!("a local node could not work: {what}");
            // Where the run is over already, that is its end.
            let _ = self.handle.ask(|reply| Request::Abort(run, why, reply)).await;
        }
    }

    /// Prints and writes the report; yields the run's exit code.
    async fn conclude(&self, over: &RunView) -> Result<ExitCode, Failure> {
        let own = over.exit_code.and_then(ExitCode::from_code).unwrap_or(ExitCode::Internal);
        let code = ExitCode::first_of(self.interrupted.into_iter().chain([own]));
        if over.state == RunState::Refused {
            tell(&format!("error: the run did not begin: {}\n", over.why));
            return Ok(code);
        }
        let text: Arc<str> = self
            .handle
            .ask(|reply| Request::Report(over.id, reply))
            .await
            .map_err(|refused| Failure::refused(&refused))?;
        show_report(&text, self.outputs.json.as_ref(), &self.outputs, code)
    }
}

/// Writes a report where it shall go and shows it to people; yields the exit code with that of writing.
pub(crate) fn show_report(
    text: &str,
    json: Option<&Sink>,
    outputs: &Outputs,
    code: ExitCode,
) -> Result<ExitCode, Failure> {
    let summary = Summary::parse(text).map_err(|error| Failure::internal(&error.to_string()))?;
    let mut code = code;
    let mut files = Vec::new();
    match json {
        Some(sink @ Sink::File(path)) => match command::outputs::write(sink, text) {
            Ok(()) => files.push(path.display().to_string()),
            Err(error) => {
                tell(&format!("error: --json: {error} → another file\n"));
                code = ExitCode::first_of([code, ExitCode::ReportNotWritten]);
            }
        },
        Some(Sink::Stdout) => code = print(&format!("{text}\n"), code),
        None => {}
    }
    let on_stderr = outputs.document_on_stdout();
    let shown = terminal_summary(&summary, &files, style(outputs.color, on_stderr));
    if on_stderr {
        show(&shown);
        return Ok(code);
    }
    Ok(print(&shown, code))
}

/// Interrupts and terminations.
pub(crate) struct Signals {
    interrupts: Signal,
    terminations: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        let of = |kind| signal(kind).map_err(Failure::state);
        Ok(Self { interrupts: of(SignalKind::interrupt())?, terminations: of(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupts.recv() => ExitCode::Interrupted,
            _ = self.terminations.recv() => ExitCode::Terminated,
        }
    }
}

/// Lines on standard error while a run is under way.
pub(crate) struct Progress {
    every_s: Option<u64>,
    state: Option<RunState>,
    told_s: u64,
}

impl Progress {
    pub(crate) fn new(outputs: &Outputs) -> Self {
        let every_s = (!outputs.quiet).then_some((outputs.progress_every_ns / 1_000_000_000).max(1));
        Self { every_s, state: None, told_s: 0 }
    }

    pub(crate) fn show(&mut self, view: &RunView) {
        let Some(every_s) = self.every_s else { return };
        if self.state != Some(view.state) {
            self.state = Some(view.state);
            let why = if view.why.is_empty() { String::new() } else { format!(": {}", view.why) };
            tell(&format!("run {} is {}{why}\n", view.id, state_word(view.state)));
        }
        let second = view.run_ns / 1_000_000_000;
        if view.state == RunState::Running && second >= self.told_s + every_s {
            self.told_s = second;
            tell(&line(view));
        }
    }
}

/// How a run stands, in a line.
fn line(view: &RunView) -> String {
    let errors: u64 = view.counts.errors.values().sum();
    let dropped: u64 = view.counts.dropped.values().sum();
    let nodes = view.nodes;
    let p99 = Duration::from_nanos(view.response_ns.p99);
    format!(
        "{:>5} s  sent {}  ok {}  errors {errors}  dropped {dropped}  unassigned {}  p99 {p99:.2?}  {nodes} nodes\n",
        view.run_ns / 1_000_000_000,
        view.counts.sent,
        view.counts.ok,
        view.counts.unassigned,
    )
}

/// A state as people read it.
pub(crate) fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Queued => "queued",
        RunState::Preparing => "preparing",
        RunState::Armed => "armed",
        RunState::Running => "running",
        RunState::Stopping => "stopping",
        RunState::Sealing => "sealing",
        RunState::Ended => "ended",
        RunState::Refused => "refused",
    }
}

/// The exit code of a refused request.
pub(crate) fn refused_code(refused: &Refused) -> ExitCode {
    exit_code(refused.kind)
}

/// Where the state of a command lies when nobody says: nowhere for long.
pub(crate) fn temporary() -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new().prefix("openloop-").tempdir().map_err(Failure::state)
}
