//! A scenario, compiled: one flat list of operations, and what they refer to.
//!
//! What it is: immutable; shards share what they can. What it is not: state; that is [`crate::Iteration`]'s.
//! A program that is cloned has patterns with caches of their own, so that shards with a clone each never wait for each other.

mod compile;
mod request;
mod token;

pub use token::{GivenToken, TokenMessage};

use crate::digest::Login;
use crate::error::ScenarioError;
use crate::exchange::RegexSubject;
use crate::json_path::JsonPath;
use crate::pattern::Pattern;
use crate::request::Template as RequestTemplate;
use crate::status::StatusSet;
use crate::syntax::{Barrier, Scenario, Think};
use crate::validate::Scope;
use crate::value::Value;

/// Most checks of one step.
pub const CHECKS_MAX: usize = 64;

/// A target, as far as requests show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is reached over TLS.
    pub is_secure: bool,
    /// Host and port as the `Host` header shows them.
    pub authority: String,
    /// What stands before each path; empty, or beginning with a slash and not ending with one.
    pub base_path: String,
}

/// A compiled scenario.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) operations: Vec<Operation>,
    pub(crate) requests: Vec<Request>,
    pub(crate) targets: Vec<Target>,
    pub(crate) cookies: bool,
    variables: Vec<String>,
    columns: Vec<Column>,
    files: Vec<String>,
    groups: Vec<String>,
    barriers: Vec<Barrier>,
    tokens: Vec<TokenRequest>,
    pub(crate) logins: Vec<Login>,
}

/// A column that a program uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its feeder.
    pub feeder: String,
    /// Its name.
    pub name: String,
}

/// An OAuth 2 token that requests of a program carry: whoever runs it fetches the token before, and again before it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    pub(crate) url: Value,
    pub(crate) client_id: Value,
    pub(crate) client_secret: Value,
    pub(crate) scope: Option<Value>,
    pub(crate) in_body: bool,
}

/// What a step needs to see of a response.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The header fields.
    pub head: bool,
    /// The body.
    pub body: bool,
}

/// A request step, compiled.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name in the report.
    pub name: String,
    /// Its target: an index into the plan's targets.
    pub target: u16,
    /// How long the exchange may take, if not as long as the plan's others.
    pub timeout_ns: Option<u64>,
    /// Which statuses are failures, if not those of the plan.
    pub fail_status: Option<StatusSet>,
    /// How many redirects are followed.
    pub redirects: u8,
    /// Labels in the report.
    pub tags: Vec<(String, String)>,
    /// What it needs to see of a response.
    pub needs: Needs,
    /// Whether it is a `HEAD` request, whose response has no body.
    pub is_head: bool,
    pub(crate) template: RequestTemplate,
    pub(crate) extractions: Vec<Extraction>,
    pub(crate) checks: Vec<Check>,
}

impl Request {
    /// The names of its checks; a check's index here is its bit in [`crate::Answered`].
    pub fn check_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.checks.iter().map(|check| check.name.as_str())
    }

    /// Whether it is sent without credentials first, where the iteration has met no challenge of the server yet.
    pub fn is_challenged(&self) -> bool {
        self.template.login.is_some()
    }

    /// The variables that it extracts, by their places in [`Program::variables`].
    pub fn extracted(&self) -> impl ExactSizeIterator<Item = u16> {
        self.extractions.iter().map(|extraction| extraction.variable)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Extraction {
    pub(crate) variable: u16,
    pub(crate) source: Source,
    pub(crate) default: Option<Value>,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Json(JsonPath),
    Regex { pattern: Pattern, group: usize, subject: RegexSubject },
    Header(String),
    Cookie(String),
    Status,
}

#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) subject: crate::exchange::Subject,
    pub(crate) tests: Vec<Test>,
    pub(crate) stops: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Test {
    Is(Value),
    Not(Value),
    Contains(Value),
    Matches(Pattern),
    Above(f64),
    Below(f64),
    Count(u64),
    Exists(bool),
    Sha256([u8; 32]),
}

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Compare(Value, crate::condition::Operator, Value),
    Matches(Value, Pattern),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
}

/// What an iteration does next. Numbers named `to` are indices of operations.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Request(u16),
    Think(Think),
    Set(u16, Value),
    /// Begins a loop of so many rounds.
    Enter(Value),
    /// Begins a round of the innermost loop, or ends the loop.
    Round {
        condition: Option<Condition>,
        counter: Option<u16>,
        to: usize,
    },
    JumpUnless(Condition, usize),
    Jump(usize),
    /// Jumps to the first entry whose bound, a sum of weights, lies above a random number.
    Choose(Vec<(u64, usize)>),
    GroupBegin(u16),
    GroupEnd(u16),
    Barrier(u16),
    Stop,
}

impl Program {
    /// Compiles a scenario. `targets` are those of the scope, in its order.
    ///
    /// # Panics
    ///
    /// If there are not as many targets as names of targets in the scope.
    pub fn compile(
        scenario: &Scenario,
        scope: &Scope,
        targets: &[Target],
    ) -> Result<Self, Vec<ScenarioError>> {
        assert_eq!(targets.len(), scope.targets.len(), "every named target has an address");
        let errors = crate::validate::validate(scenario, scope);
        if errors.is_empty() { Ok(compile::compile(scenario, scope, targets)) } else { Err(errors) }
    }

    /// The request steps, in the order in which they are written; a step's index here is its number.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The names of the variables.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// The columns that it uses of its rows.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The files whose bytes it sends, as the plan writes their paths.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The names of its groups.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Its barriers.
    pub fn barriers(&self) -> &[Barrier] {
        &self.barriers
    }

    /// The tokens that its requests carry.
    pub fn tokens(&self) -> &[TokenRequest] {
        &self.tokens
    }
}
