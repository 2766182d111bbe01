//! The flags, as clap knows them: names, help, groups.
//!
//! What it is not: a parser of values. Every value stays text here, so that a flag and its environment variable are
//! read by the same function and refused in the same words.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments of flags are the help text, which knows no backticks"
)]

use clap::{Args, Parser, Subcommand};
use command::Flags;

use super::node::NodeFlags;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "engine",
    version,
    about = "An open-loop HTTP load generator: it sends on schedule, whatever the target does, and says so when it could not.",
    override_usage = "engine [URL] --tps RATE [FLAGS]\n       engine <COMMAND> [FLAGS]",
    after_help = format!("{EXAMPLES}\n\n{AFTER_HELP}"),
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    allow_negative_numbers = true,
    max_term_width = 110
)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Option<SubCommand>,
    #[command(flatten)]
    pub(super) flags: Flags,
}

const EXAMPLES: &str = "\
Examples:
  engine --tps 50000 --cores all                    load the built-in target on this machine
  engine http://127.0.0.1:8080/ --tps 5k -d 30s     5,000 requests per second for 30 seconds
  engine http://10.0.0.7/ --stages 30s:1k,1m:50k    from 0 to 1,000 in 30 s, then to 50,000 in a minute
  engine http://10.0.0.7/ --users 64 -n 100k        64 users, 100,000 requests
  engine https://shop.example/ --tps 100 --i-own shop.example --threshold 'p99<50ms' --json run.json";

/// What is told behind the flags, whatever is spoken.
pub(super) const AFTER_HELP: &str = "\
Each flag is also an environment variable: --max-lag is ENGINE_MAX_LAG. A flag wins over its variable. A variable for a
flag that may be repeated holds one value per line. TARGET_TPS, DURATION, LOAD_PATTERN, RUN_ID and WORKER_ID are
read too. NO_COLOR is honoured.

Exit codes: 0 passed, 2 usage, 3 environment, 4 refused by a safety rail, 10 threshold failed, 11 every request failed,
12 untrustworthy (the generator was late), 13 audit, 14 report not written, 15 target overloaded, 130/143 interrupted.";

/// What else the program does.
#[derive(Debug, Subcommand)]
pub(super) enum SubCommand {
    /// Run a plan file, or what the flags say: engine run plan.yaml
    #[command(override_usage = "engine run PLAN [FLAGS]\n       engine run [URL] --tps RATE [FLAGS]")]
    Run(Box<Flags>),
    /// Run the built-in HTTP target alone, with its truth log at /truth
    Target(Box<TargetFlags>),
    /// Merge summaries of several runs exactly
    Merge(MergeFlags),
    /// Read a plan file and explain it: its schedule drawn, totals, how long it takes, what it needs
    #[command(override_usage = "engine check PLAN [FLAGS OF A RUN]")]
    Check(Box<Flags>),
    /// Run one iteration of each workload of a plan file, and show each exchange of it
    Debug(DebugFlags),
    /// Print the JSON Schema of a document
    Schema(SchemaFlags),
    /// Say what this host allows, and what to change
    Doctor(DoctorFlags),
    /// Take part in a fleet: attend a coordinator and carry out what it hands out
    #[command(visible_alias = "worker")]
    Node(Box<NodeFlags>),
}

/// The flags of `engine target`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct TargetFlags {
    /// Where to listen: 8080, 127.0.0.1:8080 or [::1]:8080; port 0 takes a free one
    #[arg(long, visible_alias = "port", value_name = "ADDRESS", default_value = "8080")]
    pub(super) listen: String,
    /// Cores: all, a number, or a list such as 0-3,8
    #[arg(long, value_name = "CORES", default_value = "1")]
    pub(super) cores: String,
    /// Serve TLS, with a certificate made on the spot unless --cert and --key are given
    #[arg(long)]
    pub(super) tls: bool,
    /// Certificate chain (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) cert: Option<String>,
    /// Key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<String>,
    /// Ask clients for a certificate of these authorities (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) client_ca: Option<String>,
    /// Write what clients must trust (PEM) to a file
    #[arg(long, value_name = "FILE")]
    pub(super) certificate_out: Option<String>,
    /// Size of a response's body
    #[arg(long, value_name = "SIZE", default_value = "17")]
    pub(super) body_size: String,
    /// Header of every response; repeat for more
    #[arg(short = 'H', long, value_name = "NAME: VALUE", allow_hyphen_values = true)]
    pub(super) header: Vec<String>,
    /// Delay: none, 5ms, uniform:1ms,5ms, exp:5ms, bimodal:1ms,50ms,0.1 or pareto:1ms,1.5
    #[arg(long, value_name = "LAW", default_value = "none")]
    pub(super) delay: String,
    /// Stalls: 1s/10s freezes 1 s in every 10 s; @OFFSET or @start+OFFSET says when the first begins
    #[arg(long, value_name = "STALL")]
    pub(super) stall: Option<String>,
    /// Share of requests answered with an error status: 0.01 or 1%
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub(super) error_rate: String,
    /// Status of those errors
    #[arg(long, value_name = "STATUS", default_value = "500")]
    pub(super) error_status: String,
    /// Share of requests whose connection is closed without an answer
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub(super) close_rate: String,
    /// Share of requests whose connection is reset
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub(super) reset_rate: String,
    /// Share of responses cut in half
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub(super) cut_rate: String,
    /// Share of requests answered with something that is not HTTP
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub(super) garbage_rate: String,
    /// Share of requests never answered
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub(super) hang_rate: String,
    /// Seed of delays and faults
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(super) seed: String,
    /// Write one CSV line for every request to a file at the end
    #[arg(long, value_name = "FILE")]
    pub(super) list: Option<String>,
    /// End when the process that started this one ends
    #[arg(long)]
    pub(super) die_with_parent: bool,
    /// Write the truth (openloop.truth/1) to a file at the end, or - for standard output
    #[arg(long, value_name = "FILE")]
    pub(super) truth: Option<String>,
}

/// The flags of `engine merge`.
#[derive(Debug, Args)]
pub(super) struct MergeFlags {
    /// Summaries (openloop.summary/1) to merge
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<String>,
    /// Write the merged summary to a file, or - for standard output
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<String>,
    /// What must hold for the whole; repeat for more
    #[arg(long, value_name = "THRESHOLD")]
    pub(super) threshold: Vec<String>,
    /// Colour: auto, always or never [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub(super) color: Option<String>,
}

/// The flags of `engine schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaFlags {
    /// The document: summary, interval, plan, truth, control; without a name they are listed
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
}

/// The flags of `engine debug`.
#[derive(Debug, Args)]
pub(super) struct DebugFlags {
    /// The plan (openloop.plan/1, YAML or JSON), or - for standard input
    #[arg(value_name = "PLAN")]
    pub(super) file: std::path::PathBuf,
    /// This workload alone
    #[arg(long, value_name = "NAME", conflicts_with = "scenario")]
    pub(super) workload: Option<String>,
    /// This scenario alone
    #[arg(long, value_name = "NAME")]
    pub(super) scenario: Option<String>,
    /// Vouch that you may load this public host; repeat for more
    #[arg(long, value_name = "HOST", help_heading = "Safety")]
    pub(super) i_own: Vec<String>,
}

/// The flags of `engine doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorFlags {
    /// Connections that you mean to open [default: 1024]
    #[arg(short = 'c', long, value_name = "COUNT")]
    pub(super) connections: Option<String>,
}
