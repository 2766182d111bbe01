//! Sends that wait for their turn on a connection.
//!
//! What it is: one pool of linked lists, a list for each connection that has any; it grows only when more sends
//! wait than ever before.
//! What it is not: the ordinary path. A request finds its connection idle and is submitted at once.

use crate::connection::{Connection, NONE, Source};

/// One waiting send.
#[derive(Debug)]
struct Entry {
    source: Source,
    next: u32,
}

/// The waiting sends of all connections.
#[derive(Debug)]
pub(crate) struct Waiting {
    entries: Vec<Entry>,
    free: u32,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), free: NONE }
    }

    /// Appends to the list of `connection`.
    pub(crate) fn push(&mut self, connection: &mut Connection, source: Source) {
        let entry = Entry { source, next: NONE };
        let position = if self.free == NONE {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 sends wait")
        } else {
            let position = self.free;
            self.free = std::mem::replace(&mut self.entries[position as usize], entry).next;
            position
        };
        match connection.last_waiting {
            NONE => connection.first_waiting = position,
            last => self.entries[last as usize].next = position,
        }
        connection.last_waiting = position;
    }

    /// Takes the first of the list of `connection`.
    pub(crate) fn pop(&mut self, connection: &mut Connection) -> Option<Source> {
        if connection.first_waiting == NONE {
            return None;
        }
        let position = connection.first_waiting;
        let entry = &mut self.entries[position as usize];
        connection.first_waiting = entry.next;
        if entry.next == NONE {
            connection.last_waiting = NONE;
        }
        entry.next = self.free;
        self.free = position;
        Some(entry.source)
    }

    /// Empties the list of `connection`.
    pub(crate) fn clear(&mut self, connection: &mut Connection) {
        while self.pop(connection).is_some() {}
    }
}
