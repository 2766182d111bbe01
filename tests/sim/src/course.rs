//! What a plan has due, under every change of its rate.
//!
//! What it is: slots and their instants, computed from the plan alone; nodes send by it, and checkers judge by it. What it is
//! not: anything that the director has said.
//!
//! Units: nanoseconds of the run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use schedule::{Arrivals, Cells, Process, Profile, Rate};

/// From when on, and the rate in millionths per second.
type Changes = Vec<(u64, u64)>;

/// A plan over time.
#[derive(Debug)]
pub(crate) struct Course {
    profile: Arc<Profile>,
    process: Process,
    /// What was asked for before: several nodes and the checkers ask for the same.
    known: Mutex<BTreeMap<Changes, Arc<Due>>>,
}

/// Slots by rising instant.
#[derive(Debug)]
pub(crate) struct Due {
    rising: Vec<(u64, u64)>,
    by_slot: BTreeMap<u64, u64>,
}

impl Course {
    pub(crate) fn new(profile: Arc<Profile>, process: Process) -> Self {
        Self { profile, process, known: Mutex::default() }
    }

    pub(crate) fn duration_ns(&self) -> u64 {
        self.profile.duration_ns()
    }

    /// Slots are numbered in the order in which they are due.
    pub(crate) fn is_even(&self) -> bool {
        self.process == Process::Deterministic
    }

    /// What is due with these changes of the rate, in the order in which they were made.
    pub(crate) fn due(&self, rates: &[(u64, Rate)]) -> Arc<Due> {
        let changes: Changes = rates.iter().map(|(from_ns, rate)| (*from_ns, rate.as_micro())).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(changes).or_insert_with(|| {
            let mut profile = (*self.profile).clone();
            for (from_ns, rate) in rates {
                profile = profile.with_rate_from(*from_ns, *rate).expect("a rate that was granted");
            }
            Arc::new(Due::new(profile, self.process))
        }))
    }
}

impl Due {
    fn new(profile: Profile, process: Process) -> Self {
        let all = Arrivals::new(Arc::new(profile), process, &Cells::all());
        let mut rising: Vec<(u64, u64)> = all.map(|arrival| (arrival.due_ns, arrival.slot)).collect();
        rising.sort_unstable();
        let by_slot = rising.iter().map(|(due_ns, slot)| (*slot, *due_ns)).collect();
        Self { rising, by_slot }
    }

    /// When a slot is due, if ever.
    pub(crate) fn due_ns(&self, slot: u64) -> Option<u64> {
        self.by_slot.get(&slot).copied()
    }

    /// How many are due before an instant.
    pub(crate) fn before(&self, at_ns: u64) -> u64 {
        self.place(at_ns) as u64
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.rising.len() as u64
    }

    /// Instants and slots from one instant on and before another.
    pub(crate) fn within(&self, from_ns: u64, until_ns: u64) -> &[(u64, u64)] {
        let (from, until) = (self.place(from_ns), self.place(until_ns));
        &self.rising[from..until.max(from)]
    }

    fn place(&self, at_ns: u64) -> usize {
        self.rising.partition_point(|(due_ns, _)| *due_ns < at_ns)
    }
}
