//! What one shard is told of the plan's scenarios, and what their iterations are filled in from.
//!
//! What it is: plain data made before the start. What it is not: the iterations, which are in `iterations`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use feeder::{ColumnIndex, Feeder};
use mapping::Mapping;
use scenario::{Key, Program, Values};

/// One scenario of a plan, run by one workload.
#[derive(Clone, Debug)]
pub struct ScenarioSettings {
    /// What is done. A shard has a clone of its own: the patterns' caches are not shared.
    pub program: Program,
    /// Its place among the workloads whose iterations are counted.
    pub workload: u32,
    /// The place of its first request step in [`super::Settings::requests`]; the others follow.
    pub first_request: u16,
    /// For each request step, the place of what is counted when it goes without the credentials that its server may ask for.
    pub bare_requests: Vec<u16>,
    /// The place of its first group among the plan's groups; the others follow.
    pub first_group: u32,
    /// For each request step, the place of its first check among the plan's checks; the others follow.
    pub first_checks: Vec<u32>,
    /// For each barrier of the program, the plan's.
    pub barriers: Vec<Arc<Barrier>>,
    /// Where each iteration has a row from.
    pub feeders: Vec<Arc<Feeder<Mapping>>>,
    /// For each column of the program: which of `feeders`, and where in its rows.
    pub columns: Vec<(usize, ColumnIndex)>,
    /// What its draws are keyed with.
    pub key: Key,
    /// Iterations at one time, at most.
    pub most: u32,
    /// Bytes of the variables of one iteration, at most.
    pub variables_bytes: usize,
    /// What is the same for all iterations.
    pub world: Arc<World>,
    /// The tokens that the program's requests carry, in its order.
    pub tokens: Vec<Token>,
}

/// A token that requests carry.
#[derive(Clone, Debug, Default)]
pub struct Token {
    /// Its place among those of the run.
    pub place: u16,
    /// What it is now; none before it was fetched.
    pub value: Option<TokenValue>,
}

/// An OAuth 2 token, which no message shows. Whoever replaces one keeps it until every shard has the new one: a shard gives no
/// memory back.
#[derive(Clone)]
pub struct TokenValue(Arc<[u8]>);

impl TokenValue {
    /// A token of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TokenValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenValue(…)")
    }
}

/// What all iterations of a plan may be filled in from.
#[derive(Clone, Default)]
pub struct World {
    /// The secrets, in the plan's order.
    pub secrets: Vec<Box<[u8]>>,
    /// What setup has extracted, in the plan's order; `None` for what it did not set.
    pub setup: Vec<Option<Box<[u8]>>>,
    /// The files that the program sends, in its order.
    pub files: Vec<Arc<Mapping>>,
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All of it may be secret.
        formatter.debug_struct("World").finish_non_exhaustive()
    }
}

/// The columns of one iteration's rows that its program uses, copied out of them.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Bytes of a column for which there is memory at first.
const COLUMN_BYTES: usize = 32;

impl Columns {
    /// With memory for so many columns.
    pub(crate) fn for_some(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count * COLUMN_BYTES), ends: Vec::with_capacity(count) }
    }

    /// Takes the columns of the rows of a slot; `false` when a feeder has no row for it.
    pub(crate) fn fill(&mut self, settings: &ScenarioSettings, slot: u64) -> bool {
        self.bytes.clear();
        self.ends.clear();
        for (feeder, column) in &settings.columns {
            let feeder = &settings.feeders[*feeder];
            let Some(row) = feeder.row_for(slot) else { return false };
            feeder.rows().row(row).field(*column).append_to(&mut self.bytes);
            self.ends.push(self.bytes.len());
        }
        // A feeder of which no column is used still says when the data is at its end.
        settings.feeders.iter().all(|feeder| feeder.row_for(slot).is_some())
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }
}

/// Everything that the texts of one iteration are filled in from, beside its own variables.
pub(crate) struct Filling<'a> {
    world: &'a World,
    columns: &'a Columns,
    tokens: &'a [Token],
}

impl<'a> Filling<'a> {
    /// For an iteration of a scenario with these columns.
    pub(crate) fn of(scenario: &'a ScenarioSettings, columns: &'a Columns) -> Self {
        Self { world: &scenario.world, columns, tokens: &scenario.tokens }
    }
}

impl Values for Filling<'_> {
    fn column(&self, index: u16) -> Option<&[u8]> {
        self.columns.get(usize::from(index))
    }

    fn secret(&self, index: u16) -> Option<&[u8]> {
        self.world.secrets.get(usize::from(index)).map(|secret| &**secret)
    }

    fn setup(&self, index: u16) -> Option<&[u8]> {
        self.world.setup.get(usize::from(index))?.as_deref()
    }

    fn file(&self, index: u16) -> Option<&[u8]> {
        self.world.files.get(usize::from(index)).map(|file| file.bytes())
    }

    fn token(&self, index: u16) -> Option<&[u8]> {
        self.tokens.get(usize::from(index))?.value.as_ref().map(TokenValue::reveal)
    }
}

/// A place where the users of all shards wait for each other: every `users` of them go on together.
///
/// It is the one thing that shards share while they run, and only those whose scenario has a barrier look at it.
#[derive(Debug)]
#[repr(align(128))]
pub struct Barrier {
    arrived: AtomicU64,
    users: u64,
}

impl Barrier {
    /// A barrier that opens for every `users` who have come, at least one.
    pub fn new(users: u32) -> Self {
        Self { arrived: AtomicU64::new(0), users: u64::from(users.max(1)) }
    }

    /// Somebody comes; yields how many must have come before he may go on.
    pub(crate) fn arrive(&self) -> u64 {
        let number = self.arrived.fetch_add(1, Ordering::AcqRel);
        (number / self.users + 1) * self.users
    }

    /// Whether those who wait for so many may go on.
    pub(crate) fn is_open(&self, needed: u64) -> bool {
        self.arrived.load(Ordering::Acquire) >= needed
    }
}
