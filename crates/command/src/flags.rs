//! The flags of a run, as clap knows them: names, help, groups.
//!
//! What it is not: a parser of values. Every value stays text here, so that a flag and its environment variable are
//! read by the same function and refused in the same words.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments of flags are the help text, which knows no backticks"
)]

use clap::Args;

/// The flags of a run.
#[derive(Debug, Default, Args)]
pub struct Flags {
    /// Whom to load, e.g. http://127.0.0.1:8080/; without one, the built-in target on this machine
    #[arg(value_name = "URL")]
    pub positional_url: Option<String>,
    /// The same as the URL argument
    #[arg(long, value_name = "URL", help_heading = "Target")]
    pub(crate) url: Option<String>,
    /// Request method [default: GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD", help_heading = "Target")]
    pub(crate) method: Option<String>,
    /// Request header; repeat for more
    #[arg(
        short = 'H',
        long,
        value_name = "NAME: VALUE",
        help_heading = "Target",
        allow_hyphen_values = true
    )]
    pub(crate) header: Vec<String>,
    /// Request body
    #[arg(long, value_name = "TEXT", help_heading = "Target", allow_hyphen_values = true)]
    pub(crate) body: Option<String>,
    /// Request body from a file, or - for standard input
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    pub(crate) body_file: Option<String>,
    /// Request body of this size, made up: 1MiB; of any size it takes 1 MiB of memory
    #[arg(long, value_name = "SIZE", help_heading = "Target")]
    pub(crate) body_size: Option<String>,
    /// From the intended send time to giving up [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = "Target")]
    pub(crate) timeout: Option<String>,
    /// Statuses that count as errors: 4xx,5xx or 500-599 or none [default: 400-599]
    #[arg(long, value_name = "STATUSES", help_heading = "Target")]
    pub(crate) fail_status: Option<String>,
    /// Largest response head [default: 64KiB]
    #[arg(long, value_name = "SIZE", help_heading = "Target")]
    pub(crate) max_head: Option<String>,
    /// Largest response body [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Target")]
    pub(crate) max_body: Option<String>,

    /// This workload of the plan file alone
    #[arg(long, value_name = "NAME", help_heading = "Plan file")]
    pub(crate) workload: Option<String>,

    /// Requests per second: 5000, 50k, 0.5, 100/s, 6k/m
    #[arg(long, visible_alias = "rate", value_name = "RATE", help_heading = "Load (open model)")]
    pub(crate) tps: Option<String>,
    /// As many requests as fill so many Gbit/s in the direction that carries more: 10, 0.5
    #[arg(long, value_name = "NUMBER", help_heading = "Load (open model)")]
    pub(crate) gbit: Option<String>,
    /// How long: 30s, 1h30m [default: 10s]
    #[arg(short = 'd', long, value_name = "DURATION", help_heading = "Load (open model)")]
    pub(crate) duration: Option<String>,
    /// Rate over time: 30s:1000 ramps to 1,000, 30s:=1000 steps to it and holds it; separate with commas
    #[arg(long, value_name = "STAGES", help_heading = "Load (open model)")]
    pub(crate) stages: Option<String>,
    /// static, or ramp from 0 to the rate [default: static]
    #[arg(long, value_name = "PATTERN", help_heading = "Load (open model)")]
    pub(crate) pattern: Option<String>,
    /// How arrivals are spaced: constant or poisson [default: constant]
    #[arg(long, value_name = "PROCESS", help_heading = "Load (open model)")]
    pub(crate) process: Option<String>,
    /// Seed of random arrivals [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Load (open model)")]
    pub(crate) seed: Option<String>,
    /// What to do when late: burst (send at once), smooth (at most twice the rate), skip [default: burst]
    #[arg(long, value_name = "POLICY", help_heading = "Load (open model)")]
    pub(crate) catch_up: Option<String>,
    /// Only the i-th of n equal parts of the plan
    #[arg(long, value_name = "I/N", help_heading = "Load (open model)")]
    pub(crate) share: Option<String>,
    /// Time in front that stays out of the results [default: 0s]
    #[arg(long, value_name = "DURATION", help_heading = "Load (open model)")]
    pub(crate) warmup: Option<String>,
    /// How long to wait for open requests at the end [default: the timeout]
    #[arg(long, value_name = "DURATION", help_heading = "Load (open model)")]
    pub(crate) grace: Option<String>,
    /// Stop after so many requests
    #[arg(short = 'n', long, value_name = "COUNT", help_heading = "Load (open model)")]
    pub(crate) count: Option<String>,

    /// Users who each wait for a response before the next request
    #[arg(short = 'u', long, value_name = "COUNT", help_heading = "Load (closed model)")]
    pub(crate) users: Option<String>,
    /// Users started per second [default: all at once]
    #[arg(short = 'r', long, value_name = "RATE", help_heading = "Load (closed model)")]
    pub(crate) spawn_rate: Option<String>,
    /// Rest between a response and the next request [default: 0s]
    #[arg(long, value_name = "DURATION", help_heading = "Load (closed model)")]
    pub(crate) think: Option<String>,

    /// Most open connections [default: what the descriptor limit allows, at most 1024]
    #[arg(short = 'c', long, value_name = "COUNT", help_heading = "Connections")]
    pub(crate) connections: Option<String>,
    /// Connections opened before the start [default: 0]
    #[arg(long, value_name = "COUNT", help_heading = "Connections")]
    pub(crate) warm_connections: Option<String>,
    /// Close a connection after so many requests [default: never]
    #[arg(long, value_name = "COUNT", help_heading = "Connections")]
    pub(crate) close_after: Option<String>,
    /// Arrivals that may wait for a connection [default: rate × timeout]
    #[arg(long, value_name = "COUNT", help_heading = "Connections")]
    pub(crate) queue: Option<String>,
    /// Connect elsewhere, as curl does; repeat for more
    #[arg(long, value_name = "HOST:PORT:ADDR:PORT", help_heading = "Connections")]
    pub(crate) connect_to: Vec<String>,
    /// Which addresses of a name are loaded: auto, all, first, 4 or 6 [default: auto]
    #[arg(long, value_name = "WHICH", help_heading = "Connections")]
    pub(crate) dns: Option<String>,
    /// Addresses of this host that connections leave from in turn: 10.0.0.1,10.0.0.2, a range or a block
    #[arg(
        long,
        visible_aliases = ["source-ip", "local-ips"],
        value_name = "ADDRESSES",
        help_heading = "Connections"
    )]
    pub(crate) source: Option<String>,
    /// Connect to this Unix socket, as curl does; @NAME is an abstract one
    #[arg(long, value_name = "PATH", help_heading = "Connections")]
    pub(crate) unix_socket: Option<String>,

    /// Trust any certificate; stamped in the report
    #[arg(short = 'k', long, help_heading = "TLS")]
    pub(crate) insecure: bool,
    /// Trust these authorities (PEM) instead of the host's
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(crate) cacert: Option<String>,
    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(crate) cert: Option<String>,
    /// Key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(crate) key: Option<String>,
    /// Make a full handshake for every connection
    #[arg(long, help_heading = "TLS")]
    pub(crate) no_resumption: bool,
    /// Oldest version: 1.2 or 1.3 [default: 1.2]
    #[arg(long, value_name = "VERSION", help_heading = "TLS")]
    pub(crate) tls_min: Option<String>,
    /// Newest version: 1.2 or 1.3 [default: 1.3]
    #[arg(long, value_name = "VERSION", help_heading = "TLS")]
    pub(crate) tls_max: Option<String>,

    /// Cores: all, a number, or a list such as 0-3,8 [default: all]
    #[arg(long, value_name = "CORES", help_heading = "Engine")]
    pub(crate) cores: Option<String>,
    /// I/O driver: auto, uring or epoll [default: auto]
    #[arg(long, value_name = "DRIVER", help_heading = "Engine")]
    pub(crate) io: Option<String>,
    /// How shards wait: sleep, or spin for cores of their own [default: sleep]
    #[arg(long, value_name = "PACING", help_heading = "Engine")]
    pub(crate) pacing: Option<String>,
    /// Lateness from which a run is untrustworthy; a tenth of it for a second's p99 [default: 100ms]
    #[arg(long, value_name = "DURATION", help_heading = "Engine")]
    pub(crate) max_lag: Option<String>,
    /// Unix socket on which a parent program drives this run
    #[arg(long, value_name = "PATH", help_heading = "Engine")]
    pub(crate) control: Option<String>,

    /// Vouch that you may load this public host; repeat for more
    #[arg(long, value_name = "HOST", help_heading = "Safety")]
    pub(crate) i_own: Vec<String>,
    /// Refuse plans above this rate
    #[arg(long, value_name = "RATE", help_heading = "Safety")]
    pub(crate) rate_guard: Option<String>,

    /// What must hold: 'p99<50ms', 'error_rate<1% over 10s abort', 'checks>99%'; repeat for more
    #[arg(long, value_name = "THRESHOLD", help_heading = "Results")]
    pub(crate) threshold: Vec<String>,
    /// Write the summary (openloop.summary/1) to a file, or - for standard output
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(crate) json: Option<String>,
    /// Write every second (openloop.interval/1) to a file, or - for standard output
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(crate) ndjson: Option<String>,
    /// Tag for the report; repeat for more
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Results")]
    pub(crate) tag: Vec<String>,
    /// Name of the run [default: made up]
    #[arg(long, value_name = "ID", help_heading = "Results")]
    pub(crate) run_id: Option<String>,
    /// Which worker this is; becomes the tag worker_id
    #[arg(long, value_name = "ID", help_heading = "Results")]
    pub(crate) worker_id: Option<String>,
    /// No progress on standard error
    #[arg(long, help_heading = "Results")]
    pub(crate) quiet: bool,
    /// Time between progress lines where standard error is no terminal [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = "Results")]
    pub(crate) progress_every: Option<String>,
    /// Colour: auto, always or never [default: auto]
    #[arg(long, value_name = "WHEN", help_heading = "Results")]
    pub(crate) color: Option<String>,
}

impl Flags {
    /// Flags that vouch for these public hosts and say nothing else.
    pub fn vouching_for(hosts: Vec<String>) -> Self {
        Self { i_own: hosts, ..Self::default() }
    }
}
