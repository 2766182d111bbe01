//! The command line of the coordinator.
//!
//! What it is: names of flags and commands, and their values read into valid types. What it is not: the flags of a run,
//! which are the engine's and are read by `command`.
//!
//! Invariant: whatever is wrong is said in one line: where, what, how to fix it; no secret is repeated.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments of flags are the help text, which knows no backticks"
)]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use command::{Flags, Refusal, check_single_dashes, from_clap};
use plan::PlanError;

use crate::handle::OnNodeLoss;
use crate::security::{CertsArgs, TokensArgs};

mod values;

use values::{count, listening};
pub(crate) use values::{nodes_weighed, pairs, seconds, zones};

/// The program's name in messages.
const PROGRAM: &str = "coordinator";

#[derive(Debug, Parser)]
#[command(
    name = "coordinator",
    version,
    about = "Directs a fleet of engines: one exact load from many nodes, and nothing lost.",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = AFTER_HELP
)]
struct Line {
    #[command(subcommand)]
    command: SubCommand,
}

const AFTER_HELP: &str = "\
Examples:
  coordinator run --local 3 http://127.0.0.1:8080/ --tps 10k -d 30s    three nodes on this machine, one command
  coordinator serve                                                    then, anywhere: engine node --coordinator HOST:5557
  coordinator submit plan.yaml --nodes 5                               to a coordinator that serves
  coordinator run plan.yaml --nodes 5 --wait 2m --json report.json     serve, wait for five nodes, run, report, exit

Exit codes: those of the engine; 3 where no coordinator answers, or nodes do not come in time.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum SubCommand {
    /// Serve nodes (gRPC) and people (HTTP) until a signal comes
    Serve(Box<Serve>),
    /// Serve, wait for nodes, run, print the report, and exit with the run's code
    Run(Box<Run>),
    /// Queue a run at a coordinator that serves
    Submit(Box<Submit>),
    /// How runs stand
    Status(OfRun),
    /// Follow a run to its end, and exit with its code
    Watch(OfRun),
    /// Send nothing more, and wait for what is in flight
    Stop(OfRun),
    /// Leave a run now
    Abort(Abort),
    /// Change the rate of a run under way, on every node at one instant
    SetTps(SetTps),
    /// The history of runs
    Runs(Runs),
    /// The report of a run that has ended, or of one under way so far
    Report(Report),
    /// The nodes of the fleet
    Nodes(Nodes),
    /// Move a node's load to the others, and give it no more
    Drain(Drain),
    /// Take a drained or quarantined node back
    Readmit(OfNode),
    /// The files of the repository
    Files(Files),
    /// What nodes and the coordinator said
    Logs(Logs),
    /// Make an authority, and certificates for the coordinator and its nodes
    Certs(CertsArgs),
    /// Make a token, which is shown this once; list tokens, or call one back
    Tokens(Tokens),
}

/// Where the coordinator listens, and whom it lets in.
#[derive(Clone, Debug, Args)]
pub(crate) struct Listen {
    /// Where nodes connect (gRPC): a port of loopback, such as 5557, or an address with one
    #[arg(
        long = "nodes-listen",
        value_name = "ADDRESS",
        env = "COORDINATOR_NODES_LISTEN",
        default_value = "127.0.0.1:5557",
        value_parser = listening,
        help_heading = "Edges"
    )]
    pub(crate) nodes_at: SocketAddr,
    /// Certificate chain (PEM) with which both edges speak TLS
    #[arg(
        long,
        value_name = "FILE",
        env = "COORDINATOR_TLS_CERT",
        requires = "tls_key",
        help_heading = "Edges"
    )]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "COORDINATOR_TLS_KEY",
        requires = "tls_cert",
        help_heading = "Edges"
    )]
    pub(crate) tls_key: Option<PathBuf>,
    /// Let in only nodes with a certificate of this authority (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "COORDINATOR_NODE_CA",
        requires = "tls_cert",
        help_heading = "Edges"
    )]
    pub(crate) node_ca: Option<PathBuf>,
    /// Ask nodes and people for tokens (coordinator tokens makes them)
    #[arg(long, env = "COORDINATOR_TOKENS", help_heading = "Edges")]
    pub(crate) tokens: bool,
    /// A name by which people reach the coordinator; repeat for more
    #[arg(long, value_name = "HOST", help_heading = "Edges")]
    pub(crate) http_name: Vec<String>,
    /// Length of a node's lease: without a sign of life for so long, its load goes to others
    #[arg(long, value_name = "DURATION", default_value = "3s", help_heading = "Edges")]
    pub(crate) lease: String,
}

/// The flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Where people and programs connect (HTTP): 8089, 127.0.0.1:8089 or [::1]:8089
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "COORDINATOR_HTTP_LISTEN",
        default_value = "127.0.0.1:8089",
        value_parser = listening,
        help_heading = "Edges"
    )]
    pub(crate) http_listen: SocketAddr,
    /// Folder of the database and the files [default: openloop/coordinator in XDG_STATE_HOME, or ~/.local/state]
    #[arg(long, value_name = "DIR", env = "COORDINATOR_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Load nothing else than this: HOST, ADDRESS, ADDRESS/BITS or unix:PATH; repeat for more
    #[arg(long, value_name = "TARGET", help_heading = "Safety")]
    pub(crate) allow_target: Vec<String>,
    /// Refuse plans above this rate
    #[arg(long, value_name = "RATE", help_heading = "Safety")]
    pub(crate) rate_guard: Option<String>,
    /// Ended runs that are kept
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = count)]
    pub(crate) keep_runs: u32,
    /// Say nothing on standard error
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// How the fleet carries a run out.
#[derive(Clone, Debug, Args)]
pub(crate) struct OverFleet {
    /// Start with at least so many nodes
    #[arg(
        long,
        visible_alias = "expect-workers",
        value_name = "COUNT",
        value_parser = count,
        help_heading = "Fleet"
    )]
    pub(crate) nodes: Option<u32>,
    /// Wait for them so long: 120s, or 120 as with Locust [default: without end]
    #[arg(long, visible_alias = "expect-workers-max-wait", value_name = "DURATION", help_heading = "Fleet")]
    pub(crate) wait: Option<String>,
    /// Take at most so many nodes
    #[arg(long, value_name = "COUNT", value_parser = count, help_heading = "Fleet")]
    pub(crate) nodes_most: Option<u32>,
    /// Take only nodes with this label; repeat for more
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Fleet")]
    pub(crate) label: Vec<String>,
    /// Percent of the load by zone: eu=60,us=40
    #[arg(long, value_name = "ZONE=PERCENT", help_heading = "Fleet")]
    pub(crate) zones: Option<String>,
    /// How nodes are weighed: capacity, equal, 5:3:1 (in the order of their names) or a=5,b=3 [default: capacity]
    #[arg(long, value_name = "WEIGHTS", help_heading = "Fleet")]
    pub(crate) weights: Option<String>,
    /// When a node is lost: redistribute its load, continue without it, or abort
    #[arg(long, value_name = "POLICY", default_value = "redistribute", help_heading = "Fleet")]
    pub(crate) on_node_loss: OnNodeLoss,
    /// Start at this instant: 2027-01-31T23:59:00Z
    #[arg(long, value_name = "INSTANT", help_heading = "Fleet")]
    pub(crate) start_at: Option<String>,
    /// Start so long after everything is ready
    #[arg(long, value_name = "DURATION", help_heading = "Fleet")]
    pub(crate) start_after: Option<String>,
    /// What people call the run
    #[arg(long, value_name = "NAME", help_heading = "Fleet")]
    pub(crate) name: Option<String>,
    /// Runs of different projects do not see each other [default: default]
    #[arg(long, value_name = "NAME", help_heading = "Fleet")]
    pub(crate) project: Option<String>,
}

/// The flags of `run`, beside those of the plan.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(flatten)]
    pub(crate) over: OverFleet,
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Start so many nodes on this machine, which end with this command
    #[arg(long, value_name = "COUNT", value_parser = count, help_heading = "Fleet")]
    pub(crate) local: Option<u32>,
    /// The engine program that --local starts [default: the one beside this program]
    #[arg(long, value_name = "FILE", env = "COORDINATOR_ENGINE", help_heading = "Fleet")]
    pub(crate) engine: Option<PathBuf>,
    /// Serve people too while it runs, on this address: 8089, 127.0.0.1:8089
    #[arg(long, value_name = "ADDRESS", value_parser = listening, help_heading = "Edges")]
    pub(crate) http_listen: Option<SocketAddr>,
    /// Keep the database and the files in this folder, and take tokens made for it [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// There is no screen anyway; for scripts that say so
    #[arg(long, hide = true)]
    pub(crate) headless: bool,
    /// This command leads anyway; for scripts that say so
    #[arg(long, visible_aliases = ["master"], hide = true)]
    pub(crate) leader: bool,
}

/// Where a coordinator is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct At {
    /// The coordinator's HTTP edge
    #[arg(long, value_name = "URL", env = "COORDINATOR_URL", default_value = "http://127.0.0.1:8089")]
    pub(crate) coordinator: String,
    /// File with the token to show; COORDINATOR_TOKEN holds one itself
    #[arg(long, value_name = "FILE", env = "COORDINATOR_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Trust this authority (PEM) instead of the host's
    #[arg(long, value_name = "FILE", env = "COORDINATOR_CACERT")]
    pub(crate) coordinator_ca: Option<PathBuf>,
}

/// The flags of `submit`, beside those of the plan.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(flatten)]
    pub(crate) over: OverFleet,
    #[command(flatten)]
    pub(crate) at: At,
    /// Follow the run to its end, and exit with its code
    #[arg(long)]
    pub(crate) watch: bool,
}

/// A run, by its id, the begin of its id, or its name; left out, the only one under way.
#[derive(Debug, Args)]
pub(crate) struct OfRun {
    /// Its id, the begin of it, or its name; left out, the only run under way
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) at: At,
}

/// The flags of `abort`.
#[derive(Debug, Args)]
pub(crate) struct Abort {
    #[command(flatten)]
    pub(crate) of: OfRun,
    /// Why, for the report
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    pub(crate) reason: String,
}

/// The flags of `set-tps`.
#[derive(Debug, Args)]
pub(crate) struct SetTps {
    /// The new rate of the whole fleet: 20k
    #[arg(value_name = "RATE")]
    pub(crate) rate: String,
    #[command(flatten)]
    pub(crate) of: OfRun,
    /// Of this workload of a plan file
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: Option<String>,
}

/// The flags of `runs`.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(flatten)]
    pub(crate) at: At,
    /// Only of this project
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Only those whose name, target or tags contain this
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = count)]
    pub(crate) limit: u32,
}

/// The flags of `report`.
#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) of: OfRun,
    /// Write the summary (openloop.summary/1) to a file, or - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<String>,
}

/// The flags of `nodes`.
#[derive(Debug, Args)]
pub(crate) struct Nodes {
    #[command(flatten)]
    pub(crate) at: At,
}

/// A node.
#[derive(Debug, Args)]
pub(crate) struct OfNode {
    /// Its name
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) at: At,
}

/// The flags of `drain`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) of: OfNode,
    /// End its process once it is idle
    #[arg(long)]
    pub(crate) exit: bool,
}

/// The flags of `files`.
#[derive(Debug, Args)]
pub(crate) struct Files {
    #[command(flatten)]
    pub(crate) at: At,
    /// Upload this file
    #[arg(long, value_name = "FILE", conflicts_with = "remove")]
    pub(crate) upload: Option<PathBuf>,
    /// Remove the file with this digest
    #[arg(long, value_name = "SHA256")]
    pub(crate) remove: Option<String>,
}

/// The flags of `logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) at: At,
    /// Only of this node
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Only about this run
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// Wait for more
    #[arg(short = 'f', long)]
    pub(crate) follow: bool,
}

/// The flags of `tokens`.
#[derive(Debug, Args)]
pub(crate) struct Tokens {
    #[command(flatten)]
    pub(crate) of: TokensArgs,
    /// The state folder of the coordinator that shall know it [default: that of serve]
    #[arg(long, value_name = "DIR", env = "COORDINATOR_STATE", global = true)]
    pub(crate) state: Option<PathBuf>,
}

/// What was asked for, and the words that say it.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A command; with the matches of its flags, from which words are made again.
    Command(Box<SubCommand>, Box<ArgMatches>),
    /// A text to print: help or version.
    Print(String),
}

/// Flags of a run that an engine by itself obeys, and no fleet: refused, and not shown.
const OF_AN_ENGINE: &[&str] = &["share", "gbit", "control", "ndjson"];

/// The command line, in which the flags of a run are those of a fleet's.
fn definition() -> clap::Command {
    let of_a_fleet = |command: clap::Command| {
        command.mut_args(|argument| {
            let is_of_an_engine = argument.get_long().is_some_and(|name| OF_AN_ENGINE.contains(&name));
            if is_of_an_engine { argument.hide(true) } else { argument }
        })
    };
    let whom = "Whom to load, e.g. http://10.0.0.7/, or a plan file";
    Line::command().mut_subcommands(|command| match command.get_name() {
        "run" => of_a_fleet(command),
        "submit" => of_a_fleet(command).mut_arg("positional_url", |argument| argument.help(whom)),
        _ => command,
    })
}

/// Reads arguments, the program's name first.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, Refusal> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let definition = definition();
    check_single_dashes(&arguments, &definition)?;
    let wrong = |error: &clap::Error| from_clap(error, &arguments, &definition, PROGRAM);
    let matches = match definition.clone().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => {
            use clap::error::ErrorKind;
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Ok(Asked::Print(error.render().to_string()))
                }
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                    let fix =
                        "coordinator run --local 2 URL --tps RATE, coordinator serve, or coordinator --help";
                    Err(Refusal::usage("nothing says what to do", fix))
                }
                _ => Err(wrong(&error)),
            };
        }
    };
    let line = Line::from_arg_matches(&matches).map_err(|error| wrong(&error))?;
    let (_, of_command) = matches.subcommand().expect("Invariant: a command is required");
    Ok(Asked::Command(Box::new(line.command), Box::new(of_command.clone())))
}

impl std::str::FromStr for OnNodeLoss {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        match text {
            "redistribute" => Ok(Self::Redistribute),
            "continue" => Ok(Self::Continue),
            "abort" => Ok(Self::Abort),
            _ => {
                let what = format!("{} is nothing to do about a lost node", plan::quoted(text));
                Err(PlanError::new(what, "one of redistribute, continue, abort"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
