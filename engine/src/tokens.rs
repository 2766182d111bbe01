//! OAuth 2 tokens: fetched before anything else of a plan is sent, and again before they end, beside the load.
//!
//! ```text
//!   prepare ──► fetch ──► setup ──────► load ──────► teardown
//!   (names resolved,  └── the refresher's thread: fetch, fetch, … ──► control thread ──► each shard's queue
//!    rails asked)         (no shard waits for it)
//! ```
//!
//! What it is: whom to ask, the exchange, its clock. What it is not: part of the load; no figure of the report counts
//! these requests, its notes do.
//!
//! Invariants: nothing goes to an address before the rails have let it pass; neither secrets nor tokens are in any
//! message; a shard frees no token: those that were replaced are kept here until the next are.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clock::{Clock, NANOS_PER_SECOND, OsClock, Timestamp};
use measure::ErrorClass;
use scenario::{GivenToken, TokenRequest};
use verdict::ExitCode;

use crate::conn::Capture;
use crate::dial::DialError;
use crate::host::figures::counted;
use crate::once::exchange::{Asked, Wire};
use crate::prepare::PrepareError;
use crate::shard::TargetSettings;
use crate::shard::scenarios::{ScenarioSettings, TokenValue};

/// Bytes of a response that are kept, at most.
const ANSWER_BYTES: usize = 64 << 10;
/// A token is asked for anew when a quarter of its life is left, and a minute before its end at the latest.
const EARLY_NS_MAX: u64 = 60 * NANOS_PER_SECOND;
/// Between two attempts to renew one: a twentieth of its life, between these.
const AGAIN_NS: (u64, u64) = (NANOS_PER_SECOND / 2, 10 * NANOS_PER_SECOND);

/// Why a token is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The text that says where it is fetched cannot be read.
    #[error(
        "oauth2: the token-url is none (not shown, it may hold a secret) → e.g. https://id.example.com/token"
    )]
    Url,
    /// A value that it is asked for with is missing.
    #[error("oauth2: a template of the token's request needs a value that was not set")]
    Unset,
    /// Its server cannot be dialled, or must not be.
    #[error("oauth2: {0}")]
    Dial(#[from] DialError),
    /// The request cannot be written.
    #[error("oauth2: {0}")]
    Prepare(#[from] PrepareError),
    /// This host refuses what an exchange needs.
    #[error("oauth2: a token cannot be asked for: {0}")]
    System(#[from] std::io::Error),
    /// There was no answer, or no token in it.
    #[error(
        "oauth2: no token from {server}: {why} → token-url, client-id, client-secret, scope and credentials in the plan"
    )]
    Refused {
        /// Scheme, host and port.
        server: String,
        /// What went wrong.
        why: String,
    },
}

impl TokenError {
    /// How the program ends.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Url | Self::Unset | Self::Prepare(_) => ExitCode::Usage,
            Self::Dial(error) => error.exit_code(),
            Self::System(_) => ExitCode::Environment,
            Self::Refused { .. } => ExitCode::EveryRequestFailed,
        }
    }
}

/// Whom a token is asked of, and with what. Its bytes hold the secret.
pub struct Source {
    /// Scheme, host and port.
    pub server: String,
    /// How it is reached.
    pub target: TargetSettings,
    /// Bounds on its answer.
    pub limits: http1::Limits,
    /// The request.
    pub request: Vec<u8>,
    /// How long the exchange may take.
    pub timeout_ns: u64,
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Source {
    /// Asks for a token; whoever wants to leave is answered with a timeout.
    fn fetch(&self, leave: &AtomicBool) -> Result<GivenToken, TokenError> {
        let asked = Asked {
            target: &self.target,
            is_head: false,
            timeout_ns: self.timeout_ns,
            limits: self.limits,
            kept_body_bytes: ANSWER_BYTES,
            request: &self.request,
        };
        let mut capture = Capture::default();
        let (answer, _) = Wire::new(&asked)?.run(&mut capture, leave)?;
        let refused = |why: String| TokenError::Refused { server: self.server.clone(), why };
        let response = answer.map_err(|class: ErrorClass| refused(class.name().to_owned()))?;
        let (_, body) = capture.parts(response.body_bytes);
        let body = body.unwrap_or_default();
        if response.status != 200 {
            let code = TokenRequest::refusal(body).map_or(String::new(), |code| format!(" ({code})"));
            return Err(refused(format!("status {}{code}", response.status)));
        }
        TokenRequest::read(body).map_err(|why| refused(why.to_owned()))
    }
}

/// A token, and when it is to be asked for anew.
#[derive(Clone, Debug)]
struct Held {
    value: TokenValue,
    life_ns: Option<u64>,
    renew_at: Option<Timestamp>,
}

impl Held {
    /// A token that was asked for at an instant: its life cannot have begun before.
    fn new(given: GivenToken, asked_at: Timestamp) -> Self {
        let life_ns = given.seconds.map(|seconds| seconds.saturating_mul(NANOS_PER_SECOND));
        let early = |life_ns: u64| life_ns - (life_ns / 4).min(EARLY_NS_MAX);
        let renew_at = life_ns.map(|life_ns| asked_at.plus_nanos(early(life_ns)));
        Self { value: TokenValue::new(given.text), life_ns, renew_at }
    }

    /// When it is tried again after a failure.
    fn put_off(&mut self, now: Timestamp) {
        let again_ns = self.life_ns.map(|life_ns| (life_ns / 20).clamp(AGAIN_NS.0, AGAIN_NS.1));
        self.renew_at = again_ns.map(|again_ns| now.plus_nanos(again_ns));
    }
}

/// All tokens of a plan.
#[derive(Debug, Default)]
pub struct Tokens {
    sources: Vec<Source>,
    held: Vec<Held>,
    /// Those that were replaced last: some shard may still hold them.
    replaced: Vec<Option<Held>>,
    fetched: u64,
    failures: u64,
    last_failure: Option<String>,
}

impl Tokens {
    /// Those of these sources, none of which has been asked.
    pub fn of(sources: Vec<Source>) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Asks for every token.
    ///
    /// # Errors
    /// One is not to be had.
    pub fn fetch(&mut self) -> Result<(), TokenError> {
        let leave = AtomicBool::new(false);
        for source in &self.sources {
            let asked_at = OsClock.now();
            self.held.push(Held::new(source.fetch(&leave)?, asked_at));
            self.replaced.push(None);
            self.fetched += 1;
        }
        Ok(())
    }

    /// Whether a plan carries none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Asks anew for those whose time has come; yields them.
    fn renew(&mut self, leave: &AtomicBool) -> Vec<(u16, TokenValue)> {
        let mut fresh = Vec::new();
        for (place, (source, held)) in self.sources.iter().zip(&mut self.held).enumerate() {
            let asked_at = OsClock.now();
            if held.renew_at.is_none_or(|renew_at| asked_at < renew_at) || leave.load(Ordering::Relaxed) {
                continue;
            }
            match source.fetch(leave) {
                Ok(given) => {
                    self.fetched += 1;
                    self.replaced[place] = Some(std::mem::replace(held, Held::new(given, asked_at)));
                    fresh.push((u16::try_from(place).unwrap_or(u16::MAX), held.value.clone()));
                }
                // Who leaves has made it fail.
                Err(_) if leave.load(Ordering::Relaxed) => {}
                Err(error) => {
                    self.failures += 1;
                    self.last_failure = Some(error.to_string());
                    held.put_off(OsClock.now());
                }
            }
        }
        fresh
    }

    /// The tokens, in the order of their places.
    pub fn values(&self) -> impl Iterator<Item = &TokenValue> {
        self.held.iter().map(|held| &held.value)
    }

    /// Puts the tokens into a scenario.
    pub fn fill(&self, scenario: &mut ScenarioSettings) {
        let values: Vec<TokenValue> = self.values().cloned().collect();
        put(&values, scenario);
    }

    /// What the reader of a report must know.
    pub fn notes(&self) -> Vec<String> {
        if self.sources.is_empty() {
            return Vec::new();
        }
        let servers: Vec<&str> = self.sources.iter().map(|source| source.server.as_str()).collect();
        let mut notes = vec![format!(
            "{} asked of {}, {} fetched, in no count but its server's",
            counted(self.sources.len() as u64, "OAuth 2 token"),
            servers.join(", "),
            self.fetched
        )];
        notes.extend(self.last_failure.as_ref().map(|last| {
            format!("a token could not be renewed ({}), last: {last}", counted(self.failures, "attempt"))
        }));
        notes
    }

    fn next(&self) -> Option<Timestamp> {
        self.held.iter().filter_map(|held| held.renew_at).min()
    }

    /// Renews them on a thread of its own from now on.
    ///
    /// # Errors
    /// This host refuses a thread.
    pub fn keep_fresh(mut self) -> std::io::Result<Refresher> {
        let values = self.values().cloned().collect();
        let (wake, woken) = mpsc::channel::<()>();
        let (tell, fresh) = mpsc::channel();
        let leave = Arc::new(AtomicBool::new(false));
        let left = Arc::clone(&leave);
        let work = move || {
            while let Some(next) = self.next() {
                let wait = Duration::from_nanos(next.nanos_since(OsClock.now()));
                if !matches!(woken.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                    break;
                }
                // Whoever listens no more leaves soon.
                self.renew(&left).into_iter().for_each(|fresh| drop(tell.send(fresh)));
            }
            self
        };
        let thread = thread::Builder::new().name("tokens".into()).spawn(work)?;
        Ok(Refresher { values, fresh, leave, wake, thread })
    }
}

fn put(values: &[TokenValue], scenario: &mut ScenarioSettings) {
    for token in &mut scenario.tokens {
        token.value = values.get(usize::from(token.place)).cloned();
    }
}

/// Tokens that are kept fresh while a load runs.
#[derive(Debug)]
pub struct Refresher {
    values: Vec<TokenValue>,
    fresh: mpsc::Receiver<(u16, TokenValue)>,
    leave: Arc<AtomicBool>,
    wake: mpsc::Sender<()>,
    thread: JoinHandle<Tokens>,
}

impl Refresher {
    /// A token that was renewed, and its place.
    pub fn fresh(&mut self) -> Option<(u16, TokenValue)> {
        let (place, value) = self.fresh.try_recv().ok()?;
        self.values[usize::from(place)] = value.clone();
        Some((place, value))
    }

    /// Puts the tokens into a scenario, as they are now.
    pub fn fill(&mut self, scenario: &mut ScenarioSettings) {
        while self.fresh().is_some() {}
        put(&self.values, scenario);
    }

    /// Ends it; the tokens are those that it has last.
    pub fn end(self) -> Tokens {
        self.leave.store(true, Ordering::Relaxed);
        // It may have ended by itself, when no token ends.
        let _ = self.wake.send(());
        self.thread.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(seconds: Option<u64>) -> Held {
        let given = GivenToken { text: b"hunter2".to_vec(), seconds };
        Held::new(given, Timestamp::ZERO)
    }

    #[test]
    fn tokens_are_renewed_before_they_end() {
        const S: u64 = NANOS_PER_SECOND;
        for (seconds, renew_ns) in [
            (Some(4), Some(3 * S)),
            (Some(100), Some(75 * S)),
            (Some(3_600), Some(3_540 * S)),
            (Some(0), Some(0)),
            (None, None),
        ] {
            assert_eq!(held(seconds).renew_at.map(Timestamp::as_nanos), renew_ns, "{seconds:?}");
        }
        for (seconds, again_ns) in [(1, S / 2), (60, 3 * S), (3_600, 10 * S)] {
            let mut held = held(Some(seconds));
            held.put_off(Timestamp::ZERO.plus_nanos(S));
            assert_eq!(held.renew_at.map(Timestamp::as_nanos), Some(S + again_ns), "{seconds}");
        }
        assert!(!format!("{:?}", held(None)).contains("hunter2"));
    }
}
