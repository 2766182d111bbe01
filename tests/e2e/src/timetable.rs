//! When each arrival of a plan is due, computed anew, and what a witness saw held against it.
//!
//! What it is: straight lines of the rate, their integral in whole numbers, and the instants at which it reaches 0, 1, 2 and so
//! on. What it is not: the product's arithmetic: it shares none of its code.
//!
//! Units: instants are nanoseconds after the plan's zero unless a name says otherwise; rates are millionths per second. The
//! integral is counted in halves of a millionth of an arrival per second and nanosecond, of which an arrival has 2 × 10¹⁵.

use crate::witness::Seen;

const ARRIVAL: u128 = 2_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A straight line of the rate.
#[derive(Copy, Clone, Debug)]
struct Line {
    from_ns: u64,
    until_ns: u64,
    /// Rates at its ends, in millionths per second.
    first: u64,
    last: u64,
}

impl Line {
    /// The integral over its first `passed_ns`.
    fn area(&self, passed_ns: u64) -> u128 {
        let (passed, length) = (u128::from(passed_ns), u128::from(self.until_ns - self.from_ns));
        let (first, last) = (u128::from(self.first), u128::from(self.last));
        let level = 2 * first * passed;
        if last >= first {
            level + (last - first) * passed * passed / length
        } else {
            // Rounded up where it is taken away, so that the whole is rounded down.
            level - ((first - last) * passed * passed).div_ceil(length)
        }
    }
}

/// A plan of evenly spaced arrivals.
#[derive(Clone, Debug)]
pub struct Timetable {
    lines: Vec<Line>,
}

impl Timetable {
    /// One rate for so many seconds.
    pub fn constant(per_second: u64, seconds: u64) -> Self {
        Self::ramp(per_second, per_second, seconds)
    }

    /// From one rate to another within so many seconds.
    pub fn ramp(from: u64, to: u64, seconds: u64) -> Self {
        let line =
            Line { from_ns: 0, until_ns: seconds * SECOND_NS, first: from * 1_000_000, last: to * 1_000_000 };
        Self { lines: vec![line] }
    }

    /// Another rate from an instant on, up to the end.
    ///
    /// # Panics
    /// When the rate is not constant there.
    pub fn change(&mut self, from_ns: u64, micro_tps: u64) {
        let end_ns = self.end_ns();
        self.lines.retain(|line| line.from_ns < from_ns);
        let line = self.lines.last_mut().expect("a change comes after the begin");
        assert_eq!(line.first, line.last, "a ramp is not cut here");
        line.until_ns = from_ns;
        self.lines.push(Line { from_ns, until_ns: end_ns, first: micro_tps, last: micro_tps });
    }

    /// The same plan, ended at an instant.
    #[must_use]
    pub fn until(mut self, end_ns: u64) -> Self {
        self.lines.retain(|line| line.from_ns < end_ns);
        let line = self.lines.last_mut().expect("a plan does not end before it begins");
        assert!(line.first == line.last || line.until_ns <= end_ns, "a ramp is not cut here");
        line.until_ns = line.until_ns.min(end_ns);
        self
    }

    fn end_ns(&self) -> u64 {
        self.lines.last().expect("a plan has a line").until_ns
    }

    /// The instants at which the arrivals are due.
    pub fn instants(&self) -> Vec<u64> {
        let (mut instants, mut before) = (Vec::new(), 0);
        for line in &self.lines {
            let length_ns = line.until_ns - line.from_ns;
            let mut passed_ns = 0;
            loop {
                // The first nanosecond of the line at which the integral has reached the arrival's number.
                let wanted = instants.len() as u128 * ARRIVAL;
                let (mut low, mut high) = (passed_ns, length_ns);
                while low < high {
                    let middle = low + (high - low) / 2;
                    if before + line.area(middle) >= wanted {
                        high = middle;
                    } else {
                        low = middle + 1;
                    }
                }
                if low >= length_ns {
                    break;
                }
                instants.push(line.from_ns + low);
                passed_ns = low;
            }
            before += line.area(length_ns);
        }
        instants
    }
}

/// How late the earliest and the latest request were, in nanoseconds; the earliest may be early by less than clocks are known.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Margins {
    /// Of any request that names its slot: how long after its slot was due it came; negative: before.
    pub least_ns: i64,
    /// The most.
    pub most_ns: i64,
}

/// Demands that nothing came before it was due: at every instant no more had come than was due by then, each slot came no
/// earlier than it was due, and none came twice. `zero_ns` is the plan's zero on the clock of the witness, and
/// `uncertainty_ns` is how far from it any node may have believed it to be.
#[track_caller]
pub fn nothing_early(instants: &[u64], zero_ns: u64, uncertainty_ns: u64, seen: &[Seen]) -> Margins {
    let after_ns = |at_ns: u64, due_ns: u64| {
        i64::try_from(i128::from(at_ns) - i128::from(zero_ns) - i128::from(due_ns)).expect("some minutes")
    };
    let earliest_ns = -i64::try_from(uncertainty_ns).expect("less than a minute");
    let mut stamps: Vec<u64> = seen.iter().map(|seen| seen.at_ns).collect();
    stamps.sort_unstable();
    assert!(
        stamps.len() <= instants.len(),
        "{} requests came where {} were due",
        stamps.len(),
        instants.len()
    );
    for (place, (at_ns, due_ns)) in stamps.iter().zip(instants).enumerate() {
        let late_ns = after_ns(*at_ns, *due_ns);
        assert!(
            late_ns >= earliest_ns,
            "{} requests had come {} ns before so many were due",
            place + 1,
            -late_ns
        );
    }
    let mut came = vec![false; instants.len()];
    let mut margins = Margins { least_ns: i64::MAX, most_ns: i64::MIN };
    for Seen { at_ns, slot, .. } in seen {
        let Some(slot) = slot else { continue };
        let place = usize::try_from(*slot).expect("a place");
        let due_ns = instants.get(place).unwrap_or_else(|| panic!("slot {slot} is not in the plan"));
        let late_ns = after_ns(*at_ns, *due_ns);
        assert!(late_ns >= earliest_ns, "slot {slot} came {} ns before it was due", -late_ns);
        assert!(!std::mem::replace(&mut came[place], true), "slot {slot} came twice");
        margins.least_ns = margins.least_ns.min(late_ns);
        margins.most_ns = margins.most_ns.max(late_ns);
    }
    margins
}

/// The slots that never came, in order.
pub fn missing(instants: &[u64], seen: &[Seen]) -> Vec<usize> {
    let mut came = vec![false; instants.len()];
    for place in seen.iter().filter_map(|seen| usize::try_from(seen.slot?).ok()) {
        came[place] = true;
    }
    came.iter().enumerate().filter(|(_, came)| !**came).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn seen(at_ns: u64, slot: u64) -> Seen {
        Seen { at_ns, slot: Some(slot), connection: 0 }
    }

    #[test]
    fn instants_are_the_first_at_which_the_integral_is_whole() {
        let thirds = Timetable::constant(3, 2).instants();
        assert_eq!(thirds, [0, 333_333_334, 666_666_667, 1_000 * MS, 1_333_333_334, 1_666_666_667]);
        // The integral of 8 t is 4 t²: 1 after half a second, 2 after √½, 3 after √¾.
        let ramp = Timetable::ramp(0, 8, 1).instants();
        assert_eq!(ramp, [0, 500 * MS, 707_106_782, 866_025_404]);
        // And that of 8 - 8 t is 4 - 4 (1 - t)²: 1 after 1 - √¾.
        let down = Timetable::ramp(8, 0, 1).instants();
        assert_eq!(down, [0, 133_974_597, 292_893_219, 500 * MS]);
        assert_eq!(Timetable::constant(10_000, 30).instants().len(), 300_000);
    }

    #[test]
    fn a_changed_rate_goes_on_from_where_the_integral_was() {
        let mut table = Timetable::constant(10, 2);
        table.change(250 * MS, 2_000_000);
        // 2.5 arrivals by then; half an arrival more takes a quarter of a second.
        assert_eq!(table.instants(), [0, 100 * MS, 200 * MS, 500 * MS, 1_000 * MS, 1_500 * MS]);
        assert_eq!(table.until(600 * MS).instants(), [0, 100 * MS, 200 * MS, 500 * MS]);
    }

    #[test]
    fn what_is_early_or_comes_twice_is_found() {
        let instants = Timetable::constant(10, 1).instants();
        let early = |list: &[Seen]| {
            let list = list.to_vec();
            let instants = instants.clone();
            std::panic::catch_unwind(move || nothing_early(&instants, 1_000, 10, &list)).is_err()
        };
        assert!(!early(&[seen(1_000, 0), seen(1_000 + 100 * MS - 10, 1)]));
        assert!(early(&[seen(1_000, 0), seen(1_000 + 100 * MS - 11, 1)]));
        assert!(early(&[seen(1_000 + 500 * MS, 6)]), "few requests, and one of them early");
        assert!(early(&[seen(1_000, 0), seen(1_000 + 900 * MS, 0)]), "twice");
        assert!(early(&[seen(1_000 + 2_000 * MS, 10)]), "beyond the plan");
        let nameless = Seen { slot: None, ..seen(1_000, 0) };
        assert!(early(&[nameless, nameless]), "two where one is due");
        assert_eq!(missing(&instants, &[seen(0, 0), seen(0, 3)]), [1, 2, 4, 5, 6, 7, 8, 9]);
    }
}
