//! What a threshold is about and when it is judged: the words around its comparison.
//!
//! ```text
//! login: p99<50ms over 10s grace 5s abort
//! tag kind=write: error_rate<1%
//! ```
//!
//! What it is: the parser of those words and their meaning. What it is not: the comparison, which is `threshold.rs`.

use std::fmt;

use measure::{Named, Names};
use plan::{PlanError, duration_text, parse_duration, quoted};

/// Nanoseconds of a second.
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What a threshold looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The whole run.
    #[default]
    Run,
    /// One name: a request, or where the metric is about them a workload, a group or a check.
    Name(String),
    /// All names with this label.
    Tag {
        /// The label.
        key: String,
        /// Its value.
        value: String,
    },
}

impl Scope {
    /// Whether a name is looked at.
    pub(crate) fn includes(&self, named: &Named) -> bool {
        match self {
            Self::Run => true,
            Self::Name(name) => named.name == *name,
            Self::Tag { key, value } => named.tags.get(key) == Some(value),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => Ok(()),
            Self::Name(name) => write!(formatter, "{name}: "),
            Self::Tag { key, value } => write!(formatter, "tag {key}={value}: "),
        }
    }
}

/// The words around a threshold's comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What is looked at.
    pub scope: Scope,
    /// Length of the sliding window, in whole seconds; without one the whole run is judged.
    pub over_s: Option<u64>,
    /// Seconds at the start that are not judged.
    pub grace_s: u64,
    /// Whether a breach ends the run.
    pub abort: bool,
}

impl Terms {
    /// Whether it is judged while the run lasts.
    pub fn is_watched(&self) -> bool {
        self.over_s.is_some() || self.abort
    }
}

impl fmt::Display for Terms {
    /// The words behind the comparison.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |seconds: u64| duration_text(seconds.saturating_mul(NANOS_PER_SECOND));
        if let Some(over_s) = self.over_s {
            write!(formatter, " over {}", text(over_s))?;
        }
        if self.grace_s > 0 {
            write!(formatter, " grace {}", text(self.grace_s))?;
        }
        if self.abort {
            formatter.write_str(" abort")?;
        }
        Ok(())
    }
}

/// Takes the words around the comparison away: the terms, and the comparison without spaces.
pub(crate) fn split_terms(written: &str) -> Result<(Terms, String), PlanError> {
    // A comparison holds no colon, a name may: `GET http://shop/: p99<1s`.
    let (scope, rest) = match written.rfind(": ") {
        Some(at) => (parse_scope(written[..at].trim())?, &written[at + 2..]),
        None => (Scope::Run, written),
    };
    let mut terms = Terms { scope, ..Terms::default() };
    let mut condition = String::new();
    let mut words = rest.split_whitespace();
    let mut in_terms = false;
    while let Some(word) = words.next() {
        match word {
            "over" | "grace" => {
                let seconds = whole_seconds(word, words.next())?;
                in_terms = true;
                if word == "over" {
                    terms.over_s = Some(seconds);
                } else {
                    terms.grace_s = seconds;
                }
            }
            "abort" => (in_terms, terms.abort) = (true, true),
            _ if in_terms => {
                return Err(PlanError::new(
                    format!("{} means nothing behind a threshold", quoted(word)),
                    "over 10s, grace 5s, abort",
                ));
            }
            _ => condition.push_str(word),
        }
    }
    Ok((terms, condition))
}

fn parse_scope(text: &str) -> Result<Scope, PlanError> {
    let Some(label) = text.strip_prefix("tag ") else {
        return if text.is_empty() {
            Err(PlanError::new("the name before the colon is empty", "e.g. login: p99<50ms"))
        } else {
            Ok(Scope::Name(text.to_owned()))
        };
    };
    match label.trim().split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok(Scope::Tag { key: key.trim().to_owned(), value: value.trim().to_owned() })
        }
        _ => Err(PlanError::new(
            format!("{} is no label and value", quoted(label)),
            "e.g. tag kind=write: p99<50ms",
        )),
    }
}

/// Windows begin and end with the seconds of the timeline.
fn whole_seconds(word: &str, text: Option<&str>) -> Result<u64, PlanError> {
    let missing = || PlanError::new(format!("\"{word}\" lacks its duration"), format!("e.g. {word} 10s"));
    let ns = parse_duration(text.ok_or_else(missing)?)?;
    if ns == 0 || ns % NANOS_PER_SECOND != 0 || ns > 3_600 * NANOS_PER_SECOND {
        return Err(PlanError::new(
            format!("\"{word} {}\" is not whole seconds up to an hour", duration_text(ns)),
            format!("e.g. {word} 10s"),
        ));
    }
    Ok(ns / NANOS_PER_SECOND)
}

/// An error when no name of `kind` is meant, which lists what there is.
pub(crate) fn check_scope(scope: &Scope, text: &str, kind: &str, names: &[Named]) -> Result<(), PlanError> {
    if names.iter().any(|named| scope.includes(named)) {
        return Ok(());
    }
    let known: Vec<&str> = names.iter().take(8).map(|named| named.name.as_str()).collect();
    let fix = if known.is_empty() { format!("the plan has no {kind}") } else { known.join(", ") };
    Err(PlanError::new(format!("{} is about no {kind} of the plan", quoted(text)), fix))
}

/// The names that a metric is counted by, and what they are called.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Workload,
    Group,
    Check,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Workload => "workload",
            Self::Group => "group",
            Self::Check => "check",
        }
    }

    pub(crate) fn of(self, names: &Names) -> &[Named] {
        match self {
            Self::Request => &names.requests,
            Self::Workload => &names.workloads,
            Self::Group => &names.groups,
            Self::Check => &names.checks,
        }
    }
}
