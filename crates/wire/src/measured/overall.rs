//! What is kept of one teller among many: sums over all names.
//!
//! What it is: what a fleet's report says of each node, in a form of which a thousand fit in memory and on disk. What it is
//! not: enough for the report of the run; by name there is only what is still in flight.

use measure::{Counters, Histogram, IterationCounters};

use super::read::{NameCounts, Reader};
use super::{VERSION, write};
use crate::WireError;

/// The sums of one teller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overall {
    /// What happened.
    pub counters: Counters,
    /// What happened during the warm-up.
    pub warmup: Counters,
    /// By workload with iterations: arrivals due, begun or dropped; and unfinished.
    pub iterations: Vec<IterationCounters>,
    /// The same of the warm-up.
    pub warmup_iterations: Vec<IterationCounters>,
    /// Response time.
    pub response: Histogram,
    /// Schedule lag.
    pub lag: Histogram,
    /// Processor time of its shards.
    pub cpu_ns: u64,
    /// By name: requests sent whose end was not told.
    pub in_flight: Vec<u64>,
}

impl Overall {
    /// Packs them.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        write::counters(&mut out, &self.counters);
        write::counters(&mut out, &self.warmup);
        for all in [&self.iterations, &self.warmup_iterations] {
            write::number(&mut out, all.len() as u64);
            for one in all {
                write::iterations(&mut out, one);
            }
        }
        write::histogram(&mut out, &self.response);
        write::histogram(&mut out, &self.lag);
        write::number(&mut out, self.cpu_ns);
        write::number(&mut out, self.in_flight.len() as u64);
        for one in &self.in_flight {
            write::number(&mut out, *one);
        }
        out
    }

    /// Reads what [`Overall::pack`] wrote.
    ///
    /// # Errors
    /// The bytes are not the form, or contradict themselves.
    pub fn unpack(bytes: &[u8]) -> Result<Self, WireError> {
        Self::read(&mut Reader::new(bytes))?;
        Self::read(&mut Reader::of_checked(bytes))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut sums = Self::default();
        reader.version()?;
        reader.counters(Some(&mut sums.counters), None)?;
        reader.counters(Some(&mut sums.warmup), None)?;
        for all in [&mut sums.iterations, &mut sums.warmup_iterations] {
            for _ in 0..reader.count()? {
                all.push(reader.iterations()?);
            }
        }
        reader.histogram(Some(&mut sums.response), None)?;
        reader.histogram(Some(&mut sums.lag), None)?;
        sums.cpu_ns = reader.number()?;
        for _ in 0..reader.count()? {
            sums.in_flight.push(reader.number()?);
        }
        reader.end()?;
        Ok(sums)
    }

    pub(super) fn leave_in_flight(&mut self, place: usize, told: &NameCounts) {
        if self.in_flight.len() <= place {
            self.in_flight.resize(place + 1, 0);
        }
        let left = &mut self.in_flight[place];
        *left = told.in_flight_after(*left);
    }

    pub(super) fn add_iterations(&mut self, place: usize, told: &[IterationCounters; 2]) {
        for (sums, told) in [&mut self.iterations, &mut self.warmup_iterations].into_iter().zip(told) {
            if sums.len() <= place {
                sums.resize_with(place + 1, IterationCounters::default);
            }
            sums[place].merge(told);
        }
    }
}
