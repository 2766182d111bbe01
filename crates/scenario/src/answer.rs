//! Hot path. What an iteration makes of a response: cookies, redirects, checks, extractions, in this order.

use crate::compare::{compare, contains, number};
use crate::cookie;
use crate::decode::Workspace;
use crate::digest::next_nonce;
use crate::encode;
use crate::exchange::{RegexSubject, Subject};
use crate::fields::field;
use crate::iteration::{Context, Credentials, Iteration, Outcome};
use crate::json::push_text;
use crate::program::{Check, Extraction, Program, Request, Source, Test};
use crate::request::place;
use crate::value::{Failure, Filler};

/// A response, as far as the step needs it.
#[derive(Copy, Clone, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The header lines as they were received; a status line before them does no harm.
    pub head: &'a [u8],
    /// The body as it was received, without the framing of its transfer; none when it was too long to be kept.
    pub body: Option<&'a [u8]>,
    /// How many bytes the body had, even if they were not kept.
    pub body_bytes: u64,
    /// The response time.
    pub response_ns: u64,
}

/// What became of a response.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Bit n: check n of the step held.
    pub passed: u64,
    /// Bit n: check n of the step did not hold.
    pub failed: u64,
    /// How it goes on.
    pub then: Then,
}

/// How an iteration goes on after a response.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// With [`Iteration::resume`].
    Continue,
    /// With [`Iteration::follow`], if [`Iteration::hop`] is allowed.
    Redirect,
    /// With [`Iteration::again`]: the server has asked for credentials.
    Again,
    /// It does not.
    Ended(Outcome),
}

/// What checks and extractions look at.
struct Seen<'a> {
    answer: &'a Answer<'a>,
    /// None when it could not be decoded.
    body: Option<&'a [u8]>,
}

impl Iteration {
    /// Takes the response to the request of `step`.
    pub fn answer(
        &mut self,
        program: &Program,
        step: u16,
        context: &Context<'_>,
        answer: &Answer<'_>,
        workspace: &mut Workspace,
    ) -> Answered {
        let request = &program.requests[usize::from(step)];
        if program.cookies {
            let from = place(&self.hop.address);
            self.jar.receive(answer.head, from, context.unix_ns);
        }
        if self.challenge(request, answer) {
            return Answered { passed: 0, failed: 0, then: Then::Again };
        }
        if self.hops_left > 0
            && let Some(then) = self.redirect(request, answer, workspace)
        {
            return Answered { passed: 0, failed: 0, then };
        }
        let body = if request.needs.body { answer.body } else { Some(&[][..]) };
        if let Some(body) = body
            && let Ok((body, scratch)) = workspace.open(answer.head, body)
        {
            return self.judge(request, context, &Seen { answer, body: Some(body) }, scratch);
        }
        self.judge(request, context, &Seen { answer, body: None }, &mut workspace.scratch)
    }

    /// The request of `step` got no response: its checks did not hold, and what was to be extracted is missing.
    pub fn unanswered(
        &mut self,
        program: &Program,
        step: u16,
        context: &Context<'_>,
        scratch: &mut Vec<u8>,
    ) -> Answered {
        let request = &program.requests[usize::from(step)];
        let failed = (0..request.checks.len()).fold(0, |bits, index| bits | 1 << index);
        let start = scratch.len();
        let mut then = Then::Continue;
        if request.checks.iter().any(|check| check.stops) {
            then = Then::Ended(Outcome::Stopped);
        } else {
            for extraction in &request.extractions {
                let found = self.default(extraction, context, scratch, Failure::Extract);
                if let Err(failure) = found.and_then(|()| self.keep(extraction.variable, &scratch[start..])) {
                    then = Then::Ended(Outcome::Failed(failure));
                    break;
                }
                scratch.truncate(start);
            }
        }
        scratch.truncate(start);
        Answered { passed: 0, failed, then }
    }

    /// RFC 7616 §3.3: whether the server asks for credentials that the request then is sent with.
    fn challenge(&mut self, request: &Request, answer: &Answer<'_>) -> bool {
        let Some(login) = request.template.login.map(usize::from) else { return false };
        if self.sent.credentials == Credentials::None {
            // Another host has no say in this.
            return false;
        }
        if let Some(offer) = self.accepted(request, answer.status, answer.head) {
            self.challenges[login].keep(&offer, self.draws.aside());
            self.sent.may_repeat = false;
            return true;
        }
        if answer.status == 401 {
            // Whatever comes next is asked anew.
            self.challenges[login].forget();
        } else if let Some(nonce) = next_nonce(answer.head).filter(|_| self.challenges[login].is_known()) {
            self.challenges[login].go_on_with(nonce);
        }
        false
    }

    /// RFC 9110 §15.4: where the response leads, if it leads anywhere.
    fn redirect(
        &mut self,
        request: &Request,
        answer: &Answer<'_>,
        workspace: &mut Workspace,
    ) -> Option<Then> {
        let becomes_get = match answer.status {
            // As browsers do: what was a POST is asked for with GET.
            301 | 302 => request.template.method == "POST",
            303 => request.template.method != "HEAD",
            307 | 308 => false,
            _ => return None,
        };
        let location = field(answer.head, "Location")?;
        self.hops_left -= 1;
        self.hop.is_get |= becomes_get;
        if self.hop.address.follow(location, &mut workspace.scratch) {
            Some(Then::Redirect)
        } else {
            Some(Then::Ended(Outcome::Failed(Failure::Redirect)))
        }
    }

    fn judge(
        &mut self,
        request: &Request,
        context: &Context<'_>,
        seen: &Seen<'_>,
        scratch: &mut Vec<u8>,
    ) -> Answered {
        let mut answered = Answered { passed: 0, failed: 0, then: Then::Continue };
        for (index, check) in request.checks.iter().enumerate() {
            let holds = check.holds(seen, &mut self.filler(context), scratch);
            scratch.clear();
            if holds {
                answered.passed |= 1 << index;
            } else {
                answered.failed |= 1 << index;
                if check.stops {
                    answered.then = Then::Ended(Outcome::Stopped);
                }
            }
        }
        if answered.then != Then::Continue {
            return answered;
        }
        for extraction in &request.extractions {
            scratch.clear();
            if let Err(failure) = self.extract(extraction, context, seen, scratch) {
                answered.then = Then::Ended(Outcome::Failed(failure));
                break;
            }
        }
        answered
    }

    fn extract(
        &mut self,
        extraction: &Extraction,
        context: &Context<'_>,
        seen: &Seen<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if extraction.source.find(seen, scratch).is_none() {
            scratch.clear();
            let failure = if seen.body.is_none() { Failure::Body } else { Failure::Extract };
            self.default(extraction, context, scratch, failure)?;
        }
        self.keep(extraction.variable, scratch)
    }

    fn default(
        &mut self,
        extraction: &Extraction,
        context: &Context<'_>,
        scratch: &mut Vec<u8>,
        failure: Failure,
    ) -> Result<(), Failure> {
        let default = extraction.default.as_ref().ok_or(failure)?;
        self.filler(context).push(default, scratch)
    }

    fn keep(&mut self, variable: u16, value: &[u8]) -> Result<(), Failure> {
        if self.variables.set(variable, value) { Ok(()) } else { Err(Failure::Variables) }
    }
}

impl Source {
    /// Appends the value, if it is there.
    fn find(&self, seen: &Seen<'_>, out: &mut Vec<u8>) -> Option<()> {
        let head = seen.answer.head;
        match self {
            Self::Json(path) => push_text(path.first(seen.body?).ok()??, out),
            Self::Regex { pattern, group, subject } => {
                let text = match subject {
                    RegexSubject::Body => seen.body?,
                    RegexSubject::Header(name) => field(head, name)?,
                };
                out.extend_from_slice(pattern.group(text, *group)?);
            }
            Self::Header(name) => out.extend_from_slice(field(head, name)?),
            Self::Cookie(name) => out.extend_from_slice(cookie::set_value(head, name)?),
            Self::Status => encode::push_number(seen.answer.status.into(), out),
        }
        Some(())
    }
}

impl Check {
    fn holds(&self, seen: &Seen<'_>, filler: &mut Filler<'_>, scratch: &mut Vec<u8>) -> bool {
        let answer = seen.answer;
        let text = match &self.subject {
            Subject::Status(set) => return set.contains(answer.status),
            Subject::Size => {
                return self
                    .tests
                    .iter()
                    .all(|test| test.measures(answer.body_bytes as f64, filler, scratch));
            }
            Subject::Time => {
                return self
                    .tests
                    .iter()
                    .all(|test| test.measures(answer.response_ns as f64, filler, scratch));
            }
            Subject::Body => seen.body,
            Subject::Header(name) => field(answer.head, name),
            Subject::Json(path) => {
                let Some(body) = seen.body else { return false };
                let counts = self.tests.iter().all(|test| match test {
                    Test::Count(count) => path.count(body) == Ok(*count),
                    _ => true,
                });
                let Ok(found) = path.first(body) else { return false };
                if let Some(found) = found {
                    push_text(found, scratch);
                }
                let length = scratch.len();
                let holds = |test: &Test| test.holds(found.is_some(), length, filler, scratch);
                return counts && self.tests.iter().all(holds);
            }
        };
        let length = text.map_or(0, <[u8]>::len);
        let mut holds = |test: &Test| match test {
            // Nothing is copied where the text can be looked at where it lies.
            Test::Contains(_) | Test::Matches(_) | Test::Sha256(_) | Test::Exists(_) => {
                test.holds_of(text, filler, scratch)
            }
            _ => {
                scratch.clear();
                scratch.extend_from_slice(text.unwrap_or_default());
                test.holds(text.is_some(), length, filler, scratch)
            }
        };
        self.tests.iter().all(&mut holds)
    }
}

impl Test {
    /// Whether it holds of a number.
    fn measures(&self, value: f64, filler: &mut Filler<'_>, scratch: &mut Vec<u8>) -> bool {
        match self {
            Self::Above(bound) => value > *bound,
            Self::Below(bound) => value < *bound,
            Self::Is(wanted) => {
                scratch.clear();
                filler.push(wanted, scratch).is_ok() && number(scratch) == Some(value)
            }
            _ => false,
        }
    }

    /// Whether it holds of a text that is not copied.
    fn holds_of(&self, text: Option<&[u8]>, filler: &mut Filler<'_>, scratch: &mut Vec<u8>) -> bool {
        match (self, text) {
            (Self::Exists(exists), text) => text.is_some() == *exists,
            (Self::Contains(wanted), Some(text)) => {
                scratch.clear();
                filler.push(wanted, scratch).is_ok() && contains(text, scratch)
            }
            (Self::Matches(pattern), Some(text)) => pattern.is_match(text),
            (Self::Sha256(digest), Some(text)) => encode::sha256(text) == *digest,
            _ => false,
        }
    }

    /// Whether it holds of the text that the first `length` bytes of `scratch` are.
    fn holds(&self, is_there: bool, length: usize, filler: &mut Filler<'_>, scratch: &mut Vec<u8>) -> bool {
        scratch.truncate(length);
        if let Self::Exists(exists) = self {
            return is_there == *exists;
        }
        if let Self::Count(_) = self {
            // Counted before.
            return true;
        }
        if !is_there {
            return false;
        }
        match self {
            Self::Is(wanted) | Self::Not(wanted) | Self::Contains(wanted) => {
                if filler.push(wanted, scratch).is_err() {
                    return false;
                }
                let (text, wanted) = scratch.split_at(length);
                match self {
                    Self::Is(_) => compare(text, wanted).is_eq(),
                    Self::Not(_) => compare(text, wanted).is_ne(),
                    _ => contains(text, wanted),
                }
            }
            Self::Matches(pattern) => pattern.is_match(&scratch[..length]),
            Self::Above(bound) => number(&scratch[..length]).is_some_and(|number| number > *bound),
            Self::Below(bound) => number(&scratch[..length]).is_some_and(|number| number < *bound),
            Self::Count(_) | Self::Exists(_) | Self::Sha256(_) => false,
        }
    }
}
