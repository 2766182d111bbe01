//! Hot path. The connections of one thread, by token.
//!
//! Invariant: a token names one connection for ever. It carries the place and the place's generation, so that an
//! event or a deadline of a connection that is gone finds nothing.

use crate::connection::Connection;

/// Places for connections.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    connection: Option<Connection>,
}

impl Slab {
    /// Keeps a connection and returns its token.
    pub(crate) fn insert(&mut self, connection: Connection) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, connection: None });
            // Invariant: descriptors are 31-bit numbers, so there are never more connections than that.
            u32::try_from(self.places.len() - 1).expect("Invariant: fewer than 2^32 connections")
        });
        let place = &mut self.places[index as usize];
        place.connection = Some(connection);
        u64::from(place.generation) << 32 | u64::from(index)
    }

    /// The connection that `token` names, if it is still there.
    pub(crate) fn by_token(&mut self, token: u64) -> Option<&mut Connection> {
        self.place(token)?.connection.as_mut()
    }

    /// Takes the connection out; its token is worth nothing from now on.
    pub(crate) fn remove(&mut self, token: u64) -> Option<Connection> {
        let place = self.place(token)?;
        let connection = place.connection.take()?;
        // 31 bits, so that no token ever equals those of the worker.
        place.generation = (place.generation + 1) & 0x7fff_ffff;
        self.free.push(index_of(token));
        Some(connection)
    }

    /// Takes all of them out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Connection> {
        self.free.clear();
        std::mem::take(&mut self.places).into_iter().filter_map(|place| place.connection)
    }

    fn place(&mut self, token: u64) -> Option<&mut Place> {
        let place = self.places.get_mut(index_of(token) as usize)?;
        (u64::from(place.generation) == token >> 32).then_some(place)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is the index")]
fn index_of(token: u64) -> u32 {
    token as u32
}
