//! The nodes: who is there, how its clock stands, until when it may act.
//!
//! What it is: membership, clock offsets and leases. What it is not: aware of runs; it says who is free, alive or late, and
//! runs decide by that.
//!
//! ```text
//!            Hello                 beats stop         lease over
//!   (none) ────────► connected ───────────────► suspect ────────► lost ──Hello──► connected
//!                        │ ▲                                                       (a later life, or the same one,
//!                 Drain  ▼ │ Admit                                                  which by then owns nothing)
//!                     draining        told what cannot be: quarantined, until somebody admits it
//! ```
//!
//! Invariants: of two lives of a node only the later one is heard, but for measurements; the end of a lease as it stands
//! here is never before the end that the node knows.

pub(crate) mod deal;
pub(crate) mod offset;

use std::collections::BTreeMap;

use clock::Timestamp;
use wire::{Beat, Hello, RunKey};

use offset::{Estimate, Offset};

use crate::director::{Settings, Standing};

/// Every lease is longer here by a thousandth and this margin, in nanoseconds: two clocks that tick at rates within a
/// thousandth of each other agree on its end.
const LEASE_MARGIN_NS: u64 = 10_000_000;
/// Silence after which a node is suspect, in beats.
const SUSPECT_BEATS: u64 = 3;
/// Nodes that are known at a time; names cost memory, and anybody with a token can make up names.
const NODES_MOST: usize = 4_096;

/// Everybody.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) nodes: BTreeMap<String, Node>,
    sessions: BTreeMap<u64, String>,
    /// Until when a life of a node may act on what it was granted.
    leases: BTreeMap<String, BTreeMap<u64, Timestamp>>,
    /// Who is shut out, and why.
    pub(crate) quarantined: BTreeMap<String, String>,
    /// Who is given no more load, and whether its process ends once it is idle; there or not.
    pub(crate) draining: BTreeMap<String, bool>,
}

/// One node, as its latest life.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) hello: Hello,
    pub(crate) session: Option<u64>,
    /// Its last sign of life.
    pub(crate) seen: Timestamp,
    pub(crate) beat: Beat,
    pub(crate) offset: Offset,
    /// Since it connected, or was taken back, it was granted a lease.
    pub(crate) granted: bool,
    /// It takes part in no further run; whether its process shall end.
    pub(crate) draining: Option<bool>,
    /// The life that drains because its process is to end, which the next one has nothing to do with.
    pub(crate) leaving: Option<u64>,
    /// It was told that it may go.
    pub(crate) retired: bool,
    /// It said good-bye.
    pub(crate) gone: bool,
    /// The run that it works for.
    pub(crate) busy: Option<RunKey>,
}

/// How a Hello was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// It is one of us. `old`: the connection that it had.
    Taken {
        /// To be closed.
        old: Option<u64>,
    },
    /// It is not.
    Refused {
        /// Why, in words.
        reason: String,
    },
}

impl Fleet {
    /// Nobody is there yet.
    pub(crate) fn new(standing: Standing) -> Self {
        let Standing { quarantined, draining } = standing;
        Self { quarantined, draining, ..Self::default() }
    }

    /// A node is given no more load, or with `None` is taken back; whether that is new.
    pub(crate) fn drain(&mut self, name: &str, exit: Option<bool>) -> bool {
        if let Some(node) = self.nodes.get_mut(name) {
            // Another order is told anew.
            node.retired &= node.draining == exit;
            (node.draining, node.leaving) = (exit, None);
        }
        let before = match exit {
            Some(exit) => self.draining.insert(name.to_owned(), exit),
            None => self.draining.remove(name),
        };
        before != exit
    }

    /// Hears a Hello.
    pub(crate) fn greet(&mut self, now: Timestamp, session: u64, hello: &Hello, version: &str) -> Greeting {
        let refused = |reason: String| Greeting::Refused { reason };
        if let Some(reason) = unfit(hello, version) {
            return refused(reason);
        }
        if let Some(reason) = self.quarantined.get(&hello.node) {
            return refused(format!(
                "node {} is shut out: {reason}; somebody has to admit it again",
                hello.node
            ));
        }
        let known = self.nodes.get(&hello.node);
        if known.is_none() && self.nodes.len() >= NODES_MOST && !self.forget_one() {
            return refused(format!("{NODES_MOST} nodes are known already"));
        }
        let known = self.nodes.get(&hello.node);
        if known.is_some_and(|node| node.hello.incarnation > hello.incarnation) {
            return refused(format!(
                "a later life of node {} is here; two processes must not have one name",
                hello.node
            ));
        }
        let same_life = known.is_some_and(|node| node.hello.incarnation == hello.incarnation);
        let old = known.and_then(|node| node.session);
        // A drain outlives the process that it was asked of, unless the process itself asked, and the coordinator; a run does
        // not outlive the former.
        let draining = self.draining.get(&hello.node).copied();
        if let Some(old) = old {
            self.sessions.remove(&old);
        }
        self.sessions.insert(session, hello.node.clone());
        let fresh = || Node {
            hello: hello.clone(),
            session: None,
            seen: now,
            beat: Beat::default(),
            offset: Offset::default(),
            granted: false,
            draining,
            leaving: None,
            retired: false,
            gone: false,
            busy: None,
        };
        let node = self.nodes.entry(hello.node.clone()).or_insert_with(fresh);
        if !same_life {
            *node = fresh();
        }
        node.hello = hello.clone();
        (node.session, node.seen, node.gone) = (Some(session), now, false);
        (node.granted, node.retired) = (false, false);
        node.offset.disconnected();
        Greeting::Taken { old }
    }

    /// Makes room by forgetting one that is neither connected nor at work.
    fn forget_one(&mut self) -> bool {
        let idle = self.nodes.iter().find(|(_, node)| node.session.is_none() && node.busy.is_none());
        let name = idle.map(|(name, _)| name.clone());
        name.is_some_and(|name| self.nodes.remove(&name).is_some())
    }

    /// Whose connection this is.
    pub(crate) fn of_session(&self, session: u64) -> Option<&str> {
        self.sessions.get(&session).map(String::as_str)
    }

    /// A connection is no more; whose it was.
    pub(crate) fn closed(&mut self, session: u64) -> Option<String> {
        let name = self.sessions.remove(&session)?;
        if let Some(node) = self.nodes.get_mut(&name).filter(|node| node.session == Some(session)) {
            node.session = None;
            node.offset.disconnected();
        }
        Some(name)
    }

    /// The connection to a life of a node.
    pub(crate) fn session(&self, name: &str, incarnation: u64) -> Option<u64> {
        self.nodes.get(name).filter(|node| node.hello.incarnation == incarnation)?.session
    }

    /// The node, if this life is its latest.
    pub(crate) fn life(&self, name: &str, incarnation: u64) -> Option<&Node> {
        self.nodes.get(name).filter(|node| node.hello.incarnation == incarnation)
    }

    /// A lease that is granted now.
    pub(crate) fn grant(&mut self, now: Timestamp, name: &str, settings: &Settings) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.granted = true;
        let over = lease_over(now, settings);
        // It comes with every beat of every node.
        match self.leases.get_mut(name) {
            Some(lives) => lives.insert(node.hello.incarnation, over),
            None => self.leases.entry(name.to_owned()).or_default().insert(node.hello.incarnation, over),
        };
    }

    /// A life of a node may hold a lease that was granted until now at the latest, by us or before us.
    pub(crate) fn presume(&mut self, now: Timestamp, name: &str, incarnation: u64, settings: &Settings) {
        let over = lease_over(now, settings);
        let lease = self.leases.entry(name.to_owned()).or_default().entry(incarnation).or_insert(over);
        *lease = (*lease).max(over);
    }

    /// A life of a node has surely ended.
    pub(crate) fn died(&mut self, name: &str, incarnation: u64) {
        if let Some(lives) = self.leases.get_mut(name) {
            lives.remove(&incarnation);
        }
    }

    /// When a life of a node can surely not act any more on what it was granted; `None`: it never could, or it is dead.
    pub(crate) fn lease_over(&self, name: &str, incarnation: u64) -> Option<Timestamp> {
        self.leases.get(name)?.get(&incarnation).copied()
    }

    /// Forgets leases that nobody asks for any more.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        let nodes = &self.nodes;
        self.leases.retain(|name, lives| {
            let present =
                nodes.get(name).filter(|node| node.busy.is_some()).map(|node| node.hello.incarnation);
            lives.retain(|incarnation, over| *over > now || present == Some(*incarnation));
            !lives.is_empty()
        });
    }
}

impl Node {
    /// Whether it can be taken for a run.
    pub(crate) fn is_free(&self) -> bool {
        self.busy.is_none() && self.is_steady()
    }

    /// Whether it is there, and goes on taking part in runs.
    pub(crate) fn is_steady(&self) -> bool {
        self.session.is_some() && self.draining.is_none() && !self.gone
    }

    /// Whether beats are missing.
    pub(crate) fn is_suspect(&self, now: Timestamp, settings: &Settings) -> bool {
        now.nanos_since(self.seen) > SUSPECT_BEATS * settings.beat_ns
    }

    /// Its clock, if it was measured.
    pub(crate) fn clock(&self, now: Timestamp) -> Option<Estimate> {
        self.offset.estimate(now)
    }

    /// Whether it has these labels; `zone` is one of them.
    pub(crate) fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(label, value)| {
            let own = if label == "zone" { self.hello.zone.as_ref() } else { self.hello.labels.get(label) };
            own == Some(value)
        })
    }
}

/// The end of a lease that is granted now, as late as any clock could see it.
fn lease_over(now: Timestamp, settings: &Settings) -> Timestamp {
    now.plus_nanos(lease_bound_ns(settings))
}

/// How long a lease can last at most, by our clock.
pub(crate) fn lease_bound_ns(settings: &Settings) -> u64 {
    settings.lease_ns + settings.lease_ns / 1_000 + LEASE_MARGIN_NS
}

/// Why nobody of this kind can be a node here.
fn unfit(hello: &Hello, version: &str) -> Option<String> {
    let named = |text: &str| !text.is_empty() && text.len() <= 128 && !text.chars().any(char::is_control);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !named(&hello.node) || !hello.node.bytes().all(plain) || hello.node.starts_with('.') {
        return Some("a node's name has 1 to 128 letters, digits, '-', '.' and '_'".to_owned());
    }
    if hello.version != version {
        return Some(format!(
            "node {} is version {}, the coordinator is version {version}; a run needs the same one everywhere",
            hello.node, hello.version
        ));
    }
    let labels = hello.labels.len() <= 64
        && hello.labels.iter().all(|(label, value)| named(label) && value.len() <= 256);
    let short = hello.host.len() <= 256 && hello.boot_id.len() <= 64 && hello.left_behind.len() <= 1_024;
    let zone = hello.zone.as_deref().is_none_or(named);
    (!labels || !short || !zone)
        .then(|| format!("node {} has labels, or a zone, that are too long", hello.node))
}

#[cfg(test)]
mod tests;
