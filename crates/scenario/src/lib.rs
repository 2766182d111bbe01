//! Scenarios: what a user does in one iteration of a plan, as data, and how that data is written in texts.
//!
//! What it is: the abstract syntax ([`Scenario`], [`Step`] and what they are made of), the parsers of the small languages in
//! it (templates, conditions, JSON paths, patterns, sets of statuses), and the checks of a scenario as a whole.
//! What it is not: a reader of files; it is handed texts. It opens no socket and knows no clock and no ambient randomness.
//!
//! Invariants: no parser panics, whatever it is handed; every error says where in its text, what is wrong and how to fix it;
//! nesting, lengths and numbers are bounded.

#![forbid(unsafe_code)]

mod condition;
mod cursor;
mod error;
mod exchange;
mod expression;
mod json_path;
mod name;
mod pattern;
mod status;
mod syntax;
mod template;
mod validate;

pub use condition::{Condition, Operator};
pub use error::{Origin, ScenarioError};
pub use exchange::{Check, Extraction, RegexSubject, Source, Subject, Test};
pub use expression::{Expression, ExpressionKind, Function};
pub use json_path::JsonPath;
pub use name::{closest, is_name};
pub use pattern::Pattern;
pub use status::StatusSet;
pub use syntax::{
    Assignment, Auth, Barrier, BodySource, Choice, Choose, Group, HeaderField, If, JsonNode, MultipartPart,
    PartValue, Repeat, RequestStep, Scenario, Step, Think, While,
};
pub use template::{Template, TemplatePart};
pub use validate::{
    FeederNames, NESTING_MAX, REDIRECTS_MAX, ROUNDS_MAX, STEPS_MAX, Scope, VARIABLES_MAX, validate, variables,
};
