//! The driver of simulated sockets in simulated time.
//!
//! What it is: [`Io`] over a discrete-event network, decided by a seed alone. [`Io::wait`] jumps to the next
//! event, so a simulated hour takes seconds. Peers are machines ([`Peer`]); what they saw is kept ([`Truth`])
//! for tests to hold against what the shard reports.
//! What it is not: a model of TCP's congestion control, or of a slow processor: the shard's own work takes no
//! time.
//!
//! It is stricter than the drivers of real sockets, and panics when the shard breaks the contract of [`Io`]:
//! a buffer given back twice or never ([`SimIo::finish`]), a name that was never given, discarding or closing
//! what is closed, a second owned send while one is under way.
//!
//! It is meaner, too, as far as [`Network`] says: it cuts receives short, hands completions of different
//! connections out in any order (never those of one), wakes early and late, delays handshakes, refuses as a
//! machine without descriptors or ports does, and breaks connections at a send.

mod link;
mod network;
mod peer;
mod random;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod truth;
mod world;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use clock::Timestamp;

use self::link::{Arrival, Link, Outgoing, Segment};
pub use self::network::{LocalRefusal, Network};
pub use self::peer::{Answer, Listener, Pace, Peer, Turn};
pub use self::random::Random;
pub use self::script::{Script, Step};
pub use self::server::{DelayLaw, HttpServer, Quirk, Stall};
pub use self::truth::{ConnectionSeen, RequestSeen, Truth};
use self::world::{LinkKey, World};
use super::buffers::Buffers;
use super::{Completion, ConnId, Errno, Guard, Io, Lent, Limits, Message, PreparedId, Route, Wait};

/// Completions that one connection gets from one wait at most.
const COMPLETIONS_PER_WAIT: usize = 4;

/// One place of the connection table.
#[derive(Debug, Default)]
struct Place {
    generation: u32,
    tenant: Option<Tenant>,
}

/// The driver's side of a connection.
#[derive(Debug)]
struct Tenant {
    key: LinkKey,
    /// Bytes of completions that are collected but not handed out.
    undelivered: u64,
    /// Bytes to throw away, counted from what comes after `undelivered`.
    discard: u64,
    /// So many of them were under way already, and come as received.
    raced: u64,
    /// An owned send is under way.
    sends_owned: bool,
}

/// An [`Io`] in simulated time. See the module's documentation.
#[derive(Debug)]
pub struct SimIo {
    world: World,
    places: Vec<Place>,
    free: Vec<u32>,
    buffers: Buffers,
    prepared: Vec<Arc<[u8]>>,
    taken: u64,
    completions: VecDeque<Completion>,
    /// Links that wait for a receive buffer.
    starved: BTreeSet<LinkKey>,
}

impl SimIo {
    /// A machine on that network, on which nobody listens yet.
    pub fn new(limits: Limits, network: Network) -> Self {
        Self {
            world: World::new(network),
            places: (0..limits.connections).map(|_| Place::default()).collect(),
            free: (0..limits.connections).rev().collect(),
            buffers: Buffers::new(&limits),
            prepared: Vec::new(),
            taken: 0,
            completions: VecDeque::new(),
            starved: BTreeSet::new(),
        }
    }

    /// Has `listener` answer attempts to connect to `address`; before that they are refused.
    pub fn listen(&mut self, address: SocketAddr, listener: impl Listener + 'static) {
        self.world.listen(address, Box::new(listener));
    }

    /// What the peers saw so far.
    pub fn truth(&self) -> &Truth {
        &self.world.truth
    }

    /// Connections that the shard has not closed.
    pub fn open_count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The process does not run for so long, while the world goes on.
    pub fn freeze(&mut self, nanos: u64) {
        self.world.advance(self.world.now.plus_nanos(nanos));
    }

    /// Ends the simulation: what the shard has not closed closes now, and the peers learn of it.
    ///
    /// # Panics
    /// The shard has kept a lent buffer.
    pub fn finish(mut self) -> Truth {
        while let Some(completion) = self.completion() {
            if let Completion::Received { lent, .. } = completion {
                self.release(lent);
            }
        }
        let leaked = self.buffers.lent_count();
        assert!(leaked == 0, "the shard never gave {leaked} lent buffers back");
        for index in 0..self.places.len() {
            if let Some(tenant) = &self.places[index].tenant {
                self.world.close(tenant.key);
            }
        }
        let last = self.world.now.plus_nanos(self.world.network.latency_ns + self.world.network.jitter_ns);
        self.world.advance(last);
        self.world.truth
    }

    /// The living connection of that name; `None` when it was closed.
    fn tenant(&mut self, conn: ConnId) -> Option<&mut Tenant> {
        let place = self
            .places
            .get_mut(conn.index as usize)
            .unwrap_or_else(|| panic!("{conn:?} was never given: there is no such place"));
        let known = conn.generation <= place.generation;
        assert!(known, "{conn:?} was never given: generation {} is the newest", place.generation);
        if place.generation == conn.generation { place.tenant.as_mut() } else { None }
    }

    fn vacate(&mut self, conn: ConnId) {
        let place = &mut self.places[conn.index as usize];
        if let Some(tenant) = place.tenant.take() {
            self.world.close(tenant.key);
            self.starved.remove(&tenant.key);
        }
        place.generation += 1;
        self.free.push(conn.index);
    }

    fn send_segment(&mut self, conn: ConnId, segment: Segment, owned: Option<Vec<u8>>) {
        let Some(tenant) = self.tenant(conn) else { return };
        if owned.is_some() {
            assert!(!tenant.sends_owned, "{conn:?} already has an owned send under way");
            tenant.sends_owned = true;
        }
        let key = tenant.key;
        self.taken += segment.len() as u64;
        self.world.send(key, Outgoing { segment, owned });
    }

    /// Turns what lies at the near ends into completions, connections in any order.
    fn collect(&mut self) {
        let mut order: Vec<LinkKey> = std::mem::take(&mut self.world.ready).into_iter().collect();
        let mut taken = vec![0; order.len()];
        while !order.is_empty() {
            let drawn = self.world.random.up_to(order.len() as u64 - 1);
            let place = usize::try_from(drawn).expect("drawn below a length");
            taken[place] += 1;
            let goes_on = self.collect_one(order[place]);
            if goes_on && taken[place] < COMPLETIONS_PER_WAIT {
                continue;
            }
            if goes_on {
                self.world.ready.insert(order[place]);
            }
            order.swap_remove(place);
            taken.swap_remove(place);
        }
    }

    /// At most one completion of that link; whether there is more to collect.
    fn collect_one(&mut self, key: LinkKey) -> bool {
        let Some(link) = self.world.link(key) else { return false };
        let conn = link.conn;
        let completion = match link.arrived.front() {
            None => return false,
            Some(Arrival::Bytes(_)) => return self.collect_bytes(key, conn),
            Some(_) => match link.arrived.pop_front().expect("just looked at") {
                Arrival::Connected => Completion::Connected { conn },
                Arrival::Refused(errno) => Completion::ConnectFailed { conn, errno },
                Arrival::Ended => Completion::Ended { conn },
                Arrival::Failed(errno) => Completion::Failed { conn, errno },
                Arrival::Sent(buffer) => {
                    let tenant = self.places[conn.index as usize].tenant.as_mut();
                    tenant.expect("a closed connection leaves nothing to collect").sends_owned = false;
                    Completion::Sent { conn, buffer }
                }
                Arrival::Bytes(_) => unreachable!("matched above"),
            },
        };
        self.completions.push_back(completion);
        true
    }

    fn collect_bytes(&mut self, key: LinkKey, conn: ConnId) -> bool {
        let tenant = self.places[conn.index as usize].tenant.as_mut();
        let tenant = tenant.expect("a closed connection leaves nothing to collect");
        let is_cut = self.world.random.chance(self.world.network.cut_per_million);
        let mut most = self.buffers.size() as u64;
        let discards = tenant.discard > 0 && tenant.raced == 0;
        if discards {
            most = tenant.discard;
        } else if tenant.raced > 0 {
            most = most.min(tenant.raced);
        }
        if is_cut {
            most = 1 + self.world.random.up_to(most - 1);
        }
        let link = self.world.link(key).expect("collected from");
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if discards {
            let count = take_bytes(link, most, |_| {});
            tenant.discard -= count;
            tenant.undelivered += count;
            self.completions.push_back(Completion::Discarded { conn, count });
            return true;
        }
        let Some(buffer) = self.buffers.take() else {
            self.starved.insert(key);
            return false;
        };
        let memory = self.buffers.whole(buffer);
        let mut filled = 0;
        let count = take_bytes(link, most, |bytes| {
            memory[filled..filled + bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
        });
        tenant.raced = tenant.raced.saturating_sub(count);
        tenant.discard = tenant.discard.saturating_sub(count);
        tenant.undelivered += count;
        let len = u32::try_from(count).expect("a buffer's size is 32-bit");
        self.completions.push_back(Completion::Received { conn, lent: Lent { buffer, len } });
        true
    }

    /// Lets time pass until something lies at a near end, at the latest until `target`.
    fn pass(&mut self, target: Timestamp) {
        while self.world.ready.is_empty() {
            match self.world.next_at().filter(|at| *at <= target) {
                Some(at) => self.world.advance(at),
                None => return self.world.advance(target),
            }
        }
        if self.world.network.coalesce_ns > 0 {
            let late = self.world.random.up_to(self.world.network.coalesce_ns);
            self.world.advance(self.world.now.plus_nanos(late));
        }
    }
}

/// Takes up to `most` arrived bytes that lie before anything else; how many there were.
fn take_bytes(link: &mut Link, most: usize, mut see: impl FnMut(&[u8])) -> u64 {
    let mut left = most;
    while left > 0
        && let Some(Arrival::Bytes(segment)) = link.arrived.front_mut()
    {
        let front = segment.split_front(segment.len().min(left));
        if segment.len() == 0 {
            link.arrived.pop_front();
        }
        left -= front.len();
        see(front.as_slice());
    }
    (most - left) as u64
}

impl Io for SimIo {
    const SENDS_AT_ONCE: bool = true;

    fn now(&mut self) -> Timestamp {
        self.world.now
    }

    /// Simulated sockets keep what is under way: here a message lies in memory as a whole.
    fn prepare_message(&mut self, message: Message) -> PreparedId {
        let id = u32::try_from(self.prepared.len()).expect("fewer than 2^32 prepared sends");
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < message.size() {
            bytes.extend_from_slice(message.piece(bytes.len() as u64));
        }
        self.prepared.push(bytes.into());
        PreparedId(id)
    }

    fn bytes_taken(&self) -> u64 {
        self.taken
    }

    fn connect(&mut self, route: &Route) -> Result<ConnId, Errno> {
        let address = route.peer().expect("the simulation has no Unix sockets");
        let now = self.world.now;
        let refusal =
            self.world.network.refusals.iter().find(|refusal| refusal.from <= now && now < refusal.until);
        let refusal = refusal.map(|refusal| refusal.errno);
        let full = self.free.is_empty().then_some(super::TABLE_FULL);
        if let Some(errno) = refusal.or(full) {
            self.world.truth.refused_locally += 1;
            return Err(errno);
        }
        let index = self.free.pop().expect("checked above");
        let place = &mut self.places[index as usize];
        let conn = ConnId { index, generation: place.generation };
        let key = self.world.connect(conn, address);
        place.tenant = Some(Tenant { key, undelivered: 0, discard: 0, raced: 0, sends_owned: false });
        Ok(conn)
    }

    fn send(&mut self, conn: ConnId, prepared: PreparedId) {
        self.world.now = self.world.now.plus_nanos(self.world.network.send_ns);
        let bytes = Arc::clone(&self.prepared[prepared.0 as usize]);
        self.send_segment(conn, Segment::whole(bytes), None);
    }

    fn send_owned(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.send_segment(conn, Segment::whole(Arc::from(&bytes[..])), Some(bytes));
    }

    fn withhold(&mut self) {}

    fn guard(&mut self, _may_leave: Guard) {}

    fn discard(&mut self, conn: ConnId, count: u64) {
        let tenant = self.tenant(conn).unwrap_or_else(|| panic!("{conn:?} discards after its end"));
        // What is collected already is the first part of the next `count` bytes.
        tenant.discard = tenant.discard.max(count.saturating_sub(tenant.undelivered));
        let (key, discard) = (tenant.key, tenant.discard);
        let arrived = self.world.link(key).map_or(0, |link| link.arrived_bytes());
        let raced = self.world.random.up_to(arrived.min(discard));
        if let Some(tenant) = self.tenant(conn) {
            tenant.raced = raced;
        }
        if self.starved.remove(&key) {
            self.world.ready.insert(key);
        }
    }

    fn close(&mut self, conn: ConnId) {
        assert!(self.tenant(conn).is_some(), "{conn:?} is closed after its end");
        self.vacate(conn);
    }

    fn wait(&mut self, wait: Wait) -> io::Result<()> {
        if !self.completions.is_empty() {
            return Ok(());
        }
        if self.buffers.has_free() {
            self.world.ready.append(&mut self.starved);
        }
        let now = self.world.now;
        let mut target = match wait {
            Wait::Until(until) if until > now => until,
            _ => now.plus_nanos(self.world.network.poll_ns),
        };
        if self.world.random.chance(self.world.network.spurious_per_million) {
            let next = self.world.next_at().map_or(target, |next| next.min(target));
            let early = self.world.random.up_to(next.nanos_since(now));
            target = now.plus_nanos(early);
        }
        self.pass(target);
        self.collect();
        Ok(())
    }

    fn completion(&mut self) -> Option<Completion> {
        loop {
            let completion = self.completions.pop_front()?;
            let conn = completion.conn();
            let tenant = self.tenant(conn);
            match (&completion, tenant) {
                (Completion::Received { lent, .. }, None) => self.buffers.put_back(lent.buffer),
                (_, None) => {}
                (Completion::Received { lent, .. }, Some(tenant)) => {
                    tenant.undelivered -= u64::from(lent.len);
                    return Some(completion);
                }
                (Completion::Discarded { count, .. }, Some(tenant)) => {
                    tenant.undelivered -= count;
                    return Some(completion);
                }
                (Completion::ConnectFailed { .. }, Some(_)) => {
                    self.vacate(conn);
                    return Some(completion);
                }
                (_, Some(_)) => return Some(completion),
            }
        }
    }

    fn bytes(&mut self, lent: &Lent) -> &mut [u8] {
        self.buffers.bytes(lent)
    }

    fn release(&mut self, lent: Lent) {
        self.buffers.put_back(lent.buffer);
    }
}
