//! The rate profile: the arrival rate over the length of a run, and where each slot falls in it.
//!
//! What it is: an immutable list of phases with their exact integral and its exact inverse.
//! What it is not: a position in the run; [`Arrivals`](crate::Arrivals) keeps one.
//!
//! Slot k is due at the first nanosecond at which the integral of the rate reaches k: slot 0 as soon as there is
//! a rate at all, the last one before the profile ends. While the rate rests at zero nothing is due: a slot that
//! the integral reaches exactly as such a rest begins waits for its end.
//!
//! Units: nanoseconds from the start of the run; quanta inside (see `segment`).

use crate::segment::{QUANTA_PER_ARRIVAL, Segment};
use crate::{Rate, ScheduleError};

/// The most arrivals that a profile may hold: 10 million per second for nine centuries. It leaves room to number
/// Poisson arrivals in 64 bits, and it bounds every product in this crate.
pub const ARRIVALS_MAX: u64 = 1 << 58;

/// A stretch of a profile: the rate moves linearly `from` → `to`, or stays where both are equal.
///
/// A step is two phases. A phase of 0 ns says nothing and is passed over.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// How long the phase lasts.
    pub duration_ns: u64,
    /// The rate at its start.
    pub from: Rate,
    /// The rate at its end.
    pub to: Rate,
}

/// The arrival rate over the length of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    phases: Vec<Phase>,
    /// One for each phase that lasts.
    ///
    /// Invariant: not empty; each starts where the one before ended, in time and in quanta.
    segments: Vec<Segment>,
}

impl Profile {
    /// A profile of these phases, one after the other.
    pub fn new(phases: Vec<Phase>) -> Result<Self, ScheduleError> {
        if phases.is_empty() {
            return Err(ScheduleError::NoPhase);
        }
        let mut profile = Self { phases: Vec::with_capacity(phases.len()), segments: Vec::new() };
        for phase in phases {
            profile.push(phase)?;
        }
        if profile.segments.is_empty() {
            return Err(ScheduleError::NoDuration);
        }
        Ok(profile)
    }

    /// A profile of one rate.
    pub fn constant(rate: Rate, duration_ns: u64) -> Result<Self, ScheduleError> {
        Self::new(vec![Phase { duration_ns, from: rate, to: rate }])
    }

    /// The phases, in order. Where [`with_rate_from`](Self::with_rate_from) cut a ramp short, the phase shows
    /// the rate at the cut to the nearest millionth; due times still follow the uncut line exactly.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// How long the profile lasts; above zero.
    pub fn duration_ns(&self) -> u64 {
        self.end().0
    }

    /// The rate at an instant, to the nearest millionth; where two phases meet, the later one's. Zero at and
    /// after the end.
    pub fn rate_at(&self, at_ns: u64) -> Rate {
        if at_ns >= self.duration_ns() {
            return Rate::ZERO;
        }
        let segment = self.segment_at(at_ns);
        Rate::from_micro(segment.micro_rate_at(at_ns - segment.start_ns))
    }

    /// The highest rate that the profile reaches.
    pub fn max_rate(&self) -> Rate {
        let lasting = self.phases.iter().filter(|phase| phase.duration_ns > 0);
        lasting.map(|phase| phase.from.max(phase.to)).max().unwrap_or(Rate::ZERO)
    }

    /// How many slots are due before the profile ends.
    pub fn arrival_count(&self) -> u64 {
        self.arrivals_before(self.duration_ns())
    }

    /// How many slots are due before `at_ns`, or before the end where that comes first.
    pub fn arrivals_before(&self, at_ns: u64) -> u64 {
        let Some(last_ns) = at_ns.min(self.duration_ns()).checked_sub(1) else {
            return 0;
        };
        let slot = whole_slots(self.quanta_before(at_ns));
        // Every slot below this one was passed; this one was just reached, or waits for a rest to end.
        let reached = self.due_ns(slot).is_some_and(|due_ns| due_ns <= last_ns);
        slot + u64::from(reached)
    }

    /// When `slot` is due: the first nanosecond at which the integral of the rate reaches it, never sooner.
    /// `None` when that is at or after the end.
    pub fn due_ns(&self, slot: u64) -> Option<u64> {
        self.due_of(u128::from(slot) * QUANTA_PER_ARRIVAL)
    }

    /// The same profile before `at_ns`, and from there on `rate` until the same end. At or after the end it
    /// changes nothing.
    ///
    /// Where it cuts a ramp, the integral goes on from its value at the cut rounded down to a whole quantum:
    /// later slots move by less than 10⁻¹⁵ of an arrival, and never forwards.
    pub fn with_rate_from(&self, at_ns: u64, rate: Rate) -> Result<Self, ScheduleError> {
        let duration_ns = self.duration_ns();
        if at_ns >= duration_ns {
            return Ok(self.clone());
        }
        let mut changed = Self { phases: Vec::new(), segments: Vec::new() };
        let lasting = self.phases.iter().filter(|phase| phase.duration_ns > 0);
        for (&(mut phase), &(mut segment)) in lasting.zip(&self.segments) {
            if segment.start_ns >= at_ns {
                break;
            }
            if segment.start_ns + segment.length_ns > at_ns {
                segment = segment.cut(at_ns - segment.start_ns);
                phase.duration_ns = segment.length_ns;
                phase.to = Rate::from_micro(segment.micro_rate_at(segment.length_ns));
            }
            changed.phases.push(phase);
            changed.segments.push(segment);
        }
        changed.push(Phase { duration_ns: duration_ns - at_ns, from: rate, to: rate })?;
        Ok(changed)
    }

    /// The integral just before `at_ns`, rounded down: whatever it has not reached is due then or later.
    pub(crate) fn quanta_before(&self, at_ns: u64) -> u128 {
        let Some(last_ns) = at_ns.min(self.duration_ns()).checked_sub(1) else { return 0 };
        let segment = self.segment_at(last_ns);
        segment.quanta_before + segment.quanta_at(last_ns - segment.start_ns)
    }

    /// The integral over the whole profile.
    pub(crate) fn total_quanta(&self) -> u128 {
        self.end().1
    }

    /// When the integral reaches `quanta`, as [`due_ns`](Self::due_ns) does for slots.
    pub(crate) fn due_of(&self, quanta: u128) -> Option<u64> {
        let index = self.segments.partition_point(|segment| segment.quanta_after < quanta);
        let segment = self.segments.get(index)?;
        let elapsed_ns = segment.elapsed_at(quanta - segment.quanta_before);
        let resting = segment.is_still() || elapsed_ns == segment.length_ns;
        let due_ns = if resting && segment.quanta_after == quanta {
            let next = self.segments.partition_point(|segment| segment.quanta_after <= quanta);
            self.segments.get(next)?.start_ns
        } else {
            segment.start_ns + elapsed_ns
        };
        (due_ns < self.duration_ns()).then_some(due_ns)
    }

    /// The segment in which the integral passes `quanta`, strictly between its start and its end; `None` on a
    /// boundary and past the end.
    pub(crate) fn segment_passing(&self, quanta: u128) -> Option<&Segment> {
        let index = self.segments.partition_point(|segment| segment.quanta_after <= quanta);
        self.segments.get(index).filter(|segment| segment.quanta_before < quanta)
    }

    fn segment_at(&self, at_ns: u64) -> &Segment {
        let index = self.segments.partition_point(|segment| segment.start_ns <= at_ns);
        &self.segments[index - 1]
    }

    /// Where the last segment ends, in time and in quanta.
    fn end(&self) -> (u64, u128) {
        self.segments.last().map_or((0, 0), |last| (last.start_ns + last.length_ns, last.quanta_after))
    }

    fn push(&mut self, phase: Phase) -> Result<(), ScheduleError> {
        self.phases.push(phase);
        if phase.duration_ns == 0 {
            return Ok(());
        }
        let start = self.end();
        start.0.checked_add(phase.duration_ns).ok_or(ScheduleError::DurationTooLong)?;
        let line = (phase.from.as_micro(), phase.to.as_micro(), phase.duration_ns);
        let segment = Segment::new(start, phase.duration_ns, line).ok_or(ScheduleError::TooManyArrivals)?;
        if segment.quanta_after > u128::from(ARRIVALS_MAX) * QUANTA_PER_ARRIVAL {
            return Err(ScheduleError::TooManyArrivals);
        }
        self.segments.push(segment);
        Ok(())
    }
}

/// How many whole slots an integral holds.
fn whole_slots(quanta: u128) -> u64 {
    u64::try_from(quanta / QUANTA_PER_ARRIVAL).expect("Invariant: a profile holds at most ARRIVALS_MAX slots")
}

#[cfg(test)]
mod tests;
