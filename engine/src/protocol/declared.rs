//! What a protocol declares of itself, read once and checked.
//!
//! What it is: the names by which a run of an own protocol is counted. What it is not: on any hot path.

use std::collections::BTreeSet;
use std::sync::Arc;

use measure::{FIRST_STATUS, Named, Names};

use super::{Protocol, Status};
use crate::conn::Own;

/// Requests and statuses that a protocol may have, each.
const MOST: usize = 100;
/// Bytes of a name.
const LONGEST: usize = 100;

/// An own protocol, and what the report calls it.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// Its name, such as `redis`.
    pub name: &'static str,
    /// How it is spoken.
    pub protocol: Arc<dyn Protocol>,
    pub(crate) declared: Declared,
}

impl Spoken {
    /// Asks a protocol for its names.
    ///
    /// # Errors
    /// What it declares cannot be counted: what is wrong, and how to fix it.
    pub fn new(name: &'static str, protocol: Arc<dyn Protocol>) -> Result<Self, String> {
        let declared = Declared::of(&*protocol)?;
        Ok(Self { name, protocol, declared })
    }

    /// A session for a new connection.
    pub(crate) fn session(&self) -> Own {
        Own::new(self.protocol.session(), self.declared.statuses.len())
    }
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    requests: Vec<String>,
    statuses: Vec<Status>,
}

impl Declared {
    fn of(protocol: &dyn Protocol) -> Result<Self, String> {
        let (requests, statuses) = (protocol.requests(), protocol.statuses());
        check("requests", requests.iter().map(String::as_str))?;
        check("statuses", statuses.iter().map(|status| status.name.as_str()))?;
        Ok(Self { requests, statuses })
    }

    /// What the report calls everything.
    pub(crate) fn names(&self) -> Names {
        Names {
            requests: self.requests.iter().cloned().map(Named::from).collect(),
            statuses: self.statuses.iter().map(|status| status.name.clone()).collect(),
            ..Names::default()
        }
    }

    /// Whether a status, as it is counted, is a failure. What was not declared is none; it does not come this far.
    pub(crate) fn is_failure(&self, code: u16) -> bool {
        let place = code.checked_sub(FIRST_STATUS).map(usize::from);
        place.and_then(|place| self.statuses.get(place)).is_some_and(|status| status.is_failure)
    }
}

fn check<'a>(list: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
            return Err(format!(
                "the protocol's {list}: {} is no name → 1 to {LONGEST} bytes without control characters",
                plan::quoted(name)
            ));
        }
        if !seen.insert(name) {
            return Err(format!(
                "the protocol's {list}: {} stands twice → each name once",
                plan::quoted(name)
            ));
        }
    }
    if (1..=MOST).contains(&seen.len()) {
        return Ok(());
    }
    Err(format!("the protocol's {list}: there are {} → 1 to {MOST}", seen.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Session;

    #[derive(Debug)]
    struct Named(Vec<&'static str>, Vec<&'static str>);

    impl Protocol for Named {
        fn requests(&self) -> Vec<String> {
            self.0.iter().map(ToString::to_string).collect()
        }

        fn statuses(&self) -> Vec<Status> {
            self.1.iter().copied().map(Status::bad).collect()
        }

        fn session(&self) -> Box<dyn Session> {
            unreachable!("nobody connects")
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let many = vec!["x"; 101];
        for (requests, statuses, message) in [
            (vec![], vec!["ok"], "the protocol's requests: there are 0 → 1 to 100"),
            (vec!["get"], vec![], "the protocol's statuses: there are 0 → 1 to 100"),
            (vec!["get", "get"], vec!["ok"], "the protocol's requests: \"get\" stands twice"),
            (vec!["get"], vec!["ok", "\n"], "control characters"),
            (vec![""], vec!["ok"], "is no name"),
            (many, vec!["ok"], "stands twice"),
        ] {
            let told = Declared::of(&Named(requests, statuses)).expect_err(message);
            assert!(told.contains(message), "{told}");
        }
        let declared = Declared::of(&Named(vec!["get"], vec!["ERR"])).expect("it is sound");
        assert!(declared.is_failure(100) && !declared.is_failure(101) && !declared.is_failure(0));
        assert_eq!(declared.names().status(100), "ERR");
    }
}
