//! The flags, as clap knows them: names, help, groups.
//!
//! What it is not: a parser of values. Every value stays text here, so that a flag and its environment variable are
//! read by the same function and refused in the same words.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments of flags are the help text, which knows no backticks"
)]

use clap::{Args, Parser, Subcommand};

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
}

/// The flags of a run.
#[derive(Debug, Default, Args)]
pub(super) struct Flags {
    /// Whom to load, e.g. http://127.0.0.1:8080/; without one, the built-in target on this machine
    #[arg(value_name = "URL")]
    pub(super) positional_url: Option<String>,
    /// The same as the URL argument
    #[arg(long, value_name = "URL", help_heading = "Target")]
    pub(super) url: Option<String>,
    /// Request method [default: GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD", help_heading = "Target")]
    pub(super) method: Option<String>,
    /// Request header; repeat for more
    #[arg(
        short = 'H',
        long,
        value_name = "NAME: VALUE",
        help_heading = "Target",
        allow_hyphen_values = true
    )]
    pub(super) header: Vec<String>,
    /// Request body
    #[arg(long, value_name = "TEXT", help_heading = "Target", allow_hyphen_values = true)]
    pub(super) body: Option<String>,
    /// Request body from a file, or - for standard input
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    pub(super) body_file: Option<String>,
    /// Request body of this size, made up: 1MiB; of any size it takes 1 MiB of memory
    #[arg(long, value_name = "SIZE", help_heading = "Target")]
    pub(super) body_size: Option<String>,
    /// From the intended send time to giving up [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = "Target")]
    pub(super) timeout: Option<String>,
    /// Statuses that count as errors: 4xx,5xx or 500-599 or none [default: 400-599]
    #[arg(long, value_name = "STATUSES", help_heading = "Target")]
    pub(super) fail_status: Option<String>,
    /// Largest response head [default: 64KiB]
    #[arg(long, value_name = "SIZE", help_heading = "Target")]
    pub(super) max_head: Option<String>,
    /// Largest response body [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Target")]
    pub(super) max_body: Option<String>,

    /// This workload of the plan file alone
    #[arg(long, value_name = "NAME", help_heading = "Plan file")]
    pub(super) workload: Option<String>,

    /// Requests per second: 5000, 50k, 0.5, 100/s, 6k/m
    #[arg(long, visible_alias = "rate", value_name = "RATE", help_heading = "Load (open model)")]
    pub(super) tps: Option<String>,
    /// As many requests as fill so many Gbit/s in the direction that carries more: 10, 0.5
    #[arg(long, value_name = "NUMBER", help_heading = "Load (open model)")]
    pub(super) gbit: Option<String>,
    /// How long: 30s, 1h30m [default: 10s]
    #[arg(short = 'd', long, value_name = "DURATION", help_heading = "Load (open model)")]
    pub(super) duration: Option<String>,
    /// Rate over time: 30s:1000 ramps to 1,000, 30s:=1000 steps to it and holds it; separate with commas
    #[arg(long, value_name = "STAGES", help_heading = "Load (open model)")]
    pub(super) stages: Option<String>,
    /// static, or ramp from 0 to the rate [default: static]
    #[arg(long, value_name = "PATTERN", help_heading = "Load (open model)")]
    pub(super) pattern: Option<String>,
    /// How arrivals are spaced: constant or poisson [default: constant]
    #[arg(long, value_name = "PROCESS", help_heading = "Load (open model)")]
    pub(super) process: Option<String>,
    /// Seed of random arrivals [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Load (open model)")]
    pub(super) seed: Option<String>,
    /// What to do when late: burst (send at once), smooth (at most twice the rate), skip [default: burst]
    #[arg(long, value_name = "POLICY", help_heading = "Load (open model)")]
    pub(super) catch_up: Option<String>,
    /// Only the i-th of n equal parts of the plan
    #[arg(long, value_name = "I/N", help_heading = "Load (open model)")]
    pub(super) share: Option<String>,
    /// Time in front that stays out of the results [default: 0s]
    #[arg(long, value_name = "DURATION", help_heading = "Load (open model)")]
    pub(super) warmup: Option<String>,
    /// How long to wait for open requests at the end [default: the timeout]
    #[arg(long, value_name = "DURATION", help_heading = "Load (open model)")]
    pub(super) grace: Option<String>,
    /// Stop after so many requests
    #[arg(short = 'n', long, value_name = "COUNT", help_heading = "Load (open model)")]
    pub(super) count: Option<String>,

    /// Users who each wait for a response before the next request
    #[arg(short = 'u', long, value_name = "COUNT", help_heading = "Load (closed model)")]
    pub(super) users: Option<String>,
    /// Users started per second [default: all at once]
    #[arg(short = 'r', long, value_name = "RATE", help_heading = "Load (closed model)")]
    pub(super) spawn_rate: Option<String>,
    /// Rest between a response and the next request [default: 0s]
    #[arg(long, value_name = "DURATION", help_heading = "Load (closed model)")]
    pub(super) think: Option<String>,

    /// Most open connections [default: what the descriptor limit allows, at most 1024]
    #[arg(short = 'c', long, value_name = "COUNT", help_heading = "Connections")]
    pub(super) connections: Option<String>,
    /// Connections opened before the start [default: 0]
    #[arg(long, value_name = "COUNT", help_heading = "Connections")]
    pub(super) warm_connections: Option<String>,
    /// Close a connection after so many requests [default: never]
    #[arg(long, value_name = "COUNT", help_heading = "Connections")]
    pub(super) close_after: Option<String>,
    /// Arrivals that may wait for a connection [default: rate × timeout]
    #[arg(long, value_name = "COUNT", help_heading = "Connections")]
    pub(super) queue: Option<String>,
    /// Connect elsewhere, as curl does; repeat for more
    #[arg(long, value_name = "HOST:PORT:ADDR:PORT", help_heading = "Connections")]
    pub(super) connect_to: Vec<String>,
    /// Which addresses of a name are loaded: auto, all, first, 4 or 6 [default: auto]
    #[arg(long, value_name = "WHICH", help_heading = "Connections")]
    pub(super) dns: Option<String>,
    /// Addresses of this host that connections leave from in turn: 10.0.0.1,10.0.0.2, a range or a block
    #[arg(
        long,
        visible_aliases = ["source-ip", "local-ips"],
        value_name = "ADDRESSES",
        help_heading = "Connections"
    )]
    pub(super) source: Option<String>,
    /// Connect to this Unix socket, as curl does; @NAME is an abstract one
    #[arg(long, value_name = "PATH", help_heading = "Connections")]
    pub(super) unix_socket: Option<String>,

    /// Trust any certificate; stamped in the report
    #[arg(short = 'k', long, help_heading = "TLS")]
    pub(super) insecure: bool,
    /// Trust these authorities (PEM) instead of the host's
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(super) cacert: Option<String>,
    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(super) cert: Option<String>,
    /// Key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(super) key: Option<String>,
    /// Make a full handshake for every connection
    #[arg(long, help_heading = "TLS")]
    pub(super) no_resumption: bool,
    /// Oldest version: 1.2 or 1.3 [default: 1.2]
    #[arg(long, value_name = "VERSION", help_heading = "TLS")]
    pub(super) tls_min: Option<String>,
    /// Newest version: 1.2 or 1.3 [default: 1.3]
    #[arg(long, value_name = "VERSION", help_heading = "TLS")]
    pub(super) tls_max: Option<String>,

    /// Cores: all, a number, or a list such as 0-3,8 [default: all]
    #[arg(long, value_name = "CORES", help_heading = "Engine")]
    pub(super) cores: Option<String>,
    /// I/O driver: auto, uring or epoll [default: auto]
    #[arg(long, value_name = "DRIVER", help_heading = "Engine")]
    pub(super) io: Option<String>,
    /// How shards wait: sleep, or spin for cores of their own [default: sleep]
    #[arg(long, value_name = "PACING", help_heading = "Engine")]
    pub(super) pacing: Option<String>,
    /// Lateness from which a run is untrustworthy; a tenth of it for a second's p99 [default: 100ms]
    #[arg(long, value_name = "DURATION", help_heading = "Engine")]
    pub(super) max_lag: Option<String>,
    /// Unix socket on which a parent program drives this run
    #[arg(long, value_name = "PATH", help_heading = "Engine")]
    pub(super) control: Option<String>,

    /// Vouch that you may load this public host; repeat for more
    #[arg(long, value_name = "HOST", help_heading = "Safety")]
    pub(super) i_own: Vec<String>,
    /// Refuse plans above this rate
    #[arg(long, value_name = "RATE", help_heading = "Safety")]
    pub(super) rate_guard: Option<String>,

    /// What must hold: 'p99<50ms', 'error_rate<1% over 10s abort', 'checks>99%'; repeat for more
    #[arg(long, value_name = "THRESHOLD", help_heading = "Results")]
    pub(super) threshold: Vec<String>,
    /// Write the summary (openloop.summary/1) to a file, or - for standard output
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) json: Option<String>,
    /// Write every second (openloop.interval/1) to a file, or - for standard output
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) ndjson: Option<String>,
    /// Tag for the report; repeat for more
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Results")]
    pub(super) tag: Vec<String>,
    /// Name of the run [default: made up]
    #[arg(long, value_name = "ID", help_heading = "Results")]
    pub(super) run_id: Option<String>,
    /// Which worker this is; becomes the tag worker_id
    #[arg(long, value_name = "ID", help_heading = "Results")]
    pub(super) worker_id: Option<String>,
    /// No progress on standard error
    #[arg(long, help_heading = "Results")]
    pub(super) quiet: bool,
    /// Time between progress lines where standard error is no terminal [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = "Results")]
    pub(super) progress_every: Option<String>,
    /// Colour: auto, always or never [default: auto]
    #[arg(long, value_name = "WHEN", help_heading = "Results")]
    pub(super) color: Option<String>,
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
