//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::baselines::Kind;

/// The engine beside its peers: CPU per request, and how well a schedule is kept.
#[derive(Debug, Parser)]
#[command(name = "perf", max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// CPU per request at saturation: floor, baselines, engine and peers, client and target on one core
    ClosedLoop(Options),
    /// CPU per request over TLS 1.3 (nginx): engine and peers
    Tls(Options),
    /// CPU per TLS 1.3 handshake (nginx), full and with tickets: engine and peers
    Handshakes(Options),
    /// How well 20,000 and 50,000 requests per second are kept, and at what cost: engine, oha, hey
    Schedule(Options),
    /// CPU per request by connections, from 1 to 1,024: engine and peers
    Sweep(Options),
    /// CPU per request with responses of 1 KiB and 64 KiB: engine and peers
    Sizes(Options),
    /// CPU per request with a connection for each: engine and peers
    Churn(Options),
    /// Bytes per CPU second of downloads and uploads of 1 MiB: engine, wrk, plain loops
    Bulk(Options),
    /// Throughput per core with 1, 2 and more cores: engine and wrk
    Scaling(Options),
    /// CPU per request of journeys of three steps, beside plain requests: the engine alone
    Journey(Options),
    /// All tables, and a tally of them
    All(Options),
    /// What directing a thousand nodes costs a coordinator: CPU, memory, disk, bandwidth, lag
    Fleet(FleetOptions),
    /// Run one baseline against a target and print what it measured; `perf` starts itself so
    #[command(hide = true)]
    Baseline(Exercise),
}

/// How to measure.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Runs of each client; medians are taken over them
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Length of each run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// A check that everything works, in under a minute: one round of one second
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    pub(crate) quick: bool,
    /// Connections of every client (those of the sweep and of large bodies are their own; for scaling, of each core)
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) connections: u32,
    /// Rates of the schedule table, in requests per second
    #[arg(long, default_values_t = [20_000, 50_000], value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Vec<u32>,
    /// The client's core [default: the last one]
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// The target's core, for every table [default: the client's; for the schedule the first other one]
    #[arg(long)]
    pub(crate) target_core: Option<usize>,
    /// Only the clients whose name contains one of these words, e.g. floor,engine,wrk
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// An engine built elsewhere, instead of building this tree's
    #[arg(long)]
    pub(crate) engine: Option<PathBuf>,
    /// Install nothing; leave out the peers that are missing
    #[arg(long)]
    pub(crate) no_install: bool,
    /// Also write all samples as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    pub(crate) fn seconds(&self) -> u32 {
        if self.quick { 1 } else { self.seconds }
    }
}

/// How large the fleet is.
#[derive(Clone, Debug, Args)]
pub(crate) struct FleetOptions {
    /// Simulated nodes
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    pub(crate) nodes: u32,
    /// Length of the run
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(5..=3_600))]
    pub(crate) seconds: u32,
    /// Request names of the plan
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) names: u32,
    /// Arrivals per second of the plan, over all nodes; on paper, for nothing is sent
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) tps: u64,
    /// A coordinator built elsewhere, instead of building this tree's
    #[arg(long)]
    pub(crate) coordinator: Option<PathBuf>,
    /// Also write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What a baseline shall do. The program is pinned by whoever starts it.
#[derive(Clone, Debug, Args)]
pub struct Exercise {
    /// Which baseline.
    pub kind: Kind,
    /// The target.
    pub address: SocketAddr,
    /// How many connections.
    pub connections: u32,
    /// For how long.
    pub seconds: u32,
    /// Slots per second, for the baseline that keeps a schedule.
    #[arg(long)]
    pub rate: Option<u32>,
}
