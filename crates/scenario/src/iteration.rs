//! Hot path. The machine that runs one iteration of a program: it is handed time, values and responses, and hands out
//! requests, rests and ends.
//!
//! ```text
//!            resume                      answer
//!  begin ──► ┌──────┐ Request ─► (caller sends) ─► ┌────────┐ Continue ─► resume
//!            │ runs │ Think ───► (caller waits) ─► resume   │ Redirect ─► follow ─► (caller sends) ─► answer
//!            └──────┘ Wait ────► (caller waits) ─► resume   │ Again ───► again ──► (caller sends) ─► answer
//!                                                           │ Ended
//!                     Group… ──► resume            └────────┘
//!                     Ended
//! ```
//!
//! What it is not: a driver. Invariants: one call does a bounded amount of work; nothing is allocated when the buffers have
//! room; the same key, slot and responses give the same requests, on whichever shard.

use crate::arena::Variables;
use crate::cookie::Jar;
use crate::digest::{Challenge, Offer, offer};
use crate::draw::{Draws, Key};
use crate::encode;
use crate::program::{Operation, Program, Request};
use crate::request::{Hop, Way};
use crate::validate::{NESTING_MAX, ROUNDS_MAX};
use crate::value::{Failure, Filler, Value, Values};

/// Most operations of one call; an iteration that has more to do without a request pauses.
const OPERATIONS_PER_CALL: usize = 1_000;

/// What an iteration is told at each call.
#[derive(Copy, Clone)]
pub struct Context<'a> {
    /// Unix time in nanoseconds.
    pub unix_ns: u64,
    /// Where rows, secrets, files and tokens come from.
    pub values: &'a dyn Values,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values may be secrets.
        formatter.debug_struct("Context").field("unix_ns", &self.unix_ns).finish_non_exhaustive()
    }
}

/// What is to be done next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the request that was appended to the buffer, then call [`Iteration::answer`].
    Request {
        /// The number of the step in [`Program::requests`].
        step: u16,
    },
    /// Wait that long, then resume.
    Think {
        /// How long.
        ns: u64,
    },
    /// Wait at a barrier of [`Program::barriers`], then resume.
    Wait {
        /// The barrier.
        barrier: u16,
    },
    /// A group of [`Program::groups`] begins; resume at once.
    GroupBegan {
        /// The group.
        group: u16,
    },
    /// A group ends; resume at once.
    GroupEnded {
        /// The group.
        group: u16,
    },
    /// The iteration is over.
    Ended(Outcome),
}

/// How an iteration ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It came to its end, or to a `stop`.
    Done,
    /// A check that did not hold ended it.
    Stopped,
    /// It could not go on.
    Failed(Failure),
}

#[derive(Copy, Clone, Debug, Default)]
struct Loop {
    round: u32,
    rounds: u32,
}

/// One iteration; a place that is used again for the next.
#[derive(Clone, Debug)]
pub struct Iteration {
    at: usize,
    loops: [Loop; NESTING_MAX + 1],
    depth: usize,
    pub(crate) draws: Draws,
    /// As they were before the request that is under way: sent again after a redirect, it is the same request.
    draws_before: Draws,
    slot: u64,
    user: u64,
    pub(crate) variables: Variables,
    pub(crate) jar: Jar,
    pub(crate) hop: Hop,
    pub(crate) hops_left: u8,
    /// For each login of the program, what its server asked for.
    pub(crate) challenges: Vec<Challenge>,
    pub(crate) sent: Sent,
}

/// How the request that is under way went out.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Sent {
    /// As the redirect before it wanted.
    is_hop: bool,
    pub(crate) credentials: Credentials,
    /// It may be sent again if its server asks for that.
    pub(crate) may_repeat: bool,
}

/// Whether a request carries what answers a challenge.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nobody is to log in, or not there.
    #[default]
    None,
    /// Not yet: its server may ask.
    Bare,
    /// It does.
    Given,
}

impl Iteration {
    /// A place for iterations of a program whose variables may take so many bytes.
    pub fn new(program: &Program, variables_bytes_max: usize) -> Self {
        let draws = Draws::new(Key::new(0, 0), 0);
        let remembers = program.cookies || program.requests.iter().any(|request| request.redirects > 0);
        Self {
            at: 0,
            loops: [Loop::default(); NESTING_MAX + 1],
            depth: 0,
            draws,
            draws_before: draws,
            slot: 0,
            user: 0,
            variables: Variables::new(program.variables().len(), variables_bytes_max),
            jar: if program.cookies { Jar::with_room() } else { Jar::default() },
            hop: if remembers { Hop::with_room() } else { Hop::default() },
            hops_left: 0,
            challenges: program.logins.iter().map(|_| Challenge::with_room()).collect(),
            sent: Sent::default(),
        }
    }

    /// Begins the iteration of a slot, as a user; in the open model the user is the slot.
    pub fn begin(&mut self, key: Key, slot: u64, user: u64) {
        self.at = 0;
        self.depth = 0;
        self.draws = Draws::new(key, slot);
        (self.slot, self.user) = (slot, user);
        self.variables.clear();
        self.jar.clear();
        for challenge in &mut self.challenges {
            challenge.forget();
        }
    }

    /// Goes on until something is to be done. A request's bytes are appended to `out`.
    pub fn resume(&mut self, program: &Program, context: &Context<'_>, out: &mut Vec<u8>) -> Next {
        for _ in 0..OPERATIONS_PER_CALL {
            let Some(operation) = program.operations.get(self.at) else { return Next::Ended(Outcome::Done) };
            self.at += 1;
            let start = out.len();
            match self.perform(operation, program, context, out) {
                Ok(None) => {}
                Ok(Some(next)) => return next,
                Err(failure) => {
                    out.truncate(start);
                    return Next::Ended(Outcome::Failed(failure));
                }
            }
        }
        Next::Think { ns: 0 }
    }

    fn perform(
        &mut self,
        operation: &Operation,
        program: &Program,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Next>, Failure> {
        match operation {
            Operation::Request(step) => return self.request(*step, program, context, out).map(Some),
            Operation::Think(law) => return Ok(Some(Next::Think { ns: self.draws.think(*law) })),
            Operation::Set(variable, value) => {
                let start = out.len();
                self.filler(context).push(value, out)?;
                let is_set = self.variables.set(*variable, &out[start..]);
                out.truncate(start);
                if !is_set {
                    return Err(Failure::Variables);
                }
            }
            Operation::Enter(count) => {
                let rounds = self.rounds(count, context, out)?;
                let Some(place) = self.loops.get_mut(self.depth) else { return Err(Failure::Number) };
                *place = Loop { round: 0, rounds };
                self.depth += 1;
            }
            Operation::Round { condition, counter, to } => {
                let current = self.loops[self.depth - 1];
                let mut goes_on = current.round < current.rounds;
                if let Some(condition) = condition.as_ref().filter(|_| goes_on) {
                    goes_on = condition.holds(&mut self.filler(context), out)?;
                }
                if goes_on {
                    self.loops[self.depth - 1].round += 1;
                    self.count(*counter, current.round, out)?;
                } else {
                    self.depth -= 1;
                    self.at = *to;
                }
            }
            Operation::JumpUnless(condition, to) => {
                if !condition.holds(&mut self.filler(context), out)? {
                    self.at = *to;
                }
            }
            Operation::Jump(to) => self.at = *to,
            Operation::Choose(bounds) => {
                let total = bounds.last().map_or(0, |(bound, _)| *bound);
                let drawn = self.draws.below(total);
                let chosen = bounds.iter().find(|(bound, _)| drawn < *bound);
                self.at = chosen.map_or(self.at, |(_, to)| *to);
            }
            Operation::GroupBegin(group) => return Ok(Some(Next::GroupBegan { group: *group })),
            Operation::GroupEnd(group) => return Ok(Some(Next::GroupEnded { group: *group })),
            Operation::Barrier(barrier) => return Ok(Some(Next::Wait { barrier: *barrier })),
            Operation::Stop => return Ok(Some(Next::Ended(Outcome::Done))),
        }
        Ok(None)
    }

    fn request(
        &mut self,
        step: u16,
        program: &Program,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Next, Failure> {
        let request = &program.requests[usize::from(step)];
        self.draws_before = self.draws;
        self.hops_left = request.redirects;
        self.sent.may_repeat = true;
        let target = &program.targets[usize::from(request.target)];
        let written = self.render(program, step, false, context, out)?;
        // Only what may be led elsewhere, or has cookies, remembers where it went.
        if program.cookies || request.redirects > 0 {
            let address = &mut self.hop.address;
            address.is_secure = target.is_secure;
            address.authority.clear();
            address.authority.extend_from_slice(target.authority.as_bytes());
            address.target.clear();
            address.target.extend_from_slice(&out[written]);
            self.hop.is_get = false;
        }
        Ok(Next::Request { step })
    }

    /// Whether the request that was written last goes without the credentials that its server may ask for
    /// ([`crate::Then::Again`]): by whatever name such a request is counted.
    pub fn is_bare(&self) -> bool {
        self.sent.credentials == Credentials::Bare
    }

    /// Whether a response will be answered by sending the request again ([`crate::Then::Again`]), and is no failure therefore.
    pub fn is_challenged(&self, program: &Program, step: u16, status: u16, head: &[u8]) -> bool {
        self.accepted(&program.requests[usize::from(step)], status, head).is_some()
    }

    /// What a server asks for, if the request is to be sent again.
    pub(crate) fn accepted<'a>(&self, request: &Request, status: u16, head: &'a [u8]) -> Option<Offer<'a>> {
        if status != 401 || request.template.login.is_none() || !self.sent.may_repeat {
            return None;
        }
        // Credentials that were refused are not tried again, unless it was only that they had become too old.
        offer(head).filter(|offer| match self.sent.credentials {
            Credentials::None => false,
            Credentials::Bare => true,
            Credentials::Given => offer.is_stale,
        })
    }

    /// Appends the same request once more, as a challenge asks for.
    pub fn again(
        &mut self,
        program: &Program,
        step: u16,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let start = out.len();
        self.draws = self.draws_before;
        let written = self.render(program, step, self.sent.is_hop, context, out);
        written.map(drop).inspect_err(|_| out.truncate(start))
    }

    /// Appends the request that a redirect asks for, which the caller has found to be allowed: see [`Iteration::hop`].
    pub fn follow(
        &mut self,
        program: &Program,
        step: u16,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let start = out.len();
        self.draws = self.draws_before;
        let written = self.render(program, step, true, context, out);
        written.map(drop).inspect_err(|_| out.truncate(start))
    }

    fn render(
        &mut self,
        program: &Program,
        step: u16,
        is_hop: bool,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<std::ops::Range<usize>, Failure> {
        let request = &program.requests[usize::from(step)];
        let target = &program.targets[usize::from(request.target)];
        let mut way = Way {
            target,
            hop: is_hop.then_some(&self.hop),
            cookies: program.cookies.then_some(&self.jar),
            login: None,
        };
        self.sent.is_hop = is_hop;
        self.sent.credentials = Credentials::None;
        if let Some(index) = request.template.login.map(usize::from).filter(|_| !way.is_elsewhere()) {
            let challenge = &mut self.challenges[index];
            self.sent.credentials = Credentials::Bare;
            if challenge.is_known() {
                self.sent.credentials = Credentials::Given;
                challenge.count();
                way.login = Some((&program.logins[index], challenge));
            }
        }
        let mut filler = Filler {
            variables: &self.variables,
            values: context.values,
            draws: &mut self.draws,
            slot: self.slot,
            user: self.user,
            unix_ns: context.unix_ns,
        };
        request.template.render(&way, &mut filler, out)
    }

    pub(crate) fn filler<'a>(&'a mut self, context: &Context<'a>) -> Filler<'a> {
        Filler {
            variables: &self.variables,
            values: context.values,
            draws: &mut self.draws,
            slot: self.slot,
            user: self.user,
            unix_ns: context.unix_ns,
        }
    }

    fn rounds(&mut self, count: &Value, context: &Context<'_>, out: &mut Vec<u8>) -> Result<u32, Failure> {
        let rounds = self.filler(context).number(count, out)?;
        u32::try_from(rounds).ok().filter(|rounds| *rounds <= ROUNDS_MAX).ok_or(Failure::Number)
    }

    fn count(&mut self, counter: Option<u16>, round: u32, out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(counter) = counter else { return Ok(()) };
        let start = out.len();
        encode::push_number(round.into(), out);
        let is_set = self.variables.set(counter, &out[start..]);
        out.truncate(start);
        if is_set { Ok(()) } else { Err(Failure::Variables) }
    }

    /// Where the redirect leads that [`crate::Then::Redirect`] announced.
    pub fn hop(&self, program: &Program, step: u16) -> HopView<'_> {
        let target = &program.targets[usize::from(program.requests[usize::from(step)].target)];
        let is_elsewhere = Way { target, hop: Some(&self.hop), cookies: None, login: None }.is_elsewhere();
        let address = &self.hop.address;
        HopView {
            is_secure: address.is_secure,
            authority: &address.authority,
            target: &address.target,
            is_elsewhere,
        }
    }

    /// The value of a variable, by its place in [`Program::variables`].
    pub fn variable(&self, index: u16) -> Option<&[u8]> {
        self.variables.value(index)
    }
}

/// Where a redirect leads. It comes from the target: whoever follows it checks it against the safety rails first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct HopView<'a> {
    /// Whether it is reached over TLS.
    pub is_secure: bool,
    /// Host and port, as in the URL, in lower case.
    pub authority: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// Whether it is another host, port or scheme than the step's own; credentials stay behind.
    pub is_elsewhere: bool,
}
