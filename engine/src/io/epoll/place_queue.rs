//! Hot path. A queue of places of the connection table in which each place stands at most once.
//!
//! It belongs to places, not to their tenants: a place may outlive here the connection for which it was put in.
//! Nothing is allocated after construction.

use std::collections::VecDeque;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct PlaceQueue {
    places: VecDeque<u32>,
    stands: Box<[bool]>,
}

impl PlaceQueue {
    /// An empty queue for places below `count`.
    pub(super) fn new(count: usize) -> Self {
        Self { places: VecDeque::with_capacity(count), stands: vec![false; count].into_boxed_slice() }
    }

    /// Puts a place at the end, unless it stands in the queue already.
    pub(super) fn push(&mut self, place: u32) {
        let stands = &mut self.stands[place as usize];
        if !*stands {
            *stands = true;
            self.places.push_back(place);
        }
    }

    /// Takes the first place out.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let place = self.places.pop_front()?;
        self.stands[place as usize] = false;
        Some(place)
    }

    pub(super) fn contains(&self, place: u32) -> bool {
        self.stands[place as usize]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}
