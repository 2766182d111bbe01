//! What a step takes out of a response, and what it asks of it.

use crate::error::Origin;
use crate::json_path::JsonPath;
use crate::pattern::Pattern;
use crate::status::StatusSet;
use crate::template::Template;

/// A value that is taken out of a response into a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// The variable.
    pub variable: String,
    /// Where it was written.
    pub origin: Origin,
    /// Where the value lies.
    pub source: Source,
    /// What the variable becomes when the response does not have the value; without it the iteration fails.
    pub default: Option<Template>,
}

/// Where in a response a value lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The first match of a path in the body: a string without its quotation marks and escapes, anything else as written.
    Json(JsonPath),
    /// A group of the first match of a pattern.
    Regex {
        /// The pattern.
        pattern: Pattern,
        /// The group; 0 is the whole match.
        group: usize,
        /// Where it is looked for.
        subject: RegexSubject,
    },
    /// The first header field of that name.
    Header(String),
    /// The cookie of that name which the response sets.
    Cookie(String),
    /// The status.
    Status,
}

/// Where a pattern is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegexSubject {
    /// In the body.
    Body,
    /// In the first header field of that name.
    Header(String),
}

/// A demand on a response. All its tests must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its name in the report.
    pub name: String,
    /// Where it was written.
    pub origin: Origin,
    /// What is looked at.
    pub subject: Subject,
    /// What is asked of it; none when the subject says it all.
    pub tests: Vec<Test>,
    /// Whether the iteration ends when it does not hold.
    pub stops: bool,
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The status, which is to be one of a set. Has no tests.
    Status(StatusSet),
    /// The first header field of that name.
    Header(String),
    /// The first match of a path in the body; for [`Test::Count`], all matches.
    Json(JsonPath),
    /// The body, decoded.
    Body,
    /// The bytes of the body as it was received. Takes [`Test::Above`], [`Test::Below`] and [`Test::Is`].
    Size,
    /// The response time in nanoseconds. Takes [`Test::Above`] and [`Test::Below`].
    Time,
}

/// What is asked of a subject.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It equals a text; two numbers are equal when their values are.
    Is(Template),
    /// It is there and differs from a text.
    Not(Template),
    /// A text stands in it.
    Contains(Template),
    /// A pattern is found in it.
    Matches(Pattern),
    /// It is a number above that.
    Above(f64),
    /// It is a number below that.
    Below(f64),
    /// A path has exactly so many matches.
    Count(u64),
    /// It is there, or it is not.
    Exists(bool),
    /// Its SHA-256 digest.
    Sha256([u8; 32]),
}

impl Test {
    /// The word by which a plan calls it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Is(_) => "is",
            Self::Not(_) => "not",
            Self::Contains(_) => "contains",
            Self::Matches(_) => "matches",
            Self::Above(_) => "above",
            Self::Below(_) => "below",
            Self::Count(_) => "count",
            Self::Exists(_) => "exists",
            Self::Sha256(_) => "sha256",
        }
    }

    /// The template in it.
    pub const fn template(&self) -> Option<&Template> {
        match self {
            Self::Is(template) | Self::Not(template) | Self::Contains(template) => Some(template),
            _ => None,
        }
    }
}

impl Subject {
    /// The word by which a plan calls it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Header(_) => "header",
            Self::Json(_) => "json",
            Self::Body => "body",
            Self::Size => "size",
            Self::Time => "time",
        }
    }

    /// Whether a test can be asked of it.
    pub const fn takes(&self, test: &Test) -> bool {
        match self {
            Self::Status(_) => false,
            Self::Header(_) => !matches!(test, Test::Count(_) | Test::Sha256(_)),
            Self::Json(_) => !matches!(test, Test::Sha256(_)),
            Self::Body => !matches!(test, Test::Count(_) | Test::Exists(_) | Test::Above(_) | Test::Below(_)),
            Self::Size => matches!(test, Test::Above(_) | Test::Below(_) | Test::Is(_)),
            Self::Time => matches!(test, Test::Above(_) | Test::Below(_)),
        }
    }
}
