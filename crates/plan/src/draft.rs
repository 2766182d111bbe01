//! A plan in the making: what was asked for, with the gaps still open.
//!
//! What it is: the one place where defaults are filled in and where parts of a plan are held against each other.
//! Whoever reads flags, variables or a file fills in a [`Draft`] of valid parts and asks it for the [`Plan`].
//! What it is not: a parser of texts.

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use schedule::{Phase, Process, Profile, Rate};

use crate::plan::{Connections, Identity, Limits, Load, Plan, Request, Tls, Trust, Users};
use crate::{
    Bandwidth, Body, CatchUp, ConnectTo, Cores, Dns, Header, IoChoice, LONGEST_DURATION_NS, MaxLag, Method,
    Pacing, Place, PlanError, ProcessKind, Rails, RunId, Share, StatusSet, Tag, TlsVersion, UnixSocket, Url,
    quoted,
};

/// How long a run lasts when nobody says: 10 s.
pub const DEFAULT_DURATION_NS: u64 = 10_000_000_000;
/// The timeout when nobody says: 10 s.
pub const DEFAULT_TIMEOUT_NS: u64 = 10_000_000_000;
/// The seed when nobody says. It is fixed, so that engines with shares of one plan agree without talking.
pub const DEFAULT_SEED: u64 = 1;

/// The rate of a bandwidth while the size of an exchange is not known: high enough for any count to end.
const STAND_IN: Rate = Rate::per_second(1_000_000);

/// How the rate goes from the start of a run to its end.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Pattern {
    /// The same rate throughout.
    #[default]
    Static,
    /// Evenly from 0 to the rate.
    Ramp,
}

impl Pattern {
    /// Reads `static` or `ramp`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        match text {
            "static" | "constant" => Ok(Self::Static),
            "ramp" | "ramp-up" => Ok(Self::Ramp),
            "step" | "spike" | "sine" | "ramp-sustain" => Err(PlanError::new(
                format!("{} is not a load pattern that the engine knows by name", quoted(text)),
                "draw it with --stages (ENGINE_STAGES), e.g. 1m:1000,5m:1000 or 30s:=100,10s:=1000",
            )),
            _ => Err(PlanError::new(
                format!("{} is not a load pattern", quoted(text)),
                "one of static, ramp; or --stages",
            )),
        }
    }
}

/// What was asked for; `None` and empty where nothing was.
#[derive(Clone, Default)]
#[expect(missing_docs, reason = "each field is the one of `Plan` with the same name, before defaults")]
pub struct Draft {
    pub run_id: Option<RunId>,
    pub tags: Vec<Tag>,
    pub url: Option<Url>,
    pub method: Option<Method>,
    pub headers: Vec<Header>,
    pub body: Option<Body>,
    pub rate: Option<Rate>,
    pub bandwidth: Option<Bandwidth>,
    /// Bytes of an exchange in the heavier direction, once they are known; only a bandwidth asks for them.
    pub exchange_bytes: Option<u64>,
    pub stages: Option<Profile>,
    pub pattern: Option<Pattern>,
    pub process: Option<ProcessKind>,
    pub seed: Option<u64>,
    pub catch_up: Option<CatchUp>,
    pub users: Option<u32>,
    pub spawn_rate: Option<Rate>,
    pub think_ns: Option<u64>,
    pub share: Share,
    pub duration_ns: Option<u64>,
    pub warmup_ns: Option<u64>,
    pub count: Option<u64>,
    pub timeout_ns: Option<u64>,
    pub grace_ns: Option<u64>,
    pub connections: Option<u64>,
    pub warm_connections: Option<u64>,
    pub close_after: Option<u64>,
    pub queue: Option<u64>,
    pub connect_to: Vec<ConnectTo>,
    pub dns: Option<Dns>,
    pub sources: Option<Vec<IpAddr>>,
    pub unix_socket: Option<UnixSocket>,
    pub max_head: Option<u64>,
    pub max_body: Option<u64>,
    pub fail_status: Option<StatusSet>,
    pub insecure: bool,
    pub ca_pem: Option<Vec<u8>>,
    pub cert_pem: Option<Vec<u8>>,
    pub key_pem: Option<Vec<u8>>,
    pub no_resumption: bool,
    pub tls_min: Option<TlsVersion>,
    pub tls_max: Option<TlsVersion>,
    pub io: IoChoice,
    pub cores: Cores,
    pub pacing: Pacing,
    pub max_lag: MaxLag,
    pub thresholds: Vec<String>,
    pub rails: Rails,
}

impl fmt::Debug for Draft {
    /// Without the parts: headers, a body and a private key are among them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Draft").finish_non_exhaustive()
    }
}

/// An error whose place is a flag.
fn wrong(flag: &'static str, what: impl Into<String>, fix: impl Into<String>) -> PlanError {
    PlanError::new(what, fix).at(Place::Flag(flag))
}

impl Draft {
    /// Makes the plan: fills the gaps with defaults and holds the parts against each other.
    ///
    /// Where a bandwidth is asked for and the size of an exchange is not known yet, the plan is sound but for its rate,
    /// which is made up.
    pub fn into_plan(mut self) -> Result<Plan, PlanError> {
        let is_rate_known = self.bandwidth.is_none() || self.exchange_bytes.is_some();
        self.rate = self.rate_of_bandwidth()?.or(self.rate);
        let timeout_ns = self.timeout_ns.unwrap_or(DEFAULT_TIMEOUT_NS);
        if timeout_ns == 0 {
            return Err(wrong("--timeout", "a timeout of 0s gives up before it sends", "e.g. 10s"));
        }
        let load = self.load()?;
        let warmup_ns = self.warmup_ns.unwrap_or(0);
        if warmup_ns > 0 && self.count.is_some() {
            return Err(wrong(
                "--warmup",
                "a count of requests and a warm-up do not go together",
                "--duration, not --count",
            ));
        }
        let (load, duration_ns) = match (load, self.duration_ns, self.count) {
            (Load::Open { profile, process, catch_up }, ..) => {
                let duration_ns = profile.duration_ns();
                (Load::Open { profile: with_warmup(&profile, warmup_ns)?, process, catch_up }, duration_ns)
            }
            (closed, Some(duration_ns), _) => (closed, duration_ns),
            // Only the count ends it.
            (closed, None, Some(_)) => (closed, LONGEST_DURATION_NS),
            (closed, None, None) => (closed, DEFAULT_DURATION_NS),
        };
        let plan = Plan {
            connections: self.connections()?,
            limits: self.limits()?,
            tls: self.tls()?,
            tags: self.sorted_tags()?,
            request: self.request()?,
            load,
            bandwidth: self.bandwidth,
            duration_ns,
            warmup_ns,
            timeout_ns,
            grace_ns: self.grace_ns.unwrap_or(timeout_ns),
            run_id: self.run_id,
            url: self.url,
            share: self.share,
            count: self.count,
            fail_status: self.fail_status.unwrap_or_else(StatusSet::errors),
            io: self.io,
            cores: self.cores,
            pacing: self.pacing,
            max_lag: self.max_lag,
            thresholds: self.thresholds,
            rails: self.rails,
        };
        if let Some(rate) = plan.highest_rate().filter(|_| is_rate_known) {
            plan.rails.check_rate(rate)?;
        }
        Ok(plan)
    }

    /// The rate that the bandwidth comes to, if there is one.
    fn rate_of_bandwidth(&self) -> Result<Option<Rate>, PlanError> {
        let Some(bandwidth) = self.bandwidth else { return Ok(None) };
        let others = [
            ("--tps", self.rate.is_some()),
            ("--stages", self.stages.is_some()),
            ("--users", self.users.is_some()),
        ];
        if let Some((other, _)) = others.into_iter().find(|(_, given)| *given) {
            return Err(wrong(
                "--gbit",
                format!("--gbit and {other} both say how much load"),
                "leave one out",
            ));
        }
        match self.exchange_bytes {
            Some(bytes) => bandwidth.rate_of(bytes).map(Some),
            None => Ok(Some(STAND_IN)),
        }
    }

    /// The open or the closed model, whichever was asked for.
    fn load(&self) -> Result<Load, PlanError> {
        if self.duration_ns == Some(0) {
            return Err(wrong("--duration", "a run of 0s sends nothing", "e.g. 30s"));
        }
        if self.count == Some(0) {
            return Err(wrong("--count", "a run of 0 requests sends nothing", "at least 1"));
        }
        match (self.users, self.rate.is_some() || self.stages.is_some()) {
            (Some(_), true) => Err(wrong(
                "--users",
                "users wait for responses (closed model), a rate does not (open model): a run has one of them",
                "leave out --users, or --tps and --stages",
            )),
            (Some(users), false) => self.closed(users),
            (None, true) => self.open(),
            (None, false) => Err(PlanError::new(
                "nothing says how much load: there is no rate",
                "--tps 1000 (requests per second), --stages 30s:1000,1m:5000, --gbit 1, or --users 10",
            )),
        }
    }

    fn closed(&self, users: u32) -> Result<Load, PlanError> {
        let open_only = [
            ("--process", self.process.is_some()),
            ("--seed", self.seed.is_some()),
            ("--catch-up", self.catch_up.is_some()),
            ("--pattern", self.pattern.is_some()),
        ];
        if let Some((flag, _)) = open_only.into_iter().find(|(_, given)| *given) {
            return Err(wrong(
                flag,
                "it says when arrivals are due; users have none",
                "leave it out, or use --tps",
            ));
        }
        if users == 0 {
            return Err(wrong("--users", "0 users send nothing", "at least 1"));
        }
        if users < self.share.of() {
            return Err(wrong(
                "--share",
                format!("{users} users cannot be divided into {} parts", self.share.of()),
                "more users, or fewer parts",
            ));
        }
        if self.spawn_rate == Some(Rate::ZERO) {
            return Err(wrong(
                "--spawn-rate",
                "at 0 users per second nobody starts",
                "e.g. 10, or leave it out",
            ));
        }
        Ok(Load::Closed(Users {
            count: users,
            spawn_rate: self.spawn_rate,
            think_ns: self.think_ns.unwrap_or(0),
        }))
    }

    fn open(&self) -> Result<Load, PlanError> {
        for (flag, given) in
            [("--spawn-rate", self.spawn_rate.is_some()), ("--think", self.think_ns.is_some())]
        {
            if given {
                return Err(wrong(
                    flag,
                    "it is about users, and there are none",
                    "leave it out, or use --users",
                ));
            }
        }
        let kind = self.process.unwrap_or_default();
        if kind == ProcessKind::Constant && self.seed.is_some() {
            return Err(wrong(
                "--seed",
                "nothing is random in this plan",
                "leave it out, or add --process poisson",
            ));
        }
        let profile = match (&self.stages, self.rate) {
            (Some(_), Some(_)) => {
                return Err(wrong("--stages", "--tps and --stages both say the rate", "leave one out"));
            }
            (Some(stages), None) => self.staged(stages)?,
            (None, rate) => self.steady(rate.unwrap_or(Rate::ZERO), kind)?,
        };
        let process = match kind {
            ProcessKind::Constant => Process::Deterministic,
            ProcessKind::Poisson => Process::Poisson { seed: self.seed.unwrap_or(DEFAULT_SEED) },
        };
        Ok(Load::Open { profile, process, catch_up: self.catch_up.unwrap_or_default() })
    }

    /// Checks what stages do not go together with.
    fn staged(&self, stages: &Profile) -> Result<Profile, PlanError> {
        if self.duration_ns.is_some() {
            return Err(wrong("--duration", "the stages already say how long the run is", "leave it out"));
        }
        if self.pattern.is_some() {
            return Err(wrong("--pattern", "the stages already say how the rate goes", "leave it out"));
        }
        if stages.max_rate() == Rate::ZERO {
            return Err(wrong(
                "--stages",
                "every stage leads to rate 0: nothing would be sent",
                "e.g. 30s:1000",
            ));
        }
        Ok(stages.clone())
    }

    /// The profile of a single rate.
    fn steady(&self, rate: Rate, kind: ProcessKind) -> Result<Profile, PlanError> {
        if rate == Rate::ZERO {
            return Err(wrong(
                "--tps",
                "at rate 0 nothing would be sent",
                "e.g. 1000, or 0.5 for one in 2 s",
            ));
        }
        let ramp = self.pattern == Some(Pattern::Ramp);
        let duration_ns = match (self.duration_ns, self.count) {
            (Some(duration_ns), _) => duration_ns,
            (None, Some(_)) if ramp => {
                return Err(wrong(
                    "--count",
                    "a ramp needs to know how long it is",
                    "add --duration, e.g. 1m",
                ));
            }
            (None, Some(count)) => duration_of_count(rate, count, kind)?,
            (None, None) => DEFAULT_DURATION_NS,
        };
        let from = if ramp { Rate::ZERO } else { rate };
        Profile::new(vec![Phase { duration_ns, from, to: rate }]).map_err(|error| {
            wrong("--tps", format!("the plan is not possible: {error}"), "a lower rate or a shorter run")
        })
    }

    pub(crate) fn connections(&self) -> Result<Connections, PlanError> {
        let count = |flag, value: Option<u64>| {
            let too_many =
                |value: u64| wrong(flag, format!("{value} connections are more than a host has"), "fewer");
            value.map(|value| u32::try_from(value).map_err(|_| too_many(value))).transpose()
        };
        let cap = match count("--connections", self.connections)? {
            Some(0) => {
                return Err(wrong("--connections", "nothing can be sent over 0 connections", "at least 1"));
            }
            cap => cap.and_then(NonZeroU32::new),
        };
        let warm = count("--warm-connections", self.warm_connections)?.unwrap_or(0);
        let most = cap.map_or(Connections::DEFAULT_CAP, NonZeroU32::get);
        if warm > most {
            return Err(wrong(
                "--warm-connections",
                format!(
                    "{warm} connections cannot be opened before the start when at most {most} may be open"
                ),
                format!("at most {most}, or --connections {warm}"),
            ));
        }
        let close_after = match self.close_after {
            Some(0) => {
                return Err(wrong(
                    "--close-after",
                    "a connection carries at least one request",
                    "at least 1",
                ));
            }
            requests => requests.and_then(NonZeroU64::new),
        };
        self.check_unix_socket()?;
        Ok(Connections {
            cap,
            warm,
            close_after,
            queue: self.queue,
            connect_to: self.connect_to.clone(),
            dns: self.dns.unwrap_or_default(),
            sources: self.sources.clone().unwrap_or_default(),
            unix_socket: self.unix_socket.clone(),
        })
    }

    /// A Unix socket has no network addresses to choose from.
    fn check_unix_socket(&self) -> Result<(), PlanError> {
        if self.unix_socket.is_none() {
            return Ok(());
        }
        if self.url.is_none() {
            return Err(wrong(
                "--unix-socket",
                "it says where to connect, the URL says what to ask for",
                "add a URL, e.g. http://localhost/",
            ));
        }
        let of_the_network = [
            ("--connect-to", !self.connect_to.is_empty()),
            ("--dns", self.dns.is_some()),
            ("--source", self.sources.is_some()),
        ];
        match of_the_network.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(wrong(flag, "a Unix socket (--unix-socket) has no network address", "leave one out"))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn limits(&self) -> Result<Limits, PlanError> {
        let mut limits = Limits::default();
        if let Some(bytes) = self.max_head {
            limits.head_bytes =
                u32::try_from(bytes).ok().filter(|bytes| (1 << 10..=16 << 20).contains(bytes)).ok_or_else(
                    || wrong("--max-head", format!("{bytes} bytes are no sensible limit"), "1KiB to 16MiB"),
                )?;
        }
        limits.body_bytes = self.max_body.unwrap_or(limits.body_bytes);
        Ok(limits)
    }

    pub(crate) fn tls(&self) -> Result<Tls, PlanError> {
        let trust = match (&self.ca_pem, self.insecure) {
            (Some(_), true) => {
                return Err(wrong("--insecure", "it trusts everybody, --cacert only some", "leave one out"));
            }
            (Some(pem), false) => Trust::Pem(pem.clone()),
            (None, true) => Trust::Insecure,
            (None, false) => Trust::System,
        };
        let identity = match (&self.cert_pem, &self.key_pem) {
            (Some(cert), Some(key)) => Some(Identity { cert_pem: cert.clone(), key_pem: key.clone() }),
            (Some(_), None) => return Err(wrong("--cert", "a certificate needs its key", "add --key FILE")),
            (None, Some(_)) => return Err(wrong("--key", "a key needs its certificate", "add --cert FILE")),
            (None, None) => None,
        };
        let (min_version, max_version) =
            (self.tls_min.unwrap_or(TlsVersion::V1_2), self.tls_max.unwrap_or(TlsVersion::V1_3));
        if min_version > max_version {
            return Err(wrong("--tls-min", "it is newer than --tls-max", "--tls-min 1.2 or --tls-max 1.3"));
        }
        Ok(Tls {
            trust,
            identity,
            resumption: !self.no_resumption,
            min_version,
            max_version,
            ..Tls::default()
        })
    }

    /// The tags by name; the same name twice is a mistake.
    fn sorted_tags(&self) -> Result<Vec<Tag>, PlanError> {
        let mut tags = self.tags.clone();
        tags.sort();
        tags.dedup();
        match tags.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => {
                Err(wrong("--tag", format!("tag {} is given twice", pair[0].name), "each name once"))
            }
            None => Ok(tags),
        }
    }

    fn request(&self) -> Result<Request, PlanError> {
        for single in ["host", "user-agent", "content-type", "authorization"] {
            if self.headers.iter().filter(|header| header.is(single)).count() > 1 {
                return Err(wrong("--header", format!("header {single} is given twice"), "once"));
            }
        }
        let method = self.method.clone().unwrap_or_else(|| {
            let post = Method::parse("POST").expect("POST is a method");
            if self.body.is_some() { post } else { Method::default() }
        });
        Ok(Request { method, headers: self.headers.clone(), body: self.body.clone().unwrap_or_default() })
    }
}

/// The same profile with a warm-up in front, at the rate with which it begins.
fn with_warmup(profile: &Profile, warmup_ns: u64) -> Result<Profile, PlanError> {
    if warmup_ns == 0 {
        return Ok(profile.clone());
    }
    let rate = profile.rate_at(0);
    if rate == Rate::ZERO {
        return Err(wrong(
            "--warmup",
            "the plan begins at rate 0, so that a warm-up would send nothing",
            "leave it out: the plan warms up by itself; or begin with a step, e.g. --stages 10s:=100,1m:1000",
        ));
    }
    let mut phases = vec![Phase { duration_ns: warmup_ns, from: rate, to: rate }];
    phases.extend_from_slice(profile.phases());
    Profile::new(phases)
        .map_err(|error| wrong("--warmup", format!("the plan is not possible: {error}"), "a shorter warm-up"))
}

/// How long a plan of one rate must be for `count` arrivals. Evenly spaced ones come exactly then; random ones are
/// given ten standard deviations more, and the count ends the run.
fn duration_of_count(rate: Rate, count: u64, kind: ProcessKind) -> Result<u64, PlanError> {
    let arrivals = match kind {
        ProcessKind::Constant => u128::from(count),
        ProcessKind::Poisson => u128::from(count) + 10 * u128::from(count.isqrt()) + 20,
    };
    // Micro-arrivals per second times nanoseconds: 10^15 to an arrival.
    let ns = (arrivals * 1_000_000_000_000_000).div_ceil(u128::from(rate.as_micro()));
    u64::try_from(ns).ok().filter(|&ns| ns <= LONGEST_DURATION_NS).ok_or_else(|| {
        wrong(
            "--count",
            format!("{count} requests at this rate take more than 366 days"),
            "a higher rate, or fewer",
        )
    })
}

#[cfg(test)]
mod tests;
