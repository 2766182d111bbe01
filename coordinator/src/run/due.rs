//! What the plan has due.
//!
//! What it is: the plan's rates with every change that was made, and how many arrivals they come to. What it is not: what
//! was sent.
//!
//! Units: nanoseconds of the run, the warm-up included.

use std::sync::Arc;

use schedule::{Arrivals, Cells, Process, Rate};

use crate::director::Rated;

/// More random arrivals than these are not counted one by one.
const COUNTED_MOST: u64 = 200_000_000;

/// The rates of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    rated: Vec<Rated>,
}

impl Due {
    /// As the plan has them.
    pub(crate) fn new(rated: Vec<Rated>) -> Self {
        Self { rated }
    }

    /// The workloads with a rate.
    pub(crate) fn rated(&self) -> &[Rated] {
        &self.rated
    }

    /// The place of a workload by name; without one, of the only one. An error says which there are.
    pub(crate) fn find(&self, workload: Option<&str>) -> Result<usize, String> {
        let known = || {
            let names = self.rated.iter().filter_map(|rated| rated.name.as_deref());
            names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
        };
        match workload {
            None if self.rated.len() == 1 => Ok(0),
            None if self.rated.is_empty() => Err("this run has users, not a rate".to_owned()),
            None => Err(format!("the plan has several workloads with a rate; say which: one of {}", known())),
            Some(name) => self
                .rated
                .iter()
                .position(|rated| rated.name.as_deref() == Some(name))
                .ok_or_else(|| format!("{name:?} is no workload with a rate; one of {}", known())),
        }
    }

    /// A workload has another rate from an instant on, until its end.
    pub(crate) fn change(&mut self, place: usize, from_ns: u64, rate: Rate) {
        let Some(rated) = self.rated.get_mut(place) else { return };
        let at_ns = from_ns.saturating_sub(rated.begins_ns);
        if let Ok(profile) = rated.profile.with_rate_from(at_ns, rate) {
            rated.profile = Arc::new(profile);
        }
    }

    /// Whether a rate is nowhere lower than what a workload has from an instant on, so that whoever does not hear of it
    /// sends nothing early.
    pub(crate) fn raises(&self, place: usize, from_ns: u64, rate: Rate) -> bool {
        self.rated.get(place).is_none_or(|rated| {
            let at_ns = from_ns.saturating_sub(rated.begins_ns);
            let mut end_ns = 0_u64;
            rated.profile.phases().iter().all(|phase| {
                end_ns = end_ns.saturating_add(phase.duration_ns);
                end_ns <= at_ns || phase.from.max(phase.to) <= rate
            })
        })
    }

    /// The highest sum of rates if a workload had this one.
    pub(crate) fn highest_with(&self, place: usize, rate: Rate) -> Rate {
        let sum = self.rated.iter().enumerate().fold(0_u64, |sum, (index, rated)| {
            let own = if index == place { rate } else { rated.profile.max_rate() };
            sum.saturating_add(own.as_micro())
        });
        Rate::from_micro(sum)
    }

    /// The highest sum of rates.
    pub(crate) fn highest(&self) -> Rate {
        let sum = self
            .rated
            .iter()
            .fold(0_u64, |sum, rated| sum.saturating_add(rated.profile.max_rate().as_micro()));
        Rate::from_micro(sum)
    }

    /// What is asked for at an instant; none where there are users alone.
    pub(crate) fn asked_at(&self, at_ns: u64) -> Option<Rate> {
        if self.rated.is_empty() {
            return None;
        }
        let at = |rated: &Rated| {
            at_ns.checked_sub(rated.begins_ns).map_or(Rate::ZERO, |own| rated.profile.rate_at(own))
        };
        Some(Rate::from_micro(
            self.rated.iter().fold(0_u64, |sum, rated| sum.saturating_add(at(rated).as_micro())),
        ))
    }

    /// When the first arrival in these cells is due, from an instant on; none where nothing is.
    pub(crate) fn first_of(&self, cells: &Cells, from_ns: u64) -> Option<u64> {
        let first = |rated: &Rated| {
            let own_ns = from_ns.saturating_sub(rated.begins_ns);
            let mut own = Arrivals::from_instant(Arc::clone(&rated.profile), rated.process, cells, own_ns);
            Some(own.peek_due_ns()?.saturating_add(rated.begins_ns))
        };
        self.rated.iter().filter_map(first).min()
    }

    /// Arrivals before an instant, over all workloads; of random ones, how many are to be expected.
    pub(crate) fn before(&self, at_ns: u64) -> u64 {
        self.rated.iter().fold(0_u64, |sum, rated| sum.saturating_add(expected(rated, at_ns)))
    }

    /// Arrivals before an instant of a plan whose arrivals are requests, evenly spaced; none otherwise.
    pub(crate) fn requests_before(&self, at_ns: u64) -> Option<u64> {
        let plain = |rated: &&Rated| rated.counted.is_none() && rated.process == Process::Deterministic;
        match self.rated.as_slice() {
            [only] => Some(only).filter(plain).map(|only| expected(only, at_ns)),
            _ => None,
        }
    }

    /// Arrivals of one workload before each of two instants, exactly; none where there are too many random ones to count.
    pub(crate) fn exactly(&self, place: usize, first_ns: u64, second_ns: u64) -> Option<(u64, u64)> {
        let rated = self.rated.get(place)?;
        if rated.process == Process::Deterministic {
            return Some((expected(rated, first_ns), expected(rated, second_ns)));
        }
        let end_ns = first_ns.max(second_ns);
        if expected(rated, end_ns) > COUNTED_MOST {
            return None;
        }
        let arrivals = Arrivals::new(Arc::clone(&rated.profile), rated.process, &Cells::all());
        let arrivals = match rated.limit {
            Some(limit) => arrivals.with_limit(limit),
            None => arrivals,
        };
        let (mut first, mut second) = (0, 0);
        for arrival in arrivals {
            let due_ns = arrival.due_ns.saturating_add(rated.begins_ns);
            if due_ns >= end_ns {
                break;
            }
            first += u64::from(due_ns < first_ns);
            second += u64::from(due_ns < second_ns);
        }
        Some((first, second))
    }
}

pub(crate) fn expected(rated: &Rated, at_ns: u64) -> u64 {
    let before = at_ns.checked_sub(rated.begins_ns).map_or(0, |own| rated.profile.arrivals_before(own));
    rated.limit.map_or(before, |limit| before.min(limit))
}

/// A profile of one rate, for tests.
#[cfg(test)]
pub(crate) fn constant(per_second: u64, seconds: u64) -> Rated {
    let profile =
        schedule::Profile::constant(Rate::per_second(per_second), seconds * clock::NANOS_PER_SECOND);
    Rated {
        name: None,
        counted: None,
        begins_ns: 0,
        profile: Arc::new(profile.expect("a valid profile")),
        process: Process::Deterministic,
        limit: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = clock::NANOS_PER_SECOND;

    #[test]
    fn arrivals_follow_every_change() {
        let mut due = Due::new(vec![constant(100, 10)]);
        assert_eq!((due.before(5 * S), due.before(99 * S)), (500, 1_000));
        assert!(due.raises(0, 4 * S, Rate::per_second(100)) && !due.raises(0, 4 * S, Rate::per_second(99)));
        due.change(0, 4 * S, Rate::per_second(10));
        assert_eq!(due.requests_before(10 * S), Some(460));
        assert_eq!(due.asked_at(5 * S), Some(Rate::per_second(10)));
        assert_eq!(due.exactly(0, 4 * S, 10 * S), Some((400, 460)));
        assert!(due.raises(0, 5 * S, Rate::per_second(11)));
    }

    #[test]
    fn random_arrivals_are_counted_one_by_one() {
        let mut rated = constant(1_000, 10);
        rated.process = Process::Poisson { seed: 7 };
        rated.begins_ns = S;
        let due = Due::new(vec![rated.clone()]);
        let own = Arrivals::new(Arc::clone(&rated.profile), rated.process, &Cells::all());
        let before = own.filter(|arrival| arrival.due_ns < 2 * S).count() as u64;
        assert_eq!(due.exactly(0, S, 3 * S), Some((0, before)));
        assert_eq!(due.requests_before(S), None);
        rated.limit = Some(50);
        assert_eq!(Due::new(vec![rated]).exactly(0, 0, 20 * S), Some((0, 50)));
    }

    #[test]
    fn a_workload_is_found_or_the_answer_says_which_there_are() {
        let named = |name: &str| Rated { name: Some(name.to_owned()), ..constant(10, 1) };
        let due = Due::new(vec![named("browse"), named("buy")]);
        assert_eq!(due.find(Some("buy")), Ok(1));
        assert!(due.find(None).is_err_and(|said| said.contains("\"browse\", \"buy\"")));
        assert!(due.find(Some("sell")).is_err_and(|said| said.contains("no workload")));
        assert!(Due::new(Vec::new()).find(None).is_err_and(|said| said.contains("users")));
        assert_eq!(due.highest_with(0, Rate::per_second(5)), Rate::per_second(15));
    }
}
