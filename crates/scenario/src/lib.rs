//! Scenarios: what a user does in one iteration of a plan, how that is written in texts, and how it is run.
//!
//! What it is: the abstract syntax ([`Scenario`], [`Step`] and what they are made of), the parsers of the small languages in
//! it (templates, conditions, JSON paths, patterns, sets of statuses), the checks of a scenario as a whole, the compiler to a flat
//! [`Program`], and the machine that runs one [`Iteration`] of it.
//! What it is not: a reader of files; it is handed texts. It opens no socket and knows no clock and no ambient randomness.
//!
//! Invariants: no parser panics, whatever it is handed; every error says where in its text, what is wrong and how to fix it;
//! nesting, lengths and numbers are bounded.

#![forbid(unsafe_code)]

mod answer;
mod arena;
mod aws;
mod compare;
mod condition;
mod cookie;
mod cursor;
mod decode;
mod digest;
mod draw;
mod encode;
mod error;
mod exchange;
mod expression;
mod fields;
mod iteration;
mod json;
mod json_path;
mod location;
mod name;
mod pattern;
mod program;
#[cfg(test)]
mod proptest_config;
mod request;
mod status;
mod syntax;
mod template;
mod validate;
mod value;

pub use answer::{Answer, Answered, Then};
pub use condition::{Condition, Operator};
pub use decode::Workspace;
pub use draw::Key;
pub use error::{Origin, ScenarioError};
pub use exchange::{Check, Extraction, RegexSubject, Source, Subject, Test};
pub use expression::{Expression, ExpressionKind, Function};
pub use iteration::{Context, HopView, Iteration, Next, Outcome};
pub use json::InvalidJson;
pub use json_path::JsonPath;
pub use name::{closest, is_name};
pub use pattern::Pattern;
pub use program::{
    CHECKS_MAX, Column, GivenToken, Needs, Program, Request, Target, TokenMessage, TokenRequest,
};
pub use status::StatusSet;
pub use syntax::{
    Assignment, Auth, Barrier, BodySource, Choice, Choose, Group, HeaderField, If, JsonNode, MultipartPart,
    PartValue, Repeat, RequestStep, Scenario, Size, Step, Think, While,
};
pub use template::{Template, TemplatePart};
pub use validate::{
    FeederNames, NESTING_MAX, REDIRECTS_MAX, ROUNDS_MAX, STEPS_MAX, Scope, VARIABLES_MAX, validate, variables,
};
pub use value::{Failure, MADE_BYTES_MAX, Values};
