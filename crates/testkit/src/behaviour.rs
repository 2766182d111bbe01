//! What a behaviour is, and the list of all of them.

use std::io;
use std::time::Duration;

use crate::peer::Peer;
use crate::{endings, floods, framing, honest, secure, silence};

/// What a conversation yields: an error when it is over, whoever ended it.
pub(crate) type Talk = io::Result<()>;

/// How a target takes connections.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accepting {
    /// As they come.
    AtOnce,
    /// One in each span of this length.
    Slowly(Duration),
    /// None; so many wait in the kernel, and it answers nobody else.
    Never(i32),
}

/// One thing that a target does.
#[derive(Copy, Clone, Debug)]
pub struct Behaviour {
    /// Its name, in the glossary's style: `drip_header`.
    pub name: &'static str,
    /// What the target does, as the rest of a sentence that begins with "It".
    pub what: &'static str,
    /// Whether it is spoken to over TLS.
    pub secure: bool,
    pub(crate) accepting: Accepting,
    pub(crate) serve: fn(&mut Peer) -> Talk,
}

impl Behaviour {
    /// A behaviour without TLS.
    pub(crate) const fn plain(name: &'static str, what: &'static str, serve: fn(&mut Peer) -> Talk) -> Self {
        Self { name, what, secure: false, accepting: Accepting::AtOnce, serve }
    }

    /// A behaviour of a target whose URL begins with `https`.
    pub(crate) const fn secure(name: &'static str, what: &'static str, serve: fn(&mut Peer) -> Talk) -> Self {
        Self { secure: true, ..Self::plain(name, what, serve) }
    }

    /// The same with another way to take connections.
    pub(crate) const fn accepting(self, accepting: Accepting) -> Self {
        Self { accepting, ..self }
    }
}

const FAMILIES: &[&[Behaviour]] = &[
    honest::BEHAVIOURS,
    silence::BEHAVIOURS,
    floods::BEHAVIOURS,
    framing::BEHAVIOURS,
    endings::BEHAVIOURS,
    secure::BEHAVIOURS,
];

/// All behaviours, family by family.
pub fn all() -> impl Iterator<Item = Behaviour> {
    FAMILIES.iter().flat_map(|family| family.iter().copied())
}

/// The behaviour of a name.
pub fn find(name: &str) -> Behaviour {
    all().find(|behaviour| behaviour.name == name).unwrap_or_else(|| panic!("no behaviour is named {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sentences_are_sentences() {
        let mut names: Vec<&str> = all().map(|behaviour| behaviour.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for behaviour in all() {
            assert!(behaviour.what.len() > 10 && !behaviour.what.ends_with('.'), "{}", behaviour.name);
            assert!(!behaviour.what.contains('|'), "{}: it stands in a table", behaviour.name);
        }
    }
}
