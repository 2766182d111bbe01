//! The commands that ask a coordinator which serves: over its HTTP API, as any other program would.
//!
//! What it is: requests, and their answers as people read them on a terminal. What it is not: another way into the fleet;
//! nothing here can do what the API cannot.

use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use command::{Outputs, Sink};
use hyper::Method;
use verdict::ExitCode;

use crate::args::{Files, Logs, OfRun, Runs, SetTps, SubCommand, Submit};
use crate::asking::{self, Content};
use crate::files::hex;
use crate::handle::{
    DrainRequest, FileView, FleetView, LogEntry, NodeState, NodeView, RateChange, RateRequest, RunId,
    RunState, RunView, RunsPage,
};
use crate::headless::{Progress, show_report, state_word};
use crate::program::{Failure, print, runtime, tell};

mod http;
mod table;

use http::{Body, Client, query};
use table::{files, nodes, runs};

/// How often a run that is watched is looked at.
const LOOKED_AT: Duration = Duration::from_millis(500);
/// How often logs that are followed are asked for.
const FOLLOWED: Duration = Duration::from_secs(1);

/// Carries a command out.
pub(crate) fn carry_out(command: SubCommand, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    runtime()?.block_on(async {
        match command {
            SubCommand::Submit(flags) => submit(*flags, matches).await,
            SubCommand::Status(of) => status(&of).await,
            SubCommand::Watch(of) => {
                let client = Client::of(&of.at)?;
                let run = run_of(&client, &of).await?;
                watch(&client, run, &Outputs::default_of_people()).await
            }
            SubCommand::Stop(of) => end(&of, "stop", Body::None).await,
            SubCommand::Abort(abort) => {
                end(&abort.of, "abort", Body::json(&serde_json::json!({ "why": abort.reason }))).await
            }
            SubCommand::SetTps(set) => set_tps(&set).await,
            SubCommand::Runs(flags) => history(&flags).await,
            SubCommand::Report(flags) => {
                let client = Client::of(&flags.of.at)?;
                let run = run_of(&client, &flags.of).await?;
                let json = flags.json.map(|text| match &*text {
                    "-" => Sink::Stdout,
                    _ => Sink::File(text.into()),
                });
                report(&client, run, json).await
            }
            SubCommand::Nodes(flags) => {
                let all: Vec<NodeView> = Client::of(&flags.at)?.get("/nodes").await?;
                Ok(print(&nodes(&all), ExitCode::Passed))
            }
            SubCommand::Drain(drain) => {
                let body = Body::json(&DrainRequest { exit: drain.exit });
                of_node(&drain.of.at, &drain.of.node, "drain", body).await
            }
            SubCommand::Readmit(of) => of_node(&of.at, &of.node, "readmit", Body::None).await,
            SubCommand::Files(flags) => of_files(&flags).await,
            SubCommand::Logs(flags) => logs(&flags).await,
            SubCommand::Serve(_) | SubCommand::Run(_) | SubCommand::Certs(_) | SubCommand::Tokens(_) => {
                Err(Failure::internal("this command asks nobody"))
            }
        }
    })
}

/// The run that somebody means: by its id, the begin of it, or its name; else the only one under way.
async fn run_of(client: &Client, of: &OfRun) -> Result<RunId, Failure> {
    let is_under_way = |run: &RunView| !matches!(run.state, RunState::Ended | RunState::Refused);
    let Some(word) = &of.run else {
        let view: FleetView = client.get("/fleet").await?;
        let live: Vec<&RunView> = view.runs.iter().filter(|run| is_under_way(run)).collect();
        return match live[..] {
            [one] => Ok(one.id),
            [] => Err(Failure::usage("no run is under way → RUN names one that has ended: coordinator runs")),
            [..] => Err(Failure::usage("several runs are under way → name one: coordinator status")),
        };
    };
    if let Ok(run) = word.parse() {
        return Ok(run);
    }
    let page: RunsPage = client.get("/runs?limit=500").await?;
    let is_meant =
        |run: &&RunView| run.name == *word || (word.len() >= 4 && run.id.to_string().starts_with(word));
    let found: Vec<&RunView> = page.runs.iter().filter(is_meant).collect();
    match found[..] {
        [one] => Ok(one.id),
        // The latest of the same name.
        [first, ..] if first.name == *word => Ok(first.id),
        [] => Err(Failure::usage(&format!("there is no run {} → see coordinator runs", plan::quoted(word)))),
        [..] => {
            Err(Failure::usage(&format!("several runs begin with {} → more of the id", plan::quoted(word))))
        }
    }
}

async fn submit(flags: Submit, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let asking = asking::of_flags(flags.flags, matches, &flags.over, false)?;
    if asking.run.outputs.json.is_some() && !flags.watch {
        let what = "--json: there is no report before the run has ended";
        return Err(Failure::usage(&format!(
            "{what} → add --watch, or coordinator report RUN --json FILE then"
        )));
    }
    let client = Client::of(&flags.at)?;
    let mut request = asking.request;
    for (path, content) in &asking.files {
        let sha256 = upload(&client, path, content).await?;
        request.files.insert(path.clone(), sha256);
    }
    let view: RunView = client.ask(Method::POST, "/runs", Body::json(&request)).await?;
    if !flags.watch {
        return Ok(print(&format!("{}\n", view.id), ExitCode::Passed));
    }
    watch(&client, view.id, &asking.run.outputs).await
}

/// Uploads a file unless it is there; yields its digest.
async fn upload(client: &Client, path: &str, content: &Content) -> Result<String, Failure> {
    let wrong = |error: std::io::Error| Failure::file(path, &error);
    let bytes = match content {
        Content::File(place) => std::fs::read(place).map_err(wrong)?,
        Content::Piped(bytes) => bytes.clone(),
    };
    let sha256 = hex(&crate::files::digest(&bytes));
    let name = Path::new(path).file_name().map_or_else(|| "plan".into(), |name| name.to_string_lossy());
    let known: Vec<FileView> = client.get("/files").await?;
    if !known.iter().any(|file| file.sha256 == sha256) {
        let path = format!("/files?{}", query(&[("name", Some(&*name))]));
        let _: FileView = client.ask(Method::POST, &path, Body::Bytes(bytes)).await?;
    }
    Ok(sha256)
}

async fn status(of: &OfRun) -> Result<ExitCode, Failure> {
    let client = Client::of(&of.at)?;
    let view: FleetView = client.get("/fleet").await?;
    if of.run.is_some() {
        let run = run_of(&client, of).await?;
        let view: RunView = client.get(&format!("/runs/{run}")).await?;
        return Ok(print(&table::run(&view), ExitCode::Passed));
    }
    let free = view.nodes.iter().filter(|node| node.state == NodeState::Ready && node.connected).count();
    let text = format!("{} nodes, {free} of them free\n{}", view.nodes.len(), runs(&view.runs));
    Ok(print(&text, ExitCode::Passed))
}

/// Follows a run to its end; yields its exit code.
async fn watch(client: &Client, run: RunId, outputs: &Outputs) -> Result<ExitCode, Failure> {
    let mut progress = Progress::new(outputs);
    loop {
        let view: RunView = client.get(&format!("/runs/{run}")).await?;
        progress.show(&view);
        let own = || view.exit_code.and_then(ExitCode::from_code).unwrap_or(ExitCode::Internal);
        match view.state {
            RunState::Refused => {
                tell(&format!("error: the run did not begin: {}\n", view.why));
                return Ok(own());
            }
            RunState::Ended => {
                let text = client.text(&format!("/runs/{run}/report")).await?;
                return show_report(&text, outputs.json.as_ref(), outputs, own());
            }
            _ => tokio::time::sleep(LOOKED_AT).await,
        }
    }
}

async fn report(client: &Client, run: RunId, json: Option<Sink>) -> Result<ExitCode, Failure> {
    let text = client.text(&format!("/runs/{run}/report")).await?;
    let outputs = Outputs { json, ..Outputs::default_of_people() };
    show_report(&text, outputs.json.as_ref(), &outputs, ExitCode::Passed)
}

async fn end(of: &OfRun, what: &str, body: Body) -> Result<ExitCode, Failure> {
    let client = Client::of(&of.at)?;
    let run = run_of(&client, of).await?;
    let view: RunView = client.ask(Method::POST, &format!("/runs/{run}/{what}"), body).await?;
    Ok(print(&format!("run {run} is {}\n", state_word(view.state)), ExitCode::Passed))
}

async fn set_tps(set: &SetTps) -> Result<ExitCode, Failure> {
    let rate = plan::parse_rate(&set.rate).map_err(|error| error.at(plan::Place::Argument("RATE")))?;
    let client = Client::of(&set.of.at)?;
    let run = run_of(&client, &set.of).await?;
    let body = Body::json(&RateRequest { tps: rate.per_second_f64(), workload: set.workload.clone() });
    let change: RateChange = client.ask(Method::POST, &format!("/runs/{run}/rate"), body).await?;
    let at = Duration::from_nanos(change.from_ns);
    let text = format!("run {run} has {}/s from {at:.3?} on\n", plan::rate_text(rate));
    Ok(print(&text, ExitCode::Passed))
}

async fn history(flags: &Runs) -> Result<ExitCode, Failure> {
    let limit = flags.limit.clamp(1, 500).to_string();
    let asked = query(&[
        ("limit", Some(&*limit)),
        ("project", flags.project.as_deref()),
        ("search", flags.search.as_deref()),
    ]);
    let page: RunsPage = Client::of(&flags.at)?.get(&format!("/runs?{asked}")).await?;
    Ok(print(&runs(&page.runs), ExitCode::Passed))
}

async fn of_node(at: &crate::args::At, node: &str, what: &str, body: Body) -> Result<ExitCode, Failure> {
    let path = format!("/nodes/{}/{what}", http::encoded(node));
    let view: NodeView = Client::of(at)?.ask(Method::POST, &path, body).await?;
    Ok(print(&nodes(&[view]), ExitCode::Passed))
}

async fn of_files(flags: &Files) -> Result<ExitCode, Failure> {
    let client = Client::of(&flags.at)?;
    if let Some(path) = &flags.upload {
        let name = path.to_string_lossy();
        let sha256 = upload(&client, &name, &Content::File(path.clone())).await?;
        return Ok(print(&format!("{sha256}\n"), ExitCode::Passed));
    }
    if let Some(sha256) = &flags.remove {
        client.nothing(Method::DELETE, &format!("/files/{}", http::encoded(sha256))).await?;
        return Ok(ExitCode::Passed);
    }
    let all: Vec<FileView> = client.get("/files").await?;
    Ok(print(&files(&all), ExitCode::Passed))
}

async fn logs(flags: &Logs) -> Result<ExitCode, Failure> {
    let client = Client::of(&flags.at)?;
    let mut after = 0;
    loop {
        let position = u64::to_string(&after);
        let asked = query(&[
            ("node", flags.node.as_deref()),
            ("run", flags.run.as_deref()),
            ("after", Some(&*position)),
        ]);
        let lines: Vec<LogEntry> = client.get(&format!("/logs?{asked}")).await?;
        for line in &lines {
            let text = format!("{} {}  {}\n", line.at, line.node, report::sanitized(&line.text));
            if print(&text, ExitCode::Passed) != ExitCode::Passed {
                return Ok(ExitCode::ReportNotWritten);
            }
        }
        after = lines.last().map_or(after, |line| line.position);
        if lines.is_empty() {
            if !flags.follow {
                return Ok(ExitCode::Passed);
            }
            tokio::time::sleep(FOLLOWED).await;
        }
    }
}

/// What people want when they say nothing.
trait ForPeople {
    fn default_of_people() -> Self;
}

impl ForPeople for Outputs {
    fn default_of_people() -> Self {
        Self {
            json: None,
            ndjson: None,
            quiet: false,
            progress_every_ns: 10_000_000_000,
            color: command::Color::Auto,
            control: None,
        }
    }
}
