//! The validated plan: what to execute, with nothing left to check.
//!
//! What it is: plain data that an engine runs from. What it is not: a parser ([`crate::Draft`] makes plans), nor
//! anything about where results go.
//!
//! Units: durations are nanoseconds (`_ns`), sizes are bytes.

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use schedule::{Cells, Process, Profile, Rate};

use crate::{
    Bandwidth, Body, CatchUp, ConnectTo, Cores, Dns, Header, IoChoice, MaxLag, Method, Pacing, Rails, RunId,
    Share, StatusSet, Tag, TlsVersion, UnixSocket, Url,
};

/// What to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The name of the run, if it was given one.
    pub run_id: Option<RunId>,
    /// What stands in the report beside the results, rising by name, each name once.
    pub tags: Vec<Tag>,
    /// Whom to load; `None` for the built-in target.
    pub url: Option<Url>,
    /// The request that is sent.
    pub request: Request,
    /// When requests are sent.
    pub load: Load,
    /// What the rate comes from, if it was asked for in bits per second.
    pub bandwidth: Option<Bandwidth>,
    /// Which part of the load is this engine's.
    pub share: Share,
    /// How long requests are sent for the results, after the warm-up.
    pub duration_ns: u64,
    /// How long requests are sent before that, at the rate with which the plan begins.
    pub warmup_ns: u64,
    /// The plan ends after so many arrivals of the whole plan, if the duration does not end it before.
    pub count: Option<u64>,
    /// From the intended send time to when an exchange is given up.
    pub timeout_ns: u64,
    /// How long unfinished exchanges are waited for at the end.
    pub grace_ns: u64,
    /// How connections are used.
    pub connections: Connections,
    /// What a response may be.
    pub limits: Limits,
    /// Statuses that count as failures.
    pub fail_status: StatusSet,
    /// How TLS is spoken.
    pub tls: Tls,
    /// Which I/O driver.
    pub io: IoChoice,
    /// Which cores.
    pub cores: Cores,
    /// How shards wait.
    pub pacing: Pacing,
    /// From which lag on the run is untrustworthy.
    pub max_lag: MaxLag,
    /// What must hold, as the user wrote it; `verdict` reads it.
    pub thresholds: Vec<String>,
    /// Whom the plan may load, and how hard.
    pub rails: Rails,
}

/// The request that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Headers beyond those that the engine adds, in order.
    pub headers: Vec<Header>,
    /// The body; empty for none.
    pub body: Body,
}

/// When requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Load {
    /// Arrivals ignore responses.
    Open {
        /// How many arrivals per second over time, for the whole plan, with the warm-up in front.
        profile: Profile,
        /// The law that spaces them.
        process: Process,
        /// What becomes of arrivals that the generator is late for.
        catch_up: CatchUp,
    },
    /// Each user waits for a response before the next request.
    Closed(Users),
}

/// The users of a closed model.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// How many, in the whole plan; at least as many as there are shares.
    pub count: u32,
    /// How many start per second, in the whole plan; `None` for all at once.
    pub spawn_rate: Option<Rate>,
    /// How long each rests between a response and its next request.
    pub think_ns: u64,
}

/// How connections are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Most connections open at one time; `None` for what the descriptor limit allows, at most
    /// [`Connections::DEFAULT_CAP`].
    pub cap: Option<NonZeroU32>,
    /// Connections opened before the first request; at most the cap.
    pub warm: u32,
    /// Requests after which a connection is closed; `None` for never.
    pub close_after: Option<NonZeroU64>,
    /// Arrivals that may wait for a connection; `None` for the rate times the timeout.
    pub queue: Option<u64>,
    /// Where connections go instead, the first that applies.
    pub connect_to: Vec<ConnectTo>,
    /// Which addresses of a name they go to.
    pub dns: Dns,
    /// Addresses of this host that they leave from, in turn; empty leaves the choice to the kernel.
    pub sources: Vec<IpAddr>,
    /// The Unix socket that they go to instead.
    pub unix_socket: Option<UnixSocket>,
}

impl Connections {
    /// The cap where none was asked for and the descriptor limit allows more.
    pub const DEFAULT_CAP: u32 = 1_024;
}

/// What a response may be.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a response's head.
    pub head_bytes: u32,
    /// Bytes of a response's body.
    pub body_bytes: u64,
    /// Interim responses before the final one.
    pub interim: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 64 << 10, body_bytes: 64 << 20, interim: 16 }
    }
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Whom to trust.
    pub trust: Trust,
    /// Who to be.
    pub identity: Option<Identity>,
    /// Protocols offered, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
    /// Whether sessions are resumed.
    pub resumption: bool,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// The newest version spoken; not older than `min_version`.
    pub max_version: TlsVersion,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            trust: Trust::System,
            identity: None,
            alpn: vec![b"http/1.1".to_vec()],
            resumption: true,
            min_version: TlsVersion::V1_2,
            max_version: TlsVersion::V1_3,
        }
    }
}

/// Which certificates of a target are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that the host trusts.
    System,
    /// Those signed by one of these, in PEM.
    Pem(Vec<u8>),
    /// All; stamped in the report.
    Insecure,
}

/// A client certificate and its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and its chain.
    pub cert_pem: Vec<u8>,
    /// The private key. Never print it.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity {{ certificate of {} bytes }}", self.cert_pem.len())
    }
}

impl Plan {
    /// The cells of this engine's share.
    ///
    /// # Panics
    /// Never: a [`Share`] has at most as many parts as there are cells.
    pub fn cells(&self) -> Cells {
        Cells::share(self.share.index(), self.share.of())
            .expect("a share has at most as many parts as there are cells")
    }

    /// How long requests are sent, warm-up included.
    pub const fn run_ns(&self) -> u64 {
        self.warmup_ns.saturating_add(self.duration_ns)
    }

    /// How many users are this engine's; 0 in the open model.
    ///
    /// # Panics
    /// Never: a part is at most the whole.
    pub fn users_here(&self) -> u32 {
        match self.load {
            Load::Open { .. } => 0,
            Load::Closed(users) => u32::try_from(self.share.part_of(u64::from(users.count)))
                .expect("a part is at most the whole"),
        }
    }

    /// The highest rate of the whole plan; `None` in the closed model, whose rate is the target's to decide.
    pub fn highest_rate(&self) -> Option<Rate> {
        match &self.load {
            Load::Open { profile, .. } => Some(profile.max_rate()),
            Load::Closed(_) => None,
        }
    }

    /// The highest rate of this engine's share, rounded up.
    pub fn highest_rate_here(&self) -> Option<Rate> {
        self.highest_rate().map(|rate| Rate::from_micro(rate.as_micro().div_ceil(u64::from(self.share.of()))))
    }

    /// How many arrivals of this engine's share may wait for a connection: what was asked for, or as many as become
    /// due within the timeout at the highest rate. In the closed model nobody waits but users.
    pub fn queue_limit(&self) -> u64 {
        if let Some(limit) = self.connections.queue {
            return limit;
        }
        let Some(rate) = self.highest_rate_here() else { return u64::from(self.users_here()) };
        let arrivals =
            (u128::from(rate.as_micro()) * u128::from(self.timeout_ns)).div_ceil(1_000_000_000_000_000);
        u64::try_from(arrivals).unwrap_or(u64::MAX).max(1)
    }
}
