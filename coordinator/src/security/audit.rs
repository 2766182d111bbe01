//! What is noted of those who were not let in.
//!
//! What it is: lines for the coordinator's log, bounded in number and in how fast they come, so that whoever tries fills no disk.
//! What it is not: a record of right tokens, nor of what a wrong one said.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use clock::{NANOS_PER_SECOND, Timestamp};

/// Lines that come at once.
const BURST: u64 = 20;
/// One more is noted after this time.
const REFILL_NS: u64 = 5 * NANOS_PER_SECOND;

/// Where refusals are noted. Clones note in the same place.
#[derive(Clone, Debug, Default)]
pub struct Audit(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    lines: VecDeque<String>,
    full_at: Timestamp,
    /// Refusals that found no room.
    unsaid: u64,
}

impl Noted {
    fn has_room(&self, now: Timestamp) -> bool {
        self.full_at <= now.plus_nanos((BURST - 1) * REFILL_NS)
    }

    fn say(&mut self, now: Timestamp, line: String) {
        self.full_at = self.full_at.max(now).plus_nanos(REFILL_NS);
        self.lines.push_back(line);
    }
}

impl Audit {
    /// Somebody was not let in at an edge, for a reason that says nothing of the token.
    pub fn refused(&self, now: Timestamp, edge: &str, peer: IpAddr, why: &str) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !noted.has_room(now) {
            noted.unsaid = noted.unsaid.saturating_add(1);
            return;
        }
        noted.say(now, format!("{edge} refused {}: {why}", peer.to_canonical()));
    }

    /// What was noted since.
    pub fn take(&self, now: Timestamp) -> Vec<String> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.unsaid > 0 && noted.has_room(now) {
            let line = format!("{} more were refused than are noted here", noted.unsaid);
            noted.unsaid = 0;
            noted.say(now, line);
        }
        noted.lines.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_counted_and_not_listed() {
        let (audit, peer) = (Audit::default(), "::ffff:10.0.0.9".parse().unwrap());
        let at = |second: u64| Timestamp::from_nanos(second * NANOS_PER_SECOND);
        assert!(audit.take(at(100)).is_empty());
        for _ in 0..1_000 {
            audit.clone().refused(at(100), "the nodes' edge", peer, "the token has expired");
        }
        let lines = audit.take(at(100));
        assert_eq!(lines.len() as u64, BURST);
        assert_eq!(lines[0], "the nodes' edge refused 10.0.0.9: the token has expired");
        assert!(audit.take(at(101)).is_empty());
        assert_eq!(audit.take(at(106)), ["980 more were refused than are noted here"]);
        audit.refused(at(300), "the HTTP edge", peer, "no");
        assert_eq!(audit.take(at(300)).len(), 1);
    }
}
