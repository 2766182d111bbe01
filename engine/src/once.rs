//! One iteration of a scenario, outside of the load: what `engine debug` shows, and what setup and teardown do.
//!
//! What it is: the driver of one [`Iteration`], on the calling thread, from its first step to its end. Think times are
//! really waited, redirects lead to the plan's targets and nowhere else. What it is not: part of a run; no figure of a
//! report counts it.
//!
//! Invariants: every request has a connection of its own, so that each shows what connecting costs and none depends on
//! what an earlier one left behind; no exchange takes longer than its timeout; nobody waits for others at a barrier.

pub(crate) mod exchange;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clock::Timestamp;
use http1::Response;
use measure::ErrorClass;
use scenario::{Answer, Context, Failure, Iteration, Next, Outcome, Then, Workspace};

use self::exchange::{Asked, Wire};
use crate::conn::Capture;
use crate::io::epoll::EpollIo;
use crate::io::{Io, Limits, Wait};
use crate::shard::scenarios::{Columns, Filling, ScenarioSettings, World};
use crate::shard::{RequestSettings, TargetSettings};

/// Bytes received at once, twice over.
const BUFFER_SIZE: u32 = 64 << 10;
/// How often a rest is left to see whether somebody wants it to end: 50 ms.
const LOOK_NS: u64 = 50_000_000;

/// A scenario that is run by itself, and what it needs.
#[derive(Debug)]
pub struct Alone {
    /// Whom its requests go to.
    pub targets: Vec<TargetSettings>,
    /// Its requests.
    pub requests: Vec<RequestSettings>,
    /// What is done.
    pub scenario: ScenarioSettings,
    /// Bounds on responses.
    pub response_limits: http1::Limits,
    /// Bytes of a body that are kept for checks and extractions, at most.
    pub kept_body_bytes: usize,
    /// What is added to the monotonic clock for Unix time, in nanoseconds.
    pub unix_offset_ns: u64,
}

impl Alone {
    /// Fills in what setup has extracted.
    #[must_use]
    pub fn with_setup(mut self, setup: &Setup) -> Self {
        fill(&mut self.scenario, setup);
        self
    }
}

/// What setup has extracted, in the plan's order; `None` for what it did not set.
pub type Setup = Vec<Option<Box<[u8]>>>;

/// Fills what setup has extracted into a scenario.
pub fn fill(scenario: &mut ScenarioSettings, setup: &Setup) {
    scenario.world = Arc::new(World { setup: setup.clone(), ..World::clone(&scenario.world) });
}

/// How long the parts of an exchange took.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Whether the request began to leave.
    pub is_sent: bool,
    /// Until the connection stood.
    pub connect_ns: Option<u64>,
    /// From then until the TLS handshake was done.
    pub tls_ns: Option<u64>,
    /// From sending the request to the first byte of its response.
    pub first_byte_ns: Option<u64>,
    /// From sending the request to the last byte of its response.
    pub response_ns: Option<u64>,
    /// All of it.
    pub total_ns: u64,
}

/// One exchange, as whoever watches sees it. Its bytes hold secrets.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The request's name.
    pub name: &'a str,
    /// The target that it went to: its place in the plan.
    pub target: usize,
    /// The request as it was sent, or would have been.
    pub request: &'a [u8],
    /// The response, or why there is none.
    pub answer: Result<Response, ErrorClass>,
    /// The head of the response.
    pub head: &'a [u8],
    /// Its body, if all of it was kept.
    pub body: Option<&'a [u8]>,
    /// How long it took.
    pub times: Times,
    /// There is no response, or its status counts as a failure.
    pub is_failure: bool,
    /// It leads elsewhere, where the next exchange goes.
    pub is_redirect: bool,
    /// It asks for credentials, with which the next exchange goes.
    pub is_challenge: bool,
    /// Its checks, and whether they held.
    pub checks: Vec<(&'a str, bool)>,
    /// What was extracted: names and values.
    pub extracted: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// Something that whoever watches is told.
#[derive(Debug)]
pub enum Event<'a> {
    /// An exchange is over.
    Exchange(&'a Exchange<'a>),
    /// The iteration now rests so long.
    Think(u64),
    /// The iteration went through a barrier, where it would have waited for others.
    Barrier(&'a str),
    /// A group begins.
    Group(&'a str),
}

/// How it ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As the scenario says.
    Of(Outcome),
    /// There is no row of data.
    NoRow,
    /// A redirect led to none of the plan's targets.
    RedirectElsewhere,
    /// Somebody wanted it to end.
    Left,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Course {
    /// How it ended.
    pub end: End,
    /// Exchanges, those included whose connection could not be made.
    pub exchanges: u64,
    /// Requests sent.
    pub sent: u64,
    /// Responses.
    pub answered: u64,
    /// Exchanges without a response, or with a status that counts as a failure.
    pub failures: u64,
    /// Checks that did not hold.
    pub failed_checks: u64,
    /// The variables at its end, by the names of the program.
    pub variables: Vec<(String, Option<Box<[u8]>>)>,
}

impl Course {
    /// Whether all went as the plan wants it.
    pub fn is_good(&self) -> bool {
        self.end == End::Of(Outcome::Done) && self.failures == 0 && self.failed_checks == 0
    }

    /// What went wrong, in words.
    pub fn trouble(&self) -> Option<String> {
        let ended = match self.end {
            End::Of(Outcome::Done) => None,
            End::Of(Outcome::Stopped) => Some("a check that did not hold ended it"),
            End::Of(Outcome::Failed(failure)) => Some(words(failure)),
            End::NoRow => Some("there is no row of data for it"),
            End::RedirectElsewhere => Some("a redirect led to none of the plan's targets"),
            End::Left => Some("a signal ended it"),
        };
        let parts = [
            ended.map(str::to_owned),
            (self.failures > 0).then(|| format!("failed requests: {} of {}", self.failures, self.exchanges)),
            (self.failed_checks > 0).then(|| format!("checks that did not hold: {}", self.failed_checks)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The values of variables, in the order of their names.
    pub fn values(&self, names: &[String]) -> Setup {
        let value = |name: &String| {
            self.variables.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone())
        };
        names.iter().map(value).collect()
    }
}

/// Why an iteration could not go on.
fn words(failure: Failure) -> &'static str {
    match failure {
        Failure::Extract => "a response does not hold what is extracted from it",
        Failure::Body => "a body was too long to be kept, or could not be decoded (limits: body)",
        Failure::Redirect => "a redirect leads nowhere",
        Failure::Unset => "a template needs a value that was not set",
        Failure::Injection => "a value would have broken the request that it was put into",
        Failure::Number => "a number is needed where the value is none",
        Failure::Variables => "the variables are too long (limits: variables)",
    }
}

/// Runs the iteration of slot 0 to its end; `watch` is told of each step, `leave` ends it early.
///
/// # Errors
/// This host refuses a socket or what waits for it.
pub fn run(alone: &Alone, leave: &AtomicBool, watch: &mut dyn FnMut(&Event<'_>)) -> io::Result<Course> {
    let program = &alone.scenario.program;
    let mut runner = Runner {
        alone,
        leave,
        watch,
        iteration: Iteration::new(program, alone.scenario.variables_bytes),
        columns: Columns::default(),
        capture: Capture::default(),
        workspace: Workspace::new(alone.kept_body_bytes),
        course: Course {
            end: End::NoRow,
            exchanges: 0,
            sent: 0,
            answered: 0,
            failures: 0,
            failed_checks: 0,
            variables: Vec::new(),
        },
    };
    runner.iteration.begin(alone.scenario.key, 0, 0);
    if runner.columns.fill(&alone.scenario, 0) {
        runner.course.end = runner.go()?;
    }
    let value = |(index, name): (usize, &String)| {
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        (name.clone(), runner.iteration.variable(index).map(Into::into))
    };
    runner.course.variables = program.variables().iter().enumerate().map(value).collect();
    Ok(runner.course)
}

struct Runner<'a> {
    alone: &'a Alone,
    leave: &'a AtomicBool,
    watch: &'a mut dyn FnMut(&Event<'_>),
    iteration: Iteration,
    columns: Columns,
    capture: Capture,
    workspace: Workspace,
    course: Course,
}

impl Runner<'_> {
    /// From step to step, until the end.
    fn go(&mut self) -> io::Result<End> {
        let alone = self.alone;
        let program = &alone.scenario.program;
        let mut bytes = Vec::new();
        loop {
            if self.leave.load(Ordering::Relaxed) {
                return Ok(End::Left);
            }
            bytes.clear();
            let filling = Filling::of(&alone.scenario, &self.columns);
            let context = Context { unix_ns: unix_ns(alone), values: &filling };
            match self.iteration.resume(program, &context, &mut bytes) {
                Next::Request { step } => {
                    if let Some(end) = self.request(step, &mut bytes)? {
                        return Ok(end);
                    }
                }
                Next::Think { ns } => {
                    if ns > 0 {
                        (self.watch)(&Event::Think(ns));
                    }
                    self.rest(ns)?;
                }
                Next::Wait { barrier } => {
                    (self.watch)(&Event::Barrier(&program.barriers()[usize::from(barrier)].name));
                }
                Next::GroupBegan { group } => {
                    (self.watch)(&Event::Group(&program.groups()[usize::from(group)]));
                }
                Next::GroupEnded { .. } => {}
                Next::Ended(outcome) => return Ok(End::Of(outcome)),
            }
        }
    }

    /// Waits, as a user does.
    fn rest(&self, ns: u64) -> io::Result<()> {
        let mut io = EpollIo::new(Limits { connections: 1, buffer_size: BUFFER_SIZE, buffer_count: 2 })?;
        let end = io.now().plus_nanos(ns);
        while io.now() < end && !self.leave.load(Ordering::Relaxed) {
            let look = io.now().plus_nanos(LOOK_NS);
            io.wait(Wait::Until(look.min(end)))?;
        }
        Ok(())
    }

    /// Sends a request, follows where it leads, and hands the answer to the iteration; yields how the iteration ended.
    fn request(&mut self, step: u16, bytes: &mut Vec<u8>) -> io::Result<Option<End>> {
        let alone = self.alone;
        let settings = &alone.requests[usize::from(step)];
        let mut target = usize::from(settings.target);
        loop {
            self.capture.clear();
            let sent = std::mem::take(bytes);
            let wire = Wire::new(&Asked {
                target: &alone.targets[target],
                is_head: settings.is_head,
                timeout_ns: settings.timeout_ns,
                limits: alone.response_limits,
                kept_body_bytes: alone.kept_body_bytes,
                request: &sent,
            })?;
            let (answer, times) = wire.run(&mut self.capture, self.leave)?;
            self.course.sent += u64::from(times.is_sent);
            self.course.exchanges += 1;
            let then = self.judge(step, target, &sent, answer, times);
            match then {
                Then::Continue => return Ok(None),
                Then::Ended(outcome) => return Ok(Some(End::Of(outcome))),
                Then::Again => {
                    if let Err(failure) = self.send_again(step, bytes) {
                        return Ok(Some(End::Of(Outcome::Failed(failure))));
                    }
                }
                Then::Redirect => match self.follow(step, bytes) {
                    Ok(next) => target = next,
                    Err(end) => return Ok(Some(end)),
                },
            }
        }
    }

    /// What the iteration makes of an answer, or of none.
    fn judge(
        &mut self,
        step: u16,
        target: usize,
        sent: &[u8],
        answer: Result<Response, ErrorClass>,
        times: Times,
    ) -> Then {
        let alone = self.alone;
        let program = &alone.scenario.program;
        let (request, settings) =
            (&program.requests()[usize::from(step)], &alone.requests[usize::from(step)]);
        let filling = Filling::of(&alone.scenario, &self.columns);
        let context = Context { unix_ns: unix_ns(alone), values: &filling };
        let body_bytes = answer.map_or(0, |response| response.body_bytes);
        let (head, body) = self.capture.parts(body_bytes);
        let answered = match answer {
            Ok(response) => {
                self.course.answered += 1;
                let response_ns = times.response_ns.unwrap_or(times.total_ns);
                let answer = Answer { status: response.status, head, body, body_bytes, response_ns };
                self.iteration.answer(program, step, &context, &answer, &mut self.workspace)
            }
            Err(_) => self.iteration.unanswered(program, step, &context, &mut Vec::new()),
        };
        let (is_redirect, is_challenge) = (answered.then == Then::Redirect, answered.then == Then::Again);
        let is_failure =
            answer.map_or(true, |response| settings.fail_status.contains(response.status) && !is_challenge);
        self.course.failures += u64::from(is_failure);
        self.course.failed_checks += u64::from(answered.failed.count_ones());
        let judged = request.check_names().enumerate().filter_map(|(bit, name)| {
            let (passed, failed) = (answered.passed >> bit & 1 == 1, answered.failed >> bit & 1 == 1);
            (passed || failed).then_some((name, passed))
        });
        let value =
            |index: u16| (program.variables()[usize::from(index)].as_str(), self.iteration.variable(index));
        // A check that ends the iteration, and a redirect, come before anything is extracted.
        let is_read =
            answer.is_ok() && !is_redirect && !is_challenge && answered.then != Then::Ended(Outcome::Stopped);
        let exchange = Exchange {
            name: &request.name,
            target,
            request: sent,
            answer,
            head,
            body,
            times,
            is_failure,
            is_redirect,
            is_challenge,
            checks: judged.collect(),
            extracted: if is_read { request.extracted().map(value).collect() } else { Vec::new() },
        };
        (self.watch)(&Event::Exchange(&exchange));
        answered.then
    }

    /// Writes the request once more, with the credentials that its server has asked for.
    fn send_again(&mut self, step: u16, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let alone = self.alone;
        let filling = Filling::of(&alone.scenario, &self.columns);
        let context = Context { unix_ns: unix_ns(alone), values: &filling };
        self.iteration.again(&alone.scenario.program, step, &context, bytes)
    }

    /// Writes the request that a redirect asks for; yields the target that it goes to.
    fn follow(&mut self, step: u16, bytes: &mut Vec<u8>) -> Result<usize, End> {
        let alone = self.alone;
        let program = &alone.scenario.program;
        let hop = self.iteration.hop(program, step);
        let known = alone.targets.iter().position(|target| {
            target.tls.is_some() == hop.is_secure && target.authority.as_bytes() == hop.authority
        });
        let target = known.ok_or(End::RedirectElsewhere)?;
        let filling = Filling::of(&alone.scenario, &self.columns);
        let context = Context { unix_ns: unix_ns(alone), values: &filling };
        match self.iteration.follow(program, step, &context, bytes) {
            Ok(()) => Ok(target),
            Err(failure) => Err(End::Of(Outcome::Failed(failure))),
        }
    }
}

fn unix_ns(alone: &Alone) -> u64 {
    use clock::{Clock, OsClock};
    let now: Timestamp = OsClock.now();
    now.as_nanos().wrapping_add(alone.unix_offset_ns)
}
