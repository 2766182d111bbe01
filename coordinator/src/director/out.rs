//! What the director wants done, as it comes up.
//!
//! Invariant: whatever is sent by [`Out::send`] waits for every record that was kept before it.

use std::sync::Arc;

use wire::{LogLine, RunKey, ToNode};

use super::event::{Action, Answer};
use super::record::{Origin, Record, Settings};
use crate::handle::{Refused, SecondView};

/// Where actions go, and what everybody who decides must know of the coordinator.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    pub(crate) actions: &'a mut Vec<Action>,
    pub(crate) number: &'a mut u64,
    pub(crate) origin: &'a Origin,
}

impl Out<'_> {
    /// Keeps a record.
    pub(crate) fn keep(&mut self, record: Record) {
        *self.number += 1;
        self.actions.push(Action::Keep { number: *self.number, record: Box::new(record) });
    }

    /// Tells a node something, once everything that was decided is durable.
    pub(crate) fn send(&mut self, session: u64, message: ToNode) {
        self.actions.push(Action::Send { session, message: Box::new(message), after: *self.number });
    }

    /// Tells a node something that nothing has to be durable for.
    pub(crate) fn send_now(&mut self, session: u64, message: ToNode) {
        self.actions.push(Action::Send { session, message: Box::new(message), after: 0 });
    }

    pub(crate) fn close(&mut self, session: u64) {
        self.actions.push(Action::Close { session, after: *self.number });
    }

    pub(crate) fn answer(&mut self, ticket: u64, answer: Result<Answer, Refused>) {
        self.actions.push(Action::Answer { ticket, answer, after: *self.number });
    }

    pub(crate) fn note(&mut self, run: Option<RunKey>, text: String) {
        self.actions.push(Action::Note { run, text });
    }

    pub(crate) fn log(&mut self, node: &str, lines: Vec<LogLine>) {
        self.actions.push(Action::Log { node: node.to_owned(), lines });
    }

    pub(crate) fn second(&mut self, run: RunKey, second: Arc<SecondView>) {
        self.actions.push(Action::Second { run, second });
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.origin.settings
    }

    pub(crate) fn term(&self) -> u64 {
        self.origin.term
    }

    pub(crate) fn boot_id(&self) -> &str {
        &self.origin.boot_id
    }

    pub(crate) fn version(&self) -> &str {
        &self.origin.version
    }

    pub(crate) fn unix_offset_ns(&self) -> u64 {
        self.origin.unix_offset_ns
    }
}
