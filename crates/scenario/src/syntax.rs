//! The abstract syntax of a scenario: what a plan's `scenarios` say, typed.
//!
//! What it is: plain public data, filled by whoever reads the plan. What it is not: valid by itself;
//! [`crate::validate`] says what is wrong with it as a whole, and compiling it does so again.
//! Units: nanoseconds (`_ns`).

use crate::condition::Condition;
use crate::error::Origin;
use crate::exchange::{Check, Extraction};
use crate::status::StatusSet;
use crate::template::Template;

/// What one iteration does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// Its name: that of its iterations in the report.
    pub name: String,
    /// The feeders from which each iteration has a row, by name, and where they were named.
    pub data: Vec<(String, Origin)>,
    /// Whether an iteration keeps cookies.
    pub cookies: bool,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One step of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Sends a request and waits for its response.
    Request(Box<RequestStep>),
    /// Rests.
    Think(Think),
    /// Repeats steps a number of times.
    Repeat(Repeat),
    /// Repeats steps while a condition holds, checked before each round.
    While(While),
    /// Does one thing or another.
    If(If),
    /// Does one of several things, at random.
    Choose(Choose),
    /// Times steps together.
    Group(Group),
    /// Waits until enough users have come here.
    Barrier(Barrier),
    /// Gives values to variables.
    Set(Vec<Assignment>),
    /// Ends the iteration here, without fault.
    Stop,
}

/// Steps that are repeated a number of times.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// How often: a whole number.
    pub count: Template,
    /// The variable that counts the rounds, from 0.
    pub counter: Option<(String, Origin)>,
    /// What is repeated.
    pub steps: Vec<Step>,
}

/// Steps that are repeated while a condition holds.
#[derive(Clone, Debug, PartialEq)]
pub struct While {
    /// The condition.
    pub condition: Condition,
    /// How often at most.
    pub most: u32,
    /// The variable that counts the rounds, from 0.
    pub counter: Option<(String, Origin)>,
    /// What is repeated.
    pub steps: Vec<Step>,
}

/// Steps that depend on a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// The condition.
    pub condition: Condition,
    /// What is done when it holds.
    pub then: Vec<Step>,
    /// What is done when it does not.
    pub otherwise: Vec<Step>,
}

/// Alternatives of which one is chosen at random.
#[derive(Clone, Debug, PartialEq)]
pub struct Choose {
    /// Where it was written.
    pub origin: Origin,
    /// The alternatives.
    pub choices: Vec<Choice>,
}

/// One of several alternatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// How likely it is, beside the weights of the others.
    pub weight: u32,
    /// What is done.
    pub steps: Vec<Step>,
}

/// Steps that are timed together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name in the report.
    pub name: String,
    /// Where the name was written.
    pub origin: Origin,
    /// What belongs to it.
    pub steps: Vec<Step>,
}

/// A place where users wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// Its name; barriers of one name are one barrier.
    pub name: String,
    /// Where the name was written.
    pub origin: Origin,
    /// How many users must have come before they go on.
    pub users: u32,
    /// How long one waits at most before it goes on alone.
    pub timeout_ns: u64,
}

/// A variable and its new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub variable: String,
    /// Where it was written.
    pub origin: Origin,
    /// The value.
    pub value: Template,
}

/// How long a user rests: a law of probability. The exponential and the normal law are cut off at ten times their mean.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Think {
    /// Always the same time.
    Constant {
        /// The time.
        ns: u64,
    },
    /// Anything between two times, each equally likely.
    Uniform {
        /// The shortest.
        low_ns: u64,
        /// The longest.
        high_ns: u64,
    },
    /// The exponential law: the time between independent events.
    Exponential {
        /// Its mean.
        mean_ns: u64,
    },
    /// The normal law; below zero it is zero.
    Normal {
        /// Its mean.
        mean_ns: u64,
        /// Its standard deviation.
        deviation_ns: u64,
    },
}

/// A request and what is done with its response.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestStep {
    /// Its name in the report, the same whatever is filled into its URL.
    pub name: String,
    /// Where the step was written.
    pub origin: Origin,
    /// The target, by name; none when the plan has only one.
    pub target: Option<(String, Origin)>,
    /// The method.
    pub method: String,
    /// The path, below the target's own, with the query if it has one: `/cart?id={{id}}`.
    pub url: Template,
    /// Parameters added to the query, percent-encoded.
    pub query: Vec<(String, Template)>,
    /// Header fields, in order.
    pub headers: Vec<HeaderField>,
    /// The body.
    pub body: BodySource,
    /// How the request proves who sends it.
    pub auth: Option<Auth>,
    /// How many redirects are followed, each a request of its own.
    pub redirects: u8,
    /// How long the exchange may take, if not as long as the plan's others.
    pub timeout_ns: Option<u64>,
    /// Which statuses are failures, if not those of the plan.
    pub fail_status: Option<StatusSet>,
    /// Labels in the report.
    pub tags: Vec<(String, String)>,
    /// What is taken out of the response.
    pub extractions: Vec<Extraction>,
    /// What is asked of the response.
    pub checks: Vec<Check>,
}

impl Default for RequestStep {
    fn default() -> Self {
        Self {
            name: String::new(),
            origin: Origin::default(),
            target: None,
            method: "GET".to_owned(),
            url: Template::literal("/"),
            query: Vec::new(),
            headers: Vec::new(),
            body: BodySource::None,
            auth: None,
            redirects: 0,
            timeout_ns: None,
            fail_status: None,
            tags: Vec::new(),
            extractions: Vec::new(),
            checks: Vec::new(),
        }
    }
}

/// A header field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField {
    /// The name: a token.
    pub name: String,
    /// Where it was written.
    pub origin: Origin,
    /// The value, without the spaces around it.
    pub value: Template,
}

/// Where the body of a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BodySource {
    /// There is none.
    #[default]
    None,
    /// A text.
    Text(Template),
    /// A JSON document; what is filled in is escaped. `Content-Type` is `application/json` unless a header says otherwise.
    Json(JsonNode),
    /// Fields of a form, percent-encoded.
    Form(Vec<(String, Template)>),
    /// The bytes of a file, by its path as the plan writes it.
    File(String, Origin),
    /// Parts of `multipart/form-data`.
    Multipart(Vec<MultipartPart>),
    /// So many made-up bytes, which nobody can compress.
    Bytes(Size),
}

/// How many bytes are made up. The exponential and the normal law are cut off at ten times their mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// What a text comes to: a whole number.
    Given(Template),
    /// Anything between two sizes, both included, each equally likely.
    Uniform {
        /// The smallest.
        low: u64,
        /// The largest.
        high: u64,
    },
    /// The exponential law: many small ones, few large ones.
    Exponential {
        /// Its mean.
        mean: u64,
    },
    /// The normal law; below zero it is zero.
    Normal {
        /// Its mean.
        mean: u64,
        /// Its standard deviation.
        deviation: u64,
    },
}

/// A JSON value in which texts may be templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonNode {
    /// `null`, `true`, `false` or a number, as JSON writes it.
    Plain(String),
    /// A string.
    Text(Template),
    /// An array.
    List(Vec<Self>),
    /// An object, its members in order.
    Map(Vec<(Template, Self)>),
}

/// A part of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartPart {
    /// The name of the form's field.
    pub name: String,
    /// Where it was written.
    pub origin: Origin,
    /// What it holds.
    pub value: PartValue,
    /// The file name that is stated, for files.
    pub filename: Option<String>,
    /// The type of its content.
    pub content_type: Option<String>,
}

/// What a part of a multipart body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartValue {
    /// A text.
    Text(Template),
    /// The bytes of a file, by its path as the plan writes it.
    File(String, Origin),
}

/// How a request proves who sends it. Never sent to another host than that of the step's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// RFC 7617.
    Basic {
        /// The user; no colon in it.
        user: Template,
        /// The password.
        password: Template,
    },
    /// RFC 6750.
    Bearer(Template),
    /// RFC 7616: answers the challenge of a 401, afterwards without being asked.
    Digest {
        /// The user.
        user: Template,
        /// The password.
        password: Template,
    },
    /// RFC 6749 §4.4: a token that is fetched once per run.
    OAuth2 {
        /// Where the token is fetched.
        token_url: Template,
        /// The client.
        client_id: Template,
        /// Its secret.
        client_secret: Template,
        /// What is asked for.
        scope: Option<Template>,
        /// Whether client and secret go into the form; else they go into `Authorization`, which every server takes.
        in_body: bool,
    },
    /// AWS Signature Version 4.
    Aws {
        /// The id of the access key.
        access_key: Template,
        /// The secret of the access key.
        secret_key: Template,
        /// The token of a temporary key.
        session_token: Option<Template>,
        /// The region, such as `eu-west-1`.
        region: Template,
        /// The service, such as `s3`.
        service: Template,
    },
}

impl Auth {
    /// The templates in it.
    pub fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Basic { user, password } | Self::Digest { user, password } => vec![user, password],
            Self::Bearer(token) => vec![token],
            Self::OAuth2 { token_url, client_id, client_secret, scope, .. } => {
                [token_url, client_id, client_secret].into_iter().chain(scope).collect()
            }
            Self::Aws { access_key, secret_key, session_token, region, service } => {
                [access_key, secret_key, region, service].into_iter().chain(session_token).collect()
            }
        }
    }
}
