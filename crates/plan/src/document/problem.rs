//! What is wrong with a plan file: several faults at once, each pointing at its place.
//!
//! What it is: the collector that the readers of the parts share, and the error that a user sees. What it is not: a
//! judge; readers say what is wrong. Invariant: no value of a secret and no control character in any message.

use std::fmt;

use super::source::{Excerpt, Source, Span};
use super::suggest::nearest;
use super::tree::Scalar;
use crate::PlanError;
use crate::text::named;

/// Most faults that are told at once.
pub const MOST_FAULTS: usize = 10;

/// A fault of a plan file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// How to fix it.
    pub fix: String,
    excerpt: Excerpt,
}

/// Why a plan file cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FileError {
    /// The file's name.
    pub name: String,
    /// What is wrong with it, in the order of the file; at most [`MOST_FAULTS`].
    pub faults: Vec<Fault>,
    /// How many more there are.
    pub more: usize,
    refusal: bool,
}

impl FileError {
    /// Whether a safety rail says no to a plan that is otherwise valid.
    pub const fn is_refusal(&self) -> bool {
        self.refusal
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n\nerror: ")?;
            }
            write!(
                formatter,
                "{}:{}:{}: {} → {}",
                self.name, fault.line, fault.column, fault.what, fault.fix
            )?;
            let mut drawn = String::from("\n");
            fault.excerpt.draw(&mut drawn);
            formatter.write_str(&drawn)?;
        }
        match self.more {
            0 => Ok(()),
            1 => formatter.write_str("\n\nand 1 more"),
            more => write!(formatter, "\n\nand {more} more"),
        }
    }
}

/// A fault before its place is looked up.
#[derive(Clone, Debug)]
struct Found {
    span: Span,
    error: PlanError,
    /// Whether what stands there must not be shown.
    hidden: bool,
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Found>,
}

impl Problems {
    /// Something is wrong at `span`.
    pub(crate) fn add(&mut self, span: Span, what: impl Into<String>, fix: impl Into<String>) {
        self.push(span, PlanError::new(what, fix));
    }

    /// Something is wrong at `span`, and what stands there must not be shown.
    pub(crate) fn add_hidden(&mut self, span: Span, what: impl Into<String>, fix: impl Into<String>) {
        self.found.push(Found { span, error: PlanError::new(what, fix), hidden: true });
    }

    /// A part of the plan is refused as a flag would be.
    pub(crate) fn push(&mut self, span: Span, error: PlanError) {
        self.found.push(Found { span, error, hidden: false });
    }

    /// The text of a scalar is refused by its parser: points at the character where that is known, and says which
    /// variables were put in.
    pub(crate) fn refuse(&mut self, scalar: &Scalar, span: Span, error: PlanError) {
        let error = PlanError { place: None, ..error };
        if scalar.variables.is_empty() {
            let place = error.column.filter(|_| scalar.verbatim).map(|column| {
                let before = scalar.text.chars().take(column - 1).map(char::len_utf8).sum::<usize>();
                let start = (span.start + before).min(span.end);
                Span { start, end: span.end.max(start) }
            });
            self.push(place.unwrap_or(span), PlanError { column: None, ..error });
            return;
        }
        let names = scalar.variables.join(", ");
        if scalar.confidential {
            let what = format!("with {names} put in (not shown: it may hold a secret), this is not right");
            self.add(span, what, "another value for the variable");
        } else {
            let what = format!("with {names} put in: {}", error.what);
            self.add(span, what, error.fix);
        }
    }

    /// A name that is none of `known`.
    pub(crate) fn unknown<'a>(
        &mut self,
        span: Span,
        what: impl Into<String>,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let fix = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "there is none".into(),
            None => {
                let shown = known.iter().take(24).copied().collect::<Vec<_>>().join(", ");
                format!("one of {shown}{}", if known.len() > 24 { ", …" } else { "" })
            }
        };
        self.add(span, what, fix);
    }

    /// Whether nothing was wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many were found so far.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// The error for the user.
    pub(crate) fn into_error(mut self, source: &Source<'_>) -> FileError {
        self.found.sort_by_key(|found| found.span.start);
        self.found.dedup_by(|later, first| later.span == first.span && later.error == first.error);
        let refusal = !self.found.is_empty() && self.found.iter().all(|found| found.error.is_refusal());
        let more = self.found.len().saturating_sub(MOST_FAULTS);
        let faults = self.found.into_iter().take(MOST_FAULTS).map(|found| {
            let excerpt = source.excerpt(found.span, found.hidden);
            let PlanError { what, fix, .. } = found.error;
            Fault { line: excerpt.line, column: excerpt.column, what, fix, excerpt }
        });
        let name = named(source.name).trim_matches('"').to_owned();
        FileError { name, faults: faults.collect(), more, refusal }
    }
}
