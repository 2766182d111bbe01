//! What a target is asked to be.
//!
//! Units: durations are nanoseconds, sizes bytes, rates fractions of all requests from 0 to 1.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::delay::DelayLaw;
use crate::error::StartError;

/// The size of the default body: with it a whole response has 100 bytes.
pub const DEFAULT_BODY_BYTES: u64 = 17;
/// The largest body; it is held in memory once.
pub const BODY_BYTES_LIMIT: u64 = 1 << 30;
/// The most entries of the list of requests that are kept in memory.
pub const DEFAULT_LIST_LIMIT: usize = 4_000_000;

/// A whole target.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The threads that serve.
    pub threads: Threads,
    /// TLS; None serves plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Bytes of every ordinary response's body.
    pub body_bytes: u64,
    /// Further header fields of every ordinary response.
    pub headers: Vec<(String, String)>,
    /// How long each response is held back.
    pub delay: DelayLaw,
    /// Shares of the requests that are answered wrongly.
    pub faults: Faults,
    /// When the whole target freezes.
    pub stall: Option<Stall>,
    /// The seed of delays and faults.
    pub seed: u64,
    /// Writes one CSV line for each request to a file when the target stops.
    pub list: Option<ListConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            threads: Threads::Floating(NonZeroUsize::MIN),
            tls: None,
            body_bytes: DEFAULT_BODY_BYTES,
            headers: Vec::new(),
            delay: DelayLaw::None,
            faults: Faults::default(),
            stall: None,
            seed: 1,
            list: None,
        }
    }
}

/// The threads that serve: each has its own listener, connections and timers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Threads {
    /// So many, placed by the scheduler.
    Floating(NonZeroUsize),
    /// One on each of these cores; an empty list is refused at start.
    Pinned(Vec<usize>),
}

impl Threads {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Floating(count) => count.get(),
            Self::Pinned(cores) => cores.len(),
        }
    }
}

/// How to serve TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// Certificate chain and key; None makes a certificate for localhost, 127.0.0.1 and `::1`, signed by an
    /// authority of its own that nobody else has.
    pub identity: Option<Identity>,
    /// Clients must show a certificate of one of these authorities, in PEM.
    pub client_authorities_pem: Option<Vec<u8>>,
    /// Where to write, in PEM, what clients must trust.
    pub certificate_out: Option<PathBuf>,
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The chain, the server's own certificate first.
    pub certificate_pem: Vec<u8>,
    /// The private key.
    pub key_pem: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Shares of the requests that are answered wrongly, drawn from the seed. Together at most 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Answered with [`Faults::error_status`].
    pub error_rate: f64,
    /// The status of an error.
    pub error_status: u16,
    /// Closed without an answer.
    pub close_rate: f64,
    /// Reset without an answer.
    pub reset_rate: f64,
    /// Half of the answer, then closed.
    pub cut_rate: f64,
    /// Bytes that are not HTTP, then closed.
    pub garbage_rate: f64,
    /// Never answered; the connection stays open.
    pub hang_rate: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            error_rate: 0.0,
            error_status: 500,
            close_rate: 0.0,
            reset_rate: 0.0,
            cut_rate: 0.0,
            garbage_rate: 0.0,
            hang_rate: 0.0,
        }
    }
}

/// A schedule on which the whole target freezes: it accepts, reads and writes nothing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// How long each freeze lasts.
    pub length_ns: u64,
    /// From the beginning of one freeze to that of the next; greater than the length.
    pub period_ns: u64,
    /// From the origin to the first freeze.
    pub offset_ns: u64,
    /// What the schedule counts from.
    pub origin: StallOrigin,
}

/// What a stall schedule counts from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum StallOrigin {
    /// The first counted request.
    FirstRequest,
    /// The start of the target.
    Start,
}

/// One freeze of a [`Stall`] schedule, in nanoseconds since the schedule's origin.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freeze {
    pub(crate) ordinal: u64,
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}

impl Stall {
    /// The freeze that holds at `since_ns` after the origin, or else the next one.
    pub(crate) fn current_or_next(&self, since_ns: u64) -> Freeze {
        let within = since_ns.saturating_sub(self.offset_ns);
        let mut ordinal = within / self.period_ns;
        if within % self.period_ns >= self.length_ns {
            ordinal += 1;
        }
        let from_ns = self.offset_ns.saturating_add(ordinal.saturating_mul(self.period_ns));
        Freeze { ordinal, from_ns, until_ns: from_ns.saturating_add(self.length_ns) }
    }
}

/// The list of requests.
#[derive(Clone, Debug)]
pub struct ListConfig {
    /// The file, written when the target stops.
    pub path: PathBuf,
    /// The most entries kept in memory (24 bytes each); further requests are counted as left out.
    pub limit: usize,
}

impl Config {
    /// Checks what the types do not.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let refuse = |setting, problem, fix| Err(StartError::Setting { setting, problem, fix });
        if let Threads::Pinned(cores) = &self.threads
            && cores.is_empty()
        {
            return refuse("list of cores", "is empty".into(), "name at least one core");
        }
        if self.body_bytes > BODY_BYTES_LIMIT {
            let problem = format!("of {} bytes is too large", self.body_bytes);
            return refuse("body", problem, "ask for at most 1 GiB");
        }
        for (name, value) in &self.headers {
            check_header(name, value)?;
        }
        if let Some(stall) = self.stall
            && (stall.length_ns == 0 || stall.period_ns <= stall.length_ns)
        {
            let problem = format!("of {} ns in every {} ns never ends", stall.length_ns, stall.period_ns);
            return refuse(
                "stall",
                problem,
                "make the period longer than the stall, and the stall longer than 0",
            );
        }
        self.delay.check()?;
        self.faults.check()
    }
}

/// RFC 9110 §5.1 and §5.5: a name is a token, a value has no control characters but tab.
fn check_header(name: &str, value: &str) -> Result<(), StartError> {
    let refuse = |problem, fix| Err(StartError::Setting { setting: "response header", problem, fix });
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return refuse(format!("{name:?} has an invalid name"), "write Name: value");
    }
    if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return refuse(format!("{name:?} has a control character in its value"), "remove it");
    }
    let framing = ["content-length", "transfer-encoding", "connection"];
    if framing.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return refuse(format!("{name:?} is written by the target itself"), "leave it out");
    }
    Ok(())
}

impl Faults {
    /// The rates in the order in which they are drawn.
    pub(crate) fn rates(&self) -> [f64; 6] {
        [self.error_rate, self.close_rate, self.reset_rate, self.cut_rate, self.garbage_rate, self.hang_rate]
    }

    fn check(&self) -> Result<(), StartError> {
        let refuse = |setting, problem, fix| Err(StartError::Setting { setting, problem, fix });
        if !(400..=599).contains(&self.error_status) {
            let problem = format!("is {}", self.error_status);
            return refuse("error status", problem, "choose a status from 400 to 599");
        }
        let rates = self.rates();
        if rates.iter().any(|rate| !(0.0..=1.0).contains(rate)) {
            return refuse("fault rates", format!("are {rates:?}"), "give fractions from 0 to 1");
        }
        // A sum of fractions such as 0.7 + 0.3 may exceed 1 by rounding.
        if rates.iter().sum::<f64>() > 1.0 + 1e-9 {
            return refuse("fault rates", "add up to more than 1".into(), "lower some of them");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freezes_follow_the_schedule() {
        let stall = Stall { length_ns: 10, period_ns: 100, offset_ns: 50, origin: StallOrigin::Start };
        for (since, ordinal, from) in [(0, 0, 50), (49, 0, 50), (59, 0, 50), (60, 1, 150), (1_055, 10, 1_050)]
        {
            let freeze = stall.current_or_next(since);
            assert_eq!(
                (freeze.ordinal, freeze.from_ns, freeze.until_ns),
                (ordinal, from, from + 10),
                "{since}"
            );
        }
    }

    #[test]
    fn bad_settings_are_refused_with_a_fix() {
        let base = Config::default;
        let faults = |error_rate, close_rate| Faults { error_rate, close_rate, ..Faults::default() };
        let stall = |length_ns, period_ns| {
            Some(Stall { length_ns, period_ns, offset_ns: 0, origin: StallOrigin::Start })
        };
        let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let rows = [
            (Config { threads: Threads::Pinned(vec![]), ..base() }, "cores is empty"),
            (Config { body_bytes: BODY_BYTES_LIMIT + 1, ..base() }, "1 GiB"),
            (Config { headers: header("a b", "c"), ..base() }, "invalid name"),
            (Config { headers: header("a", "b\r\nc"), ..base() }, "control character"),
            (Config { headers: header("Content-length", "3"), ..base() }, "leave it out"),
            (Config { stall: stall(5, 5), ..base() }, "never ends"),
            (Config { stall: stall(0, 5), ..base() }, "longer than 0"),
            (Config { faults: faults(0.6, 0.5), ..base() }, "more than 1"),
            (Config { faults: faults(f64::NAN, 0.5), ..base() }, "from 0 to 1"),
            (Config { faults: Faults { error_status: 200, ..Faults::default() }, ..base() }, "400 to 599"),
            (Config { delay: DelayLaw::Uniform { min_ns: 2, max_ns: 1 }, ..base() }, "delay"),
        ];
        for (config, part) in rows {
            let error = config.check().unwrap_err();
            assert!(error.is_usage());
            assert!(error.to_string().contains(part), "{error} lacks {part}");
        }
        assert!(base().check().is_ok());
        assert!(Config { faults: faults(0.7, 0.3), ..base() }.check().is_ok());
    }
}
